//! `rules`: what is allowed, asked for and denied.

use super::conditions::{EXCEPT, PATTERNS, PATTERNS_BY_NAME};
use super::decode::{Node, Object};
use super::shape::{Shape, Takes, may, must};
use super::{ACTIONS, ANSWER, conditions};
use crate::policy::{
    Action, Approval, ClaimMatch, Condition, Connection, Consent, Demand, Except, Globs, Reviewers,
    Rule,
};

pub static RULE: Shape = Shape {
    name: "rule",
    about: "All that a rule names has to hold. In every list of patterns `*` stands for anything \
            within a segment, `**` for anything, and `!x` excludes; a list of nothing but `!x` means \
            anything but.",
    fields: &[
        must("name", Takes::Text, "Its name in denials and records."),
        may(
            "operations",
            PATTERNS,
            "Names of operations, such as repo.delete, content.* or github:repos/delete.",
        ),
        may("repos", PATTERNS, "owner/name."),
        may("owners", PATTERNS, "Organisations and users."),
        may("refs", PATTERNS, "Full ref names, such as refs/heads/main."),
        may(
            "paths",
            PATTERNS,
            "Files in the repository. A rule that allows needs all files of an operation, others one.",
        ),
        may(
            "connections",
            Takes::Some(&Takes::Text),
            "Names of connections.",
        ),
        may("hosts", PATTERNS, "Hosts without port."),
        may("methods", PATTERNS, "HTTP methods."),
        may(
            "attributes",
            PATTERNS_BY_NAME,
            "Attributes that the operation has, such as model, tool or visibility.",
        ),
        may(
            "json",
            Takes::Pointers(&conditions::FIELD),
            "Fields of the JSON body by pointer (RFC 6901), each a value, {glob}, {regex}, or a list \
             of those; null stands for a field that is not there.",
        ),
        may(
            "groups",
            PATTERNS,
            "Groups of the caller; `!x` for one that he must not be in.",
        ),
        may("subjects", PATTERNS, "Subjects."),
        may(
            "claims",
            PATTERNS_BY_NAME,
            "Claims of the token by name or dotted path; of a list, any element.",
        ),
        may("time", Takes::Object(&conditions::TIME), "When it applies."),
        may(
            "except",
            Takes::OneOf(&[Takes::Object(&EXCEPT), Takes::List(&Takes::Object(&EXCEPT))]),
            "Whom and what it leaves out; of a list, each by itself.",
        ),
        must("action", ANSWER, "What it does."),
        may(
            "hold",
            Takes::Choice(&["request", "response"]),
            "What a rule that asks holds: the request before it is forwarded (unless said otherwise), or \
             its answer before it is delivered. With `response`, `paths` are files that the answer names, \
             such as those that a model proposes to change; without them every answer is held.",
        ),
        may(
            "unknown_target",
            ANSWER,
            "What it does where the request does not tell the repository, owner or ref; its action \
             unless said otherwise. A rule that allows never applies then.",
        ),
        may(
            "unknown_paths",
            ANSWER,
            "The same for files, as in a push; require_approval unless said otherwise.",
        ),
        may(
            "unknown_body",
            ANSWER,
            "The same for fields of a body that is no JSON or that two readers could read \
             differently; its action unless said otherwise.",
        ),
        may(
            "reason",
            Takes::Text,
            "What a denied caller or a reviewer reads.",
        ),
        may(
            "approval",
            Takes::Object(&APPROVAL),
            "Who is asked, and for how long.",
        ),
    ],
};

static APPROVAL: Shape = Shape {
    name: "approval",
    about: "How an approval is asked for: of `reviewers`, `any_of` or `all_of`, exactly one. Where several \
            rules ask about one request, all of them have to be met.",
    fields: &[
        may("reviewers", Takes::Object(&REVIEWERS), "Who may answer."),
        may(
            "min",
            Takes::Integer(1, 10),
            "How many of them have to agree; 1 unless said otherwise.",
        ),
        may(
            "any_of",
            Takes::Some(&Takes::Object(&CONSENT)),
            "Consents of which one is enough.",
        ),
        may(
            "all_of",
            Takes::Some(&Takes::Object(&CONSENT)),
            "Consents that are all needed; one person counts for each that names him.",
        ),
        may(
            "hold",
            Takes::Duration,
            "How long the live request waits, 10m at most; unless said otherwise as long as its client \
             surely waits: 60s for git, gh, Octokit and the Copilot CLI, 50s for MCP, 120s for the openai \
             SDKs, 40s for chat in an IDE, 14s for PyGithub and whoever is not known.",
        ),
        may(
            "ticket",
            Takes::Duration,
            "How long an approval that comes later holds for the same request; 15m unless said otherwise.",
        ),
    ],
};

static CONSENT: Shape = Shape {
    name: "consent",
    about: "So many of these people.",
    fields: &[
        must("reviewers", Takes::Object(&REVIEWERS), "Who may answer."),
        may(
            "min",
            Takes::Integer(1, 10),
            "How many of them have to agree; 1 unless said otherwise.",
        ),
    ],
};

static REVIEWERS: Shape = Shape {
    name: "reviewers",
    about: "People: whoever any of these lists names.",
    fields: &[
        may(
            "groups",
            Takes::List(&Takes::Text),
            "Members of any of these.",
        ),
        may("subjects", Takes::List(&Takes::Text), "These people."),
        may(
            "claims",
            PATTERNS_BY_NAME,
            "People whose sign-in has one of these claims, by name or dotted path.",
        ),
    ],
};

/// Reads `rules`; the list may be empty, the default then decides.
pub fn read(document: &Object, connections: &[Connection]) -> Vec<Rule> {
    let nodes = document.get("rules").map(|n| n.list()).unwrap_or_default();
    let mut rules: Vec<Rule> = Vec::new();
    for node in &nodes {
        let Some(rule) = rule(node, connections) else {
            continue;
        };
        if rules.iter().any(|r| r.name == rule.name) {
            node.fault(format!("a second rule named `{}`", rule.name));
        }
        rules.push(rule);
    }
    rules
}

/// The claims that rules ask for.
pub fn claims(rules: &[Rule]) -> Vec<String> {
    let mut paths: Vec<String> = rules
        .iter()
        .flat_map(|rule| {
            let excepted = rule.except.iter().flat_map(|except| &except.claims);
            rule.condition.claims.iter().chain(excepted)
        })
        .map(|claim| claim.path.clone())
        .collect();
    paths.sort();
    paths.dedup();
    paths
}

/// Whether the rule may ask a person.
pub fn may_ask(rule: &Rule) -> bool {
    let asks = |action| action == Action::RequireApproval;
    let restrains = rule.action.restrains();
    let [places, paths, body] = compares(&rule.condition, &rule.except);
    asks(rule.action)
        || restrains
            && (places && asks(rule.unknown_target)
                || paths && asks(rule.unknown_paths)
                || body && asks(rule.unknown_body))
}

/// Whether something compares repositories, owners or refs; paths; fields of the body.
fn compares(condition: &Condition, except: &[Except]) -> [bool; 3] {
    let any = |globs: &[&Globs]| globs.iter().any(|globs| !globs.is_empty());
    let c = condition;
    [
        any(&[&c.repos, &c.owners, &c.refs])
            || except.iter().any(|e| any(&[&e.repos, &e.owners, &e.refs])),
        any(&[&c.paths]) || except.iter().any(|e| any(&[&e.paths])),
        !c.json.is_empty(),
    ]
}

fn rule(node: &Node, connections: &[Connection]) -> Option<Rule> {
    let object = node.object(&RULE)?;
    let name = object
        .require("name", "denials and records name the rule")
        .and_then(|n| n.string());
    let action = object
        .require("action", "allow, require_approval or deny")
        .and_then(|n| n.choice(ACTIONS));
    let mut condition = conditions::condition(&object, connections);
    let held = object
        .get("hold")
        .and_then(|n| n.choice(&[("request", false), ("response", true)]));
    let answer = (held == Some(true)).then(|| std::mem::take(&mut condition.paths));
    if held.is_some() && action.is_some_and(|a| a != Action::RequireApproval) {
        object.fault("`hold` belongs to a rule that asks: with the action require_approval");
    }
    let except = object
        .get("except")
        .map(|n| conditions::except(&n))
        .unwrap_or_default();
    let unknown = |key: &str, compared: bool, keys: &str| {
        let node = object.get(key)?;
        if !compared {
            node.fault(format!("`{key}` belongs to a rule with {keys}"));
        } else if action == Some(Action::Allow) {
            node.fault("a rule that allows never applies to what is not known; take this out");
        }
        node.choice(ACTIONS)
    };
    let [places, paths, body] = compares(&condition, &except);
    let unknown_target = unknown("unknown_target", places, "`repos`, `owners` or `refs`");
    let unknown_paths = unknown("unknown_paths", paths, "`paths`");
    let unknown_body = unknown("unknown_body", body, "`json`");
    let approval = object.get("approval").and_then(|n| approval(&n));
    let asked = approval.is_some();
    let action = action?;
    let name = name?;
    let mut approval = approval.unwrap_or_default();
    for demand in &mut approval.demands {
        demand.rule = Some(name.clone());
    }
    let rule = Rule {
        name,
        condition,
        except,
        action,
        unknown_target: unknown_target.unwrap_or(action),
        unknown_paths: unknown_paths.unwrap_or(Action::RequireApproval),
        unknown_body: unknown_body.unwrap_or(action),
        reason: object.get("reason").and_then(|n| n.string()),
        approval,
        answer,
    };
    if asked && !may_ask(&rule) {
        object.fault("`approval` belongs to a rule that asks: with the action require_approval");
    }
    Some(rule)
}

fn approval(node: &Node) -> Option<Approval> {
    let object = node.object(&APPROVAL)?;
    let ways = ["reviewers", "any_of", "all_of"];
    let said = ways.iter().filter(|key| object.get(key).is_some()).count();
    if said != 1 {
        object.fault("say who may answer: exactly one of `reviewers`, `any_of` and `all_of`");
    }
    if let (Some(min), None) = (object.get("min"), object.get("reviewers")) {
        min.fault("`min` belongs to `reviewers`; in `any_of` and `all_of` each has its own");
    }
    let consents = |key: &str| -> Option<Vec<Consent>> {
        let node = object.get(key)?;
        let items = node.list();
        if items.is_empty() && node.value().is_array() {
            node.fault("an empty list names nobody: the request could never be approved");
        }
        Some(
            items
                .iter()
                .filter_map(|item| consent(&item.object(&CONSENT)?))
                .collect(),
        )
    };
    let demand = |any_of| Demand { rule: None, any_of };
    let demands = match (consents("any_of"), consents("all_of")) {
        (Some(any), _) => vec![demand(any)],
        (None, Some(all)) => all.into_iter().map(|one| demand(vec![one])).collect(),
        (None, None) if said == 1 => consent(&object).map(|one| vec![demand(vec![one])])?,
        (None, None) => Vec::new(),
    };
    let default = Approval::default();
    let hold_ms = object.get("hold").and_then(|n| {
        let hold = n.duration_ms()?;
        if hold > 600_000 {
            n.fault("at most 10m: no client waits longer; use `ticket` for later answers");
        }
        Some(hold)
    });
    let ticket_ms = object.get("ticket").and_then(|n| n.duration_ms());
    Some(Approval {
        demands,
        hold_ms,
        ticket_s: ticket_ms.map_or(default.ticket_s, |ms| ms / 1_000),
    })
}

/// `reviewers` and `min`.
fn consent(object: &Object) -> Option<Consent> {
    let min = object.get("min").and_then(|n| n.integer(1..=10));
    let node = object.require("reviewers", "who may answer: groups, subjects, claims")?;
    let reviewers = node.object(&REVIEWERS)?;
    let written = |claim: &ClaimMatch| {
        let included = claim.globs.included().iter().map(|g| g.as_str().to_owned());
        let excluded = claim.globs.excluded().iter();
        let excluded = excluded.map(|g| format!("!{}", g.as_str()));
        (claim.path.clone(), included.chain(excluded).collect())
    };
    let claims = conditions::claims(&reviewers);
    let reviewers = Reviewers {
        groups: reviewers.strings("groups"),
        subjects: reviewers.strings("subjects"),
        claims: claims.iter().map(written).collect(),
    };
    if reviewers == Reviewers::default() {
        object.fault("`reviewers` names nobody: the request could never be approved");
    }
    Some(Consent {
        reviewers,
        min: min.unwrap_or(1),
    })
}

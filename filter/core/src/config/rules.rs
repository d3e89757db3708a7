//! `rules`: what is allowed, asked for and denied.

use super::ACTIONS;
use super::decode::{Node, Object};
use crate::policy::{Action, Approval, Condition, Connection, Except, Glob, Reviewers, Rule};

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

fn rule(node: &Node, connections: &[Connection]) -> Option<Rule> {
    const KEYS: &[&str] = &[
        "name",
        "operations",
        "repos",
        "refs",
        "paths",
        "connections",
        "groups",
        "subjects",
        "except",
        "action",
        "unknown_paths",
        "reason",
        "approval",
    ];
    let object = node.object(KEYS)?;
    let name = object
        .require("name", "denials and records name the rule")
        .and_then(|n| n.string());
    let action = object
        .require("action", "allow, require_approval or deny")
        .and_then(|n| n.choice(ACTIONS));
    let condition = condition(&object, connections);
    let except = object
        .get("except")
        .and_then(|n| except(&n))
        .unwrap_or_default();
    let unknown_paths = object.get("unknown_paths").and_then(|n| n.choice(ACTIONS));
    if unknown_paths.is_some() && condition.paths.is_empty() {
        object.fault("`unknown_paths` belongs to a rule with `paths`");
    }
    let approval = object.get("approval").and_then(|n| approval(&n));
    let asks = [action, unknown_paths].contains(&Some(Action::RequireApproval))
        || !condition.paths.is_empty();
    if approval.is_some() && !asks {
        object.fault("`approval` belongs to a rule with the action require_approval");
    }
    Some(Rule {
        name: name?,
        condition,
        except,
        action: action?,
        unknown_paths: unknown_paths.unwrap_or(Action::RequireApproval),
        reason: object.get("reason").and_then(|n| n.string()),
        approval: approval.unwrap_or_default(),
    })
}

fn condition(object: &Object, connections: &[Connection]) -> Condition {
    let condition = Condition {
        operations: globs(object, "operations", false),
        repos: globs(object, "repos", true),
        refs: globs(object, "refs", false),
        paths: globs(object, "paths", false),
        connections: connection_names(object, connections),
        groups: object.strings("groups"),
        subjects: globs(object, "subjects", false),
    };
    let empty = condition.operations.is_empty()
        && condition.repos.is_empty()
        && condition.refs.is_empty()
        && condition.paths.is_empty()
        && condition.connections.is_empty()
        && condition.groups.is_empty()
        && condition.subjects.is_empty();
    if empty {
        object.fault("the rule names nothing; use `default` for what matches everything");
    }
    condition
}

fn except(node: &Node) -> Option<Except> {
    let object = node.object(&["groups", "subjects"])?;
    Some(Except {
        groups: object.strings("groups"),
        subjects: globs(&object, "subjects", false),
    })
}

/// Patterns under `key`. An empty list is a fault: it would read as "any".
fn globs(object: &Object, key: &str, lower: bool) -> Vec<Glob> {
    let Some(node) = object.get(key) else {
        return Vec::new();
    };
    let items = node.list();
    if items.is_empty() && node.value().is_array() {
        node.fault("an empty list would match everything; leave the key out to say so");
    }
    let mut globs = Vec::new();
    for item in items {
        let Some(text) = item.string() else { continue };
        match Glob::new(&if lower {
            text.to_ascii_lowercase()
        } else {
            text
        }) {
            Ok(glob) => globs.push(glob),
            Err(message) => item.fault(message),
        }
    }
    globs
}

fn connection_names(object: &Object, connections: &[Connection]) -> Vec<String> {
    let Some(node) = object.get("connections") else {
        return Vec::new();
    };
    let mut names = Vec::new();
    for item in node.list() {
        let Some(name) = item.string() else { continue };
        if !connections.iter().any(|c| c.name == name) {
            item.fault(format!("no connection is named `{name}`"));
        }
        names.push(name);
    }
    names
}

fn approval(node: &Node) -> Option<Approval> {
    let object = node.object(&["reviewers", "min", "hold", "ticket"])?;
    let reviewers = object
        .require("reviewers", "who may answer: groups, subjects")
        .and_then(|n| n.object(&["groups", "subjects"]))
        .map(|r| Reviewers {
            groups: r.strings("groups"),
            subjects: r.strings("subjects"),
        });
    if reviewers
        .as_ref()
        .is_some_and(|r| r.groups.is_empty() && r.subjects.is_empty())
    {
        object.fault("`reviewers` names nobody: the request could never be approved");
    }
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
        reviewers: reviewers?,
        min: object
            .get("min")
            .and_then(|n| n.integer(1..=10))
            .unwrap_or(default.min),
        hold_ms: hold_ms.unwrap_or(default.hold_ms),
        ticket_s: ticket_ms.map_or(default.ticket_s, |ms| ms / 1_000),
    })
}

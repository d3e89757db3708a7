//! Rules that compile and do not do what they seem to: they can never match, or they leave a way
//! around open. Each warning names its place, what is wrong, and what to write instead.

use countersign_core::policy::{Action, Glob, Policy, Rule};
use countersign_core::protocol::{Facets, Vocabulary, vocabulary};
use serde_json::Value;

use super::cover;

/// Longest hold that every known client sits out: the MCP SDK ends a request after 60 seconds.
const CLIENTS_WAIT_MS: u64 = 60_000;

/// Issuers whose tokens have no groups.
const WITHOUT_GROUPS: &[&str] = &[
    "https://token.actions.githubusercontent.com",
    "https://accounts.google.com",
];

/// A warning: the path in the document, and the words.
pub type Warning = (String, String);

/// What is misleading in a policy that compiles; `document` is what it was compiled from.
pub fn warnings(document: &Value, policy: &Policy) -> Vec<Warning> {
    let lint = Lint {
        document,
        policy,
        words: vocabulary(),
    };
    let mut warnings = Vec::new();
    for (index, rule) in policy.rules.iter().enumerate() {
        let mut note = |path: &str, words: String| {
            let path = match path {
                "" => format!("rules[{index}]"),
                path => format!("rules[{index}].{path}"),
            };
            warnings.push((path, words));
        };
        lint.names(index, rule, &mut note);
        lint.facets(rule, &mut note);
        lint.pushes(rule, &mut note);
        waits(rule, &mut note);
        lint.groups(rule, &mut note);
        lint.contradiction(index, &mut note);
        if !rule.condition.json.is_empty() && rule.condition.connections.is_empty() {
            note(
                "json",
                "every body is read whole for this rule, uploads included; name the `connections` \
                 that it is about"
                    .to_owned(),
            );
        }
        if let Some(other) = cover::covering(document, index) {
            note(
                "",
                format!(
                    "it never decides: the rule `{other}` denies all that it names; take one of \
                     them out, or say in `{other}` what it leaves out"
                ),
            );
        }
    }
    lint.defaults(&mut warnings);
    lint.connections(&mut warnings);
    warnings
}

struct Lint<'d> {
    document: &'d Value,
    policy: &'d Policy,
    words: Vocabulary,
}

type Note<'n> = dyn FnMut(&str, String) + 'n;

impl Lint<'_> {
    /// Names that no operation has.
    fn names(&self, index: usize, rule: &Rule, note: &mut Note<'_>) {
        let written = self.written(index, "operations");
        let globs = rule.condition.operations.included().iter();
        for glob in globs.chain(rule.condition.operations.excluded()) {
            if self.words.taken(glob).next().is_some() || self.words.is_open(glob) {
                continue;
            }
            let place = written
                .iter()
                .position(|text| text.trim_start_matches('!') == glob.as_str());
            let path = place.map_or("operations".to_owned(), |at| format!("operations[{at}]"));
            let remedy = match self.suggestion(glob.as_str()) {
                Some(word) => format!("did you mean `{word}`?"),
                None => "`countersign explain` shows the names of a request".to_owned(),
            };
            note(
                &path,
                format!("no operation has the name `{}`: {remedy}", glob.as_str()),
            );
        }
    }

    /// The known name that is nearest to what was written; for a pattern, the nearest area.
    fn suggestion(&self, pattern: &str) -> Option<String> {
        let area = |name: &str| name.split(['.', '/']).next().unwrap_or_default().to_owned();
        let (written, tail) = match pattern.split_once(".*") {
            Some((area, rest)) => (area.to_owned(), Some(format!(".*{rest}"))),
            None => (pattern.to_owned(), None),
        };
        let names = self.words.names().map(|name| match tail {
            Some(_) => area(name),
            None => name.to_owned(),
        });
        let near = names
            .map(|name| (strsim::damerau_levenshtein(&written, &name), name))
            .min_by_key(|(distance, _)| *distance)?;
        let limit = (written.chars().count() / 3).max(1);
        let (distance, name) = near;
        (distance <= limit).then(|| format!("{name}{}", tail.unwrap_or_default()))
    }

    /// Keys that none of the operations has.
    fn facets(&self, rule: &Rule, note: &mut Note<'_>) {
        let condition = &rule.condition;
        let operations = &condition.operations;
        if operations.included().is_empty()
            || operations.included().iter().any(|g| self.words.is_open(g))
        {
            return;
        }
        let mut taken: Vec<Facets> = Vec::new();
        for glob in operations.included() {
            taken.extend(self.words.taken(glob).map(|(_, facets)| facets));
        }
        if taken.is_empty() {
            return;
        }
        let any = |has: fn(&Facets) -> bool| taken.iter().any(has);
        let checks = [
            (
                "repos",
                !condition.repos.is_empty(),
                any(|f| f.repo),
                "is in a repository",
            ),
            (
                "owners",
                !condition.owners.is_empty(),
                any(|f| f.repo),
                "belongs to an organisation",
            ),
            (
                "refs",
                !condition.refs.is_empty(),
                any(|f| f.reference),
                "has a ref",
            ),
            (
                "paths",
                !condition.paths.is_empty(),
                any(|f| f.paths),
                "touches files",
            ),
        ];
        for (key, asked, told, what) in checks {
            if asked && !told {
                note(
                    key,
                    format!(
                        "it never matches: none of these operations {what}; take `{key}` out, or \
                         name other operations"
                    ),
                );
            }
        }
    }

    /// A rule about files that a push walks around.
    fn pushes(&self, rule: &Rule, note: &mut Note<'_>) {
        let restrains = |rule: &Rule| rule.action.restrains();
        let names = |rule: &Rule, name: &str| {
            let operations = &rule.condition.operations;
            operations.is_empty() || operations.matches(name)
        };
        let about_files = !rule.condition.paths.is_empty() && restrains(rule);
        if !about_files || !names(rule, "content.write") || names(rule, "ref.push") {
            return;
        }
        let covered = self.policy.rules.iter().any(|other| {
            restrains(other) && !other.condition.paths.is_empty() && names(other, "ref.push")
        });
        if !covered {
            note(
                "operations",
                "the same files get in by `git push`: name `ref.push` as well. Its files are not \
                 told, and `unknown_paths` says what happens then (require_approval unless said \
                 otherwise)"
                    .to_owned(),
            );
        }
    }

    fn groups(&self, rule: &Rule, note: &mut Note<'_>) {
        let asked = !rule.condition.groups.is_empty();
        let excepted = rule.except.iter().any(|except| !except.groups.is_empty());
        let none = self.policy.providers.iter().all(|provider| {
            let config = &provider.config;
            config.claims.groups == "groups" && WITHOUT_GROUPS.contains(&config.issuer.as_str())
        });
        if none && (asked || excepted) {
            note(
                if asked { "groups" } else { "except" },
                "no provider's tokens have groups: ask for `claims` instead, or name the claim that \
                 holds them in the provider's `claims.groups`"
                    .to_owned(),
            );
        }
    }

    /// Lists that take nothing: whatever they name they exclude.
    fn contradiction(&self, index: usize, note: &mut Note<'_>) {
        for key in [
            "operations",
            "repos",
            "owners",
            "refs",
            "paths",
            "hosts",
            "methods",
            "groups",
            "subjects",
        ] {
            let written = self.written(index, key);
            let excluded: Vec<&str> = written.iter().filter_map(|p| p.strip_prefix('!')).collect();
            let mut included = written.iter().filter(|p| !p.starts_with('!')).peekable();
            let gone = |pattern: &&str| {
                let plain = Glob::new(pattern).is_ok_and(|glob| glob.is_literal());
                excluded.iter().any(|out| {
                    out == pattern || plain && Glob::new(out).is_ok_and(|g| g.matches(pattern))
                })
            };
            if included.peek().is_some() && included.all(gone) {
                note(
                    key,
                    "it never matches: all that the list names it also excludes".to_owned(),
                );
            }
        }
    }

    fn defaults(&self, warnings: &mut Vec<Warning>) {
        let allows = |rule: &Rule| rule.action == Action::Allow;
        let rules = &self.policy.rules;
        let open = self.policy.default == Action::Allow;
        if open && !rules.is_empty() && rules.iter().all(allows) {
            warnings.push((
                "default".to_owned(),
                "everything is allowed: the default allows, and no rule denies or asks. Did you mean \
                 `default: deny`?"
                    .to_owned(),
            ));
        }
    }

    /// Connections that an earlier one takes everything from.
    fn connections(&self, warnings: &mut Vec<Warning>) {
        let connections = &self.policy.connections;
        for (index, connection) in connections.iter().enumerate() {
            let Some(earlier) = connections.get(..index) else {
                continue;
            };
            let takes = |host: &Glob, prefix: Option<&String>| {
                let text = host.as_str().replace('*', "x");
                earlier.iter().find(|other| {
                    let hosts = other.hosts.iter().any(|g| g == host || g.matches(&text));
                    let prefixes = match prefix {
                        Some(prefix) => other.path_prefixes.contains(prefix),
                        None => other.path_prefixes.is_empty(),
                    };
                    hosts && prefixes
                })
            };
            let prefixes: Vec<Option<&String>> = match connection.path_prefixes.as_slice() {
                [] => vec![None],
                prefixes => prefixes.iter().map(Some).collect(),
            };
            let pairs = connection
                .hosts
                .iter()
                .flat_map(|host| prefixes.iter().map(move |prefix| (host, *prefix)));
            let taken: Vec<_> = pairs.map(|(host, prefix)| takes(host, prefix)).collect();
            if let Some(Some(other)) = taken.first()
                && taken.iter().all(Option::is_some)
            {
                warnings.push((
                    format!("connections[{index}]"),
                    format!(
                        "no request reaches it: `{}` comes first and has its hosts and paths; give it \
                         `path_prefixes`, or put it first",
                        other.name
                    ),
                ));
            }
        }
    }

    fn rule(&self, index: usize) -> &Value {
        self.document
            .get("rules")
            .and_then(|rules| rules.get(index))
            .unwrap_or(&Value::Null)
    }

    fn written(&self, index: usize, key: &str) -> Vec<&str> {
        let list = self.rule(index).get(key).and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }
}

fn waits(rule: &Rule, note: &mut Note<'_>) {
    if rule.approval.hold_ms.is_some_and(|ms| ms > CLIENTS_WAIT_MS) {
        note(
            "approval.hold",
            "clients give up before that (the MCP SDK after 60s; PyGithub sends a write again \
             after 15s): hold for less, and let `ticket` take the answers that come later"
                .to_owned(),
        );
    }
}

#[cfg(test)]
#[path = "lint_tests.rs"]
mod tests;

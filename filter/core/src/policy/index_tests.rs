//! The index leaves out only rules that do not apply.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{Action, Body, Matched, Policy, Request};
use crate::config::testing::document;
use crate::head::RequestHead;
use crate::identity::Identity;
use crate::operation::{Operation, Target};

const NAMES: [&str; 5] = [
    "repo.read",
    "repo.delete",
    "ref.push",
    "ref.update",
    "github:repos/delete",
];
const PATTERNS: [&str; 8] = [
    "repo.*",
    "ref.*",
    "*.read",
    "repo.delete",
    "github:repos/*",
    "**",
    "re*e",
    "r?f.push",
];

fn globs() -> impl Strategy<Value = Value> {
    let glob = (prop::sample::select(PATTERNS.to_vec()), any::<bool>());
    prop::collection::vec(glob, 0..3).prop_map(|globs| {
        let written = |(glob, not): (&str, bool)| format!("{}{glob}", if not { "!" } else { "" });
        globs.into_iter().map(written).collect()
    })
}

fn rule() -> impl Strategy<Value = Value> {
    let action = prop::sample::select(vec!["allow", "deny", "require_approval"]);
    let more = prop::sample::select(vec![
        json!({}),
        json!({"groups": ["agents"]}),
        json!({"groups": ["!agents"]}),
        json!({"methods": ["GET"]}),
        json!({"subjects": ["nobody"]}),
        json!({"repos": ["acme/*"]}),
        json!({"repos": ["acme/*"], "except": {"groups": ["agents"]}}),
    ]);
    (globs(), action, more).prop_map(|(operations, action, mut rule)| {
        if operations.as_array().is_some_and(|globs| !globs.is_empty()) {
            rule["operations"] = operations;
        } else {
            rule["connections"] = json!(["github-api"]);
        }
        rule["action"] = json!(action);
        rule
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    let target = prop::sample::select(vec![
        Target::None,
        Target::Any,
        Target::Known("acme/web".to_owned()),
        Target::Known("evil/web".to_owned()),
    ]);
    let name = || prop::sample::select(NAMES.to_vec());
    (name(), prop::collection::vec(name(), 0..2), target).prop_map(|(name, aliases, repo)| {
        Operation {
            name: name.to_owned(),
            aliases: aliases.into_iter().map(str::to_owned).collect(),
            repo,
            ..Operation::default()
        }
    })
}

/// The verdict as the documentation tells it, with every rule compared with every operation.
fn by_hand(policy: &Policy, request: &Request, operation: &Operation) -> Action {
    let (mut plain, mut maybe) = (None, None);
    for rule in &policy.rules {
        match rule.compare(request, operation) {
            Matched::No(_) => {}
            Matched::Yes => plain = plain.max(Some(rule.action)),
            Matched::Unknown(unknown) => maybe = maybe.max(Some(rule.answer_to(unknown))),
        }
    }
    plain
        .unwrap_or(policy.default)
        .max(maybe.unwrap_or(Action::Allow))
}

proptest! {
    #[test]
    fn an_indexed_verdict_is_that_of_all_rules(
        rules in prop::collection::vec(rule(), 0..8),
        operations in prop::collection::vec(operation(), 1..6),
    ) {
        let mut document = document();
        let named = |(at, mut rule): (usize, Value)| {
            rule["name"] = json!(format!("rule-{at}"));
            rule
        };
        document["rules"] = rules.into_iter().enumerate().map(named).collect();
        let policy = crate::config::compile(&document, &|_| Some("secret-value".to_owned())).unwrap();
        let who = Identity {
            provider: "corporate".into(),
            subject: "ci-runner".into(),
            email: None,
            groups: vec!["agents".into()],
            session: None,
            token_id: None,
            expires: 0,
            claims: Default::default(),
        };
        let head = RequestHead { method: "POST".into(), authority: "api.github.com".into(), ..Default::default() };
        let connection = policy.connections.iter().find(|c| c.default.is_none()).unwrap();
        let request = Request::new(&who, connection, &head, Body::Whole(b""), 0);
        let strictest = operations.iter().map(|o| by_hand(&policy, &request, o)).max();
        prop_assert_eq!(Some(policy.judge(&request, &operations).action), strictest);
    }
}

//! Verdicts over operations, with policies written as documents.

use serde_json::{Value, json};

use super::super::{Action, Body, Policy, Request};
use crate::config::testing::document;
use crate::head::RequestHead;
use crate::identity::Identity;
use crate::operation::{Operation, Paths, Target};

fn policy(rules: Value) -> Policy {
    let mut document = document();
    document["rules"] = rules;
    crate::config::compile(&document, &|_| Some("secret-value".to_owned())).unwrap()
}

fn caller(groups: &[&str]) -> Identity {
    Identity {
        provider: "corporate".into(),
        subject: "ci-runner".into(),
        email: None,
        groups: groups.iter().map(|g| (*g).to_owned()).collect(),
        session: None,
        token_id: None,
        expires: 0,
        claims: Default::default(),
    }
}

fn push(reference: &str) -> Operation {
    Operation {
        name: "ref.push".into(),
        aliases: vec!["git:receive-pack".into()],
        repo: Target::Known("acme/web".into()),
        reference: Target::Known(reference.into()),
        paths: Paths::Unknown,
        write: true,
        ..Default::default()
    }
}

/// Saturday, 21 November 2026, 12:00 UTC.
const NOON: u64 = 1_795_262_400;

fn action(policy: &Policy, who: &Identity, operations: &[Operation]) -> (Action, Option<String>) {
    let head = RequestHead {
        method: "POST".into(),
        authority: "api.github.com".into(),
        ..Default::default()
    };
    let verdict = policy.judge(
        &Request::new(who, &policy.connections[0], &head, Body::Whole(b""), NOON),
        operations,
    );
    (verdict.action, verdict.rule.map(|r| r.name.clone()))
}

#[test]
fn the_strictest_rule_wins_whatever_the_order() {
    let deny = json!({"name": "deny", "operations": ["ref.*"], "action": "deny"});
    let allow = json!({"name": "allow", "operations": ["**"], "action": "allow"});
    let ask = json!({"name": "ask", "operations": ["ref.push"], "action": "require_approval",
        "approval": {"reviewers": {"groups": ["leads"]}}});
    for rules in [
        json!([deny, allow, ask]),
        json!([ask, allow, deny]),
        json!([allow, ask, deny]),
    ] {
        let policy = policy(rules);
        assert_eq!(
            action(&policy, &caller(&[]), &[push("refs/heads/x")]),
            (Action::Deny, Some("deny".into()))
        );
    }
}

#[test]
fn one_bad_ref_among_many_decides() {
    let policy = policy(json!([
        {"name": "main", "operations": ["ref.push"], "refs": ["refs/heads/main"], "action": "deny"}
    ]));
    assert_eq!(
        action(
            &policy,
            &caller(&[]),
            &[push("refs/heads/a"), push("refs/heads/b")]
        )
        .0,
        Action::Allow
    );
    let three = [
        push("refs/heads/a"),
        push("refs/heads/main"),
        push("refs/heads/b"),
    ];
    assert_eq!(
        action(&policy, &caller(&[]), &three),
        (Action::Deny, Some("main".into()))
    );
}

#[test]
fn an_alias_matches_like_the_name() {
    let policy = policy(json!([{"name": "git", "operations": ["git:*"], "action": "deny"}]));
    assert_eq!(
        action(&policy, &caller(&[]), &[push("refs/heads/a")]).0,
        Action::Deny
    );
}

#[test]
fn an_exception_frees_its_group_only() {
    let policy = policy(
        json!([{"name": "main", "operations": ["ref.push"], "action": "deny",
        "except": {"groups": ["release-managers"]}}]),
    );
    assert_eq!(
        action(
            &policy,
            &caller(&["release-managers"]),
            &[push("refs/heads/main")]
        )
        .0,
        Action::Allow
    );
    assert_eq!(
        action(
            &policy,
            &caller(&["release-manager"]),
            &[push("refs/heads/main")]
        )
        .0,
        Action::Deny
    );
}

#[test]
fn unknown_paths_are_an_outcome_of_their_own() {
    let rule = |extra: Value| {
        let mut rule = json!({"name": "ci", "operations": ["ref.push"], "paths": [".github/workflows/**"], "action": "deny"});
        rule.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        policy(json!([rule]))
    };
    let push = [push("refs/heads/a")];
    assert_eq!(
        action(&rule(json!({})), &caller(&[]), &push).0,
        Action::RequireApproval
    );
    assert_eq!(
        action(
            &rule(json!({"unknown_paths": "allow"})),
            &caller(&[]),
            &push
        )
        .0,
        Action::Allow
    );
    assert_eq!(
        action(&rule(json!({"unknown_paths": "deny"})), &caller(&[]), &push).0,
        Action::Deny
    );
}

#[test]
fn a_rule_that_does_not_mind_unknown_paths_allows_nothing() {
    let mut document = document();
    document["default"] = json!("deny");
    document["rules"] = json!([{"name": "ci", "operations": ["ref.push"], "paths": [".github/**"],
        "unknown_paths": "allow", "action": "deny"}]);
    let closed = crate::config::compile(&document, &|_| Some("secret-value".to_owned())).unwrap();
    let push = [push("refs/heads/a")];
    assert_eq!(action(&closed, &caller(&[]), &push), (Action::Deny, None));
}

#[test]
fn a_rule_that_allows_needs_every_path_and_a_rule_that_denies_needs_one() {
    let mut write = Operation {
        name: "content.write".into(),
        write: true,
        ..Default::default()
    };
    write.paths = Paths::Known(vec!["docs/a.md".into(), ".github/workflows/ci.yml".into()]);
    let mut document = document();
    document["default"] = json!("deny");
    document["rules"] = json!([{"name": "docs", "paths": ["docs/**"], "action": "allow"}]);
    let closed = crate::config::compile(&document, &|_| Some("secret-value".to_owned())).unwrap();
    assert_eq!(
        action(&closed, &caller(&[]), &[write.clone()]).0,
        Action::Deny
    );
    write.paths = Paths::Known(vec!["docs/a.md".into(), "docs/b/c.md".into()]);
    assert_eq!(
        action(&closed, &caller(&[]), &[write.clone()]).0,
        Action::Allow
    );
    write.paths = Paths::Unknown;
    assert_eq!(
        action(&closed, &caller(&[]), &[write.clone()]).0,
        Action::Deny
    );

    let open = policy(json!([{"name": "ci", "paths": [".github/**"], "action": "deny"}]));
    write.paths = Paths::Known(vec!["docs/a.md".into(), ".github/CODEOWNERS".into()]);
    assert_eq!(
        action(&open, &caller(&[]), &[write.clone()]).0,
        Action::Deny
    );
}

#[test]
fn an_opaque_target_is_caught_by_denials_and_helps_no_allow() {
    let mut update = Operation {
        name: "ref.update".into(),
        write: true,
        ..Default::default()
    };
    update.repo = Target::Any;
    let deny = policy(json!([{"name": "main", "repos": ["acme/web"], "action": "deny"}]));
    assert_eq!(
        action(&deny, &caller(&[]), &[update.clone()]).0,
        Action::Deny
    );
    let mut document = document();
    document["default"] = json!("deny");
    document["rules"] = json!([{"name": "ours", "repos": ["acme/*"], "action": "allow"}]);
    let allow = crate::config::compile(&document, &|_| Some("secret-value".to_owned())).unwrap();
    assert_eq!(
        action(&allow, &caller(&[]), &[update.clone()]).0,
        Action::Deny
    );
    update.repo = Target::Known("acme/web".into());
    assert_eq!(action(&allow, &caller(&[]), &[update]).0, Action::Allow);
}

#[test]
fn an_unknown_write_has_an_answer_of_its_own() {
    let unknown = Operation {
        name: "github.unknown_write".into(),
        write: true,
        ..Default::default()
    };
    let open = policy(json!([]));
    let (head, who) = (RequestHead::default(), caller(&[]));
    let request = Request::new(&who, &open.connections[0], &head, Body::Whole(b""), NOON);
    let verdict = open.judge(&request, std::slice::from_ref(&unknown));
    assert_eq!(
        (verdict.action, verdict.unknown_write),
        (Action::Deny, true)
    );
    // A rule can name it.
    let named =
        policy(json!([{"name": "any", "operations": ["github.unknown_write"], "action": "allow"}]));
    assert_eq!(action(&named, &caller(&[]), &[unknown]).0, Action::Allow);
}

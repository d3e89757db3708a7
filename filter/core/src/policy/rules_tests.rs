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

#[test]
fn all_rules_that_ask_have_to_be_met() {
    let of = |group: &str, min: u64| json!({"reviewers": {"groups": [group]}, "min": min});
    let policy = policy(json!([
        {"name": "main", "operations": ["ref.push"], "refs": ["refs/heads/main"], "action": "require_approval",
         "approval": {"reviewers": {"groups": ["leads"]}, "min": 2, "hold": "45s", "ticket": "15m"}},
        {"name": "web", "operations": ["ref.*"], "repos": ["acme/web"], "action": "require_approval",
         "approval": {"any_of": [of("web", 1), of("security", 1)], "hold": "10s", "ticket": "1h"}},
        {"name": "ci", "operations": ["ref.push"], "paths": [".github/**"], "action": "deny"},
        {"name": "tags", "operations": ["ref.push"], "refs": ["refs/tags/*"], "action": "require_approval",
         "approval": {"all_of": [of("leads", 1), of("security", 1)]}},
    ]));
    let asked = |operations: &[Operation]| {
        let head = RequestHead {
            method: "POST".into(),
            authority: "api.github.com".into(),
            ..Default::default()
        };
        let who = caller(&[]);
        let request = Request::new(&who, &policy.connections[0], &head, Body::Whole(b""), NOON);
        policy.approval(&request, operations)
    };
    type Shape = Vec<(Option<String>, Vec<(String, u64)>)>;
    let shape = |approval: &super::Approval| -> Shape {
        let consent = |c: &super::Consent| (c.reviewers.groups.join(","), c.min);
        approval
            .demands
            .iter()
            .map(|d| (d.rule.clone(), d.any_of.iter().map(consent).collect()))
            .collect()
    };
    let named = |rule: &str, any_of: &[(&str, u64)]| {
        (
            Some(rule.to_owned()),
            any_of
                .iter()
                .map(|(g, n)| ((*g).to_owned(), *n))
                .collect::<Vec<_>>(),
        )
    };
    let both = asked(&[push("refs/heads/main")]);
    // `ci` asks too, because the files of a push are not told, but names nobody.
    assert_eq!(
        shape(&both),
        [
            named("main", &[("leads", 2)]),
            named("web", &[("web", 1), ("security", 1)])
        ]
    );
    assert_eq!((both.hold_ms, both.ticket_s), (Some(10_000), 900));
    let several = asked(&[push("refs/heads/main"), push("refs/tags/v1")]);
    assert_eq!(several.demands.len(), 4, "each rule once: {several:?}");
    let elsewhere = Operation {
        repo: Target::Known("acme/api".into()),
        ..push("refs/heads/x")
    };
    assert_eq!(
        shape(&asked(&[elsewhere])),
        [(None, vec![])],
        "nobody is named, so nobody can approve"
    );
}

#[test]
fn who_may_answer_is_said_in_one_way() {
    let faults = |approval: Value| -> Vec<String> {
        let mut document = document();
        document["rules"] = json!([{"name": "r", "operations": ["x.y"], "action": "require_approval", "approval": approval}]);
        match crate::config::compile(&document, &|_| Some("secret-value".to_owned())) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.into_iter().map(|e| e.path).collect(),
        }
    };
    let leads = json!({"groups": ["leads"]});
    assert_eq!(faults(json!({"reviewers": leads, "min": 2})), [""; 0]);
    assert_eq!(
        faults(json!({"reviewers": {"claims": {"department": "sec*"}}})),
        [""; 0]
    );
    for (approval, path) in [
        (json!({"hold": "1s"}), "rules[0].approval"),
        (
            json!({"reviewers": leads, "all_of": [{"reviewers": leads}]}),
            "rules[0].approval",
        ),
        (
            json!({"any_of": [{"reviewers": leads}], "min": 2}),
            "rules[0].approval.min",
        ),
        (json!({"all_of": []}), "rules[0].approval.all_of"),
        (
            json!({"all_of": [{"reviewers": {}}]}),
            "rules[0].approval.all_of[0]",
        ),
        (
            json!({"any_of": [{"min": 1}]}),
            "rules[0].approval.any_of[0]",
        ),
        (
            json!({"reviewers": {"claims": {}}}),
            "rules[0].approval.reviewers.claims",
        ),
    ] {
        let found = faults(approval.clone());
        assert!(found.iter().any(|p| p == path), "{approval}: {found:?}");
    }
}

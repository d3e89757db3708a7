//! Every kind of condition: one row for what it takes, what it leaves, and what it cannot compare.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Action, Body, Matched, Policy, Request, Unknown};
use crate::config::testing::document;
use crate::head::{Headers, RequestHead};
use crate::identity::Identity;
use crate::operation::{Operation, Paths, Target};

/// Saturday, 21 November 2026, 12:00 UTC.
const NOON: u64 = 1_795_262_400;

/// Everything that rules look at.
struct Asked {
    who: Identity,
    head: RequestHead,
    body: &'static [u8],
    read: bool,
    operation: Operation,
}

/// A member of `devs` writes `docs/a.md` on a branch of acme/web.
fn asked() -> Asked {
    Asked {
        who: Identity {
            provider: "corporate".into(),
            subject: "ada".into(),
            email: None,
            groups: vec!["devs".into(), "contractors".into()],
            session: None,
            token_id: None,
            expires: 0,
            claims: json!({"repository": "acme/web", "roles": ["reader", "writer"], "level": 3,
                "realm": {"roles": ["dev"]}, "nothing": null})
            .as_object()
            .unwrap()
            .clone(),
        },
        head: RequestHead {
            method: "PUT".into(),
            authority: "API.github.com:443".into(),
            headers: Headers::new(vec![("content-type".into(), b"application/json".to_vec())]),
            ..Default::default()
        },
        body: br#"{"branch":"try","count":2}"#,
        read: true,
        operation: Operation {
            name: "content.write".into(),
            aliases: vec!["github:repos/create-or-update-file-contents".into()],
            repo: Target::Known("acme/web".into()),
            reference: Target::Known("refs/heads/try".into()),
            paths: Paths::Known(vec!["docs/a.md".into(), "src/lib.rs".into()]),
            attributes: [("change".to_owned(), "write".to_owned())].into(),
            write: true,
            ..Default::default()
        },
    }
}

fn compile(rules: Value, default: &str) -> Policy {
    let mut document = document();
    document["rules"] = rules;
    document["default"] = json!(default);
    crate::config::compile(&document, &|_| Some("secret-value".to_owned()))
        .unwrap_or_else(|faults| panic!("{faults:?}\n{document}"))
}

/// How a rule with these keys compares.
fn compare(action: &str, keys: &Value, asked: &Asked) -> Matched {
    let mut rule = json!({"name": "r", "action": action});
    if action == "require_approval" {
        rule["approval"] = json!({"reviewers": {"groups": ["leads"]}});
    }
    let members = rule.as_object_mut().unwrap();
    members.extend(keys.as_object().unwrap().clone());
    let policy = compile(json!([rule]), "allow");
    let body = if asked.read {
        Body::Whole(asked.body)
    } else {
        Body::Unread
    };
    let request = Request::new(&asked.who, &policy.connections[0], &asked.head, body, NOON);
    policy.rules[0].compare(&request, &asked.operation)
}

const TARGET: Matched = Matched::Unknown(Unknown {
    target: true,
    paths: false,
    body: false,
});
const PATHS: Matched = Matched::Unknown(Unknown {
    target: false,
    paths: true,
    body: false,
});
const BODY: Matched = Matched::Unknown(Unknown {
    target: false,
    paths: false,
    body: true,
});

#[test]
#[rustfmt::skip]
fn each_condition_takes_what_it_names_and_nothing_else() {
    let asked = asked();
    for (keys, failing) in [
        (json!({"operations": ["content.write"]}), ""),
        (json!({"operations": ["content.*"]}), ""),
        (json!({"operations": ["github:repos/*"]}), ""),
        (json!({"operations": ["ref.*"]}), "operations"),
        (json!({"operations": ["!ref.*"]}), ""),
        (
            json!({"operations": ["content.*", "!github:repos/create-or-update-file-contents"]}),
            "operations",
        ),
        (json!({"connections": ["github-api"]}), ""),
        (json!({"methods": ["put"]}), ""),
        (json!({"methods": ["GET", "HEAD"]}), "methods"),
        (json!({"methods": ["!GET", "!HEAD"]}), ""),
        (json!({"hosts": ["api.GitHub.com"]}), ""),
        (json!({"hosts": ["*.example.com"]}), "hosts"),
        (json!({"hosts": ["!api.github.com"]}), "hosts"),
        (json!({"groups": ["devs"]}), ""),
        (json!({"groups": ["dev*"]}), ""),
        (json!({"groups": ["ops"]}), "groups"),
        (json!({"groups": ["devs", "!contractors"]}), "groups"),
        (json!({"groups": ["!ops"]}), ""),
        (json!({"subjects": ["ada"]}), ""),
        (json!({"subjects": ["!ada"]}), "subjects"),
        (json!({"claims": {"repository": "acme/*"}}), ""),
        (json!({"claims": {"repository": "evil/*"}}), "claims"),
        (json!({"claims": {"roles": ["writer"]}}), ""),
        (json!({"claims": {"roles": "!writer"}}), "claims"),
        (json!({"claims": {"realm.roles": "dev"}}), ""),
        (json!({"claims": {"level": "3"}}), ""),
        (json!({"claims": {"repository": "acme/*", "roles": "admin"}}), "claims"),
        (json!({"time": {"days": ["sat", "sun"]}}), ""),
        (json!({"time": {"days": ["mon"], "from": "08:00", "to": "18:00"}}), "time"),
        (json!({"time": {"from": "13:00", "to": "14:00", "zone": "+01:00"}}), ""),
        (json!({"time": {"from": "12:01", "to": "12:00"}}), "time"),
        (json!({"repos": ["ACME/*"]}), ""),
        (json!({"repos": ["!acme/secret"]}), ""),
        (json!({"repos": ["!acme/*"]}), "repos"),
        (json!({"owners": ["Acme"]}), ""),
        (json!({"owners": ["!acme"]}), "owners"),
        (json!({"refs": ["refs/heads/*"]}), ""),
        (json!({"refs": ["refs/heads/*", "!refs/heads/try"]}), "refs"),
        (json!({"attributes": {"change": "write"}}), ""),
        (json!({"attributes": {"change": ["delete", "move"]}}), "attributes"),
        (json!({"attributes": {"model": "!gpt-*"}}), "attributes"),
        (json!({"json": {"/branch": "try"}}), ""),
        (json!({"json": {"/branch": "try", "/count": 3}}), "json"),
        (json!({"json": {"/count": [1, 2]}}), ""),
        (json!({"json": {"/missing": null}}), ""),
    ] {
        let expected = match failing {
            "" => Matched::Yes,
            key => Matched::No(key),
        };
        for action in ["deny", "require_approval", "allow"] {
            assert_eq!(compare(action, &keys, &asked), expected, "{action} {keys}");
        }
    }
}

#[test]
#[rustfmt::skip]
fn a_rule_that_restrains_needs_one_file_and_one_that_allows_needs_all() {
    let asked = asked();
    for (patterns, deny, allow) in [
        (json!(["docs/**"]), Matched::Yes, Matched::No("paths")),
        (json!(["docs/**", "src/**"]), Matched::Yes, Matched::Yes),
        (json!(["!docs/**"]), Matched::Yes, Matched::No("paths")),
        (json!(["!secret/**"]), Matched::Yes, Matched::Yes),
        (json!(["test/**"]), Matched::No("paths"), Matched::No("paths")),
    ] {
        let keys = json!({"paths": patterns});
        assert_eq!(compare("deny", &keys, &asked), deny, "{patterns}");
        assert_eq!(compare("allow", &keys, &asked), allow, "{patterns}");
    }
}

#[test]
fn a_claim_that_is_not_there_is_not_what_an_exclusion_names() {
    let asked = asked();
    for absent in ["environment", "nothing", "realm"] {
        let keys = json!({"claims": {absent: "!production"}});
        assert_eq!(compare("deny", &keys, &asked), Matched::Yes, "{absent}");
        assert_eq!(
            compare("allow", &keys, &asked),
            Matched::No("claims"),
            "{absent}"
        );
        let keys = json!({"claims": {absent: "production"}});
        assert_eq!(
            compare("deny", &keys, &asked),
            Matched::No("claims"),
            "{absent}"
        );
    }
}

#[test]
#[rustfmt::skip]
fn what_is_not_told_is_an_outcome_of_its_own() {
    let mut opaque = asked();
    opaque.operation.repo = Target::Any;
    opaque.operation.reference = Target::Any;
    opaque.operation.paths = Paths::Unknown;
    opaque.body = b"not json";
    for (keys, outcome) in [
        (json!({"repos": ["acme/*"]}), TARGET),
        (json!({"repos": ["!acme/*"]}), TARGET),
        (json!({"owners": ["!acme"]}), TARGET),
        (json!({"refs": ["refs/heads/main"]}), TARGET),
        (json!({"paths": [".github/**"]}), PATHS),
        (json!({"json": {"/branch": "main"}}), BODY),
        (json!({"operations": ["content.*"], "except": {"repos": ["acme/*"]}}), TARGET),
        (json!({"operations": ["content.*"], "except": {"paths": ["docs/**"]}}), PATHS),
        (json!({"repos": ["acme/*"], "operations": ["ref.*"]}), Matched::No("operations")),
    ] {
        for action in ["deny", "require_approval", "allow"] {
            assert_eq!(compare(action, &keys, &opaque), outcome, "{action} {keys}");
        }
    }
    opaque.operation.repo = Target::None;
    assert_eq!(
        compare("deny", &json!({"repos": ["!acme/*"]}), &opaque),
        Matched::No("repos"),
        "what has no repository is in none"
    );
}

#[test]
fn a_body_that_cannot_be_read_as_json_is_not_compared() {
    let keys = json!({"json": {"/branch": "main"}});
    let with = |body: &'static [u8], read: bool, content_type: &str| {
        let mut asked = asked();
        asked.body = body;
        asked.read = read;
        asked.head.headers = Headers::new(vec![(
            "content-type".into(),
            content_type.as_bytes().to_vec(),
        )]);
        compare("deny", &keys, &asked)
    };
    const JSON: &str = "application/json";
    assert_eq!(with(br#"{"branch":"main"}"#, true, JSON), Matched::Yes);
    assert_eq!(
        with(br#"{"branch":"main"}"#, true, "text/plain"),
        Matched::Yes
    );
    assert_eq!(
        with(b"", true, JSON),
        Matched::No("json"),
        "no body, no field"
    );
    for (body, read, content_type) in [
        (&b"{\"branch\":\"main\""[..], true, JSON),
        (b"\xef\xbb\xbf{\"branch\":\"main\"}", true, JSON),
        (br#"{"branch":"x","branch":"main"}"#, true, JSON),
        (br#"{"Branch":"main"}"#, true, JSON),
        (b"branch=main", true, "application/x-www-form-urlencoded"),
        (
            br#"{"branch":"main"}"#,
            true,
            "application/json; charset=utf-16",
        ),
        (b"--x\r\n", true, "multipart/form-data; boundary=x"),
        (b"", false, JSON),
    ] {
        assert_eq!(
            with(body, read, content_type),
            BODY,
            "{:?}",
            String::from_utf8_lossy(body)
        );
    }
}

#[test]
fn an_exception_frees_whom_it_names_where_it_names() {
    let asked = asked();
    let rule = |except: Value| {
        let keys = json!({"operations": ["content.write"], "except": except});
        compare("deny", &keys, &asked)
    };
    for freed in [
        json!({"groups": ["devs"]}),
        json!({"groups": ["ops"], "subjects": ["ada"]}),
        json!({"claims": {"repository": "acme/web", "roles": "writer"}}),
        json!({"repos": ["acme/web"]}),
        json!({"owners": ["acme"], "refs": ["refs/heads/*"]}),
        json!({"paths": ["docs/**", "src/**"]}),
        json!({"groups": ["devs"], "repos": ["acme/*"]}),
        json!([{"groups": ["ops"]}, {"repos": ["acme/*"]}]),
    ] {
        assert_eq!(rule(freed.clone()), Matched::No("except"), "{freed}");
    }
    for kept in [
        json!({"groups": ["ops"]}),
        json!({"groups": ["devs", "!contractors"]}),
        json!({"claims": {"repository": "acme/web", "roles": "admin"}}),
        json!({"claims": {"environment": "!production"}}),
        json!({"repos": ["acme/other"]}),
        json!({"owners": ["acme"], "refs": ["refs/heads/main"]}),
        json!({"paths": ["docs/**"]}),
        json!({"groups": ["devs"], "repos": ["acme/other"]}),
        json!({"groups": ["ops"], "repos": ["acme/web"]}),
        json!([{"groups": ["ops"]}, {"repos": ["evil/*"]}]),
    ] {
        assert_eq!(rule(kept.clone()), Matched::Yes, "{kept}");
    }
    // What an allowance leaves out, it leaves out for one file too.
    let keys = json!({"operations": ["content.write"], "except": {"paths": ["docs/**"]}});
    assert_eq!(compare("allow", &keys, &asked), Matched::No("except"));
}

/// The answer of a policy with one rule, over what cannot be compared.
fn answer(default: &str, rule: Value, operation: &Operation) -> Action {
    let policy = compile(json!([rule]), default);
    let asked = asked();
    let request = Request::new(
        &asked.who,
        &policy.connections[0],
        &asked.head,
        Body::Unread,
        NOON,
    );
    policy
        .judge(&request, std::slice::from_ref(operation))
        .action
}

#[test]
#[rustfmt::skip]
fn each_unknown_has_its_own_answer_and_none_of_them_allows() {
    let mut opaque = asked().operation;
    opaque.repo = Target::Any;
    opaque.paths = Paths::Unknown;
    let ask = json!({"reviewers": {"groups": ["leads"]}});
    for (rule, action) in [
        (json!({"repos": ["acme/*"]}), Action::Deny),
        (json!({"repos": ["acme/*"], "unknown_target": "require_approval", "approval": ask}), Action::RequireApproval),
        (json!({"repos": ["acme/*"], "unknown_target": "allow"}), Action::Allow),
        (json!({"paths": ["x/**"]}), Action::RequireApproval),
        (json!({"paths": ["x/**"], "unknown_paths": "deny"}), Action::Deny),
        (json!({"json": {"/a": 1}}), Action::Deny),
        (json!({"json": {"/a": 1}, "unknown_body": "require_approval"}), Action::RequireApproval),
        // All of it would have to be so.
        (json!({"repos": ["acme/*"], "paths": ["x/**"]}), Action::RequireApproval),
        (json!({"repos": ["acme/*"], "json": {"/a": 1}, "unknown_body": "allow"}), Action::Allow),
    ] {
        let mut whole = json!({"name": "r", "action": "deny"});
        whole.as_object_mut().unwrap().extend(rule.as_object().unwrap().clone());
        assert_eq!(answer("allow", whole.clone(), &opaque), action, "{rule}");
        assert_eq!(
            answer("deny", whole, &opaque),
            Action::Deny,
            "what only might apply takes nobody past the default: {rule}"
        );
        let mut allowing = rule.clone();
        let members = allowing.as_object_mut().unwrap();
        members.retain(|key, _| !key.starts_with("unknown") && key != "approval");
        members.extend(json!({"name": "r", "action": "allow"}).as_object().unwrap().clone());
        assert_eq!(answer("deny", allowing, &opaque), Action::Deny, "{rule}");
    }
}

#[test]
#[rustfmt::skip]
fn faults_of_conditions_name_their_place() {
    for (keys, path) in [
        (json!({"owners": []}), "rules[0].owners"),
        (json!({"methods": ["{GET}"]}), "rules[0].methods[0]"),
        (json!({"claims": {}}), "rules[0].claims"),
        (json!({"claims": {"a": [1]}}), "rules[0].claims.a[0]"),
        (json!({"attributes": {"a": {}}}), "rules[0].attributes.a"),
        (json!({"time": {"days": ["monday"]}}), "rules[0].time.days[0]"),
        (json!({"time": {"days": []}}), "rules[0].time.days"),
        (json!({"time": {"from": "8:00"}}), "rules[0].time.from"),
        (json!({"time": {"from": "08:00", "to": "08:00"}}), "rules[0].time"),
        (json!({"time": {"zone": "CET"}}), "rules[0].time.zone"),
        (json!({"json": {"branch": "x"}}), "rules[0].json.branch"),
        (json!({"json": {"/a": {"regex": "("}}}), "rules[0].json./a.regex"),
        (json!({"json": {"/a": {"glob": "x", "regex": "y"}}}), "rules[0].json./a"),
        (json!({"json": {"/a": []}}), "rules[0].json./a"),
        (json!({"json": {}}), "rules[0].json"),
        (json!({"operations": ["a.b"], "except": {}}), "rules[0].except"),
        (json!({"operations": ["a.b"], "unknown_paths": "deny"}), "rules[0].unknown_paths"),
        (json!({"operations": ["a.b"], "unknown_body": "deny"}), "rules[0].unknown_body"),
        (json!({"operations": ["a.b"], "unknown_target": "deny"}), "rules[0].unknown_target"),
        (json!({"connections": []}), "rules[0].connections"),
        (json!({}), "rules[0]"),
    ] {
        let mut rule = json!({"name": "r", "action": "deny"});
        rule.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        let mut document = document();
        document["rules"] = json!([rule]);
        let faults = crate::config::compile(&document, &|_| Some("secret-value".to_owned()))
            .expect_err(&keys.to_string());
        assert!(
            faults.iter().any(|fault| fault.path == path),
            "{keys}: {faults:?}"
        );
    }
}

#[test]
fn a_body_is_asked_for_only_where_a_rule_reads_it() {
    let policy = compile(
        json!([{"name": "r", "methods": ["POST"], "hosts": ["api.github.com"], "json": {"/a": 1}, "action": "deny"}]),
        "allow",
    );
    let reads = |method: &str, host: &str| {
        let head = RequestHead {
            method: method.into(),
            authority: host.into(),
            ..Default::default()
        };
        policy.reads_body(&policy.connections[0], &head)
    };
    assert!(reads("post", "API.github.com:443"));
    assert!(!reads("GET", "api.github.com"));
    assert!(!reads("POST", "example.com"));
    let none = compile(json!([]), "allow");
    assert!(!none.reads_body(&none.connections[0], &RequestHead::default()));
}

/// Any rule of those that compare with `asked`, in any way.
fn any_rule() -> impl Strategy<Value = Value> {
    let keys = prop::sample::select(vec![
        json!({"operations": ["content.write"]}),
        json!({"operations": ["!content.write"]}),
        json!({"operations": ["**"]}),
        json!({"repos": ["acme/*"]}),
        json!({"owners": ["!acme"]}),
        json!({"refs": ["refs/heads/main"]}),
        json!({"paths": ["docs/**"]}),
        json!({"paths": ["!docs/**"], "operations": ["content.*"]}),
        json!({"json": {"/branch": "try"}}),
        json!({"groups": ["devs"], "repos": ["acme/web"]}),
        json!({"operations": ["**"], "except": {"repos": ["acme/*"]}}),
        json!({"operations": ["*.write"], "except": {"paths": ["docs/**"]}}),
    ]);
    let actions = prop::sample::select(vec!["allow", "require_approval", "deny"]);
    (keys, actions).prop_map(|(mut rule, action)| {
        rule["action"] = json!(action);
        rule
    })
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let targets = |known: &'static str| {
        prop::sample::select(vec![
            Target::None,
            Target::Any,
            Target::Known(known.to_owned()),
            Target::Known("evil/x".to_owned()),
        ])
    };
    let paths = prop::sample::select(vec![
        Paths::None,
        Paths::Unknown,
        Paths::Known(vec!["docs/a".into()]),
        Paths::Known(vec!["docs/a".into(), "src/b".into()]),
    ]);
    let names = prop::sample::select(vec!["content.write", "ref.push", "github.unknown_write"]);
    (
        names,
        targets("acme/web"),
        targets("refs/heads/main"),
        paths,
    )
        .prop_map(|(name, repo, reference, paths)| Operation {
            name: name.to_owned(),
            repo,
            reference,
            paths,
            write: true,
            ..Default::default()
        })
}

fn judge(default: &str, rules: &[Value], operations: &[Operation], read: bool) -> Action {
    let named = rules.iter().enumerate().map(|(at, rule)| {
        let mut rule = rule.clone();
        rule["name"] = json!(format!("r{at}"));
        rule
    });
    let policy = compile(named.collect(), default);
    let asked = asked();
    let body = if read {
        Body::Whole(asked.body)
    } else {
        Body::Unread
    };
    let request = Request::new(&asked.who, &policy.connections[0], &asked.head, body, NOON);
    policy.judge(&request, operations).action
}

proptest! {
    #[test]
    fn another_denial_never_loosens_and_another_allowance_never_tightens(
        default in prop::sample::select(vec!["allow", "require_approval", "deny"]),
        rules in prop::collection::vec(any_rule(), 0..5),
        extra in any_rule(),
        operations in prop::collection::vec(any_operation(), 1..3),
        read in any::<bool>(),
    ) {
        let before = judge(default, &rules, &operations, read);
        let with = |action: &str| {
            let mut rules = rules.clone();
            let mut extra = extra.clone();
            extra["action"] = json!(action);
            rules.push(extra);
            judge(default, &rules, &operations, read)
        };
        prop_assert!(with("deny") >= before);
        prop_assert!(with("allow") <= before);
    }

    #[test]
    fn the_order_of_rules_is_nothing(
        default in prop::sample::select(vec!["allow", "require_approval", "deny"]),
        rules in prop::collection::vec(any_rule(), 0..6).prop_shuffle(),
        operations in prop::collection::vec(any_operation(), 1..3),
        read in any::<bool>(),
        turn in 0_usize..6,
    ) {
        let before = judge(default, &rules, &operations, read);
        let mut turned: Vec<Value> = rules.iter().rev().cloned().collect();
        let places = turned.len().max(1);
        turned.rotate_left(turn % places);
        prop_assert_eq!(judge(default, &turned, &operations, read), before);
        let mut reversed = operations.clone();
        reversed.reverse();
        prop_assert_eq!(judge(default, &rules, &reversed, read), before);
    }
}

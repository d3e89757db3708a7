//! Each warning, and that what is right has none.

use serde_json::{Value, json};

use super::*;

fn document(rules: Value) -> Value {
    json!({
        "version": "v1",
        "identity": {"providers": [{
            "name": "corporate", "issuer": "https://idp.example.com/", "audiences": ["countersign"],
            "jwks": {"remote": {"cluster": "idp", "path": "/jwks"}},
        }]},
        "connections": [{"name": "api", "hosts": ["api.github.com"], "protocol": "github", "credential": "passthrough"}],
        "default": "deny",
        "rules": rules,
        "approval_service": {"cluster": "console"},
        "audit": {"sink": {"cluster": "console"}, "delivery": "strict"},
    })
}

fn warned(document: &Value) -> Vec<Warning> {
    let policy = countersign_core::config::compile(document, &|_| Some("secret-value".to_owned()));
    warnings(
        document,
        &policy.unwrap_or_else(|faults| panic!("{faults:?}")),
    )
}

/// The only warning about a policy with one rule.
fn one(rule: Value) -> Warning {
    let warnings = warned(&document(json!([rule])));
    assert_eq!(warnings.len(), 1, "{rule}: {warnings:?}");
    warnings.into_iter().next().unwrap()
}

#[test]
#[rustfmt::skip]
fn each_misleading_rule_is_named_with_its_place_and_a_remedy() {
    for (keys, path, words) in [
        (json!({"operations": ["repo.delete", "repo.destroy"]}), "rules[0].operations[1]", "no operation has the name `repo.destroy`"),
        (json!({"operations": ["repo.delet"]}), "rules[0].operations[0]", "did you mean `repo.delete`?"),
        (json!({"operations": ["repos.*"]}), "rules[0].operations[0]", "did you mean `repo.*`?"),
        (json!({"operations": ["github:repos/delet"]}), "rules[0].operations[0]", "did you mean `github:repos/delete`?"),
        (json!({"operations": ["**", "!chat.reed"]}), "rules[0].operations[1]", "did you mean `chat.read`?"),
        (json!({"operations": ["issue.create"], "refs": ["refs/heads/main"]}), "rules[0].refs", "none of these operations has a ref"),
        (json!({"operations": ["secret.write"], "paths": ["x/**"]}), "rules[0].paths", "none of these operations touches files"),
        (json!({"operations": ["chat.completion"], "repos": ["acme/*"]}), "rules[0].repos", "none of these operations is in a repository"),
        (json!({"operations": ["content.write"], "paths": [".github/**"]}), "rules[0].operations", "name `ref.push` as well"),
        (json!({"operations": ["repo.delete"], "repos": ["acme/web", "!acme/*"]}), "rules[0].repos", "all that the list names it also excludes"),
        (json!({"operations": ["pr.merge"], "action": "require_approval", "approval": {"reviewers": {"groups": ["leads"]}, "hold": "5m"}}), "rules[0].approval.hold", "clients give up before that"),
        (json!({"methods": ["POST"], "json": {"/a": 1}}), "rules[0].json", "name the `connections`"),
    ] {
        let mut rule = json!({"name": "r", "action": "deny"});
        rule.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        let (found, message) = one(rule);
        assert_eq!(found, path, "{keys}: {message}");
        assert!(message.contains(words), "{keys}: {message}");
    }
}

#[test]
#[rustfmt::skip]
fn what_is_right_has_no_warning() {
    for keys in [
        json!({"operations": ["repo.*", "github:repos/delete", "mcp:evil/*", "http.post", "graphql:ofTomorrow"]}),
        json!({"operations": ["content.write", "ref.push"], "paths": [".github/**"]}),
        json!({"operations": ["ref.*"], "refs": ["refs/heads/main"], "repos": ["acme/*", "!acme/sandbox"]}),
        json!({"repos": ["!acme/*"]}),
        json!({"operations": ["**"], "groups": ["devs", "!contractors"]}),
        json!({"connections": ["api"], "json": {"/a": 1}}),
        json!({"operations": ["pr.merge"], "action": "require_approval", "approval": {"reviewers": {"groups": ["leads"]}, "hold": "45s"}}),
    ] {
        let mut rule = json!({"name": "r", "action": "deny"});
        rule.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        assert_eq!(warned(&document(json!([rule]))), [], "{keys}");
    }
}

#[test]
fn a_rule_that_another_denies_whole_never_decides() {
    let wide = json!({"name": "wide", "operations": ["repo.*", "!repo.read"], "repos": ["acme/*"], "action": "deny"});
    for (narrow, shadowed) in [
        (
            json!({"operations": ["repo.delete"], "repos": ["acme/web"]}),
            false,
        ),
        (
            json!({"operations": ["repo.delete", "!repo.read"], "repos": ["acme/web"]}),
            true,
        ),
        (json!({"operations": ["repo.delete", "!repo.read"]}), false),
        (
            json!({"operations": ["ref.push", "!repo.read"], "repos": ["acme/web"]}),
            false,
        ),
    ] {
        for action in ["deny", "allow"] {
            let mut rule = json!({"name": "narrow", "action": action});
            rule.as_object_mut()
                .unwrap()
                .extend(narrow.as_object().unwrap().clone());
            for rules in [json!([wide, rule]), json!([rule, wide])] {
                let found = warned(&document(rules));
                let said = found
                    .iter()
                    .any(|(_, words)| words.contains("`wide` denies"));
                assert_eq!(said, shadowed, "{narrow} {action}: {found:?}");
            }
        }
    }
    let twins = json!([
        {"name": "a", "operations": ["repo.delete"], "action": "deny"},
        {"name": "b", "operations": ["repo.delete"], "action": "deny"},
    ]);
    let found = warned(&document(twins));
    assert_eq!(found.len(), 1, "of two that are the same, one: {found:?}");
    assert_eq!(found[0].0, "rules[1]");
}

#[test]
fn groups_that_no_token_has_are_noticed() {
    let rules = json!([{"name": "r", "groups": ["devs"], "operations": ["**"], "action": "allow"}]);
    let mut ci = document(rules);
    ci["identity"]["providers"][0]["issuer"] = json!("https://token.actions.githubusercontent.com");
    let found = warned(&ci);
    assert!(found[0].1.contains("ask for `claims` instead"), "{found:?}");
    assert_eq!(found[0].0, "rules[0].groups");
    ci["identity"]["providers"][0]["claims"] = json!({"groups": "roles"});
    assert_eq!(warned(&ci), []);
}

#[test]
fn a_default_that_allows_with_rules_that_only_allow_is_noticed() {
    let mut open = document(json!([{"name": "r", "operations": ["*.read"], "action": "allow"}]));
    open["default"] = json!("allow");
    let found = warned(&open);
    assert_eq!(found[0].0, "default");
    assert!(found[0].1.contains("`default: deny`"));
}

#[test]
fn a_connection_that_nothing_reaches_is_noticed() {
    let mut twice = document(json!([]));
    let connection = |name: &str, host: &str, more: Value| {
        let mut value =
            json!({"name": name, "hosts": [host], "protocol": "http", "credential": "passthrough"});
        value
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        value
    };
    twice["connections"] = json!([
        connection("wide", "*.example.com", json!({})),
        connection("api", "api.example.com", json!({})),
        connection("v1", "api.example.com", json!({"path_prefixes": ["/v1"]})),
        connection("other", "example.com", json!({})),
    ]);
    let found = warned(&twice);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "connections[1]");
    assert!(found[0].1.contains("`wide` comes first"));
}

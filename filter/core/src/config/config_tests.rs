//! Faults of a document, each with its path.

use serde_json::{Value, json};

use super::testing::document;
use super::*;
use crate::policy::{Credential, Delivery, KeySource};

fn compile_with_secret(document: &Value) -> Result<Policy, Vec<ConfigError>> {
    compile(document, &|name| {
        (name == "GITHUB_TOKEN").then(|| "ghs_injected_by_the_gateway".to_owned())
    })
}

fn paths(document: &Value) -> Vec<String> {
    compile_with_secret(document)
        .unwrap_err()
        .into_iter()
        .map(|e| e.path)
        .collect()
}

#[test]
fn a_whole_document_compiles() {
    let policy = compile_with_secret(&document()).unwrap();
    assert_eq!(policy.digest.len(), 64);
    assert_eq!(policy.audit.delivery, Delivery::BestEffort);
    assert!(matches!(policy.providers[0].keys, KeySource::Remote { .. }));
    let Credential::Inject { header, value, .. } = &policy.connections[0].credential else {
        panic!()
    };
    assert_eq!(
        (header.as_str(), value.expose()),
        ("authorization", "Bearer ghs_injected_by_the_gateway")
    );
}

#[test]
fn every_fault_is_reported_at_once_with_its_path() {
    let mut bad = document();
    bad["version"] = json!("v2");
    bad["mode"] = json!("watch");
    bad["colour"] = json!("red");
    bad["identity"]["providers"][0]["audiences"] = json!([]);
    bad["connections"][0]["protocol"] = json!("gopher");
    bad["connections"][0]["credential"] = json!({"secret": "nobody", "scheme": "bearer"});
    bad["rules"] = json!([
        {"name": "a", "operations": ["repo.delete"], "action": "forbid"},
        {"name": "b", "action": "deny"},
        {"name": "c", "operations": ["{x}"], "action": "deny", "typo": 1},
        {"name": "c", "operations": [], "action": "deny"},
        {"name": "d", "operations": ["x"], "action": "require_approval", "approval": {"reviewers": {}, "hold": "2h", "min": 0}},
    ]);
    bad["audit"]["delivery"] = json!("sometimes");
    bad["undecided"] = json!({"token_missing": "allow"});
    let paths = paths(&bad);
    for expected in [
        "version",
        "mode",
        "colour",
        "identity.providers[0]",
        "connections[0].protocol",
        "connections[0].credential.secret",
        "rules[0].action",
        "rules[1]",
        "rules[2].typo",
        "rules[2].operations[0]",
        "rules[3].operations",
        "rules[4].approval",
        "rules[4].approval.hold",
        "rules[4].approval.min",
        "audit.delivery",
        "undecided.token_missing",
    ] {
        assert!(
            paths.iter().any(|p| p == expected),
            "no fault at {expected:?} in {paths:#?}"
        );
    }
}

#[test]
fn what_is_required_has_no_implicit_value() {
    for key in ["version", "identity", "connections", "default", "audit"] {
        let mut bad = document();
        bad.as_object_mut().unwrap().remove(key);
        let faults = compile_with_secret(&bad).unwrap_err();
        assert!(
            faults
                .iter()
                .any(|f| f.message.contains(&format!("`{key}` is missing"))),
            "{key}: {faults:?}"
        );
    }
    assert!(!compile(&json!({}), &|_| None).unwrap_err().is_empty());
    assert!(!compile(&json!(null), &|_| None).unwrap_err().is_empty());
}

#[test]
fn a_missing_secret_names_the_variable_and_the_remedy() {
    let faults = compile(&document(), &|_| None).unwrap_err();
    assert_eq!(faults[0].path, "secrets.github");
    assert!(
        faults[0].message.contains("GITHUB_TOKEN") && faults[0].message.contains("host_env_keys")
    );
    let faults = compile(&document(), &|_| Some("with\r\nx-evil: 1".into())).unwrap_err();
    assert_eq!(faults[0].path, "secrets.github");
    assert!(
        !faults[0].message.contains("evil"),
        "a fault never shows the value"
    );
}

#[test]
fn approvals_cannot_be_skipped_by_configuration() {
    let mut bad = document();
    bad["approval_service"] = json!({"cluster": "console", "on_error": "allow"});
    assert_eq!(paths(&bad), ["approval_service.on_error"]);
    let mut bad = document();
    bad["default"] = json!("require_approval");
    bad.as_object_mut().unwrap().remove("approval_service");
    assert_eq!(paths(&bad), [""]);
}

#[test]
fn the_digest_is_that_of_the_canonical_document() {
    let yaml_like: Value = serde_json::from_str(r#"{"b": 1, "a": [true, null, "x"]}"#).unwrap();
    let envoy_like: Value = serde_json::from_str(r#"{ "a":[true,null,"x"], "b": 1.0 }"#).unwrap();
    let canonical = |document: &Value| {
        let mut text = String::new();
        super::canonical(document, &mut text);
        text
    };
    assert_eq!(canonical(&yaml_like), r#"{"a":[true,null,"x"],"b":1}"#);
    assert_eq!(canonical(&yaml_like), canonical(&envoy_like));
    let policy = compile_with_secret(&document()).unwrap();
    let digest = crate::hex(&Sha256::digest(policy.document.as_bytes()));
    assert_eq!(digest, policy.digest);
}

#[test]
fn a_repeated_key_is_refused() {
    let text = br#"{"version": "v1", "default": "deny", "default": "allow"}"#;
    let faults = compile_plugin(text, &|_| None).unwrap_err();
    assert!(faults[0].message.contains("neither JSON"), "{faults:?}");
}

#[test]
fn connections_are_found_by_host_and_longest_prefix() {
    let mut wide = document();
    let connection = |name: &str, prefixes: Value| json!({"name": name, "hosts": ["127.0.0.1", "*.example.com"], "path_prefixes": prefixes, "protocol": "http", "credential": "passthrough"});
    let mut rest = connection("rest", json!([]));
    rest.as_object_mut().unwrap().remove("path_prefixes");
    wide["connections"] = json!([
        rest,
        connection("api", json!(["/api"])),
        connection("v3", json!(["/api/v3", "/v3"]))
    ]);
    let policy = compile_with_secret(&wide).unwrap();
    let name = |host: &str, path: &str| {
        policy
            .connection_index(host, path)
            .map(|i| policy.connections[i].name.clone())
    };
    assert_eq!(name("127.0.0.1", "/x").as_deref(), Some("rest"));
    assert_eq!(name("a.example.com", "/api/x?y").as_deref(), Some("api"));
    assert_eq!(name("127.0.0.1", "/api/v3/x").as_deref(), Some("v3"));
    assert_eq!(name("127.0.0.1", "/apiv3/x").as_deref(), Some("rest"));
    assert_eq!(name("example.com.evil.org", "/").as_deref(), None);
}

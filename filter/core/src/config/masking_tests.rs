//! What `masking` refuses, and what it makes of what it takes.

use serde_json::{Value, json};

use super::testing::document;
use super::*;

fn compiled(masking: Value) -> Result<Policy, Vec<ConfigError>> {
    let mut document = document();
    document["masking"] = masking;
    compile(&document, &|_| {
        Some("ghs_injected_by_the_gateway".to_owned())
    })
}

#[test]
fn every_fault_names_its_place() {
    let faults = compiled(json!({
        "request": {"rules": ["default", "no-such"], "action": "mask", "deny": ["nor-this"], "pushes": "perhaps"},
        "without": ["nor-that"],
        "allow": {"values": ["abc"], "paths": ["!only/this"]},
        "replacement": {"with": "hash"},
    }))
    .unwrap_err();
    let found = |path: &str, words: &str| {
        faults
            .iter()
            .any(|fault| fault.path.contains(path) && fault.message.contains(words))
    };
    for (path, words) in [
        ("masking.request", "no-such"),
        ("masking.request.deny", "nor-this"),
        ("masking.request.pushes", "perhaps"),
        ("masking.without", "nor-that"),
        ("masking.allow.values[0]", "SHA-256"),
        ("masking.allow", "without `!`"),
        ("masking.replacement", "key"),
    ] {
        assert!(found(path, words), "{path}: {words} is not in {faults:?}");
    }
    let fixed = compiled(json!({
        "response": {"rules": ["default"], "action": "mask"},
        "replacement": {"with": "text", "text": "\"quoted\""},
    }));
    assert!(fixed.unwrap_err()[0].message.contains("at most 64"));
}

#[test]
fn what_is_said_is_what_is_done() {
    let policy = compiled(json!({
        "request": {"rules": ["default"], "action": "mask", "deny": ["private-key"], "pushes": "deny"},
        "allow": {"paths": ["/docs/**"], "connections": ["github-api"]},
        "types": {"text": ["Application/PDF"], "binary": ["text/csv"]},
        "over_limit": "refuse",
    }))
    .unwrap();
    let masking = &policy.masking;
    assert!(masking.request.is_some() && masking.response.is_none());
    assert!(masking.deny_pushes && !masking.deny_request && masking.refuse_over_limit);
    assert_eq!(masking.denied, ["private-key"]);
    assert!(masking.spared.paths.matches("/docs/a/b") && !masking.spared.paths.matches("/src"));
    use crate::mask::Format;
    assert_eq!(masking.types.format("application/pdf"), Format::Text);
    assert_eq!(
        masking.types.format("text/csv; charset=utf-8"),
        Format::Binary
    );
    assert_eq!(masking.types.format("image/png"), Format::Binary);
    assert_eq!(masking.types.format("application/json"), Format::Json);
}

//! What push protection reads out of writes.

use super::stream_tests::set;
use super::tokens_tests::checksummed;
use super::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

fn found(body: &Value) -> Vec<(String, String)> {
    written(&set(&["default"], false), body.to_string().as_bytes())
        .into_iter()
        .map(|written| (written.file, written.rule))
        .collect()
}

fn pair(file: &str, rule: &str) -> (String, String) {
    (file.to_owned(), rule.to_owned())
}

#[test]
fn every_way_to_write_names_its_file() {
    let token = checksummed("ghp_", 5);
    let code = format!("const TOKEN = '{token}';\n");
    let encoded = STANDARD.encode(&code);
    let lines = encoded
        .as_bytes()
        .chunks(60)
        .map(|line| String::from_utf8_lossy(line).into_owned());
    let lines = lines.collect::<Vec<_>>().join("\n");
    for (body, file) in [
        (
            json!({"message": "x", "content": encoded, "branch": "main"}),
            "/content",
        ),
        (
            json!({"message": "x", "content": lines, "path": "src/a.js"}),
            "src/a.js",
        ),
        (json!({"content": code, "encoding": "utf-8"}), "/content"),
        (
            json!({"base_tree": "0", "tree": [{"path": "b.js", "mode": "100644", "content": code}]}),
            "b.js",
        ),
        (json!({"files": {"c.js": {"content": code}}}), "c.js"),
        (
            json!({"query": "mutation($input: CreateCommitOnBranchInput!) { createCommitOnBranch(input: $input) { commit { oid } } }", "variables": {"input": {"fileChanges": {"additions": [{"path": "d.js", "contents": encoded}]}}}}),
            "d.js",
        ),
        (
            json!({"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "push_files", "arguments": {"files": [{"path": "e.js", "content": code}]}}}),
            "e.js",
        ),
    ] {
        assert_eq!(found(&body), [pair(file, "github-token")], "{body}");
    }
}

#[test]
fn what_holds_no_secret_is_nobodys() {
    assert!(
        found(&json!({"content": STANDARD.encode("fn main() {}\n"), "path": "a.rs"})).is_empty()
    );
    assert!(written(&set(&["default"], false), b"no json").is_empty());
    let key = found(&json!({"password": "hunter2!"}));
    assert_eq!(key, [pair("/password", "password")]);
}

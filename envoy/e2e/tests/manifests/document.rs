//! Reading YAML files and walking what they hold.

use std::fs;
use std::process::Command;

use countersign_e2e::Repository;
use countersign_e2e::stack::run;
use serde::Deserialize;
use serde_json::Value;

pub fn repository() -> Repository {
    Repository::find().unwrap()
}

/// The documents of a YAML file of the repository, merge keys applied.
pub fn documents(path: &str) -> Vec<Value> {
    let text = repository().read(path).unwrap();
    let documents: Vec<Value> = serde_norway::Deserializer::from_str(&text)
        .map(|document| {
            let mut value = serde_norway::Value::deserialize(document)
                .unwrap_or_else(|e| panic!("{path}: {e}"));
            value
                .apply_merge()
                .unwrap_or_else(|e| panic!("{path}: {e}"));
            serde_json::to_value(value).unwrap()
        })
        .collect();
    assert!(!documents.is_empty(), "{path} is empty");
    documents
}

/// The one document of a YAML file.
pub fn document(path: &str) -> Value {
    let mut documents = documents(path);
    assert_eq!(documents.len(), 1, "{path} has one document");
    documents.remove(0)
}

/// Every value under `key`, however deep.
pub fn under<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                if name == key {
                    found.push(inner);
                }
                under(inner, key, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| under(item, key, found)),
        _ => {}
    }
}

/// The strings under `key`, however deep, sorted and once each.
pub fn strings_under(value: &Value, key: &str) -> Vec<String> {
    let mut found = Vec::new();
    under(value, key, &mut found);
    let mut strings: Vec<String> = found
        .iter()
        .filter_map(|v| v.as_str())
        .map(str::to_owned)
        .collect();
    strings.sort();
    strings.dedup();
    strings
}

/// The strings of an array; empty when there is none.
pub fn strings(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// The items of an array; empty when there is none.
pub fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Seconds of `45s`, `15m`, `1h`.
pub fn seconds(duration: &str) -> u64 {
    let (number, unit) = duration.split_at(duration.len() - 1);
    let number: u64 = number
        .parse()
        .unwrap_or_else(|_| panic!("not a duration: {duration}"));
    match unit {
        "s" => number,
        "m" => number * 60,
        "h" => number * 3600,
        _ => panic!("not a duration: {duration}"),
    }
}

/// Bytes of `8MiB`, `256KiB`.
pub fn bytes(size: &str) -> u64 {
    let digits = size.trim_end_matches(|c: char| !c.is_ascii_digit());
    let number: u64 = digits
        .parse()
        .unwrap_or_else(|_| panic!("not a size: {size}"));
    match &size[digits.len()..] {
        "KiB" => number << 10,
        "MiB" => number << 20,
        unit => panic!("not a unit: {unit}"),
    }
}

/// The policy that a Wasm filter configuration embeds.
pub fn policy(filter: &Value) -> &Value {
    &filter["typed_config"]["config"]["configuration"]["value"]
}

/// Lets the real Envoy judge a bootstrap, with the built filter and the credentials it asks for.
/// Relative paths in it start at the repository, as for `scripts/up`.
pub fn envoy_accepts(name: &str, bootstrap: &Value) {
    let repository = repository();
    repository.wasm().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    fs::write(&file, serde_json::to_vec_pretty(bootstrap).unwrap()).unwrap();
    let mut command = Command::new(repository.envoy().unwrap());
    command
        .current_dir(repository.path("."))
        .args([
            "--mode",
            "validate",
            "-l",
            "warning",
            "--use-dynamic-base-id",
            "-c",
        ])
        .arg(&file)
        .env("GITHUB_TOKEN", countersign_e2e::stack::CREDENTIAL)
        .env(
            "COUNTERSIGN_GATEWAY_KEY",
            countersign_e2e::stack::GATEWAY_KEY,
        );
    run(&mut command).unwrap();
}

/// Lets the filter's own compiler judge a policy.
pub fn policy_compiles(policy: &Value) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    fs::write(&file, serde_json::to_vec_pretty(policy).unwrap()).unwrap();
    let program = repository().program("countersign").unwrap();
    run(Command::new(program).arg("check").arg(&file)).unwrap();
}

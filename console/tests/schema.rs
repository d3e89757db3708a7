//! The JSON Schema of a policy: it is the one that editors get, every example is valid against it, and
//! it says what the filter's own reader says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // These are tests.

use std::collections::BTreeSet;
use std::path::PathBuf;

use countersign::policy::check;
use countersign_core::config;
use serde_json::{Value, json};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn validator() -> jsonschema::Validator {
    jsonschema::draft202012::new(&config::schema()).unwrap()
}

/// A policy in which every key has a value.
fn full() -> Value {
    let path = root().join("console/tests/full-policy.yaml");
    check::compiled_file(&path).unwrap()
}

/// Where the reader finds fault.
fn faults(document: &Value) -> Vec<(String, String)> {
    match config::compile(document, &|_| Some("secret-value".to_owned())) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.into_iter().map(|e| (e.path, e.message)).collect(),
    }
}

/// A place in a document, and what the schema says of it.
struct Place {
    pointer: String,
    path: String,
    schema: Value,
    object: String,
    key: String,
    required: bool,
}

/// Every key of the document, followed along the schema.
fn places(document: &Value) -> Vec<Place> {
    let schema = config::schema();
    let mut found = Vec::new();
    walk(&schema, &schema, document, "", "", "policy", &mut found);
    found
}

fn walk(
    root: &Value,
    schema: &Value,
    value: &Value,
    pointer: &str,
    path: &str,
    name: &str,
    found: &mut Vec<Place>,
) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = root.pointer(reference.trim_start_matches('#')).unwrap();
        let name = reference.rsplit('/').next().unwrap();
        return walk(root, target, value, pointer, path, name, found);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        return any
            .iter()
            .for_each(|one| walk(root, one, value, pointer, path, name, found));
    }
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                let below = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                let escaped = key.replace('~', "~0").replace('/', "~1");
                let pointer = format!("{pointer}/{escaped}");
                if let Some(property) = schema["properties"].get(key) {
                    let required = schema["required"]
                        .as_array()
                        .is_some_and(|r| r.contains(&json!(key)));
                    found.push(Place {
                        pointer: pointer.clone(),
                        path: below.clone(),
                        schema: property.clone(),
                        object: name.to_owned(),
                        key: key.clone(),
                        required,
                    });
                    walk(root, property, member, &pointer, &below, name, found);
                } else if schema["additionalProperties"].is_object() {
                    let inner = &schema["additionalProperties"];
                    walk(root, inner, member, &pointer, &below, name, found);
                }
            }
        }
        Value::Array(items) if schema["items"].is_object() => {
            for (index, item) in items.iter().enumerate() {
                let (pointer, path) = (format!("{pointer}/{index}"), format!("{path}[{index}]"));
                walk(root, &schema["items"], item, &pointer, &path, name, found);
            }
        }
        _ => {}
    }
}

#[test]
fn the_schema_in_the_repository_is_that_of_the_program() {
    let path = root().join("envoy/policy.schema.json");
    let wanted = serde_json::to_string_pretty(&config::schema()).unwrap() + "\n";
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "envoy/policy.schema.json is out of step: dist/countersign schema > envoy/policy.schema.json"
    );
}

#[test]
fn every_policy_in_the_repository_is_valid() {
    let validator = validator();
    let mut count = 0;
    let mut folders = vec![root().join("examples"), root().join("envoy")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("e2e") && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "yaml") {
                let text = std::fs::read_to_string(&path).unwrap();
                for document in countersign::policy::locate::policies(&text).unwrap_or_default() {
                    count += 1;
                    let errors: Vec<String> = validator
                        .iter_errors(&document.value)
                        .map(|error| format!("{}: {error}", error.instance_path()))
                        .collect();
                    assert!(errors.is_empty(), "{}: {errors:?}", path.display());
                }
            }
        }
    }
    assert!(count >= 4, "only {count} policies were found");
}

#[test]
fn the_full_policy_has_every_key_of_the_schema() {
    let document = full();
    assert!(validator().is_valid(&document));
    let has: BTreeSet<(String, String)> = places(&document)
        .into_iter()
        .map(|place| (place.object, place.key))
        .collect();
    let schema = config::schema();
    let objects = schema["$defs"].as_object().unwrap();
    let all = objects
        .iter()
        .map(|(name, object)| (name.as_str(), object))
        .chain([("policy", &schema)]);
    for (name, object) in all {
        for key in object["properties"].as_object().unwrap().keys() {
            assert!(
                has.contains(&(name.to_owned(), key.clone())),
                "console/tests/full-policy.yaml has no {name}.{key}"
            );
        }
    }
}

#[test]
fn the_reader_reads_every_key_and_refuses_what_the_schema_refuses() {
    let document = full();
    let validator = validator();
    for place in places(&document) {
        // What is neither text, list, number nor anything else that a key takes.
        let anything = place
            .schema
            .as_object()
            .unwrap()
            .keys()
            .all(|k| k == "description");
        let mut wrong = document.clone();
        *wrong.pointer_mut(&place.pointer).unwrap() = json!({"no such thing": [1.5]});
        let found = faults(&wrong);
        assert!(
            found.iter().any(|(path, _)| path.starts_with(&place.path)
                || place.path.starts_with(path.as_str()) && !path.is_empty()),
            "{} is not read: {found:?}",
            place.path
        );
        assert!(anything || !validator.is_valid(&wrong), "{}", place.path);
        for choice in place.schema["enum"].as_array().into_iter().flatten() {
            let mut other = document.clone();
            *other.pointer_mut(&place.pointer).unwrap() = choice.clone();
            let refused = faults(&other)
                .into_iter()
                .find(|(path, words)| *path == place.path && words.contains("is not one of"));
            assert_eq!(refused, None, "{} takes {choice}", place.path);
        }
        if place.required {
            let mut without = document.clone();
            let (parent, key) = place.pointer.rsplit_once('/').unwrap();
            let parent = without.pointer_mut(parent).unwrap();
            parent.as_object_mut().unwrap().remove(key);
            assert_ne!(faults(&without), [], "{} is required", place.path);
            assert!(!validator.is_valid(&without), "{} is required", place.path);
        }
    }
}

#[test]
fn an_unknown_key_is_refused_by_both() {
    let document = full();
    for place in places(&document) {
        let (parent, _) = place.pointer.rsplit_once('/').unwrap();
        let mut wrong = document.clone();
        wrong.pointer_mut(parent).unwrap()["no_such_key"] = json!("x");
        assert!(
            faults(&wrong)
                .iter()
                .any(|(_, words)| words.contains("known here")),
            "{parent}"
        );
        assert!(!validator().is_valid(&wrong), "{parent}");
    }
}

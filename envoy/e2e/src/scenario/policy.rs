//! A scenario's policy: a base file and what is merged onto it.

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use super::format::PolicySource;
use crate::Repository;

/// In a base policy this stands for the public halves of the test keys.
const TEST_KEYS: &str = "TEST KEYS";

/// The policy document.
///
/// # Errors
/// A base that is not there.
pub fn document(repository: &Repository, source: &PolicySource) -> Result<Value> {
    let name = source.base.as_deref().unwrap_or("gateway");
    let read = |path: &str| -> Result<Value> {
        serde_norway::from_str(&repository.read(path)?).with_context(|| format!("policy {path}"))
    };
    let base = |name: &str| read(&format!("testdata/scenarios/policies/{name}.yaml"));
    let mut document = if name.starts_with("examples/") {
        // A shipped policy as it stands, but for who vouches: the scenarios' own provider.
        let mut shipped = read(&format!("{name}/policy.yaml"))?;
        shipped["identity"] = base("gateway")?["identity"].clone();
        shipped
    } else {
        base(name)?
    };
    merge(&mut document, &source.merge);
    let keys: Value = serde_json::from_str(&repository.read("testdata/jwt/jwks.json")?)?;
    put_keys(&mut document, &keys);
    Ok(document)
}

/// JSON Merge Patch (RFC 7386), except that a `null` patch changes nothing.
pub fn merge(target: &mut Value, patch: &Value) {
    match patch {
        Value::Null => {}
        Value::Object(patch) => {
            if !target.is_object() {
                *target = Value::Object(Map::new());
            }
            let Value::Object(members) = target else {
                return;
            };
            for (key, value) in patch {
                if value.is_null() {
                    members.remove(key);
                } else {
                    merge(members.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        other => *target = other.clone(),
    }
}

fn put_keys(value: &mut Value, keys: &Value) {
    match value {
        Value::String(text) if text == TEST_KEYS => *value = keys.clone(),
        Value::Array(items) => items.iter_mut().for_each(|item| put_keys(item, keys)),
        Value::Object(members) => members
            .values_mut()
            .for_each(|member| put_keys(member, keys)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

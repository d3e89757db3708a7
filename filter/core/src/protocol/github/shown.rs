//! Values of a body as attributes show them.

use serde_json::{Map, Value};

use crate::protocol::fields::Field;

/// A field as text.
pub(super) fn field(field: Option<Field<'_>>) -> Option<String> {
    match field? {
        Field::Query(text) => Some(text.to_owned()),
        Field::Json(json) => value(json),
    }
}

/// The members of a field that is an object.
pub(super) fn members<'a>(field: Option<Field<'a>>) -> Option<&'a Map<String, Value>> {
    match field? {
        Field::Json(Value::Object(members)) => Some(members),
        Field::Json(_) | Field::Query(_) => None,
    }
}

/// Text bare, numbers and booleans as JSON, lists with commas, of an object its keys. Nothing for
/// null, and for what holds nothing.
pub(super) fn value(json: &Value) -> Option<String> {
    match json {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(json.to_string()),
        Value::Array(items) => joined(items.iter().filter_map(item)),
        Value::Object(members) => joined(members.keys().cloned()),
    }
}

/// An item of a list: `{"name": "bug"}` is `bug`, any other object its JSON.
fn item(json: &Value) -> Option<String> {
    match json {
        Value::Object(members) => match members.get("name").and_then(Value::as_str) {
            Some(name) => Some(name.to_owned()),
            None => Some(json.to_string()),
        },
        Value::Array(_) => Some(json.to_string()),
        other => value(other),
    }
}

fn joined(parts: impl Iterator<Item = String>) -> Option<String> {
    let parts: Vec<String> = parts.collect();
    (!parts.is_empty()).then(|| parts.join(","))
}

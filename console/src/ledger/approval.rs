//! Steps of approvals as entries. The question goes with the first of them, its body kept apart.

use serde_json::{Map, Value, json};

use super::body::{Body, Reference};
use super::entry::{Kind, append};
use crate::clock::Millis;
use crate::store::StoreError;
use crate::store::sql::{Connection, OptionalExtension};

/// What stands for the body of a question's request.
const BODY: &str = "question.request.body";
/// The step that a question goes with.
const ASKED: &str = "asked";

/// A step, as it is written down.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The approval's id.
    pub approval: &'a str,
    /// The word for the step.
    pub step: &'a str,
    /// Who took it.
    pub who: Option<&'a str>,
    /// The exchange it was taken for.
    pub exchange: Option<&'a str>,
    /// In words.
    pub note: Option<&'a str>,
    /// For programs: what a vote counts for.
    pub detail: Option<&'a Value>,
}

/// Appends a step of an approval that is in the database, and returns the entry's index.
pub fn append_step(c: &Connection, now: Millis, step: Step<'_>) -> Result<i64, StoreError> {
    let mut value = Map::new();
    let mut put = |key: &str, text: Option<&str>| {
        if let Some(text) = text {
            value.insert(key.to_owned(), text.into());
        }
    };
    put("approval", Some(step.approval));
    put("exchange", step.exchange);
    put("note", step.note);
    put("step", Some(step.step));
    put("who", step.who);
    if let Some(detail) = step.detail {
        value.insert("detail".to_owned(), detail.clone());
    }
    let mut body = None;
    if step.step == ASKED {
        let raw: Option<String> = c
            .prepare_cached("SELECT question FROM approvals WHERE id = ?1")?
            .query_row([step.approval], |row| row.get(0))
            .optional()?;
        if let Some(raw) = raw {
            let (question, text) = apart(&raw)?;
            value.insert("question".to_owned(), question);
            body = text;
        }
    }
    if let Some(body) = &body {
        value.insert("bodies".to_owned(), json!({BODY: body.reference()}));
    }
    let index = append(c, now, Kind::ApprovalEvent, &Value::Object(value))?;
    if let Some(body) = &body {
        body.keep(c, index)?;
    }
    Ok(index)
}

/// The question of an entry's value with its body back in its place, as far as it is still there.
pub fn question(c: &Connection, value: &Map<String, Value>) -> Result<Option<Value>, StoreError> {
    let Some(mut question) = value.get("question").cloned() else {
        return Ok(None);
    };
    let reference = value
        .get("bodies")
        .and_then(|bodies| bodies.get(BODY))
        .and_then(Reference::read);
    if let Some(reference) = reference
        && let Some(text) = reference.text(c)?
        && let Some(request) = question.get_mut("request")
    {
        request["body"] = text.into();
    }
    Ok(Some(question))
}

/// The question without the body of its request, and that body.
fn apart(raw: &str) -> Result<(Value, Option<Body>), StoreError> {
    let mut question: Value = serde_json::from_str(raw)
        .map_err(|error| StoreError::Unreadable(format!("a question: {error}")))?;
    let Some(request) = question.get_mut("request").and_then(Value::as_object_mut) else {
        return Ok((question, None));
    };
    let text = match request.remove("body") {
        Some(Value::String(text)) => text,
        Some(other) => {
            request.insert("body".to_owned(), other);
            return Ok((question, None));
        }
        None => return Ok((question, None)),
    };
    let encoding = request.get("body_encoding").and_then(Value::as_str);
    let body = Body::new(text, encoding);
    Ok((question, Some(body)))
}

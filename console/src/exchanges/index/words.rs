//! The text that a search looks through: who, where, what, why, and the bodies that are text.
//!
//! A JSON body is read, so that a line break in a prompt is not the letter n before the next word;
//! of a stream of events the pieces of a text are put together again, so that a word that came in
//! two events is one word.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::intake::record::text;

const NAMES: &[&str] = &[
    "user.id",
    "user.email",
    "url.full",
    "countersign.session.id",
    "countersign.connection",
    "countersign.reason",
    "countersign.reason.detail",
    "countersign.rule",
    "countersign.approval.by",
    "gen_ai.request.model",
];
const BODIES: &[&str] = &["countersign.request.body", "countersign.response.body"];

/// The words of a record.
pub fn words(attributes: &Map<String, Value>) -> String {
    let mut words = String::new();
    for key in NAMES {
        push(&mut words, text(attributes, key).unwrap_or_default());
    }
    let operations = attributes.get("countersign.operations");
    for operation in operations.and_then(Value::as_array).into_iter().flatten() {
        strings(operation, &mut |text| push(&mut words, text));
    }
    for body in BODIES {
        let is_text = text(attributes, &format!("{body}.encoding")) != Some("base64");
        if let Some(body) = text(attributes, body).filter(|_| is_text) {
            push(&mut words, &readable(body));
        }
    }
    words
}

/// A body as a person reads it.
pub fn readable(body: &str) -> String {
    let mut words = String::new();
    if let Ok(value) = serde_json::from_str::<Value>(body) {
        strings(&value, &mut |text| push(&mut words, text));
        return words;
    }
    if !body.lines().any(|line| line.starts_with("data:")) {
        // Cut off at the capture limit, perhaps: what stands for a line break is no letter.
        return match body.trim_start().starts_with(['{', '[']) {
            true => body
                .replace("\\n", " ")
                .replace("\\t", " ")
                .replace("\\\"", " "),
            false => body.to_owned(),
        };
    }
    let mut pieces: BTreeMap<String, String> = BTreeMap::new();
    for line in body.lines() {
        let data = line.strip_prefix("data:").map(str::trim_start);
        match data.map(serde_json::from_str::<Value>) {
            Some(Ok(value)) => join(&value, &mut String::new(), &mut pieces),
            Some(Err(_)) => push(&mut words, data.unwrap_or_default()),
            None => {}
        }
    }
    for text in pieces.values() {
        push(&mut words, text);
    }
    words
}

fn push(words: &mut String, text: &str) {
    if !text.is_empty() {
        words.push_str(text);
        words.push('\n');
    }
}

/// Every text in a value, in its order. JSON that was read is at most 128 deep.
fn strings(value: &Value, each: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => each(text),
        Value::Array(values) => values.iter().for_each(|value| strings(value, each)),
        Value::Object(map) => map.values().for_each(|value| strings(value, each)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Puts each text behind those that stood at the same place of the events before.
fn join(value: &Value, place: &mut String, pieces: &mut BTreeMap<String, String>) {
    let length = place.len();
    match value {
        Value::String(text) => {
            let piece = pieces.entry(place.clone()).or_default();
            // The same id or name in each event is said once.
            let delta = ["delta", "text", "content", "arguments", "partial_json"]
                .iter()
                .any(|word| place.ends_with(word));
            if delta || !piece.ends_with(text.as_str()) {
                if !delta && !piece.is_empty() {
                    piece.push('\n');
                }
                piece.push_str(text);
            }
        }
        Value::Array(values) => {
            for value in values {
                let index = value.get("index").and_then(Value::as_u64).unwrap_or(0);
                place.push_str(&format!("/{index}"));
                join(value, place, pieces);
                place.truncate(length);
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                place.push('/');
                place.push_str(key);
                join(value, place, pieces);
                place.truncate(length);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_break_in_json_is_no_letter() {
        let body = json!({"messages": [{"role": "user", "content": "first\nsecond \"third\""}]});
        assert!(readable(&body.to_string()).contains("first\nsecond \"third\""));
        let cut = &body.to_string()[..body.to_string().len() - 9];
        assert!(readable(cut).contains("first second"), "{}", readable(cut));
    }

    #[test]
    fn a_word_that_came_in_two_events_is_one_word() {
        let event = |text: &str| {
            let delta = json!({"id": "c-1", "choices": [{"index": 0, "delta": {"content": text}}]});
            format!("data: {delta}\n\n")
        };
        let body = [
            event("dro"),
            event("p tab"),
            event("le"),
            "data: [DONE]\n\n".into(),
        ]
        .concat();
        let read = readable(&body);
        assert!(read.contains("drop table\n"), "{read}");
        assert_eq!(read.matches("c-1").count(), 1, "{read}");
    }
}

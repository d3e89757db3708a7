//! The files that an answer names: what a model proposes to write, wherever it says so.
//!
//! An answer has no field for it. A path stands in the arguments of a tool call, in a diff, in a
//! patch, in a fenced block or in a sentence, and comes in pieces where the answer streams. So every
//! text of the answer is put together, and everything in it that looks like a path counts as one: a
//! rule asks a person rather once too often. Not seen is a path that the answer does not spell out.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::mask::Format;
use crate::policy::Globs;

/// Texts inside texts that are read: the arguments of a call are JSON in a JSON string.
const DEPTH: usize = 4;
/// Bytes of a path at most.
const LONGEST: usize = 512;
/// Paths that are told.
const MOST: usize = 20;

/// The paths of an answer that are among `globs`, in order, each once.
pub fn named(body: &[u8], format: Format, globs: &Globs) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for text in texts(body, format) {
        search(&text, globs, DEPTH, &mut found);
    }
    found
}

fn search(text: &str, globs: &Globs, depth: usize, found: &mut Vec<String>) {
    for word in text.split(|c: char| c.is_whitespace() || "\"'`,()[]{}<>:;=\\|*!?#".contains(c)) {
        if found.len() >= MOST {
            return;
        }
        if let Some(path) = path(word, globs)
            && !found.contains(&path)
        {
            found.push(path);
        }
    }
    if depth > 0
        && text.trim_start().starts_with(['{', '['])
        && let Ok(inner) = serde_json::from_str::<Value>(text)
    {
        leaves(&inner, &mut |text| search(text, globs, depth - 1, found));
    }
}

/// The part of a word that is such a path: behind any of its slashes, as in `/home/me/web/src/auth.rs` and
/// `b/src/auth.rs`.
fn path(word: &str, globs: &Globs) -> Option<String> {
    let word = word.trim_end_matches('.').trim_start_matches("./");
    if word.len() > LONGEST || !word.contains(['/', '.']) {
        return None;
    }
    let mut rest = Some(word);
    while let Some(part) = rest {
        if !part.is_empty() && globs.matches(part) {
            return Some(part.to_owned());
        }
        rest = part.split_once('/').map(|(_, rest)| rest);
    }
    None
}

fn leaves(value: &Value, take: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => take(text),
        Value::Array(items) => items.iter().for_each(|item| leaves(item, take)),
        Value::Object(members) => {
            for (name, member) in members {
                // A map from paths to contents.
                take(name);
                leaves(member, take);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn texts(body: &[u8], format: Format) -> Vec<String> {
    let text = String::from_utf8_lossy(body);
    if format == Format::EventStream {
        return channels(&text);
    }
    match serde_json::from_str::<Value>(&text) {
        Ok(value) => {
            let mut all = Vec::new();
            leaves(&value, &mut |text| all.push(text.to_owned()));
            all
        }
        Err(_) => vec![text.into_owned()],
    }
}

/// The texts of a stream of events, each put together from the pieces that stand in the same place.
fn channels(text: &str) -> Vec<String> {
    let mut channels: BTreeMap<String, String> = BTreeMap::new();
    let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
    for data in data {
        match serde_json::from_str::<Value>(data.trim()) {
            Ok(event) => gather(&event, &mut String::new(), &mut channels),
            Err(_) => {
                let plain = channels.entry(String::new()).or_default();
                plain.push_str(data.trim_start());
                plain.push('\n');
            }
        }
    }
    channels.into_values().collect()
}

/// Members that say to which of several texts a piece belongs.
const INDEXES: [&str; 4] = ["index", "output_index", "content_index", "item_id"];

fn gather(value: &Value, place: &mut String, channels: &mut BTreeMap<String, String>) {
    let length = place.len();
    match value {
        Value::String(text) => {
            channels.entry(place.clone()).or_default().push_str(text);
        }
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                // A piece that names its place stands at it, whatever its number in this event.
                let named = INDEXES.iter().any(|name| item.get(*name).is_some());
                match named {
                    true => place.push_str("/-"),
                    false => place.push_str(&format!("/{number}")),
                }
                gather(item, place, channels);
                place.truncate(length);
            }
        }
        Value::Object(members) => {
            for name in INDEXES {
                if let Some(index) = members.get(name) {
                    place.push_str(&format!("({name}={index})"));
                }
            }
            let here = place.len();
            for (name, member) in members {
                if INDEXES.contains(&name.as_str()) {
                    continue;
                }
                place.push('/');
                place.push_str(name);
                gather(member, place, channels);
                place.truncate(here);
            }
            place.truncate(length);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
#[path = "edits_tests.rs"]
mod tests;

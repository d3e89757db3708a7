//! What a write adds to files: which secrets, in which file. For push protection.
//!
//! The ways to add content to a repository over HTTP are JSON: the contents API, blobs and trees, gists, GraphQL's
//! `createCommitOnBranch`, MCP's `push_files`. All of them put a file's name beside its content, plain or in base64; so
//! every string is searched, plain and decoded, and named after the file beside it.

use super::find::find;
use super::set::MaskSet;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use std::rc::Rc;

/// Most secrets that are named.
const FOUND_MAX: usize = 16;
/// Shortest base64 that can hold a secret.
const ENCODED_MIN: usize = 16;
/// Deepest nesting that is searched; the JSON reader has refused anything deeper before.
const DEPTH_MAX: usize = 128;

/// A secret that a write would add.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// The file, or the JSON pointer of the string when no file stands beside it.
    pub file: String,
    /// The rule that names the secret.
    pub rule: String,
}

/// The secrets in the JSON of a write, each kind once a file. Nothing for what is no JSON.
#[must_use]
pub fn written(set: &Rc<MaskSet>, body: &[u8]) -> Vec<Written> {
    let mut search = Search {
        set,
        found: Vec::new(),
    };
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        search.value(&value, "", "", 0);
    }
    search.found
}

struct Search<'a> {
    set: &'a Rc<MaskSet>,
    found: Vec<Written>,
}

impl Search<'_> {
    fn value(&mut self, value: &Value, file: &str, pointer: &str, depth: usize) {
        if depth > DEPTH_MAX || self.found.len() >= FOUND_MAX {
            return;
        }
        match value {
            Value::Object(members) => self.object(members, file, pointer, depth),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.value(item, file, &format!("{pointer}/{index}"), depth + 1);
                }
            }
            Value::String(text) => self.text(text, file, pointer),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn object(&mut self, members: &Map<String, Value>, file: &str, pointer: &str, depth: usize) {
        let named = ["path", "file_path", "filename", "file"]
            .iter()
            .find_map(|key| members.get(*key)?.as_str());
        let file = named.unwrap_or(file);
        for (key, value) in members {
            let pointer = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
            match value {
                // A gist's files stand under their names.
                Value::Object(files) if key == "files" => {
                    for (name, value) in files {
                        self.value(value, name, &format!("{pointer}/{name}"), depth + 2);
                    }
                }
                Value::String(text) => self.member(key, text, file, &pointer),
                other => self.value(other, file, &pointer, depth + 1),
            }
        }
    }

    /// A string with its key as context, as the masker sees it.
    fn member(&mut self, key: &str, text: &str, file: &str, pointer: &str) {
        let mut context = Vec::new();
        super::keys::of_value(key.as_bytes(), &mut context);
        if context.is_empty() {
            self.text(text, file, pointer);
            return;
        }
        let quoted = serde_json::json!({ key: text }).to_string();
        let mut masker = super::StreamMasker::new(Rc::clone(self.set), None, super::Format::Json);
        let mut out = Vec::new();
        masker.push(quoted.as_bytes(), &mut out);
        masker.finish(&mut out);
        for finding in masker.findings() {
            self.add(&finding.rule, file, pointer);
        }
    }

    fn text(&mut self, text: &str, file: &str, pointer: &str) {
        for found in find(self.set, text.as_bytes()) {
            self.add(&found.rule, file, pointer);
        }
        if let Some(decoded) = decoded(text) {
            for found in find(self.set, &decoded) {
                self.add(&found.rule, file, pointer);
            }
        }
    }

    fn add(&mut self, rule: &str, file: &str, pointer: &str) {
        let file = if file.is_empty() { pointer } else { file };
        let written = Written {
            file: file.to_owned(),
            rule: rule.to_owned(),
        };
        if self.found.len() < FOUND_MAX && !self.found.contains(&written) {
            self.found.push(written);
        }
    }
}

/// What base64 stands for, with or without line ends.
fn decoded(text: &str) -> Option<Vec<u8>> {
    if text.len() < ENCODED_MIN {
        return None;
    }
    let plain: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    STANDARD.decode(plain).ok()
}

//! What a write changes in files, as far as the request tells: GitHub's contents, blobs and trees
//! over REST, `createCommitOnBranch` over GraphQL, and the file tools of MCP.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::conversation::{list, owned, text};

/// One file that is written or deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// `owner/name`, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    /// The branch, where it is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Its path.
    pub path: String,
    /// What becomes of it.
    pub content: Content,
    /// The blob that the caller says it replaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// Lines that go and come, where the file as it was has been seen in the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
}

/// The new content of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Text.
    Text(String),
    /// Bytes that are no text.
    Binary {
        /// How many.
        size: usize,
    },
    /// The file is deleted.
    Deleted,
    /// Not in the request, and why.
    Unknown(String),
}

/// The file changes of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Changes {
    /// The commit message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Files.
    pub files: Vec<FileChange>,
}

/// What a REST request changes. `path` is the address without its host.
pub fn of_rest(method: &str, path: &str, body: &Value) -> Option<Changes> {
    let segments: Vec<String> = path
        .split('/')
        .filter(|s| !s.is_empty())
        .map(decoded)
        .collect();
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    let at = parts.iter().position(|part| *part == "repos")?;
    let (owner, name, rest) = match parts.get(at + 1..)? {
        [owner, name, rest @ ..] => (owner, name, rest),
        _ => return None,
    };
    let repo = Some(format!("{owner}/{name}"));
    let branch = owned(body, "branch");
    let message = owned(body, "message");
    match (method, rest) {
        ("PUT" | "DELETE", ["contents", file @ ..]) if !file.is_empty() => {
            let content = match method {
                "DELETE" => Content::Deleted,
                _ => base64_content(body.get("content")),
            };
            let file = FileChange {
                repo,
                branch,
                path: file.join("/"),
                content,
                replaces: owned(body, "sha"),
                diff: None,
            };
            Some(Changes {
                message,
                files: vec![file],
            })
        }
        ("POST", ["git", "trees"]) => {
            let files = list(body.get("tree"))
                .filter(|entry| text(entry, "type") != "tree")
                .map(|entry| FileChange {
                    repo: repo.clone(),
                    branch: None,
                    path: text(entry, "path").to_owned(),
                    content: match (entry.get("content"), entry.get("sha")) {
                        (Some(Value::String(text)), _) => Content::Text(text.clone()),
                        (_, Some(Value::Null)) => Content::Deleted,
                        (_, sha) => {
                            let sha = sha.and_then(Value::as_str).unwrap_or("not named");
                            Content::Unknown(format!("the blob {sha}"))
                        }
                    },
                    replaces: None,
                    diff: None,
                })
                .collect();
            Some(Changes { message, files })
        }
        ("POST", ["git", "blobs"]) => {
            let content = match text(body, "encoding") {
                "base64" => base64_content(body.get("content")),
                _ => plain_content(body.get("content")),
            };
            let file = FileChange {
                repo,
                branch: None,
                path: "(a blob without a path yet)".to_owned(),
                content,
                replaces: None,
                diff: None,
            };
            Some(Changes {
                message,
                files: vec![file],
            })
        }
        _ => None,
    }
}

/// What a call of an MCP tool changes.
pub fn of_tool(tool: &str, arguments: &Value) -> Option<Changes> {
    let repo = match (text(arguments, "owner"), text(arguments, "repo")) {
        ("", _) | (_, "") => None,
        (owner, name) => Some(format!("{owner}/{name}")),
    };
    let branch = owned(arguments, "branch");
    let change = |entry: &Value, content: Content| FileChange {
        repo: repo.clone(),
        branch: branch.clone(),
        path: text(entry, "path").to_owned(),
        content,
        replaces: owned(entry, "sha"),
        diff: None,
    };
    let files = if tool.ends_with("push_files") {
        list(arguments.get("files"))
            .map(|file| change(file, plain_content(file.get("content"))))
            .collect()
    } else if tool.ends_with("create_or_update_file") {
        vec![change(arguments, plain_content(arguments.get("content")))]
    } else if tool.ends_with("delete_file") {
        vec![change(arguments, Content::Deleted)]
    } else {
        return None;
    };
    Some(Changes {
        message: owned(arguments, "message"),
        files,
    })
}

/// What a GraphQL request changes: every input with `fileChanges` among its variables.
pub fn of_graphql(body: &Value) -> Option<Changes> {
    let query = text(body, "query");
    if !query.contains("createCommitOnBranch") {
        return None;
    }
    let mut found = Vec::new();
    find_inputs(body.get("variables").unwrap_or(&Value::Null), 8, &mut found);
    let mut changes = Changes::default();
    for input in &found {
        let target = input.get("branch").unwrap_or(&Value::Null);
        let headline = input.get("message").and_then(|m| owned(m, "headline"));
        changes.message = changes.message.or(headline);
        let sides = input.get("fileChanges").unwrap_or(&Value::Null);
        let mut add = |entry: &Value, content: Content| {
            changes.files.push(FileChange {
                repo: owned(target, "repositoryNameWithOwner"),
                branch: owned(target, "branchName"),
                path: text(entry, "path").to_owned(),
                content,
                replaces: None,
                diff: None,
            });
        };
        list(sides.get("additions")).for_each(|a| add(a, base64_content(a.get("contents"))));
        list(sides.get("deletions")).for_each(|d| add(d, Content::Deleted));
    }
    if found.is_empty() {
        changes.files.push(FileChange {
            repo: None,
            branch: None,
            path: "(named inside the query text)".to_owned(),
            content: Content::Unknown("the query text itself; see the request body".to_owned()),
            replaces: None,
            diff: None,
        });
    }
    Some(changes)
}

fn find_inputs<'a>(value: &'a Value, depth: u32, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(map) if map.contains_key("fileChanges") => found.push(value),
        Value::Object(map) if depth > 0 => {
            map.values().for_each(|v| find_inputs(v, depth - 1, found));
        }
        Value::Array(all) if depth > 0 => {
            all.iter().for_each(|v| find_inputs(v, depth - 1, found));
        }
        _ => {}
    }
}

/// Files as they were seen in a session, so that a later write can be shown as a difference.
#[derive(Default)]
pub struct Seen {
    by_blob: HashMap<String, String>,
    by_place: HashMap<(String, String, String), String>,
}

impl Seen {
    /// Shows each change against what was seen before it, and remembers what it writes. The blob
    /// that the caller names counts; without one, the last content seen of the same path and branch.
    pub fn compare(&mut self, changes: &mut Changes) {
        for file in &mut changes.files {
            let place = (
                file.repo.clone().unwrap_or_default(),
                file.branch.clone().unwrap_or_default(),
                file.path.clone(),
            );
            let before = match &file.replaces {
                Some(blob) => self.by_blob.get(blob),
                None => self.by_place.get(&place),
            };
            let after = match &file.content {
                Content::Text(text) => text.as_str(),
                Content::Deleted => "",
                Content::Binary { .. } | Content::Unknown(_) => continue,
            };
            file.diff = before.map(|before| {
                similar::TextDiff::from_lines(before.as_str(), after)
                    .unified_diff()
                    .context_radius(3)
                    .to_string()
            });
            self.by_place.insert(place, after.to_owned());
        }
    }

    /// Remembers the file in an answer of the contents API, and the blob that a write made.
    pub fn note_answer(&mut self, answer: &Value, written: Option<&Changes>) {
        let mut keep = |blob: &str, text: String| {
            if !blob.is_empty() {
                self.by_blob.insert(blob.to_owned(), text);
            }
        };
        if let Content::Text(content) = base64_content(answer.get("content")) {
            keep(text(answer, "sha"), content);
        }
        let made = answer.get("content").map_or("", |made| text(made, "sha"));
        if let Some([file]) = written.map(|changes| changes.files.as_slice())
            && let Content::Text(content) = &file.content
        {
            keep(made, content.clone());
        }
    }
}

fn base64_content(value: Option<&Value>) -> Content {
    let Some(text) = value.and_then(Value::as_str) else {
        return Content::Unknown("not in the request".to_owned());
    };
    let packed: String = text.split_ascii_whitespace().collect();
    match STANDARD.decode(packed) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Content::Text(text),
            Err(error) => Content::Binary {
                size: error.as_bytes().len(),
            },
        },
        Err(_) => Content::Unknown("the base64 is cut off or broken".to_owned()),
    }
}

fn plain_content(value: Option<&Value>) -> Content {
    match value.and_then(Value::as_str) {
        Some(text) => Content::Text(text.to_owned()),
        None => Content::Unknown("not in the request".to_owned()),
    }
}

/// A path segment without percent-encoding.
fn decoded(segment: &str) -> String {
    let bytes = segment.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = bytes
            .get(at + 1..at + 3)
            .and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(value) if byte == b'%' => {
                out.push(value);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;

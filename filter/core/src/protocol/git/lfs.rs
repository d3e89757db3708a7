//! Git LFS: the batch API and file locks (git-lfs `docs/api`).

use serde_json::{Map, Value};

use super::{attribute, body};
use crate::head::RequestHead;
use crate::operation::{Operation, Target};
use crate::protocol::{Fault, is_read, ref_target};

pub(super) fn needs_body(rest: &[String]) -> bool {
    matches!(rest, [objects, batch] if objects == "objects" && batch == "batch")
        || matches!(rest, [locks] if locks == "locks")
}

/// The operation of a request below `info/lfs`; nothing for what the API does not have.
pub(super) fn operation(
    head: &RequestHead,
    rest: &[String],
    repo: &Target,
    bytes: &[u8],
) -> Result<Option<Operation>, Fault> {
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let named = |name: &str, alias: &str, write: bool| Operation {
        name: name.to_owned(),
        aliases: vec![alias.to_owned()],
        repo: repo.clone(),
        write,
        ..Operation::default()
    };
    if is_read(&head.method) {
        return Ok(Some(named("lfs.read", "repo.read", false)));
    }
    if !head.method.eq_ignore_ascii_case("POST") {
        return Ok(None);
    }
    Ok(match rest.as_slice() {
        ["objects", "batch"] => {
            let members = members(head, bytes)?;
            let mut operation = match members.get("operation").and_then(Value::as_str) {
                Some("download") => named("lfs.download", "repo.read", false),
                Some("upload") => {
                    let mut upload = named("lfs.upload", "git:lfs-upload", true);
                    upload.reference = reference(&members);
                    upload
                }
                _ => return Err(Fault::unreadable("LFS batch without a known operation")),
            };
            let objects = members.get("objects").and_then(Value::as_array);
            let count = objects.map(Vec::len).unwrap_or_default();
            attribute(&mut operation, "objects", &count.to_string());
            Some(operation)
        }
        ["locks"] => {
            let members = members(head, bytes)?;
            let mut operation = named("lfs.lock", "git:lfs-lock", true);
            operation.reference = reference(&members);
            if let Some(path) = members.get("path").and_then(Value::as_str) {
                attribute(&mut operation, "resource", path);
            }
            Some(operation)
        }
        // Asked before every push: which locks are there.
        ["locks", "verify"] => Some(named("lfs.read", "repo.read", false)),
        ["locks", id, "unlock"] => {
            let mut operation = named("lfs.unlock", "git:lfs-unlock", true);
            attribute(&mut operation, "resource", id);
            Some(operation)
        }
        _ => None,
    })
}

fn members(head: &RequestHead, bytes: &[u8]) -> Result<Map<String, Value>, Fault> {
    match body::read_json(head, bytes)? {
        Value::Object(members) => Ok(members),
        _ => Err(Fault::unreadable("LFS body is no object")),
    }
}

/// `ref.name`, if the client says which.
fn reference(members: &Map<String, Value>) -> Target {
    match members
        .get("ref")
        .and_then(|r| r.get("name"))
        .and_then(Value::as_str)
    {
        Some(name) => ref_target(name.to_owned()),
        None => Target::Any,
    }
}

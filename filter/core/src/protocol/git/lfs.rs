//! Git LFS: the batch API, file locks, and objects that a server takes itself (git-lfs `docs/api`).

use serde_json::{Map, Value};

use super::{Place, attribute, body};
use crate::head::RequestHead;
use crate::operation::{Operation, Target};
use crate::protocol::{Fault, is_read, ref_target};

/// Members that decide.
const DECIDING: &[&str] = &["operation", "objects", "ref", "path", "force"];

pub(super) fn needs_body(rest: &[String]) -> bool {
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    matches!(
        rest.as_slice(),
        ["objects", "batch"] | ["locks"] | ["locks", _, "unlock"]
    )
}

/// The operation of a request below `info/lfs`; nothing for what the API does not have.
pub(super) fn operation(
    head: &RequestHead,
    rest: &[String],
    place: &Place,
    bytes: &[u8],
) -> Result<Option<Operation>, Fault> {
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let named = |name: &str, alias: &str, write: bool| Operation {
        name: name.to_owned(),
        aliases: vec![alias.to_owned()],
        write,
        ..place.operation()
    };
    if is_read(&head.method) {
        return Ok(Some(named("lfs.read", "repo.read", false)));
    }
    let upload = |reference: Target| Operation {
        reference,
        ..named("lfs.upload", "git:lfs-upload", true)
    };
    let operation = match (head.method.to_ascii_uppercase().as_str(), rest.as_slice()) {
        ("POST", ["objects", "batch"]) => {
            let members = members(head, bytes)?;
            let mut operation = match members.get("operation").and_then(Value::as_str) {
                Some("download") => named("lfs.download", "repo.read", false),
                Some("upload") => upload(reference(&members)?),
                _ => return Err(Fault::unreadable("LFS batch without a known operation")),
            };
            let objects = match members.get("objects") {
                Some(Value::Array(objects)) => objects.as_slice(),
                None | Some(Value::Null) => &[],
                Some(_) => return Err(Fault::unreadable("LFS objects are no list")),
            };
            let size = |object: &Value| object.get("size").and_then(Value::as_u64);
            let bytes = objects.iter().filter_map(size).fold(0, u64::saturating_add);
            attribute(&mut operation, "objects", &objects.len().to_string());
            attribute(&mut operation, "bytes", &bytes.to_string());
            operation
        }
        // A server that keeps the objects itself takes and confirms them under these names.
        ("PUT", ["objects", _] | ["objects", _, _])
        | ("POST", ["objects", "verify"] | ["objects", _, "verify"] | ["verify"]) => {
            upload(Target::Any)
        }
        ("POST", ["locks"]) => {
            let members = members(head, bytes)?;
            let mut operation = named("lfs.lock", "git:lfs-lock", true);
            operation.reference = reference(&members)?;
            if let Some(path) = members.get("path").and_then(Value::as_str) {
                attribute(&mut operation, "resource", path);
            }
            operation
        }
        // Asked before every push: which locks are there.
        ("POST", ["locks", "verify"]) => named("lfs.read", "repo.read", false),
        ("POST", ["locks", id, "unlock"]) => {
            let mut operation = named("lfs.unlock", "git:lfs-unlock", true);
            let members = if bytes.is_empty() {
                body::identity_coding(head)?;
                Map::new()
            } else {
                members(head, bytes)?
            };
            operation.reference = reference(&members)?;
            // With force it is somebody else's.
            let force = members.get("force") == Some(&Value::Bool(true));
            attribute(&mut operation, "force", &force.to_string());
            attribute(&mut operation, "resource", id);
            operation
        }
        _ => return Ok(None),
    };
    Ok(Some(operation))
}

fn members(head: &RequestHead, bytes: &[u8]) -> Result<Map<String, Value>, Fault> {
    match body::read_json(head, bytes)? {
        Value::Object(members) => {
            body::exact_names(body::without_twins(&members)?, DECIDING)?;
            Ok(members)
        }
        _ => Err(Fault::unreadable("LFS body is no object")),
    }
}

/// `ref.name`, if the client says which.
fn reference(members: &Map<String, Value>) -> Result<Target, Fault> {
    let Some(Value::Object(reference)) = members.get("ref") else {
        return Ok(Target::Any);
    };
    body::exact_names(reference, &["name"])?;
    Ok(match reference.get("name").and_then(Value::as_str) {
        Some(name) => ref_target(name.to_owned()),
        None => Target::Any,
    })
}

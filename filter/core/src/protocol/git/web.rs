//! What a git host serves beside git: files, archives, pages, and signing in.

use super::{Place, attribute};
use crate::head::RequestHead;
use crate::operation::{Operation, Paths, Target};
use crate::path::RequestPath;
use crate::protocol::http;

/// The operation of a request that is none of git's or Git LFS's.
pub(super) fn operation(head: &RequestHead, path: &RequestPath) -> Operation {
    let operation = http::operation(head, path);
    if operation.write {
        return write(operation, path);
    }
    read(operation, &head.host(), path)
}

/// Reads below a repository are reads of it.
fn read(mut operation: Operation, host: &str, path: &RequestPath) -> Operation {
    let segments = path.segments();
    let end = segments
        .iter()
        .position(|segment| segment.to_ascii_lowercase().ends_with(".git"));
    // With `.git` it says itself where it ends.
    let (repository, below) = match end {
        Some(end) => segments.split_at(end + 1),
        None => segments.split_at(segments.len().min(2)),
    };
    match segments {
        [orgs, name, ..] if end.is_none() && ACCOUNTS.contains(&orgs.as_str()) => {
            operation.account = Target::Known(name.to_ascii_lowercase());
            return operation;
        }
        [first, _, ..] if end.is_none() && SITE.contains(&first.as_str()) => return operation,
        [] | [_] if end.is_none() && !host.starts_with("gist.") => return operation,
        _ => {}
    }
    let place = Place::of(host, repository);
    operation.aliases.push(operation.name);
    operation.name = "repo.read".to_owned();
    let found = place.operation();
    operation.repo = found.repo;
    operation.account = found.account;
    operation.attributes.extend(found.attributes);
    let below: Vec<&str> = below.iter().map(String::as_str).collect();
    match below.as_slice() {
        [
            "archive" | "zipball" | "tarball" | "legacy.zip" | "legacy.tar.gz",
            ..,
        ] => {
            archive(&mut operation);
        }
        _ if host.starts_with("codeload.") => archive(&mut operation),
        // A branch may hold slashes: where its name ends and the path begins is not to be seen.
        ["raw" | "blob" | "blame" | "edit", ..] => operation.paths = Paths::Unknown,
        _ if host.starts_with("raw.") => operation.paths = Paths::Unknown,
        ["releases", "download", tag, file] => {
            attribute(&mut operation, "resource", &format!("{tag}/{file}"));
        }
        ["wiki", ..] => attribute(&mut operation, "wiki", "true"),
        _ => {}
    }
    operation
}

fn archive(operation: &mut Operation) {
    operation.name = "archive.read".to_owned();
    operation.aliases.push("repo.read".to_owned());
}

fn write(mut operation: Operation, path: &RequestPath) -> Operation {
    let segments: Vec<&str> = path.segments().iter().map(String::as_str).collect();
    operation.aliases.push(operation.name);
    operation.name = match segments.as_slice() {
        ["login", "device", "code"] | ["login", "oauth", "access_token"]
            if operation.aliases == ["http.post"] =>
        {
            "auth.device_flow".to_owned()
        }
        _ => {
            operation.repo = Target::Any;
            "git.unknown_write".to_owned()
        }
    };
    operation
}

/// First segments before the name of an organisation or user.
const ACCOUNTS: [&str; 4] = ["orgs", "organizations", "users", "sponsors"];

/// First segments of github.com that are no account.
const SITE: [&str; 24] = [
    "about",
    "account",
    "apps",
    "codespaces",
    "collections",
    "copilot",
    "dashboard",
    "enterprises",
    "events",
    "explore",
    "features",
    "issues",
    "login",
    "marketplace",
    "new",
    "notifications",
    "pulls",
    "search",
    "security",
    "sessions",
    "settings",
    "stars",
    "topics",
    "trending",
];

//! What a request names by URI: GitHub's `repo://owner/repo/…/contents/path`.

use serde_json::Value;

use crate::operation::{Operation, Paths, Target};
use crate::protocol::github::file_paths;
use crate::protocol::repo_target;

use super::tools::set;

/// `resources/read`, `resources/subscribe` and `resources/unsubscribe`.
pub(super) fn read(operation: &mut Operation, uri: &str) {
    operation.name = "mcp.resource".to_owned();
    set(operation, "uri", uri);
    if let Some(rest) = repository_uri(uri) {
        operation.name = "repo.read".to_owned();
        (operation.repo, operation.paths) = repository(rest);
    }
}

/// `completion/complete`: completing a part of `repo://…` looks into the repository that
/// `context.arguments` names.
pub(super) fn complete(operation: &mut Operation, params: Option<&Value>) {
    let of = |names: &[&str]| {
        names
            .iter()
            .try_fold(params?, |value, name| value.get(name))
            .and_then(Value::as_str)
    };
    if let Some(uri) = of(&["ref", "uri"])
        && repository_uri(uri).is_some()
    {
        operation.name = "repo.read".to_owned();
        let owner = of(&["context", "arguments", "owner"]);
        let repo = of(&["context", "arguments", "repo"]);
        operation.repo = match (owner, repo) {
            (Some(owner), Some(repo)) => repo_target(owner, repo),
            _ => Target::Any,
        };
    }
}

/// Schemes are not case-sensitive (RFC 3986, section 3.1).
fn repository_uri(uri: &str) -> Option<&str> {
    let scheme = uri.get(..7)?;
    scheme
        .eq_ignore_ascii_case("repo://")
        .then(|| uri.get(7..).unwrap_or_default())
}

/// `owner/repo[/refs/…|/sha/…]/contents/path`. An encoded one could be read in two ways.
fn repository(rest: &str) -> (Target, Paths) {
    if rest.contains(['%', '?', '#']) {
        return (Target::Any, Paths::Unknown);
    }
    let mut parts = rest.splitn(3, '/');
    let (Some(owner), Some(repo)) = (parts.next(), parts.next()) else {
        return (Target::Any, Paths::Unknown);
    };
    let below = parts.next().unwrap_or_default();
    let path = below
        .strip_prefix("contents/")
        .or_else(|| below.split_once("/contents/").map(|(_, path)| path));
    let paths = match path.map(|path| path.trim_matches('/')) {
        None | Some("") => Paths::None,
        // A branch may hold the word as well.
        Some(path) if path.contains("contents/") => Paths::Unknown,
        Some(path) => file_paths(std::iter::once(path)),
    };
    (repo_target(owner, repo), paths)
}

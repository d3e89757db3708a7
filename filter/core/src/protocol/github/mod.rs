//! GitHub's API: REST by a table, GraphQL by its document.
//!
//! The gateway serves it under `/api/v3`, `/api/graphql` and `/api/uploads` as well, as GitHub
//! Enterprise Server does. What the table does not have is `repo.read` or `github.read` for reads,
//! and `github.unknown_write` for everything else.

mod attributes;
mod graphql;
mod mutations;
mod route;
mod table;

use serde_json::{Map, Value};

use super::fields::Fields;
use super::{BodyNeed, Fault, Judged, Protocol, Request, body, is_read};
use crate::denial::DenialStyle;
use crate::head::RequestHead;
use crate::operation::{Operation, Target};
use crate::path::RequestPath;

pub(crate) use attributes::file_paths;

/// GitHub's REST and GraphQL API.
pub(super) struct GitHub;

impl Protocol for GitHub {
    fn name(&self) -> &'static str {
        "github"
    }

    fn body_need(&self, head: &RequestHead, path: &RequestPath) -> BodyNeed {
        body_need(head, path)
    }

    fn judge(&self, request: &Request<'_>) -> Result<Judged, Fault> {
        judge(request.head, request.path, request.body)
    }

    fn style(&self, _: &RequestHead, path: Option<&RequestPath>) -> DenialStyle {
        path.map_or(DenialStyle::GitHubRest, style)
    }
}

/// The path below the API's root.
fn api_path(path: &RequestPath) -> RequestPath {
    let is = |segment: &String, name: &str| segment.eq_ignore_ascii_case(name);
    match path.segments() {
        [api, v3, ..] if is(api, "api") && (is(v3, "v3") || is(v3, "uploads")) => path.without(2),
        [api, graphql, ..] if is(api, "api") && is(graphql, "graphql") => path.without(1),
        _ => path.clone(),
    }
}

fn is_graphql(path: &RequestPath) -> bool {
    matches!(path.segments(), [only] if only.eq_ignore_ascii_case("graphql"))
}

pub(super) fn body_need(head: &RequestHead, path: &RequestPath) -> BodyNeed {
    let path = api_path(path);
    if is_graphql(&path) {
        return if is_read(&head.method) {
            BodyNeed::None
        } else {
            BodyNeed::Whole
        };
    }
    match route::find(&head.method.to_ascii_uppercase(), path.segments()) {
        Some(found) if found.row.reads.body() => BodyNeed::Whole,
        Some(_) | None => BodyNeed::None,
    }
}

pub(super) fn style(path: &RequestPath) -> DenialStyle {
    if is_graphql(&api_path(path)) {
        DenialStyle::GraphQl
    } else {
        DenialStyle::GitHubRest
    }
}

pub(super) fn judge(head: &RequestHead, path: &RequestPath, body: &[u8]) -> Result<Judged, Fault> {
    let path = api_path(path);
    if is_graphql(&path) {
        let operations = graphql::operations(head, &path, body)?;
        return Ok(Judged::new(operations, DenialStyle::GraphQl));
    }
    let method = head.method.to_ascii_uppercase();
    let operations = match route::find(&method, path.segments()) {
        Some(found) => {
            let members = if found.row.reads.body() {
                members(head, body)?
            } else {
                Map::new()
            };
            attributes::operations(&found, &Fields::new(&members, &path))?
        }
        None => vec![unlisted(&method, &path)],
    };
    Ok(Judged::new(operations, DenialStyle::GitHubRest))
}

/// The members of a JSON body; none where there is no body.
fn members(head: &RequestHead, bytes: &[u8]) -> Result<Map<String, Value>, Fault> {
    if bytes.is_empty() {
        body::identity_coding(head)?;
        return Ok(Map::new());
    }
    match body::read_json(head, bytes)? {
        Value::Object(members) => Ok(members),
        Value::Null => Ok(Map::new()),
        // `PUT …/labels` and a few others take a bare array; none of them has attributes.
        Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Err(Fault::unreadable("the JSON body is no object"))
        }
    }
}

/// A call the table does not have.
fn unlisted(method: &str, path: &RequestPath) -> Operation {
    let repository = route::repository(path.segments());
    let name = match (is_read(method), &repository) {
        (true, Some(_)) => "repo.read",
        (true, None) => "github.read",
        (false, _) => "github.unknown_write",
    };
    let write = !is_read(method);
    let mut operation = Operation {
        name: name.to_owned(),
        aliases: vec![format!("http.{}", method.to_ascii_lowercase())],
        write,
        ..Operation::default()
    };
    operation.repo = match repository {
        Some((repo, _)) => repo,
        None if write => Target::Any,
        None => Target::None,
    };
    if write {
        operation.reference = Target::Any;
    }
    attributes::set(&mut operation, "path", &path.to_string());
    operation
}

#[cfg(test)]
#[path = "github_tests.rs"]
mod tests;

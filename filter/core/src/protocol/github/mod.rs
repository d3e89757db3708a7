//! GitHub's API: REST by a table, GraphQL by its document.
//!
//! The gateway serves it under `/api/v3`, `/api/graphql` and `/api/uploads` as well, as GitHub
//! Enterprise Server does. What the table does not have is `repo.read` or `github.read` for reads,
//! and `github.unknown_write` for everything else.

mod attributes;
mod graphql;
mod nodes;
mod places;
mod route;
mod search;
mod shown;
mod table;

use serde_json::{Map, Value};

use super::fields::Fields;
use super::{BodyNeed, Fault, Judged, Protocol, Request, body, is_read};
use crate::denial::DenialStyle;
use crate::head::RequestHead;
use crate::operation::{Operation, Target};
use crate::path::RequestPath;

pub(crate) use attributes::file_paths;
pub(crate) use search::within as search_within;

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

/// The segments below the API's root.
fn below_root(path: &RequestPath) -> &[String] {
    let is = |segment: &String, name: &str| segment.eq_ignore_ascii_case(name);
    match path.segments() {
        [api, v3, rest @ ..] if is(api, "api") && (is(v3, "v3") || is(v3, "uploads")) => rest,
        [api, rest @ ..]
            if is(api, "api") && rest.first().is_some_and(|first| is(first, "graphql")) =>
        {
            rest
        }
        segments => segments,
    }
}

fn is_graphql(segments: &[String]) -> bool {
    matches!(segments, [only] if only.eq_ignore_ascii_case("graphql"))
}

/// The path with every encoded slash taken for a plain one, where there is any. A parameter may
/// hold one; a server that decodes before it routes would see another path.
fn taken_apart(segments: &[String]) -> Option<Vec<String>> {
    let parts = || segments.iter().flat_map(|segment| segment.split('/'));
    (parts().count() > segments.len()).then(|| parts().map(str::to_owned).collect())
}

fn body_need(head: &RequestHead, path: &RequestPath) -> BodyNeed {
    let segments = below_root(path);
    if is_graphql(segments) {
        // A GET that brings a body is refused.
        return BodyNeed::Whole;
    }
    let reads = |segments: &[String]| {
        route::find(&head.method, segments).is_some_and(|f| f.row.effect.source.body())
    };
    if reads(segments) || taken_apart(segments).is_some_and(|apart| reads(&apart)) {
        BodyNeed::Whole
    } else {
        BodyNeed::None
    }
}

fn style(path: &RequestPath) -> DenialStyle {
    if is_graphql(below_root(path)) {
        DenialStyle::GraphQl
    } else {
        DenialStyle::GitHubRest
    }
}

fn judge(head: &RequestHead, path: &RequestPath, body: &[u8]) -> Result<Judged, Fault> {
    let segments = below_root(path);
    if is_graphql(segments) {
        let operations = graphql::operations(head, path, body, &nodes::Nodes::default())?;
        return Ok(Judged::new(operations, DenialStyle::GraphQl));
    }
    let found = route::find(&head.method, segments);
    let row = found.as_ref().map(|found| found.row);
    let mut operations = match &found {
        Some(found) => listed(found, head, path, body)?,
        None => vec![unlisted(&head.method, segments)],
    };
    if let Some(apart) = taken_apart(segments)
        && let Some(other) = route::find(&head.method, &apart)
        && !row.is_some_and(|row| std::ptr::eq(row, other.row))
    {
        operations.extend(listed(&other, head, path, body)?);
    }
    Ok(Judged::new(operations, DenialStyle::GitHubRest))
}

/// The operations of a call that the table has.
fn listed(
    found: &route::Found<'_>,
    head: &RequestHead,
    path: &RequestPath,
    body: &[u8],
) -> Result<Vec<Operation>, Fault> {
    let members = if found.row.effect.source.body() {
        members(found, head, body)?
    } else {
        Map::new()
    };
    attributes::operations(found, &Fields::new(&members, path))
}

/// The members of a JSON body; none where there is no body.
fn members(
    found: &route::Found<'_>,
    head: &RequestHead,
    bytes: &[u8],
) -> Result<Map<String, Value>, Fault> {
    if bytes.is_empty() {
        body::identity_coding(head)?;
        return Ok(Map::new());
    }
    match body::read_json(head, bytes)? {
        Value::Object(members) => {
            body::without_twins(&members)?;
            Ok(members)
        }
        Value::Null => Ok(Map::new()),
        Value::Array(items) if found.row.effect.source.is_list() => {
            Ok(attributes::listed(found, items))
        }
        Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Err(Fault::unreadable("the JSON body is no object"))
        }
    }
}

/// A call that the table does not have: it could be about anything.
fn unlisted(method: &str, segments: &[String]) -> Operation {
    let repository = route::repository(segments);
    let write = !is_read(method);
    let name = match (write, &repository) {
        (false, Some(_)) => "repo.read",
        (false, None) => "github.read",
        (true, _) => "github.unknown_write",
    };
    let account = route::account(segments);
    let mut operation = Operation {
        name: name.to_owned(),
        aliases: vec![format!("http.{}", method.to_ascii_lowercase())],
        account: match account {
            Target::None if repository.is_none() => Target::Any,
            known => known,
        },
        repo: repository.unwrap_or(Target::Any),
        write,
        ..Operation::default()
    };
    if write {
        operation.reference = Target::Any;
    }
    let path = format!("/{}", segments.join("/"));
    attributes::set(&mut operation, "path", &path);
    operation
}

#[cfg(test)]
#[path = "github_tests.rs"]
mod tests;

//! The REST API: reading a request into a [`Call`], one table of paths, and the headers GitHub puts on every answer.

mod account;
mod contents;
mod git_data;
mod pulls;
mod repositories;
mod shelves;

pub(crate) use git_data::move_reference;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::answer::{Answer, request_id};
use crate::graphql;
use crate::hosts::Addresses;
use crate::organisation::Organisation;
use crate::refusal::{Outcome, Refusal};
use crate::upstream::{Shared, Upstream, blocking};

/// Requests an hour, as for an app of an enterprise.
const RATE_LIMIT: u64 = 15_000;
/// Largest body read, in bytes.
const BODY_LIMIT: usize = 100 * 1024 * 1024;

/// A request that has been read whole.
#[derive(Debug)]
pub struct Call {
    /// In capitals.
    pub method: String,
    /// Path segments, percent-decoded one by one: an encoded slash stays inside its segment.
    pub segments: Vec<String>,
    /// The query's pairs.
    pub query: BTreeMap<String, String>,
    /// The JSON body; null if there is none.
    pub body: Value,
    /// The body as it came.
    pub raw: Bytes,
    /// The `Accept` header.
    pub accept: String,
    /// For links.
    pub at: Addresses,
}

impl Call {
    /// A text member of the body, or an empty one.
    pub fn text(&self, member: &str) -> &str {
        self.body[member].as_str().unwrap_or_default()
    }

    /// A text member of the body that must be there.
    pub fn required(&self, resource: &str, member: &str) -> Outcome<&str> {
        self.body[member]
            .as_str()
            .ok_or_else(|| Refusal::invalid(resource, member, "missing_field"))
    }

    /// A parameter of the query, or an empty one.
    pub fn parameter(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// One page of a list, with `Link` as GitHub words it.
    pub fn page(&self, all: Vec<Value>) -> Answer {
        let number =
            |name: &str, default: usize| self.parameter(name).parse().unwrap_or(default).max(1);
        let (size, page) = (number("per_page", 30).min(100), number("page", 1));
        let last = all.len().div_ceil(size).max(1);
        let shown: Vec<Value> = all.into_iter().skip((page - 1) * size).take(size).collect();
        let answer = Answer::ok(Value::Array(shown));
        if last == 1 {
            return answer;
        }
        let url = |page: usize| {
            let path = self.segments.join("/");
            let mut query = vec![format!("per_page={size}"), format!("page={page}")];
            let others = self
                .query
                .iter()
                .filter(|(name, _)| !matches!(name.as_str(), "per_page" | "page"));
            query.extend(others.map(|(name, value)| format!("{name}={value}")));
            format!("<{}/{path}?{}>", self.at.api, query.join("&"))
        };
        let mut links = Vec::new();
        if page > 1 {
            links.push(format!("{}; rel=\"prev\"", url(page - 1)));
        }
        if page < last {
            links.push(format!("{}; rel=\"next\"", url(page + 1)));
            links.push(format!("{}; rel=\"last\"", url(last)));
        }
        if page > 1 {
            links.push(format!("{}; rel=\"first\"", url(1)));
        }
        answer.with(http::header::LINK, links.join(", "))
    }
}

/// Answers a request to api.github.com.
pub async fn serve(upstream: Shared, request: Request) -> Response {
    let answered = match read(&upstream, request).await {
        Ok(call) => {
            let shared = upstream.clone();
            blocking(move || answer(&shared, &call))
                .await
                .and_then(|answered| answered)
        }
        Err(refusal) => Err(refusal),
    };
    let response = match answered {
        Ok(answer) => answer.into_response(),
        Err(refusal) => refusal.into_response(),
    };
    dress(&upstream, response)
}

/// Reads a request whole. GitHub Enterprise's `/api/v3` and `/api` prefixes are understood, and so are doubled and
/// trailing slashes: a path that slips past a gateway in disguise must still do its harm here.
pub async fn read(upstream: &Upstream, request: Request) -> Outcome<Call> {
    let (parts, body) = request.into_parts();
    let raw = Limited::new(body, BODY_LIMIT)
        .collect()
        .await
        .map_err(|_| {
            Refusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "Request body too large or broken off",
            )
        })?
        .to_bytes();
    let mut segments: Vec<String> = parts
        .uri
        .path()
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(decoded)
        .collect();
    let prefix = match segments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["api", "v3", ..] => 2,
        ["api", "graphql" | "uploads", ..] => 1,
        _ => 0,
    };
    segments.drain(..prefix);
    let query = parts.uri.query().unwrap_or_default();
    let query = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(&value.replace('+', " ")))
        });
    let upload = segments.last().is_some_and(|last| last == "assets");
    let body = if raw.is_empty() || upload {
        Value::Null
    } else {
        serde_json::from_slice(&raw)
            .map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "Problems parsing JSON"))?
    };
    Ok(Call {
        method: parts.method.to_string(),
        segments,
        query: query.collect(),
        body,
        raw,
        accept: text(&parts.headers, "accept"),
        at: Addresses::of(&parts, upstream.public_url.as_deref()),
    })
}

/// The table of first segments.
pub fn answer(upstream: &Upstream, call: &Call) -> Outcome<Answer> {
    let mut organisation = upstream.organisation();
    let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    let allowed = matches!(
        call.method.as_str(),
        "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE"
    );
    if !allowed {
        return Err(Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "Method Not Allowed",
        ));
    }
    let method = if call.method == "HEAD" {
        "GET"
    } else {
        call.method.as_str()
    };
    match (method, segments.as_slice()) {
        ("POST", ["graphql"]) => Ok(Answer::ok(graphql::execute(
            &mut organisation,
            &call.body,
            &call.at,
        ))),
        (_, ["repos", owner, name, rest @ ..]) => {
            within(&mut organisation, call, method, (owner, name), rest)
        }
        (_, ["repositories", id, rest @ ..]) => {
            // Where GitHub sends clients of a renamed repository.
            let (owner, name) = organisation.by_id(id).ok_or_else(Refusal::not_found)?;
            within(&mut organisation, call, method, (&owner, &name), rest)
        }
        (_, ["copilot_internal", rest @ ..]) => account::copilot(upstream, call, method, rest),
        (_, rest) => account::answer(&mut organisation, upstream, call, method, rest),
    }
}

/// The owner and name of a repository, as the path has them.
type Name<'a> = (&'a str, &'a str);

/// The table below a repository, in parts.
fn within(
    organisation: &mut Organisation,
    call: &Call,
    method: &str,
    name: Name<'_>,
    rest: &[&str],
) -> Outcome<Answer> {
    // 404 for the repository comes before anything about what lies below it.
    organisation.repository(name.0, name.1)?;
    match rest.first().copied() {
        Some("contents" | "readme" | "tarball" | "zipball") => {
            contents::answer(organisation, call, method, name, rest)
        }
        Some(
            "git" | "branches" | "commits" | "merges" | "compare" | "tags" | "merge-upstream"
            | "statuses",
        ) => git_data::answer(organisation, call, method, name, rest),
        Some("pulls" | "issues" | "labels" | "milestones" | "assignees") => {
            pulls::answer(organisation, call, method, name, rest)
        }
        None
        | Some(
            "transfer" | "generate" | "forks" | "topics" | "languages" | "contributors"
            | "dispatches",
        ) => repositories::answer(organisation, call, method, name, rest),
        Some(_) => shelves::answer(organisation, call, method, name, rest),
    }
}

/// Adds the headers that every answer of api.github.com has.
pub fn dress(upstream: &Upstream, mut response: Response) -> Response {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let used = (upstream.used.fetch_add(1, Ordering::Relaxed) + 1).min(RATE_LIMIT);
    let reset = now - now % 3600 + 3600;
    for (name, value) in [
        ("x-github-request-id", request_id()),
        ("x-github-media-type", "github.v3; format=json".into()),
        ("x-github-api-version-selected", "2022-11-28".into()),
        ("x-ratelimit-limit", RATE_LIMIT.to_string()),
        ("x-ratelimit-remaining", (RATE_LIMIT - used).to_string()),
        ("x-ratelimit-used", used.to_string()),
        ("x-ratelimit-reset", reset.to_string()),
        ("x-ratelimit-resource", "core".into()),
        (
            "x-oauth-scopes",
            "repo, workflow, admin:org, delete_repo, gist".into(),
        ),
        ("server", "github.com".into()),
        ("x-content-type-options", "nosniff".into()),
    ] {
        if let Ok(value) = HeaderValue::try_from(value) {
            response
                .headers_mut()
                .insert(HeaderName::from_static(name), value);
        }
    }
    response
}

/// The numbers behind the headers, for `/rate_limit`.
fn rate(upstream: &Upstream) -> Value {
    let used = upstream.used.load(Ordering::Relaxed).min(RATE_LIMIT);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    serde_json::json!({
        "limit": RATE_LIMIT, "remaining": RATE_LIMIT - used, "used": used, "reset": now - now % 3600 + 3600,
    })
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn text(headers: &HeaderMap, name: &str) -> String {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned()
}

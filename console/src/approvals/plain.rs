//! Questions of Envoy's own `ext_authz` filter: about the request that the call is, on terms that the
//! operator sets there.
//!
//! | what | over HTTP (`authorization_request.headers_to_add`) | over gRPC (`context_extensions`) |
//! |---|---|---|
//! | who may agree, `group:leads, carol` | `x-countersign-reviewers` | `countersign.reviewers` |
//! | how many of them | `x-countersign-min` | `countersign.min` |
//! | milliseconds that it is held | `x-countersign-hold` | `countersign.hold` |
//! | seconds that a later answer counts | `x-countersign-ticket` | `countersign.ticket` |
//! | the rule's name and reason | `x-countersign-rule`, `-reason` | `countersign.rule`, `.reason` |
//! | who asks | `x-countersign-subject`, `-email`, `-groups` | the payload of `jwt_authn` in its metadata, or the peer's principal |
//!
//! The fingerprint is made here, of the caller, the terms and the request with its body. A body has to
//! be handed over whole (`with_request_body`): what was not seen cannot be approved.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Uri};
use countersign_core::ext_authz::messages::AttributeContext;
use prost_types::value::Kind;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::endpoint::Asked;
use crate::secret::random_id;

/// Bytes of a body that a reviewer is shown at most.
const SHOWN_BODY: usize = 64 << 10;
/// Envoy's word on whether it handed the whole body over; missing if it handed none over.
const PARTIAL: &str = "x-envoy-auth-partial-body";
/// The filter whose word on the caller is taken.
const JWT_AUTHN: &str = "envoy.filters.http.jwt_authn";

/// A request as Envoy shows it.
struct Shown {
    method: String,
    authority: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
    caller: Caller,
    terms: BTreeMap<String, String>,
}

#[derive(Default)]
struct Caller {
    subject: String,
    email: Option<String>,
    groups: Vec<String>,
}

/// Reads the call of an HTTP service.
pub(super) fn over_http(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Asked, String> {
    let mut shown = BTreeMap::new();
    let mut terms = BTreeMap::new();
    for (name, value) in headers {
        let name = name.as_str();
        let value = value
            .to_str()
            .map_err(|_| format!("{name} is not text"))?
            .to_owned();
        let old = match name.strip_prefix("x-countersign-") {
            Some(term) => terms.insert(term.to_owned(), value),
            None => shown.insert(name.to_owned(), value),
        };
        // The operator's value and the caller's: there is no telling them apart.
        if old.is_some() && name.starts_with("x-countersign-") {
            return Err(format!("{name} came twice"));
        }
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let path = path.strip_prefix("/ext_authz").unwrap_or(path);
    let authority = uri.authority().map(ToString::to_string);
    let caller = Caller {
        subject: terms.remove("subject").unwrap_or_default(),
        email: terms.remove("email"),
        groups: list(&terms.remove("groups").unwrap_or_default()),
    };
    asked(Shown {
        method: method.to_string(),
        authority: authority
            .or_else(|| shown.get("host").cloned())
            .unwrap_or_default(),
        path: path.to_owned(),
        headers: shown,
        body: body.to_vec(),
        caller,
        terms,
    })
}

/// Reads the call of a gRPC service.
pub(super) fn over_grpc(attributes: AttributeContext) -> Result<Asked, String> {
    let http = attributes.request.and_then(|request| request.http);
    let http = http.ok_or("the call has no request")?;
    let extensions = attributes.context_extensions.into_iter();
    let terms = extensions
        .filter_map(|(name, value)| Some((name.strip_prefix("countersign.")?.to_owned(), value)))
        .collect();
    let mut metadata = attributes.metadata_context.unwrap_or_default();
    let token = metadata.filter_metadata.remove(JWT_AUTHN);
    let caller = match token.and_then(verified) {
        Some(caller) => caller,
        None => Caller {
            subject: attributes.source.map(|s| s.principal).unwrap_or_default(),
            ..Caller::default()
        },
    };
    asked(Shown {
        method: http.method,
        authority: http.host,
        path: http.path,
        body: match http.raw_body.is_empty() {
            true => http.body.into_bytes(),
            false => http.raw_body,
        },
        headers: http.headers,
        caller,
        terms,
    })
}

/// The caller of the one payload that `jwt_authn` put into its metadata.
fn verified(metadata: prost_types::Struct) -> Option<Caller> {
    let mut payloads = metadata
        .fields
        .into_values()
        .filter_map(|value| match value.kind {
            Some(Kind::StructValue(payload)) => Some(payload.fields),
            _ => None,
        });
    let (payload, None) = (payloads.next()?, payloads.next()) else {
        return None;
    };
    let text = |name: &str| match payload.get(name)?.kind.as_ref()? {
        Kind::StringValue(text) => Some(text.clone()),
        _ => None,
    };
    let groups = match payload.get("groups").and_then(|v| v.kind.as_ref()) {
        Some(Kind::ListValue(list)) => list
            .values
            .iter()
            .filter_map(|value| match &value.kind {
                Some(Kind::StringValue(text)) => Some(text.clone()),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    Some(Caller {
        subject: text("sub")?,
        email: text("email"),
        groups,
    })
}

fn list(text: &str) -> Vec<String> {
    let items = text.split(',').map(str::trim);
    items.filter(|i| !i.is_empty()).map(str::to_owned).collect()
}

fn asked(shown: Shown) -> Result<Asked, String> {
    whole_body(&shown)?;
    if shown.caller.subject.is_empty() {
        return Err(
            "nobody says who asks: set x-countersign-subject, or let jwt_authn run before and name its \
             metadata (README, approvals)"
                .to_owned(),
        );
    }
    let term = |name: &str| shown.terms.get(name).map(String::as_str);
    let number = |name: &str, default: u64| match term(name) {
        Some(text) => text
            .parse()
            .map_err(|_| format!("{name} is no number: {text}")),
        None => Ok(default),
    };
    let reviewers = list(term("reviewers").unwrap_or_default());
    if reviewers.is_empty() {
        return Err(
            "nobody may agree: set x-countersign-reviewers or the extension countersign.reviewers"
                .to_owned(),
        );
    }
    let (groups, subjects): (Vec<_>, Vec<_>) =
        reviewers.iter().partition(|r| r.starts_with("group:"));
    let groups: Vec<&str> = groups
        .iter()
        .filter_map(|g| g.strip_prefix("group:"))
        .collect();
    let id = match shown.headers.get("x-request-id") {
        Some(id) => id.clone(),
        None => random_id().map_err(|error| error.to_string())?,
    };
    let hold_ms = number("hold", 14_000)?;
    let policy = hash(
        shown
            .terms
            .iter()
            .flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]),
    );
    let body_sha256 = hash_of(&shown.body);
    let content_type = shown
        .headers
        .get("content-type")
        .cloned()
        .unwrap_or_default();
    let fingerprint = hash(
        [
            "countersign plain v1",
            &shown.caller.subject,
            &shown.method,
            &shown.authority,
            &shown.path,
            &content_type,
            &body_sha256,
            &policy,
        ]
        .into_iter()
        .map(str::as_bytes),
    );
    let (body, truncated) = readable(&shown.body);
    let question = json!({
        "exchange": id,
        "fingerprint": fingerprint,
        "identity": {
            "provider": null,
            "subject": shown.caller.subject,
            "email": shown.caller.email,
            "groups": shown.caller.groups,
        },
        "connection": "ext_authz",
        "request": {
            "method": shown.method,
            "authority": shown.authority,
            "path": shown.path,
            "content_type": content_type,
            "body_sha256": body_sha256,
            "body_size": shown.body.len(),
            "body": body,
            "body_encoding": "utf8",
            "body_truncated": truncated,
        },
        "operations": [],
        "summary": format!("{} {}{}", shown.method, shown.authority, shown.path),
        "rule": term("rule"),
        "reason": term("reason"),
        "policy": policy,
        "approval": terms(&groups, &subjects, number("min", 1)?, hold_ms, number("ticket", 900)?),
    });
    Asked::read(&question.to_string(), Some(hold_ms))
}

fn terms(groups: &[&str], subjects: &[&String], min: u64, hold_ms: u64, ticket_s: u64) -> Value {
    let mut terms = Map::new();
    terms.insert(
        "reviewers".to_owned(),
        json!({"groups": groups, "subjects": subjects}),
    );
    for (name, value) in [("min", min), ("hold_ms", hold_ms), ("ticket_s", ticket_s)] {
        terms.insert(name.to_owned(), value.into());
    }
    Value::Object(terms)
}

/// Whether Envoy showed all of the body that there may be.
fn whole_body(shown: &Shown) -> Result<(), String> {
    let remedy = "set with_request_body with a max_request_bytes that is large enough";
    match shown.headers.get(PARTIAL).map(String::as_str) {
        Some("false") => return Ok(()),
        Some(_) => return Err(format!("only a part of the body was handed over: {remedy}")),
        None => {}
    }
    let writes = matches!(shown.method.as_str(), "POST" | "PUT" | "PATCH");
    let length = shown.headers.get("content-length");
    let announced =
        length.is_some_and(|l| l != "0") || shown.headers.contains_key("transfer-encoding");
    match writes || announced {
        true => Err(format!("the body was not handed over: {remedy}")),
        false => Ok(()),
    }
}

fn readable(body: &[u8]) -> (String, bool) {
    let part = body.get(..SHOWN_BODY).unwrap_or(body);
    (
        String::from_utf8_lossy(part).into_owned(),
        part.len() < body.len(),
    )
}

fn hash_of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Each part behind its length, so that no two lists of parts are one.
fn hash<'a>(parts: impl Iterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[path = "plain_tests.rs"]
mod tests;

//! GitHub's MCP server over streamable HTTP, on the same organisation.
//!
//! The revisions with sessions (2025-03-26 to 2025-11-25: `initialize`, `mcp-session-id`) and the stateless one of
//! 2026-07-28 (`server/discover`, headers that repeat the body) are both spoken.

mod tools;

use axum::Json;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use serde_json::{Value, json};

use crate::answer::request_id;
use crate::hosts::Addresses;
use crate::upstream::{Shared, blocking};

/// The stateless revision.
const STATELESS: &str = "2026-07-28";
/// Revisions with sessions, newest first.
const SESSIONS: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];
const BODY_LIMIT: usize = 32 * 1024 * 1024;

/// Answers a request to `/mcp…`; `readonly` leaves out the tools that write.
pub async fn serve(upstream: Shared, request: Request, readonly: bool) -> Response {
    let (parts, body) = request.into_parts();
    let headers = parts.headers.clone();
    match parts.method {
        Method::POST => {}
        Method::DELETE => {
            let ended = upstream
                .mcp_sessions()
                .remove(text(&headers, "mcp-session-id"));
            return if ended {
                StatusCode::NO_CONTENT
            } else {
                StatusCode::NOT_FOUND
            }
            .into_response();
        }
        _ => {
            return (
                StatusCode::METHOD_NOT_ALLOWED,
                [(header::ALLOW, "POST, DELETE")],
            )
                .into_response();
        }
    }
    let message = match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => serde_json::from_slice::<Value>(&body.to_bytes()),
        Err(_) => {
            return failure(
                StatusCode::PAYLOAD_TOO_LARGE,
                &Value::Null,
                -32600,
                "Request too large",
            );
        }
    };
    let Ok(message) = message else {
        return failure(StatusCode::BAD_REQUEST, &Value::Null, -32700, "Parse error");
    };
    let session = text(&headers, "mcp-session-id");
    if !session.is_empty() && !upstream.mcp_sessions().contains(session) {
        return failure(
            StatusCode::NOT_FOUND,
            &message["id"],
            -32001,
            "Session not found",
        );
    }
    let readonly = readonly || text(&headers, "x-mcp-readonly").eq_ignore_ascii_case("true");
    let place = Place {
        at: Addresses::of(&parts, upstream.public_url.as_deref()),
        upstream,
        readonly,
        stateless: text(&headers, "mcp-protocol-version") == STATELESS,
    };
    match message {
        // Batches belong to revision 2025-03-26 alone.
        Value::Array(messages) => {
            let mut answers = Vec::new();
            for message in messages {
                answers.extend(place.answer(message).await);
            }
            if answers.is_empty() {
                StatusCode::ACCEPTED.into_response()
            } else {
                Json(Value::Array(answers)).into_response()
            }
        }
        message => {
            if place.stateless
                && let Err(complaint) = same_as_body(&headers, &message)
            {
                return failure(StatusCode::BAD_REQUEST, &message["id"], -32020, &complaint);
            }
            let starts = message["method"] == "initialize";
            let calls = message["method"] == "tools/call";
            let Some(answer) = place.answer(message).await else {
                return StatusCode::ACCEPTED.into_response();
            };
            let mut response = if calls && text(&headers, "accept").contains("text/event-stream") {
                let event = format!("event: message\ndata: {answer}\n\n");
                (
                    [
                        (header::CONTENT_TYPE, "text/event-stream"),
                        (header::CACHE_CONTROL, "no-cache"),
                    ],
                    event,
                )
                    .into_response()
            } else {
                Json(answer).into_response()
            };
            if starts {
                let id = format!("session-{}", request_id().replace(':', "").to_lowercase());
                if let Ok(value) = HeaderValue::try_from(&id) {
                    response.headers_mut().insert("mcp-session-id", value);
                    place.upstream.mcp_sessions().insert(id);
                }
            }
            response
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn failure(status: StatusCode, id: &Value, code: i64, message: &str) -> Response {
    (
        status,
        Json(json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })),
    )
        .into_response()
}

/// 2026-07-28: `Mcp-Method` and `Mcp-Name` must say what the body says.
fn same_as_body(headers: &HeaderMap, message: &Value) -> Result<(), String> {
    let method = message["method"].as_str().unwrap_or_default();
    if text(headers, "mcp-method") != method {
        return Err(format!(
            "Header Mcp-Method does not match the body's method {method}"
        ));
    }
    if method == "tools/call"
        && text(headers, "mcp-name") != message["params"]["name"].as_str().unwrap_or_default()
    {
        return Err("Header Mcp-Name does not match the body's tool".into());
    }
    Ok(())
}

/// What one POST needs.
struct Place {
    upstream: Shared,
    at: Addresses,
    readonly: bool,
    stateless: bool,
}

impl Place {
    /// The answer to one message; nothing for a notification.
    async fn answer(&self, message: Value) -> Option<Value> {
        let id = message.get("id").filter(|id| !id.is_null())?.clone();
        let params = &message["params"];
        let error = |code: i64, text: &str| {
            Some(json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": text } }))
        };
        let mut result = match message["method"].as_str() {
            Some("initialize") => {
                let wanted = params["protocolVersion"].as_str().unwrap_or_default();
                let version = SESSIONS
                    .iter()
                    .find(|known| **known == wanted)
                    .unwrap_or(&SESSIONS[0]);
                json!({ "protocolVersion": version, "capabilities": { "tools": { "listChanged": false } }, "serverInfo": server(), "instructions": INSTRUCTIONS })
            }
            Some("server/discover") => json!({
                "supportedVersions": [STATELESS],
                "capabilities": { "tools": { "listChanged": false } },
                "instructions": INSTRUCTIONS,
                "_meta": { "io.modelcontextprotocol/serverInfo": server() },
                "ttlMs": 0,
                "cacheScope": "private",
            }),
            Some("ping") => json!({}),
            Some("tools/list") => {
                json!({ "tools": tools::list(self.readonly), "ttlMs": 0, "cacheScope": "private" })
            }
            Some("tools/call") => {
                let name = params["name"].as_str().unwrap_or_default().to_owned();
                if !tools::known(&name, self.readonly) {
                    return error(-32602, &format!("unknown tool \"{name}\""));
                }
                let (upstream, at, arguments) = (
                    self.upstream.clone(),
                    self.at.clone(),
                    params["arguments"].clone(),
                );
                let called = blocking(move || tools::call(&upstream, &at, &name, &arguments)).await;
                match called.and_then(|called| called) {
                    Ok(value) => {
                        json!({ "content": [{ "type": "text", "text": value.to_string() }], "isError": false })
                    }
                    Err(refusal) => {
                        let text = format!("{}: {}", refusal.status.as_u16(), refusal.message);
                        json!({ "content": [{ "type": "text", "text": text }], "isError": true })
                    }
                }
            }
            Some(method) => return error(-32601, &format!("method {method:?} not found")),
            None => return error(-32600, "Invalid Request"),
        };
        if self.stateless {
            result["resultType"] = json!("complete");
        }
        Some(json!({ "jsonrpc": "2.0", "id": id, "result": result }))
    }
}

const INSTRUCTIONS: &str = "Tools for the repositories of the organisation acme.";

fn server() -> Value {
    json!({ "name": "github-mcp-server", "title": "GitHub MCP Server (simulated)", "version": env!("CARGO_PKG_VERSION") })
}

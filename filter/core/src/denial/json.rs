//! Denials as JSON: REST, GraphQL, OpenAI and JSON-RPC. `serde_json` is the only escaper.

use serde_json::{Map, Value, json};

use super::{Denial, McpCall, Reply, text};
use crate::reason::{Class, Reason};

/// `{"message", "documentation_url"?, "countersign"}`. Never with `Retry-After`.
pub(super) fn rest(denial: &Denial<'_>) -> Reply {
    let mut body = Map::new();
    body.insert("message".to_owned(), text::sentence(denial).into());
    if let Some(ticket) = &denial.ticket {
        body.insert(
            "documentation_url".to_owned(),
            text::clean(ticket.url, 500).into(),
        );
    }
    body.insert("countersign".to_owned(), facts(denial));
    reply(denial.reason.status(), &Value::Object(body))
}

/// A decision is a 200 with `errors[]`, as GitHub answers; a request that could not be judged keeps
/// its status, and its body can be read as GraphQL and as REST.
pub(super) fn graphql(denial: &Denial<'_>) -> Reply {
    let reason = denial.reason;
    let message = text::sentence(denial);
    let error = json!({
        "type": "FORBIDDEN",
        "message": message,
        "extensions": { "countersign": facts(denial) },
    });
    let decided = matches!(reason.class(), Class::Denied | Class::Waiting);
    if decided && reason.status() == 403 {
        return reply(200, &json!({ "data": null, "errors": [error] }));
    }
    reply(
        reason.status(),
        &json!({ "message": message, "errors": [error], "countersign": facts(denial) }),
    )
}

/// The Copilot clients show the text of a 400, 422 or 451, and only of those; without
/// `x-github-request-id` the IDE blames a proxy. The SDKs stop resending on `x-should-retry: false`.
pub(super) fn openai(denial: &Denial<'_>) -> Reply {
    let status = match denial.reason {
        // The CLI falls back from WebSocket to plain HTTP on a 403.
        Reason::UpgradeRefused => 403,
        other => match other.status() {
            401 | 403 | 404 => 451,
            status => status,
        },
    };
    let kind = match denial.reason.class() {
        Class::Denied => "policy_denied",
        Class::Waiting => "approval_pending",
        Class::Undecided => "policy_undecided",
    };
    let body = json!({
        "error": {
            "message": text::sentence(denial),
            "type": kind,
            "code": denial.reason.code(),
            "param": null,
        },
        "countersign": facts(denial),
    });
    let mut reply = reply(status, &body);
    reply.headers.push((
        "x-github-request-id".into(),
        text::header(denial.exchange, 128),
    ));
    reply
        .headers
        .push(("x-should-retry".into(), "false".to_owned()));
    reply
}

/// Header and body named different things (MCP 2026-07-28).
const HEADER_MISMATCH: i64 = -32020;
/// "Implementation-defined server error" (JSON-RPC 2.0, section 5.1).
const SERVER_ERROR: i64 = -32000;

/// `tools/call` gets a result with `isError`, which the model reads; other methods an error object.
/// Without the ids of the requests, or before the caller is known, it is an HTTP error.
pub(super) fn mcp(denial: &Denial<'_>, calls: &[McpCall], batch: bool) -> Reply {
    let message = text::sentence(denial);
    let code = match denial.reason {
        Reason::HeaderAmbiguous => HEADER_MISMATCH,
        _ => SERVER_ERROR,
    };
    let error = |id: &Value| {
        json!({
            "jsonrpc": "2.0",
            "id": id,
            "error": { "code": code, "message": message, "data": { "countersign": facts(denial) } },
        })
    };
    let status = denial.reason.status();
    if calls.is_empty() || status == 401 || denial.reason == Reason::HeaderAmbiguous {
        let id = match calls {
            [only] => only.id.clone(),
            _ => Value::Null,
        };
        return reply(status, &error(&id));
    }
    let mut answers: Vec<Value> = calls
        .iter()
        .map(|call| {
            if call.tool {
                json!({
                    "jsonrpc": "2.0",
                    "id": call.id,
                    "result": {
                        "resultType": "complete",
                        "content": [{ "type": "text", "text": message }],
                        "isError": true,
                        "_meta": { "countersign": facts(denial) },
                    },
                })
            } else {
                error(&call.id)
            }
        })
        .collect();
    match (batch, answers.pop()) {
        (false, Some(only)) => reply(200, &only),
        (_, last) => {
            answers.extend(last);
            reply(200, &Value::Array(answers))
        }
    }
}

/// What a program can act on, the same in every JSON style.
fn facts(denial: &Denial<'_>) -> Value {
    let ticket = denial.ticket.map(|ticket| {
        json!({
            "id": text::clean(ticket.id, 200),
            "url": text::clean(ticket.url, 500),
            "expires": ticket.expires,
        })
    });
    json!({
        "reason": denial.reason.code(),
        "detail": denial.detail.map(|detail| text::clean(detail, 300)),
        "rule": denial.rule.map(|rule| text::clean(rule, 200)),
        "retry": denial.reason.retry(),
        "ticket": ticket,
        "exchange": text::header(denial.exchange, 128),
    })
}

fn reply(status: u16, body: &Value) -> Reply {
    Reply {
        status,
        headers: vec![(
            "content-type".into(),
            "application/json; charset=utf-8".to_owned(),
        )],
        body: body.to_string().into_bytes(),
    }
}

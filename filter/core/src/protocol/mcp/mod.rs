//! Model Context Protocol over streamable HTTP.
//!
//! A `tools/call` is `mcp.call`, or what the tool does where it is one of GitHub's MCP server
//! (`tools`). The body decides; the `Mcp-Method` and `Mcp-Name` headers of revision 2026-07-28 must
//! agree with it. Every member of a batch (revision 2025-03-26) is read. Other methods, and the GET
//! and DELETE of a session, are `mcp.protocol`.

mod tools;

use serde_json::{Map, Value};

use super::{BodyNeed, Fault, Judged, Protocol, Request, body};
use crate::denial::{DenialStyle, McpCall};
use crate::head::RequestHead;
use crate::operation::Operation;
use crate::path::RequestPath;
use crate::reason::Reason;

/// The most messages of one batch.
const MAX_BATCH: usize = 200;

/// Model Context Protocol.
pub(super) struct Mcp;

impl Protocol for Mcp {
    fn name(&self) -> &'static str {
        "mcp"
    }

    fn body_need(&self, head: &RequestHead, _: &RequestPath) -> BodyNeed {
        body_need(head)
    }

    fn judge(&self, request: &Request<'_>) -> Result<Judged, Fault> {
        judge(request.head, request.body)
    }

    fn style(&self, _: &RequestHead, _: Option<&RequestPath>) -> DenialStyle {
        style(Vec::new(), false)
    }
}

fn body_need(head: &RequestHead) -> BodyNeed {
    if head.method.eq_ignore_ascii_case("POST") {
        BodyNeed::Whole
    } else {
        BodyNeed::None
    }
}

fn style(calls: Vec<McpCall>, batch: bool) -> DenialStyle {
    DenialStyle::Mcp { calls, batch }
}

fn judge(head: &RequestHead, bytes: &[u8]) -> Result<Judged, Fault> {
    if !head.method.eq_ignore_ascii_case("POST") {
        let known = matches!(
            head.method.to_ascii_uppercase().as_str(),
            "GET" | "HEAD" | "OPTIONS" | "DELETE"
        );
        let operation = if known {
            protocol(&format!("http.{}", head.method.to_ascii_lowercase()))
        } else {
            Operation {
                name: "mcp.unknown_write".to_owned(),
                write: true,
                ..Operation::default()
            }
        };
        return Ok(Judged::new(vec![operation], style(Vec::new(), false)));
    }
    let body = body::read_json(head, bytes)?;
    let (messages, batch) = match &body {
        Value::Array(messages) if messages.is_empty() => {
            return Err(Fault::unreadable("an empty JSON-RPC batch"));
        }
        Value::Array(messages) if messages.len() > MAX_BATCH => {
            return Err(Fault::new(Reason::BodyTooLarge, "JSON-RPC batch"));
        }
        Value::Array(messages) => (messages.as_slice(), true),
        one => (std::slice::from_ref(one), false),
    };
    let mut operations = Vec::new();
    let mut calls = Vec::new();
    for message in messages {
        let Value::Object(message) = message else {
            return Err(Fault::unreadable("a JSON-RPC message is no object"));
        };
        let method = method(message)?;
        agree(head, method, message, batch)?;
        operations.extend(operations_of(method, message)?);
        if let (Some(id), Some(_)) = (message.get("id"), method) {
            calls.push(McpCall {
                id: id.clone(),
                tool: method == Some("tools/call"),
            });
        }
    }
    Ok(Judged::new(operations, style(calls, batch)))
}

/// The method of a request or notification; an answer to the server's own request has none.
fn method(message: &Map<String, Value>) -> Result<Option<&str>, Fault> {
    match message.get("method") {
        Some(Value::String(method)) => Ok(Some(method)),
        None if message.contains_key("result") || message.contains_key("error") => Ok(None),
        _ => Err(Fault::unreadable("a JSON-RPC message without a method")),
    }
}

/// The 2026-07-28 headers name one message; beside another body, or a batch, they are refused.
fn agree(
    head: &RequestHead,
    method: Option<&str>,
    message: &Map<String, Value>,
    batch: bool,
) -> Result<(), Fault> {
    let mismatch = |name: &str| {
        Err(Fault::new(
            Reason::HeaderAmbiguous,
            format!("{name} does not agree with the body"),
        ))
    };
    let params = message.get("params");
    let named = |name: &str| params.and_then(|p| p.get(name)).and_then(Value::as_str);
    let expected = [
        ("mcp-method", method),
        ("mcp-name", named("name").or(named("uri"))),
    ];
    for (header, expected) in expected {
        match head.headers.single(header) {
            Err(_) => return mismatch(header),
            Ok(None) => {}
            Ok(Some(value)) if !batch && Some(value) == expected.map(str::as_bytes) => {}
            Ok(Some(_)) => return mismatch(header),
        }
    }
    Ok(())
}

fn operations_of(
    method: Option<&str>,
    message: &Map<String, Value>,
) -> Result<Vec<Operation>, Fault> {
    let Some(method) = method else {
        return Ok(vec![protocol("mcp:response")]);
    };
    if method != "tools/call" {
        return Ok(vec![protocol(&format!("mcp:{method}"))]);
    }
    let params = message.get("params");
    let tool = params
        .and_then(|params| params.get("name"))
        .and_then(Value::as_str)
        .ok_or_else(|| Fault::unreadable("tools/call without a tool"))?;
    let none = Map::new();
    let arguments = match params.and_then(|params| params.get("arguments")) {
        Some(Value::Object(arguments)) => arguments,
        None | Some(Value::Null) => &none,
        Some(_) => return Err(Fault::unreadable("the arguments of a tool are no object")),
    };
    Ok(tools::operations(tool, arguments))
}

fn protocol(alias: &str) -> Operation {
    Operation {
        name: "mcp.protocol".to_owned(),
        aliases: vec![alias.to_owned()],
        ..Operation::default()
    }
}

#[cfg(test)]
#[path = "mcp_tests.rs"]
mod tests;

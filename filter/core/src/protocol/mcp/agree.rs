//! Headers that repeat the body (MCP 2026-07-28, "Standard request headers").
//!
//! `Mcp-Method` names the method, `Mcp-Name` the tool, prompt or resource, `Mcp-Param-*` arguments of
//! a tool. A value that is no plain ASCII comes as `=?base64?…?=`. The body decides; a header that
//! says something else, or comes twice, is refused: what routes by headers would see another request.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::Message;
use crate::head::RequestHead;
use crate::protocol::{Fault, fields};
use crate::reason::Reason;

const PARAMETER: &str = "mcp-param-";

/// Whether the head says what the message says. Beside a batch there must be no such header.
pub(super) fn check(head: &RequestHead, message: &Message<'_>, batch: bool) -> Result<(), Fault> {
    let expected = [
        ("mcp-method", message.method),
        ("mcp-name", message.text("name").or(message.text("uri"))),
    ];
    for (header, expected) in expected {
        if let Some(value) = once(head, header)?
            && (batch || Some(value.as_str()) != expected)
        {
            return Err(mismatch(header));
        }
    }
    parameters(head, message, batch)
}

/// A tool says itself which argument a header repeats. One that has the name of an argument must
/// have its value too; the others are for the server to compare.
fn parameters(head: &RequestHead, message: &Message<'_>, batch: bool) -> Result<(), Fault> {
    let names: Vec<&str> = head
        .headers
        .iter()
        .map(|(name, _)| name)
        .filter(|name| name.starts_with(PARAMETER))
        .collect();
    if names.is_empty() {
        return Ok(());
    }
    let none = Map::new();
    let arguments = message
        .params
        .and_then(|params| params.get("arguments"))
        .and_then(Value::as_object)
        .unwrap_or(&none);
    for header in names {
        let value = once(head, header)?;
        let name = header.strip_prefix(PARAMETER).unwrap_or_default();
        let argument = arguments
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| fields::shown(value));
        let agrees = argument.is_none_or(|argument| argument == value);
        if batch || !agrees {
            return Err(mismatch(header));
        }
    }
    Ok(())
}

/// The decoded value of a header that must come once.
fn once(head: &RequestHead, header: &str) -> Result<Option<String>, Fault> {
    let value = head.headers.single(header).map_err(|_| mismatch(header))?;
    let Some(value) = value else {
        return Ok(None);
    };
    let text = std::str::from_utf8(value)
        .map_err(|_| mismatch(header))?
        .trim();
    let encoded = text
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="));
    let Some(encoded) = encoded else {
        return Ok(Some(text.to_owned()));
    };
    let decoded = STANDARD.decode(encoded).map_err(|_| mismatch(header))?;
    String::from_utf8(decoded)
        .map(Some)
        .map_err(|_| mismatch(header))
}

fn mismatch(header: &str) -> Fault {
    Fault::new(
        Reason::HeaderAmbiguous,
        format!("{header} does not agree with the body"),
    )
}

//! MCP: the call of a tool and what came back.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::conversation::{list, text};
use super::cut_json;
use super::events::{events, is_stream};

/// A JSON-RPC request of MCP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Call {
    /// `tools/call`, `initialize`, `tools/list` …
    pub method: String,
    /// The tool, where one is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// Its arguments, or the parameters of another method.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub arguments: Value,
    /// What came back, if it was captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<CallResult>,
    id: Value,
}

/// What a tool answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CallResult {
    /// Whether it says that it failed.
    pub is_error: bool,
    /// Its texts, and everything else as JSON.
    pub text: String,
    /// Milliseconds after the beginning of the exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
}

/// The calls of a body; nothing if it is no JSON-RPC.
pub fn calls(body: &[u8], cut: bool) -> Vec<Call> {
    let content = String::from_utf8_lossy(body);
    let Some((document, _)) = cut_json::read(&content, cut) else {
        return Vec::new();
    };
    let of = |message: &Value| {
        if text(message, "jsonrpc") != "2.0" {
            return None;
        }
        let method = text(message, "method").to_owned();
        if method.is_empty() {
            return None;
        }
        let params = message.get("params").cloned().unwrap_or_default();
        let tool = (method == "tools/call").then(|| text(&params, "name").to_owned());
        let arguments = match &tool {
            Some(_) => params.get("arguments").cloned().unwrap_or_default(),
            None => params,
        };
        let id = message.get("id").cloned().unwrap_or_default();
        Some(Call {
            method,
            tool,
            arguments,
            result: None,
            id,
        })
    };
    match &document {
        Value::Array(batch) => batch.iter().filter_map(of).collect(),
        one => of(one).into_iter().collect(),
    }
}

/// Adds what came back to the calls that it answers.
pub fn add_results(calls: &mut [Call], body: &[u8], cut: bool, chunks: &[(u64, u64)]) {
    let content = String::from_utf8_lossy(body);
    let mut answers: Vec<(Value, Option<u64>)> = Vec::new();
    if is_stream(&content) {
        for event in events(&content, chunks) {
            if let Ok(value) = serde_json::from_str(&event.data) {
                answers.push((value, event.at_ms));
            }
        }
    } else if let Some((document, _)) = cut_json::read(&content, cut) {
        let at = chunks.last().map(|(offset, _)| *offset);
        match document {
            Value::Array(batch) => answers.extend(batch.into_iter().map(|one| (one, at))),
            one => answers.push((one, at)),
        }
    }
    for (answer, at_ms) in answers {
        let id = answer.get("id");
        let Some(call) = calls.iter_mut().find(|call| Some(&call.id) == id) else {
            continue;
        };
        if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
            call.result = Some(CallResult {
                is_error: true,
                text: match text(error, "message") {
                    "" => error.to_string(),
                    message => message.to_owned(),
                },
                at_ms,
            });
        } else if let Some(result) = answer.get("result") {
            call.result = Some(CallResult {
                is_error: result.get("isError").and_then(Value::as_bool) == Some(true),
                text: told(result),
                at_ms,
            });
        }
    }
}

/// The texts of a result; what is no text is named, or shown as JSON.
fn told(result: &Value) -> String {
    let parts: Vec<String> = list(result.get("content"))
        .map(|part| match text(part, "type") {
            "text" => text(part, "text").to_owned(),
            "resource" => {
                let resource = part.get("resource").unwrap_or(&Value::Null);
                match resource.get("text").and_then(Value::as_str) {
                    Some(text) => text.to_owned(),
                    None => format!("[resource {}]", text(resource, "uri")),
                }
            }
            kind => format!("[{kind}]"),
        })
        .collect();
    match (parts.is_empty(), result.get("structuredContent")) {
        (false, _) => parts.join("\n"),
        (true, Some(structured)) => structured.to_string(),
        (true, None) => result.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn results_find_their_calls() {
        let body = json!([
            {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "get_me", "arguments": {"a": 1}}},
            {"jsonrpc": "2.0", "id": "x", "method": "tools/list"},
            {"jsonrpc": "2.0", "method": "notifications/initialized"},
        ]);
        let mut calls = calls(body.to_string().as_bytes(), false);
        assert_eq!(calls.len(), 3);
        assert_eq!(calls[0].tool.as_deref(), Some("get_me"));
        assert_eq!(calls[0].arguments, json!({"a": 1}));
        let answer = "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"isError\":true,\
             \"content\":[{\"type\":\"text\",\"text\":\"no\"},{\"type\":\"image\"}]}}\n\n\
             data: {\"jsonrpc\":\"2.0\",\"id\":\"x\",\"error\":{\"message\":\"bad\"}}\n\n";
        add_results(&mut calls, answer.as_bytes(), false, &[(3, 10_000)]);
        let result = calls[0].result.as_ref().unwrap();
        assert_eq!(
            (result.is_error, result.text.as_str()),
            (true, "no\n[image]")
        );
        assert_eq!(result.at_ms, Some(3));
        assert_eq!(calls[1].result.as_ref().unwrap().text, "bad");
        assert_eq!(calls[2].result, None);
    }

    #[test]
    fn what_is_no_json_rpc_is_no_call() {
        assert!(calls(br#"{"messages":[],"method":"x"}"#, false).is_empty());
        assert!(calls(b"not json", false).is_empty());
    }
}

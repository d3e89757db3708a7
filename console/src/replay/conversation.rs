//! What was said to a model and what it answered, whichever of the four protocols it was said in:
//! chat completions, responses, completions, and Anthropic's messages.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cut_json;

/// One message of a prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Message {
    /// `system`, `developer`, `user`, `assistant`, `tool`.
    pub role: String,
    /// Its text, parts joined.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Tools that it calls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ToolCall>,
    /// The call that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<String>,
    /// Parts that are no text: `image_url`, `input_file`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_parts: Vec<String>,
}

/// A tool that a model wants called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ToolCall {
    /// The model's id for it.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Arguments as the model wrote them: JSON, as a rule.
    pub arguments: String,
    /// When its last piece came, in milliseconds after the beginning of the exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
}

/// What kind of text a piece of an answer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PieceKind {
    /// The answer.
    #[default]
    Text,
    /// What the model says it thinks.
    Reasoning,
    /// Why it will not.
    Refusal,
}

/// A piece of an answer as it arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Piece {
    /// What it is.
    pub kind: PieceKind,
    /// Which of several answers, from 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub choice: u64,
    /// Milliseconds after the beginning of the exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
    /// The text.
    pub text: String,
}

/// Tokens as the upstream counted them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Of the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<u64>,
    /// Of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<u64>,
    /// Of the prompt, read from a cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached: Option<u64>,
    /// Of the answer, spent on reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<u64>,
}

/// What a model answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answer {
    /// The model that answered, as it calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The text, piece by piece.
    pub pieces: Vec<Piece>,
    /// Tools that it calls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ToolCall>,
    /// Why it ended: `stop`, `tool_calls`, `end_turn`, `length`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish: Option<String>,
    /// Tokens used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Errors, references and whatever else is told beside the text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Answer {
    /// All text of one kind.
    pub fn text(&self, kind: PieceKind) -> String {
        self.pieces
            .iter()
            .filter(|piece| piece.kind == kind)
            .map(|piece| piece.text.as_str())
            .collect()
    }

    /// Whether nothing of it was read.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A prompt as far as it was captured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Prompt {
    /// Its messages in order.
    pub messages: Vec<Message>,
    /// Whether the end of it was not captured.
    pub cut: bool,
}

/// Reads a prompt; nothing if the body is not one.
pub fn prompt(body: &[u8], cut: bool) -> Option<Prompt> {
    let text = String::from_utf8_lossy(body);
    let (document, cut) = cut_json::read(&text, cut)?;
    let mut messages = Vec::new();
    let mut spoken = |role: &str, content: Option<&Value>| {
        if let Some(content) = content.filter(|content| !content.is_null()) {
            add_content(&mut messages, role, content);
        }
    };
    spoken("system", document.get("system"));
    spoken("system", document.get("instructions"));
    spoken("user", document.get("prompt"));
    spoken("suffix", document.get("suffix").filter(|s| *s != ""));
    match document.get("input") {
        Some(Value::Array(items)) => items.iter().for_each(|item| add_item(&mut messages, item)),
        Some(input) => add_content(&mut messages, "user", input),
        None => {}
    }
    for message in list(document.get("messages")) {
        add_item(&mut messages, message);
    }
    let is_prompt = ["messages", "input", "prompt"]
        .into_iter()
        .any(|key| document.get(key).is_some());
    is_prompt.then_some(Prompt { messages, cut })
}

/// One entry of `messages` or `input`.
fn add_item(messages: &mut Vec<Message>, item: &Value) {
    match text(item, "type") {
        "function_call" | "custom_tool_call" | "mcp_call" => {
            let call = response_call(item);
            messages.push(Message {
                role: "assistant".to_owned(),
                calls: vec![call],
                ..Message::default()
            });
        }
        "function_call_output" | "custom_tool_call_output" => {
            let mut message = Message {
                role: "tool".to_owned(),
                answers: owned(item, "call_id"),
                ..Message::default()
            };
            read_content(&mut message, item.get("output").unwrap_or(&Value::Null));
            messages.push(message);
        }
        "reasoning" => {
            let mut message = Message {
                role: "reasoning".to_owned(),
                ..Message::default()
            };
            read_content(&mut message, item.get("summary").unwrap_or(&Value::Null));
            if !message.text.is_empty() {
                messages.push(message);
            }
        }
        _ => {
            let role = text(item, "role");
            let first = messages.len();
            let empty = Value::String(String::new());
            add_content(messages, role, item.get("content").unwrap_or(&empty));
            let Some(message) = messages.get_mut(first..).and_then(<[_]>::last_mut) else {
                return;
            };
            if role == "tool" {
                message.answers = owned(item, "tool_call_id");
            }
            message
                .calls
                .extend(list(item.get("tool_calls")).map(chat_call));
            if let Some(call) = item.get("function_call").filter(|c| c.is_object()) {
                message.calls.push(ToolCall {
                    name: text(call, "name").to_owned(),
                    arguments: argument_text(call.get("arguments")),
                    ..ToolCall::default()
                });
            }
        }
    }
}

/// Adds the content of one speaker; results of tools in it are messages of their own.
fn add_content(messages: &mut Vec<Message>, role: &str, content: &Value) {
    let mut message = Message {
        role: role.to_owned(),
        ..Message::default()
    };
    let results = |part: &&Value| text(part, "type") == "tool_result";
    for result in list(Some(content)).filter(results) {
        let mut told = Message {
            role: "tool".to_owned(),
            answers: owned(result, "tool_use_id"),
            ..Message::default()
        };
        read_content(&mut told, result.get("content").unwrap_or(&Value::Null));
        messages.push(told);
    }
    read_content(&mut message, content);
    let said_nothing = message.text.is_empty() && message.calls.is_empty();
    let only_results = said_nothing && list(Some(content)).any(|part| results(&part));
    if !only_results {
        messages.push(message);
    }
}

/// A string, a list of parts, or one part.
fn read_content(message: &mut Message, content: &Value) {
    match content {
        Value::String(text) => append(&mut message.text, text),
        Value::Array(parts) => parts.iter().for_each(|part| read_content(message, part)),
        Value::Object(_) => match text(content, "type") {
            "tool_use" | "server_tool_use" | "mcp_tool_use" => {
                message.calls.push(anthropic_call(content));
            }
            "tool_result" => {}
            kind => match content.get("text").or_else(|| content.get("thinking")) {
                Some(Value::String(text)) => append(&mut message.text, text),
                _ => message.other_parts.push(kind.to_owned()),
            },
        },
        Value::Null => {}
        other => append(&mut message.text, &other.to_string()),
    }
}

fn append(text: &mut String, more: &str) {
    if !text.is_empty() && !more.is_empty() {
        text.push('\n');
    }
    text.push_str(more);
}

/// `{"id", "function": {"name", "arguments"}}` or, with free text, `{"id", "custom": {"name", "input"}}`.
pub(super) fn chat_call(call: &Value) -> ToolCall {
    let function = call.get("function").or_else(|| call.get("custom"));
    let function = function.unwrap_or(&Value::Null);
    ToolCall {
        id: text(call, "id").to_owned(),
        name: text(function, "name").to_owned(),
        arguments: argument_text(function.get("arguments").or_else(|| function.get("input"))),
        at_ms: None,
    }
}

/// `{"call_id", "name", "arguments"}` of the responses protocol.
pub(super) fn response_call(item: &Value) -> ToolCall {
    let id = item.get("call_id").and_then(Value::as_str);
    ToolCall {
        id: id.unwrap_or_else(|| text(item, "id")).to_owned(),
        name: text(item, "name").to_owned(),
        arguments: argument_text(item.get("arguments").or_else(|| item.get("input"))),
        at_ms: None,
    }
}

/// `{"id", "name", "input"}` of Anthropic's protocol.
pub(super) fn anthropic_call(block: &Value) -> ToolCall {
    ToolCall {
        id: text(block, "id").to_owned(),
        name: text(block, "name").to_owned(),
        arguments: argument_text(block.get("input")),
        at_ms: None,
    }
}

/// Arguments as text, whether they came as text or as JSON.
fn argument_text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

pub(super) fn usage(value: &Value) -> Option<Usage> {
    let usage = value.as_object()?;
    let number = |names: &[&str]| names.iter().find_map(|name| usage.get(*name)?.as_u64());
    let detail = |names: &[&str], key: &str| {
        names
            .iter()
            .find_map(|name| usage.get(*name)?.get(key)?.as_u64())
    };
    let found = Usage {
        input: number(&["prompt_tokens", "input_tokens"]),
        output: number(&["completion_tokens", "output_tokens"]),
        cached: number(&["cache_read_input_tokens"]).or_else(|| {
            detail(
                &["prompt_tokens_details", "input_tokens_details"],
                "cached_tokens",
            )
        }),
        reasoning: detail(
            &["completion_tokens_details", "output_tokens_details"],
            "reasoning_tokens",
        ),
    };
    (found != Usage::default()).then_some(found)
}

pub(super) fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn owned(value: &Value, key: &str) -> Option<String> {
    Some(text(value, key).to_owned()).filter(|text| !text.is_empty())
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
#[path = "conversation_tests.rs"]
mod tests;

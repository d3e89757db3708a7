//! Model routes: Copilot's API, OpenAI's and Anthropic's.
//!
//! | request | operation |
//! |---|---|
//! | `POST chat/completions`, `responses`, `completions`, `engines/{e}/completions`, `messages` | `chat.completion`: `model`, `stream`, `message_count`, `tools`, `route` |
//! | `POST embeddings` | `chat.embedding` |
//! | `POST models/session`, `auto`, `search/…`, `skills`, `messages/count_tokens` | `chat.session` |
//! | `POST telemetry` | `chat.telemetry` |
//! | any GET | `chat.read` |
//! | any other | `chat.unknown_write` |
//!
//! A request that names its model is also called `model:<name>`, so that a rule can say which models.
//!
//! A route may stand behind `/copilot` (the gateway's prefix), `/v1` or `/openai/v1`.

use serde_json::{Map, Value};

use super::mcp::Mcp;
use super::{BodyNeed, Fault, Judged, Protocol, Request, body, is_read};
use crate::denial::DenialStyle;
use crate::head::RequestHead;
use crate::operation::Operation;
use crate::path::RequestPath;

/// Model routes; Copilot's host serves GitHub's MCP server below `/mcp` too.
pub(super) struct OpenAi;

impl Protocol for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn body_need(&self, head: &RequestHead, path: &RequestPath) -> BodyNeed {
        if is_mcp(path) {
            return Mcp.body_need(head, path);
        }
        body_need(head, path)
    }

    fn judge(&self, request: &Request<'_>) -> Result<Judged, Fault> {
        if is_mcp(request.path) {
            return Mcp.judge(request);
        }
        judge(request.head, request.path, request.body)
    }

    fn style(&self, head: &RequestHead, path: Option<&RequestPath>) -> DenialStyle {
        match path {
            Some(path) if is_mcp(path) => Mcp.style(head, Some(path)),
            Some(_) | None => DenialStyle::OpenAi,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route<'a> {
    /// A request to a model; the name of the route, and the model if the path has it.
    Completion(&'static str, Option<&'a str>),
    Embedding,
    Session,
    Telemetry,
    Other,
}

/// The segments behind the prefixes that only say where the API is mounted.
fn below_prefix(path: &RequestPath) -> Vec<&str> {
    let mut rest: &[String] = path.segments();
    for prefix in ["copilot", "openai", "v1"] {
        if let [first, tail @ ..] = rest
            && first == prefix
        {
            rest = tail;
        }
    }
    rest.iter().map(String::as_str).collect()
}

fn route<'a>(segments: &[&'a str]) -> Route<'a> {
    match segments {
        ["chat", "completions"] => Route::Completion("chat/completions", None),
        ["responses"] => Route::Completion("responses", None),
        ["completions"] => Route::Completion("completions", None),
        ["engines", engine, "completions"] => Route::Completion("completions", Some(engine)),
        ["messages"] => Route::Completion("messages", None),
        ["deployments", model, "chat", "completions"] => {
            Route::Completion("chat/completions", Some(model))
        }
        ["embeddings"] => Route::Embedding,
        ["models", "session"] | ["auto"] | ["search", ..] | ["skills", ..] => Route::Session,
        ["messages", "count_tokens"] | ["responses", "input_tokens"] => Route::Session,
        ["telemetry"] => Route::Telemetry,
        _ => Route::Other,
    }
}

/// `/mcp` and what lies below it, on Copilot's host.
fn is_mcp(path: &RequestPath) -> bool {
    below_prefix(path)
        .first()
        .is_some_and(|first| first.eq_ignore_ascii_case("mcp"))
}

fn body_need(head: &RequestHead, path: &RequestPath) -> BodyNeed {
    if !head.method.eq_ignore_ascii_case("POST") {
        return BodyNeed::None;
    }
    match route(&below_prefix(path)) {
        Route::Completion(..) | Route::Embedding => BodyNeed::Whole,
        Route::Session | Route::Telemetry | Route::Other => BodyNeed::None,
    }
}

fn judge(head: &RequestHead, path: &RequestPath, bytes: &[u8]) -> Result<Judged, Fault> {
    let segments = below_prefix(path);
    let mut operation = Operation {
        aliases: vec![format!("http.{}", head.method.to_ascii_lowercase())],
        write: !is_read(&head.method),
        ..Operation::default()
    };
    let mut model = None;
    if is_read(&head.method) {
        operation.name = "chat.read".to_owned();
    } else if !head.method.eq_ignore_ascii_case("POST") {
        operation.name = "chat.unknown_write".to_owned();
    } else {
        match route(&segments) {
            Route::Completion(route, in_path) => {
                operation.name = "chat.completion".to_owned();
                model = completion(&mut operation, &members(head, bytes)?, route, in_path);
            }
            Route::Embedding => {
                operation.name = "chat.embedding".to_owned();
                model = text(&members(head, bytes)?, "model");
            }
            Route::Session => operation.name = "chat.session".to_owned(),
            Route::Telemetry => operation.name = "chat.telemetry".to_owned(),
            Route::Other => operation.name = "chat.unknown_write".to_owned(),
        }
    }
    if let Some(model) = &model {
        operation.aliases.push(format!("model:{model}"));
        set(&mut operation, "model", model.clone());
    }
    set(&mut operation, "path", path.to_string());
    Ok(Judged {
        operations: vec![operation],
        style: DenialStyle::OpenAi,
        model,
    })
}

/// Adds the attributes of a request to a model; the model it asks for.
fn completion(
    operation: &mut Operation,
    members: &Map<String, Value>,
    route: &'static str,
    in_path: Option<&str>,
) -> Option<String> {
    set(operation, "route", route.to_owned());
    let stream = members.get("stream").and_then(Value::as_bool);
    set(operation, "stream", stream.unwrap_or_default().to_string());
    let messages = match members.get("messages").or(members.get("input")) {
        Some(Value::Array(messages)) => messages.len(),
        Some(Value::String(_)) => 1,
        _ => usize::from(members.contains_key("prompt")),
    };
    set(operation, "message_count", messages.to_string());
    let tools = tools(members);
    if !tools.is_empty() {
        set(operation, "tools", tools.join(","));
    }
    // The path names the deployment that answers, whatever the body says.
    in_path.map(str::to_owned).or(text(members, "model"))
}

/// The names of the tools the model may call: `{"function": {"name"}}`, `{"name"}`, or a bare type.
fn tools(members: &Map<String, Value>) -> Vec<&str> {
    let Some(Value::Array(tools)) = members.get("tools") else {
        return Vec::new();
    };
    tools
        .iter()
        .filter_map(|tool| {
            tool.get("function")
                .and_then(|function| function.get("name"))
                .or_else(|| tool.get("name"))
                .or_else(|| tool.get("type"))
                .and_then(Value::as_str)
        })
        .collect()
}

fn members(head: &RequestHead, bytes: &[u8]) -> Result<Map<String, Value>, Fault> {
    match body::read_json(head, bytes)? {
        Value::Object(members) => Ok(members),
        _ => Err(Fault::unreadable("the JSON body is no object")),
    }
}

fn text(members: &Map<String, Value>, name: &str) -> Option<String> {
    members.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn set(operation: &mut Operation, name: &str, value: String) {
    operation.attributes.insert(name.to_owned(), value);
}

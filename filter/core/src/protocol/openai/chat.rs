//! What a request to a model says: model, stream, messages, tools, and the MCP servers it brings.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::set;
use crate::head::RequestHead;
use crate::operation::Operation;
use crate::protocol::{Fault, body};
use crate::reason::Reason;

/// Members that decide. A server that reads names without regard to case must not find one of them
/// where this reader does not.
const DECIDING: &[&str] = &[
    "model",
    "models",
    "messages",
    "input",
    "prompt",
    "stream",
    "tools",
    "functions",
    "mcp_servers",
    "requests",
];
/// The most models and MCP servers of one request.
const MAX: usize = 64;
/// The most bytes of tool names that are shown.
const SHOWN: usize = 2_000;
/// Who speaks in a message; any other is counted as `other`.
const ROLES: [&str; 6] = [
    "assistant",
    "developer",
    "function",
    "system",
    "tool",
    "user",
];

/// The body, which must be an object.
pub(super) fn members(head: &RequestHead, bytes: &[u8]) -> Result<Map<String, Value>, Fault> {
    match body::read_json(head, bytes)? {
        Value::Object(members) => {
            body::exact_names(body::without_twins(&members)?, DECIDING)?;
            Ok(members)
        }
        _ => Err(Fault::unreadable("the JSON body is no object")),
    }
}

/// `chat.completion` for each model that the request names, and `mcp.remote` for each server.
pub(super) fn completion(
    mut operation: Operation,
    members: &Map<String, Value>,
    in_path: Option<&str>,
) -> Result<Vec<Operation>, Fault> {
    operation.name = "chat.completion".to_owned();
    let stream = members.get("stream").and_then(Value::as_bool);
    set(
        &mut operation,
        "stream",
        stream.unwrap_or_default().to_string(),
    );
    count(&mut operation, members);
    for name in ["max_completion_tokens", "max_output_tokens", "max_tokens"] {
        if let Some(limit) = members.get(name).and_then(Value::as_u64) {
            set(&mut operation, "max_tokens", limit.to_string());
        }
    }
    let tools = tools(members);
    if !tools.is_empty() {
        set(&mut operation, "tools", tools);
    }
    let servers = servers(members)?;
    let mut operations = with_models(operation, members, in_path)?;
    operations.extend(servers);
    Ok(operations)
}

/// One operation for each model that may answer: the deployment of the path, the `model` of the body,
/// and `models` to fall back on.
pub(super) fn with_models(
    operation: Operation,
    members: &Map<String, Value>,
    in_path: Option<&str>,
) -> Result<Vec<Operation>, Fault> {
    let mut models: Vec<&str> = in_path.into_iter().collect();
    let fallbacks = match members.get("models") {
        Some(Value::Array(models)) => models.as_slice(),
        _ => &[],
    };
    for model in members.get("model").into_iter().chain(fallbacks) {
        match model {
            Value::String(model) if !models.contains(&model.as_str()) => models.push(model),
            Value::String(_) | Value::Null => {}
            _ => return Err(Fault::unreadable("a model is not a string")),
        }
    }
    if models.is_empty() {
        return Ok(vec![operation]);
    }
    if models.len() > MAX {
        return Err(Fault::new(Reason::BodyTooLarge, "models of one request"));
    }
    Ok(models
        .into_iter()
        .map(|model| {
            let mut operation = operation.clone();
            operation.aliases.push(format!("model:{model}"));
            set(&mut operation, "model", model.to_owned());
            operation
        })
        .collect())
}

/// `model.batch`, and what its requests are: one operation for each that differs.
pub(super) fn batch(
    mut operation: Operation,
    members: &Map<String, Value>,
) -> Result<Vec<Operation>, Fault> {
    let Some(Value::Array(requests)) = members.get("requests") else {
        return Err(Fault::unreadable("a batch without requests"));
    };
    set(&mut operation, "requests", requests.len().to_string());
    let mut part = operation.clone();
    part.attributes.remove("requests");
    let mut operations = vec![operation];
    for request in requests {
        let Some(Value::Object(params)) = request.get("params") else {
            return Err(Fault::unreadable("a request of a batch without params"));
        };
        body::exact_names(params, DECIDING)?;
        let mut found = completion(part.clone(), params, None)?;
        for operation in &mut found {
            // Sizes differ from request to request; who answers is what counts here.
            operation
                .attributes
                .retain(|name, _| !name.starts_with("messages") && name != "max_tokens");
        }
        for operation in found {
            if !operations.contains(&operation) {
                operations.push(operation);
            }
        }
        if operations.len() > MAX {
            return Err(Fault::new(Reason::BodyTooLarge, "models of one batch"));
        }
    }
    Ok(operations)
}

/// How many messages there are, and of whom.
fn count(operation: &mut Operation, members: &Map<String, Value>) {
    let messages = match members.get("messages").or(members.get("input")) {
        Some(Value::Array(messages)) => messages.as_slice(),
        Some(Value::String(_)) => {
            return set(operation, "messages", "1".to_owned());
        }
        _ => {
            let prompt = usize::from(members.contains_key("prompt"));
            return set(operation, "messages", prompt.to_string());
        }
    };
    set(operation, "messages", messages.len().to_string());
    let mut roles: BTreeMap<&str, usize> = BTreeMap::new();
    for message in messages {
        let role = message.get("role").and_then(Value::as_str);
        let role = ROLES.iter().find(|known| role == Some(known));
        *roles.entry(role.copied().unwrap_or("other")).or_default() += 1;
    }
    for (role, count) in roles {
        set(operation, &format!("messages_{role}"), count.to_string());
    }
}

/// The names of the tools the model may call, joined: `{"function": {"name"}}`, `{"name"}`, or the
/// bare type of one that the provider runs.
fn tools(members: &Map<String, Value>) -> String {
    let list = |name: &str| match members.get(name) {
        Some(Value::Array(tools)) => tools.as_slice(),
        _ => &[],
    };
    let mut joined = String::new();
    for tool in list("tools").iter().chain(list("functions")) {
        let name = tool
            .get("function")
            .and_then(|function| function.get("name"))
            .or_else(|| tool.get("name"))
            .or_else(|| tool.get("type"))
            .and_then(Value::as_str);
        let Some(name) = name else { continue };
        if joined.len() + name.len() > SHOWN {
            joined.push_str(",…");
            break;
        }
        if !joined.is_empty() {
            joined.push(',');
        }
        joined.push_str(name);
    }
    joined
}

/// MCP servers that the provider would call for the model: `tools[].type: mcp` of OpenAI's responses,
/// `mcp_servers` of Anthropic's messages. No gateway stands between those two.
fn servers(members: &Map<String, Value>) -> Result<Vec<Operation>, Fault> {
    let list = |name: &str| match members.get(name) {
        Some(Value::Array(items)) => items.as_slice(),
        _ => &[],
    };
    let of_tools = list("tools")
        .iter()
        .filter(|tool| tool.get("type").and_then(Value::as_str) == Some("mcp"));
    let mut operations = Vec::new();
    for server in of_tools.chain(list("mcp_servers")) {
        if operations.len() == MAX {
            return Err(Fault::new(
                Reason::BodyTooLarge,
                "MCP servers of one request",
            ));
        }
        let text = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| server.get(*name).and_then(Value::as_str))
        };
        let mut operation = Operation {
            name: "mcp.remote".to_owned(),
            write: true,
            ..Operation::default()
        };
        for (attribute, names) in [
            ("server", &["server_label", "name"][..]),
            ("url", &["server_url", "url"]),
            ("connector", &["connector_id"]),
        ] {
            if let Some(value) = text(names) {
                set(&mut operation, attribute, value.to_owned());
            }
        }
        operations.push(operation);
    }
    Ok(operations)
}

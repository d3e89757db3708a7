//! Model Context Protocol over streamable HTTP.
//!
//! | request | operation |
//! |---|---|
//! | `tools/call` on GitHub's server | what the tool does (`table`); `github.unknown_write` where that is not known |
//! | `tools/call` on another server | `mcp.call`, alias `mcp:<server>/<tool>` |
//! | `resources/read` of `repo://owner/repo/…` | `repo.read`; of any other `mcp.resource` |
//! | `prompts/get` | `mcp.prompt` |
//! | the other methods of the protocol, answers, GET and DELETE of a session | `mcp.protocol` |
//! | a method that the protocol does not have | `mcp.unknown_write` |
//!
//! The body decides; headers that repeat it must agree (`agree`). Every member of a batch (revision
//! 2025-03-26) is read. Which server it is says the policy (`mcp: { server }`), else the host.

mod agree;
mod listing;
mod resource;
mod server;
mod table;
mod tools;

use serde_json::{Map, Value};

pub use listing::{Narrowing, TooLarge};
use server::Server;

use super::{Answer, BodyNeed, Facets, Fault, Judged, Protocol, Request, body};
use crate::denial::{DenialStyle, McpCall};
use crate::head::RequestHead;
use crate::operation::Operation;
use crate::path::RequestPath;
use crate::reason::Reason;

/// Every name that the table of tools gives, with what its operations can tell.
pub(super) fn words(add: &mut dyn FnMut(&str, Facets)) {
    for (tool, name, reads) in table::TOOLS {
        let facets = reads.facets();
        add(name, facets);
        add(&format!("mcp:{tool}"), facets);
        add(&format!("mcp:github/{tool}"), facets);
    }
}

/// The most messages of one batch.
const MAX_BATCH: usize = 200;

/// Methods that neither call a tool nor name a resource: revisions 2024-11-05 to 2026-07-28.
const METHODS: &[&str] = &[
    "completion/complete",
    "initialize",
    "logging/setLevel",
    "ping",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "server/discover",
    "subscriptions/listen",
    "tasks/cancel",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    "tools/list",
];

/// Model Context Protocol.
pub(super) struct Mcp;

impl Protocol for Mcp {
    fn name(&self) -> &'static str {
        "mcp"
    }

    fn body_need(&self, head: &RequestHead, _: &RequestPath) -> BodyNeed {
        if head.method.eq_ignore_ascii_case("POST") {
            BodyNeed::Whole
        } else {
            BodyNeed::None
        }
    }

    fn judge(&self, request: &Request<'_>) -> Result<Judged, Fault> {
        judge(request, Server::of(request))
    }

    fn style(&self, _: &RequestHead, _: Option<&RequestPath>) -> DenialStyle {
        style(Vec::new(), false)
    }
}

/// The same on Copilot's host, whose server is GitHub's unless the policy says otherwise.
pub(super) fn judge_github(request: &Request<'_>) -> Result<Judged, Fault> {
    match request.context.mcp_server {
        Some(_) => judge(request, Server::of(request)),
        None => judge(request, Server::GitHub),
    }
}

/// Every call of a tool, as far as its operations differ, with no target named; for `tools/list`.
pub fn tool_variants(request: &Request<'_>, github: bool, tool: &str) -> Vec<Vec<Operation>> {
    let server = if github {
        Server::GitHub
    } else {
        Server::of(request)
    };
    tools::variants(server, tool)
}

fn style(calls: Vec<McpCall>, batch: bool) -> DenialStyle {
    DenialStyle::Mcp { calls, batch }
}

/// A JSON-RPC message.
struct Message<'a> {
    members: &'a Map<String, Value>,
    /// `None` for an answer to the server's own request.
    method: Option<&'a str>,
    params: Option<&'a Value>,
}

impl<'a> Message<'a> {
    fn read(value: &'a Value) -> Result<Message<'a>, Fault> {
        let Value::Object(members) = value else {
            return Err(Fault::unreadable("a JSON-RPC message is no object"));
        };
        let names = &["jsonrpc", "id", "method", "params", "result", "error"];
        body::exact_names(body::without_twins(members)?, names)?;
        let method = match members.get("method") {
            Some(Value::String(method)) => Some(method.as_str()),
            None if members.contains_key("result") || members.contains_key("error") => None,
            _ => return Err(Fault::unreadable("a JSON-RPC message without a method")),
        };
        let params = members.get("params");
        if let Some(Value::Object(params)) = params {
            let names = &["name", "arguments", "uri", "ref", "context"];
            body::exact_names(body::without_twins(params)?, names)?;
        }
        Ok(Message {
            members,
            method,
            params,
        })
    }

    /// The text `name` of the parameters.
    fn text(&self, name: &str) -> Option<&'a str> {
        self.params?.get(name)?.as_str()
    }

    /// A request has an id, a notification none.
    fn id(&self) -> Option<&'a Value> {
        self.members.get("id").filter(|_| self.method.is_some())
    }
}

fn judge(request: &Request<'_>, server: Server<'_>) -> Result<Judged, Fault> {
    let head = request.head;
    if !head.method.eq_ignore_ascii_case("POST") {
        return Ok(Judged::new(
            vec![session(request, server)],
            style(Vec::new(), false),
        ));
    }
    let body = body::read_json(head, request.body)?;
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
    let mut lists = Vec::new();
    for message in messages {
        let message = Message::read(message)?;
        agree::check(head, &message, batch)?;
        operations.extend(operations_of(server, &message)?);
        if let Some(id) = message.id() {
            if message.method == Some("tools/list") {
                lists.push(id.clone());
            }
            calls.push(McpCall {
                id: id.clone(),
                tool: message.method == Some("tools/call"),
            });
        }
    }
    for operation in &mut operations {
        show(operation, request, server);
    }
    let mut judged = Judged::new(operations, style(calls, batch));
    if !lists.is_empty() {
        judged.answer = Answer::Tools {
            ids: lists,
            github: server == Server::GitHub,
        };
    }
    Ok(judged)
}

/// The stream and the end of a session.
fn session(request: &Request<'_>, server: Server<'_>) -> Operation {
    let method = request.head.method.to_ascii_uppercase();
    let mut operation = match method.as_str() {
        "GET" | "HEAD" | "OPTIONS" | "DELETE" => {
            protocol(&format!("http.{}", method.to_ascii_lowercase()))
        }
        _ => Operation {
            name: "mcp.unknown_write".to_owned(),
            write: true,
            ..Operation::default()
        },
    };
    show(&mut operation, request, server);
    operation
}

fn show(operation: &mut Operation, request: &Request<'_>, server: Server<'_>) {
    tools::set(operation, "server", server.name());
    if server.may_be_github() {
        server::show_doors(operation, request.head, request.path);
    }
}

fn operations_of(server: Server<'_>, message: &Message<'_>) -> Result<Vec<Operation>, Fault> {
    let Some(method) = message.method else {
        return Ok(vec![protocol("mcp:response")]);
    };
    let mut operation = protocol(&format!("mcp:{method}"));
    match method {
        "tools/call" => return called(server, message),
        "prompts/get" => {
            operation.name = "mcp.prompt".to_owned();
            let name = message
                .text("name")
                .ok_or_else(|| Fault::unreadable("prompts/get without a prompt"))?;
            tools::set(&mut operation, "prompt", name);
        }
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => {
            let uri = message
                .text("uri")
                .ok_or_else(|| Fault::unreadable("a resource without its uri"))?;
            resource::read(&mut operation, uri);
        }
        "completion/complete" => resource::complete(&mut operation, message.params),
        _ if METHODS.contains(&method) || method.starts_with("notifications/") => {}
        _ => {
            operation.name = "mcp.unknown_write".to_owned();
            operation.write = true;
        }
    }
    Ok(vec![operation])
}

fn called(server: Server<'_>, message: &Message<'_>) -> Result<Vec<Operation>, Fault> {
    let tool = message
        .text("name")
        .ok_or_else(|| Fault::unreadable("tools/call without a tool"))?;
    let none = Map::new();
    let arguments = match message.params.and_then(|params| params.get("arguments")) {
        Some(Value::Object(arguments)) => arguments,
        None | Some(Value::Null) => &none,
        Some(_) => return Err(Fault::unreadable("the arguments of a tool are no object")),
    };
    tools::operations(server, tool, body::without_twins(arguments)?)
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

#[cfg(test)]
#[path = "tools_tests.rs"]
mod tools_tests;

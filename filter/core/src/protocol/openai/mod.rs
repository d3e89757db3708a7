//! Model routes: Copilot's API, OpenAI's, Azure's and Anthropic's.
//!
//! | request | operation |
//! |---|---|
//! | `POST chat/completions`, `responses`, `completions`, `engines/{e}/completions`, `messages` | `chat.completion` (`chat`) |
//! | `POST embeddings` | `chat.embedding` |
//! | an MCP server that such a request names | `mcp.remote` beside it: `server`, `url` |
//! | `POST messages/batches` | `model.batch`, and a `chat.completion` for each model in it |
//! | everything else | by its route (`route`); a write without one is `model.unknown_write` |
//! | below `/mcp` | GitHub's MCP server (`mcp`) |
//!
//! A request that names its model is also called `model:<name>`, so that a rule can say which models.
//! One that names two, in its path and its body, is both.
//!
//! A route may stand behind `/copilot` (the gateway's prefix), `/openai`, `/anthropic` and `/v1`.

mod chat;
mod route;

use super::mcp::{self, Mcp};
use super::{BodyNeed, Fault, Judged, Protocol, Request, is_read};
use crate::denial::DenialStyle;
use crate::head::RequestHead;
use crate::operation::Operation;
use crate::path::RequestPath;
use route::Route;

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
        match route(head, path) {
            Route::Completion { .. } | Route::Embedding(_) | Route::Batch => BodyNeed::Whole,
            Route::Other { .. } => BodyNeed::None,
        }
    }

    fn judge(&self, request: &Request<'_>) -> Result<Judged, Fault> {
        if is_mcp(request.path) {
            return mcp::judge_github(request);
        }
        judge(request)
    }

    fn style(&self, head: &RequestHead, path: Option<&RequestPath>) -> DenialStyle {
        match path {
            Some(path) if is_mcp(path) => Mcp.style(head, Some(path)),
            Some(_) | None => DenialStyle::OpenAi,
        }
    }
}

/// The segments behind the prefixes that only say where the API is mounted.
fn below_prefix(path: &RequestPath) -> Vec<&str> {
    let mut rest: &[String] = path.segments();
    for prefix in ["copilot", "openai", "anthropic", "v1"] {
        if let [first, tail @ ..] = rest
            && first == prefix
        {
            rest = tail;
        }
    }
    rest.iter().map(String::as_str).collect()
}

fn is_mcp(path: &RequestPath) -> bool {
    below_prefix(path)
        .first()
        .is_some_and(|first| first.eq_ignore_ascii_case("mcp"))
}

fn route<'a>(head: &RequestHead, path: &'a RequestPath) -> Route<'a> {
    route::find(&head.method.to_ascii_uppercase(), &below_prefix(path))
}

fn judge(request: &Request<'_>) -> Result<Judged, Fault> {
    let (head, path) = (request.head, request.path);
    let mut operation = Operation {
        aliases: vec![format!("http.{}", head.method.to_ascii_lowercase())],
        write: !is_read(&head.method),
        ..Operation::default()
    };
    set(&mut operation, "path", path.to_string());
    let operations = match route(head, path) {
        Route::Completion { route, model } => {
            let members = chat::members(head, request.body)?;
            set(&mut operation, "route", route.to_owned());
            chat::completion(operation, &members, model)?
        }
        Route::Embedding(model) => {
            let members = chat::members(head, request.body)?;
            operation.name = "chat.embedding".to_owned();
            chat::with_models(operation, &members, model)?
        }
        Route::Batch => {
            let members = chat::members(head, request.body)?;
            operation.name = "model.batch".to_owned();
            chat::batch(operation, &members)?
        }
        Route::Other { name, repo } => {
            operation.name = name.to_owned();
            if let Some(repo) = repo {
                operation.repo = repo;
                if !operation.write {
                    operation.aliases.push("repo.read".to_owned());
                }
            }
            vec![operation]
        }
    };
    let model = operations
        .iter()
        .find_map(|operation| operation.attributes.get("model").cloned());
    let mut judged = Judged::new(operations, DenialStyle::OpenAi);
    judged.model = model;
    Ok(judged)
}

fn set(operation: &mut Operation, name: &str, value: String) {
    operation.attributes.insert(name.to_owned(), value);
}

#[cfg(test)]
#[path = "openai_tests.rs"]
mod tests;

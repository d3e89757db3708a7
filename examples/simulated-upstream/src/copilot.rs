//! The Copilot API: models, chat completions, responses, messages, inline completions, and the way to MCP.
//!
//! Paths are the same with and without `/v1`, the base path of the OpenAI and Anthropic clients.

mod chat;
mod events;
mod messages;
mod model;
mod responses;

use axum::Json;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use serde_json::{Value, json};

use crate::answer::request_id;
use crate::mcp;
use crate::upstream::Shared;

/// Largest prompt read, in bytes.
const BODY_LIMIT: usize = 32 * 1024 * 1024;

/// Answers a request to api.githubcopilot.com.
pub async fn serve(upstream: Shared, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let mut segments: Vec<&str> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .collect();
    // `/copilot` is the gateway's prefix, for clients that come here without one.
    for prefix in ["copilot", "v1"] {
        if segments.first() == Some(&prefix) {
            segments.remove(0);
        }
    }
    let response = match (request.method(), segments.as_slice()) {
        (_, ["mcp", toolset @ ..]) => {
            let readonly = toolset.contains(&"readonly");
            return dress(mcp::serve(upstream, request, readonly).await);
        }
        (&Method::GET, ["models"]) => Json(models()).into_response(),
        (&Method::GET, ["models", id]) => match models()["data"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|model| model["id"] == *id)
        {
            Some(model) => Json(model.clone()).into_response(),
            None => error(
                StatusCode::NOT_FOUND,
                "model_not_found",
                &format!("The model {id} does not exist"),
            ),
        },
        (&Method::POST, ["chat", "completions"]) => with_body(request, chat::answer).await,
        (&Method::POST, ["responses"]) => with_body(request, responses::answer).await,
        (&Method::POST, ["messages"]) => with_body(request, messages::answer).await,
        (&Method::POST, ["engines", _, "completions"] | ["completions"]) => {
            with_body(request, chat::complete).await
        }
        (&Method::POST, ["embeddings"]) => with_body(request, embed).await,
        (&Method::GET, ["agents"]) => Json(json!({ "agents": [] })).into_response(),
        (&Method::POST, ["telemetry"]) => StatusCode::NO_CONTENT.into_response(),
        _ => error(StatusCode::NOT_FOUND, "not_found", "404 page not found"),
    };
    dress(response)
}

/// Adds the headers by which the Copilot clients know that GitHub answered.
pub fn dress(mut response: Response) -> Response {
    if let Ok(id) = HeaderValue::try_from(request_id()) {
        response.headers_mut().insert("x-request-id", id.clone());
        response.headers_mut().insert("x-github-request-id", id);
    }
    response
        .headers_mut()
        .insert("x-github-backend", HeaderValue::from_static("Simulated"));
    response
}

/// An error in the shape of OpenAI's.
fn error(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({ "error": { "message": message, "code": code, "type": "invalid_request_error" } }))).into_response()
}

async fn with_body(request: Request, answer: fn(&Value) -> Response) -> Response {
    let Ok(body) = Limited::new(request.into_body(), BODY_LIMIT)
        .collect()
        .await
    else {
        return error(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request_too_large",
            "The request is too large or was broken off",
        );
    };
    let Ok(body) = serde_json::from_slice::<Value>(&body.to_bytes()) else {
        return error(
            StatusCode::BAD_REQUEST,
            "invalid_json",
            "We could not parse the JSON body of your request",
        );
    };
    answer(&body)
}

fn models() -> Value {
    // `supported_endpoints` never has `ws:/responses`: clients that see it try a WebSocket first.
    let model = |id: &str, name: &str, vendor: &str, family: &str, endpoints: &[&str]| {
        json!({
            "id": id,
            "object": "model",
            "name": name,
            "vendor": vendor,
            "version": id,
            "preview": false,
            "is_chat_default": id == "gpt-4.1",
            "is_chat_fallback": id == "gpt-4.1",
            "model_picker_enabled": true,
            "model_picker_category": "versatile",
            "policy": { "state": "enabled", "terms": "" },
            "billing": { "is_premium": false, "multiplier": 0 },
            "supported_endpoints": endpoints,
            "capabilities": {
                "family": family,
                "object": "model_capabilities",
                "type": "chat",
                "tokenizer": "o200k_base",
                "limits": { "max_context_window_tokens": 128_000, "max_output_tokens": 16_384, "max_prompt_tokens": 111_616 },
                "supports": { "streaming": true, "tool_calls": true, "parallel_tool_calls": true, "structured_outputs": true },
            },
        })
    };
    json!({
        "object": "list",
        "data": [
            model("gpt-4.1", "GPT-4.1", "Azure OpenAI", "gpt-4.1", &["/chat/completions", "/responses"]),
            model("gpt-5.4", "GPT-5.4", "Azure OpenAI", "gpt-5.4", &["/chat/completions", "/responses"]),
            model("claude-haiku-4.5", "Claude Haiku 4.5", "Anthropic", "claude-haiku-4.5", &["/chat/completions"]),
            model("claude-sonnet-4.5", "Claude Sonnet 4.5", "Anthropic", "claude-sonnet-4.5", &["/chat/completions", "/v1/messages"]),
        ],
    })
}

fn embed(body: &Value) -> Response {
    let inputs = match &body["input"] {
        Value::Array(inputs) => inputs.clone(),
        single => vec![single.clone()],
    };
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| {
            let length = input.as_str().map_or(0, str::len);
            let vector: Vec<f64> = (0..256)
                .map(|at| f64::from(((length + at) % 17) as u32) / 17.0)
                .collect();
            json!({ "object": "embedding", "index": index, "embedding": vector })
        })
        .collect();
    Json(json!({ "object": "list", "data": data, "model": body["model"], "usage": { "prompt_tokens": 1, "total_tokens": 1 } })).into_response()
}

#[cfg(test)]
#[path = "copilot_tests.rs"]
mod tests;

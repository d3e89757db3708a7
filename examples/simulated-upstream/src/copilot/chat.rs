//! `POST /chat/completions`, and the older `completions` of inline suggestions.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

use super::model::{self, Reply, Turn};
use super::{error, events};
use crate::answer::request_id;

/// Answers at once or as a stream.
pub fn answer(body: &Value) -> Response {
    let Some(messages) = body["messages"]
        .as_array()
        .filter(|messages| !messages.is_empty())
    else {
        return error(
            StatusCode::BAD_REQUEST,
            "missing_required_parameter",
            "Missing required parameter: 'messages'.",
        );
    };
    let turns: Vec<Turn> = messages
        .iter()
        .map(|message| Turn {
            role: message["role"].as_str().unwrap_or_default().to_owned(),
            text: model::text_of(&message["content"]),
        })
        .collect();
    let reply = model::reply(&turns, &model::tool_names(body));
    let asked: usize = turns.iter().map(|turn| model::tokens(&turn.text)).sum();
    let given = match &reply {
        Reply::Text(text) => model::tokens(text),
        Reply::Tool(_, arguments) => model::tokens(arguments),
    };
    let usage = json!({
        "prompt_tokens": asked, "completion_tokens": given, "total_tokens": asked + given,
        "prompt_tokens_details": { "cached_tokens": 0 },
    });
    let frame = json!({
        "id": format!("chatcmpl-{}", request_id().replace(':', "")),
        "created": jiff::Timestamp::now().as_second(),
        "model": body["model"].as_str().unwrap_or("gpt-4.1"),
    });
    if body["stream"].as_bool().unwrap_or(false) {
        stream(
            frame,
            reply,
            body["stream_options"]["include_usage"]
                .as_bool()
                .unwrap_or(false)
                .then_some(usage),
        )
    } else {
        whole(frame, reply, &usage)
    }
}

fn whole(mut frame: Value, reply: Reply, usage: &Value) -> Response {
    let (message, finish) = match reply {
        Reply::Text(text) => (json!({ "role": "assistant", "content": text }), "stop"),
        Reply::Tool(name, arguments) => {
            let call = json!({ "id": call_id(), "type": "function", "function": { "name": name, "arguments": arguments } });
            (
                json!({ "role": "assistant", "content": null, "tool_calls": [call] }),
                "tool_calls",
            )
        }
    };
    frame["object"] = json!("chat.completion");
    frame["choices"] =
        json!([{ "index": 0, "message": message, "finish_reason": finish, "logprobs": null }]);
    frame["usage"] = usage.clone();
    Json(frame).into_response()
}

fn stream(mut frame: Value, reply: Reply, usage: Option<Value>) -> Response {
    frame["object"] = json!("chat.completion.chunk");
    let chunk = move |delta: Value, finish: Option<&str>| {
        let mut chunk = frame.clone();
        chunk["choices"] = json!([{ "index": 0, "delta": delta, "finish_reason": finish }]);
        chunk
    };
    let with_usage = usage.map(|usage| {
        let mut last = chunk(json!({}), None);
        last["choices"] = json!([]);
        last["usage"] = usage;
        events::data(&last)
    });
    let role = events::data(&chunk(json!({ "role": "assistant", "content": "" }), None));
    let (deltas, finish): (Box<dyn Iterator<Item = Value> + Send>, &str) = match reply {
        Reply::Text(text) => (
            Box::new(model::pieces(text).map(|piece| json!({ "content": piece }))),
            "stop",
        ),
        Reply::Tool(name, arguments) => {
            let first = json!({ "index": 0, "id": call_id(), "type": "function", "function": { "name": name, "arguments": "" } });
            let rest = model::pieces(arguments)
                .map(|piece| json!({ "index": 0, "function": { "arguments": piece } }));
            (
                Box::new(
                    std::iter::once(first)
                        .chain(rest)
                        .map(|call| json!({ "tool_calls": [call] })),
                ),
                "tool_calls",
            )
        }
    };
    let finish = events::data(&chunk(json!({}), Some(finish)));
    let body = deltas.map(move |delta| events::data(&chunk(delta, None)));
    let end = std::iter::once(finish)
        .chain(with_usage)
        .chain(std::iter::once("data: [DONE]\n\n".to_owned()));
    events::answer(std::iter::once(role).chain(body).chain(end))
}

fn call_id() -> String {
    format!("call_{}", request_id().replace(':', ""))
}

/// `POST /v1/engines/{engine}/completions`: a suggestion for the code around the cursor.
pub fn complete(body: &Value) -> Response {
    let prompt = body["prompt"].as_str().unwrap_or_default();
    let text = if prompt.to_lowercase().contains("secret") {
        format!("\"{}\";\n", crate::samples::github_token("ghp_", "deploy"))
    } else {
        "println!(\"Welcome to Acme\");\n".to_owned()
    };
    let id = format!("cmpl-{}", request_id().replace(':', ""));
    let created = jiff::Timestamp::now().as_second();
    let frame = move |text: &str, finish: Option<&str>| json!({ "id": id, "created": created, "choices": [{ "text": text, "index": 0, "finish_reason": finish, "logprobs": null }] });
    if !body["stream"].as_bool().unwrap_or(false) {
        return Json(frame(&text, Some("stop"))).into_response();
    }
    let last = [
        events::data(&frame("", Some("stop"))),
        "data: [DONE]\n\n".to_owned(),
    ];
    events::answer(
        model::pieces(text)
            .map(move |piece| events::data(&frame(&piece, None)))
            .chain(last),
    )
}

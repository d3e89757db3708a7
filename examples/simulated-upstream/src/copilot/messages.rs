//! `POST /v1/messages`, Anthropic's protocol.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

use super::events;
use super::model::{self, Reply, Turn};
use crate::answer::request_id;

/// Answers at once or as a stream.
pub fn answer(body: &Value) -> Response {
    let Some(messages) = body["messages"]
        .as_array()
        .filter(|messages| !messages.is_empty())
    else {
        let error =
            json!({ "type": "invalid_request_error", "message": "messages: Field required" });
        return (
            StatusCode::BAD_REQUEST,
            Json(json!({ "type": "error", "error": error })),
        )
            .into_response();
    };
    let turns: Vec<Turn> = messages
        .iter()
        .map(|message| {
            let result = message["content"]
                .as_array()
                .is_some_and(|parts| parts.iter().any(|part| part["type"] == "tool_result"));
            Turn {
                role: if result {
                    "tool".into()
                } else {
                    message["role"].as_str().unwrap_or_default().to_owned()
                },
                text: model::text_of(&message["content"]),
            }
        })
        .collect();
    let reply = model::reply(&turns, &model::tool_names(body));
    let asked: usize = turns.iter().map(|turn| model::tokens(&turn.text)).sum();
    let number = request_id().replace(':', "");
    let (block, stop, given) = match &reply {
        Reply::Text(text) => (
            json!({ "type": "text", "text": text }),
            "end_turn",
            model::tokens(text),
        ),
        Reply::Tool(name, arguments) => {
            let input: Value = serde_json::from_str(arguments).unwrap_or_default();
            let block = json!({ "type": "tool_use", "id": format!("toolu_{number}"), "name": name, "input": input });
            (block, "tool_use", model::tokens(arguments))
        }
    };
    let message = json!({
        "id": format!("msg_{number}"),
        "type": "message",
        "role": "assistant",
        "model": body["model"].as_str().unwrap_or("claude-sonnet-4.5"),
        "content": [block],
        "stop_reason": stop,
        "stop_sequence": null,
        "usage": { "input_tokens": asked, "output_tokens": given },
    });
    if !body["stream"].as_bool().unwrap_or(false) {
        return Json(message).into_response();
    }
    let mut begun = message.clone();
    begun["content"] = json!([]);
    begun["stop_reason"] = Value::Null;
    let mut open = block;
    let deltas: Box<dyn Iterator<Item = Value> + Send> = match reply {
        Reply::Text(text) => {
            open["text"] = json!("");
            Box::new(
                model::pieces(text).map(|piece| json!({ "type": "text_delta", "text": piece })),
            )
        }
        Reply::Tool(_, arguments) => {
            open["input"] = json!({});
            Box::new(
                model::pieces(arguments)
                    .map(|piece| json!({ "type": "input_json_delta", "partial_json": piece })),
            )
        }
    };
    let first = [
        json!({ "type": "message_start", "message": begun }),
        json!({ "type": "content_block_start", "index": 0, "content_block": open }),
        json!({ "type": "ping" }),
    ];
    let last = [
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "message_delta", "delta": { "stop_reason": stop, "stop_sequence": null }, "usage": { "output_tokens": given } }),
        json!({ "type": "message_stop" }),
    ];
    let middle =
        deltas.map(|delta| json!({ "type": "content_block_delta", "index": 0, "delta": delta }));
    events::answer(
        first
            .into_iter()
            .chain(middle)
            .chain(last)
            .map(|event| events::named(&event)),
    )
}

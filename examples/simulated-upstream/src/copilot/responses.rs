//! `POST /responses`, OpenAI's newer protocol: typed, numbered events, and the whole text repeated at the end of its part,
//! of its item and of the response.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

use super::model::{self, Reply, Turn};
use super::{error, events};
use crate::answer::request_id;

/// Answers at once or as a stream.
pub fn answer(body: &Value) -> Response {
    let turns = match &body["input"] {
        Value::String(text) => vec![turn("user", text.clone())],
        Value::Array(items) => items.iter().filter_map(read).collect(),
        _ => {
            return error(
                StatusCode::BAD_REQUEST,
                "missing_required_parameter",
                "Missing required parameter: 'input'.",
            );
        }
    };
    let reply = model::reply(&turns, &model::tool_names(body));
    let asked: usize = turns.iter().map(|turn| model::tokens(&turn.text)).sum();
    let number = request_id().replace(':', "").to_lowercase();
    let (item, given) = match &reply {
        Reply::Text(text) => {
            let part =
                json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] });
            let item = json!({ "id": format!("msg_{number}"), "type": "message", "role": "assistant", "status": "completed", "content": [part] });
            (item, model::tokens(text))
        }
        Reply::Tool(name, arguments) => {
            let item = json!({
                "id": format!("fc_{number}"), "type": "function_call", "call_id": format!("call_{number}"),
                "name": name, "arguments": arguments, "status": "completed",
            });
            (item, model::tokens(arguments))
        }
    };
    let response = json!({
        "id": format!("resp_{number}"),
        "object": "response",
        "created_at": jiff::Timestamp::now().as_second(),
        "status": "completed",
        "error": null,
        "incomplete_details": null,
        "instructions": body["instructions"],
        "model": body["model"].as_str().unwrap_or("gpt-5.4"),
        "output": [item],
        "parallel_tool_calls": true,
        "tool_choice": "auto",
        "tools": [],
        "temperature": 1.0,
        "top_p": 1.0,
        "metadata": {},
        "usage": {
            "input_tokens": asked, "output_tokens": given, "total_tokens": asked + given,
            "input_tokens_details": { "cached_tokens": 0 }, "output_tokens_details": { "reasoning_tokens": 0 },
        },
    });
    if body["stream"].as_bool().unwrap_or(false) {
        stream(response, item, reply)
    } else {
        Json(response).into_response()
    }
}

fn turn(role: &str, text: String) -> Turn {
    Turn {
        role: role.to_owned(),
        text,
    }
}

fn read(item: &Value) -> Option<Turn> {
    match item["type"].as_str() {
        Some("function_call_output") => Some(turn(
            "tool",
            item["output"]
                .as_str()
                .map_or_else(|| model::text_of(&item["output"]), str::to_owned),
        )),
        Some("message") | None => Some(turn(
            item["role"].as_str()?,
            model::text_of(&item["content"]),
        )),
        Some(_) => None,
    }
}

fn stream(response: Value, item: Value, reply: Reply) -> Response {
    let mut begun = response.clone();
    begun["status"] = json!("in_progress");
    begun["output"] = json!([]);
    begun["usage"] = Value::Null;
    let id = item["id"].clone();
    let mut open = item.clone();
    open["status"] = json!("in_progress");
    let mut first = vec![
        json!({ "type": "response.created", "response": begun }),
        json!({ "type": "response.in_progress", "response": begun }),
    ];
    let (deltas, last): (Box<dyn Iterator<Item = Value> + Send>, Vec<Value>) = match reply {
        Reply::Text(text) => {
            let place = json!({ "item_id": id, "output_index": 0, "content_index": 0 });
            let at = move |kind: &str, member: &str, value: Value| {
                let mut event = place.clone();
                event["type"] = json!(kind);
                event[member] = value;
                event
            };
            open["content"] = json!([]);
            first.push(
                json!({ "type": "response.output_item.added", "output_index": 0, "item": open }),
            );
            let empty =
                json!({ "type": "output_text", "text": "", "annotations": [], "logprobs": [] });
            first.push(at("response.content_part.added", "part", empty));
            let last = vec![
                at("response.output_text.done", "text", json!(text)),
                at(
                    "response.content_part.done",
                    "part",
                    item["content"][0].clone(),
                ),
            ];
            let deltas = model::pieces(text)
                .map(move |piece| at("response.output_text.delta", "delta", json!(piece)));
            (Box::new(deltas), last)
        }
        Reply::Tool(name, arguments) => {
            open["arguments"] = json!("");
            first.push(
                json!({ "type": "response.output_item.added", "output_index": 0, "item": open }),
            );
            let kind = "response.function_call_arguments";
            let done = json!({ "type": format!("{kind}.done"), "item_id": id, "output_index": 0, "name": name, "arguments": arguments });
            let deltas = model::pieces(arguments)
                .map(move |piece| json!({ "type": format!("{kind}.delta"), "item_id": id, "output_index": 0, "delta": piece }));
            (Box::new(deltas), vec![done])
        }
    };
    let end = [
        json!({ "type": "response.output_item.done", "output_index": 0, "item": item }),
        json!({ "type": "response.completed", "response": response }),
    ];
    let all = first
        .into_iter()
        .chain(deltas)
        .chain(last)
        .chain(end)
        .enumerate()
        .map(|(number, mut event)| {
            event["sequence_number"] = json!(number);
            events::named(&event)
        });
    events::answer(all)
}

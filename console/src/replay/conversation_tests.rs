//! The four protocols, streamed and whole, give the same conversation.

use serde_json::{Value, json};

use super::*;
use crate::replay::answer::answer;

fn sse(events: &[Value]) -> String {
    let mut text: String = events.iter().map(|e| format!("data: {e}\n\n")).collect();
    text.push_str("data: [DONE]\n\n");
    text
}

fn read(body: &str) -> Answer {
    let answer = answer(body.as_bytes(), false, &[(7, body.len() as u64)]);
    answer.unwrap_or_else(|| panic!("nothing was read of {body}"))
}

fn check(answer: &Answer, finish: &str) {
    assert_eq!(answer.text(PieceKind::Text), "Hello world", "{answer:?}");
    let [call] = answer.calls.as_slice() else {
        panic!("{answer:?}");
    };
    assert_eq!((call.id.as_str(), call.name.as_str()), ("c1", "push_files"));
    let arguments: Value = serde_json::from_str(&call.arguments).unwrap();
    assert_eq!(arguments, json!({"a": [1]}));
    assert_eq!(answer.finish.as_deref(), Some(finish));
    let usage = answer.usage.unwrap();
    assert_eq!(
        (usage.input, usage.output),
        (Some(5), Some(9)),
        "{answer:?}"
    );
    assert_eq!(answer.model.as_deref(), Some("m"));
    assert_eq!(call.at_ms, Some(7));
}

#[test]
fn chat_completions() {
    let delta = |delta: Value| json!({"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": null}]});
    let call = |call: Value| delta(json!({"tool_calls": [call]}));
    check(
        &read(&sse(&[
            delta(json!({"role": "assistant", "content": ""})),
            delta(json!({"content": "Hello "})),
            delta(json!({"content": "world"})),
            call(
                json!({"index": 0, "id": "c1", "type": "function", "function": {"name": "push_files", "arguments": ""}}),
            ),
            call(json!({"index": 0, "function": {"arguments": "{\"a\":"}})),
            call(json!({"index": 0, "function": {"arguments": "[1]}"}})),
            json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}),
            json!({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 9}}),
        ])),
        "tool_calls",
    );
    let whole = json!({"model": "m", "object": "chat.completion", "usage": {"prompt_tokens": 5, "completion_tokens": 9},
        "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"content": "Hello world",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "push_files", "arguments": "{\"a\":[1]}"}}]}}]});
    check(&read(&whole.to_string()), "tool_calls");
}

#[test]
fn responses() {
    let item = json!({"type": "function_call", "id": "i1", "call_id": "c1", "name": "push_files", "arguments": ""});
    let mut done = item.clone();
    done["arguments"] = json!("{\"a\":[1]}");
    let usage = json!({"input_tokens": 5, "output_tokens": 9});
    let message =
        json!({"type": "message", "content": [{"type": "output_text", "text": "Hello world"}]});
    let end = json!({"object": "response", "model": "m", "status": "completed", "usage": usage, "output": [message, done]});
    check(
        &read(&sse(&[
            json!({"type": "response.created", "response": {"model": "m", "status": "in_progress"}}),
            json!({"type": "response.output_text.delta", "item_id": "i0", "delta": "Hello "}),
            json!({"type": "response.output_text.delta", "item_id": "i0", "delta": "world"}),
            json!({"type": "response.output_text.done", "item_id": "i0", "text": "Hello world"}),
            json!({"type": "response.output_item.added", "item": item}),
            json!({"type": "response.function_call_arguments.delta", "item_id": "i1", "delta": "{\"a\":"}),
            json!({"type": "response.function_call_arguments.delta", "item_id": "i1", "delta": "[1]}"}),
            json!({"type": "response.output_item.done", "item": done}),
            json!({"type": "response.completed", "response": end}),
        ])),
        "completed",
    );
    check(&read(&end.to_string()), "completed");
    check(
        &read(&sse(&[
            json!({"type": "response.completed", "response": end}),
        ])),
        "completed",
    );
}

#[test]
fn messages() {
    check(
        &read(&sse(&[
            json!({"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 5, "output_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello "}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "world"}}),
            json!({"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "c1", "name": "push_files", "input": {}}}),
            json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{\"a\":"}}),
            json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "[1]}"}}),
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}}),
            json!({"type": "message_stop"}),
        ])),
        "tool_use",
    );
    let whole = json!({"type": "message", "model": "m", "stop_reason": "tool_use", "usage": {"input_tokens": 5, "output_tokens": 9},
        "content": [{"type": "text", "text": "Hello world"}, {"type": "tool_use", "id": "c1", "name": "push_files", "input": {"a": [1]}}]});
    check(&read(&whole.to_string()), "tool_use");
}

#[test]
fn completions_reasoning_and_copilots_extras() {
    let text = |text: &str| json!({"choices": [{"text": text, "index": 0, "finish_reason": null}]});
    let answer = read(&sse(&[
        text("print("),
        text("1)"),
        json!({"choices": [{"index": 0, "delta": {"reasoning_text": "hm"}}]}),
        json!({"choices": null, "copilot_errors": [{"code": "x"}]}),
        json!({"error": {"message": "too much"}}),
    ]));
    assert_eq!(answer.text(PieceKind::Text), "print(1)");
    assert_eq!(answer.text(PieceKind::Reasoning), "hm");
    assert_eq!(
        answer.notes,
        ["copilot_errors: [{\"code\":\"x\"}]", "error: too much"]
    );
}

#[test]
fn an_answer_that_was_cut_is_read_as_far_as_it_came() {
    let whole =
        json!({"choices": [{"index": 0, "message": {"content": "Hello world"}}]}).to_string();
    let cut = &whole[..whole.find("world").unwrap()];
    let answer = answer(cut.as_bytes(), true, &[]).unwrap();
    assert_eq!(answer.text(PieceKind::Text), "Hello ");
    assert_eq!(crate::replay::answer::answer(b"<html>", false, &[]), None);
}

#[test]
fn a_prompt_is_read_from_every_protocol() {
    let roles = |body: Value| -> Vec<(String, String)> {
        let prompt = prompt(body.to_string().as_bytes(), false).unwrap();
        prompt
            .messages
            .into_iter()
            .map(|m| (m.role, m.text))
            .collect()
    };
    let told = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(r, t)| ((*r).to_owned(), (*t).to_owned()))
            .collect()
    };
    assert_eq!(
        roles(json!({"messages": [{"role": "system", "content": "s"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}]}]})),
        told(&[("system", "s"), ("user", "a\nb")])
    );
    assert_eq!(
        roles(
            json!({"instructions": "s", "input": [{"role": "user", "content": [{"type": "input_text", "text": "u"}]},
            {"type": "function_call_output", "call_id": "c1", "output": "done"}]})
        ),
        told(&[("system", "s"), ("user", "u"), ("tool", "done")])
    );
    assert_eq!(roles(json!({"input": "u"})), told(&[("user", "u")]));
    assert_eq!(
        roles(
            json!({"system": [{"type": "text", "text": "s"}], "messages": [
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "done"}]}]})
        ),
        told(&[("system", "s"), ("tool", "done")])
    );
    assert_eq!(
        roles(json!({"prompt": "fn ", "suffix": "}"})),
        told(&[("user", "fn "), ("suffix", "}")])
    );
    assert_eq!(prompt(b"{\"name\": 1}", false), None);
}

#[test]
fn tool_results_name_their_call_in_every_protocol() {
    for body in [
        json!({"messages": [{"role": "tool", "tool_call_id": "c1", "content": "r"}]}),
        json!({"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "r"}]}]}]}),
        json!({"input": [{"type": "function_call_output", "call_id": "c1", "output": "r"}]}),
    ] {
        let prompt = prompt(body.to_string().as_bytes(), false).unwrap();
        assert_eq!(prompt.messages.len(), 1, "{body}");
        assert_eq!(prompt.messages[0].answers.as_deref(), Some("c1"), "{body}");
        assert_eq!(prompt.messages[0].text, "r", "{body}");
    }
}

//! A model's answer put together from its stream or its document.

use serde_json::Value;

use super::conversation::{
    Answer, Piece, PieceKind, ToolCall, Usage, anthropic_call, chat_call, list, owned,
    response_call, text, usage,
};
use super::events::{events, is_stream};
use super::{cut_json, events::ChunkClock};

/// Reads an answer; nothing if the body is of no known shape.
pub fn answer(body: &[u8], cut: bool, chunks: &[(u64, u64)]) -> Option<Answer> {
    let content = String::from_utf8_lossy(body);
    let mut reading = Reading::default();
    if is_stream(&content) {
        for event in events(&content, chunks) {
            if let Ok(data) = serde_json::from_str::<Value>(&event.data) {
                reading.event(&data, event.at_ms);
            }
        }
    } else {
        let (document, _) = cut_json::read(&content, cut)?;
        let at_ms = ChunkClock::new(chunks).at(body.len() as u64);
        reading.document(&document, at_ms);
    }
    let answer = reading.end();
    (!answer.is_empty()).then_some(answer)
}

#[derive(Default)]
struct Reading {
    answer: Answer,
    /// Calls by where the stream says they are.
    calls: Vec<(Place, ToolCall)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// Choice and index of a chat's call.
    Chat(u64, u64),
    /// Block of a message.
    Block(u64),
    /// Item of a response.
    Item(String),
}

impl Reading {
    fn end(self) -> Answer {
        let Self { mut answer, calls } = self;
        answer.calls.extend(calls.into_iter().map(|(_, call)| call));
        answer
    }

    fn document(&mut self, document: &Value, at: Option<u64>) {
        self.common(document);
        for choice in list(document.get("choices")) {
            let index = number(choice, "index");
            let message = choice.get("message").unwrap_or(&Value::Null);
            self.chat_texts(index, message, at);
            self.piece(PieceKind::Text, index, choice.get("text"), at);
            for call in list(message.get("tool_calls")) {
                self.call(chat_call(call), at);
            }
            if let Some(call) = message.get("function_call").filter(|c| c.is_object()) {
                self.call(response_call(call), at);
            }
            self.finish(choice.get("finish_reason"));
        }
        for item in list(document.get("output")) {
            self.item(item, at);
        }
        for block in list(document.get("content")) {
            match text(block, "type") {
                "tool_use" | "server_tool_use" | "mcp_tool_use" => {
                    self.call(anthropic_call(block), at);
                }
                _ => {
                    self.piece(PieceKind::Text, 0, block.get("text"), at);
                    self.piece(PieceKind::Reasoning, 0, block.get("thinking"), at);
                }
            }
        }
        self.finish(document.get("stop_reason"));
        if text(document, "object") == "response" {
            self.finish(document.get("status"));
        }
    }

    fn event(&mut self, data: &Value, at: Option<u64>) {
        match text(data, "type") {
            "message_start" => self.common(data.get("message").unwrap_or(&Value::Null)),
            "content_block_start" => {
                let block = data.get("content_block").unwrap_or(&Value::Null);
                if text(block, "type").ends_with("tool_use") {
                    let mut call = anthropic_call(block);
                    // The input follows in pieces; the empty object here is a placeholder.
                    if block
                        .get("input")
                        .is_some_and(|i| *i == Value::Object(Default::default()))
                    {
                        call.arguments.clear();
                    }
                    call.at_ms = at;
                    self.calls.push((Place::Block(number(data, "index")), call));
                } else {
                    self.piece(PieceKind::Text, 0, block.get("text"), at);
                    self.piece(PieceKind::Reasoning, 0, block.get("thinking"), at);
                }
            }
            "content_block_delta" => {
                let delta = data.get("delta").unwrap_or(&Value::Null);
                self.piece(PieceKind::Text, 0, delta.get("text"), at);
                self.piece(PieceKind::Reasoning, 0, delta.get("thinking"), at);
                let place = Place::Block(number(data, "index"));
                self.more_arguments(&place, text(delta, "partial_json"), at);
            }
            "message_delta" => {
                let delta = data.get("delta").unwrap_or(&Value::Null);
                self.finish(delta.get("stop_reason"));
                self.common(data);
            }
            "error" => self.common(data),
            kind if kind.starts_with("response.") => self.response_event(kind, data, at),
            _ => self.chat_event(data, at),
        }
    }

    fn chat_event(&mut self, data: &Value, at: Option<u64>) {
        self.common(data);
        for choice in list(data.get("choices")) {
            let index = number(choice, "index");
            let delta = choice.get("delta").unwrap_or(&Value::Null);
            self.chat_texts(index, delta, at);
            self.piece(PieceKind::Text, index, choice.get("text"), at);
            for call in list(delta.get("tool_calls")) {
                self.chat_call(
                    Place::Chat(index, number(call, "index")),
                    chat_call(call),
                    at,
                );
            }
            if let Some(call) = delta.get("function_call").filter(|c| c.is_object()) {
                self.chat_call(Place::Chat(index, u64::MAX), response_call(call), at);
            }
            self.finish(choice.get("finish_reason"));
        }
    }

    /// A piece of a call: the first brings id and name, all bring arguments.
    fn chat_call(&mut self, place: Place, piece: ToolCall, at: Option<u64>) {
        match self.calls.iter_mut().find(|(at, _)| *at == place) {
            Some((_, call)) => {
                if call.id.is_empty() {
                    call.id = piece.id;
                }
                if call.name.is_empty() {
                    call.name = piece.name;
                }
                call.arguments.push_str(&piece.arguments);
                call.at_ms = at;
            }
            None => self.calls.push((place, ToolCall { at_ms: at, ..piece })),
        }
    }

    fn chat_texts(&mut self, choice: u64, message: &Value, at: Option<u64>) {
        for key in ["reasoning_content", "reasoning_text", "reasoning"] {
            self.piece(PieceKind::Reasoning, choice, message.get(key), at);
        }
        self.piece(PieceKind::Text, choice, message.get("content"), at);
        self.piece(PieceKind::Refusal, choice, message.get("refusal"), at);
    }

    fn response_event(&mut self, kind: &str, data: &Value, at: Option<u64>) {
        let delta = data.get("delta");
        match kind {
            "response.output_text.delta" => self.piece(PieceKind::Text, 0, delta, at),
            "response.refusal.delta" => self.piece(PieceKind::Refusal, 0, delta, at),
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.piece(PieceKind::Reasoning, 0, delta, at);
            }
            "response.function_call_arguments.delta"
            | "response.custom_tool_call_input.delta"
            | "response.mcp_call_arguments.delta" => {
                let place = Place::Item(text(data, "item_id").to_owned());
                self.more_arguments(&place, delta.and_then(Value::as_str).unwrap_or(""), at);
            }
            "response.output_item.added" | "response.output_item.done" => {
                let item = data.get("item").unwrap_or(&Value::Null);
                if !text(item, "type").ends_with("_call") {
                    return;
                }
                let place = Place::Item(text(item, "id").to_owned());
                let whole = response_call(item);
                match self.calls.iter_mut().find(|(at, _)| *at == place) {
                    // The item that is done repeats what came in pieces.
                    Some((_, call)) if !whole.arguments.is_empty() => {
                        let at_ms = call.at_ms.or(at);
                        *call = ToolCall { at_ms, ..whole };
                    }
                    Some(_) => {}
                    None => self.calls.push((place, ToolCall { at_ms: at, ..whole })),
                }
            }
            "response.created"
            | "response.in_progress"
            | "response.completed"
            | "response.failed"
            | "response.incomplete" => {
                let response = data.get("response").unwrap_or(&Value::Null);
                self.common(response);
                if !matches!(kind, "response.created" | "response.in_progress") {
                    self.finish(response.get("status"));
                }
                // What only the end told: an upstream need not send deltas.
                if self.answer.pieces.is_empty() && self.calls.is_empty() {
                    for item in list(response.get("output")) {
                        self.item(item, at);
                    }
                }
            }
            _ => {}
        }
    }

    /// One entry of a response's `output`.
    fn item(&mut self, item: &Value, at: Option<u64>) {
        match text(item, "type") {
            kind if kind.ends_with("_call") => self.call(response_call(item), at),
            "reasoning" => {
                for part in list(item.get("summary")) {
                    self.piece(PieceKind::Reasoning, 0, part.get("text"), at);
                }
            }
            _ => {
                for part in list(item.get("content")) {
                    self.piece(PieceKind::Text, 0, part.get("text"), at);
                    self.piece(PieceKind::Refusal, 0, part.get("refusal"), at);
                }
            }
        }
    }

    /// What documents, events and parts of both have in common.
    fn common(&mut self, value: &Value) {
        if self.answer.model.is_none() {
            self.answer.model = owned(value, "model");
        }
        if let Some(new) = value.get("usage").and_then(usage) {
            // Anthropic tells the prompt's tokens first and the answer's last.
            let old = self.answer.usage.unwrap_or_default();
            self.answer.usage = Some(Usage {
                input: new.input.or(old.input),
                output: new.output.or(old.output),
                cached: new.cached.or(old.cached),
                reasoning: new.reasoning.or(old.reasoning),
            });
        }
        if let Some(error) = value.get("error").filter(|error| !error.is_null()) {
            let told = error.get("message").and_then(Value::as_str);
            let told = told.map_or_else(|| error.to_string(), str::to_owned);
            self.answer.notes.push(format!("error: {told}"));
        }
        for key in [
            "copilot_errors",
            "copilot_references",
            "copilot_confirmation",
        ] {
            if let Some(told) = value.get(key).filter(|told| !told.is_null()) {
                self.answer.notes.push(format!("{key}: {told}"));
            }
        }
    }

    fn piece(&mut self, kind: PieceKind, choice: u64, value: Option<&Value>, at_ms: Option<u64>) {
        let Some(text) = value
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
        else {
            return;
        };
        match self.answer.pieces.last_mut() {
            Some(last) if (last.kind, last.choice, last.at_ms) == (kind, choice, at_ms) => {
                last.text.push_str(text);
            }
            _ => self.answer.pieces.push(Piece {
                kind,
                choice,
                at_ms,
                text: text.to_owned(),
            }),
        }
    }

    fn call(&mut self, call: ToolCall, at_ms: Option<u64>) {
        self.answer.calls.push(ToolCall { at_ms, ..call });
    }

    fn more_arguments(&mut self, place: &Place, more: &str, at: Option<u64>) {
        if let Some((_, call)) = self.calls.iter_mut().find(|(at, _)| at == place) {
            call.arguments.push_str(more);
            call.at_ms = at;
        }
    }

    fn finish(&mut self, reason: Option<&Value>) {
        if let Some(reason) = reason.and_then(Value::as_str) {
            self.answer.finish = Some(reason.to_owned());
        }
    }
}

fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or(0)
}

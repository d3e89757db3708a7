//! Approvals as a terminal shows them. What came from agents is made harmless: control characters are
//! spelled out.

use serde_json::Value;

use super::Question;
use crate::clock::{Millis, in_words, parse_moment};
use crate::replay::shown::Block;
use crate::web::text::{shown, shown_line};
use crate::web::{change_blocks, changes_of};

/// An approval on one line.
pub(super) fn line(approval: &Value, json: bool, now: Millis) -> String {
    if json {
        return approval.to_string();
    }
    let state = match (approval["state"].as_str(), approval["waiting"].as_bool()) {
        (Some("pending"), Some(true)) => "held",
        (Some("pending"), _) => "ticket",
        (Some(state), _) => state,
        (None, _) => "?",
    };
    let who = approval
        .pointer("/question/identity/subject")
        .and_then(Value::as_str);
    let mut line = format!(
        "{}\t{state}\t{}\t{}",
        words(approval, "id"),
        shown_line(who.unwrap_or_default()),
        words(approval, "in_words")
    );
    if let Some(by) = approval["decided_by"].as_str() {
        line.push_str(&format!("\tby {}", shown_line(by)));
    }
    let end = match state {
        "held" => "hold_until",
        "ticket" => "expires_at",
        _ => return line,
    };
    if let Ok(end) = parse_moment(&words(approval, end), now) {
        line.push_str(&format!("\t{} left", in_words(end - now)));
    }
    line
}

/// All that a reviewer needs, as text.
pub(super) fn page(approval: &Value) -> String {
    let at = |pointer: &str| {
        let text = approval.pointer(pointer).and_then(Value::as_str);
        shown_line(text.unwrap_or_default())
    };
    let mut out = format!("{}\n\n", words(approval, "in_words"));
    let request = format!(
        "{} {}{}",
        at("/question/request/method"),
        at("/question/request/authority"),
        at("/question/request/path")
    );
    let groups = list(approval.pointer("/question/identity/groups"));
    for (label, text) in [
        ("who", at("/question/identity/subject")),
        ("e-mail", at("/question/identity/email")),
        ("groups", groups.join(", ")),
        ("rule", at("/question/rule")),
        ("reason", at("/question/reason")),
        ("request", request),
        ("policy", at("/question/policy")),
        ("state", at("/state")),
        ("held until", at("/hold_until")),
        ("ticket ends", at("/expires_at")),
        ("decided by", at("/decided_by")),
        ("because", at("/decided_why")),
        ("not yours", at("/objection")),
    ] {
        if !text.trim().is_empty() {
            out.push_str(&format!("{label:<12} {text}\n"));
        }
    }
    out.push_str(&demands(approval));
    out.push_str(&content(approval));
    out.push('\n');
    for event in approval["events"].as_array().into_iter().flatten() {
        let part = |key: &str| shown_line(event[key].as_str().unwrap_or_default());
        let text = format!(
            "{}  {:<12} {} {}",
            part("at"),
            part("kind"),
            part("who"),
            part("note")
        );
        out.push_str(&format!("{}\n", text.trim_end()));
    }
    out.trim_end().to_owned()
}

/// What changes in files, if that is known, else the body; and the answer that waits, if it is one.
fn content(approval: &Value) -> String {
    let text = |pointer: &str| approval.pointer(pointer).and_then(Value::as_str);
    let question = Question::read(approval["question"].to_string().as_bytes());
    let changes = question.ok().as_ref().and_then(changes_of);
    let mut out = String::new();
    match (changes, text("/question/request/body")) {
        (Some(changes), _) => change_blocks(&changes).iter().for_each(|block| {
            out.push_str(&format!("\n{}\n", block_text(block)));
        }),
        (None, Some(body)) if !body.is_empty() => out.push_str(&format!("\n{}\n", shown(body))),
        (None, _) => {}
    }
    if let Some(body) = text("/question/answer/body").filter(|body| !body.is_empty()) {
        out.push_str(&format!("\nthe answer that waits:\n{}\n", shown(body)));
    }
    out
}

fn block_text(block: &Block) -> String {
    match block {
        Block::Said { who, text, .. } => format!("{who}: {text}"),
        Block::Code { label, text, .. } => format!("{label}:\n{text}"),
        Block::Diff { label, lines } => {
            let lines: Vec<&str> = lines.iter().map(|(_, text)| text.as_str()).collect();
            format!("{label}\n{}", lines.join("\n"))
        }
        Block::Line(text) => text.clone(),
        Block::Stream(pieces) => pieces.iter().map(|piece| piece.text.as_str()).collect(),
    }
}

fn list(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(shown_line).collect()
}

/// Who has to agree, and how many have.
pub(super) fn demands(approval: &Value) -> String {
    let mut out = String::new();
    for demand in approval["demands"].as_array().into_iter().flatten() {
        let ways: Vec<String> = demand["ways"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|way| {
                let given = way["given"].as_array().map_or(0, Vec::len);
                let who = shown_line(way["reviewers"].as_str().unwrap_or_default());
                format!("{given} of {} from {who}", way["min"])
            })
            .collect();
        let rule = shown_line(demand["rule"].as_str().unwrap_or("default"));
        out.push_str(&format!("{:<12} {rule}: {}\n", "needs", ways.join(", or ")));
    }
    out
}

/// A member's text, in one line.
pub(super) fn words(approval: &Value, key: &str) -> String {
    shown_line(approval[key].as_str().unwrap_or_default())
}

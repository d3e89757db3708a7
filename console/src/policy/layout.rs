//! An explanation as people read it in a terminal.

use std::fmt::Write;

use serde_json::Value;

use super::explain::{Compared, Explanation, Outcome};

/// Colours, where the reader has them.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    colour: bool,
}

impl Style {
    /// With colours or without.
    pub fn new(colour: bool) -> Self {
        Style { colour }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    fn of_action(self, action: &str, text: &str) -> String {
        match action {
            "allow" => self.paint("32", text),
            "require_approval" => self.paint("33", text),
            _ => self.paint("31", text),
        }
    }
}

/// The whole text.
pub fn text(explanation: &Explanation, style: Style) -> String {
    let mut out = String::new();
    line(&mut out, &style.paint("1", &explanation.request));
    let connection = match &explanation.connection {
        Some((name, protocol)) => format!("{name} (protocol {protocol})"),
        None => "none has this host and path".to_owned(),
    };
    row(&mut out, "connection", &connection);
    row(&mut out, "caller", &caller(&explanation.caller));
    for (index, operation) in explanation.operations.iter().enumerate() {
        out.push('\n');
        self::operation(&mut out, operation, style);
        rules(&mut out, &explanation.rules, index, style);
    }
    out.push('\n');
    verdict(&mut out, explanation, style);
    out.trim_end().to_owned()
}

fn caller(caller: &Value) -> String {
    let mut text = word(&caller["subject"]);
    let groups = list(&caller["groups"]);
    let _ = match groups.as_str() {
        "" => write!(text, ", in no group"),
        groups => write!(text, ", in {groups}"),
    };
    for (name, value) in caller["claims"].as_object().into_iter().flatten() {
        let _ = write!(text, ", {name}={}", word(value));
    }
    text
}

fn operation(out: &mut String, operation: &Value, style: Style) {
    let kind = match operation["write"].as_bool() {
        Some(true) => "write",
        _ => "read",
    };
    let name = word(&operation["name"]);
    line(
        out,
        &format!("operation   {} ({kind})", style.paint("1", &name)),
    );
    let aliases = list(&operation["aliases"]);
    if !aliases.is_empty() {
        row(out, "  also", &aliases);
    }
    for (key, label) in [("repo", "  repo"), ("owner", "  owner"), ("ref", "  ref")] {
        if let Some(value) = operation.get(key) {
            row(out, label, &opaque(value));
        }
    }
    match (operation.get("paths"), operation["paths_known"].as_bool()) {
        (Some(paths), _) => row(out, "  paths", &list(paths)),
        (None, Some(false)) => row(out, "  paths", "not told by the request"),
        (None, _) => {}
    }
    for (key, value) in operation["attributes"].as_object().into_iter().flatten() {
        if key != "resource"
            || operation["attributes"]
                .as_object()
                .is_some_and(|a| a.len() == 1)
        {
            row(out, &format!("  {key}"), &word(value));
        }
    }
}

fn rules(out: &mut String, rules: &[Compared], index: usize, style: Style) {
    let wide = rules.iter().map(|rule| rule.name.chars().count()).max();
    let wide = wide.unwrap_or_default().min(40);
    for rule in rules {
        let Some(outcome) = rule.outcomes.get(index) else {
            continue;
        };
        let what = match outcome {
            Outcome::Applies => style.of_action(rule.action, &format!("applies: {}", rule.action)),
            Outcome::Might(unknown, action) => {
                style.of_action(action, &format!("might apply ({unknown}): {action}"))
            }
            Outcome::Not(key) => style.paint("2", &format!("no, for its {key}")),
        };
        line(out, &format!("  rule {:wide$}  {what}", rule.name));
    }
}

fn verdict(out: &mut String, explanation: &Explanation, style: Style) {
    let mut text = style.of_action(explanation.verdict, explanation.verdict);
    match &explanation.rule {
        Some(rule) => text.push_str(&format!(", by the rule {rule}")),
        None if explanation.reason.is_none() => text.push_str(", by default"),
        None => {}
    }
    if let Some((reason, detail)) = &explanation.reason {
        text.push_str(&format!(", {reason}"));
        if !detail.is_empty() {
            text.push_str(&format!(" ({detail})"));
        }
    }
    row(out, "verdict", &text);
    if explanation.observed && explanation.verdict != "allow" {
        row(
            out,
            "",
            "the policy only observes: it would be recorded and let through",
        );
    }
    if let Some(approval) = &explanation.approval {
        let seconds = approval["hold_ms"].as_u64().unwrap_or_default() / 1_000;
        let ticket = approval["ticket_s"].as_u64().unwrap_or_default() / 60;
        let who = match demands(&approval["demands"]) {
            none if none.is_empty() => "nobody: no rule asks, a default does".to_owned(),
            who => who,
        };
        let asked = format!("{who}; held for {seconds} s, the ticket holds for {ticket} min");
        row(out, "asked", &asked);
    }
    let Some(reply) = &explanation.reply else {
        return;
    };
    out.push('\n');
    let when = match explanation.approval {
        Some(_) => "While nobody answers, the caller reads",
        None => "The caller reads",
    };
    line(out, when);
    line(out, &format!("  HTTP {}", reply.status));
    for (name, value) in &reply.headers {
        line(out, &format!("  {name}: {value}"));
    }
    out.push('\n');
    for body in reply.body.lines() {
        line(out, &format!("  {body}"));
    }
}

/// `1 of platform-leads and 2 of security`.
fn demands(demands: &Value) -> String {
    let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let consent = |consent: &Value| {
        let reviewers = &consent["reviewers"];
        let mut names: Vec<String> = ["groups", "subjects"]
            .iter()
            .map(|key| list(&reviewers[*key]))
            .filter(|names| !names.is_empty())
            .collect();
        for (claim, patterns) in reviewers["claims"].as_object().into_iter().flatten() {
            names.push(format!("{claim}={}", list(patterns)));
        }
        format!("{} of {}", consent["min"], names.join(", "))
    };
    let one = |demand: &Value| {
        let ways: Vec<String> = items(&demand["any_of"]).iter().map(consent).collect();
        ways.join(" or ")
    };
    let all: Vec<String> = items(demands)
        .iter()
        .map(one)
        .filter(|w| !w.is_empty())
        .collect();
    all.join(" and ")
}

fn row(out: &mut String, label: &str, text: &str) {
    line(out, format!("{label:<11} {text}").trim_end());
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// A target; `*` stands for one that the request does not tell.
fn opaque(value: &Value) -> String {
    match word(value).as_str() {
        "*" => "not told by the request".to_owned(),
        known => known.to_owned(),
    }
}

fn list(value: &Value) -> String {
    let items: Vec<String> = value.as_array().into_iter().flatten().map(word).collect();
    items.join(", ")
}

/// A value without quotes, and without what a terminal would take for a command.
fn word(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

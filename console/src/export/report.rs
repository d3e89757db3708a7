//! The readable part of an evidence pack: one HTML file, nothing loaded from anywhere, made to print.

use std::collections::{BTreeMap, HashMap};

use askama::Template;

use super::evidence::Found;
use super::feed::Selection;
use crate::clock::{Millis, readable, rfc3339};
use crate::replay::Exchange;
use crate::replay::shown::{self, Block, Shown};
use crate::replay::timeline::timeline;
use crate::web::text::{decision, shown_line, tone};

/// Exchanges that are told in full; the rest is in the table, and in the records.
const TOLD: usize = 500;

#[derive(Template)]
#[template(path = "evidence.html")]
struct Report {
    made: String,
    user: String,
    /// The search that narrows it.
    query: Option<String>,
    from: String,
    to: String,
    entries: usize,
    of: i64,
    exchanges: usize,
    decisions: Vec<(String, usize)>,
    open: usize,
    rows: Vec<Row>,
    approvals: Vec<Approval>,
    policies: Vec<(String, u64, bool)>,
    steps: Vec<Shown>,
    untold: usize,
    key: String,
    checkpoint: String,
}

struct Row {
    at: String,
    user: String,
    what: String,
    decision: String,
    tone: &'static str,
    rule: String,
    status: String,
}

struct Approval {
    id: String,
    state: String,
    asked: String,
    decided: String,
    by: String,
    why: String,
}

pub(super) fn html(now: Millis, selection: &Selection, found: &Found) -> Result<String, String> {
    let mut exchanges: Vec<&Exchange> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for exchange in found.items.iter().filter_map(|item| item.exchange.as_ref()) {
        if !places.contains_key(exchange.id.as_str()) {
            places.insert(&exchange.id, exchanges.len());
            exchanges.push(exchange);
        }
    }
    exchanges.sort_by_key(|exchange| exchange.at);
    let mut decisions: BTreeMap<&str, usize> = BTreeMap::new();
    for exchange in &exchanges {
        *decisions.entry(exchange.decision()).or_default() += 1;
    }
    let told: Vec<Exchange> = exchanges.iter().take(TOLD).map(|e| (*e).clone()).collect();
    let moment = |at: Option<Millis>, none: &str| at.map_or_else(|| none.to_owned(), rfc3339);
    Report {
        made: rfc3339(now),
        user: selection
            .user
            .as_deref()
            .map_or_else(|| "everybody".to_owned(), shown_line),
        query: selection
            .query
            .as_ref()
            .map(|query| shown_line(&query.to_string())),
        from: moment(selection.since, "the beginning"),
        to: moment(selection.until, "now"),
        entries: found.items.len(),
        of: found.entries,
        exchanges: exchanges.len(),
        decisions: decisions
            .into_iter()
            .map(|(word, count)| (shown_line(decision(word)), count))
            .collect(),
        open: exchanges.iter().filter(|e| !e.has_outcome()).count(),
        rows: exchanges.iter().map(|exchange| row(exchange)).collect(),
        approvals: found.approvals.iter().map(approval).collect(),
        policies: found
            .policies
            .iter()
            .map(|(digest, (times, text))| (shown_line(digest), *times, text.is_some()))
            .collect(),
        steps: shown::steps(&timeline(&told, &HashMap::new())),
        untold: exchanges.len().saturating_sub(TOLD),
        key: shown_line(&found.key),
        checkpoint: found
            .checkpoint
            .clone()
            .unwrap_or_else(|| "none yet".to_owned()),
    }
    .render()
    .map_err(|error| error.to_string())
}

fn row(exchange: &Exchange) -> Row {
    let text = |key: &str| shown_line(exchange.text(key).unwrap_or_default());
    let names: Vec<String> = exchange
        .operations()
        .map(|operation| {
            let words = ["name", "repo", "ref"]
                .into_iter()
                .filter_map(|key| operation.text(key));
            words.collect::<Vec<_>>().join(" ")
        })
        .collect();
    Row {
        at: readable(exchange.at),
        user: text("user.id"),
        what: match names.is_empty() {
            true => format!("{} {}", text("http.request.method"), text("url.full")),
            false => shown_line(&names.join("; ")),
        },
        decision: shown_line(decision(exchange.decision())),
        tone: tone(exchange.decision()),
        rule: text("countersign.rule"),
        status: exchange
            .number("http.response.status_code")
            .map_or_else(|| "no outcome".to_owned(), |status| status.to_string()),
    }
}

fn approval(value: &serde_json::Value) -> Approval {
    let word = |key: &str| shown_line(value[key].as_str().unwrap_or_default());
    Approval {
        id: word("id"),
        state: word("state"),
        asked: word("asked_at"),
        decided: word("decided_at"),
        by: word("decided_by"),
        why: word("why"),
    }
}

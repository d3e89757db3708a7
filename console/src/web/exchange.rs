//! One exchange, with every field of its records.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value};

use super::App;
use super::audit::Row;
use super::auth::Auditor;
use super::look::looked;
use super::page::{Frame, message, page_error, render};
use super::text::{self, shown, shown_line, size};
use crate::clock::rfc3339;
use crate::exchanges::{self, Detail, Summary};
use crate::intake::record::Half;
use crate::ledger::read::StoredRecord;
use crate::people::access::{Looked, Way};
use crate::replay::session;
use crate::replay::shown::{self, Block, Shown};
use crate::replay::timeline::Timeline;

/// Chunks that are listed; a long stream has thousands.
const CHUNKS: usize = 200;
/// Fields that have a place of their own on the page, and so are not repeated as a row.
const LONG: &[&str] = &[
    "countersign.request.body",
    "countersign.response.body",
    "countersign.response.chunks",
];

#[derive(Template)]
#[template(path = "exchange.html")]
struct OnePage {
    frame: Frame,
    row: Row,
    approval: Option<String>,
    session: Option<String>,
    facts: Vec<(&'static str, String)>,
    masks: Vec<(String, String, i64)>,
    not_captured: Vec<String>,
    request_body: Body,
    response_body: Body,
    chunks: Vec<(i64, String)>,
    more_chunks: usize,
    has_request: bool,
    has_outcome: bool,
    records: Vec<Record>,
    /// What was said and done, with links to the rest of the session.
    steps: Vec<Shown>,
    replay: String,
}

enum Body {
    Missing(String),
    Text { note: String, text: String },
}

struct Record {
    title: String,
    worker: String,
    seq: i64,
    at: String,
    received: String,
    fields: Vec<(String, String)>,
}

pub(super) async fn one(
    State(app): State<App>,
    session: Auditor,
    Path(id): Path<String>,
) -> Response {
    let bodies = session.bodies(&app);
    let load = async {
        let wanted = id.clone();
        let (detail, timeline) = app
            .store
            .read(move |c| {
                let detail = exchanges::detail(c, &wanted)?;
                // It is put together from bodies, of this exchange and its neighbours.
                let timeline = match bodies {
                    true => Some(session::neighbourhood(c, &wanted)?),
                    false => None,
                };
                Ok((detail, timeline))
            })
            .await?;
        let Some(detail) = detail else {
            return Ok(None);
        };
        let look = Looked::Exchange { id, bodies };
        looked(&app, &session.0.person.name, Way::Page, look).await?;
        let frame = Frame::new(&app, &session.0, "audit", "Exchange").await?;
        Ok(Some(one_page(frame, &detail, timeline.as_ref())))
    };
    match load.await {
        Ok(Some(page)) => render(StatusCode::OK, &page),
        Ok(None) => message(
            StatusCode::NOT_FOUND,
            "Not found",
            "No record of such an exchange has come in.",
            "/audit",
        ),
        Err(error) => page_error(&error),
    }
}

fn one_page(frame: Frame, detail: &Detail, timeline: Option<&Timeline>) -> OnePage {
    let bodies = timeline.is_some();
    let summary = &detail.summary;
    let last = |half: Half| {
        let of_half = |part: &&StoredRecord| part.event == half.event_name();
        detail.records.iter().rev().find(of_half)
    };
    let newest: Vec<&Map<String, Value>> = [last(Half::Outcome), last(Half::Request)]
        .into_iter()
        .flatten()
        .map(|part| &part.attributes)
        .collect();
    let find = |key: &str| newest.iter().find_map(|attributes| attributes.get(key));
    let mut chunks: Vec<(i64, String)> = list_of(find("countersign.response.chunks"))
        .map(|chunk| {
            let number = |key: &str| chunk.get(key).and_then(Value::as_i64).unwrap_or(0);
            (number("offset_ms"), size(number("size")))
        })
        .collect();
    let more_chunks = chunks.len().saturating_sub(CHUNKS);
    chunks.truncate(CHUNKS);
    let not_captured: Vec<String> = list_of(find("countersign.not_captured"))
        .map(|why| shown_line(&plain(why)))
        .collect();
    OnePage {
        frame,
        row: Row::new(summary),
        approval: summary.approval.as_deref().map(shown_line),
        session: summary.session.as_deref().map(shown_line),
        facts: facts(summary, &find),
        masks: list_of(find("countersign.masks"))
            .map(|mask| {
                let word = |key: &str| shown_line(&mask.get(key).map(plain).unwrap_or_default());
                let count = mask.get("count").and_then(Value::as_i64).unwrap_or(0);
                (word("rule"), word("direction"), count)
            })
            .collect(),
        request_body: body(
            &find,
            "countersign.request.body",
            "http.request.body.size",
            true,
            bodies,
        ),
        response_body: body(
            &find,
            "countersign.response.body",
            "http.response.body.size",
            summary.has_outcome,
            bodies,
        ),
        not_captured,
        chunks,
        more_chunks,
        has_request: summary.has_request,
        has_outcome: summary.has_outcome,
        records: detail.records.iter().map(record).collect(),
        steps: timeline
            .map(|timeline| shown::of_exchange(timeline, &summary.exchange))
            .unwrap_or_default(),
        replay: summary
            .session
            .clone()
            .unwrap_or_else(|| format!("~{}", summary.exchange)),
    }
}

fn facts<'a>(
    summary: &Summary,
    find: &impl Fn(&str) -> Option<&'a Value>,
) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    for (label, key) in [
        ("User", "user.id"),
        ("E-mail", "user.email"),
        ("Groups", "countersign.identity.groups"),
        ("Identity provider", "countersign.identity.provider"),
        ("Client address", "client.address"),
        ("Client", "user_agent.original"),
        ("Connection", "countersign.connection"),
        ("Model", "gen_ai.request.model"),
        ("Reason", "countersign.reason"),
        ("Explanation", "countersign.reason.detail"),
        ("Approved by", "countersign.approval.by"),
        ("Approved at", "countersign.approval.at"),
        ("Mode", "countersign.mode"),
        ("Policy", "countersign.policy.digest"),
        ("End", "countersign.end"),
    ] {
        let value = find(key).map(plain).unwrap_or_default();
        if !value.is_empty() {
            facts.push((label, shown_line(&value)));
        }
    }
    if let Some(us) = summary.duration_us {
        facts.push(("Took", text::duration(us)));
    }
    facts
}

fn body<'a>(
    find: &impl Fn(&str) -> Option<&'a Value>,
    key: &str,
    size_key: &str,
    expected: bool,
    allowed: bool,
) -> Body {
    let bytes = find(size_key).and_then(Value::as_i64);
    if !allowed && find(key).is_some() {
        let size = bytes.map(|bytes| format!(" ({})", size(bytes)));
        return Body::Missing(format!(
            "Captured{}; you lack the right to read bodies.",
            size.unwrap_or_default()
        ));
    }
    let Some(text) = find(key).and_then(Value::as_str) else {
        return Body::Missing(match (expected, bytes) {
            (false, _) => "No outcome yet.".to_owned(),
            (true, Some(0)) => "Empty.".to_owned(),
            (true, Some(bytes)) => format!("Not captured ({}).", size(bytes)),
            (true, None) => "Not captured.".to_owned(),
        });
    };
    let mut notes = Vec::new();
    notes.extend(bytes.map(size));
    if find(&format!("{key}.encoding")).and_then(Value::as_str) == Some("base64") {
        notes.push("not text, shown as base64".to_owned());
    }
    if find(&format!("{key}.truncated")).and_then(Value::as_bool) == Some(true) {
        notes.push("cut off at the capture limit".to_owned());
    }
    Body::Text {
        note: notes.join(", "),
        text: shown(text),
    }
}

fn record(stored: &StoredRecord) -> Record {
    let mut fields: Vec<(String, String)> = stored
        .attributes
        .iter()
        .chain(&stored.resource)
        .filter(|(key, _)| !LONG.contains(&key.as_str()))
        .map(|(key, value)| (shown_line(key), shown(&pretty(value))))
        .collect();
    fields.sort();
    let halves = [
        (Half::Request, "Request record"),
        (Half::Outcome, "Outcome record"),
    ];
    let title = halves
        .into_iter()
        .find(|(half, _)| half.event_name() == stored.event)
        .map_or_else(|| shown_line(&stored.event), |(_, title)| title.to_owned());
    Record {
        title,
        worker: shown_line(&stored.worker),
        seq: stored.seq,
        at: rfc3339(stored.at),
        received: rfc3339(stored.received_at),
        fields,
    }
}

fn list_of(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

/// A value on one line.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// A value as a block of text.
fn pretty(value: &Value) -> String {
    match value {
        Value::Object(_) => serde_json::to_string_pretty(value).unwrap_or_default(),
        Value::Array(values) if values.iter().any(|v| v.is_object() || v.is_array()) => {
            serde_json::to_string_pretty(value).unwrap_or_default()
        }
        other => plain(other),
    }
}

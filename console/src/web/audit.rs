//! The audit trail's pages: a filtered list, and one exchange with every field of its records.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::App;
use super::auth::SignedIn;
use super::page::{Frame, message, page_error, render};
use super::text::{self, shown, shown_line, size};
use crate::clock::{Millis, parse_moment, readable, rfc3339};
use crate::exchanges::{self, Cursor, Detail, Filter, Summary};
use crate::intake::record::Half;
use crate::ledger::read::StoredRecord;
use crate::replay::session;
use crate::replay::shown::{self, Block, Shown};
use crate::replay::timeline::Timeline;

const PAGE: u32 = 50;
/// Chunks that are listed; a long stream has thousands.
const CHUNKS: usize = 200;
/// Fields that have a place of their own on the page, and so are not repeated as a row.
const LONG: &[&str] = &[
    "countersign.request.body",
    "countersign.response.body",
    "countersign.response.chunks",
];

/// The filter as it stands in the address.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    pub text: String,
    pub user: String,
    pub operation: String,
    pub decision: String,
    pub connection: String,
    pub session: String,
    pub since: String,
    pub until: String,
    pub cursor: String,
    pub limit: Option<u32>,
}

impl Asked {
    /// The filter that is meant, or what cannot be read in it.
    pub fn filter(&self, now: Millis) -> Result<Filter, String> {
        let given = |text: &str| {
            let text = text.trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        let moment = |text: &str| given(text).map(|text| parse_moment(&text, now)).transpose();
        let after = given(&self.cursor)
            .map(|text| Cursor::parse(&text).ok_or_else(|| format!("`{text}` is not a cursor")))
            .transpose()?;
        Ok(Filter {
            text: given(&self.text),
            user: given(&self.user),
            operation: given(&self.operation),
            decision: given(&self.decision),
            connection: given(&self.connection),
            session: given(&self.session),
            since: moment(&self.since)?,
            until: moment(&self.until)?,
            after,
            limit: self.limit.unwrap_or(PAGE),
        })
    }

    fn is_empty(&self) -> bool {
        [
            &self.text,
            &self.user,
            &self.operation,
            &self.decision,
            &self.connection,
            &self.session,
            &self.since,
            &self.until,
        ]
        .into_iter()
        .all(|field| field.trim().is_empty())
    }
}

/// One exchange in a list.
pub(super) struct Row {
    pub exchange: String,
    pub at: String,
    pub user: String,
    pub what: String,
    pub where_to: String,
    pub decision: String,
    pub tone: &'static str,
    pub rule: Option<String>,
    pub status: String,
    pub masked: i64,
    pub open: bool,
}

impl Row {
    pub fn new(summary: &Summary) -> Self {
        let line = |text: &Option<String>| shown_line(text.as_deref().unwrap_or(""));
        let request = format!("{} {}", line(&summary.method), line(&summary.url));
        let decision = summary.decision.as_deref().unwrap_or("");
        Self {
            exchange: shown_line(&summary.exchange),
            at: readable(summary.at),
            user: summary
                .user_id
                .as_deref()
                .map_or_else(|| "not known".to_owned(), shown_line),
            what: if summary.operations.is_empty() {
                request.trim().to_owned()
            } else {
                shown_line(&summary.operations)
            },
            where_to: if summary.operations.is_empty() {
                line(&summary.connection)
            } else {
                request.trim().to_owned()
            },
            decision: shown_line(text::decision(decision)),
            tone: text::tone(decision),
            rule: summary.rule.as_deref().map(shown_line),
            status: summary.status.map_or(String::new(), |s| s.to_string()),
            masked: summary.masked,
            open: !summary.has_outcome,
        }
    }
}

const DECISIONS: &[&str] = &[
    "allowed",
    "denied",
    "held",
    "held_approved",
    "held_refused",
    "held_expired",
    "undecided_denied",
    "undecided_allowed",
    "unfinished",
    "observed",
];

#[derive(Template)]
#[template(path = "audit.html")]
struct ListPage {
    frame: Frame,
    asked: Asked,
    filtered: bool,
    decisions: Vec<(&'static str, &'static str, bool)>,
    rows: Vec<Row>,
    wrong: Option<String>,
    next: Option<String>,
}

pub(super) async fn list(
    State(app): State<App>,
    session: SignedIn,
    Query(asked): Query<Asked>,
) -> Response {
    let frame = match Frame::new(&app, &session.0, "audit", "Audit trail").await {
        Ok(frame) => frame,
        Err(error) => return page_error(&error),
    };
    let mut page = ListPage {
        frame,
        filtered: !asked.is_empty(),
        decisions: DECISIONS
            .iter()
            .map(|&word| (word, text::decision(word), word == asked.decision))
            .collect(),
        rows: Vec::new(),
        wrong: None,
        next: None,
        asked,
    };
    let filter = match page.asked.filter(app.clock.now()) {
        Ok(filter) => filter,
        Err(wrong) => {
            page.wrong = Some(wrong);
            return render(StatusCode::BAD_REQUEST, &page);
        }
    };
    match app.store.read(move |c| exchanges::search(c, &filter)).await {
        Ok(found) => {
            page.rows = found.exchanges.iter().map(Row::new).collect();
            page.next = found.next.map(|cursor| cursor.to_string());
            render(StatusCode::OK, &page)
        }
        Err(error) => page_error(&error),
    }
}

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
    person: SignedIn,
    Path(id): Path<String>,
) -> Response {
    let load = async {
        let told = app.store.read(move |c| {
            let detail = exchanges::detail(c, &id)?;
            Ok((detail, session::neighbourhood(c, &id)?))
        });
        let (detail, timeline) = told.await?;
        let frame = Frame::new(&app, &person.0, "audit", "Exchange").await?;
        Ok(detail.map(|detail| one_page(frame, &detail, &timeline)))
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

fn one_page(frame: Frame, detail: &Detail, timeline: &Timeline) -> OnePage {
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
        ),
        response_body: body(
            &find,
            "countersign.response.body",
            "http.response.body.size",
            summary.has_outcome,
        ),
        not_captured,
        chunks,
        more_chunks,
        has_request: summary.has_request,
        has_outcome: summary.has_outcome,
        records: detail.records.iter().map(record).collect(),
        steps: shown::of_exchange(timeline, &summary.exchange),
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
) -> Body {
    let bytes = find(size_key).and_then(Value::as_i64);
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

//! The reviewer's pages: what waits, live, and one request with everything that happened to it.

use std::convert::Infallible;

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Redirect, Response};
use futures_util::stream;
use serde::Deserialize;

use super::App;
use super::auth::SignedIn;
use super::page::{Frame, message, page_error, render, stale_form};
use super::text::{self, shown, shown_line, size};
use crate::approvals::question::Operation;
use crate::approvals::{self, Approval, DecisionRefused, Event, State as ApprovalState, decide};
use crate::clock::{Millis, in_words, readable, rfc3339};
use crate::people::Person;
use crate::store::StoreError;

/// Pending requests on one page; more than a person can look at.
const PENDING: u32 = 200;
const RECENT: u32 = 30;
/// The most letters of a body that the list shows; the request's own page shows all.
const PREVIEW: usize = 2000;

#[derive(Template)]
#[template(path = "approvals.html")]
struct ListPage {
    frame: Frame,
    cards: Vec<Card>,
    recent: Vec<Line>,
}

/// The pending requests alone, for the script that keeps the page live.
#[derive(Template)]
#[template(path = "cards.html")]
struct Cards {
    form_token: String,
    cards: Vec<Card>,
}

#[derive(Template)]
#[template(path = "approval.html")]
struct OnePage {
    frame: Frame,
    card: Card,
    line: Line,
    pending: bool,
    events: Vec<EventLine>,
    facts: Vec<(&'static str, String)>,
}

/// A request that waits, as a reviewer needs it.
struct Card {
    id: String,
    /// Changes whenever the card would look different.
    version: String,
    summary: String,
    who: String,
    email: Option<String>,
    groups: String,
    rule: String,
    reason: Option<String>,
    request_line: String,
    operations: Vec<String>,
    body: Option<Body>,
    waiting: bool,
    hold_until: Millis,
    hold_left: String,
    expires_at: Millis,
    expires_left: String,
    votes: Option<String>,
    objection: Option<String>,
}

struct Body {
    note: String,
    text: String,
}

/// A request that is settled, or on its way, in one line.
struct Line {
    id: String,
    state: &'static str,
    tone: &'static str,
    summary: String,
    who: String,
    decided_by: Option<String>,
    decided_why: Option<String>,
    at: String,
}

struct EventLine {
    at: String,
    kind: String,
    text: &'static str,
    who: Option<String>,
    exchange: Option<String>,
    note: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Decision {
    form_token: String,
    #[serde(default)]
    reason: String,
}

pub(super) async fn list(State(app): State<App>, session: SignedIn) -> Response {
    let load = async {
        let now = app.clock.now();
        let mut recent = app
            .store
            .read(move |c| {
                let settled = [
                    ApprovalState::Approved,
                    ApprovalState::Refused,
                    ApprovalState::Consumed,
                    ApprovalState::Expired,
                ];
                approvals::list(c, now, &settled, RECENT)
            })
            .await?;
        recent.retain(|approval| is_shown(&app, &session.0.person, approval));
        Ok(ListPage {
            frame: Frame::new(&app, &session.0, "approvals", "Approvals").await?,
            cards: cards(&app, &session.0.person).await?,
            recent: recent.iter().map(Line::new).collect(),
        })
    };
    match load.await {
        Ok(page) => render(StatusCode::OK, &page),
        Err(error) => page_error(&error),
    }
}

pub(super) async fn pending(State(app): State<App>, session: SignedIn) -> Response {
    match cards(&app, &session.0.person).await {
        Ok(cards) => {
            let form_token = crate::people::form_token(&session.0.token);
            render(StatusCode::OK, &Cards { form_token, cards })
        }
        Err(error) => page_error(&error),
    }
}

/// Whether `person` sees an approval: those he may decide, and all if he may read the trail.
pub(super) fn is_shown(app: &App, person: &Person, approval: &Approval) -> bool {
    app.rights.reads_trail(person) || approval.question.may_be_decided_by(person)
}

/// How many requests wait that `person` sees.
pub(super) async fn pending_count(app: &App, person: &Person) -> Result<u32, StoreError> {
    let now = app.clock.now();
    if app.rights.reads_trail(person) {
        return app
            .store
            .read(move |c| approvals::pending_count(c, now))
            .await;
    }
    Ok(u32::try_from(cards(app, person).await?.len()).unwrap_or(PENDING))
}

async fn cards(app: &App, person: &Person) -> Result<Vec<Card>, StoreError> {
    let now = app.clock.now();
    let pending = app
        .store
        .read(move |c| approvals::list(c, now, &[ApprovalState::Pending], PENDING))
        .await?;
    Ok(pending
        .iter()
        .filter(|approval| is_shown(app, person, approval))
        .map(|approval| Card::new(approval, person, now, Some(PREVIEW)))
        .collect())
}

/// Says "changed" whenever an approval did. The page then fetches what it shows: an event carries
/// nothing that would need a session of its own to be checked.
pub(super) async fn stream(State(app): State<App>, _session: SignedIn) -> Response {
    let changes = app.changes();
    let stopping = app.stopping.clone();
    let events = stream::unfold((changes, stopping), |(mut changes, mut stopping)| async {
        let alive = tokio::select! {
            changed = changes.changed() => changed.is_ok(),
            _ = stopping.wait_for(|stop| *stop) => false,
        };
        alive.then(|| {
            // An event without data is one that browsers drop.
            let event = SseEvent::default().event("changed").data("approvals");
            (Ok::<_, Infallible>(event), (changes, stopping))
        })
    });
    Sse::new(events)
        .keep_alive(KeepAlive::default())
        .into_response()
}

pub(super) async fn one(
    State(app): State<App>,
    session: SignedIn,
    Path(id): Path<String>,
) -> Response {
    let load = async {
        let now = app.clock.now();
        let found = app
            .store
            .read(move |c| {
                let events = approvals::events(c, &id)?;
                Ok(approvals::find(c, &id)?.map(|approval| (approval, events)))
            })
            .await?;
        let shown = found.filter(|(approval, _)| is_shown(&app, &session.0.person, approval));
        let Some((approval, events)) = shown else {
            return Ok(None);
        };
        let frame = Frame::new(&app, &session.0, "approvals", "Approval").await?;
        Ok::<_, StoreError>(Some(OnePage {
            frame,
            card: Card::new(&approval, &session.0.person, now, None),
            line: Line::new(&approval),
            pending: approval.state == ApprovalState::Pending && approval.expires_at > now,
            events: events.into_iter().map(EventLine::new).collect(),
            facts: facts(&approval),
        }))
    };
    match load.await {
        Ok(Some(page)) => render(StatusCode::OK, &page),
        Ok(None) => no_such_approval(),
        Err(error) => page_error(&error),
    }
}

pub(super) async fn approve(
    State(app): State<App>,
    session: SignedIn,
    Path(id): Path<String>,
    Form(form): Form<Decision>,
) -> Response {
    settle(app, session, id, form, true).await
}

pub(super) async fn refuse(
    State(app): State<App>,
    session: SignedIn,
    Path(id): Path<String>,
    Form(form): Form<Decision>,
) -> Response {
    settle(app, session, id, form, false).await
}

async fn settle(app: App, session: SignedIn, id: String, form: Decision, yes: bool) -> Response {
    let back = "/approvals";
    if !session.sent(&form.form_token) {
        return stale_form(back);
    }
    match take_decision(&app, &id, session.0.person, yes, &form.reason).await {
        Ok(Ok(_)) => Redirect::to(back).into_response(),
        Ok(Err(DecisionRefused::NotFound)) => no_such_approval(),
        Ok(Err(refused)) => {
            let text = format!("Nothing was done: {refused}.");
            message(status_of(&refused), "Not decided", &text, back)
        }
        Err(error) => page_error(&error),
    }
}

/// Takes a decision and wakes up whoever waits for it.
pub(super) async fn take_decision(
    app: &App,
    id: &str,
    person: Person,
    yes: bool,
    reason: &str,
) -> Result<Result<approvals::Decided, DecisionRefused>, StoreError> {
    let now = app.clock.now();
    let id = id.to_owned();
    let reason = reason.trim().to_owned();
    let decided = app
        .store
        .write(move |c| {
            let why = (!reason.is_empty()).then_some(reason.as_str());
            decide(c, now, &id, &person, yes, why)
        })
        .await?;
    if let Ok(decided) = &decided {
        app.desk.ring(&decided.fingerprint);
        app.announce();
    }
    Ok(decided)
}

/// The HTTP status for a decision that was not taken.
pub(super) fn status_of(refused: &DecisionRefused) -> StatusCode {
    match refused {
        DecisionRefused::NotFound => StatusCode::NOT_FOUND,
        DecisionRefused::Settled(_) | DecisionRefused::AlreadyApproved(_) => StatusCode::CONFLICT,
        DecisionRefused::OwnRequest | DecisionRefused::NotReviewer(_) => StatusCode::FORBIDDEN,
    }
}

fn no_such_approval() -> Response {
    message(
        StatusCode::NOT_FOUND,
        "Not found",
        "There is no such approval.",
        "/approvals",
    )
}

impl Card {
    fn new(approval: &Approval, viewer: &Person, now: Millis, preview: Option<usize>) -> Self {
        let question = &approval.question;
        let request = &question.request;
        let needed = question.approval.min;
        let voters: Vec<&str> = approval
            .votes
            .iter()
            .map(|vote| vote.who.as_str())
            .collect();
        let objection = if voters.contains(&viewer.name.as_str()) {
            Some("You have approved this.".to_owned())
        } else {
            approvals::objection(question, ApprovalState::Pending, viewer)
                .map(|refused| capital(&refused.to_string()))
        };
        Self {
            id: approval.id.clone(),
            version: format!(
                "{}-{}-{}",
                approval.waiting,
                approval.hold_until,
                voters.len()
            ),
            summary: capital(&shown_line(&question.in_words())),
            who: shown_line(&question.identity.subject),
            email: question.identity.email.as_deref().map(shown_line),
            groups: shown_line(&question.identity.groups.join(", ")),
            rule: shown_line(question.rule.as_deref().unwrap_or("(no rule named)")),
            reason: question.reason.as_deref().map(shown_line),
            request_line: shown_line(&format!(
                "{} {}{}",
                request.method, request.authority, request.path
            )),
            operations: question.operations.iter().map(operation).collect(),
            body: body(approval, preview),
            waiting: approval.waiting,
            hold_until: approval.hold_until,
            hold_left: in_words(approval.hold_until - now),
            expires_at: approval.expires_at,
            expires_left: in_words(approval.expires_at - now),
            votes: (needed > 1).then(|| match voters.len() {
                0 => format!("{needed} people have to approve"),
                given => format!("{given} of {needed} have approved: {}", voters.join(", ")),
            }),
            objection,
        }
    }
}

fn operation(operation: &Operation) -> String {
    let mut words = vec![operation.name.clone()];
    words.extend(operation.repo.clone());
    words.extend(operation.reference.clone());
    if !operation.paths.is_empty() {
        words.push(operation.paths.join(", "));
    } else if !operation.paths_known && operation.reference.is_some() {
        words.push("(files not known)".to_owned());
    }
    for (name, value) in &operation.attributes {
        match value {
            serde_json::Value::String(text) => words.push(format!("{name}={text}")),
            other => words.push(format!("{name}={other}")),
        }
    }
    shown_line(&words.join("  "))
}

fn body(approval: &Approval, preview: Option<usize>) -> Option<Body> {
    let request = &approval.question.request;
    let text = request.body.as_deref().filter(|body| !body.is_empty())?;
    let mut notes = Vec::new();
    notes.extend(request.content_type.as_deref().map(shown_line));
    notes.extend(
        request
            .body_size
            .map(|bytes| size(i64::try_from(bytes).unwrap_or(i64::MAX))),
    );
    if request.body_encoding.as_deref() == Some("base64") {
        notes.push("not text, shown as base64".to_owned());
    }
    if request.body_truncated {
        notes.push("cut off by the gateway".to_owned());
    }
    let mut text = shown(text);
    if let Some((end, _)) = preview.and_then(|letters| text.char_indices().nth(letters)) {
        text.truncate(end);
        text.push_str("\n…");
        notes.push("beginning only, all of it on the request's page".to_owned());
    }
    Some(Body {
        note: notes.join(", "),
        text,
    })
}

fn facts(approval: &Approval) -> Vec<(&'static str, String)> {
    let question = &approval.question;
    let request = &question.request;
    let mut facts = vec![
        ("Reviewers", question.reviewers_in_words()),
        ("Connection", shown_line(&question.connection)),
        ("Exchange", shown_line(&question.exchange)),
        ("Asked", rfc3339(approval.asked_at)),
        ("Ticket ends", rfc3339(approval.expires_at)),
        ("Fingerprint", question.fingerprint.clone()),
    ];
    let optional = [
        ("Identity provider", &question.identity.provider),
        ("Session", &question.session),
        ("Policy", &question.policy),
        ("Body SHA-256", &request.body_sha256),
    ];
    for (name, value) in optional {
        facts.extend(value.as_deref().map(|value| (name, shown_line(value))));
    }
    facts
}

impl Line {
    fn new(approval: &Approval) -> Self {
        let state = approval.state.as_str();
        let at = [approval.consumed_at, approval.decided_at]
            .into_iter()
            .flatten()
            .next()
            .unwrap_or(approval.asked_at);
        Self {
            id: approval.id.clone(),
            state: match approval.state {
                ApprovalState::Pending => "waiting",
                ApprovalState::Approved => "approved, not used yet",
                ApprovalState::Consumed => "approved and used",
                ApprovalState::Refused => "refused",
                ApprovalState::Expired => "ended",
            },
            tone: text::tone(state),
            summary: capital(&shown_line(&approval.question.in_words())),
            who: shown_line(&approval.question.identity.subject),
            decided_by: approval.decided_by.as_deref().map(shown_line),
            decided_why: approval.decided_why.as_deref().map(shown_line),
            at: readable(at),
        }
    }
}

impl EventLine {
    fn new(event: Event) -> Self {
        Self {
            at: readable(event.at),
            text: match event.kind.as_str() {
                "asked" => "The request was held and the question put",
                "joined" => "The same request came again and waits now",
                "ticket" => "The caller's wait ended; it was given a ticket",
                "gone" => "The caller went away",
                "approved" => "Approved",
                "refused" => "Refused",
                "repeated" => "The same request came again and was refused again",
                "consumed" => "The request went through",
                "expired" => "The ticket ended",
                _ => "",
            },
            kind: event.kind,
            who: event.who.as_deref().map(shown_line),
            exchange: event.exchange.as_deref().map(shown_line),
            note: event.note.as_deref().map(shown_line),
        }
    }
}

/// The first letter large: summaries are written as the middle of a sentence.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

//! The reviewer's pages: what waits, live, and one request with everything that happened to it.

use std::convert::Infallible;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Redirect, Response};
use futures_util::stream;
use serde::Deserialize;

use super::App;
use super::auth::SignedIn;
use super::card::{Card, Group, grouped};
use super::context::{Context, context};
use super::health::beyond;
use super::page::{Frame, message, page_error, render, stale_form};
use super::text::{self, capital, shown_line};
use crate::approvals::limited::{self, Limited};
use crate::approvals::{
    self, Approval, Authority, Choice, DecisionRefused, Event, State as ApprovalState, Step, book,
    decide,
};
use crate::clock::{readable, rfc3339};
use crate::people::Person;
use crate::replay::shown::Block;
use crate::store::StoreError;
use crate::store::sql::Connection;

/// Pending requests on one page; more than a person can look at.
const PENDING: u32 = 200;
const RECENT: u32 = 30;
/// Earlier decisions on the same repository that the request's page shows.
const EARLIER: u32 = 8;

#[derive(Template)]
#[template(path = "approvals.html")]
struct ListPage {
    frame: Frame,
    list: Vec<Group>,
    recent: Vec<Line>,
    /// Who asked for more than may wait.
    beyond: Vec<String>,
}

/// The pending requests alone, for the script that keeps the page live.
#[derive(Template)]
#[template(path = "cards.html")]
struct Cards {
    form_token: String,
    list: Vec<Group>,
}

#[derive(Template)]
#[template(path = "approval.html")]
struct OnePage {
    frame: Frame,
    card: Card,
    line: Line,
    pending: bool,
    context: Context,
    earlier: Vec<Line>,
    repo: String,
    events: Vec<EventLine>,
    facts: Vec<(&'static str, String)>,
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
    /// With blanks between, where several are refused together.
    #[serde(default)]
    ids: String,
}

#[derive(Deserialize)]
pub(super) struct Watching {
    /// Whether a person has the page in front of him.
    #[serde(default)]
    visible: bool,
}

pub(super) async fn list(State(app): State<App>, session: SignedIn) -> Response {
    let load = async {
        let now = app.clock.now();
        let (app2, person) = (app.clone(), session.0.person.clone());
        let (recent, limited) = app
            .store
            .read(move |c| {
                let settled = [
                    ApprovalState::Approved,
                    ApprovalState::Refused,
                    ApprovalState::Consumed,
                    ApprovalState::Expired,
                ];
                let authority = Authority::of(c, now, &app2.settings().approvals, person)?;
                let mut recent = approvals::list(c, now, &settled, RECENT)?;
                recent.retain(|approval| is_shown(&app2, &authority, approval));
                Ok((recent, limited::recent(c, now)?))
            })
            .await?;
        // Whose requests somebody decides is his to know; all of it, if he may read the trail.
        let (_, waiting) = waiting(&app, &session.0.person).await?;
        let all = app.rights.reads_trail(&session.0.person);
        let his = |one: &&Limited| {
            let mut asked = waiting.iter().chain(&recent);
            all || asked.any(|approval| approval.question.identity.subject == one.subject)
        };
        Ok(ListPage {
            frame: Frame::new(&app, &session.0, "approvals", "Approvals").await?,
            list: groups(&app, &session.0.person, true).await?,
            recent: recent.iter().map(Line::new).collect(),
            beyond: limited.iter().filter(his).map(beyond).collect(),
        })
    };
    match load.await {
        Ok(page) => render(StatusCode::OK, &page),
        Err(error) => page_error(&error),
    }
}

pub(super) async fn pending(
    State(app): State<App>,
    session: SignedIn,
    Query(watching): Query<Watching>,
) -> Response {
    match groups(&app, &session.0.person, watching.visible).await {
        Ok(list) => {
            let form_token = crate::people::form_token(&session.0.token);
            render(StatusCode::OK, &Cards { form_token, list })
        }
        Err(error) => page_error(&error),
    }
}

/// Whether a person sees an approval: those he may decide, and all if he may read the trail.
pub(super) fn is_shown(app: &App, authority: &Authority, approval: &Approval) -> bool {
    app.rights.reads_trail(&authority.person) || authority.sees(&approval.question)
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
    let (_, waiting) = waiting(app, person).await?;
    Ok(u32::try_from(waiting.len()).unwrap_or(PENDING))
}

async fn waiting(app: &App, person: &Person) -> Result<(Authority, Vec<Approval>), StoreError> {
    let (app2, now, person) = (app.clone(), app.clock.now(), person.clone());
    app.store
        .read(move |c| {
            let authority = Authority::of(c, now, &app2.settings().approvals, person)?;
            let mut waiting = approvals::list(c, now, &[ApprovalState::Pending], PENDING)?;
            waiting.retain(|approval| is_shown(&app2, &authority, approval));
            Ok((authority, waiting))
        })
        .await
}

async fn groups(app: &App, person: &Person, visible: bool) -> Result<Vec<Group>, StoreError> {
    let (authority, waiting) = waiting(app, person).await?;
    if visible {
        seen(app, &authority, &waiting).await?;
    }
    Ok(grouped(&waiting, &authority, app.clock.now()))
}

/// Puts on record that somebody who may decide has these in front of him; once for each.
pub(super) async fn seen(
    app: &App,
    authority: &Authority,
    shown: &[Approval],
) -> Result<(), StoreError> {
    let his: Vec<String> = shown
        .iter()
        .filter(|one| {
            authority
                .objection(&one.question, one.state, false)
                .is_none()
        })
        .map(|one| one.id.clone())
        .collect();
    if his.is_empty() {
        return Ok(());
    }
    let (now, who) = (app.clock.now(), authority.person.name.clone());
    let unseen = move |c: &Connection, who: &str| -> Result<Vec<String>, StoreError> {
        let mut unseen = Vec::new();
        for id in &his {
            let known: bool = c
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM approval_events WHERE approval = ?1 AND kind = 'seen' AND who = ?2)",
                )?
                .query_row([id.as_str(), who], |row| row.get(0))?;
            if !known {
                unseen.push(id.clone());
            }
        }
        Ok(unseen)
    };
    let (look, asker) = (unseen.clone(), who.clone());
    // Most looks are at what was seen before: those cost no commit.
    if app.store.read(move |c| look(c, &asker)).await?.is_empty() {
        return Ok(());
    }
    app.store
        .write(move |c| {
            for id in unseen(c, &who)? {
                book::note(c, &id, now, Step::Seen, Some(&who), None, None)?;
            }
            Ok(())
        })
        .await
}

/// Says "changed" whenever an approval did. The page then fetches what it shows: an event carries
/// nothing that would need a session of its own to be checked.
pub(super) async fn stream(State(app): State<App>, _session: SignedIn) -> Response {
    changes(&app)
}

pub(super) fn changes(app: &App) -> Response {
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
        let (app2, person) = (app.clone(), session.0.person.clone());
        let found = app
            .store
            .read(move |c| {
                let authority = Authority::of(c, now, &app2.settings().approvals, person)?;
                let found = approvals::find(c, &id)?;
                let Some(approval) = found.filter(|one| is_shown(&app2, &authority, one)) else {
                    return Ok(None);
                };
                let mut earlier = approvals::of_repo(c, &approval, EARLIER)?;
                earlier.retain(|one| is_shown(&app2, &authority, one));
                Ok(Some((authority, approval, earlier)))
            })
            .await?;
        let Some((authority, approval, earlier)) = found else {
            return Ok(None);
        };
        seen(&app, &authority, std::slice::from_ref(&approval)).await?;
        let context = context(&app, &authority.person, &approval).await?;
        let id = approval.id.clone();
        let events = app.store.read(move |c| approvals::events(c, &id)).await?;
        let frame = Frame::new(&app, &session.0, "approvals", "Approval").await?;
        let mut card = Card::new(&approval, &authority, now, false);
        if !context.changes.is_empty() {
            card.changes.clone_from(&context.changes);
        }
        Ok::<_, StoreError>(Some(OnePage {
            frame,
            card,
            line: Line::new(&approval),
            pending: approval.state == ApprovalState::Pending && approval.expires_at > now,
            context,
            repo: shown_line(approval.question.repo().unwrap_or_default()),
            earlier: earlier.iter().map(Line::new).collect(),
            events: lines(events),
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
    settle(app, session, &[id], form, Choice::Approve).await
}

pub(super) async fn refuse(
    State(app): State<App>,
    session: SignedIn,
    Path(id): Path<String>,
    Form(form): Form<Decision>,
) -> Response {
    settle(app, session, &[id], form, Choice::Refuse).await
}

pub(super) async fn break_glass(
    State(app): State<App>,
    session: SignedIn,
    Path(id): Path<String>,
    Form(form): Form<Decision>,
) -> Response {
    settle(app, session, &[id], form, Choice::BreakGlass).await
}

/// Refuses several that are alike.
pub(super) async fn refuse_all(
    State(app): State<App>,
    session: SignedIn,
    Form(form): Form<Decision>,
) -> Response {
    let ids: Vec<String> = form.ids.split_whitespace().map(str::to_owned).collect();
    settle(app, session, &ids, form, Choice::Refuse).await
}

async fn settle(
    app: App,
    session: SignedIn,
    ids: &[String],
    form: Decision,
    choice: Choice,
) -> Response {
    let back = "/approvals";
    if !session.sent(&form.form_token) {
        return stale_form(back);
    }
    for id in ids.iter().take(PENDING as usize) {
        let person = session.0.person.clone();
        match take_decision(&app, id, person, choice, &form.reason).await {
            Ok(Ok(_)) => {}
            // Of several, one that is settled by now is what was wanted.
            Ok(Err(DecisionRefused::Settled(_))) if ids.len() > 1 => {}
            Ok(Err(DecisionRefused::NotFound)) => return no_such_approval(),
            Ok(Err(refused)) => {
                let text = format!("Nothing was done: {refused}.");
                return message(status_of(&refused), "Not decided", &text, back);
            }
            Err(error) => return page_error(&error),
        }
    }
    Redirect::to(back).into_response()
}

/// Takes a decision and wakes up whoever waits for it.
pub(super) async fn take_decision(
    app: &App,
    id: &str,
    person: Person,
    choice: Choice,
    reason: &str,
) -> Result<Result<approvals::Decided, DecisionRefused>, StoreError> {
    let now = app.clock.now();
    let id = id.to_owned();
    let reason = reason.trim().to_owned();
    let settings = app.settings();
    let decided = app
        .store
        .write(move |c| {
            let why = (!reason.is_empty()).then_some(reason.as_str());
            let by = Authority::of(c, now, &settings.approvals, person)?;
            decide(c, now, &id, &by, choice, why)
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
        DecisionRefused::Settled(_) | DecisionRefused::AlreadyApproved => StatusCode::CONFLICT,
        DecisionRefused::NoReason(_) => StatusCode::UNPROCESSABLE_ENTITY,
        DecisionRefused::OwnRequest
        | DecisionRefused::NotReviewer(_)
        | DecisionRefused::NoGlass
        | DecisionRefused::Away(_) => StatusCode::FORBIDDEN,
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

fn facts(approval: &Approval) -> Vec<(&'static str, String)> {
    let question = &approval.question;
    let request = &question.request;
    let mut facts = vec![
        ("Reviewers", shown_line(&question.reviewers_in_words())),
        ("Connection", shown_line(&question.connection)),
        ("Exchange", shown_line(&question.exchange)),
        ("Asked", rfc3339(approval.asked_at)),
        ("Ticket ends", rfc3339(approval.expires_at)),
        ("Fingerprint", shown_line(&question.fingerprint)),
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

/// The steps; each exchange is named where it is first heard of.
fn lines(events: Vec<Event>) -> Vec<EventLine> {
    let mut about = None;
    let mut lines = Vec::new();
    for mut event in events {
        let known = event.exchange == about;
        about.clone_from(&event.exchange);
        if known {
            event.exchange = None;
        }
        lines.push(EventLine::new(event));
    }
    lines
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
                "notified" => "A notice was taken by",
                "not_notified" => "A notice could not be delivered to",
                "seen" => "A reviewer had it on his screen",
                "approved" => "Approved",
                "broke_glass" => "Let through alone, by breaking the glass",
                "refused" => "Refused",
                "repeated" => "The same request came again and was refused again",
                "consumed" => "The request went through",
                "expired" => "The ticket ended",
                "outdated" => "The gateway took another policy; the request has to be sent again",
                _ => "",
            },
            kind: event.kind,
            who: event.who.as_deref().map(shown_line),
            exchange: event.exchange.as_deref().map(shown_line),
            note: event.note.as_deref().map(shown_line),
        }
    }
}

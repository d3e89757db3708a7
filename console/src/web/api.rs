//! The pages' content as JSON, for tests and tools. Times are RFC 3339.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::approvals::{is_shown, seen, status_of, take_decision};
use super::asked::{Parameters, Wrong};
use super::audit::NO_WORDS;
use super::auth::{ApiAuditor, ApiCaller, out_of_scope};
use super::look::looked;
use crate::approvals::{self, Approval, Authority, Choice, Event, State as ApprovalState};
use crate::clock::rfc3339;
use crate::exchanges::command::as_json;
use crate::exchanges::search::answered;
use crate::exchanges::{self, facets, search_and_count};
use crate::intake::record::Half;
use crate::ledger::read::StoredRecord;
use crate::people::Person;
use crate::people::access::{Looked, Way};
use crate::people::tokens::Scope;
use crate::store::StoreError;

const APPROVALS: u32 = 500;

#[derive(Deserialize)]
pub(super) struct Which {
    state: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Looking {
    /// Whether a person reads the answer: that is put on record.
    #[serde(default)]
    seen: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reason {
    reason: Option<String>,
    break_glass: bool,
}

pub(super) async fn approvals(
    State(app): State<App>,
    caller: ApiCaller,
    Query(which): Query<Which>,
) -> Response {
    let states = match which.state.as_deref() {
        None | Some("") => ApprovalState::ALL.to_vec(),
        Some(word) => match ApprovalState::from_word(word) {
            Some(state) => vec![state],
            None => {
                return problem(
                    StatusCode::BAD_REQUEST,
                    &format!("no state is called {word}"),
                );
            }
        },
    };
    if !caller.may(Scope::ReadApprovals) {
        return out_of_scope(Scope::ReadApprovals);
    }
    let now = app.clock.now();
    let (app2, person) = (app.clone(), caller.person);
    let found = app
        .store
        .read(move |c| {
            let authority = Authority::of(c, now, &app2.settings().approvals, person)?;
            let mut found = approvals::list(c, now, &states, APPROVALS)?;
            found.retain(|approval| is_shown(&app2, &authority, approval));
            Ok((authority, found))
        })
        .await;
    match found {
        Ok((authority, found)) => {
            let list: Vec<Value> = found
                .iter()
                .map(|one| approval_json(one, &authority))
                .collect();
            Json(json!({ "approvals": list })).into_response()
        }
        Err(error) => unavailable(&error),
    }
}

pub(super) async fn approval(
    State(app): State<App>,
    caller: ApiCaller,
    Path(id): Path<String>,
    Query(looking): Query<Looking>,
) -> Response {
    if !caller.may(Scope::ReadApprovals) {
        return out_of_scope(Scope::ReadApprovals);
    }
    with_events(&app, &caller.person, id, looking.seen).await
}

/// Says "changed" whenever an approval did, as the page is told.
pub(super) async fn stream(State(app): State<App>, caller: ApiCaller) -> Response {
    match caller.may(Scope::ReadApprovals) {
        true => super::approvals::changes(&app),
        false => out_of_scope(Scope::ReadApprovals),
    }
}

pub(super) async fn approve(
    State(app): State<App>,
    caller: ApiCaller,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    settle(app, caller, id, &body, Choice::Approve).await
}

pub(super) async fn refuse(
    State(app): State<App>,
    caller: ApiCaller,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    settle(app, caller, id, &body, Choice::Refuse).await
}

async fn settle(app: App, caller: ApiCaller, id: String, body: &[u8], choice: Choice) -> Response {
    if !caller.may(Scope::Decide) {
        return out_of_scope(Scope::Decide);
    }
    let reason = if body.is_empty() {
        Reason::default()
    } else {
        match serde_json::from_slice(body) {
            Ok(reason) => reason,
            Err(error) => return problem(StatusCode::BAD_REQUEST, &error.to_string()),
        }
    };
    let why = reason.reason.unwrap_or_default();
    let choice = match (choice, reason.break_glass) {
        (Choice::Approve, true) => Choice::BreakGlass,
        (choice, _) => choice,
    };
    match take_decision(&app, &id, caller.person.clone(), choice, &why).await {
        Ok(Ok(_)) => with_events(&app, &caller.person, id, false).await,
        Ok(Err(refused)) => problem(status_of(&refused), &refused.to_string()),
        Err(error) => unavailable(&error),
    }
}

async fn with_events(app: &App, person: &Person, id: String, by_eye: bool) -> Response {
    let found = async {
        let (app2, now, person, wanted) =
            (app.clone(), app.clock.now(), person.clone(), id.clone());
        let found = app
            .store
            .read(move |c| {
                let authority = Authority::of(c, now, &app2.settings().approvals, person)?;
                let found = approvals::find(c, &wanted)?;
                Ok(found
                    .filter(|approval| is_shown(&app2, &authority, approval))
                    .map(|approval| (authority, approval)))
            })
            .await?;
        let Some((authority, approval)) = found else {
            return Ok(None);
        };
        if by_eye {
            seen(app, &authority, std::slice::from_ref(&approval)).await?;
        }
        let events = app.store.read(move |c| approvals::events(c, &id)).await?;
        Ok::<_, StoreError>(Some((authority, approval, events)))
    };
    match found.await {
        Ok(Some((authority, approval, events))) => {
            let mut value = approval_json(&approval, &authority);
            value["events"] = events.iter().map(event_json).collect();
            Json(value).into_response()
        }
        Ok(None) => problem(StatusCode::NOT_FOUND, "there is no such approval"),
        Err(error) => unavailable(&error),
    }
}

/// What an answer holds beside the exchanges, if it is asked for.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Beside {
    facets: bool,
}

pub(super) async fn exchanges(
    State(app): State<App>,
    caller: ApiAuditor,
    Query(parameters): Query<Parameters>,
    Query(beside): Query<Beside>,
) -> Response {
    let now = app.clock.now();
    let asked = match parameters.asked(now) {
        Ok(asked) => asked,
        Err(Wrong::Parameter(why)) => return problem(StatusCode::BAD_REQUEST, &why),
        Err(Wrong::Query(error)) => {
            let body = json!({
                "error": error.to_string(), "character": error.character,
                "problem": error.problem, "remedy": error.remedy,
            });
            return (StatusCode::BAD_REQUEST, Json(body)).into_response();
        }
    };
    if asked.query.has_words() && !app.rights.reads_bodies(&caller.0) {
        return problem(StatusCode::FORBIDDEN, NO_WORDS);
    }
    let look = Looked::Search {
        query: asked.query.to_string(),
        cursor: asked.after.map(|cursor| cursor.to_string()),
    };
    if let Err(error) = looked(&app, &caller.0.name, Way::Api, look).await {
        return unavailable(&error);
    }
    let query = asked.query.to_string();
    let found = app
        .store
        .read(move |c| {
            let (found, matches) = match answered(search_and_count(c, &asked))? {
                Ok(found) => found,
                Err(why) => return Ok(Err(why)),
            };
            let beside = match beside.facets {
                true => Some((
                    facets::facets(c, &matches)?,
                    facets::histogram(c, &matches, &asked.query, now)?,
                )),
                false => None,
            };
            Ok(Ok((found, matches, beside)))
        })
        .await;
    match found {
        Ok(Ok((found, matches, beside))) => {
            let list: Vec<Value> = found.exchanges.iter().map(as_json).collect();
            let next = found.next.map(|cursor| cursor.to_string());
            let (count, all) = matches.count();
            let mut value = json!({
                "exchanges": list, "next": next, "query": query,
                "count": count, "count_is_complete": all,
            });
            if let Some((facets, histogram)) = beside {
                value["facets"] = json!(facets);
                value["histogram"] = json!(histogram);
            }
            Json(value).into_response()
        }
        Ok(Err(why)) => problem(StatusCode::BAD_REQUEST, &why),
        Err(error) => unavailable(&error),
    }
}

pub(super) async fn exchange(
    State(app): State<App>,
    caller: ApiAuditor,
    Path(id): Path<String>,
) -> Response {
    let bodies = app.rights.reads_bodies(&caller.0);
    let wanted = id.clone();
    let mut detail = match app.store.read(move |c| exchanges::detail(c, &wanted)).await {
        Ok(Some(detail)) => detail,
        Ok(None) => return problem(StatusCode::NOT_FOUND, "no record of such an exchange"),
        Err(error) => return unavailable(&error),
    };
    let look = Looked::Exchange { id, bodies };
    if let Err(error) = looked(&app, &caller.0.name, Way::Api, look).await {
        return unavailable(&error);
    }
    if !bodies {
        detail.withhold_bodies();
    }
    let newest = |half: Half| {
        let of_half = |part: &&StoredRecord| part.event == half.event_name();
        let part = detail.records.iter().rev().find(of_half);
        part.map(|part| &part.attributes)
    };
    let mut value = as_json(&detail.summary);
    value["request"] = json!(newest(Half::Request));
    value["outcome"] = json!(newest(Half::Outcome));
    value["records"] = json!(detail.records);
    Json(value).into_response()
}

fn approval_json(approval: &Approval, viewer: &Authority) -> Value {
    let question = &approval.question;
    let objection = viewer.objection(question, approval.state, false);
    json!({
        "id": approval.id,
        "state": approval.state.as_str(),
        "waiting": approval.waiting,
        "summary": question.summary,
        "in_words": question.in_words(),
        "asked_at": rfc3339(approval.asked_at),
        "hold_until": rfc3339(approval.hold_until),
        "expires_at": rfc3339(approval.expires_at),
        "decided_at": approval.decided_at.map(rfc3339),
        "decided_by": approval.decided_by,
        "decided_why": approval.decided_why,
        "consumed_at": approval.consumed_at.map(rfc3339),
        "consumed_by": approval.consumed_by,
        "votes": approval.votes.iter().map(|vote| {
            json!({"who": vote.who, "at": rfc3339(vote.at), "why": vote.why, "counts": vote.counts})
        }).collect::<Vec<_>>(),
        "demands": approval.progress(),
        "came_again": approval.came_again,
        "yours_to_decide": objection.is_none(),
        "objection": objection.map(|refused| refused.to_string()),
        "url": format!("/approvals/{}", approval.id),
        "question": question,
    })
}

fn event_json(event: &Event) -> Value {
    json!({
        "at": rfc3339(event.at),
        "kind": event.kind,
        "who": event.who,
        "exchange": event.exchange,
        "note": event.note,
    })
}

fn problem(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}

pub(super) fn unavailable(error: &StoreError) -> Response {
    tracing::error!(%error, "an API call could not be answered");
    problem(
        StatusCode::SERVICE_UNAVAILABLE,
        "the console's database did not answer",
    )
}

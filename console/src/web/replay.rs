//! A session as a timeline that can be stepped through and played, and the list as JSON.

use askama::Template;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::App;
use super::auth::{ApiAuditor, Auditor};
use super::look::looked;
use super::page::{Frame, message, page_error, render};
use super::text::shown_line;
use crate::clock::{Millis, in_words, readable};
use crate::exchanges::query::{Field, Query as Words};
use crate::people::access::{Looked, Way};
use crate::replay::session::{self, Listed, Replay, Which};
use crate::replay::shown::{self, Block, Shown};
use crate::store::StoreError;

const LISTED: u32 = 50;
/// What somebody is told who may not read what a session is made of.
const NO_BODIES: &str = "A session is shown with its prompts and answers, which you lack the right to read. \
     Its exchanges are found with session:NAME.";

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Page {
    user: String,
    before: Option<Millis>,
    from: Option<String>,
}

impl Page {
    fn user(&self) -> Option<String> {
        Some(self.user.trim().to_owned()).filter(|user| !user.is_empty())
    }
}

async fn listed(app: &App, page: &Page) -> Result<(Vec<Listed>, Option<Millis>), StoreError> {
    let (user, before) = (page.user(), page.before);
    app.store
        .read(move |c| session::sessions(c, user.as_deref(), before, LISTED))
        .await
}

pub(super) async fn list_json(
    State(app): State<App>,
    caller: ApiAuditor,
    Query(page): Query<Page>,
) -> Response {
    let look = Looked::Search {
        query: page
            .user()
            .map(|user| Words::of(Field::User, &user).to_string())
            .unwrap_or_default(),
        cursor: page.before.map(|before| before.to_string()),
    };
    if let Err(error) = looked(&app, &caller.0.name, Way::Api, look).await {
        return page_error(&error);
    }
    match listed(&app, &page).await {
        Ok((sessions, next)) => Json(json!({ "sessions": sessions, "next": next })).into_response(),
        Err(error) => page_error(&error),
    }
}

#[derive(Template)]
#[template(path = "session.html")]
struct OnePage {
    frame: Frame,
    session: String,
    users: String,
    when: String,
    length: String,
    exchanges: usize,
    total: Millis,
    steps: Vec<Shown>,
    next: Option<String>,
}

async fn replayed(
    app: &App,
    which: &str,
    from: Option<String>,
) -> Result<Option<Replay>, StoreError> {
    let which = Which::parse(which);
    app.store
        .read(move |c| session::replay(c, &which, from.as_deref()))
        .await
}

pub(super) async fn one(
    State(app): State<App>,
    session: Auditor,
    Path(id): Path<String>,
    Query(page): Query<Page>,
) -> Response {
    if !session.bodies(&app) {
        return message(
            StatusCode::FORBIDDEN,
            "Not yours to read",
            NO_BODIES,
            "/sessions",
        );
    }
    let load = async {
        let found = replayed(&app, &id, page.from).await?;
        let look = Looked::Session { id, bodies: true };
        looked(&app, &session.0.person.name, Way::Page, look).await?;
        let frame = Frame::new(&app, &session.0, "sessions", "Session").await?;
        Ok(found.map(|replay| (replay, frame)))
    };
    match load.await {
        Ok(Some((replay, frame))) => render(StatusCode::OK, &page_of(frame, &replay)),
        Ok(None) => message(
            StatusCode::NOT_FOUND,
            "Not found",
            "Nothing is on record of such a session.",
            "/sessions",
        ),
        Err(error) => page_error(&error),
    }
}

fn page_of(frame: Frame, replay: &Replay) -> OnePage {
    let timeline = &replay.timeline;
    let users: Vec<String> = timeline.users.iter().map(|user| shown_line(user)).collect();
    OnePage {
        frame,
        session: shown_line(&replay.session),
        users: users.join(", "),
        when: readable(timeline.started),
        length: in_words(timeline.ended - timeline.started),
        exchanges: replay.exchanges,
        total: timeline.ended - timeline.started,
        steps: shown::steps(timeline),
        next: replay.next.clone(),
    }
}

pub(super) async fn one_json(
    State(app): State<App>,
    caller: ApiAuditor,
    Path(id): Path<String>,
    Query(page): Query<Page>,
) -> Response {
    if !app.rights.reads_bodies(&caller.0) {
        return (StatusCode::FORBIDDEN, Json(json!({ "error": NO_BODIES }))).into_response();
    }
    let look = Looked::Session {
        id: id.clone(),
        bodies: true,
    };
    if let Err(error) = looked(&app, &caller.0.name, Way::Api, look).await {
        return page_error(&error);
    }
    match replayed(&app, &id, page.from).await {
        Ok(Some(replay)) => Json(replay).into_response(),
        Ok(None) => {
            let body = Json(json!({ "error": "nothing is on record of such a session" }));
            (StatusCode::NOT_FOUND, body).into_response()
        }
        Err(error) => page_error(&error),
    }
}

//! Sessions: the list, and one as a timeline that can be stepped through and played.

use askama::Template;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::App;
use super::auth::{ApiCaller, SignedIn};
use super::page::{Frame, message, page_error, render};
use super::text::shown_line;
use crate::clock::{Millis, in_words, readable};
use crate::replay::session::{self, Listed, Replay, Which};
use crate::replay::shown::{self, Block, Shown};
use crate::store::StoreError;

const LISTED: u32 = 50;

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

/// A session in the list.
struct Line {
    session: String,
    when: String,
    length: String,
    user: String,
    others: i64,
    exchanges: i64,
    denied: i64,
    held: i64,
    masked: i64,
}

#[derive(Template)]
#[template(path = "sessions.html")]
struct ListPage {
    frame: Frame,
    user: String,
    lines: Vec<Line>,
    next: Option<Millis>,
}

async fn listed(app: &App, page: &Page) -> Result<(Vec<Listed>, Option<Millis>), StoreError> {
    let (user, before) = (page.user(), page.before);
    app.store
        .read(move |c| session::sessions(c, user.as_deref(), before, LISTED))
        .await
}

pub(super) async fn list(
    State(app): State<App>,
    session: SignedIn,
    Query(page): Query<Page>,
) -> Response {
    let load = async {
        let (found, next) = listed(&app, &page).await?;
        let frame = Frame::new(&app, &session.0, "sessions", "Sessions").await?;
        Ok((found, next, frame))
    };
    match load.await {
        Ok((found, next, frame)) => {
            let lines = found.iter().map(line).collect();
            let user = page.user;
            render(
                StatusCode::OK,
                &ListPage {
                    frame,
                    user,
                    lines,
                    next,
                },
            )
        }
        Err(error) => page_error(&error),
    }
}

fn line(listed: &Listed) -> Line {
    Line {
        session: shown_line(&listed.session),
        when: readable(listed.last),
        length: in_words(listed.last - listed.first),
        user: listed
            .user
            .as_deref()
            .map_or_else(|| "not known".to_owned(), shown_line),
        others: listed.users.saturating_sub(1).max(0),
        exchanges: listed.exchanges,
        denied: listed.denied,
        held: listed.held,
        masked: listed.masked,
    }
}

pub(super) async fn list_json(
    State(app): State<App>,
    _caller: ApiCaller,
    Query(page): Query<Page>,
) -> Response {
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
    session: SignedIn,
    Path(id): Path<String>,
    Query(page): Query<Page>,
) -> Response {
    let load = async {
        let found = replayed(&app, &id, page.from).await?;
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
    _caller: ApiCaller,
    Path(id): Path<String>,
    Query(page): Query<Page>,
) -> Response {
    match replayed(&app, &id, page.from).await {
        Ok(Some(replay)) => Json(replay).into_response(),
        Ok(None) => {
            let body = Json(json!({ "error": "nothing is on record of such a session" }));
            (StatusCode::NOT_FOUND, body).into_response()
        }
        Err(error) => page_error(&error),
    }
}

//! The front page: what waits, what happened last, and whether the trail is whole.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::App;
use super::audit::Row;
use super::auth::SignedIn;
use super::page::{Frame, page_error, render};
use crate::clock::in_words;
use crate::exchanges::{self, Filter, Health};
use crate::intake::Tally;
use crate::store::StoreError;

const LATEST: u32 = 12;

#[derive(Template)]
#[template(path = "overview.html")]
struct Page {
    frame: Frame,
    held: usize,
    health: Health,
    intake: Tally,
    last_record: Option<String>,
    waiting_writes: usize,
    latest: Vec<Row>,
}

pub(super) async fn show(State(app): State<App>, session: SignedIn) -> Response {
    match page(&app, &session).await {
        Ok(page) => render(StatusCode::OK, &page),
        Err(error) => page_error(&error),
    }
}

async fn page(app: &App, session: &SignedIn) -> Result<Page, StoreError> {
    let now = app.clock.now();
    let (health, latest) = app
        .store
        .read(|c| {
            let filter = Filter {
                limit: LATEST,
                ..Filter::default()
            };
            Ok((exchanges::health(c)?, exchanges::search(c, &filter)?))
        })
        .await?;
    let intake = app.intake.tally();
    Ok(Page {
        frame: Frame::new(app, &session.0, "overview", "Overview").await?,
        held: app.desk.held(),
        health,
        last_record: (intake.last_at > 0).then(|| in_words(now - intake.last_at)),
        intake,
        waiting_writes: app.store.waiting_writes(),
        latest: latest.exchanges.iter().map(Row::new).collect(),
    })
}

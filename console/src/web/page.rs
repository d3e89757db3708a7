//! What every page shares: its frame, and how errors look.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use super::{App, approvals};
use crate::people::{Session, form_token};
use crate::store::StoreError;

/// The part around every page of a signed-in person.
pub(super) struct Frame {
    pub title: String,
    /// Which entry of the navigation this is.
    pub here: &'static str,
    pub person: String,
    pub form_token: String,
    pub pending: u32,
    pub dev: bool,
    /// Whether the person may read the trail.
    pub auditor: bool,
}

impl Frame {
    pub async fn new(
        app: &App,
        session: &Session,
        here: &'static str,
        title: impl Into<String>,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            title: title.into(),
            here,
            person: session.person.name.clone(),
            form_token: form_token(&session.token),
            pending: approvals::pending_count(app, &session.person).await?,
            dev: app.dev,
            auditor: app.rights.reads_trail(&session.person),
        })
    }
}

#[derive(Template)]
#[template(path = "message.html")]
struct Message<'a> {
    title: &'a str,
    text: &'a str,
    back: &'a str,
}

/// Renders a template.
pub(super) fn render(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "the page could not be rendered\n",
            )
                .into_response()
        }
    }
}

/// A page that says one thing.
pub(super) fn message(status: StatusCode, title: &str, text: &str, back: &str) -> Response {
    render(status, &Message { title, text, back })
}

/// What a person sees when the database does not answer; the cause goes to the log.
pub fn page_error(error: &StoreError) -> Response {
    tracing::error!(%error, "a page could not be served");
    message(
        StatusCode::SERVICE_UNAVAILABLE,
        "Not available",
        "The console's database did not answer. The console's own log says why.",
        "/",
    )
}

pub(super) async fn not_found() -> Response {
    message(
        StatusCode::NOT_FOUND,
        "Not found",
        "There is nothing at this address.",
        "/",
    )
}

pub(super) fn stale_form(back: &str) -> Response {
    message(
        StatusCode::FORBIDDEN,
        "Nothing was done",
        "This form was not sent by your current session. Go back, reload the page, and try again.",
        back,
    )
}

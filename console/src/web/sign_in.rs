//! Signing in and out.

use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::App;
use super::auth::{SignedIn, cookie};
use super::page::{page_error, render, stale_form};
use crate::people;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct Page {
    next: String,
    wrong: bool,
    dev: bool,
}

#[derive(Deserialize)]
pub(super) struct Next {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
pub(super) struct Secret {
    secret: String,
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
pub(super) struct Token {
    form_token: String,
}

pub(super) async fn form(
    State(app): State<App>,
    signed_in: Option<SignedIn>,
    Query(query): Query<Next>,
) -> Response {
    let next = local(&query.next);
    if signed_in.is_some() {
        return Redirect::to(&next).into_response();
    }
    let page = Page {
        next,
        wrong: false,
        dev: app.dev,
    };
    render(StatusCode::OK, &page)
}

pub(super) async fn submit(State(app): State<App>, Form(form): Form<Secret>) -> Response {
    let now = app.clock.now();
    let secret = form.secret.trim().to_owned();
    let next = local(&form.next);
    let started = app
        .store
        .write(move |c| match people::by_secret(c, &secret)? {
            Some(person) => Ok(Some(people::start_session(c, now, &person)?)),
            None => Ok(None),
        })
        .await;
    match started {
        Ok(Some(token)) => (
            [(header::SET_COOKIE, cookie(&app, &token))],
            Redirect::to(&next),
        )
            .into_response(),
        Ok(None) => {
            let page = Page {
                next,
                wrong: true,
                dev: app.dev,
            };
            render(StatusCode::UNAUTHORIZED, &page)
        }
        Err(error) => page_error(&error),
    }
}

pub(super) async fn sign_out(
    State(app): State<App>,
    session: SignedIn,
    Form(form): Form<Token>,
) -> Response {
    if !session.sent(&form.form_token) {
        return stale_form("/");
    }
    let token = session.0.token;
    match app
        .store
        .write(move |c| people::end_session(c, &token))
        .await
    {
        Ok(()) => (
            [(header::SET_COOKIE, cookie(&app, ""))],
            Redirect::to("/sign-in"),
        )
            .into_response(),
        Err(error) => page_error(&error),
    }
}

/// Whether somebody is signed in. A link from another site arrives without the strict cookie; the
/// sign-in page asks here and goes on by itself.
pub(super) async fn session(signed_in: Option<SignedIn>) -> StatusCode {
    match signed_in {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::UNAUTHORIZED,
    }
}

/// `next` if it is a path of this console, else the front page.
fn local(next: &str) -> String {
    let mut letters = next.chars();
    let is_path = letters.next() == Some('/') && !matches!(letters.next(), Some('/' | '\\'));
    if is_path && next.chars().all(|c| c.is_ascii_graphic() && c != '\\') {
        next.to_owned()
    } else {
        "/".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn nobody_is_sent_elsewhere() {
        assert_eq!(local("/approvals/x?y=1"), "/approvals/x?y=1");
        for elsewhere in [
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "",
            "/a\nb",
            "/\t/evil",
        ] {
            assert_eq!(local(elsewhere), "/", "{elsewhere:?}");
        }
    }
}

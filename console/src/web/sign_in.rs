//! Signing in and out.

use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::App;
use super::auth::{SignedIn, cookie, sign_in_cookie, sign_in_under_way};
use super::page::{message, page_error, render, stale_form};
use super::text::{capital, shown_line};
use crate::people::oidc::{self, Trouble};
use crate::people::{self, UserError};

#[derive(Template)]
#[template(path = "sign_in.html")]
struct Page {
    next: String,
    wrong: bool,
    dev: bool,
    /// What the provider's button says, if people sign in there.
    provider: Option<String>,
    secrets: bool,
}

impl Page {
    fn new(app: &App, next: String, wrong: bool) -> Self {
        Self {
            next,
            wrong,
            dev: app.dev,
            provider: app.provider().map(|provider| provider.label().to_owned()),
            secrets: app.takes_secrets(),
        }
    }
}

/// Goes on to a page as a step of its own: the session's strict cookie does not travel along with a
/// browser that comes from another site.
#[derive(Template)]
#[template(path = "signed_in.html")]
struct GoOn {
    next: String,
}

/// What a provider sends a browser back with.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
pub(super) struct CameBack {
    code: String,
    state: String,
    iss: String,
    error: String,
    error_description: String,
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
    render(StatusCode::OK, &Page::new(&app, next, false))
}

/// Sends the browser to the identity provider.
pub(super) async fn begin(State(app): State<App>, Query(query): Query<Next>) -> Response {
    let Some(provider) = app.provider() else {
        return not_set_up();
    };
    let begun = match in_background(move || provider.begin()).await {
        Ok(begun) => begun,
        Err(trouble) => return refused(&trouble),
    };
    let (now, next, address) = (app.clock.now(), local(&query.next), begun.address.clone());
    match app
        .store
        .write(move |c| oidc::remember(c, now, &begun, &next))
        .await
    {
        Ok(browser) => (
            [(header::SET_COOKIE, sign_in_cookie(&app, &browser))],
            Redirect::to(&address),
        )
            .into_response(),
        Err(error) => page_error(&error),
    }
}

/// The browser comes back from the identity provider.
pub(super) async fn finish(
    State(app): State<App>,
    headers: HeaderMap,
    Query(back): Query<CameBack>,
) -> Response {
    let Some(provider) = app.provider() else {
        return not_set_up();
    };
    let browser = sign_in_under_way(&app, &headers).unwrap_or_default();
    let (now, state) = (app.clock.now(), back.state.clone());
    let recalled = app
        .store
        .write(move |c| oidc::recall(c, now, &state, &browser))
        .await;
    let returned = match recalled {
        Ok(Some(returned)) => returned,
        Ok(None) => {
            let text =
                "This browser did not begin this sign-in, or it took too long. Sign in again.";
            return message(StatusCode::BAD_REQUEST, "Not signed in", text, "/sign-in");
        }
        Err(error) => return page_error(&error),
    };
    if let Err(trouble) = provider.sent(&back.iss) {
        return refused(&trouble);
    }
    if !back.error.is_empty() {
        let said = shown_line(&format!("{} {}", back.error, back.error_description));
        let text = format!("The identity provider refused: {}", said.trim());
        return message(StatusCode::FORBIDDEN, "Not signed in", &text, "/sign-in");
    }
    let next = returned.next.clone();
    let told = in_background(move || provider.finish(&back.code, &returned)).await;
    let told = match told {
        Ok(told) => told,
        Err(trouble) => return refused(&trouble),
    };
    let length = app.settings().session();
    let started = app
        .store
        .write(move |c| match people::provided(c, now, &told) {
            Ok(person) => Ok(Ok(people::start_session(c, now, &person, length)?)),
            Err(UserError::Store(error)) => Err(error),
            Err(other) => Ok(Err(other)),
        })
        .await;
    match started {
        Ok(Ok(token)) => {
            let cookies = AppendHeaders([
                (header::SET_COOKIE, cookie(&app, &token)),
                (header::SET_COOKIE, sign_in_cookie(&app, "")),
            ]);
            (cookies, render(StatusCode::OK, &GoOn { next })).into_response()
        }
        Ok(Err(error)) => {
            let text = format!(
                "The identity provider vouches for you, but {error}. An operator can mend that with countersign user."
            );
            message(StatusCode::FORBIDDEN, "Not signed in", &text, "/sign-in")
        }
        Err(error) => page_error(&error),
    }
}

async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Trouble> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Trouble::Provider(error.to_string()))?
}

fn refused(trouble: &Trouble) -> Response {
    let status = match trouble {
        Trouble::Provider(cause) | Trouble::Invalid(cause) => {
            tracing::warn!(%cause, "a sign-in did not work out: {trouble}");
            StatusCode::BAD_GATEWAY
        }
        Trouble::TooManyGroups | Trouble::Missing(_) | Trouble::NotAdmitted => {
            StatusCode::FORBIDDEN
        }
    };
    let text = format!("{}.", capital(&trouble.to_string()));
    message(status, "Not signed in", &text, "/sign-in")
}

fn not_set_up() -> Response {
    let text = "No identity provider is set up here.";
    message(StatusCode::NOT_FOUND, "Not found", text, "/sign-in")
}

pub(super) async fn submit(State(app): State<App>, Form(form): Form<Secret>) -> Response {
    let now = app.clock.now();
    let secret = form.secret.trim().to_owned();
    let next = local(&form.next);
    let length = app.settings().session();
    if !app.takes_secrets() {
        return render(StatusCode::FORBIDDEN, &Page::new(&app, next, true));
    }
    let started = app
        .store
        .write(move |c| match people::by_secret(c, &secret)? {
            Some(person) => Ok(Some(people::start_session(c, now, &person, length)?)),
            None => Ok(None),
        })
        .await;
    match started {
        Ok(Some(token)) => (
            [(header::SET_COOKIE, cookie(&app, &token))],
            Redirect::to(&next),
        )
            .into_response(),
        Ok(None) => render(StatusCode::UNAUTHORIZED, &Page::new(&app, next, true)),
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

//! Who calls: a session cookie for pages, a session or a bearer secret for the API.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use std::convert::Infallible;

use super::App;
use super::guard::bearer;
use super::page::{message, page_error};
use crate::people::{self, LIFETIME, Person, Session};
use crate::secret::same;

/// A person on a page. Without a session the answer is the sign-in page.
pub(super) struct SignedIn(pub Session);

impl SignedIn {
    /// Whether a form was sent by this session's own page.
    pub fn sent(&self, form_token: &str) -> bool {
        same(form_token, &people::form_token(&self.0.token))
    }
}

impl FromRequestParts<App> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        match session(&parts.headers, app).await {
            Ok(Some(session)) => Ok(Self(session)),
            Ok(None) if parts.method == Method::GET => {
                let next = parts.uri.path_and_query().map_or("/", |path| path.as_str());
                let query: String = percent_encode(next);
                Err(Redirect::to(&format!("/sign-in?next={query}")).into_response())
            }
            Ok(None) => Err((StatusCode::UNAUTHORIZED, "sign in first\n").into_response()),
            Err(error) => Err(page_error(&error)),
        }
    }
}

impl OptionalFromRequestParts<App> for SignedIn {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Option<Self>, Infallible> {
        Ok(session(&parts.headers, app).await.ok().flatten().map(Self))
    }
}

/// A person on a page of the trail, which takes the right to read it.
pub(super) struct Auditor(pub Session);

impl Auditor {
    /// Whether bodies are shown as well.
    pub fn bodies(&self, app: &App) -> bool {
        app.rights.reads_bodies(&self.0.person)
    }

    /// Whether a form was sent by this session's own page.
    pub fn sent(&self, form_token: &str) -> bool {
        same(form_token, &people::form_token(&self.0.token))
    }
}

impl FromRequestParts<App> for Auditor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let SignedIn(session) =
            <SignedIn as FromRequestParts<App>>::from_request_parts(parts, app).await?;
        if app.rights.reads_trail(&session.person) {
            return Ok(Self(session));
        }
        Err(message(
            StatusCode::FORBIDDEN,
            "Not yours to read",
            &no_right(app),
            "/approvals",
        ))
    }
}

/// A caller of the API who may read the trail.
pub(super) struct ApiAuditor(pub Person);

impl FromRequestParts<App> for ApiAuditor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let ApiCaller(person) = ApiCaller::from_request_parts(parts, app).await?;
        if app.rights.reads_trail(&person) {
            return Ok(Self(person));
        }
        let body = axum::Json(serde_json::json!({ "error": no_right(app) }));
        Err((StatusCode::FORBIDDEN, body).into_response())
    }
}

fn no_right(app: &App) -> String {
    let groups = app.rights.auditors.join(" or ");
    format!("The trail is read by members of {groups}. An operator decides who is one.")
}

/// A caller of the API: a bearer secret, or a session whose writes carry `x-form-token`.
pub(super) struct ApiCaller(pub Person);

impl FromRequestParts<App> for ApiCaller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let refuse = |status: StatusCode, why: &str| {
            let headers = [(header::WWW_AUTHENTICATE, "Bearer realm=\"countersign\"")];
            let body = axum::Json(serde_json::json!({ "error": why }));
            (status, headers, body).into_response()
        };
        if let Some(secret) = bearer(&parts.headers) {
            let secret = secret.to_owned();
            return match app.store.read(move |c| people::by_secret(c, &secret)).await {
                Ok(Some(person)) => Ok(Self(person)),
                Ok(None) => Err(refuse(StatusCode::UNAUTHORIZED, "nobody has this secret")),
                Err(error) => Err(page_error(&error)),
            };
        }
        let session = match session(&parts.headers, app).await {
            Ok(Some(session)) => session,
            Ok(None) => {
                return Err(refuse(
                    StatusCode::UNAUTHORIZED,
                    "sign in, or send a bearer secret",
                ));
            }
            Err(error) => return Err(page_error(&error)),
        };
        let form_token = parts.headers.get("x-form-token").map(HeaderValue::to_str);
        let own = matches!(form_token, Some(Ok(token)) if same(token, &people::form_token(&session.token)));
        if parts.method != Method::GET && !own {
            return Err(refuse(
                StatusCode::FORBIDDEN,
                "x-form-token is missing or wrong",
            ));
        }
        Ok(Self(session.person))
    }
}

async fn session(
    headers: &HeaderMap,
    app: &App,
) -> Result<Option<Session>, crate::store::StoreError> {
    let name = cookie_name(app);
    let token = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, token)| token.to_owned());
    let Some(token) = token else {
        return Ok(None);
    };
    let now = app.clock.now();
    let looked_up = token.clone();
    let person = app
        .store
        .read(move |c| people::person_of_session(c, now, &looked_up))
        .await?;
    Ok(person.map(|person| Session { person, token }))
}

/// The cookie that starts or, with an empty token, ends a session.
pub(super) fn cookie(app: &App, token: &str) -> String {
    let age = if token.is_empty() { 0 } else { LIFETIME / 1000 };
    let secure = if is_https(app) { "; Secure" } else { "" };
    format!(
        "{}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}{secure}",
        cookie_name(app)
    )
}

fn cookie_name(app: &App) -> &'static str {
    // The prefix makes browsers refuse the cookie from anywhere but this host over TLS.
    if is_https(app) {
        "__Host-countersign"
    } else {
        "countersign"
    }
}

fn is_https(app: &App) -> bool {
    app.public_url.starts_with("https://")
}

/// Percent-encodes all but unreserved letters and slashes.
fn percent_encode(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                char::from(b).to_string()
            }
            b => format!("%{b:02X}"),
        })
        .collect()
}

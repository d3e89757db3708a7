//! Who calls: a session cookie for pages, a session or a bearer secret for the API.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use std::convert::Infallible;

use super::App;
use super::guard::bearer;
use super::page::{message, page_error};
use crate::people::tokens::{self, Scope};
use crate::people::{self, Person, Session};
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
        let caller = ApiCaller::from_request_parts(parts, app).await?;
        if !caller.may(Scope::ReadTrail) {
            return Err(out_of_scope(Scope::ReadTrail));
        }
        let person = caller.person;
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

/// A caller of the API: a token or a person's secret, or a session whose writes carry `x-form-token`.
pub(super) struct ApiCaller {
    /// Who.
    pub person: Person,
    /// What his token is for; everything, without one.
    scopes: Option<Vec<Scope>>,
}

impl ApiCaller {
    /// Whether the call may do this, as far as its token goes.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes
            .as_ref()
            .is_none_or(|scopes| scopes.contains(&scope))
    }
}

/// The answer to a token that is for other things.
pub(super) fn out_of_scope(scope: Scope) -> Response {
    let why = format!("this token lacks the scope {}", scope.word());
    (
        StatusCode::FORBIDDEN,
        axum::Json(serde_json::json!({ "error": why })),
    )
        .into_response()
}

impl FromRequestParts<App> for ApiCaller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let refuse = |status: StatusCode, why: &str| {
            let headers = [(header::WWW_AUTHENTICATE, "Bearer realm=\"countersign\"")];
            let body = axum::Json(serde_json::json!({ "error": why }));
            (status, headers, body).into_response()
        };
        if let Some(secret) = bearer(&parts.headers) {
            let (secret, now) = (secret.to_owned(), app.clock.now());
            let found = if secret.starts_with(tokens::PREFIX) {
                app.store
                    .write(move |c| {
                        let holder = tokens::holder(c, now, &secret)?;
                        if holder.is_some() {
                            tokens::used(c, now, &secret)?;
                        }
                        Ok(holder.map(|(person, scopes)| (person, Some(scopes))))
                    })
                    .await
            } else if app.takes_secrets() {
                let found = app.store.read(move |c| people::by_secret(c, &secret)).await;
                found.map(|person| person.map(|person| (person, None)))
            } else {
                Ok(None)
            };
            return match found {
                Ok(Some((person, scopes))) => Ok(Self { person, scopes }),
                Ok(None) => Err(refuse(
                    StatusCode::UNAUTHORIZED,
                    "nobody has this secret, or the token has ended",
                )),
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
        Ok(Self {
            person: session.person,
            scopes: None,
        })
    }
}

async fn session(
    headers: &HeaderMap,
    app: &App,
) -> Result<Option<Session>, crate::store::StoreError> {
    let token = cookie_named(headers, cookie_name(app));
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
    let age = match token {
        "" => 0,
        _ => app.settings().session().as_secs(),
    };
    let secure = if is_https(app) { "; Secure" } else { "" };
    format!(
        "{}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}{secure}",
        cookie_name(app)
    )
}

/// The cookie of a sign-in that is under way. Lax, because the browser comes back with it from another
/// site; it opens nothing by itself.
pub(super) fn sign_in_cookie(app: &App, token: &str) -> String {
    let age = match token {
        "" => 0,
        _ => people::oidc::PATIENCE / 1000,
    };
    let secure = if is_https(app) { "; Secure" } else { "" };
    format!(
        "{}-sign-in={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age}{secure}",
        cookie_name(app)
    )
}

/// What the browser kept of a sign-in that is under way.
pub(super) fn sign_in_under_way(app: &App, headers: &HeaderMap) -> Option<String> {
    cookie_named(headers, &format!("{}-sign-in", cookie_name(app)))
}

fn cookie_named(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, token)| token.to_owned())
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

//! The credential that a gateway has to put in: without it every face answers as GitHub does.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode, header};
use serde_json::json;

use crate::hosts::Face;
use crate::upstream::Shared;

/// What requests must carry, and the short-lived Copilot tokens handed out for it.
pub struct Credential {
    token: String,
    issued: Mutex<HashSet<String>>,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Credential([redacted])")
    }
}

impl Credential {
    /// The one token that is accepted.
    pub fn new(token: String) -> Self {
        Self {
            token,
            issued: Mutex::default(),
        }
    }

    /// Also accepts `token`, which `/copilot_internal/v2/token` has just given out.
    pub fn issue(&self, token: String) {
        self.issued
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(token);
    }

    /// `Bearer TOKEN`, `token TOKEN` (scheme in any case), or Basic with the token as user name or password.
    /// Exactly one `Authorization`: GitHub would take one of two and nobody knows which.
    pub fn accepts(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return false;
        };
        let Some((scheme, rest)) = value.to_str().ok().and_then(|text| text.split_once(' ')) else {
            return false;
        };
        let rest = rest.trim();
        match scheme.to_ascii_lowercase().as_str() {
            "bearer" | "token" => self.known(rest),
            "basic" => STANDARD
                .decode(rest)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .and_then(|pair| {
                    pair.split_once(':')
                        .map(|(user, password)| self.known(user) || self.known(password))
                })
                .unwrap_or(false),
            _ => false,
        }
    }

    fn known(&self, token: &str) -> bool {
        token == self.token
            || self
                .issued
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(token)
    }
}

/// Lets a request through if it carries the credential.
pub async fn require(State(upstream): State<Shared>, request: Request, next: Next) -> Response {
    if upstream.credential.accepts(request.headers()) {
        return next.run(request).await;
    }
    let anonymous = !request.headers().contains_key(header::AUTHORIZATION);
    match Face::of(&request) {
        Face::Git => {
            let text = if anonymous {
                "Authentication required."
            } else {
                "Invalid username or token. Password authentication is not supported for Git operations."
            };
            (
                StatusCode::UNAUTHORIZED,
                [(header::WWW_AUTHENTICATE, "Basic realm=\"GitHub\"")],
                text,
            )
                .into_response()
        }
        Face::Api => {
            let message = if anonymous {
                "Requires authentication"
            } else {
                "Bad credentials"
            };
            let body = json!({ "message": message, "documentation_url": "https://docs.github.com/rest", "status": "401" });
            crate::api::dress(
                &upstream,
                (StatusCode::UNAUTHORIZED, axum::Json(body)).into_response(),
            )
        }
        Face::Copilot => {
            let body = "unauthorized: AuthenticateToken authentication failed\n";
            let challenge = "Bearer error=\"invalid_request\", error_description=\"No access token was provided in this request\"";
            let headers = [(header::WWW_AUTHENTICATE, challenge)];
            crate::copilot::dress((StatusCode::UNAUTHORIZED, headers, body).into_response())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(values: &[&str]) -> bool {
        let credential = Credential::new("ghs_right".into());
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        credential.accepts(&headers)
    }

    #[test]
    fn each_scheme_that_clients_use_is_read() {
        let basic = format!("Basic {}", STANDARD.encode("x-access-token:ghs_right"));
        for value in [
            "Bearer ghs_right",
            "bearer ghs_right",
            "token ghs_right",
            basic.as_str(),
        ] {
            assert!(accepts(&[value]), "{value}");
        }
        let wrong = format!("Basic {}", STANDARD.encode("x-access-token:ghs_wrong"));
        for value in [
            "Bearer ghs_wrong",
            "ghs_right",
            "Bearer",
            "Digest ghs_right",
            wrong.as_str(),
        ] {
            assert!(!accepts(&[value]), "{value}");
        }
        assert!(!accepts(&[]));
        assert!(!accepts(&["Bearer ghs_right", "Bearer ghs_right"]));
    }
}

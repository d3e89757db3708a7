//! The identity provider for development: discovery and keys under `/dev`, and tokens from
//! `countersign token`. Anyone with the data folder can be anyone, so only `serve --dev` on a
//! loopback address turns it on, and only in a folder that is marked for development.

pub mod keys;
pub mod token;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::web::{App, page_error};

/// Where the issuer of a development folder is remembered, for `countersign token`.
pub const ISSUER: &str = "dev_issuer";

/// OpenID Connect Discovery 1.0, as far as a verifier of tokens needs it.
pub async fn discovery(State(app): State<App>) -> Response {
    let issuer = app.page("/dev");
    Json(json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": keys::Algorithm::ALL.map(keys::Algorithm::name),
    }))
    .into_response()
}

/// The public keys (RFC 7517).
pub async fn jwks(State(app): State<App>) -> Response {
    match app.store.read(keys::public_set).await {
        Ok(set) => Json(set).into_response(),
        Err(error) => page_error(&error),
    }
}

//! The ledger over HTTP: checkpoints, proofs, and how complete it is.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::auth::{ApiAuditor, ApiCaller};
use crate::ledger::entry::{Hash, count};
use crate::ledger::{checkpoint, health, keys, read, tree};
use crate::store::{StoreError, sql};

/// The newest checkpoint, as the signed note that it is.
pub(super) async fn newest(State(app): State<App>, _caller: ApiCaller) -> Response {
    match app.store.read(checkpoint::newest).await {
        Ok(Some(newest)) => {
            let plain = HeaderValue::from_static("text/plain; charset=utf-8");
            ([(header::CONTENT_TYPE, plain)], newest.note).into_response()
        }
        Ok(None) => problem(StatusCode::NOT_FOUND, "nothing has been signed yet"),
        Err(error) => unavailable(&error),
    }
}

#[derive(Deserialize)]
pub(super) struct Inclusion {
    /// The entry.
    index: i64,
    /// Among so many; the newest checkpoint's size if not given.
    size: Option<i64>,
}

/// The proof that an entry is in the ledger.
pub(super) async fn inclusion(
    State(app): State<App>,
    _caller: ApiAuditor,
    Query(asked): Query<Inclusion>,
) -> Response {
    let work = move |c: &sql::Connection| {
        let size = size_or_newest(c, asked.size)?;
        if !(0..size).contains(&asked.index) || size > count(c)? {
            return Ok(Err("there is no such entry in a ledger of that size"));
        }
        let Some(entry) = read::entry(c, asked.index)? else {
            return Ok(Err("there is no such entry"));
        };
        Ok(Ok(json!({
            "index": asked.index,
            "size": size,
            "leaf": entry.leaf,
            "leaf_hash": STANDARD.encode(entry.hash),
            "root": STANDARD.encode(tree::root(c, size)?),
            "proof": hashes(&tree::inclusion(c, asked.index, size)?),
        })))
    };
    answer(app.store.read(work).await)
}

#[derive(Deserialize)]
pub(super) struct Consistency {
    /// The smaller size.
    from: i64,
    /// The larger one; the newest checkpoint's if not given.
    to: Option<i64>,
}

/// The proof that an earlier ledger is the beginning of a later one.
pub(super) async fn consistency(
    State(app): State<App>,
    _caller: ApiCaller,
    Query(asked): Query<Consistency>,
) -> Response {
    let work = move |c: &sql::Connection| {
        let to = size_or_newest(c, asked.to)?;
        if asked.from < 0 || asked.from > to || to > count(c)? {
            return Ok(Err("the sizes are not those of two states of this ledger"));
        }
        Ok(Ok(json!({
            "from": asked.from,
            "to": to,
            "from_root": STANDARD.encode(tree::root(c, asked.from)?),
            "to_root": STANDARD.encode(tree::root(c, to)?),
            "proof": hashes(&tree::consistency(c, asked.from, to)?),
        })))
    };
    answer(app.store.read(work).await)
}

/// The ledger's keys, the oldest first.
pub(super) async fn all_keys(State(app): State<App>, _caller: ApiCaller) -> Response {
    match app.store.read(keys::announced).await {
        Ok(keys) => {
            let keys: Vec<Value> = keys
                .iter()
                .map(|key| {
                    json!({"entry": key.index, "at_ms": key.at, "event": key.event,
                           "vkey": key.verifier.to_string()})
                })
                .collect();
            Json(json!({ "keys": keys })).into_response()
        }
        Err(error) => unavailable(&error),
    }
}

/// How complete the ledger is.
pub(super) async fn completeness(State(app): State<App>, _caller: ApiAuditor) -> Response {
    let now = app.clock.now();
    match app.store.read(move |c| health::health(c, now)).await {
        Ok(health) => Json(health).into_response(),
        Err(error) => unavailable(&error),
    }
}

fn size_or_newest(c: &sql::Connection, size: Option<i64>) -> Result<i64, StoreError> {
    Ok(match size {
        Some(size) => size,
        None => checkpoint::newest(c)?.map_or(0, |newest| newest.size),
    })
}

fn hashes(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(|hash| STANDARD.encode(hash)).collect()
}

fn answer(found: Result<Result<Value, &'static str>, StoreError>) -> Response {
    match found {
        Ok(Ok(value)) => Json(value).into_response(),
        Ok(Err(why)) => problem(StatusCode::BAD_REQUEST, why),
        Err(error) => unavailable(&error),
    }
}

fn problem(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}

fn unavailable(error: &StoreError) -> Response {
    tracing::error!(%error, "the ledger could not be read");
    problem(
        StatusCode::SERVICE_UNAVAILABLE,
        "the console's database did not answer",
    )
}

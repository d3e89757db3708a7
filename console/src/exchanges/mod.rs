//! The audit trail as people read it: finding exchanges, and everything about one.

pub mod derive;

mod detail;
mod search;

pub use detail::{Detail, detail};
pub use search::{Cursor, Filter, Found, search};

use rusqlite::{Connection, Row};
use serde::Serialize;

use crate::clock::Millis;
use crate::store::StoreError;

/// One exchange in a list.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // Named as the records name them.
pub struct Summary {
    #[serde(skip)]
    pub row: i64,
    pub exchange: String,
    #[serde(rename = "at_ms")]
    pub at: Millis,
    pub user_id: Option<String>,
    pub user_email: Option<String>,
    pub session: Option<String>,
    pub connection: Option<String>,
    pub method: Option<String>,
    pub url: Option<String>,
    pub operations: String,
    pub decision: Option<String>,
    pub reason: Option<String>,
    pub rule: Option<String>,
    pub approval: Option<String>,
    pub model: Option<String>,
    pub status: Option<i64>,
    pub duration_us: Option<i64>,
    pub end: Option<String>,
    /// How many secrets were masked.
    pub masked: i64,
    pub has_request: bool,
    pub has_outcome: bool,
}

impl Summary {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            row: row.get("id")?,
            exchange: row.get("exchange")?,
            at: row.get("at")?,
            user_id: row.get("user_id")?,
            user_email: row.get("user_email")?,
            session: row.get("session")?,
            connection: row.get("connection")?,
            method: row.get("method")?,
            url: row.get("url")?,
            operations: row.get("operations")?,
            decision: row.get("decision")?,
            reason: row.get("reason")?,
            rule: row.get("rule")?,
            approval: row.get("approval")?,
            model: row.get("model")?,
            status: row.get("status")?,
            duration_us: row.get("duration_us")?,
            end: row.get("ended")?,
            masked: row.get("masked")?,
            has_request: row.get("has_request")?,
            has_outcome: row.get("has_outcome")?,
        })
    }
}

/// How complete the trail is.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Health {
    /// Exchanges recorded.
    pub exchanges: i64,
    /// Exchanges of which only the request is known, so far or for good.
    pub without_outcome: i64,
    /// Workers that have written records.
    pub workers: i64,
    /// Numbers that workers gave out and that never came.
    pub missing_records: i64,
}

/// Counts what is there and what is missing.
pub fn health(c: &Connection) -> Result<Health, StoreError> {
    let (workers, missing_records) = c
        .prepare_cached("SELECT count(*), coalesce(sum(highest - records), 0) FROM workers")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (exchanges, without_outcome) = c
        .prepare_cached("SELECT count(*), count(*) FILTER (WHERE NOT has_outcome) FROM exchanges")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Health {
        exchanges,
        without_outcome,
        workers,
        missing_records,
    })
}

//! The audit trail as people read it: finding exchanges, and everything about one.

pub mod command;
pub mod derive;
pub mod facets;
pub mod groups;
pub mod index;
pub mod query;
pub mod saved;
pub mod search;

mod detail;

pub use detail::{Detail, detail};
pub use search::{Asked, Cursor, Found, SearchError, search, search_and_count};

use serde::Serialize;

use crate::clock::Millis;
use crate::store::StoreError;
use crate::store::sql::{self, Connection, Row};
use index::{Index, Kind};
use query::Trait;

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
    fn from_row(row: &Row<'_>) -> sql::Result<Self> {
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
    pub exchanges: u64,
    /// Exchanges of which only the request is known, so far or for good.
    pub without_outcome: u64,
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
    let index = Index(c);
    let exchanges = index.all()?.len();
    let ended = index.exactly(Kind::Has, Trait::Outcome.word())?.len();
    Ok(Health {
        exchanges,
        without_outcome: exchanges.saturating_sub(ended),
        workers,
        missing_records,
    })
}

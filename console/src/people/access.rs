//! Reading the trail is itself on record: an `access` entry of the ledger, written before the answer.

use serde_json::{Value, json};

use crate::clock::Millis;
use crate::ledger::{self, Kind};
use crate::store::StoreError;
use crate::store::sql::Connection;

/// What somebody looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    /// At what a query finds.
    Search {
        /// The query.
        query: String,
        /// Where the page began, if it was not the first.
        cursor: Option<String>,
    },
    /// At one exchange.
    Exchange {
        /// Its id.
        id: String,
        /// Whether its bodies were shown.
        bodies: bool,
    },
    /// At a session.
    Session {
        /// Its id.
        id: String,
        /// Whether bodies were shown.
        bodies: bool,
    },
    /// At who looked at what.
    Accesses,
    /// Took records away.
    Export {
        /// In which form.
        format: String,
        /// Which ones.
        query: String,
        /// Whether with bodies.
        bodies: bool,
    },
}

/// By which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A page.
    Page,
    /// The JSON API.
    Api,
    /// The command line, on the data folder itself.
    CommandLine,
}

impl Way {
    fn word(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Api => "api",
            Self::CommandLine => "command_line",
        }
    }
}

/// Puts it on record, in the caller's transaction.
pub fn record(
    c: &Connection,
    now: Millis,
    who: &str,
    way: Way,
    looked: &Looked,
) -> Result<(), StoreError> {
    let mut value = match looked {
        Looked::Search { query, cursor } => {
            json!({"action": "search", "query": query, "cursor": cursor})
        }
        Looked::Exchange { id, bodies } => {
            json!({"action": "exchange", "exchange": id, "bodies": bodies})
        }
        Looked::Session { id, bodies } => {
            json!({"action": "session", "session": id, "bodies": bodies})
        }
        Looked::Accesses => json!({"action": "accesses"}),
        Looked::Export {
            format,
            query,
            bodies,
        } => json!({"action": "export", "format": format, "query": query, "bodies": bodies}),
    };
    value["who"] = who.into();
    value["way"] = way.word().into();
    ledger::append(c, now, Kind::Access, &value)?;
    Ok(())
}

/// One look, as it is on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Its place in the ledger.
    pub index: i64,
    /// When.
    pub at: Millis,
    /// What was written.
    pub value: Value,
}

/// The newest looks below the entry `before`, newest first.
pub fn list(c: &Connection, before: i64, limit: u32) -> Result<Vec<Access>, StoreError> {
    let rows: Vec<(i64, Millis, Option<String>)> = c
        .prepare_cached(
            "SELECT idx, at, leaf FROM entries WHERE kind = 'access' AND kind <> 'record' AND idx < ?1
             ORDER BY idx DESC LIMIT ?2",
        )?
        .query_map([before, i64::from(limit)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    let read =
        |leaf: String| serde_json::from_str::<Value>(&leaf).map(|leaf| leaf["value"].clone());
    rows.into_iter()
        .map(|(index, at, leaf)| {
            let value = leaf.map(read).transpose();
            let value = value
                .map_err(|error| StoreError::Unreadable(format!("entry {index}: {error}")))?
                .unwrap_or_default();
            Ok(Access { index, at, value })
        })
        .collect()
}

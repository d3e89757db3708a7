//! The tables for finding things, kept up with the entries.
//!
//! They follow from the entries alone, taken in order, so they can lag behind, be emptied and be
//! made again. The writer takes a short backlog in with the entries themselves, so that what was
//! acknowledged is found at once; under load it leaves it for when nobody waits, because an entry's
//! place in the full-text index costs more than the entry.

use serde::Serialize;

use super::entry::{Kind, count};
use super::read;
use crate::exchanges;
use crate::policy::history;
use crate::store::sql::{Connection, Engine};
use crate::store::{StoreError, meta};

/// Where the position stands in `meta`.
pub(super) const DERIVED_TO: &str = "derived_to";

/// The derived tables but the full-text index, in an order in which they can be emptied.
pub(super) fn tables() -> impl Iterator<Item = &'static str> {
    let tables = exchanges::derive::TABLES.iter().chain(history::TABLES);
    tables.copied()
}

/// How far the derived tables are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Position {
    /// Entries that the derived tables have taken in.
    pub derived: i64,
    /// Entries that there are.
    pub entries: i64,
}

impl Position {
    /// Entries that a search does not find yet.
    pub fn behind(self) -> i64 {
        self.entries - self.derived
    }
}

/// How far the derived tables are.
pub fn position(c: &Connection) -> Result<Position, StoreError> {
    let derived = match meta::get(c, DERIVED_TO)? {
        None => 0,
        Some(text) => text
            .parse()
            .map_err(|_| StoreError::Unreadable(format!("{DERIVED_TO} is `{text}`")))?,
    };
    Ok(Position {
        derived,
        entries: count(c)?,
    })
}

/// Takes at most `limit` more entries in, and says how far that went.
pub fn advance(c: &Connection, limit: u32) -> Result<Position, StoreError> {
    let mut position = position(c)?;
    if position.behind() <= 0 || limit == 0 {
        return Ok(position);
    }
    let entries = read::entries(c, position.derived, None, limit)?;
    let of = |kind: Kind| entries.iter().filter(move |entry| entry.kind == kind);
    let records = read::stored_records(c, of(Kind::Record))?;
    let policies = read::stored_records(c, of(Kind::Policy))?;
    if let Some(last) = entries.last() {
        position.derived = last.index + 1;
    }
    exchanges::derive::records(c, &records)?;
    history::records(c, &policies)?;
    meta::set(c, DERIVED_TO, &position.derived.to_string())?;
    Ok(position)
}

/// Empties the derived tables; they are made again in the background.
pub fn reset(c: &Connection) -> Result<(), StoreError> {
    for table in tables() {
        c.execute(&format!("DELETE FROM {table}"), [])?;
    }
    exchanges::index::full_text::clear(c)?;
    if c.engine() == Engine::Sqlite {
        // Rows of exchanges are counted from 1 again.
        c.execute("DELETE FROM sqlite_sequence WHERE name = 'exchanges'", [])?;
    }
    meta::set(c, DERIVED_TO, "0")
}

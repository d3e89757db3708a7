//! Searches that somebody gave a name.

use serde::Serialize;

use crate::clock::Millis;
use crate::store::StoreError;
use crate::store::sql::{Connection, params};

/// The table, for the store's schema.
pub const SCHEMA: &str = "
CREATE TABLE saved_searches (
    id     INTEGER PRIMARY KEY,
    owner  TEXT NOT NULL,
    name   TEXT NOT NULL,
    query  TEXT NOT NULL,
    shared INTEGER NOT NULL,             -- 1: every auditor sees it
    at     INTEGER NOT NULL,
    UNIQUE (owner, name)
) STRICT;
";

/// The longest name, in letters.
pub const LONGEST_NAME: usize = 60;
/// The most searches of one person.
const MOST: i64 = 200;

/// A search with a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Saved {
    /// Its number, for deleting it.
    pub id: i64,
    /// Who saved it.
    pub owner: String,
    /// Its name.
    pub name: String,
    /// The query, as it was typed: times in it move on.
    pub query: String,
    /// Whether every auditor sees it.
    pub shared: bool,
}

/// Why a search was not saved.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSaved {
    /// The name is empty or too long.
    #[error("a name has 1 to {LONGEST_NAME} letters and no line breaks")]
    BadName,
    /// The person has enough of them.
    #[error("there are {MOST} saved searches already: delete one first")]
    TooMany,
}

/// Those that `person` sees, his own first.
pub fn list(c: &Connection, person: &str) -> Result<Vec<Saved>, StoreError> {
    Ok(c.prepare_cached(
        "SELECT id, owner, name, query, shared FROM saved_searches
         WHERE owner = ?1 OR shared <> 0 ORDER BY owner <> ?1, lower(name), owner LIMIT 500",
    )?
    .query_map([person], |row| {
        Ok(Saved {
            id: row.get(0)?,
            owner: row.get(1)?,
            name: row.get(2)?,
            query: row.get(3)?,
            shared: row.get(4)?,
        })
    })?
    .collect::<Result<_, _>>()?)
}

/// Saves a search under a name; one of the same name is replaced.
pub fn save(
    c: &Connection,
    now: Millis,
    owner: &str,
    name: &str,
    query: &str,
    shared: bool,
) -> Result<Result<(), NotSaved>, StoreError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control)
    {
        return Ok(Err(NotSaved::BadName));
    }
    let many: i64 = c
        .prepare_cached("SELECT count(*) FROM saved_searches WHERE owner = ?1 AND name <> ?2")?
        .query_row(params![owner, name], |row| row.get(0))?;
    if many >= MOST {
        return Ok(Err(NotSaved::TooMany));
    }
    c.prepare_cached(
        "INSERT INTO saved_searches (owner, name, query, shared, at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (owner, name) DO UPDATE SET
           query = excluded.query, shared = excluded.shared, at = excluded.at",
    )?
    .execute(params![owner, name, query, shared, now])?;
    Ok(Ok(()))
}

/// Deletes a search of `owner`'s. Whether there was one.
pub fn delete(c: &Connection, owner: &str, id: i64) -> Result<bool, StoreError> {
    Ok(
        c.prepare_cached("DELETE FROM saved_searches WHERE id = ?1 AND owner = ?2")?
            .execute(params![id, owner])?
            > 0,
    )
}

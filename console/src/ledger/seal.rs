//! Seals: a signature over size and root for every commit, and for every few entries of a large one.
//!
//! A seal is the signature line of a checkpoint without its time. Between two checkpoints, seals say
//! which entry was the first to be changed, and there is no moment at which an acknowledged entry is
//! not signed.

use super::note::{Checkpoint, Note, NoteKey, Verifier};
use super::tree::Edge;
use crate::store::StoreError;
use crate::store::sql::{Connection, OptionalExtension, params};

/// In a large commit every so many entries are sealed.
pub const EVERY: u64 = 64;

/// Seals the tree at `edge`.
pub(super) fn insert(c: &Connection, edge: &Edge, key: &NoteKey) -> Result<(), StoreError> {
    let line = key.signature_line(&text(key.verifier().name(), edge.size(), edge.root()));
    keep(c, edge.size() as i64, &line)?;
    Ok(())
}

/// Keeps a seal; one of the same size is replaced.
pub(super) fn keep(c: &Connection, size: i64, line: &str) -> crate::store::sql::Result<()> {
    c.prepare_cached(
        "INSERT INTO seals (size, line) VALUES (?1, ?2)
         ON CONFLICT (size) DO UPDATE SET line = excluded.line",
    )?
    .execute(params![size, line])?;
    Ok(())
}

/// What a seal signs.
pub fn text(name: &str, size: u64, root: super::entry::Hash) -> String {
    Checkpoint {
        origin: name.to_owned(),
        size,
        root,
        more: Vec::new(),
    }
    .text()
}

/// How many entries the newest seal covers.
pub fn newest_size(c: &Connection) -> Result<Option<i64>, StoreError> {
    Ok(c.prepare_cached("SELECT max(size) FROM seals")?
        .query_row([], |row| row.get(0))
        .optional()?
        .flatten())
}

/// Whether the newest seal was made by one of the ledger's keys over the tree at `edge`.
pub(super) fn is_newest(
    c: &Connection,
    edge: &Edge,
    keys: &[Verifier],
) -> Result<bool, StoreError> {
    let size = edge.size();
    let stored = between(c, size as i64, i64::MAX)?;
    let [(_, line)] = stored.as_slice() else {
        return Ok(false);
    };
    Ok(keys.iter().any(|key| {
        let note = format!("{}\n{line}", text(key.name(), size, edge.root()));
        Note::parse(&note).is_ok_and(|note| note.is_signed_by(key))
    }))
}

/// How many seals there are of less than `size` entries, as the checkpoint of `size` says.
pub fn count_below(c: &Connection, size: i64) -> Result<u64, StoreError> {
    let count: i64 = c
        .prepare_cached("SELECT count(*) FROM seals WHERE size < ?1")?
        .query_row([size], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// The seals of `from..=to` entries, the smallest first: size and signature line.
pub fn between(c: &Connection, from: i64, to: i64) -> Result<Vec<(i64, String)>, StoreError> {
    Ok(
        c.prepare_cached(
            "SELECT size, line FROM seals WHERE size BETWEEN ?1 AND ?2 ORDER BY size",
        )?
        .query_map([from, to], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?,
    )
}

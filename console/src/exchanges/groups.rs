//! Exchanges by what they have in common: sessions, policies, rules.

use std::collections::HashSet;

use roaring::RoaringBitmap;

use super::facets;
use super::index::{Index, Kind};
use super::query::Field;
use super::search::Cursor;
use crate::clock::Millis;
use crate::store::StoreError;
use crate::store::sql::{Connection, OptionalExtension};

/// So many exchanges are looked through for the sessions of one page.
const LOOKED_AT: usize = 20_000;
/// Policies and rules that are listed.
const LISTED: u32 = 200;

/// Exchanges with the same value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The value.
    pub value: String,
    /// How many there are.
    pub exchanges: u64,
    /// Those that were refused.
    pub refused: u64,
    /// Those that were held for a person.
    pub held: u64,
    /// When the first of them came.
    pub first: Millis,
    /// When the last of them came.
    pub last: Millis,
    /// Who the callers were.
    pub users: Vec<String>,
}

/// A page of sessions: those with the newest exchanges among `rows` first.
pub fn sessions(
    c: &Connection,
    rows: &RoaringBitmap,
    after: Option<Cursor>,
    limit: usize,
) -> Result<(Vec<Group>, Option<Cursor>), StoreError> {
    let index = Index(c);
    let with_one = index.exactly(Kind::Any, Field::Session.name())?;
    let before = after.map_or(u32::MAX, Cursor::row);
    let wanted = with_one & rows;
    let decided = Decided::of(c)?;
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    let mut last = None;
    let below = wanted.iter().rev().skip_while(|row| *row >= before);
    for (looked_at, row) in below.enumerate() {
        if found.len() == limit || looked_at == LOOKED_AT {
            return Ok((found, last.map(Cursor::at)));
        }
        last = Some(row);
        for number in index.held(row, Kind::Field(Field::Session))? {
            if !seen.insert(number) {
                continue;
            }
            let of_session = index.rows(number)?;
            // A session whose newest exchange stood on a page before was listed there.
            if (&of_session & &wanted).max() == Some(row) {
                found.extend(group(&index, number, of_session, &decided)?);
            }
        }
    }
    Ok((found, None))
}

/// The groups of a field, newest first.
pub fn groups(c: &Connection, field: Field) -> Result<Vec<Group>, StoreError> {
    let index = Index(c);
    let decided = Decided::of(c)?;
    let mut found = Vec::new();
    for (number, _) in index.values(Kind::Field(field), LISTED)? {
        let rows = index.rows(number)?;
        if !rows.is_empty() {
            found.extend(group(&index, number, rows, &decided)?);
        }
    }
    found.sort_by_key(|group| std::cmp::Reverse(group.last));
    Ok(found)
}

/// The exchanges that were refused, and those that were held.
struct Decided {
    refused: RoaringBitmap,
    held: RoaringBitmap,
}

impl Decided {
    fn of(c: &Connection) -> Result<Self, StoreError> {
        Ok(Self {
            refused: facets::decided(c, "refused")?,
            held: facets::decided(c, "held")?,
        })
    }
}

fn group(
    index: &Index<'_>,
    number: i64,
    rows: RoaringBitmap,
    decided: &Decided,
) -> Result<Option<Group>, StoreError> {
    let Some(value) = index.value(number)? else {
        return Ok(None);
    };
    let at = |row: Option<u32>| -> Result<Millis, StoreError> {
        let mut statement = index
            .0
            .prepare_cached("SELECT at FROM exchanges WHERE id = ?1")?;
        Ok(statement
            .query_row([row], |row| row.get(0))
            .optional()?
            .unwrap_or_default())
    };
    let mut users = Vec::new();
    for row in [rows.min(), rows.max()].into_iter().flatten() {
        for user in index.held(row, Kind::Field(Field::User))? {
            users.extend(index.value(user)?);
        }
    }
    users.dedup();
    Ok(Some(Group {
        value,
        exchanges: rows.len(),
        refused: decided.refused.intersection_len(&rows),
        held: decided.held.intersection_len(&rows),
        first: at(rows.min())?,
        last: at(rows.max())?,
        users,
    }))
}

//! The search index: for every value, the set of exchanges that have it.
//!
//! An exchange is a row number; a value (`user` = `ci-runner`) has its number, and `search_bits` holds
//! its rows as bitmaps of 4,096 rows each. A query is sets cut with each other in memory, so that what
//! it costs hangs on the number of its terms and hardly on how much they find, counts are exact, and
//! a facet is one more intersection. Words are in the full-text index of the engine, whose row ids
//! carry the exchange: see `full_text`.
//!
//! All of it follows from the ledger's entries: see [`super::derive`].

mod bits;
pub(crate) mod full_text;
mod lexemes;
mod read;
mod values;
mod words;

pub(crate) use read::last_with;
pub use read::{Index, TooWide};
pub use values::{Kind, cut};
pub use words::{readable, words};

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::query::{Field, Trait, fold};
use crate::clock::Millis;
use crate::store::StoreError;
use crate::store::sql::{Connection, OptionalExtension, params};

/// The tables, for the store's schema.
pub const SCHEMA: &str = "
-- Values of exchanges, by kind (see exchanges/index/values.rs).
CREATE TABLE search_values (
    id     INTEGER PRIMARY KEY,
    kind   INTEGER NOT NULL,
    folded TEXT NOT NULL,                -- as values are compared
    value  TEXT NOT NULL,
    UNIQUE (kind, folded, value)
) STRICT;

-- The exchanges that have a value: the rows of one block, see exchanges/index/bits.rs.
CREATE TABLE search_bits (
    value INTEGER NOT NULL,
    block INTEGER NOT NULL,
    bits  BLOB NOT NULL,
    PRIMARY KEY (value, block)
) STRICT, WITHOUT ROWID;

-- The values of an exchange: pairs of kind and value, as variable-length numbers.
CREATE TABLE search_of (
    exchange INTEGER PRIMARY KEY,
    has      BLOB NOT NULL
) STRICT;

-- Words of prompts, bodies, addresses and names. A row id is the exchange's times 64, and the number
-- of the record among the exchange's.
CREATE VIRTUAL TABLE search_words USING fts5 (words, content = '', contentless_delete = 1);
";

/// The tables, in an order in which they can be emptied.
pub const TABLES: &[&str] = &["search_values", "search_bits", "search_of"];

/// Records of one exchange whose words are found. Two are what a gateway sends.
pub const RECORDS: i64 = 64;

/// A record, as the index takes it in.
#[derive(Clone, Debug)]
pub struct Taken<'a> {
    /// The exchange's row.
    pub row: i64,
    /// When the exchange began, as far as is known with this record.
    pub at: Millis,
    /// Which of the exchange's records it is, from 0.
    pub number: i64,
    /// Whether it tells of the outcome.
    pub outcome: bool,
    /// The record's attributes, bodies included.
    pub attributes: &'a Map<String, Value>,
}

/// Kind and number of a value.
type Held = (i64, i64);

/// Takes records in, inside the caller's transaction. Many at once cost little more than few: each
/// bitmap is written once.
pub fn take(c: &Connection, records: &[Taken<'_>]) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    for record in records {
        batch.record(c, record)?;
        if record.number < RECORDS {
            let id = record.row * RECORDS + record.number;
            full_text::insert(c, id, &words(record.attributes))?;
        }
    }
    batch.write(c)
}

#[derive(Default)]
struct Batch {
    numbers: HashMap<(i64, String), i64>,
    /// What each exchange had, and has now.
    exchanges: BTreeMap<i64, (BTreeSet<Held>, BTreeSet<Held>)>,
}

impl Batch {
    fn record(&mut self, c: &Connection, record: &Taken<'_>) -> Result<(), StoreError> {
        let (before, mut has) = match self.exchanges.remove(&record.row) {
            Some(known) => known,
            None => {
                let before = held(c, record.row)?;
                (before.clone(), before)
            }
        };
        let outcome = self.number(c, Kind::Has.code(), Trait::Outcome.word())?;
        let request = self.number(c, Kind::Has.code(), Trait::Request.word())?;
        let ended = has.contains(&(Kind::Has.code(), outcome));
        let mut new: BTreeSet<Held> = BTreeSet::new();
        for (kind, value) in values::values(record.attributes) {
            new.insert((kind, self.number(c, kind, &value)?));
        }
        // What the outcome says counts over what was said before it, whichever came first.
        let weaker = ended && !record.outcome;
        for kind in new.iter().map(|(kind, _)| *kind).collect::<BTreeSet<_>>() {
            if !Kind::is_single(kind) || !has.iter().any(|(old, _)| *old == kind) {
                continue;
            }
            match weaker {
                true => new.retain(|(fresh, _)| *fresh != kind),
                false => has.retain(|(old, _)| *old != kind),
            }
        }
        has.append(&mut new);
        let half = if record.outcome { outcome } else { request };
        has.insert((Kind::Has.code(), half));
        has.insert((Kind::All.code(), self.number(c, Kind::All.code(), "")?));
        for (kind, value) in values::time_values(record.at) {
            has.retain(|(old, _)| *old != kind);
            has.insert((kind, self.number(c, kind, &value)?));
        }
        self.exchanges.insert(record.row, (before, has));
        Ok(())
    }

    fn number(&mut self, c: &Connection, kind: i64, value: &str) -> Result<i64, StoreError> {
        let key = (kind, value.to_owned());
        if let Some(number) = self.numbers.get(&key) {
            return Ok(*number);
        }
        let folded = fold(value);
        let known: Option<i64> = c
            .prepare_cached(
                "SELECT id FROM search_values WHERE kind = ?1 AND folded = ?2 AND value = ?3",
            )?
            .query_row(params![kind, folded, value], |row| row.get(0))
            .optional()?;
        let number = match known {
            Some(number) => number,
            None => c
                .prepare_cached(
                    "INSERT INTO search_values (kind, folded, value) VALUES (?1, ?2, ?3) RETURNING id",
                )?
                .query_row(params![kind, folded, value], |row| row.get(0))?,
        };
        self.numbers.insert(key, number);
        Ok(number)
    }

    fn write(self, c: &Connection) -> Result<(), StoreError> {
        // By value and block, so that the tables are written in their order.
        let mut changes: BTreeMap<(i64, u32), Vec<(u16, bool)>> = BTreeMap::new();
        for (row, (before, after)) in &self.exchanges {
            let Ok(place) = u32::try_from(*row).map(bits::place) else {
                return Err(StoreError::Unreadable(format!(
                    "exchange {row} is beyond the index"
                )));
            };
            let (block, offset) = place;
            let gone = before.difference(after).map(|held| (held, false));
            let new = after.difference(before).map(|held| (held, true));
            for ((_, value), there) in gone.chain(new) {
                changes
                    .entry((*value, block))
                    .or_default()
                    .push((offset, there));
            }
            if before != after {
                c.prepare_cached(
                    "INSERT INTO search_of (exchange, has) VALUES (?1, ?2)
                     ON CONFLICT (exchange) DO UPDATE SET has = excluded.has",
                )?
                .execute(params![row, write_held(after)])?;
            }
        }
        for ((value, block), changes) in changes {
            let stored: Option<Vec<u8>> = c
                .prepare_cached("SELECT bits FROM search_bits WHERE value = ?1 AND block = ?2")?
                .query_row(params![value, block], |row| row.get(0))
                .optional()?;
            let mut offsets: BTreeSet<u16> = stored
                .map(|stored| bits::decode(&stored))
                .unwrap_or_default()
                .into_iter()
                .collect();
            for (offset, there) in changes {
                match there {
                    true => offsets.insert(offset),
                    false => offsets.remove(&offset),
                };
            }
            // What is in the tables follows from the entries, not from how they were taken in.
            if offsets.is_empty() {
                c.prepare_cached("DELETE FROM search_bits WHERE value = ?1 AND block = ?2")?
                    .execute(params![value, block])?;
                continue;
            }
            let offsets: Vec<u16> = offsets.into_iter().collect();
            c.prepare_cached(
                "INSERT INTO search_bits (value, block, bits) VALUES (?1, ?2, ?3)
                 ON CONFLICT (value, block) DO UPDATE SET bits = excluded.bits",
            )?
            .execute(params![value, block, bits::encode(&offsets)])?;
        }
        Ok(())
    }
}

fn held(c: &Connection, row: i64) -> Result<BTreeSet<Held>, StoreError> {
    let stored: Option<Vec<u8>> = c
        .prepare_cached("SELECT has FROM search_of WHERE exchange = ?1")?
        .query_row([row], |row| row.get(0))
        .optional()?;
    Ok(stored.map(|stored| read_held(&stored)).unwrap_or_default())
}

fn write_held(held: &BTreeSet<Held>) -> Vec<u8> {
    let mut out = Vec::with_capacity(held.len() * 4);
    for number in held.iter().flat_map(|(kind, value)| [*kind, *value]) {
        let mut rest = number.unsigned_abs();
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }
    out
}

fn read_held(stored: &[u8]) -> BTreeSet<Held> {
    each_held(stored).collect()
}

/// The pairs that [`write_held`] wrote.
fn each_held(stored: &[u8]) -> impl Iterator<Item = Held> {
    let mut bytes = stored.iter();
    let mut next = move || {
        let (mut number, mut shift) = (0i64, 0u32);
        for byte in bytes.by_ref() {
            number |= i64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            shift += 7;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    };
    std::iter::from_fn(move || Some((next()?, next()?)))
}

/// The fields whose values are listed beside a search.
pub const FACETS: &[Field] = &[
    Field::User,
    Field::Operation,
    Field::Repo,
    Field::Decision,
    Field::Connection,
    Field::Model,
    Field::Rule,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_an_exchange_read_back() {
        let held: BTreeSet<Held> =
            [(1, 0), (1, 127), (2, 128), (70, 5_000_000_000), (200, 1)].into();
        assert_eq!(read_held(&write_held(&held)), held);
    }
}

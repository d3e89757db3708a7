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
use crate::store::sql::{Connection, OptionalExtension, ToSql, Value as Sql};

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
/// bitmap is written once, and a server is asked for many things at once.
pub fn take(c: &Connection, records: &[Taken<'_>]) -> Result<(), StoreError> {
    let mut batch = Batch::of(c, records)?;
    let said = Said::of(c, records)?;
    for (record, said) in records.iter().zip(&said) {
        batch.record(record, said);
    }
    batch.write(c)?;
    let words: Vec<(i64, String)> = records
        .iter()
        .filter(|record| record.number < RECORDS)
        .map(|record| {
            (
                record.row * RECORDS + record.number,
                words(record.attributes),
            )
        })
        .collect();
    full_text::insert(c, &words)
}

/// What a record says, with the numbers of its values.
#[derive(Clone, Debug, Default)]
struct Said {
    /// Which half it is.
    half: Vec<Held>,
    /// Whether an exchange has ended, as a value.
    outcome: Option<Held>,
    values: BTreeSet<Held>,
    /// When it began.
    times: Vec<Held>,
}

impl Said {
    /// New values are numbered in the order of the records: made anew, they get the same numbers.
    fn of(c: &Connection, records: &[Taken<'_>]) -> Result<Vec<Self>, StoreError> {
        let mut places: HashMap<(i64, String), usize> = HashMap::new();
        let mut known: Vec<(i64, String)> = Vec::new();
        let mut place = |kind: i64, value: String| -> usize {
            let next = places.len();
            *places.entry((kind, value)).or_insert_with_key(|key| {
                known.push(key.clone());
                next
            })
        };
        let has = Kind::Has.code();
        let said: Vec<[Vec<usize>; 3]> = records
            .iter()
            .map(|record| {
                let outcome = place(has, Trait::Outcome.word().to_owned());
                let request = place(has, Trait::Request.word().to_owned());
                let values = values::values(record.attributes).into_iter();
                let values = values.map(|(kind, value)| place(kind, value)).collect();
                let all = place(Kind::All.code(), String::new());
                let times = values::time_values(record.at).into_iter();
                let times = times.map(|(kind, value)| place(kind, value)).collect();
                let half = if record.outcome { outcome } else { request };
                [vec![half, all, outcome], values, times]
            })
            .collect();
        let numbers = numbers(c, &known)?;
        let held = |place: &usize| -> Option<Held> { numbers.get(*place).copied() };
        let all = said.iter().map(|[half, values, times]| Self {
            half: half.iter().take(2).filter_map(held).collect(),
            outcome: half.last().and_then(held),
            values: values.iter().filter_map(held).collect(),
            times: times.iter().filter_map(held).collect(),
        });
        Ok(all.collect())
    }
}

/// The numbers of different values, with their kinds; those that have none get one.
fn numbers(c: &Connection, values: &[(i64, String)]) -> Result<Vec<Held>, StoreError> {
    let folded: Vec<String> = values.iter().map(|(_, value)| fold(value)).collect();
    let asked: Vec<Vec<Sql<'_>>> = values
        .iter()
        .zip(&folded)
        .map(|((kind, value), folded)| vec![kind.to_sql(), folded.to_sql(), value.to_sql()])
        .collect();
    let known: Vec<Option<i64>> = c
        .prepare_cached(
            "SELECT id FROM search_values WHERE kind = ?1 AND folded = ?2 AND value = ?3",
        )?
        .first_rows(&asked, |row| row.get(0))?;
    let unknown = asked.into_iter().zip(&known);
    let new: Vec<Vec<Sql<'_>>> = unknown
        .filter_map(|(asked, known)| known.is_none().then_some(asked))
        .collect();
    let mut fresh = c
        .prepare_cached(
            "INSERT INTO search_values (kind, folded, value) VALUES (?1, ?2, ?3) RETURNING id",
        )?
        .first_rows(&new, |row| row.get(0))?
        .into_iter()
        .flatten();
    let numbered = values.iter().zip(known).map(|((kind, value), known)| {
        let number = known.or_else(|| fresh.next());
        let number = number.ok_or_else(|| StoreError::Unreadable(format!("no number: {value}")))?;
        Ok((*kind, number))
    });
    numbered.collect()
}

struct Batch {
    /// What each exchange had, and has now.
    exchanges: BTreeMap<i64, (BTreeSet<Held>, BTreeSet<Held>)>,
}

impl Batch {
    fn of(c: &Connection, records: &[Taken<'_>]) -> Result<Self, StoreError> {
        let rows: BTreeSet<i64> = records.iter().map(|record| record.row).collect();
        let asked: Vec<Vec<Sql<'_>>> = rows.iter().map(|row| vec![row.to_sql()]).collect();
        let known = c
            .prepare_cached(HELD)?
            .first_rows(&asked, |row| Ok(read_held(row.get_ref(0)?.as_blob()?)))?;
        let exchanges = rows.into_iter().zip(known).map(|(row, held)| {
            let held = held.unwrap_or_default();
            (row, (held.clone(), held))
        });
        Ok(Self {
            exchanges: exchanges.collect(),
        })
    }

    fn record(&mut self, record: &Taken<'_>, said: &Said) {
        let (_, has) = self.exchanges.entry(record.row).or_default();
        let ended = said.outcome.is_some_and(|outcome| has.contains(&outcome));
        let mut new = said.values.clone();
        // What the outcome says counts over what was said before it, whichever came first.
        let weaker = ended && !record.outcome;
        for kind in said
            .values
            .iter()
            .map(|(kind, _)| *kind)
            .collect::<BTreeSet<_>>()
        {
            if !Kind::is_single(kind) || !has.iter().any(|(old, _)| *old == kind) {
                continue;
            }
            match weaker {
                true => new.retain(|(fresh, _)| *fresh != kind),
                false => has.retain(|(old, _)| *old != kind),
            }
        }
        has.append(&mut new);
        has.extend(&said.half);
        for (kind, value) in &said.times {
            has.retain(|(old, _)| old != kind);
            has.insert((*kind, *value));
        }
    }

    fn write(self, c: &Connection) -> Result<(), StoreError> {
        // By value and block, so that the tables are written in their order.
        let mut changes: BTreeMap<(i64, u32), Vec<(u16, bool)>> = BTreeMap::new();
        let mut held = Vec::new();
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
                held.push((*row, write_held(after)));
            }
        }
        let held: Vec<Vec<Sql<'_>>> = held
            .iter()
            .map(|(row, held)| vec![row.to_sql(), held.to_sql()])
            .collect();
        c.prepare_cached(
            "INSERT INTO search_of (exchange, has) VALUES (?1, ?2)
             ON CONFLICT (exchange) DO UPDATE SET has = excluded.has",
        )?
        .insert_many(&held)?;
        write_bits(c, &changes)
    }
}

/// Changes bitmaps. What is in the tables follows from the entries, not from how they were taken in.
fn write_bits(
    c: &Connection,
    changes: &BTreeMap<(i64, u32), Vec<(u16, bool)>>,
) -> Result<(), StoreError> {
    let places: Vec<Vec<Sql<'_>>> = changes
        .keys()
        .map(|(value, block)| vec![value.to_sql(), block.to_sql()])
        .collect();
    let stored: Vec<Option<Vec<u8>>> = c
        .prepare_cached("SELECT bits FROM search_bits WHERE value = ?1 AND block = ?2")?
        .first_rows(&places, |row| row.get(0))?;
    let changed = changes.values().zip(&stored);
    let new: Vec<Option<Vec<u8>>> = changed
        .map(|(changes, stored)| bits::changed(stored.as_deref(), changes))
        .collect();
    let mut kept = Vec::with_capacity(new.len());
    for (place, new) in places.into_iter().zip(&new) {
        match new {
            Some(bits) => kept.push([place, vec![bits.to_sql()]].concat()),
            None => {
                c.prepare_cached("DELETE FROM search_bits WHERE value = ?1 AND block = ?2")?
                    .execute(place.as_slice())?;
            }
        }
    }
    c.prepare_cached(
        "INSERT INTO search_bits (value, block, bits) VALUES (?1, ?2, ?3)
         ON CONFLICT (value, block) DO UPDATE SET bits = excluded.bits",
    )?
    .insert_many(&kept)?;
    Ok(())
}

const HELD: &str = "SELECT has FROM search_of WHERE exchange = ?1";

fn held(c: &Connection, row: i64) -> Result<BTreeSet<Held>, StoreError> {
    let stored: Option<Vec<u8>> = c
        .prepare_cached(HELD)?
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

//! Looking things up in the index.

use std::collections::HashMap;

use roaring::RoaringBitmap;

use super::values::{Kind, cut};
use super::{RECORDS, bits, each_held, full_text};
use crate::exchanges::query::{Field, Pattern, Words, fold};
use crate::store::StoreError;
use crate::store::sql::{Connection, Engine, OptionalExtension, params};

/// So many different values of one pattern are looked at.
pub const MOST_VALUES: usize = 20_000;

/// More different values match than are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooWide;

/// Text that comes behind nearly everything that begins with `start`, in the order of bytes: an engine
/// that reads ahead does not read to the end of the table.
pub(crate) fn last_with(start: &str) -> String {
    format!("{start}{}", char::MAX)
}

/// The index, over a connection.
pub struct Index<'a>(pub &'a Connection);

impl Index<'_> {
    /// Every exchange.
    pub fn all(&self) -> Result<RoaringBitmap, StoreError> {
        self.exactly(Kind::All, "")
    }

    /// The exchanges that have the value with this number.
    pub fn rows(&self, value: i64) -> Result<RoaringBitmap, StoreError> {
        self.rows_of([value])
    }

    /// The exchanges that have any of the values with these numbers.
    pub fn rows_of(
        &self,
        values: impl IntoIterator<Item = i64>,
    ) -> Result<RoaringBitmap, StoreError> {
        let mut union = bits::Union::default();
        let mut statement = self
            .0
            .prepare_cached("SELECT block, bits FROM search_bits WHERE value = ?1")?;
        for value in values {
            let mut rows = statement.query([value])?;
            while let Some(row) = rows.next()? {
                union.add(row.get(0)?, row.get_ref(1)?.as_blob()?);
            }
        }
        Ok(union.rows())
    }

    /// How many of `among` have the value with this number.
    pub fn count(&self, value: i64, among: &RoaringBitmap) -> Result<u64, StoreError> {
        Ok(self.rows(value)?.intersection_len(among))
    }

    /// The number of a value, if any exchange has it.
    pub fn number(&self, kind: Kind, value: &str) -> Result<Option<i64>, StoreError> {
        Ok(self
            .0
            .prepare_cached(
                "SELECT id FROM search_values WHERE kind = ?1 AND folded = ?2 AND value = ?3",
            )?
            .query_row(params![kind.code(), fold(value), value], |row| row.get(0))
            .optional()?)
    }

    /// Exchanges with exactly this value, as it is written.
    pub fn exactly(&self, kind: Kind, value: &str) -> Result<RoaringBitmap, StoreError> {
        match self.number(kind, value)? {
            Some(number) => self.rows(number),
            None => Ok(RoaringBitmap::new()),
        }
    }

    /// Exchanges with a value that matches, in any case.
    pub fn matching(
        &self,
        kind: Kind,
        pattern: &Pattern,
    ) -> Result<Result<RoaringBitmap, TooWide>, StoreError> {
        if let (true, Kind::Field(field)) = (pattern.is_anything(), kind) {
            return self.exactly(Kind::Any, field.name()).map(Ok);
        }
        // All that is below a folder is one value of its own.
        if let (Kind::Field(field @ (Field::Path | Field::Url | Field::Repo)), [folder, rest]) =
            (kind, pattern.pieces.as_slice())
            && folder.ends_with('/')
            && rest.is_empty()
            && folder.len() <= super::values::LONGEST
        {
            let folders = self.matching(Kind::Folder(field), &Pattern::exact(folder))?;
            if folders.as_ref().is_ok_and(|found| !found.is_empty()) {
                return Ok(folders);
            }
        }
        let pattern = pattern.folded();
        let numbers = match pattern.as_exact() {
            Some(value) => self.numbers(kind, cut(value), None)?,
            None => {
                let first = pattern.pieces.first().map_or("", String::as_str);
                self.numbers(kind, cut(first), Some(&pattern))?
            }
        };
        let Ok(numbers) = numbers else {
            return Ok(Err(TooWide));
        };
        self.rows_of(numbers).map(Ok)
    }

    /// The numbers of the values that are `folded`, or with a pattern those that begin so and match.
    fn numbers(
        &self,
        kind: Kind,
        folded: &str,
        pattern: Option<&Pattern>,
    ) -> Result<Result<Vec<i64>, TooWide>, StoreError> {
        let Some(pattern) = pattern else {
            return Ok(Ok(self
                .0
                .prepare_cached("SELECT id FROM search_values WHERE kind = ?1 AND folded = ?2")?
                .query_map(params![kind.code(), folded], |row| row.get(0))?
                .collect::<Result<_, _>>()?));
        };
        // What the engine passes over is not looked at here.
        let sql = match self.0.engine() {
            Engine::Sqlite => {
                "SELECT id, folded FROM search_values
                 WHERE kind = ?1 AND folded >= ?2 AND folded <= ?3 AND instr(folded, ?4) > 0
                 ORDER BY folded"
            }
            Engine::Postgres => {
                "SELECT id, folded FROM search_values
                 WHERE kind = ?1 AND folded >= ?2 AND folded <= ?3 AND strpos(folded, ?4) > 0
                 ORDER BY folded"
            }
        };
        let longest = pattern.pieces.iter().max_by_key(|piece| piece.len());
        let longest = cut(longest.map_or("", String::as_str));
        let mut statement = self.0.prepare_cached(sql)?;
        let last = last_with(folded);
        let mut rows = statement.query(params![kind.code(), folded, last, longest])?;
        let mut numbers = Vec::new();
        while let Some(row) = rows.next()? {
            let value = row.get_ref(1)?.as_str()?;
            if !value.starts_with(folded) {
                break;
            }
            if pattern.matches(value) {
                if numbers.len() == MOST_VALUES {
                    return Ok(Err(TooWide));
                }
                numbers.push(row.get(0)?);
            }
        }
        Ok(Ok(numbers))
    }

    /// The values of a kind with their numbers, at most `limit`, in their order.
    pub fn values(&self, kind: Kind, limit: u32) -> Result<Vec<(i64, String)>, StoreError> {
        Ok(self
            .0
            .prepare_cached(
                "SELECT id, value FROM search_values WHERE kind = ?1 ORDER BY folded LIMIT ?2",
            )?
            .query_map(params![kind.code(), limit], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect::<Result<_, _>>()?)
    }

    /// The value with this number.
    pub fn value(&self, number: i64) -> Result<Option<String>, StoreError> {
        Ok(self
            .0
            .prepare_cached("SELECT value FROM search_values WHERE id = ?1")?
            .query_row([number], |row| row.get(0))
            .optional()?)
    }

    /// The values of a kind that an exchange has.
    pub fn held(&self, row: u32, kind: Kind) -> Result<Vec<i64>, StoreError> {
        let held = super::held(self.0, row.into())?;
        Ok(held
            .into_iter()
            .filter(|(code, _)| *code == kind.code())
            .map(|(_, number)| number)
            .collect())
    }

    /// How often each value of these kinds is had by `rows`.
    pub fn tally(
        &self,
        rows: impl Iterator<Item = u32>,
        kinds: &[Kind],
    ) -> Result<HashMap<(i64, i64), u64>, StoreError> {
        let codes: Vec<i64> = kinds.iter().map(|kind| kind.code()).collect();
        let mut tally = HashMap::new();
        let mut statement = self
            .0
            .prepare_cached("SELECT has FROM search_of WHERE exchange = ?1")?;
        for row in rows {
            let mut found = statement.query([row])?;
            let Some(row) = found.next()? else { continue };
            for held in each_held(row.get_ref(0)?.as_blob()?) {
                if codes.contains(&held.0) {
                    *tally.entry(held).or_default() += 1;
                }
            }
        }
        Ok(tally)
    }

    /// Exchanges with these words, newest first from below `before`, until `enough` were found or
    /// there are no more; which of the two is the second value.
    pub fn with_words(
        &self,
        words: &Words,
        before: u32,
        enough: u64,
    ) -> Result<(RoaringBitmap, Option<u32>), StoreError> {
        let mut found = Vec::new();
        let mut last = None;
        let mut more = true;
        full_text::newest(self.0, words, i64::from(before) * RECORDS, enough, |id| {
            let exchange = u32::try_from(id / RECORDS).unwrap_or(u32::MAX);
            if last == Some(exchange) {
                return true;
            }
            more = (found.len() as u64) < enough;
            if more {
                found.push(exchange);
                last = Some(exchange);
            }
            more
        })?;
        // When there are more, everything from the last one up has been seen.
        Ok((found.into_iter().rev().collect(), last.filter(|_| !more)))
    }

    /// Those of `rows` that have these words, looked at one by one.
    pub fn among_with_words(
        &self,
        words: &Words,
        rows: &RoaringBitmap,
    ) -> Result<RoaringBitmap, StoreError> {
        let mut found = RoaringBitmap::new();
        for row in rows {
            let first = i64::from(row) * RECORDS;
            if full_text::any(self.0, words, first..first + RECORDS)? {
                found.insert(row);
            }
        }
        Ok(found)
    }
}

//! Answering a query: which exchanges, newest first, page by page.

use roaring::RoaringBitmap;

use super::Summary;
use super::index::{Index, Kind, TooWide, last_with};
use super::query::{Field, Pattern, Query, Side, Status, Term, Trait, Wanted, Words};
use crate::clock::Millis;
use crate::store::StoreError;
use crate::store::sql::{self, Connection, OptionalExtension, params};

/// The most exchanges on one page.
pub const LARGEST_PAGE: u32 = 500;
/// So many exchanges with a word are looked at before it is called enough for counting. The page
/// itself looks at as many as it takes.
pub const ENOUGH: u64 = 10_000;
/// So few exchanges are each asked whether they have a word; of more, those with the word are looked
/// through.
const FEW: u64 = 1_000;
const HOUR: Millis = 3_600_000;

/// What to look for, and which part of what is found.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The query.
    pub query: Query,
    /// Where the page before ended.
    pub after: Option<Cursor>,
    /// How many at most; see [`LARGEST_PAGE`].
    pub limit: u32,
}

/// A place in the list, stable while new exchanges come in: the list is in the order in which the
/// exchanges came to the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(u32);

impl Cursor {
    /// Reads what [`Cursor::to_string`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    /// Behind this row.
    pub fn at(row: u32) -> Self {
        Self(row)
    }

    /// The row that the page before ended with.
    pub fn row(self) -> u32 {
        self.0
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}", self.0)
    }
}

/// One page.
#[derive(Clone, Debug)]
pub struct Found {
    /// Newest first.
    pub exchanges: Vec<Summary>,
    /// Where the next page begins, if there is one.
    pub next: Option<Cursor>,
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A term matches more than can be looked at.
    #[error(
        "{term}: too many different values match. Write more of what you look for before the *."
    )]
    TooWide {
        /// The term, as it was written.
        term: String,
    },
}

impl From<sql::Error> for SearchError {
    fn from(error: sql::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Parts what the asker can do something about, in words, from what only an operator can.
pub fn answered<T>(found: Result<T, SearchError>) -> Result<Result<T, String>, StoreError> {
    match found {
        Ok(found) => Ok(Ok(found)),
        Err(SearchError::Store(error)) => Err(error),
        Err(wide @ SearchError::TooWide { .. }) => Ok(Err(wide.to_string())),
    }
}

/// The exchanges that a query finds, as far down as was looked.
#[derive(Clone, Debug, Default)]
pub struct Matches {
    /// Their rows.
    pub rows: RoaringBitmap,
    /// Below this row nothing was looked at, because enough had been found; nothing: all was.
    pub floor: Option<u32>,
}

impl Matches {
    /// Nothing was looked at yet.
    fn nothing_known() -> Self {
        Self {
            rows: RoaringBitmap::new(),
            floor: Some(u32::MAX),
        }
    }

    /// Whether the `limit` highest below `before`, and whether there are more, can be told from it.
    fn tells(&self, before: u32, limit: usize) -> bool {
        let below = before.checked_sub(1);
        let count = below.map_or(0, |last| self.rows.range_cardinality(..=last));
        self.floor.is_none() || count > limit as u64
    }

    /// How many, and whether that is all.
    pub fn count(&self) -> (u64, bool) {
        (self.rows.len(), self.floor.is_none())
    }
}

/// Finds a page of exchanges.
pub fn search(c: &Connection, asked: &Asked) -> Result<Found, SearchError> {
    let plan = Plan::of(&Index(c), &asked.query)?;
    page(c, &plan, asked, &Matches::nothing_known())
}

/// Finds a page, and everything that matches as far as it is counted.
pub fn search_and_count(c: &Connection, asked: &Asked) -> Result<(Found, Matches), SearchError> {
    let plan = Plan::of(&Index(c), &asked.query)?;
    let matches = plan.matches(&Index(c), u32::MAX, 0)?;
    Ok((page(c, &plan, asked, &matches)?, matches))
}

/// Everything that matches, as far as it is counted.
pub fn count(c: &Connection, query: &Query) -> Result<Matches, SearchError> {
    Plan::of(&Index(c), query)?.matches(&Index(c), u32::MAX, 0)
}

/// Which of these rows a query finds.
pub fn among(
    c: &Connection,
    query: &Query,
    rows: &RoaringBitmap,
) -> Result<RoaringBitmap, SearchError> {
    let mut plan = Plan::of(&Index(c), query)?;
    plan.rows &= rows;
    let before = plan
        .rows
        .max()
        .map_or(0, |highest| highest.saturating_add(1));
    Ok(plan.matches(&Index(c), before, u64::MAX)?.rows)
}

/// A page, from what is known already if that is enough.
fn page(c: &Connection, plan: &Plan, asked: &Asked, known: &Matches) -> Result<Found, SearchError> {
    let limit = asked.limit.clamp(1, LARGEST_PAGE) as usize;
    let before = asked.after.map_or(u32::MAX, |cursor| cursor.0);
    let looked_up;
    let matches = match known.tells(before, limit) {
        true => known,
        false => {
            looked_up = plan.matches(&Index(c), before, limit as u64 + 1)?;
            &looked_up
        }
    };
    let below = matches.rows.range(..before);
    let mut newest: Vec<u32> = below.rev().take(limit + 1).collect();
    let more = newest.len() > limit;
    newest.truncate(limit);
    let next = newest.last().filter(|_| more).map(|last| Cursor(*last));
    let mut exchanges = Vec::with_capacity(newest.len());
    let mut statement = c.prepare_cached("SELECT * FROM exchanges WHERE id = ?1")?;
    for row in newest {
        exchanges.extend(statement.query_row([row], Summary::from_row).optional()?);
    }
    // They came in nearly this order; on a page the clock decides.
    exchanges.sort_by_key(|summary| std::cmp::Reverse((summary.at, summary.row)));
    Ok(Found { exchanges, next })
}

/// A query, as far as sets answer it, and the words that are left.
struct Plan {
    rows: RoaringBitmap,
    words: Vec<(bool, Words)>,
}

impl Plan {
    fn of(index: &Index<'_>, query: &Query) -> Result<Self, SearchError> {
        let mut plan = Self {
            rows: index.all()?,
            words: Vec::new(),
        };
        for term in &query.terms {
            let found = match &term.wanted {
                Wanted::Words(words) => {
                    plan.words.push((term.negated, words.clone()));
                    continue;
                }
                Wanted::Field(field, values) => of_field(index, term, *field, values)?,
                Wanted::Status(ranges) => of_status(index, ranges)?,
                Wanted::Has(traits) => of_traits(index, traits)?,
                Wanted::Time(side, moment) => {
                    let after = since(index, moment.at)?;
                    match side {
                        Side::After => after,
                        Side::Before => index.all()? - after,
                    }
                }
            };
            match term.negated {
                true => plan.rows -= found,
                false => plan.rows &= found,
            }
        }
        Ok(plan)
    }

    /// What matches below `before`: all of it, or at least `least` and as many as are enough.
    fn matches(&self, index: &Index<'_>, before: u32, least: u64) -> Result<Matches, SearchError> {
        let mut matches = Matches::default();
        let mut top = before;
        if self.words.is_empty() {
            matches.rows = self.rows.clone();
            return Ok(matches);
        }
        let mut candidates = self.rows.clone();
        candidates.remove_range(before..);
        if candidates.len() <= FEW {
            for (negated, words) in &self.words {
                let found = index.among_with_words(words, &candidates)?;
                match negated {
                    true => candidates -= found,
                    false => candidates &= found,
                }
            }
            matches.rows = candidates;
            return Ok(matches);
        }
        // A page has little use for more.
        let mut enough = match least {
            0 => ENOUGH,
            least => least.saturating_mul(8).min(ENOUGH),
        };
        loop {
            let mut rows = self.rows.clone();
            rows.remove_range(top..);
            let mut floor: Option<u32> = None;
            for (negated, words) in &self.words {
                // Nothing below the lowest that can match has to be looked at.
                let (found, stopped) = index.with_words(words, top, enough)?;
                floor = floor.max(stopped);
                match negated {
                    true => rows -= found,
                    false => rows &= found,
                }
            }
            if let Some(floor) = floor {
                rows.remove_range(..floor);
            }
            matches.rows |= rows;
            let lowest = self.rows.min().unwrap_or(u32::MAX);
            matches.floor = floor.filter(|floor| *floor > lowest);
            match matches.floor {
                Some(floor) if matches.rows.len() < least => {
                    top = floor;
                    enough = enough.saturating_mul(4);
                }
                _ => return Ok(matches),
            }
        }
    }
}

fn of_field(
    index: &Index<'_>,
    term: &Term,
    field: Field,
    values: &[Pattern],
) -> Result<RoaringBitmap, SearchError> {
    let mut found = RoaringBitmap::new();
    for value in values {
        let mut look = |kind: Kind, pattern: &Pattern| -> Result<(), SearchError> {
            match index.matching(kind, pattern)? {
                Ok(rows) => found |= rows,
                Err(TooWide) => {
                    return Err(SearchError::TooWide {
                        term: term.to_string(),
                    });
                }
            }
            Ok(())
        };
        match field {
            Field::Exchange => {
                let rows =
                    exchanges_named(index.0, value)?.ok_or_else(|| SearchError::TooWide {
                        term: term.to_string(),
                    })?;
                found |= rows;
            }
            Field::User => {
                look(Kind::Field(field), value)?;
                look(Kind::Email, value)?;
            }
            Field::Operation => {
                look(Kind::Field(field), value)?;
                look(Kind::Alias, value)?;
            }
            Field::Ref => {
                look(Kind::Field(field), value)?;
                let first = value.pieces.first().map_or("", String::as_str);
                if !first.is_empty() && !first.starts_with("refs/") {
                    for start in ["refs/heads/", "refs/tags/"] {
                        let mut whole = value.clone();
                        if let Some(first) = whole.pieces.first_mut() {
                            first.insert_str(0, start);
                        }
                        look(Kind::Field(field), &whole)?;
                    }
                }
            }
            Field::Decision => {
                look(Kind::Field(field), value)?;
                for kind in value.as_exact().map(kinds_of_decision).unwrap_or_default() {
                    look(Kind::Field(field), &Pattern::exact(kind))?;
                }
            }
            _ => look(Kind::Field(field), value)?,
        }
    }
    Ok(found)
}

/// The decisions that a word stands for beside itself.
pub fn kinds_of_decision(word: &str) -> &'static [&'static str] {
    match word.to_ascii_lowercase().as_str() {
        "held" => &["held_approved", "held_refused", "held_expired"],
        "undecided" => &["undecided_denied", "undecided_allowed"],
        "refused" => &["denied", "held_refused", "held_expired", "undecided_denied"],
        _ => &[],
    }
}

/// Exchanges whose id matches; nothing if there are more than can be looked at.
fn exchanges_named(c: &Connection, pattern: &Pattern) -> Result<Option<RoaringBitmap>, StoreError> {
    const MOST: usize = 20_000;
    if let Some(id) = pattern.as_exact() {
        let row: Option<u32> = c
            .prepare_cached("SELECT id FROM exchanges WHERE exchange = ?1")?
            .query_row([id], |row| row.get(0))
            .optional()?;
        return Ok(Some(row.into_iter().collect()));
    }
    let first = pattern.pieces.first().map_or("", String::as_str);
    if first.is_empty() && !pattern.is_anything() {
        return Ok(None);
    }
    if pattern.is_anything() {
        return Ok(Some(Index(c).all()?));
    }
    let mut statement = c.prepare_cached(
        "SELECT id, exchange FROM exchanges WHERE exchange >= ?1 AND exchange <= ?2
         ORDER BY exchange LIMIT ?3",
    )?;
    let most = MOST as i64 + 1;
    let mut rows = statement.query(params![first, last_with(first), most])?;
    let mut found = RoaringBitmap::new();
    let mut seen = 0;
    while let Some(row) = rows.next()? {
        let id = row.get_ref(1)?.as_str()?;
        seen += 1;
        if !id.starts_with(first) {
            break;
        }
        if seen > MOST {
            return Ok(None);
        }
        if pattern.matches(id) {
            found.insert(row.get(0)?);
        }
    }
    Ok(Some(found))
}

fn of_status(index: &Index<'_>, ranges: &[Status]) -> Result<RoaringBitmap, StoreError> {
    let mut known = Vec::new();
    for (number, value) in index.values(Kind::Status, 2000)? {
        if let Ok(status) = value.parse::<i64>() {
            known.push((status, number));
        }
    }
    let mut found = RoaringBitmap::new();
    for range in ranges {
        match range {
            Status::Within(range) => {
                let within = known.iter().filter(|(status, _)| range.contains(status));
                found |= index.rows_of(within.map(|(_, number)| *number))?;
            }
            Status::None => {
                let with = index.rows_of(known.iter().map(|(_, number)| *number))?;
                found |= index.all()? - with;
            }
        }
    }
    Ok(found)
}

fn of_traits(index: &Index<'_>, traits: &[Trait]) -> Result<RoaringBitmap, StoreError> {
    let mut found = RoaringBitmap::new();
    for one in traits {
        found |= index.exactly(Kind::Has, one.word())?;
    }
    Ok(found)
}

/// The exchanges that began at `at` or later: whole days, whole hours, and the rest one by one.
pub fn since(index: &Index<'_>, at: Millis) -> Result<RoaringBitmap, StoreError> {
    let (day, hour) = (at.div_euclid(24 * HOUR), at.div_euclid(HOUR));
    let days = index.values(Kind::Day, u32::MAX)?.into_iter();
    let later = days.filter(|(_, value)| value.parse::<i64>().is_ok_and(|value| value > day));
    let mut found = index.rows_of(later.map(|(number, _)| number))?;
    for later in hour + 1..(day + 1) * 24 {
        found |= index.exactly(Kind::Hour, &later.to_string())?;
    }
    let mut statement = index
        .0
        .prepare_cached("SELECT id FROM exchanges WHERE at >= ?1 AND at < ?2")?;
    let rows = statement.query_map(params![at, (hour + 1) * HOUR], |row| row.get::<_, u32>(0))?;
    for row in rows {
        found.insert(row?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back() {
        assert_eq!(Cursor::parse(&Cursor(7).to_string()), Some(Cursor(7)));
        assert_eq!(Cursor::parse("5.x"), None);
    }
}

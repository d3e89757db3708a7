//! Filters over exchanges, newest first, page by page.

use rusqlite::Connection;
use rusqlite::types::Value;

use super::Summary;
use crate::clock::Millis;
use crate::store::StoreError;

/// The most exchanges on one page.
pub const LARGEST_PAGE: u32 = 500;

/// What to look for. Everything that is given has to hold. In `user`, `operation`, `decision` and
/// `connection` a `*` stands for anything.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Words of prompts, bodies, addresses and names; `"a phrase"` in quotes.
    pub text: Option<String>,
    /// Subject or e-mail address.
    pub user: Option<String>,
    /// Operation name or one of its aliases.
    pub operation: Option<String>,
    /// The decision.
    pub decision: Option<String>,
    /// The connection of the policy.
    pub connection: Option<String>,
    /// The session.
    pub session: Option<String>,
    /// At or after.
    pub since: Option<Millis>,
    /// Before.
    pub until: Option<Millis>,
    /// Where the page before ended.
    pub after: Option<Cursor>,
    /// How many at most; see [`LARGEST_PAGE`].
    pub limit: u32,
}

/// A place in the list, stable while new exchanges come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    at: Millis,
    row: i64,
}

impl Cursor {
    /// Reads what [`Cursor::to_string`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (at, row) = text.split_once('.')?;
        Some(Self {
            at: at.parse().ok()?,
            row: row.parse().ok()?,
        })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}.{}", self.at, self.row)
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

/// Finds a page of exchanges.
pub fn search(c: &Connection, filter: &Filter) -> Result<Found, StoreError> {
    let limit = filter.limit.clamp(1, LARGEST_PAGE);
    let mut conditions: Vec<&str> = Vec::new();
    let mut values: Vec<Value> = Vec::new();
    let mut want = |condition: &'static str, given: Vec<Value>| {
        conditions.push(condition);
        values.extend(given);
    };
    if let Some(text) = filter.text.as_deref().and_then(full_text_query) {
        want(
            "id IN (SELECT exchange FROM exchange_entries WHERE entry IN
               (SELECT rowid FROM record_words WHERE record_words MATCH ?))",
            vec![text.into()],
        );
    }
    if let Some(user) = &filter.user {
        let user = pattern(user);
        want(
            "(user_id GLOB ? OR user_email GLOB ?)",
            vec![user.clone().into(), user.into()],
        );
    }
    if let Some(operation) = &filter.operation {
        want(
            "id IN (SELECT exchange FROM exchange_operations WHERE operation GLOB ?)",
            vec![pattern(operation).into()],
        );
    }
    if let Some(decision) = &filter.decision {
        want("decision GLOB ?", vec![pattern(decision).into()]);
    }
    if let Some(connection) = &filter.connection {
        want("connection GLOB ?", vec![pattern(connection).into()]);
    }
    if let Some(session) = &filter.session {
        want("session = ?", vec![session.clone().into()]);
    }
    if let Some(since) = filter.since {
        want("at >= ?", vec![since.into()]);
    }
    if let Some(until) = filter.until {
        want("at < ?", vec![until.into()]);
    }
    if let Some(cursor) = filter.after {
        want(
            "(at, id) < (?, ?)",
            vec![cursor.at.into(), cursor.row.into()],
        );
    }
    let conditions = if conditions.is_empty() {
        "true".to_owned()
    } else {
        conditions.join(" AND ")
    };
    values.push(Value::from(i64::from(limit) + 1));
    // Only conditions from this file are in the text; every value is bound.
    let sql =
        format!("SELECT * FROM exchanges WHERE {conditions} ORDER BY at DESC, id DESC LIMIT ?");
    let mut exchanges: Vec<Summary> = c
        .prepare_cached(&sql)?
        .query_map(rusqlite::params_from_iter(values), Summary::from_row)?
        .collect::<Result<_, _>>()?;
    let more = exchanges.len() > limit as usize;
    exchanges.truncate(limit as usize);
    let next = exchanges.last().filter(|_| more).map(|last| Cursor {
        at: last.at,
        row: last.row,
    });
    Ok(Found { exchanges, next })
}

/// A GLOB pattern in which only `*` is special.
fn pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '?' | '[' => pattern.extend(['[', c, ']']),
            c => pattern.push(c),
        }
    }
    pattern
}

/// The words and "phrases" of `text` as an FTS5 query in which nothing else is special; each may
/// be the beginning of a word. Nothing if there is no word in it.
fn full_text_query(text: &str) -> Option<String> {
    let mut terms = Vec::new();
    for (index, part) in text.split('"').enumerate() {
        if index % 2 == 1 {
            terms.push(part);
        } else {
            terms.extend(part.split_whitespace());
        }
    }
    let query: Vec<String> = terms
        .into_iter()
        .filter(|term| term.chars().any(char::is_alphanumeric))
        .map(|term| format!("\"{}\"*", term.replace('\0', " ")))
        .collect();
    (!query.is_empty()).then(|| query.join(" AND "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_search_is_syntax() {
        assert_eq!(
            full_text_query(r#"drop "two words" NEAR( *"#).as_deref(),
            Some(r#""drop"* AND "two words"* AND "NEAR("*"#)
        );
        assert_eq!(full_text_query(" * ( "), None);
        assert_eq!(pattern("a[b]?*"), "a[[]b][?]*");
    }

    #[test]
    fn a_cursor_reads_back() {
        let cursor = Cursor { at: 5, row: 7 };
        assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
        assert_eq!(Cursor::parse("5"), None);
    }
}

//! The full-text index: FTS5 in SQLite, a GIN index over `tsvector` in PostgreSQL. A row is a record;
//! its id is the exchange's times [`RECORDS`](super::RECORDS), and the number of the record there.

use std::ops::Range;

use super::lexemes;
use crate::exchanges::query::Words;
use crate::store::StoreError;
use crate::store::sql::{Connection, Engine, ToSql, Value, params};

/// Takes the words of records in, each with its id.
pub fn insert(c: &Connection, records: &[(i64, String)]) -> Result<(), StoreError> {
    match c.engine() {
        Engine::Sqlite => {
            let mut statement = c.prepare_cached(
                "INSERT OR REPLACE INTO search_words (rowid, words) VALUES (?1, ?2)",
            )?;
            for (id, words) in records {
                statement.execute(params![id, words])?;
            }
        }
        Engine::Postgres => {
            let parts = |(id, words): &(i64, String)| {
                let (id, parts) = (*id, lexemes::parts(words));
                (0i64..)
                    .zip(parts)
                    .map(move |(part, words)| (id, part, words))
            };
            let parts: Vec<(i64, i64, String)> = records.iter().flat_map(parts).collect();
            let rows: Vec<Vec<Value<'_>>> = parts
                .iter()
                .map(|(id, part, words)| vec![id.to_sql(), part.to_sql(), words.to_sql()])
                .collect();
            c.prepare_cached(
                "INSERT INTO search_words (id, part, words)
                 VALUES (?1, ?2, CAST(CAST(?3 AS TEXT) AS TSVECTOR))",
            )?
            .insert_many(&rows)?;
        }
    }
    Ok(())
}

/// Empties it.
pub fn clear(c: &Connection) -> Result<(), StoreError> {
    let sql = match c.engine() {
        Engine::Sqlite => "INSERT INTO search_words (search_words) VALUES ('delete-all')",
        Engine::Postgres => "DELETE FROM search_words",
    };
    c.execute(sql, [])?;
    Ok(())
}

/// Gives the ids below `before` of records with these words to `each`, the highest first, until that
/// has enough. Of how many exchanges that will be at most says `enough`.
pub fn newest(
    c: &Connection,
    words: &Words,
    before: i64,
    enough: u64,
    mut each: impl FnMut(i64) -> bool,
) -> Result<(), StoreError> {
    match c.engine() {
        Engine::Sqlite => {
            let mut statement = c.prepare_cached(
                "SELECT rowid FROM search_words WHERE search_words MATCH ?1 AND rowid < ?2
                 ORDER BY rowid DESC",
            )?;
            let mut rows = statement.query(params![fts5(words), before])?;
            while let Some(row) = rows.next()? {
                if !each(row.get(0)?) {
                    break;
                }
            }
        }
        Engine::Postgres => {
            let Some(phrase) = lexemes::phrase(&words.text, words.prefix) else {
                return Ok(());
            };
            let most = i64::try_from(enough).unwrap_or(i64::MAX).saturating_add(1);
            let mut statement = c.prepare_cached(
                "SELECT DISTINCT id - id % 64 AS first FROM search_words
                 WHERE words @@ CAST(CAST(?1 AS TEXT) AS TSQUERY) AND id < ?2
                 ORDER BY first DESC LIMIT ?3",
            )?;
            let mut rows = statement.query(params![phrase, before, most])?;
            while let Some(row) = rows.next()? {
                if !each(row.get(0)?) {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Whether a record with an id in this range has these words.
pub fn any(c: &Connection, words: &Words, ids: Range<i64>) -> Result<bool, StoreError> {
    let (sql, asked) = match c.engine() {
        Engine::Sqlite => (
            "SELECT 1 FROM search_words WHERE search_words MATCH ?1 AND rowid >= ?2 AND rowid < ?3",
            fts5(words),
        ),
        Engine::Postgres => match lexemes::phrase(&words.text, words.prefix) {
            None => return Ok(false),
            Some(phrase) => (
                "SELECT 1 FROM search_words
                 WHERE words @@ CAST(CAST(?1 AS TEXT) AS TSQUERY) AND id >= ?2 AND id < ?3",
                phrase,
            ),
        },
    };
    let mut statement = c.prepare_cached(sql)?;
    let mut rows = statement.query(params![asked, ids.start, ids.end])?;
    Ok(rows.next()?.is_some())
}

/// Words as an FTS5 query in which nothing else is special.
fn fts5(words: &Words) -> String {
    let text = words.text.replace(['"', '\0'], " ");
    let star = if words.prefix { "*" } else { "" };
    format!("\"{text}\"{star}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_word_is_syntax() {
        let words = |text: &str, prefix| Words {
            text: text.into(),
            prefix,
        };
        assert_eq!(fts5(&words("a\" OR b\0", false)), "\"a  OR b \"");
        assert_eq!(fts5(&words("NEAR(", true)), "\"NEAR(\"*");
    }
}

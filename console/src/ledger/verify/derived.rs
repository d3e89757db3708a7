//! The tables that follow from the entries: made anew in a database of their own, and compared.

use super::{Report, What, steps};
use crate::exchanges;
use crate::ledger::derive;
use crate::store::sql::{Connection, OptionalExtension};
use crate::store::{self, StoreError};

/// Entries that are derived in one go.
const AT_ONCE: i64 = 10_000;

/// Tables that are written with the entries, apart from those of exchanges. A column that only
/// matters while a request is held is not among those compared.
const BESIDE: &[(&str, &str)] = &[
    ("holds", "*"),
    (
        "approvals",
        "id, fingerprint, state, subject, asked_at, expires_at, decided_at, decided_by, decided_why, \
         consumed_at, consumed_by",
    ),
    ("approval_votes", "*"),
    (
        "approval_events",
        "approval, at, kind, who, exchange, note, entry",
    ),
];

/// Compares all of them.
pub(super) fn check(c: &Connection, report: &mut Report) -> Result<(), StoreError> {
    let Some(path) = c
        .sqlite()
        .and_then(rusqlite::Connection::path)
        .map(str::to_owned)
    else {
        return Err(StoreError::Unreadable("the ledger is not a file".into()));
    };
    let scratch = store::Scratch::new()?;
    let anew = store::empty(scratch.path())?;
    // What is made anew reads its entries and bodies from the ledger that is verified.
    anew.execute("ATTACH ?1 AS told", [path])?;
    anew.execute_batch(
        "PRAGMA synchronous = off;
         CREATE TEMP VIEW entries AS SELECT * FROM told.entries;
         CREATE TEMP VIEW bodies AS SELECT * FROM told.bodies;
         BEGIN;",
    )?;
    // The first reading of the ledger fixes the state that all of this is compared with: a console
    // may be writing meanwhile.
    let target = derived_to(&anew)?;
    steps::replay(&anew)?;
    loop {
        let position = derive::position(&anew)?;
        let left = (target - position.derived).min(AT_ONCE);
        if left <= 0 {
            break;
        }
        if position.behind() <= 0 {
            let words = "the tables for searching say that they have more entries than there are";
            report.add(What::Derived, None, words);
            break;
        }
        derive::advance(&anew, u32::try_from(left).unwrap_or(u32::MAX))?;
    }
    let columns = exchanges::derive::TABLES.iter().map(|table| (*table, "*"));
    compare_arrivals(&anew, report)?;
    for (table, columns) in BESIDE.iter().copied().chain(columns) {
        report.derived_tables += 1;
        compare(&anew, table, columns, report)?;
    }
    for words in full_text(&anew)? {
        report.derived_tables += 1;
        compare_words(&anew, &words, report)?;
    }
    compare_questions(&anew, report)
}

/// How far the tables of the ledger are.
fn derived_to(anew: &Connection) -> Result<i64, StoreError> {
    let told: Option<String> = anew
        .query_row(
            "SELECT value FROM told.meta WHERE key = ?1",
            [derive::DERIVED_TO],
            |row| row.get(0),
        )
        .optional()?;
    match told {
        None => Ok(0),
        Some(text) => text
            .parse()
            .map_err(|_| StoreError::Unreadable(format!("{} is `{text}`", derive::DERIVED_TO))),
    }
}

/// Workers by their names: their numbers differ when all records of one have been deleted, and
/// counts then say more than what is left.
fn compare_arrivals(anew: &Connection, report: &mut Report) -> Result<(), StoreError> {
    anew.execute_batch(
        "CREATE TEMP VIEW arrived_anew AS SELECT workers.worker, seq, digest, entry
           FROM main.arrivals AS a JOIN main.workers AS workers ON workers.id = a.worker;
         CREATE TEMP VIEW arrived_told AS SELECT workers.worker, seq, digest, entry
           FROM told.arrivals AS a JOIN told.workers AS workers ON workers.id = a.worker;",
    )?;
    report.derived_tables += 1;
    differ(
        anew,
        "arrivals",
        "*",
        ["arrived_anew", "arrived_told"],
        report,
    )?;
    if report.hashes_only == 0 {
        report.derived_tables += 1;
        let columns = "worker, first_at, last_at, highest, records, dropped";
        differ(
            anew,
            "workers",
            columns,
            ["main.workers", "told.workers"],
            report,
        )?;
    }
    Ok(())
}

/// What was asked, key by key: the text may be written in another order. A body that retention has
/// deleted is in neither.
fn compare_questions(anew: &Connection, report: &mut Report) -> Result<(), StoreError> {
    let pairs: Vec<(String, String, String)> = anew
        .prepare(
            "SELECT a.id, a.question, b.question FROM main.approvals AS a
             JOIN told.approvals AS b ON b.id = a.id",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (id, anew, told) in pairs {
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        if read(&anew) != read(&told) {
            report.add(
                What::Derived,
                None,
                format!("what approval {id} asks is not what its entry says"),
            );
        }
    }
    Ok(())
}

/// Names are from this program, never from the ledger.
fn compare(
    anew: &Connection,
    table: &str,
    columns: &str,
    report: &mut Report,
) -> Result<(), StoreError> {
    let (anew_name, told_name) = (format!("main.{table}"), format!("told.{table}"));
    differ(anew, table, columns, [&anew_name, &told_name], report)
}

fn differ(
    anew: &Connection,
    table: &str,
    columns: &str,
    [main, told]: [&str; 2],
    report: &mut Report,
) -> Result<(), StoreError> {
    let count = |one: &str, other: &str| -> Result<i64, StoreError> {
        let sql = format!(
            "SELECT count(*) FROM (SELECT {columns} FROM {one} EXCEPT SELECT {columns} FROM {other})"
        );
        Ok(anew.query_row(&sql, [], |row| row.get(0))?)
    };
    let (missing, extra) = (count(main, told)?, count(told, main)?);
    if missing + extra > 0 {
        report.add(
            What::Derived,
            None,
            format!(
                "table {table} is not what the entries say: {missing} rows of theirs are not in it, \
                 {extra} of its rows are not theirs"
            ),
        );
    }
    Ok(())
}

/// The full-text indexes.
fn full_text(anew: &Connection) -> Result<Vec<String>, StoreError> {
    Ok(anew
        .prepare(
            "SELECT name FROM main.sqlite_schema
             WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%fts5%' ORDER BY name",
        )?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?)
}

/// An index is laid out as its merges went; its words and their places are what counts.
fn compare_words(anew: &Connection, table: &str, report: &mut Report) -> Result<(), StoreError> {
    anew.execute_batch(&format!(
        "CREATE VIRTUAL TABLE temp.anew_{table} USING fts5vocab(main, {table}, instance);
         CREATE VIRTUAL TABLE temp.told_{table} USING fts5vocab(told, {table}, instance);"
    ))?;
    let sql = |table: &str| format!("SELECT term, doc, col, offset FROM {table}");
    let (mut one, mut other) = (
        anew.prepare(&sql(&format!("anew_{table}")))?,
        anew.prepare(&sql(&format!("told_{table}")))?,
    );
    let (mut one, mut other) = (one.query([])?, other.query([])?);
    // Both come in the order of their terms, so that nothing of them has to be kept.
    let mut same = true;
    let mut place = String::new();
    while same {
        let (mine, theirs) = (one.next()?, other.next()?);
        same = match (mine, theirs) {
            (None, None) => break,
            (Some(mine), Some(theirs)) => {
                place = mine.get(0)?;
                let mut equal = true;
                for column in 0..4 {
                    equal &= mine.get_ref(column)? == theirs.get_ref(column)?;
                }
                equal
            }
            (Some(_), None) | (None, Some(_)) => false,
        };
    }
    drop((one, other));
    if !same {
        report.add(
            What::Derived,
            None,
            format!(
                "the full-text index {table} is not what the entries say, first at `{}`",
                place.chars().take(40).collect::<String>()
            ),
        );
    }
    Ok(())
}

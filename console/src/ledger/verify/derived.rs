//! The tables that follow from the entries: made anew in a database of their own, and compared.

use super::{Report, What, steps};
use crate::ledger::derive;
use crate::store::sql::{Connection, Engine, OptionalExtension};
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

/// Where the tables are: those that are made anew, and those of the ledger.
struct Tables<'a> {
    c: &'a Connection,
    anew: &'static str,
    told: String,
}

/// Compares all of them.
pub(super) fn check(c: &Connection, report: &mut Report) -> Result<(), StoreError> {
    match c.engine() {
        Engine::Sqlite => check_file(c, report),
        Engine::Postgres => check_server(c, report),
    }
}

/// Makes them anew in a file of their own.
fn check_file(c: &Connection, report: &mut Report) -> Result<(), StoreError> {
    let path = c.sqlite().and_then(rusqlite::Connection::path);
    let Some(path) = path.map(str::to_owned) else {
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
    let tables = Tables {
        c: &anew,
        anew: "main",
        told: "told".into(),
    };
    // The first reading of the ledger fixes the state that all of this is compared with: a console
    // may be writing meanwhile.
    tables.make(report)?;
    tables.compare_all(report)?;
    for words in full_text(&anew)? {
        report.derived_tables += 1;
        compare_words(&anew, &words, report)?;
    }
    Ok(())
}

/// Makes them anew as temporary tables beside the ledger's, which they hide; entries and bodies are the
/// ledger's own. The caller's snapshot is where all of it happens, and is undone.
fn check_server(c: &Connection, report: &mut Report) -> Result<(), StoreError> {
    let told: String = c.query_row("SELECT quote_ident(current_schema())", [], |row| row.get(0))?;
    let names: Vec<String> = c
        .prepare(
            "SELECT quote_ident(tablename) FROM pg_tables
             WHERE schemaname = current_schema() AND tablename NOT IN ('entries', 'bodies')",
        )?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for name in names {
        c.execute_batch(&format!(
            "CREATE TEMP TABLE {name} (LIKE {told}.{name} INCLUDING ALL)"
        ))?;
    }
    c.forget_statements();
    let tables = Tables {
        c,
        anew: "pg_temp",
        told,
    };
    tables.make(report)?;
    tables.compare_all(report)?;
    report.derived_tables += 1;
    tables.compare("search_words", "*", report)
}

impl Tables<'_> {
    /// Makes what follows from the entries, as far as the ledger has made it.
    fn make(&self, report: &mut Report) -> Result<(), StoreError> {
        let target = self.derived_to()?;
        steps::replay(self.c)?;
        loop {
            let position = derive::position(self.c)?;
            let left = (target - position.derived).min(AT_ONCE);
            if left <= 0 {
                return Ok(());
            }
            if position.behind() <= 0 {
                let words =
                    "the tables for searching say that they have more entries than there are";
                report.add(What::Derived, None, words);
                return Ok(());
            }
            derive::advance(self.c, u32::try_from(left).unwrap_or(u32::MAX))?;
        }
    }

    fn compare_all(&self, report: &mut Report) -> Result<(), StoreError> {
        let columns = derive::tables().map(|table| (table, "*"));
        self.compare_arrivals(report)?;
        for (table, columns) in BESIDE.iter().copied().chain(columns) {
            report.derived_tables += 1;
            self.compare(table, columns, report)?;
        }
        self.compare_questions(report)
    }

    /// How far the tables of the ledger are.
    fn derived_to(&self) -> Result<i64, StoreError> {
        let sql = format!("SELECT value FROM {}.meta WHERE key = ?1", self.told);
        let told: Option<String> = self
            .c
            .query_row(&sql, [derive::DERIVED_TO], |row| row.get(0))
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
    fn compare_arrivals(&self, report: &mut Report) -> Result<(), StoreError> {
        let (anew, told) = (self.anew, &self.told);
        self.c.execute_batch(&format!(
            "CREATE TEMP VIEW arrived_anew AS SELECT workers.worker, seq, digest, entry
               FROM {anew}.arrivals AS a JOIN {anew}.workers AS workers ON workers.id = a.worker;
             CREATE TEMP VIEW arrived_told AS SELECT workers.worker, seq, digest, entry
               FROM {told}.arrivals AS a JOIN {told}.workers AS workers ON workers.id = a.worker;",
        ))?;
        report.derived_tables += 1;
        let views = ["arrived_anew", "arrived_told"];
        differ(self.c, "arrivals", "*", views, report)?;
        if report.hashes_only == 0 {
            report.derived_tables += 1;
            let columns = "worker, first_at, last_at, highest, records, dropped";
            self.compare("workers", columns, report)?;
        }
        Ok(())
    }

    /// What was asked, key by key: the text may be written in another order. A body that retention has
    /// deleted is in neither.
    fn compare_questions(&self, report: &mut Report) -> Result<(), StoreError> {
        let sql = format!(
            "SELECT a.id, a.question, b.question FROM {}.approvals AS a
         JOIN {}.approvals AS b ON b.id = a.id",
            self.anew, self.told
        );
        let pairs: Vec<(String, String, String)> = self
            .c
            .prepare(&sql)?
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
    fn compare(&self, table: &str, columns: &str, report: &mut Report) -> Result<(), StoreError> {
        let (anew, told) = (
            format!("{}.{table}", self.anew),
            format!("{}.{table}", self.told),
        );
        differ(self.c, table, columns, [&anew, &told], report)
    }
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
            "SELECT count(*) FROM (SELECT {columns} FROM {one} EXCEPT SELECT {columns} FROM {other}) AS rest"
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

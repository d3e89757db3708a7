//! What the ledger's records say of exchanges: a row for each exchange, its records, and the search
//! index over both.
//!
//! All of it follows from the entries, taken in order: see [`crate::ledger::derive`].

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::index;
use crate::clock::Millis;
use crate::intake::record::{Half, text};
use crate::ledger::read::StoredRecord;
use crate::store::StoreError;
use crate::store::sql::{Connection, ToSql, Value as Sql};

/// Operations of one exchange that are spelled out in lists; the page of the exchange has all.
const IN_WORDS: usize = 4;

/// The tables that [`records`] fills, in an order in which they can be emptied.
pub const TABLES: &[&str] = &[
    "search_values",
    "search_bits",
    "search_of",
    "exchange_entries",
    "exchanges",
];

/// Takes records in. They come in the order of their entries, each once.
pub fn records(c: &Connection, records: &[StoredRecord]) -> Result<(), StoreError> {
    let named: Vec<(&str, &StoredRecord)> = records
        .iter()
        .filter_map(|record| Some((text(&record.attributes, "countersign.exchange.id")?, record)))
        .collect();
    let rows = exchange_rows(c, &named)?;
    let mut numbers = records_so_far(c, rows.iter().map(|(row, _)| *row))?;
    let mut taken = Vec::with_capacity(records.len());
    let mut links = Vec::with_capacity(records.len());
    for ((_, record), (row, at)) in named.iter().zip(rows) {
        let number = numbers.entry(row).or_default();
        links.push(vec![Sql::Integer(row), Sql::Integer(record.index)]);
        taken.push(index::Taken {
            row,
            at,
            number: *number,
            outcome: is_outcome(record),
            attributes: &record.attributes,
        });
        *number += 1;
    }
    c.prepare_cached("INSERT INTO exchange_entries (exchange, entry) VALUES (?1, ?2)")?
        .insert_many(&links)?;
    index::take(c, &taken)
}

/// How many records of each exchange there are.
fn records_so_far(
    c: &Connection,
    rows: impl Iterator<Item = i64>,
) -> Result<HashMap<i64, i64>, StoreError> {
    let different: BTreeSet<i64> = rows.collect();
    let asked: Vec<Vec<Sql<'_>>> = different.iter().map(|row| vec![row.to_sql()]).collect();
    let counts = c
        .prepare_cached("SELECT count(*) FROM exchange_entries WHERE exchange = ?1")?
        .first_rows(&asked, |row| row.get(0))?;
    let counts = counts.into_iter().map(Option::unwrap_or_default);
    Ok(different.into_iter().zip(counts).collect())
}

fn is_outcome(record: &StoredRecord) -> bool {
    record.event == Half::Outcome.event_name()
}

/// Brings the rows of exchanges up to date, record by record, and returns their ids and when they began. Values of
/// an outcome count over values of a request, whichever came first.
fn exchange_rows(
    c: &Connection,
    named: &[(&str, &StoredRecord)],
) -> Result<Vec<(i64, Millis)>, StoreError> {
    let operations: Vec<String> = named
        .iter()
        .map(|(_, record)| in_words(&record.attributes))
        .collect();
    let values: Vec<Vec<Sql<'_>>> = named
        .iter()
        .zip(&operations)
        .map(|((id, record), operations)| values(id, record, operations))
        .collect();
    let rows = c
        .prepare_cached(
            "INSERT INTO exchanges (exchange, at, user_id, user_email, session, connection, method, url,
               operations, decision, reason, rule, approval, model, status, duration_us, ended, masked,
               has_request, has_outcome)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)
             ON CONFLICT (exchange) DO UPDATE SET
               at          = CASE WHEN excluded.at < exchanges.at THEN excluded.at ELSE exchanges.at END,
               user_id     = CASE WHEN exchanges.has_outcome <> 0 THEN coalesce(exchanges.user_id, excluded.user_id) ELSE coalesce(excluded.user_id, exchanges.user_id) END,
               user_email  = CASE WHEN exchanges.has_outcome <> 0 THEN coalesce(exchanges.user_email, excluded.user_email) ELSE coalesce(excluded.user_email, exchanges.user_email) END,
               session     = CASE WHEN exchanges.has_outcome <> 0 THEN coalesce(exchanges.session, excluded.session) ELSE coalesce(excluded.session, exchanges.session) END,
               connection  = CASE WHEN exchanges.has_outcome <> 0 THEN coalesce(exchanges.connection, excluded.connection) ELSE coalesce(excluded.connection, exchanges.connection) END,
               method      = CASE WHEN exchanges.has_outcome <> 0 THEN coalesce(exchanges.method, excluded.method) ELSE coalesce(excluded.method, exchanges.method) END,
               url         = CASE WHEN exchanges.has_outcome <> 0 THEN coalesce(exchanges.url, excluded.url) ELSE coalesce(excluded.url, exchanges.url) END,
               operations  = CASE WHEN exchanges.has_outcome <> 0 OR excluded.operations = '' THEN exchanges.operations ELSE excluded.operations END,
               decision    = CASE WHEN exchanges.has_outcome <> 0 THEN coalesce(exchanges.decision, excluded.decision) ELSE coalesce(excluded.decision, exchanges.decision) END,
               reason      = CASE WHEN exchanges.has_outcome <> 0 THEN coalesce(exchanges.reason, excluded.reason) ELSE coalesce(excluded.reason, exchanges.reason) END,
               rule        = CASE WHEN exchanges.has_outcome <> 0 THEN coalesce(exchanges.rule, excluded.rule) ELSE coalesce(excluded.rule, exchanges.rule) END,
               approval    = CASE WHEN exchanges.has_outcome <> 0 THEN coalesce(exchanges.approval, excluded.approval) ELSE coalesce(excluded.approval, exchanges.approval) END,
               model       = CASE WHEN exchanges.has_outcome <> 0 THEN coalesce(exchanges.model, excluded.model) ELSE coalesce(excluded.model, exchanges.model) END,
               status      = coalesce(excluded.status, exchanges.status),
               duration_us = coalesce(excluded.duration_us, exchanges.duration_us),
               ended       = coalesce(excluded.ended, exchanges.ended),
               masked      = CASE WHEN excluded.masked > exchanges.masked THEN excluded.masked ELSE exchanges.masked END,
               has_request = CASE WHEN excluded.has_request <> 0 THEN 1 ELSE exchanges.has_request END,
               has_outcome = CASE WHEN excluded.has_outcome <> 0 THEN 1 ELSE exchanges.has_outcome END
             RETURNING id, at",
        )?
        .first_rows(&values, |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.into_iter()
        .map(|row| Ok(row.ok_or(crate::store::sql::Error::NoRows)?))
        .collect()
}

/// What a record says of its exchange, in the order of the columns.
fn values<'a>(id: &'a str, record: &'a StoredRecord, operations: &'a str) -> Vec<Sql<'a>> {
    let a = &record.attributes;
    let word = |key: &str| text(a, key).map_or(Sql::Null, Sql::Text);
    let number = |key: &str| {
        let number = a.get(key).and_then(Value::as_i64);
        number.map_or(Sql::Null, Sql::Integer)
    };
    let masked: i64 = a
        .get("countersign.masks")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|mask| mask.get("count").and_then(Value::as_i64))
        .sum();
    let outcome = is_outcome(record);
    vec![
        Sql::Text(id),
        Sql::Integer(record.at),
        word("user.id"),
        word("user.email"),
        word("countersign.session.id"),
        word("countersign.connection"),
        word("http.request.method"),
        word("url.full"),
        Sql::Text(operations),
        word("countersign.decision"),
        word("countersign.reason"),
        word("countersign.rule"),
        word("countersign.approval.id"),
        word("gen_ai.request.model"),
        number("http.response.status_code"),
        number("countersign.duration_us"),
        word("countersign.end"),
        Sql::Integer(masked),
        Sql::Integer((!outcome).into()),
        Sql::Integer(outcome.into()),
    ]
}

/// The operations as lists show them.
fn in_words(attributes: &Map<String, Value>) -> String {
    let operations = operations(attributes);
    let shown = operations.iter().take(IN_WORDS);
    let mut words: Vec<String> = shown.map(Operation::words).collect();
    if operations.len() > IN_WORDS {
        words.push(format!("and {} more", operations.len() - IN_WORDS));
    }
    words.join("; ")
}

struct Operation<'a>(&'a Map<String, Value>);

impl Operation<'_> {
    fn words(&self) -> String {
        ["name", "repo", "ref"]
            .into_iter()
            .filter_map(|key| text(self.0, key))
            .collect::<Vec<_>>()
            .join(" ")
    }
}

fn operations(attributes: &Map<String, Value>) -> Vec<Operation<'_>> {
    attributes
        .get("countersign.operations")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|operation| operation.as_object().map(Operation))
        .collect()
}

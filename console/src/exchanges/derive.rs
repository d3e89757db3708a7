//! What the ledger's records say of exchanges: a row for each exchange, its records, and the search
//! index over both.
//!
//! All of it follows from the entries, taken in order: see [`crate::ledger::derive`].

use serde_json::{Map, Value};

use super::index;
use crate::clock::Millis;
use crate::intake::record::{Half, text};
use crate::ledger::read::StoredRecord;
use crate::store::StoreError;
use crate::store::sql::{Connection, params};

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
    let mut taken = Vec::with_capacity(records.len());
    for record in records {
        let Some(id) = text(&record.attributes, "countersign.exchange.id") else {
            continue;
        };
        let (row, at) = exchange_row(c, id, record)?;
        let number = c
            .prepare_cached("SELECT count(*) FROM exchange_entries WHERE exchange = ?1")?
            .query_row([row], |row| row.get(0))?;
        c.prepare_cached("INSERT INTO exchange_entries (exchange, entry) VALUES (?1, ?2)")?
            .execute([row, record.index])?;
        taken.push(index::Taken {
            row,
            at,
            number,
            outcome: record.event == Half::Outcome.event_name(),
            attributes: &record.attributes,
        });
    }
    index::take(c, &taken)
}

/// Brings the exchange's row up to date and returns its id and when it began. Values of an outcome count over values
/// of a request, whichever came first.
fn exchange_row(
    c: &Connection,
    id: &str,
    record: &StoredRecord,
) -> Result<(i64, Millis), StoreError> {
    let a = &record.attributes;
    let operations = operations(a);
    let mut in_words: Vec<String> = operations
        .iter()
        .take(IN_WORDS)
        .map(Operation::words)
        .collect();
    if operations.len() > IN_WORDS {
        in_words.push(format!("and {} more", operations.len() - IN_WORDS));
    }
    let outcome = record.event == Half::Outcome.event_name();
    let masked: i64 = a
        .get("countersign.masks")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|mask| mask.get("count").and_then(Value::as_i64))
        .sum();
    Ok(c
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
        .query_row(
            params![
                id,
                record.at,
                text(a, "user.id"),
                text(a, "user.email"),
                text(a, "countersign.session.id"),
                text(a, "countersign.connection"),
                text(a, "http.request.method"),
                text(a, "url.full"),
                in_words.join("; "),
                text(a, "countersign.decision"),
                text(a, "countersign.reason"),
                text(a, "countersign.rule"),
                text(a, "countersign.approval.id"),
                text(a, "gen_ai.request.model"),
                number(a, "http.response.status_code"),
                number(a, "countersign.duration_us"),
                text(a, "countersign.end"),
                masked,
                i64::from(!outcome),
                i64::from(outcome)
            ],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?)
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

fn number(attributes: &Map<String, Value>, key: &str) -> Option<i64> {
    attributes.get(key).and_then(Value::as_i64)
}

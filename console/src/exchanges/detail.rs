//! Everything that is known of one exchange.

use rusqlite::{Connection, OptionalExtension};
use serde::Serialize;

use super::Summary;
use crate::clock::Millis;
use crate::intake::record::{Stored, read_stored};
use crate::store::StoreError;

/// An exchange and its records, in the order in which they came.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct Detail {
    #[serde(flatten)]
    pub summary: Summary,
    pub records: Vec<Part>,
}

/// One stored record.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct Part {
    pub worker: String,
    pub seq: i64,
    #[serde(rename = "received_at_ms")]
    pub received_at: Millis,
    #[serde(flatten)]
    pub record: Stored,
}

/// The exchange `id` with its records.
pub fn detail(c: &Connection, id: &str) -> Result<Option<Detail>, StoreError> {
    let summary = c
        .prepare_cached("SELECT * FROM exchanges WHERE exchange = ?1")?
        .query_row([id], Summary::from_row)
        .optional()?;
    let Some(summary) = summary else {
        return Ok(None);
    };
    let rows: Vec<(String, i64, Millis, String)> = c
        .prepare_cached(
            "SELECT worker, seq, received_at, record FROM records WHERE exchange = ?1 ORDER BY id",
        )?
        .query_map([id], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<Result<_, _>>()?;
    let records = rows
        .into_iter()
        .map(|(worker, seq, received_at, record)| {
            Ok(Part {
                worker,
                seq,
                received_at,
                record: read_stored(&record).map_err(StoreError::Unreadable)?,
            })
        })
        .collect::<Result<_, StoreError>>()?;
    Ok(Some(Detail { summary, records }))
}

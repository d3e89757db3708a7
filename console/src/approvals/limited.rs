//! Questions that were not put, because as many of the identity wait as may: counted, and on record once
//! for each identity and minute. A flood of questions is not one of entries.

use serde_json::json;

use super::Question;
use crate::clock::{Millis, rfc3339};
use crate::ledger::{Kind, append};
use crate::store::StoreError;
use crate::store::sql::{Connection, params};

/// What a step of the schema adds.
pub const SCHEMA: &str = "
-- Questions beyond the limit of their identity.
CREATE TABLE limited (
    subject  TEXT NOT NULL,
    minute   INTEGER NOT NULL,           -- its beginning
    count    INTEGER NOT NULL,
    most     INTEGER NOT NULL,           -- how many may wait
    exchange TEXT NOT NULL,              -- of the first
    entry    INTEGER,                    -- once the minute is over
    PRIMARY KEY (subject, minute)
) STRICT, WITHOUT ROWID;
";

/// The word for it in the ledger.
pub const STEP: &str = "limited";
const MINUTE: Millis = 60_000;
/// Pages show as much; the ledger keeps all of it.
const SHOWN: Millis = 24 * 3_600_000;
/// Identities that are shown, the latest first.
const NAMED: u32 = 10;
/// Letters of a subject that are kept: an index has to hold it.
const LONGEST_SUBJECT: usize = 200;

/// What one identity asked for in the last day beyond its limit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The names say it.
pub struct Limited {
    pub subject: String,
    pub count: i64,
    pub most: i64,
    /// The beginning of the last minute with one.
    pub last_at: Millis,
}

/// Counts a question that is not put.
pub fn count(
    c: &Connection,
    now: Millis,
    question: &Question,
    exchange: &str,
    most: u32,
) -> Result<(), StoreError> {
    let subject = question.identity.subject.chars().take(LONGEST_SUBJECT);
    // A minute that was put on record and goes on, by the clock of another console, is told again.
    c.prepare_cached(
        "INSERT INTO limited (subject, minute, count, most, exchange) VALUES (?1, ?2, 1, ?3, ?4)
         ON CONFLICT (subject, minute) DO UPDATE
         SET count = limited.count + 1, most = excluded.most, entry = NULL",
    )?
    .execute(params![
        subject.collect::<String>(),
        now - now.rem_euclid(MINUTE),
        most,
        exchange
    ])?;
    Ok(())
}

/// Puts minutes that are over on record. Returns how many there were.
pub fn record(c: &Connection, now: Millis) -> Result<usize, StoreError> {
    let over: Vec<(String, Millis, i64, i64, String)> = c
        .prepare_cached(
            "SELECT subject, minute, count, most, exchange FROM limited
             WHERE entry IS NULL AND minute <= ?1 ORDER BY minute, subject",
        )?
        .query_map([now - MINUTE], |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
            ))
        })?
        .collect::<Result<_, _>>()?;
    for (subject, minute, count, most, exchange) in &over {
        let value = json!({
            "step": STEP, "who": subject, "exchange": exchange,
            "detail": {"count": count, "most": most, "minute": rfc3339(*minute)},
        });
        let entry = append(c, now, Kind::ApprovalEvent, &value)?;
        c.prepare_cached("UPDATE limited SET entry = ?3 WHERE subject = ?1 AND minute = ?2")?
            .execute(params![subject, minute, entry])?;
    }
    if !over.is_empty() {
        c.prepare_cached("DELETE FROM limited WHERE entry IS NOT NULL AND minute < ?1")?
            .execute([now - SHOWN])?;
    }
    Ok(over.len())
}

/// Who asked for more than he may in the last day, the latest first.
pub fn recent(c: &Connection, now: Millis) -> Result<Vec<Limited>, StoreError> {
    Ok(c.prepare_cached(
        "SELECT subject, CAST(sum(count) AS BIGINT), max(most), max(minute) FROM limited WHERE minute > ?1
         GROUP BY subject ORDER BY max(minute) DESC, subject LIMIT ?2",
    )?
    .query_map(params![now - SHOWN, NAMED], |row| {
        Ok(Limited {
            subject: row.get(0)?,
            count: row.get(1)?,
            most: row.get(2)?,
            last_at: row.get(3)?,
        })
    })?
    .collect::<Result<_, _>>()?)
}

//! From the tables of the first schema to entries.

use rusqlite::{Connection, params};
use serde_json::{Value, json};

use super::arrival;
use super::entry::{Kind, append};
use crate::clock::Millis;
use crate::intake::record::from_version_1;
use crate::store::StoreError;

enum Old {
    Record(i64),
    Event(i64),
}

/// Makes entries of the records and approval events of the first schema, in the order in which they
/// were written, with the times that they had then.
pub fn from_version_1_tables(c: &Connection) -> Result<(), StoreError> {
    let order: Vec<(Millis, Old)> = c
        .prepare(
            "SELECT received_at AS at, id, 0 AS event FROM records_1
             UNION ALL SELECT at, id, 1 FROM approval_events ORDER BY at, event, id",
        )?
        .query_map([], |row| {
            let id = row.get(1)?;
            let old = match row.get(2)? {
                0 => Old::Record(id),
                _ => Old::Event(id),
            };
            Ok((row.get(0)?, old))
        })?
        .collect::<Result<_, _>>()?;
    for (at, old) in order {
        match old {
            Old::Record(id) => {
                let whole: String = c
                    .prepare_cached("SELECT record FROM records_1 WHERE id = ?1")?
                    .query_row([id], |row| row.get(0))?;
                let record = from_version_1(&whole)
                    .map_err(|why| StoreError::Unreadable(format!("record {id}: {why}")))?;
                arrival::keep(c, at, &[record])?;
            }
            Old::Event(id) => {
                let entry = append(c, at, Kind::ApprovalEvent, &event(c, id)?)?;
                c.prepare_cached("UPDATE approval_events SET entry = ?2 WHERE id = ?1")?
                    .execute(params![id, entry])?;
            }
        }
    }
    // The time at which a worker was first heard of is that of its first record again.
    c.execute_batch("DROP TABLE records_1")?;
    Ok(())
}

fn event(c: &Connection, id: i64) -> Result<Value, StoreError> {
    c.prepare_cached(
        "SELECT approval, kind, who, approval_events.exchange, note, question FROM approval_events
         JOIN approvals ON approvals.id = approval_events.approval
         WHERE approval_events.id = ?1",
    )?
    .query_row([id], |row| {
        let step: String = row.get(1)?;
        let question: Option<String> = row.get(5)?;
        let question = question.filter(|_| step == "asked");
        Ok(json!({
            "approval": row.get::<_, String>(0)?,
            "step": step,
            "who": row.get::<_, Option<String>>(2)?,
            "exchange": row.get::<_, Option<String>>(3)?,
            "note": row.get::<_, Option<String>>(4)?,
            "question": question,
        }))
    })
    .map_err(StoreError::from)
}

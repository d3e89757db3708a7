//! From the tables of the first schema to entries.

use super::approval::{Step, append_step};
use super::arrival;
use crate::clock::Millis;
use crate::intake::record::from_version_1;
use crate::store::StoreError;
use crate::store::sql::{Connection, params};

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
                let entry = event(c, at, id)?;
                c.prepare_cached("UPDATE approval_events SET entry = ?2 WHERE id = ?1")?
                    .execute(params![id, entry])?;
            }
        }
    }
    c.execute_batch("DROP TABLE records_1")?;
    Ok(())
}

fn event(c: &Connection, at: Millis, id: i64) -> Result<i64, StoreError> {
    type Texts = (
        String,
        String,
        Option<String>,
        Option<String>,
        Option<String>,
    );
    let (approval, step, who, exchange, note): Texts = c
        .prepare_cached(
            "SELECT approval, kind, who, exchange, note FROM approval_events WHERE id = ?1",
        )?
        .query_row([id], |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
            ))
        })?;
    let step = Step {
        approval: &approval,
        step: &step,
        who: who.as_deref(),
        exchange: exchange.as_deref(),
        note: note.as_deref(),
        detail: None,
    };
    append_step(c, at, step)
}

//! Records of gateways on their way in: each is taken once, whatever the gateway sends again.

use std::collections::HashMap;

use super::entry::{append_at, count};
use crate::clock::Millis;
use crate::intake::record::Record;
use crate::store::StoreError;
use crate::store::sql::{Connection, OptionalExtension, params};

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// New records.
    pub stored: u64,
    /// Records that were there.
    pub duplicates: u64,
}

/// Where a worker's numbers stand.
struct Worker {
    id: i64,
    highest: i64,
    /// Numbers that are new with this batch.
    fresh: i64,
    /// Records that it says it has dropped so far.
    dropped: i64,
}

/// Stores a batch, inside the caller's transaction.
pub fn keep(c: &Connection, now: Millis, records: &[Record]) -> Result<Kept, StoreError> {
    let mut kept = Kept::default();
    let mut workers: HashMap<&str, Worker> = HashMap::new();
    let mut index = count(c)?;
    for record in records {
        let worker = match workers.entry(&record.worker) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(worker(c, now, &record.worker)?)
            }
        };
        let number_is_new = record.seq > worker.highest || !number_known(c, worker.id, record.seq)?;
        let new = c
            .prepare_cached(
                "INSERT INTO arrivals (worker, seq, digest, entry) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO NOTHING",
            )?
            .execute(params![worker.id, record.seq, record.digest, index])?;
        if new == 0 {
            kept.duplicates += 1;
            continue;
        }
        worker.highest = worker.highest.max(record.seq);
        worker.fresh += i64::from(number_is_new);
        worker.dropped = worker.dropped.max(record.dropped);
        append_at(c, index, now, record.kind, &record.value)?;
        for body in &record.bodies {
            body.keep(c, index)?;
        }
        kept.stored += 1;
        index += 1;
    }
    if kept.stored > 0 {
        for worker in workers.values() {
            c.prepare_cached(
                "UPDATE workers SET last_at = max(last_at, ?2), highest = ?3, records = records + ?4,
                   dropped = max(dropped, ?5) WHERE id = ?1",
            )?
            .execute(params![worker.id, now, worker.highest, worker.fresh, worker.dropped])?;
        }
    }
    Ok(kept)
}

fn worker(c: &Connection, now: Millis, name: &str) -> Result<Worker, StoreError> {
    let known = c
        .prepare_cached("SELECT id, highest FROM workers WHERE worker = ?1")?
        .query_row([name], |row| {
            Ok(Worker {
                id: row.get(0)?,
                highest: row.get(1)?,
                fresh: 0,
                dropped: 0,
            })
        })
        .optional()?;
    if let Some(known) = known {
        return Ok(known);
    }
    let id = c
        .prepare_cached(
            "INSERT INTO workers (worker, first_at, last_at, highest, records)
             VALUES (?1, ?2, ?2, 0, 0) RETURNING id",
        )?
        .query_row(params![name, now], |row| row.get(0))?;
    Ok(Worker {
        id,
        highest: 0,
        fresh: 0,
        dropped: 0,
    })
}

fn number_known(c: &Connection, worker: i64, seq: i64) -> Result<bool, StoreError> {
    Ok(
        c.prepare_cached("SELECT EXISTS (SELECT 1 FROM arrivals WHERE worker = ?1 AND seq = ?2)")?
            .query_row([worker, seq], |row| row.get(0))?,
    )
}

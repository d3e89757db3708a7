//! Records of gateways on their way in: each is taken once, whatever the gateway sends again.

use std::collections::{HashMap, HashSet};

use super::body;
use super::entry::{append_many, count};
use crate::clock::Millis;
use crate::intake::record::Record;
use crate::store::StoreError;
use crate::store::sql::{Connection, OptionalExtension, ToSql, Value, params};

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
    /// Its highest number before this batch.
    before: i64,
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
    let mut numbers: HashSet<(i64, i64)> = HashSet::new();
    let mut seen: HashSet<(i64, i64, &[u8])> = HashSet::new();
    let mut new: Vec<(i64, &Record)> = Vec::with_capacity(records.len());
    for record in records {
        let worker = match workers.entry(&record.worker) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(worker(c, now, &record.worker)?)
            }
        };
        // Beyond the highest number nothing is known.
        let ask = record.seq <= worker.before;
        let there = !seen.insert((worker.id, record.seq, record.digest.as_slice()))
            || (ask && record_known(c, worker.id, record)?);
        if there {
            kept.duplicates += 1;
            continue;
        }
        let number_is_new = numbers.insert((worker.id, record.seq))
            && !(ask && number_known(c, worker.id, record.seq)?);
        worker.highest = worker.highest.max(record.seq);
        worker.fresh += i64::from(number_is_new);
        worker.dropped = worker.dropped.max(record.dropped);
        kept.stored += 1;
        new.push((worker.id, record));
    }
    append(c, now, &new)?;
    if kept.stored > 0 {
        for worker in workers.values() {
            c.prepare_cached(
                "UPDATE workers SET last_at = CASE WHEN last_at < ?2 THEN ?2 ELSE last_at END,
                   highest = ?3, records = records + ?4,
                   dropped = CASE WHEN dropped < ?5 THEN ?5 ELSE dropped END WHERE id = ?1",
            )?
            .execute(params![
                worker.id,
                now,
                worker.highest,
                worker.fresh,
                worker.dropped
            ])?;
        }
    }
    Ok(kept)
}

/// Appends what is new, each record with the id of its worker.
fn append(c: &Connection, now: Millis, new: &[(i64, &Record)]) -> Result<(), StoreError> {
    let first = count(c)?;
    let indexed = || (first..).zip(new);
    let arrivals: Vec<Vec<Value<'_>>> = indexed()
        .map(|(index, (worker, record))| {
            vec![
                worker.to_sql(),
                record.seq.to_sql(),
                record.digest.to_sql(),
                Value::Integer(index),
            ]
        })
        .collect();
    c.prepare_cached("INSERT INTO arrivals (worker, seq, digest, entry) VALUES (?1, ?2, ?3, ?4)")?
        .insert_many(&arrivals)?;
    let entries = indexed().map(|(index, (_, record))| (index, record.kind, record.value.as_str()));
    append_many(c, now, entries)?;
    let bodies = indexed()
        .flat_map(|(index, (_, record))| record.bodies.iter().map(move |body| (index, body)));
    body::keep_many(c, bodies)
}

fn worker(c: &Connection, now: Millis, name: &str) -> Result<Worker, StoreError> {
    let known = c
        .prepare_cached("SELECT id, highest FROM workers WHERE worker = ?1")?
        .query_row([name], |row| {
            Ok(Worker {
                id: row.get(0)?,
                before: row.get(1)?,
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
        before: 0,
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

fn record_known(c: &Connection, worker: i64, record: &Record) -> Result<bool, StoreError> {
    Ok(c.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM arrivals WHERE worker = ?1 AND seq = ?2 AND digest = ?3)",
    )?
    .query_row(params![worker, record.seq, record.digest], |row| row.get(0))?)
}

//! How complete the ledger is, and how well it is proven.

use serde::Serialize;

use super::derive::{self, Position};
use super::witness::{self, Witness};
use super::{checkpoint, seal};
use crate::clock::Millis;
use crate::store::StoreError;
use crate::store::sql::{Connection, params};

/// Gaps that are named, of each worker and of exchanges.
const NAMED: i64 = 100;
/// Workers that are named, the latest first.
const WORKERS: i64 = 500;
/// An exchange without an outcome may be under way for so long: a held request with its answer.
pub const UNDER_WAY: Millis = 600_000;

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Health {
    /// Entries, and how many of them a search finds.
    pub position: Position,
    /// Entries that a signature covers.
    pub signed: i64,
    /// Entries that the newest checkpoint covers.
    pub checkpoint_size: i64,
    /// When it was made; nothing if there is none.
    pub checkpoint_at: Option<Millis>,
    /// The witnesses.
    pub witnesses: Vec<Witness>,
    /// Workers, the latest first. One that begins after another has ended is a restart of a gateway
    /// or of a worker in it: a worker's id lives as long as its VM.
    pub workers: Vec<Worker>,
    /// Numbers of all workers that never came.
    pub missing: i64,
    /// Records that workers say they dropped.
    pub dropped: i64,
    /// Exchanges without an outcome that are not under way any more.
    pub without_outcome: i64,
    /// The latest of them: the exchange and when it began.
    pub open: Vec<(String, Millis)>,
}

/// One worker of a gateway.
#[derive(Clone, Debug, Serialize)]
pub struct Worker {
    /// Its id.
    pub worker: String,
    /// When its first record came.
    pub first_at: Millis,
    /// When its last record came.
    pub last_at: Millis,
    /// Its highest number.
    pub highest: i64,
    /// Numbers that came.
    pub records: i64,
    /// Records that it says it dropped.
    pub dropped: i64,
    /// Numbers that never came, from and to.
    pub gaps: Vec<(i64, i64)>,
}

impl Worker {
    /// How many numbers never came.
    pub fn missing(&self) -> i64 {
        self.highest - self.records
    }
}

/// Looks.
pub fn health(c: &Connection, now: Millis) -> Result<Health, StoreError> {
    let mut workers: Vec<(i64, Worker)> = c
        .prepare_cached(
            "SELECT id, worker, first_at, last_at, highest, records, dropped FROM workers
             ORDER BY last_at DESC, id DESC LIMIT ?1",
        )?
        .query_map([WORKERS], |row| {
            let worker = Worker {
                worker: row.get(1)?,
                first_at: row.get(2)?,
                last_at: row.get(3)?,
                highest: row.get(4)?,
                records: row.get(5)?,
                dropped: row.get(6)?,
                gaps: Vec::new(),
            };
            Ok((row.get(0)?, worker))
        })?
        .collect::<Result<_, _>>()?;
    for (id, worker) in &mut workers {
        if worker.missing() > 0 {
            worker.gaps = gaps(c, *id)?;
        }
    }
    let (missing, dropped) = c
        .prepare_cached(
            "SELECT coalesce(sum(highest - records), 0), coalesce(sum(dropped), 0) FROM workers",
        )?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let before = now - UNDER_WAY;
    let without_outcome = c
        .prepare_cached("SELECT count(*) FROM exchanges WHERE has_outcome = 0 AND at < ?1")?
        .query_row([before], |row| row.get(0))?;
    let open = c
        .prepare_cached(
            "SELECT exchange, at FROM exchanges WHERE has_outcome = 0 AND at < ?1
             ORDER BY at DESC LIMIT ?2",
        )?
        .query_map(params![before, NAMED], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let newest = checkpoint::newest(c)?;
    Ok(Health {
        position: derive::position(c)?,
        signed: seal::newest_size(c)?.unwrap_or(0),
        checkpoint_size: newest.as_ref().map_or(0, |newest| newest.size),
        checkpoint_at: newest.map(|newest| newest.at),
        witnesses: witness::list(c)?,
        workers: workers.into_iter().map(|(_, worker)| worker).collect(),
        missing,
        dropped,
        without_outcome,
        open,
    })
}

/// The numbers of a worker that never came, the lowest first.
fn gaps(c: &Connection, worker: i64) -> Result<Vec<(i64, i64)>, StoreError> {
    Ok(c.prepare_cached(
        "SELECT before + 1, seq - 1 FROM
           (SELECT seq, coalesce(lag(seq) OVER (ORDER BY seq), 0) AS before
            FROM arrivals WHERE worker = ?1) AS numbers
         WHERE seq > before + 1 LIMIT ?2",
    )?
    .query_map([worker, NAMED], |row| Ok((row.get(0)?, row.get(1)?)))?
    .collect::<Result<_, _>>()?)
}

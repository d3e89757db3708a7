//! The log intake: OTLP/HTTP on `/v1/logs`, in JSON and protobuf, gzip or not.
//!
//! A batch is acknowledged when its records are on disk, and not before. A resend is harmless: a
//! record is known by its worker, its number and its digest. When too much waits, the sender is
//! told to come back.

pub mod endpoint;
pub mod otlp;
pub mod record;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tokio::sync::Semaphore;

use crate::clock::Millis;
use crate::ledger::arrival::Kept;

/// The largest batch, after decompression.
pub const LARGEST_BATCH: usize = 16 << 20;
/// Bytes of batches that may be in memory at once; a batch of unknown size counts as the largest.
const MEMORY: usize = 256 << 20;

/// What the intake has done since the console started.
#[derive(Clone)]
pub struct Intake {
    counts: Arc<Counts>,
    memory: Arc<Semaphore>,
}

#[derive(Default)]
struct Counts {
    stored: AtomicU64,
    duplicates: AtomicU64,
    rejected: AtomicU64,
    refused_batches: AtomicU64,
    last_at: AtomicI64,
}

/// A look at [`Intake`].
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Tally {
    /// Records that are on disk.
    pub stored: u64,
    /// Records that were there already.
    pub duplicates: u64,
    /// Log records that are not Countersign's.
    pub rejected: u64,
    /// Batches that were sent away because too much waited.
    pub refused_batches: u64,
    /// When the newest record came, in milliseconds since the epoch; 0 if none did.
    pub last_at: Millis,
}

impl Default for Intake {
    fn default() -> Self {
        Self {
            counts: Arc::default(),
            memory: Arc::new(Semaphore::new(MEMORY)),
        }
    }
}

impl Intake {
    /// The counts now.
    pub fn tally(&self) -> Tally {
        Tally {
            stored: self.counts.stored.load(Ordering::Relaxed),
            duplicates: self.counts.duplicates.load(Ordering::Relaxed),
            rejected: self.counts.rejected.load(Ordering::Relaxed),
            refused_batches: self.counts.refused_batches.load(Ordering::Relaxed),
            last_at: self.counts.last_at.load(Ordering::Relaxed),
        }
    }

    fn count(&self, now: Millis, kept: Kept, rejected: u64) {
        self.counts.stored.fetch_add(kept.stored, Ordering::Relaxed);
        self.counts
            .duplicates
            .fetch_add(kept.duplicates, Ordering::Relaxed);
        self.counts.rejected.fetch_add(rejected, Ordering::Relaxed);
        if kept.stored > 0 {
            self.counts.last_at.store(now, Ordering::Relaxed);
        }
    }
}

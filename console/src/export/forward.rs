//! Sending the trail on while it is written: one thread for each target, from a cursor that is kept
//! in the database after each batch that was taken. A console that stops anywhere sends at most the
//! last batch twice.
//!
//! A target that cannot be reached, is too busy (429, 5xx) or refuses the sender (401, 403, 404) is
//! tried again, each time later; a record that it refuses for itself (400) is found by halving the
//! batch, counted and passed over. Nothing of it slows the intake: the trail itself is the queue.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

use super::Item;
use super::feed::{self, Selection};
use super::sink::{Sink, Taken, Trouble};
use crate::clock::{Clock, Millis};
use crate::store::{Store, StoreError, meta};

/// Records that are read at once.
const PAGE: u32 = 500;
/// Bytes of bodies in one batch.
const BATCH: usize = 2 << 20;
/// How long to wait when there is nothing new.
const IDLE: Duration = Duration::from_millis(500);
/// The first and the longest pause after a failure.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How one target fares.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Status {
    /// The target.
    pub target: String,
    /// The place of the next record to send.
    pub cursor: i64,
    /// Records that wait.
    pub behind: i64,
    /// Records that were taken since the console started.
    pub sent: u64,
    /// Records that the target refused for good, since the console started.
    pub rejected: u64,
    /// Attempts that failed in a row.
    pub failures: u64,
    /// What the last failure was; nothing while it works.
    pub trouble: Option<String>,
    /// Since when it fails.
    #[serde(rename = "failing_since_ms")]
    pub failing_since: Option<Millis>,
    /// When something was last taken.
    #[serde(rename = "last_sent_at_ms")]
    pub last_sent: Option<Millis>,
}

/// Every target of a console; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Forwards(Arc<Mutex<Vec<Arc<Mutex<Status>>>>>);

impl Forwards {
    /// How each target fares.
    pub fn status(&self) -> Vec<Status> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .map(|one| one.lock().unwrap_or_else(PoisonError::into_inner).clone())
            .collect()
    }

    /// Starts to send to a target, from where it was left or from the beginning of the trail.
    pub fn start(
        &self,
        sink: Sink,
        store: Store,
        clock: Clock,
        stopping: watch::Receiver<bool>,
    ) -> std::io::Result<JoinHandle<()>> {
        let status = Arc::new(Mutex::new(Status {
            target: sink.target().to_string(),
            ..Status::default()
        }));
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::clone(&status));
        let mut forward = Forward {
            key: format!("forward {}", sink.target()),
            sink,
            store,
            clock,
            stopping,
            status,
        };
        std::thread::Builder::new()
            .name("forward".to_owned())
            .spawn(move || forward.run())
    }
}

struct Forward {
    key: String,
    sink: Sink,
    store: Store,
    clock: Clock,
    stopping: watch::Receiver<bool>,
    status: Arc<Mutex<Status>>,
}

impl Forward {
    fn run(&mut self) {
        let mut pause = PAUSE.0;
        while !self.is_stopping() {
            if !self.store.leads() {
                self.wait(IDLE);
                continue;
            }
            match self.round() {
                Ok(true) => pause = PAUSE.0,
                Ok(false) => {
                    pause = PAUSE.0;
                    self.wait(IDLE);
                }
                Err((why, after)) => {
                    self.failed(&why);
                    let pause_now = after.unwrap_or(pause).max(PAUSE.0);
                    self.wait(pause_now + jitter(pause_now));
                    pause = (pause * 2).min(PAUSE.1);
                }
            }
        }
    }

    /// Sends one page. Whether there was anything.
    fn round(&mut self) -> Result<bool, (String, Option<Duration>)> {
        let store = |error: StoreError| (error.to_string(), None);
        let key = self.key.clone();
        let whole = self.sink.target().by_exchange();
        let (cursor, page, end) = self
            .store
            .read_now(|c| {
                let cursor = meta::get(c, &key)?;
                let cursor = cursor.and_then(|text| text.parse().ok()).unwrap_or(0);
                let page = feed::page(c, cursor, PAGE, &Selection::default(), whole)?;
                Ok((cursor, page, feed::end(c, whole)?))
            })
            .map_err(store)?;
        self.with_status(|status| {
            status.cursor = cursor;
            status.behind = (end - cursor).max(0);
        });
        if page.next == cursor {
            return Ok(false);
        }
        for batch in batches(&page.items) {
            self.send(batch)?;
            if let Some(last) = batch.last() {
                self.keep(last.index + 1).map_err(store)?;
            }
        }
        self.keep(page.next).map_err(store)?;
        Ok(true)
    }

    /// Sends a batch, in parts if a record in it is refused.
    fn send(&mut self, batch: &[Item]) -> Result<(), (String, Option<Duration>)> {
        if batch.is_empty() {
            return Ok(());
        }
        match self.sink.send(batch) {
            Ok(Taken { rejected, why }) => {
                if rejected > 0 {
                    tracing::warn!(target = %self.sink.target(), rejected, %why, "records were not taken");
                }
                let now = self.clock.now();
                self.with_status(|status| {
                    status.sent += (batch.len() as u64).saturating_sub(rejected);
                    status.rejected += rejected;
                    status.failures = 0;
                    status.failing_since = None;
                    status.trouble = None;
                    status.last_sent = Some(now);
                });
                Ok(())
            }
            Err(Trouble::Later(why, after)) => Err((why, after)),
            Err(Trouble::Refused(why)) => match batch {
                [one] => {
                    tracing::error!(target = %self.sink.target(), index = one.index, %why, "a record is refused and passed over");
                    self.with_status(|status| status.rejected += 1);
                    Ok(())
                }
                _ => {
                    let (first, rest) = batch.split_at(batch.len() / 2);
                    self.send(first)?;
                    self.send(rest)
                }
            },
        }
    }

    fn keep(&self, cursor: i64) -> Result<(), StoreError> {
        let key = self.key.clone();
        self.store
            .write_now(move |c| meta::set(c, &key, &cursor.to_string()))?;
        self.with_status(|status| {
            status.behind -= cursor - status.cursor;
            status.cursor = cursor;
        });
        Ok(())
    }

    fn failed(&self, why: &str) {
        let now = self.clock.now();
        let failures = self.with_status(|status| {
            status.failures += 1;
            status.trouble = Some(why.to_owned());
            status.failing_since.get_or_insert(now);
            status.failures
        });
        // The first, and then less and less often.
        if failures.is_power_of_two() {
            tracing::error!(target = %self.sink.target(), failures, %why, "the trail cannot be sent on");
        }
    }

    fn with_status<T>(&self, change: impl FnOnce(&mut Status) -> T) -> T {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_stopping(&self) -> bool {
        // A console that is gone without a word has stopped too.
        *self.stopping.borrow() || self.stopping.has_changed().is_err()
    }

    fn wait(&self, length: Duration) {
        let step = Duration::from_millis(100);
        let mut left = length;
        while left > Duration::ZERO && !self.is_stopping() {
            std::thread::sleep(step.min(left));
            left = left.saturating_sub(step);
        }
    }
}

/// Parts of a page that are not too large to send at once.
fn batches(items: &[Item]) -> Vec<&[Item]> {
    let mut batches = Vec::new();
    let mut start = 0;
    let mut size = 0;
    for (index, item) in items.iter().enumerate() {
        let weight: usize = item
            .attributes
            .values()
            .filter_map(|v| v.as_str())
            .map(str::len)
            .sum();
        if size > 0 && size + weight > BATCH {
            batches.push(&items[start..index]);
            (start, size) = (index, 0);
        }
        size += weight + 500;
    }
    batches.push(&items[start..]);
    batches
}

/// Up to a quarter more, so that many consoles do not come back at once.
fn jitter(length: Duration) -> Duration {
    let mut byte = [0; 1];
    // Without randomness there is no jitter, which is no harm.
    let _ = getrandom::fill(&mut byte);
    length.mul_f64(f64::from(byte[0]) / 1024.0)
}

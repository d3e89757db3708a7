//! The worker's queue of audit records: numbered, batched, sent again until acknowledged.
//!
//! One batch is under way at a time; what arrives meanwhile makes the next one, so load sets the
//! batch size. A record that a request waits for is urgent; the others go with the next batch, the
//! next tick, or as soon as they fill a batch: a call for every record costs more than the exchange. A sink that fails is asked again with growing pauses.
//! A batch that the sink calls malformed is split, so that one bad record takes only itself along.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::StreamId;
use crate::effect::{Call, CallAnswer, CallKind, Now};
use crate::policy::{Audit, Secret};
use crate::record::Record;

/// Records in one delivery at most.
const BATCH_RECORDS: usize = 256;
/// Bytes of one delivery at most (a single record may be larger).
const BATCH_BYTES: usize = 2 << 20;
/// Bytes that wait at most; with records, whichever comes first.
const QUEUE_BYTES: usize = 16 << 20;
/// First and longest pause after a failed delivery.
const BACKOFF_MS: (u64, u64) = (250, 15_000);

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal;

/// What an answer of the sink meant.
#[derive(Debug, PartialEq, Eq)]
pub enum Delivered {
    /// The batch is durable.
    Acked {
        /// How many records.
        records: u64,
        /// Streams that waited for them.
        wake: Vec<StreamId>,
    },
    /// The sink will never take (some of) them.
    Refused {
        /// For the log.
        why: String,
        /// Streams that waited for them.
        wake: Vec<StreamId>,
    },
    /// It failed and is tried again.
    Again {
        /// For the log.
        why: String,
    },
}

#[derive(Debug)]
struct Entry {
    json: Vec<u8>,
    waiter: Option<StreamId>,
}

/// Records of one worker on their way to the sink.
#[derive(Debug)]
pub struct Queue {
    cluster: String,
    authority: String,
    path: String,
    credential: Option<Secret>,
    capacity: usize,
    worker: String,
    sequence: u64,
    waiting: VecDeque<Entry>,
    in_flight: Vec<Entry>,
    bytes: usize,
    failures: u32,
    not_before: Now,
    split: bool,
    dropped: u64,
    dropped_reported: u64,
}

impl Queue {
    /// An empty queue towards the policy's sink.
    pub fn new(audit: &Audit, worker: &str) -> Self {
        Queue {
            cluster: audit.cluster.clone(),
            authority: audit.authority.clone(),
            path: audit.path.clone(),
            credential: audit.credential.clone(),
            capacity: audit.queue,
            worker: worker.to_owned(),
            sequence: 0,
            waiting: VecDeque::new(),
            in_flight: Vec::new(),
            bytes: 0,
            failures: 0,
            not_before: Now::default(),
            split: false,
            dropped: 0,
            dropped_reported: 0,
        }
    }

    /// Whether so many more records have a place.
    pub fn has_room_for(&self, records: usize) -> bool {
        self.waiting.len() + self.in_flight.len() + records <= self.capacity
            && self.bytes < QUEUE_BYTES
    }

    /// Numbers a record and puts it in line.
    ///
    /// # Errors
    /// The queue is full. The number is used up all the same: the gap shows in the ledger.
    pub fn push(&mut self, record: Record, waiter: Option<StreamId>) -> Result<(), Refusal> {
        self.sequence += 1;
        if !self.has_room_for(1) {
            self.dropped += 1;
            return Err(Refusal);
        }
        let json = record.into_otlp(&self.worker, self.sequence, self.dropped);
        self.bytes += json.len();
        self.waiting.push_back(Entry { json, waiter });
        Ok(())
    }

    /// Whether a delivery should begin now, and not at the next tick.
    pub fn is_urgent(&self) -> bool {
        let full = self.waiting.len() >= BATCH_RECORDS || self.bytes >= BATCH_BYTES;
        self.in_flight.is_empty() && (full || self.waiting.iter().any(|e| e.waiter.is_some()))
    }

    /// The next delivery, if one is due.
    pub fn next_batch(&mut self, now: Now) -> Option<Call> {
        if !self.in_flight.is_empty() || self.waiting.is_empty() || now < self.not_before {
            return None;
        }
        let limit = if self.split { 1 } else { BATCH_RECORDS };
        let mut size = 0;
        while self.in_flight.len() < limit
            && let Some(entry) = self.waiting.front()
            && (self.in_flight.is_empty() || size + entry.json.len() <= BATCH_BYTES)
        {
            size += entry.json.len();
            self.in_flight.extend(self.waiting.pop_front());
        }
        Some(self.call(size))
    }

    /// Takes the sink's answer to the batch under way.
    pub fn on_answer(&mut self, answer: &CallAnswer, now: Now) -> Delivered {
        match answer.status {
            Some(200..=299) => match rejected(&answer.body) {
                Some(0) => self.acked(),
                Some(count) => self.refused(&format!(
                    "the audit sink rejected {count} records of a batch"
                )),
                // Something else answers in the sink's place: nothing says that it keeps records.
                None => self.again("an answer that is not OTLP", now),
            },
            // Malformed or too large: sending it again changes nothing.
            Some(status @ (400 | 413 | 415 | 422)) if self.in_flight.len() <= 1 => self.refused(
                &format!("the audit sink refused a record with status {status}"),
            ),
            Some(status @ (400 | 413 | 415 | 422)) => {
                self.put_back();
                self.split = true;
                Delivered::Again {
                    why: format!(
                        "the audit sink refused a batch with status {status}; sending one by one"
                    ),
                }
            }
            Some(status) => self.again(&format!("status {status}"), now),
            None => self.again("no answer", now),
        }
    }

    /// Records lost since the last call.
    pub fn take_dropped(&mut self) -> u64 {
        let fresh = self.dropped - self.dropped_reported;
        self.dropped_reported = self.dropped;
        fresh
    }

    /// A stream has ended: its record is still delivered, nobody waits for it.
    pub fn forget(&mut self, stream: StreamId) {
        for entry in self.waiting.iter_mut().chain(&mut self.in_flight) {
            entry.waiter = entry.waiter.filter(|w| *w != stream);
        }
    }

    fn again(&mut self, what: &str, now: Now) -> Delivered {
        self.put_back();
        let pause = BACKOFF_MS
            .0
            .saturating_mul(1 << self.failures.min(10))
            .min(BACKOFF_MS.1);
        self.failures = self.failures.saturating_add(1);
        self.not_before = now.after_ms(pause);
        Delivered::Again {
            why: format!("the audit sink failed ({what}); next try in {pause} ms"),
        }
    }

    fn acked(&mut self) -> Delivered {
        self.failures = 0;
        let done = self.take_in_flight();
        if self.waiting.is_empty() {
            self.split = false;
        }
        Delivered::Acked {
            records: done.len() as u64,
            wake: done.iter().filter_map(|e| e.waiter).collect(),
        }
    }

    fn refused(&mut self, why: &str) -> Delivered {
        let lost = self.take_in_flight();
        self.dropped += lost.len() as u64;
        Delivered::Refused {
            why: why.to_owned(),
            wake: lost.iter().filter_map(|e| e.waiter).collect(),
        }
    }

    fn take_in_flight(&mut self) -> Vec<Entry> {
        let done = std::mem::take(&mut self.in_flight);
        let size: usize = done.iter().map(|e| e.json.len()).sum();
        self.bytes = self.bytes.saturating_sub(size);
        done
    }

    fn put_back(&mut self) {
        for entry in self.in_flight.drain(..).rev() {
            self.waiting.push_front(entry);
        }
    }

    fn call(&self, size: usize) -> Call {
        let resource = json!({"attributes": [
            {"key": "service.name", "value": {"stringValue": "countersign"}},
            {"key": "service.instance.id", "value": {"stringValue": self.worker}},
        ]});
        let scope = json!({"name": "countersign", "version": env!("CARGO_PKG_VERSION")});
        // The records are JSON already; only the wrapping is made here.
        let head = format!(
            r#"{{"resourceLogs":[{{"resource":{resource},"scopeLogs":[{{"scope":{scope},"logRecords":["#
        );
        let mut body = head.into_bytes();
        body.reserve_exact(size + self.in_flight.len() + 8);
        for (i, entry) in self.in_flight.iter().enumerate() {
            if i > 0 {
                body.push(b',');
            }
            body.extend_from_slice(&entry.json);
        }
        body.extend_from_slice(b"]}]}]}");
        let mut headers = vec![
            (":method".to_owned(), "POST".to_owned()),
            (":path".to_owned(), self.path.clone()),
            (":authority".to_owned(), self.authority.clone()),
            ("content-type".to_owned(), "application/json".to_owned()),
        ];
        if let Some(credential) = &self.credential {
            headers.push((
                "authorization".to_owned(),
                format!("Bearer {}", credential.expose()),
            ));
        }
        Call {
            kind: CallKind::Http,
            cluster: self.cluster.clone(),
            headers,
            body,
            timeout_ms: 10_000,
        }
    }
}

/// `partialSuccess.rejectedLogRecords` of an OTLP answer; int64 is a string in its JSON. Nothing if
/// it is not such an answer. An empty one says that all is well.
fn rejected(body: &[u8]) -> Option<u64> {
    if body.trim_ascii().is_empty() {
        return Some(0);
    }
    let answer: Value = serde_json::from_slice(body).ok()?;
    let partial = match answer.as_object()?.get("partialSuccess") {
        None | Some(Value::Null) => return Some(0),
        Some(partial) => partial.as_object()?,
    };
    match partial.get("rejectedLogRecords") {
        None | Some(Value::Null) => Some(0),
        Some(Value::String(count)) => count.parse().ok(),
        Some(count) => count.as_u64(),
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;

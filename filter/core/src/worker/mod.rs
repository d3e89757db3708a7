//! What the streams of one Envoy worker share: keys, verified tokens, the queue of records, and
//! who waits for what.
//!
//! A worker is one VM and one thread. Calls that serve many streams (key sets, batches of records)
//! belong to the worker and outlive the stream that caused them; Envoy cancels a stream's own calls
//! when the stream ends.

mod keys;
mod queue;

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

pub use keys::{KeyFetch, KeyState};
pub use queue::Refusal;

use crate::effect::{Call, CallAnswer, Counter, Level, Now};
use crate::identity::{Identity, Stamp, VerifiedCache};
use crate::policy::Policy;
use crate::record::Record;
use keys::KeyStore;
use queue::{Delivered, Queue};

/// The host's number for a stream.
pub type StreamId = u32;

/// The shared state of one worker.
#[derive(Debug)]
pub struct Worker {
    policy: Rc<Policy>,
    id: String,
    exchanges: u64,
    keys: KeyStore,
    verified: VerifiedCache,
    /// By provider name, for tokens that were verified under its present keys.
    stamps: Vec<(String, Stamp)>,
    queue: Queue,
    /// Whether the ledger was told which policy this worker judges by.
    announced: bool,
    timers: BTreeSet<(Now, StreamId)>,
    /// Whether Envoy has been seen to deliver a body to a paused stream on this worker.
    pub(crate) pause_proven: bool,
    wanted: bool,
}

/// One thing for the host to do for the worker.
#[derive(Debug, PartialEq)]
pub enum WorkerEffect {
    /// Make a call; hand its answer to [`Worker::on_call`] with the same purpose.
    Call(Purpose, Call),
    /// Call `Stream::on_wake` of that stream, if it still exists.
    Wake(StreamId, Wake),
    /// Adds to a counter.
    Count(Counter, u64),
    /// A line for Envoy's log.
    Log(Level, String),
}

/// What a worker's call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A key set or discovery document.
    Keys(KeyFetch),
    /// A batch of records.
    Records,
}

/// Why a stream is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// A fetch of its provider's keys has ended, well or not.
    Keys,
    /// Its request record is durable.
    Recorded,
    /// Its request record was refused by the sink.
    RecordRefused,
    /// The time it asked for has come.
    Timer,
    /// Another worker has taken this one's place, with another policy: what a person is asked about
    /// under this one would be let through by a policy that is not in force any more.
    PolicyChanged,
}

impl Worker {
    /// A worker for `policy`. `id` must be unique among all workers that ever send records.
    pub fn new(policy: Rc<Policy>, id: String) -> Self {
        let mut worker = Worker {
            keys: KeyStore::new(&policy),
            verified: VerifiedCache::default(),
            stamps: Vec::new(),
            queue: Queue::new(&policy.audit, &id),
            announced: false,
            policy,
            id,
            exchanges: 0,
            timers: BTreeSet::new(),
            pause_proven: false,
            wanted: true,
        };
        worker.refresh_stamps();
        worker
    }

    /// The policy of this worker.
    pub fn policy(&self) -> Rc<Policy> {
        Rc::clone(&self.policy)
    }

    /// Its id, with which the ids of its exchanges begin.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// This worker has taken the place of another one, of the same plugin on the same thread: the
    /// ledger is told at once which one's questions are moot.
    pub fn replaces(&mut self, other: &str, now: Now) {
        let mut policy = Record::policy(&self.policy, now);
        policy.text("countersign.policy.replaces", other);
        self.announced = self.queue.push(policy, None).is_ok();
        self.wanted = true;
    }

    /// A new exchange id, unique across workers.
    pub fn next_exchange(&mut self) -> String {
        self.exchanges += 1;
        format!("{}-{:x}", self.id, self.exchanges)
    }

    /// Whether [`Worker::poll`] has something to do now. Asking clears the mark.
    pub fn take_wanted(&mut self) -> bool {
        std::mem::take(&mut self.wanted)
    }

    /// The keys of a provider, as far as they are known.
    pub fn keys(&self, provider: usize) -> KeyState {
        self.keys.state(provider)
    }

    /// Wakes `stream` once the provider's keys have been fetched. `unknown_key` asks for newer keys
    /// than the known ones; that is granted once in a while only, so that made-up key ids cause no
    /// flood.
    ///
    /// Returns whether the stream will be woken.
    pub fn await_keys(
        &mut self,
        provider: usize,
        unknown_key: bool,
        stream: StreamId,
        now: Now,
    ) -> bool {
        let waits = self.keys.wait(provider, unknown_key, stream, now);
        self.wanted |= waits;
        waits
    }

    /// Who a token names, if it was verified before and would be again.
    pub fn verified_identity(&mut self, token: &[u8], now: Now) -> Option<Arc<Identity>> {
        let stamps = &self.stamps;
        let stamp_of = |name: &str| {
            stamps
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, stamp)| *stamp)
        };
        self.verified.get(token, now.seconds(), stamp_of)
    }

    /// Remembers that a token of `provider` was verified.
    pub fn remember_verified(
        &mut self,
        provider: usize,
        token: &[u8],
        identity: Arc<Identity>,
        now: Now,
    ) {
        let Some(config) = self.policy.providers.get(provider).map(|p| &p.config) else {
            return;
        };
        let Some((_, stamp)) = self.stamps.iter().find(|(name, _)| *name == config.name) else {
            return;
        };
        self.verified
            .insert(token, identity, config, *stamp, now.seconds());
    }

    /// A stamp is made whenever keys change, not for every request.
    fn refresh_stamps(&mut self) {
        self.stamps.clear();
        for (index, provider) in self.policy.providers.iter().enumerate() {
            if let KeyState::Ready(keys) = self.keys.state(index) {
                self.stamps.push((
                    provider.config.name.clone(),
                    Stamp::of(&provider.config, &keys),
                ));
            }
        }
    }

    /// Queues a record. With `waiter`, that stream is woken when the record is durable or refused.
    ///
    /// # Errors
    /// The queue is full; the record is lost and counted.
    pub fn submit(&mut self, record: Record, waiter: Option<StreamId>) -> Result<(), Refusal> {
        if !self.announced && self.queue.has_room_for(2) {
            let policy = Record::policy(&self.policy, record.time);
            self.announced = self.queue.push(policy, None).is_ok();
        }
        let pushed = self.queue.push(record, waiter);
        self.wanted |= self.queue.is_urgent();
        pushed
    }

    /// Wakes `stream` at `at`.
    pub fn wake_at(&mut self, at: Now, stream: StreamId) {
        self.timers.insert((at, stream));
    }

    /// Takes a [`Worker::wake_at`] back.
    pub fn cancel_wake(&mut self, at: Now, stream: StreamId) {
        self.timers.remove(&(at, stream));
    }

    /// Forgets a stream that has ended while it waited. (A timer that is left goes off for nobody.)
    pub fn forget(&mut self, stream: StreamId) {
        self.keys.forget(stream);
        self.queue.forget(stream);
    }

    /// What is due: deliveries, key fetches, timers. Called on every tick and whenever
    /// [`Worker::take_wanted`] says so.
    pub fn poll(&mut self, now: Now) -> Vec<WorkerEffect> {
        let mut effects = Vec::new();
        self.work(true, now, &mut effects);
        effects
    }

    fn work(&mut self, deliver: bool, now: Now, effects: &mut Vec<WorkerEffect>) {
        while let Some((at, stream)) = self.timers.first().copied()
            && at <= now
        {
            self.timers.pop_first();
            effects.push(WorkerEffect::Wake(stream, Wake::Timer));
        }
        if self.keys.expire(now) {
            self.refresh_stamps();
        }
        for (fetch, call) in self.keys.due(now) {
            effects.push(WorkerEffect::Call(Purpose::Keys(fetch), call));
        }
        if deliver && let Some(call) = self.queue.next_batch(now) {
            effects.push(WorkerEffect::Call(Purpose::Records, call));
        }
        self.count_dropped(effects);
    }

    /// The answer to a call of the worker.
    pub fn on_call(&mut self, purpose: Purpose, answer: CallAnswer, now: Now) -> Vec<WorkerEffect> {
        let mut effects = Vec::new();
        match purpose {
            Purpose::Keys(fetch) => {
                let fetched = self.keys.on_answer(fetch, &answer, now);
                self.refresh_stamps();
                if let Some(fault) = fetched.fault {
                    effects.push(WorkerEffect::Count(Counter::KeyFetchesFailed, 1));
                    effects.push(WorkerEffect::Log(Level::Warn, fault));
                }
                effects.extend(
                    fetched
                        .wake
                        .into_iter()
                        .map(|s| WorkerEffect::Wake(s, Wake::Keys)),
                );
            }
            Purpose::Records => self.on_delivery(&answer, now, &mut effects),
        }
        // An answer makes room for the next batch, or names the next fetch.
        let deliver = self.queue.is_urgent();
        self.work(deliver, now, &mut effects);
        effects
    }

    fn on_delivery(&mut self, answer: &CallAnswer, now: Now, effects: &mut Vec<WorkerEffect>) {
        match self.queue.on_answer(answer, now) {
            Delivered::Acked { records, wake } => {
                effects.push(WorkerEffect::Count(Counter::RecordsAcked, records));
                effects.extend(
                    wake.into_iter()
                        .map(|s| WorkerEffect::Wake(s, Wake::Recorded)),
                );
            }
            Delivered::Refused { why, wake } => {
                effects.push(WorkerEffect::Log(Level::Error, why));
                effects.extend(
                    wake.into_iter()
                        .map(|s| WorkerEffect::Wake(s, Wake::RecordRefused)),
                );
            }
            Delivered::Again { why } => {
                effects.push(WorkerEffect::Count(Counter::DeliveriesFailed, 1));
                effects.push(WorkerEffect::Log(Level::Warn, why));
            }
        }
    }

    fn count_dropped(&mut self, effects: &mut Vec<WorkerEffect>) {
        let dropped = self.queue.take_dropped();
        if dropped > 0 {
            effects.push(WorkerEffect::Count(Counter::RecordsDropped, dropped));
            effects.push(WorkerEffect::Log(
                Level::Error,
                format!("{dropped} audit records were lost"),
            ));
        }
    }
}

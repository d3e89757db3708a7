//! What the root context and the streams of one worker share.
//!
//! They live in one VM on one thread, so `Rc` and `RefCell` are enough. Borrows are short: none is
//! held across a host call that could call back (Envoy defers resumes and replies until the present
//! callback has returned).

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::{Rc, Weak};

use countersign_core::effect::{CallAnswer, Effect, Flow, Step};
use countersign_core::stream::Stream;
use countersign_core::worker::{Purpose, Wake, Worker, WorkerEffect};
use proxy_wasm::hostcalls;

use crate::host::{self, Metrics, Token};

/// Who made a call and gets its answer.
#[derive(Clone, Copy)]
enum Caller {
    Worker(Purpose),
    Stream(u32),
}

/// The shared state of one worker.
pub struct Shared {
    root: u32,
    /// A queue of our own whose only use is to wake the root context within the present turn of
    /// Envoy's event loop: a stream can not make calls that outlive it.
    queue: Option<u32>,
    awake: Cell<bool>,
    worker: RefCell<Worker>,
    streams: RefCell<HashMap<u32, Weak<RefCell<Stream>>>>,
    calls: RefCell<HashMap<Token, Caller>>,
    metrics: Metrics,
    /// Another worker has taken this one's place, with another policy.
    superseded: Cell<bool>,
}

impl Shared {
    /// The state of a freshly configured worker.
    pub fn new(root: u32, queue: Option<u32>, worker: Worker) -> Self {
        Shared {
            root,
            queue,
            awake: Cell::new(false),
            worker: RefCell::new(worker),
            streams: RefCell::default(),
            calls: RefCell::default(),
            metrics: Metrics::define(),
            superseded: Cell::new(false),
        }
    }

    /// Tells what is held here, on the next tick, that `newer` has taken this worker's place. With the
    /// same policy nothing changes for it.
    pub fn give_way(&self, newer: &Shared) {
        let id = {
            let (mine, theirs) = (self.worker.borrow(), newer.worker.borrow());
            if mine.policy().digest == theirs.policy().digest {
                return;
            }
            mine.id().to_owned()
        };
        newer.worker.borrow_mut().replaces(&id, host::now());
        self.superseded.set(true);
    }

    /// A new stream, known to the worker until [`Shared::remove`].
    pub fn add(&self, id: u32) -> Rc<RefCell<Stream>> {
        let stream = Rc::new(RefCell::new(Stream::new(id, &mut self.worker.borrow_mut())));
        self.streams.borrow_mut().insert(id, Rc::downgrade(&stream));
        stream
    }

    /// Forgets a stream, whose calls end with it.
    pub fn remove(&self, id: u32) {
        self.streams.borrow_mut().remove(&id);
        let calls = &mut *self.calls.borrow_mut();
        for (token, _) in calls.extract_if(|_, c| matches!(c, Caller::Stream(s) if *s == id)) {
            host::cancel(token);
        }
    }

    /// Runs one event of a stream, applies what comes of it, and sees to the worker.
    pub fn run(
        &self,
        id: u32,
        stream: &RefCell<Stream>,
        event: impl FnOnce(&mut Stream, &mut Worker) -> Step,
    ) -> Flow {
        let mut step = event(&mut stream.borrow_mut(), &mut self.worker.borrow_mut());
        let keys = step.take_recall();
        let mut applied = self.apply(id, step.effects);
        if let (Ok(()), Some(keys)) = (&applied, keys) {
            let values: Vec<_> = keys.iter().map(|key| host::recall(key)).collect();
            step = stream.borrow_mut().on_recalled(
                &mut self.worker.borrow_mut(),
                &values,
                host::now(),
            );
            applied = self.apply(id, step.effects);
        }
        let flow = match applied {
            Ok(()) => step.flow,
            Err(what) => {
                let fault = stream.borrow_mut().on_host_fault(&what, host::now());
                if let Err(what) = self.apply(id, fault.effects) {
                    host::log(countersign_core::effect::Level::Error, &what);
                }
                fault.flow
            }
        };
        self.wake_root();
        flow
    }

    /// Applies effects of a stream in order.
    pub fn apply(&self, id: u32, effects: Vec<Effect>) -> Result<(), String> {
        for effect in effects {
            let mut on_call = |token| {
                self.calls.borrow_mut().insert(token, Caller::Stream(id));
            };
            host::apply(effect, &self.metrics, &mut on_call)?;
        }
        Ok(())
    }

    /// Asks Envoy to call the root context if the worker has something to do.
    pub fn wake_root(&self) {
        if self.worker.borrow_mut().take_wanted() && !self.awake.replace(true) {
            let queued = self
                .queue
                .is_some_and(|q| hostcalls::enqueue_shared_queue(q, Some(b"!")).is_ok());
            if !queued {
                // The next tick does it.
                self.awake.set(false);
            }
        }
    }

    /// Does what is due; only from a callback of the root context.
    pub fn poll(&self) {
        self.awake.set(false);
        self.worker.borrow_mut().take_wanted();
        let mut effects = self.worker.borrow_mut().poll(host::now());
        if self.superseded.take() {
            let streams = self.streams.borrow();
            let woken = streams
                .keys()
                .map(|id| WorkerEffect::Wake(*id, Wake::PolicyChanged));
            effects.extend(woken);
        }
        self.work(effects);
    }

    /// An answer to a call came in; the SDK gives it to the context that was active when the call was
    /// made, which need not be its owner.
    pub fn on_call_response(&self, token: Token, read: impl Fn() -> CallAnswer) {
        let Some(caller) = self.calls.borrow_mut().remove(&token) else {
            return;
        };
        match caller {
            Caller::Worker(purpose) => {
                self.enter(self.root);
                let answer = read();
                let effects = self
                    .worker
                    .borrow_mut()
                    .on_call(purpose, answer, host::now());
                self.work(effects);
            }
            Caller::Stream(id) => {
                let Some(stream) = self.stream(id) else {
                    return;
                };
                if self.enter(id) {
                    let answer = read();
                    self.run(id, &stream, |stream, worker| {
                        stream.on_call(worker, answer, host::now())
                    });
                }
            }
        }
    }

    fn work(&self, effects: Vec<WorkerEffect>) {
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            match effect {
                WorkerEffect::Call(purpose, call) => {
                    self.enter(self.root);
                    match host::call(&call) {
                        Ok(token) => {
                            self.calls
                                .borrow_mut()
                                .insert(token, Caller::Worker(purpose));
                        }
                        // A call that could not be made is a call without an answer.
                        Err(_) => {
                            let answer = CallAnswer::default();
                            effects.extend(self.worker.borrow_mut().on_call(
                                purpose,
                                answer,
                                host::now(),
                            ));
                        }
                    }
                }
                WorkerEffect::Wake(id, wake) => {
                    if let Some(stream) = self.stream(id)
                        && self.enter(id)
                    {
                        self.run(id, &stream, |stream, worker| {
                            stream.on_wake(worker, wake, host::now())
                        });
                    }
                }
                WorkerEffect::Count(counter, by) => self.metrics.count(counter, by),
                WorkerEffect::Log(level, line) => host::log(level, &line),
            }
        }
        self.enter(self.root);
    }

    /// Makes `id` the context that host calls are about.
    fn enter(&self, id: u32) -> bool {
        hostcalls::set_effective_context(id).is_ok()
    }

    fn stream(&self, id: u32) -> Option<Rc<RefCell<Stream>>> {
        self.streams.borrow().get(&id)?.upgrade()
    }

    /// Runs something with the worker.
    pub fn with_worker<T>(&self, f: impl FnOnce(&mut Worker) -> T) -> T {
        f(&mut self.worker.borrow_mut())
    }
}

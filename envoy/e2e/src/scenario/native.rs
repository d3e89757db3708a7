//! The engine without a shell: effects are applied to the simulated host directly.

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use countersign_core::config;
use countersign_core::effect::{CallAnswer, Effect, Flow, Level, Now, Step};
use countersign_core::head::{Headers, RequestHead, ResponseHead};
use countersign_core::stream::{Ended, Source, Stream};
use countersign_core::worker::{Purpose, Worker, WorkerEffect};
use serde_json::Value;

use super::gateway::Filter;
use super::host::{Host, LocalReply, Pairs};

/// The context of the worker itself.
const WORKER: u32 = 0;

/// `countersign-core`, driven natively.
pub struct Native {
    host: Host,
    worker: Worker,
    streams: BTreeMap<u32, Stream>,
    /// Bytes of a paused body that the engine has seen.
    seen: BTreeMap<u32, usize>,
    purposes: BTreeMap<u32, Purpose>,
}

impl Native {
    /// An engine with this policy.
    ///
    /// # Errors
    /// Every fault of the policy.
    pub fn new(host: Host, policy: &Value, env: &BTreeMap<String, String>) -> Result<Self> {
        let policy = match config::compile(policy, &|name| env.get(name).cloned()) {
            Ok(policy) => policy,
            Err(faults) => bail!("the policy has faults: {faults:#?}"),
        };
        let worker = Worker::new(Rc::new(policy), "00000000000000e1".to_owned());
        let mut native = Native {
            host,
            worker,
            streams: BTreeMap::new(),
            seen: BTreeMap::new(),
            purposes: BTreeMap::new(),
        };
        native.wake();
        Ok(native)
    }

    fn now(&self) -> Now {
        Now(self.host.now)
    }

    fn run(
        &mut self,
        id: u32,
        event: impl FnOnce(&mut Stream, &mut Worker, Now) -> Step,
    ) -> Result<Flow> {
        let now = self.now();
        let mut stream = self
            .streams
            .remove(&id)
            .with_context(|| format!("no stream {id}"))?;
        let mut step = event(&mut stream, &mut self.worker, now);
        let keys = step.take_recall();
        let mut applied = self.apply(id, step.effects);
        if let (Ok(()), Some(keys)) = (&applied, keys) {
            let values: Vec<_> = keys.iter().map(|key| self.host.recall(key)).collect();
            step = stream.on_recalled(&mut self.worker, &values, now);
            applied = self.apply(id, step.effects);
        }
        let flow = match applied {
            Ok(()) => step.flow,
            Err(what) => {
                let fault = stream.on_host_fault(&what, now);
                if let Err(what) = self.apply(id, fault.effects) {
                    self.host.log.push(what);
                }
                fault.flow
            }
        };
        self.streams.insert(id, stream);
        self.wake();
        Ok(flow)
    }

    fn wake(&mut self) {
        self.host.wake |= self.worker.take_wanted();
    }

    fn apply(&mut self, id: u32, effects: Vec<Effect>) -> Result<(), String> {
        let host = &mut self.host;
        for effect in effects {
            match effect {
                Effect::SetRequestHeader(name, value) => {
                    host.set_request_header(id, &name, &value)?
                }
                Effect::RemoveRequestHeader(name) => host.remove_request_header(id, &name)?,
                Effect::ReplaceRequestBody(body) => host.set_request_body(id, &body)?,
                Effect::ResumeRequest => host.resume(id)?,
                Effect::ResumeResponse => host.resume_response(id)?,
                Effect::SetResponseHeader(name, value) => {
                    host.set_response_header(id, &name, &value)?
                }
                Effect::RemoveResponseHeader(name) => host.remove_response_header(id, &name)?,
                Effect::ReplaceResponseBody(body) => host.set_response_body(id, &body)?,
                Effect::Reply(reply) => {
                    let headers = reply.headers.into_iter();
                    let headers = headers
                        .map(|(n, v)| (n.into_owned(), v.into_bytes()))
                        .collect();
                    host.reply(
                        id,
                        LocalReply {
                            status: reply.status,
                            headers,
                            body: reply.body,
                        },
                    )?;
                }
                Effect::ResetResponse => host.reset(id)?,
                Effect::Call(call) => {
                    host.call(id, &call)?;
                }
                Effect::Recall(_) => return Err("recall".to_owned()),
                Effect::Remember(entries) => {
                    for (key, value) in entries {
                        host.remember(key, value)?;
                    }
                }
                Effect::Summary(line) => host.set_filter_state(id, line.as_bytes())?,
                Effect::Count(counter, by) => host.count(&counter.name(), by),
                Effect::Observe(histogram, value) => host.count(histogram.name(), value),
                Effect::Log(level, line) => host.log.push(logged(level, &line)),
            }
        }
        Ok(())
    }

    fn work(&mut self, effects: Vec<WorkerEffect>) -> Result<()> {
        let mut effects = std::collections::VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            match effect {
                WorkerEffect::Call(purpose, call) => match self.host.call(WORKER, &call) {
                    Ok(token) => {
                        self.purposes.insert(token, purpose);
                    }
                    Err(_) => {
                        let now = self.now();
                        effects.extend(self.worker.on_call(purpose, CallAnswer::default(), now));
                    }
                },
                WorkerEffect::Wake(id, wake) => {
                    if self.streams.contains_key(&id) {
                        self.run(id, |stream, worker, now| stream.on_wake(worker, wake, now))?;
                    }
                }
                WorkerEffect::Count(counter, by) => self.host.count(&counter.name(), by),
                WorkerEffect::Log(level, line) => self.host.log.push(logged(level, &line)),
            }
        }
        Ok(())
    }

    fn flowing(&self, id: u32) -> bool {
        self.streams.get(&id).is_some_and(Stream::is_flowing)
    }
}

fn logged(level: Level, line: &str) -> String {
    format!("{level:?}: {line}")
}

fn text(pairs: &Pairs, name: &str) -> String {
    let found = pairs.iter().find(|(n, _)| n == name);
    found.map_or(String::new(), |(_, value)| {
        String::from_utf8(value.clone()).unwrap_or_default()
    })
}

fn rest(pairs: &Pairs) -> Headers {
    Headers::new(
        pairs
            .iter()
            .filter(|(name, _)| !name.starts_with(':'))
            .cloned()
            .collect(),
    )
}

impl Filter for Native {
    fn host(&mut self) -> &mut Host {
        &mut self.host
    }

    fn open(&mut self, id: u32) -> Result<()> {
        let stream = Stream::new(id, &mut self.worker);
        self.streams.insert(id, stream);
        self.seen.insert(id, 0);
        Ok(())
    }

    fn request_headers(&mut self, id: u32, end: bool) -> Result<Flow> {
        let pairs = self
            .host
            .streams
            .get(&id)
            .context("no stream")?
            .request
            .clone();
        let head = RequestHead {
            method: text(&pairs, ":method"),
            scheme: text(&pairs, ":scheme"),
            authority: text(&pairs, ":authority"),
            path: text(&pairs, ":path"),
            headers: rest(&pairs),
        };
        let source = Source {
            address: "127.0.0.1:50000".to_owned(),
        };
        self.run(id, |stream, worker, now| {
            stream.on_request_headers(worker, head, source, end, now)
        })
    }

    fn request_body(&mut self, id: u32, size: usize, end: bool) -> Result<Flow> {
        let seen = self.seen.get(&id).copied().unwrap_or_default();
        let start = if self.flowing(id) { 0 } else { seen.min(size) };
        let wanted = self
            .streams
            .get(&id)
            .is_some_and(Stream::wants_request_bytes);
        let buffer = self
            .host
            .streams
            .get(&id)
            .and_then(|s| s.request_body.as_ref());
        let bytes = match (wanted, buffer) {
            (true, Some(buffer)) => buffer.get(start..size).unwrap_or_default().to_vec(),
            _ => Vec::new(),
        };
        let new = size - start;
        let flow = self.run(id, |stream, worker, now| {
            stream.on_request_body(worker, &bytes, new, end, now)
        })?;
        let draining = self.streams.get(&id).is_some_and(Stream::is_draining);
        self.seen.insert(id, if draining { 0 } else { size });
        Ok(flow)
    }

    fn request_trailers(&mut self, id: u32) -> Result<Flow> {
        self.run(id, |stream, worker, now| {
            stream.on_request_trailers(worker, now)
        })
    }

    fn response_headers(&mut self, id: u32, end: bool) -> Result<Flow> {
        let pairs = self
            .host
            .streams
            .get(&id)
            .context("no stream")?
            .response
            .clone();
        let head = ResponseHead {
            status: text(&pairs, ":status").parse().unwrap_or_default(),
            headers: rest(&pairs),
        };
        self.run(id, |stream, _, now| {
            stream.on_response_headers(head, end, now)
        })
    }

    fn response_body(&mut self, id: u32, size: usize, end: bool) -> Result<Flow> {
        let wanted = self
            .streams
            .get(&id)
            .is_some_and(Stream::wants_response_bytes);
        let buffer = self
            .host
            .streams
            .get(&id)
            .and_then(|s| s.response_body.clone());
        let bytes = buffer.filter(|_| wanted).unwrap_or_default();
        self.run(id, |stream, worker, now| {
            stream.on_response_body(worker, &bytes, size, end, now)
        })
    }

    fn response_trailers(&mut self, id: u32) -> Result<Flow> {
        self.run(id, |stream, _, _| stream.on_response_trailers())
    }

    fn answered(&mut self, owner: u32, token: u32, answer: CallAnswer) -> Result<()> {
        if owner == WORKER {
            let purpose = self
                .purposes
                .remove(&token)
                .context("an answer nobody asked for")?;
            let now = self.now();
            let effects = self.worker.on_call(purpose, answer, now);
            return self.work(effects);
        }
        self.run(owner, |stream, worker, now| {
            stream.on_call(worker, answer, now)
        })
        .map(|_| ())
    }

    fn tick(&mut self) -> Result<()> {
        self.woken()
    }

    fn woken(&mut self) -> Result<()> {
        self.worker.take_wanted();
        let now = self.now();
        let effects = self.worker.poll(now);
        self.work(effects)
    }

    fn log(&mut self, id: u32) -> Result<()> {
        let status = self.host.streams.get(&id).and_then(|s| s.status);
        let ended = Ended {
            status,
            ..Ended::default()
        };
        let now = self.now();
        let mut stream = self.streams.remove(&id).context("no stream")?;
        let effects = stream.on_log(&mut self.worker, &ended, now);
        if let Err(what) = self.apply(id, effects) {
            self.host.log.push(what);
        }
        self.wake();
        Ok(())
    }
}

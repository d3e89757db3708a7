//! What a filter finds around it: the state of a simulated Envoy worker.
//!
//! Every change that a filter can make is a method here, whatever way it came: from the engine's
//! effects or through the proxy-wasm ABI. What Envoy refuses is refused.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use countersign_core::effect::{Call, CallAnswer, CallKind};

use super::services::Services;

/// Header names and values, pseudo-headers included.
pub type Pairs = Vec<(String, Vec<u8>)>;

/// A local reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalReply {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: Pairs,
    /// Body.
    pub body: Vec<u8>,
}

/// One stream as Envoy holds it.
#[derive(Debug, Default)]
pub struct StreamState {
    /// Request headers.
    pub request: Pairs,
    /// The request body that the filter may read and write now: what waits, and the piece at hand.
    pub request_body: Option<Vec<u8>>,
    /// Response headers.
    pub response: Pairs,
    /// The piece of the response body at hand.
    pub response_body: Option<Vec<u8>>,
    /// The filter let the request go outside of its callbacks.
    pub resumed: bool,
    /// The filter let the answer go outside of its callbacks.
    pub response_resumed: bool,
    /// The filter answered.
    pub reply: Option<LocalReply>,
    /// The filter cut the response.
    pub reset: bool,
    /// `wasm.countersign` in the filter state.
    pub filter_state: Option<Vec<u8>>,
    /// `response.code`, once there is one.
    pub status: Option<u16>,
}

/// A call that waits for its answer.
#[derive(Debug)]
pub struct Waiting {
    /// The filter's number for it.
    pub token: u32,
    /// The context that made it: 0 is the worker's.
    pub owner: u32,
    /// What will come.
    pub answer: CallAnswer,
    /// When, in nanoseconds.
    pub at: u64,
}

/// The worker.
#[derive(Debug)]
pub struct Host {
    /// Nanoseconds since 1970.
    pub now: u64,
    /// Streams by context.
    pub streams: BTreeMap<u32, StreamState>,
    /// Services behind the clusters.
    pub services: Services,
    /// Calls under way.
    pub waiting: Vec<Waiting>,
    /// The worker asked to be woken.
    pub wake: bool,
    /// Counters, histograms' sums, by name.
    pub metrics: BTreeMap<String, u64>,
    /// What workers share.
    pub shared: BTreeMap<String, Vec<u8>>,
    /// Envoy's log.
    pub log: Vec<String>,
    /// Host calls that fail.
    pub fails: Vec<String>,
    /// What went wrong with the test itself.
    pub broken: Option<anyhow::Error>,
    tokens: u32,
}

impl Host {
    /// A worker at `now`, in nanoseconds.
    pub fn new(now: u64, services: Services, fails: Vec<String>) -> Self {
        Host {
            now,
            streams: BTreeMap::new(),
            services,
            waiting: Vec::new(),
            wake: false,
            metrics: BTreeMap::new(),
            shared: BTreeMap::new(),
            log: Vec::new(),
            fails,
            broken: None,
            tokens: 0,
        }
    }

    /// The stream of a context.
    ///
    /// # Errors
    /// It is gone.
    pub fn stream(&mut self, id: u32) -> Result<&mut StreamState, String> {
        self.streams
            .get_mut(&id)
            .ok_or_else(|| format!("no stream {id}"))
    }

    fn allow(&self, effect: &str) -> Result<(), String> {
        match self.fails.iter().any(|name| name == effect) {
            true => Err(format!("{effect}: InternalFailure")),
            false => Ok(()),
        }
    }

    /// Sets a request header, replacing all its values.
    ///
    /// # Errors
    /// Envoy refuses.
    pub fn set_request_header(&mut self, id: u32, name: &str, value: &[u8]) -> Result<(), String> {
        self.allow("set_request_header")?;
        set(&mut self.stream(id)?.request, name, value);
        Ok(())
    }

    /// Removes a request header.
    ///
    /// # Errors
    /// Envoy refuses.
    pub fn remove_request_header(&mut self, id: u32, name: &str) -> Result<(), String> {
        self.allow("remove_request_header")?;
        self.stream(id)?.request.retain(|(n, _)| n != name);
        Ok(())
    }

    /// Replaces the request body. Envoy has none to replace before the first piece of it came.
    ///
    /// # Errors
    /// Envoy refuses.
    pub fn set_request_body(&mut self, id: u32, body: &[u8]) -> Result<(), String> {
        self.allow("set_request_body")?;
        let buffer = self.stream(id)?.request_body.as_mut();
        let buffer = buffer.ok_or("request body: BadArgument")?;
        body.clone_into(buffer);
        Ok(())
    }

    /// Sets a response header, replacing all its values.
    ///
    /// # Errors
    /// Envoy refuses.
    pub fn set_response_header(&mut self, id: u32, name: &str, value: &[u8]) -> Result<(), String> {
        self.allow("set_response_header")?;
        set(&mut self.stream(id)?.response, name, value);
        Ok(())
    }

    /// Removes a response header.
    ///
    /// # Errors
    /// Envoy refuses.
    pub fn remove_response_header(&mut self, id: u32, name: &str) -> Result<(), String> {
        self.allow("remove_response_header")?;
        self.stream(id)?.response.retain(|(n, _)| n != name);
        Ok(())
    }

    /// Replaces the piece of the response body at hand.
    ///
    /// # Errors
    /// There is none: not in a body callback.
    pub fn set_response_body(&mut self, id: u32, body: &[u8]) -> Result<(), String> {
        self.allow("set_response_body")?;
        let buffer = self.stream(id)?.response_body.as_mut();
        let buffer = buffer.ok_or("response body: BadArgument")?;
        body.clone_into(buffer);
        Ok(())
    }

    /// Lets the request go on.
    ///
    /// # Errors
    /// Envoy refuses.
    pub fn resume(&mut self, id: u32) -> Result<(), String> {
        self.allow("resume")?;
        self.stream(id)?.resumed = true;
        Ok(())
    }

    /// Lets the answer go on.
    ///
    /// # Errors
    /// Envoy refuses.
    pub fn resume_response(&mut self, id: u32) -> Result<(), String> {
        self.allow("resume_response")?;
        self.stream(id)?.response_resumed = true;
        Ok(())
    }

    /// Answers in place of the upstream; Envoy takes the first answer only.
    ///
    /// # Errors
    /// Envoy refuses.
    pub fn reply(&mut self, id: u32, reply: LocalReply) -> Result<(), String> {
        self.allow("reply")?;
        let stream = self.stream(id)?;
        stream.reply.get_or_insert(reply);
        Ok(())
    }

    /// Cuts the response.
    ///
    /// # Errors
    /// Envoy refuses.
    pub fn reset(&mut self, id: u32) -> Result<(), String> {
        self.stream(id)?.reset = true;
        Ok(())
    }

    /// Makes a call; its number.
    ///
    /// # Errors
    /// No such cluster.
    pub fn call(&mut self, owner: u32, call: &Call) -> Result<u32, String> {
        self.allow("call")?;
        if !self.services.known(&call.cluster) {
            return Err(format!("call to cluster {}: BadArgument", call.cluster));
        }
        let said = match self.services.call(call) {
            Ok(said) => said,
            Err(fault) => {
                let told = format!("{fault:#}");
                self.broken.get_or_insert(anyhow!("{told}"));
                return Err(told);
            }
        };
        self.tokens += 1;
        let (answer, after_ms) = match said.after_ms {
            late if late > call.timeout_ms => (CallAnswer::default(), call.timeout_ms),
            in_time => (said.answer, in_time),
        };
        // A gRPC call that nobody answers ends with DEADLINE_EXCEEDED.
        let answer = match (call.kind, answer.grpc_status) {
            (CallKind::Grpc, None) => CallAnswer {
                grpc_status: Some(4),
                ..answer
            },
            _ => answer,
        };
        self.waiting.push(Waiting {
            token: self.tokens,
            owner,
            answer,
            at: self.now + after_ms * 1_000_000,
        });
        Ok(self.tokens)
    }

    /// The first answer that is there.
    pub fn next_answer(&mut self) -> Option<Waiting> {
        let at = self.waiting.iter().position(|call| call.at <= self.now)?;
        Some(self.waiting.remove(at))
    }

    /// Adds to a metric.
    pub fn count(&mut self, name: &str, by: u64) {
        *self.metrics.entry(name.to_owned()).or_default() += by;
    }

    /// Sets the filter state.
    ///
    /// # Errors
    /// Envoy refuses.
    pub fn set_filter_state(&mut self, id: u32, value: &[u8]) -> Result<(), String> {
        self.allow("set_filter_state")?;
        self.stream(id)?.filter_state = Some(value.to_vec());
        Ok(())
    }

    /// What workers share under a key.
    pub fn recall(&self, key: &str) -> Option<Vec<u8>> {
        self.shared.get(key).cloned()
    }

    /// Shares a value with all workers.
    ///
    /// # Errors
    /// Envoy refuses.
    pub fn remember(&mut self, key: String, value: Vec<u8>) -> Result<(), String> {
        self.allow("set_shared_data")?;
        self.shared.insert(key, value);
        Ok(())
    }

    /// A stream is over: its calls are cancelled.
    pub fn forget(&mut self, id: u32) -> Option<StreamState> {
        self.waiting.retain(|call| call.owner != id);
        self.streams.remove(&id)
    }
}

/// Replaces all values of `name`, in the place of the first.
pub fn set(pairs: &mut Pairs, name: &str, value: &[u8]) {
    match pairs.iter().position(|(n, _)| n == name) {
        Some(at) => {
            let (head, tail) = pairs.split_at_mut(at + 1);
            if let Some((_, first)) = head.last_mut() {
                *first = value.to_vec();
            }
            let kept: Vec<_> = tail.iter().filter(|(n, _)| n != name).cloned().collect();
            pairs.truncate(at + 1);
            pairs.extend(kept);
        }
        None => pairs.push((name.to_owned(), value.to_vec())),
    }
}

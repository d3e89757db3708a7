//! What the engine asks of its host, as values. The shell applies them in order and decides
//! nothing.

use crate::denial::Reply;
use crate::head::Headers;
use crate::reason::Reason;

/// A moment, in nanoseconds since the Unix epoch. The engine has no clock: the host hands it in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now(pub u64);

impl Now {
    /// Whole seconds since the epoch.
    pub fn seconds(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// Whole milliseconds since the epoch.
    pub fn millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Milliseconds since `earlier`; 0 if the clock went back.
    pub fn millis_since(self, earlier: Now) -> u64 {
        self.0.saturating_sub(earlier.0) / 1_000_000
    }

    /// This moment plus `ms` milliseconds.
    pub fn after_ms(self, ms: u64) -> Now {
        Now(self.0.saturating_add(ms.saturating_mul(1_000_000)))
    }
}

/// What a callback answers to Envoy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// On to the next filter.
    Continue,
    /// Stop here; nothing goes further until [`Effect::ResumeRequest`].
    Pause,
}

/// The outcome of one callback: effects first, then the flow.
#[derive(Debug, PartialEq)]
pub struct Step {
    /// To be applied in order. If one fails, the shell fails the exchange.
    pub effects: Vec<Effect>,
    /// What the callback returns.
    pub flow: Flow,
}

impl Step {
    /// Takes out the keys of [`Effect::Recall`], if the step asks for values.
    pub fn take_recall(&mut self) -> Option<Vec<String>> {
        let recall = self
            .effects
            .pop_if(|effect| matches!(effect, Effect::Recall(_)));
        match recall {
            Some(Effect::Recall(keys)) => Some(keys),
            _ => None,
        }
    }
}

/// One thing for the host to do for a stream.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Sets a request header, replacing all its values.
    SetRequestHeader(String, Vec<u8>),
    /// Removes all values of a request header.
    RemoveRequestHeader(String),
    /// Replaces the whole buffered request body.
    ReplaceRequestBody(Vec<u8>),
    /// Lets a paused request go on (from outside its own callbacks).
    ResumeRequest,
    /// Lets a paused answer go on (from outside its own callbacks).
    ResumeResponse,
    /// Sets a response header, replacing all its values.
    SetResponseHeader(String, Vec<u8>),
    /// Removes all values of a response header.
    RemoveResponseHeader(String),
    /// Replaces the response body bytes of the current callback.
    ReplaceResponseBody(Vec<u8>),
    /// Answers the caller in place of the upstream. The only exit of its kind: once per stream.
    Reply(Reply),
    /// Cuts the response: its head is out, and the rest must not follow.
    ResetResponse,
    /// Calls a service on behalf of this stream; the answer comes to `Stream::on_call`. Ends with
    /// the stream.
    Call(Call),
    /// Asks for the values that were remembered under these keys, on any worker: the shell gives them
    /// to `Stream::on_recalled` at once, before anything else happens to the stream. The last effect
    /// of its step.
    Recall(Vec<String>),
    /// Keeps a value under each key, for all workers; the old value is replaced.
    Remember(Vec<(String, Vec<u8>)>),
    /// One line for Envoy's access log, in the filter state `wasm.countersign`.
    Summary(String),
    /// Adds to a counter.
    Count(Counter, u64),
    /// Adds a value to a histogram.
    Observe(Histogram, u64),
    /// A line for Envoy's log. Never holds header values or bodies.
    Log(Level, String),
}

/// How a call is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// Method, path, headers and body as they are.
    #[default]
    Http,
    /// A unary gRPC call: `:path` is `/service/method`, the other headers are its metadata, the body is
    /// the message.
    Grpc,
}

/// A call through an Envoy cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// HTTP or gRPC.
    pub kind: CallKind,
    /// Envoy cluster.
    pub cluster: String,
    /// Pseudo-headers (`:method`, `:path`, `:authority`) and headers.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// Milliseconds after which Envoy gives up.
    pub timeout_ms: u64,
}

/// What came back from a [`Call`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallAnswer {
    /// `None`: no answer over HTTP (not sent, reset, timed out).
    pub status: Option<u16>,
    /// Response headers.
    pub headers: Headers,
    /// Response body; of a gRPC call the message.
    pub body: Vec<u8>,
    /// Of a gRPC call: its status, 0 with a message.
    pub grpc_status: Option<u32>,
}

/// How loud a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For those who look for a fault.
    Debug,
    /// Worth knowing.
    Info,
    /// Something an operator should mend.
    Warn,
    /// Something is refused until an operator mends it.
    Error,
}

/// A counter in Envoy's stats, named `wasmcustom.countersign.…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counter {
    /// Exchanges that reached the filter.
    Exchanges,
    /// Let through.
    Allowed,
    /// Refused, each also counted under its reason.
    Refused(Reason),
    /// Would have been refused or held, but the mode is observe.
    Observed,
    /// Held for a person.
    Held,
    /// Secrets masked in requests.
    MaskedRequest,
    /// Secrets masked in responses.
    MaskedResponse,
    /// Records acknowledged by the sink.
    RecordsAcked,
    /// Records that were lost: the queue was full, or the sink refused them for good.
    RecordsDropped,
    /// Deliveries to the sink that failed and will be tried again.
    DeliveriesFailed,
    /// Fetches of key sets that failed.
    KeyFetchesFailed,
}

impl Counter {
    /// Every counter.
    pub fn all() -> Vec<Counter> {
        let mut all = vec![
            Counter::Exchanges,
            Counter::Allowed,
            Counter::Observed,
            Counter::Held,
            Counter::MaskedRequest,
            Counter::MaskedResponse,
            Counter::RecordsAcked,
            Counter::RecordsDropped,
            Counter::DeliveriesFailed,
            Counter::KeyFetchesFailed,
        ];
        all.extend(Reason::ALL.iter().map(|r| Counter::Refused(*r)));
        all
    }

    /// Its name in Envoy's stats.
    pub fn name(self) -> String {
        let name = match self {
            Counter::Exchanges => "exchanges",
            Counter::Allowed => "allowed",
            Counter::Refused(reason) => return format!("countersign.refused.{}", reason.code()),
            Counter::Observed => "observed",
            Counter::Held => "held",
            Counter::MaskedRequest => "masked_request",
            Counter::MaskedResponse => "masked_response",
            Counter::RecordsAcked => "records_acked",
            Counter::RecordsDropped => "records_dropped",
            Counter::DeliveriesFailed => "deliveries_failed",
            Counter::KeyFetchesFailed => "key_fetches_failed",
        };
        format!("countersign.{name}")
    }
}

/// A histogram in Envoy's stats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Histogram {
    /// Milliseconds from the first byte of a request to its verdict (holds included).
    VerdictMs,
}

impl Histogram {
    /// Every histogram.
    pub const ALL: &'static [Histogram] = &[Histogram::VerdictMs];

    /// Its name in Envoy's stats.
    pub fn name(self) -> &'static str {
        match self {
            Histogram::VerdictMs => "countersign.verdict_ms",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_names_are_unique() {
        let mut names: Vec<String> = Counter::all().into_iter().map(Counter::name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}

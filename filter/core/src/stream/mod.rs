//! One exchange: a machine that takes what Envoy saw and gives what Envoy should do.
//!
//! # The life of a request
//! ```text
//! head ─ connection, path ─ Identify ─ Collect ─ judge ─┬─ deny ─────────────────── Reply
//!                              │          │             ├─ approval ─ Record ─ Ask ─┤
//!                           (keys)     (body)           └─ allow ──── Record ───────┴─ release
//! ```
//! Nothing of the request, its head included, goes upstream before `release`. Every wait is a
//! [`Phase`]; whatever event comes, `advance` goes as far as it can. What goes wrong on the way is a
//! [`Reason`], and `refuse` is the only place that turns one into an answer.
//!
//! | file       | part |
//! |------------|------|
//! | `mod`      | state and callbacks |
//! | `identify` | token to identity |
//! | `judge`    | body, operations, verdict, request masking |
//! | `places`   | which repositories the request's node ids are of |
//! | `hold`     | asking a person |
//! | `forward`  | request record, header changes, release, refusal |
//! | `response` | masking and capturing the answer |
//! | `answer_hold` | holding the answer until a person has seen it |
//! | `answer`   | reading it for what was asked: tools that are left out |
//! | `account`  | records and the access-log line |
//! | `explain`  | what was read and decided, for people who ask why |

mod account;
mod answer;
mod answer_hold;
mod explain;
mod forward;
mod hold;
mod identify;
mod judge;
mod places;
mod response;

use std::rc::Rc;
use std::sync::Arc;

pub use account::Ended;
pub use explain::Comparison;

use crate::denial::{DenialStyle, Reply};
use crate::effect::{CallAnswer, Counter, Effect, Flow, Level, Now, Step};
use crate::head::{Headers, RequestHead, ResponseHead};
use crate::identity::Identity;
use crate::mask::{Format, MediaTypes};
use crate::operation::Operation;
use crate::path::RequestPath;
use crate::policy::{Connection, Policy};
use crate::protocol::git::GitCommands;
use crate::protocol::{self, Answer, BodyNeed};
use crate::reason::Reason;
use crate::record::{Captured, Decision, MaskCount};
use crate::worker::{StreamId, Wake, Worker};
use hold::Hold;
use places::Places;
use response::Response;

/// Where an exchange stands.
#[derive(Debug)]
enum Phase {
    /// No head yet.
    New,
    /// The caller is being identified; keys may be on their way.
    Identify,
    /// The body is being collected, as far as it is needed.
    Collect,
    /// The request record is on its way to the sink; then comes the next step.
    Record(AfterRecord),
    /// A person is being asked.
    Ask,
    /// The approval service could not be asked; it will be again.
    AskAgain,
    /// Refused; the rest of the body is read and dropped so that the client gets to read the answer.
    Drain(Reply),
    /// The request has been let go.
    Released,
    /// Its answer waits here.
    Answer(AnswerStep),
    /// The caller has been answered from here.
    Replied,
}

/// Where an answer stands that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AnswerStep {
    /// It is still coming.
    Collect,
    /// A person is being asked about it.
    Ask,
    /// The approval service could not be asked; it will be again.
    AskAgain,
}

/// What a durable record was waited for.
#[derive(Clone, Copy, Debug)]
enum AfterRecord {
    Ask,
    Release,
}

/// What was decided, for the records.
#[derive(Debug, Default)]
struct Outcome {
    decision: Decision,
    reason: Option<Reason>,
    detail: String,
    rule: Option<String>,
}

/// A verified caller.
#[derive(Debug)]
struct Caller {
    identity: Arc<Identity>,
    /// The headers that carried the token; none of them reaches the upstream.
    headers: Vec<String>,
}

/// One exchange.
#[derive(Debug)]
pub struct Stream {
    id: StreamId,
    policy: Rc<Policy>,
    exchange: String,
    started: Now,
    client: String,
    phase: Phase,
    /// When the present wait ends, at the latest.
    deadline: Option<Now>,
    head: RequestHead,
    path: Option<RequestPath>,
    connection: Option<usize>,
    caller: Option<Caller>,
    asked_newer_keys: bool,
    /// How much of the body has to be read; more than the protocol asks where it is masked or captured.
    need: BodyNeed,
    mask_request: bool,
    body: Vec<u8>,
    body_size: usize,
    body_ended: bool,
    commands: GitCommands,
    commands_done: bool,
    places: Places,
    operations: Vec<Operation>,
    style: DenialStyle,
    model: Option<String>,
    answer: Answer,
    replacement: Option<Vec<u8>>,
    /// The rules that will look at the answer, and the digest of the request that they ask about.
    answer_rules: Vec<usize>,
    request_sha256: String,
    captured: Captured,
    not_captured: Vec<String>,
    masks: Vec<MaskCount>,
    outcome: Outcome,
    hold: Option<Hold>,
    request_recorded: bool,
    /// The released request has been handed on: its body now comes piece by piece.
    flowing: bool,
    /// When the request went on.
    released: Option<Now>,
    response: Response,
    effects: Vec<Effect>,
}

/// What is known of the connection that a request came over.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// Address of the caller, as Envoy knows it.
    pub address: String,
}

impl Stream {
    /// A stream that nothing is known of yet.
    pub fn new(id: StreamId, worker: &mut Worker) -> Self {
        Stream {
            id,
            policy: worker.policy(),
            exchange: worker.next_exchange(),
            started: Now::default(),
            client: String::new(),
            phase: Phase::New,
            deadline: None,
            head: RequestHead::default(),
            path: None,
            connection: None,
            caller: None,
            asked_newer_keys: false,
            need: BodyNeed::None,
            mask_request: false,
            body: Vec::new(),
            body_size: 0,
            body_ended: false,
            commands: GitCommands::new(),
            commands_done: false,
            places: Places::default(),
            operations: Vec::new(),
            style: DenialStyle::Plain,
            model: None,
            answer: Answer::AsIs,
            replacement: None,
            answer_rules: Vec::new(),
            request_sha256: String::new(),
            captured: Captured::default(),
            not_captured: Vec::new(),
            masks: Vec::new(),
            outcome: Outcome::default(),
            hold: None,
            request_recorded: false,
            flowing: false,
            released: None,
            response: Response::default(),
            effects: Vec::new(),
        }
    }

    /// The request head is there; `end` if no body follows.
    pub fn on_request_headers(
        &mut self,
        worker: &mut Worker,
        head: RequestHead,
        source: Source,
        end: bool,
        now: Now,
    ) -> Step {
        self.started = now;
        self.client = source.address;
        self.head = head;
        self.body_ended = end;
        self.phase = Phase::Identify;
        self.effects.push(Effect::Count(Counter::Exchanges, 1));
        self.begin(worker, now);
        self.advance(worker, now);
        if !end && self.waits_for_body() && !worker.pause_proven {
            // Until one body has come to a paused stream, its absence may mean that Envoy holds
            // bodies back: `allow_on_headers_stop_iteration` is missing.
            let at = now.after_ms(self.policy.limits.first_body_ms);
            self.deadline = Some(at);
            worker.wake_at(at, self.id);
        }
        self.step()
    }

    /// A piece of the request body: `size` new bytes, in `bytes` if the stream
    /// [wants them](Stream::wants_request_bytes).
    pub fn on_request_body(
        &mut self,
        worker: &mut Worker,
        bytes: &[u8],
        size: usize,
        end: bool,
        now: Now,
    ) -> Step {
        self.body_size = self.body_size.saturating_add(size);
        self.body_ended |= end;
        match self.phase {
            Phase::New | Phase::Replied | Phase::Released | Phase::Answer(_) => {}
            Phase::Drain(_) => self.drain(),
            Phase::Identify | Phase::Collect | Phase::Record(_) | Phase::Ask | Phase::AskAgain => {
                worker.pause_proven |= size > 0;
                self.collect(worker, bytes, now);
                self.advance(worker, now);
            }
        }
        self.step()
    }

    /// Trailers end a body, whatever the body callbacks said: an HTTP/2 body that ends with trailers
    /// never has its end marked there.
    pub fn on_request_trailers(&mut self, worker: &mut Worker, now: Now) -> Step {
        self.body_ended = true;
        match self.phase {
            Phase::New | Phase::Replied | Phase::Released | Phase::Answer(_) => {}
            Phase::Drain(_) => self.end_drain(),
            Phase::Identify | Phase::Collect | Phase::Record(_) | Phase::Ask | Phase::AskAgain => {
                self.advance(worker, now);
            }
        }
        self.step()
    }

    /// The answer to this stream's own call.
    pub fn on_call(&mut self, worker: &mut Worker, answer: CallAnswer, now: Now) -> Step {
        if matches!(self.phase, Phase::Ask | Phase::Answer(AnswerStep::Ask)) {
            self.on_approval_answer(worker, &answer, now);
        }
        self.resume()
    }

    /// Something this stream waited for has happened in the worker.
    pub fn on_wake(&mut self, worker: &mut Worker, wake: Wake, now: Now) -> Step {
        match (wake, &self.phase) {
            (Wake::Keys, Phase::Identify) => self.advance(worker, now),
            (Wake::Recorded, Phase::Record(next)) => {
                let next = *next;
                self.on_recorded(worker, next, now);
            }
            (Wake::RecordRefused, Phase::Record(_)) => {
                self.refuse(
                    worker,
                    Reason::AuditUnavailable,
                    "the audit sink refused the record",
                    now,
                );
            }
            (
                Wake::PolicyChanged,
                Phase::Record(AfterRecord::Ask)
                | Phase::Ask
                | Phase::AskAgain
                | Phase::Answer(AnswerStep::Ask | AnswerStep::AskAgain),
            ) => self.refuse(worker, Reason::PolicyChanged, "", now),
            (Wake::Timer, _) => self.on_timer(worker, now),
            (Wake::Keys | Wake::Recorded | Wake::RecordRefused | Wake::PolicyChanged, _) => {}
        }
        self.resume()
    }

    /// The response head is there.
    pub fn on_response_headers(&mut self, head: ResponseHead, end: bool, now: Now) -> Step {
        self.respond_headers(head, end, now);
        self.response_step()
    }

    /// A piece of the response body: `size` bytes, in `bytes` if the stream
    /// [wants them](Stream::wants_response_bytes).
    pub fn on_response_body(
        &mut self,
        worker: &mut Worker,
        bytes: &[u8],
        size: usize,
        end: bool,
        now: Now,
    ) -> Step {
        self.respond_body(worker, bytes, size, end, now);
        self.response_step()
    }

    /// The response ends with trailers.
    pub fn on_response_trailers(&mut self) -> Step {
        self.respond_trailers();
        self.response_step()
    }

    /// The exchange is over; Envoy is about to write its access log.
    pub fn on_log(&mut self, worker: &mut Worker, ended: &Ended, now: Now) -> Vec<Effect> {
        if !matches!(self.phase, Phase::New) {
            self.close(worker, ended, now);
        }
        if matches!(self.phase, Phase::Identify | Phase::Record(_)) {
            worker.forget(self.id);
        }
        if let Some(at) = self.deadline.take() {
            worker.cancel_wake(at, self.id);
        }
        std::mem::take(&mut self.effects)
    }

    /// The shell could not apply an effect: nothing may go on from here.
    ///
    /// The step ends the exchange: with an answer before the response head is out, with a reset after.
    pub fn on_host_fault(&mut self, what: &str, now: Now) -> Step {
        self.effects.clear();
        self.effects.push(Effect::Log(
            Level::Error,
            format!("{}: host call failed: {what}", self.exchange),
        ));
        if self.response.started {
            self.effects.push(Effect::ResetResponse);
            self.phase = Phase::Replied;
        } else {
            self.refuse_hard(Reason::HostFault, what, now);
        }
        Step {
            effects: std::mem::take(&mut self.effects),
            flow: Flow::Pause,
        }
    }

    /// Whether the bytes of the request body are to be handed over; their number always is.
    pub fn wants_request_bytes(&self) -> bool {
        match self.phase {
            Phase::New | Phase::Drain(_) | Phase::Released | Phase::Answer(_) | Phase::Replied => {
                false
            }
            Phase::Identify | Phase::Collect | Phase::Record(_) | Phase::Ask | Phase::AskAgain => {
                match self.need {
                    BodyNeed::None => false,
                    BodyNeed::Whole => true,
                    BodyNeed::GitCommands => !self.commands_done,
                }
            }
        }
    }

    /// Whether the bytes of the response body are to be handed over; their number always is.
    pub fn wants_response_bytes(&self) -> bool {
        let coming = matches!(
            self.phase,
            Phase::Released | Phase::Answer(AnswerStep::Collect)
        );
        coming && self.response.is_read()
    }

    /// Whether Envoy has to tell how the exchange ended: an answer without an error that came whole
    /// explains itself.
    pub fn wants_ending(&self) -> bool {
        !self.response.ended || self.response.status.is_none_or(|status| status >= 400)
    }

    /// Whether the request has been handed on: its body then comes piece by piece. Until then Envoy
    /// tells the size of everything so far.
    pub fn is_flowing(&self) -> bool {
        self.flowing
    }

    /// Whether the rest of the body is being dropped.
    pub fn is_draining(&self) -> bool {
        matches!(self.phase, Phase::Drain(_))
    }

    /// The connection and the path, before anything else.
    fn begin(&mut self, worker: &mut Worker, now: Now) {
        let host = self.head.host();
        let policy = Rc::clone(&self.policy);
        let Some(index) = policy.connection_index(&host, &self.head.path) else {
            self.refuse(worker, Reason::ConnectionUnknown, "", now);
            return;
        };
        self.connection = Some(index);
        let Some(connection) = policy.connections.get(index) else {
            return;
        };
        self.style = protocol::head_style(connection.protocol, &self.head, None);
        match RequestPath::read(&self.head.path) {
            Ok(path) => self.path = Some(connection.local_path(path)),
            Err(fault) => {
                self.undecided(worker, Reason::PathAmbiguous, fault.code(), now);
                return;
            }
        }
        self.style = protocol::head_style(connection.protocol, &self.head, self.path.as_ref());
        if let Some(name) = self.head.ambiguous_header() {
            self.undecided(worker, Reason::HeaderAmbiguous, name, now);
            return;
        }
        self.plan_body(connection);
    }

    /// Goes as far as what is known allows.
    fn advance(&mut self, worker: &mut Worker, now: Now) {
        if matches!(self.phase, Phase::Identify) {
            self.identify(worker, now);
        }
        if matches!(self.phase, Phase::Collect) {
            self.judge(worker, now);
        }
    }

    fn on_timer(&mut self, worker: &mut Worker, now: Now) {
        if self.deadline.is_none_or(|at| now < at) {
            return;
        }
        self.deadline = None;
        match self.phase {
            Phase::Record(_) => {
                self.refuse(
                    worker,
                    Reason::AuditUnavailable,
                    "the audit sink did not acknowledge the record in time",
                    now,
                );
            }
            Phase::AskAgain | Phase::Answer(AnswerStep::AskAgain) => self.ask(worker, now),
            Phase::Identify | Phase::Collect
                if self.body_size == 0 && !worker.pause_proven && !self.body_ended =>
            {
                self.effects.push(Effect::Log(
                    Level::Error,
                    format!(
                        "{}: no body came to a waiting request within {} ms. If its client did send one, set \
                         allow_on_headers_stop_iteration: true in the Wasm plugin's configuration",
                        self.exchange, self.policy.limits.first_body_ms
                    ),
                ));
                self.refuse_hard(Reason::HeaderPauseMissing, "", now);
            }
            Phase::New
            | Phase::Identify
            | Phase::Collect
            | Phase::Ask
            | Phase::Drain(_)
            | Phase::Released
            | Phase::Answer(AnswerStep::Collect | AnswerStep::Ask)
            | Phase::Replied => {}
        }
    }

    fn connection(&self) -> Option<&Connection> {
        self.policy.connections.get(self.connection?)
    }

    fn identity(&self) -> Option<&Identity> {
        self.caller.as_ref().map(|c| c.identity.as_ref())
    }

    fn waits_for_body(&self) -> bool {
        !self.body_ended && matches!(self.phase, Phase::Identify | Phase::Collect)
    }

    /// The result of a request callback.
    fn step(&mut self) -> Step {
        self.places.in_callback(true);
        self.flowing = matches!(self.phase, Phase::Released | Phase::Answer(_));
        Step {
            effects: std::mem::take(&mut self.effects),
            flow: if self.flowing {
                Flow::Continue
            } else {
                Flow::Pause
            },
        }
    }

    /// The result of a response callback: what is held stays, and so does what has been answered from
    /// here in its place.
    fn response_step(&mut self) -> Step {
        Step {
            effects: std::mem::take(&mut self.effects),
            flow: match self.phase {
                Phase::Answer(_) => Flow::Pause,
                _ => Flow::Continue,
            },
        }
    }

    /// The result of an event outside the request's callbacks: a release has to be said.
    ///
    /// Not while a body is on its way of which Envoy has buffered a part: resumed from outside, it
    /// loses the next piece (seen on Envoy 1.40.0: a 30 MB push arrived with a hole). That piece's own
    /// callback lets the request go instead.
    fn resume(&mut self) -> Step {
        self.places.in_callback(false);
        let released = matches!(self.phase, Phase::Released) && !self.flowing;
        if released && (self.body_ended || self.body_size == 0) {
            self.flowing = true;
            self.effects.push(Effect::ResumeRequest);
        }
        Step {
            effects: std::mem::take(&mut self.effects),
            flow: Flow::Pause,
        }
    }
}

/// The format of a body by its head; one without a content type is read as text.
fn body_format(types: &MediaTypes, headers: &Headers) -> Format {
    types.format(headers.text("content-type").unwrap_or("text/plain"))
}

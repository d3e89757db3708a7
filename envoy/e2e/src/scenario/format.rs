//! The shape of a scenario file; `testdata/scenarios/README.md` describes it for writers.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// One scenario: a policy, a world, and exchanges one after another on one worker.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What must hold, as a sentence.
    pub name: String,
    /// The file it came from.
    #[serde(skip)]
    pub file: String,
    /// What scenarios made of one document have in common that have one policy.
    #[serde(skip)]
    pub group: String,
    /// Its number among those.
    #[serde(skip)]
    pub case: usize,
    /// The gateway's policy.
    #[serde(default)]
    pub policy: PolicySource,
    /// Environment of the gateway, beside the usual secrets.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Tokens by name; read before the rest, so that `{token:NAME}` stands for them.
    #[serde(default)]
    pub tokens: BTreeMap<String, Value>,
    /// What the services around the gateway answer.
    #[serde(default)]
    pub world: World,
    /// Ways of cutting that would make it another scenario.
    #[serde(default)]
    pub cuts: Cuts,
    /// Runners that cannot play it, with the reason.
    #[serde(default)]
    pub not_on: BTreeMap<String, String>,
    /// The exchanges.
    pub steps: Vec<Step>,
    /// Counters at the end, without `countersign.`; those not named are not looked at.
    #[serde(default)]
    pub counters: BTreeMap<String, u64>,
}

/// A base policy of `policies/` and what is merged onto it (RFC 7386).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySource {
    /// File name without `.yaml`; `gateway` when absent.
    pub base: Option<String>,
    /// Merge patch.
    #[serde(default)]
    pub merge: Value,
}

/// How a scenario may be cut.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Cuts {
    /// In any way.
    #[default]
    Any,
    /// Its chunks are part of it.
    AsWritten,
}

/// Services around the gateway, each with its answers in order; the last one is repeated.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct World {
    /// Key set fetches.
    pub keys: Vec<Answer>,
    /// Audit sink.
    pub audit: Vec<Answer>,
    /// Approval service.
    pub approvals: Vec<Answer>,
    /// Envoy is configured without `allow_on_headers_stop_iteration`: a paused filter gets no body.
    pub bodies_held_back: bool,
    /// Host calls that fail: names of effects.
    pub host_fails: Vec<String>,
}

/// One answer: a name that its service knows, or an HTTP answer written out.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// `ok`, `none`, `silent`, `approved`, `refused`, `pending`, `superseded`, `policy_changed`.
    Named(String),
    /// Written out.
    Http(HttpAnswer),
}

/// An HTTP answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpAnswer {
    /// Status.
    pub status: u16,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// JSON body.
    #[serde(default)]
    pub json: Option<Value>,
    /// Milliseconds until it comes.
    #[serde(default)]
    pub after_ms: u64,
}

/// One exchange.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What the client sends.
    pub request: Request,
    /// What the upstream answers, if it is asked.
    #[serde(default)]
    pub upstream: Upstream,
    /// What must come of it.
    pub expect: Expect,
    /// Milliseconds that pass before it.
    #[serde(default)]
    pub wait_ms: u64,
}

/// A request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Method; GET when absent.
    #[serde(default = "get")]
    pub method: String,
    /// URL, taken as it is after the authority: `https://api.github.com/repos/a%2Fb`.
    pub url: String,
    /// Sent as `Authorization: Bearer …`: the name of a token.
    pub token: Option<String>,
    /// Header values; a list for a header that comes several times.
    #[serde(default)]
    pub headers: BTreeMap<String, OneOrMany>,
    /// Body.
    #[serde(default)]
    pub body: Body,
    /// Trailers.
    #[serde(default)]
    pub trailers: BTreeMap<String, String>,
    /// The client goes away once it has sent this.
    #[serde(default)]
    pub leaves: bool,
    /// The body never ends: an upgrade, a tunnel.
    #[serde(default)]
    pub open: bool,
}

fn get() -> String {
    "GET".to_owned()
}

/// A header's value or values.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// Once.
    One(String),
    /// Several times.
    Many(Vec<String>),
}

impl OneOrMany {
    /// All values.
    pub fn values(&self) -> Vec<&str> {
        match self {
            OneOrMany::One(value) => vec![value],
            OneOrMany::Many(values) => values.iter().map(String::as_str).collect(),
        }
    }
}

/// A body. At most one of its members is given.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Body {
    /// As it is.
    pub text: Option<String>,
    /// Written compactly, with `content-type: application/json` unless the request says otherwise.
    pub json: Option<Value>,
    /// Bytes.
    pub base64: Option<String>,
    /// Chunks as they are.
    pub chunks: Option<Vec<String>>,
    /// A push.
    pub push: Option<Push>,
    /// A text so many times.
    pub repeat: Option<Repeat>,
}

/// `text`, `times` times.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    /// What.
    pub text: String,
    /// How often.
    pub times: usize,
}

/// The body of `git-receive-pack`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Push {
    /// `create|update|delete REF`.
    pub commands: Vec<String>,
    /// What the client can do.
    #[serde(default = "capabilities")]
    pub capabilities: String,
    /// Bytes of (meaningless) pack behind the commands.
    #[serde(default)]
    pub pack: usize,
}

fn capabilities() -> String {
    "report-status-v2 side-band-64k object-format=sha1 agent=git/2.47.0".to_owned()
}

/// What the upstream answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Upstream {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: BTreeMap<String, OneOrMany>,
    /// Body.
    pub body: Body,
    /// Trailers.
    pub trailers: BTreeMap<String, String>,
}

impl Default for Upstream {
    fn default() -> Self {
        Upstream {
            status: 200,
            headers: BTreeMap::new(),
            body: Body {
                text: Some("fine".to_owned()),
                ..Body::default()
            },
            trailers: BTreeMap::new(),
        }
    }
}

/// What must come of an exchange.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// Answered from here; nothing was forwarded.
    pub reply: Option<Reply>,
    /// Handed on.
    pub forwarded: Option<Forwarded>,
    /// What the client got of the upstream's answer.
    pub response: Option<Response>,
    /// Neither answered nor handed on: the client left first.
    pub unanswered: bool,
    /// Records of the exchange in order, each a subset; `event` is `request` or `outcome`.
    pub records: Option<Vec<Value>>,
    /// Questions to the approval service in order, each a subset.
    pub asked: Option<Vec<Value>>,
    /// The access-log line, a subset.
    pub summary: Option<Value>,
}

/// An answer of the gateway's own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// Status.
    pub status: u16,
    /// `x-countersign-reason`.
    pub reason: String,
    /// Headers, by a part of their value.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Headers that must not be there.
    #[serde(default)]
    pub absent: Vec<String>,
    /// The body as JSON, a subset.
    #[serde(default)]
    pub json: Option<Value>,
    /// Parts of the body.
    #[serde(default)]
    pub has: Vec<String>,
    /// What the body must not hold.
    #[serde(default)]
    pub lacks: Vec<String>,
    /// What git prints: lines of side-band 2, then the report's lines.
    #[serde(default)]
    pub git: Vec<String>,
}

/// A request as the upstream got it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Forwarded {
    /// Method.
    pub method: Option<String>,
    /// Path, exactly.
    pub path: Option<String>,
    /// Headers, exactly.
    pub headers: BTreeMap<String, String>,
    /// Headers that must not be there.
    pub absent: Vec<String>,
    /// Body, exactly as the client sent it.
    pub body_as_sent: bool,
    /// Body, exactly.
    pub body: Option<String>,
    /// The body as JSON, a subset.
    pub json: Option<Value>,
    /// Parts of the body.
    pub has: Vec<String>,
    /// What the body must not hold.
    pub lacks: Vec<String>,
}

/// An answer of the upstream as the client got it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Response {
    /// Status.
    pub status: Option<u16>,
    /// Headers, exactly.
    pub headers: BTreeMap<String, String>,
    /// Headers that must not be there.
    pub absent: Vec<String>,
    /// Body, exactly as the upstream sent it.
    pub body_as_sent: bool,
    /// Body, exactly.
    pub body: Option<String>,
    /// Parts of the body.
    pub has: Vec<String>,
    /// What the body must not hold.
    pub lacks: Vec<String>,
    /// Whether it was cut off.
    pub reset: bool,
}

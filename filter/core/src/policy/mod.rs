//! The compiled policy: what `config` makes of the operator's document, once per configuration.
//!
//! Everything here is ready to use: secrets are resolved, patterns are checked, names are
//! references into these lists. Nothing is looked up in the document again.

mod condition;
#[cfg(test)]
mod conditions_tests;
mod fields;
mod glob;
mod index;
mod request;
mod rules;
mod window;

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

pub use condition::{ClaimMatch, Condition, Except, Matched, Unknown};
pub use fields::{Field, Pointer, TEXT_MAX, Wanted};
pub use glob::{Glob, Globs};
pub(crate) use index::RuleIndex;
pub use request::{Body, Request};
pub use rules::{Approval, Consent, Demand, Reviewers, Rule, Verdict};
pub use window::{DAYS, Window, minute, offset};

use crate::identity::{KeySet, ProviderConfig, TokenLocation};
use crate::mask::{MaskSet, MediaTypes, Scrub};
use crate::path::RequestPath;
use crate::protocol::{Context, ProtocolKind};
use crate::reason::Reason;

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// It goes on.
    Allow,
    /// It waits for a person.
    RequireApproval,
    /// It is refused.
    Deny,
}

impl Action {
    /// Whether a rule that says so holds something back.
    pub fn restrains(self) -> bool {
        self != Action::Allow
    }
}

/// Whether the policy acts or only watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Decisions are carried out.
    Enforce,
    /// Decisions are recorded, and everything is let through. A caller without a valid identity
    /// passes with its own credentials only: nothing is injected for it.
    Observe,
}

impl Mode {
    /// Its name in policies and records.
    pub fn code(self) -> &'static str {
        match self {
            Mode::Enforce => "enforce",
            Mode::Observe => "observe",
        }
    }
}

/// The whole policy.
#[derive(Debug)]
pub struct Policy {
    /// The document in canonical form: JSON without blanks and with sorted keys, the same for YAML,
    /// Istio and Envoy.
    pub document: String,
    /// SHA-256 of [`Policy::document`], hexadecimal.
    pub digest: String,
    /// Enforce or observe.
    pub mode: Mode,
    /// Who vouches for callers.
    pub providers: Vec<Provider>,
    /// Where callers carry tokens, over all providers.
    pub token_locations: Vec<TokenLocation>,
    /// Identities that are cut off, whatever their token says.
    pub revoked: Revoked,
    /// The systems behind the gateway.
    pub connections: Vec<Connection>,
    /// The answer where no rule matches and the connection has no own one.
    pub default: Action,
    /// The answer to writes that no operation table knows, where the connection has no own one.
    pub unknown_writes: Action,
    /// The answer to reads that no operation table knows, where the connection has no own one.
    pub unknown_reads: Action,
    /// The rules, in the order of the document (which does not matter to the verdict).
    pub rules: Vec<Rule>,
    /// The same, by the operations they name.
    pub(crate) index: RuleIndex,
    /// What is masked.
    pub masking: Masking,
    /// Who is asked for approvals; `None` if no rule needs one.
    pub approval_service: Option<ApprovalService>,
    /// Where records go.
    pub audit: Audit,
    /// Sizes up to which the engine reads.
    pub limits: Limits,
    /// Answers to what could not be decided, where they are not "deny".
    pub undecided: BTreeMap<Reason, Action>,
}

/// An identity provider.
#[derive(Debug)]
pub struct Provider {
    /// Issuer, audiences, algorithms, claims.
    pub config: ProviderConfig,
    /// Where its keys come from.
    pub keys: KeySource,
}

/// Where a provider's keys come from.
#[derive(Debug)]
pub enum KeySource {
    /// Written into the policy.
    Inline(Rc<KeySet>),
    /// Fetched through an Envoy cluster.
    Remote {
        /// Envoy cluster.
        cluster: String,
        /// `:authority` of the fetch.
        authority: String,
        /// Path of the key set, or of the discovery document.
        path: String,
        /// Whether `path` is an OpenID discovery document that names the key set.
        discovery: bool,
        /// Milliseconds between fetches.
        refresh_ms: u64,
    },
}

/// Identities that are cut off at once.
#[derive(Debug, Default)]
pub struct Revoked {
    /// `sub` values.
    pub subjects: Vec<String>,
    /// `jti` values.
    pub token_ids: Vec<String>,
}

/// A system behind the gateway.
#[derive(Debug)]
pub struct Connection {
    /// Its name in records and rules.
    pub name: String,
    /// Hosts, lower case, `*.` allowed in front.
    pub hosts: Vec<Glob>,
    /// If any: only paths under one of these belong to it.
    pub path_prefixes: Vec<String>,
    /// Segments of the path before the upstream's own: a base path that Envoy's route takes off.
    pub base_segments: usize,
    /// Methods it takes, upper case; none named means all.
    pub methods: Globs,
    /// How its requests are read.
    pub protocol: ProtocolKind,
    /// What is put in place of the agent's token.
    pub credential: Credential,
    /// Its own default.
    pub default: Option<Action>,
    /// Its own answer to unknown writes.
    pub unknown_writes: Option<Action>,
    /// Its own answer to unknown reads.
    pub unknown_reads: Option<Action>,
    /// What is said of an MCP server behind it.
    pub mcp: McpServer,
}

/// The MCP server behind a connection.
#[derive(Clone, Debug, Default)]
pub struct McpServer {
    /// Its name in operations; `github` is GitHub's.
    pub server: Option<String>,
    /// Whether tools that are denied to the caller are left out of `tools/list`.
    pub narrow_tools: bool,
    /// Whether GitHub's server is told to offer nothing that writes.
    pub read_only: bool,
}

impl Connection {
    /// The path as the upstream will see it.
    pub fn local_path(&self, path: RequestPath) -> RequestPath {
        match self.base_segments {
            0 => path,
            count => path.without(count),
        }
    }

    /// What a protocol may know of it.
    pub fn context(&self) -> Context<'_> {
        Context {
            connection: &self.name,
            mcp_server: self.mcp.server.as_deref(),
            nodes: None,
        }
    }

    /// Whether it takes this method, however it is written.
    pub fn takes(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.matches(&method.to_ascii_uppercase())
    }

    fn serves(&self, host: &str, path: &str) -> bool {
        self.hosts.iter().any(|glob| glob.matches(host))
            && (self.path_prefixes.is_empty() || self.path_prefixes.iter().any(|p| under(path, p)))
    }
}

/// Whether `path` is `prefix` or lies below it; never `/api` for `/apiary`.
fn under(path: &str, prefix: &str) -> bool {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let prefix = prefix.trim_end_matches('/');
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What the upstream sees instead of the agent's token.
#[derive(Debug)]
pub enum Credential {
    /// A secret of the gateway, in a header.
    Inject {
        /// Header name, lower case.
        header: String,
        /// Whole header value.
        value: Secret,
        /// Finds its echo in answers, in every usual spelling.
        echo: Rc<Scrub>,
    },
    /// The agent's own headers, less the identity token.
    Passthrough,
}

/// A value that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: String) -> Self {
        Secret(value)
    }

    /// The value itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What is masked, in which direction.
#[derive(Debug)]
pub struct Masking {
    /// Prompts and writes.
    pub request: Option<Rc<MaskSet>>,
    /// Whether a secret in a request refuses it instead of being masked.
    pub deny_request: bool,
    /// The rules that refuse a request even where others mask it.
    pub denied: Vec<String>,
    /// Whether a write that adds a secret to a file is refused.
    pub deny_pushes: bool,
    /// Answers.
    pub response: Option<Rc<MaskSet>>,
    /// No rules: for answers in which only the injected credential is looked for.
    pub none: Rc<MaskSet>,
    /// Requests of which, and of whose answers, nothing but the injected credential is masked.
    pub spared: Spared,
    /// Media types that are searched or left alone in spite of the built-in list.
    pub types: MediaTypes,
    /// Whether a body that passes a limit of the masker is refused instead of masked with less context.
    pub refuse_over_limit: bool,
}

/// Requests that are not masked.
#[derive(Debug, Default)]
pub struct Spared {
    /// By the path of the request, without its query.
    pub paths: Globs,
    /// By the name of the connection.
    pub connections: Vec<String>,
}

/// How the approval service is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceProtocol {
    /// The HTTP contract of Envoy's `ext_authz`.
    Http,
    /// `envoy.service.auth.v3.Authorization/Check`.
    Grpc,
}

/// Who is asked for approvals, over the contract of Envoy's `ext_authz`.
#[derive(Debug)]
pub struct ApprovalService {
    /// HTTP or gRPC.
    pub protocol: ServiceProtocol,
    /// Envoy cluster.
    pub cluster: String,
    /// `:authority` of the check.
    pub authority: String,
    /// Put before the original path.
    pub path_prefix: String,
    /// Claims of the caller that it is told, beside subject, address and groups.
    pub claims: Vec<String>,
    /// Bearer token that shows the gateway to the service.
    pub credential: Option<Secret>,
    /// Milliseconds that one question may take, where that is less than the hold.
    pub timeout_ms: Option<u64>,
    /// Request headers that the service is shown, lower case.
    pub request_headers: Vec<String>,
    /// Headers of an HTTP service's yes that are put on the request, lower case.
    pub upstream_headers: Vec<String>,
}

/// Where records go.
#[derive(Debug)]
pub struct Audit {
    /// Envoy cluster.
    pub cluster: String,
    /// `:authority` of the deliveries.
    pub authority: String,
    /// Path of the OTLP/HTTP logs endpoint.
    pub path: String,
    /// Bearer token that shows the gateway to the sink.
    pub credential: Option<Secret>,
    /// Whether a request waits for its record.
    pub delivery: Delivery,
    /// Bytes of a request body that a record keeps.
    pub capture_request: usize,
    /// Bytes of a response body that a record keeps.
    pub capture_response: usize,
    /// Headers of requests and responses that a record keeps, in lower case.
    pub capture_headers: Vec<String>,
    /// Records that a worker queues at most.
    pub queue: usize,
    /// Milliseconds that a strict request waits for its record.
    pub timeout_ms: u64,
}

/// Whether a request waits for its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Nothing is forwarded before its request record is acknowledged.
    Strict,
    /// Records follow; what is dropped is counted.
    BestEffort,
}

/// Sizes up to which the engine reads.
#[derive(Debug)]
pub struct Limits {
    /// Bytes of a request body that has to be judged or masked whole.
    pub request_body: usize,
    /// Bytes of a request that may wait in Envoy's buffer, beyond what is read: a pack behind its
    /// commands while a person is asked. Must be below Envoy's own buffer limit.
    pub waiting_body: usize,
    /// Milliseconds to wait for the first byte of a body on a worker where Envoy has not yet shown
    /// that it delivers bodies to a paused filter.
    pub first_body_ms: u64,
    /// Questions that one identity may have open at the approval service.
    pub open_approvals: u64,
    /// Bytes of an answer that is held until a person has seen it.
    pub held_response: usize,
}

impl Policy {
    /// Whether any rule asks in which repository or on which ref something happens.
    pub fn names_places(&self) -> bool {
        let asks = |rule: &Rule| {
            let condition = &rule.condition;
            [&condition.repos, &condition.owners, &condition.refs]
                .iter()
                .any(|globs| !globs.is_empty())
                || rule.except.iter().any(|except| {
                    [&except.repos, &except.owners, &except.refs]
                        .iter()
                        .any(|globs| !globs.is_empty())
                })
        };
        self.rules.iter().any(asks)
    }

    /// The connection that serves a host and path: the longest path prefix wins, then the order of
    /// the document.
    pub fn connection_index(&self, host: &str, path: &str) -> Option<usize> {
        let depth = |c: &Connection| {
            c.path_prefixes
                .iter()
                .filter(|p| under(path, p))
                .map(|p| p.len())
                .max()
                .unwrap_or(0)
        };
        // `max_by_key` gives the last of equals; reversed, that is the first of the document.
        let serving = self
            .connections
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, c)| c.serves(host, path));
        serving
            .max_by_key(|(_, c)| depth(c))
            .map(|(index, _)| index)
    }

    /// The answer to what could not be decided.
    pub fn undecided_action(&self, reason: Reason) -> Action {
        self.undecided.get(&reason).copied().unwrap_or(Action::Deny)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_at_a_slash() {
        assert!(under("/api/v3/repos?x=1", "/api/v3/"));
        assert!(under("/api/v3", "/api/v3/"));
        assert!(!under("/api/v30/repos", "/api/v3"));
        assert!(!under("/apiary?/api/v3/", "/api/v3"));
    }

    #[test]
    fn secrets_are_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("s3cret".into())), "[redacted]");
    }
}

//! Protocols: from a request to the operations it stands for.
//!
//! A protocol is one module with one unit struct that is a [`Protocol`]: what it needs of the body,
//! and head and body in, [`Judged`] out. A connection of the policy names its protocol; nothing here
//! knows hosts, rules or identities. What cannot be read in exactly one way is [`Undecided`], never a
//! guess.
//!
//! | module   | config name | reads |
//! |----------|-------------|-------|
//! | `http`   | `http`      | method, host, path, query |
//! | `github` | `github`    | REST by a table, GraphQL by its document |
//! | `git`    | `git`       | smart HTTP: push commands; LFS |
//! | `openai` | `openai`    | chat, responses, completions, messages; `/mcp` is `mcp` |
//! | `mcp`    | `mcp`       | JSON-RPC `tools/call` |
//!
//! To add one: its module, and its line in the list of [`ProtocolKind`].
//!
//! # Names of operations
//! A name is `area.verb` and names an effect. Other names of the same thing are aliases, and a rule
//! may use any of them. What moves a ref goes by the door it came through (`ref.push` for git,
//! `ref.create`, `ref.update`, `ref.delete` for the API), and each carries the other names as
//! aliases, so that a rule on one holds for all. A write that no table knows is
//! `<area>.unknown_write` ([`Operation::is_unknown_write`]).
//!
//! Merging a pull request is `pr.merge` and not `ref.update`: it is the reviewed way to a branch and
//! policies treat it apart. A push has unknown paths until its pack is read, and is not
//! `content.write`: a rule about files names both, as the examples do.

mod body;
pub mod edits;
mod fields;
pub mod git;
pub mod github;
mod http;
pub mod mcp;
mod openai;
mod second_method;
mod vocabulary;

use serde_json::Value;

use github::nodes::{Lesson, Nodes};
pub use vocabulary::{Facets, Vocabulary, vocabulary};

use crate::denial::DenialStyle;
use crate::head::RequestHead;
use crate::operation::{Operation, Target};
use crate::path::RequestPath;
use crate::reason::Reason;

/// How the requests of one kind of system are read.
pub(crate) trait Protocol: Sync {
    /// The name in the policy file.
    fn name(&self) -> &'static str;

    /// What must be read of the body before [`Protocol::judge`] can be asked.
    fn body_need(&self, head: &RequestHead, path: &RequestPath) -> BodyNeed;

    /// The operations of a request.
    fn judge(&self, request: &Request<'_>) -> Result<Judged, Fault>;

    /// The style of a denial that is given before the body is there. Without a path (it has two
    /// readings, or has not been read) it is the one that most clients of the protocol read.
    fn style(&self, head: &RequestHead, path: Option<&RequestPath>) -> DenialStyle;
}

/// What a protocol is given.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The head as it came.
    pub head: &'a RequestHead,
    /// Its path, as the upstream will see it.
    pub path: &'a RequestPath,
    /// What [`body_need`] asked for: the whole body, or at least the commands of a push.
    pub body: &'a [u8],
    /// What is known beside the request.
    pub context: Context<'a>,
}

/// What is known of the system that a request goes to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    /// The connection's name in the policy.
    pub connection: &'a str,
    /// The MCP server behind it, as the policy names it; `github` is GitHub's.
    pub mcp_server: Option<&'a str>,
    /// What is known of GitHub's node ids.
    pub nodes: Option<&'a Nodes>,
}

/// Lists the protocols: one line each.
macro_rules! protocols {
    ($($(#[$doc:meta])* $kind:ident => $protocol:expr,)*) => {
        /// The protocol of a connection.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ProtocolKind {
            $($(#[$doc])* $kind,)*
        }

        impl ProtocolKind {
            /// Every protocol.
            pub const ALL: &'static [ProtocolKind] = &[$(ProtocolKind::$kind,)*];

            fn protocol(self) -> &'static dyn Protocol {
                match self {
                    $(ProtocolKind::$kind => &$protocol,)*
                }
            }
        }
    };
}

protocols! {
    /// Any HTTP API.
    Http => http::Http,
    /// GitHub's REST and GraphQL API.
    GitHub => github::GitHub,
    /// git over HTTPS, with Git LFS.
    Git => git::Git,
    /// Model routes of Copilot, OpenAI and Anthropic.
    OpenAi => openai::OpenAi,
    /// Model Context Protocol over streamable HTTP.
    Mcp => mcp::Mcp,
}

impl ProtocolKind {
    /// The name in the policy file.
    pub fn name(self) -> &'static str {
        self.protocol().name()
    }

    /// The protocol of that name.
    pub fn from_name(name: &str) -> Option<ProtocolKind> {
        ProtocolKind::ALL
            .iter()
            .copied()
            .find(|kind| kind.name() == name)
    }
}

/// How much of the body the operations depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyNeed {
    /// Nothing: the head decides.
    None,
    /// All of it.
    Whole,
    /// The pkt-lines up to the flush ([`git::GitCommands`] tells where); the pack behind it streams.
    GitCommands,
}

/// A request that has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What it does; never empty.
    pub operations: Vec<Operation>,
    /// How its caller reads a denial.
    pub style: DenialStyle,
    /// The model it asks for.
    pub model: Option<String>,
    /// What is read of its answer.
    pub answer: Answer,
}

/// What is read of the answer on its way back, beside masking and capturing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// Nothing.
    #[default]
    AsIs,
    /// The tools in the answers to these JSON-RPC requests: those that the caller may not use can be
    /// left out.
    Tools {
        /// Their ids.
        ids: Vec<Value>,
        /// Whether they are those of GitHub's server.
        github: bool,
    },
    /// Which repositories GitHub's node ids in it are of.
    Nodes(Lesson),
}

impl Judged {
    fn new(operations: Vec<Operation>, style: DenialStyle) -> Self {
        Judged {
            operations,
            style,
            model: None,
            answer: Answer::AsIs,
        }
    }
}

/// A request whose operations are not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// Why not.
    pub reason: Reason,
    /// What exactly: the offending part by name, never by value.
    pub detail: String,
    /// How its caller reads a denial.
    pub style: DenialStyle,
}

/// [`Undecided`] before the style is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    reason: Reason,
    detail: String,
}

impl Fault {
    fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Fault {
            reason,
            detail: detail.into(),
        }
    }

    fn unreadable(detail: impl Into<String>) -> Self {
        Fault::new(Reason::BodyUnreadable, detail)
    }
}

/// What must be read of the body before [`operations`] can be asked.
pub fn body_need(kind: ProtocolKind, head: &RequestHead, path: &RequestPath) -> BodyNeed {
    if refused_by_head(head, path).is_some() {
        return BodyNeed::None;
    }
    let need = kind.protocol().body_need(head, path);
    if need == BodyNeed::None && second_method::may_be_in_body(kind, head) {
        return BodyNeed::Whole;
    }
    need
}

/// The operations of a request to a system of which nothing more is known. A body that is not there
/// and an empty one mean the same.
///
/// # Errors
/// [`Undecided`] when the request can not be read, or could be read in two ways.
pub fn operations(
    kind: ProtocolKind,
    head: &RequestHead,
    path: &RequestPath,
    body: Option<&[u8]>,
) -> Result<Judged, Undecided> {
    let request = Request {
        head,
        path,
        body: body.unwrap_or_default(),
        context: Context::default(),
    };
    judge(kind, &request)
}

/// The operations of a request.
///
/// # Errors
/// [`Undecided`] when the request can not be read, or could be read in two ways.
pub fn judge(kind: ProtocolKind, request: &Request<'_>) -> Result<Judged, Undecided> {
    let refused = refused_by_head(request.head, request.path)
        .or_else(|| second_method::in_body(kind, request.head, request.body));
    let judged = match refused {
        Some(fault) => Err(fault),
        None => kind.protocol().judge(request),
    };
    judged.map_err(|fault| Undecided {
        reason: fault.reason,
        detail: fault.detail,
        style: head_style(kind, request.head, Some(request.path)),
    })
}

/// The body as JSON, for rules that ask for its fields; `None` if it cannot be read as that in
/// exactly one way.
pub(crate) fn json_body(head: &RequestHead, body: &[u8]) -> Option<serde_json::Value> {
    body::read_json(head, body).ok()
}

/// The style of a denial that is given before the body is there: no token, no connection, a path
/// with two readings (`path` is then `None`).
pub fn head_style(
    kind: ProtocolKind,
    head: &RequestHead,
    path: Option<&RequestPath>,
) -> DenialStyle {
    kind.protocol().style(head, path)
}

/// Whether [`operations`] refuses the request whatever its body is: there is no need to wait for it.
pub fn is_refused_by_head(head: &RequestHead, path: &RequestPath) -> bool {
    refused_by_head(head, path).is_some()
}

/// What would make any reading of the request worthless.
fn refused_by_head(head: &RequestHead, path: &RequestPath) -> Option<Fault> {
    if head.headers.contains("upgrade") || head.method.eq_ignore_ascii_case("CONNECT") {
        return Some(Fault::new(
            Reason::UpgradeRefused,
            "the request asks for another protocol",
        ));
    }
    second_method::in_head(head, path)
}

/// GET, HEAD and OPTIONS change nothing (RFC 9110, section 9.2.1).
fn is_read(method: &str) -> bool {
    ["GET", "HEAD", "OPTIONS"]
        .iter()
        .any(|read| method.eq_ignore_ascii_case(read))
}

/// `owner/name` in lower case without `.git`. A name that GitHub would not give to a repository
/// could be read as something else, and proves nothing.
fn repo_target(owner: &str, name: &str) -> Target {
    let plain = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    let owner = owner.to_ascii_lowercase();
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix(".git").unwrap_or(&name);
    if plain(&owner) && plain(name) && !name.ends_with(".git") {
        Target::Known(format!("{owner}/{name}"))
    } else {
        Target::Any
    }
}

/// `refs/heads/<branch>`, or any where `branch` is no plain branch name. `refs/heads/x`, `heads/x`
/// and `HEAD` are resolved by some endpoints and taken literally by others.
fn branch_target(branch: &str) -> Target {
    let resolvable = ["refs/", "heads/", "tags/", "remotes/"]
        .iter()
        .any(|prefix| branch.starts_with(prefix));
    if resolvable || branch.eq_ignore_ascii_case("HEAD") {
        return Target::Any;
    }
    ref_target(format!("refs/heads/{branch}"))
}

/// `name` if it is a full and valid ref name, else any.
fn ref_target(name: String) -> Target {
    if git::is_ref_name(&name) && !name.starts_with("refs/refs/") {
        Target::Known(name)
    } else {
        Target::Any
    }
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;

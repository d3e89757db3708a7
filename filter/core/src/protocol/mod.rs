//! Protocols: from a request to the operations it stands for.
//!
//! A protocol is one module with two functions: what it needs of the body, and head and body in,
//! [`Judged`] out. A connection of the policy names its protocol; nothing here knows hosts, rules or
//! identities. What cannot be read in exactly one way is [`Undecided`], never a guess.
//!
//! | module   | config name | reads |
//! |----------|-------------|-------|
//! | `http`   | `http`      | method, host, path, query |
//! | `github` | `github`    | REST by a table, GraphQL by its document |
//! | `git`    | `git`       | smart HTTP: push commands; LFS |
//! | `openai` | `openai`    | chat, responses, completions, messages; `/mcp` is `mcp` |
//! | `mcp`    | `mcp`       | JSON-RPC `tools/call` |
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
mod fields;
pub mod git;
pub mod github;
mod http;
mod mcp;
mod openai;

use crate::denial::DenialStyle;
use crate::head::RequestHead;
use crate::operation::{Operation, Target};
use crate::path::RequestPath;
use crate::reason::Reason;

/// The protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProtocolKind {
    /// Any HTTP API.
    Http,
    /// GitHub's REST and GraphQL API.
    GitHub,
    /// git over HTTPS, with Git LFS.
    Git,
    /// Model routes of Copilot, OpenAI and Anthropic.
    OpenAi,
    /// Model Context Protocol over streamable HTTP.
    Mcp,
}

impl ProtocolKind {
    /// Every protocol.
    pub const ALL: &'static [ProtocolKind] = &[
        ProtocolKind::Http,
        ProtocolKind::GitHub,
        ProtocolKind::Git,
        ProtocolKind::OpenAi,
        ProtocolKind::Mcp,
    ];

    /// The name in the policy file.
    pub fn name(self) -> &'static str {
        match self {
            ProtocolKind::Http => "http",
            ProtocolKind::GitHub => "github",
            ProtocolKind::Git => "git",
            ProtocolKind::OpenAi => "openai",
            ProtocolKind::Mcp => "mcp",
        }
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
}

impl Judged {
    fn new(operations: Vec<Operation>, style: DenialStyle) -> Self {
        Judged {
            operations,
            style,
            model: None,
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
    match spoken(kind, path) {
        ProtocolKind::Http => BodyNeed::None,
        ProtocolKind::GitHub => github::body_need(head, path),
        ProtocolKind::Git => git::body_need(head, path),
        ProtocolKind::OpenAi => openai::body_need(head, path),
        ProtocolKind::Mcp => mcp::body_need(head),
    }
}

/// The operations of a request. `body` is what [`body_need`] asked for: the whole body, or at least
/// the commands of a push; `None` and empty mean the same.
///
/// # Errors
/// [`Undecided`] when the request can not be read, or could be read in two ways.
pub fn operations(
    kind: ProtocolKind,
    head: &RequestHead,
    path: &RequestPath,
    body: Option<&[u8]>,
) -> Result<Judged, Undecided> {
    let body = body.unwrap_or_default();
    let judged = match refused_by_head(head, path) {
        Some(fault) => Err(fault),
        None => match spoken(kind, path) {
            ProtocolKind::Http => Ok(http::judge(head, path)),
            ProtocolKind::GitHub => github::judge(head, path, body),
            ProtocolKind::Git => git::judge(head, path, body),
            ProtocolKind::OpenAi => openai::judge(head, path, body),
            ProtocolKind::Mcp => mcp::judge(head, body),
        },
    };
    judged.map_err(|fault| Undecided {
        reason: fault.reason,
        detail: fault.detail,
        style: head_style(kind, head, Some(path)),
    })
}

/// The style of a denial that is given before the body is there: no token, no connection, a path
/// with two readings (`path` is then `None`).
pub fn head_style(
    kind: ProtocolKind,
    head: &RequestHead,
    path: Option<&RequestPath>,
) -> DenialStyle {
    let Some(path) = path else {
        return match kind {
            ProtocolKind::Http => DenialStyle::Plain,
            ProtocolKind::GitHub => DenialStyle::GitHubRest,
            ProtocolKind::Git => DenialStyle::GitInfoRefs,
            ProtocolKind::OpenAi => DenialStyle::OpenAi,
            ProtocolKind::Mcp => mcp::style(Vec::new(), false),
        };
    };
    match spoken(kind, path) {
        ProtocolKind::Http => DenialStyle::Plain,
        ProtocolKind::GitHub => github::style(path),
        ProtocolKind::Git => git::style(head, path),
        ProtocolKind::OpenAi => DenialStyle::OpenAi,
        ProtocolKind::Mcp => mcp::style(Vec::new(), false),
    }
}

/// Copilot's host serves GitHub's MCP server under `/mcp`.
fn spoken(kind: ProtocolKind, path: &RequestPath) -> ProtocolKind {
    match kind {
        ProtocolKind::OpenAi if openai::is_mcp(path) => ProtocolKind::Mcp,
        other => other,
    }
}

/// Whether [`operations`] refuses the request whatever its body is: there is no need to wait for it.
pub fn is_refused_by_head(head: &RequestHead, path: &RequestPath) -> bool {
    refused_by_head(head, path).is_some()
}

/// What would make any reading of the request worthless.
fn refused_by_head(head: &RequestHead, path: &RequestPath) -> Option<Fault> {
    const OVERRIDES: [&str; 3] = [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
    ];
    if head.headers.contains("upgrade") || head.method.eq_ignore_ascii_case("CONNECT") {
        return Some(Fault::new(
            Reason::UpgradeRefused,
            "the request asks for another protocol",
        ));
    }
    if let Some(name) = OVERRIDES.iter().find(|name| head.headers.contains(name)) {
        return Some(Fault::new(
            Reason::HeaderAmbiguous,
            format!("{name} names a second method"),
        ));
    }
    let names_method = |(name, _): &(String, String)| name == "_method";
    if path.query().iter().any(names_method) {
        return Some(Fault::new(
            Reason::PathAmbiguous,
            "_method names a second method",
        ));
    }
    None
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

//! Denials in the caller's own protocol.
//!
//! What each client shows and what it hides was seen with the real clients: git hides the body of a
//! 403 on a push, the Copilot clients turn 401 and 403 into "run /login", PyGithub resends whatever
//! comes with `Retry-After`. So one reason has one text and one set of facts, and the style of the
//! caller decides status and shape.
//!
//! Rule texts and reviewers' reasons are written by people, refs and tool names by the caller: every
//! text passes [`text::clean`] before it is framed.

mod git;
mod json;
mod text;

use std::borrow::Cow;

use serde_json::Value;

use crate::reason::{Class, Reason};

/// How the caller reads a denial.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DenialStyle {
    /// GitHub's REST shape: a status and `{"message": …}`. Other JSON APIs read it as well.
    GitHubRest,
    /// 200 with `errors[]`.
    GraphQl,
    /// git's first request, and its fetches: 403 with plain text, 401 for the credential helper.
    GitInfoRefs,
    /// git's push: 200 with a report that refuses every ref.
    GitReceivePack {
        /// The client asked for `side-band-64k`: the text can be shown apart from the report.
        side_band: bool,
        /// Every ref of the push, each of which needs a line of its own.
        refs: Vec<String>,
    },
    /// OpenAI's error object; 451 where 401 and 403 would be misread.
    OpenAi,
    /// JSON-RPC.
    Mcp {
        /// The requests of the body that await an answer.
        calls: Vec<McpCall>,
        /// The body was an array, and so is the answer.
        batch: bool,
    },
    /// Status and one line of text.
    #[default]
    Plain,
}

/// One JSON-RPC request that awaits an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpCall {
    /// Its `id`, as sent.
    pub id: Value,
    /// Whether it is `tools/call`: its denial is a result with `isError`, which reaches the model.
    pub tool: bool,
}

/// Everything a denial says.
#[derive(Clone, Copy, Debug)]
pub struct Denial<'a> {
    /// Why.
    pub reason: Reason,
    /// The rule that decided.
    pub rule: Option<&'a str>,
    /// The text of the rule or of the reviewer; [`Reason::text`] when empty.
    pub text: &'a str,
    /// What exactly could not be read or was wrong, from a closed vocabulary.
    pub detail: Option<&'a str>,
    /// The exchange's id, by which people find its record.
    pub exchange: &'a str,
    /// The open approval, if there is one.
    pub ticket: Option<TicketInfo<'a>>,
    /// The realm that a caller without a token is asked to sign in to.
    pub realm: &'a str,
}

/// An approval that somebody may still give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketInfo<'a> {
    /// Its id.
    pub id: &'a str,
    /// Where a person finds it.
    pub url: &'a str,
    /// When it ends, in seconds since 1970.
    pub expires: u64,
}

/// A whole local response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Header names are lower case, values printable ASCII.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// Body bytes; `content-length` is left to the host.
    pub body: Vec<u8>,
}

/// The response that tells this caller about this denial.
pub fn render(style: &DenialStyle, denial: &Denial<'_>) -> Reply {
    let mut reply = match style {
        DenialStyle::GitHubRest => json::rest(denial),
        DenialStyle::GraphQl => json::graphql(denial),
        DenialStyle::GitInfoRefs => plain(denial, git_status(denial.reason)),
        DenialStyle::GitReceivePack { side_band, refs } => {
            // Before the token is known git must see the 401, or it never asks its helper.
            if denial.reason.status() == 401 {
                plain(denial, 401)
            } else {
                git::receive_pack(denial, *side_band, refs)
            }
        }
        DenialStyle::OpenAi => json::openai(denial),
        DenialStyle::Mcp { calls, batch } => json::mcp(denial, calls, *batch),
        DenialStyle::Plain => plain(denial, denial.reason.status()),
    };
    let git = matches!(
        style,
        DenialStyle::GitInfoRefs | DenialStyle::GitReceivePack { .. }
    );
    if reply.status == 401 {
        reply
            .headers
            .push(("www-authenticate".into(), challenge(denial, git)));
    }
    reply.headers.extend([
        ("cache-control".into(), "no-store".to_owned()),
        (
            "x-countersign-reason".into(),
            denial.reason.code().to_owned(),
        ),
        (
            "x-countersign-exchange".into(),
            text::header(denial.exchange, 128),
        ),
    ]);
    reply
}

fn plain(denial: &Denial<'_>, status: u16) -> Reply {
    Reply {
        status,
        headers: vec![(
            "content-type".into(),
            "text/plain; charset=utf-8".to_owned(),
        )],
        body: format!("{}\n", text::lines(denial).join("\n")).into_bytes(),
    }
}

/// git takes a 404 for a repository that is not there.
fn git_status(reason: Reason) -> u16 {
    match (reason.class(), reason.status()) {
        (_, 401) => 401,
        (Class::Denied | Class::Waiting, _) => 403,
        (Class::Undecided, status) => status,
    }
}

/// RFC 6750, section 3: no error code when no token came. git's credential helpers only answer to
/// Basic (RFC 7617).
fn challenge(denial: &Denial<'_>, git: bool) -> String {
    let realm = text::quoted(denial.realm);
    if git {
        return format!("Basic realm=\"{realm}\"");
    }
    let error = match denial.reason {
        Reason::TokenMissing => return format!("Bearer realm=\"{realm}\""),
        Reason::TokenAmbiguous => "invalid_request",
        _ => "invalid_token",
    };
    let description = match denial.detail {
        Some(detail) => format!("{} ({detail})", denial.reason.text()),
        None => denial.reason.text().to_owned(),
    };
    format!(
        "Bearer realm=\"{realm}\", error=\"{error}\", error_description=\"{}\"",
        text::quoted(&description)
    )
}

#[cfg(test)]
#[path = "denial_tests.rs"]
mod tests;

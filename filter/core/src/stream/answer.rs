//! What is read of an answer because of what was asked, before it is masked.

use super::Stream;
use crate::head::ResponseHead;
use crate::mask::Format;
use crate::policy::{self, Body};
use crate::protocol::mcp::{self, Narrowing};
use crate::protocol::{Answer, Request};

/// A reader of the answer's bytes; it may change them.
#[derive(Debug)]
pub(super) enum Reader {
    /// Leaves out of `tools/list` what its caller may not use.
    Tools(Narrowing),
}

impl Reader {
    /// Bytes that wait for what follows them.
    pub(super) fn held(&self) -> usize {
        match self {
            Reader::Tools(narrowing) => narrowing.held(),
        }
    }
}

impl Stream {
    /// Whether the answer is read for what was asked.
    pub(super) fn reads_answer(&self) -> bool {
        match &self.answer {
            Answer::AsIs => false,
            Answer::Tools { .. } => {
                self.caller.is_some() && self.connection().is_some_and(|c| c.mcp.narrow_tools)
            }
        }
    }

    /// The reader for an answer with this head, if there is one.
    pub(super) fn answer_reader(&self, head: &ResponseHead, format: Format) -> Option<Reader> {
        if !self.reads_answer() || head.headers.is_encoded() {
            return None;
        }
        match (&self.answer, format) {
            (Answer::Tools { ids, .. }, Format::EventStream | Format::Json) => {
                let events = format == Format::EventStream;
                Some(Reader::Tools(Narrowing::new(ids.clone(), events)))
            }
            (Answer::AsIs | Answer::Tools { .. }, _) => None,
        }
    }

    /// Takes new bytes of the answer and gives what may go on.
    pub(super) fn read_answer(&mut self, bytes: &[u8], last: bool) -> Option<Vec<u8>> {
        let mut reader = self.response.reader.take()?;
        let mut out = Vec::with_capacity(bytes.len());
        match &mut reader {
            Reader::Tools(narrowing) => {
                let mut keeps = |tool: &str| !self.never_allowed(tool);
                if narrowing.push(bytes, last, &mut keeps, &mut out).is_err() {
                    self.not_captured
                        .push("tools/list: too large to be narrowed".to_owned());
                }
            }
        }
        self.response.reader = Some(reader);
        Some(out)
    }

    /// Whether this caller's calls of a tool are denied whatever their arguments are.
    fn never_allowed(&self, tool: &str) -> bool {
        let Answer::Tools { github, .. } = self.answer else {
            return false;
        };
        let (Some(connection), Some(identity), Some(path)) =
            (self.connection(), self.identity(), &self.path)
        else {
            return false;
        };
        let request = Request {
            head: &self.head,
            path,
            body: &[],
            context: connection.context(),
        };
        let variants = mcp::tool_variants(&request, github, tool);
        let request = policy::Request::new(
            identity,
            connection,
            &self.head,
            Body::Unread,
            self.started.seconds(),
        );
        let denied = |operation| self.policy.denies_any(&request, operation);
        !variants.is_empty() && variants.iter().all(|all| all.iter().any(denied))
    }

    /// The tools that were left out, for the record.
    pub(super) fn hidden_tools(&self) -> &[String] {
        match &self.response.reader {
            Some(Reader::Tools(narrowing)) => narrowing.removed(),
            None => &[],
        }
    }
}

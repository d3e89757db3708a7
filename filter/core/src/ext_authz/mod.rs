//! Asking an authorisation service the way Envoy's own `ext_authz` filter does, over HTTP or gRPC.
//!
//! Three outcomes, as there: allowed, denied, and *could not be asked*. Both protocols come to the
//! same [`Check`]; what a reviewer's answer means is [`crate::approval`]'s matter.
//!
//! An approval is bound to what was asked. So a yes may set, add to or remove headers, but not what
//! says where the request goes or how its body is read: an answer that wants to is not understood.

mod change;
mod grpc;
mod http;
pub mod messages;

pub use change::{Change, How, Refusal, names_content};
pub use grpc::{METHOD_PATH, envoy_service};

use crate::effect::{Call, CallAnswer};
use crate::head::{Headers, RequestHead};
use crate::policy::{ApprovalService, ServiceProtocol};

/// The extension of a `CheckRequest` in which this gateway's whole question travels, as JSON.
pub const QUESTION: &str = "countersign.question";

/// What is asked about.
#[derive(Debug)]
pub struct Subject<'a> {
    /// The exchange that waits.
    pub exchange: &'a str,
    /// The verified caller.
    pub principal: &'a str,
    /// Its address.
    pub client: &'a str,
    /// The request.
    pub head: &'a RequestHead,
    /// Size of its body.
    pub body_size: usize,
    /// Unix seconds.
    pub now_s: u64,
    /// The whole question, as JSON.
    pub question: String,
    /// Headers for a Countersign console.
    pub facts: Vec<(&'static str, String)>,
    /// Milliseconds until the answer has to be there.
    pub timeout_ms: u64,
}

/// What the service said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// Yes: go on, with these changes.
    Ok {
        /// What it says of its decision (`x-countersign-*`).
        facts: Headers,
        /// To the request.
        request: Vec<Change>,
        /// To the answer.
        response: Vec<Change>,
    },
    /// No, and what the caller is to be told.
    Denied(Refusal),
    /// Neither: it could not be asked, could not decide, or was not understood.
    Error {
        /// For the log and the record.
        why: String,
        /// Whether asking again can help.
        again: bool,
    },
}

impl Check {
    fn unclear(why: impl Into<String>) -> Self {
        Check::Error {
            why: why.into(),
            again: false,
        }
    }
}

/// The call that asks.
pub fn ask(service: &ApprovalService, subject: Subject) -> Call {
    match service.protocol {
        ServiceProtocol::Http => http::ask(service, subject),
        ServiceProtocol::Grpc => grpc::ask(service, subject),
    }
}

/// Reads the answer.
pub fn read(service: &ApprovalService, answer: &CallAnswer) -> Check {
    match service.protocol {
        ServiceProtocol::Http => http::read(service, answer),
        ServiceProtocol::Grpc => grpc::read(answer),
    }
}

/// The answer that nobody has decided yet, as a console gives it: for programs that want to know what
/// a caller is told then.
pub fn undecided(protocol: ServiceProtocol) -> CallAnswer {
    let decision = ("x-countersign-decision", "pending");
    match protocol {
        ServiceProtocol::Http => CallAnswer {
            status: Some(403),
            headers: Headers::new(vec![(
                decision.0.to_owned(),
                decision.1.as_bytes().to_vec(),
            )]),
            ..CallAnswer::default()
        },
        ServiceProtocol::Grpc => grpc::refusal(&[decision]),
    }
}

/// The request's headers that the policy shows to the service, as text.
fn shown<'a>(
    service: &'a ApprovalService,
    head: &'a RequestHead,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let names = service.request_headers.iter();
    names.filter_map(|name| Some((name.as_str(), head.headers.text(name)?)))
}

#[cfg(test)]
#[path = "ext_authz_tests.rs"]
mod tests;

//! What a rule is compared with: one request, and each of its operations.

use std::cell::OnceCell;

use serde_json::Value;

use super::Connection;
use crate::head::RequestHead;
use crate::identity::Identity;
use crate::operation::{Operation, Target};
use crate::protocol;

/// One request of a known caller.
#[derive(Debug)]
pub struct Request<'a> {
    who: &'a Identity,
    connection: &'a Connection,
    head: &'a RequestHead,
    host: String,
    method: String,
    now_s: u64,
    body: Body<'a>,
    json: OnceCell<Option<Value>>,
}

/// The body, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// All of it; empty where there is none.
    Whole(&'a [u8]),
    /// Not read to its end: a pack, an upgrade.
    Unread,
}

impl<'a> Request<'a> {
    /// The request of `who` over `connection` at `now_s`, in seconds since 1970.
    pub fn new(
        who: &'a Identity,
        connection: &'a Connection,
        head: &'a RequestHead,
        body: Body<'a>,
        now_s: u64,
    ) -> Self {
        Request {
            who,
            connection,
            head,
            host: head.host(),
            method: head.method.to_ascii_uppercase(),
            now_s,
            body,
            json: OnceCell::new(),
        }
    }

    /// The caller.
    pub fn who(&self) -> &'a Identity {
        self.who
    }

    /// The connection it came over.
    pub fn connection(&self) -> &'a Connection {
        self.connection
    }

    /// Its host, lower case, without port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its method, upper case.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// When it came, in seconds since 1970.
    pub fn now_s(&self) -> u64 {
        self.now_s
    }

    /// Its body as JSON, read once and only if a rule asks; `None` where it cannot be read as that.
    /// A request without a body has no fields: that is JSON's `null`.
    pub(super) fn json(&self) -> Option<&Value> {
        let read = || match self.body {
            Body::Whole([]) => Some(Value::Null),
            Body::Whole(bytes) => protocol::json_body(self.head, bytes),
            Body::Unread => None,
        };
        self.json.get_or_init(read).as_ref()
    }
}

/// An operation, and what is derived from it once for all rules.
#[derive(Debug)]
pub(super) struct Facts<'o> {
    pub operation: &'o Operation,
    owner: OnceCell<Target>,
}

impl<'o> Facts<'o> {
    pub fn new(operation: &'o Operation) -> Self {
        Facts {
            operation,
            owner: OnceCell::new(),
        }
    }

    pub fn owner(&self) -> &Target {
        self.owner.get_or_init(|| self.operation.owner())
    }
}

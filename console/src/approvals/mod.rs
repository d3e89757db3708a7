//! Approvals: a held request asks, a person answers, and exactly one request goes through.
//!
//! The life of an approval:
//! ```text
//!            join, gone, ticket given            one answer goes out
//!   asked -> pending ---------------> approved ---------------------> consumed
//!               |  \                     |
//!               |   \--> refused         |   (a refusal stands until the ticket ends)
//!               \------------\-----------\--> expired, when the ticket ends or the policy changes
//! ```
//! Who has to agree is [`demand`]'s, who may is [`authority`]'s business. Every step is an entry of the
//! ledger and a row that stays; steps that people are told of wait as notices until they were sent.
//!
//! The database is the truth: an approval is consumed in the transaction before the answer that it
//! allows is sent, and only by the newest caller that asked. The [`desk`] only wakes callers up.

pub mod authority;
pub mod book;
pub mod command;
pub mod demand;
pub mod desk;
pub mod endpoint;
pub mod grpc;
pub mod limited;
pub mod others;
pub mod question;
pub mod words;

pub(crate) mod decide;
mod plain;
mod read;
mod terminal;

pub use authority::Authority;
pub use decide::{Choice, Decided, Refused as DecisionRefused, decide};
pub use desk::Desk;
pub use question::Question;
pub use read::{Approval, Event, Vote, events, find, list, of_repo, pending_count};

use crate::store::sql::{self, FromSql, ToSql, Value, ValueRef};

/// What an approval is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody has decided yet.
    Pending,
    /// Granted and not used yet.
    Approved,
    /// Refused; the same request is answered so until its ticket ends.
    Refused,
    /// Granted, and used by one request.
    Consumed,
    /// The ticket ended before the approval was used.
    Expired,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Approved,
        Self::Refused,
        Self::Consumed,
        Self::Expired,
    ];

    /// The word for it in the database and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Refused => "refused",
            Self::Consumed => "consumed",
            Self::Expired => "expired",
        }
    }

    /// Reads [`State::as_str`] back.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

impl ToSql for State {
    fn to_sql(&self) -> Value<'_> {
        Value::Text(self.as_str())
    }
}

impl FromSql for State {
    fn column_result(value: ValueRef<'_>) -> sql::Result<Self> {
        Self::from_word(value.as_str()?).ok_or_else(|| value.is_no("a state"))
    }
}

/// One step in an approval's life, each a row that stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A request was held and the question put.
    Asked,
    /// The same request came again and took the place of the caller before.
    Joined,
    /// The caller waited as long as it may and was given a ticket.
    Ticket,
    /// The caller's connection went away.
    Gone,
    /// A channel took a notice of a step.
    Notified,
    /// A channel did not, however often it was tried.
    NotNotified,
    /// A reviewer had it in front of him.
    Seen,
    /// A reviewer approved.
    Approved,
    /// Somebody let it through alone.
    BrokeGlass,
    /// A reviewer refused.
    Refused,
    /// The refused request came again within its ticket and was refused again.
    Repeated,
    /// One request went through.
    Consumed,
    /// The ticket ended.
    Expired,
    /// The gateway that asked has taken another policy.
    Outdated,
}

impl Step {
    /// Every step.
    pub const ALL: [Self; 14] = [
        Self::Asked,
        Self::Joined,
        Self::Ticket,
        Self::Gone,
        Self::Notified,
        Self::NotNotified,
        Self::Seen,
        Self::Approved,
        Self::BrokeGlass,
        Self::Refused,
        Self::Repeated,
        Self::Consumed,
        Self::Expired,
        Self::Outdated,
    ];

    /// The word for it in the database and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Joined => "joined",
            Self::Ticket => "ticket",
            Self::Gone => "gone",
            Self::Notified => "notified",
            Self::NotNotified => "not_notified",
            Self::Seen => "seen",
            Self::Approved => "approved",
            Self::BrokeGlass => "broke_glass",
            Self::Refused => "refused",
            Self::Repeated => "repeated",
            Self::Consumed => "consumed",
            Self::Expired => "expired",
            Self::Outdated => "outdated",
        }
    }
}

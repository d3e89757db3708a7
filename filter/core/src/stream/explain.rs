//! What a stream has read and decided, for people who ask why.

use super::Stream;
use crate::effect::Now;
use crate::operation::Operation;
use crate::policy::{self, Body, Matched, Rule};
use crate::protocol::BodyNeed;
use crate::reason::Reason;
use crate::record::Decision;

/// How one rule compares with each operation of a request.
#[derive(Debug)]
pub struct Comparison<'s> {
    /// The rule.
    pub rule: &'s Rule,
    /// One for each operation, in their order.
    pub matched: Vec<Matched>,
}

impl Stream {
    /// What the request does, as far as it has been read.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// What was decided so far.
    pub fn decision(&self) -> Decision {
        self.outcome.decision
    }

    /// Why it did not simply pass, and what exactly.
    pub fn reason(&self) -> Option<(Reason, &str)> {
        let reason = self.outcome.reason?;
        Some((reason, self.outcome.detail.as_str()))
    }

    /// The rule that decided.
    pub fn rule(&self) -> Option<&Rule> {
        let name = self.outcome.rule.as_ref()?;
        self.policy.rules.iter().find(|rule| rule.name == *name)
    }

    /// The connection of the policy that the request came over.
    pub fn over(&self) -> Option<&policy::Connection> {
        self.connection()
    }

    /// Every rule against every operation, for a request with this body. Empty where the request
    /// could not be read that far.
    pub fn comparisons(&self, body: &[u8], now: Now) -> Vec<Comparison<'_>> {
        let (Some(identity), Some(connection)) = (self.identity(), self.connection()) else {
            return Vec::new();
        };
        if self.operations.is_empty() {
            return Vec::new();
        }
        let request = policy::Request::new(
            identity,
            connection,
            &self.head,
            self.judged_body(body),
            now.seconds(),
        );
        let compare = |rule: &Rule| {
            let operations = self.operations.iter();
            operations.map(|o| rule.compare(&request, o)).collect()
        };
        self.policy
            .rules
            .iter()
            .map(|rule| Comparison {
                rule,
                matched: compare(rule),
            })
            .collect()
    }

    /// The body as rules may see it: what the plan for it has read.
    pub(super) fn judged_body<'b>(&self, body: &'b [u8]) -> Body<'b> {
        match self.need {
            BodyNeed::Whole => Body::Whole(body),
            BodyNeed::None if self.body_ended => Body::Whole(&[]),
            BodyNeed::None | BodyNeed::GitCommands => Body::Unread,
        }
    }
}

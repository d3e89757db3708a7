//! Rules: which operations they name, and the verdict over all of them.

use super::condition::{Condition, Except, Matched, Unknown};
use super::index::Applicable;
use super::request::{Facts, Request};
use super::{Action, Connection, Globs, Policy};
use crate::head::RequestHead;
use crate::operation::Operation;

/// One rule of the policy.
#[derive(Debug)]
pub struct Rule {
    /// Its name in records and denials.
    pub name: String,
    /// What it applies to.
    pub condition: Condition,
    /// Whom and what it leaves out; any of them is enough.
    pub except: Vec<Except>,
    /// What it does.
    pub action: Action,
    /// What it does when its repositories, owners or refs cannot be compared, because the request
    /// does not tell them.
    pub unknown_target: Action,
    /// The same for its paths.
    pub unknown_paths: Action,
    /// The same for the fields of the body.
    pub unknown_body: Action,
    /// What a denied caller reads.
    pub reason: Option<String>,
    /// Who is asked, and for how long.
    pub approval: Approval,
    /// Not the request waits but its answer, if that names one of these files; any answer if the list
    /// is empty.
    pub answer: Option<Globs>,
}

/// How an approval is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Who has to agree: all of these have to be met.
    pub demands: Vec<Demand>,
    /// Milliseconds that the live request is held; `None` as long as its client waits for sure
    /// ([`crate::patience`]).
    pub hold_ms: Option<u64>,
    /// Seconds for which an answer given later lets the identical retry pass.
    pub ticket_s: u64,
}

/// One thing that has to be met; any one of its consents meets it, and none where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// The rule that makes it; `None` for a default, which nobody can meet.
    pub rule: Option<String>,
    /// Ways to meet it.
    pub any_of: Vec<Consent>,
}

/// So many of these people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// Who may answer.
    pub reviewers: Reviewers,
    /// How many of them have to agree.
    pub min: u64,
}

/// Who may approve: whoever one of these lists names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reviewers {
    /// Members of any of these groups.
    pub groups: Vec<String>,
    /// These people.
    pub subjects: Vec<String>,
    /// People with one of these claims: patterns, as written.
    pub claims: Vec<(String, Vec<String>)>,
}

impl Default for Approval {
    fn default() -> Self {
        Approval {
            demands: vec![Demand::default()],
            hold_ms: None,
            ticket_s: 900,
        }
    }
}

impl Approval {
    /// What has to be met for both: the demands of each, within the shorter times.
    pub(crate) fn and(&mut self, other: &Approval) {
        self.demands.extend(other.demands.iter().cloned());
        self.hold_ms = match (self.hold_ms, other.hold_ms) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        self.ticket_s = self.ticket_s.min(other.ticket_s);
    }
}

/// The strictest answer over all operations and rules.
#[derive(Clone, Copy, Debug)]
pub struct Verdict<'p> {
    /// The answer.
    pub action: Action,
    /// The rule that gave it; `None` for a default.
    pub rule: Option<&'p Rule>,
    /// Whether it is the answer for writes that no table knows.
    pub unknown_write: bool,
    /// Whether it is the answer for reads that no table knows.
    pub unknown_read: bool,
    /// What the request does not tell, where the rule applies because of that.
    pub unknown: Unknown,
}

impl Policy {
    /// Judges all operations of one request. `deny` beats `require_approval` beats `allow`; between
    /// equals the first rule of the document is named.
    pub fn judge<'p>(&'p self, request: &Request, operations: &[Operation]) -> Verdict<'p> {
        let mut strictest: Option<Verdict<'p>> = None;
        let mut applicable = Applicable::new(&self.rules, &self.index);
        for operation in operations {
            let verdict = self.judge_one(request, operation, &mut applicable);
            if strictest.is_none_or(|known| verdict.action > known.action) {
                strictest = Some(verdict);
            }
        }
        strictest.unwrap_or_else(|| self.otherwise(request.connection(), None))
    }

    /// Who has to agree to a request that has to be approved: whoever any rule names that asks about
    /// one of its operations, each rule once. An operation about which nobody is named, because only a
    /// default asks or a rule without `approval`, can be approved by nobody.
    pub fn approval(&self, request: &Request, operations: &[Operation]) -> Approval {
        let mut naming: Vec<&Rule> = Vec::new();
        let mut nobody = operations.is_empty();
        let mut applicable = Applicable::new(&self.rules, &self.index);
        for operation in operations {
            let verdict = self.judge_one(request, operation, &mut applicable);
            if verdict.action != Action::RequireApproval {
                continue;
            }
            let facts = Facts::new(operation);
            let asks = |rule: &&Rule| match rule.compare_operation(request, &facts) {
                Matched::No(_) => false,
                Matched::Yes => rule.action == Action::RequireApproval,
                Matched::Unknown(unknown) => rule.answer_to(unknown) == Action::RequireApproval,
            };
            let named: Vec<&Rule> = applicable
                .to(request, operation)
                .iter()
                .copied()
                // One that holds the answer asks about that, later.
                .filter(|rule| rule.answer.is_none())
                .filter(asks)
                .filter(|rule| rule.approval.demands.iter().any(|d| !d.any_of.is_empty()))
                .collect();
            nobody |= named.is_empty();
            naming.extend(named);
        }
        let mut all: Option<Approval> = nobody.then(Approval::default);
        let mut seen: Vec<&str> = Vec::new();
        for rule in naming {
            if seen.contains(&rule.name.as_str()) {
                continue;
            }
            seen.push(&rule.name);
            match &mut all {
                None => all = Some(rule.approval.clone()),
                Some(all) => all.and(&rule.approval),
            }
        }
        all.unwrap_or_default()
    }

    /// Judges one operation.
    ///
    /// A rule that only might apply (something it names is not told) restrains, and never takes the
    /// place of the default: no rule but one that says `allow` or `require_approval`, and plainly
    /// applies, lets anything through that the default refuses.
    fn judge_one<'p, 'o>(
        &'p self,
        request: &Request,
        operation: &'o Operation,
        applicable: &mut Applicable<'p, 'o>,
    ) -> Verdict<'p> {
        let facts = Facts::new(operation);
        let mut plain: Option<Verdict<'p>> = None;
        let mut maybe: Option<Verdict<'p>> = None;
        let rules = applicable.to(request, operation).iter();
        for &rule in rules.filter(|rule| rule.answer.is_none()) {
            let (action, unknown) = match rule.compare_operation(request, &facts) {
                Matched::No(_) => continue,
                Matched::Yes => (rule.action, Unknown::default()),
                Matched::Unknown(unknown) => (rule.answer_to(unknown), unknown),
            };
            let strictest = match unknown.is_none() {
                true => &mut plain,
                false => &mut maybe,
            };
            if strictest.is_none_or(|known| action > known.action) {
                *strictest = Some(Verdict {
                    action,
                    rule: Some(rule),
                    unknown_write: false,
                    unknown_read: false,
                    unknown,
                });
            }
        }
        let plain = plain.unwrap_or_else(|| self.otherwise(request.connection(), Some(operation)));
        match maybe {
            Some(maybe) if maybe.action > plain.action => maybe,
            _ => plain,
        }
    }

    /// Whether the operation is denied whatever its targets are, which it leaves open: by a rule that
    /// does not ask for them, or because no rule that could let it through is within its reach.
    pub fn denies_any(&self, request: &Request, operation: &Operation) -> bool {
        let mut applicable = Applicable::new(&self.rules, &self.index);
        let verdict = self.judge_one(request, operation, &mut applicable);
        if verdict.action != Action::Deny || !verdict.unknown.is_none() {
            return false;
        }
        verdict.rule.is_some()
            || self
                .rules
                .iter()
                .filter(|rule| rule.action != Action::Deny && rule.answer.is_none())
                .all(|rule| match rule.compare(request, operation) {
                    // An argument of the call may be the attribute or field that it asks for.
                    Matched::No(key) => !matches!(key, "attributes" | "json"),
                    Matched::Yes | Matched::Unknown(_) => false,
                })
    }

    /// The rules that look at the answer to such a request, by their places. What they compare and the
    /// request does not tell counts as met: they ask, and let nothing through.
    pub fn answer_rules(&self, request: &Request, operations: &[Operation]) -> Vec<usize> {
        let looking = self.rules.iter().enumerate();
        let looking = looking.filter(|(_, rule)| rule.answer.is_some());
        let matching = looking.filter(|(_, rule)| {
            let mut operations = operations.iter();
            operations.any(|o| !matches!(rule.compare(request, o), Matched::No(_)))
        });
        matching.map(|(place, _)| place).collect()
    }

    /// The answer where no rule applies.
    fn otherwise<'p>(&self, connection: &Connection, operation: Option<&Operation>) -> Verdict<'p> {
        let default = connection.default.unwrap_or(self.default);
        let unknown_write = operation.is_some_and(Operation::is_unknown_write);
        let unknown_read = operation.is_some_and(Operation::is_unknown_read);
        let unknown = if unknown_write {
            connection.unknown_writes.unwrap_or(self.unknown_writes)
        } else if unknown_read {
            connection.unknown_reads.unwrap_or(self.unknown_reads)
        } else {
            Action::Allow
        };
        Verdict {
            action: unknown.max(default),
            rule: None,
            unknown_write,
            unknown_read: unknown_read && unknown == Action::Deny,
            unknown: Unknown::default(),
        }
    }

    /// Whether a rule asks for fields of the body of such a request.
    pub fn reads_body(&self, connection: &Connection, head: &RequestHead) -> bool {
        let mut asking = self
            .rules
            .iter()
            .filter(|rule| !rule.condition.json.is_empty())
            .peekable();
        if asking.peek().is_none() {
            return false;
        }
        let (host, method) = (head.host(), head.method.to_ascii_uppercase());
        asking.any(|rule| {
            let condition = &rule.condition;
            condition
                .out_of_reach(&connection.name, &host, &method)
                .is_none()
        })
    }
}

impl Rule {
    /// Compares the rule with one operation of a request.
    pub fn compare(&self, request: &Request, operation: &Operation) -> Matched {
        let facts = Facts::new(operation);
        let matched = self
            .condition
            .compare(request, &facts, self.action.restrains());
        self.less_exceptions(matched, request, &facts)
    }

    /// The same for an operation that it names, of a request that is within its reach.
    fn compare_operation(&self, request: &Request, facts: &Facts) -> Matched {
        let restrains = self.action.restrains();
        let matched = self.condition.compare_operation(request, facts, restrains);
        self.less_exceptions(matched, request, facts)
    }

    /// The key by which a request is outside its reach, whatever its operations, if one is.
    pub(super) fn outside(&self, request: &Request) -> Option<&'static str> {
        self.condition.outside(request, self.action.restrains())
    }

    fn less_exceptions(&self, mut matched: Matched, request: &Request, facts: &Facts) -> Matched {
        let restrains = self.action.restrains();
        for except in &self.except {
            if let Matched::No(_) = matched {
                return matched;
            }
            matched = matched.less(except.compare(request, facts, restrains));
        }
        matched
    }

    /// What it does where it only might apply: nothing if it allows; else its mildest answer to what
    /// is not known, because all of it would have to be what the rule names.
    pub fn answer_to(&self, unknown: Unknown) -> Action {
        if self.action == Action::Allow {
            return Action::Allow;
        }
        let answers = [
            (unknown.target, self.unknown_target),
            (unknown.paths, self.unknown_paths),
            (unknown.body, self.unknown_body),
        ];
        let asked = answers.iter().filter(|(asked, _)| *asked);
        asked
            .map(|(_, action)| *action)
            .min()
            .unwrap_or(self.action)
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;

//! Rules: which operations they name, and the verdict over all of them.

use super::{Action, Connection, Glob, Policy};
use crate::identity::Identity;
use crate::operation::{Operation, Paths, Target};

/// One rule of the policy.
#[derive(Debug)]
pub struct Rule {
    /// Its name in records and denials.
    pub name: String,
    /// What it applies to.
    pub condition: Condition,
    /// Who it does not apply to.
    pub except: Except,
    /// What it does.
    pub action: Action,
    /// What it does when its paths cannot be compared, because the request does not tell them.
    pub unknown_paths: Action,
    /// What a denied caller reads.
    pub reason: Option<String>,
    /// Who is asked, and for how long.
    pub approval: Approval,
}

/// What a rule applies to; an empty list asks for nothing.
#[derive(Debug, Default)]
pub struct Condition {
    /// Operation names or aliases.
    pub operations: Vec<Glob>,
    /// `owner/name`, lower case.
    pub repos: Vec<Glob>,
    /// Full ref names.
    pub refs: Vec<Glob>,
    /// Files in the repository.
    pub paths: Vec<Glob>,
    /// Connection names.
    pub connections: Vec<String>,
    /// Groups, any of which the caller must have.
    pub groups: Vec<String>,
    /// Subjects, one of which the caller must be.
    pub subjects: Vec<Glob>,
}

/// Who a rule does not apply to.
#[derive(Debug, Default)]
pub struct Except {
    /// Groups, any of which frees the caller.
    pub groups: Vec<String>,
    /// Subjects.
    pub subjects: Vec<Glob>,
}

/// How an approval is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Who may answer.
    pub reviewers: Reviewers,
    /// How many of them have to agree.
    pub min: u64,
    /// Milliseconds that the live request is held.
    pub hold_ms: u64,
    /// Seconds for which an answer given later lets the identical retry pass.
    pub ticket_s: u64,
}

/// Who may approve.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reviewers {
    /// Members of any of these groups.
    pub groups: Vec<String>,
    /// These people.
    pub subjects: Vec<String>,
}

impl Default for Approval {
    /// 14 s: under the 15 s after which PyGithub sends the same write again.
    fn default() -> Self {
        Approval {
            reviewers: Reviewers::default(),
            min: 1,
            hold_ms: 14_000,
            ticket_s: 900,
        }
    }
}

/// How a rule compares with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matched {
    /// It does not apply.
    No,
    /// It applies.
    Yes,
    /// It would, if the operation touched the paths that it names; the request does not tell.
    PathsUnknown,
}

/// The strictest answer over all operations and rules.
#[derive(Debug)]
pub struct Verdict<'p> {
    /// The answer.
    pub action: Action,
    /// The rule that gave it; `None` for a default.
    pub rule: Option<&'p Rule>,
    /// Whether it is the answer for writes that no table knows.
    pub unknown_write: bool,
    /// Whether the rule was applied because the paths are not known.
    pub paths_unknown: bool,
}

impl Policy {
    /// Judges all operations of one request. `deny` beats `require_approval` beats `allow`; between
    /// equals the first rule of the document is named.
    pub fn judge<'p>(
        &'p self,
        who: &Identity,
        connection: &Connection,
        operations: &[Operation],
    ) -> Verdict<'p> {
        let default = connection.default.unwrap_or(self.default);
        let mut strictest: Option<Verdict<'p>> = None;
        for operation in operations {
            let verdict = self.judge_one(who, connection, operation, default);
            if strictest
                .as_ref()
                .is_none_or(|known| verdict.action > known.action)
            {
                strictest = Some(verdict);
            }
        }
        strictest.unwrap_or(Verdict {
            action: default,
            rule: None,
            unknown_write: false,
            paths_unknown: false,
        })
    }

    fn judge_one<'p>(
        &'p self,
        who: &Identity,
        connection: &Connection,
        operation: &Operation,
        default: Action,
    ) -> Verdict<'p> {
        let mut strictest: Option<Verdict<'p>> = None;
        for rule in &self.rules {
            let (action, paths_unknown) = match rule.matches(who, connection, operation) {
                Matched::No => continue,
                Matched::Yes => (rule.action, false),
                // A rule that allows some paths allows nothing it cannot see; one whose answer to
                // unknown paths is "allow" does not apply, and allows nothing in place of others.
                Matched::PathsUnknown
                    if rule.action == Action::Allow || rule.unknown_paths == Action::Allow =>
                {
                    continue;
                }
                Matched::PathsUnknown => (rule.unknown_paths, true),
            };
            if strictest.as_ref().is_none_or(|known| action > known.action) {
                strictest = Some(Verdict {
                    action,
                    rule: Some(rule),
                    unknown_write: false,
                    paths_unknown,
                });
            }
        }
        strictest.unwrap_or_else(|| {
            let unknown_write = operation.is_unknown_write();
            let unknown = connection.unknown_writes.unwrap_or(self.unknown_writes);
            let action = if unknown_write {
                unknown.max(default)
            } else {
                default
            };
            Verdict {
                action,
                rule: None,
                unknown_write,
                paths_unknown: false,
            }
        })
    }
}

impl Rule {
    /// Compares the rule with one operation of a caller.
    pub fn matches(
        &self,
        who: &Identity,
        connection: &Connection,
        operation: &Operation,
    ) -> Matched {
        let condition = &self.condition;
        let named = |globs: &[Glob]| {
            globs.iter().any(|g| {
                g.matches(&operation.name) || operation.aliases.iter().any(|a| g.matches(a))
            })
        };
        let applies = (condition.operations.is_empty() || named(&condition.operations))
            && (condition.connections.is_empty()
                || condition.connections.contains(&connection.name))
            && (condition.groups.is_empty()
                || condition.groups.iter().any(|g| who.groups.contains(g)))
            && (condition.subjects.is_empty()
                || condition.subjects.iter().any(|g| g.matches(&who.subject)))
            && self.target_matches(&condition.repos, &operation.repo)
            && self.target_matches(&condition.refs, &operation.reference)
            && !self.except.covers(who);
        if !applies {
            return Matched::No;
        }
        match (&operation.paths, condition.paths.is_empty()) {
            (_, true) => Matched::Yes,
            (Paths::None, false) => Matched::No,
            (Paths::Unknown, false) => Matched::PathsUnknown,
            (Paths::Known(paths), false) => {
                let hit = |path: &String| condition.paths.iter().any(|g| g.matches(path));
                // An allow has to cover every file; a denial needs one.
                let matched = match self.action {
                    Action::Allow => !paths.is_empty() && paths.iter().all(hit),
                    Action::RequireApproval | Action::Deny => paths.iter().any(hit),
                };
                if matched { Matched::Yes } else { Matched::No }
            }
        }
    }

    /// An opaque target could be any: that is a match for a rule that restrains, and none for a
    /// rule that allows.
    fn target_matches(&self, globs: &[Glob], target: &Target) -> bool {
        match target {
            _ if globs.is_empty() => true,
            Target::Known(value) => globs.iter().any(|g| g.matches(value)),
            Target::Any => self.action != Action::Allow,
            Target::None => false,
        }
    }
}

impl Except {
    fn covers(&self, who: &Identity) -> bool {
        self.groups.iter().any(|g| who.groups.contains(g))
            || self.subjects.iter().any(|g| g.matches(&who.subject))
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;

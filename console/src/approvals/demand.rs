//! Who has to agree: what the rules demand, whom a consent names, and whether the votes are enough.
//!
//! All demands have to be met, each by any one of its consents, each of those by so many different
//! people. What a vote counts for is written down with it, so that the ledger alone tells why a
//! request went through, whatever becomes of the groups of its reviewers.

use std::collections::BTreeSet;

use countersign_core::policy::Globs;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::people::Person;

/// One thing that has to be met.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Demand {
    /// The rule that makes it.
    pub rule: Option<String>,
    /// Ways to meet it; if there is none, nobody can.
    pub any_of: Vec<Consent>,
}

/// So many of these people.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Consent {
    /// Who may agree.
    pub reviewers: Reviewers,
    /// How many of them have to.
    #[serde(default = "one")]
    pub min: u32,
}

pub(super) fn one() -> u32 {
    1
}

/// Who may agree: whoever one of these names. Empty lists name nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reviewers {
    /// Members of any of these groups.
    pub groups: Vec<String>,
    /// People by name or e-mail address.
    pub subjects: Vec<String>,
    /// People with one of these claims, by name or dotted path: patterns as in a policy.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub claims: Map<String, Value>,
}

impl Reviewers {
    /// Whether it names `person`.
    pub fn name(&self, person: &Person) -> bool {
        self.groups.iter().any(|g| person.groups.contains(g))
            || self
                .subjects
                .iter()
                .any(|subject| *subject == person.name || person.email.as_ref() == Some(subject))
            || self
                .claims
                .iter()
                .any(|(path, patterns)| has_claim(person, path, patterns))
    }

    /// Whether it names nobody at all.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.subjects.is_empty() && self.claims.is_empty()
    }

    /// Whom it names, in words.
    pub fn in_words(&self) -> String {
        let mut names: Vec<String> = self
            .groups
            .iter()
            .map(|group| format!("group {group}"))
            .collect();
        names.extend(self.subjects.iter().cloned());
        for (path, patterns) in &self.claims {
            names.push(format!("{path} {}", texts(patterns).join(" or ")));
        }
        names.join(", ")
    }
}

/// A pattern that cannot be read names nobody.
fn has_claim(person: &Person, path: &str, patterns: &Value) -> bool {
    let mut globs = Globs::default();
    let read = texts(patterns)
        .iter()
        .all(|pattern| globs.push(pattern).is_ok());
    let values = person.claim(path);
    read && !globs.is_empty()
        && !values.is_empty()
        && globs.matches_any(|glob| values.iter().any(|value| glob.matches(value)))
}

/// A text or a list of texts; numbers and truth values as texts.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Number(number) => vec![number.to_string()],
        Value::Bool(flag) => vec![flag.to_string()],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Null | Value::Object(_) => Vec::new(),
    }
}

/// What one vote counts for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub struct Count {
    /// Which demand.
    pub demand: usize,
    /// Which of its consents.
    pub consent: usize,
    /// The absent person in whose place it was given.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<String>,
}

/// A consent that was given.
#[derive(Clone, Debug)]
pub struct Given {
    /// Who gave it.
    pub who: String,
    /// What it counts for; for everything, if it is from before that was written down.
    pub counts: Option<Vec<Count>>,
}

/// How far a demand is met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// The rule that makes it.
    pub rule: Option<String>,
    /// Whether it is met.
    pub met: bool,
    /// Each way to meet it: who is named, how many have to agree, who has.
    pub ways: Vec<Way>,
}

/// One way to meet a demand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Way {
    /// Who is named, in words.
    pub reviewers: String,
    /// How many have to agree.
    pub min: u32,
    /// Who has.
    pub given: Vec<String>,
}

/// How far each demand is met by the votes that were given.
pub fn progress(demands: &[Demand], votes: &[Given]) -> Vec<Progress> {
    let way = |index: usize, place: usize, consent: &Consent| {
        let mut principals = BTreeSet::new();
        let mut given = Vec::new();
        for vote in votes {
            let own = Count {
                demand: index,
                consent: place,
                instead_of: None,
            };
            let counted = match &vote.counts {
                None => Some(&own),
                Some(counts) => counts
                    .iter()
                    .find(|count| (count.demand, count.consent) == (index, place)),
            };
            let Some(count) = counted else { continue };
            // Somebody and his stand-in are one reviewer.
            let principal = count.instead_of.as_deref().unwrap_or(&vote.who);
            if principals.insert(principal.to_lowercase()) {
                given.push(match &count.instead_of {
                    None => vote.who.clone(),
                    Some(absent) => format!("{} for {absent}", vote.who),
                });
            }
        }
        Way {
            reviewers: consent.reviewers.in_words(),
            min: consent.min,
            given,
        }
    };
    demands
        .iter()
        .enumerate()
        .map(|(index, demand)| {
            let ways: Vec<Way> = demand
                .any_of
                .iter()
                .enumerate()
                .map(|(place, consent)| way(index, place, consent))
                .collect();
            Progress {
                rule: demand.rule.clone(),
                met: ways.iter().any(|way| way.given.len() >= way.min as usize),
                ways,
            }
        })
        .collect()
}

/// Whether the votes are enough. What nothing is demanded of is never approved.
pub fn are_met(demands: &[Demand], votes: &[Given]) -> bool {
    let progress = progress(demands, votes);
    !progress.is_empty() && progress.iter().all(|demand| demand.met)
}

#[cfg(test)]
#[path = "demand_tests.rs"]
mod tests;

//! Which rules name an operation. Most rules of a policy name other ones, and a request can have
//! hundreds of operations: the rules are found by the beginning of what they name, and those that
//! the request itself rules out (its caller, host, hour) are looked at once.

use std::collections::BTreeMap;

use super::request::Request;
use super::rules::Rule;
use crate::operation::Operation;

/// Rules by the fixed beginning of the operations they name; places in the policy's list.
#[derive(Debug, Default)]
pub struct RuleIndex {
    /// Rules that name no operation, or by a pattern that begins with a wildcard.
    anything: Vec<usize>,
    /// Rules by the name that they give in full.
    names: BTreeMap<String, Vec<usize>>,
    /// Rules by the text before the first wildcard.
    beginnings: BTreeMap<String, Vec<usize>>,
}

impl RuleIndex {
    /// The index of a policy's rules.
    pub fn new(rules: &[Rule]) -> Self {
        let mut index = RuleIndex::default();
        for (place, rule) in rules.iter().enumerate() {
            let named = rule.condition.operations.included();
            if named.is_empty() || named.iter().any(|glob| glob.beginning().is_empty()) {
                index.anything.push(place);
                continue;
            }
            for glob in named {
                let known = match glob.is_literal() {
                    true => &mut index.names,
                    false => &mut index.beginnings,
                };
                let places = known.entry(glob.beginning().to_owned()).or_default();
                places.push(place);
            }
        }
        index
    }

    /// The rules that could name an operation, in the order of the policy: all that do, and few more.
    fn candidates(&self, operation: &Operation) -> Vec<usize> {
        let mut places = self.anything.clone();
        for name in std::iter::once(&operation.name).chain(&operation.aliases) {
            if let Some(known) = self.names.get(name) {
                places.extend(known);
            }
            for (beginning, known) in &self.beginnings {
                if name.starts_with(beginning) {
                    places.extend(known);
                }
            }
        }
        places.sort_unstable();
        places.dedup();
        places
    }
}

/// The rules that are left for the operations of one request.
pub(super) struct Applicable<'p, 'o> {
    rules: &'p [Rule],
    index: &'p RuleIndex,
    /// Of each rule, whether the request is within its reach, once that was asked.
    within: Vec<Option<bool>>,
    /// What was found for the operation before: the next is often of the same names.
    last: Option<(&'o Operation, Vec<&'p Rule>)>,
}

impl<'p, 'o> Applicable<'p, 'o> {
    pub fn new(rules: &'p [Rule], index: &'p RuleIndex) -> Self {
        Applicable {
            rules,
            index,
            within: vec![None; rules.len()],
            last: None,
        }
    }

    /// The rules that name `operation` and have the request within their reach.
    pub fn to(&mut self, request: &Request, operation: &'o Operation) -> &[&'p Rule] {
        let same = |(last, _): &(&Operation, Vec<&Rule>)| {
            last.name == operation.name && last.aliases == operation.aliases
        };
        if !self.last.as_ref().is_some_and(same) {
            let rules = self.find(request, operation);
            self.last = Some((operation, rules));
        }
        self.last
            .as_ref()
            .map_or(&[], |(_, rules)| rules.as_slice())
    }

    fn find(&mut self, request: &Request, operation: &Operation) -> Vec<&'p Rule> {
        let mut found = Vec::new();
        for place in self.index.candidates(operation) {
            let (Some(rule), Some(within)) = (self.rules.get(place), self.within.get_mut(place))
            else {
                continue;
            };
            if rule.condition.names(operation)
                && *within.get_or_insert_with(|| rule.outside(request).is_none())
            {
                found.push(rule);
            }
        }
        found
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;

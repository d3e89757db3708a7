//! What was masked: rule and count, never the value.

use super::set::RuleIndex;

/// How often a rule masked something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Id of the rule.
    pub rule: String,
    /// How many stretches of text it masked.
    pub count: u32,
}

/// Counts findings in the order in which their rules first showed.
#[derive(Default)]
pub(super) struct Tally {
    rules: Vec<RuleIndex>,
    findings: Vec<Finding>,
}

impl Tally {
    pub(super) fn add(&mut self, rule: RuleIndex, id: &str) {
        let place = self.rules.iter().position(|&known| known == rule);
        if let Some(finding) = place.and_then(|place| self.findings.get_mut(place)) {
            finding.count = finding.count.saturating_add(1);
        } else {
            self.rules.push(rule);
            self.findings.push(Finding {
                rule: id.to_owned(),
                count: 1,
            });
        }
    }

    pub(super) fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

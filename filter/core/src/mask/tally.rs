//! What was masked: rule, count and place, never the value.

use super::set::RuleIndex;

/// Most places that are named for one rule.
const PLACES_MAX: usize = 8;

/// How often a rule masked something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Id of the rule.
    pub rule: String,
    /// How many stretches of text it masked.
    pub count: u32,
    /// Where: JSON pointers, or channels of an event stream (`choices/0/content`). Not where the format has no places,
    /// and the first few only.
    pub places: Vec<String>,
}

/// Counts findings in the order in which their rules first showed.
#[derive(Default)]
pub(super) struct Tally {
    rules: Vec<RuleIndex>,
    findings: Vec<Finding>,
    /// Findings that grew since the last place was told.
    fresh: Vec<usize>,
}

impl Tally {
    pub(super) fn add(&mut self, rule: RuleIndex, id: &str) {
        let place = self.rules.iter().position(|&known| known == rule);
        let place = place.unwrap_or_else(|| {
            self.rules.push(rule);
            self.findings.push(Finding {
                rule: id.to_owned(),
                count: 0,
                places: Vec::new(),
            });
            self.findings.len() - 1
        });
        if let Some(finding) = self.findings.get_mut(place) {
            finding.count = finding.count.saturating_add(1);
        }
        if !self.fresh.contains(&place) {
            self.fresh.push(place);
        }
    }

    /// Tells where all that was added since the last call is.
    pub(super) fn at(&mut self, place: impl FnOnce() -> String) {
        if self.fresh.is_empty() {
            return;
        }
        let place = place();
        for index in self.fresh.drain(..) {
            if let Some(finding) = self.findings.get_mut(index)
                && finding.places.len() < PLACES_MAX
                && !finding.places.contains(&place)
            {
                finding.places.push(place.clone());
            }
        }
    }

    /// What was added since is in no place that has a name.
    pub(super) fn nowhere(&mut self) {
        self.fresh.clear();
    }

    pub(super) fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

//! The rules of one configuration, compiled once and shared by all streams of a worker.

use super::custom::{self, Custom};
use super::replace::Replacement;
use super::rules::{RULES, SCANS, Scan, Shape, TOKEN_SCANS, VALUES};
use sha2::{Digest, Sha256};

/// Position of a rule: the built-in rules, then the scrubbed literals, then the custom rules.
pub(super) type RuleIndex = u16;

/// Names the literal secrets of the exchange in replacements and findings.
const INJECTED: &str = "injected-credential";

/// What to mask.
#[derive(Clone, Debug, Default)]
pub struct MaskConfig {
    /// Ids of built-in rules, or `default` for all of them.
    pub rules: Vec<String>,
    /// The operator's own rules.
    pub custom: Vec<CustomRule>,
    /// Ids of built-in rules that are left out.
    pub without: Vec<String>,
    /// SHA-256 of values that are no secrets, whatever they look like.
    pub allowed: Vec<[u8; 32]>,
    /// What stands in the place of a secret.
    pub replacement: Replacement,
}

/// A regular expression of the operator. It is matched within one line of decoded text.
#[derive(Clone, Debug)]
pub struct CustomRule {
    /// Stands in the replacement: letters, digits, `-`, `_` and `.`.
    pub id: String,
    /// Syntax of the regex-lite crate.
    pub regex: String,
}

/// Compiled once per configuration; shared by all streams of a worker.
pub struct MaskSet {
    /// Which built-in rules are in it.
    enabled: Vec<bool>,
    /// The rules that have a reader of their own, by their [`Scan`].
    scans: [Option<RuleIndex>; SCANS],
    /// Whether a rule goes by anything else than what a token looks like.
    values: bool,
    pub(super) custom: Vec<Custom>,
    allowed: Vec<[u8; 32]>,
    pub(super) replacement: Replacement,
}

impl std::fmt::Debug for MaskSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MaskSet")
            .field("custom", &self.custom.len())
            .finish_non_exhaustive()
    }
}

/// Where an error of [`MaskSet::compile`] lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MaskPath {
    /// Entry of `rules`.
    Rule(usize),
    /// Entry of `custom`.
    Custom(usize),
    /// Entry of `without`.
    Without(usize),
    /// The replacement.
    Replacement,
}

impl MaskSet {
    /// Compiles a configuration.
    ///
    /// # Errors
    /// Every unknown rule id, bad or doubled custom id, and expression that is refused (it does not
    /// parse, matches empty text, or asks for a line end), with its place and the reason.
    pub fn compile(config: &MaskConfig) -> Result<Self, Vec<(MaskPath, String)>> {
        let mut errors = Vec::new();
        let mut enabled = vec![false; RULES.len()];
        for (index, id) in config.rules.iter().enumerate() {
            let mut known = id == "default";
            for (on, rule) in enabled.iter_mut().zip(&RULES) {
                if id == "default" || id == rule.id {
                    *on = true;
                    known = true;
                }
            }
            if !known {
                errors.push((
                    MaskPath::Rule(index),
                    format!(
                        "unknown masking rule {id:?}; \"default\" stands for all built-in rules"
                    ),
                ));
            }
        }
        for (index, id) in config.without.iter().enumerate() {
            let place = RULES.iter().position(|rule| rule.id == id);
            match place.and_then(|place| enabled.get_mut(place)) {
                Some(on) => *on = false,
                None => errors.push((
                    MaskPath::Without(index),
                    format!("unknown masking rule {id:?}; `countersign rules list` shows them"),
                )),
            }
        }
        if let Some(fault) = config.replacement.fault() {
            errors.push((MaskPath::Replacement, fault));
        }
        let mut custom: Vec<Custom> = Vec::new();
        for (index, rule) in config.custom.iter().enumerate() {
            let taken = rule.id == INJECTED
                || RULES.iter().any(|r| r.id == rule.id)
                || custom.iter().any(|c| c.id == rule.id);
            if taken {
                let reason = format!("the id {:?} is taken by another rule", rule.id);
                errors.push((MaskPath::Custom(index), reason));
                continue;
            }
            match custom::compile(rule) {
                Ok(rule) => custom.push(rule),
                Err(reason) => errors.push((MaskPath::Custom(index), reason)),
            }
        }
        if usize::from(u16::MAX) <= RULES.len() + custom.len() {
            errors.push((MaskPath::Custom(0), "too many custom rules".to_owned()));
        }
        if errors.is_empty() {
            Ok(Self::build(&enabled, custom, config))
        } else {
            Err(errors)
        }
    }

    fn build(enabled: &[bool], custom: Vec<Custom>, config: &MaskConfig) -> Self {
        let mut scans = [None; SCANS];
        for ((index, rule), _) in (0..).zip(&RULES).zip(enabled).filter(|(_, on)| **on) {
            if let Some(slot) = rule.scan.and_then(|scan| scans.get_mut(scan as usize)) {
                *slot = Some(index);
            }
        }
        let of_value = |shape: &Shape| enabled.get(usize::from(shape.rule)) == Some(&true);
        let of_token = |place: usize| TOKEN_SCANS.iter().any(|&scan| scan as usize == place);
        let read = (0..)
            .zip(&scans)
            .any(|(place, rule)| rule.is_some() && !of_token(place));
        Self {
            enabled: enabled.to_vec(),
            scans,
            values: read || VALUES.iter().any(of_value),
            custom,
            allowed: config.allowed.clone(),
            replacement: config.replacement.clone(),
        }
    }

    /// Whether a built-in rule is in the set.
    #[inline]
    pub(super) fn has(&self, rule: RuleIndex) -> bool {
        self.enabled
            .get(usize::from(rule))
            .copied()
            .unwrap_or(false)
    }

    /// Whether a rule goes by what stands before a value, or by the dashes of a key block.
    #[inline]
    pub(super) fn has_values(&self) -> bool {
        self.values
    }

    /// Whether a value is on the list of those that are no secrets.
    pub(super) fn allows(&self, value: &[u8]) -> bool {
        !self.allowed.is_empty() && self.allowed.contains(&Sha256::digest(value).into())
    }

    /// The rule of a reader, if it is in the set.
    #[inline]
    pub(super) fn scan(&self, scan: Scan) -> Option<RuleIndex> {
        self.scans.get(scan as usize).copied().flatten()
    }

    /// The index under which scrubbed literals are found.
    pub(super) fn injected() -> RuleIndex {
        RULES.len() as RuleIndex
    }

    /// The id that stands in replacements and findings.
    pub(super) fn id(&self, rule: RuleIndex) -> &str {
        let index = usize::from(rule);
        match index.checked_sub(RULES.len() + 1) {
            Some(custom) => self.custom.get(custom).map_or("custom", |c| c.id.as_str()),
            None => RULES.get(index).map_or(INJECTED, |r| r.id),
        }
    }

    /// Id and description of every built-in rule, in the order in which they name what they find.
    pub fn built_in() -> impl Iterator<Item = (&'static str, &'static str)> {
        RULES.iter().map(|rule| (rule.id, rule.about))
    }
}

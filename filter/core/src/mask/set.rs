//! The rules of one configuration, compiled once and shared by all streams of a worker.

use super::custom::{self, Custom};
use super::rules::{Keyed, RULES, Shape};

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
}

/// A regular expression of the operator. It is matched within one line of decoded text.
#[derive(Clone, Debug)]
pub struct CustomRule {
    /// Stands in the replacement: letters, digits, `-`, `_` and `.`.
    pub id: String,
    /// Syntax of the regex-lite crate.
    pub regex: String,
}

/// Rules that have a place of their own in the scanner; `None` when switched off.
#[derive(Default)]
pub(super) struct Special {
    pub azure_client_secret: Option<RuleIndex>,
    pub jwt: Option<RuleIndex>,
    pub private_key: Option<RuleIndex>,
    pub url_password: Option<RuleIndex>,
    pub bearer: Option<RuleIndex>,
    pub basic: Option<RuleIndex>,
    pub aws_secret: Option<RuleIndex>,
    pub azure_storage: Option<RuleIndex>,
    pub password: Option<RuleIndex>,
    pub generic: Option<RuleIndex>,
}

type Prefixes = Vec<(RuleIndex, &'static [u8])>;

/// Compiled once per configuration; shared by all streams of a worker.
pub struct MaskSet {
    /// Prefix rules by the first byte of the prefix.
    prefixes: Vec<Prefixes>,
    /// For each first byte: which second bytes (modulo 64) some prefix has.
    seconds: Vec<u64>,
    pub(super) special: Special,
    pub(super) custom: Vec<Custom>,
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
            for (on, rule) in enabled.iter_mut().zip(RULES) {
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
            Ok(Self::build(&enabled, custom))
        } else {
            Err(errors)
        }
    }

    fn build(enabled: &[bool], custom: Vec<Custom>) -> Self {
        let mut set = Self {
            prefixes: vec![Prefixes::new(); 256],
            seconds: vec![0; 256],
            special: Special::default(),
            custom,
        };
        for ((index, rule), _) in (0..).zip(RULES).zip(enabled).filter(|(_, on)| **on) {
            match &rule.shape {
                Shape::Prefix { prefixes, .. } => {
                    for prefix in *prefixes {
                        set.add_prefix(index, prefix.as_bytes());
                    }
                }
                Shape::AzureClientSecret => set.special.azure_client_secret = Some(index),
                Shape::Jwt => set.special.jwt = Some(index),
                Shape::PrivateKey => set.special.private_key = Some(index),
                Shape::UrlPassword => set.special.url_password = Some(index),
                Shape::Bearer => set.special.bearer = Some(index),
                Shape::Basic => set.special.basic = Some(index),
                Shape::Keyed(Keyed::AwsSecret) => set.special.aws_secret = Some(index),
                Shape::Keyed(Keyed::AzureStorage) => set.special.azure_storage = Some(index),
                Shape::Keyed(Keyed::Password) => set.special.password = Some(index),
                Shape::Keyed(Keyed::Secret) => set.special.generic = Some(index),
            }
        }
        set
    }

    fn add_prefix(&mut self, rule: RuleIndex, prefix: &'static [u8]) {
        let (Some(&first), Some(&second)) = (prefix.first(), prefix.get(1)) else {
            return;
        };
        if let Some(list) = self.prefixes.get_mut(usize::from(first)) {
            list.push((rule, prefix));
        }
        if let Some(bits) = self.seconds.get_mut(usize::from(first)) {
            *bits |= 1 << (second & 63);
        }
    }

    /// Whether a prefix may begin with these bytes. A second byte that has not come may be any.
    #[inline(always)]
    pub(super) fn may_begin(&self, first: u8, second: Option<u8>) -> bool {
        let bits = self.seconds.get(usize::from(first)).copied().unwrap_or(0);
        second.map_or(bits != 0, |second| (bits >> (second & 63)) & 1 == 1)
    }

    #[inline]
    pub(super) fn prefixes(&self, first: u8) -> &[(RuleIndex, &'static [u8])] {
        self.prefixes
            .get(usize::from(first))
            .map_or(&[], Vec::as_slice)
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

    /// Id and description of every built-in rule, in order; one id can have several rows.
    pub fn built_in() -> impl Iterator<Item = (&'static str, &'static str)> {
        RULES.iter().map(|rule| (rule.id, rule.description))
    }
}

//! What stands in the place of a secret.

use sha2::{Digest, Sha256};

/// Shortest secret of which the end may be shown.
const SHOWN_MIN: usize = 16;
/// How many characters of a secret's end are shown.
const SHOWN: usize = 4;

/// What stands in the place of a secret.
#[derive(Clone, Default)]
pub enum Replacement {
    /// `[REDACTED:kind]`.
    #[default]
    Kind,
    /// `[REDACTED:kind:0123456789ab]`: the beginning of a keyed hash (HMAC-SHA-256), by which equal secrets are known
    /// again, and which tells nothing without the key.
    Hash {
        /// The key.
        key: Vec<u8>,
    },
    /// `[REDACTED:kind:*wxyz]`: the last four characters, of secrets of at least sixteen.
    KeepLast,
    /// Always this text.
    Fixed(String),
}

impl std::fmt::Debug for Replacement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Kind => "Kind",
            Self::Hash { .. } => "Hash([redacted])",
            Self::KeepLast => "KeepLast",
            Self::Fixed(_) => "Fixed",
        })
    }
}

impl Replacement {
    /// Whether it can be written before the secret has been seen whole.
    pub(super) fn is_blind(&self) -> bool {
        matches!(self, Self::Kind | Self::Fixed(_))
    }

    /// Says why a fixed text can not stand in every format, if it can not.
    pub(super) fn fault(&self) -> Option<String> {
        let Self::Fixed(text) = self else {
            return None;
        };
        let plain = |c: char| c.is_alphanumeric() || " .,:;_-*[]()#!".contains(c);
        if text.chars().count() > 64 || !text.chars().all(plain) {
            return Some(
                "the text that stands for a secret has at most 64 letters, digits, blanks and .,:;_-*[]()#!"
                    .to_owned(),
            );
        }
        None
    }
}

/// A secret that is being masked, as far as its replacement needs it.
pub(super) struct Stretch {
    pub rule: super::set::RuleIndex,
    hash: Option<(Sha256, [u8; 64])>,
    end: Vec<u8>,
    size: usize,
}

impl Stretch {
    pub(super) fn new(rule: super::set::RuleIndex, replacement: &Replacement) -> Self {
        let hash = match replacement {
            Replacement::Hash { key } => {
                let mut block = [0u8; 64];
                let short = if key.len() > 64 {
                    Sha256::digest(key).to_vec()
                } else {
                    key.clone()
                };
                for (slot, b) in block.iter_mut().zip(&short) {
                    *slot = *b;
                }
                let mut inner = Sha256::new();
                inner.update(block.map(|b| b ^ 0x36));
                Some((inner, block))
            }
            _ => None,
        };
        Self {
            rule,
            hash,
            end: Vec::new(),
            size: 0,
        }
    }

    /// Takes more of the secret.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.size += bytes.len();
        if let Some((inner, _)) = &mut self.hash {
            inner.update(bytes);
        }
        self.end.extend_from_slice(
            bytes
                .get(bytes.len().saturating_sub(SHOWN)..)
                .unwrap_or_default(),
        );
        let old = self.end.len().saturating_sub(SHOWN);
        self.end.drain(..old);
    }

    /// What stands for it.
    pub(super) fn text(self, id: &str, replacement: &Replacement) -> String {
        match replacement {
            Replacement::Kind => format!("[REDACTED:{id}]"),
            Replacement::Fixed(text) => text.clone(),
            Replacement::Hash { .. } => {
                let Some((inner, block)) = self.hash else {
                    return format!("[REDACTED:{id}]");
                };
                let mut outer = Sha256::new();
                outer.update(block.map(|b| b ^ 0x5c));
                outer.update(inner.finalize());
                let sum = outer.finalize();
                let hex: String = sum.iter().take(6).map(|b| format!("{b:02x}")).collect();
                format!("[REDACTED:{id}:{hex}]")
            }
            Replacement::KeepLast if self.size >= SHOWN_MIN => {
                // What would need an escape in some format is not shown.
                let end: String = self
                    .end
                    .iter()
                    .map(|&b| {
                        if b.is_ascii_alphanumeric() || b"-_.+/=".contains(&b) {
                            char::from(b)
                        } else {
                            '*'
                        }
                    })
                    .collect();
                format!("[REDACTED:{id}:*{end}]")
            }
            Replacement::KeepLast => format!("[REDACTED:{id}]"),
        }
    }
}

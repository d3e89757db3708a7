//! Literal secrets of one exchange: the credential that the gateway injected, wherever an upstream
//! echoes it.
//!
//! Each secret is looked for as it is, with any of its bytes percent-encoded, and in base64 of
//! either alphabet at each of the three alignments, so that `base64("user:" + secret)` is found
//! whatever the user name is. At the edges of a base64 match the characters that mix bits of the
//! secret with its neighbours' stay: at most two bits of its first and last byte each.

use super::classes::{byte, part};
use super::context::Verdict;
use super::prints::{PRINT, Prints};
use super::set::{MaskSet, RuleIndex};
use super::text::Span;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Shortest secret that is scrubbed, in bytes: a shorter one would blank out ordinary text.
pub const SECRET_MIN: usize = 4;
/// Shortest base64 form that is looked for.
const BASE64_MIN: usize = 8;

struct Needle {
    bytes: Vec<u8>,
    /// Bytes of the text may stand percent-encoded.
    percent: bool,
}

/// Literal secrets that are scrubbed wherever they show.
pub struct Scrub {
    needles: Vec<Needle>,
    prints: Prints,
}

impl std::fmt::Debug for Scrub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scrub([redacted])")
    }
}

impl Scrub {
    /// Prepares the search. Secrets shorter than [`SECRET_MIN`] are left out.
    #[must_use]
    pub fn new(secrets: &[&[u8]]) -> Self {
        let mut needles: Vec<Needle> = Vec::new();
        for secret in secrets.iter().filter(|s| s.len() >= SECRET_MIN) {
            needles.push(Needle {
                bytes: secret.to_vec(),
                percent: true,
            });
            for shift in 0..3 {
                let mut shifted = vec![0; shift];
                shifted.extend_from_slice(secret);
                // The characters whose six bits all belong to the secret.
                let first = (shift * 8).div_ceil(6);
                let last = shifted.len() * 8 / 6;
                for encoded in [
                    STANDARD_NO_PAD.encode(&shifted),
                    URL_SAFE_NO_PAD.encode(&shifted),
                ] {
                    let core = part(encoded.as_bytes(), first, last);
                    let known = needles.iter().any(|n| n.bytes == core);
                    if core.len() >= BASE64_MIN && !known {
                        needles.push(Needle {
                            bytes: core.to_vec(),
                            percent: true,
                        });
                    }
                }
            }
        }
        let prints = prints(&needles);
        Self { needles, prints }
    }

    /// The shortest text in which something is found, in bytes.
    pub(super) fn shortest(&self) -> usize {
        self.needles
            .iter()
            .map(|needle| needle.bytes.len())
            .min()
            .unwrap_or(usize::MAX)
    }

    /// Whether one of the secrets is in a text that is complete, in any spelling.
    #[must_use]
    pub fn is_in(&self, text: &[u8]) -> bool {
        let mut spans = Vec::new();
        self.search(text, 0, true, &mut spans);
        !spans.is_empty()
    }

    /// Whether a secret begins at `at`.
    fn at(&self, text: &[u8], at: usize, end_of_text: bool) -> Verdict {
        let mut best = Verdict::No;
        for needle in &self.needles {
            match (needle.at(text, at, end_of_text), best) {
                (Verdict::More, _) => return Verdict::More,
                (Verdict::Yes(end), Verdict::Yes(other)) => best = Verdict::Yes(end.max(other)),
                (Verdict::Yes(end), _) => best = Verdict::Yes(end),
                (Verdict::No, _) => {}
            }
        }
        best
    }

    /// Searches from `from`; returns the place up to which every start of a match is known.
    pub(super) fn search(
        &self,
        text: &[u8],
        from: usize,
        end_of_text: bool,
        spans: &mut Vec<Span>,
    ) -> usize {
        let mut at = from;
        loop {
            let candidate = self.candidate(text, at);
            if candidate >= text.len() {
                return text.len();
            }
            match self.at(text, candidate, end_of_text) {
                Verdict::More => return candidate,
                Verdict::Yes(end) => spans.push(Span {
                    start: candidate,
                    end,
                    rule: MaskSet::injected() as RuleIndex,
                    goes_on: false,
                }),
                Verdict::No => {}
            }
            at = candidate + 1;
        }
    }

    /// The next place whose first bytes could begin a match.
    fn candidate(&self, text: &[u8], from: usize) -> usize {
        if self.needles.is_empty() {
            return text.len();
        }
        let found = self.prints.find(text, from);
        // The last two bytes are too short for the prints: the needles look at them themselves.
        found.unwrap_or_else(|| text.len().saturating_sub(PRINT - 1).max(from))
    }
}

fn prints(needles: &[Needle]) -> Prints {
    const HEX: [&[u8; 16]; 2] = [b"0123456789abcdef", b"0123456789ABCDEF"];
    let mut prints = Prints::new();
    for (index, needle) in needles.iter().enumerate() {
        let mut set = |place: usize, b: u8| prints.set(index, place, b);
        for place in 0..PRINT {
            let Some(b) = byte(&needle.bytes, place) else {
                continue;
            };
            set(place, b);
            if needle.percent {
                // '%' here, or the digits of an earlier byte that was percent-encoded.
                set(place, b'%');
                for earlier in needle.bytes.iter().take(place) {
                    for digits in HEX {
                        for nibble in [earlier >> 4, earlier & 15] {
                            if let Some(&digit) = digits.get(usize::from(nibble)) {
                                set(place, digit);
                            }
                        }
                    }
                }
            }
        }
    }
    prints
}

impl Needle {
    fn at(&self, text: &[u8], from: usize, end_of_text: bool) -> Verdict {
        let rest = text.get(from..).unwrap_or_default();
        if rest.starts_with(&self.bytes) {
            return Verdict::Yes(from + self.bytes.len());
        }
        if !end_of_text && self.bytes.starts_with(rest) {
            return Verdict::More;
        }
        if self.percent {
            self.encoded(text, from, end_of_text)
        } else {
            Verdict::No
        }
    }

    /// With some or all of the bytes percent-encoded.
    fn encoded(&self, text: &[u8], from: usize, end_of_text: bool) -> Verdict {
        let short = if end_of_text {
            Verdict::No
        } else {
            Verdict::More
        };
        let mut at = from;
        for &wanted in &self.bytes {
            match byte(text, at) {
                Some(b'%') => match part(text, at + 1, text.len().min(at + 3)) {
                    [high, low] if hex(*high, *low) == Some(wanted) => at += 3,
                    [_, _] if wanted == b'%' => at += 1,
                    [_, _] => return Verdict::No,
                    _ => return short,
                },
                Some(b) if b == wanted => at += 1,
                Some(_) => return Verdict::No,
                None => return short,
            }
        }
        Verdict::Yes(at)
    }
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
    Some((digit(high)? << 4) | digit(low)?)
}

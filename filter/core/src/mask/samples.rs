//! Well-formed secrets, made up: for tests, and for the corpus on which recall and precision are measured. They are put
//! together at run time, so that nobody's scanner takes this repository for a leak.
//!
//! A template is plain text with classes in it (`ghp_[0-9A-Za-z]{30}<crc32>`), as in the data file of the rules; a class
//! stands for random bytes of it, `<crc32>` and its kin for a checksum or a sample that no class describes.

use super::checks;
use super::rules::{RULES, SAMPLES};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use std::ops::Range;

const ALNUM: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A built-in rule with templates of what it masks and what it must not mask.
#[derive(Clone, Copy, Debug)]
pub struct Examples {
    /// Id of the rule.
    pub rule: &'static str,
    /// What is masked.
    pub yes: &'static [&'static str],
    /// What is not masked by this rule.
    pub no: &'static [&'static str],
}

/// The examples of every built-in rule, in the order of the rules.
pub fn examples() -> impl Iterator<Item = Examples> {
    RULES
        .iter()
        .zip(&SAMPLES)
        .map(|(rule, (yes, no))| Examples {
            rule: rule.id,
            yes,
            no,
        })
}

/// Random numbers; the same seed gives the same ones.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice for a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `most`, which is not 0.
    pub fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % most.max(1)
    }

    /// One of several things.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }

    /// Random text of an alphabet.
    pub fn text(&mut self, alphabet: &[u8], length: usize) -> String {
        (0..length)
            .filter_map(|_| self.pick(alphabet).map(|&b| char::from(b)))
            .collect()
    }
}

/// Writes a template out.
#[must_use]
pub fn expand(template: &str, seed: u64) -> String {
    expand_marked(template, seed).0
}

/// So many characters at most come of one count.
const LONGEST_RUN: usize = 1 << 16;

/// Writes a template out, and tells where its longest random part is.
#[must_use]
pub fn expand_marked(template: &str, seed: u64) -> (String, Range<usize>) {
    let mut dice = Dice::new(seed);
    let mut out = String::new();
    let mut longest = 0..0;
    let mut note = |start: usize, end: usize| {
        if end - start > longest.len() {
            longest = start..end;
        }
    };
    let mut rest = template;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        let alphabet = match c {
            '\\' => {
                let c = rest.chars().next().unwrap_or('\\');
                rest = rest.get(c.len_utf8()..).unwrap_or_default();
                out.push(c);
                continue;
            }
            '<' => {
                match rest.split_once('>').and_then(|(name, after)| {
                    sample(name, &out, dice.below(1 << 30) as u64).map(|text| (text, after))
                }) {
                    Some((text, after)) => {
                        let start = out.len();
                        out.push_str(&text);
                        note(start, out.len());
                        rest = after;
                    }
                    None => out.push('<'),
                }
                continue;
            }
            '[' => match rest.split_once(']') {
                Some((inside, after)) => {
                    rest = after;
                    members(inside)
                }
                None => vec![b'['],
            },
            c if c.is_ascii() => vec![c as u8],
            c => {
                out.push(c);
                continue;
            }
        };
        let counted = rest.strip_prefix('{').and_then(|rest| {
            let (count, after) = rest.split_once('}')?;
            let count: usize = count.parse().ok()?;
            // More is no count: a template is small, and what it makes is kept whole.
            (count <= LONGEST_RUN).then_some((count, after))
        });
        let count = counted.map_or(1, |(count, after)| {
            rest = after;
            count
        });
        let start = out.len();
        out.push_str(&dice.text(&alphabet, count));
        if alphabet.len() > 1 {
            note(start, out.len());
        }
    }
    (out, longest)
}

fn members(class: &str) -> Vec<u8> {
    let mut bytes = class.bytes().peekable();
    let mut members = Vec::new();
    while let Some(from) = bytes.next() {
        let mut ahead = bytes.clone();
        match (ahead.next(), ahead.next()) {
            (Some(b'-'), Some(to)) => {
                bytes = ahead;
                members.extend(from..=to);
            }
            _ => members.push(from),
        }
    }
    members
}

/// What `<name>` stands for behind `before`.
fn sample(name: &str, before: &str, seed: u64) -> Option<String> {
    Some(match name {
        "crc32" => {
            let body = before.get(before.len().checked_sub(30)?..)?;
            let sum = checks::base62(checks::crc32(body.as_bytes()));
            String::from_utf8_lossy(&sum).into_owned()
        }
        "age" => age(seed),
        "jwt" => jwt(seed),
        "basic" => basic(seed),
        "pem" => pem("RSA PRIVATE KEY", 6, "\n", seed),
        "putty" => {
            let lines: Vec<String> = (0..4).map(|line| random(ALNUM, 64, seed + line)).collect();
            format!("Private-Lines: 4\n{}", lines.join("\n"))
        }
        "discord" => {
            let number = format!("1{}", random(b"0123456789", 17, seed));
            let number = URL_SAFE_NO_PAD.encode(number);
            format!(
                "{number}.{}.{}",
                random(ALNUM, 6, seed + 1),
                random(ALNUM, 38, seed + 2)
            )
        }
        "grafana" => {
            let body = format!("glsa_{}", random(ALNUM, 32, seed));
            let sum = checks::crc32(body.as_bytes()).to_le_bytes();
            format!("{body}_{:08x}", u32::from_be_bytes(sum))
        }
        "glc" => {
            let secret = random(ALNUM, 24, seed);
            let json = format!(
                "{{\"o\":\"{seed}\",\"n\":\"ci\",\"k\":\"{secret}\",\"m\":{{\"r\":\"eu\"}}}}"
            );
            format!("glc_{}", STANDARD.encode(json))
        }
        _ => return None,
    })
}

pub(crate) fn random(alphabet: &[u8], length: usize, seed: u64) -> String {
    Dice::new(seed).text(alphabet, length)
}

pub(crate) fn jwt(seed: u64) -> String {
    let header = URL_SAFE_NO_PAD.encode(br#"{"alg":"RS256","typ":"JWT"}"#);
    let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"sub":"user-{seed}","exp":1}}"#));
    format!("{header}.{claims}.{}", random(ALNUM, 43, seed))
}

pub(crate) fn pem(label: &str, lines: usize, newline: &str, seed: u64) -> String {
    let mut text = format!("-----BEGIN {label}-----{newline}");
    for line in 0..lines {
        let length = if line + 1 == lines { 20 } else { 64 };
        text.push_str(&random(ALNUM, length, seed + line as u64 + 1));
        text.push_str(newline);
    }
    text.push_str(&format!("-----END {label}-----"));
    text
}

pub(crate) fn age(seed: u64) -> String {
    const ALPHABET: &[u8] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    let data = random(ALPHABET, 52, seed);
    let zero = checks::bech32_polymod(b"age-secret-key-", format!("{data}qqqqqq").as_bytes());
    let zero = zero.unwrap_or(0) ^ 1;
    let checksum: String = (0..6)
        .filter_map(|i| ALPHABET.get(((zero >> (5 * (5 - i))) & 31) as usize))
        .map(|&b| char::from(b))
        .collect();
    format!("age-secret-key-1{data}{checksum}").to_uppercase()
}

pub(crate) fn basic(seed: u64) -> String {
    STANDARD.encode(format!("robot:{}", random(ALNUM, 14, seed)))
}

//! The text layer against a slow oracle: every rule of the data file as an anchored regular expression, tried at every
//! place. It shares with the scanner what a placeholder looks like and how the rarer checksums go, and nothing of the search.

use super::samples as made;
use super::stream_tests::{set, streamed};
use super::tokens_tests::{ALNUM, BASE32, HEX, random};
use super::*;
use proptest::prelude::*;
use regex_lite::Regex;
use serde::Deserialize;
use std::sync::LazyLock;

#[derive(Deserialize)]
struct File {
    rule: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    id: String,
    #[serde(default, rename = "match")]
    matches: Vec<String>,
    check: Option<String>,
    end: Option<String>,
    behind: Option<String>,
    yes: Vec<String>,
}

struct Expression {
    begins: Regex,
    whole: Regex,
    /// All before its last run.
    head: Regex,
    prefix: usize,
    /// The class of its last run, if it has no fixed length.
    open: Option<Regex>,
    /// The class that may not go on behind it.
    last: Option<Regex>,
    fixed: bool,
}

struct Rule {
    row: Row,
    expressions: Vec<Expression>,
}

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let file: File = basic_toml::from_str(include_str!("../../mask/rules.toml")).unwrap();
    let rules = file.rule.into_iter().filter(|row| !row.matches.is_empty());
    rules
        .map(|row| Rule {
            expressions: row
                .matches
                .iter()
                .flat_map(|m| alternatives(m))
                .map(|m| expression(&m))
                .collect(),
            row,
        })
        .collect()
});

fn alternatives(pattern: &str) -> Vec<String> {
    let Some(open) = pattern.find('(') else {
        return vec![pattern.to_owned()];
    };
    let close = open + pattern[open..].find(')').unwrap();
    pattern[open + 1..close]
        .split('|')
        .flat_map(|word| {
            alternatives(&format!(
                "{}{word}{}",
                &pattern[..open],
                &pattern[close + 1..]
            ))
        })
        .collect()
}

fn expression(pattern: &str) -> Expression {
    let run = Regex::new(r"(\[[^\]]*\]|\\?[^\[\]])\{(\d+)(?:,(\d+))?\}$")
        .unwrap()
        .captures(pattern);
    let class = run.as_ref().map(|run| run[1].to_owned());
    let fixed = run.as_ref().is_some_and(|run| run.get(3).is_none());
    let regex = |text: String| Regex::new(&text).unwrap();
    let literal = Regex::new(r"^(?:[^\[\\{]|\\.)*")
        .unwrap()
        .find(pattern)
        .unwrap()
        .as_str();
    // A count belongs to the character before it.
    let counted = pattern[literal.len()..].starts_with('{');
    Expression {
        begins: regex(format!("^(?:{pattern})")),
        whole: regex(format!("^(?:{pattern})$")),
        head: regex(format!(
            "^(?:{})",
            &pattern[..run
                .as_ref()
                .map_or(pattern.len(), |run| run.get(0).unwrap().start())]
        )),
        prefix: literal.replace('\\', "").len() - usize::from(counted),
        open: class
            .as_ref()
            .filter(|_| !fixed)
            .map(|class| regex(format!("^{class}$"))),
        last: class.map(|class| regex(format!("^{class}$"))),
        fixed,
    }
}

proptest! {
    #[test]
    fn the_text_layer_agrees_with_the_oracle(pieces in prop::collection::vec(oracle_piece(), 0..12), cuts in prop::collection::vec(1usize..30, 1..6)) {
        let text = pieces.concat();
        let mut rules: Vec<&str> = RULES.iter().map(|rule| rule.row.id.as_str()).collect();
        rules.push("azure-client-secret");
        let set = set(&rules, false);
        let expected = oracle(text.as_bytes());
        let out = streamed(&set, None, Format::Text, text.as_bytes(), &cuts);
        prop_assert_eq!(String::from_utf8(out.body).unwrap(), expected);
    }
}

fn oracle_piece() -> impl Strategy<Value = String> {
    let token = (
        1u64..300,
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
    )
        .prop_map(|(seed, index, cut)| {
            let templates: Vec<&String> = RULES.iter().flat_map(|rule| &rule.row.yes).collect();
            let token = match index.index(templates.len() + 3) {
                place if place < templates.len() => made::expand(templates[place], seed),
                _ => made::expand("[0-9A-Za-z]{3}8Q~[0-9A-Za-z]{34}", seed),
            };
            if seed % 3 == 0 {
                token[..cut.index(token.len())].to_owned()
            } else {
                token
            }
        });
    let mark = prop::sample::select(vec![
        " ", "\n", ".", "..", "-", "_", "/", "a", "Z", "9", "\\n", "\\t", "\\x", "%3D", "%zz",
        "\"", "~", "Q~", "8Q~", "ghp_", "AKIA", "é", "=",
    ])
    .prop_map(str::to_owned);
    let run = (
        1usize..45,
        1u64..50,
        prop::sample::select(vec![ALNUM, HEX, BASE32]),
    )
        .prop_map(|(n, seed, a)| random(a, n, seed));
    prop_oneof![4 => token, 5 => mark, 1 => run]
}

/// Every rule as an anchored expression, tried at every place: quadratic and plain.
fn oracle(text: &[u8]) -> String {
    let entropy = |t: &str| {
        let mut counts = std::collections::BTreeMap::new();
        t.bytes()
            .for_each(|b| *counts.entry(b).or_insert(0.0f32) += 1.0);
        counts
            .values()
            .map(|c| {
                let p = c / t.len() as f32;
                -p * p.log2()
            })
            .sum::<f32>()
    };
    let crc = |t: &str| {
        let (body, sum) = t.split_at(30);
        let mut crc = !0u32;
        for b in body.bytes() {
            crc ^= u32::from(b);
            for _ in 0..8 {
                crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
            }
        }
        let mut rest = u64::from(!crc);
        let digits: Vec<char> = ('0'..='9').chain('A'..='Z').chain('a'..='z').collect();
        let mut expected = Vec::new();
        for _ in 0..6 {
            expected.insert(0, digits[(rest % 62) as usize]);
            rest /= 62;
        }
        expected.iter().collect::<String>() == sum
    };
    let random_enough = |t: &str| {
        entropy(t) >= if t.len() < 16 { 2.5 } else { 3.0 }
            && !checks::identifier(t.as_bytes())
            && !checks::placeholder(t.as_bytes())
    };
    let azure =
        Regex::new("^[A-Za-z0-9][A-Za-z0-9_~.-]{2}[0-9]Q~[A-Za-z0-9_~.-]{0,34}[A-Za-z0-9_~-]")
            .unwrap();
    let fits = |check: Option<&str>, token: &str, prefix: usize| {
        let body = &token[prefix..];
        match check {
            None => random_enough(body),
            Some("any") => !checks::placeholder(body.as_bytes()),
            Some("dense") => {
                random_enough(body)
                    && body.bytes().any(|b| b.is_ascii_digit())
                    && body.bytes().any(|b| b.is_ascii_alphabetic())
                    && !checks::code_name(body.as_bytes())
            }
            Some("crc32") => crc(body),
            Some("age") => checks::bech32_polymod(b"AGE-SECRET-KEY-", body.as_bytes()) == Some(1),
            Some("discord") => checks::discord(token.as_bytes()),
            Some("grafana") => checks::grafana(token.as_bytes()),
            Some("grafana-cloud") => checks::encoded_object(body.as_bytes()),
            Some(other) => panic!("no check {other}"),
        }
    };
    let source = std::str::from_utf8(text).unwrap();
    let mut out = String::new();
    let mut masked_to = 0;
    for (at, c) in source.char_indices() {
        let b = |back: usize| at.checked_sub(back).map(|i| text[i]);
        let starts = !b(1).is_some_and(|p| p.is_ascii_alphanumeric())
            || (b(2) == Some(b'\\') && b"nrtbf".contains(&b(1).unwrap()))
            || (b(3) == Some(b'%')
                && b(2).unwrap().is_ascii_hexdigit()
                && b(1).unwrap().is_ascii_hexdigit());
        let mut best: Option<(&str, usize)> = None;
        let mut add = |id, end: usize| {
            best = Some(best.map_or((id, end), |(first, other): (&str, usize)| {
                (first, end.max(other))
            }));
        };
        for rule in RULES.iter().filter(|_| starts) {
            for expression in &rule.expressions {
                let rest = &source[at..];
                let Some(found) = expression.begins.find(rest) else {
                    continue;
                };
                let mut token = found.as_str();
                if expression
                    .open
                    .as_ref()
                    .is_some_and(|class| class.is_match("."))
                {
                    // An ellipsis is no part of it, nor is the full stop of a sentence.
                    let run = expression.head.find(token).unwrap().len();
                    let cut = token[run..]
                        .find("..")
                        .map_or(token.len(), |dots| run + dots);
                    token = token[..cut].trim_end_matches('.');
                    if !expression.whole.is_match(token) {
                        continue;
                    }
                }
                let next = rest[token.len()..].chars().next();
                let goes_on = next.is_some_and(|next| {
                    next != '.'
                        && (next.is_ascii_alphanumeric()
                            || (next == '_' && expression.fixed)
                            || expression
                                .last
                                .as_ref()
                                .is_some_and(|class| class.is_match(&next.to_string())))
                });
                let word = rule.row.end.as_deref() != Some("any");
                let behind = rule.row.behind.is_none()
                    || Regex::new("(?:^|[^0-9])[0-9]{8,10}:$")
                        .unwrap()
                        .is_match(&source[..at]);
                if behind
                    && !(word && goes_on)
                    && fits(rule.row.check.as_deref(), token, expression.prefix)
                {
                    add(rule.row.id.as_str(), at + token.len());
                }
            }
        }
        // At most 41 bytes of the run are looked at; full stops at their end do not count.
        if let Some(found) = azure.find(&source[at..]).filter(|_| starts)
            && (37..=40).contains(&found.len())
        {
            add("azure-client-secret", at + found.end());
        }
        if let Some((id, end)) = best {
            if at >= masked_to {
                out.push_str(&format!("[REDACTED:{id}]"));
            }
            masked_to = masked_to.max(end);
        }
        if at >= masked_to {
            out.push(c);
        }
    }
    out
}

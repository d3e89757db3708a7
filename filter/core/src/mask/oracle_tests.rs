//! The text layer against a slow oracle: every rule as an anchored regular expression, tried at
//! every place. It shares with the scanner what a placeholder looks like, and nothing of the
//! search.

use super::samples::{self, ALNUM, BASE32, HEX, random};
use super::stream_tests::{set, streamed};
use super::*;
use proptest::prelude::*;
use regex_lite::Regex;

proptest! {
    #[test]
    fn the_text_layer_agrees_with_the_oracle(pieces in prop::collection::vec(oracle_piece(), 0..12), cuts in prop::collection::vec(1usize..30, 1..6)) {
        let text = pieces.concat();
        let set = set(&ORACLE_RULES, false);
        let expected = oracle(text.as_bytes());
        let out = streamed(&set, None, Format::Text, text.as_bytes(), &cuts);
        prop_assert_eq!(String::from_utf8(out.body).unwrap(), expected);
    }
}

const ORACLE_RULES: [&str; 9] = [
    "github-token",
    "npm-token",
    "gitlab-token",
    "aws-access-key-id",
    "stripe-key",
    "twilio-key",
    "google-oauth-token",
    "azure-client-secret",
    "slack-token",
];

fn oracle_piece() -> impl Strategy<Value = String> {
    let token = (
        1u64..300,
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
    )
        .prop_map(|(seed, index, cut)| {
            let tokens: Vec<_> = samples::tokens(seed)
                .into_iter()
                .filter(|(rule, _)| ORACLE_RULES.contains(rule))
                .collect();
            let token = tokens[index.index(tokens.len())].1.clone();
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
        entropy(t) >= 3.0 && !checks::identifier(t.as_bytes()) && !checks::placeholder(t.as_bytes())
    };
    type Test<'a> = &'a dyn Fn(&str) -> bool;
    // Prefix and body, the byte that may not follow, the check of the body.
    let rules: [(&str, &str, &str, Test); 9] = [
        ("github-token", "^(?:gh[pour]_)([A-Za-z0-9]{36})", "", &crc),
        (
            "gitlab-token",
            "^(?:glpat-)((?:\\.?[A-Za-z0-9_-])*)",
            "len 20 320",
            &random_enough,
        ),
        ("npm-token", "^(?:npm_)([A-Za-z0-9]{36})", "", &crc),
        (
            "aws-access-key-id",
            "^(?:AKIA|ASIA)([A-Z2-7]{16})",
            "word",
            &|_| true,
        ),
        (
            "slack-token",
            "^(?:xoxb-)([A-Za-z0-9-]*)",
            "len 20 400",
            &random_enough,
        ),
        (
            "stripe-key",
            "^(?:sk_live_|rk_live_)([A-Za-z0-9]*)",
            "len 16 247",
            &random_enough,
        ),
        (
            "google-oauth-token",
            "^(?:ya29\\.)([A-Za-z0-9_-]*)",
            "len 20 1024",
            &|_| true,
        ),
        (
            "twilio-key",
            "^(?:SK)([0-9a-f]{32})",
            "word",
            &random_enough,
        ),
        (
            "azure-client-secret",
            "^([A-Za-z0-9][A-Za-z0-9_~.]{2}[0-9]Q~[A-Za-z0-9_~.-]{0,34}[A-Za-z0-9_~-])",
            "azure",
            &|_| true,
        ),
    ];
    let rules: Vec<_> = rules
        .map(|(id, r, after, check)| (id, Regex::new(r).unwrap(), after, check))
        .into();
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
        for (id, regex, after, check) in &rules {
            let Some(found) = regex.captures(&source[at..]).filter(|_| starts) else {
                continue;
            };
            let body = found.get(1).unwrap();
            let next = source[at + body.end()..].bytes().next();
            let fits = match *after {
                "" => true,
                "word" => !next.is_some_and(|n| n.is_ascii_alphanumeric() || n == b'_'),
                // At most 41 bytes of the run are looked at; full stops at their end do not count.
                "azure" => (37..=40).contains(&body.len()),
                range => {
                    let mut numbers = range
                        .split(' ')
                        .skip(1)
                        .map(|n| n.parse::<usize>().unwrap());
                    (numbers.next().unwrap()..=numbers.next().unwrap()).contains(&body.len())
                }
            };
            if fits && check(body.as_str()) {
                let end = at + body.end();
                best = Some(best.map_or((*id, end), |(first, other)| (first, end.max(other))));
            }
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

//! Whether a text has the shape of a token, part by part and without trying twice.

use super::checks;
use super::classes::{ALNUM, before, byte, is, part};
use super::context::Verdict;
use super::rules::{Check, End, Part, Shape, member};

/// Where the token of this shape that begins at `at` ends.
pub(super) fn token(shape: &Shape, text: &[u8], at: usize, end_of_text: bool) -> Verdict {
    let short = if end_of_text {
        Verdict::No
    } else {
        Verdict::More
    };
    if shape.behind && !behind(text, at) {
        return Verdict::No;
    }
    let mut end = at;
    let mut class = None;
    for (place, piece) in shape.parts.iter().enumerate() {
        let rest = text.get(end..).unwrap_or_default();
        match *piece {
            Part::Text(plain) => {
                if !plain.iter().zip(rest).all(|(a, b)| a == b) {
                    return Verdict::No;
                }
                if rest.len() < plain.len() {
                    return short;
                }
                end += plain.len();
                class = None;
            }
            Part::Run {
                class: of,
                least,
                most,
            } => {
                let last = place + 1 == shape.parts.len();
                let run = run(rest, of, usize::from(most));
                let open = run == rest.len() && run < usize::from(most);
                if open && !end_of_text {
                    return Verdict::More;
                }
                let run = if last && least < most {
                    run - stops(part(rest, 0, run))
                } else {
                    run
                };
                if run < usize::from(least) {
                    return Verdict::No;
                }
                end += run;
                class = Some((of, least == most));
            }
        }
    }
    if shape.end == End::Word {
        match byte(text, end) {
            None => {
                if !end_of_text {
                    return short;
                }
            }
            Some(b'.') => {}
            Some(next) => {
                let goes_on = class
                    .is_some_and(|(class, fixed)| member(next, class) || (fixed && next == b'_'));
                if goes_on || is(next, ALNUM) {
                    return Verdict::No;
                }
            }
        }
    }
    let token = part(text, at, end);
    if passes(shape, token) {
        Verdict::Yes(end)
    } else {
        Verdict::No
    }
}

/// Whether a whole value has this shape.
pub(super) fn value(shape: &Shape, value: &[u8]) -> bool {
    match token(shape, value, 0, true) {
        Verdict::Yes(end) => end == value.len(),
        _ => false,
    }
}

/// How many bytes of the class there are, up to `most`. Two full stops are an ellipsis, no part of a token.
fn run(rest: &[u8], class: u8, most: usize) -> usize {
    let window = rest.get(..most).unwrap_or(rest);
    let run = window
        .iter()
        .position(|&b| !member(b, class))
        .unwrap_or(window.len());
    if !member(b'.', class) {
        return run;
    }
    part(window, 0, run)
        .windows(2)
        .position(|pair| pair == b"..")
        .unwrap_or(run)
}

/// The full stops at the end, which belong to the sentence.
fn stops(token: &[u8]) -> usize {
    token.iter().rev().take_while(|&&b| b == b'.').count()
}

fn behind(text: &[u8], at: usize) -> bool {
    let digits = (2..=12)
        .take_while(|&back| before(text, at, back).is_some_and(|b| b.is_ascii_digit()))
        .count();
    before(text, at, 1) == Some(b':') && (8..=10).contains(&digits)
}

fn passes(shape: &Shape, token: &[u8]) -> bool {
    let prefix = match shape.parts.first() {
        Some(Part::Text(plain)) => plain.len(),
        _ => 0,
    };
    let (prefix, body) = token.split_at_checked(prefix).unwrap_or((&[], token));
    match shape.check {
        Check::Any => !checks::placeholder(body),
        Check::Random => checks::random(body),
        Check::Dense => {
            checks::random(body) && checks::letter_and_digit(body) && !checks::code_name(body)
        }
        Check::Crc32 => checks::crc_base62(body),
        Check::Age => {
            let human = prefix.strip_suffix(b"1").unwrap_or(prefix);
            checks::bech32_polymod(human, body) == Some(1)
        }
        Check::Discord => checks::discord(token),
        Check::Grafana => checks::grafana(token),
        Check::GrafanaCloud => checks::encoded_object(body),
    }
}

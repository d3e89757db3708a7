//! The built-in rules at one place of a text: which of them a secret that begins here satisfies.
//!
//! A probe never looks further back than [`super::context::LOOK_BEHIND`], and an answer other than "more" holds for every
//! continuation of the text. These two facts make the scanner exact for every way of cutting the text.

use super::authority::{self, Scheme};
use super::checks;
use super::classes::{
    ALNUM, BASE64_URL, Class, DELIMITER, DIGIT, DOT, SPACE, TOKEN, before, byte, is, part, run_end,
};
use super::context::{self, Verdict};
use super::glance::Question;
use super::keys;
use super::pem;
use super::rules::{self, AZURE_CLASS, Scan};
use super::set::{MaskSet, RuleIndex};
use super::shape;

/// Most bytes that are held for a token whose end has not come. A longer one is judged by what is held and, when it
/// qualifies, swallowed up to its end.
pub(super) const HOLD_MAX: usize = 4096;
/// Longest JWT header, encoded.
const JWT_HEADER_MAX: usize = 2048;
/// Every token begins with as many token bytes in a row.
const RUN_MIN: usize = 8;

/// A secret that begins where the probe was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Hit {
    pub rule: RuleIndex,
    pub end: usize,
    pub after: After,
}

/// What the scanner does behind a hit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum After {
    /// The secret ends where the hit ends.
    Done,
    /// It goes on as long as bytes of this class follow.
    Run(Class),
    /// A key body follows.
    KeyBody,
}

/// Collects the answers of all rules at one place.
struct Answers {
    more: bool,
    hit: Option<Hit>,
}

impl Answers {
    fn add(&mut self, rule: RuleIndex, verdict: Verdict<(usize, After)>) {
        match verdict {
            Verdict::No => {}
            Verdict::More => self.more = true,
            Verdict::Yes((end, after)) => {
                let hit = self.hit.get_or_insert(Hit { rule, end, after });
                hit.rule = hit.rule.min(rule);
                if end > hit.end {
                    hit.end = end;
                    hit.after = after;
                }
            }
        }
    }

    fn verdict(self) -> Verdict<Hit> {
        match self.hit {
            _ if self.more => Verdict::More,
            Some(hit) => Verdict::Yes(hit),
            None => Verdict::No,
        }
    }
}

fn done(verdict: Verdict) -> Verdict<(usize, After)> {
    match verdict {
        Verdict::No => Verdict::No,
        Verdict::More => Verdict::More,
        Verdict::Yes(end) => Verdict::Yes((end, After::Done)),
    }
}

/// All rules at one place.
#[cfg(test)]
pub(super) fn at(set: &MaskSet, text: &[u8], at: usize, end_of_text: bool) -> Verdict<Hit> {
    let question = Question {
        tokens: true,
        values: true,
    };
    ask(set, text, at, question, end_of_text)
}

/// The answer of the rules at one place.
pub(super) fn ask(
    set: &MaskSet,
    text: &[u8],
    at: usize,
    question: Question,
    end_of_text: bool,
) -> Verdict<Hit> {
    let Some(first) = byte(text, at) else {
        return Verdict::More;
    };
    let mut answers = Answers {
        more: false,
        hit: None,
    };
    if question.tokens && is(first, ALNUM) && opens(text, at) && is_long(text, at, end_of_text) {
        tokens(set, text, at, end_of_text, &mut answers);
    }
    if question.values {
        if first == b'-'
            && let Some(rule) = set.scan(Scan::PrivateKey)
        {
            answers.add(rule, key_block(pem::opening(text, at, end_of_text)));
        }
        value(set, text, at, first, end_of_text, &mut answers);
    }
    answers.verdict()
}

fn key_block(verdict: Verdict) -> Verdict<(usize, After)> {
    match verdict {
        Verdict::No => Verdict::No,
        Verdict::More => Verdict::More,
        Verdict::Yes(end) => Verdict::Yes((end, After::KeyBody)),
    }
}

/// Whether a word goes on for as many token bytes as every token has.
fn is_long(text: &[u8], at: usize, end_of_text: bool) -> bool {
    let head = part(text, at, text.len().min(at + RUN_MIN));
    head.iter().all(|&b| is(b, TOKEN)) && (head.len() == RUN_MIN || !end_of_text)
}

/// The rules that go by what a token looks like.
fn tokens(set: &MaskSet, text: &[u8], at: usize, end_of_text: bool, answers: &mut Answers) {
    let rest = text.get(at..).unwrap_or_default();
    let starts = rules::starting(rest);
    if rest.len() < 3 {
        answers.more |= !end_of_text && !starts.is_empty();
    } else {
        for start in starts {
            for shape in rules::shapes(start).filter(|shape| set.has(shape.rule)) {
                answers.add(shape.rule, done(shape::token(shape, text, at, end_of_text)));
            }
        }
    }
    let mut scan = |kind: Scan, verdict: Verdict<(usize, After)>| {
        if let Some(rule) = set.scan(kind) {
            answers.add(rule, verdict);
        }
    };
    if rest.get(4).is_none_or(|&b| b == b'Q') {
        scan(Scan::AzureClientSecret, done(azure(text, at, end_of_text)));
    }
    match rest.first() {
        Some(b'e') => scan(Scan::Jwt, jwt(text, at, end_of_text)),
        Some(b'P') => scan(Scan::Putty, key_block(pem::putty(text, at, end_of_text))),
        _ => {}
    }
}

/// The rules that go by what stands before a value.
fn value(
    set: &MaskSet,
    text: &[u8],
    at: usize,
    first: u8,
    end_of_text: bool,
    answers: &mut Answers,
) {
    let Some(previous) = before(text, at, 1) else {
        return;
    };
    match previous {
        0 | b'"' | b'\'' | b'`' => {
            if first == previous || first == 0 || is(first, SPACE) {
                return;
            }
        }
        b'=' | b':' | b'>' => {
            if is(first, DELIMITER) || is_address(text, at) {
                return;
            }
        }
        b' ' => {
            if is(first, DELIMITER) || !announces(text, at) {
                return;
            }
            if let Some(scheme) = authority::scheme(text, at) {
                authorization(set, text, at, end_of_text, scheme, answers);
                return;
            }
        }
        _ => return,
    }
    if previous == b':' {
        if let Some(rule) = set.scan(Scan::Url) {
            answers.add(rule, done(authority::url_password(text, at, end_of_text)));
        }
        if let Some(rule) = set.scan(Scan::UserPair) {
            answers.add(rule, done(authority::user_pair(text, at, end_of_text)));
        }
    }
    match context::keyed(set, text, at, end_of_text) {
        Verdict::No => {}
        Verdict::More => answers.more = true,
        Verdict::Yes((end, rule)) => answers.add(rule, Verdict::Yes((end, After::Done))),
    }
}

/// Whether what begins at `at`, behind a colon, is the rest of a URL. The value of a key that says something may begin with
/// two slashes as well.
#[inline(always)]
pub(super) fn is_address(text: &[u8], at: usize) -> bool {
    part(text, at, at + 2) == b"//"
        && before(text, at, 1) == Some(b':')
        && at
            .checked_sub(5)
            .and_then(|start| text.get(start..)?.first_chunk())
            .is_some_and(|&name| !keys::may_end_before(name))
}

/// Whether what stands before the space before `at` can open a value: an operator, the name of an Authorization scheme,
/// or a word that ends as options do. Most words of any text do not.
#[inline(always)]
pub(super) fn announces(text: &[u8], at: usize) -> bool {
    let Some(last) = before(text, at, 2) else {
        return false;
    };
    let one_before = before(text, at, 3).unwrap_or(0).to_ascii_lowercase();
    match last.to_ascii_lowercase() {
        b'=' | b':' | b'>' | b' ' | b'\t' => true,
        b'r' => one_before == b'e',
        b'c' => one_before == b'i',
        b'n' => one_before == b'e',
        b'd' => one_before == b'r' || one_before == b'w',
        b't' => one_before == b'e',
        b'y' => one_before == b'e',
        b's' => one_before == b's' || one_before == b'l' || one_before == b't',
        b'e' => one_before == b's',
        b'l' => one_before == b'a',
        _ => false,
    }
}

fn authorization(
    set: &MaskSet,
    text: &[u8],
    at: usize,
    end_of_text: bool,
    scheme: Scheme,
    answers: &mut Answers,
) {
    let kind = match scheme {
        Scheme::Bearer => Scan::Bearer,
        Scheme::Basic => Scan::Basic,
    };
    if let Some(rule) = set.scan(kind) {
        let verdict = match authority::credential(text, at, scheme, HOLD_MAX, end_of_text) {
            Verdict::Yes(end) if end - at == HOLD_MAX => Verdict::Yes((end, After::Run(TOKEN))),
            other => done(other),
        };
        answers.add(rule, verdict);
    }
}

/// Three bytes, a digit, `Q~`, 31 to 34 bytes.
fn azure(text: &[u8], at: usize, end_of_text: bool) -> Verdict {
    let signature = [AZURE_CLASS, AZURE_CLASS, AZURE_CLASS, DIGIT];
    let rest = text.get(at..).unwrap_or_default();
    let fits = signature.iter().zip(rest).all(|(&class, &b)| is(b, class))
        && rest.get(4).is_none_or(|&b| b == b'Q')
        && rest.get(5).is_none_or(|&b| b == b'~');
    if !fits {
        return Verdict::No;
    }
    let run = rest
        .iter()
        .take(41)
        .position(|&b| !is(b, AZURE_CLASS))
        .unwrap_or(rest.len().min(41));
    if run == rest.len() && run <= 40 && !end_of_text {
        return Verdict::More;
    }
    let dots = part(rest, 0, run)
        .iter()
        .rev()
        .take_while(|&&b| b == b'.')
        .count();
    if rest.len() >= 6 && (37..=40).contains(&(run - dots)) {
        Verdict::Yes(at + run - dots)
    } else {
        Verdict::No
    }
}

fn jwt(text: &[u8], at: usize, end_of_text: bool) -> Verdict<(usize, After)> {
    const START: &[u8] = b"eyJ";
    const CLASS: Class = BASE64_URL | DOT;
    let rest = text.get(at..).unwrap_or_default();
    if !rest.starts_with(START) {
        return if !end_of_text && START.starts_with(rest) {
            Verdict::More
        } else {
            Verdict::No
        };
    }
    let header_end = run_end(part(rest, 0, rest.len().min(JWT_HEADER_MAX)), 0, BASE64_URL);
    match byte(rest, header_end) {
        Some(b'.') => {}
        None if !end_of_text => return Verdict::More,
        _ => return Verdict::No,
    }
    if !checks::jwt_header(part(rest, 0, header_end)) {
        return Verdict::No;
    }
    let run = run_end(part(rest, 0, rest.len().min(HOLD_MAX)), 0, CLASS);
    if run == HOLD_MAX {
        return Verdict::Yes((at + HOLD_MAX, After::Run(CLASS)));
    }
    if run == rest.len() && !end_of_text {
        return Verdict::More;
    }
    let token = part(rest, 0, run);
    let dots = token.iter().rev().take_while(|&&b| b == b'.').count();
    let token = part(rest, 0, run - dots);
    let parts = token.split(|&b| b == b'.').count();
    let signature = token.rsplit(|&b| b == b'.').next().map_or(0, <[u8]>::len);
    if parts >= 3 && signature >= 16 {
        Verdict::Yes((at + token.len(), After::Done))
    } else {
        Verdict::No
    }
}

/// Whether a secret may begin at the word byte at `at`: the byte before it is no word byte, or belongs to an escape (`\n`,
/// `%3D`) of a text inside the text.
pub(super) fn opens(text: &[u8], at: usize) -> bool {
    let Some(previous) = before(text, at, 1) else {
        return true;
    };
    if !is(previous, ALNUM) {
        return true;
    }
    match before(text, at, 2) {
        Some(b'\\') => matches!(previous, b'n' | b'r' | b't' | b'b' | b'f'),
        Some(two) => {
            before(text, at, 3) == Some(b'%')
                && previous.is_ascii_hexdigit()
                && two.is_ascii_hexdigit()
        }
        None => false,
    }
}

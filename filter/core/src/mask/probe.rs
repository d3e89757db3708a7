//! The built-in rules at one place of a text: which of them a secret that begins here satisfies.
//!
//! A probe never looks further back than [`context::LOOK_BEHIND`], and an answer other than "more"
//! holds for every continuation of the text. These two facts make the scanner exact for every way
//! of cutting the text.

use super::checks;
use super::classes::{ALNUM, BASE64_URL, Class, DOT, TOKEN, WORD, before, byte, is, part, run_end};
use super::context::{self, Scheme, Verdict};
use super::pem;
use super::rules::{AZURE_CLASS, AZURE_DIGIT, Keyed, Length, RULES, Shape};
use super::set::{MaskSet, RuleIndex};

/// Most bytes that are held for a token whose end has not come. A longer one is judged by what is
/// held and, when it qualifies, swallowed up to its end.
pub(super) const HOLD_MAX: usize = 4096;
/// Longest JWT header, encoded.
const JWT_HEADER_MAX: usize = 2048;

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

/// Whether a glance shows that no rule can be satisfied by the word at `at`: its first bytes begin
/// no prefix, and what stands before it opens no value. Most words of any text end here.
#[inline(always)]
pub(super) fn dull(set: &MaskSet, text: &[u8], at: usize, first: u8) -> bool {
    let Some([second, _, _, fifth]) = text.get(at + 1..at + 5) else {
        return false;
    };
    if set.may_begin(first, Some(*second)) || (first == b'e' && *second == b'y') || *fifth == b'Q' {
        return false;
    }
    match before(text, at, 1) {
        Some(b' ') => before(text, at, 2).is_some_and(|last| {
            is(last, WORD) && !matches!(last, b'r' | b'c' | b'n' | b'R' | b'C' | b'N')
        }),
        Some(previous) => !is(previous, super::classes::OPENER),
        None => true,
    }
}

/// All rules at a place where a word begins.
pub(super) fn word(set: &MaskSet, text: &[u8], at: usize, end_of_text: bool) -> Verdict<Hit> {
    let mut answers = Answers {
        more: false,
        hit: None,
    };
    let Some(first) = byte(text, at) else {
        return Verdict::More;
    };
    let second = byte(text, at + 1);
    if set.may_begin(first, second) {
        for (rule, prefix) in set.prefixes(first) {
            answers.add(*rule, prefixed(*rule, prefix, text, at, end_of_text));
        }
    }
    if let Some(rule) = set.special.azure_client_secret {
        answers.add(rule, done(azure(text, at, end_of_text)));
    }
    if let Some(rule) = set.special.jwt
        && first == b'e'
    {
        answers.add(rule, jwt(text, at, end_of_text));
    }
    value(set, text, at, end_of_text, &mut answers);
    answers.verdict()
}

/// All rules at a place where no word begins.
pub(super) fn mark(set: &MaskSet, text: &[u8], at: usize, end_of_text: bool) -> Verdict<Hit> {
    let mut answers = Answers {
        more: false,
        hit: None,
    };
    if let Some(rule) = set.special.private_key
        && byte(text, at) == Some(b'-')
    {
        let verdict = match pem::opening(text, at, end_of_text) {
            Verdict::No => Verdict::No,
            Verdict::More => Verdict::More,
            Verdict::Yes(end) => Verdict::Yes((end, After::KeyBody)),
        };
        answers.add(rule, verdict);
    }
    value(set, text, at, end_of_text, &mut answers);
    answers.verdict()
}

/// The rules that go by what stands before a value.
fn value(set: &MaskSet, text: &[u8], at: usize, end_of_text: bool, answers: &mut Answers) {
    let Some(previous) = before(text, at, 1) else {
        return;
    };
    if !is(previous, super::classes::OPENER) {
        return;
    }
    if previous == b' ' {
        let last = before(text, at, 2).unwrap_or(b' ');
        if matches!(last, b'r' | b'c' | b'n' | b'R' | b'C' | b'N')
            && let Some(scheme) = context::scheme(text, at)
        {
            authorization(set, text, at, end_of_text, scheme, answers);
            return;
        }
        // Prose: a word after a word. Only an operator before the space opens a value.
        if is(last, WORD) {
            return;
        }
    }
    if let Some(rule) = set.special.url_password {
        answers.add(rule, done(context::url_password(text, at, end_of_text)));
    }
    match context::keyed(text, at, end_of_text) {
        Verdict::No => {}
        Verdict::More => answers.more = true,
        Verdict::Yes((end, kind)) => {
            // A kind that is switched off still is a secret of the general kind.
            let rule = match kind {
                Keyed::Password => set.special.password,
                Keyed::Secret => set.special.generic,
                Keyed::AwsSecret => set.special.aws_secret.or(set.special.generic),
                Keyed::AzureStorage => set.special.azure_storage.or(set.special.generic),
            };
            if let Some(rule) = rule {
                answers.add(rule, Verdict::Yes((end, After::Done)));
            }
        }
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
    let rule = match scheme {
        Scheme::Bearer => set.special.bearer,
        Scheme::Basic => set.special.basic,
    };
    if let Some(rule) = rule {
        let verdict = match context::credential(text, at, scheme, HOLD_MAX, end_of_text) {
            Verdict::Yes(end) if end - at == HOLD_MAX => Verdict::Yes((end, After::Run(TOKEN))),
            other => done(other),
        };
        answers.add(rule, verdict);
    }
}

fn prefixed(
    rule: RuleIndex,
    prefix: &[u8],
    text: &[u8],
    at: usize,
    end_of_text: bool,
) -> Verdict<(usize, After)> {
    let rest = text.get(at..).unwrap_or_default();
    // A plain loop: most prefixes differ in the second or third byte.
    if !prefix.iter().zip(rest).all(|(a, b)| a == b) {
        return Verdict::No;
    }
    if rest.len() < prefix.len() {
        return if end_of_text {
            Verdict::No
        } else {
            Verdict::More
        };
    }
    let Some(Shape::Prefix {
        class,
        length,
        check,
        ..
    }) = RULES.get(usize::from(rule)).map(|r| &r.shape)
    else {
        return Verdict::No;
    };
    let start = at + prefix.len();
    let most = match *length {
        Length::Fixed(n) | Length::Exactly(n) => n,
        Length::Range(_, most) => most,
    };
    // One byte past the longest settles it: no need to look at more.
    let window = part(text, start, text.len().min(start + most + 1));
    let mut run = window
        .iter()
        .position(|&b| !is(b, *class))
        .unwrap_or(window.len());
    // Two full stops are an ellipsis, not a part of a token.
    if class & DOT != 0
        && let Some(stop) = part(window, 0, run).windows(2).position(|w| w == b"..")
    {
        run = stop;
    }
    let open = start + run == text.len() && !end_of_text;
    let size = match *length {
        Length::Fixed(n) if run >= n => n,
        Length::Exactly(n) if run > n || (run == n && !open) => {
            // A full stop may follow even a token that has dots in it.
            if byte(text, start + n).is_some_and(|b| is(b, WORD | (*class & !DOT))) {
                return Verdict::No;
            }
            n
        }
        Length::Range(least, most) if run <= most && !open => {
            let dots = part(text, start, start + run)
                .iter()
                .rev()
                .take_while(|&&b| b == b'.')
                .count();
            if run - dots < least {
                return Verdict::No;
            }
            run - dots
        }
        _ if open && run <= most => return Verdict::More,
        _ => return Verdict::No,
    };
    if check(prefix, part(text, start, start + size)) {
        Verdict::Yes((start + size, After::Done))
    } else {
        Verdict::No
    }
}

/// Three bytes, a digit, `Q~`, 31 to 34 bytes.
fn azure(text: &[u8], at: usize, end_of_text: bool) -> Verdict {
    if byte(text, at + 4).is_some_and(|b| b != b'Q') {
        return Verdict::No;
    }
    let signature = [AZURE_CLASS, AZURE_CLASS, AZURE_CLASS, AZURE_DIGIT];
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

/// Whether a secret may begin at the word byte at `at`: the byte before it is no word byte, or
/// belongs to an escape (`\n`, `%3D`) of a text inside the text.
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

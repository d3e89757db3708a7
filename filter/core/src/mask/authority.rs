//! Credentials that a protocol's own marks announce: `Bearer`, `Basic`, `user:password@`, `curl -u`.

use super::checks;
use super::classes::{ALNUM, SPACE, TOKEN, WORD, before, byte, classes, is, part, run_end};
use super::context::{Verdict, skip_back};

/// Longest user:password part of a URL.
const USERINFO_MAX: usize = 256;
/// Longest password of a command line.
const PASSWORD_MAX: usize = 128;

/// Which scheme of an Authorization value stands before `at`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scheme {
    Bearer,
    Basic,
}

pub(super) fn scheme(text: &[u8], at: usize) -> Option<Scheme> {
    if before(text, at, 1)? != b' ' {
        return None;
    }
    let ends = |word: &[u8], at: usize| {
        at.checked_sub(word.len())
            .is_some_and(|start| part(text, start, at).eq_ignore_ascii_case(word))
    };
    let word_before = |length: usize| before(text, at, length + 1).is_some_and(|b| is(b, WORD));
    match before(text, at, 2)?.to_ascii_lowercase() {
        b'r' if ends(b"bearer ", at) && !word_before(7) => Some(Scheme::Bearer),
        b'c' if ends(b"basic ", at) && !word_before(6) => Some(Scheme::Basic),
        b'n' if ends(b"token ", at) => {
            let start = skip_back(text, at - 6, 8, |b| {
                matches!(b, b' ' | b'"' | b'\'' | b'\\' | b':' | b'=' | 0)
            });
            ends(b"authorization", start).then_some(Scheme::Bearer)
        }
        _ => None,
    }
}

/// Where the credential after an Authorization scheme ends, if it is one.
pub(super) fn credential(
    text: &[u8],
    at: usize,
    scheme: Scheme,
    most: usize,
    end_of_text: bool,
) -> Verdict {
    let mut end = run_end(part(text, 0, text.len().min(at + most)), at, TOKEN);
    if end - at < most && end == text.len() && !end_of_text {
        return Verdict::More;
    }
    while end > at && before(text, end, 1) == Some(b'.') {
        end -= 1;
    }
    let value = part(text, at, end);
    let good = match scheme {
        Scheme::Basic => value.len() >= 8 && checks::basic_credential(value),
        Scheme::Bearer => {
            value.len() >= 16
                && checks::letter_and_digit(value)
                && checks::entropy(value) >= 3.0
                && !checks::placeholder(value)
                && !checks::identifier(value)
        }
    };
    if good { Verdict::Yes(end) } else { Verdict::No }
}

/// Whether these bytes before a colon may end the name of a user, of a URL or of a command line: before the name stands a
/// slash, a blank, a quote or an equals sign. Only a URL's may be empty.
#[inline(always)]
pub(super) fn may_follow_user(last: [u8; 3]) -> bool {
    let name = |b: u8| is(b, WORD) || matches!(b, b'.' | b'-' | b'%' | b'+' | b'~' | b'@');
    match last {
        [.., a] if !name(a) => a == b'/',
        [.., b, _] if !name(b) => matches!(b, b'/' | b' ' | b'\'' | b'"' | b'='),
        [.., c, _, _] if !name(c) => matches!(c, b'/' | b' ' | b'\'' | b'"' | b'='),
        _ => true,
    }
}

/// The password of a URL's user part, from `at` to the last `@` of the authority.
pub(super) fn url_password(text: &[u8], at: usize, end_of_text: bool) -> Verdict {
    if before(text, at, 1) != Some(b':') {
        return Verdict::No;
    }
    let user = skip_back(text, at - 1, 80, |b| {
        is(b, WORD) || matches!(b, b'.' | b'-' | b'%' | b'+' | b'~')
    });
    let scheme_end = user.saturating_sub(3);
    if part(text, scheme_end, user) != b"://"
        || !before(text, scheme_end, 1).is_some_and(|b| is(b, ALNUM))
    {
        return Verdict::No;
    }
    let mut sign = None;
    let mut end = at;
    loop {
        match byte(text, end) {
            None if end_of_text => break,
            None => return Verdict::More,
            Some(
                b'/' | b'?' | b'#' | b'"' | b'\'' | b'`' | b'<' | b'>' | b'\\' | b'{' | b'}' | b','
                | b';' | b')' | b']' | b' ',
            ) => break,
            Some(b) if classes(b) & SPACE != 0 || b < 0x20 => break,
            Some(b'@') => sign = Some(end),
            Some(_) => {}
        }
        end += 1;
        if end - at > USERINFO_MAX {
            break;
        }
    }
    match sign {
        Some(sign) if sign - at >= 3 && !checks::placeholder(part(text, at, sign)) => {
            Verdict::Yes(sign)
        }
        _ => Verdict::No,
    }
}

/// The password of `-u user:password` or `--user user:password`.
pub(super) fn user_pair(text: &[u8], at: usize, end_of_text: bool) -> Verdict {
    if before(text, at, 1) != Some(b':') {
        return Verdict::No;
    }
    let user = skip_back(text, at - 1, 64, |b| {
        is(b, WORD) || matches!(b, b'.' | b'-' | b'@' | b'+')
    });
    let option = skip_back(text, user, 3, |b| matches!(b, b' ' | b'\'' | b'"' | b'='));
    let named = |word: &[u8]| {
        option.checked_sub(word.len()).is_some_and(|start| {
            part(text, start, option) == word
                && !matches!(before(text, start, 1), Some(b) if is(b, WORD) || b == b'-')
        })
    };
    if user + 1 == at || option == user || !(named(b"-u") || named(b"--user")) {
        return Verdict::No;
    }
    let window = part(text, at, text.len().min(at + PASSWORD_MAX + 1));
    let run = window
        .iter()
        .position(|&b| is(b, SPACE) || matches!(b, b'"' | b'\'' | b'`' | b'\\' | b'$' | b'<'))
        .unwrap_or(window.len());
    if run == window.len() && run <= PASSWORD_MAX && !end_of_text {
        return Verdict::More;
    }
    let password = part(text, at, at + run);
    let marked = password.iter().any(|b| !b.is_ascii_alphabetic());
    let good = (6..=PASSWORD_MAX).contains(&run)
        && marked
        && !password.iter().all(u8::is_ascii_digit)
        && !checks::placeholder(password);
    if good {
        Verdict::Yes(at + run)
    } else {
        Verdict::No
    }
}

//! What stands before a value and says that it is a secret: `key = value`, `"key": "value"`,
//! `Authorization: Bearer value`, `scheme://user:value@`.
//!
//! Keys and operators are public and may have been released already, so they are read from the
//! look-behind, never held. Only the value is held, until its delimiter or until it is too long or
//! of the wrong class to qualify.

use super::checks;
use super::classes::{
    ALNUM, BASE64, DELIMITER, DIGIT, LOWER, OPENER, SLASH_PLUS, SPACE, TOKEN, UPPER, WORD, before,
    byte, classes, is, part, run_end,
};
use super::rules::Keyed;

/// How far back anything in this module looks. The scanner keeps more than this.
pub(super) const LOOK_BEHIND: usize = 160;
/// Longest value of a key that says password.
const PASSWORD_MAX: usize = 128;
/// Longest value of any other key.
const SECRET_MAX: usize = 512;
/// Longest user:password part of a URL.
const USERINFO_MAX: usize = 256;

/// The answer of one rule at one place. `No` and `Yes` hold for every continuation of the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict<T = usize> {
    No,
    /// The bytes so far do not settle it.
    More,
    /// It is a secret, and this is its end (and whatever else the rule found out).
    Yes(T),
}

/// What the key of a value says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Key {
    Password,
    /// A password that may hold spaces.
    Passphrase,
    Secret,
    /// `…secret_access_key`.
    AwsSecret,
    /// `AccountKey` of Azure storage, and its kin.
    StorageKey,
}

/// What opened a value, and so what closes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Quote {
    None,
    Plain(u8),
    /// A quote behind a backslash: text that quotes source code or JSON.
    Escaped(u8),
    /// The value is a whole string of an outer format; only its end closes it.
    Whole,
}

/// Reads the key of a `key = value` pair. `None` when it names nothing secret.
pub(super) fn key(name: &[u8]) -> Option<Key> {
    let mut letters = [0u8; 64];
    let mut length = 0;
    for (slot, b) in letters
        .iter_mut()
        .zip(name.iter().filter(|&&b| is(b, ALNUM)))
    {
        *slot = b.to_ascii_lowercase();
        length += 1;
    }
    let mut name = letters.get(..length)?;
    const SUFFIXES: [&[u8]; 8] = [
        b"prod",
        b"production",
        b"dev",
        b"staging",
        b"test",
        b"value",
        b"raw",
        b"base",
    ];
    while let Some((&last, rest)) = name.split_last() {
        if !is(last, DIGIT) {
            break;
        }
        name = rest;
    }
    for suffix in SUFFIXES {
        name = name.strip_suffix(suffix).unwrap_or(name);
    }
    let ends = |words: &[&[u8]]| words.iter().any(|w| name.ends_with(w));
    let holds = |words: &[&[u8]]| {
        words
            .iter()
            .any(|w| name.windows(w.len()).any(|part| part == *w))
    };
    if !name.last().is_some_and(|b| b"dehnrstyl".contains(b)) {
        return None;
    }
    if ends(&[b"passphrase", b"passphrases"]) {
        return Some(Key::Passphrase);
    }
    if ends(&[
        b"password",
        b"passwd",
        b"pwd",
        b"passcode",
        b"userpass",
        b"dbpass",
    ]) {
        return (!holds(&[b"placeholder", b"resetpassword", b"forgotpassword"]))
            .then_some(Key::Password);
    }
    if ends(&[b"secretaccesskey", b"awssecret", b"awssecretkey"]) {
        return Some(Key::AwsSecret);
    }
    if ends(&[b"accountkey", b"sharedaccesskey", b"storagekey"]) {
        return Some(Key::StorageKey);
    }
    let secret = ends(&[
        b"secret",
        b"secrets",
        b"token",
        b"apikey",
        b"accesskey",
        b"secretkey",
        b"privatekey",
        b"authkey",
        b"credential",
        b"credentials",
        b"encryptionkey",
        b"signingkey",
        b"masterkey",
        b"authorization",
        b"apitoken",
        b"servicekey",
        b"licensekey",
        b"webhooksecret",
    ]);
    let harmless = holds(&[
        b"public",
        b"page",
        b"cursor",
        b"next",
        b"continuation",
        b"sync",
        b"placeholder",
        b"partial",
        b"idempotency",
        b"cancellation",
        b"delta",
        b"resume",
        b"sortkey",
    ]);
    (secret && !harmless).then_some(Key::Secret)
}

/// What stands before a whole value of an outer format whose key is `name`: the key's letters and
/// digits, a colon, and NUL, the quote that only the end closes. Nothing for a harmless key.
pub(super) fn of_value(name: &[u8], context: &mut Vec<u8>) {
    context.clear();
    if key(name).is_some() {
        context.extend(name.iter().filter(|&&b| is(b, ALNUM)).take(64));
        context.extend_from_slice(b":\0");
    }
}

/// The key of the value that begins at `at`, and how the value is quoted.
fn opening(text: &[u8], at: usize) -> Option<(Key, Quote)> {
    let previous = before(text, at, 1)?;
    if !is(previous, OPENER) {
        return None;
    }
    let mut end = at;
    let mut quote = Quote::None;
    match previous {
        0 => {
            quote = Quote::Whole;
            end = end.checked_sub(1)?;
        }
        b'"' | b'\'' | b'`' => {
            end = end.checked_sub(1)?;
            quote = Quote::Plain(previous);
            for _ in 0..4 {
                if before(text, end, 1) == Some(b'\\') {
                    quote = Quote::Escaped(previous);
                    end -= 1;
                }
            }
        }
        _ => {}
    }
    end = skip_back(text, end, 4, |b| b == b' ' || b == b'\t');
    match before(text, end, 1)? {
        b':' => {
            end -= 1;
            if before(text, end, 1) == Some(b':') {
                return None;
            }
        }
        b'=' => {
            end -= 1;
            match before(text, end, 1) {
                Some(b'=' | b':' | b'?' | b'+') => end -= 1,
                Some(b'!' | b'<' | b'>' | b'~') => return None,
                _ => {}
            }
        }
        b'>' if matches!(before(text, end, 2), Some(b'=' | b'-')) => end -= 2,
        _ => return None,
    }
    end = skip_back(text, end, 4, |b| b == b' ' || b == b'\t');
    end = skip_back(text, end, 5, |b| {
        matches!(b, b'"' | b'\'' | b'`' | b'\\' | b']')
    });
    let start = skip_back(text, end, 64, |b| is(b, WORD) || b == b'-' || b == b'.');
    key(part(text, start, end)).map(|key| (key, quote))
}

fn skip_back(text: &[u8], mut at: usize, most: usize, skip: impl Fn(u8) -> bool) -> usize {
    let least = at.saturating_sub(most);
    while at > least && before(text, at, 1).is_some_and(&skip) {
        at -= 1;
    }
    at
}

/// Judges the value that begins at `at` by the key before it.
pub(super) fn keyed(text: &[u8], at: usize, end_of_text: bool) -> Verdict<(usize, Keyed)> {
    let Some((key, quote)) = opening(text, at) else {
        return Verdict::No;
    };
    let free = matches!(key, Key::Password | Key::Passphrase);
    let most = if free { PASSWORD_MAX } else { SECRET_MAX };
    let mut end = at;
    let closed_by = loop {
        let Some(b) = byte(text, end) else {
            if !end_of_text {
                return Verdict::More;
            }
            break None;
        };
        let closes = match quote {
            Quote::None => is(b, DELIMITER),
            Quote::Plain(q) => b == q,
            Quote::Escaped(q) => b == q || b == b'\\',
            Quote::Whole => b == 0,
        };
        if closes {
            break Some(b);
        }
        if matches!(b, b'\r' | b'\n') || (!free && !is(b, TOKEN)) {
            return Verdict::No;
        }
        end += 1;
        if b == b'\\' && matches!(quote, Quote::Plain(_)) {
            // The quoted character belongs to the value, unless the text ends here.
            match byte(text, end) {
                Some(b'\r' | b'\n') => return Verdict::No,
                Some(_) => end += 1,
                None if end_of_text => {}
                None => return Verdict::More,
            }
        }
        if end - at > most {
            return Verdict::No;
        }
    };
    if quote == Quote::None {
        if matches!(closed_by, Some(b'(' | b'[' | b'{' | b'<')) {
            return Verdict::No;
        }
        while end > at && matches!(before(text, end, 1), Some(b'.' | b':' | b'?')) {
            end -= 1;
        }
    }
    let value = part(text, at, end);
    let kind = if free {
        password(value, quote, key).then_some(Keyed::Password)
    } else {
        secret(value, key)
    };
    kind.map_or(Verdict::No, |kind| Verdict::Yes((end, kind)))
}

fn password(value: &[u8], quote: Quote, key: Key) -> bool {
    let quoted = quote != Quote::None;
    let length = if quoted {
        6..=PASSWORD_MAX
    } else {
        8..=PASSWORD_MAX
    };
    let spaced = value.iter().any(|&b| is(b, SPACE));
    if !length.contains(&value.len())
        || checks::placeholder(value)
        || (spaced && key != Key::Passphrase)
        || value.starts_with(b"/")
        || value.starts_with(b"./")
        || value.windows(3).any(|w| w == b"://")
    {
        return false;
    }
    let letters = value.iter().any(|&b| is(b, UPPER | LOWER) || b >= 0x80);
    let marked = value
        .iter()
        .any(|&b| is(b, DIGIT) || b"!@#$%^*+?~".contains(&b));
    let separated = value.iter().any(|&b| b"_-.".contains(&b));
    if quoted {
        letters
            && (marked || (value.len() >= 12 && checks::entropy(value) >= 3.2))
            && !(separated && checks::identifier(value))
    } else {
        letters && marked && !checks::identifier(value)
    }
}

fn secret(value: &[u8], key: Key) -> Option<Keyed> {
    if key == Key::AwsSecret
        && value.len() == 40
        && value.iter().all(|&b| is(b, ALNUM | SLASH_PLUS))
        && checks::entropy(value) >= 3.5
        && !checks::placeholder(value)
    {
        return Some(Keyed::AwsSecret);
    }
    if key == Key::StorageKey
        && value.len() == 88
        && value.ends_with(b"==")
        && value.iter().all(|&b| is(b, BASE64))
    {
        return Some(Keyed::AzureStorage);
    }
    (value.len() >= 16
        && checks::letter_and_digit(value)
        && checks::entropy(value) >= 3.0
        && !checks::uuid(value)
        && !checks::placeholder(value)
        && !checks::identifier(value)
        && ![&b"/"[..], b"./", b"sha1", b"sha2", b"sha3", b"sha5"]
            .iter()
            .any(|p| value.starts_with(p)))
    .then_some(Keyed::Secret)
}

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

/// Where the credential after an Authorization scheme ends, if it is one.
pub(super) fn credential(
    text: &[u8],
    at: usize,
    scheme: Scheme,
    most: usize,
    end_of_text: bool,
) -> Verdict {
    let mut end = run_end(text, at, TOKEN);
    if end - at >= most {
        end = at + most;
    } else if end == text.len() && !end_of_text {
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

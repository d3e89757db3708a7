//! What stands before a value and says that it is a secret: `key = value`, `"key": "value"`, `<key>value`, `--key value`.
//!
//! Keys and operators are public and may have been released already, so they are read from the look-behind, never held.
//! Only the value is held, until its delimiter or until it is too long or of the wrong class to qualify.

use super::checks;
use super::classes::{
    ALNUM, BASE64, DELIMITER, DIGIT, LOWER, SLASH_PLUS, SPACE, TOKEN, UPPER, WORD, before, byte,
    is, part,
};
use super::keys::{self, Key, Name};
use super::rules::{self, Scan};
use super::set::{MaskSet, RuleIndex};
use super::shape;

/// How far back anything in this module looks. The scanner keeps more than this.
pub(super) const LOOK_BEHIND: usize = 192;
/// Longest value of a key that says password.
const PASSWORD_MAX: usize = 128;
/// Longest session token.
const SESSION_MAX: usize = 2048;
/// Longest value of any other key.
const SECRET_MAX: usize = 512;
/// Shortest value that anything is found in.
const VALUE_MIN: usize = 6;
/// Shortest value without quotes.
const BARE_MIN: usize = 8;
/// Shortest value of a service.
const SERVICE_MIN: usize = 14;

/// The answer of one rule at one place. `No` and `Yes` hold for every continuation of the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict<T = usize> {
    No,
    /// The bytes so far do not settle it.
    More,
    /// It is a secret, and this is its end (and whatever else the rule found out).
    Yes(T),
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
    /// Between two tags.
    Element,
}

impl Quote {
    fn closes(self, b: u8) -> bool {
        match self {
            Self::None => is(b, DELIMITER),
            Self::Plain(quote) => b == quote,
            Self::Escaped(quote) => b == quote || b == b'\\',
            Self::Whole => b == 0,
            Self::Element => b == b'<',
        }
    }
}

/// The key of the value that begins at `at`, and how the value is quoted.
fn opening(text: &[u8], at: usize) -> Option<(&[u8], Quote)> {
    let mut end = at;
    let mut quote = Quote::None;
    match before(text, at, 1)? {
        0 => {
            quote = Quote::Whole;
            end = end.checked_sub(1)?;
        }
        b'>' => return element(text, at).map(|name| (name, Quote::Element)),
        previous @ (b'"' | b'\'' | b'`') => {
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
    let blanks = end;
    end = skip_back(text, end, 4, |b| b == b' ' || b == b'\t');
    let blank = end < blanks;
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
        last if blank && is(last, WORD) => {
            return option(text, end).map(|name| (name, quote));
        }
        _ => return None,
    }
    end = skip_back(text, end, 4, |b| b == b' ' || b == b'\t');
    end = skip_back(text, end, 5, |b| {
        matches!(b, b'"' | b'\'' | b'`' | b'\\' | b']')
    });
    Some((name_before(text, end), quote))
}

/// The name that ends at `end`.
fn name_before(text: &[u8], end: usize) -> &[u8] {
    let start = skip_back(text, end, 64, |b| is(b, WORD) || b == b'-' || b == b'.');
    part(text, start, end)
}

/// The name of the element whose text begins at `at`, behind its tag.
fn element(text: &[u8], at: usize) -> Option<&[u8]> {
    let end = at.checked_sub(1)?;
    let tag = skip_back(text, end, 96, |b| !matches!(b, b'<' | b'>' | b'\n'));
    if before(text, tag, 1) != Some(b'<') {
        return None;
    }
    let inside = part(text, tag, end);
    let name = inside.split(|&b| is(b, SPACE)).next().unwrap_or_default();
    let plain = |b: &u8| is(*b, WORD) || matches!(b, b'-' | b'.' | b':');
    (!name.is_empty() && name.iter().all(plain)).then_some(name)
}

/// The option of a command line that ends at `end` (`--token`), or `password` behind the login of a .netrc file.
fn option(text: &[u8], end: usize) -> Option<&[u8]> {
    let name = name_before(text, end);
    if name.starts_with(b"--") {
        return Some(name);
    }
    if name != b"password" {
        return None;
    }
    let blank = |b: u8| is(b, SPACE);
    let user = skip_back(text, end - name.len(), 24, blank);
    let login = skip_back(text, user, 64, |b| !blank(b));
    let word = skip_back(text, login, 24, blank);
    let found = user > login && name_before(text, word) == b"login";
    found.then_some(name)
}

pub(super) fn skip_back(
    text: &[u8],
    mut at: usize,
    most: usize,
    skip: impl Fn(u8) -> bool,
) -> usize {
    let least = at.saturating_sub(most);
    while at > least && before(text, at, 1).is_some_and(&skip) {
        at -= 1;
    }
    at
}

/// What of a value has been read.
struct Value {
    end: usize,
    closed_by: Option<u8>,
}

/// Judges the value that begins at `at` by the key before it.
pub(super) fn keyed(
    set: &MaskSet,
    text: &[u8],
    at: usize,
    end_of_text: bool,
) -> Verdict<(usize, RuleIndex)> {
    // Most values are too short for anything, whatever their key.
    let previous = before(text, at, 1).unwrap_or(0);
    let head = part(text, at, text.len().min(at + VALUE_MIN));
    let short = match previous {
        0 => false,
        b'"' | b'\'' | b'`' => {
            !head.contains(&b'\\') && head.iter().any(|&b| b == previous || b == b'\n')
        }
        b'>' => head.iter().any(|&b| matches!(b, b'<' | b'\n')),
        _ => part(text, at, text.len().min(at + BARE_MIN))
            .iter()
            .any(|&b| is(b, DELIMITER)),
    };
    if short {
        return Verdict::No;
    }
    let Some((raw, quote)) = opening(text, at) else {
        return Verdict::No;
    };
    // Nor do most keys say anything.
    let head = part(text, at, text.len().min(at + SERVICE_MIN));
    let long = head.iter().all(|&b| is(b, TOKEN));
    let telling = keys::may_name(raw);
    if !long && !telling {
        return Verdict::No;
    }
    let name = Name::of(raw);
    let key = telling
        .then(|| name.key())
        .flatten()
        .filter(|key| match key {
            Key::Cookie => quote == Quote::None && before(text, at, 1) == Some(b'='),
            Key::Signature => matches!(quote, Quote::None | Quote::Whole),
            _ => true,
        });
    let service = long && name.is_of_service();
    if key.is_none() && !service {
        return Verdict::No;
    }
    let free = matches!(key, Some(Key::Password | Key::Passphrase));
    let most = match key {
        Some(Key::Password | Key::Passphrase) => PASSWORD_MAX,
        Some(Key::AwsSession) => SESSION_MAX,
        _ => SECRET_MAX,
    };
    let allowed = |b: u8| {
        free || is(b, TOKEN)
            || (b == b'%' && matches!(key, Some(Key::Cookie | Key::Signature)))
            || (b == b':' && service)
    };
    let value = match read(text, at, quote, most, allowed, end_of_text) {
        Verdict::Yes(value) => value,
        Verdict::More => return Verdict::More,
        Verdict::No => return Verdict::No,
    };
    let mut end = value.end;
    if quote == Quote::None {
        if matches!(value.closed_by, Some(b'(' | b'[' | b'{' | b'<')) {
            return Verdict::No;
        }
        while end > at && matches!(before(text, end, 1), Some(b'.' | b':' | b'?')) {
            end -= 1;
        }
    }
    let value = part(text, at, end);
    let by_service = service.then(|| of_service(set, &name, value)).flatten();
    let by_key = key.and_then(|key| of_key(set, key, value, quote));
    match (by_service, by_key) {
        (Some(one), Some(other)) => Verdict::Yes((end, one.min(other))),
        (Some(rule), None) | (None, Some(rule)) => Verdict::Yes((end, rule)),
        (None, None) => Verdict::No,
    }
}

fn read(
    text: &[u8],
    at: usize,
    quote: Quote,
    most: usize,
    allowed: impl Fn(u8) -> bool,
    end_of_text: bool,
) -> Verdict<Value> {
    let mut end = at;
    loop {
        let Some(b) = byte(text, end) else {
            if !end_of_text {
                return Verdict::More;
            }
            return Verdict::Yes(Value {
                end,
                closed_by: None,
            });
        };
        if quote.closes(b) {
            return Verdict::Yes(Value {
                end,
                closed_by: Some(b),
            });
        }
        if matches!(b, b'\r' | b'\n') || !allowed(b) {
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
    }
}

/// The first rule whose key and shape fit.
fn of_service(set: &MaskSet, name: &Name, value: &[u8]) -> Option<RuleIndex> {
    rules::services(name.letters())
        .flat_map(rules::values)
        .filter(|shape| set.has(shape.rule))
        .filter(|shape| shape::value(shape, value))
        .map(|shape| shape.rule)
        .min()
        .filter(|_| {
            // Names have few digits.
            let digits = value.iter().filter(|b| b.is_ascii_digit()).count();
            let named = digits * 8 < value.len() && checks::code_name(value);
            checks::letter_and_digit(value) && !named
        })
}

fn of_key(set: &MaskSet, key: Key, value: &[u8], quote: Quote) -> Option<RuleIndex> {
    // A kind that is switched off still is a secret of the general kind.
    let general = |kind: Scan| set.scan(kind).or(set.scan(Scan::Secret));
    match key {
        Key::Password | Key::Passphrase => set
            .scan(Scan::Password)
            .filter(|_| password(value, quote, key)),
        Key::AwsSecret if aws_secret(value) => general(Scan::AwsSecret),
        Key::AwsSession if aws_session(value) => general(Scan::AwsSession),
        Key::Storage if storage(value) => general(Scan::AzureStorage),
        Key::Cookie => set
            .scan(Scan::Cookie)
            .filter(|_| value.len() >= 20 && random(value) && checks::entropy(value) >= 3.2),
        Key::Signature => set.scan(Scan::Sas).filter(|_| signature(value)),
        Key::Secret | Key::AwsSecret | Key::AwsSession | Key::Storage => {
            let good = random(value) && (quote != Quote::None || !checks::code_name(value));
            set.scan(Scan::Secret).filter(|_| good)
        }
    }
}

fn password(value: &[u8], quote: Quote, key: Key) -> bool {
    let quoted = quote != Quote::None;
    let length = if quoted {
        VALUE_MIN..=PASSWORD_MAX
    } else {
        BARE_MIN..=PASSWORD_MAX
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
            && (marked
                || (value.len() >= 12
                    && checks::entropy(value) >= 3.2
                    && !checks::code_name(value)))
            && !(separated && checks::identifier(value))
    } else {
        letters && marked && !checks::identifier(value)
    }
}

fn aws_secret(value: &[u8]) -> bool {
    value.len() == 40
        && value.iter().all(|&b| is(b, ALNUM | SLASH_PLUS))
        && checks::entropy(value) >= 3.5
        && !checks::placeholder(value)
}

fn aws_session(value: &[u8]) -> bool {
    value.len() >= 100
        && value.iter().all(|&b| is(b, BASE64))
        && checks::entropy(value) >= 4.0
        && !checks::placeholder(value)
}

fn storage(value: &[u8]) -> bool {
    matches!(value.len(), 88 | 44)
        && value.ends_with(b"=")
        && value.iter().all(|&b| is(b, BASE64))
        && checks::entropy(value) >= 3.5
}

/// Base64 of 32 bytes, as it stands in a query.
fn signature(value: &[u8]) -> bool {
    let tail = value.ends_with(b"%3D") || value.ends_with(b"%3d") || value.ends_with(b"=");
    (43..=70).contains(&value.len()) && tail && checks::entropy(value) >= 3.5
}

fn random(value: &[u8]) -> bool {
    value.len() >= 16
        && checks::letter_and_digit(value)
        && checks::entropy(value) >= 3.0
        && !checks::uuid(value)
        && !checks::placeholder(value)
        && !checks::identifier(value)
        && ![&b"/"[..], b"./", b"sha1", b"sha2", b"sha3", b"sha5"]
            .iter()
            .any(|p| value.starts_with(p))
}

//! What the key of a `key = value` pair says about its value.

use super::classes::{ALNUM, DIGIT, is};
use super::rules;

/// Most letters and digits of a key that are read.
pub(super) const NAME_MAX: usize = 64;

/// What a key says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Key {
    Password,
    /// A password that may hold spaces.
    Passphrase,
    Secret,
    /// `…secret_access_key`.
    AwsSecret,
    /// `aws_session_token`.
    AwsSession,
    /// `AccountKey` of Azure storage, and its kin.
    Storage,
    /// The cookie of a session.
    Cookie,
    /// `sig` of a shared access signature.
    Signature,
}

/// The letters and digits of a key, in lower case.
pub(super) struct Name {
    letters: [u8; NAME_MAX],
    length: usize,
}

impl Name {
    pub(super) fn of(raw: &[u8]) -> Self {
        let mut name = Self {
            letters: [0; NAME_MAX],
            length: 0,
        };
        // The end of a long key tells more than its beginning.
        let raw = raw
            .get(raw.len().saturating_sub(NAME_MAX)..)
            .unwrap_or_default();
        let letters = raw.iter().filter(|&&b| is(b, ALNUM));
        for (slot, b) in name.letters.iter_mut().zip(letters) {
            *slot = b.to_ascii_lowercase();
            name.length += 1;
        }
        name
    }

    pub(super) fn letters(&self) -> &[u8] {
        self.letters.get(..self.length).unwrap_or_default()
    }

    /// Whether it is the key of one of the services whose values have a shape, and of no harmless value of theirs.
    pub(super) fn is_of_service(&self) -> bool {
        let name = self.letters();
        rules::may_hold_service(name) && rules::services(name).next().is_some() && !is_plain(name)
    }

    /// What it says. `None` when it names nothing secret.
    pub(super) fn key(&self) -> Option<Key> {
        key(self.letters())
    }
}

/// Numbers and addresses that stand beside secrets and look like them.
fn is_plain(name: &[u8]) -> bool {
    const ENDS: [&[u8]; 16] = [
        b"id",
        b"url",
        b"uri",
        b"name",
        b"host",
        b"email",
        b"region",
        b"version",
        b"path",
        b"file",
        b"sid",
        b"user",
        b"username",
        b"bucket",
        b"account",
        b"arn",
    ];
    const PARTS: [&[u8]; 16] = [
        b"sha",
        b"commit",
        b"hash",
        b"digest",
        b"checksum",
        b"revision",
        b"integrity",
        b"etag",
        b"fingerprint",
        b"uuid",
        b"guid",
        b"public",
        b"trace",
        b"span",
        b"cursor",
        b"blob",
    ];
    ENDS.iter().any(|end| name.ends_with(end)) || holds(name, &PARTS)
}

fn holds(name: &[u8], words: &[&[u8]]) -> bool {
    words
        .iter()
        .any(|w| name.windows(w.len()).any(|part| part == *w))
}

fn key(letters: &[u8]) -> Option<Key> {
    let mut name = letters;
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
    // Nearly every key that names nothing secret ends here.
    let [.., a, b, c] = *name else {
        return None;
    };
    if !tells([a, b, c]) {
        return None;
    }
    if name == b"sig" {
        return Some(Key::Signature);
    }
    for suffix in SUFFIXES {
        name = name.strip_suffix(suffix).unwrap_or(name);
    }
    let ends = |words: &[&[u8]]| words.iter().any(|w| name.ends_with(w));
    if ends(&[
        b"sessionid",
        b"jsessionid",
        b"phpsessid",
        b"connectsid",
        b"sessid",
        b"usersession",
        b"authsession",
    ]) || name == b"session"
    {
        return Some(Key::Cookie);
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
        b"smtppass",
        b"mailpass",
        b"adminpass",
        b"ftppass",
        b"sshpass",
        b"rootpass",
    ]) || name == b"pass"
    {
        return (!holds(name, &[b"placeholder", b"resetpassword", b"forgotpassword"]))
            .then_some(Key::Password);
    }
    if ends(&[b"secretaccesskey", b"awssecret", b"awssecretkey"]) {
        return Some(Key::AwsSecret);
    }
    if ends(&[b"awssessiontoken", b"awssecuritytoken", b"amzsecuritytoken"])
        || letters == b"sessiontoken"
    {
        return Some(Key::AwsSession);
    }
    if ends(&[b"accountkey", b"sharedaccesskey", b"storagekey"]) {
        return Some(Key::Storage);
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
        b"subscriptionkey",
        b"functionskey",
    ]);
    let harmless = || {
        holds(
            letters,
            &[
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
            ],
        )
    };
    (secret && !harmless()).then_some(Key::Secret)
}

/// Whether a key may say anything, by its last letters; a glance.
pub(super) fn may_name(raw: &[u8]) -> bool {
    let mut letters = raw
        .iter()
        .rev()
        .filter(|&&b| is(b, ALNUM))
        .skip_while(|&&b| is(b, DIGIT))
        .map(u8::to_ascii_lowercase);
    let last = [letters.next(), letters.next(), letters.next()].map(|b| b.unwrap_or(0));
    let [c, b, a] = last;
    tells([a, b, c])
}

/// Whether a key that names something secret can end with these letters: most others do not.
#[inline]
const fn tells(last: [u8; 3]) -> bool {
    matches!(
        last,
        [b'o', b'r' | b'd', b'd' | b'e']
            | [b's' | b'p', b'w', b'd']
            | [b'a', b's', b's' | b'e']
            | [b's', b'e', b's']
            | [b'r', b'e', b't']
            | [b'e', b't', b's']
            | [b'k', b'e', b'n' | b'y']
            | [b'i', b'a', b'l']
            | [b'a', b'l', b's']
            | [b'i', b'o', b'n']
            | [b'r', b'o', b'd']
            | [b'd', b'e', b'v']
            | [b'i', b'n', b'g']
            | [b'e', b's', b't']
            | [b'l', b'u', b'e']
            | [b'r', b'a', b'w']
            | [b's', b'i', b'd' | b'g']
            | [b'n', b'i', b'd']
    )
}

/// Of a byte: it ends a key, of any that is shorter than three letters.
const OVER: u8 = 0;
/// Digits and marks inside a key. Letters are 1 to 26.
const INSIDE: u8 = 27;
/// What may stand between a key and its operator, or belong to the operator.
const BETWEEN: u8 = 28;

static KINDS: [u8; 256] = kinds();

#[allow(clippy::indexing_slicing, reason = "run by the compiler")]
const fn kinds() -> [u8; 256] {
    let mut kinds = [OVER; 256];
    let mut byte = 0;
    while byte < 128 {
        let b = byte as u8;
        kinds[byte] = match b {
            b'A'..=b'Z' => b - b'A' + 1,
            b'a'..=b'z' => b - b'a' + 1,
            b'0'..=b'9' | b'_' | b'-' | b'.' => INSIDE,
            b'"' | b'\'' | b'`' | b'\\' | b']' | b' ' | b'\t' | b'=' | b':' | b'?' | b'+' => {
                BETWEEN
            }
            _ => OVER,
        };
        byte += 1;
    }
    kinds
}

/// [`tells`] for all letters, one bit each.
static TELLING: [u64; 512] = telling();

#[allow(clippy::indexing_slicing, reason = "run by the compiler")]
const fn telling() -> [u64; 512] {
    let mut bits = [0; 512];
    let mut place = 0;
    while place < 512 * 64 {
        let [a, b, c] = [
            (place >> 10) as u8,
            (place >> 5 & 31) as u8,
            (place & 31) as u8,
        ];
        if tells([a + b'a' - 1, b + b'a' - 1, c + b'a' - 1]) {
            bits[place / 64] |= 1 << (place % 64);
        }
        place += 1;
    }
    bits
}

/// Whether a key that ends with these three bytes may say anything; `true` where more of it has to be read.
#[inline(always)]
pub(super) fn may_end(last: [u8; 3]) -> bool {
    match last.map(|byte| KINDS.get(usize::from(byte)).copied().unwrap_or(OVER)) {
        [_, _, INSIDE | BETWEEN] => true,
        [_, _, OVER] => false,
        [_, INSIDE, _] => true,
        [_, OVER | BETWEEN, _] => false,
        [INSIDE, _, _] => true,
        [OVER | BETWEEN, _, _] => false,
        [a, b, c] => {
            let place = usize::from(a) << 10 | usize::from(b) << 5 | usize::from(c);
            TELLING.get(place / 64).copied().unwrap_or(0) >> (place % 64) & 1 == 1
        }
    }
}

/// The same for a key that a quote or a blank may follow.
#[inline(always)]
pub(super) fn may_end_before(last: [u8; 4]) -> bool {
    let [a, b, c, d] = last;
    match d {
        b'"' | b'\'' | b'`' | b' ' => may_end([a, b, c]),
        _ => may_end([b, c, d]),
    }
}
/// What stands before a whole value of an outer format whose key is `name`: the key's letters and digits, a colon, and
/// NUL, the quote that only the end closes. Nothing for a harmless key.
pub(super) fn of_value(name: &[u8], context: &mut Vec<u8>) {
    context.clear();
    let name = Name::of(name);
    if name.key().is_some() || name.is_of_service() {
        context.extend_from_slice(name.letters());
        context.extend_from_slice(b":\0");
    }
}

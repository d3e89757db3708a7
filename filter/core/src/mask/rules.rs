//! The built-in rules as tables. They are written down in `filter/core/mask/rules.toml`, with their examples, and made into
//! these tables when the engine is built (`mask/table.rs`): nothing is compiled at start.

use super::classes::Class;

include!(concat!(env!("OUT_DIR"), "/mask_rules.rs"));
include!("../../mask/hash.rs");

/// One kind of secret.
pub(super) struct Rule {
    /// Stands in the replacement, in policies and in records.
    pub id: &'static str,
    /// What it is, for people.
    pub about: &'static str,
    /// The reader that finds it; `None` for what the tables describe.
    pub scan: Option<Scan>,
}

/// Readers for what no pattern describes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scan {
    /// `???dQ~` and 31 to 34 more bytes, known by its fourth to sixth.
    AzureClientSecret,
    /// Three base64url parts whose first decodes to a JSON object with `alg`.
    Jwt,
    /// A PEM block that says PRIVATE KEY and has a body.
    PrivateKey,
    /// The private lines of a PuTTY key.
    Putty,
    /// The password of `scheme://user:password@host`.
    Url,
    /// What follows `Basic` in an Authorization value.
    Basic,
    /// What follows `Bearer` or `token` in an Authorization value.
    Bearer,
    /// The password of `curl -u user:password`.
    UserPair,
    /// The value of a session's cookie.
    Cookie,
    /// The signature of an Azure shared access signature.
    Sas,
    /// The value of a key that says what it is; these tell which keys.
    AwsSecret,
    AwsSession,
    AzureStorage,
    Password,
    Secret,
}

/// How many [`Scan`]s there are.
pub(super) const SCANS: usize = Scan::Secret as usize + 1;

/// Those that go by what a token looks like.
pub(super) const TOKEN_SCANS: [Scan; 3] = [Scan::AzureClientSecret, Scan::Jwt, Scan::Putty];

/// What a token or a value looks like.
pub(super) struct Shape {
    pub rule: u16,
    pub parts: &'static [Part],
    pub check: Check,
    pub end: End,
    /// Eight to ten digits and a colon stand before it.
    pub behind: bool,
}

/// A part of a shape.
pub(super) enum Part {
    /// These bytes.
    Text(&'static [u8]),
    /// Bytes of one class, as many as there are, up to `most`.
    Run { class: u8, least: u16, most: u16 },
}

/// What may follow a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// No letter or digit.
    Word,
    /// Anything.
    Any,
}

/// What the bytes behind the plain text at the beginning must pass.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// Not a placeholder.
    Any,
    /// Not a placeholder, not words, enough entropy.
    Random,
    /// The same, with letters and digits, and no name of source code: for beginnings that ordinary words have.
    Dense,
    /// The last six bytes are the base-62 CRC-32 of those before them.
    Crc32,
    /// The bech32 checksum of an age key.
    Age,
    /// The first part decodes to a number.
    Discord,
    /// The last eight digits are the CRC-32 of the rest.
    Grafana,
    /// Decodes to a JSON object.
    GrafanaCloud,
}

/// Whether a byte is in one of the classes that shapes are made of.
#[inline(always)]
pub(super) fn member(byte: u8, class: u8) -> bool {
    MEMBERS
        .get(usize::from(byte))
        .is_some_and(|mask| mask >> (class & 63) & 1 == 1)
}

/// Whether anything can begin with the eight bytes at `at`; a glance, for words in the middle of a text.
#[inline(always)]
pub(super) fn may_start(text: &[u8], at: usize) -> bool {
    let Some(bytes @ &[a, b, c, d, e, f, _, _]) = text.get(at..).and_then(<[u8]>::first_chunk)
    else {
        return true;
    };
    let hash = hash([a, b, c]);
    let bits = START_BITS.get(hash / 64).copied().unwrap_or(0);
    (bits >> (hash % 64) & 1 == 1 && has_head(bytes))
        || (e == b'Q' && f == b'~' && d.is_ascii_digit())
        || (a == b'e' && b == b'y' && c == b'J')
        || (a == b'P' && b == b'r')
}

/// Whether a shape is left that allows each of these bytes at its place.
#[inline]
fn has_head(bytes: &[u8; 8]) -> bool {
    let groups = HEADS
        .iter()
        .zip(bytes)
        .map(|(head, &b)| head.get(usize::from(b)).copied().unwrap_or(0));
    groups.fold(!0, |left, groups| left & groups) != 0
}

/// The shapes that can begin with these bytes: the first three of what is there, or fewer at its end.
pub(super) fn starting(bytes: &[u8]) -> &'static [(u32, u16, u16)] {
    let (least, most) = match *bytes {
        [] => return &STARTS,
        [a] => ([0, a, 0, 0], [0, a, 255, 255]),
        [a, b] => ([0, a, b, 0], [0, a, b, 255]),
        [a, b, c, ..] => {
            let hash = hash([a, b, c]);
            let bits = START_BITS.get(hash / 64).copied().unwrap_or(0);
            if bits >> (hash % 64) & 1 == 0 {
                return &[];
            }
            ([0, a, b, c], [0, a, b, c])
        }
    };
    let first = STARTS.partition_point(|start| start.0 < u32::from_be_bytes(least));
    let end = STARTS.partition_point(|start| start.0 <= u32::from_be_bytes(most));
    STARTS.get(first..end).unwrap_or_default()
}

/// The shapes of one entry of [`starting`].
pub(super) fn shapes(start: &(u32, u16, u16)) -> impl Iterator<Item = &'static Shape> {
    let first = usize::from(start.1);
    START_SHAPES
        .get(first..first + usize::from(start.2))
        .unwrap_or_default()
        .iter()
        .filter_map(|&shape| SHAPES.get(usize::from(shape)))
}

/// Whether a service's word may be in a key (letters and digits, lower case); a glance.
pub(super) fn may_hold_service(key: &[u8]) -> bool {
    key.array_windows().any(|&start| {
        let hash = hash(start);
        WORD_BITS.get(hash / 64).copied().unwrap_or(0) >> (hash % 64) & 1 == 1
    })
}

/// The services whose word is in a key (letters and digits, lower case).
pub(super) fn services(key: &[u8]) -> impl Iterator<Item = u16> {
    key.windows(3).enumerate().flat_map(move |(place, start)| {
        let hash = match *start {
            [a, b, c] => hash([a, b, c]),
            _ => 0,
        };
        let bits = WORD_BITS.get(hash / 64).copied().unwrap_or(0);
        let rest = key.get(place..).unwrap_or_default();
        let words: &[(&[u8], &[u16])] = if bits >> (hash % 64) & 1 == 1 {
            let first = WORDS.partition_point(|(word, _)| word.get(..3).unwrap_or(word) < start);
            WORDS.get(first..).unwrap_or_default()
        } else {
            &[]
        };
        words
            .iter()
            .take_while(move |(word, _)| word.starts_with(start))
            .filter(move |(word, _)| rest.starts_with(word))
            .flat_map(|(_, services)| services.iter().copied())
    })
}

/// What the values of a service look like.
pub(super) fn values(service: u16) -> &'static [Shape] {
    let (first, end) = SERVICES
        .get(usize::from(service))
        .copied()
        .unwrap_or_default();
    VALUES
        .get(usize::from(first)..usize::from(end))
        .unwrap_or_default()
}

/// The classes an Azure client secret is made of.
pub(super) const AZURE_CLASS: Class = super::classes::ALNUM
    | super::classes::UNDERSCORE
    | super::classes::DOT
    | super::classes::DASH
    | super::classes::TILDE;

//! Byte classes: one table look-up tells every class a byte belongs to.

/// A set of classes, one bit each.
pub(super) type Class = u16;

pub(super) const UPPER: Class = 1;
pub(super) const LOWER: Class = 1 << 1;
pub(super) const DIGIT: Class = 1 << 2;
pub(super) const UNDERSCORE: Class = 1 << 3;
pub(super) const DASH: Class = 1 << 4;
pub(super) const DOT: Class = 1 << 5;
pub(super) const SLASH_PLUS: Class = 1 << 6;
pub(super) const EQUALS: Class = 1 << 7;
pub(super) const TILDE: Class = 1 << 8;
/// Space, tab, CR, LF.
pub(super) const SPACE: Class = 1 << 9;
/// `0-9a-f`.
pub(super) const HEX: Class = 1 << 10;
/// `A-Z2-7`.
pub(super) const BASE32: Class = 1 << 11;
/// What can stand right before a value: operators, quotes, space, and NUL, the quote that nothing
/// in a text can close.
pub(super) const OPENER: Class = 1 << 12;
/// What ends a value that is not quoted.
pub(super) const DELIMITER: Class = 1 << 13;
/// Upper-case letters and digits.
pub(super) const UPPER_DIGIT: Class = 1 << 14;
/// JSON structure and white space.
pub(super) const STRUCTURE: Class = 1 << 15;

pub(super) const ALNUM: Class = UPPER | LOWER | DIGIT;
pub(super) const WORD: Class = ALNUM | UNDERSCORE;
pub(super) const BASE64: Class = ALNUM | SLASH_PLUS | EQUALS;
pub(super) const BASE64_URL: Class = ALNUM | UNDERSCORE | DASH;
pub(super) const TOKEN: Class = BASE64_URL | SLASH_PLUS | EQUALS | DOT | TILDE;

static TABLE: [Class; 256] = table();

#[allow(clippy::indexing_slicing, reason = "run by the compiler")]
const fn table() -> [Class; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        let mut class = match b {
            b'A'..=b'Z' => UPPER | UPPER_DIGIT,
            b'a'..=b'z' => LOWER,
            b'0'..=b'9' => DIGIT | UPPER_DIGIT,
            b'_' => UNDERSCORE,
            b'-' => DASH,
            b'.' => DOT,
            b'/' | b'+' => SLASH_PLUS,
            b'=' => EQUALS,
            b'~' => TILDE,
            b' ' | b'\t' | b'\r' | b'\n' => SPACE,
            _ => 0,
        };
        if matches!(b, b'0'..=b'9' | b'a'..=b'f') {
            class |= HEX;
        }
        if matches!(b, b'A'..=b'Z' | b'2'..=b'7') {
            class |= BASE32;
        }
        if matches!(b, b'=' | b':' | b'"' | b'\'' | b'`' | b' ' | 0) {
            class |= OPENER;
        }
        if matches!(
            b,
            b' ' | b'\t' | b'\r' | b'\n' | b'"' | b'\'' | b'`' | b',' | b';' | b'&' | b'<' | b'>'
                | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'|' | b'\\' | 0..=8 | 127..
        ) {
            class |= DELIMITER;
        }
        if matches!(
            b,
            b'{' | b'}' | b'[' | b']' | b',' | b':' | b' ' | b'\t' | b'\r' | b'\n'
        ) {
            class |= STRUCTURE;
        }
        table[byte] = class;
        byte += 1;
    }
    table
}

/// The classes of a byte.
#[inline(always)]
pub(super) fn classes(byte: u8) -> Class {
    // The index is a byte and the table has 256 entries: the bounds check is optimised away.
    TABLE.get(usize::from(byte)).copied().unwrap_or(0)
}

#[inline(always)]
pub(super) fn is(byte: u8, class: Class) -> bool {
    classes(byte) & class != 0
}

/// The byte at `at`, if there is one.
#[inline(always)]
pub(super) fn byte(text: &[u8], at: usize) -> Option<u8> {
    text.get(at).copied()
}

/// The byte `back` places before `at`.
#[inline(always)]
pub(super) fn before(text: &[u8], at: usize, back: usize) -> Option<u8> {
    at.checked_sub(back).and_then(|i| text.get(i).copied())
}

/// Where the run of bytes of `class` that begins at `from` ends.
#[inline]
pub(super) fn run_end(text: &[u8], from: usize, class: Class) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    from + rest
        .iter()
        .position(|&b| !is(b, class))
        .unwrap_or(rest.len())
}

/// `text[from..to]`, empty when out of range.
#[inline(always)]
pub(super) fn part(text: &[u8], from: usize, to: usize) -> &[u8] {
    text.get(from..to).unwrap_or_default()
}

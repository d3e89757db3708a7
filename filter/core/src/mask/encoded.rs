//! Base64 inside a string (the contents API's `content`): searched decoded, written encoded.
//!
//! A string under a key that holds content, whose first [`HEAD`] bytes are base64 and begin no token, is taken for it.
//! Every four characters are a unit that stands for up to three bytes. A unit that stays is written as it came, line ends
//! included; what is masked, with its neighbours in the same unit, is encoded anew and filled up with blanks, so that all
//! that follows keeps its places.

use super::rules;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// So many bytes decide whether a string is base64.
pub(super) const HEAD: usize = 48;
/// Bytes of a line end between two characters, escaped (`\r\n`), and of the character.
const RAW_MAX: usize = 24;

/// Whether a string under this key may be a file in base64.
pub(super) fn may_hold(key: &[u8]) -> bool {
    const KEYS: [&[u8]; 8] = [
        b"content",
        b"contents",
        b"data",
        b"blob",
        b"body",
        b"payload",
        b"file_content",
        b"file",
    ];
    KEYS.contains(&key)
}

/// Whether the beginning of a string is that of base64, as far as it goes.
pub(super) fn looks_encoded(head: &[u8]) -> bool {
    head.iter().all(|&b| value(b).is_some() || is_line_end(b))
        && !head.starts_with(b"eyJ")
        && (head.len() < 3 || rules::starting(head).is_empty())
}

fn is_line_end(b: u8) -> bool {
    matches!(b, b'\n' | b'\r')
}

fn value(b: u8) -> Option<u32> {
    Some(u32::from(match b {
        b'A'..=b'Z' => b - b'A',
        b'a'..=b'z' => b - b'a' + 26,
        b'0'..=b'9' => b - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

/// A unit of base64.
#[derive(Debug)]
pub(super) struct Unit {
    /// Decoded bytes that have not been consumed.
    pub left: usize,
    pub raw: Vec<u8>,
    /// Decoded bytes that stay.
    pub kept: Vec<u8>,
    pub masked: bool,
}

/// What became of a character.
pub(super) enum Taken {
    /// More is needed for a unit.
    Part,
    /// A unit, and what it stands for.
    Whole(Unit, Vec<u8>),
    /// It is no base64: what was taken since the last unit, raw.
    Not(Vec<u8>),
}

/// Puts characters together to units.
#[derive(Default)]
pub(super) struct Units {
    bits: u32,
    count: u32,
    padding: u32,
    raw: Vec<u8>,
    over: bool,
}

impl Units {
    /// Takes one decoded character of the string, and how it was written.
    pub(super) fn take(&mut self, character: u8, raw: &[u8]) -> Taken {
        self.raw.extend_from_slice(raw);
        if is_line_end(character) && self.raw.len() <= RAW_MAX {
            return Taken::Part;
        }
        match value(character) {
            Some(value) if self.padding == 0 && !self.over => {
                self.bits = self.bits << 6 | value;
                self.count += 1;
            }
            None if character == b'=' && self.count >= 2 => self.padding += 1,
            _ => return Taken::Not(std::mem::take(&mut self.raw)),
        }
        if self.count + self.padding < 4 {
            return Taken::Part;
        }
        self.over = self.padding > 0;
        let (unit, decoded) = self.unit();
        Taken::Whole(unit, decoded)
    }

    fn unit(&mut self) -> (Unit, Vec<u8>) {
        let size = (self.count as usize * 6) / 8;
        let bits = self.bits << (6 * (4 - self.count.min(4)));
        let [_, a, b, c] = bits.to_be_bytes();
        let mut decoded = vec![a, b, c];
        decoded.truncate(size);
        let unit = Unit {
            left: size,
            raw: std::mem::take(&mut self.raw),
            kept: Vec::new(),
            masked: false,
        };
        (self.bits, self.count, self.padding) = (0, 0, 0);
        (unit, decoded)
    }

    /// The end of the string: a last unit without its padding, or nothing but line ends.
    pub(super) fn finish(&mut self) -> Result<(Unit, Vec<u8>), Vec<u8>> {
        if self.count >= 2 && self.padding == 0 {
            Ok(self.unit())
        } else {
            Err(std::mem::take(&mut self.raw))
        }
    }
}

/// Writes bytes that stand between units, filled up with blanks unless nothing follows.
pub(super) fn flush(loose: &mut Vec<u8>, last: bool, out: &mut Vec<u8>) {
    while !last && !loose.len().is_multiple_of(3) {
        loose.push(b' ');
    }
    out.extend_from_slice(STANDARD.encode(&loose).as_bytes());
    loose.clear();
}

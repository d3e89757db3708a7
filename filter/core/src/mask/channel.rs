//! One text that comes as deltas in many events.

use super::delta::Key;
use super::tally::Tally;
use super::text::Text;

pub(super) struct Channel {
    pub key: Key,
    text: Text,
    /// The beginning of a UTF-8 character whose rest is held.
    carry: Vec<u8>,
}

impl Channel {
    pub(super) fn new(key: Key, text: Text) -> Self {
        Self {
            key,
            text,
            carry: Vec::new(),
        }
    }

    pub(super) fn held(&self) -> usize {
        self.text.held() + self.carry.len()
    }

    /// Takes a decoded delta, gives what may leave now. `last`: the text ends with it.
    pub(super) fn push(&mut self, delta: &[u8], last: bool, tally: &mut Tally) -> Vec<u8> {
        let mut out = std::mem::take(&mut self.carry);
        self.text.push(delta, &mut out, tally);
        if last {
            self.text.finish(&mut out, tally);
        } else if self.text.held() > 0 {
            // A delta must be valid text by itself.
            let whole = out.len() - unfinished(&out);
            self.carry = out.split_off(whole);
        }
        out
    }
}

/// How many bytes at the end are the beginning of an unfinished UTF-8 character.
fn unfinished(text: &[u8]) -> usize {
    for (back, b) in text.iter().rev().take(3).enumerate() {
        let length = match b {
            0xf0..=0xf7 => 4,
            0xe0..=0xef => 3,
            0xc0..=0xdf => 2,
            0x80..=0xbf => continue,
            _ => return 0,
        };
        return if length > back + 1 { back + 1 } else { 0 };
    }
    0
}

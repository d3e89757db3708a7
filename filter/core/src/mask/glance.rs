//! A glance at each place that the scan has picked: whether any rule is worth asking there, and which. It looks at the few
//! bytes around the place, and says no only where [`super::probe`] would; a property test holds the two together.

use super::authority;
use super::classes::{WORD, byte, is};
use super::keys;
use super::probe::{announces, is_address};
use super::rules;
use super::scan::Block;

/// Which rules are to be asked at a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    /// Those that go by what a token looks like.
    pub tokens: bool,
    /// Those that go by what stands before a value, and those of key blocks.
    pub values: bool,
}

/// The places of a block where it is worth asking, in their order.
pub(super) struct Questions {
    base: usize,
    tokens: u64,
    values: u64,
}

/// What is worth asking in a block in the middle of a text; a glance at each of its places.
#[inline(always)]
pub(super) fn questions(text: &[u8], block: &Block) -> Questions {
    let mut questions = Questions {
        base: block.base,
        tokens: 0,
        values: 0,
    };
    let mut left = block.tokens;
    while left != 0 {
        let place = left.trailing_zeros();
        left &= left - 1;
        let worth = rules::may_start(text, block.base + place as usize);
        questions.tokens |= u64::from(worth) << place;
    }
    let mut left = block.others;
    while left != 0 {
        let place = left.trailing_zeros();
        left &= left - 1;
        let (long, cut) = (block.long >> place & 1 == 1, block.cut >> place & 1 == 1);
        let worth = may_open(text, block.base + place as usize, long, cut);
        questions.values |= u64::from(worth) << place;
    }
    questions
}

impl Iterator for Questions {
    type Item = (usize, Question);

    #[inline(always)]
    fn next(&mut self) -> Option<(usize, Question)> {
        let left = self.tokens | self.values;
        if left == 0 {
            return None;
        }
        let place = left.trailing_zeros();
        let bit = 1 << place;
        let question = Question {
            tokens: self.tokens & bit != 0,
            values: self.values & bit != 0,
        };
        self.tokens &= !bit;
        self.values &= !bit;
        Some((self.base + place as usize, question))
    }
}

/// A value that begins with fourteen token bytes may be a service's, whose name is looked for in the whole key. Every other
/// value is asked about only if the last letters of its key say something.
#[inline(always)]
fn may_open(text: &[u8], at: usize, long: bool, cut: bool) -> bool {
    let Some(&[f, e, d, c, b, a, last]) = at
        .checked_sub(7)
        .and_then(|start| text.get(start..)?.first_chunk())
    else {
        return true;
    };
    let opens = match last {
        b' ' => match (a, b, c, d) {
            (b':' | b'=', ..) => long || keys::may_end_before([e, d, c, b]),
            (b'>', b'=' | b'-', ..) => long || keys::may_end_before([f, e, d, c]),
            (b' ' | b'\t', b' ' | b'\t', b' ' | b'\t', x, ..)
            | (b' ' | b'\t', b' ' | b'\t', x, ..)
            | (b' ' | b'\t', x, ..)
                if is(x, WORD) || matches!(x, b':' | b'=' | b'>') =>
            {
                true
            }
            _ if is(a, WORD) => {
                let basic = a | 32 == b'c' && b | 32 == b'i';
                (long || basic || keys::may_end([c, b, a])) && announces(text, at)
            }
            _ => false,
        },
        b'"' | b'\'' | b'`' => match (a, b, c) {
            (b':' | b'=', ..) => long || keys::may_end_before([e, d, c, b]),
            (b' ', b':' | b'=', _) => long || keys::may_end_before([f, e, d, c]),
            (b' ', b, _) if is(b, WORD) => long || keys::may_end([d, c, b]),
            (b'\\', b':' | b'=', _) => true,
            (b'\\', b' ', c) if is(c, WORD) => long || keys::may_end([e, d, c]),
            (b'\\', b, _) => matches!(b, b' ' | b'\t' | b'>' | b'\\'),
            (b' ', b' ' | b'\t' | b'>', _) | (b'\t' | b'>', ..) => true,
            _ => false,
        },
        b'=' => long || keys::may_end_before([d, c, b, a]),
        b':' => {
            !is_address(text, at)
                && (long
                    || (!cut && keys::may_end_before([d, c, b, a]))
                    || authority::may_follow_user([c, b, a]))
        }
        b'>' | 0 => true,
        _ => false,
    };
    // Five dashes may be the beginning of a key block.
    opens || byte(text, at) == Some(b'-')
}

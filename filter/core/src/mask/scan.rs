//! Where in a text a secret may begin: places picked 64 bytes at a time, before any rule is asked.
//!
//! Each block of 64 bytes becomes a few 64-bit masks, one bit a byte (letters and digits, token bytes, operators, blanks,
//! quotes …). Shifts and ands of these masks leave the places where a word begins that goes on for eight token bytes,
//! where an operator, a quote or a blank stands before a value that is not over at once, or where five dashes end.
//! [`super::glance`] looks at those; no rule finds anything at any other place, which a property test holds against it.
//!
//! In WebAssembly the masks are made by SIMD: three pairs of look-ups by the halves of a byte tell sixteen bytes' classes.
//! Elsewhere a table does it, a byte at a time.

/// Bytes that are looked at together.
const BLOCK: usize = 64;

/// So many places at the end of a text are given all: five dashes that are not complete begin there.
const LAST: usize = 6;

/// One bit for each byte of a block.
#[derive(Clone, Copy, Default)]
struct Masks {
    /// Letters and digits.
    word: u64,
    /// What tokens are made of.
    token: u64,
    dash: u64,
    /// Space and tab, and NUL.
    blank: u64,
    space: u64,
    /// `=`, `:`, `>`; NUL and tab as well.
    operator: u64,
    equals: u64,
    quote: u64,
    /// `"` alone, which JSON is made of.
    double: u64,
    /// Backslash and percent sign.
    escape: u64,
    /// What ends a value without quotes; not all of it.
    delimiter: u64,
}

/// The places of one block, one bit each.
pub(super) struct Block {
    /// Where in the text the block begins.
    pub base: usize,
    /// Tokens: a word that goes on for eight token bytes.
    pub tokens: u64,
    /// Anything else: a value, a key block.
    pub others: u64,
    /// Where fourteen token bytes begin.
    pub long: u64,
    /// Where a value without quotes would end within eight bytes.
    pub cut: u64,
}

/// Walks over a text, block by block.
pub(super) struct Walk {
    base: usize,
    /// The masks of the block after the present one.
    next: Masks,
    previous: Masks,
    started: bool,
    /// Whether values and key blocks are looked for, or tokens alone.
    values: bool,
}

impl Walk {
    pub(super) fn new(from: usize, values: bool) -> Self {
        Self {
            base: from,
            next: Masks::default(),
            // What stands before the text may be anything: more places, never fewer.
            previous: Masks {
                token: !0,
                dash: !0,
                blank: !0,
                operator: !0,
                quote: !0,
                escape: !0,
                ..Masks::default()
            },
            started: false,
            values,
        }
    }

    /// The places of the next block that has any; `None` behind the last. The text ends at `end`, and what is behind that is
    /// not looked at. Near the end what may follow counts as if it were there, and the last few places are given all.
    #[inline]
    pub(super) fn block(&mut self, text: &[u8], end: usize) -> Option<Block> {
        if self.values {
            self.next_block::<true>(text, end)
        } else {
            self.next_block::<false>(text, end)
        }
    }

    #[inline(always)]
    fn next_block<const VALUES: bool>(&mut self, text: &[u8], end: usize) -> Option<Block> {
        loop {
            let left = end.checked_sub(self.base).filter(|left| *left > 0)?;
            if !self.started {
                self.next = block::<VALUES>(text, self.base, end);
                self.started = true;
            }
            let after = block::<VALUES>(text, self.base + BLOCK, end);
            let present = std::mem::replace(&mut self.next, after);
            let mut places = Block {
                base: self.base,
                tokens: 0,
                others: 0,
                long: 0,
                cut: 0,
            };
            tokens(&self.previous, &present, &after, &mut places);
            if VALUES {
                others(&self.previous, &present, &after, &mut places);
            }
            if left < BLOCK + LAST {
                let last = match left.checked_sub(LAST) {
                    Some(from) if from >= BLOCK => 0,
                    Some(from) => !0 << from,
                    None => !0,
                };
                let there = if left < BLOCK { !(!0 << left) } else { !0 };
                places.tokens = (places.tokens | last) & there;
                if VALUES {
                    places.others = (places.others | last) & there;
                }
            }
            self.previous = present;
            self.base += BLOCK;
            if places.tokens | places.others != 0 {
                return Some(places);
            }
        }
    }
}

/// The masks of the block at `from`. Behind the end of the text stands what goes on with any word.
#[inline(always)]
fn block<const VALUES: bool>(text: &[u8], from: usize, end: usize) -> Masks {
    let left = end.saturating_sub(from);
    if left == 0 {
        return Masks::default().until(0);
    }
    let rest = text.get(from..).unwrap_or_default();
    let masks = match rest.first_chunk() {
        Some(block) => masks::<VALUES>(block),
        None => {
            let mut block = [b'a'; BLOCK];
            for (slot, b) in block.iter_mut().zip(rest) {
                *slot = *b;
            }
            masks::<VALUES>(&block)
        }
    };
    if left < BLOCK {
        masks.until(left)
    } else {
        masks
    }
}

impl Masks {
    /// As if a word went on from `end`.
    #[inline]
    fn until(self, end: usize) -> Self {
        let there = !(!0 << end);
        Self {
            word: self.word | !there,
            token: self.token | !there,
            dash: self.dash & there,
            blank: self.blank & there,
            space: self.space & there,
            operator: self.operator & there,
            equals: self.equals & there,
            quote: self.quote & there,
            double: self.double & there,
            escape: self.escape & there,
            delimiter: self.delimiter & there,
        }
    }
}

/// The mask of the bytes `by` places further on.
#[inline(always)]
fn ahead(present: u64, next: u64, by: u32) -> u64 {
    present >> by | next << (64 - by)
}

/// The mask of the bytes `by` places back.
#[inline(always)]
fn back(present: u64, previous: u64, by: u32) -> u64 {
    present << by | previous >> (64 - by)
}

/// Where runs of at least `2^doublings` begin, in the present block and (low bits only) the next.
#[inline(always)]
fn runs(present: u64, next: u64, doublings: u32) -> (u64, u64) {
    let (mut present, mut next) = (present, next);
    let mut by = 1;
    for _ in 0..doublings {
        (present, next) = (present & ahead(present, next, by), next & next >> by);
        by *= 2;
    }
    (present, next)
}

/// Where one of the next `2^doublings` bytes is in the mask.
#[inline(always)]
fn soon(present: u64, next: u64, doublings: u32) -> u64 {
    let (none, _) = runs(!present, !next, doublings);
    !none
}

/// Where a token may begin: at a word, or behind an escape (`\n`, `%3D`) that a word goes on from.
#[inline(always)]
fn tokens(previous: &Masks, present: &Masks, next: &Masks, places: &mut Block) {
    let Masks {
        word,
        token,
        escape,
        ..
    } = *present;
    let begins = !back(word, previous.word, 1)
        | back(escape, previous.escape, 2)
        | back(escape, previous.escape, 3);
    let (eight, eight_next) = runs(token, next.token, 3);
    places.tokens = word & begins & eight;
    places.long = eight & ahead(eight, eight_next, 6);
}

#[inline(always)]
fn others(previous: &Masks, present: &Masks, next: &Masks, places: &mut Block) {
    let Masks {
        word,
        blank,
        escape,
        ..
    } = *present;
    // An operator and up to four blanks; a quote behind that, behind a backslash, or behind a blank.
    let opened = (previous.operator | previous.blank) >> 63;
    let mut operator = present.operator;
    for _ in 0..4 {
        operator |= (operator << 1 | opened) & blank;
    }
    let quote = present.quote
        & (operator << 1
            | opened
            | back(escape, previous.escape, 1)
            | back(blank, previous.blank, 1));
    let closed = opened | previous.quote >> 63;
    // A value without quotes has eight bytes at least, one with quotes six. What stands behind a colon may be the password
    // of a URL, and behind `>` the text of an element, which end otherwise.
    places.cut = soon(present.delimiter, next.delimiter, 3);
    let bare = back(present.space, previous.space, 1) | back(present.equals, previous.equals, 1);
    let over = soon(present.double, next.double, 2);
    let over = over | ahead(over, soon(next.double, 0, 2), 2);
    let empty = back(present.double, previous.double, 1) & over & !soon(escape, next.escape, 3);
    // A quote behind an operator opens the value; it is none.
    let values = (operator << 1 | opened) & !blank & !present.quote & !(bare & places.cut)
        | (quote << 1 | closed) & !blank & !empty;

    // A word of at least eight bytes behind a blank.
    let (eight, _) = runs(!blank, !next.blank, 3);
    let words = back(blank, previous.blank, 1) & eight & !(bare & places.cut);

    let (dashes, _) = runs(present.dash, next.dash, 2);
    let keys = dashes & ahead(present.dash, next.dash, 4) & ahead(word, next.word, 5);
    places.others = values | words | keys;
}

#[cfg(all(target_family = "wasm", target_feature = "simd128"))]
use simd::masks;
#[cfg(not(all(target_family = "wasm", target_feature = "simd128")))]
use table::masks;

#[cfg(all(target_family = "wasm", target_feature = "simd128"))]
pub(super) mod simd {
    use super::{BLOCK, Masks};
    use std::arch::wasm32::{
        i8x16_bitmask, u8x16, u8x16_add, u8x16_shr, u8x16_splat, u8x16_swizzle, u64x2, v128,
        v128_and,
    };

    /// Classes by the low half of a byte; a byte is in a class when both halves have its bit. First table: 1 digits,
    /// 2 and 4 letters, 8 `+-./`, 16 `_`, 32 `~`, 64 `=`.
    const LOW: [u8; 16] = [
        1 | 4,
        7,
        7,
        7,
        7,
        7,
        7,
        7,
        7,
        7,
        6,
        2 | 8,
        2,
        2 | 8 | 64,
        2 | 8 | 32,
        2 | 8 | 16,
    ];
    const HIGH: [u8; 16] = [
        0,
        0,
        8,
        1 | 64,
        2,
        4 | 16,
        2,
        4 | 32,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
    ];
    /// Second table: 1 `:=>`, 2 `"'`, 4 a backtick, 8 a backslash, 16 `%`, 32 NUL and tab, 64 space, 128 `-`.
    const LOW_2: [u8; 16] = [
        4 | 64 | 32,
        0,
        2,
        0,
        0,
        16,
        0,
        2,
        0,
        32,
        1,
        0,
        8,
        1 | 128,
        1,
        0,
    ];
    const HIGH_2: [u8; 16] = [
        32,
        0,
        2 | 16 | 128 | 64,
        1,
        0,
        8,
        4,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
    ];

    /// Third table: delimiters by their row (1 control, 2 space to `,`, 4 `;<>`, 8 brackets, 16 a backtick), 32 `=`, 64 `"`.
    const LOW_3: [u8; 16] = [
        1 | 2 | 16,
        1,
        1 | 2 | 64,
        1,
        1,
        1,
        1 | 2,
        1 | 2,
        1 | 2,
        1 | 2,
        1,
        4 | 8,
        2 | 4 | 8,
        1 | 8 | 32,
        4,
        0,
    ];
    const HIGH_3: [u8; 16] = [1, 0, 2 | 64, 4 | 32, 0, 8, 16, 8, 0, 0, 0, 0, 0, 0, 0, 0];

    #[inline(always)]
    pub(in super::super) fn vector(bytes: &[u8; 16]) -> v128 {
        let word = u128::from_le_bytes(*bytes);
        u64x2(word as u64, (word >> 64) as u64)
    }

    #[inline(always)]
    pub(in super::super) fn table(bytes: [u8; 16]) -> v128 {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = bytes;
        u8x16(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)
    }

    /// The bytes that have one of the seven lower bits: what is not zero becomes negative, and the signs are gathered.
    #[inline(always)]
    fn has(classes: v128, bits: u8) -> u64 {
        let found = u8x16_add(v128_and(classes, u8x16_splat(bits)), u8x16_splat(127));
        u64::from(i8x16_bitmask(found))
    }

    #[inline(always)]
    pub(super) fn masks<const VALUES: bool>(block: &[u8; BLOCK]) -> Masks {
        let mut masks = Masks::default();
        let (chunks, _) = block.as_chunks::<16>();
        for (place, chunk) in chunks.iter().enumerate() {
            let bytes = vector(chunk);
            let low = v128_and(bytes, u8x16_splat(15));
            let high = u8x16_shr(bytes, 4);
            let first = v128_and(
                u8x16_swizzle(table(LOW), low),
                u8x16_swizzle(table(HIGH), high),
            );
            let shift = place as u32 * 16;
            masks.word |= has(first, 7) << shift;
            masks.token |= has(first, 127) << shift;
            let second = v128_and(
                u8x16_swizzle(table(LOW_2), low),
                u8x16_swizzle(table(HIGH_2), high),
            );
            masks.escape |= has(second, 8 | 16) << shift;
            if !VALUES {
                continue;
            }
            masks.dash |= u64::from(i8x16_bitmask(second)) << shift;
            masks.blank |= has(second, 32 | 64) << shift;
            masks.operator |= has(second, 1 | 32) << shift;
            masks.quote |= has(second, 2 | 4) << shift;
            masks.space |= has(second, 64) << shift;
            let third = v128_and(
                u8x16_swizzle(table(LOW_3), low),
                u8x16_swizzle(table(HIGH_3), high),
            );
            masks.delimiter |= has(third, 31) << shift;
            masks.equals |= has(third, 32) << shift;
            masks.double |= has(third, 64) << shift;
        }
        masks
    }
}

#[cfg(not(all(target_family = "wasm", target_feature = "simd128")))]
mod table {
    use super::{BLOCK, Masks};

    /// One bit of each mask; eight bytes are added up at a time.
    static FLAGS: [[u8; 256]; 2] = flags();

    #[allow(clippy::indexing_slicing, reason = "run by the compiler")]
    const fn flags() -> [[u8; 256]; 2] {
        let mut flags = [[0; 256]; 2];
        let mut byte = 0;
        while byte < 256 {
            flags[0][byte] = match byte as u8 {
                b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => 1 | 2,
                b'-' => 2 | 4,
                b'_' | b'.' | b'/' | b'+' | b'~' => 2,
                b'=' => 2 | 16,
                b':' | b'>' => 16,
                b' ' => 8,
                0 | b'\t' => 8 | 16,
                b'"' | b'\'' | b'`' => 32,
                b'\\' | b'%' => 64,
                _ => 0,
            };
            flags[1][byte] = match byte as u8 {
                b' ' => 1 | 8,
                b'=' => 2,
                b'"' => 4 | 8,
                0..=10 | 13 | b'&'..=b')' | b',' | b';' | b'<' | b'>' => 8,
                b'['..=b']' | b'`' | b'{'..=b'}' => 8,
                _ => 0,
            };
            byte += 1;
        }
        flags
    }

    #[inline]
    pub(super) fn masks<const VALUES: bool>(block: &[u8; BLOCK]) -> Masks {
        // Eight bytes' flags as one word; multiplying gathers one flag of each byte into the top byte.
        let gather = |word: u64, bit: u32| {
            ((word >> bit & 0x0101_0101_0101_0101).wrapping_mul(0x0102_0408_1020_4080)) >> 56
        };
        let mut masks = Masks::default();
        let (chunks, _) = block.as_chunks::<8>();
        for (place, chunk) in chunks.iter().enumerate() {
            let [first, second] = FLAGS.each_ref().map(|table| {
                let flags = chunk.map(|b| table.get(usize::from(b)).copied().unwrap_or(0));
                u64::from_le_bytes(flags)
            });
            let shift = place as u32 * 8;
            masks.word |= gather(first, 0) << shift;
            masks.token |= gather(first, 1) << shift;
            masks.escape |= gather(first, 6) << shift;
            if !VALUES {
                continue;
            }
            masks.dash |= gather(first, 2) << shift;
            masks.blank |= gather(first, 3) << shift;
            masks.operator |= gather(first, 4) << shift;
            masks.quote |= gather(first, 5) << shift;
            masks.space |= gather(second, 0) << shift;
            masks.equals |= gather(second, 1) << shift;
            masks.double |= gather(second, 2) << shift;
            masks.delimiter |= gather(second, 3) << shift;
        }
        masks
    }
}

//! Finding places by the first three bytes of several needles at once.

use super::classes::byte;

/// How many bytes of a needle are looked at.
pub(super) const PRINT: usize = 3;

/// For each of the first three bytes of a needle: which needles (modulo 8) can have which byte there.
pub(super) struct Prints {
    tables: [Vec<u8>; PRINT],
    /// The same by the low and the high half of a byte, so that sixteen bytes are looked up at once.
    #[cfg_attr(
        not(all(target_family = "wasm", target_feature = "simd128")),
        allow(dead_code, reason = "for SIMD only")
    )]
    halves: [([u8; 16], [u8; 16]); PRINT],
}

impl Prints {
    pub(super) fn new() -> Self {
        Self {
            tables: [vec![0; 256], vec![0; 256], vec![0; 256]],
            halves: [([0; 16], [0; 16]); PRINT],
        }
    }

    /// The needle of this number can have this byte at this place.
    pub(super) fn set(&mut self, needle: usize, place: usize, b: u8) {
        let bit = 1u8 << (needle % 8);
        if let Some(slot) = self
            .tables
            .get_mut(place)
            .and_then(|table| table.get_mut(usize::from(b)))
        {
            *slot |= bit;
        }
        if let Some((low, high)) = self.halves.get_mut(place) {
            for (half, value) in [(low, b & 15), (high, b >> 4)] {
                if let Some(slot) = half.get_mut(usize::from(value)) {
                    *slot |= bit;
                }
            }
        }
    }

    /// The next place from `from` on whose bytes some needle can have; `None` where fewer than three bytes are left.
    pub(super) fn find(&self, text: &[u8], from: usize) -> Option<usize> {
        let mut at = from;
        loop {
            at = self.skip(text, at);
            let bytes = text.get(at..at + PRINT)?;
            let fits = bytes
                .iter()
                .zip(&self.tables)
                .fold(0xff, |fits, (&b, table)| {
                    fits & byte(table, usize::from(b)).unwrap_or(0)
                });
            if fits != 0 {
                return Some(at);
            }
            at += 1;
        }
    }

    /// Passes over blocks that hold no place.
    #[cfg(all(target_family = "wasm", target_feature = "simd128"))]
    fn skip(&self, text: &[u8], from: usize) -> usize {
        use super::scan::simd::{table, vector};
        use std::arch::wasm32::{
            i8x16_bitmask, i8x16_ne, u8x16_shr, u8x16_splat, u8x16_swizzle, v128_and,
        };
        let block = |at: usize| text.get(at..)?.first_chunk::<16>();
        let [one, two, three] = self.halves.map(|(low, high)| (table(low), table(high)));
        let mut at = from;
        while let (Some(a), Some(b), Some(c)) = (block(at), block(at + 1), block(at + 2)) {
            let [a, b, c] = [(a, one), (b, two), (c, three)].map(|(bytes, (low, high))| {
                let bytes = vector(bytes);
                v128_and(
                    u8x16_swizzle(low, v128_and(bytes, u8x16_splat(15))),
                    u8x16_swizzle(high, u8x16_shr(bytes, 4)),
                )
            });
            let found = i8x16_bitmask(i8x16_ne(v128_and(a, v128_and(b, c)), u8x16_splat(0)));
            if found != 0 {
                return at + found.trailing_zeros() as usize;
            }
            at += 16;
        }
        at
    }

    #[cfg(not(all(target_family = "wasm", target_feature = "simd128")))]
    fn skip(&self, text: &[u8], from: usize) -> usize {
        let [first, second, third] = &self.tables;
        let print = |table: &[u8], b: u8| table.get(usize::from(b)).copied().unwrap_or(0);
        let rest = text.get(from..).unwrap_or_default();
        let found = rest.windows(PRINT).position(|window| match window {
            [a, b, c] => print(first, *a) & print(second, *b) & print(third, *c) != 0,
            _ => false,
        });
        from + found.unwrap_or(rest.len())
    }
}

//! A part of a set of exchanges, as it is stored: the rows of one block that are in the set.
//!
//! Few rows are written as their offsets, two bytes each; more of them as one bit for each row of
//! the block. Both are small enough to stay inside a page of the database.

use roaring::RoaringBitmap;

/// Rows of a block.
pub const BLOCK: u32 = 4096;
const BITMAP: usize = (BLOCK / 8) as usize;
/// From so many rows on the bitmap is not larger.
const MOST_OFFSETS: usize = BITMAP / 2 - 1;

/// The block that a row is in, and its offset there.
pub fn place(row: u32) -> (u32, u16) {
    // The remainder is less than 4096.
    (row / BLOCK, (row % BLOCK) as u16)
}

/// A stored part with changes: the offsets that are to be in it, and those that are not. Nothing if
/// none is left in it.
pub fn changed(stored: Option<&[u8]>, changes: &[(u16, bool)]) -> Option<Vec<u8>> {
    let mut part = Union::default();
    part.add(0, stored.unwrap_or_default());
    let mut bits = part.0;
    bits.resize(BITMAP, 0);
    for (offset, there) in changes {
        if let Some(byte) = bits.get_mut(usize::from(offset / 8)) {
            let bit = 1 << (offset % 8);
            *byte = if *there { *byte | bit } else { *byte & !bit };
        }
    }
    let count: u32 = bits.iter().map(|byte| byte.count_ones()).sum();
    match count as usize {
        0 => None,
        1..=MOST_OFFSETS => Some(offsets(&bits).flat_map(u16::to_le_bytes).collect()),
        _ => Some(bits),
    }
}

fn offsets(bits: &[u8]) -> impl Iterator<Item = u16> {
    let there = (0u16..).zip(bits).filter(|(_, byte)| **byte != 0);
    there.flat_map(|(index, byte)| {
        let bits = (0..8u16).filter(move |bit| byte & (1 << bit) != 0);
        bits.map(move |bit| index * 8 + bit)
    })
}

/// Rows that are put together from stored parts of one value or of many: a bit for each row. A part
/// costs no more than its bytes.
#[derive(Debug, Default)]
pub struct Union(Vec<u8>);

impl Union {
    /// Adds a part.
    pub fn add(&mut self, block: u32, stored: &[u8]) {
        if block > u32::MAX / BLOCK {
            return;
        }
        let first = block as usize * BITMAP;
        if self.0.len() < first + BITMAP {
            self.0.resize(first + BITMAP, 0);
        }
        let part = self.0.iter_mut().skip(first);
        if stored.len() == BITMAP {
            part.zip(stored).for_each(|(byte, more)| *byte |= more);
            return;
        }
        for pair in stored.as_chunks::<2>().0 {
            let offset = usize::from(u16::from_le_bytes(*pair));
            if let Some(byte) = self.0.get_mut(first + offset / 8) {
                *byte |= 1 << (offset % 8);
            }
        }
    }

    /// All of them.
    pub fn rows(&self) -> RoaringBitmap {
        RoaringBitmap::from_lsb0_bytes(0, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_stored_reads_back(
            set in proptest::collection::btree_set(0u16..BLOCK as u16, 1..700),
            gone in proptest::collection::btree_set(0u16..BLOCK as u16, 0..700),
            block in 0u32..1000,
        ) {
            let put: Vec<(u16, bool)> = set.iter().map(|offset| (*offset, true)).collect();
            let stored = changed(None, &put).unwrap();
            let taken: Vec<(u16, bool)> = gone.iter().map(|offset| (*offset, false)).collect();
            let left = changed(Some(&stored), &taken);
            for (stored, set) in [(Some(stored), set.clone()), (left, &set - &gone)] {
                let rows: Vec<u32> = set.iter().map(|o| block * BLOCK + u32::from(*o)).collect();
                prop_assert_eq!(stored.is_none(), rows.is_empty());
                let stored = stored.unwrap_or_default();
                prop_assert!(stored.len() <= BITMAP);
                let mut union = Union::default();
                union.add(block, &stored);
                prop_assert_eq!(union.rows().iter().collect::<Vec<_>>(), rows);
            }
        }
    }
}

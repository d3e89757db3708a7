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

/// The stored form of sorted, different offsets.
pub fn encode(offsets: &[u16]) -> Vec<u8> {
    if offsets.len() <= MOST_OFFSETS {
        return offsets.iter().flat_map(|o| o.to_le_bytes()).collect();
    }
    let mut bits = vec![0; BITMAP];
    for offset in offsets {
        if let Some(byte) = bits.get_mut(usize::from(offset / 8)) {
            *byte |= 1 << (offset % 8);
        }
    }
    bits
}

/// Reads [`encode`] back.
pub fn decode(stored: &[u8]) -> Vec<u16> {
    if stored.len() == BITMAP {
        let bits = |(index, byte): (usize, &u8)| {
            let byte = *byte;
            (0..8u16)
                .filter(move |bit| byte & (1 << bit) != 0)
                .map(move |bit| index as u16 * 8 + bit)
        };
        return stored.iter().enumerate().flat_map(bits).collect();
    }
    stored
        .as_chunks::<2>()
        .0
        .iter()
        .map(|pair| u16::from_le_bytes(*pair))
        .collect()
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
            set in proptest::collection::btree_set(0u16..BLOCK as u16, 0..700),
            block in 0u32..1000,
        ) {
            let offsets: Vec<u16> = set.into_iter().collect();
            let stored = encode(&offsets);
            prop_assert!(stored.len() <= BITMAP);
            prop_assert_eq!(&decode(&stored), &offsets);
            let expected: Vec<u32> = offsets.iter().map(|o| block * BLOCK + u32::from(*o)).collect();
            let mut union = Union::default();
            union.add(block, &stored);
            prop_assert_eq!(union.rows().iter().collect::<Vec<_>>(), expected);
        }
    }
}

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

/// The rows that a stored part stands for.
pub fn rows(block: u32, stored: &[u8]) -> RoaringBitmap {
    let first = block.saturating_mul(BLOCK);
    if stored.len() == BITMAP {
        return RoaringBitmap::from_lsb0_bytes(first, stored);
    }
    decode(stored)
        .into_iter()
        .map(|offset| first + u32::from(offset))
        .collect()
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
            prop_assert_eq!(rows(block, &stored).iter().collect::<Vec<_>>(), expected);
        }
    }
}

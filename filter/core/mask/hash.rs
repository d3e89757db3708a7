// Shared by the build script, which makes the tables, and the engine, which reads them.

/// A place in a table of 32,768 bits for three bytes.
#[inline(always)]
pub(super) fn hash(bytes: [u8; 3]) -> usize {
    let [a, b, c] = bytes;
    let word = u32::from_le_bytes([a, b, c, 0]);
    (word.wrapping_mul(0x9e37_79b1) >> 17) as usize
}

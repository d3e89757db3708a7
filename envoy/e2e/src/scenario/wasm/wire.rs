//! Header maps as proxy-wasm writes them: a count, the lengths of every name and value, then each
//! with a zero byte behind it; numbers are 32 bits, little endian.

use super::super::host::Pairs;

/// Pairs as bytes.
pub fn encode(pairs: &Pairs) -> Vec<u8> {
    let mut out = number(pairs.len());
    for (name, value) in pairs {
        out.extend(number(name.len()));
        out.extend(number(value.len()));
    }
    for (name, value) in pairs {
        out.extend_from_slice(name.as_bytes());
        out.push(0);
        out.extend_from_slice(value);
        out.push(0);
    }
    out
}

/// Bytes as pairs; `None` if they are cut.
pub fn decode(bytes: &[u8]) -> Option<Pairs> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let word = |at: usize| {
        let bytes = bytes.get(at * 4..at * 4 + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
    };
    let count = word(0)?;
    let mut rest = bytes.get(4 + count * 8..)?;
    let mut pairs = Vec::with_capacity(count);
    for index in 0..count {
        let (name, tail) = rest.split_at_checked(word(1 + index * 2)?)?;
        let (value, tail) = tail.get(1..)?.split_at_checked(word(2 + index * 2)?)?;
        pairs.push((String::from_utf8(name.to_vec()).ok()?, value.to_vec()));
        rest = tail.get(1..)?;
    }
    Some(pairs)
}

fn number(value: usize) -> Vec<u8> {
    u32::try_from(value)
        .unwrap_or(u32::MAX)
        .to_le_bytes()
        .to_vec()
}

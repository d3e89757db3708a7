//! Inputs made of seeds: pieces cut out, doubled, replaced by words, bytes flipped.

use proptest::prelude::*;
use proptest::sample::Index;

use crate::Target;

/// One change to an input.
#[derive(Clone, Debug)]
pub enum Mutation {
    /// A byte gets another value.
    Byte(Index, u8),
    /// One bit turns.
    Bit(Index, u8),
    /// A word is put in.
    Insert(Index, Vec<u8>),
    /// A word takes the place of as many bytes.
    Overwrite(Index, Vec<u8>),
    /// A piece is left out.
    Remove(Index, usize),
    /// A piece comes again elsewhere.
    Copy(Index, usize, Index),
    /// Nothing follows.
    Truncate(Index),
    /// The rest is that of another seed.
    Splice(Index, Vec<u8>),
    /// A piece comes many times.
    Repeat(Index, usize, usize),
}

impl Mutation {
    fn apply(&self, input: &mut Vec<u8>) {
        let length = input.len();
        let at = |index: &Index| index.index(length + 1);
        match self {
            Mutation::Byte(index, value) => {
                let at = at(index);
                if let Some(byte) = input.get_mut(at) {
                    *byte = *value;
                }
            }
            Mutation::Bit(index, bit) => {
                let at = at(index);
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Mutation::Insert(index, word) => {
                let at = at(index);
                input.splice(at..at, word.iter().copied());
            }
            Mutation::Overwrite(index, word) => {
                let at = at(index);
                let end = (at + word.len()).min(input.len());
                input.splice(at..end, word.iter().copied());
            }
            Mutation::Remove(index, length) => {
                let at = at(index);
                let end = (at + length).min(input.len());
                input.drain(at..end);
            }
            Mutation::Copy(from, length, to) => {
                let from = at(from);
                let end = (from + length).min(input.len());
                let piece = input[from..end].to_vec();
                let to = at(to);
                input.splice(to..to, piece);
            }
            Mutation::Truncate(index) => {
                let at = at(index);
                input.truncate(at);
            }
            Mutation::Splice(index, other) => {
                let at = at(index);
                input.truncate(at);
                let from = at.min(other.len());
                input.extend_from_slice(&other[from..]);
            }
            Mutation::Repeat(index, length, times) => {
                let at = at(index);
                let end = (at + length).min(input.len());
                let piece = input[at..end].repeat(*times);
                input.splice(at..at, piece);
            }
        }
    }
}

/// A seed of `target` with some mutations.
pub fn mutated(target: &Target) -> impl Strategy<Value = Vec<u8>> + use<> {
    let seeds: Vec<Vec<u8>> = target.seeds.iter().map(|s| s.to_vec()).collect();
    let words: Vec<Vec<u8>> = target.words.iter().map(|s| s.to_vec()).collect();
    let seed = proptest::sample::select(seeds);
    let word = proptest::sample::select(words);
    let index = any::<Index>;
    let mutation = prop_oneof![
        2 => (index(), any::<u8>()).prop_map(|(i, b)| Mutation::Byte(i, b)),
        1 => (index(), any::<u8>()).prop_map(|(i, b)| Mutation::Bit(i, b)),
        5 => (index(), word.clone()).prop_map(|(i, w)| Mutation::Insert(i, w)),
        4 => (index(), word).prop_map(|(i, w)| Mutation::Overwrite(i, w)),
        3 => (index(), 1..24usize).prop_map(|(i, n)| Mutation::Remove(i, n)),
        2 => (index(), 1..32usize, index()).prop_map(|(i, n, j)| Mutation::Copy(i, n, j)),
        1 => index().prop_map(Mutation::Truncate),
        2 => (index(), seed.clone()).prop_map(|(i, s)| Mutation::Splice(i, s)),
        1 => (index(), 1..8usize, 2..300usize).prop_map(|(i, n, t)| Mutation::Repeat(i, n, t)),
    ];
    (seed, proptest::collection::vec(mutation, 0..8)).prop_map(|(mut input, mutations)| {
        for mutation in mutations {
            mutation.apply(&mut input);
        }
        input
    })
}

/// Where an input is cut, told by the input itself, so that a finding comes again with it.
pub fn cuts(input: &[u8]) -> Vec<usize> {
    let mut state = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut cuts = Vec::new();
    let mut at = 0;
    while at < input.len() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let step = match state % 4 {
            0 => 1,
            1 => 2 + state as usize / 4 % 6,
            2 => 1 + state as usize / 4 % 40,
            _ => 1 + state as usize / 4 % 400,
        };
        at = (at + step).min(input.len());
        cuts.push(at);
    }
    cuts
}

/// The pieces between the cuts.
pub fn pieces(input: &[u8]) -> Vec<&[u8]> {
    let mut from = 0;
    cuts(input)
        .into_iter()
        .map(|to| {
            let piece = &input[from..to];
            from = to;
            piece
        })
        .collect()
}

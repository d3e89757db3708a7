//! The Merkle tree of RFC 6962, section 2.1, kept as tiles of 256 hashes.
//!
//! A tile at level 0 has the hashes of 256 leaves in a row; one at level n has the roots of 256 tiles
//! of the level below. Only full tiles are stored; the rest at the right edge is read from the
//! entries, so that any subtree's root, and with it any proof, costs O(log n).

use sha2::{Digest, Sha256};

use super::entry::{Hash, count};
use crate::store::StoreError;
use crate::store::sql::{Connection, OptionalExtension, params};

/// Hashes in a tile.
pub const WIDTH: i64 = 256;
/// `WIDTH` is two to this power.
const HEIGHT: u32 = 8;
/// Levels of tiles: enough for 2^64 entries.
const LEVELS: u32 = 8;

/// RFC 6962: the hash of an inner node.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut hash = Sha256::new();
    hash.update([1]);
    hash.update(left);
    hash.update(right);
    hash.finalize().into()
}

/// The root of no entries.
pub fn empty_root() -> Hash {
    Sha256::digest(b"").into()
}

/// The right edge of a tree that is built leaf by leaf: the roots of its full subtrees, the largest
/// first. `O(log n)` in memory, for whoever reads all entries in order.
#[derive(Clone, Debug, Default)]
pub struct Edge {
    size: u64,
    roots: Vec<Hash>,
}

impl Edge {
    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut root = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                root = node_hash(&left, &root);
            }
        }
        self.roots.push(root);
        self.size += 1;
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of all of them.
    pub fn root(&self) -> Hash {
        let mut roots = self.roots.iter().rev();
        let Some(mut root) = roots.next().copied() else {
            return empty_root();
        };
        for left in roots {
            root = node_hash(left, &root);
        }
        root
    }
}

/// Makes the tiles anew from the leaves.
#[derive(Debug, Default)]
pub(super) struct TileBuilder {
    levels: Vec<(i64, Vec<Hash>)>,
    /// Full ones, as (level, position, hashes).
    pub finished: Vec<(u32, i64, Vec<Hash>)>,
}

impl TileBuilder {
    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for level in 0..LEVELS {
            if self.levels.len() <= level as usize {
                self.levels.push((0, Vec::new()));
            }
            let Some((position, hashes)) = self.levels.get_mut(level as usize) else {
                return;
            };
            hashes.push(hash);
            if hashes.len() < WIDTH as usize {
                return;
            }
            let full = std::mem::take(hashes);
            hash = root_of(&full);
            self.finished.push((level, *position, full));
            *position += 1;
        }
    }
}

/// Stores the tiles that have become full. To be called in the transaction of the entries.
pub fn store_tiles(c: &Connection) -> Result<(), StoreError> {
    let mut full = count(c)? / WIDTH;
    for level in 0..LEVELS {
        let mut next = next_tile(c, level)?;
        if full == 0 || next >= full {
            return Ok(());
        }
        while next < full {
            let hashes = if level == 0 {
                leaves(c, next * WIDTH, WIDTH)?
            } else {
                tile_roots(c, level - 1, next * WIDTH, WIDTH)?
            };
            c.prepare_cached("INSERT INTO tiles (level, position, hashes) VALUES (?1, ?2, ?3)")?
                .execute(params![level, next, hashes.concat()])?;
            next += 1;
        }
        full /= WIDTH;
    }
    Ok(())
}

fn next_tile(c: &Connection, level: u32) -> Result<i64, StoreError> {
    Ok(
        c.prepare_cached("SELECT coalesce(max(position) + 1, 0) FROM tiles WHERE level = ?1")?
            .query_row([level], |row| row.get(0))?,
    )
}

/// The hashes of `count` leaves from `from` on, from the entries.
fn leaves(c: &Connection, from: i64, count: i64) -> Result<Vec<Hash>, StoreError> {
    let hashes: Vec<(i64, Hash)> = c
        .prepare_cached("SELECT idx, hash FROM entries WHERE idx >= ?1 AND idx < ?2 ORDER BY idx")?
        .query_map([from, from + count], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let in_row = |(place, (index, _)): (usize, &(i64, Hash))| *index == from + place as i64;
    if hashes.len() as i64 != count || !hashes.iter().enumerate().all(in_row) {
        return Err(StoreError::Unreadable(format!(
            "the entries {from} to {} are not all there",
            from + count - 1
        )));
    }
    Ok(hashes.into_iter().map(|(_, hash)| hash).collect())
}

fn tile_roots(c: &Connection, level: u32, from: i64, count: i64) -> Result<Vec<Hash>, StoreError> {
    (from..from + count)
        .map(|position| {
            let hashes = tile(c, level, position)?.ok_or_else(|| missing_tile(level, position))?;
            Ok(root_of(&hashes))
        })
        .collect()
}

/// The hashes of a stored tile.
pub(super) fn tile(
    c: &Connection,
    level: u32,
    position: i64,
) -> Result<Option<Vec<Hash>>, StoreError> {
    let bytes: Option<Vec<u8>> = c
        .prepare_cached("SELECT hashes FROM tiles WHERE level = ?1 AND position = ?2")?
        .query_row(params![level, position], |row| row.get(0))
        .optional()?;
    let Some(bytes) = bytes else {
        return Ok(None);
    };
    let (hashes, rest) = bytes.as_chunks::<32>();
    if hashes.len() as i64 != WIDTH || !rest.is_empty() {
        return Err(missing_tile(level, position));
    }
    Ok(Some(hashes.to_vec()))
}

fn missing_tile(level: u32, position: i64) -> StoreError {
    StoreError::Unreadable(format!("tile {position} of level {level} of the tree"))
}

/// The root over hashes that are all of one level.
fn root_of(hashes: &[Hash]) -> Hash {
    let mut edge = Edge::default();
    for hash in hashes {
        edge.push(*hash);
    }
    edge.root()
}

/// The root of the full subtree of `2^height` leaves whose first leaf is `position << height`.
fn subtree(c: &Connection, height: u32, position: i64) -> Result<Hash, StoreError> {
    // The tile whose hashes are nearest below.
    let level = height / HEIGHT;
    let inside = height % HEIGHT;
    let first = position << inside;
    let wide = 1i64 << inside;
    let stored = tile(c, level, first / WIDTH)?;
    let hashes = match stored {
        Some(tile) => {
            let from = (first % WIDTH) as usize;
            tile.get(from..from + wide as usize).map(<[Hash]>::to_vec)
        }
        None => None,
    };
    let hashes = match (hashes, level) {
        (Some(hashes), _) => hashes,
        (None, 0) => leaves(c, first, wide)?,
        // The tile itself is not full yet: its hashes are roots of full tiles below.
        (None, level) => tile_roots(c, level - 1, first, wide)?,
    };
    Ok(root_of(&hashes))
}

/// The root over the leaves `from..to`; `from` is a multiple of the largest power of two that
/// fits, as RFC 6962 splits.
fn range_root(c: &Connection, from: i64, to: i64) -> Result<Hash, StoreError> {
    let edge = Edge {
        size: (to - from) as u64,
        roots: full_subtrees(c, from, to)?,
    };
    Ok(edge.root())
}

/// The roots of the full subtrees that the leaves `from..to` are made of, the largest first.
fn full_subtrees(c: &Connection, from: i64, to: i64) -> Result<Vec<Hash>, StoreError> {
    let mut roots = Vec::new();
    let mut at = from;
    while at < to {
        let height = (to - at).ilog2();
        roots.push(subtree(c, height, at >> height)?);
        at += 1 << height;
    }
    Ok(roots)
}

/// The right edge of the first `size` entries.
pub fn edge(c: &Connection, size: i64) -> Result<Edge, StoreError> {
    Ok(Edge {
        size: size as u64,
        roots: full_subtrees(c, 0, size)?,
    })
}

/// The root of the first `size` entries.
pub fn root(c: &Connection, size: i64) -> Result<Hash, StoreError> {
    range_root(c, 0, size)
}

/// The proof that entry `index` is among the first `size`: RFC 6962, section 2.1.1.
pub fn inclusion(c: &Connection, index: i64, size: i64) -> Result<Vec<Hash>, StoreError> {
    let (mut from, mut to) = (0, size);
    let mut path = Vec::new();
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            path.push(range_root(c, middle, to)?);
            to = middle;
        } else {
            path.push(range_root(c, from, middle)?);
            from = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The proof that the first `old` entries are still the same among the first `new`: RFC 6962,
/// section 2.1.2.
pub fn consistency(c: &Connection, old: i64, new: i64) -> Result<Vec<Hash>, StoreError> {
    let mut path = Vec::new();
    if old <= 0 || old >= new {
        return Ok(path);
    }
    let (mut from, mut to, mut old) = (0, new, old);
    let mut whole = true;
    while old != to - from {
        let half = split(to - from);
        if old <= half {
            path.push(range_root(c, from + half, to)?);
            to = from + half;
        } else {
            path.push(range_root(c, from, from + half)?);
            from += half;
            old -= half;
            whole = false;
        }
    }
    if !whole {
        path.push(range_root(c, from, to)?);
    }
    path.reverse();
    Ok(path)
}

/// The largest power of two below `n`, for `n` of at least 2.
fn split(n: i64) -> i64 {
    1 << (n - 1).ilog2()
}

/// Checks an inclusion proof (RFC 9162, section 2.1.3.2).
pub fn check_inclusion(leaf: Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = leaf;
    for step in path {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(step, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, step);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Checks a consistency proof (RFC 9162, section 2.1.4.2).
pub fn check_consistency(
    (old, old_root): (u64, &Hash),
    (new, new_root): (u64, &Hash),
    path: &[Hash],
) -> bool {
    if old > new {
        return false;
    }
    if old == new || old == 0 {
        return path.is_empty() && (old == 0 || old_root == new_root);
    }
    let mut steps = path.iter();
    let first = if old.is_power_of_two() {
        Some(old_root)
    } else {
        steps.next()
    };
    let Some(first) = first else { return false };
    let (mut node, mut last) = (old - 1, new - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut one, mut other) = (*first, *first);
    for step in steps {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            one = node_hash(step, &one);
            other = node_hash(step, &other);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            other = node_hash(&other, step);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && one == *old_root && other == *new_root
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;

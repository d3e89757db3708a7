//! Retention: bodies go first, whole days last, and each deletion is an entry.
//!
//! What is left of a deleted body is its hash in the leaf; what is left of a deleted entry is the
//! hash of the leaf. So everything else still verifies, and a body or a leaf that is missing without
//! an entry that says so is found. Entries about approvals, policies, keys, holds and retention are
//! never deleted, nor is what a legal hold covers. What is deleted must not be found by its words either: the tables for
//! searching are made anew after a deletion, in the background.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use serde::Serialize;
use serde_json::{Value, json};

use super::body::{Reference, references};
use super::entry::{Hash, Kind, append};
use super::hold::{self, Hold};
use super::{derive, read};
use crate::clock::Millis;
use crate::intake::record::text;
use crate::store::StoreError;
use crate::store::sql::{Connection, OptionalExtension};

const DAY: Millis = 86_400_000;
/// Kinds whose entries may be deleted. Who agreed to what stays, and takes little room.
const DELETABLE: [Kind; 2] = [Kind::Record, Kind::Access];

/// How long things are kept. Nothing means forever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// Bodies, in milliseconds.
    pub bodies: Option<Millis>,
    /// Whole days of entries, in milliseconds.
    pub periods: Option<Millis>,
}

/// What was deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Bodies.
    pub bodies: u64,
    /// Their bytes, unpacked.
    pub bytes: u64,
    /// Entries.
    pub entries: u64,
    /// Entries that legal holds kept.
    pub held: u64,
}

/// Deletes what is older than `keep` says, inside the caller's transaction.
pub fn retain(c: &Connection, now: Millis, keep: Keep) -> Result<Done, StoreError> {
    let mut done = Done::default();
    if let Some(age) = keep.bodies {
        delete_bodies(c, now, now - age, &mut done)?;
    }
    if let Some(age) = keep.periods {
        let before = (now - age).div_euclid(DAY) * DAY;
        delete_days(c, now, before, &mut done)?;
    }
    Ok(done)
}

/// Entries are taken in the order of their times, so those before a time are those before an index.
fn first_at_or_after(c: &Connection, at: Millis) -> Result<i64, StoreError> {
    let (mut low, mut high) = (0, super::entry::count(c)?);
    while low < high {
        let middle = low + (high - low) / 2;
        let taken: Millis = c
            .prepare_cached("SELECT at FROM entries WHERE idx = ?1")?
            .query_row([middle], |row| row.get(0))?;
        if taken < at {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

fn delete_bodies(
    c: &Connection,
    now: Millis,
    before: Millis,
    done: &mut Done,
) -> Result<(), StoreError> {
    let end = first_at_or_after(c, before)?;
    let holds = hold::list(c, true)?;
    let old: Vec<(i64, Hash, i64)> = c
        .prepare_cached("SELECT id, sha256, size FROM bodies WHERE last_entry < ?1")?
        .query_map([end], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    if old.is_empty() {
        return Ok(());
    }
    let old_hashes: HashSet<Hash> = old.iter().map(|(_, sha256, _)| *sha256).collect();
    // What a held entry has is kept, whoever else has it.
    let mut held_bodies: HashSet<Hash> = HashSet::new();
    let mut asked: Vec<(String, Vec<Hash>)> = Vec::new();
    for_each(c, 0, end, |entry| {
        let Some(value) = entry.value()? else {
            return Ok(());
        };
        let refs: Vec<Hash> = references(&value)
            .into_iter()
            .filter_map(|(_, reference): (&str, Option<Reference>)| Some(reference?.sha256))
            .filter(|sha256| old_hashes.contains(sha256))
            .collect();
        if refs.is_empty() {
            return Ok(());
        }
        if is_held(&holds, entry.at, &value) {
            held_bodies.extend(&refs);
            done.held += 1;
        }
        if let Some(approval) = text(&value, "approval") {
            asked.push((approval.to_owned(), refs));
        }
        Ok(())
    })?;
    for (id, sha256, size) in &old {
        if held_bodies.contains(sha256) {
            continue;
        }
        c.prepare_cached("DELETE FROM bodies WHERE id = ?1")?
            .execute([id])?;
        done.bodies += 1;
        done.bytes += size.unsigned_abs();
    }
    if done.bodies == 0 {
        return Ok(());
    }
    for (approval, bodies) in asked {
        if !bodies.iter().any(|sha256| held_bodies.contains(sha256)) {
            forget_body(c, &approval)?;
        }
    }
    derive::reset(c)?;
    let value = json!({
        "deleted": "bodies", "before_at": before, "before_entry": end,
        "bodies": done.bodies, "bytes": done.bytes,
        "holds": holds.iter().map(|hold| &hold.id).collect::<Vec<_>>(),
    });
    append(c, now, Kind::Retention, &value)?;
    Ok(())
}

/// Takes the body out of what an approval asks.
fn forget_body(c: &Connection, approval: &str) -> Result<(), StoreError> {
    let question: Option<String> = c
        .prepare_cached("SELECT question FROM approvals WHERE id = ?1")?
        .query_row([approval], |row| row.get(0))
        .optional()?;
    let Some(question) = question else {
        return Ok(());
    };
    let mut question: Value = serde_json::from_str(&question)
        .map_err(|error| StoreError::Unreadable(format!("approval {approval}: {error}")))?;
    if let Some(request) = question.get_mut("request").and_then(Value::as_object_mut) {
        request.remove("body");
    }
    c.prepare_cached("UPDATE approvals SET question = ?2 WHERE id = ?1")?
        .execute([approval, &question.to_string()])?;
    Ok(())
}

fn delete_days(
    c: &Connection,
    now: Millis,
    before: Millis,
    done: &mut Done,
) -> Result<(), StoreError> {
    let end = first_at_or_after(c, before)?;
    let holds = hold::list(c, true)?;
    let mut ranges: Vec<[i64; 2]> = Vec::new();
    let mut doomed = Vec::new();
    for_each(c, 0, end, |entry| {
        if !DELETABLE.contains(&entry.kind) {
            return Ok(());
        }
        let Some(value) = entry.value()? else {
            return Ok(());
        };
        if is_held(&holds, entry.at, &value) {
            done.held += 1;
            return Ok(());
        }
        match ranges.last_mut() {
            Some([_, last]) if *last + 1 == entry.index => *last = entry.index,
            _ => ranges.push([entry.index, entry.index]),
        }
        doomed.push(entry.index);
        Ok(())
    })?;
    if doomed.is_empty() {
        return Ok(());
    }
    for index in &doomed {
        c.prepare_cached("UPDATE entries SET leaf = NULL WHERE idx = ?1")?
            .execute([index])?;
        c.prepare_cached("DELETE FROM arrivals WHERE entry = ?1")?
            .execute([index])?;
    }
    derive::reset(c)?;
    done.entries += doomed.len() as u64;
    // Bodies that only deleted entries had; normally they have gone before.
    let mut wanted: HashSet<Hash> = HashSet::new();
    for_each(c, 0, i64::MAX, |entry| {
        if let Some(value) = entry.value()? {
            let found = references(&value).into_iter();
            wanted.extend(found.filter_map(|(_, reference)| Some(reference?.sha256)));
        }
        Ok(())
    })?;
    let orphans: Vec<(i64, Hash, i64)> = c
        .prepare("SELECT id, sha256, size FROM bodies WHERE last_entry < ?1")?
        .query_map([end], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (id, sha256, size) in orphans {
        if !wanted.contains(&sha256) {
            c.prepare_cached("DELETE FROM bodies WHERE id = ?1")?
                .execute([id])?;
            done.bodies += 1;
            done.bytes += size.unsigned_abs();
        }
    }
    let value = json!({
        "deleted": "entries", "before_at": before, "entries": ranges,
        "holds": holds.iter().map(|hold| &hold.id).collect::<Vec<_>>(),
    });
    append(c, now, Kind::Retention, &value)?;
    Ok(())
}

fn is_held(holds: &[Hold], at: Millis, value: &serde_json::Map<String, Value>) -> bool {
    holds.iter().any(|hold| hold.filter.covers(at, value))
}

fn for_each(
    c: &Connection,
    from: i64,
    to: i64,
    mut visit: impl FnMut(&read::Entry) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    c.scan(
        "SELECT idx, at, kind, leaf, hash FROM entries WHERE idx >= ?1 AND idx < ?2 ORDER BY idx",
        &[from, to],
        |row| visit(&read::Entry::from_row(row)?).map(|()| true),
    )
}

/// What the entries of kind `retention` say was deleted.
#[derive(Clone, Debug, Default)]
pub(super) struct Deleted {
    bodies_before: i64,
    leaves: Vec<RangeInclusive<i64>>,
}

impl Deleted {
    pub fn read(c: &Connection) -> Result<Self, StoreError> {
        let mut deleted = Self::default();
        for entry in read::entries(c, 0, Some(Kind::Retention), u32::MAX)? {
            let Ok(Some(value)) = entry.value() else {
                continue;
            };
            let number = |key: &str| value.get(key).and_then(Value::as_i64);
            if let Some(before) = number("before_entry") {
                // No entry can tell of what comes after it.
                deleted.bodies_before = deleted.bodies_before.max(before.min(entry.index));
            }
            for range in value
                .get("entries")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                let at = |place: usize| range.get(place).and_then(Value::as_i64);
                if let (Some(from), Some(to)) = (at(0), at(1)) {
                    deleted.leaves.push(from..=to.min(entry.index));
                }
            }
        }
        Ok(deleted)
    }

    /// Whether a retention deleted the leaf of entry `index`.
    pub fn covers_leaf(&self, index: i64) -> bool {
        self.leaves.iter().any(|range| range.contains(&index))
    }

    /// Whether a retention may have deleted the body whose newest entry is `index`.
    pub fn covers_body(&self, index: i64) -> bool {
        index < self.bodies_before || self.covers_leaf(index)
    }
}

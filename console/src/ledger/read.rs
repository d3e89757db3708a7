//! Entries as the rest of the console reads them.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value};

use super::body::{self, Reference, references};
use super::entry::{Hash, Kind};
use crate::clock::Millis;
use crate::intake::record::text;
use crate::store::StoreError;
use crate::store::sql::{self, Connection, OptionalExtension, Row, params};

/// An entry as it stands in the database.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its place in the ledger.
    pub index: i64,
    /// When it was taken.
    pub at: Millis,
    /// Its kind.
    pub kind: Kind,
    /// The leaf's bytes; nothing once retention has deleted them.
    pub leaf: Option<String>,
    /// The hash of the leaf.
    pub hash: Hash,
}

impl Entry {
    pub(super) fn from_row(row: &Row<'_>) -> sql::Result<Self> {
        Ok(Self {
            index: row.get("idx")?,
            at: row.get("at")?,
            kind: row.get("kind")?,
            leaf: row.get("leaf")?,
            hash: row.get("hash")?,
        })
    }

    /// What the entry says: the leaf's `value`. Nothing once retention has deleted it.
    pub fn value(&self) -> Result<Option<Map<String, Value>>, StoreError> {
        let Some(leaf) = &self.leaf else {
            return Ok(None);
        };
        let mut leaf: Map<String, Value> = serde_json::from_str(leaf)
            .map_err(|error| unreadable(self.index, &error.to_string()))?;
        match leaf.remove("value") {
            Some(Value::Object(value)) => Ok(Some(value)),
            _ => Err(unreadable(self.index, "it has no value")),
        }
    }
}

/// A gateway's record with its bodies back in their places.
#[derive(Clone, Debug, Serialize)]
pub struct StoredRecord {
    /// Its place in the ledger.
    pub index: i64,
    /// The worker that wrote it.
    pub worker: String,
    /// The worker's number for it.
    pub seq: i64,
    /// When the console took it.
    #[serde(rename = "received_at_ms")]
    pub received_at: Millis,
    /// The event name.
    pub event: String,
    /// When it happened.
    pub at: Millis,
    /// Attributes of the resource.
    pub resource: Map<String, Value>,
    /// Attributes of the record.
    pub attributes: Map<String, Value>,
    /// Bodies that retention has deleted: the attribute, with what is left of it (`sha256`, `size`).
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub bodies_missing: Map<String, Value>,
}

/// The entry at `index`.
pub fn entry(c: &Connection, index: i64) -> Result<Option<Entry>, StoreError> {
    Ok(
        c.prepare_cached("SELECT idx, at, kind, leaf, hash FROM entries WHERE idx = ?1")?
            .query_row([index], Entry::from_row)
            .optional()?,
    )
}

/// At most `limit` entries from `from` on, in order; of one kind only if `kind` says so.
pub fn entries(
    c: &Connection,
    from: i64,
    kind: Option<Kind>,
    limit: u32,
) -> Result<Vec<Entry>, StoreError> {
    let rows = match kind {
        // `kind <> 'record'` is the condition of the index.
        Some(kind) if kind != Kind::Record => c
            .prepare_cached(
                "SELECT idx, at, kind, leaf, hash FROM entries
                 WHERE kind = ?2 AND kind <> 'record' AND idx >= ?1 ORDER BY idx LIMIT ?3",
            )?
            .query_map(params![from, kind, limit], Entry::from_row)?
            .collect::<Result<_, _>>()?,
        Some(kind) => c
            .prepare_cached(
                "SELECT idx, at, kind, leaf, hash FROM entries
                 WHERE idx >= ?1 AND kind = ?2 ORDER BY idx LIMIT ?3",
            )?
            .query_map(params![from, kind, limit], Entry::from_row)?
            .collect::<Result<_, _>>()?,
        None => c
            .prepare_cached(
                "SELECT idx, at, kind, leaf, hash FROM entries
                 WHERE idx >= ?1 ORDER BY idx LIMIT ?2",
            )?
            .query_map(params![from, limit], Entry::from_row)?
            .collect::<Result<_, _>>()?,
    };
    Ok(rows)
}

/// The record at `index`; nothing if the entry is of another kind, or deleted.
pub fn record(c: &Connection, index: i64) -> Result<Option<StoredRecord>, StoreError> {
    match entry(c, index)? {
        Some(entry) if entry.kind == Kind::Record => stored_record(c, &entry),
        _ => Ok(None),
    }
}

/// The records of an exchange in the order in which they came. Only what [`super::derive`] has
/// reached is found.
pub fn exchange(c: &Connection, id: &str) -> Result<Vec<StoredRecord>, StoreError> {
    let found: Vec<Entry> = c
        .prepare_cached(
            "SELECT idx, entries.at, kind, leaf, hash FROM exchange_entries
             JOIN exchanges ON exchanges.id = exchange_entries.exchange
             JOIN entries ON entries.idx = exchange_entries.entry
             WHERE exchanges.exchange = ?1 ORDER BY exchange_entries.entry",
        )?
        .query_map([id], Entry::from_row)?
        .collect::<Result<_, _>>()?;
    let mut records = Vec::with_capacity(found.len());
    for entry in &found {
        records.extend(stored_record(c, entry)?);
    }
    Ok(records)
}

/// The record that `entry` is, with its bodies; nothing if retention has deleted the leaf.
pub fn stored_record(c: &Connection, entry: &Entry) -> Result<Option<StoredRecord>, StoreError> {
    let Some(value) = entry.value()? else {
        return Ok(None);
    };
    let body = |reference: &Reference| reference.text(c);
    with_bodies(entry, value, body).map(Some)
}

/// The records that `entries` are. Bodies are read all at once.
pub fn stored_records<'a>(
    c: &Connection,
    entries: impl Iterator<Item = &'a Entry>,
) -> Result<Vec<StoredRecord>, StoreError> {
    let mut values = Vec::new();
    let mut wanted = BTreeSet::new();
    for entry in entries {
        let Some(value) = entry.value()? else {
            continue;
        };
        let of_it = references(&value).into_iter();
        wanted.extend(of_it.filter_map(|(_, reference)| Some(reference?.sha256)));
        values.push((entry, value));
    }
    let wanted: Vec<Hash> = wanted.into_iter().collect();
    let bodies = body::many(c, &wanted)?;
    let body = |reference: &Reference| reference.text_of(bodies.get(&reference.sha256).cloned());
    let records = values.into_iter();
    records
        .map(|(entry, value)| with_bodies(entry, value, body))
        .collect()
}

fn with_bodies(
    entry: &Entry,
    mut value: Map<String, Value>,
    body: impl Fn(&Reference) -> Result<Option<String>, StoreError>,
) -> Result<StoredRecord, StoreError> {
    let mut attributes = object(&mut value, "attributes");
    let mut bodies_missing = Map::new();
    for (key, reference) in references(&value) {
        let reference = reference.ok_or_else(|| unreadable(entry.index, "a body's reference"))?;
        match body(&reference)? {
            Some(text) => {
                attributes.insert(key.to_owned(), text.into());
            }
            None => {
                let left = value.get("bodies").and_then(|bodies| bodies.get(key));
                bodies_missing.insert(key.to_owned(), left.cloned().unwrap_or_default());
            }
        }
    }
    let nanos: u64 = text(&value, "time_unix_nano")
        .and_then(|nanos| nanos.parse().ok())
        .unwrap_or_default();
    Ok(StoredRecord {
        index: entry.index,
        worker: text(&attributes, "countersign.worker.id")
            .unwrap_or_default()
            .to_owned(),
        seq: attributes
            .get("countersign.worker.seq")
            .and_then(Value::as_i64)
            .unwrap_or_default(),
        received_at: entry.at,
        event: text(&value, "event").unwrap_or_default().to_owned(),
        at: match i64::try_from(nanos / 1_000_000).unwrap_or_default() {
            0 => entry.at,
            at => at,
        },
        resource: object(&mut value, "resource"),
        attributes,
        bodies_missing,
    })
}

fn object(value: &mut Map<String, Value>, key: &str) -> Map<String, Value> {
    match value.remove(key) {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    }
}

fn unreadable(index: i64, why: &str) -> StoreError {
    StoreError::Unreadable(format!("entry {index}: {why}"))
}

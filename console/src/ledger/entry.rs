//! Entries: the leaves, and how they are written.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::clock::Millis;
use crate::store::StoreError;
use crate::store::sql::{self, Connection, ToSql};

/// A hash of the tree.
pub type Hash = [u8; 32];

/// What an entry tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// One half of an exchange, from a gateway.
    Record,
    /// A step in an approval's life.
    ApprovalEvent,
    /// A policy that came into force, whole.
    Policy,
    /// Somebody looked at the trail, or was let in or out.
    Access,
    /// A signing key was taken into use.
    Key,
    /// Something was deleted because its time was over.
    Retention,
    /// A legal hold was put on or lifted.
    Hold,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Record,
        Self::ApprovalEvent,
        Self::Policy,
        Self::Access,
        Self::Key,
        Self::Retention,
        Self::Hold,
    ];

    /// The word for it in leaves.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::ApprovalEvent => "approval_event",
            Self::Policy => "policy",
            Self::Access => "access",
            Self::Key => "key",
            Self::Retention => "retention",
            Self::Hold => "hold",
        }
    }

    /// Reads [`Kind::as_str`] back.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl sql::ToSql for Kind {
    fn to_sql(&self) -> sql::Value<'_> {
        sql::Value::Text(self.as_str())
    }
}

impl sql::FromSql for Kind {
    fn column_result(value: sql::ValueRef<'_>) -> sql::Result<Self> {
        Self::from_word(value.as_str()?).ok_or_else(|| value.is_no("a kind"))
    }
}

/// The bytes of a leaf. `value` is JSON without white space and with sorted keys, as serde_json
/// writes it; what was written once is never written anew, so that a later writer cannot differ.
pub fn leaf(index: i64, at: Millis, kind: Kind, value: &str) -> String {
    let kind = kind.as_str();
    format!(r#"{{"at":{at},"index":{index},"kind":"{kind}","value":{value}}}"#)
}

/// RFC 6962, section 2.1: the hash of a leaf.
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update([0]);
    hash.update(leaf);
    hash.finalize().into()
}

/// How many entries there are; the next one's index.
pub fn count(c: &Connection) -> Result<i64, StoreError> {
    Ok(
        c.prepare_cached("SELECT coalesce(max(idx) + 1, 0) FROM entries")?
            .query_row([], |row| row.get(0))?,
    )
}

/// Appends an entry inside the caller's transaction and returns its index.
pub fn append(c: &Connection, now: Millis, kind: Kind, value: &Value) -> Result<i64, StoreError> {
    let index = count(c)?;
    append_many(
        c,
        now,
        [(index, kind, value.to_string().as_str())].into_iter(),
    )?;
    Ok(index)
}

/// Appends entries at the places that are given, which follow on what is there.
pub(super) fn append_many<'a>(
    c: &Connection,
    now: Millis,
    entries: impl Iterator<Item = (i64, Kind, &'a str)>,
) -> Result<(), StoreError> {
    let leaves: Vec<(i64, Kind, String, Hash)> = entries
        .map(|(index, kind, value)| {
            let leaf = leaf(index, now, kind, value);
            let hash = leaf_hash(leaf.as_bytes());
            (index, kind, leaf, hash)
        })
        .collect();
    let rows: Vec<Vec<sql::Value<'_>>> = leaves
        .iter()
        .map(|(index, kind, leaf, hash)| {
            vec![
                index.to_sql(),
                now.to_sql(),
                kind.to_sql(),
                leaf.to_sql(),
                hash.to_sql(),
            ]
        })
        .collect();
    c.prepare_cached(
        "INSERT INTO entries (idx, at, kind, leaf, hash) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .insert_many(&rows)?;
    Ok(())
}

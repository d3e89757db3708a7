//! The policies that gateways judged by, as each of their workers told the ledger when it began.

use serde::Serialize;
use serde_json::Value;

use crate::clock::Millis;
use crate::intake::record::text;
use crate::ledger::read::{self, StoredRecord};
use crate::store::StoreError;
use crate::store::sql::{Connection, params};

/// The table, for the store's schema. It follows from the entries: see [`crate::ledger::derive`].
pub const SCHEMA: &str = "
-- Derived: the policies that workers began with.
CREATE TABLE policies (
    digest   TEXT PRIMARY KEY,
    entry    INTEGER NOT NULL,           -- the first that has it
    first_at INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    starts   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// The tables that [`records`] fills.
pub const TABLES: &[&str] = &["policies"];

const DIGEST: &str = "countersign.policy.digest";

/// One policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Version {
    /// SHA-256 of the canonical document.
    pub digest: String,
    /// When a worker first began with it, in milliseconds since the epoch.
    #[serde(rename = "first_at_ms")]
    pub first_at: Millis,
    /// When one last did.
    #[serde(rename = "last_at_ms")]
    pub last_at: Millis,
    /// How many workers began with it.
    pub starts: u64,
    /// The entry that has the document.
    #[serde(skip)]
    entry: i64,
}

/// A policy with its text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Whole {
    /// What is known of it.
    #[serde(flatten)]
    pub version: Version,
    /// The document.
    pub document: Value,
}

/// Every policy, in the order in which they came into force.
pub fn versions(c: &Connection) -> Result<Vec<Version>, StoreError> {
    let mut statement = c.prepare_cached(
        "SELECT digest, first_at, last_at, starts, entry FROM policies ORDER BY entry",
    )?;
    let versions = statement.query_map([], |row| {
        let starts: i64 = row.get(3)?;
        Ok(Version {
            digest: row.get(0)?,
            first_at: row.get(1)?,
            last_at: row.get(2)?,
            starts: starts.unsigned_abs(),
            entry: row.get(4)?,
        })
    })?;
    Ok(versions.collect::<Result<_, _>>()?)
}

impl Version {
    /// The same with its text, as the ledger has it.
    pub fn whole(self, c: &Connection) -> Result<Whole, StoreError> {
        let record = match read::entry(c, self.entry)? {
            Some(entry) => read::stored_record(c, &entry)?,
            None => None,
        };
        let document = record
            .as_ref()
            .and_then(|record| text(&record.attributes, "countersign.policy.document"))
            .and_then(|document| serde_json::from_str(document).ok());
        Ok(Whole {
            version: self,
            document: document.unwrap_or_default(),
        })
    }
}

/// Takes in what workers said when they began. Records come in the order of their entries, each once.
pub fn records(c: &Connection, records: &[StoredRecord]) -> Result<(), StoreError> {
    for record in records {
        let Some(digest) = text(&record.attributes, DIGEST) else {
            continue;
        };
        c.prepare_cached(
            "INSERT INTO policies (digest, entry, first_at, last_at, starts) VALUES (?1, ?2, ?3, ?3, 1)
             ON CONFLICT (digest) DO UPDATE SET starts = policies.starts + 1,
               last_at = CASE WHEN excluded.last_at > policies.last_at THEN excluded.last_at
                         ELSE policies.last_at END",
        )?
        .execute(params![digest, record.index, record.at])?;
    }
    Ok(())
}

/// The document, a member a line.
pub fn lines(document: &Value) -> String {
    let text = serde_json::to_string_pretty(document);
    text.unwrap_or_else(|_| document.to_string())
}

/// What differs between two policies, as a unified diff of their lines; empty if nothing does.
pub fn difference(before: &Value, after: &Value) -> String {
    similar::TextDiff::from_lines(lines(before), lines(after))
        .unified_diff()
        .context_radius(3)
        .to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_is_told_in_lines() {
        let one = json!({"default": "deny", "mode": "enforce"});
        let other = json!({"default": "allow", "mode": "enforce"});
        let shown = difference(&one, &other);
        assert!(
            shown.contains("-  \"default\": \"deny\",\n+  \"default\": \"allow\",\n"),
            "{shown}"
        );
        assert_eq!(difference(&one, &one), "");
    }
}

//! The policies that gateways judged by, as each of their workers told the ledger when it began.

use serde::Serialize;
use serde_json::Value;

use crate::clock::Millis;
use crate::intake::record::text;
use crate::ledger::{Kind, read};
use crate::store::StoreError;
use crate::store::sql::Connection;

/// Entries that are read in one go.
const AT_ONCE: u32 = 200;

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
    /// The document.
    pub document: Value,
}

/// Every policy, in the order in which they came into force.
pub fn versions(c: &Connection) -> Result<Vec<Version>, StoreError> {
    let mut versions: Vec<Version> = Vec::new();
    let mut from = 0;
    loop {
        let entries = read::entries(c, from, Some(Kind::Policy), AT_ONCE)?;
        let Some(last) = entries.last() else {
            return Ok(versions);
        };
        from = last.index + 1;
        for entry in &entries {
            let Some(record) = read::stored_record(c, entry)? else {
                continue;
            };
            let word = |key: &str| text(&record.attributes, key);
            let Some(digest) = word("countersign.policy.digest") else {
                continue;
            };
            match versions.iter_mut().find(|known| known.digest == digest) {
                Some(known) => {
                    known.last_at = known.last_at.max(record.at);
                    known.starts += 1;
                }
                None => versions.push(Version {
                    digest: digest.to_owned(),
                    first_at: record.at,
                    last_at: record.at,
                    starts: 1,
                    document: word("countersign.policy.document")
                        .and_then(|document| serde_json::from_str(document).ok())
                        .unwrap_or_default(),
                }),
            }
        }
    }
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

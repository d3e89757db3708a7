//! Everything that is known of one exchange.

use serde::Serialize;

use super::Summary;
use crate::ledger::read::{self, StoredRecord};
use crate::store::StoreError;
use crate::store::sql::{Connection, OptionalExtension};

/// An exchange and its records, in the order in which they came.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct Detail {
    #[serde(flatten)]
    pub summary: Summary,
    pub records: Vec<StoredRecord>,
}

impl Detail {
    /// Takes the bodies out, for those without the right to read them. What is said instead has
    /// their place.
    pub fn withhold_bodies(&mut self) {
        for record in &mut self.records {
            for key in crate::ledger::body::KEYS {
                if record.attributes.remove(*key).is_some() {
                    let said = format!("{key}.withheld");
                    record.attributes.insert(said, true.into());
                }
            }
        }
    }
}

/// The exchange `id` with its records.
pub fn detail(c: &Connection, id: &str) -> Result<Option<Detail>, StoreError> {
    let summary = c
        .prepare_cached("SELECT * FROM exchanges WHERE exchange = ?1")?
        .query_row([id], Summary::from_row)
        .optional()?;
    let Some(summary) = summary else {
        return Ok(None);
    };
    let records = read::exchange(c, id)?;
    Ok(Some(Detail { summary, records }))
}

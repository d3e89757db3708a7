//! Which of the ledger's keys follow from the one that is trusted.

use std::collections::BTreeMap;

use super::{Against, Report, What};
use crate::ledger::entry::Kind;
use crate::ledger::keys::{Announced, from_value};
use crate::ledger::note::{Note, Verifier};
use crate::ledger::read;
use crate::store::StoreError;
use crate::store::sql::Connection;

/// The keys whose signatures count.
pub(super) struct Trusted {
    pub name: String,
    pub keys: Vec<Verifier>,
}

impl Trusted {
    /// Whether one of the keys signed.
    pub fn signed(&self, note: &Note) -> bool {
        self.keys.iter().any(|key| note.is_signed_by(key))
    }
}

/// The trusted key, those before it in the ledger, and those after it as far as each was taken into
/// use with the signature of the one before. The keys before are under the trusted key's signatures,
/// like all entries.
pub(super) fn trusted(
    c: &Connection,
    against: &Against,
    report: &mut Report,
) -> Result<Trusted, StoreError> {
    let announced = announced(c, report)?;
    let mut trusted = Trusted {
        name: against.key.name().to_owned(),
        keys: vec![against.key.clone()],
    };
    let Some(place) = announced.iter().position(|a| a.verifier == against.key) else {
        report.add(
            What::Foreign,
            None,
            format!(
                "the key {} is none of this ledger's: it is another ledger, or its first entry was changed",
                against.key
            ),
        );
        return Ok(trusted);
    };
    let both = notes_by_size(c)?;
    for pair in announced.windows(2).skip(place) {
        let [old, new] = pair else { continue };
        let signed_by_both = new.event == "rotated"
            && both.range(new.index + 1..).any(|(_, note)| {
                note.is_signed_by(&old.verifier) && note.is_signed_by(&new.verifier)
            });
        if !signed_by_both {
            report.add(
                What::Signature,
                Some(new.index),
                format!(
                    "entry {} takes a new key into use without the signature of the one before: \
                     to trust it, verify with that key ({})",
                    new.index, new.verifier
                ),
            );
            return Ok(trusted);
        }
        trusted.keys.push(new.verifier.clone());
    }
    let before = announced.iter().take(place).map(|a| a.verifier.clone());
    trusted.keys.extend(before);
    Ok(trusted)
}

/// As [`crate::ledger::keys::announced`], but a key entry that cannot be read is a finding.
fn announced(c: &Connection, report: &mut Report) -> Result<Vec<Announced>, StoreError> {
    let mut keys = Vec::new();
    for entry in read::entries(c, 0, Some(Kind::Key), u32::MAX)? {
        let key = match entry.value() {
            Ok(Some(value)) => from_value(entry.index, entry.at, &value),
            Ok(None) => continue,
            Err(error) => Err(error.to_string()),
        };
        match key {
            Ok(key) => keys.push(key),
            Err(why) => report.add(What::Edited, Some(entry.index), why),
        }
    }
    Ok(keys)
}

fn notes_by_size(c: &Connection) -> Result<BTreeMap<i64, Note>, StoreError> {
    let rows: Vec<(i64, String)> = c
        .prepare("SELECT size, note FROM checkpoints")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    Ok(rows
        .into_iter()
        .filter_map(|(size, note)| Some((size, Note::parse(&note).ok()?)))
        .collect())
}

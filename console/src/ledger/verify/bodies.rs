//! The bodies, against the hashes in the leaves.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::leaves::Seen;
use super::{Against, Report, What};
use crate::ledger::body::{hex, unpack};
use crate::ledger::entry::Hash;
use crate::store::StoreError;
use crate::store::sql::Connection;

/// Checks every body, and that each one is there that an entry has and retention has not deleted.
pub(super) fn check(
    c: &Connection,
    seen: &Seen,
    against: &Against,
    report: &mut Report,
) -> Result<(), StoreError> {
    let mut there: HashSet<Hash> = HashSet::new();
    let sql = "SELECT sha256, size, codec, data, last_entry FROM bodies";
    c.scan::<StoreError>(sql, &[], |row| {
        let sha256: Vec<u8> = row.get(0)?;
        let size: i64 = row.get(1)?;
        let entry = <&Hash>::try_from(sha256.as_slice())
            .ok()
            .and_then(|sha256| seen.bodies.get(sha256).copied());
        let name = hex(sha256.get(..8).unwrap_or(&sha256));
        let Some(entry) = entry else {
            report.add(
                What::Body,
                None,
                format!("the body {name} was inserted: no entry has it"),
            );
            return Ok(true);
        };
        report.bodies += 1;
        let bytes = unpack(row.get(2)?, size, row.get(3)?);
        let right = bytes.is_ok_and(|bytes| {
            bytes.len() as i64 == size && Sha256::digest(&bytes).as_slice() == sha256
        });
        if !right {
            report.add(
                What::Body,
                Some(entry),
                format!("the body {name} of entry {entry} was edited"),
            );
        }
        let newest: i64 = row.get(4)?;
        let gone = newest > entry && seen.deleted.covers_leaf(newest);
        if against.derived && newest != entry && !gone {
            report.add(
                What::Derived,
                None,
                format!("the body {name} does not name {entry} as the newest entry that has it"),
            );
        }
        if let Ok(sha256) = sha256.try_into() {
            there.insert(sha256);
        }
        Ok(true)
    })?;
    for (sha256, entry) in &seen.bodies {
        if there.contains(sha256) {
            continue;
        }
        if seen.deleted.covers_body(*entry) {
            report.bodies_deleted += 1;
        } else {
            report.add(
                What::Body,
                Some(*entry),
                format!(
                    "the body {} of entry {entry} was removed, and no retention says so",
                    hex(&sha256[..8])
                ),
            );
        }
    }
    Ok(())
}

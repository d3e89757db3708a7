//! The checkpoints: what was signed about how many entries.

use std::collections::BTreeMap;

use super::trust::Trusted;
use super::{Against, Report, What};
use crate::ledger::keeper;
use crate::ledger::note::{Checkpoint, Note};
use crate::store::StoreError;
use crate::store::sql::Connection;

const ELSEWHERE: &str = "that was kept elsewhere";

/// A signed statement about so many entries.
pub(super) struct Claim {
    pub said: Checkpoint,
    /// Where it was found.
    pub from: &'static str,
    /// Whether it was kept elsewhere: who changes the ledger, key and all, does not reach it.
    pub elsewhere: bool,
}

/// Every checkpoint of a trusted key, by size. Others are findings.
pub(super) fn claims(
    c: &Connection,
    against: &Against,
    trusted: &Trusted,
    report: &mut Report,
) -> Result<BTreeMap<i64, Vec<Claim>>, StoreError> {
    let stored: Vec<(i64, String)> = c
        .prepare("SELECT size, note FROM checkpoints ORDER BY size")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut claims: BTreeMap<i64, Vec<Claim>> = BTreeMap::new();
    let mut take = |size: Option<i64>, note: &str, from: &'static str| {
        let said = Note::parse(note).and_then(|note| Ok((note.checkpoint()?, note)));
        let about = size.map_or(String::new(), |size| format!(" of {size} entries"));
        let wrong = match said {
            Err(error) => Some(format!("the checkpoint{about} {from}: {error}")),
            Ok((said, note)) => {
                let own = i64::try_from(said.size).unwrap_or(i64::MAX);
                if !trusted.signed(&note) {
                    Some(format!(
                        "the checkpoint of {own} entries {from} is not signed by a key that follows \
                         from the one given"
                    ))
                } else if said.origin != trusted.name || size.is_some_and(|size| size != own) {
                    Some(format!("the checkpoint{about} {from} is of something else"))
                } else {
                    claims.entry(own).or_default().push(Claim {
                        said,
                        from,
                        elsewhere: from == ELSEWHERE,
                    });
                    None
                }
            }
        };
        if let Some(words) = wrong {
            report.add(What::Signature, None, words);
        }
    };
    for (size, note) in &stored {
        take(Some(*size), note, "in the ledger");
    }
    for note in &against.beside {
        take(None, note, "in the file beside the database");
    }
    for note in &against.checkpoints {
        take(None, note, ELSEWHERE);
    }
    // One is made for every so many entries; a missing one was taken away.
    let newest = stored.last().map_or(0, |(size, _)| *size);
    let every = keeper::EVERY as i64;
    for size in (every..=newest).step_by(keeper::EVERY as usize) {
        if !stored.iter().any(|(stored, _)| *stored == size) {
            let words = format!("the checkpoint of {size} entries was taken away");
            report.add(What::Signature, None, words);
        }
    }
    Ok(claims)
}

//! `countersign ledger verify`: whether a ledger is what was signed, and if not, from which entry on.
//!
//! What is trusted: the key that the auditor names, and the older checkpoints that he kept. What is
//! not: the data folder or export, with everything in it.
//!
//! - Whoever changes rows without the key is found at the first entry that he touched: its leaf does
//!   not have its hash, its hash is not the tile's, or it is in no seal or checkpoint after it.
//! - Whoever has the key too, and signs a new history, is found by an older checkpoint kept elsewhere:
//!   the first entry that differs lies after the newest of them that still agrees.
//! - Whoever cuts the tail, or puts an old state back, is found by any newer checkpoint.

mod bodies;
mod claims;
mod derived;
mod leaves;
mod steps;
mod trust;

use std::fmt;

use serde::Serialize;

use super::note::Verifier;
use crate::store::StoreError;
use crate::store::sql::Connection;

/// What to verify against, and how much.
#[derive(Clone, Debug)]
pub struct Against {
    /// The key that the auditor trusts.
    pub key: Verifier,
    /// Checkpoints that were kept elsewhere: signed notes.
    pub checkpoints: Vec<String>,
    /// Checkpoints of the data folder's own file.
    pub beside: Vec<String>,
    /// Whether the tables that are derived from the entries are there and to be compared.
    pub derived: bool,
    /// Whether entries may be there as hashes only, because the export was made so.
    pub selection: bool,
}

/// One thing that is not as it was signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The first entry that it concerns, if it concerns one.
    pub entry: Option<i64>,
    /// What happened to it.
    pub what: What,
    /// In words.
    pub words: String,
}

/// What can happen to a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // The names say it.
pub enum What {
    Edited,
    Removed,
    Inserted,
    Reordered,
    /// One of the above, and which one cannot be told from what is left.
    Changed,
    Cut,
    Unsigned,
    /// The key that is trusted is none of this ledger's.
    Foreign,
    Signature,
    Body,
    Tree,
    Derived,
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The ledger's name.
    pub name: String,
    /// Entries.
    pub entries: i64,
    /// Entries that are hashes only: deleted by retention, or not part of a selection.
    pub hashes_only: i64,
    /// Bodies that were hashed.
    pub bodies: i64,
    /// Bodies that retention has deleted.
    pub bodies_deleted: i64,
    /// Checkpoints whose signature and root were checked.
    pub checkpoints: i64,
    /// Entries that the newest valid signature covers.
    pub signed: i64,
    /// The root of all entries, in hex.
    pub root: String,
    /// Tables that were made anew and compared.
    pub derived_tables: i64,
    /// Entries at the end that nothing signs yet.
    pub unsigned_tail: i64,
    /// What is wrong, the earliest entry first.
    pub findings: Vec<Finding>,
}

/// More findings than this are not listed: the first is what counts.
const LISTED: usize = 20;

impl Report {
    fn add(&mut self, what: What, entry: Option<i64>, words: impl Into<String>) {
        if self.findings.len() < 1_000 {
            self.findings.push(Finding {
                entry,
                what,
                words: words.into(),
            });
        }
    }

    /// Whether everything is as it was signed.
    pub fn is_good(&self) -> bool {
        self.findings.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "ledger   {}", self.name)?;
        write!(out, "entries  {}", self.entries)?;
        if self.hashes_only > 0 {
            write!(out, ", {} of them as hashes only", self.hashes_only)?;
        }
        writeln!(out, "\nroot     {}", self.root)?;
        writeln!(
            out,
            "signed   the first {} entries; {} checkpoints checked",
            self.signed, self.checkpoints
        )?;
        if self.unsigned_tail > 0 {
            writeln!(
                out,
                "         {} entries after them are not signed yet",
                self.unsigned_tail
            )?;
        }
        write!(out, "bodies   {} checked", self.bodies)?;
        if self.bodies_deleted > 0 {
            write!(out, ", {} deleted by retention", self.bodies_deleted)?;
        }
        writeln!(out)?;
        if self.derived_tables > 0 {
            writeln!(
                out,
                "derived  {} tables made anew and compared",
                self.derived_tables
            )?;
        }
        let Some(first) = self.findings.first() else {
            return write!(out, "\nGOOD: every entry is as it was signed.");
        };
        writeln!(out, "\nNOT GOOD: {}", first.words)?;
        for finding in self.findings.iter().skip(1).take(LISTED) {
            writeln!(out, "  also: {}", finding.words)?;
        }
        let more = self.findings.len().saturating_sub(LISTED + 1);
        if more > 0 {
            writeln!(out, "  and {more} more")?;
        }
        Ok(())
    }
}

/// Verifies the ledger in the database `c`, which is only read.
pub fn verify(c: &Connection, against: &Against) -> Result<Report, StoreError> {
    let mut report = Report::default();
    let trusted = trust::trusted(c, against, &mut report)?;
    report.name = trusted.name.clone();
    let seen = leaves::check(c, against, &trusted, &mut report)?;
    bodies::check(c, &seen, against, &mut report)?;
    if against.derived {
        // Derived from entries that are not right, they are not right either.
        if report.is_good() {
            derived::check(c, &mut report)?;
        } else {
            tracing::debug!("derived tables are not compared: the entries are not right");
        }
    }
    // Of another ledger nothing else counts; but without its first entry, which names its key, no
    // ledger knows its own. Else the first entry that is wrong comes first, and what concerns no
    // entry comes last.
    let beheaded = report
        .findings
        .iter()
        .any(|f| matches!(f.what, What::Removed | What::Cut) && f.entry == Some(0));
    report.findings.sort_by_key(|finding| match finding.what {
        What::Foreign if !beheaded => -1,
        _ => finding.entry.unwrap_or(i64::MAX),
    });
    Ok(report)
}

//! A ledger as a file that verifies by itself: one JSON object a line.
//!
//! ```text
//! {"type":"ledger", "format":1, "name", "entries", "selection", "made_at"}   first
//! {"type":"entry", "index", "hash", "leaf"}         in order; `leaf` is null where it was deleted
//! {"type":"hashes", "from", "hashes"}               entries that are not part of a selection
//! {"type":"body", "sha256", "data"}                 base64
//! {"type":"checkpoint", "note"}
//! {"type":"seal", "size", "line"}
//! {"type":"end", "lines"}                           last: a file that was cut off shows
//! ```
//! Reading one makes a database with the same entries, so that one verifier serves both.

use std::collections::HashSet;
use std::io::{BufRead, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::body::{self, hex, references, unhex};
use super::entry::{Hash, Kind};
use super::read::Entry;
use super::{checkpoint, keys, seal};
use crate::clock::Millis;
use crate::failure::Failure;
use crate::store::sql::{self, Connection, params};
use crate::store::{self, StoreError};

const FORMAT: u32 = 1;
/// Hashes on one line.
const HASHES: usize = 256;

/// Which entries go in whole.
#[derive(Clone, Debug)]
pub enum Selection {
    /// All of them.
    All,
    /// These, and those that verifying needs; of the others only the hashes.
    Entries(HashSet<i64>),
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    Ledger {
        format: u32,
        name: String,
        entries: i64,
        selection: bool,
        made_at: Millis,
    },
    Entry {
        index: i64,
        hash: String,
        leaf: Option<String>,
    },
    Hashes {
        from: i64,
        hashes: String,
    },
    Body {
        sha256: String,
        data: String,
    },
    Checkpoint {
        note: String,
    },
    Seal {
        size: i64,
        line: String,
    },
    End {
        lines: u64,
    },
}

/// Why a bundle was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The ledger's own error.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The output's.
    #[error("the output cannot be written: {0}")]
    Io(#[from] std::io::Error),
}

impl From<sql::Error> for WriteError {
    fn from(error: sql::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        Self::plain(error.to_string())
    }
}

struct Out<W> {
    out: W,
    lines: u64,
}

impl<W: Write> Out<W> {
    fn line(&mut self, line: &Line) -> Result<(), WriteError> {
        serde_json::to_writer(&mut self.out, line).map_err(std::io::Error::from)?;
        self.out.write_all(b"\n")?;
        self.lines += 1;
        Ok(())
    }
}

/// Writes the ledger in `c`, which should be one snapshot (a transaction). Returns how many entries
/// went in whole.
pub fn write(
    c: &Connection,
    now: Millis,
    selection: &Selection,
    out: impl Write,
) -> Result<u64, WriteError> {
    let mut out = Out { out, lines: 0 };
    let name = keys::announced(c)?
        .pop()
        .map_or_else(String::new, |key| key.verifier.name().to_owned());
    out.line(&Line::Ledger {
        format: FORMAT,
        name,
        entries: super::entry::count(c)?,
        selection: !matches!(selection, Selection::All),
        made_at: now,
    })?;
    let (whole, bodies) = write_entries(c, selection, &mut out)?;
    for sha256 in bodies {
        // One that retention has deleted is not there; the entries say so.
        if let Some(bytes) = body::bytes(c, &sha256)? {
            out.line(&Line::Body {
                sha256: hex(&sha256),
                data: STANDARD.encode(bytes),
            })?;
        }
    }
    for stored in checkpoint::after(c, -1)? {
        out.line(&Line::Checkpoint { note: stored.note })?;
    }
    for (size, line) in seal::between(c, 0, i64::MAX)? {
        out.line(&Line::Seal { size, line })?;
    }
    let lines = out.lines;
    out.line(&Line::End { lines })?;
    out.out.flush()?;
    Ok(whole)
}

/// Writes the entries; how many whole, and the bodies that those have, in order.
fn write_entries<W: Write>(
    c: &Connection,
    selection: &Selection,
    out: &mut Out<W>,
) -> Result<(u64, Vec<Hash>), WriteError> {
    let mut whole = 0;
    let mut bodies = Vec::new();
    let mut known = HashSet::new();
    let mut pending: Vec<Hash> = Vec::new();
    let mut pending_from = 0;
    let sql = "SELECT idx, at, kind, leaf, hash FROM entries ORDER BY idx";
    c.scan::<WriteError>(sql, &[], |row| {
        let entry = Entry::from_row(row)?;
        let wanted = match selection {
            Selection::All => true,
            Selection::Entries(wanted) => {
                // Without these nothing can be verified.
                matches!(entry.kind, Kind::Key | Kind::Retention) || wanted.contains(&entry.index)
            }
        };
        if !wanted {
            if pending.is_empty() {
                pending_from = entry.index;
            }
            pending.push(entry.hash);
            if pending.len() == HASHES {
                out.line(&hashes(pending_from, &mut pending))?;
            }
            return Ok(true);
        }
        if !pending.is_empty() {
            out.line(&hashes(pending_from, &mut pending))?;
        }
        if let Some(value) = entry.value()? {
            let found = references(&value)
                .into_iter()
                .filter_map(|(_, reference)| reference);
            bodies.extend(
                found
                    .map(|r| r.sha256)
                    .filter(|sha256| known.insert(*sha256)),
            );
        }
        whole += 1;
        out.line(&Line::Entry {
            index: entry.index,
            hash: hex(&entry.hash),
            leaf: entry.leaf,
        })?;
        Ok(true)
    })?;
    if !pending.is_empty() {
        out.line(&hashes(pending_from, &mut pending))?;
    }
    Ok((whole, bodies))
}

fn hashes(from: i64, pending: &mut Vec<Hash>) -> Line {
    let hashes = STANDARD.encode(pending.concat());
    pending.clear();
    Line::Hashes { from, hashes }
}

/// A bundle, read into a database of its own.
pub struct Read {
    /// The database.
    pub connection: Connection,
    /// Whether only a selection of the entries is there whole.
    pub selection: bool,
}

/// Reads a bundle into a new database at `scratch`.
pub fn read(bundle: impl BufRead, scratch: &Path) -> Result<Read, Failure> {
    let connection = store::empty(scratch)?;
    let sql = |error: sql::Error| Failure::plain(format!("the scratch database: {error}"));
    connection
        .execute_batch("PRAGMA synchronous = off; BEGIN")
        .map_err(sql)?;
    let mut selection = None;
    let mut lines = 0;
    let mut ended = false;
    #[allow(clippy::explicit_counter_loop, reason = "the count outlives the loop")]
    for line in bundle.lines() {
        let number = lines + 1;
        let wrong = |why: &str| {
            Failure::new(
                format!("line {number} of the export: {why}"),
                "It was not made by `countersign ledger bundle`, or was changed since.",
            )
        };
        let line = line.map_err(|error| wrong(&error.to_string()))?;
        let line: Line = serde_json::from_str(&line).map_err(|error| wrong(&error.to_string()))?;
        match (&line, selection) {
            (Line::Ledger { format, .. }, None) if *format != FORMAT => {
                return Err(wrong(&format!("format {format} is not known")));
            }
            (
                Line::Ledger {
                    selection: some, ..
                },
                None,
            ) => selection = Some(*some),
            (Line::Ledger { .. }, Some(_)) | (_, None) => {
                return Err(wrong("it does not begin with one line of type `ledger`"));
            }
            (_, Some(_)) if ended => return Err(wrong("it stands behind the last line")),
            (Line::End { lines: said }, Some(_)) => {
                if *said != lines {
                    return Err(wrong(&format!(
                        "{said} lines were written, {lines} are there"
                    )));
                }
                ended = true;
            }
            (other, Some(_)) => insert(&connection, other).map_err(|why| wrong(&why))?,
        }
        lines += 1;
    }
    if !ended {
        return Err(Failure::new(
            "the export ends in the middle: its last line is missing",
            "Export it again, or verify what there is of the ledger elsewhere.",
        ));
    }
    connection.execute_batch("COMMIT").map_err(sql)?;
    Ok(Read {
        connection,
        selection: selection.unwrap_or(false),
    })
}

/// Nothing is checked here but that it can be kept: the verifier looks at what it says.
fn insert(c: &Connection, line: &Line) -> Result<(), String> {
    let said = |error: sql::Error| error.to_string();
    let add_entry = |index: i64, leaf: Option<&str>, hash: &[u8]| {
        let parsed: Option<serde_json::Value> = leaf.and_then(|l| serde_json::from_str(l).ok());
        let field = |key: &str| parsed.as_ref().and_then(|leaf| leaf.get(key));
        c.prepare_cached(
            "INSERT INTO entries (idx, at, kind, leaf, hash) VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                index,
                field("at").and_then(|at| at.as_i64()).unwrap_or_default(),
                field("kind")
                    .and_then(|kind| kind.as_str())
                    .unwrap_or("record"),
                leaf,
                hash
            ])
        })
        .map_err(said)
    };
    match line {
        Line::Ledger { .. } | Line::End { .. } => {}
        Line::Entry { index, hash, leaf } => {
            let hash = unhex(hash).ok_or("the hash is not 64 digits of hex")?;
            add_entry(*index, leaf.as_deref(), &hash)?;
        }
        Line::Hashes { from, hashes } => {
            let bytes = STANDARD.decode(hashes).map_err(|error| error.to_string())?;
            let (hashes, rest) = bytes.as_chunks::<32>();
            if !rest.is_empty() {
                return Err("the hashes are not whole".into());
            }
            for (place, hash) in hashes.iter().enumerate() {
                add_entry(from + place as i64, None, hash)?;
            }
        }
        Line::Body { sha256, data } => {
            let name = unhex(sha256).ok_or("the name is not 64 digits of hex")?;
            let data = STANDARD.decode(data).map_err(|error| error.to_string())?;
            c.prepare_cached(
                "INSERT INTO bodies (sha256, size, codec, data, last_entry) VALUES (?1, ?2, 0, ?3, 0)",
            )
            .and_then(|mut statement| statement.execute(params![name, data.len() as i64, data]))
            .map_err(said)?;
        }
        Line::Checkpoint { note } => {
            let size = super::note::Note::parse(note)
                .and_then(|note| note.checkpoint())
                .map_err(|error| error.to_string())?
                .size;
            checkpoint::insert(c, i64::try_from(size).unwrap_or(i64::MAX), 0, note)
                .map_err(|error| error.to_string())?;
        }
        Line::Seal { size, line } => {
            seal::keep(c, *size, line).map_err(said)?;
        }
    }
    Ok(())
}

//! Checkpoints: what the ledger was at a time, signed, in the database and in a file beside it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::entry::count;
use super::note::{Checkpoint, Note, is_signature, split_notes};
use super::tree;
use crate::clock::Millis;
use crate::failure::Failure;
use crate::store::sql::{self, Connection, OptionalExtension, Row, params};
use crate::store::{Store, StoreError};

/// A checkpoint as it is stored.
#[derive(Clone, Debug)]
pub struct Stored {
    /// How many entries it covers.
    pub size: i64,
    /// When it was made.
    pub at: Millis,
    /// The signed note.
    pub note: String,
}

fn from_row(row: &Row<'_>) -> sql::Result<Stored> {
    Ok(Stored {
        size: row.get(0)?,
        at: row.get(1)?,
        note: row.get(2)?,
    })
}

/// Keeps a checkpoint. One that is there for the same size is replaced: a rotation's has one more
/// signature.
pub(super) fn insert(c: &Connection, size: i64, at: Millis, note: &str) -> Result<(), StoreError> {
    c.prepare_cached(
        "INSERT INTO checkpoints (size, at, note) VALUES (?1, ?2, ?3)
         ON CONFLICT (size) DO UPDATE SET at = excluded.at, note = excluded.note",
    )?
    .execute(params![size, at, note])?;
    Ok(())
}

/// The newest checkpoint.
pub fn newest(c: &Connection) -> Result<Option<Stored>, StoreError> {
    Ok(
        c.prepare_cached("SELECT size, at, note FROM checkpoints ORDER BY size DESC LIMIT 1")?
            .query_row([], from_row)
            .optional()?,
    )
}

/// The checkpoints of more than `size` entries, the smallest first.
pub fn after(c: &Connection, size: i64) -> Result<Vec<Stored>, StoreError> {
    Ok(
        c.prepare_cached("SELECT size, at, note FROM checkpoints WHERE size > ?1 ORDER BY size")?
            .query_map([size], from_row)?
            .collect::<Result<_, _>>()?,
    )
}

/// The file that checkpoints are appended to: a database that is put back to an earlier state is
/// found out by it, and it can be shipped elsewhere as it grows.
#[derive(Clone, Debug)]
pub struct CheckpointFile(PathBuf);

impl CheckpointFile {
    /// The file at `path`, which need not be there yet.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Appends notes.
    pub(super) fn append(&self, notes: &[String]) -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&self.0)?;
        // In one write: a reader sees whole notes.
        file.write_all(notes.concat().as_bytes())?;
        file.sync_data()
    }

    /// The notes in the file; none if there is no file.
    pub fn notes(&self) -> std::io::Result<Vec<String>> {
        match fs::read_to_string(&self.0) {
            Ok(text) => Ok(split_notes(&text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// The largest checkpoint in the file. A last note that was cut off by a crash is passed over.
    pub fn largest(&self) -> std::io::Result<Option<Checkpoint>> {
        let read = |note: &String| Note::parse(note).ok()?.checkpoint().ok();
        Ok(self
            .notes()?
            .iter()
            .filter_map(read)
            .max_by_key(|checkpoint| checkpoint.size))
    }
}

/// Whether the database still has what the file says it had. A console does not go on with one that
/// has not: it would sign a second history.
pub fn guard(store: &Store, file: &CheckpointFile) -> Result<(), Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::plain(format!("{} cannot be read: {error}", file.path().display()))
    };
    let Some(known) = file.largest().map_err(unreadable)? else {
        return Ok(());
    };
    let size = i64::try_from(known.size).unwrap_or(i64::MAX);
    let wrong = store.read_now(move |c| {
        let entries = count(c)?;
        if entries < size {
            return Ok(Some(format!("it has {entries} entries, and had {size}")));
        }
        let same = tree::root(c, size)? == known.root;
        Ok((!same).then(|| format!("its first {size} entries are not what they were")))
    })?;
    match wrong {
        None => Ok(()),
        Some(why) => Err(Failure::new(
            format!(
                "the database is not the one that {} tells of: {why}",
                file.path().display()
            ),
            "It was changed or put back to an earlier state. See what with \
             `countersign ledger verify --data DIR`; go on with a fresh folder, --data DIR.",
        )),
    }
}

/// Takes away what a crash left of a note at the end of the file: what is whole ends with a line.
pub fn repair(file: &CheckpointFile) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::plain(format!(
            "{} cannot be repaired: {error}",
            file.path().display()
        ))
    };
    let text = match fs::read_to_string(file.path()) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    let mut whole = 0;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        at += line.len();
        if is_signature(line) && line.ends_with('\n') {
            whole = at;
        }
    }
    if whole == text.len() {
        return Ok(());
    }
    fs::OpenOptions::new()
        .write(true)
        .open(file.path())
        .and_then(|file| file.set_len(whole as u64))
        .map_err(failed)
}

/// Appends to the file what a crash kept from it.
pub fn catch_up(store: &Store, file: &CheckpointFile) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::plain(format!(
            "{} cannot be written: {error}",
            file.path().display()
        ))
    };
    let known = file
        .largest()
        .map_err(failed)?
        .map_or(0, |known| i64::try_from(known.size).unwrap_or(i64::MAX));
    let missing: Vec<String> = store
        .read_now(move |c| after(c, known))?
        .into_iter()
        .map(|stored| stored.note)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    file.append(&missing).map_err(failed)
}

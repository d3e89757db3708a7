//! The signing key: where it is kept, and which keys the ledger has had.
//!
//! Every key is announced in an entry. A rotation's entry is covered by a checkpoint that the old key
//! and the new one both sign: who trusts the old one can follow.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::entry::{Kind, append, count};
use super::note::{Checkpoint, NoteKey, Verifier};
use super::{checkpoint, read, tree};
use crate::clock::Millis;
use crate::failure::Failure;
use crate::secret::random_bytes;
use crate::store::sql::Connection;
use crate::store::{Store, StoreError};

/// A key that the ledger has had.
#[derive(Clone, Debug)]
pub struct Announced {
    /// The entry that says so.
    pub index: i64,
    /// When.
    pub at: Millis,
    /// `first`, `rotated` (both keys signed) or `replaced` (the old one was lost).
    pub event: String,
    /// What verifies its signatures.
    pub verifier: Verifier,
}

/// Every key that the ledger has had, the oldest first.
pub fn announced(c: &Connection) -> Result<Vec<Announced>, StoreError> {
    let mut keys = Vec::new();
    for entry in read::entries(c, 0, Some(Kind::Key), u32::MAX)? {
        if let Some(value) = entry.value()? {
            keys.push(from_value(entry.index, entry.at, &value).map_err(StoreError::Unreadable)?);
        }
    }
    Ok(keys)
}

/// The key that an entry of kind `key` announces.
pub fn from_value(index: i64, at: Millis, value: &Map<String, Value>) -> Result<Announced, String> {
    let word = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    Ok(Announced {
        index,
        at,
        event: word("event").to_owned(),
        verifier: Verifier::parse(word("vkey"))
            .map_err(|error| format!("the key of entry {index}: {error}"))?,
    })
}

fn announce(
    c: &Connection,
    now: Millis,
    event: &str,
    key: &Verifier,
    before: Option<&Verifier>,
) -> Result<i64, StoreError> {
    let mut value = json!({"event": event, "vkey": key.to_string()});
    if let Some(before) = before {
        value["previous"] = before.to_string().into();
    }
    append(c, now, Kind::Key, &value)
}

/// The file with the signing key.
#[derive(Clone, Debug)]
pub struct KeyFile(PathBuf);

impl KeyFile {
    /// The file at `path`, which need not be there yet.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The key that is kept for after a rotation, until the rotation is on disk.
    fn next(&self) -> PathBuf {
        let mut name = self.0.clone().into_os_string();
        name.push(".next");
        name.into()
    }

    /// The key in the file; nothing if there is no file.
    pub fn read(&self) -> Result<Option<NoteKey>, Failure> {
        read_key(&self.0)
    }

    /// The key that the ledger says is in use. Finishes a rotation that was interrupted.
    pub fn read_current(&self, current: &Verifier) -> Result<NoteKey, Failure> {
        if let Some(key) = self.read()?
            && key.verifier() == current
        {
            return Ok(key);
        }
        if let Some(key) = read_key(&self.next())?
            && key.verifier() == current
        {
            fs::rename(self.next(), &self.0).map_err(|error| self.unusable(&error))?;
            return Ok(key);
        }
        Err(Failure::new(
            format!(
                "{} does not have the ledger's signing key ({current})",
                self.0.display()
            ),
            "Put the key back. Copy it from another console's folder, where several share a database. \
             Or start a new one: `countersign ledger keys rotate --lost --data DIR`.",
        ))
    }

    fn write(path: &Path, key: &NoteKey) -> std::io::Result<()> {
        // A new file each time: an old one might be readable by others.
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        writeln!(file, "{}", key.to_private_text())?;
        file.sync_all()
    }

    fn unusable(&self, error: &std::io::Error) -> Failure {
        Failure::new(
            format!(
                "the signing key {} cannot be used: {error}",
                self.0.display()
            ),
            "Give a file that this user may write, with --signing-key FILE.",
        )
    }
}

fn read_key(path: &Path) -> Result<Option<NoteKey>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => NoteKey::parse(&text).map(Some).map_err(|error| {
            Failure::plain(format!("the signing key {}: {error}", path.display()))
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::plain(format!(
            "the signing key {} cannot be read: {error}",
            path.display()
        ))),
    }
}

/// The key to sign with. A ledger that has none yet gets one, called `name` or a random name.
pub fn ensure(
    store: &Store,
    file: &KeyFile,
    now: Millis,
    name: Option<&str>,
) -> Result<NoteKey, Failure> {
    if let Some(last) = store.read_now(announced)?.pop() {
        return file.read_current(&last.verifier);
    }
    let key = match file.read()? {
        Some(key) => key,
        None => {
            let random = random_bytes::<4>().map_err(StoreError::from)?;
            let name = match name {
                Some(name) => name.to_owned(),
                None => format!("countersign-ledger-{:08x}", u32::from_be_bytes(random)),
            };
            let key = NoteKey::generate(&name).map_err(StoreError::from)?;
            KeyFile::write(&file.0, &key).map_err(|error| file.unusable(&error))?;
            key
        }
    };
    let verifier = key.verifier().clone();
    // Another console over the same database may have been first.
    let others = store.write_now(move |c| {
        let other = announced(c)?.pop();
        if other.is_none() {
            announce(c, now, "first", &verifier, None)?;
        }
        Ok(other)
    })?;
    match others {
        None => Ok(key),
        Some(last) => file.read_current(&last.verifier),
    }
}

/// Takes a new key into use and returns what verifies it. Without the old key (`lost`), nobody who
/// trusts the old one can follow by himself.
pub fn rotate(store: &Store, file: &KeyFile, now: Millis, lost: bool) -> Result<Verifier, Failure> {
    let last = store.read_now(announced)?.pop().ok_or_else(|| {
        Failure::new(
            "the ledger has no signing key yet",
            "The first `countersign serve` makes one.",
        )
    })?;
    let old = if lost {
        None
    } else {
        Some(file.read_current(&last.verifier)?)
    };
    let new = NoteKey::generate(last.verifier.name()).map_err(StoreError::from)?;
    let verifier = new.verifier().clone();
    // Kept before the ledger says so; whoever finds it there after a crash goes on with it.
    KeyFile::write(&file.next(), &new).map_err(|error| file.unusable(&error))?;
    store.write_now(move |c| {
        let event = if old.is_some() { "rotated" } else { "replaced" };
        announce(c, now, event, new.verifier(), Some(&last.verifier))?;
        let size = count(c)?;
        let root = tree::root(c, size)?;
        // The entries before may not all be sealed yet, so it says nothing of seals.
        let said = Checkpoint::new(new.verifier().name(), size as u64, root, now, None);
        let keys: Vec<&NoteKey> = old.iter().chain([&new]).collect();
        checkpoint::insert(c, size, now, &said.sign(&keys))
    })?;
    fs::rename(file.next(), &file.0).map_err(|error| file.unusable(&error))?;
    Ok(verifier)
}

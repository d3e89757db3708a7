//! The data folder: where the database lives, who may open it, and whether it is for development.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::ledger::checkpoint::CheckpointFile;
use crate::ledger::keeper::Deriving;
use crate::ledger::keys::KeyFile;
use crate::store::{Keeper, Store, StoreError, meta};

const DATABASE: &str = "countersign.db";
const LOCK: &str = "console.lock";
const KIND: &str = "kind";
const SIGNING_KEY: &str = "ledger.key";
const CHECKPOINTS: &str = "checkpoints.txt";

/// What a data folder is for. A folder is marked by the first `serve` and stays what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Real use: there is no development identity provider.
    Production,
    /// Development: anyone with the folder can make identities.
    Development,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Development => "development",
        }
    }
}

/// A data folder that exists, is private to its user and can be written.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
}

/// Held for as long as a console serves a folder; the operating system lets go of it when the
/// process ends, however it ends.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl DataFolder {
    /// Opens `path`, made if it is not there, readable by its owner only.
    pub fn open_or_make(path: &Path) -> Result<Self, Failure> {
        let unusable = |what: &str, error: std::io::Error| {
            Failure::new(
                format!("the data folder {} {what}: {error}", path.display()),
                "Choose a folder that this user may write, with --data DIR.",
            )
        };
        if !path.exists() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(|error| unusable("cannot be made", error))?;
        }
        // The lock file doubles as the proof that the folder can be written.
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path.join(LOCK))
            .map_err(|error| unusable("cannot be written", error))?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Opens a folder that a console has used before.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        if !path.join(DATABASE).exists() {
            return Err(Failure::new(
                format!("{} is not a Countersign data folder", path.display()),
                "Give the folder that `countersign serve --data DIR` uses.",
            ));
        }
        Self::open_or_make(path)
    }

    /// Takes the folder for one serving console.
    pub fn lock(&self) -> Result<FolderLock, Failure> {
        let path = self.path.join(LOCK);
        let failed = |error: std::io::Error| {
            Failure::plain(format!("{} cannot be locked: {error}", path.display()))
        };
        let mut file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(failed(error)),
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Only for the message: an unreadable file changes nothing.
                let _ = file.read_to_string(&mut holder);
                let holder = match holder.trim() {
                    "" => String::new(),
                    pid => format!(" (process {pid})"),
                };
                return Err(Failure::new(
                    format!(
                        "the data folder {} is in use by another console{holder}",
                        self.path.display()
                    ),
                    "Stop that console, or give this one a folder of its own with --data DIR.",
                ));
            }
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(failed)?;
        Ok(FolderLock { _file: file })
    }

    /// Where the folder is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database's file.
    pub fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// The file with the ledger's signing key, unless another one is named.
    pub fn signing_key(&self) -> KeyFile {
        KeyFile::at(self.path.join(SIGNING_KEY))
    }

    /// The file to which the ledger's checkpoints are appended.
    pub fn checkpoints(&self) -> CheckpointFile {
        CheckpointFile::at(self.path.join(CHECKPOINTS))
    }

    /// Opens the database, brought to this program's schema.
    pub fn store(&self) -> Result<Store, Failure> {
        self.store_with(Box::new(Deriving::default()))
    }

    /// As [`DataFolder::store`], with what else is to happen at each commit.
    pub fn store_with(&self, keeper: Box<dyn Keeper>) -> Result<Store, Failure> {
        let path = self.database();
        let store = Store::open_with(&path, keeper).map_err(|error| self.explain(error))?;
        // Bodies of prompts are in there: nobody else on the machine reads along.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(|error| {
            Failure::plain(format!(
                "{} cannot be made private: {error}",
                path.display()
            ))
        })?;
        Ok(store)
    }

    fn explain(&self, error: StoreError) -> Failure {
        match error {
            StoreError::Newer { .. } => Failure::new(
                error.to_string(),
                "Run the newer countersign, or give this one another folder with --data DIR.",
            ),
            other => Failure::new(
                format!(
                    "the database in {} cannot be used: {other}",
                    self.path.display()
                ),
                "Check the folder's owner, its free space, and that its files are whole.",
            ),
        }
    }
}

/// What the folder is marked as, if it has been served before.
pub fn kind(store: &Store) -> Result<Option<Kind>, StoreError> {
    let value = store.read_now(|connection| meta::get(connection, KIND))?;
    Ok(match value.as_deref() {
        None => None,
        Some("development") => Some(Kind::Development),
        Some(_) => Some(Kind::Production),
    })
}

/// Marks a fresh folder as `wanted`, or refuses a folder that is of the other kind.
pub fn claim_kind(store: &Store, path: &Path, wanted: Kind) -> Result<(), Failure> {
    match (kind(store)?, wanted) {
        (None, _) => {
            store.write_now(move |connection| meta::set(connection, KIND, wanted.as_str()))?;
            Ok(())
        }
        (Some(Kind::Production), Kind::Production) => Ok(()),
        (Some(Kind::Development), Kind::Development) => Ok(()),
        (Some(Kind::Development), Kind::Production) => Err(Failure::new(
            format!(
                "{} is a development data folder: anyone who had it could make identities",
                path.display()
            ),
            "Serve it with --dev, or start with a fresh folder: --data DIR.",
        )),
        (Some(Kind::Production), Kind::Development) => Err(Failure::new(
            format!("{} holds a real audit trail", path.display()),
            "Leave out --dev, or use a folder of its own for development: --data DIR.",
        )),
    }
}

//! The data folder: where the database lives, who may open it, and whether it is for development.
//!
//! Consoles that share a PostgreSQL database have a folder each, for what is a console's own: its name,
//! the signing key, which is the same for all of them, and the checkpoints it knows of.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;

use crate::failure::Failure;
use crate::ledger::checkpoint::CheckpointFile;
use crate::ledger::keeper::Deriving;
use crate::ledger::keys::KeyFile;
use crate::secret::random_id;
use crate::store::{Keeper, Place, Store, StoreError, Target, meta};

const DATABASE: &str = "countersign.db";
const LOCK: &str = "console.lock";
const KIND: &str = "kind";
const CONSOLE: &str = "console.id";
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
    /// The database, if it is not in the folder.
    shared: Option<Target>,
}

/// Held for as long as a console serves a folder; the operating system lets go of it when the
/// process ends, however it ends.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

/// Where a command finds the data.
#[derive(Args, Clone, Debug, Default)]
pub struct Where {
    /// The console's data folder
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The PostgreSQL database that consoles share, instead of the one in the folder: a URL such as
    /// postgres://USER:PASSWORD@HOST/NAME
    #[arg(long, value_name = "URL", env = DATABASE_URL, hide_env_values = true)]
    pub database: Option<DatabaseUrl>,
}

/// The environment variable for `--database`: what is on a command line, others on the machine see.
pub const DATABASE_URL: &str = "COUNTERSIGN_DATABASE";

/// A URL as it was given. It is read when it is used, so that a mistake in it is told without the
/// password.
#[derive(Clone)]
pub struct DatabaseUrl(String);

impl FromStr for DatabaseUrl {
    type Err = std::convert::Infallible;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        Ok(Self(url.to_owned()))
    }
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("DatabaseUrl")
    }
}

impl DatabaseUrl {
    fn target(&self) -> Result<Target, Failure> {
        self.0.parse().map_err(|why: String| {
            Failure::new(
                format!("the URL of the database cannot be used: {why}"),
                format!(
                    "Give postgres://USER:PASSWORD@HOST/NAME with --database or {DATABASE_URL}; \
                     ?sslmode=verify-full&sslrootcert=FILE says whom to trust."
                ),
            )
        })
    }
}

impl Where {
    /// What to call it in a message.
    pub fn named(&self) -> String {
        match (&self.database, &self.data) {
            (None, Some(data)) => data.display().to_string(),
            _ => "the database".to_owned(),
        }
    }

    /// The database, which has to be there.
    pub fn store(&self) -> Result<Store, Failure> {
        match (&self.database, &self.data) {
            (Some(url), _) => Store::open_at(
                &Place::Server(Box::new(url.target()?)),
                Box::new(Deriving::default()),
            )
            .map_err(explain_server),
            (None, Some(data)) => DataFolder::open(data)?.store(),
            (None, None) => Err(nowhere()),
        }
    }

    /// The folder, made if it is not there, with the database that goes with it.
    pub fn folder(&self) -> Result<DataFolder, Failure> {
        let mut folder = DataFolder::open_or_make(self.data.as_deref().ok_or_else(nowhere)?)?;
        if let Some(url) = &self.database {
            folder = folder.sharing(url.target()?);
        }
        Ok(folder)
    }

    /// As [`Where::folder`], of a console that was there before; nothing if only a database is named.
    pub fn known_folder(&self) -> Result<Option<DataFolder>, Failure> {
        match (&self.data, &self.database) {
            (Some(_), Some(_)) => self.folder().map(Some),
            (Some(data), None) => DataFolder::open(data).map(Some),
            (None, Some(_)) => Ok(None),
            (None, None) => Err(nowhere()),
        }
    }

    /// Where the database is.
    pub fn place(&self) -> Result<Place, Failure> {
        match (&self.database, &self.data) {
            (Some(url), _) => Ok(Place::Server(Box::new(url.target()?))),
            (None, Some(data)) => Ok(Place::File(DataFolder::open(data)?.database())),
            (None, None) => Err(nowhere()),
        }
    }
}

fn nowhere() -> Failure {
    Failure::new(
        "neither --data nor --database is given",
        "Give the folder that `countersign serve --data DIR` uses, or the database that consoles share.",
    )
}

fn explain_server(error: StoreError) -> Failure {
    match error {
        StoreError::Newer { .. } => Failure::new(
            error.to_string(),
            "Run the newer countersign: consoles that share a database are of one version.",
        ),
        StoreError::Sql(why) => Failure::new(
            format!("the database cannot be used: {why}"),
            "Check the URL, that the server runs and lets this user in, and that the database is there.",
        ),
        other => Failure::plain(format!("the database cannot be used: {other}")),
    }
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
            shared: None,
        })
    }

    /// The same, of a console that shares a database.
    pub fn sharing(mut self, target: Target) -> Self {
        self.shared = Some(target);
        self
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
        if let Some(target) = &self.shared {
            let store = Store::open_at(&Place::Server(Box::new(target.clone())), keeper)
                .map_err(explain_server)?;
            return Ok(store.named(&self.console()?));
        }
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

    /// The console's name among those that share its database; made the first time.
    fn console(&self) -> Result<String, Failure> {
        let path = self.path.join(CONSOLE);
        let failed = |error: std::io::Error| Failure::plain(format!("{}: {error}", path.display()));
        match fs::read_to_string(&path) {
            Ok(name) if !name.trim().is_empty() => return Ok(name.trim().to_owned()),
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(error));
            }
            _ => {}
        }
        let name = random_id().map_err(StoreError::from)?;
        fs::write(&path, format!("{name}\n")).map_err(failed)?;
        Ok(name)
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
pub fn claim_kind(store: &Store, place: &str, wanted: Kind) -> Result<(), Failure> {
    match (kind(store)?, wanted) {
        (None, _) => {
            store.write_now(move |connection| meta::set(connection, KIND, wanted.as_str()))?;
            Ok(())
        }
        (Some(Kind::Production), Kind::Production) => Ok(()),
        (Some(Kind::Development), Kind::Development) => Ok(()),
        (Some(Kind::Development), Kind::Production) => Err(Failure::new(
            format!(
                "{place} is a development data folder: anyone who had it could make identities"
            ),
            "Serve it with --dev, or start with a fresh folder: --data DIR.",
        )),
        (Some(Kind::Production), Kind::Development) => Err(Failure::new(
            format!("{place} holds a real audit trail"),
            "Leave out --dev, or use a folder of its own for development: --data DIR.",
        )),
    }
}

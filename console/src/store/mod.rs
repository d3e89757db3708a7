//! The database: one SQLite file, one thread that writes, readers beside it.
//!
//! A write is a closure over a connection. The writer runs every write that waits as one
//! transaction and answers each only after the commit is on disk (`synchronous=FULL`), so that many
//! writers share one `fsync`. A write that fails is undone alone. The queue is bounded: whoever can
//! be told to come back uses [`Store::try_write`].

mod schema;
mod scratch;
mod writer;

pub mod meta;
pub mod sql;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::OpenFlags;
use tokio::sync::{mpsc, oneshot};

pub(crate) use scratch::Scratch;
use sql::Connection;
pub use writer::Keeper;
use writer::{Job, Pending};

use crate::ledger::keeper;

/// How many writes may wait before [`Store::try_write`] says that the store is busy.
pub const QUEUE: usize = 1024;
/// Readers that are kept open between uses.
const IDLE_READERS: usize = 4;
/// The writer's cache: the upper pages of the indexes whose keys are hashes.
const CACHE_KIB: i64 = 64 << 10;
/// Pages in the write-ahead log (32 MiB) before they are copied to the file: with few, the same pages are
/// copied again and again under load.
const LOG_PAGES: i64 = 8_192;
/// Prepared statements that the writer keeps.
const STATEMENTS: usize = 64;
/// Another process (`countersign user add`) may hold the write lock for a moment.
const BUSY: Duration = Duration::from_secs(5);

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database's own error.
    #[error("database: {0}")]
    Sql(#[from] sql::Error),
    /// The queue of writes is full.
    #[error("the database is busy: too many writes wait")]
    Busy,
    /// The writer has ended, with the console.
    #[error("the database is closed")]
    Closed,
    /// The file was written by a newer program.
    #[error("the database has schema {found}, this countersign knows up to {known}")]
    Newer {
        /// The file's schema version.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// The file was written by an older program.
    #[error(
        "the database has schema {found}, this countersign has {known}: run `countersign serve` once"
    )]
    Older {
        /// The file's schema version.
        found: i64,
        /// The version of this program.
        known: i64,
    },
    /// A commit did not reach the disk: nothing of it counts.
    #[error("the database did not commit: {0}")]
    NotCommitted(String),
    /// A stored value does not read back as what was stored.
    #[error("the database holds something unreadable: {0}")]
    Unreadable(String),
    /// The ledger's signing key is not there.
    #[error("nothing is taken that cannot be signed: {0}")]
    NoKey(String),
    /// No random bytes for a new id.
    #[error(transparent)]
    NoRandomness(#[from] crate::secret::NoRandomness),
}

/// A handle to the database; clones share it. The last one to go ends the writer.
#[derive(Clone)]
pub struct Store {
    jobs: mpsc::Sender<Box<dyn Job>>,
    readers: Arc<Readers>,
    writer: Arc<writer::Handle>,
}

struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Store {
    /// Opens the database at `path`, makes it if need be, and brings it to the newest schema.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, Box::new(keeper::Deriving::default()))
    }

    /// As [`Store::open`], with what else is to happen at each commit.
    pub fn open_with(path: &Path, keeper: Box<dyn Keeper>) -> Result<Self, StoreError> {
        let connection = rusqlite::Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        // Each commit reaches the disk before it is answered.
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let connection = Connection::from(connection);
        schema::migrate(&connection)?;
        let (jobs, queue) = mpsc::channel(QUEUE);
        let writer = writer::start(connection, queue, keeper)?;
        Ok(Self {
            jobs,
            readers: Arc::new(Readers {
                path: path.to_owned(),
                idle: Mutex::new(Vec::new()),
            }),
            writer: Arc::new(writer),
        })
    }

    /// Runs `work` in the writer's next transaction; returns when that is on disk. Waits for a
    /// place in the queue. Work that has been queued is done even if nobody waits for its answer.
    pub async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (job, answer) = job(work);
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// As [`Store::write`], but says [`StoreError::Busy`] when the queue is full.
    pub async fn try_write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (job, answer) = job(work);
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// As [`Store::write`], for the command line: blocks, and must not be called in async code.
    pub fn write_now<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (job, answer) = job(work);
        self.jobs
            .blocking_send(job)
            .map_err(|_| StoreError::Closed)?;
        answer.blocking_recv().map_err(|_| StoreError::Closed)?
    }

    /// Runs `work` on a connection that cannot write, on a thread that may block.
    pub async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.read_now(work))
            .await
            .map_err(|_| StoreError::Closed)?
    }

    /// As [`Store::read`], for the command line: blocks.
    pub fn read_now<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let connection = self.readers.take()?;
        let result = work(&connection);
        self.readers.put_back(connection);
        result
    }

    /// How many writes wait for the writer.
    pub fn waiting_writes(&self) -> usize {
        QUEUE.saturating_sub(self.jobs.capacity())
    }

    /// Waits until everything queued is on disk and the file is closed. Blocks; the handles that
    /// are left must go first.
    pub fn close(self) {
        let Self {
            jobs,
            readers,
            writer,
        } = self;
        // The writer's connection is to be the last: a reader's cannot fold the log into the file.
        drop(readers);
        drop(jobs);
        if let Some(writer) = Arc::into_inner(writer) {
            writer.join();
        }
    }
}

impl Readers {
    fn take(&self) -> Result<Connection, StoreError> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        if let Some(connection) = idle {
            return Ok(connection);
        }
        Ok(open_to_read(&self.path)?)
    }

    fn put_back(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_READERS {
            idle.push(connection);
        }
    }
}

/// A new database at `path` with the tables of this program.
pub(crate) fn empty(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(path)?;
    schema::migrate(&connection)?;
    Ok(connection)
}

/// Opens the database at `path` to be read and by nobody changed: not even its schema is.
pub(crate) fn read_only(path: &Path) -> Result<Connection, StoreError> {
    let connection = open_to_read(path)?;
    schema::must_be_newest(&connection)?;
    Ok(connection)
}

fn open_to_read(path: &Path) -> sql::Result<Connection> {
    let connection = rusqlite::Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY)?;
    Ok(connection.into())
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error.into())
    }
}

fn job<T, F>(work: F) -> (Box<dyn Job>, oneshot::Receiver<Result<T, StoreError>>)
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
{
    let (tell, answer) = oneshot::channel();
    (Box::new(Pending::new(work, tell)), answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("t.db")).unwrap();
        (folder, store)
    }

    #[test]
    fn a_failing_write_is_undone_alone() {
        let (_folder, store) = store();
        store.write_now(|c| meta::set(c, "kept", "1")).unwrap();
        let failed: Result<(), _> = store.write_now(|c| {
            meta::set(c, "lost", "1")?;
            Err(StoreError::Unreadable("on purpose".into()))
        });
        assert!(matches!(failed, Err(StoreError::Unreadable(_))));
        let kept = store.read_now(|c| meta::get(c, "kept")).unwrap();
        let lost = store.read_now(|c| meta::get(c, "lost")).unwrap();
        assert_eq!((kept.as_deref(), lost), (Some("1"), None));
    }

    #[test]
    fn writes_survive_closing_and_opening() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let store = Store::open(&path).unwrap();
        store.write_now(|c| meta::set(c, "k", "v")).unwrap();
        store.close();
        let store = Store::open(&path).unwrap();
        let value = store.read_now(|c| meta::get(c, "k")).unwrap();
        assert_eq!(value.as_deref(), Some("v"));
    }

    #[test]
    fn readers_cannot_write() {
        let (_folder, store) = store();
        assert!(store.read_now(|c| meta::set(c, "k", "v")).is_err());
    }

    #[test]
    fn a_newer_database_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        Store::open(&path).unwrap().close();
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch("PRAGMA user_version = 1000")
            .unwrap();
        drop(connection);
        assert!(matches!(
            Store::open(&path),
            Err(StoreError::Newer { found: 1_000, .. })
        ));
    }
}

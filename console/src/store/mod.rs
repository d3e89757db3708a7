//! The database: one SQLite file, or a PostgreSQL database that several consoles share; one thread that
//! writes, readers beside it.
//!
//! A write is a closure over a connection. The writer runs every write that waits as one
//! transaction and answers each only after the commit is on disk (`synchronous=FULL`), so that many
//! writers share one `fsync`. A write that fails is undone alone. The queue is bounded: whoever can
//! be told to come back uses [`Store::try_write`].

mod postgres;
mod schema;
mod scratch;
mod writer;

pub mod meta;
pub mod sql;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::OpenFlags;
use tokio::sync::{mpsc, oneshot, watch};

use postgres::{Client, Role};
pub use postgres::{Target, Told};
pub(crate) use scratch::Scratch;
use sql::Connection;
pub use writer::Keeper;
use writer::{Job, Pending};

use crate::ledger::keeper;

/// How many writes may wait before [`Store::try_write`] says that the store is busy.
pub const QUEUE: usize = 1024;
/// Readers that are kept open between uses.
const IDLE_READERS: usize = 4;
/// Readers at one time over PostgreSQL, whose connections are counted.
const BUSY_READERS: usize = 16;
/// A reader that was idle for so long is asked whether it still has its connection.
const STALE: Duration = Duration::from_secs(1);
/// The writer's cache: the upper pages of the indexes whose keys are hashes.
const CACHE_KIB: i64 = 64 << 10;
/// A reader's: what one search looks at is looked at by the next.
const READ_CACHE_KIB: i64 = 16 << 10;
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
    /// Whether the duties of the consoles are this one's.
    leads: Arc<AtomicBool>,
    console: Arc<str>,
}

/// Where a database is.
#[derive(Clone, Debug)]
pub enum Place {
    /// A SQLite file.
    File(PathBuf),
    /// A PostgreSQL database.
    Server(Box<Target>),
}

struct Readers {
    place: Place,
    idle: Mutex<Vec<(Instant, Connection)>>,
    /// How many are in use, where that is limited.
    busy: Mutex<usize>,
    free: Condvar,
}

impl Store {
    /// Opens the database at `path`, makes it if need be, and brings it to the newest schema.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, Box::new(keeper::Deriving::default()))
    }

    /// As [`Store::open`], with what else is to happen at each commit.
    pub fn open_with(path: &Path, keeper: Box<dyn Keeper>) -> Result<Self, StoreError> {
        Self::open_at(&Place::File(path.to_owned()), keeper)
    }

    /// Opens the database at `place`, wherever that is.
    pub fn open_at(place: &Place, keeper: Box<dyn Keeper>) -> Result<Self, StoreError> {
        let connection = match place {
            Place::File(path) => open_to_write(path)?,
            Place::Server(target) => Client::connect(target, Role::Write)?.into(),
        };
        schema::migrate(&connection)?;
        let (jobs, queue) = mpsc::channel(QUEUE);
        let writer = writer::start(connection, queue, keeper)?;
        Ok(Self {
            jobs,
            readers: Arc::new(Readers {
                place: place.clone(),
                idle: Mutex::new(Vec::new()),
                busy: Mutex::new(0),
                free: Condvar::new(),
            }),
            writer: Arc::new(writer),
            leads: Arc::new(AtomicBool::new(matches!(place, Place::File(_)))),
            console: "".into(),
        })
    }

    /// As one of several consoles, with a name of its own.
    pub fn named(mut self, console: &str) -> Self {
        self.console = console.into();
        self
    }

    /// The console's name; nothing if it has its database for itself.
    pub fn console(&self) -> &str {
        &self.console
    }

    /// Whether it falls to this console to do what one of the consoles of a database has to do: send
    /// checkpoints to witnesses, the trail and notifications on, delete what is old. One that has its
    /// database for itself always has.
    pub fn leads(&self) -> bool {
        self.leads.load(Ordering::Relaxed)
    }

    /// Hears what the consoles of one database say to each other, and takes part in who has the
    /// duties; nothing if this console has its database for itself.
    pub fn attend(&self, stopping: watch::Receiver<bool>) -> Option<mpsc::UnboundedReceiver<Told>> {
        let Place::Server(target) = self.place() else {
            return None;
        };
        let (told, hear) = mpsc::unbounded_channel();
        let leads = Arc::clone(&self.leads);
        tokio::spawn(postgres::attend((**target).clone(), leads, told, stopping));
        Some(hear)
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.readers.place
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
            ..
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
        if let Place::Server(_) = self.place {
            let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
            while *busy >= BUSY_READERS {
                busy = self.free.wait(busy).unwrap_or_else(PoisonError::into_inner);
            }
            *busy += 1;
        }
        self.idle_or_new().inspect_err(|_| self.release())
    }

    fn idle_or_new(&self) -> Result<Connection, StoreError> {
        loop {
            let idle = self
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop();
            match idle {
                Some((since, connection)) if since.elapsed() < STALE || connection.is_alive() => {
                    return Ok(connection);
                }
                Some(_) => {}
                None => break,
            }
        }
        Ok(match &self.place {
            Place::File(path) => open_to_read(path)?,
            Place::Server(target) => Client::connect(target, Role::Read)?.into(),
        })
    }

    fn put_back(&self, connection: Connection) {
        if !connection.is_lost() {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < IDLE_READERS {
                idle.push((Instant::now(), connection));
            }
        }
        self.release();
    }

    fn release(&self) {
        if let Place::Server(_) = self.place {
            *self.busy.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
            self.free.notify_one();
        }
    }
}

/// A new database at `path` with the tables of this program.
pub(crate) fn empty(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(path)?;
    schema::migrate(&connection)?;
    Ok(connection)
}

/// Opens the database at `place` to be read and by nobody changed: not even its schema is.
pub fn read_only(place: &Place) -> Result<Connection, StoreError> {
    let connection = match place {
        Place::File(path) => open_to_read(path)?,
        Place::Server(target) => Client::connect(target, Role::Verify)?.into(),
    };
    schema::must_be_newest(&connection)?;
    Ok(connection)
}

fn open_to_write(path: &Path) -> sql::Result<Connection> {
    let connection = rusqlite::Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // Each commit reaches the disk before it is answered.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection.into())
}

fn open_to_read(path: &Path) -> sql::Result<Connection> {
    let connection = rusqlite::Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "cache_size", -READ_CACHE_KIB)?;
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

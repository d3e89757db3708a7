//! The one thread that writes: it takes whatever waits, runs it as one transaction, commits, and
//! only then answers. While nothing waits, the [`Keeper`] does what can be done later.

use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use super::StoreError;
use super::sql::{Connection, Engine};

/// So many writes at most share one commit; more would only delay the first of them.
const GROUP: usize = 512;
/// So long no job may have come before the keeper works, and so often is looked for one.
const QUIET: Duration = Duration::from_millis(20);
const LOOK: Duration = Duration::from_millis(1);

/// What belongs to every commit, and what can be done when nobody waits for one.
pub trait Keeper: Send {
    /// Adds to a group of writes, in its transaction. An error undoes the group.
    fn before_commit(&mut self, connection: &Connection) -> Result<(), StoreError>;
    /// The group is on disk.
    fn after_commit(&mut self);
    /// Whether there may be something to do when nobody waits.
    fn has_work(&self) -> bool;
    /// Does a part of what is to be done, in a transaction of its own, and not much of it once somebody
    /// waits; whether there is more.
    fn when_idle(
        &mut self,
        connection: &Connection,
        is_waited_for: &dyn Fn() -> bool,
    ) -> Result<bool, StoreError>;
}

/// One write, with whoever waits for it.
pub(super) trait Job: Send {
    /// Does the work; whether it succeeded.
    fn run(&mut self, connection: &Connection) -> bool;
    /// Answers, after the transaction that the work was part of has ended as `committed` says.
    fn answer(self: Box<Self>, committed: Result<(), String>);
}

pub(super) struct Pending<T, F> {
    work: Option<F>,
    result: Option<Result<T, StoreError>>,
    tell: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Pending<T, F> {
    pub(super) fn new(work: F, tell: oneshot::Sender<Result<T, StoreError>>) -> Self {
        Self {
            work: Some(work),
            result: None,
            tell,
        }
    }
}

impl<T, F> Job for Pending<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        let result = match self.work.take() {
            Some(work) => in_savepoint(connection, work),
            None => Err(StoreError::Closed),
        };
        let succeeded = result.is_ok();
        self.result = Some(result);
        succeeded
    }

    fn answer(self: Box<Self>, committed: Result<(), String>) {
        let result = match (self.result, committed) {
            (Some(Ok(_)), Err(why)) => Err(StoreError::NotCommitted(why)),
            (Some(result), _) => result,
            (None, Err(why)) => Err(StoreError::NotCommitted(why)),
            (None, Ok(())) => Err(StoreError::Closed),
        };
        // Whoever asked may have gone; the work is done all the same.
        let _ = self.tell.send(result);
    }
}

/// Undoes what `work` did if it fails, and nothing else of the transaction around it.
fn in_savepoint<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    connection.execute_batch("SAVEPOINT job")?;
    match work(connection) {
        Ok(value) => {
            connection.execute_batch("RELEASE job")?;
            Ok(value)
        }
        Err(error) => {
            connection.execute_batch("ROLLBACK TO job; RELEASE job")?;
            Err(error)
        }
    }
}

/// The writer's thread.
pub(super) struct Handle(JoinHandle<()>);

impl Handle {
    /// Waits for the thread to end, which it does when no handle can send any more.
    pub(super) fn join(self) {
        if self.0.join().is_err() {
            tracing::error!("the database writer ended badly");
        }
    }
}

pub(super) fn start(
    connection: Connection,
    mut queue: mpsc::Receiver<Box<dyn Job>>,
    mut keeper: Box<dyn Keeper>,
) -> Result<Handle, StoreError> {
    let thread = std::thread::Builder::new()
        .name("database-writer".into())
        .spawn(move || {
            while let Some(first) = next(&connection, &mut queue, keeper.as_mut()) {
                let mut group = vec![first];
                while group.len() < GROUP {
                    match queue.try_recv() {
                        Ok(job) => group.push(job),
                        Err(_) => break,
                    }
                }
                let committed = run_group(&connection, &mut group, keeper.as_mut());
                match &committed {
                    Ok(()) => keeper.after_commit(),
                    Err(error) => {
                        tracing::error!(%error, writes = group.len(), "a commit failed");
                    }
                }
                for job in group {
                    job.answer(committed.clone());
                }
            }
        })
        .map_err(|error| StoreError::Unreadable(format!("no thread for the writer: {error}")))?;
    Ok(Handle(thread))
}

/// The next job. Once none has come for a moment, the keeper works until one does.
fn next(
    connection: &Connection,
    queue: &mut mpsc::Receiver<Box<dyn Job>>,
    keeper: &mut dyn Keeper,
) -> Option<Box<dyn Job>> {
    let mut quiet = Duration::ZERO;
    loop {
        match queue.try_recv() {
            Ok(job) => return Some(job),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) if !keeper.has_work() => return queue.blocking_recv(),
            // Whoever has just been answered may have more at once.
            Err(TryRecvError::Empty) if quiet < QUIET => {
                std::thread::sleep(LOOK);
                quiet += LOOK;
                continue;
            }
            Err(TryRecvError::Empty) => {}
        }
        match idle_work(connection, keeper, &|| !queue.is_empty()) {
            Ok(true) => {}
            Ok(false) => return queue.blocking_recv(),
            Err(error) => {
                tracing::error!(%error, "the database could not be tidied");
                return queue.blocking_recv();
            }
        }
    }
}

fn idle_work(
    connection: &Connection,
    keeper: &mut dyn Keeper,
    is_waited_for: &dyn Fn() -> bool,
) -> Result<bool, StoreError> {
    // What can be done again need not reach the disk by itself; the next group's commit takes it along.
    let lazily = |on: bool| match (connection.engine(), on) {
        (Engine::Sqlite, true) => connection.execute_batch("PRAGMA synchronous = normal"),
        (Engine::Sqlite, false) => connection.execute_batch("PRAGMA synchronous = full"),
        (Engine::Postgres, _) => Ok(()),
    };
    lazily(true)?;
    let done = (|| {
        let transaction = connection.begin()?;
        if connection.engine() == Engine::Postgres {
            transaction.execute_batch("SET LOCAL synchronous_commit = off")?;
        }
        let more = keeper.when_idle(&transaction, is_waited_for)?;
        transaction.commit()?;
        Ok(more)
    })();
    lazily(false)?;
    done
}

fn run_group(
    connection: &Connection,
    group: &mut [Box<dyn Job>],
    keeper: &mut dyn Keeper,
) -> Result<(), String> {
    let transaction = connection.begin().map_err(|error| error.to_string())?;
    let mut any = false;
    for job in group.iter_mut() {
        any |= job.run(&transaction);
    }
    if !any {
        return transaction.rollback().map_err(|error| error.to_string());
    }
    keeper
        .before_commit(&transaction)
        .map_err(|error| error.to_string())?;
    transaction.commit().map_err(|error| error.to_string())
}

//! The one thread that writes: it takes whatever waits, runs it as one transaction, commits, and
//! only then answers.

use std::thread::JoinHandle;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::StoreError;

/// So many writes at most share one commit; more would only delay the first of them.
const GROUP: usize = 512;

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
    mut connection: Connection,
    mut queue: mpsc::Receiver<Box<dyn Job>>,
) -> Result<Handle, StoreError> {
    let thread = std::thread::Builder::new()
        .name("database-writer".into())
        .spawn(move || {
            while let Some(first) = queue.blocking_recv() {
                let mut group = vec![first];
                while group.len() < GROUP {
                    match queue.try_recv() {
                        Ok(job) => group.push(job),
                        Err(_) => break,
                    }
                }
                let committed = run_group(&mut connection, &mut group);
                if let Err(error) = &committed {
                    tracing::error!(%error, writes = group.len(), "a commit failed");
                }
                for job in group {
                    job.answer(committed.clone());
                }
            }
        })
        .map_err(|error| StoreError::Unreadable(format!("no thread for the writer: {error}")))?;
    Ok(Handle(thread))
}

fn run_group(connection: &mut Connection, group: &mut [Box<dyn Job>]) -> Result<(), String> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(|error| error.to_string())?;
    let mut any = false;
    for job in group.iter_mut() {
        any |= job.run(&transaction);
    }
    if any {
        transaction.commit().map_err(|error| error.to_string())
    } else {
        transaction.rollback().map_err(|error| error.to_string())
    }
}

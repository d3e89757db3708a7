//! SQL as the console speaks it: one type over the engine behind it, with the names that rusqlite
//! has for the same things.
//!
//! Statements are written once, with `?1`, in the SQL that both engines read. What only one of them
//! has stands in few places, each behind [`Connection::engine`].

mod rows;
mod value;

use std::path::Path;

pub use rows::{MappedRows, Row, RowIndex, Rows};
pub use value::{FromSql, Params, ToSql, Value, ValueRef};

pub use crate::store_params as params;

/// Why a statement was not run, or its answer not read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite's own error.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// One row was asked for, and there is none.
    #[error("there is no such row")]
    NoRows,
    /// A value is not what it should be.
    #[error("{0}")]
    Unreadable(String),
}

/// What SQL gives.
pub type Result<T> = std::result::Result<T, Error>;

/// Which engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A file of this machine.
    Sqlite,
}

/// A connection to the database.
pub struct Connection(Inner);

enum Inner {
    Sqlite(rusqlite::Connection),
}

impl Connection {
    /// Opens the SQLite database at `path`, as it is.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Ok(rusqlite::Connection::open(path)?.into())
    }

    /// Which engine is behind it.
    pub fn engine(&self) -> Engine {
        match &self.0 {
            Inner::Sqlite(_) => Engine::Sqlite,
        }
    }

    /// SQLite's own connection, if it is one.
    pub fn sqlite(&self) -> Option<&rusqlite::Connection> {
        match &self.0 {
            Inner::Sqlite(c) => Some(c),
        }
    }

    /// Prepares a statement that will be used again.
    pub fn prepare_cached(&self, sql: &str) -> Result<Statement<'_>> {
        Ok(Statement(match &self.0 {
            Inner::Sqlite(c) => Prepared::Kept(c.prepare_cached(sql)?),
        }))
    }

    /// Prepares a statement for once.
    pub fn prepare(&self, sql: &str) -> Result<Statement<'_>> {
        Ok(Statement(match &self.0 {
            Inner::Sqlite(c) => Prepared::Once(c.prepare(sql)?),
        }))
    }

    /// Runs a statement once; how many rows it changed.
    pub fn execute(&self, sql: &str, params: impl Params) -> Result<usize> {
        self.prepare(sql)?.execute(params)
    }

    /// Runs a statement once and reads its first row.
    pub fn query_row<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<T> {
        self.prepare(sql)?.query_row(params, read)
    }

    /// Runs statements without values, one after the other.
    pub fn execute_batch(&self, sql: &str) -> Result<()> {
        match &self.0 {
            Inner::Sqlite(c) => Ok(c.execute_batch(sql)?),
        }
    }

    /// Begins to look at one state of the database, until what is returned goes.
    pub fn snapshot(&self) -> Result<Snapshot<'_>> {
        self.execute_batch("BEGIN")?;
        Ok(Snapshot(self))
    }

    /// Begins a transaction that writes.
    pub(super) fn begin(&self) -> Result<Transaction<'_>> {
        self.execute_batch("BEGIN IMMEDIATE")?;
        Ok(Transaction {
            connection: self,
            ended: false,
        })
    }

    /// How many bytes the database takes.
    pub fn size(&self) -> Result<i64> {
        self.query_row(
            "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
            [],
            |row| row.get(0),
        )
    }
}

impl From<rusqlite::Connection> for Connection {
    fn from(connection: rusqlite::Connection) -> Self {
        Self(Inner::Sqlite(connection))
    }
}

/// One state of the database, whoever writes meanwhile.
pub struct Snapshot<'a>(&'a Connection);

impl std::ops::Deref for Snapshot<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.0
    }
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        // A connection that cannot even do this is given up by whoever uses it next.
        let _ = self.0.execute_batch("ROLLBACK");
    }
}

/// A transaction that writes; undone unless it is committed.
pub(super) struct Transaction<'a> {
    connection: &'a Connection,
    ended: bool,
}

impl Transaction<'_> {
    pub fn commit(mut self) -> Result<()> {
        self.connection.execute_batch("COMMIT")?;
        self.ended = true;
        Ok(())
    }

    pub fn rollback(mut self) -> Result<()> {
        self.ended = true;
        self.connection.execute_batch("ROLLBACK")
    }
}

impl std::ops::Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.ended {
            // As for a snapshot.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }
}

/// A statement, ready to be run.
pub struct Statement<'a>(Prepared<'a>);

enum Prepared<'a> {
    Kept(rusqlite::CachedStatement<'a>),
    Once(rusqlite::Statement<'a>),
}

impl<'a> Prepared<'a> {
    fn sqlite(&mut self) -> &mut rusqlite::Statement<'a> {
        match self {
            Self::Kept(statement) => statement,
            Self::Once(statement) => statement,
        }
    }
}

impl Statement<'_> {
    /// Runs it; how many rows it changed.
    pub fn execute(&mut self, params: impl Params) -> Result<usize> {
        params.with(|values| {
            let values = rusqlite::params_from_iter(values);
            Ok(self.0.sqlite().execute(values)?)
        })
    }

    /// Runs it and reads its first row.
    pub fn query_row<T>(
        &mut self,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut rows = self.query(params)?;
        let row = rows.next()?.ok_or(Error::NoRows)?;
        read(&row)
    }

    /// Runs it and reads each of its rows.
    pub fn query_map<T, F>(&mut self, params: impl Params, read: F) -> Result<MappedRows<'_, F>>
    where
        F: FnMut(&Row<'_>) -> Result<T>,
    {
        Ok(MappedRows::new(self.query(params)?, read))
    }

    /// Runs it; its rows are read one by one.
    pub fn query(&mut self, params: impl Params) -> Result<Rows<'_>> {
        params.with(|values| {
            let values = rusqlite::params_from_iter(values);
            Ok(Rows::sqlite(self.0.sqlite().query(values)?))
        })
    }
}

/// Telling that there is no row from what went wrong.
pub trait OptionalExtension<T> {
    /// Nothing, if there is no row.
    fn optional(self) -> Result<Option<T>>;
}

impl<T> OptionalExtension<T> for Result<T> {
    fn optional(self) -> Result<Option<T>> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(Error::NoRows) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::{ToSqlOutput, ValueRef};
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

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

use super::postgres::{CHANNEL, Client};

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
    /// PostgreSQL's own error.
    #[error("{0}")]
    Refused(String),
    /// There is no connection to PostgreSQL, or it was lost on the way.
    #[error("it cannot be reached: {0}")]
    Lost(String),
}

/// What SQL gives.
pub type Result<T> = std::result::Result<T, Error>;

/// Which engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A file of this machine.
    Sqlite,
    /// A server that several consoles share.
    Postgres,
}

/// A connection to the database.
pub struct Connection(Inner);

enum Inner {
    Sqlite(rusqlite::Connection),
    Postgres(Box<Client>),
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
            Inner::Postgres(_) => Engine::Postgres,
        }
    }

    /// SQLite's own connection, if it is one.
    pub fn sqlite(&self) -> Option<&rusqlite::Connection> {
        match &self.0 {
            Inner::Sqlite(c) => Some(c),
            Inner::Postgres(_) => None,
        }
    }

    /// PostgreSQL's, if it is one.
    pub(super) fn postgres(&self) -> Option<&Client> {
        match &self.0 {
            Inner::Sqlite(_) => None,
            Inner::Postgres(client) => Some(client),
        }
    }

    /// Whether it is known to have lost its server.
    pub(super) fn is_lost(&self) -> bool {
        self.postgres().is_some_and(Client::is_lost)
    }

    /// Whether it still reaches its server.
    pub(super) fn is_alive(&self) -> bool {
        self.postgres().is_none_or(Client::is_alive)
    }

    /// Prepares a statement that will be used again.
    pub fn prepare_cached(&self, sql: &str) -> Result<Statement<'_>> {
        Ok(Statement(match &self.0 {
            Inner::Sqlite(c) => Prepared::Kept(c.prepare_cached(sql)?),
            Inner::Postgres(client) => Prepared::Postgres(client, sql.to_owned()),
        }))
    }

    /// Prepares a statement for once.
    pub fn prepare(&self, sql: &str) -> Result<Statement<'_>> {
        Ok(Statement(match &self.0 {
            Inner::Sqlite(c) => Prepared::Once(c.prepare(sql)?),
            Inner::Postgres(client) => Prepared::Postgres(client, sql.to_owned()),
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
            Inner::Postgres(client) => client.batch(sql),
        }
    }

    /// Runs a query whose answer may be too long to be held, and gives each row to `each` until that
    /// has enough. To be called in a transaction or snapshot; its values are whole numbers.
    pub fn scan<E: From<Error>>(
        &self,
        sql: &str,
        values: &[i64],
        mut each: impl FnMut(&Row<'_>) -> std::result::Result<bool, E>,
    ) -> std::result::Result<(), E> {
        let Inner::Postgres(client) = &self.0 else {
            let mut statement = self.prepare(sql)?;
            let values: Vec<&dyn ToSql> = values.iter().map(|value| value as _).collect();
            let mut rows = statement.query(values.as_slice())?;
            while let Some(row) = rows.next()? {
                if !each(&row)? {
                    break;
                }
            }
            return Ok(());
        };
        // A cursor takes no values.
        let mut sql = sql.to_owned();
        for (place, value) in values.iter().enumerate().rev() {
            sql = sql.replace(&format!("?{}", place + 1), &format!("({value})"));
        }
        let mut wrong = None;
        client.scan(&sql, |rows| {
            for row in rows {
                match each(&Row::postgres(row)) {
                    Ok(true) => {}
                    Ok(false) => return Ok(false),
                    Err(error) => {
                        wrong = Some(error);
                        return Ok(false);
                    }
                }
            }
            Ok(true)
        })?;
        wrong.map_or(Ok(()), Err)
    }

    /// Begins to look at one state of the database, until what is returned goes.
    pub fn snapshot(&self) -> Result<Snapshot<'_>> {
        self.execute_batch(match self.engine() {
            Engine::Sqlite => "BEGIN",
            Engine::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ",
        })?;
        Ok(Snapshot(self))
    }

    /// Begins a transaction that writes.
    pub(super) fn begin(&self) -> Result<Transaction<'_>> {
        match &self.0 {
            Inner::Sqlite(c) => c.execute_batch("BEGIN IMMEDIATE")?,
            Inner::Postgres(client) => client.begin()?,
        }
        Ok(Transaction {
            connection: self,
            ended: false,
        })
    }

    /// Prepares every statement anew: tables have come to stand before others.
    pub fn forget_statements(&self) {
        match &self.0 {
            Inner::Sqlite(c) => c.flush_prepared_statement_cache(),
            Inner::Postgres(client) => client.forget_statements(),
        }
    }

    /// Says a word to every console of the database, this one included, once the transaction is
    /// committed. A console that is alone has nobody to say it to.
    pub fn tell(&self, word: &str) -> Result<()> {
        if self.engine() == Engine::Postgres {
            self.prepare_cached("SELECT pg_notify(?1, ?2)")?
                .query_row([CHANNEL, word], |_| Ok(()))?;
        }
        Ok(())
    }

    /// How many bytes the database takes.
    pub fn size(&self) -> Result<i64> {
        let sql = match self.engine() {
            Engine::Sqlite => {
                "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
            }
            Engine::Postgres => "SELECT pg_database_size(current_database())",
        };
        self.query_row(sql, [], |row| row.get(0))
    }
}

impl From<Client> for Connection {
    fn from(client: Client) -> Self {
        Self(Inner::Postgres(Box::new(client)))
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
    /// Commits; returns when that is on disk.
    pub fn commit(mut self) -> Result<()> {
        match &self.connection.0 {
            Inner::Sqlite(c) => c.execute_batch("COMMIT")?,
            Inner::Postgres(client) => {
                // Whatever became of it, nothing is left to be undone.
                self.ended = true;
                client.commit()?;
            }
        }
        self.ended = true;
        Ok(())
    }

    /// Undoes it.
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
    /// Prepared when it is run, and kept with the connection.
    Postgres(&'a Client, String),
}

impl Statement<'_> {
    /// Runs it; how many rows it changed.
    pub fn execute(&mut self, params: impl Params) -> Result<usize> {
        params.with(|values| {
            let sqlite = rusqlite::params_from_iter(values);
            match &mut self.0 {
                Prepared::Kept(statement) => Ok(statement.execute(sqlite)?),
                Prepared::Once(statement) => Ok(statement.execute(sqlite)?),
                Prepared::Postgres(client, sql) => {
                    let changed = client.execute(sql, values)?;
                    Ok(usize::try_from(changed).unwrap_or(usize::MAX))
                }
            }
        })
    }

    /// Runs an insertion, `INSERT … VALUES (…)` with every value once, for many rows of values that are
    /// not in each other's way; how many rows that changed.
    pub fn insert_many(&mut self, rows: &[Vec<Value<'_>>]) -> Result<usize> {
        if let Prepared::Postgres(client, sql) = &self.0 {
            let changed = client.insert_many(sql, rows)?;
            return Ok(usize::try_from(changed).unwrap_or(usize::MAX));
        }
        let mut changed = 0;
        for values in rows {
            changed += self.execute(values.as_slice())?;
        }
        Ok(changed)
    }

    /// Runs it for each of many rows of values, one after the other, and reads the first row of each
    /// answer that has one. Of a server not every answer is waited for before the next is asked.
    pub fn first_rows<T>(
        &mut self,
        rows: &[Vec<Value<'_>>],
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<Option<T>>> {
        if let Prepared::Postgres(client, sql) = &self.0 {
            let answers = client.query_many(sql, rows)?.into_iter();
            let first = answers.map(|answer| answer.into_iter().next());
            return first
                .map(|row| row.map(|row| read(&Row::postgres(row))).transpose())
                .collect();
        }
        let mut found = Vec::with_capacity(rows.len());
        for values in rows {
            let mut answer = self.query(values.as_slice())?;
            found.push(answer.next()?.map(|row| read(&row)).transpose()?);
        }
        Ok(found)
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
            let sqlite = rusqlite::params_from_iter(values);
            Ok(match &mut self.0 {
                Prepared::Kept(statement) => Rows::sqlite(statement.query(sqlite)?),
                Prepared::Once(statement) => Rows::sqlite(statement.query(sqlite)?),
                Prepared::Postgres(client, sql) => Rows::postgres(client.query(sql, values)?),
            })
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

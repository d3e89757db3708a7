//! One connection to PostgreSQL, for code that blocks.
//!
//! It drives its socket only while something is asked, on the thread that asks: no other thread has
//! to be woken for an answer. A connection that was lost is made anew at the next transaction, and not
//! more often than its back-off allows; until then everything fails at once, in words.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use futures_util::future::join_all;
use rustls::CertificateError;
use tokio::runtime::Runtime;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Row, SimpleQueryMessage, Statement};

use super::target::Target;
use super::tls::Tls;
use crate::store::sql::{Error, Result, Value};

/// The pauses between attempts to reach the database: the first and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Prepared statements of one connection; more than the console has.
const STATEMENTS: usize = 400;
/// Statements that are sent before the first answer is waited for.
const AHEAD: usize = 256;
/// Rows that one insertion has.
const TOGETHER: usize = 1_000;
/// Rows that a scan fetches at once.
const FETCH: usize = 500;
/// The oldest server that has all that is used.
const OLDEST: i64 = 130_000;
/// How long is tried to find out what became of a commit whose answer was lost.
const DOUBT: Duration = Duration::from_secs(10);

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reads only.
    Read,
    /// Appends, as the one writer of its moment.
    Write,
    /// Makes tables of its own for a while, and changes nothing.
    Verify,
}

/// A connection, made when it is needed.
pub struct Client {
    target: Target,
    role: Role,
    live: RefCell<Option<Live>>,
    /// Not tried again before, and how long the pause after that is.
    next: Cell<(Instant, Duration)>,
    trouble: RefCell<String>,
}

struct Live {
    /// Taken when this goes: a runtime may not simply be dropped where code is async.
    runtime: Option<Runtime>,
    client: tokio_postgres::Client,
    statements: RefCell<HashMap<Box<str>, Statement>>,
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Client {
    /// Connects.
    pub fn connect(target: &Target, role: Role) -> Result<Self> {
        let client = Self {
            target: target.clone(),
            role,
            live: RefCell::new(None),
            next: Cell::new((Instant::now(), PAUSE.0)),
            trouble: RefCell::new(String::new()),
        };
        client.revive()?;
        Ok(client)
    }

    /// Makes sure that there is a connection, as far as is known.
    pub fn revive(&self) -> Result<()> {
        if self.live.borrow().is_some() {
            return Ok(());
        }
        let (earliest, pause) = self.next.get();
        if Instant::now() < earliest {
            return Err(Error::Lost(self.trouble.borrow().clone()));
        }
        match Live::connect(&self.target, self.role) {
            Ok(live) => {
                self.next.set((Instant::now(), PAUSE.0));
                *self.live.borrow_mut() = Some(live);
                Ok(())
            }
            Err(error) => {
                self.next
                    .set((Instant::now() + pause, (pause * 2).min(PAUSE.1)));
                if let Error::Lost(why) | Error::Refused(why) = &error {
                    self.trouble.borrow_mut().clone_from(why);
                }
                Err(error)
            }
        }
    }

    /// Whether the connection is known to be lost.
    pub fn is_lost(&self) -> bool {
        self.live.borrow().is_none()
    }

    /// Asks whether anybody is there.
    pub fn is_alive(&self) -> bool {
        self.batch("").is_ok()
    }

    /// Runs statements without values.
    pub fn batch(&self, sql: &str) -> Result<()> {
        self.with(|live| live.run(live.client.batch_execute(sql)))
    }

    /// Runs a statement; how many rows it changed.
    pub fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64> {
        self.with(|live| {
            let statement = live.prepare(sql)?;
            live.run(live.client.execute_raw(&statement, values))
        })
    }

    /// Runs an insertion for many rows of values, a few hundred in one statement; how many rows were
    /// changed. No two of them may be in each other's way.
    pub fn insert_many(&self, sql: &str, rows: &[Vec<Value<'_>>]) -> Result<u64> {
        let Some(first) = rows.first() else {
            return Ok(0);
        };
        self.with(|live| {
            let one = live.prepare(sql)?;
            let many = live.prepare(&unnested(sql, one.params()))?;
            let mut changed = 0;
            for part in rows.chunks(TOGETHER) {
                let columns = (0..first.len()).map(|place| -> Vec<Value<'_>> {
                    let values = part.iter().map(|row| row.get(place).copied());
                    values.map(|value| value.unwrap_or(Value::Null)).collect()
                });
                changed += live.run(live.client.execute_raw(&many, columns))?;
            }
            Ok(changed)
        })
    }

    /// Runs a query for each of many rows of values, without waiting for one to end before the next is
    /// sent.
    pub fn query_many(&self, sql: &str, rows: &[Vec<Value<'_>>]) -> Result<Vec<Vec<Row>>> {
        self.with(|live| {
            let statement = live.prepare(sql)?;
            let mut found = Vec::with_capacity(rows.len());
            for part in rows.chunks(AHEAD) {
                let asked = part.iter().map(async |values| {
                    let answer = live.client.query_raw(&statement, values).await?;
                    answer.try_collect::<Vec<Row>>().await
                });
                for answer in live.run(async { Ok(join_all(asked).await) })? {
                    found.push(answer?);
                }
            }
            Ok(found)
        })
    }

    /// Runs a query.
    pub fn query(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>> {
        self.with(|live| {
            let statement = live.prepare(sql)?;
            let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
            live.run(live.client.query(&statement, &values))
        })
    }

    /// Runs a query whose answer is too long to be held, part by part. To be called in a transaction.
    pub fn scan(&self, sql: &str, mut part: impl FnMut(Vec<Row>) -> Result<bool>) -> Result<()> {
        self.batch(&format!("DECLARE scan NO SCROLL CURSOR FOR {sql}"))?;
        let fetch =
            self.with(|live| live.run(live.client.prepare(&format!("FETCH {FETCH} FROM scan"))))?;
        loop {
            let rows = self.with(|live| live.run(live.client.query(&fetch, &[])))?;
            let last = rows.len() < FETCH;
            if !part(rows)? || last {
                return self.batch("CLOSE scan");
            }
        }
    }

    /// Begins the transaction of the one writer: others wait until it has ended.
    pub fn begin(&self) -> Result<()> {
        self.revive()?;
        self.batch(&format!("BEGIN; SELECT pg_advisory_xact_lock({WRITER})"))
            .inspect_err(|_| self.undo())
    }

    /// Commits. When the answer is lost on the way, the server is asked what became of it.
    pub fn commit(&self) -> Result<()> {
        // Of a transaction in which something failed, COMMIT would say that it has ended well.
        let number = self
            .simple("SELECT pg_current_xact_id_if_assigned()::text")
            .inspect_err(|_| self.undo())?;
        match (self.batch("COMMIT"), number) {
            (Err(Error::Lost(why)), Some(number)) => self.outcome(&number, &why),
            (ended, _) => ended,
        }
    }

    /// Drops what was prepared.
    pub fn forget_statements(&self) {
        if let Some(live) = &*self.live.borrow() {
            live.statements.borrow_mut().clear();
        }
    }

    fn undo(&self) {
        // A connection that cannot even do this is lost, and with it the transaction.
        let _ = self.batch("ROLLBACK");
    }

    fn outcome(&self, number: &str, why: &str) -> Result<()> {
        tracing::warn!(%why, "the answer to a commit was lost: asking what became of it");
        let sql = format!("SELECT pg_xact_status('{number}'::xid8)");
        let begun = Instant::now();
        while begun.elapsed() < DOUBT {
            let status = self.revive().and_then(|()| self.simple(&sql));
            match status.as_ref().map(Option::as_deref) {
                Ok(Some("committed")) => return Ok(()),
                Ok(Some("aborted")) => return Err(Error::Lost(why.to_owned())),
                // Not ended yet, or not reached yet.
                _ => std::thread::sleep(PAUSE.0),
            }
        }
        Err(Error::Lost(format!(
            "{why}; whether the commit reached the disk is not known"
        )))
    }

    /// The first value of a query without values.
    pub fn simple(&self, sql: &str) -> Result<Option<String>> {
        let messages = self.with(|live| live.run(live.client.simple_query(sql)))?;
        Ok(messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        }))
    }

    fn with<T>(&self, work: impl FnOnce(&Live) -> Result<T>) -> Result<T> {
        let done = match &*self.live.borrow() {
            Some(live) => work(live),
            None => Err(Error::Lost("the connection was lost".to_owned())),
        };
        if let Err(Error::Lost(why)) = &done {
            tracing::warn!(database = %self.target, %why, "the connection to the database was lost");
            *self.live.borrow_mut() = None;
        }
        done
    }
}

/// The lock of the one writer. Of the schema, so that two ledgers in one database do not wait for
/// each other.
pub const WRITER: &str = "hashtextextended('countersign writer ' || current_schema(), 0)";

impl Live {
    fn connect(target: &Target, role: Role) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::Refused(format!("the connection cannot be driven: {error}")))?;
        let tls = Tls::new(&target.trust).map_err(Error::Refused)?;
        let connected = runtime.block_on(target.config.connect(tls));
        let (client, connection) = connected.map_err(|error| match error.as_db_error() {
            None => Error::Lost(format!("{target}: {}", in_words(&error))),
            Some(_) => Error::Refused(format!("{target}: {}", in_words(&error))),
        })?;
        // What goes wrong is told to whoever asks next.
        runtime.spawn(async { drop(connection.await) });
        let live = Self {
            runtime: Some(runtime),
            client,
            statements: RefCell::default(),
        };
        live.run(live.client.batch_execute(settings(role)))?;
        live.look(target)?;
        Ok(live)
    }

    /// Refuses a server that cannot keep what it is given.
    fn look(&self, target: &Target) -> Result<()> {
        let rows = self.run(self.client.simple_query(
            "SELECT current_setting('server_version_num'), current_setting('server_encoding'),
                    coalesce(current_schema(), '')",
        ))?;
        let row = rows.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let value = |column: usize| row.and_then(|row| row.get(column)).unwrap_or_default();
        let refused = |why: String| Err(Error::Refused(format!("{target}: {why}")));
        if value(0).parse::<i64>().unwrap_or(0) < OLDEST {
            return refused(format!(
                "the server's version is {}; PostgreSQL 13 or later is needed",
                value(0)
            ));
        }
        if value(1) != "UTF8" {
            return refused(format!(
                "the database's encoding is {}; make one with UTF8",
                value(1)
            ));
        }
        if value(2).is_empty() {
            return refused("search_path names no schema that is there".to_owned());
        }
        Ok(())
    }

    fn run<T>(
        &self,
        work: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
    ) -> Result<T> {
        match &self.runtime {
            Some(runtime) => Ok(runtime.block_on(work)?),
            None => Err(Error::Lost("the connection was closed".to_owned())),
        }
    }

    fn prepare(&self, sql: &str) -> Result<Statement> {
        if let Some(known) = self.statements.borrow().get(sql) {
            return Ok(known.clone());
        }
        let statement = self.run(self.client.prepare(&translated(sql)))?;
        let mut statements = self.statements.borrow_mut();
        if statements.len() >= STATEMENTS {
            statements.clear();
        }
        statements.insert(sql.into(), statement.clone());
        Ok(statement)
    }
}

fn settings(role: Role) -> &'static str {
    match role {
        Role::Read => "SET client_min_messages = warning; SET default_transaction_read_only = on",
        Role::Verify => "SET client_min_messages = warning",
        // What is acknowledged is on disk. A writer that was cut off in the middle does not hold the
        // others up for long.
        Role::Write => {
            "SET client_min_messages = warning;
             SELECT set_config('synchronous_commit', 'on', false)
               WHERE current_setting('synchronous_commit') IN ('off', 'local');
             SET idle_in_transaction_session_timeout = '30s';
             SET lock_timeout = '30s'"
        }
    }
}

/// A statement as PostgreSQL writes it: `$1` for `?1`, and what is to be done where a row is there
/// already behind the row.
fn translated(sql: &str) -> String {
    let sql = sql.replace('?', "$");
    match sql.contains("INSERT OR IGNORE INTO") {
        true => format!(
            "{} ON CONFLICT DO NOTHING",
            sql.replace("INSERT OR IGNORE INTO", "INSERT INTO")
        ),
        false => sql,
    }
}

/// An insertion of one row as one of many: its values come as arrays, one for each column.
fn unnested(sql: &str, kinds: &[Type]) -> String {
    let Some((head, rest)) = sql.split_once("VALUES (") else {
        return sql.to_owned();
    };
    let mut depth = 1;
    let end = rest.find(|letter| {
        depth += match letter {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        depth == 0
    });
    let (values, tail) = rest.split_at(end.unwrap_or(rest.len()));
    let each = |form: &dyn Fn(usize, &Type) -> String| -> String {
        let all = kinds.iter().enumerate();
        let all: Vec<String> = all.map(|(place, kind)| form(place + 1, kind)).collect();
        all.join(", ")
    };
    let arrays = each(&|place, kind| format!("${place}::{}[]", kind.name()));
    let names = each(&|place, _| format!("v{place}"));
    let values = values.replace('?', "given.v");
    let tail = tail.strip_prefix(')').unwrap_or_default();
    format!("{head}SELECT {values} FROM unnest({arrays}) AS given ({names}){tail}")
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        let words = in_words(&error);
        let gone = match error.code() {
            Some(code) => {
                [
                    SqlState::ADMIN_SHUTDOWN,
                    SqlState::CRASH_SHUTDOWN,
                    SqlState::CANNOT_CONNECT_NOW,
                    SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                ]
                .contains(code)
                    || code.code().starts_with("08")
            }
            None => error.is_closed() || is_io(&error),
        };
        match gone {
            true => Self::Lost(words),
            false => Self::Refused(words),
        }
    }
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    use std::error::Error;
    error
        .source()
        .is_some_and(|source| source.is::<std::io::Error>())
}

/// What the server said, or else what happened on the way to it.
pub fn in_words(error: &tokio_postgres::Error) -> String {
    use std::error::Error;
    if let Some(said) = error.as_db_error() {
        let remedy = match *said.code() {
            SqlState::INSUFFICIENT_PRIVILEGE => {
                "; the user needs a schema of its own: GRANT CREATE, USAGE ON SCHEMA … TO …"
            }
            SqlState::INVALID_CATALOG_NAME => "; make it with createdb",
            _ => "",
        };
        return format!("{}{remedy} ({})", said.message(), said.code().code());
    }
    if let Some(why) = distrust(error) {
        return why.to_owned();
    }
    match error.source() {
        Some(why) => format!("{error}: {why}"),
        None => error.to_string(),
    }
}

/// What is wrong with the server's certificate, if that is what it is.
fn distrust(error: &tokio_postgres::Error) -> Option<&'static str> {
    use std::error::Error;
    let failed = error.source()?.downcast_ref::<std::io::Error>()?;
    let Some(rustls::Error::InvalidCertificate(why)) = failed.get_ref()?.downcast_ref() else {
        return None;
    };
    Some(match why {
        CertificateError::UnknownIssuer => {
            "its certificate is of an authority that is not trusted; name the right one with \
             sslrootcert=FILE in the URL"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is not for the name in the URL; use the name that it is for, or \
             sslmode=verify-ca to trust every server of the authority"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_insertion_takes_arrays() {
        let sql =
            "INSERT INTO t (a, b) VALUES (?1, CAST(?2 AS TSVECTOR)) ON CONFLICT (a) DO NOTHING";
        assert_eq!(
            unnested(sql, &[Type::INT8, Type::TEXT]),
            "INSERT INTO t (a, b) SELECT given.v1, CAST(given.v2 AS TSVECTOR) \
             FROM unnest($1::int8[], $2::text[]) AS given (v1, v2) ON CONFLICT (a) DO NOTHING"
        );
    }
}

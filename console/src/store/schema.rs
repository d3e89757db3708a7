//! The tables, as a list of steps. A step that has been released is never edited: add another.

use std::cmp::Ordering;

use super::postgres;
use super::sql::{Connection, Engine};
use super::{StoreError, meta};
use crate::approvals::limited;
use crate::exchanges;
use crate::ledger;
use crate::people;
use crate::policy::history;

/// Where PostgreSQL keeps what SQLite has as `user_version`.
const VERSION: &str = "schema";

/// Step n brings `user_version` from n to n + 1.
const STEPS: &[Step] = &[
    Step::Sql(FIRST),
    Step::SqlThen(LEDGER, ledger::migrate::from_version_1_tables),
    Step::Sql(SEARCH),
    Step::Sql(exchanges::index::SCHEMA),
    Step::Sql(exchanges::saved::SCHEMA),
    Step::Sql(people::SCHEMA),
    Step::Sql(limited::SCHEMA),
    Step::SqlThen(history::SCHEMA, ledger::derive::reset),
];

/// What is derived from the entries is not brought over: a step that changes it resets it, and it is
/// made anew in the background.
enum Step {
    Sql(&'static str),
    /// For what SQL cannot say.
    SqlThen(&'static str, fn(&Connection) -> Result<(), StoreError>),
}

/// Brings the database to the newest schema, all steps in one transaction.
pub(super) fn migrate(connection: &Connection) -> Result<(), StoreError> {
    migrate_to(connection, STEPS.len())
}

/// Refuses a database that is not of this program's schema.
pub(super) fn must_be_newest(connection: &Connection) -> Result<(), StoreError> {
    let found = version(connection)?;
    let known = STEPS.len() as i64;
    match found.cmp(&known) {
        Ordering::Equal => Ok(()),
        Ordering::Less => Err(StoreError::Older { found, known }),
        Ordering::Greater => Err(StoreError::Newer { found, known }),
    }
}

fn version(connection: &Connection) -> Result<i64, StoreError> {
    if connection.engine() == Engine::Sqlite {
        return Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?);
    }
    let there: bool = connection.query_row(
        "SELECT to_regclass(quote_ident(current_schema()) || '.meta') IS NOT NULL",
        [],
        |row| row.get(0),
    )?;
    if !there {
        return Ok(0);
    }
    let text = meta::get(connection, VERSION)?.unwrap_or_default();
    text.parse()
        .map_err(|_| StoreError::Unreadable(format!("the schema's number is `{text}`")))
}

fn set_version(connection: &Connection, version: i64) -> Result<(), StoreError> {
    match connection.engine() {
        Engine::Sqlite => {
            connection.execute_batch(&format!("PRAGMA user_version = {version}"))?;
            Ok(())
        }
        Engine::Postgres => meta::set(connection, VERSION, &version.to_string()),
    }
}

fn migrate_to(connection: &Connection, newest: usize) -> Result<(), StoreError> {
    let transaction = connection.begin()?;
    let found = version(&transaction)?;
    let known = newest as i64;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    let mut done = found.max(0) as usize;
    if transaction.engine() == Engine::Postgres && done == 0 {
        transaction.execute_batch(postgres::BASELINE)?;
        done = postgres::BASE;
    }
    for step in STEPS.iter().take(newest).skip(done) {
        let (Step::Sql(sql) | Step::SqlThen(sql, _)) = step;
        match transaction.engine() {
            Engine::Sqlite => transaction.execute_batch(sql)?,
            Engine::Postgres => transaction.execute_batch(&postgres::translated(sql))?,
        }
        if let Step::SqlThen(_, code) = step {
            code(&transaction)?;
        }
    }
    if found < known {
        set_version(&transaction, known)?;
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;

/// Times are milliseconds since the Unix epoch unless a name says otherwise.
const FIRST: &str = "
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    name        TEXT PRIMARY KEY,
    email       TEXT,
    groups      TEXT NOT NULL,           -- JSON array
    secret_hash TEXT NOT NULL UNIQUE,
    added_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
    token_hash TEXT PRIMARY KEY,
    user       TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    started_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_user ON sessions (user);

CREATE TABLE dev_keys (
    algorithm TEXT PRIMARY KEY,          -- RS256 | ES256 | EdDSA
    kid       TEXT NOT NULL UNIQUE,
    private   BLOB NOT NULL
) STRICT;

-- What was asked, and what became of it.
CREATE TABLE approvals (
    id            TEXT PRIMARY KEY,
    fingerprint   TEXT NOT NULL,
    state         TEXT NOT NULL,         -- pending | approved | refused | consumed | expired
    question      TEXT NOT NULL,         -- JSON, as first asked
    subject       TEXT NOT NULL,
    asked_at      INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,      -- end of the ticket
    hold_until    INTEGER NOT NULL,      -- when the newest waiter stops waiting
    waiter        TEXT,                  -- the caller that is held right now
    decided_at    INTEGER,
    decided_by    TEXT,
    decided_why   TEXT,
    consumed_at   INTEGER,
    consumed_by   TEXT                   -- exchange id
) STRICT;
-- At most one open or refused approval per fingerprint is looked up; consumed and expired are history.
CREATE UNIQUE INDEX approvals_open ON approvals (fingerprint) WHERE state IN ('pending', 'approved', 'refused');
CREATE INDEX approvals_asked ON approvals (asked_at);
CREATE INDEX approvals_live ON approvals (state, expires_at) WHERE state IN ('pending', 'approved', 'refused');

CREATE TABLE approval_votes (
    approval TEXT NOT NULL REFERENCES approvals (id),
    who      TEXT NOT NULL,
    at       INTEGER NOT NULL,
    why      TEXT,
    PRIMARY KEY (approval, who)
) STRICT, WITHOUT ROWID;

CREATE TABLE approval_events (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    approval TEXT NOT NULL REFERENCES approvals (id),
    at       INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    who      TEXT,
    exchange TEXT,
    note     TEXT
) STRICT;
CREATE INDEX approval_events_approval ON approval_events (approval, id);

-- Every record as it came. A resend has the same worker, number and digest.
CREATE TABLE records (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    worker      TEXT NOT NULL,
    seq         INTEGER NOT NULL,
    digest      BLOB NOT NULL,           -- SHA-256 of the record, observation time left out
    exchange    TEXT NOT NULL,
    event       TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    record      TEXT NOT NULL,           -- OTLP JSON: resource, scope, logRecord
    UNIQUE (worker, seq, digest)
) STRICT;
CREATE INDEX records_exchange ON records (exchange, id);

CREATE TABLE workers (
    worker     TEXT PRIMARY KEY,
    first_at   INTEGER NOT NULL,
    last_at    INTEGER NOT NULL,
    highest    INTEGER NOT NULL,
    records    INTEGER NOT NULL          -- different numbers seen
) STRICT;

-- One row per exchange, for finding it: the newest value of what its records say.
CREATE TABLE exchanges (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    exchange    TEXT NOT NULL UNIQUE,
    at          INTEGER NOT NULL,
    user_id     TEXT,
    user_email  TEXT,
    session     TEXT,
    connection  TEXT,
    method      TEXT,
    url         TEXT,
    operations  TEXT NOT NULL,           -- what was asked for, in words
    decision    TEXT,
    reason      TEXT,
    rule        TEXT,
    approval    TEXT,
    model       TEXT,
    status      INTEGER,
    duration_us INTEGER,
    ended       TEXT,
    masked      INTEGER NOT NULL DEFAULT 0,
    has_request INTEGER NOT NULL DEFAULT 0,
    has_outcome INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX exchanges_at ON exchanges (at, id);
CREATE INDEX exchanges_user ON exchanges (user_id, at, id);
CREATE INDEX exchanges_decision ON exchanges (decision, at, id);
CREATE INDEX exchanges_connection ON exchanges (connection, at, id);
CREATE INDEX exchanges_session ON exchanges (session, at, id);

CREATE TABLE exchange_operations (
    operation TEXT NOT NULL,
    exchange  INTEGER NOT NULL REFERENCES exchanges (id),
    PRIMARY KEY (operation, exchange)
) STRICT, WITHOUT ROWID;

-- Words of prompts, bodies, addresses and names; rowid is records.id. The text itself is in records.
CREATE VIRTUAL TABLE record_words USING fts5 (words, content = '', contentless_delete = 1);
";

/// The ledger: see `crate::ledger`. Everything about exchanges is derived from its entries.
const LEDGER: &str = "
-- The leaves, in order; nothing of a row is ever changed, but `leaf` is emptied by retention.
CREATE TABLE entries (
    idx  INTEGER PRIMARY KEY,            -- from 0
    at   INTEGER NOT NULL,
    kind TEXT NOT NULL,
    leaf TEXT,                           -- JSON; what is hashed
    hash BLOB NOT NULL                   -- SHA-256 of 0x00 and the leaf
) STRICT;
CREATE INDEX entries_kind ON entries (kind, idx) WHERE kind <> 'record';

-- Prompts, answers and other bodies, once each.
CREATE TABLE bodies (
    id         INTEGER PRIMARY KEY,
    sha256     BLOB NOT NULL UNIQUE,
    size       INTEGER NOT NULL,
    codec      INTEGER NOT NULL,         -- 0 as it is, 1 zstd
    data       BLOB NOT NULL,
    last_entry INTEGER NOT NULL          -- the newest entry that has it
) STRICT;

-- Tiles of 256 hashes each: of leaves at level 0, of whole tiles of the level below above it.
CREATE TABLE tiles (
    level    INTEGER NOT NULL,
    position INTEGER NOT NULL,
    hashes   BLOB NOT NULL,
    PRIMARY KEY (level, position)
) STRICT;

CREATE TABLE checkpoints (
    size INTEGER PRIMARY KEY,
    at   INTEGER NOT NULL,
    note TEXT NOT NULL                   -- C2SP signed note
) STRICT;

CREATE TABLE seals (
    size INTEGER PRIMARY KEY,
    line TEXT NOT NULL                   -- the signature line of a note without a time
) STRICT;

CREATE TABLE witnesses (
    url         TEXT PRIMARY KEY,
    sent_size   INTEGER NOT NULL,
    sent_at     INTEGER,
    failures    INTEGER NOT NULL,        -- in a row
    error       TEXT,
    next_at     INTEGER NOT NULL,
    cosignature TEXT
) STRICT;

-- Legal holds, as their entries say.
CREATE TABLE holds (
    id         TEXT PRIMARY KEY,
    filter     TEXT NOT NULL,            -- JSON
    reason     TEXT NOT NULL,
    who        TEXT NOT NULL,
    added_at   INTEGER NOT NULL,
    lifted_at  INTEGER,
    lifted_by  TEXT
) STRICT;

-- Which numbers of which worker have come, and as which entry. A resend has the same digest.
CREATE TABLE arrivals (
    worker INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    digest BLOB NOT NULL,
    entry  INTEGER NOT NULL,
    PRIMARY KEY (worker, seq, digest)
) STRICT, WITHOUT ROWID;
DROP TABLE workers;
CREATE TABLE workers (
    id       INTEGER PRIMARY KEY,
    worker   TEXT NOT NULL UNIQUE,
    first_at INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    highest  INTEGER NOT NULL,
    records  INTEGER NOT NULL,           -- different numbers seen
    dropped  INTEGER NOT NULL DEFAULT 0  -- what the worker says it dropped
) STRICT;
CREATE INDEX exchanges_open ON exchanges (at) WHERE has_outcome = 0;

ALTER TABLE approval_events ADD COLUMN entry INTEGER;

-- Derived: the records of an exchange.
CREATE TABLE exchange_entries (
    entry    INTEGER PRIMARY KEY,
    exchange INTEGER NOT NULL REFERENCES exchanges (id)
) STRICT;
CREATE INDEX exchange_entries_exchange ON exchange_entries (exchange, entry);

-- Derived anew from the entries. Of record_words, rowid is now entries.idx.
ALTER TABLE records RENAME TO records_1;
DELETE FROM exchange_operations;
DELETE FROM exchanges;
INSERT INTO record_words (record_words) VALUES ('delete-all');
";

/// What the search index replaces. Exchanges are derived anew, with their place in it.
const SEARCH: &str = "
DROP TABLE exchange_operations;
DROP TABLE record_words;
DROP INDEX exchanges_decision;
DROP INDEX exchanges_connection;
DELETE FROM exchange_entries;
DELETE FROM exchanges;
DELETE FROM meta WHERE key = 'derived_to';
DELETE FROM sqlite_sequence WHERE name = 'exchanges';
";

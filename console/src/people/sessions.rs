//! Sessions of the pages: a random token in a strict cookie, its hash in the database.

use super::{Person, users};
use crate::clock::Millis;
use crate::secret::{hash_token, random_token};
use crate::store::StoreError;
use crate::store::sql::{Connection, OptionalExtension, params};

/// A session ends this long after it began, whatever happens in it: one working day.
pub const LIFETIME: Millis = 8 * 3600 * 1000;

/// A person who is signed in, and the token that says so.
#[derive(Clone, Debug)]
pub struct Session {
    /// Who.
    pub person: Person,
    /// What the cookie holds.
    pub token: String,
}

/// Starts a session and returns its token. Sessions that have ended are cleared on the way.
pub fn start_session(c: &Connection, now: Millis, person: &Person) -> Result<String, StoreError> {
    let token = random_token()?;
    c.execute("DELETE FROM sessions WHERE expires_at <= ?1", [now])?;
    c.execute(
        "INSERT INTO sessions (token_hash, \"user\", started_at, expires_at) VALUES (?1, ?2, ?3, ?4)",
        params![
            hash_token("session", &token),
            person.name,
            now,
            now + LIFETIME
        ],
    )?;
    Ok(token)
}

/// Who is signed in with `token`.
pub fn person_of_session(
    c: &Connection,
    now: Millis,
    token: &str,
) -> Result<Option<Person>, StoreError> {
    Ok(c.prepare_cached(
        "SELECT name, email, groups FROM sessions JOIN users ON users.name = sessions.\"user\"
         WHERE token_hash = ?1 AND expires_at > ?2",
    )?
    .query_row(params![hash_token("session", token), now], users::from_row)
    .optional()?)
}

/// Signs out.
pub fn end_session(c: &Connection, token: &str) -> Result<(), StoreError> {
    c.execute(
        "DELETE FROM sessions WHERE token_hash = ?1",
        [hash_token("session", token)],
    )?;
    Ok(())
}

/// What every form of a session carries. It follows from the cookie, which other sites cannot
/// read, and does not give it away.
pub fn form_token(session_token: &str) -> String {
    hash_token("form", session_token)
}

//! Adding, finding and removing people.

use super::Person;
use crate::clock::Millis;
use crate::secret::{hash_token, random_token};
use crate::store::StoreError;
use crate::store::sql::{self, Connection, OptionalExtension, Row, params};

/// Why a person was not added.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// The name is not one that can be shown and typed without doubt.
    #[error("`{0}` is not a name: use letters, digits and . _ - @ (at most 100)")]
    BadName(String),
    /// The name is taken.
    #[error("there is a user `{0}` already")]
    Taken(String),
    /// The database's own error.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Adds a person and returns the secret, which cannot be shown again.
pub fn add(c: &Connection, now: Millis, person: &Person) -> Result<String, UserError> {
    let name = &person.name;
    let good = |ch: char| ch.is_alphanumeric() || "._-@".contains(ch);
    if name.is_empty() || name.chars().count() > 100 || !name.chars().all(good) {
        return Err(UserError::BadName(name.clone()));
    }
    let secret = random_token().map_err(StoreError::from)?;
    let groups = serde_json::to_string(&person.groups)
        .map_err(|error| StoreError::Unreadable(error.to_string()))?;
    // Names differ by more than the case of their letters: the four-eyes rule compares so.
    let taken: bool = c
        .query_row(
            "SELECT EXISTS (SELECT 1 FROM users WHERE lower(name) = lower(?1))",
            [name],
            |row| row.get(0),
        )
        .map_err(StoreError::from)?;
    if taken {
        return Err(UserError::Taken(name.clone()));
    }
    c.execute(
        "INSERT INTO users (name, email, groups, secret_hash, added_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![name, person.email, groups, hash_token("sign-in", &secret), now],
    )
    .map_err(StoreError::from)?;
    Ok(secret)
}

/// Everybody, by name.
pub fn list(c: &Connection) -> Result<Vec<Person>, StoreError> {
    Ok(
        c.prepare("SELECT name, email, groups FROM users ORDER BY name")?
            .query_map([], from_row)?
            .collect::<Result<_, _>>()?,
    )
}

/// Removes a person and with him his sessions. Whether there was one.
pub fn remove(c: &Connection, name: &str) -> Result<bool, StoreError> {
    Ok(c.execute("DELETE FROM users WHERE name = ?1", [name])? > 0)
}

/// The person whose secret this is. The look-up is by hash, so its time tells nothing of use.
pub fn by_secret(c: &Connection, secret: &str) -> Result<Option<Person>, StoreError> {
    Ok(
        c.prepare_cached("SELECT name, email, groups FROM users WHERE secret_hash = ?1")?
            .query_row([hash_token("sign-in", secret)], from_row)
            .optional()?,
    )
}

pub(super) fn from_row(row: &Row<'_>) -> sql::Result<Person> {
    let groups: String = row.get("groups")?;
    Ok(Person {
        name: row.get("name")?,
        email: row.get("email")?,
        groups: serde_json::from_str(&groups)
            .map_err(|error| sql::Error::Unreadable(error.to_string()))?,
    })
}

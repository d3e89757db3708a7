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

/// Whether a name can be shown and typed without doubt.
fn is_good(name: &str) -> bool {
    let good = |ch: char| ch.is_alphanumeric() || "._-@".contains(ch);
    !name.is_empty() && name.chars().count() <= 100 && name.chars().all(good)
}

/// Adds a person and returns the secret, which cannot be shown again.
pub fn add(c: &Connection, now: Millis, person: &Person) -> Result<String, UserError> {
    let name = &person.name;
    if !is_good(name) {
        return Err(UserError::BadName(name.clone()));
    }
    let secret = random_token().map_err(StoreError::from)?;
    let groups = serde_json::to_string(&person.groups)
        .map_err(|error| StoreError::Unreadable(error.to_string()))?;
    // Names differ by more than the case of their letters: the four-eyes rule compares so.
    if same_name(c, name)?.is_some() {
        return Err(UserError::Taken(name.clone()));
    }
    c.execute(
        "INSERT INTO users (name, email, groups, secret_hash, added_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![name, person.email, groups, hash_token("sign-in", &secret), now],
    )
    .map_err(StoreError::from)?;
    Ok(secret)
}

/// Somebody whom an identity provider vouches for.
#[derive(Clone, Debug)]
pub struct Provided {
    /// Which provider.
    pub issuer: String,
    /// What it calls him.
    pub subject: String,
    /// As he is known here.
    pub person: Person,
}

/// Takes what the identity provider says of somebody who signs in: a person it has not told of before
/// is added, one it has is brought up to date. A name is of one person: of a secret or of one subject.
pub fn provided(c: &Connection, now: Millis, told: &Provided) -> Result<Person, UserError> {
    let person = &told.person;
    if !is_good(&person.name) {
        return Err(UserError::BadName(person.name.clone()));
    }
    let json = |value: serde_json::Result<String>| {
        value.map_err(|error| StoreError::Unreadable(error.to_string()))
    };
    let groups = json(serde_json::to_string(&person.groups))?;
    let claims = json(serde_json::to_string(&person.claims))?;
    match same_name(c, &person.name)? {
        None => {
            // Nobody knows a secret with this hash: he signs in with the provider alone.
            let none = hash_token("no-secret", &random_token().map_err(StoreError::from)?);
            c.execute(
                "INSERT INTO users (name, email, groups, secret_hash, added_at, issuer, subject, claims, seen_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?5)",
                params![person.name, person.email, groups, none, now, told.issuer, told.subject, claims],
            )
            .map_err(StoreError::from)?;
            Ok(person.clone())
        }
        Some((name, Some(issuer), Some(subject)))
            if issuer == told.issuer && subject == told.subject =>
        {
            c.execute(
                "UPDATE users SET email = ?2, groups = ?3, claims = ?4, seen_at = ?5 WHERE name = ?1",
                params![name, person.email, groups, claims, now],
            )
            .map_err(StoreError::from)?;
            Ok(Person {
                name,
                ..person.clone()
            })
        }
        Some((name, ..)) => Err(UserError::Taken(name)),
    }
}

/// A name, and the issuer and subject that it belongs to.
type Owner = (String, Option<String>, Option<String>);

/// Who has a name that differs in the case of its letters at most, and from whom.
fn same_name(c: &Connection, name: &str) -> Result<Option<Owner>, StoreError> {
    Ok(c.query_row(
        "SELECT name, issuer, subject FROM users WHERE lower(name) = lower(?1)",
        [name],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )
    .optional()?)
}

/// The person of this name, in any case of letters.
pub fn by_name(c: &Connection, name: &str) -> Result<Option<Person>, StoreError> {
    Ok(c.prepare_cached(
        "SELECT name, email, groups, claims FROM users WHERE lower(name) = lower(?1)",
    )?
    .query_row([name], from_row)
    .optional()?)
}

/// Everybody, by name.
pub fn list(c: &Connection) -> Result<Vec<Person>, StoreError> {
    Ok(
        c.prepare("SELECT name, email, groups, claims FROM users ORDER BY name")?
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
        c.prepare_cached("SELECT name, email, groups, claims FROM users WHERE secret_hash = ?1")?
            .query_row([hash_token("sign-in", secret)], from_row)
            .optional()?,
    )
}

pub(super) fn from_row(row: &Row<'_>) -> sql::Result<Person> {
    let unreadable = |error: serde_json::Error| sql::Error::Unreadable(error.to_string());
    let groups: String = row.get("groups")?;
    let claims: String = row.get("claims")?;
    Ok(Person {
        name: row.get("name")?,
        email: row.get("email")?,
        groups: serde_json::from_str(&groups).map_err(unreadable)?,
        claims: serde_json::from_str(&claims).map_err(unreadable)?,
    })
}

//! Tokens of the API: each acts for a person, with the scopes it was made with, until it ends.
//!
//! What a token may do is never more than what its owner may. The groups of somebody who signs in
//! with an identity provider are those of his last sign-in: a week after it his tokens rest until he
//! signs in again.

use super::{Person, users};
use crate::clock::Millis;
use crate::secret::{hash_token, random_id, random_token};
use crate::store::StoreError;
use crate::store::sql::{Connection, OptionalExtension, params};

/// How every token begins, so that scanners for secrets and people know it.
pub const PREFIX: &str = "cst_";
/// How long what an identity provider said is taken for true without a new sign-in.
const FRESH: Millis = 7 * 24 * 3_600_000;

/// What a token may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Scope {
    /// Reading approvals.
    #[value(name = "approvals:read")]
    ReadApprovals,
    /// Approving and refusing.
    #[value(name = "approvals:decide")]
    Decide,
    /// Reading the trail.
    #[value(name = "trail:read")]
    ReadTrail,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::ReadApprovals, Self::Decide, Self::ReadTrail];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::ReadApprovals => "approvals:read",
            Self::Decide => "approvals:decide",
            Self::ReadTrail => "trail:read",
        }
    }
}

/// A token as it is listed.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // The names say it.
pub struct Token {
    pub id: String,
    pub owner: String,
    pub label: String,
    pub scopes: Vec<Scope>,
    pub made_at: Millis,
    pub ends_at: Millis,
    pub used_at: Option<Millis>,
}

/// Makes a token for `owner` and returns it, which cannot be shown again; nothing if there is nobody
/// of this name.
pub fn make(
    c: &Connection,
    now: Millis,
    owner: &str,
    label: &str,
    scopes: &[Scope],
    ends_at: Millis,
) -> Result<Option<(String, String)>, StoreError> {
    let Some(person) = users::by_name(c, owner)? else {
        return Ok(None);
    };
    let token = format!("{PREFIX}{}", random_token()?);
    let id = random_id()?;
    let words: Vec<&str> = scopes.iter().map(|scope| scope.word()).collect();
    c.execute(
        "INSERT INTO api_tokens (id, token_hash, owner, label, scopes, made_at, ends_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            id,
            hash_token("api", &token),
            person.name,
            label,
            words.join(" "),
            now,
            ends_at
        ],
    )?;
    Ok(Some((id, token)))
}

/// Takes a token away. Whether there was one.
pub fn revoke(c: &Connection, id: &str) -> Result<bool, StoreError> {
    Ok(c.execute("DELETE FROM api_tokens WHERE id = ?1", [id])? > 0)
}

/// All tokens, newest first.
pub fn list(c: &Connection) -> Result<Vec<Token>, StoreError> {
    Ok(c.prepare(
        "SELECT id, owner, label, scopes, made_at, ends_at, used_at FROM api_tokens ORDER BY made_at DESC, id",
    )?
    .query_map([], |row| {
        let scopes: String = row.get(3)?;
        Ok(Token {
            id: row.get(0)?,
            owner: row.get(1)?,
            label: row.get(2)?,
            scopes: read_scopes(&scopes),
            made_at: row.get(4)?,
            ends_at: row.get(5)?,
            used_at: row.get(6)?,
        })
    })?
    .collect::<Result<_, _>>()?)
}

/// Whose token this is, and what it may be used for.
pub fn holder(
    c: &Connection,
    now: Millis,
    token: &str,
) -> Result<Option<(Person, Vec<Scope>)>, StoreError> {
    Ok(c.prepare_cached(
        "SELECT name, email, groups, claims, scopes FROM api_tokens JOIN users ON users.name = api_tokens.owner
         WHERE token_hash = ?1 AND ends_at > ?2 AND (issuer IS NULL OR seen_at > ?3)",
    )?
    .query_row(params![hash_token("api", token), now, now - FRESH], |row| {
        let scopes: String = row.get("scopes")?;
        Ok((users::from_row(row)?, read_scopes(&scopes)))
    })
    .optional()?)
}

/// Notes that a token was used.
pub fn used(c: &Connection, now: Millis, token: &str) -> Result<(), StoreError> {
    c.prepare_cached("UPDATE api_tokens SET used_at = ?2 WHERE token_hash = ?1")?
        .execute(params![hash_token("api", token), now])?;
    Ok(())
}

fn read_scopes(words: &str) -> Vec<Scope> {
    let known = |word: &str| Scope::ALL.into_iter().find(|scope| scope.word() == word);
    words.split(' ').filter_map(known).collect()
}

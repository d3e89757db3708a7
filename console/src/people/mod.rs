//! The people who use the console: names, groups, sign-in secrets, sessions and form tokens.
//!
//! A person signs in with the organisation's identity provider, or with a secret of 256 random bits
//! that an operator made, which is a bearer token of the JSON API as well. Tokens of the API have
//! scopes and an end. Of no secret more than a hash is kept.

pub mod access;
pub mod command;
pub mod oidc;

mod rights;
mod schema;
mod sessions;
pub mod tokens;
mod users;

use serde_json::{Map, Value};

use crate::approvals::demand::texts;

pub use rights::{AUDITORS, Rights};
pub use schema::SCHEMA;
pub use sessions::{Session, end_session, form_token, person_of_session, start_session};
pub use users::{Provided, UserError, add, by_name, by_secret, list, provided, remove};

/// Somebody who may sign in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// The unique name.
    pub name: String,
    /// The e-mail address, which also says who may not approve whose requests.
    pub email: Option<String>,
    /// The groups, as rules name them.
    pub groups: Vec<String>,
    /// What the identity provider said at the last sign-in, if he signs in there.
    pub claims: Map<String, Value>,
}

impl Person {
    /// The values of a claim by its name or dotted path.
    pub fn claim(&self, path: &str) -> Vec<String> {
        let mut values = claim(&self.claims, path);
        if path == "email" {
            values.extend(self.email.clone());
        }
        values
    }
}

/// The values of a claim by its name or dotted path: a name with a dot in it counts first.
pub(crate) fn claim(claims: &Map<String, Value>, path: &str) -> Vec<String> {
    let found = claims.get(path).or_else(|| {
        let (first, rest) = path.split_once('.')?;
        let pointer: String = rest.split('.').map(|key| format!("/{key}")).collect();
        claims.get(first)?.pointer(&pointer)
    });
    found.map(texts).unwrap_or_default()
}

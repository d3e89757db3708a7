//! The people who use the console: names, groups, sign-in secrets, sessions and form tokens.
//!
//! A person has one secret of 256 random bits. It signs in to the pages and is the bearer token of
//! the JSON API. Neither it nor a session's token is kept: only hashes are.

pub mod access;

mod rights;
mod sessions;
mod users;

pub use rights::{AUDITORS, Rights};
pub use sessions::{LIFETIME, Session, end_session, form_token, person_of_session, start_session};
pub use users::{UserError, add, by_secret, list, remove};

/// Somebody who may sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The unique name.
    pub name: String,
    /// The e-mail address, which also says who may not approve whose requests.
    pub email: Option<String>,
    /// The groups, as rules name them.
    pub groups: Vec<String>,
}

//! PostgreSQL, for several consoles over one ledger.
//!
//! Whoever writes takes one advisory lock with his transaction, so that the tree of the ledger has one
//! writer at a time, and what he reads in it is what the one before him committed.

mod client;
mod peers;
mod schema;
mod target;
mod tls;
mod types;

pub(in crate::store) use client::{Client, Role};
pub use peers::Told;
pub(in crate::store) use peers::{CHANNEL, attend};
pub(in crate::store) use schema::{BASE, BASELINE, translated};
pub use target::Target;
pub(in crate::store) use types::Raw;

//! The ledger: an append-only list of entries under an RFC 6962 Merkle tree.
//!
//! An entry is a leaf of the tree: a line of JSON that says its own index, when it was taken, of
//! which kind it is, and what it says. Bodies (prompts, answers, uploads) are not in the leaf: it has
//! their SHA-256 and size, and the bytes are kept once for all entries that have them. So bodies can
//! be deleted and the tree still verifies.
//!
//! ```text
//!  entries + bodies     the record: written in the transaction before the ack, never changed
//!  tiles, checkpoints   what proves it
//!  arrivals, workers    which numbers of which worker have come; the same transaction
//!  exchanges, ...       for finding things: derived from entries, in order, and rebuilt at will
//! ```
//! Everything that reads records goes through [`read`]; everything that writes an entry goes through
//! [`append`] or, for the gateway's records, [`arrival`].

pub mod approval;
pub mod arguments;
pub mod arrival;
pub mod body;
pub mod bundle;
pub mod checkpoint;
pub mod command;
pub mod derive;
pub mod entry;
pub mod health;
pub mod hold;
pub mod keeper;
pub mod keys;
pub mod migrate;
pub mod note;
pub mod read;
pub mod retain;
pub mod seal;
pub mod tree;
pub mod verify;
pub mod witness;

pub use entry::{Kind, append};

//! Countersign's console: the approval service, the audit trail's intake and pages, and the
//! operator's command line.
//!
//! # Where things live
//! A console is one process over one data folder ([`data_folder`]) with one SQLite database, or a
//! PostgreSQL database that it shares with others ([`store`]: one writer thread that commits in groups,
//! and as many readers as are asked for; [`store::sql`] is the one type over both engines).
//!
//! What the gateway talks to, with the gateway key:
//! - [`approvals`]: `/ext_authz/*`. `question` is what is asked, `book` the durable state of every
//!   approval and its events, `desk` the callers that wait right now, `endpoint` the HTTP contract.
//! - [`intake`]: `/v1/logs`. `otlp` decodes, `record` says what a record is, `endpoint` acks only
//!   what is on disk.
//!
//! What is kept of it, and how that is proven: [`ledger`].
//!
//! What people talk to, signed in:
//! - [`people`]: who they are, what they may read, sign-in secrets, sessions and form tokens; and
//!   that a look at the trail is itself on record.
//! - [`exchanges`]: finding and reading what was recorded. `query` is the language of the search
//!   bar, `index` the sets that answer it, `search` and `facets` what is done with them.
//! - [`replay`]: a session as a timeline, put together from what was captured.
//! - [`export`]: the trail in forms that other systems read, and sending it on.
//! - [`web`]: the pages, and the same things as JSON under `/api/v1`.
//!
//! What operators run: [`cli`], with [`serve`] behind `countersign serve`, [`policy`] behind
//! `countersign check`, [`masking`] behind `countersign mask` and `countersign rules`, [`bootstrap`] behind `countersign bootstrap`, and [`dev_idp`], the identity
//! provider for development behind `serve --dev` and `countersign token`.
//!
//! [`web::router`] puts all of it together; tests drive it without a socket.

pub mod approvals;
pub mod bootstrap;
pub mod cli;
pub mod client;
pub mod clock;
pub mod data_folder;
pub mod dev_idp;
pub mod exchanges;
pub mod export;
pub mod failure;
pub mod intake;
pub mod ledger;
pub mod masking;
pub mod people;
pub mod policy;
pub mod replay;
pub mod secret;
pub mod serve;
pub mod store;
pub mod web;

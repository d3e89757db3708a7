//! Telling people elsewhere: that a request waits for them, and what became of it.
//!
//! ```text
//! a step is taken ──▶ notices: new ──▶ one per channel: waiting ──▶ sent
//!  (same transaction)   (expanded)          │ ▲  retries           └─▶ "notified" on record
//!                                           ▼ │
//!                                         failed ─▶ "not_notified" on record, a warning on /health
//! ```
//! [`outbox`] keeps what is to be told, so that a console that is killed tells it later; [`deliver`]
//! sends; [`message`] is what is told, without bodies and masked; [`chat`] and [`mail`] are its forms.

pub mod chat;
pub mod deliver;
pub mod mail;
pub mod message;
pub mod outbox;

pub use message::Message;

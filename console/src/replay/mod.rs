//! Replay: a session as what was said, done, held and released, in the order in which it happened.
//!
//! What is shown is what was captured, after masking; what was not captured is shown as missing.
//! - [`exchange`]: one exchange as its records tell it
//! - [`conversation`] and [`answer`]: prompts and answers of the four model protocols, from
//!   documents, streams and the part before a cut
//! - [`timeline`]: the steps of a session; [`link`]: which action followed from which answer
//! - [`session`]: which exchanges belong together
//! - [`shown`]: steps in words, for the page, the [`terminal`] and the report
//! - [`tool`]: MCP calls and their results; [`change`]: what writes change in files
pub mod answer;
pub mod change;
pub mod command;
pub mod conversation;
pub mod exchange;
pub mod link;
pub mod session;
pub mod shown;
pub mod terminal;
pub mod timeline;
pub mod tool;

mod cut_json;
mod events;

pub use exchange::{Body, Exchange, Side};

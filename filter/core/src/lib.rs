//! Countersign's pure engine. No host calls, no clock, no I/O.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod denial;
pub mod head;
pub mod operation;
pub mod path;
pub mod protocol;
pub mod reason;

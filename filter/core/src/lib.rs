//! Countersign's pure engine. No host calls, no clock, no I/O.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod mask;

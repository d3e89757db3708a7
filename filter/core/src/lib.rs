//! Countersign's pure engine. No host calls, no clock, no I/O.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod approval;
pub mod config;
pub mod denial;
pub mod effect;
pub mod head;
pub mod identity;
pub mod json;
pub mod mask;
pub mod operation;
pub mod path;
pub mod policy;
pub mod protocol;
pub mod reason;
pub mod record;
pub mod stream;
pub mod worker;

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

//! One corpus of scenarios, many runners: `testdata/scenarios/*.yaml` says what goes in and what
//! must come out, and nothing of how.
//!
//! | runner | what runs |
//! |---|---|
//! | `tests/scenarios_core.rs` | the engine natively, in a simulated Envoy |
//! | `tests/scenarios_wasm.rs` | `countersign.wasm`, in the same simulated Envoy |
//! | `tests/scenarios_envoy.rs` | `countersign.wasm` in real Envoy |
//!
//! | file | part |
//! |---|---|
//! | [`format`] | what a scenario file says |
//! | [`corpus`], [`expand`], [`token`], [`policy`], [`body`] | from a file to something that can be played |
//! | [`gateway`], [`host`], [`services`] | the simulated Envoy: streams, host calls, the services around it |
//! | [`native`], [`wasm`] | a filter in it |
//! | [`real`] | real Envoy, with the services and the upstream on a port |
//! | [`play`], [`seen`], [`check`], [`subset`] | what came of it, and whether that is right |

pub mod body;
pub mod check;
pub mod corpus;
pub mod expand;
pub mod format;
pub mod gateway;
pub mod host;
pub mod native;
pub mod play;
pub mod policy;
pub mod real;
pub mod seen;
pub mod services;
pub mod subset;
pub mod token;
pub mod wasm;

//! What the end-to-end tests stand on: the repository's built programs, run for real.
//!
//! [`Stack::start`] runs the simulated upstream, the console and Envoy with
//! `envoy/reverse-proxy.yaml`, each on a free port of 127.0.0.1, and ends them when it is dropped.
//! Tests under `tests/` talk to it with the clients people use: git, curl, gh, SDKs.
//!
//! - [`repository`]: where things are: sources, built programs, Envoy
//! - [`process`]: one program that was started, its log, its end
//! - [`stack`]: the three programs together
//! - [`shared`]: one stack for the tests of a file
//! - [`policy`]: the shipped policy, to be changed
//! - [`curl`], [`git`], [`client`]: clients
//! - [`person`]: somebody at the console
//! - [`scenario`]: one corpus of scenarios, played on the engine, the module and Envoy
//! - [`wait`]: waiting for what another program is about to do

pub mod client;
pub mod curl;
pub mod git;
pub mod person;
pub mod policy;
pub mod process;
pub mod repository;
pub mod scenario;
pub mod shared;
pub mod stack;
pub mod wait;

pub use curl::{Answer, Curl};
pub use person::Person;
pub use process::Process;
pub use repository::Repository;
pub use shared::Shared;
pub use stack::{Stack, StackOptions};
pub use wait::eventually;

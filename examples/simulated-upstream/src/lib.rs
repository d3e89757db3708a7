//! A small server that behaves as GitHub, the Copilot API and git do, for offline use.
//!
//! One listener has three faces, told apart by host and else by path ([`hosts`]): the REST and GraphQL API
//! ([`api`], [`graphql`]), git over smart HTTP ([`git`]), and the Copilot API with its MCP server ([`copilot`], [`mcp`]).
//! All three work on one [`organisation`], whose repositories are real bare repositories ([`bare`]).
//!
//! A request passes, in this order: the recorder ([`seen`]), the credential ([`credential`]), the faults it asks for
//! ([`faults`]), its face.

// `json!` recurses once for each member of an object, and GitHub's objects have many.
#![recursion_limit = "256"]

pub mod answer;
pub mod api;
pub mod bare;
pub mod copilot;
pub mod credential;
pub mod faults;
#[cfg(test)]
mod fixture;
pub mod git;
pub mod graphql;
pub mod hosts;
pub mod large_files;
pub mod mcp;
pub mod organisation;
pub mod refusal;
pub mod samples;
pub mod seed;
pub mod seen;
pub mod server;
pub mod upstream;
pub mod view;

pub use upstream::{Settings, Upstream, app};

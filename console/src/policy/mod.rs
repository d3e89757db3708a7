//! `countersign check`: a policy file, or the policy inside an Envoy bootstrap or an Istio
//! `EnvoyFilter`, compiled by the very code that the filter runs, each error with its place, and what
//! is misleading in it. `countersign explain`: what it makes of a request. And which policies gateways
//! have judged by.

pub mod check;
mod cover;
pub mod document;
pub mod explain;
pub mod history;
pub mod layout;
pub mod lint;
pub mod locate;
pub mod request_file;

use std::fmt;

/// A place in a file; lines and columns count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.line, self.column)
    }
}

/// Something wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// The path in the policy, as in `rules[3].action`; empty for the whole of it.
    pub path: String,
    /// What.
    pub message: String,
    /// Whether the policy compiles all the same.
    pub warning: bool,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: ", self.place)?;
        if self.warning {
            write!(out, "warning: ")?;
        }
        if !self.path.is_empty() {
            write!(out, "{}: ", self.path)?;
        }
        write!(out, "{}", self.message)
    }
}

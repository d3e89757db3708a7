//! The trail in forms that other systems read.
//!
//! | format | one entry for | shape |
//! |---|---|---|
//! | `ndjson` | a record | a line of JSON, nothing left out |
//! | `otlp` | a record | a line of OTLP JSON (OpenTelemetry's file format) |
//! | `csv` | an exchange | RFC 4180, first line names the columns |
//! | `har` | an exchange | HTTP Archive 1.2, one document |
//! | `ocsf` | an exchange | a line of OCSF API Activity (6003) |
//! | `syslog` | an exchange | a line of RFC 5424 |
//!
//! The trail is read in its own order, from a cursor that is a place in the ledger, so that an export
//! that ends anywhere goes on from there. An exchange is written when its outcome is read; a request
//! whose outcome is not on record when it is read is written as open, and the exchange again when it
//! ends. Delivery is at least once: what was written but not confirmed is written again.

pub mod command;
pub mod evidence;
pub mod feed;
pub mod forward;
pub mod schedule;
pub mod sink;

mod csv;
mod encode;
mod har;
mod ndjson;
mod ocsf;
mod otlp;
mod report;
mod syslog;

pub use encode::Encoder;
pub use feed::{Item, Page, Selection};

/// What to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A line of JSON for each record
    Ndjson,
    /// A line of comma-separated values for each exchange
    Csv,
    /// One HTTP Archive 1.2 document
    Har,
    /// A line of OCSF API Activity for each exchange
    Ocsf,
    /// A line of OTLP JSON for each record
    Otlp,
    /// A line of RFC 5424 for each exchange
    Syslog,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 6] = [
        Self::Ndjson,
        Self::Csv,
        Self::Har,
        Self::Ocsf,
        Self::Otlp,
        Self::Syslog,
    ];

    /// Its name on the command line and in addresses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Har => "har",
            Self::Ocsf => "ocsf",
            Self::Otlp => "otlp",
            Self::Syslog => "syslog",
        }
    }

    /// The format of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// What names of its files end with.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Otlp => "otlp.ndjson",
            Self::Ocsf => "ocsf.ndjson",
            Self::Syslog => "log",
            Self::Ndjson | Self::Csv | Self::Har => self.name(),
        }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Ndjson | Self::Ocsf | Self::Otlp => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Har => "application/json",
            Self::Syslog => "text/plain; charset=utf-8",
        }
    }

    /// Whether an entry tells of a whole exchange.
    pub fn by_exchange(self) -> bool {
        !matches!(self, Self::Ndjson | Self::Otlp)
    }
}

#[cfg(test)]
#[path = "export_tests.rs"]
mod tests;

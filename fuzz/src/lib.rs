//! Fuzz targets: each takes any bytes and panics if a reader of the engine breaks one of its promises.
//!
//! | target     | reader | what must hold, beside no panic |
//! |------------|--------|------|
//! | `path`     | `RequestPath` | what is read has no second reading: written out plainly it reads the same |
//! | `json`     | `parse_strict` | takes nothing that another reader refuses or reads otherwise |
//! | `pkt_line` | push commands | any cut gives the same commands; never reads into the pack |
//! | `graphql`  | documents | in a body, in a batch and in a URL the same operations; a bounded number |
//! | `mcp`      | JSON-RPC | rewritten plainly, and as a batch of one, the same operations |
//! | `events`   | masking of event streams | any cut gives the same bytes; little is held |
//! | `secrets`  | the rules | any cut gives the same bytes, with any replacement; what is found is what is masked |
//! | `exchange` | a whole exchange | any cut gives the same end; what is handed on is what was judged |
//!
//! `tests/` runs them on mutated seeds; `seeds` are also a corpus for other engines.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a fuzz target tells what it found"
)]

pub mod exchange;
pub mod mutate;
pub mod readers;
pub mod seeds;

/// A target: its name, its function, inputs to start from, words that its grammar knows.
pub struct Target {
    /// Name.
    pub name: &'static str,
    /// Panics on a broken promise.
    pub run: fn(&[u8]),
    /// Inputs that reach its depths.
    pub seeds: &'static [&'static [u8]],
    /// Pieces that mutations put in.
    pub words: &'static [&'static [u8]],
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "path",
        run: readers::path,
        seeds: seeds::PATHS,
        words: seeds::PATH_WORDS,
    },
    Target {
        name: "json",
        run: readers::json,
        seeds: seeds::JSON,
        words: seeds::JSON_WORDS,
    },
    Target {
        name: "pkt_line",
        run: readers::pkt_line,
        seeds: seeds::PKT_LINES,
        words: seeds::PKT_WORDS,
    },
    Target {
        name: "graphql",
        run: readers::graphql,
        seeds: seeds::GRAPHQL,
        words: seeds::GRAPHQL_WORDS,
    },
    Target {
        name: "mcp",
        run: readers::mcp,
        seeds: seeds::MCP,
        words: seeds::JSON_WORDS,
    },
    Target {
        name: "events",
        run: readers::events,
        seeds: seeds::EVENTS,
        words: seeds::EVENT_WORDS,
    },
    Target {
        name: "secrets",
        run: readers::secrets,
        seeds: seeds::SECRETS,
        words: seeds::SECRET_WORDS,
    },
    Target {
        name: "exchange",
        run: exchange::exchange,
        seeds: seeds::EXCHANGES,
        words: seeds::EXCHANGE_WORDS,
    },
];

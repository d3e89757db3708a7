//! What a search costs over a large trail, and what it costs to make one.
//!
//! `cargo bench -p countersign --bench trail -- --records 1000000 --data FOLDER`
//!
//! A folder that is given is kept, and used again without being filled. Nothing is asserted: the
//! table is for people.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // A benchmark.

mod generate;

use std::path::PathBuf;
use std::time::Instant;

use countersign::exchanges::search::{Cursor, answered};
use countersign::exchanges::{Asked, facets, query, search, search_and_count};
use countersign::intake::record::records;
use countersign::ledger::{arrival, derive};
use countersign::store::Store;

use generate::{BATCH, END};

/// What people ask, from the narrow to the wide.
const QUERIES: &[&str] = &[
    "",
    "user:agent-250",
    "user:agent-0",
    "decision:allowed",
    "decision:refused after:2d",
    "op:ref.push repo:acme/* decision:held after:30d",
    "repo:acme/service-7 -op:repo.read",
    "path:src/table/*",
    "path:*table*",
    "url:*/pulls/77*",
    "url:*pulls*",
    "status:>=400 connection:github-api",
    "has:mask model:claude-*",
    "session:s-3-*",
    "group:team-7 op:mcp:push_files",
    "the",
    "quilodutor",
    "\"drop table\"",
    "\"the table\" user:agent-0",
    "drop decision:held",
    "the user:agent-299",
    "tab*",
    "user:agent-7 op:ref.push repo:acme/* decision:held after:60d \"drop\"",
];
const ROUNDS: usize = 7;

fn main() {
    let mut wanted = 1_000_000u64;
    let mut folder: Option<PathBuf> = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--records" => wanted = arguments.next().unwrap().parse().expect("a number"),
            "--data" => folder = arguments.next().map(PathBuf::from),
            // What cargo itself adds.
            "--bench" => {}
            other => panic!("unknown option {other}"),
        }
    }
    let temporary = tempfile::tempdir().unwrap();
    let folder = folder.unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("countersign.db");
    let store = Store::open(&path).unwrap();
    fill(&store, wanted / 2);
    let size = std::fs::metadata(&path).unwrap().len();
    let behind = store.read_now(derive::position).unwrap();
    println!(
        "\n{} entries, {:.2} GB, {} behind\n",
        behind.entries,
        size as f64 / 1e9,
        behind.behind()
    );
    println!(
        "Median of {ROUNDS}, and the fastest: what neighbours on the machine do not slow down.\n\n\
         | query | found | page | a page far below | page, count, facets, histogram |\n|---|---|---|---|---|"
    );
    for text in QUERIES {
        measure(&store, text, Cursor::at((behind.entries / 8) as u32));
    }
}

fn fill(store: &Store, exchanges: u64) {
    let there = store.read_now(derive::position).unwrap().entries as u64 / 2;
    let begun = Instant::now();
    for first in (there..exchanges).step_by(BATCH as usize) {
        let (batch, bad) = records(generate::batch(first, exchanges));
        assert!(bad.is_empty(), "{bad:?}");
        store
            .write_now(move |c| arrival::keep(c, END, &batch))
            .unwrap();
    }
    let appended = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    loop {
        let position = store.read_now(derive::position).unwrap();
        if position.behind() <= 0 {
            break;
        }
        eprint!("\r{} behind   ", position.behind());
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
    if there < exchanges {
        println!(
            "appended {} records in {appended:.1} s, made by this thread; then derived for {:.1} s more",
            2 * (exchanges - there),
            begun.elapsed().as_secs_f64()
        );
    }
}

fn measure(store: &Store, text: &str, below: Cursor) {
    let asked = |after: Option<Cursor>| Asked {
        query: query::parse(text, END).unwrap(),
        after,
        limit: 50,
    };
    let (first, deep) = (asked(None), asked(Some(below)));
    let refused = store.read_now(|c| answered(search(c, &first))).unwrap();
    if let Err(why) = refused {
        println!("| `{text}` | {why} | | | |");
        return;
    }
    let mut found = String::new();
    let [mut pages, mut deeper, mut wholes] = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        let measured = store.read_now(|c| {
            pages.push(timed(|| drop(search(c, &first).unwrap())));
            deeper.push(timed(|| drop(search(c, &deep).unwrap())));
            wholes.push(timed(|| {
                let (_, matches) = search_and_count(c, &first).unwrap();
                let facets = facets::facets(c, &matches).unwrap();
                let histogram = facets::histogram(c, &matches, &first.query, END).unwrap();
                assert!(
                    matches.rows.is_empty() || !(facets.is_empty() || histogram.buckets.is_empty())
                );
                let (count, all) = matches.count();
                found = format!("{count}{}", if all { "" } else { "+" });
            }));
            Ok(())
        });
        measured.unwrap();
    }
    let text = if text.is_empty() {
        "(everything)"
    } else {
        text
    };
    let [pages, deeper, wholes] = [pages, deeper, wholes].map(told);
    println!("| `{text}` | {found} | {pages} | {deeper} | {wholes} |");
}

/// Milliseconds.
fn timed(work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64() * 1e3
}

/// The median, and the fastest.
fn told(mut times: Vec<f64>) -> String {
    times.sort_by(f64::total_cmp);
    format!("{:.1} ms ({:.1})", times[times.len() / 2], times[0])
}

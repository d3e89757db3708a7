//! Makes an audit trail of any size, and measures how fast one is taken in.
//!
//! ```text
//! cargo run --release -p countersign --example trail -- generate --data DIR --records 1000000
//! cargo run --release -p countersign --example trail -- append --records 200000
//! cargo run --release -p countersign --example trail -- append --records 200000 --database postgres://…
//! ```
//! The records are those of a gateway in their shape and size (about 1.5 KB as OTLP JSON, bodies
//! included), the same ones each time. `append` prints what it measured, beside plain SQLite inserts
//! of the same bytes in the same run, so that two machines can be compared.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A measuring program: it stops where it fails.

mod made;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use clap::Parser;
use countersign::clock::Clock;
use countersign::data_folder::DataFolder;
use countersign::intake::otlp::Encoding;
use countersign::intake::record::records;
use countersign::ledger::keeper::Signing;
use countersign::ledger::{arrival, derive, entry, keys};
use countersign::store::{Store, Target};
use rusqlite::Connection;

/// As the gateway sends them at most.
const BATCH: usize = 256;

#[derive(Parser)]
#[expect(clippy::large_enum_variant, reason = "there is one of it")]
enum Command {
    /// Make a data folder with so many records in it, all of them searchable
    Generate {
        /// The data folder
        #[arg(long)]
        data: PathBuf,
        /// How many records; two make an exchange
        #[arg(long)]
        records: usize,
    },
    /// Measure durable appends
    Append {
        /// How many records
        #[arg(long, default_value_t = 200_000)]
        records: usize,
        /// Senders at the same time
        #[arg(long, default_value_t = 8)]
        senders: usize,
        /// Where; a folder of its own is made in it
        #[arg(long, default_value = ".")]
        within: PathBuf,
        /// An empty PostgreSQL database to append to, instead of SQLite
        #[arg(long)]
        database: Option<Target>,
    },
}

fn main() {
    match Command::parse() {
        Command::Generate { data, records } => generate(&data, records),
        Command::Append {
            records,
            senders,
            within,
            database,
        } => append(&within, records, senders, database),
    }
}

fn open(data: &Path, database: Option<Target>) -> Store {
    let mut folder = DataFolder::open_or_make(data).unwrap();
    if let Some(target) = database {
        folder = folder.sharing(target);
    }
    let store = folder.store().unwrap();
    let now = Clock::System.now();
    let key = keys::ensure(&store, &folder.signing_key(), now, Some("bench.ledger")).unwrap();
    store.close();
    let signing = Signing::new(
        Clock::System,
        key,
        folder.signing_key(),
        folder.checkpoints(),
    );
    folder.store_with(Box::new(signing)).unwrap()
}

fn generate(data: &Path, wanted: usize) {
    let store = open(data, None);
    let begun = Instant::now();
    let mut made = 0;
    while made < wanted {
        let size = BATCH.min(wanted - made);
        let batch = Encoding::Json.decode(&made::batch(made, size)).unwrap();
        let (records, bad) = records(batch);
        assert!(bad.is_empty(), "{bad:?}");
        let now = made::taken_at(made);
        store
            .write_now(move |c| arrival::keep(c, now, &records))
            .unwrap();
        made += size;
        if made % (BATCH * 200) < BATCH {
            eprintln!("{made} records, {:.0} s", begun.elapsed().as_secs_f64());
        }
    }
    catch_up(&store);
    store.close();
    eprintln!("done after {:.0} s", begun.elapsed().as_secs_f64());
}

/// Waits until everything is searchable; how long that took.
fn catch_up(store: &Store) -> f64 {
    let begun = Instant::now();
    while store.read_now(derive::position).unwrap().behind() > 0 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    begun.elapsed().as_secs_f64()
}

fn append(within: &Path, wanted: usize, senders: usize, database: Option<Target>) {
    let batches: Arc<Vec<Vec<u8>>> = Arc::new(
        (0..wanted)
            .step_by(BATCH)
            .map(|from| made::batch(from, BATCH.min(wanted - from)))
            .collect(),
    );
    let bytes: usize = batches.iter().map(Vec::len).sum();
    println!(
        "{wanted} records of {} bytes, batches of {BATCH}, {senders} senders",
        bytes / wanted
    );
    let place = within.join(format!("append-{}", std::process::id()));
    std::fs::create_dir_all(&place).unwrap();
    let plain = plain_inserts(&place.join("plain.db"), &batches, wanted);
    println!("plain SQLite inserts of the same bytes   {plain:>9.0} records/s");
    let store = open(&place.join("ledger"), database.clone());
    let ledger = appends(&store, &batches, wanted, senders);
    println!(
        "ledger appends, decoded, hashed, signed  {ledger:>9.0} records/s  ({:.2} of plain)",
        ledger / plain
    );
    let behind = store.read_now(derive::position).unwrap().behind();
    let took = catch_up(&store);
    println!("left to index: {behind}, which took {took:.1} s more");
    let entries = store.read_now(entry::count).unwrap();
    assert_eq!(entries, wanted as i64 + 1, "every record, and the key");
    let size = store.read_now(|c| Ok(c.size()?)).unwrap().unsigned_abs();
    store.close();
    println!(
        "on disk, with every index: {} bytes a record",
        size / wanted as u64
    );
    std::fs::remove_dir_all(&place).unwrap();
}

/// The floor: one table, one thread, the same durability, the same batches.
fn plain_inserts(path: &Path, batches: &[Vec<u8>], wanted: usize) -> f64 {
    let c = Connection::open(path).unwrap();
    c.pragma_update(None, "journal_mode", "wal").unwrap();
    c.pragma_update(None, "synchronous", "full").unwrap();
    c.execute_batch("CREATE TABLE records (id INTEGER PRIMARY KEY, record TEXT NOT NULL)")
        .unwrap();
    // Taken apart beforehand: only the inserts are measured.
    let texts: Vec<Vec<String>> = batches
        .iter()
        .map(|batch| {
            let (records, _) = records(Encoding::Json.decode(batch).unwrap());
            let whole = |r: &countersign::intake::record::Record| {
                let bodies: usize = r.bodies.iter().map(|body| body.size).sum();
                format!("{}{}", r.value, "x".repeat(bodies))
            };
            records.iter().map(whole).collect()
        })
        .collect();
    let begun = Instant::now();
    for texts in &texts {
        c.execute_batch("BEGIN IMMEDIATE").unwrap();
        for text in texts {
            c.prepare_cached("INSERT INTO records (record) VALUES (?1)")
                .unwrap()
                .execute([text])
                .unwrap();
        }
        c.execute_batch("COMMIT").unwrap();
    }
    wanted as f64 / begun.elapsed().as_secs_f64()
}

/// What the intake does with a batch once it has been read, from many senders.
fn appends(store: &Store, batches: &Arc<Vec<Vec<u8>>>, wanted: usize, senders: usize) -> f64 {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    runtime.block_on(async {
        let mut tasks = Vec::new();
        for _ in 0..senders {
            let (store, batches, next) = (store.clone(), Arc::clone(batches), Arc::clone(&next));
            tasks.push(tokio::spawn(async move {
                while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (records, _) = records(Encoding::Json.decode(batch).unwrap());
                    let (now, sent) = (Clock::System.now(), records.len() as u64);
                    let kept = store
                        .write(move |c| arrival::keep(c, now, &records))
                        .await
                        .unwrap();
                    assert_eq!(kept.stored, sent);
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
    wanted as f64 / begun.elapsed().as_secs_f64()
}

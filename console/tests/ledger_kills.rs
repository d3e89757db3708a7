//! The console is killed, and its disk is full, while records come in: what was acknowledged is there.
//! Counted on both sides: what the senders were told, and what the entries say.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // These are tests.

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::{KEY, batch, exchange};
use rusqlite::Connection;

/// Records in a batch: two for each exchange.
const EXCHANGES: i64 = 20;
const SENDERS: i64 = 4;

struct Console {
    child: Child,
    address: String,
}

impl Console {
    /// Starts it, with files of at most `blocks` blocks of 512 bytes if that is given: writing beyond
    /// is an error then, as on a file system that is full.
    fn start(data: &Path, blocks: Option<u64>) -> Self {
        let limit = blocks.map_or(String::new(), |blocks| {
            format!("trap '' XFSZ; ulimit -f {blocks}; ")
        });
        let mut child = Command::new("sh")
            .args([
                "-c",
                &format!("{limit}exec \"$0\" serve --listen 127.0.0.1:0 --data \"$1\""),
            ])
            .arg(env!("CARGO_BIN_EXE_countersign"))
            .arg(data)
            .env("COUNTERSIGN_GATEWAY_KEY", KEY)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap();
        Self {
            address: address.to_owned(),
            child,
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // SIGKILL: nothing is cleaned up.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a batch; whether it was acknowledged. A connection that breaks is no acknowledgement.
fn send(address: &str, body: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(
        stream,
        "POST /v1/logs HTTP/1.1\r\nHost: console\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

fn one_batch(sender: &str, number: i64) -> (Vec<String>, String) {
    let first = number * EXCHANGES;
    let mut ids = Vec::new();
    let mut records = Vec::new();
    for n in first..first + EXCHANGES {
        let id = format!("{sender}-{n}");
        let (request, outcome) = exchange(&id, sender, 2 * n + 1);
        records.extend([request, outcome]);
        ids.push(id);
    }
    (ids, batch(&records).to_string())
}

/// Sends from several threads until `stop` says so of how many batches were acknowledged, or a batch
/// is not. Returns the exchanges that were acknowledged.
fn load(
    console: &mut Console,
    round: usize,
    kill_after: Option<usize>,
) -> (BTreeSet<String>, Vec<u16>) {
    let acked = Mutex::new(BTreeSet::new());
    let refused = Mutex::new(Vec::new());
    let batches = AtomicUsize::new(0);
    let over = AtomicBool::new(false);
    let address = console.address.clone();
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (acked, refused, batches, over, address) =
                (&acked, &refused, &batches, &over, &address);
            scope.spawn(move || {
                let sender = format!("w-{round}-{sender}");
                let mut number = 0;
                while !over.load(Ordering::SeqCst) {
                    let (ids, body) = one_batch(&sender, number);
                    match send(address, &body) {
                        Some(200) => {
                            acked.lock().unwrap().extend(ids);
                            batches.fetch_add(1, Ordering::SeqCst);
                            number += 1;
                        }
                        Some(status) => {
                            refused.lock().unwrap().push(status);
                            over.store(true, Ordering::SeqCst);
                        }
                        None => over.store(true, Ordering::SeqCst),
                    }
                }
            });
        }
        if let Some(enough) = kill_after {
            while batches.load(Ordering::SeqCst) < enough {
                assert!(!over.load(Ordering::SeqCst), "it ended by itself");
                std::thread::yield_now();
            }
            console.child.kill().unwrap();
        }
    });
    (acked.into_inner().unwrap(), refused.into_inner().unwrap())
}

/// The exchanges of which both records are entries.
fn in_the_ledger(data: &Path) -> BTreeSet<String> {
    let c = Connection::open(data.join("countersign.db")).unwrap();
    c.prepare(
        "SELECT json_extract(leaf, '$.value.attributes.\"countersign.exchange.id\"') AS id
         FROM entries WHERE kind = 'record' GROUP BY id HAVING count(*) = 2",
    )
    .unwrap()
    .query_map([], |row| row.get(0))
    .unwrap()
    .collect::<Result<_, _>>()
    .unwrap()
}

/// What `countersign ledger verify` says of the data folder, which has to be good.
fn verify(data: &Path) {
    let run = |args: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_countersign"))
            .args(["ledger"])
            .args(args)
            .args(["--data", data.to_str().unwrap()])
            .output()
            .unwrap()
    };
    let shown = run(&["keys", "show"]);
    let key = String::from_utf8(shown.stdout).unwrap();
    let report = run(&["verify", "--key", key.trim()]);
    assert!(
        report.status.success(),
        "{}{}",
        String::from_utf8_lossy(&report.stdout),
        String::from_utf8_lossy(&report.stderr)
    );
}

#[test]
fn a_console_that_is_killed_under_load_loses_nothing_that_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut acked = BTreeSet::new();
    for round in 0..3 {
        let mut console = Console::start(folder.path(), None);
        let (told, _) = load(&mut console, round, Some(20 + 13 * round));
        assert!(!told.is_empty());
        acked.extend(told);
    }
    let there = in_the_ledger(folder.path());
    let lost: Vec<&String> = acked.difference(&there).collect();
    assert!(
        lost.is_empty(),
        "{} of {} are lost: {lost:?}",
        lost.len(),
        acked.len()
    );
    verify(folder.path());
    // And it goes on.
    drop(Console::start(folder.path(), None));
    verify(folder.path());
}

#[test]
fn a_full_disk_is_refused_and_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    drop(Console::start(folder.path(), None));
    // Room for some batches, in the database and in its log.
    let mut console = Console::start(folder.path(), Some(4_000));
    let (mut acked, refused) = load(&mut console, 0, None);
    assert!(!acked.is_empty(), "there was room at first");
    assert!(refused.contains(&503), "a full disk is told: {refused:?}");
    // It still answers, and takes nothing that it cannot keep. A log that was emptied into the
    // database may have left room for a few batches more.
    let (name, more) = (0..5_000)
        .find_map(|number| {
            let worker = format!("w-more-{number}");
            let (names, batch) = one_batch(&worker, 0);
            match send(&console.address, &batch) {
                Some(200) => {
                    acked.extend(names);
                    None
                }
                other => {
                    assert_eq!(other, Some(503));
                    Some((names, batch))
                }
            }
        })
        .expect("a disk that stays full");
    drop(console);
    let there = in_the_ledger(folder.path());
    let lost: Vec<&String> = acked.difference(&there).collect();
    assert!(
        lost.is_empty(),
        "{} of {} are lost: {lost:?}",
        lost.len(),
        acked.len()
    );
    // With room again it takes what it refused.
    let console = Console::start(folder.path(), None);
    assert_eq!(send(&console.address, &more), Some(200));
    drop(console);
    let there = in_the_ledger(folder.path());
    assert!(name.iter().all(|id| there.contains(id)));
    verify(folder.path());
}

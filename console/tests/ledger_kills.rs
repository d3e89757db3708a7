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

use common::program::Program;
use common::{KEY, batch, exchange};
use rusqlite::Connection;

/// Records in a batch: two for each exchange.
const EXCHANGES: i64 = 20;
const SENDERS: i64 = 4;

fn serving(data: &Path) -> Program {
    Program::serve(Command::new(env!("CARGO_BIN_EXE_countersign")), data, &[])
}

/// One whose files have at most so many blocks of 512 bytes: writing beyond is an error then.
fn with_small_files(data: &Path, blocks: u64) -> Program {
    let mut command = Command::new("sh");
    let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    command.args(["-c", &limited, env!("CARGO_BIN_EXE_countersign")]);
    Program::serve(command, data, &[])
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
    console: &mut Program,
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
        let mut console = serving(folder.path());
        let (told, _) = load(&mut console, round, Some(20 + 13 * round));
        assert!(!told.is_empty());
        acked.extend(told);
    }
    nothing_is_lost(folder.path(), &acked);
    verify(folder.path());
    // And it goes on.
    drop(serving(folder.path()));
    verify(folder.path());
}

/// Sends until the disk is full, and then until it stays full: a log that was emptied into the
/// database may have left room for a few batches more. Returns what was acknowledged, and the batch
/// that was refused last, with its exchanges.
fn fill_up(console: &mut Program) -> (BTreeSet<String>, Vec<String>, String) {
    let (mut acked, refused) = load(console, 0, None);
    assert!(!acked.is_empty(), "there was room at first");
    assert!(refused.contains(&503), "a full disk is told: {refused:?}");
    for number in 0..5_000 {
        let (names, batch) = one_batch(&format!("w-more-{number}"), 0);
        // It still answers, and takes nothing that it cannot keep.
        match send(&console.address, &batch) {
            Some(200) => acked.extend(names),
            other => {
                assert_eq!(other, Some(503));
                return (acked, names, batch);
            }
        }
    }
    panic!("a disk that stays full");
}

fn nothing_is_lost(data: &Path, acked: &BTreeSet<String>) {
    let there = in_the_ledger(data);
    let lost: Vec<&String> = acked.difference(&there).collect();
    let (count, all) = (lost.len(), acked.len());
    assert!(lost.is_empty(), "{count} of {all} are lost: {lost:?}");
}

#[test]
fn files_that_may_not_grow_are_refused_and_lose_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    drop(serving(folder.path()));
    // Room for some batches, in the database and in its log.
    let mut console = with_small_files(folder.path(), 4_000);
    let (mut acked, names, more) = fill_up(&mut console);
    drop(console);
    nothing_is_lost(folder.path(), &acked);
    // With room again it takes what it refused.
    let console = serving(folder.path());
    assert_eq!(send(&console.address, &more), Some(200));
    drop(console);
    acked.extend(names);
    nothing_is_lost(folder.path(), &acked);
    verify(folder.path());
}

/// A file system of its own in a folder, which only a namespace sees; it goes with that.
struct SmallDisk {
    /// Holds the namespace.
    holder: Child,
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// Nothing where this user may not make one.
    fn new(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
            .arg("mount -t tmpfs -o size=$1 tmpfs \"$0\" && echo ready && read -r _")
            .arg(folder.path())
            .arg(size)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let disk = Self { holder, folder };
        (line == "ready\n").then_some(disk)
    }

    /// A program that sees it.
    fn inside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        let target = self.holder.id().to_string();
        command.args(["--user", "--mount", "--preserve-credentials", "--target"]);
        command.args([&target, "--", program]);
        command
    }

    fn console(&self) -> Program {
        let command = self.inside(env!("CARGO_BIN_EXE_countersign"));
        Program::serve(command, self.folder.path(), &[])
    }

    /// Makes it larger.
    fn grow(&self, size: &str) {
        let mut mount = self.inside("mount");
        let options = format!("remount,size={size}");
        let done = mount.args(["-o", &options]).arg(self.folder.path());
        assert!(done.status().unwrap().success());
    }

    /// What is on it, for whoever is outside.
    fn copy(&self) -> tempfile::TempDir {
        let to = tempfile::tempdir().unwrap();
        let mut copy = self.inside("tar");
        let mut copy = copy
            .arg("-C")
            .arg(self.folder.path())
            .args(["-c", "."])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let unpacked = Command::new("tar")
            .arg("-x")
            .current_dir(to.path())
            .stdin(copy.stdout.take().unwrap())
            .status();
        assert!(unpacked.unwrap().success() && copy.wait().unwrap().success());
        to
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

#[test]
fn a_full_disk_is_refused_and_loses_nothing_that_was_acknowledged() {
    let Some(disk) = SmallDisk::new("6m") else {
        println!("skipped: this user may not make a namespace with a file system of its own");
        return;
    };
    let mut console = disk.console();
    let (mut acked, names, more) = fill_up(&mut console);
    drop(console);
    nothing_is_lost(disk.copy().path(), &acked);
    // With room again it takes what it refused.
    disk.grow("64m");
    let console = disk.console();
    assert_eq!(send(&console.address, &more), Some(200));
    drop(console);
    acked.extend(names);
    let there = disk.copy();
    nothing_is_lost(there.path(), &acked);
    verify(there.path());
}

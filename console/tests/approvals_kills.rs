//! The console is killed after each step of an approval: what was answered stays so, what was decided is
//! not lost, and nothing passes twice. The commands of the terminal decide here.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // These are tests.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::JoinHandle;

use common::program::Program;
use common::{KEY, question};
use serde_json::Value;

struct Console(Program);

impl Console {
    fn start(data: &Path, settings: Option<&Path>, hook: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.env("HOOK", hook);
        let settings = settings.map(|path| ["--settings", path.to_str().unwrap()]);
        let more = settings.as_ref().map_or(&[][..], |more| more);
        Self(Program::serve(command, data, more))
    }

    /// SIGKILL: nothing is cleaned up, nobody is answered.
    fn kill(self) {
        self.0.kill();
    }

    /// Asks on a connection of its own; nothing if that breaks.
    fn ask(&self, exchange: &str, hold: u64) -> JoinHandle<Option<Value>> {
        let body = question(1, exchange).to_string();
        let address = self.0.address.clone();
        std::thread::spawn(move || {
            let mut stream = TcpStream::connect(address).ok()?;
            write!(
                stream,
                "POST /ext_authz/x HTTP/1.1\r\nHost: console\r\nAuthorization: Bearer {KEY}\r\nx-countersign-hold: {hold}\r\n\
                 x-countersign-fingerprint: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                "01".repeat(32),
                body.len()
            )
            .ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).ok()?;
            let decision = answer
                .lines()
                .find_map(|line| line.strip_prefix("x-countersign-decision: "))?;
            Some(decision.trim().into())
        })
    }
}

struct Stage {
    folder: tempfile::TempDir,
    token: String,
    settings: Option<PathBuf>,
    hook: String,
}

fn output(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = String::from_utf8(stdout).unwrap();
    assert!(
        status.success(),
        "{text}{}",
        String::from_utf8_lossy(&stderr)
    );
    text
}

impl Stage {
    fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = || Command::new(env!("CARGO_BIN_EXE_countersign"));
        output(
            program()
                .args(["user", "add", "bob", "--group", "platform-leads", "--data"])
                .arg(folder.path()),
        );
        let token = output(
            program()
                .args([
                    "api-token",
                    "add",
                    "--for",
                    "bob",
                    "--scope",
                    "approvals:read",
                    "--scope",
                    "approvals:decide",
                    "--data",
                ])
                .arg(folder.path()),
        );
        Self {
            folder,
            token: token.trim().to_owned(),
            settings: None,
            hook: "http://127.0.0.1:1/".to_owned(),
        }
    }

    fn start(&self) -> Console {
        Console::start(self.folder.path(), self.settings.as_deref(), &self.hook)
    }

    fn approvals(&self, console: &Console, words: &[&str]) -> String {
        output(
            Command::new(env!("CARGO_BIN_EXE_countersign"))
                .arg("approvals")
                .args(words)
                .args(["--server", &format!("http://{}", console.0.address)])
                .env("COUNTERSIGN_TOKEN", &self.token),
        )
    }

    /// Waits until there is an approval in this state, and returns its id.
    fn id(&self, console: &Console, state: &str, look: &str) -> String {
        loop {
            let listed = self.approvals(console, &["list", "--state", state]);
            if let Some(line) = listed.lines().find(|line| line.contains(look)) {
                return line.split('\t').next().unwrap().to_owned();
            }
        }
    }
}

#[test]
fn nothing_is_lost_and_nothing_passes_twice() {
    let stage = Stage::set();
    // Asked, and held.
    let console = stage.start();
    let held = console.ask("e-1", 60_000);
    let id = stage.id(&console, "pending", "\theld\t");
    console.kill();
    assert_eq!(
        held.join().unwrap(),
        None,
        "a killed console answers nobody"
    );
    // The gateway asks again: it joins.
    let console = stage.start();
    assert_eq!(
        stage.id(&console, "pending", "\tticket\t"),
        id,
        "nobody waits any more"
    );
    let held = console.ask("e-1", 60_000);
    assert_eq!(stage.id(&console, "pending", "\theld\t"), id);
    let shown = stage.approvals(&console, &["show", &id]);
    assert!(
        shown.contains("needs        production-branch: 0 of 1 from group platform-leads"),
        "{shown}"
    );
    // A newer one takes its place, and is approved while nobody is there.
    console.kill();
    assert_eq!(held.join().unwrap(), None);
    let console = stage.start();
    let approved = stage.approvals(&console, &["approve", &id, "--reason", "fine"]);
    assert_eq!(approved, "approved: push to refs/heads/main of acme/web\n");
    console.kill();
    // Approved: the retry passes, once.
    let console = stage.start();
    assert_eq!(
        console.ask("e-2", 0).join().unwrap(),
        Some("approved".into())
    );
    console.kill();
    let console = stage.start();
    assert_eq!(
        console.ask("e-3", 0).join().unwrap(),
        Some("pending".into())
    );
    let second = stage.id(&console, "pending", "\tticket\t");
    assert_ne!(second, id);
    // Refused: it stays so.
    stage.approvals(&console, &["deny", &second, "--reason", "not on a Friday"]);
    console.kill();
    let console = stage.start();
    assert_eq!(
        console.ask("e-4", 0).join().unwrap(),
        Some("refused".into())
    );
    let shown = stage.approvals(&console, &["show", &second]);
    assert!(
        shown.contains("not on a Friday") && shown.contains("repeated"),
        "{shown}"
    );
    console.kill();
    // All of it is what the ledger says.
    let key = stage.folder.path().join("key");
    let program = || Command::new(env!("CARGO_BIN_EXE_countersign"));
    let text = output(
        program()
            .args(["ledger", "keys", "show", "--data"])
            .arg(stage.folder.path()),
    );
    std::fs::write(&key, text).unwrap();
    output(
        program()
            .args(["ledger", "verify", "--data"])
            .arg(stage.folder.path())
            .arg("--key")
            .arg(&key),
    );
}

#[test]
fn a_notice_that_was_not_sent_is_sent_by_the_next_console() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut stage = Stage::set();
    stage.hook = format!("http://{}/hook", listener.local_addr().unwrap());
    let settings = stage.folder.path().join("settings.yaml");
    std::fs::write(
        &settings,
        "version: v1\nnotify: [ { name: chat, slack: { env: HOOK } } ]\n",
    )
    .unwrap();
    stage.settings = Some(settings);
    let console = stage.start();
    let answer = console.ask("e-1", 0).join().unwrap();
    assert_eq!(answer, Some("pending".into()));
    // It is being sent, to somebody who does not answer.
    let (stream, _) = listener.accept().unwrap();
    console.kill();
    drop(stream);
    // The lease of the console that is gone ends; the test does not wait for that.
    let database = rusqlite::Connection::open(stage.folder.path().join("countersign.db")).unwrap();
    database
        .execute("UPDATE notices SET next_at = 0", [])
        .unwrap();
    drop(database);
    let console = stage.start();
    let (mut stream, _) = listener.accept().unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut length = 0;
    for line in lines.by_ref() {
        let line = line.unwrap().to_lowercase();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    assert!(length > 0);
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let id = stage.id(&console, "pending", "\tticket\t");
    loop {
        let shown = stage.approvals(&console, &["show", &id]);
        if shown.contains("notified") {
            break;
        }
    }
    console.kill();
}

#[test]
fn watch_prints_what_happens() {
    let stage = Stage::set();
    let console = stage.start();
    let mut watch = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args([
            "approvals",
            "watch",
            "--server",
            &format!("http://{}", console.0.address),
        ])
        .env("COUNTERSIGN_TOKEN", &stage.token)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = |part: &str| loop {
        let line = lines.next().unwrap().unwrap();
        if line.contains(part) {
            return line;
        }
    };
    let held = console.ask("e-1", 60_000);
    let line = next("\theld\tci-runner\t");
    let id = line.split('\t').next().unwrap().to_owned();
    stage.approvals(&console, &["approve", &id]);
    next("\tby bob");
    assert_eq!(held.join().unwrap(), Some("approved".into()));
    watch.kill().unwrap();
    watch.wait().unwrap();
    console.kill();
}

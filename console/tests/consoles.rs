//! Several consoles over one PostgreSQL database, as programs: what one decides releases what another
//! holds, all of them append to one ledger, and none of it hangs on one of them living.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // These are tests.

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::database::{self, Running, Server, is_there};
use common::program::Program;
use common::{KEY, batch, exchange, question};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_countersign");

/// Consoles that share a database and a signing key, each with a folder of its own.
struct Site {
    folder: tempfile::TempDir,
    url: String,
}

struct Console(Program);

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = Server::get().database(folder.path());
        Self { folder, url }
    }

    fn over(url: String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, url }
    }

    fn data(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .env("COUNTERSIGN_DATABASE", &self.url)
            .env("COUNTERSIGN_GATEWAY_KEY", KEY)
            .env("COUNTERSIGN_SIGNING_KEY", self.data("ledger.key"));
        command
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn console(&self, name: &str) -> Console {
        let (command, data) = (self.command(&[]), self.data(name));
        Console(Program::serve_with(command, &data, &[], Stdio::inherit()))
    }

    /// Somebody who may approve and read; the secret.
    fn person(&self, name: &str) -> String {
        let link = self.run(&[
            "user",
            "add",
            name,
            "--group",
            "platform-leads",
            "--group",
            "auditors",
        ]);
        link.split_once('#').unwrap().1.to_owned()
    }

    fn verify(&self) -> String {
        let key = self.run(&["ledger", "keys", "show"]);
        self.run(&["ledger", "verify", "--key", &key])
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(120)))
        .build()
        .into()
}

impl Console {
    fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    fn post(&self, path: &str, bearer: &str, body: &Value) -> Option<(u16, Value)> {
        post(&self.url(), path, bearer, body)
    }

    fn get(&self, path: &str, bearer: &str) -> Value {
        let mut answer = agent()
            .get(format!("{}{path}", self.url()))
            .header("authorization", format!("Bearer {bearer}"))
            .call()
            .unwrap();
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
    }

    fn pending(&self, secret: &str) -> String {
        loop {
            let found = self.get("/api/v1/approvals?state=pending", secret);
            if let Some(id) = found["approvals"][0]["id"].as_str() {
                return id.to_owned();
            }
            std::thread::yield_now();
        }
    }

    fn found(&self, query: &str, secret: &str) -> u64 {
        let found = self.get(&format!("/api/v1/exchanges?q={query}"), secret);
        found["count"].as_u64().unwrap()
    }
}

/// The status and the answer; nothing if the connection broke.
fn post(address: &str, path: &str, bearer: &str, body: &Value) -> Option<(u16, Value)> {
    let mut answer = agent()
        .post(format!("{address}{path}"))
        .header("authorization", format!("Bearer {bearer}"))
        .header("content-type", "application/json")
        // What tells a gateway's question from the check of Envoy's own filter.
        .header(
            "x-countersign-fingerprint",
            body["fingerprint"].as_str().unwrap_or_default(),
        )
        .send(body.to_string())
        .ok()?;
    let text = answer.body_mut().read_to_string().ok()?;
    let value = serde_json::from_str(&text).unwrap_or_default();
    Some((answer.status().as_u16(), value))
}

fn records(worker: &str, from: i64, count: i64) -> (Vec<String>, Value) {
    let mut all = Vec::new();
    let mut ids = Vec::new();
    for n in from..from + count {
        let id = format!("{worker}-{n}");
        let (request, outcome) = exchange(&id, worker, 2 * n + 1);
        all.extend([request, outcome]);
        ids.push(id);
    }
    (ids, batch(&all))
}

#[test]
fn a_decision_on_one_console_releases_what_another_holds() {
    if !is_there() {
        return;
    }
    let site = Site::new();
    let (one, other) = (site.console("one"), site.console("other"));
    let secret = site.person("bob");
    for (number, verb, decision) in [(1, "approve", 200), (2, "refuse", 403)] {
        let asked = question(number, &format!("e-{number}"));
        std::thread::scope(|scope| {
            let held = scope.spawn(|| one.post("/ext_authz/x", KEY, &asked).unwrap());
            let id = other.pending(&secret);
            let path = format!("/api/v1/approvals/{id}/{verb}");
            let decided = Instant::now();
            let answer = other.post(&path, &secret, &json!({"reason": "seen elsewhere"}));
            assert_eq!(answer.unwrap().0, 200);
            let (status, answer) = held.join().unwrap();
            // Far less than what it would be held for: somebody told its console.
            let took = decided.elapsed();
            assert!(took < Duration::from_secs(20), "{took:?}");
            assert_eq!(status, decision, "{answer}");
        });
    }
    assert!(site.verify().contains("GOOD"));
}

#[test]
fn a_decision_is_told_and_not_found_by_looking() {
    if !is_there() {
        return;
    }
    let site = Site::new();
    let (one, other) = (site.console("one"), site.console("other"));
    let secret = site.person("bob");
    let sql = |sql: &str| Server::get().sql(site.url.rsplit('/').next().unwrap(), sql);
    let mut took = Vec::new();
    for number in 1..=20 {
        let asked = question(number, &format!("e-{number}"));
        std::thread::scope(|scope| {
            let held = scope.spawn(|| {
                let answer = one.post("/ext_authz/x", KEY, &asked).unwrap();
                (answer.0, Instant::now())
            });
            let path = format!("/api/v1/approvals/{}/approve", other.pending(&secret));
            let decided = Instant::now();
            assert_eq!(other.post(&path, &secret, &json!({})).unwrap().0, 200);
            let (status, answered) = held.join().unwrap();
            assert_eq!(status, 200);
            took.push(answered.saturating_duration_since(decided));
        });
    }
    took.sort();
    println!("median {:?}, longest {:?}", took[10], took[19]);
    // What is promised. Most of it is the decision's own way to the disk.
    assert!(took[10] < Duration::from_secs(1), "{took:?}");

    // Behind the consoles' back nobody is told, and nobody looks, however long it takes; then somebody is.
    let asked = question(21, "e-21");
    std::thread::scope(|scope| {
        let held = scope.spawn(|| one.post("/ext_authz/x", KEY, &asked).unwrap());
        let id = other.pending(&secret);
        sql(&format!(
            "UPDATE approvals SET state = 'approved', decided_by = 'bob', decided_at = asked_at WHERE id = '{id}'"
        ));
        std::thread::sleep(Duration::from_secs(3));
        assert!(!held.is_finished(), "it was found by looking");
        sql(&format!(
            "NOTIFY countersign, 'changed {}'",
            "15".repeat(32)
        ));
        assert_eq!(held.join().unwrap().0, 200);
    });

    // A console that cannot hear for a while misses nothing: it looks when it hears again.
    let asked = question(22, "e-22");
    std::thread::scope(|scope| {
        // As a gateway does: no answer is a reason to ask again.
        let held = scope.spawn(|| {
            loop {
                match one.post("/ext_authz/x", KEY, &asked) {
                    Some((503, _)) | None => {}
                    Some(answer) => return answer,
                }
            }
        });
        let path = format!("/api/v1/approvals/{}/refuse", other.pending(&secret));
        // The listeners' last statement is a beat; of whom it is does not matter.
        sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()");
        until(|| {
            other
                .post(&path, &secret, &json!({}))
                .is_some_and(|answer| answer.0 == 200)
        });
        assert_eq!(held.join().unwrap().0, 403);
    });
}

#[test]
fn an_exchange_that_ends_on_one_console_frees_its_caller_on_another() {
    if !is_there() {
        return;
    }
    let site = Site::new();
    let (one, other) = (site.console("one"), site.console("other"));
    let secret = site.person("bob");
    let asked = question(1, "w-0");
    std::thread::scope(|scope| {
        let held = scope.spawn(|| one.post("/ext_authz/x", KEY, &asked));
        let id = other.pending(&secret);
        let (_, ended) = records("w", 0, 1);
        assert_eq!(other.post("/v1/logs", KEY, &ended).unwrap().0, 200);
        held.join().unwrap();
        let path = format!("/api/v1/approvals/{id}");
        loop {
            let steps = other.get(&path, &secret)["events"].clone();
            let steps = steps.as_array().unwrap().clone();
            if steps.iter().any(|step| step["kind"] == "gone") {
                break;
            }
            std::thread::yield_now();
        }
    });
}

#[test]
fn both_append_to_one_ledger_and_either_may_be_killed() {
    if !is_there() {
        return;
    }
    let site = Site::new();
    let (one, other) = (site.console("one"), site.console("other"));
    let secret = site.person("bob");
    let acked = Mutex::new(BTreeSet::new());
    let one_lives = AtomicBool::new(true);
    std::thread::scope(|scope| {
        for (console, name) in [(&one, "a"), (&other, "b")] {
            for sender in 0..2 {
                let (acked, one_lives, address) = (&acked, &one_lives, console.url());
                scope.spawn(move || {
                    let worker = format!("{name}-{sender}");
                    let mut number = 0;
                    let mut after = 0;
                    // The other goes on for a while once the one is dead.
                    while after < 20 {
                        let (ids, body) = records(&worker, number, 10);
                        match post(&address, "/v1/logs", KEY, &body) {
                            Some((200, _)) => acked.lock().unwrap().extend(ids),
                            answer if name == "a" => {
                                let dead = !one_lives.load(Ordering::SeqCst);
                                assert!(dead, "{answer:?}");
                                return;
                            }
                            answer => panic!("{answer:?}"),
                        }
                        number += 10;
                        after += i64::from(!one_lives.load(Ordering::SeqCst));
                    }
                });
            }
        }
        while acked.lock().unwrap().len() < 400 {
            std::thread::yield_now();
        }
        one_lives.store(false, Ordering::SeqCst);
        let killed = Command::new("kill")
            .arg("-KILL")
            .arg(one.0.child.id().to_string())
            .status();
        assert!(killed.unwrap().success());
    });
    let acked = acked.into_inner().unwrap();
    let report = site.verify();
    assert!(report.contains("GOOD"), "{report}");
    // Written by either, found on the one that is left; and on one that comes anew.
    while !site
        .run(&["ledger", "status"])
        .contains(" 0 not searchable yet")
    {
        std::thread::yield_now();
    }
    let again = site.console("one");
    for console in [&other, &again] {
        let found = console.found("", &secret);
        assert!(found >= acked.len() as u64, "{found} of {}", acked.len());
        assert!(console.found("id:a-0-0", &secret) == 1 && console.found("id:b-0-0", &secret) == 1);
        assert_eq!(console.found("%22drop+the+tables%22", &secret), found);
    }
    for folder in ["one", "other"] {
        let data = site.data(folder);
        let key = site.run(&["ledger", "keys", "show"]);
        let beside = site.run(&[
            "ledger",
            "verify",
            "--key",
            &key,
            "--data",
            data.to_str().unwrap(),
        ]);
        assert!(beside.contains("GOOD"), "{beside}");
    }
    let bundle = site.data("trail.ndjson");
    let bundle = bundle.to_str().unwrap();
    site.run(&["ledger", "bundle", "-o", bundle]);
    let key = site.run(&["ledger", "keys", "show"]);
    assert!(
        site.run(&["ledger", "verify", bundle, "--key", &key])
            .contains("GOOD")
    );
}

#[test]
fn a_server_that_is_killed_costs_nothing_that_was_acknowledged() {
    if !is_there() {
        return;
    }
    let folder = database::initialised();
    // Each removes the folder when it goes: none does before the end.
    let mut servers = vec![Running::start(&folder)];
    let socket = folder.display().to_string().replace('/', "%2F");
    let site = Site::over(format!("postgres://postgres@{socket}/postgres"));
    until(|| {
        site.command(&["user", "list"])
            .output()
            .unwrap()
            .status
            .success()
    });
    let console = site.console("one");
    let mut acked = BTreeSet::new();
    for number in 0..20 {
        let (ids, body) = records("w", number * 5, 5);
        let answer = console.post("/v1/logs", KEY, &body);
        assert_eq!(answer.unwrap().0, 200);
        acked.extend(ids);
    }
    servers[0].kill();
    // Nothing is acknowledged while it is away, and nobody is kept waiting for it.
    let (ids, body) = records("w", 100, 5);
    assert_eq!(console.post("/v1/logs", KEY, &body).unwrap().0, 503);
    // The children of the one that was killed go a moment later, and only then another one starts.
    until(|| {
        let ready = site.command(&["user", "list"]).output().unwrap();
        if !ready.status.success() {
            servers.push(Running::start(&folder));
            std::thread::sleep(Duration::from_millis(500));
        }
        ready.status.success()
    });
    until(|| console.post("/v1/logs", KEY, &body).unwrap().0 == 200);
    acked.extend(ids);
    let report = site.verify();
    assert!(report.contains("GOOD"), "{report}");
    assert_eq!(acked.len(), 105);
    let secret = site.person("bob");
    until(|| console.found("", &secret) == 105);
    drop(console);
    servers.into_iter().for_each(Running::end);
}

#[test]
fn what_cannot_be_used_is_refused_in_words() {
    if !is_there() {
        return;
    }
    let server = Server::get();
    let site = Site::new();
    let refused = |url: &str, data: &Path| {
        let output = site
            .command(&["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .env("COUNTERSIGN_DATABASE", url)
            .output()
            .unwrap();
        assert!(!output.status.success());
        said(&output)
    };
    let data = site.data("one");
    for (url, words) in [
        ("mysql://root@h/x", "postgres://user:password@host/database"),
        ("postgres://u:s3cret@127.0.0.1:1/x", "u@127.0.0.1:1/x"),
        (&server.url("nothing"), "make it with createdb"),
    ] {
        let said = refused(url, &data);
        assert!(said.contains(words), "{said}");
        assert!(!said.contains("s3cret"), "{said}");
    }
    server.sql("postgres", "CREATE ROLE guest LOGIN");
    server.sql("postgres", "CREATE DATABASE guests");
    let guest = server.url("guests").replace("postgres@", "guest@");
    let said = refused(&guest, &data);
    assert!(said.contains("GRANT CREATE"), "{said}");
    // Another key would make another ledger.
    drop(site.console("one"));
    let output = site
        .command(&["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(site.data("other"))
        .env_remove("COUNTERSIGN_SIGNING_KEY")
        .output()
        .unwrap();
    let words = said_of(&output);
    assert!(
        words.contains("does not have the ledger's signing key"),
        "{words}"
    );
    assert!(words.contains("Copy it from"), "{words}");
}

fn said_of(output: &Output) -> String {
    assert!(!output.status.success());
    said(output)
}

/// Waits for what another program does.
fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        std::thread::sleep(Duration::from_millis(10));
    }
}

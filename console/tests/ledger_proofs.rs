//! Proving: exports, witnesses, proofs over HTTP, and the commands.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // These are tests.

mod common;

use std::collections::HashSet;
use std::io::{BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;

use axum::http::{Method, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::trail::Trail;
use common::{Console, NOON, batch, exchange};
use countersign::clock::Clock;
use countersign::ledger::bundle::{self, Selection};
use countersign::ledger::entry::{Hash, leaf_hash};
use countersign::ledger::note::{Note, Verifier};
use countersign::ledger::verify::{Against, Report, What, verify};
use countersign::ledger::{read, tree, witness};
use serde_json::{Value, json};

fn export(trail: &Trail, selection: &Selection) -> String {
    let mut out = Vec::new();
    let wanted = selection.clone();
    let written = trail
        .store
        .read_now(|c| Ok(bundle::write(&*c.snapshot()?, NOON, &wanted, &mut out)));
    written.unwrap().unwrap();
    String::from_utf8(out).unwrap()
}

fn verify_export(text: &str, key: &Verifier, elsewhere: &[String]) -> Result<Report, String> {
    let folder = tempfile::tempdir().unwrap();
    let read = bundle::read(
        BufReader::new(text.as_bytes()),
        &folder.path().join("scratch.db"),
    )
    .map_err(|failure| failure.to_string())?;
    let against = Against {
        key: key.clone(),
        checkpoints: elsewhere.to_vec(),
        beside: Vec::new(),
        derived: false,
        selection: read.selection,
    };
    Ok(verify(&read.connection, &against).unwrap())
}

#[test]
fn an_export_verifies_by_itself_and_no_line_can_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let trail = Trail::new(folder.path());
    trail.exchanges("w", 0, 12);
    trail.approval();
    let kept = trail.checkpoint();
    trail.clock.advance(60_000);
    trail.exchanges("w", 12, 3);
    let key = trail.key.verifier().clone();
    let text = export(&trail, &Selection::All);
    let report = verify_export(&text, &key, std::slice::from_ref(&kept)).unwrap();
    assert!(report.is_good(), "{report}");
    assert!(report.entries > 30 && report.bodies >= 15 && report.signed == report.entries);

    let lines: Vec<&str> = text.lines().collect();
    for index in 0..lines.len() {
        // Without the line.
        let mut fewer = lines.clone();
        fewer.remove(index);
        let found = verify_export(&fewer.join("\n"), &key, &[]);
        assert!(
            !found.is_ok_and(|report| report.is_good()),
            "without line {index}"
        );
    }
    for (what, from, to) in [
        ("a user", "ci-runner", "someone-else"),
        ("a body", "\"data\":\"", "\"data\":\"AAAA"),
        ("a checkpoint", "ledger.test\\n", "ledger.tset\\n"),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{what}");
        let found = verify_export(&changed, &key, &[]);
        assert!(!found.is_ok_and(|report| report.is_good()), "{what}");
    }
    let cut: String = lines[..lines.len() - 1].join("\n");
    assert!(
        verify_export(&cut, &key, &[])
            .unwrap_err()
            .contains("ends in the middle")
    );
}

#[test]
fn a_selection_verifies_with_the_hashes_of_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let trail = Trail::new(folder.path());
    trail.exchanges("w", 0, 300);
    let key = trail.key.verifier().clone();
    let wanted: HashSet<i64> = trail
        .store
        .read_now(|c| read::exchange(c, "w-7"))
        .unwrap()
        .iter()
        .map(|record| record.index)
        .collect();
    let text = export(&trail, &Selection::Entries(wanted));
    assert!(
        !text.contains("customer 8") && text.len() < 200_000,
        "{}",
        text.len()
    );
    let report = verify_export(&text, &key, &[]).unwrap();
    assert!(report.is_good(), "{report}");
    assert_eq!(
        (report.entries, report.hashes_only, report.bodies),
        (601, 598, 2)
    );
    let changed = text.replacen("ci-runner", "someone-else", 1);
    let report = verify_export(&changed, &key, &[]).unwrap();
    assert_eq!(report.findings[0].what, What::Edited);
}

/// A witness that answers with these statuses, one after the other, and keeps what it is sent.
fn stub(answers: Vec<&'static str>) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/take", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let mut taken = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut text = String::new();
            let mut buffer = [0; 4096];
            let body = loop {
                let n = stream.read(&mut buffer).unwrap();
                text.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
                let Some((head, body)) = text.split_once("\r\n\r\n") else {
                    continue;
                };
                let length = head
                    .lines()
                    .find_map(|line| {
                        line.to_lowercase()
                            .strip_prefix("content-length: ")?
                            .parse()
                            .ok()
                    })
                    .unwrap_or(0);
                if body.len() >= length {
                    break body.to_owned();
                }
            };
            taken.push(body);
            let (status, said) = answer.split_once('|').unwrap_or((answer, ""));
            write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{said}",
                said.len()
            )
            .unwrap();
        }
        taken
    });
    (url, thread)
}

#[tokio::test]
async fn a_witness_that_fails_is_asked_again_and_seen_to_fail() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let trail = tokio::task::spawn_blocking(move || {
        let trail = Trail::new(&path);
        trail.exchanges("w", 0, 2);
        trail
    })
    .await
    .unwrap();
    let clock = Clock::set_to(NOON);
    let (url, stub) = stub(vec![
        "503 No",
        "200 OK|\u{2014} witness.test c2lnbmF0dXJl\n",
    ]);
    let stand = async || trail.store.read(witness::list).await.unwrap().remove(0);
    assert!(
        witness::send_newest(&trail.store, &clock, &url)
            .await
            .unwrap()
    );
    let failed = stand().await;
    assert_eq!((failed.failures, failed.sent_size), (1, 0));
    assert!(failed.error.unwrap().contains("503"));
    assert!(
        !witness::send_newest(&trail.store, &clock, &url)
            .await
            .unwrap(),
        "it pauses"
    );
    clock.advance(1_000);
    assert!(
        witness::send_newest(&trail.store, &clock, &url)
            .await
            .unwrap()
    );
    let good = stand().await;
    assert_eq!((good.failures, good.sent_size, good.error), (0, 2, None));
    assert!(good.cosignature.unwrap().contains("witness.test"));
    assert!(
        !witness::send_newest(&trail.store, &clock, &url)
            .await
            .unwrap(),
        "it has it"
    );
    let taken = stub.join().unwrap();
    assert_eq!(taken[0], taken[1]);
    let note = Note::parse(&taken[1]).unwrap();
    assert!(note.is_signed_by(trail.key.verifier()));
    // A witness that is not there at all.
    assert!(
        witness::send_newest(&trail.store, &clock, "http://127.0.0.1:1/")
            .await
            .unwrap()
    );
    let all = trail.store.read(witness::list).await.unwrap();
    assert!(all[0].error.is_some());
}

#[tokio::test]
async fn proofs_over_http_are_those_of_the_tree() {
    let console = Console::start();
    let secret = console.person("bob", &[]).await;
    let get = async |path: &str| {
        console
            .api(
                Method::GET,
                &format!("/api/v1/ledger/{path}"),
                &secret,
                Value::Null,
            )
            .await
    };
    assert_eq!(
        get("checkpoint").await.status,
        StatusCode::NOT_FOUND,
        "this console does not sign"
    );
    let many: Vec<Value> = (0..300)
        .map(|n| exchange(&format!("x-{n}"), "x", n + 1).0)
        .collect();
    let taken = console
        .logs("application/json", batch(&many).to_string().into_bytes())
        .await;
    assert_eq!(taken.status, StatusCode::OK);
    let unhash = |value: &Value| -> Hash {
        STANDARD
            .decode(value.as_str().unwrap())
            .unwrap()
            .try_into()
            .unwrap()
    };
    let path = |value: &Value| -> Vec<Hash> {
        value["proof"]
            .as_array()
            .unwrap()
            .iter()
            .map(unhash)
            .collect()
    };
    let found = get("inclusion?index=123&size=280").await.json();
    let leaf = leaf_hash(found["leaf"].as_str().unwrap().as_bytes());
    assert_eq!(leaf, unhash(&found["leaf_hash"]));
    let root = unhash(&found["root"]);
    assert!(tree::check_inclusion(leaf, 123, 280, &path(&found), &root));
    let found = get("consistency?from=100&to=280").await.json();
    assert_eq!(unhash(&found["to_root"]), root);
    let from_root = unhash(&found["from_root"]);
    assert!(tree::check_consistency(
        (100, &from_root),
        (280, &root),
        &path(&found)
    ));
    for bad in [
        "inclusion?index=300&size=300",
        "inclusion?index=-1&size=3",
        "inclusion?index=1&size=400",
        "consistency?from=10&to=5",
        "consistency?from=10&to=999",
    ] {
        assert_eq!(get(bad).await.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    assert_eq!(get("health").await.json()["position"]["entries"], 300);
    assert_eq!(get("keys").await.json()["keys"], json!([]));
    let stranger = console
        .api(Method::GET, "/api/v1/ledger/health", "nobody", Value::Null)
        .await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
}

#[test]
fn the_commands_say_what_they_found() {
    let folder = tempfile::tempdir().unwrap();
    let trail = Trail::new(folder.path());
    trail.exchanges("w", 0, 3);
    let key = trail.close().to_string();
    let run = |args: &[&str], data: Option<&Path>| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.arg("ledger").args(args);
        if let Some(data) = data {
            command.arg("--data").arg(data);
            command.envs(common::database::environment(data));
        }
        let output = command.output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code().unwrap(), text)
    };
    let data = Some(folder.path());
    assert_eq!(run(&["keys", "show"], data), (0, format!("{key}\n")));
    let (code, text) = run(&["verify", "--key", &key], data);
    assert!(code == 0 && text.contains("GOOD"), "{text}");
    let (code, text) = run(&["checkpoint"], data);
    assert!(code == 0 && text.starts_with("ledger.test\n"), "{text}");
    let kept = folder.path().join("kept.txt");
    std::fs::write(&kept, &text).unwrap();
    let (code, text) = run(&["proof", "--entry", "1"], data);
    assert!(code == 0 && text.contains("leaf_hash"), "{text}");
    let (code, text) = run(&["status"], data);
    assert!(code == 0 && text.contains("worker        w"), "{text}");
    let bundle = folder.path().join("trail.ndjson");
    let bundle = bundle.to_str().unwrap();
    assert_eq!(run(&["bundle", "-o", bundle], data).0, 0);
    let kept = kept.to_str().unwrap();
    let (code, text) = run(
        &["verify", bundle, "--key", &key, "--checkpoint", kept],
        None,
    );
    assert!(code == 0 && text.contains("GOOD"), "{text}");
    let changed = std::fs::read_to_string(bundle)
        .unwrap()
        .replacen("ci-runner", "someone", 1);
    std::fs::write(bundle, changed).unwrap();
    let (code, text) = run(&["verify", bundle, "--key", &key], None);
    assert!(
        code == 1 && text.contains("NOT GOOD: entry 1 was edited"),
        "{text}"
    );
    let (code, text) = run(&["verify", bundle, "--key", "nonsense"], None);
    assert!(code == 1 && text.contains("ledger keys show"), "{text}");
    let (code, text) = run(
        &[
            "hold",
            "add",
            "--user",
            "ci-runner",
            "--reason",
            "r",
            "--who",
            "w",
        ],
        data,
    );
    assert_eq!(code, 0, "{text}");
    let id = text.trim().to_owned();
    assert_eq!(
        run(
            &["hold", "remove", &id, "--reason", "r", "--who", "w"],
            data
        )
        .0,
        0
    );
    assert_eq!(
        run(
            &["hold", "remove", &id, "--reason", "r", "--who", "w"],
            data
        )
        .0,
        1
    );
    let (code, text) = run(&["retain", "--bodies-after", "30d"], data);
    assert!(code == 0 && text.starts_with("deleted "), "{text}");
    let (code, text) = run(&["verify", "--key", &key], data);
    assert!(code == 0 && text.contains("are not signed yet"), "{text}");
}

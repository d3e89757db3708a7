//! Evidence packs: what is in one verifies by the very commands that it names.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // These are tests.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};

use common::program::Program;
use common::{KEY, batch, exchange, record};
use serde_json::{Value, json};

const HOSTILE: &str = "</pre><script>alert(1)</script><img src=//evil.example>\u{202e}";

fn countersign(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(args).env("COUNTERSIGN_GATEWAY_KEY", KEY);
    command
}

/// A console that takes these records, and then stops.
fn recorded(data: &Path, records: &[Value]) {
    let mut console = Program::serve(countersign(&[]), data, &[]);
    let body = batch(records).to_string();
    let mut stream = TcpStream::connect(&console.address).unwrap();
    write!(
        stream,
        "POST /v1/logs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let id = console.child.id().to_string();
    let terminated = Command::new("kill").arg(id).status();
    assert!(terminated.unwrap().success());
    console.child.wait().unwrap();
}

fn sh(command: &str, folder: &Path) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_countersign"));
    let path = std::env::var("PATH").unwrap();
    Command::new("sh")
        .args(["-ec", command])
        .current_dir(folder)
        .env(
            "PATH",
            format!("{}:{path}", program.parent().unwrap().display()),
        )
        .output()
        .unwrap()
}

/// The commands of a Markdown text, but for those with a placeholder.
fn commands(markdown: &str) -> Vec<String> {
    markdown
        .split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap().trim().to_owned())
        .filter(|command| !command.contains("YOUR"))
        .collect()
}

fn fixture(folder: &Path) -> std::path::PathBuf {
    let data = folder.join("data");
    let mut records = Vec::new();
    for number in 0..4 {
        let (request, outcome) = exchange(&format!("other-{number}"), "w", 2 * number + 1);
        records.extend([request, outcome]);
    }
    // What a worker says when it begins; twice, as two workers would.
    for seq in [11, 12] {
        let began = json!({
            "countersign.worker.id": "w", "countersign.worker.seq": seq, "countersign.mode": "enforce",
            "countersign.policy.digest": "ab".repeat(32), "countersign.policy.document": r#"{"default":"deny"}"#,
        });
        records.push(record("countersign.policy", &began));
    }
    let own = |seq: i64| {
        json!({
            "countersign.exchange.id": "own-1", "countersign.worker.id": "w", "countersign.worker.seq": seq,
            "user.id": "alice", "countersign.connection": "copilot", "http.request.method": "POST",
            "url.full": "https://api.githubcopilot.com/chat/completions", "countersign.decision": "allowed",
            "countersign.policy.digest": "ab".repeat(32), "countersign.session.id": HOSTILE,
            "countersign.operations": [{"name": "chat.completion", "aliases": []}],
            "countersign.request.body": json!({"messages": [{"role": "user", "content": HOSTILE}]}).to_string(),
            "countersign.response.body": json!({"choices": [{"index": 0, "message": {"content": HOSTILE}}]}).to_string(),
            "http.response.status_code": 200, "countersign.duration_us": 10,
        })
    };
    records.push(record("countersign.request", &own(9)));
    records.push(record("countersign.outcome", &own(10)));
    recorded(&data, &records);
    let pack = folder.join("pack.zip");
    let arguments = [
        "ledger",
        "evidence",
        "--user",
        "alice",
        "--from",
        "2020-01-01",
        "--data",
    ];
    let made = countersign(&arguments)
        .arg(&data)
        .arg("--out")
        .arg(&pack)
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let again = countersign(&arguments)
        .arg(&data)
        .arg("--out")
        .arg(&pack)
        .output()
        .unwrap();
    assert!(!again.status.success(), "evidence was overwritten");
    let unpacked = folder.join("pack");
    let mut zip = zip::ZipArchive::new(std::fs::File::open(&pack).unwrap()).unwrap();
    zip.extract(&unpacked).unwrap();
    unpacked
}

#[test]
fn a_pack_verifies_by_its_own_commands_and_not_when_it_was_changed() {
    let folder = tempfile::tempdir().unwrap();
    let pack = fixture(folder.path());
    let verify = std::fs::read_to_string(pack.join("VERIFY.md")).unwrap();
    let commands = commands(&verify);
    assert_eq!(commands.len(), 2, "{verify}");
    for command in &commands {
        let ran = sh(command, &pack);
        let told = String::from_utf8_lossy(&ran.stdout).into_owned()
            + &String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{command}: {told}");
    }
    let ledger = pack.join("ledger.ndjson");
    let text = std::fs::read_to_string(&ledger).unwrap();
    assert!(
        text.contains("alice") && !text.contains("ci-runner"),
        "{text}"
    );
    // Another place in the trail is another leaf.
    let changed = text.replacen("alice", "alicf", 1);
    assert_ne!(changed, text);
    std::fs::write(&ledger, changed).unwrap();
    for command in &commands {
        assert!(!sh(command, &pack).status.success(), "{command}");
    }
}

#[test]
fn a_pack_holds_what_was_asked_for_and_its_report_is_only_text() {
    let folder = tempfile::tempdir().unwrap();
    let pack = fixture(folder.path());
    let read = |name: &str| std::fs::read_to_string(pack.join(name)).unwrap();
    let records: Vec<Value> = read("records.ndjson")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    // The policy that decided, once, and what was asked for.
    let [policy, own @ ..] = records.as_slice() else {
        panic!("no records");
    };
    assert_eq!(policy["event"], "countersign.policy");
    assert_eq!(own.len(), 2);
    assert!(
        own.iter()
            .all(|record| record["attributes"]["user.id"] == "alice")
    );
    assert_eq!(read("exchanges.csv").lines().count(), 2);
    let policies: Value = serde_json::from_str(&read("policies.json")).unwrap();
    assert_eq!(
        policies["ab".repeat(32)],
        json!({"records": 2, "document": {"default": "deny"}})
    );
    let report = read("report.html");
    assert!(
        !report.contains("<script") && !report.contains("<img"),
        "{report}"
    );
    assert!(!report.contains('\u{202e}'));
    // Its own markup names nothing elsewhere; what agents wrote is escaped text.
    for element in [
        "<link",
        "<iframe",
        "<object",
        "<form",
        "url(",
        "@import",
        "href=\"http",
        "href=\"//",
    ] {
        assert!(!report.contains(element), "{element} in {report}");
    }
    assert!(
        report.contains("&#60;script&#62;alert(1)") || report.contains("&lt;script&gt;alert(1)"),
        "{report}"
    );
}

//! `countersign approvals` as somebody meets it who has never used it: what it asks for, what it says
//! when that is wrong, and that it does not lose a console that is restarted.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // These are tests.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use common::program::Program;
use common::{KEY, question};
use serde_json::{Value, json};

struct Console(Program);

impl Console {
    fn start(data: &Path, listen: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command
            .args(["serve", "--listen", listen, "--data"])
            .arg(data)
            .env("COUNTERSIGN_GATEWAY_KEY", KEY);
        Self(Program::begin(command, Stdio::null()))
    }

    fn ask(&self, question: &Value) {
        let body = question.to_string();
        let mut stream = TcpStream::connect(&self.0.address).unwrap();
        write!(
            stream,
            "POST /ext_authz/x HTTP/1.1\r\nHost: console\r\nAuthorization: Bearer {KEY}\r\nx-countersign-hold: 0\r\n\
             x-countersign-fingerprint: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            question["fingerprint"].as_str().unwrap(),
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("decision: pending"), "{answer}");
    }

    fn approvals(&self, token: Option<&str>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        let server = format!("http://{}", self.0.address);
        command.arg("approvals").env("COUNTERSIGN_SERVER", server);
        match token {
            Some(token) => command.env("COUNTERSIGN_TOKEN", token),
            None => command.env_remove("COUNTERSIGN_TOKEN"),
        };
        command
    }
}

/// Standard output and standard error.
fn said(command: &mut Command, succeeds: bool) -> (String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, errors) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.success(), succeeds, "{out}{errors}");
    (out, errors)
}

fn operator(data: &Path, words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(words).arg("--data").arg(data);
    said(&mut command, true).0.trim().to_owned()
}

/// A write of a file, by somebody with control characters in his name.
fn write(number: u8) -> Value {
    let mut asked = question(number, &format!("e-{number}"));
    let content = "bmFtZTogY2kKb246IHB1c2gK"; // name: ci, on: push
    let body = json!({"message": "Deploy", "branch": "main", "content": content});
    asked["request"] = json!({"method": "PUT", "authority": "api.github.com", "path": "/repos/acme/web/contents/ci.yml",
        "content_type": "application/json", "body": body.to_string(), "body_encoding": "utf8"});
    asked["operations"] = json!([{"name": "content.write", "repo": "acme/web", "paths": ["ci.yml"], "paths_known": true}]);
    asked["identity"]["email"] = json!("ci\u{1b}[31m@example.com");
    asked["summary"] = json!("");
    asked
}

#[test]
fn who_begins_is_told_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    operator(
        folder.path(),
        &["user", "add", "bob", "--group", "platform-leads"],
    );
    let token = |scope: &str| {
        operator(
            folder.path(),
            &["api-token", "add", "--for", "bob", "--scope", scope],
        )
    };
    let reading = token("approvals:read");
    let all = operator(
        folder.path(),
        &[
            "api-token",
            "add",
            "--for",
            "bob",
            "--scope",
            "approvals:read",
            "--scope",
            "approvals:decide",
        ],
    );
    let console = Console::start(folder.path(), "127.0.0.1:0");
    let (_, errors) = said(console.approvals(None).arg("list"), false);
    assert!(
        errors.contains("there is no token") && errors.contains("countersign api-token add"),
        "{errors}"
    );
    let (_, errors) = said(console.approvals(Some("cst_wrong")).arg("list"), false);
    assert!(
        errors.starts_with("error: nobody has this secret, or the token has ended\n"),
        "{errors}"
    );
    let (out, errors) = said(console.approvals(Some(&all)).arg("list"), true);
    assert_eq!(
        (out.as_str(), errors.trim()),
        ("", "no request of yours to see is pending")
    );
    let (_, errors) = said(
        console
            .approvals(Some(&all))
            .args(["list", "--state", "bogus"]),
        false,
    );
    assert_eq!(errors, "error: no state is called bogus\n");

    (1..=2).for_each(|number| console.ask(&write(number)));
    let (out, _) = said(console.approvals(Some(&all)).arg("list"), true);
    let lines: Vec<Vec<&str>> = out.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(lines.len(), 2, "{out}");
    assert_eq!(
        lines[0][1..4],
        ["ticket", "ci-runner", "write ci.yml of acme/web"]
    );
    assert!(
        lines[0][4].ends_with(" left") && lines[0][4].starts_with("14 min"),
        "{out}"
    );
    let id = lines[0][0];

    // The first letters of an id are enough, unless they are of several.
    let (page, _) = said(
        console.approvals(Some(&all)).args(["show", &id[..10]]),
        true,
    );
    for part in [
        "groups       agents",
        "ci\\u{1b}[31m@example.com",
        "+name: ci\n+on: push",
        "commit message",
    ] {
        assert!(page.contains(part), "{part:?} is not in {page}");
    }
    assert!(
        !page.contains("bmFtZTog"),
        "what changes is shown, and not its base64: {page}"
    );
    for (wrong, words) in [
        ("zzzz-not-there", "there is no such approval"),
        ("x", "at least 4 letters"),
    ] {
        let (_, errors) = said(console.approvals(Some(&all)).args(["show", wrong]), false);
        assert!(errors.contains(words), "{errors}");
    }
    let (_, errors) = said(
        console
            .approvals(Some(&reading))
            .args(["approve", &id[..10]]),
        false,
    );
    assert!(
        errors.contains("lacks the scope approvals:decide"),
        "{errors}"
    );
    let (out, _) = said(
        console
            .approvals(Some(&all))
            .args(["deny", &id[..10], "--reason", "no"]),
        true,
    );
    assert_eq!(out, "refused: write ci.yml of acme/web\n");
    let (_, errors) = said(console.approvals(Some(&all)).args(["approve", id]), false);
    assert_eq!(errors, "error: this request is already refused\n");
}

#[test]
fn watching_goes_on_when_the_console_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    operator(
        folder.path(),
        &["user", "add", "bob", "--group", "platform-leads"],
    );
    let token = operator(
        folder.path(),
        &[
            "api-token",
            "add",
            "--for",
            "bob",
            "--scope",
            "approvals:read",
        ],
    );
    let console = Console::start(folder.path(), "127.0.0.1:0");
    let address = console.0.address.clone();
    let mut watching = console
        .approvals(Some(&token))
        .args(["watch", "--lines", "2"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut errors = BufReader::new(watching.stderr.take().unwrap()).lines();
    console.ask(&write(1));
    assert!(lines.next().unwrap().unwrap().contains("\tci-runner\t"));
    drop(console);
    let line = errors.next().unwrap().unwrap();
    assert!(line.starts_with("the console went away"), "{line}");
    let console = Console::start(folder.path(), &address);
    console.ask(&write(2));
    assert!(lines.next().unwrap().unwrap().contains("\tci-runner\t"));
    assert!(watching.wait().unwrap().success());
}

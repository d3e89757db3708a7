//! What the real `git` shows of a denial: a small server judges and answers, git pushes to it.
#![expect(
    clippy::disallowed_methods,
    reason = "the engine does no I/O; this test runs a server and a client around it"
)]
#![expect(clippy::unwrap_used, reason = "every function here is a test's")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use countersign_core::denial::{Denial, DenialStyle, Reply, TicketInfo, render};
use countersign_core::head::{Headers, RequestHead};
use countersign_core::operation::Operation;
use countersign_core::path::RequestPath;
use countersign_core::protocol::{ProtocolKind, head_style, operations};
use countersign_core::reason::Reason;

/// Where the gateway says no.
#[derive(Clone, Copy, PartialEq)]
enum Gate {
    /// Without credentials, then on the push.
    Push(Reason),
    /// On the push, before its commands are read.
    PushUnread(Reason),
    /// On the first request.
    InfoRefs(Reason),
}

const ADVERTISED: &str = "0123456789012345678901234567890123456789";

fn pkt(line: &str) -> String {
    format!("{:04x}{line}", line.len() + 4)
}

fn advertisement() -> Reply {
    let body = format!(
        "{}0000{}0000",
        pkt("# service=git-receive-pack\n"),
        pkt(&format!(
            "{ADVERTISED} refs/heads/old\0report-status-v2 side-band-64k delete-refs quiet atomic \
             ofs-delta object-format=sha1 agent=test\n"
        ))
    );
    Reply {
        status: 200,
        headers: vec![(
            "content-type".into(),
            "application/x-git-receive-pack-advertisement".to_owned(),
        )],
        body: body.into_bytes(),
    }
}

fn answer(gate: Gate, head: &RequestHead, body: &[u8]) -> (Reply, Vec<Operation>) {
    let path = RequestPath::read(&head.path).unwrap();
    let told = |reason| Denial {
        reason,
        rule: Some("production-branch"),
        text: "Pushes to main need a release manager.",
        detail: None,
        exchange: "ex-42",
        ticket: (reason == Reason::ApprovalPending).then_some(TicketInfo {
            id: "ap-1",
            url: "https://console.test/approvals/ap-1",
            expires: 1_900_000_000,
        }),
        realm: "countersign",
    };
    let early = head_style(ProtocolKind::Git, head, Some(&path));
    let first = early == DenialStyle::GitInfoRefs;
    if !head.headers.contains("authorization") {
        return (render(&early, &told(Reason::TokenMissing)), Vec::new());
    }
    match gate {
        Gate::InfoRefs(reason) => (render(&early, &told(reason)), Vec::new()),
        _ if first => (advertisement(), Vec::new()),
        Gate::PushUnread(reason) => (render(&early, &told(reason)), Vec::new()),
        Gate::Push(reason) => {
            let judged = operations(ProtocolKind::Git, head, &path, Some(body)).unwrap();
            (render(&judged.style, &told(reason)), judged.operations)
        }
    }
}

/// Serves until git is done; what was judged, by ref.
fn serve(listener: &TcpListener, gate: Gate) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let Some((head, body)) = read_request(&stream) else {
            break;
        };
        let (reply, operations) = answer(gate, &head, &body);
        for operation in operations {
            let reference = operation.reference.known().unwrap_or("-").to_owned();
            seen.insert(reference, operation.attributes["change"].clone());
        }
        let mut out = format!("HTTP/1.1 {} x\r\n", reply.status);
        for (name, value) in &reply.headers {
            out.push_str(&format!("{name}: {value}\r\n"));
        }
        out.push_str(&format!(
            "content-length: {}\r\nconnection: close\r\n\r\n",
            reply.body.len()
        ));
        stream.write_all(out.as_bytes()).unwrap();
        stream.write_all(&reply.body).unwrap();
    }
    seen
}

/// One HTTP/1.1 request; nothing when the test says that git is done.
fn read_request(stream: &TcpStream) -> Option<(RequestHead, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut parts = line.split_whitespace();
    let (method, path) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    let mut pairs = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end().split_once(": ") {
            Some((name, value)) => pairs.push((name.to_owned(), value.as_bytes().to_vec())),
            None => break,
        }
    }
    let head = RequestHead {
        method,
        scheme: "http".to_owned(),
        authority: "localhost".to_owned(),
        path,
        headers: Headers::new(pairs),
    };
    let length = head.headers.text("content-length").unwrap_or("0");
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    Some((head, body))
}

fn git(dir: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", dir)
        .env("LC_ALL", "C")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0");
    command
}

fn repository(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    for arguments in [
        vec!["init", "-q", "-b", "main"],
        vec!["config", "user.email", "a@example.com"],
        vec!["config", "user.name", "A"],
        vec![
            "config",
            "credential.helper",
            "!f() { echo username=x; echo password=token; }; f",
        ],
        vec!["commit", "-q", "--allow-empty", "-m", "one"],
    ] {
        assert!(git(&dir).args(arguments).status().unwrap().success());
    }
    dir
}

/// What `git push` prints, its exit code, and what the gateway judged.
fn push(name: &str, gate: Gate, refs: &[&str]) -> (String, i32, BTreeMap<String, String>) {
    let dir = repository(name);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || serve(&listener, gate));
    let url = format!("http://127.0.0.1:{port}/acme/web.git");
    let output = git(&dir).arg("push").arg(url).args(refs).output().unwrap();
    drop(TcpStream::connect(("127.0.0.1", port)).unwrap());
    let seen = server.join().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    (text, output.status.code().unwrap(), seen)
}

fn shows(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[test]
fn a_denied_push_shows_text_and_reason_for_every_ref() {
    let refs = [
        "main:refs/heads/main",
        "main:refs/heads/feat",
        ":refs/heads/old",
    ];
    let (text, code, seen) = push("denied", Gate::Push(Reason::RuleDenied), &refs);
    assert_eq!(code, 1, "{text}");
    shows(
        &text,
        &[
            "remote: Pushes to main need a release manager.",
            "exchange ex-42",
            "! [remote rejected] main -> main (countersign: rule_denied, rule production-branch)",
            "! [remote rejected] main -> feat (countersign: rule_denied, rule production-branch)",
            "! [remote rejected] old (countersign: rule_denied, rule production-branch)",
        ],
    );
    let expected = [
        ("refs/heads/feat", "create"),
        ("refs/heads/main", "create"),
        ("refs/heads/old", "delete"),
    ];
    let expected = expected.map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(seen, BTreeMap::from(expected));
}

#[test]
fn a_pending_push_shows_where_it_is_approved() {
    let (text, code, _) = push("pending", Gate::Push(Reason::ApprovalPending), &["main"]);
    assert_eq!(code, 1, "{text}");
    shows(
        &text,
        &[
            "remote: Approval: https://console.test/approvals/ap-1",
            "(countersign: approval_pending, rule production-branch)",
        ],
    );
}

#[test]
fn a_push_whose_commands_were_not_read_still_shows_why() {
    let (text, code, _) = push(
        "unread",
        Gate::PushUnread(Reason::BodyUnreadable),
        &["main"],
    );
    assert_ne!(code, 0, "{text}");
    shows(
        &text,
        &[
            "remote: Pushes to main need a release manager.",
            "countersign: body_unreadable",
        ],
    );
}

#[test]
fn a_denied_first_request_shows_the_text() {
    let (text, code, _) = push("first", Gate::InfoRefs(Reason::RuleDenied), &["main"]);
    assert_ne!(code, 0, "{text}");
    shows(&text, &["remote: Pushes to main need a release manager."]);
}

#[test]
fn a_refused_token_is_an_authentication_failure() {
    let (text, code, _) = push("token", Gate::InfoRefs(Reason::TokenInvalid), &["main"]);
    assert_ne!(code, 0, "{text}");
    shows(&text, &["Authentication failed"]);
}

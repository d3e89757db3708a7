//! A thousand held requests on one worker.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends with it, and says where"
)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use countersign_e2e::stack::get;
use countersign_e2e::{Curl, Stack, StackOptions, eventually, policy};
use serde_json::json;

/// One of Envoy's gauges.
fn gauge(stack: &Stack, name: &str) -> Option<u64> {
    let text = get(&format!("{}/stats?filter=^{name}$", stack.admin())).ok()?;
    text.trim().rsplit(' ').next()?.parse().ok()
}

/// Clock ticks of CPU that a process has used.
fn cpu(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn a_thousand_requests_are_held_at_once_and_others_pass_by() {
    const HELD: usize = 1_000;
    const CALLERS: usize = 100;
    let mut patient = policy::shipped().unwrap();
    patient["rules"] = json!([{
        "name": "files", "operations": ["content.write"], "paths": ["docs/held/**"], "action": "require_approval",
        "approval": { "reviewers": { "groups": ["platform-leads"] }, "hold": "5m" }
    }]);
    let stack = Stack::start_with(&StackOptions {
        policy: Some(patient.to_string()),
        ..StackOptions::default()
    })
    .unwrap();
    let lead = stack.person("lead", &["platform-leads"]).unwrap();
    let address = stack.gateway().trim_start_matches("http://").to_owned();
    let body = r#"{"message":"m","content":"aGVsZAo=","branch":"main"}"#;
    let tokens: Vec<String> = (0..CALLERS)
        .map(|n| stack.token(&format!("caller-{n}"), &["agents"]).unwrap())
        .collect();
    let mut clients: Vec<TcpStream> = Vec::new();
    for n in 0..HELD {
        let mut client = TcpStream::connect(&address).unwrap();
        let token = &tokens[n % CALLERS];
        write!(
            client,
            "PUT /api/v3/repos/acme/web/contents/docs/held/{n}.md HTTP/1.1\r\nhost: {address}\r\n\
             authorization: Bearer {token}\r\nuser-agent: crowd\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        clients.push(client);
    }
    let held = || gauge(&stack, "cluster.console.upstream_rq_active");
    eventually("all of them to be held", || {
        (held()? >= HELD as u64).then_some(())
    })
    .unwrap();

    // A hold costs no time of a worker: what it used in two seconds is printed for the reader.
    let before = cpu(stack.envoy.id());
    thread::sleep(Duration::from_secs(2));
    println!(
        "CPU ticks in 2 s with {HELD} held: {}",
        cpu(stack.envoy.id()) - before
    );
    let other = stack.token("passer-by", &["agents"]).unwrap();
    let user = Curl::get(&format!("{}/api/v3/user", stack.gateway())).bearer(&other);
    for _ in 0..10 {
        assert_eq!(user.run().unwrap().status, 200);
    }
    assert!(
        stack.seen_by("crowd").unwrap().is_empty(),
        "let go while it was held"
    );

    // Some are answered …
    // (The newest: the console lists them first.)
    for (n, client) in clients.iter_mut().enumerate().skip(HELD - 10) {
        let subject = format!("caller-{}", n % CALLERS);
        let path = format!("/contents/docs/held/{n}.md");
        let approval = lead
            .asked("its question", |a| {
                let asked = a["question"]["request"]["path"].as_str();
                let own = a["question"]["identity"]["subject"] == subject.as_str();
                own && asked.is_some_and(|p| p.ends_with(&path))
            })
            .unwrap();
        lead.approve(&approval).unwrap();
        let mut head = [0; 12];
        client
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        client.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 201", "{}", String::from_utf8_lossy(&head));
    }
    assert_eq!(stack.seen_by("crowd").unwrap().len(), 10);
    // … and the rest goes away, which frees every hold.
    drop(clients);
    eventually("every hold to be free", || (held()? < 10).then_some(())).unwrap();
    eventually("nobody to wait any more", || {
        let open = lead.get("/api/v1/approvals?state=pending").ok()?;
        let open = open["approvals"].as_array()?.clone();
        open.iter().all(|a| a["waiting"] == false).then_some(())
    })
    .unwrap();
    assert_eq!(stack.seen_by("crowd").unwrap().len(), 10);
}

//! The three programs together, as shipped: they start, recognise each other, and end without a trace.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends with it, and says where"
)]

use std::net::TcpStream;
use std::process::Command;

use countersign_e2e::Stack;
use countersign_e2e::stack::{get, run};

/// Status and body of a request by curl.
fn curl(arguments: &[&str]) -> (u16, String) {
    let mut command = Command::new("curl");
    command
        .args(["-s", "--max-time", "30", "-w", "\n%{http_code}"])
        .args(arguments);
    let output = run(&mut command).unwrap();
    let (body, status) = output.rsplit_once('\n').unwrap_or(("", &output));
    (status.parse().unwrap(), body.to_owned())
}

#[test]
fn the_shipped_configuration_serves_who_has_a_token() {
    let stack = Stack::start().unwrap();
    let user = format!("{}/api/v3/user", stack.gateway());

    let (status, body) = curl(&[&user]);
    assert_eq!(status, 401, "{body}");

    let token = stack.token("agent-7", &["agents"]).unwrap();
    let (status, body) = curl(&["-H", &format!("Authorization: Bearer {token}"), &user]);
    assert_eq!(status, 200, "{body}\n{}", stack.envoy.log());

    let seen = stack.seen().unwrap().to_string();
    assert!(
        !seen.contains(&token),
        "the agent's token went upstream: {seen}"
    );
}

#[test]
fn the_access_log_has_the_decision_and_what_envoy_refused_itself() {
    let stack = Stack::start().unwrap();
    let token = stack.token("agent-7", &["agents"]).unwrap();
    let bearer = format!("Authorization: Bearer {token}");
    curl(&[
        "-H",
        &bearer,
        &format!("{}/api/v3/user?access_token=secret", stack.gateway()),
    ]);
    let (status, _) = curl(&["-H", "bad_name: x", stack.gateway()]);
    assert_eq!(status, 400);
    let (status, _) = curl(&[
        "-H",
        "Host: elsewhere.example",
        "-H",
        &bearer,
        stack.gateway(),
    ]);
    assert!(status >= 400);

    let mut log = stack.access_log();
    for _ in 0..100 {
        if log.len() >= 3 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
        log = stack.access_log();
    }
    let judged = log
        .iter()
        .find(|l| l["method"] == "GET" && l["route"] == "gateway-api")
        .unwrap();
    assert!(judged["countersign"].is_string(), "{judged}");
    assert!(!judged.to_string().contains("secret"), "{judged}");
    let refused = log.iter().find(|l| l["status"] == 400).unwrap();
    assert_eq!(refused["details"], "http1.unexpected_underscore");
    assert!(
        log.iter()
            .any(|l| l["authority"] == "elsewhere.example" && l["upstream"].is_null()),
        "{log:?}"
    );
}

#[test]
fn the_console_comes_back_where_it_was() {
    let mut stack = Stack::start().unwrap();
    let before = stack.console().to_owned();
    stack.console.kill().unwrap();
    assert!(get(&format!("{before}/readyz")).is_err());
    stack.restart_console().unwrap();
    assert!(get(&format!("{before}/readyz")).is_ok());
}

#[test]
fn nothing_is_left_when_it_is_dropped() {
    let stack = Stack::start().unwrap();
    let addresses = [
        stack.gateway(),
        stack.console(),
        stack.upstream(),
        stack.admin(),
    ]
    .map(|url| url.trim_start_matches("http://").to_owned());
    for address in &addresses {
        assert!(
            TcpStream::connect(address).is_ok(),
            "nothing listens on {address}"
        );
    }
    let folder = stack.folder().to_owned();
    drop(stack);
    for address in &addresses {
        assert!(
            TcpStream::connect(address).is_err(),
            "{address} still answers"
        );
    }
    assert!(!folder.exists());
}

//! Envoy and the console are killed under load: whatever reached the upstream is on record, counted on
//! both sides, and the ledger verifies.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends with it, and says where"
)]

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use countersign_e2e::{Curl, Stack, eventually};
use serde_json::Value;

/// Clients at the same time.
const CLIENTS: usize = 3;

/// Lets clients ask, each request under a mark of its own, and runs `strike` once `enough` were
/// answered. Returns the marks of those that were answered with 200.
fn under_load(
    stack: &mut Stack,
    token: &str,
    round: &str,
    enough: usize,
    strike: impl FnOnce(&mut Stack),
) -> BTreeSet<String> {
    let answered = Mutex::new(BTreeSet::new());
    let count = AtomicUsize::new(0);
    let over = AtomicBool::new(false);
    let url = format!("{}/api/v3/user", stack.gateway());
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (answered, count, over, url) = (&answered, &count, &over, &url);
            scope.spawn(move || {
                let mut number = 0;
                while !over.load(Ordering::SeqCst) {
                    let mark = format!("{round}-{client}-{number}");
                    let answer = Curl::get(url).mark(&mark).bearer(token).run().unwrap();
                    if answer.status == 200 {
                        answered.lock().unwrap().insert(mark);
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                    number += 1;
                }
            });
        }
        eventually("enough answers", || {
            (count.load(Ordering::SeqCst) >= enough).then_some(())
        })
        .unwrap();
        strike(stack);
        over.store(true, Ordering::SeqCst);
    });
    answered.into_inner().unwrap()
}

/// The marks of all request records, read from an export.
fn on_record(stack: &Stack) -> BTreeSet<String> {
    let file = stack.folder().join("trail.ndjson");
    let path = file.to_str().unwrap();
    stack
        .countersign(&["ledger", "bundle", "-o", path])
        .unwrap();
    let text = std::fs::read_to_string(file).unwrap();
    text.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|line| serde_json::from_str::<Value>(line["leaf"].as_str()?).ok())
        .filter(|leaf| leaf["value"]["event"] == "countersign.request")
        .filter_map(|leaf| {
            let mark = &leaf["value"]["attributes"]["user_agent.original"];
            mark.as_str().map(str::to_owned)
        })
        .collect()
}

/// The marks of the requests that the upstream received.
fn upstream(stack: &Stack) -> BTreeSet<String> {
    let seen = stack.seen().unwrap();
    let requests = seen["requests"].as_array().unwrap().iter();
    requests
        .filter_map(|r| r["headers"]["user-agent"].as_str().map(str::to_owned))
        .collect()
}

#[test]
fn nothing_reaches_the_upstream_without_a_record_whoever_is_killed() {
    let mut stack = Stack::start().unwrap();
    let token = stack.token("loaded", &["agents"]).unwrap();
    let mut answered = BTreeSet::new();
    for round in 0..2 {
        answered.extend(under_load(
            &mut stack,
            &token,
            &format!("envoy-{round}"),
            10,
            |stack| {
                stack.envoy.kill().unwrap();
            },
        ));
        stack.restart_envoy().unwrap();
        answered.extend(under_load(
            &mut stack,
            &token,
            &format!("console-{round}"),
            10,
            |stack| {
                stack.console.kill().unwrap();
            },
        ));
        stack.restart_console().unwrap();
        eventually("the gateway to serve again", || {
            let answer = Curl::get(&format!("{}/api/v3/user", stack.gateway()));
            (answer.mark("again").bearer(&token).run().ok()?.status == 200).then_some(())
        })
        .unwrap();
    }
    let records = on_record(&stack);
    let forwarded: BTreeSet<String> = upstream(&stack)
        .into_iter()
        .filter(|mark| mark.starts_with("envoy-") || mark.starts_with("console-"))
        .collect();
    assert!(answered.len() >= 40 && forwarded.len() >= answered.len());
    let lost: Vec<&String> = forwarded.difference(&records).collect();
    assert!(
        lost.is_empty(),
        "{} of {} have no record: {lost:?}",
        lost.len(),
        forwarded.len()
    );
    let key = stack.countersign(&["ledger", "keys", "show"]).unwrap();
    let report = stack
        .countersign(&["ledger", "verify", "--key", &key])
        .unwrap();
    assert!(report.contains("GOOD"), "{report}");
    // The worker that was killed left off; the one after it began at 1 again.
    let status = stack.countersign(&["ledger", "status"]).unwrap();
    assert!(status.matches("worker        ").count() >= 3, "{status}");
}

//! What happens when one of the three programs dies: a clear answer, nothing unapproved, no lost record.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends with it, and says where"
)]

use std::thread;

use countersign_e2e::git::{Clone, upstream_ref};
use countersign_e2e::{Answer, Curl, Stack, StackOptions, eventually, policy};
use serde_json::{Value, json};

/// The shipped policy with something changed.
fn with(change: impl FnOnce(&mut Value)) -> Stack {
    let mut shipped = policy::shipped().unwrap();
    change(&mut shipped);
    let options = StackOptions {
        policy: Some(shipped.to_string()),
        ..StackOptions::default()
    };
    Stack::start_with(&options).unwrap()
}

fn user(stack: &Stack, token: &str, mark: &str) -> Answer {
    Curl::get(&format!("{}/api/v3/user", stack.gateway()))
        .mark(mark)
        .bearer(token)
        .run()
        .unwrap()
}

fn of(subject: &'static str) -> impl Fn(&Value) -> bool {
    move |approval| approval["question"]["identity"]["subject"] == subject
}

#[test]
fn a_push_survives_a_console_that_dies_and_comes_back_while_it_is_held() {
    let mut stack = Stack::start().unwrap();
    let lead = stack.person("lead", &["platform-leads"]).unwrap();
    let token = stack.token("patient", &["agents"]).unwrap();
    assert_eq!(user(&stack, &token, "before-the-crash").status, 200);
    lead.record_of("before-the-crash").unwrap();
    let clone = Clone::of(&stack, "web", &token, "git-patient").unwrap();
    let before = upstream_ref(&stack, "web", "refs/heads/main").unwrap();
    let commit = clone.commit("patient.md", b"patient\n").unwrap();

    let told = thread::scope(|scope| {
        let push = scope.spawn(|| clone.git(&["push", "origin", "main"]).unwrap());
        lead.asked("the push", of("patient")).unwrap();
        let known = lead.get("/api/v1/exchanges?limit=500").unwrap();
        let known = known["exchanges"].as_array().unwrap().len();
        stack.console.kill().unwrap();
        stack.restart_console().unwrap();
        // What was acknowledged is still there, and the filter asks again.
        let after = lead.get("/api/v1/exchanges?limit=500").unwrap();
        assert!(after["exchanges"].as_array().unwrap().len() >= known);
        lead.record_of("before-the-crash").unwrap();
        let again = lead.asked("the push again", of("patient")).unwrap();
        assert_eq!(
            upstream_ref(&stack, "web", "refs/heads/main").unwrap(),
            before
        );
        lead.approve(&again).unwrap();
        push.join().unwrap()
    });
    assert_eq!(told.code, 0, "{}", told.text);
    assert_eq!(
        upstream_ref(&stack, "web", "refs/heads/main").unwrap(),
        Some(commit)
    );
}

#[test]
fn a_push_whose_console_stays_away_is_refused_readably() {
    let mut stack = with(|policy| {
        policy::rule(policy, "production-branch").unwrap()["approval"]["hold"] = "4s".into();
    });
    let lead = stack.person("lead", &["platform-leads"]).unwrap();
    let token = stack.token("unlucky", &["agents"]).unwrap();
    let clone = Clone::of(&stack, "web", &token, "git-unlucky").unwrap();
    let before = upstream_ref(&stack, "web", "refs/heads/main").unwrap();
    clone.commit("unlucky.md", b"unlucky\n").unwrap();
    let told = thread::scope(|scope| {
        let push = scope.spawn(|| clone.git(&["push", "origin", "main"]).unwrap());
        lead.asked("the push", of("unlucky")).unwrap();
        stack.console.kill().unwrap();
        push.join().unwrap()
    });
    assert_eq!(told.code, 1, "{}", told.text);
    assert!(
        told.text
            .contains("remote: The approval service could not be reached."),
        "{}",
        told.text
    );
    assert!(told.text.contains("[remote rejected]"), "{}", told.text);
    assert_eq!(
        upstream_ref(&stack, "web", "refs/heads/main").unwrap(),
        before
    );
    // Its request record was acknowledged before the question was asked.
    stack.restart_console().unwrap();
    let exchanges = lead.exchanges_of("unlucky", 1).unwrap();
    let push = exchanges
        .iter()
        .find(|e| e["reason"] == "approval_unavailable");
    assert!(push.is_some(), "{exchanges:?}");
}

#[test]
fn an_upstream_that_dies_in_the_middle_of_a_stream_is_seen_and_recorded() {
    let mut stack = Stack::start().unwrap();
    let lead = stack.person("lead", &["platform-leads"]).unwrap();
    let token = stack.token("streamer", &["agents"]).unwrap();
    let body = json!({ "model": "gpt-4.1", "stream": true, "messages": [{ "role": "user", "content": "long: 40000" }] });
    let chat = Curl::new(
        "POST",
        &format!("{}/copilot/chat/completions", stack.gateway()),
    )
    .mark("cut-stream")
    .bearer(&token)
    .simulate("pace=50,chunk=500")
    .json(&body);
    let answer = thread::scope(|scope| {
        let asking = scope.spawn(|| chat.run().unwrap());
        eventually("an answer to begin", || {
            let seen = stack.seen_by("cut-stream").ok()?;
            (seen.first()?["status"] == 200).then_some(())
        })
        .unwrap();
        // The head is out once the status is known; let some of the stream follow.
        thread::sleep(std::time::Duration::from_millis(500));
        stack.upstream.kill().unwrap();
        asking.join().unwrap()
    });
    assert_eq!(answer.status, 200);
    assert_ne!(
        answer.exit,
        0,
        "the client did not see the cut: {}",
        answer.text()
    );
    assert!(!answer.text().contains("data: [DONE]"));
    let record = lead.record_of("cut-stream").unwrap();
    assert_eq!(record["outcome"]["countersign.end"], "cut", "{record}");
    assert!(
        record["outcome"]["countersign.response.body"]
            .as_str()
            .is_some_and(|b| b.contains("data:")),
        "what did come is on record: {record}"
    );

    // The gateway itself says what is wrong now.
    let after = user(&stack, &token, "after-the-upstream");
    assert_eq!(after.status, 503, "{}", after.text());
    let record = lead.record_of("after-the-upstream").unwrap();
    assert_eq!(record["outcome"]["http.response.status_code"], 503);
}

#[test]
fn an_envoy_that_dies_during_a_hold_leaves_a_request_without_an_outcome() {
    let mut stack = Stack::start().unwrap();
    let lead = stack.person("lead", &["platform-leads"]).unwrap();
    let token = stack.token("orphan", &["agents"]).unwrap();
    let merge = Curl::new(
        "PUT",
        &format!("{}/api/v3/repos/acme/web/pulls/2/merge", stack.gateway()),
    )
    .mark("orphan-merge")
    .bearer(&token)
    .json(&json!({}));
    let (answer, approval) = thread::scope(|scope| {
        let asking = scope.spawn(|| merge.run().unwrap());
        let approval = lead.asked("the merge", of("orphan")).unwrap();
        stack.envoy.kill().unwrap();
        (asking.join().unwrap(), approval)
    });
    assert_eq!(answer.status, 0);
    assert_ne!(answer.exit, 0);
    stack.restart_envoy().unwrap();

    let records = lead.records_of("orphan-merge").unwrap();
    let [record] = records.as_slice() else {
        panic!("{records:?}")
    };
    assert_eq!(record["request"]["countersign.decision"], "held");
    assert!(record["outcome"].is_null(), "{record}");
    assert!(stack.seen_by("orphan-merge").unwrap().is_empty());
    let path = format!("/api/v1/approvals/{}", approval["id"].as_str().unwrap());
    eventually("nobody to wait any more", || {
        (lead.get(&path).ok()?["waiting"] == false).then_some(())
    })
    .unwrap();
    // Approved after all: the very same request passes on the new Envoy, once.
    lead.approve(&lead.get(&path).unwrap()).unwrap();
    let passed = merge.run().unwrap();
    assert_eq!(passed.reason(), "", "{}", passed.text());
    assert_eq!(stack.seen_by("orphan-merge").unwrap().len(), 1);
}

#[test]
fn strict_delivery_forwards_nothing_that_cannot_be_recorded() {
    let mut stack = with(|policy| policy["audit"]["timeout"] = "1s".into());
    let lead = stack.person("lead", &["platform-leads"]).unwrap();
    let token = stack.token("strict", &["agents"]).unwrap();
    assert_eq!(user(&stack, &token, "strict-before").status, 200);
    stack.console.kill().unwrap();
    let refused = user(&stack, &token, "strict-down");
    assert_eq!(
        (refused.status, refused.reason()),
        (503, "audit_unavailable"),
        "{}",
        refused.text()
    );
    assert_eq!(refused.json()["countersign"]["retry"], true);
    assert!(stack.seen_by("strict-down").unwrap().is_empty());

    stack.restart_console().unwrap();
    eventually("the gateway to serve again", || {
        (user(&stack, &token, "strict-after").status == 200).then_some(())
    })
    .unwrap();
    // What was refused meanwhile is told afterwards.
    let record = lead.record_of("strict-down").unwrap();
    assert_eq!(record["outcome"]["countersign.reason"], "audit_unavailable");
}

#[test]
fn best_effort_delivery_goes_on_and_catches_up() {
    let mut stack = with(|policy| policy["audit"]["delivery"] = "best_effort".into());
    let lead = stack.person("lead", &["platform-leads"]).unwrap();
    let token = stack.token("relaxed", &["agents"]).unwrap();
    assert_eq!(user(&stack, &token, "relaxed-before").status, 200);
    stack.console.kill().unwrap();
    for _ in 0..5 {
        let passed = user(&stack, &token, "relaxed-down");
        assert_eq!(passed.status, 200, "{}", passed.text());
    }
    assert_eq!(stack.seen_by("relaxed-down").unwrap().len(), 5);
    stack.restart_console().unwrap();
    eventually("the records of the time without a console", || {
        let records = lead.records_of("relaxed-down").ok()?;
        (records.len() == 5 && records.iter().all(|r| !r["outcome"].is_null())).then_some(())
    })
    .unwrap();
}

#[test]
fn without_keys_nobody_is_let_in_and_they_are_asked_for_again() {
    let mut stack = Stack::start().unwrap();
    let token = stack.token("keyless", &["agents"]).unwrap();
    stack.console.kill().unwrap();
    stack.envoy.stop().unwrap();
    stack.restart_envoy().unwrap();
    let refused = user(&stack, &token, "keyless");
    assert_eq!(
        (refused.status, refused.reason()),
        (503, "keys_unavailable"),
        "{}",
        refused.text()
    );
    assert!(stack.seen_by("keyless").unwrap().is_empty());
    stack.restart_console().unwrap();
    eventually("the keys", || {
        (user(&stack, &token, "keyless-after").status == 200).then_some(())
    })
    .unwrap();
}

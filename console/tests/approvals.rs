//! The approval service's contract, and its races.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // These are tests.

mod common;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use common::{Answer, Console, asking, batch, form, question, read, record};
use http_body_util::BodyExt;
use serde_json::json;
use tower::ServiceExt;

const LONG: u64 = 600_000;

fn held(console: &Console, request: Request<Body>) -> tokio::task::JoinHandle<Answer> {
    let router = console.router.clone();
    tokio::spawn(async move { read(router.oneshot(request).await.unwrap()).await })
}

async fn pending_id(console: &Console, secret: &str) -> String {
    console
        .until(async || console.approvals("pending", secret).await.len() == 1)
        .await;
    let pending = console.approvals("pending", secret).await;
    pending[0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_held_request_goes_through_when_a_reviewer_approves() {
    let console = Console::start();
    let lead = console.person("bob", &["platform-leads"]).await;
    let caller = held(&console, asking(&question(1, "e-1"), LONG));
    let id = pending_id(&console, &lead).await;
    let decided = console.decide(&id, "approve", &lead, "fine by me").await;
    assert_eq!(decided.status, StatusCode::OK, "{}", decided.text());
    let answer = caller.await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("x-countersign-approval"), id);
    assert_eq!(answer.header("x-countersign-approver"), "bob");
    assert_eq!(
        answer.header("x-countersign-approved-at"),
        "2026-09-21T14:13:20.000Z"
    );
    assert_eq!(
        console.steps(&id, &lead).await,
        ["asked", "approved", "consumed"]
    );
    let consumed = console.approvals("consumed", &lead).await;
    assert_eq!(consumed[0]["consumed_by"], "e-1");
}

#[tokio::test]
async fn a_refusal_carries_its_reason_and_stands_for_the_same_bytes() {
    let console = Console::start();
    let lead = console.person("bob", &["platform-leads"]).await;
    let caller = held(&console, asking(&question(1, "e-1"), LONG));
    let id = pending_id(&console, &lead).await;
    console.decide(&id, "refuse", &lead, "use a branch").await;
    let answer = caller.await.unwrap();
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.header("x-countersign-decision"), "refused");
    assert_eq!(answer.header("x-countersign-approver"), "bob");
    assert_eq!(answer.json()["reason"], "use a branch");
    let again = console.send(asking(&question(1, "e-2"), LONG)).await;
    assert_eq!(again.header("x-countersign-decision"), "refused");
    assert_eq!(again.header("x-countersign-approval"), id);
    console.app.clock.advance(900_000);
    let later = console.send(asking(&question(1, "e-3"), 0)).await;
    assert_eq!(later.header("x-countersign-decision"), "pending");
    assert_ne!(later.header("x-countersign-approval"), id);
}

#[tokio::test]
async fn an_unanswered_request_gets_a_ticket_and_its_retry_passes_exactly_once() {
    let console = Console::start();
    let lead = console.person("bob", &["platform-leads"]).await;
    let first = console.send(asking(&question(1, "e-1"), 0)).await;
    assert_eq!(first.status, StatusCode::FORBIDDEN);
    assert_eq!(first.header("x-countersign-decision"), "pending");
    let id = first.header("x-countersign-approval").to_owned();
    assert_eq!(
        first.header("x-countersign-approval-url"),
        format!("http://console.test/approvals/{id}")
    );
    let expires = (common::NOON / 1000 + 900).to_string();
    assert_eq!(first.header("x-countersign-ticket-expires"), expires);
    assert!(
        first.json()["reason"]
            .as_str()
            .unwrap()
            .contains("no reviewer")
    );

    console.app.clock.advance(60_000);
    console.decide(&id, "approve", &lead, "").await;
    let other_bytes = console.send(asking(&question(2, "e-2"), 0)).await;
    assert_eq!(other_bytes.header("x-countersign-decision"), "pending");
    let retry = console.send(asking(&question(1, "e-3"), LONG)).await;
    assert_eq!(retry.status, StatusCode::OK);
    assert_eq!(retry.header("x-countersign-approval"), id);
    let third = console.send(asking(&question(1, "e-4"), 0)).await;
    assert_eq!(third.header("x-countersign-decision"), "pending");
    assert_ne!(third.header("x-countersign-approval"), id);
    assert_eq!(
        console.steps(&id, &lead).await,
        ["asked", "ticket", "approved", "consumed"]
    );
}

#[tokio::test]
async fn of_many_retries_of_one_approval_one_passes() {
    let console = Console::start();
    let lead = console.person("bob", &["platform-leads"]).await;
    let first = console.send(asking(&question(1, "e-0"), 0)).await;
    console
        .decide(first.header("x-countersign-approval"), "approve", &lead, "")
        .await;
    let retries: Vec<_> = (1..=20)
        .map(|n| held(&console, asking(&question(1, &format!("e-{n}")), 0)))
        .collect();
    let mut passed = 0;
    for retry in retries {
        passed += usize::from(retry.await.unwrap().status == StatusCode::OK);
    }
    assert_eq!(passed, 1);
}

#[tokio::test]
async fn the_newest_of_two_waiters_goes_through_and_the_older_is_superseded() {
    let console = Console::start();
    let lead = console.person("bob", &["platform-leads"]).await;
    let older = held(&console, asking(&question(1, "e-1"), LONG));
    let id = pending_id(&console, &lead).await;
    let newer = held(&console, asking(&question(1, "e-2"), LONG));
    let superseded = older.await.unwrap();
    assert_eq!(superseded.status, StatusCode::FORBIDDEN);
    assert_eq!(superseded.header("x-countersign-decision"), "superseded");
    console.decide(&id, "approve", &lead, "").await;
    let answer = newer.await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("x-countersign-approval"), id);
    assert_eq!(
        console.steps(&id, &lead).await,
        ["asked", "joined", "approved", "consumed"]
    );
}

#[tokio::test]
async fn a_caller_that_goes_away_frees_its_place_and_is_shown_as_gone() {
    let console = Console::start();
    let lead = console.person("bob", &["platform-leads"]).await;
    let caller = held(&console, asking(&question(1, "e-1"), LONG));
    let id = pending_id(&console, &lead).await;
    assert_eq!(console.app.desk.held(), 1);
    assert_eq!(
        console.approvals("pending", &lead).await[0]["waiting"],
        true
    );
    // What hyper does to the handler of a connection that was closed.
    caller.abort();
    console
        .until(async || console.approvals("pending", &lead).await[0]["waiting"] == false)
        .await;
    assert_eq!(console.app.desk.held(), 0);
    assert_eq!(console.steps(&id, &lead).await, ["asked", "gone"]);
    // Approved while nobody waits: the same bytes pass once.
    console.decide(&id, "approve", &lead, "").await;
    assert_eq!(
        console.send(asking(&question(1, "e-2"), 0)).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn approvals_survive_a_restart_and_their_waiters_do_not() {
    let console = Console::start();
    let lead = console.person("bob", &["platform-leads"]).await;
    let waiting = held(&console, asking(&question(1, "e-1"), LONG));
    let id = pending_id(&console, &lead).await;
    // Killed: no handler runs to its end.
    waiting.abort();
    let console = console.restart().await;
    let pending = console.approvals("pending", &lead).await;
    assert_eq!(pending[0]["id"], id.as_str());
    assert_eq!(pending[0]["waiting"], false);
    console.decide(&id, "approve", &lead, "").await;
    let console = console.restart().await;
    let retry = console.send(asking(&question(1, "e-2"), 0)).await;
    assert_eq!(retry.status, StatusCode::OK);
    assert_eq!(retry.header("x-countersign-approver"), "bob");
}

#[tokio::test]
async fn a_console_that_stops_gives_held_callers_their_ticket() {
    let console = Console::start();
    let lead = console.person("bob", &["platform-leads"]).await;
    let caller = held(&console, asking(&question(1, "e-1"), LONG));
    pending_id(&console, &lead).await;
    console.stop.send(true).unwrap();
    let answer = caller.await.unwrap();
    assert_eq!(answer.header("x-countersign-decision"), "pending");
    assert!(!answer.header("x-countersign-ticket-expires").is_empty());
}

#[tokio::test]
async fn nobody_decides_who_may_not() {
    let console = Console::start();
    let stranger = console.person("dave", &["agents"]).await;
    let asker = console.person("CI-runner", &["platform-leads"]).await;
    let same_mail = console
        .person_with_email("erin", Some("CI@example.com"), &["platform-leads"])
        .await;
    let first = console.send(asking(&question(1, "e-1"), 0)).await;
    let id = first.header("x-countersign-approval");
    for (secret, word) in [
        (&stranger, "reviewers"),
        (&asker, "your own"),
        (&same_mail, "your own"),
    ] {
        let answer = console.decide(id, "approve", secret, "").await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert!(
            answer.json()["error"].as_str().unwrap().contains(word),
            "{}",
            answer.text()
        );
    }
    assert_eq!(console.steps(id, &stranger).await, ["asked", "ticket"]);
    let lead = console.person("bob", &["platform-leads"]).await;
    console.decide(id, "refuse", &lead, "").await;
    let late = console.decide(id, "approve", &lead, "").await;
    assert_eq!(late.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn as_many_people_as_the_rule_asks_for_have_to_agree() {
    let console = Console::start();
    let one = console.person("bob", &["platform-leads"]).await;
    let two = console.person("carol", &["platform-leads"]).await;
    let mut asked = question(1, "e-1");
    asked["approval"]["min"] = json!(2);
    let caller = held(&console, asking(&asked, LONG));
    let id = pending_id(&console, &one).await;
    assert_eq!(
        console.decide(&id, "approve", &one, "").await.json()["state"],
        "pending"
    );
    assert_eq!(
        console.decide(&id, "approve", &one, "").await.status,
        StatusCode::CONFLICT
    );
    assert_eq!(
        console.decide(&id, "approve", &two, "").await.status,
        StatusCode::OK
    );
    let answer = caller.await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("x-countersign-approver"), "bob, carol");
}

#[tokio::test]
async fn a_ticket_ends() {
    let console = Console::start();
    let lead = console.person("bob", &["platform-leads"]).await;
    let first = console.send(asking(&question(1, "e-1"), 0)).await;
    let id = first.header("x-countersign-approval");
    console.decide(id, "approve", &lead, "").await;
    console.app.clock.advance(900_000);
    let retry = console.send(asking(&question(1, "e-2"), 0)).await;
    assert_eq!(retry.header("x-countersign-decision"), "pending");
    assert_ne!(retry.header("x-countersign-approval"), id);
    assert_eq!(
        console.steps(id, &lead).await,
        ["asked", "ticket", "approved", "expired"]
    );
}

#[tokio::test]
async fn only_the_gateway_asks_and_only_what_can_be_read() {
    let console = Console::start();
    let mut stranger = asking(&question(1, "e-1"), 0);
    stranger
        .headers_mut()
        .insert(header::AUTHORIZATION, "Bearer wrong".parse().unwrap());
    assert_eq!(
        console.send(stranger).await.status,
        StatusCode::UNAUTHORIZED
    );
    let mut keyless = asking(&question(1, "e-1"), 0);
    keyless.headers_mut().remove(header::AUTHORIZATION);
    assert_eq!(console.send(keyless).await.status, StatusCode::UNAUTHORIZED);
    let mut other_print = asking(&question(1, "e-1"), 0);
    let print = "ff".repeat(32);
    other_print
        .headers_mut()
        .insert("x-countersign-fingerprint", print.parse().unwrap());
    assert_eq!(
        console.send(other_print).await.status,
        StatusCode::BAD_REQUEST
    );
    let mut no_reviewers = question(1, "e-1");
    no_reviewers["approval"]["min"] = json!(0);
    assert_eq!(
        console.send(asking(&no_reviewers, 0)).await.status,
        StatusCode::BAD_REQUEST
    );
    // Any method and any path of the original request are the same question.
    let mut delete = asking(&question(1, "e-1"), 0);
    *delete.method_mut() = "DELETE".parse().unwrap();
    *delete.uri_mut() = "/ext_authz/repos/a%2Fb/%ff".parse().unwrap();
    assert_eq!(
        console.send(delete).await.header("x-countersign-decision"),
        "pending"
    );
}

#[tokio::test]
async fn the_page_decides_with_its_own_form_only() {
    let console = Console::start();
    let lead = console.person("bob", &["platform-leads"]).await;
    let cookie = console.sign_in(&lead).await;
    let caller = held(&console, asking(&question(1, "e-1"), LONG));
    let id = pending_id(&console, &lead).await;
    let approve = format!("/approvals/{id}/approve");
    let forged = form(
        &approve,
        &[("form_token", "guess"), ("reason", "")],
        Some(&cookie),
    );
    assert_eq!(console.send(forged).await.status, StatusCode::FORBIDDEN);
    let page = console.page("/approvals", &cookie).await.text();
    assert!(
        page.contains("Push to refs/heads/main of acme/web"),
        "{page}"
    );
    let token = page.split("name=\"form_token\" value=\"").nth(1).unwrap();
    let token = token.split('"').next().unwrap();
    let mut elsewhere = form(&approve, &[("form_token", token)], Some(&cookie));
    elsewhere
        .headers_mut()
        .insert("sec-fetch-site", "cross-site".parse().unwrap());
    assert_eq!(console.send(elsewhere).await.status, StatusCode::FORBIDDEN);
    let own = form(
        &approve,
        &[("form_token", token), ("reason", "ok")],
        Some(&cookie),
    );
    assert_eq!(console.send(own).await.status, StatusCode::SEE_OTHER);
    assert_eq!(caller.await.unwrap().status, StatusCode::OK);
    let one = console
        .page(&format!("/approvals/{id}"), &cookie)
        .await
        .text();
    assert!(
        one.contains("approved and used") && one.contains("The request went through"),
        "{one}"
    );
}

#[tokio::test]
async fn an_open_page_is_told_of_every_change() {
    let console = Console::start();
    let lead = console.person("bob", &["platform-leads"]).await;
    let cookie = console.sign_in(&lead).await;
    let request = Request::get("/approvals/stream")
        .header(header::COOKIE, cookie)
        .body(Body::empty())
        .unwrap();
    let response = console.router.clone().oneshot(request).await.unwrap();
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "text/event-stream"
    );
    let mut events = response.into_body();
    console.send(asking(&question(1, "e-1"), 0)).await;
    let frame = events.frame().await.unwrap().unwrap();
    let text = String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap();
    // Without a data line browsers drop the event.
    assert_eq!(text, "event: changed\ndata: approvals\n\n");
    console.stop.send(true).unwrap();
    while events.frame().await.is_some() {}
}

#[tokio::test]
async fn what_was_asked_under_a_policy_that_is_replaced_is_moot() {
    let console = Console::start();
    let lead = console.person("bob", &["platform-leads"]).await;
    // One waits, one was approved and not used; another gateway's, and another worker's of a like name.
    let caller = held(&console, asking(&question(1, "w1-1"), LONG));
    let waiting = pending_id(&console, &lead).await;
    let ask = async |number: u8, exchange: &str| {
        let answer = console.send(asking(&question(number, exchange), 0)).await;
        answer.header("x-countersign-approval").to_owned()
    };
    let granted = ask(2, "w1-2").await;
    console.decide(&granted, "approve", &lead, "").await;
    let (other, like) = (ask(3, "w2-1").await, ask(4, "w11-1").await);
    let fresh = record(
        "countersign.policy",
        &json!({"countersign.policy.digest": "ef", "countersign.policy.document": "{}",
            "countersign.worker.id": "w3", "countersign.worker.seq": 1, "countersign.policy.replaces": "w1"}),
    );
    let sent = batch(&[fresh]).to_string().into_bytes();
    let taken = console.logs("application/json", sent).await;
    assert_eq!(taken.status, StatusCode::OK, "{}", taken.text());
    let answer = caller.await.unwrap();
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.header("x-countersign-decision"), "policy_changed");
    assert!(answer.text().contains("send the request again"));
    assert_eq!(console.steps(&waiting, &lead).await, ["asked", "outdated"]);
    let late = console.decide(&waiting, "approve", &lead, "").await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    // What was granted is not used up by who comes under the old policy still.
    let again = console.send(asking(&question(2, "w1-3"), 0)).await;
    assert_eq!(again.header("x-countersign-decision"), "pending");
    assert_ne!(again.header("x-countersign-approval"), granted);
    for untouched in [other, like] {
        let steps = console.steps(&untouched, &lead).await;
        assert_eq!(steps, ["asked", "ticket"]);
    }
}

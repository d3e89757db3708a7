//! Every step of an approval is an entry of the ledger that names the approval and the exchange it is
//! about, and a ledger with all of them verifies; questions that were not put are counted there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // These are tests.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use axum::Router;
use axum::http::{Method, StatusCode};
use common::trail::{Trail, verify_folder};
use common::{Console, asking, batch, question, record};
use countersign::approvals::{Step, book, limited};
use countersign::notify::deliver::round;
use serde_json::{Value, json};

const LONG: u64 = 600_000;

/// What the ledger says of approvals, in order.
async fn entries(console: &Console) -> Vec<Value> {
    let leaves = console.app.store.read(|c| {
        let mut rows =
            c.prepare("SELECT leaf FROM entries WHERE kind = 'approval_event' ORDER BY idx")?;
        let rows = rows.query_map([], |row| row.get::<_, String>(0))?;
        Ok(rows.collect::<Result<Vec<_>, _>>()?)
    });
    let value = |leaf: &String| {
        let leaf: Value = serde_json::from_str(leaf).unwrap();
        leaf["value"].clone()
    };
    leaves.await.unwrap().iter().map(value).collect()
}

async fn asked(console: &Console, number: u8, exchange: &str) -> String {
    let answer = console.send(asking(&question(number, exchange), 0)).await;
    assert_eq!(answer.header("x-countersign-decision"), "pending");
    answer.header("x-countersign-approval").to_owned()
}

/// A receiver of notices that takes those of `/yes` and no other.
async fn receiver() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/yes", axum::routing::post(async || "taken"));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

#[tokio::test]
async fn each_step_names_its_approval_and_its_exchange() {
    let url = receiver().await;
    let yaml = format!(
        "version: v1\napprovals: {{ break_glass: {{ reviewers: {{ subjects: [grace] }} }} }}\nnotify:\n\
         - {{ name: siem, webhook: {{ url: {url}/yes, key: {{ env: KEY }} }} }}\n\
         - {{ name: deaf, webhook: {{ url: {url}/no, key: {{ env: KEY }} }} }}\n"
    );
    let console = Console::start().with_settings(&yaml);
    let lead = console.person("bob", &["platform-leads"]).await;
    let grace = console.person("grace", &[]).await;
    // Told of and not, for which its ticket is long enough; seen, joined, gone, approved and used.
    let mut long = question(1, "e-1");
    long["approval"]["ticket_s"] = json!(86_400);
    let answer = console.send(asking(&long, 0)).await;
    let first = answer.header("x-countersign-approval").to_owned();
    while !console
        .steps(&first, &lead)
        .await
        .contains(&"not_notified".to_owned())
    {
        round(&console.app).await.unwrap();
        console.app.clock.advance(300_000);
    }
    let look = format!("/api/v1/approvals/{first}?seen=true");
    console.api(Method::GET, &look, &lead, Value::Null).await;
    let router = console.router.clone();
    let request = asking(&question(1, "e-1-again"), LONG);
    let held = tokio::spawn(tower::ServiceExt::oneshot(router, request));
    console
        .until(async || {
            let steps = console.steps(&first, &lead).await;
            steps.contains(&"joined".to_owned())
        })
        .await;
    held.abort();
    console
        .until(async || {
            let steps = console.steps(&first, &lead).await;
            steps.contains(&"gone".to_owned())
        })
        .await;
    console.decide(&first, "approve", &lead, "fine").await;
    let passed = console.send(asking(&question(1, "e-1-last"), 0)).await;
    assert_eq!(passed.status, StatusCode::OK);
    // Refused, and refused again.
    let second = asked(&console, 2, "e-2").await;
    console.decide(&second, "refuse", &lead, "no").await;
    console.send(asking(&question(2, "e-2-again"), 0)).await;
    // Let through alone; nobody came for it.
    let third = asked(&console, 3, "e-3").await;
    let path = format!("/api/v1/approvals/{third}/approve");
    let alone = json!({"reason": "the shop is down", "break_glass": true});
    let answer = console.api(Method::POST, &path, &grace, alone).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    // Asked under a policy that its gateway has replaced.
    asked(&console, 4, "gw0-4").await;
    let fresh = record(
        "countersign.policy",
        &json!({"countersign.policy.digest": "ef", "countersign.policy.document": "{}",
            "countersign.worker.id": "gw1", "countersign.worker.seq": 1, "countersign.policy.replaces": "gw0"}),
    );
    let sent = batch(&[fresh]).to_string().into_bytes();
    assert_eq!(
        console.logs("application/json", sent).await.status,
        StatusCode::OK
    );
    console.app.clock.advance(86_400_000);
    let now = console.app.clock.now();
    let ended = console.app.store.write(move |c| book::expire(c, now)).await;
    assert!(ended.unwrap() >= 2);

    let mut about: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in entries(&console).await {
        let word = |key: &str| entry[key].as_str().unwrap_or_else(|| panic!("{entry}"));
        assert!(!word("approval").is_empty());
        let exchanges = about.entry(word("step").to_owned()).or_default();
        exchanges.insert(word("exchange").to_owned());
    }
    let steps: BTreeSet<&str> = about.keys().map(String::as_str).collect();
    assert_eq!(steps, Step::ALL.iter().map(|step| step.as_str()).collect());
    let of = |step: &str| about[step].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(of("asked"), ["e-1", "e-2", "e-3", "gw0-4"]);
    assert_eq!(of("outdated"), ["gw0-4"]);
    assert_eq!(of("joined"), ["e-1-again"]);
    assert_eq!(of("seen"), ["e-1"]);
    // The one that waited when it was decided, and the one that went through with it.
    assert_eq!(of("approved"), ["e-1-again"]);
    assert_eq!(of("consumed"), ["e-1-last"]);
    assert_eq!(of("repeated"), ["e-2-again"]);
    assert_eq!(of("broke_glass"), ["e-3"]);
}

#[tokio::test]
async fn questions_beyond_the_limit_are_counted_and_on_record_once_a_minute() {
    let console = Console::start()
        .with_settings("version: v1\napprovals: { limits: { pending_per_identity: 2 } }");
    let lead = console.reviewer("bob", &["platform-leads"]).await;
    let other = console.reviewer("eve", &["others"]).await;
    let auditor = console.person("ann", &[]).await;
    for number in 1..=2 {
        asked(&console, number, &format!("e-{number}")).await;
    }
    for number in 3..=40 {
        let answer = console
            .send(asking(&question(number, &format!("e-{number}")), 0))
            .await;
        assert_eq!(answer.header("x-countersign-decision"), "limited");
    }
    let record = async || {
        let now = console.app.clock.now();
        let recorded = console.app.store.write(move |c| limited::record(c, now));
        recorded.await.unwrap()
    };
    assert_eq!(record().await, 0, "the minute is not over");
    // A console that was killed meanwhile has lost none of them.
    let limited = async || {
        let mut all = entries(&console).await;
        all.retain(|entry| entry["step"] == "limited");
        all
    };
    assert_eq!(limited().await, Vec::<Value>::new());
    console.app.clock.advance(60_000);
    assert_eq!((record().await, record().await), (1, 0));
    let minute = "2026-09-21T14:13:00.000Z";
    let first = json!({"step": "limited", "who": "ci-runner", "exchange": "e-3",
        "detail": {"count": 38, "most": 2, "minute": minute}});
    assert_eq!(limited().await, [first]);
    // Another minute, another identity.
    console.send(asking(&question(41, "e-41"), 0)).await;
    console.app.clock.advance(60_000);
    assert_eq!(record().await, 1);
    assert_eq!(limited().await.len(), 2);
    // Who decides about the identity is told, and who reads the trail.
    let told = "2 requests of ci-runner wait for a reviewer, and no more may: 39 more in the last day were denied";
    for (secret, next, is_told) in [
        (&lead, "/approvals", true),
        (&auditor, "/approvals", true),
        (&auditor, "/health", true),
        (&other, "/approvals", false),
    ] {
        let cookie = console.sign_in_to(secret, next).await;
        let page = console.page(next, &cookie).await.text();
        assert_eq!(page.contains(told), is_told, "{next}: {page}");
    }
    console.app.clock.advance(25 * 3_600_000);
    let cookie = console.sign_in_to(&auditor, "/health").await;
    let page = console.page("/health", &cookie).await.text();
    assert!(!page.contains(told), "{page}");
}

#[test]
fn a_ledger_with_questions_that_were_not_put_or_are_moot_verifies() {
    use countersign::approvals::Question;
    use countersign::approvals::book::Caller;
    let folder = tempfile::tempdir().unwrap();
    let trail = Trail::new(folder.path());
    let now = trail.clock.now();
    let done = trail.store.write_now(move |c| {
        let raw = question(1, "w1-1").to_string();
        let question = Question::read(raw.as_bytes()).unwrap();
        limited::count(c, now, &question, "w1-0", 2)?;
        let caller = Caller {
            waiter: "w".into(),
            exchange: "w1-1".into(),
            hold_until: now,
            most_pending: 9,
        };
        book::ask(c, now, &question, &raw, &caller)?;
        let outdated = book::outdate(c, now, "w1")?;
        Ok((limited::record(c, now + 60_000)?, outdated.len()))
    });
    assert_eq!(done.unwrap(), (1, 1));
    let key = trail.close();
    let report = verify_folder(folder.path(), &key, &[]);
    assert!(report.findings.is_empty(), "{report:?}");
    // That it is moot follows from an entry, and from nothing else.
    common::database::alter(folder.path(), "UPDATE approvals SET state = 'pending'");
    let report = verify_folder(folder.path(), &key, &[]);
    assert!(!report.findings.is_empty());
}

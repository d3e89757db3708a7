//! Who may approve: demands of several rules, stand-ins, broken glass, limits, and tokens of the API.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // These are tests.

mod common;

use axum::http::{Method, StatusCode};
use common::{Answer, Console, NOON, asking, form, question};
use countersign::people::tokens::{self, Scope};
use serde_json::{Value, json};

const DAY: i64 = 24 * 3_600_000;

/// Asks without waiting, and returns the approval's id.
async fn asked(console: &Console, question: &Value) -> String {
    let answer = console.send(asking(question, 0)).await;
    assert_eq!(
        answer.header("x-countersign-decision"),
        "pending",
        "{}",
        answer.text()
    );
    answer.header("x-countersign-approval").to_owned()
}

fn demanding(fingerprint: u8, demands: Value) -> Value {
    let mut question = question(fingerprint, &format!("e-{fingerprint}"));
    question["approval"] = json!({"demands": demands, "hold_ms": 1000, "ticket_s": 900});
    question
}

fn of(group: &str, min: u32) -> Value {
    json!({"reviewers": {"groups": [group]}, "min": min})
}

async fn glass(console: &Console, id: &str, secret: &str, reason: &str) -> Answer {
    let body = json!({"reason": reason, "break_glass": true});
    let path = format!("/api/v1/approvals/{id}/approve");
    console.api(Method::POST, &path, secret, body).await
}

#[tokio::test]
async fn the_demands_of_all_rules_are_met_by_different_people() {
    let console = Console::start();
    let bob = console.person("bob", &["leads"]).await;
    let ann = console.person("ann", &["leads", "security"]).await;
    let eve = console.person("eve", &["security"]).await;
    let question = demanding(
        1,
        json!([
            {"rule": "main", "any_of": [of("leads", 2)]},
            {"rule": "web", "any_of": [of("web", 1), of("security", 1)]},
        ]),
    );
    let id = asked(&console, &question).await;
    let state = |answer: &Answer| answer.json()["state"].as_str().unwrap().to_owned();
    let first = console.decide(&id, "approve", &eve, "").await;
    assert_eq!(state(&first), "pending");
    assert_eq!(first.json()["demands"][0]["met"], false);
    assert_eq!(first.json()["demands"][1]["met"], true);
    assert_eq!(
        state(&console.decide(&id, "approve", &bob, "").await),
        "pending"
    );
    let last = console.decide(&id, "approve", &ann, "fine").await;
    assert_eq!(state(&last), "approved");
    assert_eq!(
        last.json()["decided_by"],
        "bob, ann, eve"
            .split(", ")
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
            .join(", ")
    );
    // One refusal is enough, from whoever is named anywhere.
    let other = demanding(2, question["approval"]["demands"].clone());
    let id = asked(&console, &other).await;
    assert_eq!(
        state(&console.decide(&id, "refuse", &eve, "no").await),
        "refused"
    );
    // Nobody is named: nobody decides.
    let id = asked(
        &console,
        &demanding(3, json!([{"rule": null, "any_of": []}])),
    )
    .await;
    let answer = console.decide(&id, "approve", &bob, "").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn nobody_approves_his_own_request_under_another_name() {
    let console =
        Console::start().with_settings("version: v1\napprovals: { same_person: [github_login] }");
    let bob = console.person("bob", &["platform-leads"]).await;
    console
        .app
        .store
        .write(|c| {
            c.execute(
                "UPDATE users SET claims = '{\"github_login\":\"Octo-Bob\"}' WHERE name = 'bob'",
                [],
            )?;
            Ok(())
        })
        .await
        .unwrap();
    let mut own = question(1, "e-1");
    own["identity"]["claims"] = json!({"github_login": "octo-bob"});
    let id = asked(&console, &own).await;
    let answer = console.decide(&id, "approve", &bob, "").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(
        answer.text().contains("your own request"),
        "{}",
        answer.text()
    );
    own["identity"]["claims"] = json!({"github_login": "somebody"});
    own["fingerprint"] = "02".repeat(32).into();
    let id = asked(&console, &own).await;
    assert_eq!(
        console.decide(&id, "approve", &bob, "").await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn the_glass_is_broken_with_a_reason_by_few_and_never_for_oneself() {
    let console = Console::start().with_settings(
        "version: v1\napprovals: { break_glass: { reviewers: { groups: [incident] }, rules: [\"production-*\"], min_reason: 20 } }",
    );
    let grace = console.reviewer("grace", &["incident"]).await;
    let asker = console
        .reviewer("ci-runner", &["incident", "platform-leads"])
        .await;
    let lead = console.person("bob", &["platform-leads"]).await;
    let mut two = question(1, "e-1");
    two["approval"]["min"] = json!(2);
    let id = asked(&console, &two).await;
    let why = "The shop is down and this brings it back.";
    for (secret, reason, status, word) in [
        (&grace, "", StatusCode::UNPROCESSABLE_ENTITY, "at least 20"),
        (
            &grace,
            "too short",
            StatusCode::UNPROCESSABLE_ENTITY,
            "at least 20",
        ),
        (&lead, why, StatusCode::FORBIDDEN, "alone"),
        (&asker, why, StatusCode::FORBIDDEN, "your own"),
    ] {
        let answer = glass(&console, &id, secret, reason).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.text().contains(word), "{}", answer.text());
    }
    // Without breaking it, she is no reviewer.
    assert_eq!(
        console.decide(&id, "approve", &grace, why).await.status,
        StatusCode::FORBIDDEN
    );
    let cookie = console.sign_in_to(&grace, "/approvals").await;
    let page = console.page("/approvals", &cookie).await.text();
    assert!(
        page.contains("Let it through alone") && page.contains("minlength=\"20\""),
        "{page}"
    );
    let answer = glass(&console, &id, &grace, why).await;
    assert_eq!(answer.json()["state"], "approved", "{}", answer.text());
    let passed = console.send(asking(&two, 0)).await;
    assert_eq!(passed.status, StatusCode::OK);
    assert_eq!(passed.header("x-countersign-approver"), "grace");
    let steps = console.steps(&id, &lead).await;
    assert!(steps.contains(&"broke_glass".to_owned()), "{steps:?}");
    // For other rules it is not there.
    let mut other = question(2, "e-2");
    other["rule"] = json!("tags");
    let id = asked(&console, &other).await;
    assert_eq!(
        glass(&console, &id, &grace, why).await.status,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn somebody_who_is_away_has_a_stand_in() {
    let console = Console::start().with_settings(&format!(
        "version: v1\napprovals:\n  out_of_office: [ {{ person: bob, instead: [carol], ends: {} }} ]\n  delegations: [ {{ from: ann, to: [cleo], starts: {}, ends: {} }} ]",
        countersign::clock::rfc3339(NOON + DAY),
        countersign::clock::rfc3339(NOON + DAY),
        countersign::clock::rfc3339(NOON + 2 * DAY),
    ));
    let bob = console.reviewer("bob", &["platform-leads"]).await;
    let carol = console.reviewer("carol", &["web"]).await;
    let ann = console.reviewer("ann", &["platform-leads"]).await;
    let cleo = console.reviewer("cleo", &[]).await;
    let mut two = question(1, "e-1");
    two["approval"]["min"] = json!(2);
    let id = asked(&console, &two).await;
    let away = console.decide(&id, "approve", &bob, "").await;
    assert!(
        away.text().contains("out of office until"),
        "{}",
        away.text()
    );
    assert_eq!(
        console.decide(&id, "approve", &cleo, "").await.status,
        StatusCode::FORBIDDEN,
        "not yet"
    );
    let first = console.decide(&id, "approve", &carol, "").await;
    assert_eq!(
        first.json()["demands"][0]["ways"][0]["given"],
        json!(["carol for bob"])
    );
    assert_eq!(
        console.decide(&id, "approve", &ann, "").await.json()["state"],
        "approved"
    );
    // A day later Bob is back, and Cleo may do what Ann may; but the two of them are one reviewer.
    console.app.clock.advance(DAY);
    let mut two = question(2, "e-2");
    two["approval"]["min"] = json!(2);
    let id = asked(&console, &two).await;
    assert_eq!(
        console.decide(&id, "approve", &carol, "").await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        console.decide(&id, "approve", &cleo, "").await.json()["state"],
        "pending"
    );
    assert_eq!(
        console.decide(&id, "approve", &ann, "").await.json()["state"],
        "pending"
    );
    assert_eq!(
        console.decide(&id, "approve", &bob, "").await.json()["state"],
        "approved"
    );
    // Nobody stands in for the one who asks.
    let mut own = question(3, "e-3");
    own["identity"]["subject"] = json!("ann");
    let id = asked(&console, &own).await;
    assert_eq!(
        console.decide(&id, "approve", &cleo, "").await.status,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn one_identity_cannot_flood_the_reviewers() {
    let console = Console::start()
        .with_settings("version: v1\napprovals: { limits: { pending_per_identity: 3 } }");
    let lead = console.person("bob", &["platform-leads"]).await;
    for n in 1..=3 {
        asked(&console, &question(n, &format!("e-{n}"))).await;
    }
    // The same bytes again join; others are not asked about.
    asked(&console, &question(2, "e-again")).await;
    let fourth = console.send(asking(&question(4, "e-4"), 0)).await;
    assert_eq!(fourth.status, StatusCode::FORBIDDEN);
    assert_eq!(fourth.header("x-countersign-decision"), "limited");
    assert!(
        fourth.text().contains("3 requests of this identity wait"),
        "{}",
        fourth.text()
    );
    let mut other = question(5, "e-5");
    other["identity"]["subject"] = json!("agent-8");
    asked(&console, &other).await;
    let waiting = console.approvals("pending", &lead).await;
    assert_eq!(waiting.len(), 4);
    // They are one group on the page, and refused together.
    let cookie = console.sign_in_to(&lead, "/approvals").await;
    let page = console.page("/approvals", &cookie).await.text();
    assert_eq!(page.matches("class=\"group\"").count(), 2, "{page}");
    assert!(
        page.contains("2 more of the same") && page.contains("sent again 1 times"),
        "{page}"
    );
    let token = page
        .split("name=\"form_token\" value=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let ids = page
        .split("name=\"ids\" value=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    assert_eq!(ids.split(' ').count(), 3);
    let fields = [
        ("form_token", token),
        ("ids", ids),
        ("reason", "one is enough"),
    ];
    let answer = console
        .send(form("/approvals/refuse-all", &fields, Some(&cookie)))
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(console.approvals("refused", &lead).await.len(), 3);
    assert_eq!(console.approvals("pending", &lead).await.len(), 1);
    let refused = console.send(asking(&question(1, "e-1b"), 0)).await;
    assert_eq!(refused.json()["reason"], "one is enough");
    assert_eq!(
        console
            .send(asking(&question(4, "e-4"), 0))
            .await
            .header("x-countersign-decision"),
        "pending"
    );
}

#[tokio::test]
async fn an_answer_that_waits_is_shown() {
    let console = Console::start();
    let lead = console.reviewer("bob", &["platform-leads"]).await;
    let mut held = question(1, "e-1");
    held["summary"] = json!("deliver the answer to chat.completion, which names src/auth/login.rs");
    held["answer"] = json!({"status": 200, "content_type": "application/json", "body": "fn login() <b>{}</b>",
        "body_size": 20, "body_encoding": "utf8", "paths": ["src/auth/login.rs"]});
    let id = asked(&console, &held).await;
    let cookie = console.sign_in_to(&lead, "/approvals").await;
    for path in ["/approvals".to_owned(), format!("/approvals/{id}")] {
        let page = console.page(&path, &cookie).await.text();
        assert!(page.contains("The answer that waits"), "{page}");
        assert!(page.contains("fn login() &#60;b&#62;"), "{page}");
        assert!(page.contains("Deliver the answer to"), "{page}");
    }
}

#[tokio::test]
async fn who_had_it_in_front_of_him_is_on_record_once() {
    let console = Console::start();
    let lead = console.reviewer("bob", &["platform-leads"]).await;
    let auditor = console.person("carol", &[]).await;
    let id = asked(&console, &question(1, "e-1")).await;
    for (secret, pages) in [(&lead, 2), (&auditor, 1)] {
        let cookie = console.sign_in_to(secret, "/approvals").await;
        console.page("/approvals/pending", &cookie).await;
        for _ in 0..pages {
            console.page(&format!("/approvals/{id}"), &cookie).await;
            console.page("/approvals", &cookie).await;
        }
    }
    let path = format!("/api/v1/approvals/{id}");
    let value = console
        .api(Method::GET, &path, &auditor, Value::Null)
        .await
        .json();
    let seen: Vec<&Value> = value["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|e| e["kind"] == "seen")
        .collect();
    assert_eq!(seen.len(), 1, "{value}");
    assert_eq!(seen[0]["who"], "bob");
}

#[tokio::test]
async fn a_token_does_what_it_is_for_until_it_ends() {
    let console = Console::start();
    console.reviewer("bob", &["platform-leads"]).await;
    let token = async |scopes: &'static [Scope], ends: i64| {
        console
            .app
            .store
            .write(move |c| Ok(tokens::make(c, NOON, "Bob", "ci", scopes, ends)?.unwrap()))
            .await
            .unwrap()
    };
    let (reader, read) = token(&[Scope::ReadApprovals], NOON + DAY).await;
    let (_, decide) = token(&[Scope::Decide, Scope::ReadApprovals], NOON + DAY).await;
    let (_, over) = token(&[Scope::Decide], NOON).await;
    assert!(read.starts_with("cst_"));
    let id = asked(&console, &question(1, "e-1")).await;
    assert_eq!(console.approvals("pending", &read).await.len(), 1);
    let refused = console.decide(&id, "approve", &read, "").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(
        refused.text().contains("approvals:decide"),
        "{}",
        refused.text()
    );
    assert_eq!(
        console.decide(&id, "approve", &over, "").await.status,
        StatusCode::UNAUTHORIZED
    );
    // More than its owner may, no scope gives.
    let trail = console
        .api(Method::GET, "/api/v1/exchanges", &decide, Value::Null)
        .await;
    assert_eq!(trail.status, StatusCode::FORBIDDEN);
    assert_eq!(
        console
            .decide(&id, "approve", &decide, "by program")
            .await
            .status,
        StatusCode::OK
    );
    let listed = console.app.store.read(tokens::list).await.unwrap();
    assert_eq!(
        listed
            .iter()
            .filter(|token| token.used_at.is_some())
            .count(),
        2
    );
    console
        .app
        .store
        .write(move |c| tokens::revoke(c, &reader))
        .await
        .unwrap();
    let gone = console
        .api(Method::GET, "/api/v1/approvals", &read, Value::Null)
        .await;
    assert_eq!(gone.status, StatusCode::UNAUTHORIZED);
    // The database holds no token, and a session is none.
    let database = std::fs::read(console.folder.path().join("countersign.db")).unwrap();
    assert!(
        !database
            .windows(decide.len())
            .any(|part| part == decide.as_bytes())
    );
}

#[test]
fn the_ledger_tells_why_each_request_passed() {
    use common::trail::{Trail, verify_folder};
    use countersign::approvals::book::{self, Caller};
    use countersign::approvals::{Authority, Choice, Question, decide};
    use countersign::people::Person;
    let folder = tempfile::tempdir().unwrap();
    let trail = Trail::new(folder.path());
    let yaml = "version: v1\napprovals: { break_glass: { reviewers: { subjects: [grace] } }, delegations: [ { from: ann, to: [cleo], ends: 2030-01-01 } ] }";
    let settings = countersign::settings::read_text(yaml, &|_| None)
        .unwrap()
        .approvals;
    let now = trail.clock.now();
    trail
        .store
        .write_now(move |c| {
            let caller = Caller {
                waiter: "w".into(),
                exchange: "e".into(),
                hold_until: now,
                most_pending: 9,
            };
            let ask = |n: u8, demands: Value| {
                let raw = demanding(n, demands).to_string();
                let question = Question::read(raw.as_bytes()).unwrap();
                book::ask(c, now, &question, &raw, &caller).map(|_| ())
            };
            ask(
                1,
                json!([{"rule": "main", "any_of": [{"reviewers": {"subjects": ["ann"]}, "min": 1}]},
                          {"rule": "web", "any_of": [of("web", 1), of("leads", 1)]}]),
            )?;
            ask(2, json!([{"rule": "main", "any_of": [of("leads", 2)]}]))?;
            let id = |n: u8| {
                c.query_row(
                    "SELECT id FROM approvals WHERE fingerprint = ?1",
                    [format!("{n:02x}").repeat(32)],
                    |row| row.get::<_, String>(0),
                )
            };
            let by = |name: &str, groups: &[&str]| {
                let groups = groups.iter().map(|g| (*g).to_owned()).collect();
                Authority::of(
                    c,
                    now,
                    &settings,
                    Person {
                        name: name.into(),
                        groups,
                        ..Person::default()
                    },
                )
            };
            decide(c, now, &id(1)?, &by("cleo", &[])?, Choice::Approve, None)?.unwrap();
            decide(
                c,
                now,
                &id(1)?,
                &by("bob", &["leads"])?,
                Choice::Approve,
                None,
            )?
            .unwrap();
            decide(
                c,
                now,
                &id(2)?,
                &by("grace", &[])?,
                Choice::BreakGlass,
                Some("the shop is down"),
            )?
            .unwrap();
            Ok(())
        })
        .unwrap();
    let states: Vec<(String, String)> = trail
        .store
        .read_now(|c| {
            let mut rows =
                c.prepare("SELECT state, decided_by FROM approvals ORDER BY fingerprint")?;
            Ok(rows
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<_, _>>()?)
        })
        .unwrap();
    assert_eq!(
        states,
        [
            ("approved".into(), "bob, cleo".into()),
            ("approved".into(), "grace".into())
        ]
    );
    let key = trail.close();
    let report = verify_folder(folder.path(), &key, &[]);
    assert!(report.findings.is_empty(), "{report:?}");
    // Whose place a vote was given in cannot be changed afterwards.
    let database = rusqlite::Connection::open(folder.path().join("countersign.db")).unwrap();
    database
        .execute(
            "UPDATE approval_votes SET counts = replace(counts, 'ann', 'eve')",
            [],
        )
        .unwrap();
    drop(database);
    let report = verify_folder(folder.path(), &key, &[]);
    assert!(!report.findings.is_empty());
}

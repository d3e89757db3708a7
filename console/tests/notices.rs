//! Notices: what receivers on sockets get, that nothing is lost, and what nobody is told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // These are tests.

mod common;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::{Router, routing::any};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::{Console, asking, question};
use countersign::notify::deliver::round;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

const KEY: &str = "a-key-that-both-sides-know";
// In two parts, so that no scanner takes it for one that leaked.
const TOKEN: &str = concat!("ghp_0123456789abcdefghij", "ABCDEFGHIJ3mpbCX");

#[derive(Clone, Default)]
struct Receiver {
    got: Arc<Mutex<Vec<(String, HeaderMap, Value)>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

async fn receive(
    State(receiver): State<Receiver>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let value = serde_json::from_slice(&body).unwrap();
    if uri.path() == "/hook" {
        let text = |name: &str| headers[name].to_str().unwrap().to_owned();
        let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
        mac.update(format!("{}.{}.", text("webhook-id"), text("webhook-timestamp")).as_bytes());
        mac.update(&body);
        let expected = STANDARD.encode(mac.finalize().into_bytes());
        assert_eq!(text("webhook-signature"), format!("v1,{expected}"));
    }
    receiver
        .got
        .lock()
        .unwrap()
        .push((uri.path().to_owned(), headers, value));
    let status = receiver.answers.lock().unwrap().pop_front().unwrap_or(200);
    StatusCode::from_u16(status).unwrap()
}

impl Receiver {
    async fn start() -> (Self, String) {
        let receiver = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .fallback(any(receive))
            .with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (receiver, url)
    }

    fn got(&self, path: &str) -> Vec<Value> {
        let got = self.got.lock().unwrap();
        got.iter()
            .filter(|(to, ..)| to == path)
            .map(|(.., value)| value.clone())
            .collect()
    }
}

fn settings(console: Console, yaml: &str, url: &str) -> Console {
    let environment = |name: &str| match name {
        "SLACK" => Some(format!("{url}/slack")),
        "TEAMS" => Some(format!("{url}/teams")),
        _ => Some(KEY.to_owned()),
    };
    let settings = countersign::settings::read_text(yaml, &environment).unwrap();
    let app = console.app.with_settings(settings);
    Console {
        router: countersign::web::router(app.clone()),
        app,
        ..console
    }
}

/// A question with what must not be told, and with what tries to be more than text.
fn hostile() -> Value {
    let mut hostile = question(1, "e-1");
    hostile["request"]["path"] = json!(format!("/acme/web.git/git-receive-pack?token={TOKEN}"));
    hostile["request"]["body"] = json!("the whole body of the request");
    hostile["operations"][0]["ref"] = json!(format!(
        "refs/heads/<!channel> [x](http://evil.example)\r\nBcc: evil@example.com {TOKEN}"
    ));
    hostile["summary"] = json!("");
    hostile
}

const CHANNELS: &str = "version: v1
notify:
- { name: chat, slack: { env: SLACK } }
- { name: cards, teams: { env: TEAMS } }
- { name: siem, events: [asked, refused], webhook: { url: URL/hook, key: { env: KEY } } }
- { name: tags, rules: [\"tags-*\"], slack: { env: SLACK } }
";

#[tokio::test]
async fn every_channel_is_told_what_it_is_for_and_no_secret() {
    let (receiver, url) = Receiver::start().await;
    let console = settings(Console::start(), &CHANNELS.replace("URL", &url), &url);
    let lead = console.person("bob", &["platform-leads"]).await;
    let answer = console.send(asking(&hostile(), 0)).await;
    let id = answer.header("x-countersign-approval").to_owned();
    assert_eq!(round(&console.app).await.unwrap(), 3);
    let link = format!("http://console.test/approvals/{id}");
    let slack = receiver.got("/slack");
    assert_eq!(slack.len(), 1, "the channel for tags is not told");
    assert_eq!(slack[0]["blocks"][1]["elements"][0]["url"], link);
    assert_eq!(slack[0]["blocks"][0]["text"]["type"], "plain_text");
    assert!(
        !slack[0]["text"].as_str().unwrap().contains('<'),
        "{slack:?}"
    );
    let card = &receiver.got("/teams")[0]["attachments"][0]["content"];
    assert_eq!(card["actions"][0]["url"], link);
    assert!(
        card["body"]
            .as_array()
            .unwrap()
            .iter()
            .all(|block| block["type"] == "RichTextBlock")
    );
    let hook = &receiver.got("/hook")[0];
    assert_eq!(hook["type"], "approval.asked");
    assert_eq!(hook["data"]["approval"], id.as_str());
    for (_, _, value) in receiver.got.lock().unwrap().iter() {
        let text = value.to_string();
        assert!(
            !text.contains(TOKEN) && text.contains("REDACTED:github-token"),
            "{text}"
        );
        assert!(
            !text.contains("whole body") && !text.contains("?token"),
            "{text}"
        );
    }
    assert_eq!(round(&console.app).await.unwrap(), 0, "once");
    console
        .decide(&id, "refuse", &lead, "not on a Friday")
        .await;
    assert_eq!(round(&console.app).await.unwrap(), 1);
    assert_eq!(
        receiver.got("/hook")[1]["data"]["facts"]["reason"],
        "not on a Friday"
    );
    let steps = console.steps(&id, &lead).await;
    assert_eq!(
        steps.iter().filter(|step| *step == "notified").count(),
        4,
        "{steps:?}"
    );
}

#[tokio::test]
async fn what_fails_is_tried_again_and_what_fails_for_good_is_seen() {
    let (receiver, url) = Receiver::start().await;
    let yaml = "version: v1\nnotify: [ { name: chat, slack: { env: SLACK } } ]";
    let console = settings(Console::start(), yaml, &url);
    let lead = console.person("bob", &["platform-leads"]).await;
    receiver.answers.lock().unwrap().extend([500, 429]);
    let answer = console.send(asking(&question(1, "e-1"), 0)).await;
    let id = answer.header("x-countersign-approval").to_owned();
    assert_eq!(round(&console.app).await.unwrap(), 1);
    assert_eq!(round(&console.app).await.unwrap(), 0, "not at once");
    // A console that is killed meanwhile tells it later.
    let clock = console.app.clock.now();
    let console = settings(console.restart().await, yaml, &url);
    assert_eq!(console.app.clock.now(), clock);
    console.app.clock.advance(2_000);
    assert_eq!(round(&console.app).await.unwrap(), 1);
    console.app.clock.advance(4_000);
    assert_eq!(round(&console.app).await.unwrap(), 1);
    assert_eq!(receiver.got("/slack").len(), 3);
    assert!(
        console
            .steps(&id, &lead)
            .await
            .contains(&"notified".to_owned())
    );
    // Nobody is called to what is decided meanwhile.
    receiver.answers.lock().unwrap().push_back(500);
    let answer = console.send(asking(&question(2, "e-2"), 0)).await;
    let second = answer.header("x-countersign-approval").to_owned();
    round(&console.app).await.unwrap();
    console.decide(&second, "approve", &lead, "").await;
    console.app.clock.advance(2_000);
    round(&console.app).await.unwrap();
    assert_eq!(receiver.got("/slack").len(), 4);
    // Given up: on record, on the request's page and on the health page.
    receiver.answers.lock().unwrap().extend([503; 20]);
    let mut third = question(3, "e-3");
    third["approval"]["ticket_s"] = json!(7200);
    let answer = console.send(asking(&third, 0)).await;
    let third = answer.header("x-countersign-approval").to_owned();
    for _ in 0..8 {
        assert_eq!(round(&console.app).await.unwrap(), 1);
        console.app.clock.advance(300_000);
    }
    assert_eq!(round(&console.app).await.unwrap(), 0);
    assert!(
        console
            .steps(&third, &lead)
            .await
            .contains(&"not_notified".to_owned())
    );
    let cookie = console.sign_in_to(&lead, "/health").await;
    let health = console.page("/health", &cookie).await.text();
    assert!(
        health.contains("The channel chat did not take 1 notice") && health.contains("503"),
        "{health}"
    );
    assert!(
        !health.contains(&url),
        "the address of a webhook is a secret"
    );
}

#[tokio::test]
async fn mail_goes_to_those_who_may_decide() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let mail = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        write.write_all(b"220 mail.test\r\n").await.unwrap();
        let (mut all, mut data) = (Vec::new(), false);
        while let Some(line) = lines.next_line().await.unwrap() {
            let answer: &[u8] = match (data, line.split(' ').next().unwrap()) {
                (true, ".") => {
                    data = false;
                    b"250 taken\r\n"
                }
                (true, _) => b"",
                (false, "DATA") => {
                    data = true;
                    b"354 go on\r\n"
                }
                (false, "QUIT") => b"221 bye\r\n",
                (false, _) => b"250 fine\r\n",
            };
            all.push(line.clone());
            write.write_all(answer).await.unwrap();
            if line == "QUIT" || line == "." {
                break;
            }
        }
        all
    });
    let yaml = format!(
        "version: v1\nnotify: [ {{ name: mail, email: {{ server: \"smtp://{server}\", from: \"Countersign <c@example.com>\", to: [leads@example.com], reviewers: true }} }} ]\napprovals: {{ out_of_office: [ {{ person: dora, ends: 2030-01-01 }} ] }}"
    );
    let console = settings(Console::start(), &yaml, "");
    for (name, email, groups) in [
        ("ann", "ann@example.com", &["platform-leads"][..]),
        ("dora", "dora@example.com", &["platform-leads"]),
        ("eve", "eve@example.com", &["web"]),
        ("ci-runner", "ci@example.com", &["platform-leads"]),
    ] {
        console.person_with_email(name, Some(email), groups).await;
    }
    console.send(asking(&hostile(), 0)).await;
    assert_eq!(round(&console.app).await.unwrap(), 1);
    let mail = mail.await.unwrap();
    let to: Vec<&str> = mail
        .iter()
        .filter_map(|line| line.strip_prefix("RCPT TO:"))
        .collect();
    assert_eq!(to, ["<leads@example.com>", "<ann@example.com>"]);
    let text = mail.join("\n");
    assert!(!text.contains(TOKEN), "{text}");
    assert!(!mail.iter().any(|line| line.starts_with("Bcc")), "{text}");
    assert!(text.contains("http://console.test/approvals/"), "{text}");
}

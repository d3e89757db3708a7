//! The trail for other systems: formats over the API, resumption, and sending it on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // These are tests.

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use common::{Console, batch, exchange};
use countersign::export::sink::{Sink, Target};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use prost::Message;
use serde_json::Value;
use tokio::sync::watch;

/// Exchanges of two records each.
async fn fill(console: &Console, from: i64, exchanges: i64) {
    let mut records = Vec::new();
    for number in from..from + exchanges {
        let (request, outcome) = exchange(&format!("x{number}"), "w", 2 * number + 1);
        records.extend([request, outcome]);
    }
    let body = batch(&records).to_string().into_bytes();
    let answer = console.logs("application/json", body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
}

/// The exchange and half that each line of NDJSON tells of.
fn told(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("{line}")))
        .filter(|line| line["kind"] == "record")
        .map(|line| {
            format!(
                "{} {}",
                line["attributes"]["countersign.exchange.id"], line["event"]
            )
        })
        .collect()
}

#[tokio::test]
async fn an_export_can_be_what_a_search_finds() {
    let console = Console::start();
    fill(&console, 0, 5).await;
    let secret = console.person("ann", &["auditors"]).await;
    let ask = async |query: &str| {
        let path = format!("/api/v1/export?q={query}");
        console.api(Method::GET, &path, &secret, Value::Null).await
    };
    // What is found is found once the index has it, which the console sees to when nothing waits.
    console
        .until(async || told(&ask("user:ci-runner").await.text()).len() == 10)
        .await;
    let found = told(&ask("exchange:x3").await.text());
    assert_eq!(
        found,
        [
            r#""x3" "countersign.request""#,
            r#""x3" "countersign.outcome""#
        ]
    );
    assert_eq!(told(&ask("-exchange:x3").await.text()).len(), 8);
    assert_eq!(told(&ask("user:nobody").await.text()).len(), 0);
    let wrong = ask("colour:red").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.text().contains("colour"), "{}", wrong.text());
}

#[tokio::test]
async fn an_export_goes_on_where_its_cursor_says() {
    let console = Console::start();
    fill(&console, 0, 5).await;
    let secret = console.person("ann", &["auditors"]).await;
    let mut cursor = "0".to_owned();
    let mut all = Vec::new();
    let mut more = true;
    while more {
        let path = format!("/api/v1/export?limit=3&cursor={cursor}");
        let answer = console.api(Method::GET, &path, &secret, Value::Null).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        assert_eq!(answer.header("content-type"), "application/x-ndjson");
        all.extend(told(&answer.text()));
        cursor = answer.header("x-countersign-next").to_owned();
        more = answer.header("x-countersign-more") == "true";
    }
    let different: BTreeSet<&String> = all.iter().collect();
    assert_eq!((all.len(), different.len()), (10, 10), "{all:?}");
    for format in ["csv", "har", "ocsf", "otlp", "syslog"] {
        let path = format!("/api/v1/export?format={format}&user=ci-runner&since=2020-01-01");
        let answer = console.api(Method::GET, &path, &secret, Value::Null).await;
        assert_eq!(answer.status, StatusCode::OK, "{format}: {}", answer.text());
        assert!(answer.text().contains("x4"), "{format}: {}", answer.text());
    }
    // Whoever follows is not told of his own looks for ever.
    for _ in 0..20 {
        let path = format!("/api/v1/export?cursor={cursor}");
        let answer = console.api(Method::GET, &path, &secret, Value::Null).await;
        let next = answer.header("x-countersign-next").to_owned();
        if next == cursor {
            break;
        }
        cursor = next;
    }
    let path = format!("/api/v1/export?cursor={cursor}");
    let answer = console.api(Method::GET, &path, &secret, Value::Null).await;
    assert_eq!(answer.header("x-countersign-next"), cursor);
    let none = console
        .api(
            Method::GET,
            "/api/v1/export?user=nobody",
            &secret,
            Value::Null,
        )
        .await;
    assert!(told(&none.text()).is_empty());
    for bad in ["format=pdf", "since=whenever", "cursor=x"] {
        let path = format!("/api/v1/export?{bad}");
        let answer = console.api(Method::GET, &path, &secret, Value::Null).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    let answer = console
        .api(Method::GET, "/api/v1/export", "nonsense", Value::Null)
        .await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

/// What a collector was sent, and how it answers: one answer after the other, then well.
#[derive(Clone, Default)]
struct Collector {
    seen: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<Vec<&'static str>>>,
}

impl Collector {
    async fn start(answers: &[&'static str]) -> (Self, String) {
        let collector = Self::default();
        *collector.answers.lock().unwrap() = answers.iter().rev().copied().collect();
        let own = collector.clone();
        let take = move |body: Bytes| {
            let own = own.clone();
            async move { own.take(&body) }
        };
        let router = axum::Router::new().route("/v1/logs", axum::routing::post(take));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (collector, format!("http://{address}"))
    }

    fn take(&self, body: &[u8]) -> Response {
        let request = ExportLogsServiceRequest::decode(body).unwrap();
        let records: Vec<String> = request
            .resource_logs
            .iter()
            .flat_map(|resource| &resource.scope_logs)
            .flat_map(|scope| &scope.log_records)
            .filter_map(|record| {
                let exchange = record
                    .attributes
                    .iter()
                    .find(|a| a.key == "countersign.exchange.id")?;
                Some(format!("{:?} {}", exchange.value, record.event_name))
            })
            .collect();
        let poisoned = records
            .iter()
            .any(|record| record.contains("\"x3\"") && record.contains("outcome"));
        // Not in the `match`: the lock would be held through it.
        let next = self.answers.lock().unwrap().pop();
        match next {
            Some("429") => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")]).into_response(),
            Some("503") => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            Some("401") => StatusCode::UNAUTHORIZED.into_response(),
            // From now on one record is refused, wherever it is.
            Some("poison") if poisoned => {
                self.answers.lock().unwrap().push("poison");
                StatusCode::BAD_REQUEST.into_response()
            }
            Some("garbage") => {
                self.seen.lock().unwrap().extend(records);
                "<html>thank you</html>".into_response()
            }
            Some("partial") => {
                self.seen.lock().unwrap().extend(records);
                let answer = ExportLogsServiceResponse {
                    partial_success: Some(ExportLogsPartialSuccess {
                        rejected_log_records: 1,
                        error_message: "too old".into(),
                    }),
                };
                answer.encode_to_vec().into_response()
            }
            again => {
                if again == Some("poison") {
                    self.answers.lock().unwrap().push("poison");
                }
                self.seen.lock().unwrap().extend(records);
                ExportLogsServiceResponse::default()
                    .encode_to_vec()
                    .into_response()
            }
        }
    }

    fn different(&self) -> BTreeSet<String> {
        self.seen.lock().unwrap().iter().cloned().collect()
    }
}

fn start(console: &Console, target: &str) -> (watch::Sender<bool>, std::thread::JoinHandle<()>) {
    let (stop, stopping) = watch::channel(false);
    let target = Target::parse(target).unwrap();
    let sink = Sink::new(target, Vec::new(), None).unwrap();
    let (store, clock) = (console.app.store.clone(), console.app.clock.clone());
    let thread = console
        .app
        .forwards
        .start(sink, store, clock, stopping)
        .unwrap();
    (stop, thread)
}

async fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn end(stop: watch::Sender<bool>, thread: std::thread::JoinHandle<()>) {
    stop.send(true).unwrap();
    tokio::task::spawn_blocking(move || thread.join().unwrap())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_busy_away_or_strange_gets_everything_in_the_end() {
    let console = Console::start();
    fill(&console, 0, 5).await;
    let (collector, url) = Collector::start(&["429", "503", "garbage", "401"]).await;
    let (stop, thread) = start(&console, &url);
    until(|| collector.different().len() == 10).await;
    fill(&console, 5, 5).await;
    until(|| collector.different().len() == 20).await;
    // The record of how it fares comes after the answer.
    until(|| console.app.forwards.status()[0].behind <= 0).await;
    let status = &console.app.forwards.status()[0];
    assert_eq!(
        (status.rejected, status.failures, &status.trouble),
        (0, 0, &None),
        "{status:?}"
    );
    end(stop, thread).await;

    // Another start goes on from the cursor: what came before is not sent again.
    let before = collector.seen.lock().unwrap().len();
    fill(&console, 10, 1).await;
    let (stop, thread) = start(&console, &url);
    until(|| collector.different().len() == 22).await;
    end(stop, thread).await;
    assert_eq!(collector.seen.lock().unwrap().len(), before + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_record_that_is_refused_does_not_hold_up_the_others() {
    let console = Console::start();
    fill(&console, 0, 6).await;
    let (collector, url) = Collector::start(&["poison"]).await;
    let (stop, thread) = start(&console, &url);
    until(|| collector.different().len() == 11).await;
    until(|| console.app.forwards.status()[0].behind <= 0).await;
    assert_eq!(console.app.forwards.status()[0].rejected, 1);
    end(stop, thread).await;
    let missing = collector
        .different()
        .iter()
        .any(|r| r.contains("\"x3\"") && r.contains("outcome"));
    assert!(!missing);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_collector_rejects_is_counted_and_failures_are_seen() {
    let console = Console::start();
    fill(&console, 0, 1).await;
    let (collector, url) = Collector::start(&["partial"]).await;
    let (stop, thread) = start(&console, &url);
    until(|| console.app.forwards.status()[0].rejected == 1).await;
    end(stop, thread).await;
    assert_eq!(collector.different().len(), 2);

    let secret = console.person("ann", &[]).await;
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (stop, thread) = start(&console, &format!("http://{nobody}/v1/logs"));
    until(|| console.app.forwards.status()[1].failures > 0).await;
    let answer = console
        .api(Method::GET, "/api/v1/forwards", &secret, Value::Null)
        .await;
    let forward = answer.json()["forwards"][1].clone();
    assert!(
        forward["trouble"].is_string() && forward["failing_since_ms"].is_i64(),
        "{forward}"
    );
    assert!(forward["behind"].as_i64().unwrap() >= 2, "{forward}");
    end(stop, thread).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn syslog_frames_are_counted_in_octets() {
    let console = Console::start();
    fill(&console, 0, 3).await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, thread) = start(&console, &format!("syslog+tcp://{address}"));
    let frames = tokio::task::spawn_blocking(move || {
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        let mut frames = Vec::new();
        while frames.len() < 3 {
            let mut length = Vec::new();
            stream.read_until(b' ', &mut length).unwrap();
            let length: usize = std::str::from_utf8(&length)
                .unwrap()
                .trim()
                .parse()
                .unwrap();
            let mut frame = vec![0; length];
            stream.read_exact(&mut frame).unwrap();
            frames.push(String::from_utf8(frame).unwrap());
        }
        frames
    });
    let frames = frames.await.unwrap();
    end(stop, thread).await;
    for (frame, exchange) in frames.iter().zip(["x0", "x1", "x2"]) {
        assert!(frame.starts_with("<110>1 "), "{frame}");
        assert!(
            frame.contains(&format!("exchange=\"{exchange}\"")),
            "{frame}"
        );
        assert!(!frame.contains('\n'), "{frame}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_is_killed_again_and_again_leaves_nothing_out() {
    let console = Console::start();
    for part in 0..20 {
        fill(&console, part * 100, 100).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let (state, output) = (
        folder.path().join("cursor"),
        folder.path().join("out.ndjson"),
    );
    let data = console.folder.path().to_owned();
    let export = |follow: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command
            .envs(common::database::environment(&data))
            .args(["ledger", "export", "--data"])
            .arg(&data)
            .arg("--state")
            .arg(&state)
            .arg("--output")
            .arg(&output)
            .stderr(Stdio::null());
        if follow {
            command.arg("--follow");
        }
        command
    };
    let mut size = 0;
    for _ in 0..4 {
        let mut child = export(true).spawn().unwrap();
        // Killed when it has written more, wherever it is by then.
        loop {
            let now = std::fs::metadata(&output).map_or(0, |m| m.len());
            if now > size {
                size = now;
                break;
            }
            let kept = std::fs::read_to_string(&state).unwrap_or_default();
            let whole = kept.split(' ').next() == Some("4000");
            if whole {
                break;
            }
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(export(false).status().unwrap().success());
    let text = std::fs::read_to_string(&output).unwrap();
    // Every line is whole, and everything is there once.
    let all = told(&text);
    let different: BTreeSet<&String> = all.iter().collect();
    assert_eq!((all.len(), different.len()), (4_000, 4_000));
}

//! The log intake: both encodings, resends, garbage, and what is on disk after an ack.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // These are tests.

mod common;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use common::{Console, KEY, batch, exchange, record};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use prost::Message;
use serde_json::{Value, json};
use std::io::Write;

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";

async fn exchanges(console: &Console, secret: &str, query: &str) -> Vec<String> {
    let path = format!("/api/v1/exchanges?{query}");
    let answer = console.api(Method::GET, &path, secret, Value::Null).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let value = answer.json();
    let list = value["exchanges"].as_array().unwrap();
    list.iter()
        .map(|e| e["exchange"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn request_and_outcome_are_joined_and_found() {
    let console = Console::start();
    let secret = console.person("bob", &[]).await;
    let (request, outcome) = exchange("e-1", "w-1", 1);
    let body = batch(&[request]).to_string().into_bytes();
    let answer = console.logs(JSON, body).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json(), json!({}));

    let one = console
        .api(Method::GET, "/api/v1/exchanges/e-1", &secret, Value::Null)
        .await
        .json();
    assert_eq!(one["has_outcome"], false);
    assert_eq!(one["outcome"], Value::Null);
    assert_eq!(
        one["request"]["countersign.request.body"],
        "please drop the tables"
    );

    let body = batch(&[outcome]).to_string().into_bytes();
    console.logs(JSON, body).await;
    let one = console
        .api(Method::GET, "/api/v1/exchanges/e-1", &secret, Value::Null)
        .await
        .json();
    assert_eq!(one["status"], 200);
    assert_eq!(one["end"], "complete");
    assert_eq!(one["masked"], 2);
    assert_eq!(
        one["outcome"]["countersign.response.chunks"],
        json!([{"offset_ms": 12, "size": 13}])
    );
    assert_eq!(one["records"].as_array().unwrap().len(), 2);

    for (query, found) in [
        ("text=drop", true),
        ("text=%22drop%20the%20tables%22", true),
        ("text=%22the%20drop%22", false),
        ("user=ci-runner", true),
        ("user=ci-*", true),
        ("user=ci", false),
        ("operation=chat.complete", true),
        ("operation=openai:chat", true),
        ("operation=chat.*", true),
        ("operation=repo.*", false),
        ("decision=allowed", true),
        ("decision=denied", false),
        ("connection=copilot&session=s-1", true),
        ("since=2026-09-21&until=2026-09-22", true),
        ("until=2026-09-21", false),
    ] {
        assert_eq!(
            !exchanges(&console, &secret, query).await.is_empty(),
            found,
            "{query}"
        );
    }
    let wrong = console
        .api(
            Method::GET,
            "/api/v1/exchanges?since=soon",
            &secret,
            Value::Null,
        )
        .await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_resend_changes_nothing_and_another_record_under_its_number_is_kept() {
    let console = Console::start();
    let secret = console.person("bob", &[]).await;
    let (request, _) = exchange("e-1", "w-1", 1);
    let mut resent = request.clone();
    resent["observedTimeUnixNano"] = json!("1790000000000000001");
    let (other, _) = exchange("e-2", "w-1", 1);
    for record in [request.clone(), request, resent, other] {
        let answer = console
            .logs(JSON, batch(&[record]).to_string().into_bytes())
            .await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    let one = console
        .api(Method::GET, "/api/v1/exchanges/e-1", &secret, Value::Null)
        .await
        .json();
    assert_eq!(one["records"].as_array().unwrap().len(), 1);
    assert_eq!(exchanges(&console, &secret, "").await, ["e-2", "e-1"]);
    let tally = console.app.intake.tally();
    assert_eq!((tally.stored, tally.duplicates), (2, 2));
}

#[tokio::test]
async fn an_outcome_counts_over_a_request_that_comes_late() {
    let console = Console::start();
    let secret = console.person("bob", &[]).await;
    let (mut request, outcome) = exchange("e-1", "w-1", 1);
    for attribute in request["attributes"].as_array_mut().unwrap() {
        if attribute["key"] == "countersign.decision" {
            attribute["value"] = json!({"stringValue": "held"});
        }
    }
    console
        .logs(JSON, batch(&[outcome]).to_string().into_bytes())
        .await;
    console
        .logs(JSON, batch(&[request]).to_string().into_bytes())
        .await;
    let one = console
        .api(Method::GET, "/api/v1/exchanges/e-1", &secret, Value::Null)
        .await
        .json();
    assert_eq!(one["decision"], "allowed");
    assert_eq!(one["has_request"], true);
}

#[tokio::test]
async fn protobuf_and_gzip_are_read() {
    let console = Console::start();
    let secret = console.person("bob", &[]).await;
    let (request, outcome) = exchange("e-1", "w-1", 1);
    let message: ExportLogsServiceRequest = serde_json::from_value(batch(&[request])).unwrap();
    let answer = console.logs(PROTOBUF, message.encode_to_vec()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), PROTOBUF);
    let response = ExportLogsServiceResponse::decode(answer.body.as_slice()).unwrap();
    assert_eq!(response.partial_success, None);

    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(batch(&[outcome]).to_string().as_bytes())
        .unwrap();
    let request = Request::post("/v1/logs")
        .header(header::AUTHORIZATION, format!("Bearer {KEY}"))
        .header(header::CONTENT_TYPE, JSON)
        .header(header::CONTENT_ENCODING, "gzip")
        .body(Body::from(gzip.finish().unwrap()))
        .unwrap();
    assert_eq!(console.send(request).await.status, StatusCode::OK);
    assert_eq!(
        exchanges(&console, &secret, "decision=allowed").await,
        ["e-1"]
    );
    let one = console
        .api(Method::GET, "/api/v1/exchanges/e-1", &secret, Value::Null)
        .await
        .json();
    assert_eq!(
        (&one["has_request"], &one["has_outcome"]),
        (&json!(true), &json!(true))
    );
}

#[tokio::test]
async fn what_is_not_a_record_is_rejected_and_the_rest_is_kept() {
    let console = Console::start();
    let secret = console.person("bob", &[]).await;
    let (request, _) = exchange("e-1", "w-1", 1);
    let foreign = record("some.event", &json!({"a": "b"}));
    let unnumbered = record(
        "countersign.request",
        &json!({"countersign.exchange.id": "e-9"}),
    );
    let body = batch(&[foreign, request, unnumbered])
        .to_string()
        .into_bytes();
    let answer = console.logs(JSON, body).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["partialSuccess"]["rejectedLogRecords"], "2");
    assert!(
        answer.json()["partialSuccess"]["errorMessage"]
            .as_str()
            .unwrap()
            .contains("some.event")
    );
    assert_eq!(exchanges(&console, &secret, "").await, ["e-1"]);
}

#[tokio::test]
async fn garbage_and_too_much_are_refused() {
    let console = Console::start();
    assert_eq!(
        console
            .logs(JSON, b"{\"resourceLogs\": 3}".to_vec())
            .await
            .status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        console.logs(PROTOBUF, vec![0xff; 40]).await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        console.logs("text/plain", Vec::new()).await.status,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    let huge = vec![b' '; countersign::intake::LARGEST_BATCH + 1];
    assert_eq!(
        console.logs(JSON, huge).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    // A small body that becomes a huge one.
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&vec![b' '; countersign::intake::LARGEST_BATCH + 1])
        .unwrap();
    let bomb = |encoding: &str, body: Vec<u8>| {
        Request::post("/v1/logs")
            .header(header::AUTHORIZATION, format!("Bearer {KEY}"))
            .header(header::CONTENT_TYPE, JSON)
            .header(header::CONTENT_ENCODING, encoding)
            .body(Body::from(body))
            .unwrap()
    };
    let gzip = gzip.finish().unwrap();
    assert!(gzip.len() < 100_000);
    assert_eq!(
        console.send(bomb("gzip", gzip)).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    assert_eq!(
        console.send(bomb("gzip", b"no gzip".to_vec())).await.status,
        StatusCode::BAD_REQUEST
    );
    let mut keyless = bomb("gzip", Vec::new());
    keyless.headers_mut().remove(header::AUTHORIZATION);
    assert_eq!(console.send(keyless).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_full_queue_sends_the_batch_away_and_tells_when_to_come_back() {
    let console = Console::start();
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let (started, has_started) = tokio::sync::oneshot::channel();
    let store = console.app.store.clone();
    let blocking = tokio::spawn(async move {
        store
            .write(move |_| {
                let _ = started.send(());
                let _ = gate.recv();
                Ok(())
            })
            .await
    });
    has_started.await.unwrap();
    let mut waiting = Vec::new();
    for _ in 0..countersign::store::QUEUE {
        let store = console.app.store.clone();
        waiting.push(tokio::spawn(async move { store.write(|_| Ok(())).await }));
    }
    console
        .until(async || console.app.store.waiting_writes() == countersign::store::QUEUE)
        .await;
    let (request, _) = exchange("e-1", "w-1", 1);
    let answer = console
        .logs(
            JSON,
            batch(std::slice::from_ref(&request))
                .to_string()
                .into_bytes(),
        )
        .await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.header("retry-after"), "1");
    go.send(()).unwrap();
    blocking.await.unwrap().unwrap();
    for write in waiting {
        write.await.unwrap().unwrap();
    }
    let answer = console
        .logs(JSON, batch(&[request]).to_string().into_bytes())
        .await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repeat() {
    let console = Console::start();
    let secret = console.person("bob", &[]).await;
    for n in 0..7 {
        let (request, _) = exchange(&format!("e-{n}"), "w-1", n + 1);
        console
            .logs(JSON, batch(&[request]).to_string().into_bytes())
            .await;
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/v1/exchanges?limit=3&cursor={cursor}");
        let page = console
            .api(Method::GET, &path, &secret, Value::Null)
            .await
            .json();
        for exchange in page["exchanges"].as_array().unwrap() {
            seen.push(exchange["exchange"].as_str().unwrap().to_owned());
        }
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, ["e-6", "e-5", "e-4", "e-3", "e-2", "e-1", "e-0"]);
}

//! Sessions as pages and as JSON.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // These are tests.

mod common;

use axum::http::{Method, StatusCode};
use common::{Console, batch, exchange, record};
use serde_json::{Value, json};

const HOSTILE: &str = "<script>alert(1)</script>\u{202e}gnp\u{1b}[2J";

/// A chat with a tool call, and the push that followed from it.
async fn a_session(console: &Console) {
    let chat = |seq: i64| {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": HOSTILE}]});
        let call = json!({"index": 0, "id": "c1", "function": {"name": "bash", "arguments": "{\"command\":\"git push\"}"}});
        let delta = |delta: Value| {
            format!(
                "data: {}\n\n",
                json!({"choices": [{"index": 0, "delta": delta}]})
            )
        };
        let answer = delta(json!({"content": "Sure, "}))
            + &delta(json!({"content": HOSTILE}))
            + &delta(json!({"tool_calls": [call]}));
        json!({
            "countersign.exchange.id": "chat-1", "countersign.worker.id": "w", "countersign.worker.seq": seq,
            "countersign.session.id": "s<1>", "user.id": "agent-7", "http.request.method": "POST",
            "url.full": "https://api.githubcopilot.com/chat/completions", "countersign.decision": "allowed",
            "countersign.operations": [{"name": "chat.completion", "aliases": []}],
            "countersign.request.body": body.to_string(), "countersign.request.body.encoding": "utf8",
            "countersign.response.body": answer, "countersign.response.body.encoding": "utf8",
            "countersign.response.chunks": [{"offset_ms": 20, "size": 60}, {"offset_ms": 900, "size": 5000}],
            "countersign.duration_us": 1_000_000, "http.response.status_code": 200,
        })
    };
    let push = |seq: i64| {
        json!({
            "countersign.exchange.id": "push-1", "countersign.worker.id": "w", "countersign.worker.seq": seq,
            "countersign.session.id": "s<1>", "user.id": "agent-7", "http.request.method": "POST",
            "url.full": "https://github.com/acme/web.git/git-receive-pack", "countersign.decision": "denied",
            "countersign.reason": "rule_denied", "countersign.rule": "no-push", "countersign.duration_us": 1000,
            "countersign.not_captured": ["request_body: git pack"], "http.response.status_code": 200,
            "countersign.operations": [{"name": "ref.push", "repo": "acme/web", "ref": "refs/heads/main", "write": true,
                "attributes": {"change": "update"}, "paths_known": false}],
        })
    };
    let mut records = Vec::new();
    for (at, half, attributes) in [
        (0, "countersign.request", chat(1)),
        (1_000, "countersign.outcome", chat(2)),
        (2_000, "countersign.request", push(3)),
        (2_001, "countersign.outcome", push(4)),
    ] {
        let mut record = record(half, &attributes);
        let nanos = (common::NOON as u64 + at) * 1_000_000;
        record["timeUnixNano"] = json!(nanos.to_string());
        records.push(record);
    }
    let body = batch(&records).to_string().into_bytes();
    let answer = console.logs("application/json", body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
}

#[tokio::test]
async fn a_session_is_replayed_in_order_and_its_text_stays_text() {
    let console = Console::start();
    a_session(&console).await;
    let secret = console.person("ann", &["auditors"]).await;
    let answer = console
        .api(
            Method::GET,
            "/api/v1/sessions/s%3C1%3E/replay",
            &secret,
            Value::Null,
        )
        .await;
    let replay = answer.json();
    let kinds: Vec<&str> = replay["steps"]
        .as_array()
        .unwrap_or_else(|| panic!("{replay}"))
        .iter()
        .map(|step| step["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["prompt", "answer", "push", "denied"], "{replay}");
    assert_eq!(replay["links"][0]["from"], 1, "{replay}");
    assert_eq!(replay["links"][0]["to"], 2, "{replay}");
    assert_eq!(replay["links"][0]["certainty"], "likely");

    let cookie = console.sign_in(&secret).await;
    let list = console.page("/sessions", &cookie).await;
    assert_eq!(list.status, StatusCode::OK);
    assert!(
        list.text().contains("/sessions/s%3C1%3E"),
        "{}",
        list.text()
    );
    for path in ["/sessions/s%3C1%3E", "/audit/chat-1"] {
        let page = console.page(path, &cookie).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text());
        let text = page.text();
        assert!(!text.contains("<script>alert"), "{path}");
        assert!(
            !text.contains('\u{202e}') && !text.contains('\u{1b}'),
            "{path}"
        );
        assert!(text.contains("\\u{202e}gnp\\u{1b}[2J"), "{path}");
        assert!(text.contains("data-at=\"900\""), "{path}: {text}");
        assert!(text.contains("led to"), "{path}: {text}");
        assert!(
            !text.contains(" style="),
            "{path}: the policy refuses inline styles"
        );
    }
    let page = console.page("/audit/push-1", &cookie).await.text();
    assert!(
        page.contains("follows from") && page.contains("Not captured"),
        "{page}"
    );
}

#[tokio::test]
async fn what_has_no_session_is_replayed_around_an_exchange() {
    let console = Console::start();
    a_session(&console).await;
    let secret = console.person("ann", &[]).await;
    let path = "/api/v1/sessions/~push-1/replay";
    let replay = console
        .api(Method::GET, path, &secret, Value::Null)
        .await
        .json();
    assert_eq!(replay["exchanges"], 2, "{replay}");
    let path = "/api/v1/sessions/nothing/replay";
    let none = console.api(Method::GET, path, &secret, Value::Null).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    let listed = console
        .api(Method::GET, "/api/v1/sessions", &secret, Value::Null)
        .await;
    let listed = listed.json();
    assert_eq!(listed["sessions"][0]["session"], "s<1>", "{listed}");
    assert_eq!(listed["sessions"][0]["denied"], 1, "{listed}");
}

#[tokio::test]
async fn sessions_need_a_sign_in() {
    let console = Console::start();
    let (request, outcome) = exchange("x", "w", 1);
    let body = batch(&[request, outcome]).to_string().into_bytes();
    console.logs("application/json", body).await;
    for path in ["/sessions", "/sessions/s-1"] {
        let answer = console.page(path, "countersign=nonsense").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}");
    }
    for path in ["/api/v1/sessions", "/api/v1/sessions/s-1/replay"] {
        let answer = console
            .api(Method::GET, path, "nonsense", Value::Null)
            .await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
    }
}

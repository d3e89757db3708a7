use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::fixture::{Fixture, bytes, with_credential};

async fn stream(fixture: &Fixture, path: &str, body: Value) -> Vec<Value> {
    let request = with_credential("api.githubcopilot.com", "POST", path)
        .body(Body::from(body.to_string()))
        .unwrap();
    let response = fixture.send(request).await;
    assert!(
        response.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/event-stream")
    );
    let text = String::from_utf8(bytes(response).await).unwrap();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

fn joined<'a>(events: &'a [Value], pick: impl Fn(&'a Value) -> &'a Value) -> String {
    events
        .iter()
        .filter_map(|event| pick(event).as_str())
        .collect()
}

#[tokio::test]
async fn every_protocol_streams_the_same_answer() {
    let fixture = Fixture::new();
    let said = json!([{ "role": "user", "content": "show me a secret" }]);
    let (_, whole) = fixture
        .call(
            "api.githubcopilot.com",
            "POST",
            "/v1/chat/completions",
            json!({ "messages": said }),
        )
        .await;
    let whole = whole["choices"][0]["message"]["content"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(whole.contains("ghp_"));
    let chat = stream(
        &fixture,
        "/chat/completions",
        json!({ "messages": said, "stream": true }),
    )
    .await;
    assert_eq!(
        joined(&chat, |event| &event["choices"][0]["delta"]["content"]),
        whole
    );
    assert_eq!(chat.last().unwrap()["choices"][0]["finish_reason"], "stop");
    let responses = stream(
        &fixture,
        "/responses",
        json!({ "input": said, "stream": true }),
    )
    .await;
    assert_eq!(joined(&responses, |event| &event["delta"]), whole);
    assert_eq!(
        responses.last().unwrap()["response"]["output"][0]["content"][0]["text"],
        whole.as_str()
    );
    let messages = stream(
        &fixture,
        "/v1/messages",
        json!({ "messages": said, "stream": true }),
    )
    .await;
    assert_eq!(joined(&messages, |event| &event["delta"]["text"]), whole);
}

#[tokio::test]
async fn a_tool_call_comes_in_pieces() {
    let fixture = Fixture::new();
    let body = json!({ "messages": [{ "role": "user", "content": "run: ls -la" }], "stream": true, "stream_options": { "include_usage": true } });
    let events = stream(&fixture, "/chat/completions", body).await;
    let call = |event: &Value| event["choices"][0]["delta"]["tool_calls"][0].clone();
    let first = events
        .iter()
        .map(call)
        .find(|call| call.is_object())
        .unwrap();
    assert_eq!(first["function"]["name"], "bash");
    let arguments: String = events
        .iter()
        .map(call)
        .filter_map(|call| Some(call["function"]["arguments"].as_str()?.to_owned()))
        .collect();
    assert_eq!(
        serde_json::from_str::<Value>(&arguments).unwrap()["command"],
        "ls -la"
    );
    let last = events.last().unwrap();
    assert_eq!(
        (&last["choices"], last["usage"]["total_tokens"].is_u64()),
        (&json!([]), true)
    );
}

#[tokio::test]
async fn copilot_tokens_that_were_handed_out_are_accepted() {
    let fixture = Fixture::new();
    let (_, body) = fixture
        .call(
            "gw.test:10000",
            "GET",
            "/api/v3/copilot_internal/v2/token",
            Value::Null,
        )
        .await;
    assert_eq!(body["endpoints"]["api"], "http://gw.test:10000/copilot");
    let bearer = format!("Bearer {}", body["token"].as_str().unwrap());
    let request = Request::builder()
        .uri("/models")
        .header("host", "api.githubcopilot.com")
        .header("authorization", bearer);
    assert_eq!(
        fixture
            .send(request.body(Body::empty()).unwrap())
            .await
            .status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn mcp_tools_act_on_the_organisation_in_both_revisions() {
    let fixture = Fixture::new();
    let post = |body: Value, headers: &[(&str, &str)]| {
        let mut request = with_credential("api.githubcopilot.com", "POST", "/mcp")
            .header("accept", "application/json, text/event-stream");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::from(body.to_string())).unwrap()
    };
    let start = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": { "protocolVersion": "2025-06-18" } });
    let response = fixture.send(post(start, &[])).await;
    let session = response.headers()["mcp-session-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let session = [("mcp-session-id", session.as_str())];
    let call = |name: &str, arguments: Value| json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": { "name": name, "arguments": arguments } });
    let delete = call(
        "delete_repository",
        json!({ "owner": "acme", "repo": "api" }),
    );
    let text =
        String::from_utf8(bytes(fixture.send(post(delete.clone(), &session)).await).await).unwrap();
    assert!(
        text.starts_with("event: message\ndata: ") && text.contains("\"isError\":false"),
        "{text}"
    );
    assert_eq!(
        fixture.api("GET", "/repos/acme/api", Value::Null).await.0,
        StatusCode::NOT_FOUND
    );
    let again =
        String::from_utf8(bytes(fixture.send(post(delete.clone(), &session)).await).await).unwrap();
    assert!(again.contains("\"isError\":true"), "{again}");
    assert_eq!(
        fixture
            .send(post(delete.clone(), &[("mcp-session-id", "unknown")]))
            .await
            .status(),
        StatusCode::NOT_FOUND
    );
    let stateless = ("mcp-protocol-version", "2026-07-28");
    let mismatch = [
        stateless,
        ("mcp-method", "tools/call"),
        ("mcp-name", "get_me"),
    ];
    let refused = fixture.send(post(delete.clone(), &mismatch)).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let discover = json!({ "jsonrpc": "2.0", "id": 3, "method": "server/discover", "params": {} });
    let found = bytes(
        fixture
            .send(post(
                discover,
                &[stateless, ("mcp-method", "server/discover")],
            ))
            .await,
    )
    .await;
    let found: Value = serde_json::from_slice(&found).unwrap();
    assert_eq!(found["result"]["resultType"], "complete");
    let readonly = with_credential("api.githubcopilot.com", "POST", "/mcp/readonly")
        .body(Body::from(delete.to_string()))
        .unwrap();
    let body: Value = serde_json::from_slice(&bytes(fixture.send(readonly).await).await).unwrap();
    assert_eq!(body["error"]["code"], -32602);
    let listen = with_credential("api.githubcopilot.com", "GET", "/mcp")
        .body(Body::empty())
        .unwrap();
    assert_eq!(
        fixture.send(listen).await.status(),
        StatusCode::METHOD_NOT_ALLOWED
    );
}

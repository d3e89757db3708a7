use super::*;
use crate::operation::Target;
use crate::protocol::tests::{described, head, judge as judge_as, with};
use crate::protocol::{Judged, ProtocolKind, Undecided};
use crate::reason::Reason;
use serde_json::{Value, json};

fn post(target: &str, body: &str) -> Result<Judged, Undecided> {
    judge_as(ProtocolKind::OpenAi, &head("POST", target), body)
}

fn names(judged: &Judged) -> Vec<&str> {
    judged.operations.iter().map(|o| o.name.as_str()).collect()
}

fn attribute<'a>(operation: &'a Operation, name: &str) -> &'a str {
    operation.attributes.get(name).map_or("", String::as_str)
}

#[test]
fn a_chat_says_model_stream_tools_and_messages() {
    let chat = r#"{"model":"gpt-4.1","stream":true,"max_tokens":9,
        "messages":[{"role":"system"},{"role":"user"},{"role":"user"},{"role":"critic"}],
        "tools":[{"type":"function","function":{"name":"bash"}},{"name":"view"},{"type":"web_search"}]}"#;
    for target in [
        "/chat/completions",
        "/v1/chat/completions",
        "/copilot/chat/completions",
        "/openai/v1/chat/completions",
    ] {
        let judged = post(target, chat).unwrap();
        assert_eq!(judged.model.as_deref(), Some("gpt-4.1"), "{target}");
        let operation = &judged.operations[0];
        assert_eq!(operation.name, "chat.completion");
        assert_eq!(operation.aliases, ["http.post", "model:gpt-4.1"]);
        assert!(operation.write);
        for (name, value) in [
            ("model", "gpt-4.1"),
            ("stream", "true"),
            ("messages", "4"),
            ("messages_system", "1"),
            ("messages_user", "2"),
            ("messages_other", "1"),
            ("max_tokens", "9"),
            ("tools", "bash,view,web_search"),
            ("route", "chat/completions"),
        ] {
            assert_eq!(attribute(operation, name), value, "{name}");
        }
    }
    let many: Vec<Value> = (0..900)
        .map(|n| json!({ "name": format!("tool-{n}") }))
        .collect();
    let judged = post(
        "/responses",
        &json!({ "model": "m", "input": "hi", "tools": many }).to_string(),
    )
    .unwrap();
    let tools = attribute(&judged.operations[0], "tools");
    assert!(tools.len() < 2_010 && tools.ends_with(",…"), "{tools}");
    assert_eq!(attribute(&judged.operations[0], "messages"), "1");
}

#[test]
fn every_route_has_its_operation() {
    for (method, target, body, name) in [
        (
            "POST",
            "/responses",
            r#"{"model":"m","input":"hi"}"#,
            "chat.completion",
        ),
        (
            "POST",
            "/v1/messages",
            r#"{"model":"m","messages":[]}"#,
            "chat.completion",
        ),
        (
            "POST",
            "/anthropic/v1/messages",
            r#"{"model":"m"}"#,
            "chat.completion",
        ),
        (
            "POST",
            "/v1/engines/gpt-41-copilot/completions",
            r#"{"prompt":"x"}"#,
            "chat.completion",
        ),
        (
            "POST",
            "/openai/deployments/d/chat/completions?api-version=1",
            "{}",
            "chat.completion",
        ),
        (
            "POST",
            "/openai/deployments/d/embeddings",
            r#"{"input":"x"}"#,
            "chat.embedding",
        ),
        ("POST", "/embeddings", r#"{"model":"m"}"#, "chat.embedding"),
        ("POST", "/v1/messages/count_tokens", "", "chat.session"),
        ("POST", "/models/session", "", "chat.session"),
        ("POST", "/search/code", "", "chat.session"),
        ("POST", "/telemetry", "\u{1f}gzip", "chat.telemetry"),
        ("GET", "/telemetry", "", "chat.read"),
        ("GET", "/models", "", "chat.read"),
        ("GET", "/agents", "", "chat.read"),
        ("POST", "/agents/swe/v1/jobs/acme/web", "{}", "agent.start"),
        ("POST", "/agents/swe/else", "{}", "agent.unknown_write"),
        ("PUT", "/agents/x", "{}", "agent.unknown_write"),
        ("POST", "/v1/files", "", "model.file_upload"),
        ("DELETE", "/v1/files/f", "", "model.file_delete"),
        ("POST", "/v1/fine_tuning/jobs", "", "model.fine_tune"),
        ("POST", "/v1/batches", "", "model.batch"),
        ("POST", "/v1/assistants", "", "model.assistant"),
        ("POST", "/v1/threads/t/runs", "", "model.assistant"),
        ("POST", "/v1/vector_stores", "", "model.store"),
        ("POST", "/v1/images/generations", "", "model.image"),
        ("POST", "/v1/audio/speech", "", "model.audio"),
        ("POST", "/v1/realtime/sessions", "", "model.realtime"),
        ("DELETE", "/v1/responses/r", "", "chat.manage"),
        ("DELETE", "/models/x", "", "model.delete"),
        ("PATCH", "/models/x", "", "model.unknown_write"),
        ("POST", "/anything", "", "model.unknown_write"),
        ("PUT", "/chat/completions", "{}", "model.unknown_write"),
        ("DELETE", "/mcp/readonly", "", "mcp.protocol"),
        (
            "POST",
            "/copilot/mcp/",
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_me"}}"#,
            "github.read",
        ),
        (
            "POST",
            "/mcp/x/all",
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a_new_one"}}"#,
            "github.unknown_write",
        ),
    ] {
        let judged = judge_as(ProtocolKind::OpenAi, &head(method, target), body).unwrap();
        assert_eq!(names(&judged), [name], "{method} {target}");
    }
    let agents = head("GET", "/agents/swe/custom-agents/Acme/web?x=1");
    let judged = judge_as(ProtocolKind::OpenAi, &agents, "").unwrap();
    assert_eq!(judged.operations[0].repo, Target::Known("acme/web".into()));
    assert!(
        judged.operations[0]
            .aliases
            .contains(&"repo.read".to_owned())
    );
    let started = post("/agents/swe/v1/jobs/Acme/web", "{}").unwrap();
    assert_eq!(described(&started), "agent.start acme/web - -");
}

#[test]
fn a_request_that_names_two_models_is_both() {
    let models = |target: &str, body: Value| {
        let judged = post(target, &body.to_string()).unwrap();
        let all: Vec<String> = judged
            .operations
            .iter()
            .map(|o| attribute(o, "model").to_owned())
            .collect();
        (all.join(" "), judged.model)
    };
    let two = models("/v1/engines/e/completions", json!({ "model": "other" }));
    assert_eq!(two, ("e other".into(), Some("e".into())));
    let one = models(
        "/openai/deployments/e/chat/completions",
        json!({ "model": "e" }),
    );
    assert_eq!(one, ("e".into(), Some("e".into())));
    let fallback = models(
        "/chat/completions",
        json!({ "model": "a", "models": ["b", "a"] }),
    );
    assert_eq!(fallback, ("a b".into(), Some("a".into())));
    assert_eq!(
        models("/chat/completions", json!({})),
        (String::new(), None)
    );
    for body in [
        json!({ "model": ["a"] }),
        json!({ "model": "a", "models": [1] }),
    ] {
        let undecided = post("/chat/completions", &body.to_string()).unwrap_err();
        assert_eq!(undecided.reason, Reason::BodyUnreadable);
    }
}

#[test]
fn servers_that_the_provider_would_call_are_in_sight() {
    let responses = json!({ "model": "m", "input": "x", "tools": [
        { "type": "mcp", "server_label": "jira", "server_url": "https://jira.example.com/mcp" },
        { "type": "mcp", "server_label": "drive", "connector_id": "connector_googledrive" },
        { "type": "function", "name": "bash" }
    ] });
    let judged = post("/v1/responses", &responses.to_string()).unwrap();
    assert_eq!(
        names(&judged),
        ["chat.completion", "mcp.remote", "mcp.remote"]
    );
    assert_eq!(
        attribute(&judged.operations[1], "url"),
        "https://jira.example.com/mcp"
    );
    assert_eq!(attribute(&judged.operations[1], "server"), "jira");
    assert_eq!(
        attribute(&judged.operations[2], "connector"),
        "connector_googledrive"
    );
    assert!(judged.operations[1].write);
    let messages = json!({ "model": "m", "messages": [], "mcp_servers": [
        { "type": "url", "name": "x", "url": "https://x.example.com" }
    ] });
    let judged = post("/v1/messages", &messages.to_string()).unwrap();
    assert_eq!(names(&judged), ["chat.completion", "mcp.remote"]);
    assert_eq!(
        attribute(&judged.operations[1], "url"),
        "https://x.example.com"
    );
}

#[test]
fn a_batch_is_what_its_requests_are() {
    let batch = json!({ "requests": [
        { "custom_id": "1", "params": { "model": "a", "messages": [{"role":"user"}] } },
        { "custom_id": "2", "params": { "model": "a", "messages": [{"role":"user"},{"role":"user"}] } },
        { "custom_id": "3", "params": { "model": "b", "messages": [] } }
    ] });
    let judged = post("/v1/messages/batches", &batch.to_string()).unwrap();
    assert_eq!(
        names(&judged),
        ["model.batch", "chat.completion", "chat.completion"]
    );
    assert_eq!(attribute(&judged.operations[0], "requests"), "3");
    assert!(judged.operations[2].aliases.contains(&"model:b".to_owned()));
    for body in ["{}", r#"{"requests":[{}]}"#] {
        assert!(post("/v1/messages/batches", body).is_err());
    }
}

#[test]
fn what_two_readers_could_read_differently_is_undecided() {
    let target = "/chat/completions";
    let deep = format!(
        r#"{{"model":"m","messages":{}{}}}"#,
        "[".repeat(80),
        "]".repeat(80)
    );
    for body in [
        "",
        "{",
        "[]",
        "\u{feff}{}",
        r#"{"model":"a","model":"b"}"#,
        r#"{"model":"a","Model":"b"}"#,
        r#"{"model":"a"} x"#,
        deep.as_str(),
    ] {
        let undecided = post(target, body).unwrap_err();
        assert_eq!(undecided.reason, Reason::BodyUnreadable, "{body}");
        assert_eq!(undecided.style, DenialStyle::OpenAi);
    }
    for (headers, reason) in [
        (&[("content-type", "text/xml")][..], Reason::BodyUnreadable),
        (
            &[("content-type", "application/json; charset=utf-16")],
            Reason::BodyEncoding,
        ),
        (&[("content-encoding", "gzip")], Reason::BodyEncoding),
        (
            &[("content-encoding", "identity"), ("content-encoding", "br")],
            Reason::BodyEncoding,
        ),
        (
            &[
                ("content-type", "application/json"),
                ("content-type", "text/plain"),
            ],
            Reason::HeaderAmbiguous,
        ),
        (
            &[("upgrade", "websocket"), ("connection", "upgrade")],
            Reason::UpgradeRefused,
        ),
    ] {
        let undecided =
            judge_as(ProtocolKind::OpenAi, &with("POST", target, headers), "{}").unwrap_err();
        assert_eq!(undecided.reason, reason, "{headers:?}");
    }
    let utf16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let undecided = post(target, std::str::from_utf8(&utf16).unwrap()).unwrap_err();
    assert_eq!(undecided.reason, Reason::BodyUnreadable);
    // HTTP/2 asks for WebSocket with an extended CONNECT (RFC 8441), HTTP/1.1 with a GET.
    for head in [
        head("CONNECT", "/responses"),
        with("GET", "/responses", &[("upgrade", "websocket")]),
    ] {
        let undecided = judge_as(ProtocolKind::OpenAi, &head, "").unwrap_err();
        assert_eq!(
            (undecided.reason, undecided.style),
            (Reason::UpgradeRefused, DenialStyle::OpenAi)
        );
    }
}

#[test]
fn the_policy_may_say_that_the_server_below_mcp_is_another() {
    let head = head("POST", "/mcp/");
    let path = RequestPath::read("/mcp/").unwrap();
    let body =
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"delete_repository"}}"#;
    for (server, name) in [
        (None, "repo.delete"),
        (Some("github"), "repo.delete"),
        (Some("mine"), "mcp.call"),
    ] {
        let request = Request {
            head: &head,
            path: &path,
            body: body.as_bytes(),
            context: crate::protocol::Context {
                mcp_server: server,
                ..Default::default()
            },
        };
        let judged = OpenAi.judge(&request).unwrap();
        assert_eq!(names(&judged), [name]);
    }
}

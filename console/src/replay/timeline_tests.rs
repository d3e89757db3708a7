//! A session from prompt to push.

use serde_json::{Map, json};

use super::*;
use crate::replay::link::Certainty;

/// An exchange that begins at `at` and takes `length` milliseconds.
fn exchange(id: &str, at: Millis, length: Millis, attributes: Value) -> Exchange {
    let map = |value: Value| -> Map<String, Value> { value.as_object().cloned().unwrap() };
    let mut outcome = map(attributes.clone());
    outcome.insert("countersign.duration_us".into(), json!(length * 1000));
    let asked = map(attributes);
    Exchange::of_records(
        id,
        [
            ("countersign.request", at, &asked),
            ("countersign.outcome", at + length, &outcome),
        ],
    )
}

fn chat(id: &str, at: Millis, body: &Value, answer: &str) -> Exchange {
    let half = answer.len() / 2;
    exchange(
        id,
        at,
        500,
        json!({
            "user.id": "agent-7", "countersign.decision": "allowed", "http.request.method": "POST",
            "countersign.operations": [{"name": "chat.completion"}], "gen_ai.request.model": "gpt-4.1",
            "countersign.request.body": body.to_string(), "countersign.response.body": answer,
            "countersign.response.chunks": [{"offset_ms": 100, "size": half}, {"offset_ms": 400, "size": answer.len()}],
        }),
    )
}

fn answer_with(calls: &[(&str, &str, &str)]) -> String {
    let calls: Vec<Value> = calls
        .iter()
        .map(|(id, name, arguments)| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}))
        .collect();
    json!({"choices": [{"index": 0, "message": {"content": "I will.", "tool_calls": calls}}]})
        .to_string()
}

fn push(id: &str, at: Millis, decision: &str) -> Exchange {
    exchange(
        id,
        at,
        1_000,
        json!({
            "user.id": "agent-7", "http.request.method": "POST",
            "url.full": "https://github.com/acme/web.git/git-receive-pack",
            "countersign.decision": decision, "countersign.approval.id": "a1", "countersign.rule": "production-branch",
            "countersign.approval.by": "ann", "http.response.body.size": 0, "http.response.status_code": 200,
            "countersign.not_captured": ["request_body: git pack"],
            "countersign.operations": [{"name": "ref.push", "repo": "acme/web", "ref": "refs/heads/main", "write": true,
                "paths": ["README.md"], "paths_known": true, "attributes": {"change": "update", "old": "a", "new": "b"}}],
        }),
    )
}

fn kinds(timeline: &Timeline) -> Vec<String> {
    let kind = |step: &Step| {
        serde_json::to_value(step).unwrap()["kind"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    timeline.steps.iter().map(kind).collect()
}

#[test]
fn prompt_answer_hold_push_and_result_are_in_order_and_linked() {
    let user = json!({"role": "user", "content": "push it"});
    let called = answer_with(&[("c1", "bash", "{\"command\":\"git push origin main\"}")]);
    let assistant = json!({"role": "assistant", "content": "I will.", "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "bash", "arguments": "{\"command\":\"git push origin main\"}"}}]});
    let result = json!({"role": "tool", "tool_call_id": "c1", "content": "done"});
    let exchanges = [
        chat("x1", 1_000, &json!({"messages": [user]}), &called),
        push("x2", 2_000, "held_approved"),
        chat(
            "x3",
            4_000,
            &json!({"messages": [user, assistant, result]}),
            &answer_with(&[]),
        ),
    ];
    let rulings = HashMap::from([(
        "a1".to_owned(),
        Ruling {
            asked_at: 2_100,
            decided_at: Some(2_700),
            by: Some("ann".to_owned()),
            why: Some("looks right".to_owned()),
            refused: false,
        },
    )]);
    let timeline = timeline(&exchanges, &rulings);
    assert_eq!(
        kinds(&timeline),
        [
            "prompt", "answer", "push", "held", "released", "prompt", "answer"
        ]
    );
    let at: Vec<Millis> = timeline.steps.iter().map(|s| s.at).collect();
    assert_eq!(at, [1_000, 1_400, 2_000, 2_100, 2_700, 4_000, 4_400]);
    let What::Prompt {
        messages, earlier, ..
    } = &timeline.steps[5].what
    else {
        panic!("{timeline:?}");
    };
    assert_eq!(
        (messages.len(), *earlier),
        (2, 1),
        "only what is new is shown"
    );
    let What::Push { refs, files, .. } = &timeline.steps[2].what else {
        panic!("{timeline:?}");
    };
    assert_eq!(
        (refs[0].name.as_str(), files[0].as_str()),
        ("refs/heads/main", "README.md")
    );
    assert_eq!(timeline.steps[2].missing, ["request body: git pack"]);
    let found: Vec<(usize, usize, Certainty)> = timeline
        .links
        .iter()
        .map(|l| (l.from, l.to, l.certainty))
        .collect();
    assert_eq!(
        found,
        [(1, 2, Certainty::Likely), (1, 5, Certainty::Exact)],
        "{:?}",
        timeline.links
    );
}

#[test]
fn an_mcp_call_is_linked_exactly_once_and_only_to_its_own_arguments() {
    let prompt = json!({"messages": [{"role": "user", "content": "go"}]});
    let arguments = "{\"repo\": \"web\", \"owner\": \"acme\"}";
    let called = answer_with(&[
        ("c1", "github-mcp-server-list_issues", arguments),
        ("c2", "github-mcp-server-list_issues", arguments),
        ("c3", "unlist_issues", arguments),
    ]);
    let mcp = |id: &str, at: Millis, arguments: Value| {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "list_issues", "arguments": arguments}});
        exchange(
            id,
            at,
            10,
            json!({
                "user.id": "agent-7", "countersign.decision": "allowed", "http.request.method": "POST",
                "countersign.operations": [{"name": "repo.read"}], "countersign.request.body": body.to_string(),
                "countersign.response.body": "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"none\"}]}}",
            }),
        )
    };
    let same = json!({"owner": "acme", "repo": "web"});
    let exchanges = [
        mcp("x0", 900, same.clone()),
        chat("x1", 1_000, &prompt, &called),
        mcp("x2", 2_000, same.clone()),
        mcp("x3", 2_100, same),
        mcp("x4", 2_200, json!({"owner": "acme", "repo": "docs"})),
    ];
    let timeline = timeline(&exchanges, &HashMap::new());
    let place = |id: &str| {
        timeline
            .steps
            .iter()
            .position(|s| s.exchange == id)
            .unwrap()
    };
    let found: Vec<(usize, usize, Certainty)> = timeline
        .links
        .iter()
        .map(|l| (l.call, l.to, l.certainty))
        .collect();
    let (x2, x3, x4) = (place("x2"), place("x3"), place("x4"));
    assert_eq!(
        found,
        [
            (0, x2, Certainty::Exact),
            (1, x3, Certainty::Exact),
            (1, x4, Certainty::Likely)
        ]
    );
}

#[test]
fn denials_and_what_is_missing_are_steps_too() {
    let mut denied = json!({
        "countersign.decision": "denied", "countersign.reason": "rule_denied", "countersign.rule": "no-repo-delete",
        "http.request.method": "DELETE", "url.full": "https://api.github.com/repos/acme/web",
        "countersign.operations": [{"name": "repo.delete", "repo": "acme/web", "write": true}],
    });
    let timeline_of =
        |attributes: &Value| timeline(&[exchange("x", 0, 5, attributes.clone())], &HashMap::new());
    assert_eq!(kinds(&timeline_of(&denied)), ["call", "denied"]);
    denied["countersign.decision"] = json!("held_expired");
    denied["countersign.approval.id"] = json!("a9");
    assert_eq!(
        kinds(&timeline_of(&denied)),
        ["call", "held", "released", "denied"]
    );
    denied["countersign.request.body"] = json!("x");
    denied["countersign.request.body.truncated"] = json!(true);
    let missing = &timeline_of(&denied).steps[0].missing;
    assert!(
        missing.iter().any(|m| m.contains("over the capture limit")),
        "{missing:?}"
    );
}

#[test]
fn a_write_shows_its_difference_to_what_was_read_before() {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let url = "https://api.github.com/repos/acme/web/contents/a.txt";
    let read = json!({"sha": "b1", "content": STANDARD.encode("old\n")});
    let write = json!({"sha": "b1", "message": "m", "content": STANDARD.encode("new\n")});
    let base = json!({"countersign.decision": "allowed", "url.full": url, "countersign.operations": [{"name": "repo.read"}]});
    let mut get = base.clone();
    get["http.request.method"] = json!("GET");
    get["countersign.response.body"] = json!(read.to_string());
    let mut put = base;
    put["http.request.method"] = json!("PUT");
    put["countersign.request.body"] = json!(write.to_string());
    let timeline = timeline(
        &[exchange("x1", 0, 5, get), exchange("x2", 10, 5, put)],
        &HashMap::new(),
    );
    let What::Change(changes) = &timeline.steps[1].what else {
        panic!("{timeline:?}");
    };
    let diff = changes.files[0].diff.as_deref().unwrap();
    assert!(diff.contains("-old\n+new\n"), "{diff}");
}

//! Prints what a verdict costs: one operation against 50 rules of every kind, as a policy of size has them.
//! `cargo bench -p countersign-core --bench rules`; one argument is the number of verdicts.

use std::hint::black_box;

use countersign_core::config;
use countersign_core::head::{Headers, RequestHead};
use countersign_core::identity::Identity;
use countersign_core::path::RequestPath;
use countersign_core::policy::{Body, Policy, Request};
use countersign_core::protocol::{self, ProtocolKind};
use serde_json::{Value, json};

#[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(200_000_u32);
    let policy = policy()?;
    let who = Identity {
        provider: "corporate".to_owned(),
        subject: "agent-7".to_owned(),
        email: None,
        groups: vec!["agents".to_owned(), "developers".to_owned()],
        session: None,
        token_id: None,
        expires: 0,
        claims: json!({"repository": "acme/web"})
            .as_object()
            .cloned()
            .unwrap_or_default(),
    };
    let body = br#"{"branch":"agent/fix","message":"x","content":"eA=="}"#;
    let head = RequestHead {
        method: "PUT".to_owned(),
        scheme: "https".to_owned(),
        authority: "api.github.com".to_owned(),
        path: "/repos/acme/web/contents/src%2Flib.rs".to_owned(),
        headers: Headers::new(Vec::new()),
    };
    let path = RequestPath::read(&head.path).map_err(|fault| fault.to_string())?;
    let connection = policy.connections.first().ok_or("no connection")?;
    let read = || protocol::operations(ProtocolKind::GitHub, &head, &path, Some(body));
    let judged = read().map_err(|undecided| undecided.detail)?;
    let verdict = || {
        let request = Request::new(&who, connection, &head, Body::Whole(body), 1_795_262_400);
        black_box(policy.judge(&request, &judged.operations).action);
    };
    let best = |work: &dyn Fn()| {
        let mut best = f64::MAX;
        for _ in 0..5 {
            let start = std::time::Instant::now();
            for _ in 0..count / 5 {
                work();
            }
            best = best.min(start.elapsed().as_secs_f64() / f64::from(count / 5));
        }
        best * 1e6
    };
    let operations = judged.operations.len();
    println!(
        "verdict, {} rules, {operations} operations: {:.2} µs",
        policy.rules.len(),
        best(&verdict)
    );
    println!(
        "operations of the same call: {:.2} µs",
        best(&|| drop(black_box(read())))
    );
    Ok(())
}

/// 50 rules: names and patterns, repositories, owners, refs, files, groups, claims, hours.
fn policy() -> Result<Policy, String> {
    let mut rules: Vec<Value> = Vec::new();
    let areas = [
        "secret",
        "hook",
        "key",
        "runner",
        "protection",
        "ruleset",
        "team",
        "variable",
        "gist",
        "org",
    ];
    for index in 0..5 {
        for area in areas {
            let mut rule = json!({"name": format!("{area}-{index}"), "action": "deny"});
            let more = match index {
                0 => json!({"operations": [format!("{area}.*"), "!*.read"]}),
                1 => {
                    json!({"operations": ["content.write", "ref.push"], "paths": [format!("{area}/**")]})
                }
                2 => {
                    json!({"operations": ["ref.*", "content.write"], "refs": [format!("refs/heads/{area}"), "refs/heads/release/*"]})
                }
                3 => json!({"owners": ["!acme"], "groups": [area, "developers"]}),
                _ => {
                    json!({"repos": [format!("acme/{area}*")], "claims": {"repository": "evil/*"}, "time": {"days": ["mon"]}})
                }
            };
            if let (Value::Object(rule), Value::Object(more)) = (&mut rule, more) {
                rule.extend(more);
            }
            rules.push(rule);
        }
    }
    let document = json!({
        "version": "v1",
        "identity": {"providers": [{
            "name": "corporate", "issuer": "https://idp.example.com/", "audiences": ["countersign"],
            "jwks": {"remote": {"cluster": "idp", "path": "/jwks"}},
        }]},
        "connections": [{"name": "api", "hosts": ["api.github.com"], "protocol": "github", "credential": "passthrough"}],
        "default": "allow",
        "rules": rules,
        "approval_service": {"cluster": "console"},
        "audit": {"sink": {"cluster": "console"}, "delivery": "best_effort"},
    });
    config::compile(&document, &|_| None).map_err(|faults| format!("{faults:?}"))
}

//! Prints what judging costs: from a request's bytes to the verdict of fifty rules, body and all, beside two yardsticks
//! on the same bytes in the same run. `cargo bench -p countersign-core --bench judge`; a word after `--` chooses the
//! cases whose name has it.

use std::hint::black_box;
use std::time::Instant;

use countersign_core::config;
use countersign_core::head::{Headers, RequestHead};
use countersign_core::identity::Identity;
use countersign_core::path::RequestPath;
use countersign_core::policy::{Body, Policy, Request};
use countersign_core::protocol::{self, ProtocolKind};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// A policy of the same providers as the other benchmarks'.
const SETTING: &[u8] = include_bytes!("exchange.json");

/// One request to be judged.
struct Case {
    name: &'static str,
    kind: ProtocolKind,
    head: RequestHead,
    body: Vec<u8>,
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn best(mut work: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    let mut count = 1;
    loop {
        let start = Instant::now();
        for _ in 0..count {
            work();
        }
        let spent = start.elapsed().as_secs_f64();
        if spent > 0.001 {
            best = best.min(spent / f64::from(count));
            break;
        }
        count *= 4;
    }
    // Short and many: neighbours on a busy machine disturb some of them, never all.
    for _ in 0..400 {
        let start = Instant::now();
        for _ in 0..count {
            work();
        }
        best = best.min(start.elapsed().as_secs_f64() / f64::from(count));
    }
    best * 1e6
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let policy = policy()?;
    let identity = Identity {
        provider: "bench".to_owned(),
        subject: "agent-7".to_owned(),
        email: None,
        groups: vec!["agents".to_owned(), "developers".to_owned()],
        session: None,
        token_id: None,
        expires: u64::MAX,
        claims: serde_json::Map::new(),
    };
    let chosen: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    for case in cases() {
        if !chosen.iter().all(|word| case.name.contains(word.as_str())) {
            continue;
        }
        let judging = best(|| {
            let verdict = judge(&policy, &identity, black_box(&case));
            assert!(black_box(verdict), "{} was not read", case.name);
        });
        // What the same bytes cost a reader that only builds a tree, and one that only hashes them.
        let text = match serde_json::from_slice::<Value>(&case.body) {
            Ok(_) => case.body.clone(),
            Err(_) => json!(String::from_utf8_lossy(&case.body))
                .to_string()
                .into_bytes(),
        };
        let tree = best(|| {
            black_box(serde_json::from_slice::<Value>(black_box(&text)).is_ok());
        });
        let bytes = [case.head.path.as_bytes(), &case.body].concat();
        let hash = best(|| {
            black_box(Sha256::digest(black_box(&bytes)));
        });
        println!(
            "{}: {judging:.2} µs, {} bytes, {:.1} × a JSON tree of its body ({tree:.2} µs), {:.1} × SHA-256 of it ({hash:.2} µs)",
            case.name,
            bytes.len(),
            judging / tree,
            judging / hash,
        );
    }
    Ok(())
}

/// From the raw target to the verdict.
fn judge(policy: &Policy, identity: &Identity, case: &Case) -> bool {
    let Ok(path) = RequestPath::read(&case.head.path) else {
        return false;
    };
    let judged = protocol::operations(case.kind, &case.head, &path, Some(&case.body));
    let connection = policy
        .connection_index(&case.head.host(), &case.head.path)
        .and_then(|index| policy.connections.get(index));
    let (Ok(judged), Some(connection)) = (judged, connection) else {
        return false;
    };
    let body = Body::Whole(&case.body);
    let request = Request::new(identity, connection, &case.head, body, 1_800_000_000);
    black_box(policy.judge(&request, &judged.operations));
    true
}

/// Fifty rules: the setting's, and as many of the usual kinds as are missing.
fn policy() -> Result<Policy, String> {
    let mut document: Value =
        serde_json::from_slice::<Value>(SETTING).map_err(|e| e.to_string())?["policy"].take();
    let credential = json!({ "secret": "github", "scheme": "bearer" });
    document["connections"] = json!([
        { "name": "github-api", "hosts": ["api.github.com"], "protocol": "github", "credential": credential },
        { "name": "github-git", "hosts": ["github.com"], "protocol": "git", "credential": credential },
        { "name": "copilot", "hosts": ["*.githubcopilot.com"], "protocol": "openai", "credential": credential },
        { "name": "tools", "hosts": ["mcp.example.com"], "protocol": "mcp", "credential": credential },
    ]);
    let rules = document["rules"].as_array_mut().ok_or("no rules")?;
    let mut number = 0;
    while rules.len() < 50 {
        number += 1;
        rules.push(match number % 3 {
            0 => json!({ "name": format!("paths-{number}"), "operations": ["content.*", "ref.push"], "repos": [format!("acme/service-{number}")],
                         "paths": [format!("deploy/{number}/**"), "**/*.tf"], "unknown_paths": "allow", "action": "deny" }),
            1 => json!({ "name": format!("refs-{number}"), "operations": ["ref.*", "pr.merge"], "repos": ["acme/*"],
                         "refs": [format!("refs/heads/release/{number}.*")], "except": { "groups": ["release-managers"] }, "action": "deny" }),
            _ => json!({ "name": format!("group-{number}"), "operations": ["issue.*", "mcp.*", "chat.completion"],
                         "groups": [format!("team-{number}")], "action": "deny" }),
        });
    }
    config::compile(&document, &|_| {
        Some("ghs_benchcredential00000000000000000000".to_owned())
    })
    .map_err(|faults| format!("{faults:?}"))
}

fn cases() -> Vec<Case> {
    let case = |name, kind, method: &str, url: &str, media: &str, body: Vec<u8>| {
        let (authority, path) = url.split_at(url.find('/').unwrap_or(url.len()));
        let pair = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        let head = RequestHead {
            method: method.to_owned(),
            scheme: "https".to_owned(),
            authority: authority.to_owned(),
            path: path.to_owned(),
            headers: Headers::new(vec![
                pair("accept", "application/vnd.github+json"),
                pair("content-type", media),
                pair("user-agent", "bench"),
            ]),
        };
        Case {
            name,
            kind,
            head,
            body,
        }
    };
    let json = "application/json";
    let file = json!({ "message": "m", "branch": "agents/x", "content": "x".repeat(600) });
    let refs: Vec<Value> = (0..8)
        .map(|n| json!({ "name": format!("refs/heads/agents/{n}"), "afterOid": "1".repeat(40) }))
        .collect();
    let fields = "id number title state url createdAt updatedAt author { login } labels(first: 20) { nodes { name color } } ";
    let document = format!(
        "mutation Update($input: UpdateRefsInput!) {{ updateRefs(input: $input) {{ clientMutationId }} addComment(input: {{subjectId: \"I_1\", body: \"done\"}}) {{ subject {{ ... on Issue {{ {} }} }} }} }}",
        fields.repeat(28)
    );
    let graphql = json!({ "query": document, "variables": { "input": { "repositoryId": "R_1", "refUpdates": refs } } });
    let commands: String = (0..20)
        .map(|n| {
            let capabilities = if n == 0 {
                "\0 report-status-v2 side-band-64k atomic"
            } else {
                ""
            };
            let line = format!(
                "{} {} refs/heads/agents/{n:03}{capabilities}",
                "1".repeat(40),
                "2".repeat(40)
            );
            format!("{:04x}{line}", line.len() + 4)
        })
        .collect();
    let call = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": { "name": "push_files", "arguments": {
        "owner": "acme", "repo": "web", "branch": "agents/x", "message": "m",
        "files": [{ "path": "src/a.rs", "content": "x".repeat(400) }, { "path": "src/b.rs", "content": "y".repeat(400) }] } } });
    let messages: Vec<Value> = (0..48)
        .map(|n| json!({ "role": if n % 2 == 0 { "user" } else { "assistant" }, "content": "All work and no play. ".repeat(40) }))
        .collect();
    let tools: Vec<Value> = (0..18)
        .map(|n| json!({ "type": "function", "function": { "name": format!("tool_{n}"), "description": "d".repeat(200), "parameters": { "type": "object" } } }))
        .collect();
    let chat = json!({ "model": "gpt-4.1", "stream": true, "messages": messages, "tools": tools });
    use ProtocolKind::{Git, GitHub, Mcp, OpenAi};
    vec![
        case(
            "REST read",
            GitHub,
            "GET",
            "api.github.com/repos/acme/web/contents/src%2Flib.rs?ref=agents%2Fx",
            "",
            Vec::new(),
        ),
        case(
            "REST write of a file",
            GitHub,
            "PUT",
            "api.github.com/repos/acme/web/contents/src/lib.rs",
            json,
            file.to_string().into_bytes(),
        ),
        case(
            "GraphQL document of 4 KB",
            GitHub,
            "POST",
            "api.github.com/graphql",
            json,
            graphql.to_string().into_bytes(),
        ),
        case(
            "push of 20 refs",
            Git,
            "POST",
            "github.com/acme/web.git/git-receive-pack",
            "application/x-git-receive-pack-request",
            format!("{commands}0000PACK").into_bytes(),
        ),
        case(
            "MCP call",
            Mcp,
            "POST",
            "mcp.example.com/mcp",
            json,
            call.to_string().into_bytes(),
        ),
        case(
            "chat of 50 KB",
            OpenAi,
            "POST",
            "api.githubcopilot.com/chat/completions",
            json,
            chat.to_string().into_bytes(),
        ),
    ]
}

//! A trail of any length, the same for the same numbers: two records for each exchange, as gateways
//! send them, over ninety days of a company with agents.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use serde_json::{Value, json};

/// When the last exchange begins, in milliseconds.
pub const END: i64 = 1_790_000_000_000;
/// How long the trail is.
pub const LENGTH: i64 = 90 * 86_400_000;
/// Exchanges of a batch.
pub const BATCH: u64 = 500;

const SYLLABLES: [&str; 20] = [
    "ra", "lo", "mi", "ten", "ka", "du", "ser", "vo", "pli", "an", "tor", "be", "qui", "ze", "mon",
    "fi", "gra", "hu", "jo", "wex",
];
const COMMON: [&str; 24] = [
    "the",
    "to",
    "and",
    "of",
    "please",
    "function",
    "file",
    "test",
    "error",
    "in",
    "is",
    "return",
    "table",
    "a",
    "change",
    "add",
    "for",
    "repository",
    "branch",
    "drop",
    "fix",
    "why",
    "build",
    "users",
];

/// A source of numbers that look random and are the same each time (splitmix64).
pub struct Numbers(pub u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Below `limit`, small ones much more often.
    fn skewed(&mut self, limit: u64) -> u64 {
        let unit = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        (unit * unit * unit * limit as f64) as u64
    }
}

fn word(numbers: &mut Numbers) -> String {
    if numbers.below(3) > 0 {
        return COMMON[numbers.skewed(24) as usize].to_owned();
    }
    let mut rest = numbers.skewed(20_000);
    let mut word = String::new();
    for _ in 0..4 {
        word.push_str(SYLLABLES[(rest % 20) as usize]);
        rest /= 20;
    }
    word
}

fn text(numbers: &mut Numbers, words: u64) -> String {
    (0..words)
        .map(|_| word(numbers))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The batch that begins with exchange `first`, of a trail of `all` exchanges.
pub fn batch(first: u64, all: u64) -> ExportLogsServiceRequest {
    let records: Vec<Value> = (first..(first + BATCH).min(all))
        .flat_map(|n| exchange(n, all))
        .collect();
    let batch = json!({"resourceLogs": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "countersign"}}]},
        "scopeLogs": [{"scope": {"name": "countersign"}, "logRecords": records}],
    }]});
    serde_json::from_value(batch).expect("a batch")
}

fn exchange(n: u64, all: u64) -> [Value; 2] {
    let mut numbers = Numbers(n.wrapping_mul(0x1234_5678_9abc_def1));
    let at = END - LENGTH + (n as i128 * LENGTH as i128 / all as i128) as i64;
    let user = numbers.skewed(300);
    let repo = format!(
        "{}/{}",
        ["acme", "acme-labs", "globex"][numbers.skewed(3) as usize],
        format_args!("service-{}", numbers.skewed(800))
    );
    let pull = numbers.below(4000);
    let mut attributes = json!({
        "countersign.exchange.id": format!("{:016x}{:016x}", numbers.next(), n),
        "countersign.worker.id": format!("gateway-{}/{}", n % 4, n % 2),
        "countersign.policy.digest": format!("{:064x}", n * 12 / all),
        "countersign.mode": "enforce",
        "user.id": format!("agent-{user}"), "user.email": format!("agent-{user}@example.com"),
        "countersign.identity.provider": "corporate",
        "countersign.identity.groups": ["agents", format!("team-{}", user % 40)],
        "client.address": format!("10.0.{}.{}", user % 16, user % 250),
        "countersign.session.id": format!("s-{}-{}", user, n / 4000),
        "countersign.decision": "allowed", "http.request.method": "GET",
    });
    let mut set = |more: Value| {
        for (key, value) in more.as_object().expect("an object") {
            attributes[key] = value.clone();
        }
    };
    let (mut prompt, mut answer, mut status) = (None, None, 200);
    match numbers.below(10) {
        0..=3 => {
            prompt = Some(json!({"model": "gpt-4.1", "messages": [{"role": "user", "content": text(&mut numbers, 40)}]}).to_string());
            answer = Some(json!({"choices": [{"message": {"role": "assistant", "content": text(&mut numbers, 60)}}]}).to_string());
            let model = ["gpt-4.1", "claude-sonnet-4", "o4-mini", "gemini-2.5-pro"]
                [numbers.skewed(4) as usize];
            set(json!({
                "countersign.connection": "copilot", "server.address": "api.githubcopilot.com", "http.request.method": "POST",
                "url.full": "https://api.githubcopilot.com/chat/completions", "gen_ai.request.model": model,
                "countersign.operations": [{"name": "chat.completion", "aliases": ["openai:chat"], "write": false}],
            }));
            if numbers.below(20) == 0 {
                set(
                    json!({"countersign.masks": [{"rule": "github-token", "count": 1, "direction": "response"}]}),
                );
            }
        }
        4 => {
            let branch = [
                "refs/heads/main".to_owned(),
                format!("refs/heads/topic-{pull}"),
            ][usize::from(numbers.below(4) > 0)]
            .clone();
            let paths: Vec<String> = (0..=numbers.below(4))
                .map(|_| format!("src/{}/{}.rs", word(&mut numbers), word(&mut numbers)))
                .collect();
            let decision = ["allowed", "held_approved", "held_refused", "held_expired"]
                [numbers.skewed(4) as usize];
            status = if decision.ends_with("refused") || decision.ends_with("expired") {
                403
            } else {
                200
            };
            set(json!({
                "countersign.connection": "github-git", "server.address": "github.com", "http.request.method": "POST",
                "url.full": format!("https://github.com/{repo}.git/git-receive-pack"), "countersign.decision": decision,
                "countersign.operations": [{"name": "ref.push", "aliases": ["git:receive-pack", "ref.update"], "repo": repo, "ref": branch, "paths": paths, "write": true}],
            }));
            if decision != "allowed" {
                set(
                    json!({"countersign.rule": "production-branch", "countersign.approval.id": format!("a-{n}"),
                           "countersign.approval.by": format!("lead-{}", numbers.below(12))}),
                );
            }
        }
        5 => {
            let tool = [
                "create_issue",
                "push_files",
                "get_file_contents",
                "search_code",
            ][numbers.below(4) as usize];
            set(json!({
                "countersign.connection": "github-mcp", "server.address": "api.githubcopilot.com", "http.request.method": "POST",
                "url.full": "https://api.githubcopilot.com/mcp/",
                "countersign.operations": [{"name": "mcp.call", "aliases": [format!("mcp:{tool}")], "repo": repo, "attributes": {"tool": tool}, "write": true}],
            }));
        }
        6 if numbers.below(8) == 0 => {
            status = 403;
            set(json!({
                "countersign.connection": "github-api", "server.address": "api.github.com", "http.request.method": "DELETE",
                "url.full": format!("https://api.github.com/repos/{repo}"), "countersign.decision": "denied",
                "countersign.reason": "rule_denied", "countersign.rule": "no-repo-delete",
                "countersign.operations": [{"name": "repo.delete", "aliases": ["github:repos/delete"], "repo": repo, "write": true}],
            }));
        }
        _ => {
            if numbers.below(50) == 0 {
                status = 404;
            }
            set(json!({
                "countersign.connection": "github-api", "server.address": "api.github.com",
                "url.full": format!("https://api.github.com/repos/{repo}/pulls/{pull}"),
                "countersign.operations": [{"name": "repo.read", "aliases": ["github:pulls/get"], "repo": repo, "write": false}],
            }));
        }
    }
    [0, 1].map(|half| {
        let mut attributes = attributes.clone();
        // Eight workers, each with its own numbers.
        attributes["countersign.worker.seq"] = json!(n / 4 * 2 + half + 1);
        attributes["countersign.worker.id"] = json!(format!("gateway-{}", n % 4));
        let body = if half == 0 { &prompt } else { &answer };
        let side = if half == 0 { "request" } else { "response" };
        if let Some(body) = body {
            attributes[format!("countersign.{side}.body")] = json!(body);
            attributes[format!("countersign.{side}.body.encoding")] = json!("utf8");
            attributes[format!("http.{side}.body.size")] = json!(body.len());
        }
        if half == 1 {
            attributes["http.response.status_code"] = json!(status);
            attributes["countersign.duration_us"] = json!(numbers_of(n));
            attributes["countersign.end"] = json!("complete");
        }
        json!({
            "timeUnixNano": ((at + half as i64 * 40) * 1_000_000).to_string(),
            "eventName": if half == 0 { "countersign.request" } else { "countersign.outcome" },
            "attributes": pairs(&attributes),
        })
    })
}

fn numbers_of(n: u64) -> u64 {
    Numbers(n).skewed(2_000_000)
}

fn any(value: &Value) -> Value {
    match value {
        Value::String(text) => json!({"stringValue": text}),
        Value::Bool(flag) => json!({"boolValue": flag}),
        Value::Number(number) => json!({"intValue": number.to_string()}),
        Value::Array(items) => {
            json!({"arrayValue": {"values": items.iter().map(any).collect::<Vec<_>>()}})
        }
        Value::Object(_) => json!({"kvlistValue": {"values": pairs(value)}}),
        Value::Null => json!({}),
    }
}

fn pairs(value: &Value) -> Vec<Value> {
    let map = value.as_object().into_iter().flatten();
    map.map(|(key, value)| json!({"key": key, "value": any(value)}))
        .collect()
}

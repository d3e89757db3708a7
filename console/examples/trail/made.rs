//! Records as a gateway sends them, made up: the same ones for the same number.

use countersign::clock::Millis;
use serde_json::{Value, json};

const START: Millis = 1_780_000_000_000;
/// Milliseconds between two exchanges.
const PACE: Millis = 40;
/// Records of one worker in a row.
const WORKER: usize = 50_000;

const WORDS: &[&str] = &[
    "refactor",
    "the",
    "parser",
    "so",
    "that",
    "errors",
    "carry",
    "their",
    "line",
    "and",
    "column",
    "add",
    "a",
    "test",
    "for",
    "empty",
    "input",
    "rename",
    "this",
    "function",
    "explain",
    "why",
    "build",
    "fails",
    "on",
    "main",
    "open",
    "pull",
    "request",
    "with",
    "changes",
    "drop",
    "table",
    "users",
    "where",
    "id",
    "is",
    "null",
    "write",
    "migration",
    "index",
    "query",
    "slow",
    "cache",
    "token",
    "header",
    "response",
    "stream",
    "chunk",
    "deploy",
    "staging",
    "cluster",
    "secret",
    "rotate",
    "review",
    "comment",
    "branch",
    "merge",
    "conflict",
    "release",
    "notes",
    "version",
];

const OPERATIONS: &[(&str, &str, &str, &str)] = &[
    (
        "chat.complete",
        "copilot",
        "POST",
        "https://api.githubcopilot.com/chat/completions",
    ),
    (
        "content.write",
        "github-api",
        "PUT",
        "https://api.github.com/repos/REPO/contents/src/lib.rs",
    ),
    (
        "repo.read",
        "github-api",
        "GET",
        "https://api.github.com/repos/REPO",
    ),
    (
        "pr.create",
        "github-api",
        "POST",
        "https://api.github.com/repos/REPO/pulls",
    ),
    (
        "ref.push",
        "github-git",
        "POST",
        "https://github.com/REPO.git/git-receive-pack",
    ),
    (
        "issue.comment",
        "github-api",
        "POST",
        "https://api.github.com/repos/REPO/issues/7/comments",
    ),
];

/// splitmix64: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }

    fn text(&mut self, words: usize) -> String {
        let mut text = String::new();
        for _ in 0..words {
            text.push_str(WORDS[self.roll(WORDS.len())]);
            text.push(' ');
        }
        text
    }
}

/// When record `number` is taken.
pub fn taken_at(number: usize) -> Millis {
    START + (number as Millis / 2) * PACE + 5
}

/// The records `from` to `from + count`, as one OTLP batch in JSON.
pub fn batch(from: usize, count: usize) -> Vec<u8> {
    let records: Vec<Value> = (from..from + count).map(record).collect();
    json!({"resourceLogs": [{
        "resource": {"attributes": [pair("service.name", "countersign".into())]},
        "scopeLogs": [{"scope": {"name": "countersign", "version": "0.1.0"}, "logRecords": records}],
    }]})
    .to_string()
    .into_bytes()
}

/// Even numbers are requests, odd ones their outcomes.
fn record(number: usize) -> Value {
    let exchange = number / 2;
    let mut dice = Dice(exchange as u64 * 7_919);
    let (operation, connection, method, url) = OPERATIONS[dice.roll(OPERATIONS.len())];
    let user = dice.roll(200);
    let repo = format!("acme/{}-{}", WORDS[dice.roll(WORDS.len())], dice.roll(9));
    let decision = match dice.roll(50) {
        0 => "denied",
        1 => "held_approved",
        _ => "allowed",
    };
    // One prompt in five is one that was sent before, as agents do.
    let about = match dice.roll(5) {
        0 => dice.roll(1_000),
        _ => exchange + 1_000,
    };
    let prompt = format!("task {about}: {}", Dice(about as u64).text(60));
    let at = (START + exchange as Millis * PACE) as u64 * 1_000_000;
    let mut attributes = vec![
        pair("countersign.exchange.id", format!("{exchange:012x}")),
        pair("user.id", format!("user-{user}")),
        pair("user.email", format!("user-{user}@example.com")),
        list("countersign.identity.groups", &["agents", "engineering"]),
        pair("countersign.identity.provider", "corporate".into()),
        pair(
            "client.address",
            format!("10.0.{}.{}", user / 100, user % 100),
        ),
        pair(
            "countersign.session.id",
            format!("s-{}-{}", user, exchange / 4_000),
        ),
        pair("countersign.connection", connection.into()),
        pair("http.request.method", method.into()),
        pair("url.full", url.replace("REPO", &repo)),
        operations(operation, &repo),
        pair("countersign.decision", decision.into()),
        pair("countersign.rule", "everyone".into()),
        pair("countersign.policy.digest", "ab".repeat(32)),
        pair("countersign.request.body", prompt.clone()),
        pair("countersign.request.body.encoding", "utf8".into()),
        number_of("http.request.body.size", prompt.len()),
        pair(
            "countersign.worker.id",
            format!("worker-{}", number / WORKER),
        ),
        number_of("countersign.worker.seq", number % WORKER + 1),
    ];
    let outcome = number % 2 == 1;
    if outcome {
        let answer = Dice(exchange as u64 ^ 0xffff).text(30);
        attributes.extend([
            number_of(
                "http.response.status_code",
                if decision == "denied" { 403 } else { 200 },
            ),
            number_of("countersign.duration_us", 900 + dice.roll(90_000)),
            pair("countersign.end", "complete".into()),
            pair("countersign.response.body", answer),
            pair("countersign.response.body.encoding", "utf8".into()),
        ]);
    }
    let name = if outcome {
        "countersign.outcome"
    } else {
        "countersign.request"
    };
    json!({
        "timeUnixNano": (at + u64::from(outcome) * 3_000_000).to_string(),
        "observedTimeUnixNano": at.to_string(),
        "severityNumber": 9,
        "eventName": name,
        "body": {"stringValue": name},
        "attributes": attributes,
    })
}

fn pair(key: &str, value: String) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

fn number_of(key: &str, value: usize) -> Value {
    json!({"key": key, "value": {"intValue": value.to_string()}})
}

fn list(key: &str, values: &[&str]) -> Value {
    let values: Vec<Value> = values.iter().map(|v| json!({"stringValue": v})).collect();
    json!({"key": key, "value": {"arrayValue": {"values": values}}})
}

fn operations(name: &str, repo: &str) -> Value {
    let operation = json!({"kvlistValue": {"values": [
        pair("name", name.into()),
        list("aliases", &[&format!("github:{name}")]),
        pair("repo", repo.into()),
        pair("ref", "refs/heads/main".into()),
    ]}});
    json!({"key": "countersign.operations", "value": {"arrayValue": {"values": [operation]}}})
}

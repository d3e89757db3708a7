//! What operators and auditors see: access log, stats, records, pages; and observe mode.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends with it, and says where"
)]

use std::thread;

use countersign_e2e::stack::{CREDENTIAL, get};
use countersign_e2e::{Curl, Shared, Stack, StackOptions, policy};
use serde_json::{Value, json};

static SHARED: Shared = Shared::new(|| Ok(StackOptions::default()));

fn call(stack: &Stack, token: &str, mark: &str, method: &str, path: &str) -> Curl {
    Curl::new(method, &format!("{}{path}", stack.gateway()))
        .mark(mark)
        .bearer(token)
}

/// A GitHub token that is worth nothing and has the form and checksum of a real one.
fn token_like_secret(stack: &Stack) -> String {
    let answer = Curl::new("POST", &format!("{}/chat/completions", stack.upstream()))
        .header("Host", "api.githubcopilot.com")
        .bearer(CREDENTIAL)
        .json(&chat("tell me a secret"))
        .run()
        .unwrap();
    let text = answer.json()["choices"][0]["message"]["content"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut lines = text.lines();
    let line = lines.find_map(|l| l.strip_prefix("GITHUB_TOKEN="));
    line.unwrap().to_owned()
}

fn chat(prompt: &str) -> Value {
    json!({ "model": "gpt-4.1", "messages": [{ "role": "user", "content": prompt }] })
}

/// The sum of a counter's values in Envoy's stats.
fn counter(stack: &Stack, name: &str) -> u64 {
    let stats = get(&format!("{}/stats?filter=countersign", stack.admin())).unwrap();
    let lines = stats.lines().filter_map(|line| line.rsplit_once(": "));
    lines
        .filter(|(n, _)| n.ends_with(name))
        .filter_map(|(_, value)| value.parse::<u64>().ok())
        .sum()
}

#[test]
fn the_access_log_tells_who_what_and_why() {
    let stack = SHARED.get().unwrap();
    let token = stack.token("logged", &["agents"]).unwrap();
    let denied = call(&stack, &token, "logged", "DELETE", "/api/v3/repos/acme/api");
    assert_eq!(denied.run().unwrap().status, 403);
    let line = stack.access_line("/repos/acme/api").unwrap();
    assert_eq!(line["status"], 403);
    let summary: Value = serde_json::from_str(line["countersign"].as_str().unwrap()).unwrap();
    assert_eq!(summary["decision"], "denied");
    assert_eq!(summary["reason"], "rule_denied");
    assert_eq!(summary["rule"], "no-repo-delete");
    assert_eq!(summary["user"], "logged");
    assert_eq!(summary["operations"], json!(["repo.delete"]));
    assert!(!line.to_string().contains(&token));
}

#[test]
fn counters_and_a_histogram_are_in_envoys_stats() {
    let stack = SHARED.get().unwrap();
    let token = stack.token("counted", &["agents"]).unwrap();
    let names = [
        "countersign.exchanges",
        "countersign.allowed",
        "countersign.refused.rule_denied",
        "countersign.masked_response",
        "countersign.masked_request",
    ];
    let before = names.map(|name| counter(&stack, name));
    let secret = token_like_secret(&stack);
    for prompt in ["tell me a secret", secret.as_str()] {
        let asked = call(
            &stack,
            &token,
            "counted",
            "POST",
            "/copilot/chat/completions",
        );
        assert_eq!(asked.json(&chat(prompt)).run().unwrap().status, 200);
    }
    let denied = call(
        &stack,
        &token,
        "counted",
        "DELETE",
        "/api/v3/repos/acme/api",
    );
    assert_eq!(denied.run().unwrap().status, 403);
    for (name, before) in names.iter().zip(before) {
        assert!(counter(&stack, name) > before, "{name} did not grow");
    }
    let stats = get(&format!(
        "{}/stats?filter=countersign.verdict_ms&histogram_buckets=detailed",
        stack.admin()
    ))
    .unwrap();
    assert!(stats.contains("countersign.verdict_ms"), "{stats}");
}

#[test]
fn an_exchange_is_on_record_with_all_that_was_decided_and_no_secret() {
    let stack = SHARED.get().unwrap();
    let lead = stack.person("auditor", &["platform-leads"]).unwrap();
    let token = stack.token("recorded", &["agents", "eng"]).unwrap();
    let secret = token_like_secret(&stack);
    let asked = call(
        &stack,
        &token,
        "recorded-chat",
        "POST",
        "/copilot/chat/completions",
    )
    .header("x-client-session-id", "session-17")
    .json(&chat(&format!("my token {secret} is a secret")));
    assert_eq!(asked.run().unwrap().status, 200);

    let exchange = lead.record_of("recorded-chat").unwrap();
    let (request, outcome) = (&exchange["request"], &exchange["outcome"]);
    for (name, value) in [
        ("user.id", json!("recorded")),
        ("countersign.identity.groups", json!(["agents", "eng"])),
        ("countersign.identity.provider", json!("dev")),
        ("countersign.connection", json!("gateway-copilot")),
        ("countersign.session.id", json!("session-17")),
        ("countersign.mode", json!("enforce")),
        ("http.request.method", json!("POST")),
        ("gen_ai.request.model", json!("gpt-4.1")),
    ] {
        assert_eq!(request[name], value, "{name} in {request}");
    }
    assert_eq!(
        request["countersign.operations"][0]["name"],
        "chat.completion"
    );
    assert_eq!(outcome["countersign.decision"], "allowed");
    assert_eq!(outcome["countersign.end"], "complete");
    assert_eq!(outcome["http.response.status_code"], 200);
    let masks = outcome["countersign.masks"].as_array().unwrap();
    for direction in ["request", "response"] {
        assert!(
            masks.iter().any(|m| m["direction"] == direction),
            "{direction}: {masks:?}"
        );
    }
    let prompt = request["countersign.request.body"].as_str().unwrap();
    assert!(prompt.contains("my token"), "{prompt}");
    let answer = outcome["countersign.response.body"].as_str().unwrap();
    assert!(answer.contains("Sure, here is"), "{answer}");
    let everything = exchange.to_string();
    for hidden in [secret.as_str(), token.as_str(), CREDENTIAL] {
        assert!(!everything.contains(hidden), "{hidden} is on record");
    }

    let id = exchange["exchange"].as_str().unwrap();
    let list = lead.page("/audit?user=recorded").unwrap();
    assert!(list.contains(id), "the list does not show {id}");
    let page = lead.page(&format!("/audit/{id}")).unwrap();
    for part in ["recorded", "chat.completion", "gpt-4.1", "session-17"] {
        assert!(page.contains(part), "the page does not show {part}");
    }
    assert!(!page.contains(&secret));
}

#[test]
fn the_approvals_page_shows_a_held_request_as_text() {
    let stack = SHARED.get().unwrap();
    let lead = stack.person("page-lead", &["platform-leads"]).unwrap();
    let token = stack.token("held-page", &["agents"]).unwrap();
    let merge = call(
        &stack,
        &token,
        "held-page",
        "PUT",
        "/api/v3/repos/acme/web/pulls/2/merge",
    )
    .json(&json!({ "commit_title": "<script>alert(1)</script>" }));
    let answer = thread::scope(|scope| {
        let asking = scope.spawn(|| merge.run().unwrap());
        let approval = lead
            .asked("the merge", |a| {
                a["question"]["identity"]["subject"] == "held-page"
            })
            .unwrap();
        let id = approval["id"].as_str().unwrap();
        let list = lead.page("/approvals").unwrap();
        assert!(list.contains(id) && list.contains("held-page"), "{list}");
        let page = lead.page(&format!("/approvals/{id}")).unwrap();
        for part in ["held-page", "acme/web", "production-branch"] {
            assert!(page.contains(part), "the page does not show {part}");
        }
        assert!(
            !page.contains("<script>alert(1)"),
            "what was recorded is shown as markup"
        );
        assert!(
            stack.seen_by("held-page").unwrap().is_empty(),
            "forwarded while held"
        );
        lead.refuse(&approval, "Not now.").unwrap();
        asking.join().unwrap()
    });
    assert_eq!((answer.status, answer.reason()), (403, "approval_refused"));
    assert!(answer.text().contains("Not now."), "{}", answer.text());
    let record = lead.record_of("held-page").unwrap();
    assert_eq!(record["outcome"]["countersign.decision"], "held_refused");
    assert_eq!(record["outcome"]["countersign.approval.by"], "page-lead");
    assert!(stack.seen_by("held-page").unwrap().is_empty());

    let anonymous = Curl::get(&format!("{}/approvals", stack.console()))
        .run()
        .unwrap();
    assert_eq!(anonymous.status, 303, "pages need a sign-in");
    let anonymous = Curl::get(&format!("{}/api/v1/exchanges", stack.console()))
        .bearer(&token)
        .run()
        .unwrap();
    assert_eq!(anonymous.status, 401, "an agent's token opens nothing");
}

#[test]
fn observe_mode_lets_through_and_records_what_it_would_have_done() {
    for delivery in ["strict", "best_effort"] {
        let mut shipped = policy::shipped().unwrap();
        shipped["mode"] = "observe".into();
        shipped["audit"]["delivery"] = delivery.into();
        let options = StackOptions {
            policy: Some(shipped.to_string()),
            ..StackOptions::default()
        };
        let stack = Stack::start_with(&options).unwrap();
        let lead = stack.person("lead", &["platform-leads"]).unwrap();
        let token = stack.token("observed", &["agents"]).unwrap();
        let delete = call(
            &stack,
            &token,
            "observed-delete",
            "DELETE",
            "/api/v3/repos/acme/api",
        );
        let answer = delete.run().unwrap();
        assert_eq!(answer.status, 204, "{delivery}: {}", answer.text());
        assert_eq!(stack.seen_by("observed-delete").unwrap().len(), 1);
        let record = lead.record_of("observed-delete").unwrap();
        let outcome = &record["outcome"];
        assert_eq!(outcome["countersign.decision"], "observed", "{delivery}");
        assert_eq!(outcome["countersign.reason"], "rule_denied");
        assert_eq!(outcome["countersign.rule"], "no-repo-delete");
        assert_eq!(outcome["countersign.mode"], "observe");
        assert_eq!(
            record["request"].is_null(),
            delivery == "best_effort",
            "strict writes before it forwards: {record}"
        );

        // A rule that would hold does not hold, and nobody is asked.
        let merge = call(
            &stack,
            &token,
            "observed-merge",
            "PUT",
            "/api/v3/repos/acme/web/pulls/2/merge",
        )
        .json(&json!({}));
        merge.run().unwrap();
        assert_eq!(stack.seen_by("observed-merge").unwrap().len(), 1);
        let asked = lead.get("/api/v1/approvals").unwrap();
        assert_eq!(asked["approvals"], json!([]));
    }
}

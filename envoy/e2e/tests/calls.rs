//! Single calls, sent exactly as written: identity, credentials, rules, paths.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends with it, and says where"
)]

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use countersign_e2e::stack::{CREDENTIAL, GATEWAY_KEY};
use countersign_e2e::{Curl, Process, Repository, Shared, Stack, StackOptions};
use serde_json::{Value, json};

static SHARED: Shared = Shared::new(|| Ok(StackOptions::default()));

fn api(stack: &Stack, path: &str) -> String {
    format!("{}/api/v3{path}", stack.gateway())
}

/// Asserts that no request of `mark` reached the upstream, not even its head.
fn assert_unseen(stack: &Stack, mark: &str) {
    let seen = stack.seen_by(mark).unwrap();
    assert!(seen.is_empty(), "{mark} went upstream: {seen:?}");
}

#[test]
fn an_allowed_call_carries_the_injected_credential_and_nothing_of_the_agent() {
    let stack = SHARED.get().unwrap();
    let token = stack.token("agent-7", &["agents"]).unwrap();
    let answer = Curl::get(&api(&stack, "/repos/acme/web"))
        .mark("allowed")
        .bearer(&token)
        .header("x-countersign-approver", "forged")
        .header("X-Forwarded-For", "10.1.2.3")
        .run()
        .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["full_name"], "acme/web");

    let seen = stack.seen_by("allowed").unwrap();
    let [request] = seen.as_slice() else {
        panic!("seen {} times", seen.len())
    };
    assert_eq!(request["host"], "api.github.com");
    assert_eq!(request["path"], "/repos/acme/web");
    let headers = &request["headers"];
    assert_eq!(headers["authorization"], format!("Bearer {CREDENTIAL}"));
    assert_eq!(headers["accept-encoding"], "identity");
    let all = request.to_string();
    assert!(!all.contains(&token), "{all}");
    for name in ["x-countersign-approver", "x-forwarded-for"] {
        assert!(headers[name].is_null(), "{name} went upstream: {all}");
    }
    assert!(!answer.everything().contains(CREDENTIAL));
}

#[test]
fn a_denied_delete_names_rule_and_reason_as_github_would() {
    let stack = SHARED.get().unwrap();
    let token = stack.token("agent-7", &["agents"]).unwrap();
    for path in ["/repos/acme/web", "/repos/ACME/Web", "/repos/acme/web/"] {
        let answer = Curl::new("DELETE", &api(&stack, path))
            .mark("denied")
            .bearer(&token)
            .run()
            .unwrap();
        assert_eq!(answer.status, 403, "{path}: {}", answer.text());
        let body = answer.json();
        let message = body["message"].as_str().unwrap();
        assert!(
            message.contains("Repositories are deleted by the platform team."),
            "{message}"
        );
        assert_eq!(body["countersign"]["rule"], "no-repo-delete");
        assert_eq!(body["countersign"]["reason"], "rule_denied");
        assert_eq!(body["countersign"]["retry"], false);
        assert!(
            answer.header("retry-after").is_none(),
            "clients would resend"
        );
    }
    assert_unseen(&stack, "denied");
    let still = Curl::get(&api(&stack, "/repos/acme/web"))
        .bearer(&token)
        .run();
    assert_eq!(still.unwrap().status, 200);
}

#[test]
fn the_credential_that_an_upstream_sends_back_is_scrubbed_in_every_disguise() {
    let stack = SHARED.get().unwrap();
    let token = stack.token("agent-7", &["agents"]).unwrap();
    let direct = Curl::get(&format!("{}/user", stack.upstream()))
        .header("Host", "api.github.com")
        .bearer(CREDENTIAL)
        .simulate("echo-credential")
        .run()
        .unwrap();
    let disguises: Vec<String> = direct.json().as_object().unwrap().values().fold(
        Vec::new(),
        |mut all: Vec<String>, value| {
            all.push(value.as_str().unwrap().to_owned());
            all
        },
    );
    assert!(disguises.len() > 4 && disguises.iter().any(|d| d == CREDENTIAL));

    for faults in ["echo-credential", "echo-credential,chunk=1"] {
        let answer = Curl::get(&api(&stack, "/user"))
            .mark("echoed")
            .bearer(&token)
            .simulate(faults)
            .run()
            .unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.header("x-echo-token").is_some());
        let all = answer.everything();
        for disguise in &disguises {
            assert!(!all.contains(disguise.as_str()), "{faults}: {disguise}");
        }
        let bare = CREDENTIAL.trim_start_matches("ghs_");
        assert!(!all.contains(bare), "{faults}: {all}");
    }
}

#[test]
fn tokens_are_taken_in_every_form_that_clients_send() {
    let stack = SHARED.get().unwrap();
    for algorithm in ["ES256", "RS256", "EdDSA"] {
        let token = stack
            .countersign(&["token", "--subject", "agent-7", "--alg", algorithm])
            .unwrap();
        let basic = STANDARD.encode(format!("x-access-token:{token}"));
        for value in [
            format!("Bearer {token}"),
            format!("bearer {token}"),
            format!("token {token}"),
            format!("Basic {basic}"),
            format!("Bearer gho_{token}"),
            format!("token ghs_{token}"),
        ] {
            let answer = Curl::get(&api(&stack, "/user"))
                .mark("forms")
                .header("Authorization", &value)
                .run()
                .unwrap();
            let scheme = value.split('.').next().unwrap();
            assert_eq!(
                answer.status,
                200,
                "{algorithm} {scheme}: {}",
                answer.text()
            );
        }
    }
    let seen = json!(stack.seen_by("forms").unwrap()).to_string();
    assert!(
        !seen.contains("eyJ"),
        "a token of the agent went upstream: {seen}"
    );
}

/// Header and claims of a token changed, its signature kept.
fn altered(token: &str, head: impl FnOnce(&mut Value), claims: impl FnOnce(&mut Value)) -> String {
    let parts: Vec<&str> = token.split('.').collect();
    let read = |part: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    let (mut first, mut second) = (read(parts[0]), read(parts[1]));
    head(&mut first);
    claims(&mut second);
    let write = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", write(first), write(second), parts[2])
}

/// A valid token of another console's development provider that claims to come from this one.
fn foreign_token(stack: &Stack) -> String {
    let program = Repository::find().unwrap().program("countersign").unwrap();
    let data = stack.folder().join("foreign");
    let mut console = Process::start(
        "foreign",
        Command::new(&program)
            .args(["serve", "--dev", "--listen", "127.0.0.1:0", "--data"])
            .arg(&data)
            .env("COUNTERSIGN_GATEWAY_KEY", GATEWAY_KEY),
        stack.folder(),
    )
    .unwrap();
    console.wait_until_listening(0).unwrap();
    let issuer = format!("iss={}/dev", stack.console());
    let mut command = Command::new(program);
    command
        .args([
            "token",
            "--subject",
            "agent-7",
            "--claim",
            &issuer,
            "--data",
        ])
        .arg(&data);
    countersign_e2e::stack::run(&mut command).unwrap()
}

#[test]
fn a_token_that_does_not_hold_is_refused_and_nothing_goes_upstream() {
    let stack = SHARED.get().unwrap();
    let good = stack.token("agent-7", &["agents"]).unwrap();
    let make = |more: &[&str]| {
        stack
            .countersign(&[&["token", "--subject", "agent-7"], more].concat())
            .unwrap()
    };
    let rsa = make(&["--alg", "RS256"]);
    let same = |_: &mut Value| {};
    let unsigned = altered(&good, |h| h["alg"] = "none".into(), same);
    let parts: Vec<&str> = good.split('.').collect();
    let cases = [
        ("expired", make(&["--ttl=-1h"]), "token_invalid"),
        (
            "audience",
            make(&["--audience", "another"]),
            "token_invalid",
        ),
        (
            "issuer",
            make(&["--claim", "iss=http://127.0.0.1:1/dev"]),
            "token_invalid",
        ),
        ("foreign key", foreign_token(&stack), "token_invalid"),
        ("alg none", unsigned.clone(), "token_invalid"),
        (
            "alg none, no signature",
            format!("{}.", unsigned.rsplit_once('.').unwrap().0),
            "token_invalid",
        ),
        (
            "alg of another key",
            altered(&good, |h| h["alg"] = "RS256".into(), same),
            "token_invalid",
        ),
        (
            "ES256 with the RSA key's name",
            altered(&rsa, |h| h["alg"] = "ES256".into(), same),
            "token_invalid",
        ),
        (
            "HS256",
            altered(&rsa, |h| h["alg"] = "HS256".into(), same),
            "token_invalid",
        ),
        (
            "groups added",
            altered(&good, |_| {}, |c| c["groups"] = json!(["release-managers"])),
            "token_invalid",
        ),
        ("cut", format!("{}.{}", parts[0], parts[1]), "token_invalid"),
        (
            "a real GitHub token",
            "ghp_abcdefghijklmnopqrstuvwxyz0123456789".to_owned(),
            "token_invalid",
        ),
    ];
    for (name, token, reason) in &cases {
        let answer = Curl::get(&api(&stack, "/user"))
            .mark("refused-token")
            .bearer(token)
            .run()
            .unwrap();
        assert_eq!(answer.status, 401, "{name}: {}", answer.text());
        assert_eq!(answer.reason(), *reason, "{name}: {}", answer.text());
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer "), "{name}: {challenge}");
        assert!(
            !answer.everything().contains(token.as_str()),
            "{name} is echoed"
        );
    }
    let missing = Curl::get(&api(&stack, "/user"))
        .mark("refused-token")
        .run()
        .unwrap();
    assert_eq!(
        (missing.status, missing.reason()),
        (401, "token_missing"),
        "{}",
        missing.text()
    );
    let two = Curl::get(&api(&stack, "/user"))
        .mark("refused-token")
        .bearer(&good)
        .bearer(&good)
        .run()
        .unwrap();
    assert_eq!(two.status, 401, "{}", two.text());
    assert_unseen(&stack, "refused-token");
}

#[test]
fn an_encoded_slash_is_judged_decoded_and_forwarded_as_it_came() {
    let stack = SHARED.get().unwrap();
    let token = stack.token("agent-7", &["agents"]).unwrap();
    let body = json!({ "message": "x", "content": STANDARD.encode("on: push"), "branch": "topic" });
    let denied = Curl::new(
        "PUT",
        &api(
            &stack,
            "/repos/acme/web/contents/.github%2Fworkflows%2Fci.yml",
        ),
    )
    .mark("octokit-denied")
    .bearer(&token)
    .json(&body)
    .run()
    .unwrap();
    assert_eq!(denied.status, 403, "{}", denied.text());
    assert_eq!(denied.json()["countersign"]["rule"], "ci-config");
    assert_unseen(&stack, "octokit-denied");

    let path = "/repos/acme/web/contents/docs%2Fnew%20page.md";
    let body =
        json!({ "message": "x", "content": STANDARD.encode("hello"), "branch": "feature/welcome" });
    let allowed = Curl::new("PUT", &api(&stack, path))
        .mark("octokit-allowed")
        .bearer(&token)
        .json(&body)
        .run()
        .unwrap();
    assert_eq!(allowed.status, 201, "{}", allowed.text());
    let seen = stack.seen_by("octokit-allowed").unwrap();
    assert_eq!(seen[0]["path"], path, "forwarded byte for byte");
    assert_eq!(seen[0]["body"], body.to_string());
}

#[test]
fn a_path_with_two_readings_is_refused() {
    let stack = SHARED.get().unwrap();
    let token = stack.token("agent-7", &["agents"]).unwrap();
    for path in [
        "//repos/acme/web",
        "/repos//acme/web",
        "/repos/acme/./web",
        "/repos/acme/api/../web",
        "/repos/acme/api/%2e%2e/web",
        "/repos/acme/api/%2E./web",
        "/repos/acme/web/contents/a%252Fb",
        "/repos/acme/web;x=1",
        "/repos/acme/web%00",
        "/repos/acme/web%",
        "/repos/acme%5Cweb",
        "/repos/acme/web/contents/%c0%ae%c0%ae",
    ] {
        for method in ["GET", "DELETE"] {
            let answer = Curl::new(method, &api(&stack, path))
                .mark("ambiguous")
                .bearer(&token)
                .run()
                .unwrap();
            assert_eq!(answer.status, 400, "{method} {path}: {}", answer.text());
        }
    }
    assert_unseen(&stack, "ambiguous");
}

#[test]
fn an_upgrade_is_refused_with_what_lets_the_cli_fall_back() {
    let stack = SHARED.get().unwrap();
    let token = stack.token("agent-7", &["agents"]).unwrap();
    let answer = Curl::get(&format!("{}/copilot/responses", stack.gateway()))
        .mark("websocket")
        .bearer(&token)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .run()
        .unwrap();
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert_unseen(&stack, "websocket");
}

#[test]
fn a_host_that_nobody_serves_is_not_forwarded() {
    let stack = SHARED.get().unwrap();
    let token = stack.token("agent-7", &["agents"]).unwrap();
    for host in [
        "evil.example",
        "api.github.com.evil.example",
        "github.com@evil.example",
    ] {
        let answer = Curl::get(&format!("{}/user", stack.gateway()))
            .mark("elsewhere")
            .bearer(&token)
            .header("Host", host)
            .run()
            .unwrap();
        assert!(
            (400..500).contains(&answer.status),
            "{host}: {} {}",
            answer.status,
            answer.text()
        );
        assert!(!answer.everything().contains(CREDENTIAL));
    }
    assert_unseen(&stack, "elsewhere");
}

#[test]
fn every_door_of_the_gateway_leads_to_its_own_upstream() {
    let stack = SHARED.get().unwrap();
    let token = stack.token("agent-7", &["agents"]).unwrap();
    let gateway = stack.gateway();
    for (host, path, upstream_host, upstream_path) in [
        ("api.github.com", "/user", "api.github.com", "/user"),
        ("api.github.localhost", "/user", "api.github.com", "/user"),
        (
            "api.business.githubcopilot.com",
            "/models",
            "api.githubcopilot.com",
            "/models",
        ),
        (
            "127.0.0.1",
            "/copilot/models",
            "api.githubcopilot.com",
            "/models",
        ),
        (
            "localhost",
            "/acme/web.git/info/refs?service=git-upload-pack",
            "github.com",
            "/acme/web.git/info/refs?service=git-upload-pack",
        ),
    ] {
        let mark = format!("door-{host}");
        let answer = Curl::get(&format!("{gateway}{path}"))
            .mark(&mark)
            .bearer(&token)
            .header("Host", host)
            .run()
            .unwrap();
        assert_eq!(answer.status, 200, "{host}{path}: {}", answer.text());
        let seen = &stack.seen_by(&mark).unwrap()[0];
        assert_eq!(seen["host"], upstream_host);
        assert_eq!(seen["path"], upstream_path);
    }
}

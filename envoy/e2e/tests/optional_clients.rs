//! Large clients, run by `scripts/test --clients`: the Copilot CLI.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends with it, and says where"
)]

use std::process::Command;

use countersign_e2e::client;
use countersign_e2e::git::{Told, told};
use countersign_e2e::{Shared, Stack, StackOptions, policy};
use serde_json::json;

/// The shipped policy, and a rule that denies models to those who are cut off.
static SHARED: Shared = Shared::new(|| {
    let mut shipped = policy::shipped()?;
    let denied = json!({
        "name": "no-model", "operations": ["chat.completion"], "action": "deny",
        "reason": "This team has no licence for models.", "except": { "groups": ["licensed"] }
    });
    if let Some(rules) = shipped["rules"].as_array_mut() {
        rules.push(denied);
    }
    Ok(StackOptions {
        policy: Some(shipped.to_string()),
        ..StackOptions::default()
    })
});

/// The Copilot CLI with a provider of its own, offline: it talks to the gateway alone.
fn copilot(stack: &Stack, name: &str, groups: &[&str], prompt: &str) -> Option<Told> {
    let program = client::node_package("node-clients", ".bin/copilot").unwrap()?;
    let home = stack.folder().join(name);
    std::fs::create_dir_all(&home).unwrap();
    let token = stack.token(name, groups).unwrap();
    let file = home.join("token");
    std::fs::write(&file, token).unwrap();
    let mut command = Command::new(program);
    command
        .args([
            "-p",
            prompt,
            "-s",
            "--allow-all-tools",
            "--no-auto-update",
            "--model",
            "gpt-4.1",
        ])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", &home)
        .env("NO_COLOR", "1")
        .env("COPILOT_OFFLINE", "true")
        .env("COPILOT_MODEL", "gpt-4.1")
        .env(
            "COPILOT_PROVIDER_BASE_URL",
            format!("{}/copilot", stack.gateway()),
        )
        .env(
            "COPILOT_PROVIDER_API_KEY_COMMAND",
            format!("cat {}", file.display()),
        )
        .current_dir(&home);
    Some(told(&mut command).unwrap())
}

#[test]
fn the_copilot_cli_is_answered_and_shown_no_secret() {
    let stack = SHARED.get().unwrap();
    let groups = ["agents", "licensed"];
    let Some(hello) = copilot(&stack, "cli-hello", &groups, "hello there") else {
        return;
    };
    assert_eq!(hello.code, 0, "{}", hello.text);
    assert!(hello.text.contains("You said:"), "{}", hello.text);

    let told = copilot(&stack, "cli-secret", &groups, "show me the secret").unwrap();
    assert_eq!(told.code, 0, "{}", told.text);
    assert!(told.text.contains("That is all."), "{}", told.text);
    for sign in ["GITHUB_TOKEN=ghp_", "AWS_ACCESS_KEY_ID=AKIA", "SESSION=eyJ"] {
        assert!(!told.text.contains(sign), "{sign} in {}", told.text);
    }
    let lead = stack.person("cli-reader", &["platform-leads"]).unwrap();
    let exchanges = lead.exchanges_of("cli-secret", 1).unwrap();
    let masked = exchanges.iter().any(|e| e["masked"].as_i64() > Some(0));
    assert!(masked, "nothing was masked: {exchanges:?}");
}

#[test]
fn the_copilot_cli_shows_why_a_model_is_denied() {
    let stack = SHARED.get().unwrap();
    let Some(denied) = copilot(&stack, "cli-denied", &["agents"], "hello there") else {
        return;
    };
    assert_ne!(denied.code, 0, "{}", denied.text);
    assert!(
        denied.text.contains("This team has no licence for models."),
        "{}",
        denied.text
    );
}

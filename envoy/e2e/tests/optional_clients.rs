//! Large clients, run by `scripts/test --clients`: the Copilot CLI, Octokit.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends with it, and says where"
)]

use std::path::PathBuf;
use std::process::Command;

use countersign_e2e::git::{Told, told};
use countersign_e2e::{Repository, Shared, Stack, StackOptions, policy};
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

/// A program of `scripts/setup --clients`.
fn node_client(path: &str) -> Option<PathBuf> {
    let found = Repository::find().unwrap().path(".tools/node").join(path);
    if found.exists() {
        return Some(found);
    }
    println!("skipped: no {path} (scripts/setup --clients)");
    None
}

/// The Copilot CLI with a provider of its own, offline: it talks to the gateway alone.
fn copilot(stack: &Stack, name: &str, groups: &[&str], prompt: &str) -> Option<Told> {
    let program = node_client("node_modules/.bin/copilot")?;
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

#[test]
fn octokit_writes_a_file_and_reads_why_another_may_not_be() {
    let stack = SHARED.get().unwrap();
    let Some(folder) = node_client("node_modules/@octokit/rest") else {
        return;
    };
    let token = stack.token("octokit", &["agents"]).unwrap();
    let script = r#"
const { Octokit } = await import(process.env.OCTOKIT);
const octokit = new Octokit({ auth: process.env.TOKEN, baseUrl: process.env.GATEWAY + "/api/v3" });
const repo = { owner: "acme", repo: "web" };
const put = (path) => octokit.rest.repos.createOrUpdateFileContents({ ...repo, path, branch: "feature/welcome",
  message: "x", content: Buffer.from("hello").toString("base64") });
console.log("written:", (await put("docs/from octokit.md")).status);
try { await put(".github/workflows/new.yml"); } catch (error) { console.log("denied:", error.status, error.message); }
"#;
    let mut command = Command::new("node");
    command
        .args(["--input-type=module", "-e", script])
        .env("OCTOKIT", folder.join("dist-src/index.js"))
        .env("TOKEN", &token)
        .env("GATEWAY", stack.gateway());
    let told = told(&mut command).unwrap();
    assert!(told.text.contains("written: 201"), "{}", told.text);
    assert!(told.text.contains("denied: 403"), "{}", told.text);
    assert!(told.text.contains("rule ci-config"), "{}", told.text);
    let seen = stack.seen().unwrap();
    let requests = seen["requests"].as_array().unwrap();
    assert!(
        !requests
            .iter()
            .any(|r| r["path"].as_str().is_some_and(|p| p.contains("workflows"))),
        "{seen}"
    );
}

//! Programs that people use with GitHub and with models: gh, PyGithub, the openai SDK.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends with it, and says where"
)]

use std::path::PathBuf;
use std::process::Command;

use countersign_e2e::client;
use countersign_e2e::git::{Told, told};
use countersign_e2e::{Curl, Repository, Shared, Stack, StackOptions, policy};
use serde_json::json;

/// The shipped policy, and a model that nobody may use.
static SHARED: Shared = Shared::new(|| {
    let mut shipped = policy::shipped()?;
    let denied = json!({
        "name": "no-claude", "operations": ["chat.completion"], "action": "deny",
        "reason": "This model is not licensed.", "except": { "groups": ["licensed"] }
    });
    if let Some(rules) = shipped["rules"].as_array_mut() {
        rules.push(denied);
    }
    Ok(StackOptions {
        policy: Some(shipped.to_string()),
        ..StackOptions::default()
    })
});

fn gh(stack: &Stack, token: &str, arguments: &[&str]) -> Option<Told> {
    client::gh(stack, token, arguments).unwrap()
}

#[test]
fn gh_reads_and_is_told_why_it_may_not_delete() {
    let stack = SHARED.get().unwrap();
    let token = stack.token("gh-user", &["agents"]).unwrap();
    let Some(user) = gh(&stack, &token, &["api", "user"]) else {
        return;
    };
    assert_eq!(user.code, 0, "{}", user.text);
    assert!(user.text.contains("\"login\""), "{}", user.text);

    let view = gh(
        &stack,
        &token,
        &["repo", "view", "acme/web", "--json", "name,description"],
    )
    .unwrap();
    assert_eq!(view.code, 0, "{}", view.text);
    assert!(
        view.text.contains("The shop window of Acme"),
        "{}",
        view.text
    );

    for list in ["issue", "pr"] {
        let listed = gh(
            &stack,
            &token,
            &[list, "list", "-R", "acme/web", "--json", "number,title"],
        )
        .unwrap();
        assert_eq!(listed.code, 0, "{list}: {}", listed.text);
        assert!(listed.text.contains("\"title\""), "{list}: {}", listed.text);
    }

    let delete = gh(&stack, &token, &["repo", "delete", "acme/web", "--yes"]).unwrap();
    assert_ne!(delete.code, 0, "{}", delete.text);
    assert!(
        delete
            .text
            .contains("Repositories are deleted by the platform team."),
        "{}",
        delete.text
    );
    assert!(delete.text.contains("HTTP 403"), "{}", delete.text);

    let seen = stack.seen().unwrap();
    let requests = seen["requests"].as_array().unwrap();
    assert!(!requests.iter().any(|r| r["method"] == "DELETE"), "{seen}");
    assert!(
        !seen.to_string().contains(&token),
        "the token went upstream"
    );
}

/// The Python of `scripts/setup --test`.
fn python(stack: &Stack, token: &str, script: &str) -> Option<Told> {
    let python: PathBuf = Repository::find().unwrap().path(".tools/python/bin/python");
    if !python.is_file() {
        println!("skipped: no Python clients (scripts/setup --test)");
        return None;
    }
    let mut command = Command::new(python);
    command
        .args(["-c", script])
        .env("GATEWAY", stack.gateway())
        .env("TOKEN", token)
        .env_remove("HTTP_PROXY")
        .env_remove("http_proxy");
    Some(told(&mut command).unwrap())
}

#[test]
fn the_openai_sdk_streams_a_chat_without_its_secrets() {
    let stack = SHARED.get().unwrap();
    let token = stack.token("sdk", &["agents", "licensed"]).unwrap();
    let script = r#"
import os
from openai import OpenAI
client = OpenAI(base_url=os.environ["GATEWAY"] + "/copilot", api_key=os.environ["TOKEN"])
said, ended = "", None
for chunk in client.chat.completions.create(model="gpt-4.1", stream=True,
        messages=[{"role": "user", "content": "show me the secret"}]):
    for choice in chunk.choices:
        said += choice.delta.content or ""
        ended = choice.finish_reason or ended
print(said)
print("ended:", ended)
"#;
    let Some(told) = python(&stack, &token, script) else {
        return;
    };
    assert_eq!(told.code, 0, "{}", told.text);
    assert!(told.text.contains("Sure, here is"), "{}", told.text);
    assert!(told.text.contains("That is all. ✓"), "{}", told.text);
    assert!(told.text.contains("ended: stop"), "{}", told.text);

    let plain = Curl::new("POST", &format!("{}/chat/completions", stack.upstream()))
        .header("Host", "api.githubcopilot.com")
        .bearer(countersign_e2e::stack::CREDENTIAL)
        .json(&json!({ "model": "gpt-4.1", "messages": [{ "role": "user", "content": "show me the secret" }] }))
        .run()
        .unwrap();
    let plain = plain.json()["choices"][0]["message"]["content"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut secrets = 0;
    for line in plain.lines() {
        let is_secret = line.contains('=') || (line.len() == 64 && !line.contains(' '));
        if is_secret {
            let secret = line.split_once('=').map_or(line, |(_, value)| value);
            assert!(!told.text.contains(secret), "{secret} in {}", told.text);
            secrets += 1;
        }
    }
    assert!(secrets > 10, "the model told no secrets: {plain}");
}

#[test]
fn the_openai_sdk_reads_why_a_model_is_denied_and_does_not_insist() {
    let stack = SHARED.get().unwrap();
    let token = stack.token("sdk-denied", &["agents"]).unwrap();
    let script = r#"
import os, openai
client = openai.OpenAI(base_url=os.environ["GATEWAY"] + "/copilot", api_key=os.environ["TOKEN"])
try:
    client.chat.completions.create(model="gpt-4.1", messages=[{"role": "user", "content": "hi"}])
except openai.APIStatusError as error:
    print("status:", error.status_code, "code:", error.code, "message:", error.message)
"#;
    let Some(told) = python(&stack, &token, script) else {
        return;
    };
    assert!(told.text.contains("status: 451"), "{}", told.text);
    assert!(told.text.contains("code: rule_denied"), "{}", told.text);
    assert!(
        told.text.contains("This model is not licensed."),
        "{}",
        told.text
    );
    let lead = stack.person("sdk-reader", &["platform-leads"]).unwrap();
    assert_eq!(lead.exchanges_of("sdk-denied", 1).unwrap().len(), 1);
}

#[test]
fn pygithub_works_and_takes_a_denial_for_an_answer() {
    let stack = SHARED.get().unwrap();
    let token = stack.token("pygithub", &["agents"]).unwrap();
    let script = r#"
import os, github
api = github.Github(base_url=os.environ["GATEWAY"] + "/api/v3", auth=github.Auth.Token(os.environ["TOKEN"]))
repo = api.get_repo("acme/web")
print("repo:", repo.full_name, repo.default_branch)
try:
    repo.delete()
except github.GithubException as error:
    print("status:", error.status, "message:", error.data["message"])
"#;
    let Some(told) = python(&stack, &token, script) else {
        return;
    };
    assert!(told.text.contains("repo: acme/web main"), "{}", told.text);
    assert!(told.text.contains("status: 403"), "{}", told.text);
    assert!(
        told.text
            .contains("Repositories are deleted by the platform team."),
        "{}",
        told.text
    );
    // One read and one delete: it did not send the delete again.
    let lead = stack.person("py-reader", &["platform-leads"]).unwrap();
    let exchanges = lead.exchanges_of("pygithub", 2).unwrap();
    assert_eq!(exchanges.len(), 2, "{exchanges:?}");
}

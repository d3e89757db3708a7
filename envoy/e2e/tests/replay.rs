//! A real session, replayed: the openai SDK asks a model, an MCP client and git do what it says, a push is
//! held and released, a deletion is denied. Then the terminal, the page and the JSON tell it in order.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends with it, and says where"
)]

use std::path::PathBuf;
use std::process::Command;
use std::thread;

use countersign_e2e::git::{Clone, Told, told};
use countersign_e2e::{Curl, Repository, Stack, client, eventually};
use serde_json::{Value, json};

const SESSION: &str = "release-notes-1";

/// Asks the model with the messages in `MESSAGES`, as a stream, and prints the tool that it calls.
const ASK: &str = r#"
import json, os
from openai import OpenAI
client = OpenAI(base_url=os.environ["GATEWAY"] + "/copilot", api_key=os.environ["TOKEN"])
tool = lambda name: {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
call, said = {"id": "", "name": "", "arguments": ""}, ""
for chunk in client.chat.completions.create(model="gpt-4.1", stream=True, messages=json.loads(os.environ["MESSAGES"]),
        stream_options={"include_usage": True}, tools=[tool("bash"), tool("create_or_update_file")]):
    for choice in chunk.choices:
        said += choice.delta.content or ""
        for piece in choice.delta.tool_calls or []:
            call["id"] += piece.id or ""
            call["name"] += piece.function.name or ""
            call["arguments"] += piece.function.arguments or ""
print(json.dumps({"said": said, "call": call}))
"#;

const WRITE: &str = r#"
const { Client } = await import(process.env.PACKAGE + "/dist/esm/client/index.js");
const { StreamableHTTPClientTransport } = await import(process.env.PACKAGE + "/dist/esm/client/streamableHttp.js");
const client = new Client({ name: "replay", version: "1.0.0" });
await client.connect(new StreamableHTTPClientTransport(new URL(process.env.GATEWAY + "/mcp/"),
  { requestInit: { headers: { authorization: "Bearer " + process.env.TOKEN } } }));
const result = await client.callTool({ name: "create_or_update_file", arguments: JSON.parse(process.argv[1]) });
console.log(result.isError ? "failed" : "written", result.content.map((part) => part.text).join("\n"));
await client.close();
"#;

/// The answer of the model; nothing without the SDK.
fn ask(stack: &Stack, token: &str, messages: &Value) -> Option<Value> {
    let python: PathBuf = Repository::find().unwrap().path(".tools/python/bin/python");
    if !python.is_file() {
        println!("skipped: no Python clients (scripts/setup --test)");
        return None;
    }
    let mut command = Command::new(python);
    command
        .args(["-c", ASK])
        .env("GATEWAY", stack.gateway())
        .env("TOKEN", token)
        .env("MESSAGES", messages.to_string())
        .env_remove("HTTP_PROXY")
        .env_remove("http_proxy");
    let Told { code, text } = told(&mut command).unwrap();
    assert_eq!(code, 0, "{text}");
    Some(serde_json::from_str(text.trim()).unwrap_or_else(|_| panic!("{text}")))
}

/// The messages that tell the model what it called and what came of it.
fn with_result(messages: &mut Value, answer: &Value, result: &str, next: Option<&str>) {
    let call = &answer["call"];
    let function = json!({"name": call["name"], "arguments": call["arguments"]});
    let all = messages.as_array_mut().unwrap();
    all.push(json!({"role": "assistant", "content": null,
        "tool_calls": [{"id": call["id"], "type": "function", "function": function}]}));
    all.push(json!({"role": "tool", "tool_call_id": call["id"], "content": result}));
    all.extend(next.map(|text| json!({"role": "user", "content": text})));
}

/// Where each of `parts` stands in `text`, each behind the one before.
fn in_order(text: &str, parts: &[&str]) {
    let mut from = 0;
    for part in parts {
        let found = text[from..].find(part);
        from += found.unwrap_or_else(|| panic!("no `{part}` behind {from} in {text}")) + part.len();
    }
}

#[test]
fn prompt_answer_tool_call_push_and_hold_are_told_in_order() {
    let stack = Stack::start().unwrap();
    let claim = format!("sid={SESSION}");
    let arguments = [
        "token",
        "--subject",
        "replayed",
        "--group",
        "agents",
        "--claim",
        &claim,
    ];
    let token = stack.countersign(&arguments).unwrap().trim().to_owned();
    let lead = stack.person("lead", &["platform-leads"]).unwrap();
    let clone = Clone::of(&stack, "web", &token, "replay").unwrap();
    clone.branch("agents/notes").unwrap();
    clone.commit("notes.md", b"first\n").unwrap();
    assert_eq!(clone.git(&["push", "origin", "HEAD"]).unwrap().code, 0);

    // The model calls an MCP tool, and an MCP client does what it says.
    let file = json!({"owner": "acme", "repo": "web", "branch": "agents/notes", "path": "docs/notes.md",
        "content": "# Notes\n", "message": "Add notes"});
    let mut messages = json!([
        {"role": "system", "content": "You write release notes."},
        {"role": "user", "content": format!("call: create_or_update_file {file}")},
    ]);
    let Some(first) = ask(&stack, &token, &messages) else {
        return;
    };
    assert_eq!(first["call"]["name"], "create_or_update_file", "{first}");
    let arguments = first["call"]["arguments"].as_str().unwrap();
    let sdk = "@modelcontextprotocol/sdk";
    let Some(written) = client::node(&stack, &token, sdk, WRITE, &[arguments]).unwrap() else {
        return;
    };
    assert!(written.text.contains("written"), "{}", written.text);

    // Then it calls git, whose push to main is held until a person agrees.
    with_result(
        &mut messages,
        &first,
        &written.text,
        Some("run: git push origin main"),
    );
    let second = ask(&stack, &token, &messages).unwrap();
    assert_eq!(second["call"]["name"], "bash", "{second}");
    clone.git(&["checkout", "-q", "main"]).unwrap();
    clone.commit("CHANGES.md", b"more\n").unwrap();
    let pushed = thread::scope(|scope| {
        let push = scope.spawn(|| clone.git(&["push", "origin", "main"]).unwrap());
        let held = lead
            .asked("the push to main", |a| {
                a["question"]["identity"]["subject"] == "replayed"
            })
            .unwrap();
        lead.approve(&held).unwrap();
        push.join().unwrap()
    });
    assert_eq!(pushed.code, 0, "{}", pushed.text);
    with_result(&mut messages, &second, &pushed.text, None);
    let third = ask(&stack, &token, &messages).unwrap();
    assert!(
        third["said"].as_str().unwrap().contains("has run"),
        "{third}"
    );

    let denied = Curl::new(
        "DELETE",
        &format!("{}/api/v3/repos/acme/web", stack.gateway()),
    )
    .bearer(&token)
    .run()
    .unwrap();
    assert_eq!(denied.status, 403);

    let path = format!("/api/v1/sessions/{SESSION}/replay");
    let replay = eventually("the whole session", || {
        let replay = lead.get(&path).ok()?;
        let steps = replay["steps"].as_array()?.clone();
        let all_ended = steps.iter().all(|step| {
            !json!(step["missing"])
                .to_string()
                .contains("never reported")
        });
        let denied = steps.iter().any(|step| step["kind"] == "denied");
        (all_ended && denied).then_some(replay)
    })
    .unwrap();
    // The kinds that matter, in the order in which they happened.
    let kinds: Vec<&str> = replay["steps"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|step| step["call"]["tool"].is_string() || step["call"].is_null())
        .map(|step| step["kind"].as_str().unwrap())
        .filter(|kind| *kind != "call")
        .collect();
    assert_eq!(
        kinds,
        [
            "push", "prompt", "answer", "tool", "prompt", "answer", "push", "held", "released",
            "prompt", "answer", "denied"
        ],
        "{replay:#}"
    );
    let steps = replay["steps"].as_array().unwrap();
    let linked = |kind: &str, certainty: &str| {
        replay["links"].as_array().unwrap().iter().any(|link| {
            let to = &steps[usize::try_from(link["to"].as_u64().unwrap()).unwrap()];
            to["kind"] == kind && link["certainty"] == certainty
        })
    };
    assert!(linked("tool", "exact"), "{}", replay["links"]);
    assert!(linked("prompt", "exact"), "{}", replay["links"]);
    assert!(linked("push", "likely"), "{}", replay["links"]);
    let answers: Vec<&Value> = steps
        .iter()
        .filter(|step| step["kind"] == "answer")
        .collect();
    assert!(
        answers.iter().all(|a| a["usage"]["input"].is_u64()),
        "{answers:?}"
    );
    let offsets: Vec<u64> = answers[2]["pieces"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|piece| piece["at_ms"].as_u64())
        .collect();
    assert!(!offsets.is_empty() && offsets.is_sorted(), "{offsets:?}");

    let told = [
        "release notes",
        "create_or_update_file",
        "MCP create_or_update_file",
        "docs/notes.md",
        "Notes",
        "run: git push origin main",
        "calls bash",
        "git push to acme/web",
        "refs/heads/main",
        "Held by rule production-branch",
        "Approved by",
        "lead",
        "has run",
        "Denied by rule no-repo-delete",
    ];
    let terminal = stack.countersign(&["replay", SESSION]).unwrap();
    in_order(&terminal, &told);
    assert!(terminal.chars().all(|c| c == '\n' || !c.is_control()));
    let page = lead.page(&format!("/sessions/{SESSION}")).unwrap();
    in_order(&page, &told);
    if let Some(folder) = std::env::var_os("COUNTERSIGN_KEEP_PAGES") {
        std::fs::write(PathBuf::from(folder).join("session.html"), page).unwrap();
    }
}

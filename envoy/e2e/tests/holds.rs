//! Held requests of real clients: approved, refused, expired and sent again; the console killed at each
//! step.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends with it, and says where"
)]

use std::process::Command;
use std::thread;

use countersign_e2e::client;
use countersign_e2e::git::{Told, told};
use countersign_e2e::{Curl, Person, Repository, Shared, Stack, StackOptions, eventually, policy};
use serde_json::{Value, json};

/// Files and models that a person is asked about, each for long and for a moment.
fn asking() -> Value {
    let rule = |name: &str, of: Value, hold: &str| {
        let mut rule = json!({
            "name": name, "action": "require_approval",
            "approval": { "reviewers": { "groups": ["platform-leads"] }, "hold": hold, "ticket": "10m" }
        });
        let members = rule.as_object_mut().unwrap();
        members.extend(of.as_object().unwrap().clone());
        rule
    };
    let files = |folder: &str| {
        let paths = format!("docs/{folder}/**");
        json!({"operations": ["content.write"], "paths": [paths]})
    };
    let prompts = |group: &str| json!({"operations": ["chat.completion"], "groups": [group]});
    let mut edits = rule(
        "auth-edits",
        json!({"operations": ["chat.completion"], "groups": ["editors"]}),
        "60s",
    );
    edits["hold"] = "response".into();
    edits["paths"] = json!(["src/auth/**"]);
    json!([
        edits,
        rule("files", files("held"), "60s"),
        rule("files-brief", files("brief"), "1s"),
        rule("prompts", prompts("prompters"), "60s"),
        rule("prompts-brief", prompts("hasty"), "1s"),
    ])
}

fn options() -> StackOptions {
    let mut shipped = policy::shipped().unwrap();
    shipped["rules"] = asking();
    StackOptions {
        policy: Some(shipped.to_string()),
        ..StackOptions::default()
    }
}

static SHARED: Shared = Shared::new(|| Ok(options()));

const PYGITHUB: &str = r#"
import os, sys, github
api = github.Github(base_url=os.environ["GATEWAY"] + "/api/v3", auth=github.Auth.Token(os.environ["TOKEN"]),
    timeout=int(os.environ.get("PATIENCE", "60")))
repo = api.get_repo("acme/web", lazy=True)
try:
    repo.create_file(os.environ["FILE"], "held", "held\n", branch="main")
    print("done")
except github.GithubException as error:
    print("denied:", error.status, error.data["message"])
"#;

const OPENAI: &str = r#"
import os, openai
client = openai.OpenAI(base_url=os.environ["GATEWAY"] + "/copilot", api_key=os.environ["TOKEN"])
try:
    client.chat.completions.create(model="gpt-4.1", messages=[{"role": "user", "content": "hi " + os.environ["FILE"]}])
    print("done")
except openai.APIStatusError as error:
    print("denied:", error.status_code, error.message)
"#;

const OCTOKIT: &str = r#"
const { Octokit } = await import(process.env.PACKAGE + "/dist-src/index.js");
const octokit = new Octokit({ auth: process.env.TOKEN, baseUrl: process.env.GATEWAY + "/api/v3", log: { debug() {}, info() {}, warn() {}, error() {} } });
try {
  await octokit.rest.repos.createOrUpdateFileContents({ owner: "acme", repo: "web", path: process.argv[1], branch: "main", message: "held", content: "aGVsZAo=" });
  console.log("done");
} catch (error) { console.log("denied:", error.status, error.message); }
"#;

const MCP: &str = r#"
const { Client } = await import(process.env.PACKAGE + "/dist/esm/client/index.js");
const { StreamableHTTPClientTransport } = await import(process.env.PACKAGE + "/dist/esm/client/streamableHttp.js");
const client = new Client({ name: "held", version: "1.0.0" });
await client.connect(new StreamableHTTPClientTransport(new URL(process.env.GATEWAY + "/mcp/"),
  { requestInit: { headers: { authorization: "Bearer " + process.env.TOKEN } } }));
const result = await client.callTool({ name: "create_or_update_file", arguments: { owner: "acme", repo: "web", branch: "main", path: process.argv[1], content: "held\n", message: "held" } });
const text = result.content.map((part) => part.text).join("\n");
console.log(result.isError ? "denied: " + text : "done");
await client.close();
"#;

fn python(stack: &Stack, token: &str, script: &str, file: &str, patience: &str) -> Option<Told> {
    let python = Repository::find().unwrap().path(".tools/python/bin/python");
    if !python.is_file() {
        println!("skipped: no Python clients (scripts/setup --test)");
        return None;
    }
    let mut command = Command::new(python);
    command
        .args(["-c", script])
        .env("GATEWAY", stack.gateway())
        .env("TOKEN", token)
        .env("FILE", file)
        .env("PATIENCE", patience)
        .env_remove("HTTP_PROXY")
        .env_remove("http_proxy");
    Some(told(&mut command).unwrap())
}

fn gh(stack: &Stack, token: &str, file: &str) -> Option<Told> {
    let path = format!("repos/acme/web/contents/{file}");
    let arguments = [
        "api",
        "-X",
        "PUT",
        &path,
        "-f",
        "message=held",
        "-f",
        "content=aGVsZAo=",
        "-f",
        "branch=main",
    ];
    let mut told = client::gh(stack, token, &arguments).unwrap()?;
    if told.code == 0 {
        told.text = "done".to_owned();
    }
    Some(told)
}

/// A client that does one thing, which needs a person's consent.
type Client = fn(&Stack, &str, &str) -> Option<Told>;

const CLIENTS: [(&str, Client); 5] = [
    ("pygithub", |stack, token, file| {
        python(stack, token, PYGITHUB, file, "60")
    }),
    ("openai", |stack, token, file| {
        python(stack, token, OPENAI, file, "60")
    }),
    ("octokit", |stack, token, file| {
        client::node(stack, token, "@octokit/rest", OCTOKIT, &[file]).unwrap()
    }),
    ("mcp", |stack, token, file| {
        client::node(stack, token, "@modelcontextprotocol/sdk", MCP, &[file]).unwrap()
    }),
    ("gh", gh),
];

fn of(subject: &str) -> impl Fn(&Value) -> bool {
    move |approval| approval["question"]["identity"]["subject"] == subject
}

/// The open approval of a subject, whether somebody waits for it or not.
fn open(lead: &Person, subject: &str) -> Value {
    eventually(&format!("the open approval of {subject}"), || {
        let open = lead.get("/api/v1/approvals?state=pending").ok()?;
        let mut open = open["approvals"].as_array()?.clone().into_iter();
        open.find(|a| of(subject)(a))
    })
    .unwrap()
}

/// How many exchanges of a subject went through after their approval.
fn passed(lead: &Person, subject: &str) -> usize {
    let exchanges = lead.exchanges_of(subject, 1).unwrap();
    let passed = exchanges
        .iter()
        .filter(|e| e["decision"] == "held_approved");
    passed.count()
}

fn while_it_waits(ask: impl Fn() -> Option<Told> + Send, answer: impl FnOnce()) -> Told {
    thread::scope(|scope| {
        let asking = scope.spawn(ask);
        answer();
        asking.join().unwrap().unwrap()
    })
}

#[test]
fn real_clients_are_held_approved_refused_and_told_to_come_again() {
    let stack = SHARED.get().unwrap();
    let lead = stack.person("countersigner", &["platform-leads"]).unwrap();
    for (name, client) in CLIENTS {
        let token = |what: &str, group: &str| {
            stack
                .token(&format!("{name}-{what}"), &["agents", group])
                .unwrap()
        };
        // Whether it is there at all.
        let probe = token("free", "nobody");
        let Some(free) = client(&stack, &probe, &format!("docs/free/{name}.md")) else {
            continue;
        };
        assert!(free.text.contains("done"), "{name}: {}", free.text);

        let held = token("approved", "prompters");
        let file = format!("docs/held/{name}.md");
        let subject = format!("{name}-approved");
        let told = while_it_waits(
            || client(&stack, &held, &file),
            || {
                let approval = lead.asked(&subject, of(&subject)).unwrap();
                lead.approve(&approval).unwrap();
            },
        );
        assert!(told.text.contains("done"), "{name}: {}", told.text);
        assert_eq!(passed(&lead, &subject), 1, "{name}");

        let held = token("refused", "prompters");
        let subject = format!("{name}-refused");
        let told = while_it_waits(
            || client(&stack, &held, &format!("docs/held/{name}-refused.md")),
            || {
                let approval = lead.asked(&subject, of(&subject)).unwrap();
                lead.refuse(&approval, "Not on a Friday.").unwrap();
            },
        );
        let words = "Refused by countersigner: Not on a Friday.";
        assert!(told.text.contains(words), "{name}: {}", told.text);
        assert_eq!(passed(&lead, &subject), 0, "{name}");

        // Unanswered: the address of the question; approved later, the same again passes once.
        let brief = token("brief", "hasty");
        let subject = format!("{name}-brief");
        let file = format!("docs/brief/{name}.md");
        let told = client(&stack, &brief, &file).unwrap();
        let approval = open(&lead, &subject);
        let address = format!("/approvals/{}", approval["id"].as_str().unwrap());
        assert!(told.text.contains(&address), "{name}: {}", told.text);
        lead.approve(&approval).unwrap();
        let told = client(&stack, &brief, &file).unwrap();
        assert!(told.text.contains("done"), "{name}: {}", told.text);
        let told = client(&stack, &brief, &file).unwrap();
        assert!(!told.text.contains("done"), "{name} twice: {}", told.text);
        assert_eq!(passed(&lead, &subject), 1, "{name}");
    }
}

#[test]
fn a_client_that_sends_again_while_it_is_held_runs_once() {
    let stack = SHARED.get().unwrap();
    let lead = stack.person("joiner", &["platform-leads"]).unwrap();
    let token = stack.token("resender", &["agents"]).unwrap();
    let file = "docs/held/resent.md";
    let patient = || python(&stack, &token, PYGITHUB, file, "2");
    if python(&stack, &token, "print('there')", "", "").is_none() {
        return;
    }
    let told = while_it_waits(patient, || {
        let approval = lead.asked("the write", of("resender")).unwrap();
        let path = format!("/api/v1/approvals/{}", approval["id"].as_str().unwrap());
        let again = eventually("the same write again", || {
            let now = lead.get(&path).ok()?;
            let events = now["events"].as_array()?;
            let joined = events.iter().any(|e| e["kind"] == "joined");
            (joined && now["waiting"] == true).then_some(now)
        });
        lead.approve(&again.unwrap()).unwrap();
    });
    assert!(told.text.contains("done"), "{}", told.text);
    assert_eq!(passed(&lead, "resender"), 1);
    let seen = stack.seen().unwrap();
    let writes = seen["requests"].as_array().unwrap().iter();
    let writes = writes
        .filter(|r| r["method"] == "PUT" && r["path"].as_str().is_some_and(|p| p.ends_with(file)));
    assert_eq!(writes.count(), 1);
}

#[test]
fn the_console_may_die_at_every_step() {
    let mut stack = Stack::start_with(&options()).unwrap();
    let lead = stack.person("lead", &["platform-leads"]).unwrap();
    let write = |stack: &Stack, subject: &str, folder: &str| {
        let token = stack.token(subject, &["agents"]).unwrap();
        let url = format!(
            "{}/api/v3/repos/acme/web/contents/docs/{folder}/{subject}.md",
            stack.gateway()
        );
        Curl::new("PUT", &url)
            .mark(subject)
            .bearer(&token)
            .json(&json!({"message": "m", "content": "aGVsZAo=", "branch": "main"}))
    };
    let die = |stack: &mut Stack| {
        stack.console.kill().unwrap();
        stack.restart_console().unwrap();
    };

    // After it was asked; after the ticket; after the yes; after the one that passed.
    let ask = write(&stack, "ticket", "brief");
    let pending = ask.run().unwrap();
    assert_eq!(pending.reason(), "approval_pending", "{}", pending.text());
    die(&mut stack);
    lead.approve(&open(&lead, "ticket")).unwrap();
    die(&mut stack);
    let through = ask.run().unwrap();
    assert_eq!(through.reason(), "", "{}", through.text());
    die(&mut stack);
    let again = ask.run().unwrap();
    assert_eq!(again.reason(), "approval_pending", "{}", again.text());
    assert_eq!(stack.seen_by("ticket").unwrap().len(), 1);

    // After a no, which stands.
    let ask = write(&stack, "no", "brief");
    assert_eq!(ask.run().unwrap().reason(), "approval_pending");
    lead.refuse(&open(&lead, "no"), "Never.").unwrap();
    die(&mut stack);
    let refused = ask.run().unwrap();
    assert_eq!(refused.reason(), "approval_refused", "{}", refused.text());
    assert!(refused.text().contains("Never."), "{}", refused.text());
    assert!(stack.seen_by("no").unwrap().is_empty());

    // While it is held, twice, and the yes is the last thing that it did.
    let ask = write(&stack, "held", "held");
    let answer = thread::scope(|scope| {
        let asking = scope.spawn(|| ask.run().unwrap());
        lead.asked("the write", of("held")).unwrap();
        die(&mut stack);
        lead.asked("the write again", of("held")).unwrap();
        die(&mut stack);
        let approval = lead.asked("the write once more", of("held")).unwrap();
        lead.approve(&approval).unwrap();
        stack.console.kill().unwrap();
        stack.restart_console().unwrap();
        asking.join().unwrap()
    });
    assert!(
        ["", "approval_pending"].contains(&answer.reason()),
        "{}",
        answer.text()
    );
    // Killed between the yes and its use it may have to be asked about anew; never does it run twice.
    assert!(stack.seen_by("held").unwrap().len() <= 1);
}

/// A model's answer that proposes to change a file, streamed to the SDK.
const EDIT: &str = r#"
import os, openai
client = openai.OpenAI(base_url=os.environ["GATEWAY"] + "/copilot", api_key=os.environ["TOKEN"])
said = ""
try:
    for chunk in client.chat.completions.create(model="gpt-4.1", stream=True,
            tools=[{"type": "function", "function": {"name": "edit_file", "parameters": {"type": "object"}}}],
            messages=[{"role": "user", "content": "call: edit_file {\"path\": \"" + os.environ["FILE"] + "\", \"text\": \"x\"}"}]):
        for choice in chunk.choices:
            for call in choice.delta.tool_calls or []:
                said += call.function.arguments or ""
    print("edit:", said)
except openai.APIStatusError as error:
    print("denied:", error.status_code, error.message)
"#;

#[test]
fn a_generated_edit_of_a_guarded_file_reaches_its_agent_once_a_person_has_read_it() {
    let stack = SHARED.get().unwrap();
    let lead = stack
        .person("editor-in-chief", &["platform-leads"])
        .unwrap();
    let token = |name: &str| stack.token(name, &["agents", "editors"]).unwrap();
    let edit = |token: &str, file: &str| python(&stack, token, EDIT, file, "");

    let free = token("edits-free");
    let Some(told) = edit(&free, "src/web/page.rs") else {
        return;
    };
    assert!(told.text.contains("src/web/page.rs"), "{}", told.text);

    let file = "src/auth/login.rs";
    let held = token("edits-approved");
    let told = while_it_waits(
        || edit(&held, file),
        || {
            let approval = lead.asked("the edit", of("edits-approved")).unwrap();
            let summary = approval["question"]["summary"].as_str().unwrap();
            assert!(summary.contains(file), "{approval}");
            lead.approve(&approval).unwrap();
        },
    );
    assert!(
        told.text.contains("edit: ") && told.text.contains(file),
        "{}",
        told.text
    );

    let held = token("edits-refused");
    let told = while_it_waits(
        || edit(&held, file),
        || {
            let approval = lead.asked("the edit", of("edits-refused")).unwrap();
            lead.refuse(&approval, "Not without a test.").unwrap();
        },
    );
    assert!(told.text.contains("denied: 451"), "{}", told.text);
    assert!(told.text.contains("Not without a test."), "{}", told.text);
    assert!(!told.text.contains("edit: "), "{}", told.text);
    let record = lead.exchanges_of("edits-refused", 1).unwrap();
    assert_eq!(record[0]["decision"], "held_refused", "{record:?}");
}

#[test]
fn no_approval_outlives_the_policy_it_was_given_under() {
    let mut stack = Stack::start_with(&options()).unwrap();
    let lead = stack.person("lead", &["platform-leads"]).unwrap();
    let token = stack.token("slow", &["agents"]).unwrap();
    let url = format!(
        "{}/api/v3/repos/acme/web/contents/docs/brief/slow.md",
        stack.gateway()
    );
    let ask = Curl::new("PUT", &url)
        .mark("slow")
        .bearer(&token)
        .json(&json!({"message": "m", "content": "aGVsZAo=", "branch": "main"}));
    let now_runs = |stack: &mut Stack, change: &dyn Fn(&mut Value)| {
        let file = stack.folder().join("envoy.yaml");
        let mut bootstrap: Value =
            serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let place = concat!(
            "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config",
            "/http_filters/0/typed_config/config/configuration/value"
        );
        change(bootstrap.pointer_mut(place).unwrap());
        std::fs::write(&file, bootstrap.to_string()).unwrap();
        stack.envoy.kill().unwrap();
        stack.restart_envoy().unwrap();
    };
    assert_eq!(ask.run().unwrap().reason(), "approval_pending");
    lead.approve(&open(&lead, "slow")).unwrap();
    // A policy that denies it now.
    now_runs(&mut stack, &|policy| {
        let rule = policy::rule(policy, "files-brief").unwrap();
        rule["action"] = "deny".into();
        rule.as_object_mut().unwrap().remove("approval");
    });
    let denied = ask.run().unwrap();
    assert_eq!(denied.reason(), "rule_denied", "{}", denied.text());
    // One that asks again, in other words: it was not this that was approved.
    now_runs(&mut stack, &|policy| {
        let approval = json!({"reviewers": {"groups": ["platform-leads"]}, "hold": "2s"});
        let rule = policy::rule(policy, "files-brief").unwrap();
        rule["action"] = "require_approval".into();
        rule["approval"] = approval;
    });
    let pending = ask.run().unwrap();
    assert_eq!(pending.reason(), "approval_pending", "{}", pending.text());
    assert!(stack.seen_by("slow").unwrap().is_empty());
}

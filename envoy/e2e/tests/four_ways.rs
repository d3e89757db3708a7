//! One rule, four ways to the same deed: Octokit (REST), gh (GraphQL), git, an MCP client. Each is stopped, each reads
//! why in its own protocol, and each may still do its ordinary work.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends with it, and says where"
)]

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_e2e::client;
use countersign_e2e::git::{Clone, Told, upstream_ref};
use countersign_e2e::{Shared, Stack, StackOptions, policy};
use serde_json::{Value, json};

const MAIN: &str = "Main is changed by people, in a pull request.";
const WORKFLOWS: &str = "Workflows are changed by the platform team.";
const BRANCHES: &str = "Release branches stay.";

/// Rules that name deeds, not doors.
static SHARED: Shared = Shared::new(|| {
    let mut shipped = policy::shipped()?;
    shipped["rules"] = json!([
        { "name": "main", "operations": ["ref.push"], "repos": ["acme/*"], "refs": ["refs/heads/main"],
          "action": "deny", "reason": MAIN },
        { "name": "workflows", "operations": ["content.write", "ref.push"], "paths": [".github/workflows/**"],
          // A push does not tell its files: what then happens is the policy's to say.
          "unknown_paths": "allow", "action": "deny", "reason": WORKFLOWS },
        { "name": "releases", "operations": ["ref.delete"], "refs": ["refs/heads/release/*"],
          "action": "deny", "reason": BRANCHES },
    ]);
    Ok(StackOptions {
        policy: Some(shipped.to_string()),
        ..StackOptions::default()
    })
});

/// Writes `path` on `branch` of acme/web by REST. The branch is made from main if it is not there.
const OCTOKIT: &str = r#"
const { Octokit } = await import(process.env.PACKAGE + "/dist-src/index.js");
const [branch, path, remove] = process.argv.slice(1);
const octokit = new Octokit({ auth: process.env.TOKEN, baseUrl: process.env.GATEWAY + "/api/v3", log: { debug() {}, info() {}, warn() {}, error() {} } });
const repo = { owner: "acme", repo: "web" };
try {
  if (remove) {
    console.log("done:", (await octokit.rest.git.deleteRef({ ...repo, ref: "heads/" + branch })).status);
  } else {
    if (branch !== "main") {
      const { data } = await octokit.rest.git.getRef({ ...repo, ref: "heads/main" });
      await octokit.rest.git.createRef({ ...repo, ref: "refs/heads/" + branch, sha: data.object.sha });
    }
    const content = Buffer.from("by Octokit\n").toString("base64");
    const { status } = await octokit.rest.repos.createOrUpdateFileContents({ ...repo, path, branch, message: "Octokit", content });
    console.log("done:", status);
  }
} catch (error) { console.log("denied:", error.status, error.message); process.exitCode = 1; }
"#;

/// The same by GitHub's MCP tools.
const MCP: &str = r#"
const { Client } = await import(process.env.PACKAGE + "/dist/esm/client/index.js");
const { StreamableHTTPClientTransport } = await import(process.env.PACKAGE + "/dist/esm/client/streamableHttp.js");
const [branch, path, tool] = process.argv.slice(1);
const client = new Client({ name: "four-ways", version: "1.0.0" });
await client.connect(new StreamableHTTPClientTransport(new URL(process.env.GATEWAY + "/mcp/"),
  { requestInit: { headers: { authorization: "Bearer " + process.env.TOKEN } } }));
const call = async (name, rest) => {
  const result = await client.callTool({ name, arguments: { owner: "acme", repo: "web", branch, ...rest } });
  const text = result.content.map((part) => part.text).join("\n");
  if (result.isError) { console.log("denied:", name, text); process.exit(1); }
  return text;
};
if (branch !== "main") await call("create_branch", { from_branch: "main" });
if (tool === "push_files") await call("push_files", { files: [{ path: "docs/first.md", content: "by MCP\n" }, { path, content: "by MCP\n" }], message: "MCP" });
else await call("create_or_update_file", { path, content: "by MCP\n", message: "MCP" });
console.log("done");
await client.close();
"#;

fn octokit(stack: &Stack, token: &str, arguments: &[&str]) -> Option<Told> {
    client::node(stack, token, "@octokit/rest", OCTOKIT, arguments).unwrap()
}

fn mcp(stack: &Stack, token: &str, arguments: &[&str]) -> Option<Told> {
    client::node(stack, token, "@modelcontextprotocol/sdk", MCP, arguments).unwrap()
}

fn gh(stack: &Stack, token: &str, query: &str, fields: &[(&str, &str)]) -> Option<Told> {
    let fields: Vec<String> = fields.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let query = format!("query={query}");
    let mut arguments = vec!["api", "graphql", "-f", &query];
    for field in &fields {
        arguments.extend(["-f", field]);
    }
    client::gh(stack, token, &arguments).unwrap()
}

/// The commit and the node id of a branch, as gh reads them.
fn branch_of(stack: &Stack, token: &str, branch: &str) -> Option<(String, String)> {
    let query = "query($name: String!) { repository(owner: \"acme\", name: \"web\") { id ref(qualifiedName: $name) { id target { oid } } } }";
    let name = format!("refs/heads/{branch}");
    let told = gh(stack, token, query, &[("name", &name)])?;
    let answer: Value = serde_json::from_str(&told.text).unwrap();
    let found = &answer["data"]["repository"]["ref"];
    Some((
        found["target"]["oid"].as_str().unwrap().to_owned(),
        found["id"].as_str().unwrap().to_owned(),
    ))
}

/// Writes a file by GraphQL on a branch that is there.
fn gh_commit(stack: &Stack, token: &str, branch: &str, path: &str) -> Option<Told> {
    let (head, _) = branch_of(stack, token, branch)?;
    let mutation = "mutation($branch: String!, $path: String!, $contents: Base64String!, $head: GitObjectID!) { \
        createCommitOnBranch(input: { branch: { repositoryNameWithOwner: \"acme/web\", branchName: $branch }, \
        message: { headline: \"gh\" }, fileChanges: { additions: [{ path: $path, contents: $contents }] }, \
        expectedHeadOid: $head }) { commit { oid } } }";
    let contents = STANDARD.encode("by gh\n");
    let fields = [
        ("branch", branch),
        ("path", path),
        ("contents", &contents),
        ("head", &head),
    ];
    gh(stack, token, mutation, &fields)
}

/// What is recorded of the denied exchange of a caller.
fn denial_of(stack: &Stack, subject: &str) -> Value {
    let reader = format!("reader-of-{subject}");
    let lead = stack.person(&reader, &["platform-leads"]).unwrap();
    let exchanges = lead.exchanges_of(subject, 1).unwrap();
    let details: Vec<Value> = exchanges
        .iter()
        .map(|e| {
            let id = e["exchange"].as_str().unwrap();
            lead.get(&format!("/api/v1/exchanges/{id}")).unwrap()["outcome"].clone()
        })
        .filter(|outcome| outcome["countersign.decision"] == "denied")
        .collect();
    let [denied] = details.as_slice() else {
        panic!("{subject} was denied {} times: {details:?}", details.len());
    };
    denied.clone()
}

/// The file's text in the upstream's own repository.
fn upstream_file(stack: &Stack, branch: &str, path: &str) -> Option<String> {
    let output = Command::new("git")
        .arg("--git-dir")
        .arg(stack.bare("web"))
        .args(["show", &format!("refs/heads/{branch}:{path}")])
        .output()
        .unwrap();
    output
        .status
        .success()
        .then(|| String::from_utf8(output.stdout).unwrap())
}

#[test]
fn main_is_closed_to_all_four_and_a_branch_is_open() {
    let stack = SHARED.get().unwrap();
    let before = upstream_ref(&stack, "web", "refs/heads/main").unwrap();
    let token = |name: &str| stack.token(name, &["agents"]).unwrap();
    let path = "docs/four-ways.md";
    let mut stopped = Vec::new();

    // REST: an HTTP error with the rule's text.
    let octokit_token = token("rest-main");
    if let Some(told) = octokit(&stack, &octokit_token, &["main", path]) {
        assert!(told.text.contains("denied: 403"), "{}", told.text);
        assert!(told.text.contains(MAIN), "{}", told.text);
        stopped.push("rest-main");
        let told = octokit(&stack, &token("rest-free"), &["agents/octokit", path]).unwrap();
        assert!(told.text.contains("done: 201"), "{}", told.text);
        let text = upstream_file(&stack, "agents/octokit", path);
        assert_eq!(text.as_deref(), Some("by Octokit\n"));
    }

    // GraphQL: 200 with an error, which gh prints.
    if let Some(told) = gh_commit(&stack, &token("graphql-main"), "main", path) {
        assert_ne!(told.code, 0, "{}", told.text);
        assert!(told.text.contains(MAIN), "{}", told.text);
        assert!(!told.text.contains("HTTP 403"), "{}", told.text);
        stopped.push("graphql-main");
        let free = token("graphql-free");
        let (head, _) = branch_of(&stack, &free, "main").unwrap();
        let make = ["-X", "POST", "-f", "ref=refs/heads/agents/gh", "-f"];
        let sha = format!("sha={head}");
        let mut arguments = vec!["api", "repos/acme/web/git/refs"];
        arguments.extend(make);
        arguments.push(&sha);
        let told = client::gh(&stack, &free, &arguments).unwrap().unwrap();
        assert_eq!(told.code, 0, "{}", told.text);
        let told = gh_commit(&stack, &free, "agents/gh", path).unwrap();
        assert_eq!(told.code, 0, "{}", told.text);
        let text = upstream_file(&stack, "agents/gh", path);
        assert_eq!(text.as_deref(), Some("by gh\n"));
    }

    // git: a line for the ref and a remark, after its pack.
    let clone = Clone::of(&stack, "web", &token("git-main"), "four-ways-main").unwrap();
    clone.commit(path, b"by git\n").unwrap();
    let told = clone.git(&["push", "origin", "main"]).unwrap();
    assert_ne!(told.code, 0, "{}", told.text);
    assert!(told.text.contains("[remote rejected]"), "{}", told.text);
    assert!(
        told.text.contains(&format!("remote: {MAIN}")),
        "{}",
        told.text
    );
    stopped.push("git-main");
    let clone = Clone::of(&stack, "web", &token("git-free"), "four-ways-free").unwrap();
    clone.branch("agents/git").unwrap();
    clone.commit(path, b"by git\n").unwrap();
    let told = clone.git(&["push", "origin", "HEAD"]).unwrap();
    assert_eq!(told.code, 0, "{}", told.text);
    let text = upstream_file(&stack, "agents/git", path);
    assert_eq!(text.as_deref(), Some("by git\n"));

    // MCP: a result that the model reads, by either tool.
    for (subject, tool) in [
        ("mcp-main", "create_or_update_file"),
        ("mcp-main-too", "push_files"),
    ] {
        let Some(told) = mcp(&stack, &token(subject), &["main", path, tool]) else {
            break;
        };
        let text = &told.text;
        assert!(text.contains(&format!("denied: {tool}")), "{text}");
        assert!(text.contains(MAIN), "{text}");
        stopped.push(subject);
        let branch = format!("agents/{tool}");
        let told = mcp(
            &stack,
            &token(&format!("{subject}-free")),
            &[&branch, path, tool],
        )
        .unwrap();
        assert_eq!(told.code, 0, "{}", told.text);
        let text = upstream_file(&stack, &branch, path);
        assert_eq!(text.as_deref(), Some("by MCP\n"));
    }

    assert_eq!(
        upstream_ref(&stack, "web", "refs/heads/main").unwrap(),
        before
    );
    for subject in stopped {
        let denied = denial_of(&stack, subject);
        assert_eq!(denied["countersign.rule"], "main", "{subject}: {denied}");
        let operations = denied["countersign.operations"].as_array().unwrap();
        let pushes = operations.iter().any(|operation| {
            let aliases = operation["aliases"].as_array();
            let named = operation["name"] == "ref.push"
                || aliases.is_some_and(|all| all.contains(&json!("ref.push")));
            named && operation["repo"] == "acme/web" && operation["ref"] == "refs/heads/main"
        });
        assert!(pushes, "{subject}: {denied}");
    }
}

#[test]
fn a_workflow_is_closed_to_every_door_that_names_its_file() {
    let stack = SHARED.get().unwrap();
    let token = |name: &str| stack.token(name, &["agents"]).unwrap();
    let path = ".github/workflows/four-ways.yml";
    let mut stopped = Vec::new();
    if let Some(told) = octokit(&stack, &token("rest-ci"), &["agents/ci-rest", path]) {
        assert!(told.text.contains("denied: 403"), "{}", told.text);
        assert!(told.text.contains(WORKFLOWS), "{}", told.text);
        stopped.push("rest-ci");
    }
    let clone = Clone::of(&stack, "web", &token("ci-branch"), "four-ways-ci").unwrap();
    clone.branch("agents/ci").unwrap();
    let told = clone.git(&["push", "origin", "HEAD"]).unwrap();
    assert_eq!(told.code, 0, "{}", told.text);
    if let Some(told) = gh_commit(&stack, &token("graphql-ci"), "agents/ci", path) {
        assert_ne!(told.code, 0, "{}", told.text);
        assert!(told.text.contains(WORKFLOWS), "{}", told.text);
        stopped.push("graphql-ci");
    }
    if let Some(told) = mcp(
        &stack,
        &token("mcp-ci"),
        &["agents/ci-mcp", path, "push_files"],
    ) {
        assert!(told.text.contains("denied: push_files"), "{}", told.text);
        assert!(told.text.contains(WORKFLOWS), "{}", told.text);
        stopped.push("mcp-ci");
    }
    for subject in stopped {
        assert_eq!(
            denial_of(&stack, subject)["countersign.rule"],
            "workflows",
            "{subject}"
        );
    }
    for branch in ["agents/ci-rest", "agents/ci", "agents/ci-mcp"] {
        assert_eq!(upstream_file(&stack, branch, path), None, "{branch}");
    }
}

#[test]
fn a_release_branch_is_deleted_by_no_door_and_a_feature_branch_by_each() {
    let stack = SHARED.get().unwrap();
    let token = |name: &str| stack.token(name, &["agents"]).unwrap();
    let clone = Clone::of(&stack, "web", &token("brancher"), "four-ways-branches").unwrap();
    for branch in ["release/1", "agents/a", "agents/b", "agents/c"] {
        let to = format!("HEAD:refs/heads/{branch}");
        let told = clone.git(&["push", "origin", &to]).unwrap();
        assert_eq!(told.code, 0, "{}", told.text);
    }
    let there = |branch: &str| {
        upstream_ref(&stack, "web", &format!("refs/heads/{branch}"))
            .unwrap()
            .is_some()
    };
    let mut stopped = vec!["git-delete"];

    let clone = Clone::of(&stack, "web", &token("git-delete"), "four-ways-delete").unwrap();
    let told = clone
        .git(&["push", "origin", "--delete", "release/1"])
        .unwrap();
    assert_ne!(told.code, 0, "{}", told.text);
    assert!(told.text.contains(BRANCHES), "{}", told.text);
    let told = clone
        .git(&["push", "origin", "--delete", "agents/a"])
        .unwrap();
    assert_eq!(told.code, 0, "{}", told.text);
    assert!(!there("agents/a"));

    if let Some(told) = octokit(&stack, &token("rest-delete"), &["release/1", "", "remove"]) {
        assert!(told.text.contains(BRANCHES), "{}", told.text);
        stopped.push("rest-delete");
        let told = octokit(
            &stack,
            &token("rest-delete-free"),
            &["agents/b", "", "remove"],
        )
        .unwrap();
        assert!(told.text.contains("done: 204"), "{}", told.text);
        assert!(!there("agents/b"));
    }

    let deleter = token("graphql-delete");
    if let Some((oid, id)) = branch_of(&stack, &deleter, "release/1") {
        // By its node id, which is any branch to a gateway that has not seen it, and by its name.
        let by_id = "mutation($id: ID!) { deleteRef(input: { refId: $id }) { clientMutationId } }";
        let told = gh(&stack, &deleter, by_id, &[("id", &id)]).unwrap();
        assert_ne!(told.code, 0, "{}", told.text);
        assert!(told.text.contains("rule_denied"), "{}", told.text);

        let repository = "query { repository(owner: \"acme\", name: \"web\") { id } }";
        let told = gh(&stack, &token("graphql-names"), repository, &[]).unwrap();
        let answer: Value = serde_json::from_str(&told.text).unwrap();
        let repository = answer["data"]["repository"]["id"].as_str().unwrap();
        let by_name = "mutation($repository: ID!, $name: GitRefname!, $old: GitObjectID!) { updateRefs(input: { \
            repositoryId: $repository, refUpdates: [{ name: $name, beforeOid: $old, \
            afterOid: \"0000000000000000000000000000000000000000\" }] }) { clientMutationId } }";
        let delete = |subject: &str, name: &str| {
            let fields = [("repository", repository), ("name", name), ("old", &oid)];
            gh(&stack, &token(subject), by_name, &fields).unwrap()
        };
        let told = delete("graphql-update-refs", "refs/heads/release/1");
        assert_ne!(told.code, 0, "{}", told.text);
        assert!(told.text.contains(BRANCHES), "{}", told.text);
        stopped.push("graphql-update-refs");
        let told = delete("graphql-delete-free", "refs/heads/agents/c");
        assert_eq!(told.code, 0, "{}", told.text);
        assert!(!there("agents/c"));
    }
    assert!(there("release/1"));
    for subject in stopped {
        assert_eq!(
            denial_of(&stack, subject)["countersign.rule"],
            "releases",
            "{subject}"
        );
    }
}

//! Each tool, and what it is.

use serde_json::{Value, json};

use super::tests::{call, post, read, run};
use super::{Server, style, table};
use crate::denial::McpCall;
use crate::operation::{Operation, Target};
use crate::protocol::tests::describe;

fn described(tool: &str, arguments: Value) -> String {
    let judged = run(&call(tool, arguments), &[]).unwrap();
    let all: Vec<String> = judged.operations.iter().map(describe).collect();
    all.join(" + ")
}

#[test]
fn githubs_tools_are_what_they_do() {
    let repo = |more: Value| {
        let mut arguments = json!({ "owner": "Acme", "repo": "web" });
        for (name, value) in more.as_object().unwrap() {
            arguments[name] = value.clone();
        }
        arguments
    };
    for (tool, arguments, expected) in [
        (
            "delete_repository",
            repo(json!({})),
            "repo.delete acme/web - -",
        ),
        (
            "create_or_update_file",
            repo(json!({"branch":"main","path":"a"})),
            "content.write acme/web refs/heads/main a + ref.update acme/web refs/heads/main a",
        ),
        (
            "push_files",
            repo(json!({"branch":"x","files":[{"path":"a"},{"path":".github/workflows/b.yml"}]})),
            "content.write acme/web refs/heads/x a,.github/workflows/b.yml + ref.update acme/web refs/heads/x a,.github/workflows/b.yml",
        ),
        (
            "push_files",
            repo(json!({"files":[{"path":"../a"}]})),
            "content.write acme/web * * + ref.update acme/web * *",
        ),
        (
            "delete_file",
            repo(json!({"branch":"refs/heads/y","path":"a"})),
            "content.write acme/web refs/heads/y a + ref.update acme/web refs/heads/y a",
        ),
        (
            "create_branch",
            repo(json!({"branch":"z"})),
            "ref.create acme/web refs/heads/z -",
        ),
        (
            "merge_pull_request",
            repo(json!({"pullNumber":1})),
            "pr.merge acme/web * -",
        ),
        (
            "create_repository",
            json!({"name":"n"}),
            "repo.create * - -",
        ),
        (
            "create_repository",
            json!({"name":"n","organization":"acme"}),
            "repo.create acme/n - -",
        ),
        (
            "fork_repository",
            repo(json!({"organization":"Evil"})),
            "repo.fork acme/web - - + repo.create * - -",
        ),
        (
            "pull_request_review_write",
            repo(json!({"method":"create","event":"APPROVE"})),
            "pr.review acme/web * - + pr.approve acme/web * -",
        ),
        (
            "actions_run_trigger",
            repo(json!({"method":"run_workflow","ref":"main"})),
            "workflow.dispatch acme/web refs/heads/main -",
        ),
        (
            "actions_run_trigger",
            repo(json!({"method":"delete_workflow_run_logs"})),
            "run.delete_logs acme/web * -",
        ),
        (
            "run_workflow",
            repo(json!({})),
            "workflow.dispatch acme/web * -",
        ),
        (
            "issue_write",
            repo(json!({"method":"create"})),
            "issue.create acme/web - -",
        ),
        (
            "get_file_contents",
            repo(json!({"path":"/src/"})),
            "repo.read acme/web - src",
        ),
        ("search_code", json!({"query":"x"}), "search.read * - -"),
        (
            "search_code",
            json!({"query":"x repo:Acme/web repo:o/r"}),
            "search.read acme/web - - + search.read o/r - -",
        ),
        (
            "search_issues",
            repo(json!({"query":"is:open"})),
            "search.read acme/web - -",
        ),
        (
            "search_issues",
            repo(json!({"query":"is:open OR x"})),
            "search.read * - -",
        ),
        ("list_notifications", json!({}), "github.read * - -"),
        ("get_me", json!({}), "github.read - - -"),
        (
            "custom_properties_write",
            json!({"level":"enterprise","enterprise":"e"}),
            "property.schema - - -",
        ),
        (
            "deploy_everything",
            repo(json!({})),
            "github.unknown_write acme/web * -",
        ),
        ("deploy_everything", json!({}), "github.unknown_write * * -"),
        (
            "file_write",
            repo(json!({"method":"push_files","branch":"x","files":[{"path":"a"}]})),
            "content.write acme/web refs/heads/x a + ref.update acme/web refs/heads/x a",
        ),
        (
            "file_write",
            repo(json!({"method":"rename","branch":"x","path":"a"})),
            "content.write acme/web refs/heads/x * + ref.update acme/web refs/heads/x *",
        ),
        (
            "cancel_workflow_run",
            repo(json!({"method":"run_workflow","ref":"main"})),
            "run.cancel acme/web refs/heads/main - + workflow.dispatch acme/web refs/heads/main -",
        ),
        (
            "cancel_workflow_run",
            repo(json!({"run_id":1})),
            "run.cancel acme/web * -",
        ),
        (
            "actions_get",
            repo(json!({"method":"download_workflow_run_artifact"})),
            "artifact.read acme/web - -",
        ),
        (
            "create_repository_ruleset",
            json!({"level":"organization","org":"Acme"}),
            "ruleset.create - - -",
        ),
        (
            "projects_write",
            json!({"method":"add_project_item","owner":"acme","item_owner":"o","item_repo":"r"}),
            "project.write o/r - -",
        ),
        ("delete_repository", json!({}), "repo.delete * - -"),
    ] {
        assert_eq!(described(tool, arguments), expected, "{tool}");
    }
}

#[test]
fn a_call_keeps_its_tools_name() {
    let judged = run(&call("push_files", json!({})), &[]).unwrap();
    for operation in &judged.operations {
        assert!(operation.aliases.contains(&"mcp:push_files".to_owned()));
        assert!(operation.aliases.contains(&"mcp.call".to_owned()));
        assert_eq!(
            operation.attributes.get("tool").map(String::as_str),
            Some("push_files")
        );
        assert_eq!(operation.repo, Target::Any);
        assert!(operation.write);
    }
    assert_eq!(
        judged.style,
        style(
            vec![McpCall {
                id: json!(7),
                tool: true
            }],
            false
        )
    );
}

fn on(server: Server<'_>, tool: &str, arguments: Value) -> Operation {
    let body = call(tool, arguments).to_string();
    let judged = read(server, &post(&[]), body.as_bytes()).unwrap();
    judged.operations[0].clone()
}

#[test]
fn another_servers_tools_are_calls_of_that_server() {
    let named = on(
        Server::Named("jira"),
        "delete_repository",
        json!({"owner":"a","repo":"b"}),
    );
    assert_eq!(describe(&named), "mcp.call a/b - -");
    assert_eq!(named.aliases, ["mcp:jira/delete_repository"]);
    assert!(named.write && !named.is_unknown_write());
    assert_eq!(named.attributes["server"], "jira");
    assert_eq!(named.attributes["tool"], "delete_repository");
    // Nobody says whose it is: rules about the operation hold, and so do those about the call.
    let unstated = on(
        Server::Unstated("tools"),
        "delete_repository",
        json!({"owner":"a","repo":"b"}),
    );
    assert_eq!(describe(&unstated), "repo.delete a/b - -");
    assert!(unstated.aliases.contains(&"mcp.call".to_owned()));
    let unknown = on(Server::Unstated("tools"), "deploy", json!({}));
    assert_eq!(describe(&unknown), "mcp.call - - -");
    assert_eq!(unknown.aliases, ["mcp:tools/deploy", "mcp:deploy"]);
}

#[test]
fn the_table_names_each_tool_once_and_every_write_says_so() {
    let mut names: Vec<&str> = table::TOOLS.iter().map(|(tool, ..)| *tool).collect();
    names.sort_unstable();
    names
        .windows(2)
        .for_each(|pair| assert_ne!(pair[0], pair[1]));
    for (tool, name, _) in table::TOOLS {
        let reads = [
            "get_",
            "list_",
            "search_",
            "find_",
            "compare_",
            "download_",
            "github_",
            "enable_",
        ];
        let read = reads.iter().any(|prefix| tool.starts_with(prefix))
            || tool.ends_with("_read") && *tool != "mark_all_notifications_read"
            || [
                "actions_list",
                "actions_get",
                "projects_list",
                "projects_get",
            ]
            .contains(tool);
        let operation = on(Server::GitHub, tool, json!({}));
        assert_eq!(operation.write, !read, "{tool} is {name}");
    }
}

#[test]
fn a_name_means_the_same_by_every_door() {
    /// What GitHub's REST API has no call for, or what a call of it is only in part.
    const BEYOND_REST: &[&str] = &[
        "discussion.comment",
        "discussion.create",
        "mcp.protocol",
        "mcp.toolset",
    ];
    let rest = include_str!("../../../github/operations.txt");
    let names: std::collections::BTreeSet<&str> = rest
        .lines()
        .filter(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().nth(2))
        .flat_map(|names| names.split(','))
        .collect();
    for (tool, name, _) in table::TOOLS {
        assert!(
            names.contains(name) || BEYOND_REST.contains(name),
            "{tool}: {name}"
        );
    }
}

#[test]
fn copies_and_accounts_say_whose_they_are() {
    let all = |tool: &str, arguments: Value| run(&call(tool, arguments), &[]).unwrap().operations;
    let fork = all(
        "fork_repository",
        json!({"owner":"acme","repo":"web","organization":"Evil"}),
    );
    assert_eq!(fork[0].owner(), Target::Known("acme".into()));
    assert_eq!(fork[1].owner(), Target::Known("evil".into()));
    let own = all("fork_repository", json!({"owner":"acme","repo":"web"}));
    assert_eq!(own[1].owner(), Target::Any);
    let created = all(
        "create_repository",
        json!({"name":"x","organization":"Acme","private":false}),
    );
    assert_eq!(created[0].owner(), Target::Known("acme".into()));
    assert_eq!(created[0].attributes["visibility"], "public");
    assert_eq!(
        all("create_gist", json!({"public":true}))[0].owner(),
        Target::Any
    );
    assert_eq!(all("get_me", json!({}))[0].owner(), Target::None);
    assert_eq!(
        all("get_team_members", json!({"org":"Acme"}))[0].owner(),
        Target::Known("acme".into())
    );
    let agent = all(
        "assign_copilot_to_issue",
        json!({"owner":"acme","repo":"web"}),
    );
    assert_eq!(agent[0].name, "agent.start");
    assert!(agent[0].aliases.contains(&"issue.update".to_owned()));
}

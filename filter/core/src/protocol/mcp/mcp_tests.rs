use super::*;
use crate::head::Headers;
use crate::operation::Target;
use crate::protocol::tests::{describe, head};
use serde_json::json;

fn post(headers: &[(&str, &str)]) -> RequestHead {
    let pairs = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
        .collect();
    RequestHead {
        headers: Headers::new(pairs),
        ..head("POST", "/mcp")
    }
}

fn run(body: &Value, headers: &[(&str, &str)]) -> Result<Judged, Fault> {
    judge(&post(headers), body.to_string().as_bytes())
}

fn call(tool: &str, arguments: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": { "name": tool, "arguments": arguments } })
}

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
        ("fork_repository", repo(json!({})), "repo.fork acme/web - -"),
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
            "deploy_everything",
            repo(json!({})),
            "mcp.call acme/web - -",
        ),
        ("deploy_everything", json!({}), "mcp.call - - -"),
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

#[test]
fn every_member_of_a_batch_is_read() {
    let body = json!([
        { "jsonrpc": "2.0", "id": "a", "method": "tools/list" },
        { "jsonrpc": "2.0", "method": "notifications/initialized" },
        call("delete_file", json!({})),
        { "jsonrpc": "2.0", "id": 9, "result": {} },
    ]);
    let judged = run(&body, &[]).unwrap();
    let names: Vec<&str> = judged.operations.iter().map(|o| o.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "mcp.protocol",
            "mcp.protocol",
            "content.write",
            "ref.update",
            "mcp.protocol"
        ]
    );
    let calls = vec![
        McpCall {
            id: json!("a"),
            tool: false,
        },
        McpCall {
            id: json!(7),
            tool: true,
        },
    ];
    assert_eq!(judged.style, style(calls, true));
}

#[test]
fn headers_that_disagree_with_the_body_are_refused() {
    let body = call("delete_repository", json!({}));
    let agree = [
        ("mcp-method", "tools/call"),
        ("mcp-name", "delete_repository"),
    ];
    assert!(run(&body, &agree).is_ok());
    for headers in [
        [
            ("mcp-method", "tools/list"),
            ("mcp-name", "delete_repository"),
        ],
        [("mcp-method", "tools/call"), ("mcp-name", "get_me")],
        [("mcp-method", "tools/call"), ("mcp-method", "tools/call")],
    ] {
        assert_eq!(
            run(&body, &headers).unwrap_err().reason,
            Reason::HeaderAmbiguous
        );
    }
    let batch = json!([body]);
    assert_eq!(
        run(&batch, &agree).unwrap_err().reason,
        Reason::HeaderAmbiguous
    );
}

#[test]
fn what_is_no_json_rpc_is_undecided() {
    for body in [
        json!([]),
        json!("x"),
        json!([1]),
        json!({ "id": 1 }),
        json!({ "method": 1, "result": {} }),
        json!({ "method": "tools/call", "params": {} }),
        json!({ "method": "tools/call", "params": { "name": "x", "arguments": [] } }),
    ] {
        assert_eq!(
            run(&body, &[]).unwrap_err().reason,
            Reason::BodyUnreadable,
            "{body}"
        );
    }
    let twice = br#"{"method":"tools/call","params":{"name":"get_me","name":"delete_repository"}}"#;
    assert_eq!(
        judge(&post(&[]), twice).unwrap_err().reason,
        Reason::BodyUnreadable
    );
    // Case decides: `Name` is another member, which GitHub's server does not read.
    assert!(
        judge(
            &post(&[]),
            br#"{"id":1,"method":"tools/call","params":{"Name":"x"}}"#
        )
        .is_err()
    );
}

#[test]
fn sessions_open_and_close() {
    for method in ["GET", "DELETE"] {
        let judged = judge(&head(method, "/mcp"), b"").unwrap();
        assert_eq!(judged.operations[0].name, "mcp.protocol");
    }
    let judged = judge(&head("PUT", "/mcp"), b"").unwrap();
    assert!(judged.operations[0].is_unknown_write());
}

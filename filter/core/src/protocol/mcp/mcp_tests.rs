use super::*;
use crate::head::Headers;
use crate::operation::Target;
use crate::protocol::Context;
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

fn read(server: Server<'_>, head: &RequestHead, body: &[u8]) -> Result<Judged, Fault> {
    let path = RequestPath::read(&head.path).unwrap();
    let context = Context::default();
    let request = Request {
        head,
        path: &path,
        body,
        context,
    };
    judge(&request, server)
}

fn run(body: &Value, headers: &[(&str, &str)]) -> Result<Judged, Fault> {
    read(Server::GitHub, &post(headers), body.to_string().as_bytes())
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
        (
            "fork_repository",
            repo(json!({})),
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
            "archive.read acme/web - -",
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
        read(Server::GitHub, &post(&[]), twice).unwrap_err().reason,
        Reason::BodyUnreadable
    );
    // Case decides: `Name` is another member, which GitHub's server does not read.
    assert!(
        read(
            Server::GitHub,
            &post(&[]),
            br#"{"id":1,"method":"tools/call","params":{"Name":"x"}}"#
        )
        .is_err()
    );
}

#[test]
fn sessions_open_and_close() {
    for method in ["GET", "DELETE"] {
        let judged = read(Server::GitHub, &head(method, "/mcp"), b"").unwrap();
        assert_eq!(judged.operations[0].name, "mcp.protocol");
    }
    let judged = read(Server::GitHub, &head("PUT", "/mcp"), b"").unwrap();
    assert!(judged.operations[0].is_unknown_write());
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
fn the_policy_and_the_host_say_whose_server_it_is() {
    let path = RequestPath::read("/mcp").unwrap();
    for (host, named, expected) in [
        ("api.githubcopilot.com", None, Server::GitHub),
        ("copilot-api.acme.ghe.com", None, Server::GitHub),
        ("api.githubcopilot.com", Some("mine"), Server::Named("mine")),
        ("mcp.example.com", Some("github"), Server::GitHub),
        ("mcp.example.com", None, Server::Unstated("tools")),
        (
            "githubcopilot.com.example.com",
            None,
            Server::Unstated("tools"),
        ),
    ] {
        let head = RequestHead {
            authority: host.to_owned(),
            ..head("POST", "/mcp")
        };
        let context = Context {
            connection: "tools",
            mcp_server: named,
        };
        let request = Request {
            head: &head,
            path: &path,
            body: b"",
            context,
        };
        assert_eq!(Server::of(&request), expected, "{host}");
    }
}

#[test]
fn no_name_that_decides_may_be_spelled_in_another_case() {
    for body in [
        r#"{"id":1,"method":"tools/call","Method":"ping","params":{"name":"get_me"}}"#,
        r#"{"id":1,"method":"tools/call","params":{"name":"get_me","Name":"delete_repository"}}"#,
        r#"{"id":1,"method":"tools/call","params":{"name":"delete_file","Arguments":{}}}"#,
        r#"{"id":1,"method":"tools/call","params":{"name":"delete_file","arguments":{"Path":"a"}}}"#,
        "{\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"push_files\",\"arguments\":{\"file\u{17f}\":[]}}}",
        r#"{"id":1,"method":"tools/call","params":{"name":"push_files","arguments":{"files":[{"path":"a","PATH":"b"}]}}}"#,
    ] {
        let fault = read(Server::GitHub, &post(&[]), body.as_bytes()).unwrap_err();
        assert_eq!(fault.reason, Reason::BodyUnreadable, "{body}");
    }
    // Another server may have arguments of any name.
    let body = call("query", json!({ "Path": "x" })).to_string();
    assert!(read(Server::Named("db"), &post(&[]), body.as_bytes()).is_ok());
}

fn message(method: &str, params: Value) -> Operation {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    run(&body, &[]).unwrap().operations[0].clone()
}

#[test]
fn methods_other_than_a_call_are_told_apart() {
    for (method, params, expected) in [
        ("initialize", json!({}), "mcp.protocol - - -"),
        ("server/discover", json!({}), "mcp.protocol - - -"),
        ("notifications/anything", json!({}), "mcp.protocol - - -"),
        (
            "prompts/get",
            json!({"name":"issue_to_fix_workflow"}),
            "mcp.prompt - - -",
        ),
        (
            "resources/read",
            json!({"uri":"ui://github-mcp-server/get-me"}),
            "mcp.resource - - -",
        ),
        (
            "resources/read",
            json!({"uri":"repo://Acme/web/refs/heads/main/contents/.github/workflows/ci.yml"}),
            "repo.read acme/web - .github/workflows/ci.yml",
        ),
        (
            "resources/read",
            json!({"uri":"REPO://acme/web/contents/"}),
            "repo.read acme/web - -",
        ),
        (
            "resources/read",
            json!({"uri":"repo://acme/web%2Fx/contents/a"}),
            "repo.read * - *",
        ),
        (
            "resources/read",
            json!({"uri":"repo://acme"}),
            "repo.read * - *",
        ),
        (
            "completion/complete",
            json!({"ref":{"type":"ref/prompt","name":"x"}}),
            "mcp.protocol - - -",
        ),
        (
            "completion/complete",
            json!({"ref":{"type":"ref/resource","uri":"repo://{owner}/{repo}/contents{/path*}"},"argument":{"name":"path","value":"s"},"context":{"arguments":{"owner":"acme","repo":"web"}}}),
            "repo.read acme/web - -",
        ),
        (
            "completion/complete",
            json!({"ref":{"type":"ref/resource","uri":"repo://{owner}/{repo}/contents{/path*}"},"argument":{"name":"owner","value":"s"}}),
            "repo.read * - -",
        ),
    ] {
        let operation = message(method, params);
        assert_eq!(describe(&operation), expected, "{method}");
        assert!(!operation.write);
        assert_eq!(operation.aliases, [format!("mcp:{method}")]);
    }
    let unknown = message("tools/callAll", json!({}));
    assert!(unknown.is_unknown_write());
    for (method, params) in [
        ("prompts/get", json!({})),
        ("resources/read", json!({"uri":1})),
    ] {
        let body = json!({ "id": 1, "method": method, "params": params });
        assert!(run(&body, &[]).is_err(), "{method}");
    }
}

#[test]
fn a_header_that_repeats_an_argument_says_the_same() {
    let body = call(
        "create_branch",
        json!({"owner":"acme","repo":"web","branch":"bücher","n":7}),
    );
    for headers in [
        &[("mcp-param-owner", "acme"), ("mcp-param-repo", "web")][..],
        &[("mcp-param-branch", "=?base64?YsO8Y2hlcg==?=")],
        &[("mcp-param-n", "7")],
        &[("mcp-param-region", "eu")],
        &[("mcp-name", "=?base64?Y3JlYXRlX2JyYW5jaA==?=")],
    ] {
        assert!(run(&body, headers).is_ok(), "{headers:?}");
    }
    for headers in [
        &[("mcp-param-owner", "other")][..],
        &[("mcp-param-owner", "acme"), ("mcp-param-owner", "acme")],
        &[("mcp-param-branch", "=?base64?!?=")],
        &[("mcp-name", "=?base64?ZGVsZXRlX2ZpbGU=?=")],
        &[("mcp-method", "tools/call,tools/list")],
    ] {
        let fault = run(&body, headers).unwrap_err();
        assert_eq!(fault.reason, Reason::HeaderAmbiguous, "{headers:?}");
    }
    let batch = json!([body]);
    assert!(run(&batch, &[("mcp-param-owner", "acme")]).is_err());
}

#[test]
fn what_widens_the_list_of_tools_is_in_sight() {
    let shown = |target: &str, headers: &[(&str, &str)]| {
        let head = RequestHead {
            path: target.to_owned(),
            ..post(headers)
        };
        let body = call("get_me", json!({})).to_string();
        let judged = read(Server::GitHub, &head, body.as_bytes()).unwrap();
        let attributes = judged.operations[0].attributes.clone();
        move |name: &str| attributes.get(name).cloned().unwrap_or_default()
    };
    let of = shown(
        "/mcp/",
        &[("x-mcp-toolsets", "all"), ("x-mcp-readonly", "Off")],
    );
    assert_eq!(
        (of("toolsets"), of("readonly"), of("insiders")),
        ("all".into(), "false".into(), String::new())
    );
    let of = shown(
        "/mcp/x/actions/readonly",
        &[("x-mcp-toolsets", "repos"), ("x-mcp-readonly", "false")],
    );
    assert_eq!(
        (of("toolsets"), of("readonly")),
        ("repos,actions".into(), "true".into())
    );
    let of = shown(
        "/mcp/insiders",
        &[
            ("x-mcp-features", "a,b"),
            ("x-mcp-tools", "x"),
            ("x-mcp-tools", "y"),
        ],
    );
    assert_eq!(
        (of("insiders"), of("features"), of("tools")),
        ("true".into(), "a,b".into(), "x,y".into())
    );
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
fn an_answer_to_a_list_of_tools_is_read() {
    let list = json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/list" });
    let judged = run(&json!([list, call("get_me", json!({}))]), &[]).unwrap();
    assert_eq!(
        judged.answer,
        Answer::Tools {
            ids: vec![json!(3)],
            github: true
        }
    );
    assert_eq!(
        run(&call("get_me", json!({})), &[]).unwrap().answer,
        Answer::AsIs
    );
    let trigger = tools::variants(Server::GitHub, "actions_run_trigger");
    let names: Vec<&str> = trigger.iter().map(|o| o[0].name.as_str()).collect();
    assert_eq!(
        names,
        [
            "workflow.dispatch",
            "run.rerun",
            "run.cancel",
            "run.delete_logs"
        ]
    );
}

use super::*;
use crate::head::Headers;
use crate::protocol::Context;
use crate::protocol::tests::{describe, head};
use serde_json::json;

pub(super) fn post(headers: &[(&str, &str)]) -> RequestHead {
    let pairs = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
        .collect();
    RequestHead {
        headers: Headers::new(pairs),
        ..head("POST", "/mcp")
    }
}

pub(super) fn read(server: Server<'_>, head: &RequestHead, body: &[u8]) -> Result<Judged, Fault> {
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

pub(super) fn run(body: &Value, headers: &[(&str, &str)]) -> Result<Judged, Fault> {
    read(Server::GitHub, &post(headers), body.to_string().as_bytes())
}

pub(super) fn call(tool: &str, arguments: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": { "name": tool, "arguments": arguments } })
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

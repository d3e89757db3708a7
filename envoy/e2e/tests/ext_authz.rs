//! The approval service over gRPC, and the console behind Envoy's own `ext_authz` filter, in both forms.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends with it, and says where"
)]

use std::process::Command;
use std::thread;

use countersign_e2e::stack::{GATEWAY_KEY, get};
use countersign_e2e::{
    Answer, Curl, Person, Process, Repository, Stack, StackOptions, eventually, policy,
};
use serde_json::{Value, json};

/// The console's cluster speaks HTTP/2, as gRPC needs it.
fn over_http2(bootstrap: String) -> String {
    let mut bootstrap: Value = serde_json::from_str(&bootstrap).unwrap();
    let clusters = bootstrap["static_resources"]["clusters"].as_array_mut();
    let console = clusters
        .unwrap()
        .iter_mut()
        .find(|c| c["name"] == "console")
        .unwrap();
    let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    console["typed_extension_protocol_options"][options]["explicit_http_config"] =
        json!({"http2_protocol_options": {}});
    bootstrap.to_string()
}

fn asking_over_grpc() -> Stack {
    let mut policy = policy::shipped().unwrap();
    let service = policy["approval_service"].as_object_mut().unwrap();
    service.insert("protocol".to_owned(), "grpc".into());
    policy::rule(&mut policy, "production-branch").unwrap()["approval"]["hold"] = "20s".into();
    let brief = json!({
        "name": "brief", "operations": ["pr.close", "issue.create", "issue.comment"], "groups": ["hasty"],
        "action": "require_approval", "approval": { "reviewers": { "groups": ["platform-leads"] }, "hold": "1s" }
    });
    policy["rules"].as_array_mut().unwrap().push(brief);
    Stack::start_with(&StackOptions {
        policy: Some(policy.to_string()),
        edit_bootstrap: Some(over_http2),
        ..StackOptions::default()
    })
    .unwrap()
}

fn of(subject: &str) -> impl Fn(&Value) -> bool {
    move |approval| approval["question"]["identity"]["subject"] == subject
}

fn merge(stack: &Stack, token: &str, mark: &str) -> Curl {
    let url = format!("{}/api/v3/repos/acme/web/pulls/2/merge", stack.gateway());
    Curl::new("PUT", &url)
        .mark(mark)
        .bearer(token)
        .json(&json!({}))
}

fn while_it_waits(ask: &Curl, answer: impl FnOnce()) -> Answer {
    thread::scope(|scope| {
        let asking = scope.spawn(|| ask.run().unwrap());
        answer();
        asking.join().unwrap()
    })
}

#[test]
fn over_grpc_requests_are_refused_approved_and_survive_the_console() {
    let mut stack = asking_over_grpc();
    let lead = stack.person("lead", &["platform-leads"]).unwrap();

    let token = stack.token("refused", &["agents"]).unwrap();
    let answer = while_it_waits(&merge(&stack, &token, "rpc-refused"), || {
        let approval = lead.asked("the merge", of("refused")).unwrap();
        lead.refuse(&approval, "Not on a Friday.").unwrap();
    });
    assert_eq!(answer.status, 403, "{}", answer.everything());
    assert_eq!(answer.reason(), "approval_refused");
    assert!(
        answer.text().contains("Refused by lead: Not on a Friday."),
        "{}",
        answer.text()
    );
    assert!(stack.seen_by("rpc-refused").unwrap().is_empty());

    // Killed while it holds the request, the console is asked again with the same fingerprint.
    let token = stack.token("patient", &["agents"]).unwrap();
    let ask = merge(&stack, &token, "rpc-patient");
    let answer = thread::scope(|scope| {
        let asking = scope.spawn(|| ask.run().unwrap());
        let first = lead.asked("the merge", of("patient")).unwrap();
        stack.console.kill().unwrap();
        stack.restart_console().unwrap();
        let again = lead.asked("the merge again", of("patient")).unwrap();
        assert_eq!(first["id"], again["id"]);
        lead.approve(&again).unwrap();
        asking.join().unwrap()
    });
    assert_eq!(answer.reason(), "", "{}", answer.everything());
    assert_eq!(stack.seen_by("rpc-patient").unwrap().len(), 1);
    let record = lead.record_of("rpc-patient").unwrap();
    assert_eq!(record["outcome"]["countersign.approval.by"], "lead");
    // It was used up: the same request is held again, and its client that goes away is noticed at once.
    let gone = ask.clone().option(&["--max-time", "2"]).run().unwrap();
    assert_eq!(gone.status, 0, "{}", gone.everything());
    let list = lead.get("/api/v1/approvals?state=pending").unwrap();
    let mut left = list["approvals"].as_array().unwrap().iter();
    let left = left.find(|a| of("patient")(a)).unwrap();
    let path = format!("/api/v1/approvals/{}", left["id"].as_str().unwrap());
    eventually("nobody to wait any more", || {
        (lead.get(&path).ok()?["waiting"] == false).then_some(())
    })
    .unwrap();
    assert_eq!(stack.seen_by("rpc-patient").unwrap().len(), 1);
}

#[test]
fn over_grpc_a_wrong_key_lets_nothing_through_and_is_named() {
    let stack = asking_over_grpc();
    let wrong = StackOptions {
        policy: Some({
            let mut policy = policy::shipped().unwrap();
            policy["approval_service"]["protocol"] = "grpc".into();
            policy["secrets"]["wrong"] = json!({"env": "WRONG_KEY"});
            policy["approval_service"]["credential"] = json!({"secret": "wrong"});
            policy.to_string()
        }),
        envoy_env: vec![(
            "WRONG_KEY".to_owned(),
            "not-the-key-of-the-console".to_owned(),
        )],
        edit_bootstrap: Some(|bootstrap| {
            over_http2(bootstrap).replace(
                "\"COUNTERSIGN_GATEWAY_KEY\"]",
                "\"COUNTERSIGN_GATEWAY_KEY\",\"WRONG_KEY\"]",
            )
        }),
        ..StackOptions::default()
    };
    drop(stack);
    let stack = Stack::start_with(&wrong).unwrap();
    let token = stack.token("keyless", &["agents"]).unwrap();
    let answer = merge(&stack, &token, "rpc-keyless").run().unwrap();
    assert_eq!(answer.status, 503, "{}", answer.everything());
    assert_eq!(answer.reason(), "approval_unavailable");
    let detail = &answer.json()["countersign"]["detail"];
    assert!(detail.as_str().unwrap().contains("credential"), "{detail}");
    assert!(stack.seen_by("rpc-keyless").unwrap().is_empty());
}

/// Envoy with its own `ext_authz` filter and no other of ours, in front of a route that answers.
struct Plain {
    _envoy: Process,
    http: String,
    grpc: String,
}

fn port_of(url: &str) -> u16 {
    url.rsplit(':').next().unwrap().parse().unwrap()
}

fn cluster(name: &str, port: u16, options: &Value) -> Value {
    json!({
        "name": name, "type": "STATIC", "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}]}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": options}},
    })
}

fn listener(name: &str, issuer: &str, authz: &Value) -> Value {
    json!({
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": name,
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{
                "match": {"prefix": "/"},
                "direct_response": {"status": 200, "body": {"inline_string": "through\n"}},
                "typed_per_filter_config": {"envoy.filters.http.ext_authz": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
                    "check_settings": {"context_extensions": {
                        "countersign.reviewers": "group:platform-leads", "countersign.hold": "20000",
                        "countersign.rule": "plain-rule"}}}}}]}]},
            "http_filters": [
                {"name": "envoy.filters.http.jwt_authn", "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
                    "providers": {"dev": {"issuer": issuer, "audiences": ["countersign"], "payload_in_metadata": "payload",
                        "remote_jwks": {"http_uri": {"uri": format!("{issuer}/jwks"), "cluster": "console", "timeout": "5s"}}}},
                    "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "dev"}}]}},
                {"name": "envoy.filters.http.ext_authz", "typed_config": authz},
                {"name": "envoy.filters.http.router", "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
        }}]}],
    })
}

fn plain_envoy(stack: &Stack) -> Plain {
    let issuer = format!("{}/dev", stack.console());
    let authz = |form: Value| {
        let mut config = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
            "transport_api_version": "V3",
            "failure_mode_allow": false,
            "with_request_body": {"max_request_bytes": 65536, "allow_partial_message": false},
            "metadata_context_namespaces": ["envoy.filters.http.jwt_authn"],
        });
        config
            .as_object_mut()
            .unwrap()
            .extend(form.as_object().unwrap().clone());
        config
    };
    let key = format!("Bearer {GATEWAY_KEY}");
    let http = authz(json!({"http_service": {
        "server_uri": {"uri": "http://console", "cluster": "console", "timeout": "60s"},
        "path_prefix": "/ext_authz",
        "authorization_request": {"headers_to_add": [
            {"key": "authorization", "value": key},
            {"key": "x-countersign-subject", "value": "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:payload:sub)%"},
            {"key": "x-countersign-reviewers", "value": "group:platform-leads"},
            {"key": "x-countersign-rule", "value": "plain-rule"},
            {"key": "x-countersign-hold", "value": "20000"}]},
    }}));
    let grpc = authz(json!({"grpc_service": {
        "envoy_grpc": {"cluster_name": "console-grpc"}, "timeout": "60s",
        "initial_metadata": [{"key": "authorization", "value": key}],
    }}));
    let console = port_of(stack.console());
    let bootstrap = json!({
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "static_resources": {
            "listeners": [listener("http", &issuer, &http), listener("grpc", &issuer, &grpc)],
            "clusters": [
                cluster("console", console, &json!({"http_protocol_options": {}})),
                cluster("console-grpc", console, &json!({"http2_protocol_options": {}})),
            ]},
    });
    let dir = stack.folder();
    let file = dir.join("plain.json");
    std::fs::write(&file, bootstrap.to_string()).unwrap();
    let admin = dir.join("plain-admin");
    let mut command = Command::new(Repository::find().unwrap().envoy().unwrap());
    command.arg("-c").arg(&file);
    command.arg("--admin-address-path").arg(&admin);
    command.args([
        "--use-dynamic-base-id",
        "--concurrency",
        "1",
        "-l",
        "warning",
    ]);
    let mut envoy = Process::start("plain-envoy", &mut command, dir).unwrap();
    let (http, grpc) = envoy
        .wait_for("both listeners", |_| {
            let admin = std::fs::read_to_string(&admin).ok()?;
            let admin = format!("http://{}", admin.trim());
            get(&format!("{admin}/ready")).ok()?;
            let list: Value =
                serde_json::from_str(&get(&format!("{admin}/listeners?format=json")).ok()?).ok()?;
            let url = |name: &str| {
                let all = list["listener_statuses"].as_array()?;
                let found = all.iter().find(|l| l["name"] == name)?;
                let port = &found["local_address"]["socket_address"]["port_value"];
                Some(format!("http://127.0.0.1:{port}"))
            };
            Some((url("http")?, url("grpc")?))
        })
        .unwrap();
    Plain {
        _envoy: envoy,
        http,
        grpc,
    }
}

/// Refused, approved and used up; what a caller sends is shown.
fn countersigned(lead: &Person, gateway: &str, token: &str, subject: &str) {
    let ask = |path: &str| {
        Curl::new("POST", &format!("{gateway}{path}"))
            .bearer(token)
            .json(&json!({"what": subject}))
    };
    let refused = while_it_waits(&ask("/v1/refused"), || {
        let approval = lead.asked("the question", of(subject)).unwrap();
        let request = &approval["question"]["request"];
        assert_eq!(request["method"], "POST", "{approval}");
        assert_eq!(request["path"], "/v1/refused", "{approval}");
        assert!(
            request["body"].as_str().unwrap().contains(subject),
            "{approval}"
        );
        assert_eq!(approval["question"]["rule"], "plain-rule", "{approval}");
        lead.refuse(&approval, "Not this one.").unwrap();
    });
    assert_eq!(refused.status, 403, "{}", refused.everything());
    let told = refused.json();
    assert!(
        told["message"].as_str().unwrap().ends_with("Not this one."),
        "{told}"
    );
    assert_eq!(refused.header("x-countersign-decision"), Some("refused"));

    let approved = ask("/v1/approved");
    let through = while_it_waits(&approved, || {
        let approval = lead.asked("the question", of(subject)).unwrap();
        lead.approve(&approval).unwrap();
    });
    assert_eq!(through.status, 200, "{}", through.everything());
    assert_eq!(through.text(), "through\n");
    // The approval was used up: the same bytes are asked about anew.
    let again = while_it_waits(&approved, || {
        let approval = lead.asked("the question again", of(subject)).unwrap();
        lead.refuse(&approval, "Once is enough.").unwrap();
    });
    assert_eq!(again.status, 403, "{}", again.everything());
}

#[test]
fn envoys_own_filter_asks_the_console_over_http_and_over_grpc() {
    let stack = Stack::start().unwrap();
    let plain = plain_envoy(&stack);
    let lead = stack.person("lead", &["platform-leads"]).unwrap();
    let token = |subject: &str| stack.token(subject, &["agents"]).unwrap();
    countersigned(&lead, &plain.http, &token("over-http"), "over-http");
    countersigned(&lead, &plain.grpc, &token("over-grpc"), "over-grpc");
    // Without an identity there is no question: Envoy's own filter refuses before it asks.
    let nobody = Curl::get(&format!("{}/", plain.grpc)).run().unwrap();
    assert_eq!(nobody.status, 401, "{}", nobody.everything());
}

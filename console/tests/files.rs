//! `countersign check` and `countersign bootstrap` on files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // These are tests.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

const POLICY: &str = "\
version: v1
mode: enforce
identity:
  providers:
  - name: corporate
    issuer: https://idp.example.com/
    audiences: [countersign]
    jwks: { remote: { cluster: console, path: /jwks } }
connections:
- { name: github-api, hosts: [api.github.com], protocol: github, credential: { secret: github, scheme: bearer } }
secrets: { github: { env: SOME_GITHUB_TOKEN } }
default: allow
rules:
- { name: no-repo-delete, operations: [repo.delete], action: deny }
audit: { sink: { cluster: console, path: /v1/logs }, delivery: strict }
";

const BOOTSTRAP: &str = "\
admin: { address: { socket_address: { address: 127.0.0.1, port_value: 9901 } } }
static_resources:
  listeners:
  - name: gateway
    address: { socket_address: { address: 127.0.0.1, port_value: 10000 } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          http_filters:
          - name: envoy.filters.http.wasm
            typed_config:
              config:
                name: countersign
                vm_config:
                  code: { local: { filename: dist/countersign.wasm } }
                  environment_variables: { host_env_keys: [COUNTERSIGN_GATEWAY_KEY] }
                configuration:
                  '@type': type.googleapis.com/google.protobuf.Struct
                  value:
                    version: v1
                    default: nonsense
  clusters:
  - { name: github-api, type: STATIC, load_assignment: { cluster_name: github-api } }
  - { name: github-git, type: STATIC, load_assignment: { cluster_name: github-git } }
  - { name: copilot, type: STATIC, load_assignment: { cluster_name: copilot } }
  - { name: console, type: STATIC, load_assignment: { cluster_name: console } }
";

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_countersign"))
            .current_dir(self.0.path())
            .args(args)
            .output()
            .unwrap()
    }

    fn bootstrap(&self, args: &[&str]) -> Value {
        let mut all = vec!["bootstrap", "envoy.yaml"];
        all.extend(args);
        let output = self.run(&all);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn refused(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    }
}

#[test]
fn a_good_policy_compiles_without_its_secrets() {
    let files = Files::new();
    files.write("policy.yaml", POLICY);
    let output = files.run(&["check", "policy.yaml"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn every_error_has_its_line() {
    let files = Files::new();
    let bad = POLICY
        .replace("action: deny }", "action: refuse }")
        .replace("mode: enforce", "mode: sometimes\nsurprise: true");
    files.write("policy.yaml", &bad);
    let report = files.refused(&["check", "policy.yaml"]);
    assert!(report.contains("policy.yaml:2:1: mode: "), "{report}");
    assert!(report.contains("policy.yaml:3:1: "), "{report}");
    assert!(
        report.contains("policy.yaml:15:54: rules[0].action: "),
        "{report}"
    );
    files.write("broken.yaml", "version: v1\nrules: [\n");
    let report = files.refused(&["check", "broken.yaml"]);
    assert!(report.contains("broken.yaml:"), "{report}");
    let report = files.refused(&["check", "missing.yaml"]);
    assert!(report.contains("cannot be read"), "{report}");
}

#[test]
fn a_policy_in_a_bootstrap_is_checked_at_its_lines() {
    let files = Files::new();
    files.write("envoy.yaml", BOOTSTRAP);
    let report = files.refused(&["check", "envoy.yaml"]);
    assert!(report.contains("envoy.yaml:22:21: default: "), "{report}");
}

#[test]
fn a_bootstrap_is_changed_where_it_is_asked() {
    let files = Files::new();
    files.write("envoy.yaml", BOOTSTRAP);
    files.write("policy.yaml", POLICY);
    let changed = files.bootstrap(&[
        "--policy",
        "policy.yaml",
        "--wasm",
        "/opt/countersign.wasm",
        "--listener",
        "gateway=0.0.0.0:10001",
        "--cluster",
        "console=[::1]:8601",
        "--cluster",
        "copilot=upstream.local:18081",
        "--admin",
        "127.0.0.1:9902",
    ]);
    let at = |pointer: &str| {
        changed
            .pointer(pointer)
            .unwrap_or_else(|| panic!("{pointer} in {changed}"))
            .clone()
    };
    let config = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/0/typed_config/config";
    assert_eq!(
        at(&format!("{config}/configuration/value/default")),
        "allow"
    );
    assert_eq!(
        at(&format!("{config}/vm_config/code/local/filename")),
        "/opt/countersign.wasm"
    );
    assert_eq!(
        at(&format!(
            "{config}/vm_config/environment_variables/host_env_keys"
        )),
        serde_json::json!(["COUNTERSIGN_GATEWAY_KEY", "SOME_GITHUB_TOKEN"])
    );
    assert_eq!(
        at("/static_resources/listeners/0/address/socket_address/port_value"),
        10001
    );
    assert_eq!(at("/admin/address/socket_address/port_value"), 9902);
    let endpoint = |n: usize| {
        at(&format!(
            "/static_resources/clusters/{n}/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address"
        ))
    };
    assert_eq!(
        endpoint(3),
        serde_json::json!({"address": "::1", "port_value": 8601})
    );
    assert_eq!(
        endpoint(2),
        serde_json::json!({"address": "upstream.local", "port_value": 18081})
    );
    assert_eq!(at("/static_resources/clusters/2/type"), "STRICT_DNS");
    assert_eq!(at("/static_resources/clusters/3/type"), "STATIC");
}

#[test]
fn github_itself_is_reached_over_checked_tls() {
    let files = Files::new();
    files.write("envoy.yaml", BOOTSTRAP);
    files.write("ca.pem", "");
    let changed = files.bootstrap(&[
        "--upstream",
        "github",
        "--upstream-ca",
        "ca.pem",
        "--cluster",
        "github-git=127.0.0.1:1",
    ]);
    let hosts = ["api.github.com", "github.com", "api.githubcopilot.com"];
    for (n, host) in hosts.into_iter().enumerate() {
        let cluster = &changed["static_resources"]["clusters"][n];
        let tls = &cluster["transport_socket"]["typed_config"];
        assert_eq!(tls["sni"], host);
        let validation = &tls["common_tls_context"]["validation_context"];
        assert_eq!(validation["trusted_ca"]["filename"], "ca.pem");
        assert_eq!(
            validation["match_typed_subject_alt_names"][0]["matcher"]["exact"],
            host
        );
        let port = &cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
            ["socket_address"]["port_value"];
        assert_eq!(*port, if n == 1 { 1 } else { 443 });
    }
    assert!(
        changed["static_resources"]["clusters"][3]
            .get("transport_socket")
            .is_none()
    );
}

#[test]
fn what_is_not_there_is_named() {
    let files = Files::new();
    files.write("envoy.yaml", BOOTSTRAP);
    files.write("plain.yaml", "static_resources: { clusters: [] }\n");
    files.write(
        "policy.yaml",
        &POLICY.replace("mode: enforce", "mode: sometimes"),
    );
    files.write(
        "elsewhere.yaml",
        &POLICY.replacen("cluster: console", "cluster: idp", 1),
    );
    for (args, word) in [
        (
            ["envoy.yaml", "--policy", "elsewhere.yaml"],
            "the cluster `idp`, which the bootstrap does not have",
        ),
        (
            ["envoy.yaml", "--listener", "proxy=127.0.0.1:1"],
            "no listener `proxy`",
        ),
        (
            ["envoy.yaml", "--cluster", "idp=127.0.0.1:1"],
            "no cluster `idp`",
        ),
        (["plain.yaml", "--wasm", "x"], "no Countersign filter"),
        (
            ["envoy.yaml", "--policy", "policy.yaml"],
            "policy.yaml:2:1: mode",
        ),
        (
            ["plain.yaml", "--upstream", "github"],
            "no cluster `github-api`",
        ),
        (
            ["policy.yaml", "--admin", "127.0.0.1:1"],
            "not an Envoy bootstrap",
        ),
    ] {
        let all: Vec<&str> = ["bootstrap"].into_iter().chain(args).collect();
        let report = files.refused(&all);
        assert!(report.contains(word), "{report}");
    }
    let usage = files.run(&["bootstrap", "envoy.yaml", "--cluster", "console=nowhere"]);
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn the_bootstrap_that_operators_load_is_checked_and_changed() {
    let files = Files::new();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../envoy/reverse-proxy.yaml");
    files.write("envoy.yaml", &std::fs::read_to_string(shipped).unwrap());
    let checked = files.run(&["check", "envoy.yaml"]);
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stdout)
    );
    files.write("policy.yaml", POLICY);
    files.write("ca.pem", "");
    let changed = files.bootstrap(&[
        "--policy",
        "policy.yaml",
        "--wasm",
        "/m.wasm",
        "--cluster",
        "console=127.0.0.1:1",
        "--admin",
        "127.0.0.1:2",
        "--upstream",
        "github",
        "--upstream-ca",
        "ca.pem",
    ]);
    let text = changed.to_string();
    assert!(
        text.contains("no-repo-delete") && text.contains("SOME_GITHUB_TOKEN"),
        "{text}"
    );
}

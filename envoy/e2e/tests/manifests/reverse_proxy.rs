//! `envoy/reverse-proxy.yaml`.

use serde_json::Value;

use crate::document::{
    bytes, document, envoy_accepts, items, policy, policy_compiles, repository, seconds, strings,
    strings_under,
};

const FILE: &str = "envoy/reverse-proxy.yaml";

fn manager(bootstrap: &Value) -> &Value {
    &bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
}

fn filter(bootstrap: &Value) -> &Value {
    &manager(bootstrap)["http_filters"][0]
}

fn cluster_names(bootstrap: &Value) -> Vec<&str> {
    items(&bootstrap["static_resources"]["clusters"])
        .filter_map(|c| c["name"].as_str())
        .collect()
}

#[test]
fn envoy_accepts_it() {
    envoy_accepts("reverse-proxy.json", &document(FILE));
}

#[test]
fn its_policy_compiles() {
    policy_compiles(policy(filter(&document(FILE))));
}

#[test]
fn every_cluster_it_names_exists() {
    let bootstrap = document(FILE);
    let clusters = cluster_names(&bootstrap);
    let mut named = strings_under(manager(&bootstrap), "cluster");
    named.retain(|name| !name.starts_with('%'));
    assert!(named.len() >= 4, "{named:?}");
    for name in named {
        assert!(clusters.contains(&name.as_str()), "no cluster {name}");
    }
    for cluster in items(&bootstrap["static_resources"]["clusters"]) {
        assert_eq!(cluster["load_assignment"]["cluster_name"], cluster["name"]);
    }
}

#[test]
fn the_module_is_where_the_build_puts_it() {
    let bootstrap = document(FILE);
    let config = &filter(&bootstrap)["typed_config"]["config"];
    let path = config["vm_config"]["code"]["local"]["filename"]
        .as_str()
        .unwrap();
    assert_eq!(repository().path(path), repository().wasm().unwrap());
    assert_eq!(config["allow_on_headers_stop_iteration"], true);
    assert_eq!(config["failure_policy"], "FAIL_RELOAD");
}

#[test]
fn the_module_gets_every_variable_its_secrets_name() {
    let bootstrap = document(FILE);
    let filter = filter(&bootstrap);
    let given =
        &filter["typed_config"]["config"]["vm_config"]["environment_variables"]["host_env_keys"];
    let named = strings_under(&policy(filter)["secrets"], "env");
    assert!(!named.is_empty());
    for variable in named {
        assert!(
            strings(given).contains(&variable.as_str()),
            "{variable} is not in host_env_keys"
        );
    }
}

#[test]
fn every_port_is_the_default_of_scripts_up() {
    let bootstrap = document(FILE);
    let up = repository().read("scripts/up").unwrap();
    let default = |name: &str| -> u64 {
        let (_, rest) = up.split_once(&format!("{name}_port=")).unwrap();
        rest.split_whitespace().next().unwrap().parse().unwrap()
    };
    let port = |address: &Value| {
        assert_eq!(address["socket_address"]["address"], "127.0.0.1");
        address["socket_address"]["port_value"].as_u64().unwrap()
    };
    assert_eq!(port(&bootstrap["admin"]["address"]), default("admin"));
    assert_eq!(
        port(&bootstrap["static_resources"]["listeners"][0]["address"]),
        default("gateway")
    );
    for cluster in items(&bootstrap["static_resources"]["clusters"]) {
        let endpoint =
            &cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"];
        let program = if cluster["name"] == "console" {
            "console"
        } else {
            "upstream"
        };
        assert_eq!(port(endpoint), default(program), "{}", cluster["name"]);
    }
    let shipped = format!("http://127.0.0.1:{}", default("console"));
    let issuer = &policy(filter(&bootstrap))["identity"]["providers"][0]["issuer"];
    assert_eq!(*issuer, Value::from(format!("{shipped}/dev")));
    assert!(up.contains(&format!("shipped_console={shipped}\n")));
}

/// Where a request goes and what it is judged as are two tables; they must be one.
#[test]
fn routes_and_connections_agree() {
    let bootstrap = document(FILE);
    let hosts = &manager(&bootstrap)["route_config"]["virtual_hosts"];
    let upstream_of = |protocol: &str| match protocol {
        "github" => "github-api",
        "git" => "github-git",
        "openai" | "mcp" => "copilot",
        other => panic!("no upstream is known for the protocol {other}"),
    };
    let mut routes = Vec::new();
    for host in items(hosts) {
        for route in items(&host["routes"]) {
            let cluster = &route["route"]["cluster"];
            let Some(cluster) = cluster.as_str() else {
                assert_eq!(
                    route["name"], "unknown-host",
                    "only the refusal has no cluster"
                );
                continue;
            };
            let path = &route["match"]["path_separated_prefix"];
            let path = path.as_str().unwrap_or_else(|| {
                assert_eq!(route["match"]["prefix"], "/");
                ""
            });
            for domain in strings(&host["domains"]) {
                let domain = domain.to_owned();
                routes.push((domain, path.to_owned(), cluster.to_owned()));
            }
        }
    }
    let mut judged = Vec::new();
    for connection in items(&policy(filter(&bootstrap))["connections"]) {
        let cluster = upstream_of(connection["protocol"].as_str().unwrap());
        let mut prefixes = strings(&connection["path_prefixes"]);
        if prefixes.is_empty() {
            prefixes.push("");
        }
        for host in strings(&connection["hosts"]) {
            for prefix in &prefixes {
                judged.push((host.to_owned(), (*prefix).to_owned(), cluster.to_owned()));
            }
        }
    }
    // Judged more finely than routed: the same host and cluster, with MCP apart.
    judged.retain(|j| {
        let whole = (j.0.clone(), String::new(), j.2.clone());
        routes.contains(j) || !(j.1 == "/mcp" && routes.contains(&whole))
    });
    routes.sort();
    judged.sort();
    assert_eq!(routes, judged);
}

#[test]
fn envoys_limits_leave_room_for_the_policys() {
    let bootstrap = document(FILE);
    let manager = manager(&bootstrap);
    let policy = policy(filter(&bootstrap));
    let body = bytes(policy["limits"]["request_body"].as_str().unwrap());
    let listener = &bootstrap["static_resources"]["listeners"][0];
    assert!(
        listener["per_connection_buffer_limit_bytes"]
            .as_u64()
            .unwrap()
            > body
    );
    let window = &manager["http2_protocol_options"]["initial_stream_window_size"];
    assert!(
        window.as_u64().unwrap() > body,
        "an HTTP/2 stream buffers no more than its window"
    );

    let holds = strings_under(policy, "hold");
    assert!(!holds.is_empty());
    for hold in holds {
        for timeout in ["stream_idle_timeout", "request_timeout"] {
            let timeout = seconds(manager[timeout].as_str().unwrap());
            assert!(
                timeout > seconds(&hold),
                "a hold of {hold} is cut off after {timeout} s"
            );
        }
    }
    for timeout in strings_under(&manager["route_config"], "timeout") {
        assert_eq!(
            timeout, "0s",
            "a route's timeout cuts held requests and streams off"
        );
    }
}

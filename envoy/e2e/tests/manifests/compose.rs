//! `envoy/docker-compose.yaml` and `envoy/Dockerfile`.

use serde_json::Value;

use crate::document::{document, items, repository, strings, strings_under};
use crate::schema;

const FILE: &str = "envoy/docker-compose.yaml";
const DOCKERFILE: &str = "envoy/Dockerfile";

fn services() -> serde_json::Map<String, Value> {
    let Value::Object(services) = document(FILE)["services"].take() else {
        panic!("no services")
    };
    services
}

#[test]
fn it_fits_the_compose_specification() {
    if let Some(validator) = schema::compose() {
        schema::accept(FILE, &validator, &document(FILE));
    }
}

#[test]
fn everything_it_names_exists() {
    let compose = document(FILE);
    let dockerfile = repository().read(DOCKERFILE).unwrap();
    for (name, service) in services() {
        let build = &service["build"];
        assert_eq!(build["context"], "..");
        assert_eq!(
            build["dockerfile"], DOCKERFILE,
            "relative to the context, the repository"
        );
        let target = build["target"].as_str().unwrap();
        assert!(
            dockerfile.contains(&format!(" AS {target}\n")),
            "{DOCKERFILE} has no stage {target}"
        );
        assert_eq!(
            service["network_mode"], "host",
            "{name} must share the addresses of reverse-proxy.yaml"
        );
        for volume in strings(&service["volumes"]) {
            let (volume, _) = volume.split_once(':').unwrap();
            assert!(
                compose["volumes"].get(volume).is_some(),
                "{name}: no volume {volume}"
            );
        }
        for (needed, _) in service["depends_on"].as_object().into_iter().flatten() {
            assert!(
                services().contains_key(needed),
                "{name} depends on {needed}, which is not there"
            );
            assert!(
                services()[needed].get("healthcheck").is_some(),
                "{needed} has no healthcheck"
            );
        }
    }
}

#[test]
fn its_programs_listen_where_envoy_looks() {
    let bootstrap = document("envoy/reverse-proxy.yaml");
    for cluster in items(&bootstrap["static_resources"]["clusters"]) {
        let service = if cluster["name"] == "console" {
            "console"
        } else {
            "simulated-upstream"
        };
        let endpoint = &cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"];
        let address = &endpoint["address"]["socket_address"];
        let listen = format!(
            "{}:{}",
            address["address"].as_str().unwrap(),
            address["port_value"]
        );
        assert!(
            strings(&services()[service]["command"]).contains(&listen.as_str()),
            "{service} is not at {listen}"
        );
        let check = strings(&services()[service]["healthcheck"]["test"]).join(" ");
        assert!(
            check.contains(&listen.replace(':', "/")),
            "{service}: its health is asked elsewhere"
        );
    }
}

#[test]
fn the_gateway_gets_the_variables_that_envoy_passes_on() {
    let bootstrap = document("envoy/reverse-proxy.yaml");
    let mut keys = Vec::new();
    crate::document::under(&bootstrap, "host_env_keys", &mut keys);
    assert_eq!(keys.len(), 1);
    for variable in strings(keys[0]) {
        assert!(
            services()["gateway"]["environment"].get(variable).is_some(),
            "no {variable}"
        );
    }
    let upstream = &services()["simulated-upstream"]["environment"]["SIMULATED_CREDENTIAL"];
    assert_eq!(
        services()["gateway"]["environment"]["GITHUB_TOKEN"],
        *upstream
    );
}

#[test]
fn the_dockerfile_copies_what_exists_and_pins_what_it_starts_from() {
    let repository = repository();
    let dockerfile = repository.read(DOCKERFILE).unwrap();
    let toolchain = repository.read("rust-toolchain.toml").unwrap();
    let (_, version) = toolchain.split_once("channel = \"").unwrap();
    let version = version.split('"').next().unwrap();
    assert!(
        dockerfile.contains(&format!("FROM rust:{version}-")),
        "the image's Rust is not {version}"
    );
    for line in dockerfile.lines().filter(|l| l.starts_with("FROM ")) {
        let image = line.split_whitespace().nth(1).unwrap();
        assert!(
            image.contains(':') && !image.ends_with(":latest"),
            "{image} is not pinned"
        );
    }
    let build = repository.read("scripts/build").unwrap();
    for line in dockerfile.lines().filter(|l| l.starts_with("COPY ")) {
        let mut sources: Vec<&str> = line
            .split_whitespace()
            .skip(1)
            .filter(|w| !w.starts_with("--"))
            .collect();
        sources.pop();
        for source in sources {
            match source.strip_prefix("/src/dist/") {
                Some(built) => assert!(
                    build.contains(&format!(" {built} ")),
                    "scripts/build makes no {built}"
                ),
                None => assert!(repository.path(source).exists(), "{source} does not exist"),
            }
        }
    }
    let module = strings_under(&document("envoy/reverse-proxy.yaml"), "filename");
    assert_eq!(module.len(), 1);
    assert!(
        dockerfile.contains(&format!(" {}\n", module[0])),
        "the image has no {}",
        module[0]
    );
}

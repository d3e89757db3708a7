//! `envoy/istio/`.

use serde_json::{Value, json};

use crate::document::{
    documents, envoy_accepts, items, policy, policy_compiles, repository, strings, strings_under,
    under,
};
use crate::schema;

/// Kubernetes' own kinds that are used; everything else has to be Istio's.
const CORE: &[(&str, &str)] = &[
    ("v1", "Namespace"),
    ("v1", "ServiceAccount"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Service"),
    ("apps/v1", "Deployment"),
];

/// Every resource of the folder, with the file it is in.
fn resources() -> Vec<(String, Value)> {
    let folder = repository().path("envoy/istio");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            format!(
                "envoy/istio/{}",
                entry.unwrap().file_name().to_string_lossy()
            )
        })
        .filter(|file| file.ends_with(".yaml"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
        .iter()
        .flat_map(|file| documents(file).into_iter().map(|d| (file.clone(), d)))
        .collect()
}

fn of_kind(kind: &str) -> Vec<Value> {
    let found: Vec<Value> = resources()
        .into_iter()
        .map(|(_, r)| r)
        .filter(|r| r["kind"] == kind)
        .collect();
    assert!(!found.is_empty(), "no {kind}");
    found
}

/// The patch of the EnvoyFilter that is applied to `target`.
fn patch(target: &str) -> Value {
    let filters = of_kind("EnvoyFilter");
    let patches = items(&filters[0]["spec"]["configPatches"]);
    let found: Vec<&Value> = patches.filter(|p| p["applyTo"] == target).collect();
    assert_eq!(found.len(), 1, "one patch of {target}");
    found[0]["patch"]["value"].clone()
}

fn has_labels(labels: &Value, selector: &Value) -> bool {
    let selector = selector.as_object().unwrap();
    !selector.is_empty() && selector.iter().all(|(key, value)| labels[key] == *value)
}

#[test]
fn every_resource_fits_its_definition() {
    let definitions = schema::Istio::load();
    let mut names = Vec::new();
    for (file, resource) in resources() {
        let (api, kind) = (
            resource["apiVersion"].as_str().unwrap(),
            resource["kind"].as_str().unwrap(),
        );
        let name = resource["metadata"]["name"]
            .as_str()
            .unwrap_or_else(|| panic!("{file}: a {kind} without name"));
        if kind != "Namespace" {
            assert_eq!(
                resource["metadata"]["namespace"], "countersign",
                "{file}: {kind} {name}"
            );
        }
        assert!(
            !names.contains(&(kind.to_owned(), name.to_owned())),
            "{file}: a second {kind} {name}"
        );
        names.push((kind.to_owned(), name.to_owned()));
        if CORE.contains(&(api, kind)) {
            continue;
        }
        assert!(
            api.contains("istio.io/"),
            "{file}: {api} {kind} is not a known kind"
        );
        if let Some(definitions) = &definitions {
            definitions.check(&file, &resource);
        }
    }
}

#[test]
fn deployments_services_and_volumes_fit_together() {
    let (deployments, services) = (of_kind("Deployment"), of_kind("Service"));
    for deployment in &deployments {
        let name = &deployment["metadata"]["name"];
        let template = &deployment["spec"]["template"];
        let (labels, pod) = (&template["metadata"]["labels"], &template["spec"]);
        assert!(
            has_labels(labels, &deployment["spec"]["selector"]["matchLabels"]),
            "{name} does not select itself"
        );
        assert!(
            of_kind("ServiceAccount")
                .iter()
                .any(|a| a["metadata"]["name"] == pod["serviceAccountName"])
        );
        let volumes: Vec<&Value> = items(&pod["volumes"]).map(|v| &v["name"]).collect();
        for container in items(&pod["containers"]).chain(items(&pod["initContainers"])) {
            let image = container["image"].as_str().unwrap();
            assert!(
                image == "auto" || image.contains(':') && !image.ends_with(":latest"),
                "{image} is not pinned"
            );
            for mount in items(&container["volumeMounts"]) {
                assert!(
                    volumes.contains(&&mount["name"]),
                    "{name} has no volume {}",
                    mount["name"]
                );
            }
        }
        for claim in
            items(&pod["volumes"]).filter_map(|v| v["persistentVolumeClaim"]["claimName"].as_str())
        {
            assert!(
                of_kind("PersistentVolumeClaim")
                    .iter()
                    .any(|c| c["metadata"]["name"] == claim)
            );
        }
    }
    for service in &services {
        let selector = &service["spec"]["selector"];
        let chosen: Vec<&Value> = deployments
            .iter()
            .map(|d| &d["spec"]["template"])
            .filter(|t| has_labels(&t["metadata"]["labels"], selector))
            .collect();
        assert_eq!(
            chosen.len(),
            1,
            "{} selects one deployment",
            service["metadata"]["name"]
        );
        let ports: Vec<&Value> = items(&chosen[0]["spec"]["containers"])
            .flat_map(|c| items(&c["ports"]))
            .collect();
        for port in items(&service["spec"]["ports"]) {
            let target = &port["targetPort"];
            assert!(
                ports
                    .iter()
                    .any(|p| p["containerPort"] == *target || p["name"] == *target),
                "{}: nothing listens on {target}",
                service["metadata"]["name"]
            );
        }
    }
}

#[test]
fn the_console_listens_and_answers_where_it_is_asked() {
    let consoles = of_kind("Deployment");
    let console = consoles
        .iter()
        .find(|d| d["metadata"]["name"] == "console")
        .unwrap();
    let container = &console["spec"]["template"]["spec"]["containers"][0];
    let arguments = strings(&container["args"]);
    let listen = arguments.iter().position(|a| *a == "--listen").unwrap();
    let port = container["ports"][0]["containerPort"].as_u64().unwrap();
    assert_eq!(arguments[listen + 1], format!("0.0.0.0:{port}"));
    assert!(
        !arguments.contains(&"--dev"),
        "the development identity provider is not for a cluster"
    );
    assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/healthz");
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
}

/// `outbound|PORT||HOST` is how Istio names clusters: of Services and ServiceEntries.
#[test]
fn every_cluster_of_the_policy_is_a_service_of_the_mesh() {
    let mut known = Vec::new();
    for service in of_kind("Service") {
        let metadata = &service["metadata"];
        let (name, namespace) = (
            metadata["name"].as_str().unwrap(),
            metadata["namespace"].as_str().unwrap(),
        );
        for port in items(&service["spec"]["ports"]) {
            known.push(format!(
                "outbound|{}||{name}.{namespace}.svc.cluster.local",
                port["port"]
            ));
        }
    }
    for entry in of_kind("ServiceEntry") {
        for host in strings(&entry["spec"]["hosts"]) {
            for port in items(&entry["spec"]["ports"]) {
                known.push(format!("outbound|{}||{host}", port["number"]));
            }
        }
    }
    let clusters = strings_under(policy(&patch("HTTP_FILTER")), "cluster");
    assert!(clusters.len() >= 2, "{clusters:?}");
    for cluster in clusters {
        assert!(known.contains(&cluster), "{cluster} is not among {known:?}");
    }
}

#[test]
fn traffic_finds_its_way_through_the_gateway() {
    let entries = of_kind("ServiceEntry");
    let outside: Vec<&str> = entries
        .iter()
        .flat_map(|e| strings(&e["spec"]["hosts"]))
        .collect();
    let rules = of_kind("DestinationRule");
    let gateways = of_kind("Gateway");
    let services = of_kind("Service");
    let served: Vec<&str> = items(&gateways[0]["spec"]["servers"])
        .flat_map(|s| strings(&s["hosts"]))
        .collect();
    let labelled = |selector: &Value| {
        of_kind("Deployment")
            .iter()
            .any(|d| has_labels(&d["spec"]["template"]["metadata"]["labels"], selector))
    };
    assert!(
        labelled(&gateways[0]["spec"]["selector"]),
        "the Gateway selects no deployment"
    );
    assert!(
        labelled(&of_kind("EnvoyFilter")[0]["spec"]["workloadSelector"]["labels"]),
        "the EnvoyFilter selects none"
    );

    for route in of_kind("VirtualService") {
        for host in strings(&route["spec"]["hosts"]) {
            assert!(
                outside.contains(&host) && served.contains(&host),
                "{host} is not known outside or not served"
            );
        }
        let named = strings(&route["spec"]["gateways"]);
        assert!(
            named
                .iter()
                .all(|g| *g == "mesh" || gateways[0]["metadata"]["name"] == *g),
            "{named:?}"
        );
        for http in items(&route["spec"]["http"]) {
            assert_eq!(http["timeout"], "0s");
            assert_eq!(
                http["retries"]["attempts"], 0,
                "an approval is good for one request"
            );
            let destination = &http["route"][0]["destination"];
            let host = destination["host"].as_str().unwrap();
            let port = &destination["port"]["number"];
            let rule = rules.iter().find(|r| r["spec"]["host"] == host);
            let rule = rule.unwrap_or_else(|| panic!("no DestinationRule for {host}"));
            match destination["subset"].as_str() {
                // Into the gateway, inside the mesh.
                Some(subset) => {
                    assert!(
                        items(&rule["spec"]["subsets"]).any(|s| s["name"] == subset),
                        "no subset {subset}"
                    );
                    let service = host.split('.').next().unwrap();
                    let service = services
                        .iter()
                        .find(|s| s["metadata"]["name"] == service)
                        .unwrap();
                    assert!(
                        items(&service["spec"]["ports"]).any(|p| p["port"] == *port),
                        "{host} has no port {port}"
                    );
                }
                // Out of the mesh: over TLS, to whom it says it is.
                None => {
                    assert_eq!(http["match"][0]["authority"]["exact"], host);
                    let tls = &rule["spec"]["trafficPolicy"]["portLevelSettings"][0];
                    assert_eq!(tls["port"]["number"], *port);
                    assert_eq!(tls["tls"]["mode"], "SIMPLE");
                    assert_eq!(tls["tls"]["sni"], host);
                    assert_eq!(strings(&tls["tls"]["subjectAltNames"]), [host]);
                }
            }
        }
    }
    let filter = patch("HTTP_FILTER");
    let judged: Vec<&str> = items(&policy(&filter)["connections"])
        .flat_map(|c| strings(&c["hosts"]))
        .collect();
    for host in &served {
        assert!(
            judged.contains(host),
            "{host} is served and belongs to no connection"
        );
    }
}

#[test]
fn the_gateway_has_the_module_and_the_secrets() {
    let deployments = of_kind("Deployment");
    let gateway = deployments
        .iter()
        .find(|d| d["metadata"]["name"] == "countersign-egress")
        .unwrap();
    let pod = &gateway["spec"]["template"]["spec"];
    let proxy = &pod["containers"][0];
    let filter = patch("HTTP_FILTER");
    let vm = &filter["typed_config"]["config"]["vm_config"];

    let path = vm["code"]["local"]["filename"].as_str().unwrap();
    let (folder, file) = path.rsplit_once('/').unwrap();
    assert!(
        items(&proxy["volumeMounts"]).any(|m| m["mountPath"] == folder),
        "nothing is mounted at {folder}"
    );
    let dockerfile = repository().read("envoy/Dockerfile").unwrap();
    let target = pod["initContainers"][0]["volumeMounts"][0]["mountPath"]
        .as_str()
        .unwrap();
    assert!(
        dockerfile.contains(&format!("\"{target}/{file}\"]")),
        "the image `module` does not fill {target}/{file}"
    );

    let given: Vec<&Value> = items(&proxy["env"]).map(|e| &e["name"]).collect();
    for variable in items(&vm["environment_variables"]["host_env_keys"]) {
        assert!(given.contains(&variable), "the proxy has no {variable}");
    }
    // Every secret key that a pod reads is made by the command in the comment of console.yaml.
    let instructions = repository().read("envoy/istio/console.yaml").unwrap();
    for deployment in &deployments {
        let mut references = Vec::new();
        under(deployment, "secretKeyRef", &mut references);
        for reference in references {
            let (name, key) = (
                reference["name"].as_str().unwrap(),
                reference["key"].as_str().unwrap(),
            );
            assert!(
                instructions.contains(&format!("secret generic {name} ")),
                "no secret {name}"
            );
            assert!(
                instructions.contains(&format!("--from-literal={key}=")),
                "no key {key}"
            );
        }
    }
}

#[test]
fn its_policy_compiles() {
    policy_compiles(policy(&patch("HTTP_FILTER")));
}

/// What Istio would make of the patches: its own proxy is an Envoy too.
#[test]
fn envoy_accepts_the_patches() {
    let mut manager = patch("NETWORK_FILTER")["typed_config"].take();
    let mut filter = patch("HTTP_FILTER");
    // The one thing of the pod that is not here: its volume.
    filter["typed_config"]["config"]["vm_config"]["code"]["local"]["filename"] =
        repository().wasm().unwrap().to_string_lossy().into();
    manager["stat_prefix"] = "egress".into();
    manager["route_config"] = json!({"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
        {"match": {"prefix": "/"}, "direct_response": {"status": 404}}]}]});
    manager["http_filters"] = json!([filter, {"name": "envoy.filters.http.router", "typed_config":
        {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]);
    let mut listener = patch("LISTENER");
    listener["name"] = "egress".into();
    listener["address"] = json!({"socket_address": {"address": "127.0.0.1", "port_value": 0}});
    listener["filter_chains"] = json!([{"filters": [
        {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}]);
    let clusters: Vec<Value> = strings_under(policy(&filter), "cluster")
        .iter()
        .map(|name| json!({"name": name, "type": "STATIC", "load_assignment": {"cluster_name": name}}))
        .collect();
    envoy_accepts(
        "istio.json",
        &json!({
            "node": {"id": "egress", "cluster": "egress"},
            "static_resources": {"listeners": [listener], "clusters": clusters},
        }),
    );
}

//! The configurations for an OpenTelemetry Collector: what is named is there, and is something that the
//! contrib distribution has. They are not run: no Collector comes with the tools of these tests.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends with it, and says where"
)]

use std::fs;

use countersign_e2e::Repository;
use serde_json::Value;

/// Components of the contrib distribution, by section, as far as these files use them.
const KNOWN: &[(&str, &[&str])] = &[
    ("receivers", &["otlp"]),
    ("exporters", &["clickhouse", "otlphttp", "awss3", "kafka"]),
    ("extensions", &["bearertokenauth", "file_storage"]),
    ("processors", &[]),
];

fn names(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

#[test]
fn every_component_that_is_named_is_defined_known_and_used() {
    let repository = Repository::find().unwrap();
    let mut stores = 0;
    for entry in fs::read_dir(repository.path("examples/collector")).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        stores += 1;
        let file = folder.join("collector.yaml");
        let text = fs::read_to_string(&file).unwrap();
        let name = file.display();
        let config: Value = serde_norway::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        for (section, known) in KNOWN {
            for (component, _) in config[section].as_object().into_iter().flatten() {
                let kind = component.split('/').next().unwrap();
                assert!(
                    known.contains(&kind),
                    "{name}: {section} {component} is not known"
                );
            }
        }
        let defined = |section: &str, component: &str| config[section].get(component).is_some();
        let service = &config["service"];
        for extension in names(&service["extensions"]) {
            assert!(
                defined("extensions", extension),
                "{name}: no extension {extension}"
            );
        }
        let pipeline = &service["pipelines"]["logs"];
        for section in ["receivers", "processors", "exporters"] {
            for component in names(&pipeline[section]) {
                assert!(
                    defined(section, component),
                    "{name}: no {section} {component}"
                );
            }
        }
        for section in ["receivers", "exporters"] {
            for (component, _) in config[section].as_object().unwrap() {
                let used = names(&pipeline[section]).contains(&component.as_str());
                assert!(used, "{name}: {component} is in no pipeline");
            }
        }
        for (component, exporter) in config["exporters"].as_object().unwrap() {
            // What is acknowledged is on disk, and tried for ever.
            assert_eq!(
                exporter["sending_queue"]["storage"], "file_storage",
                "{name}: {component}"
            );
            assert_eq!(
                exporter["retry_on_failure"]["max_elapsed_time"], 0,
                "{name}: {component}"
            );
        }
        let authenticator =
            &config["receivers"]["otlp"]["protocols"]["http"]["auth"]["authenticator"];
        let authenticator = authenticator
            .as_str()
            .unwrap_or_else(|| panic!("{name}: anybody may send"));
        assert!(
            names(&service["extensions"]).contains(&authenticator),
            "{name}"
        );
        assert!(!text.contains("latest"), "{name}");
    }
    assert_eq!(stores, 4);
}

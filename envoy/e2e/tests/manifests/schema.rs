//! The public schemas of what is not Envoy's.

use std::fs;
use std::path::PathBuf;

use jsonschema::{Draft, Validator};
use serde::Deserialize;
use serde_json::Value;

use crate::document::repository;

/// A schema file's text, or `None` with a line that names what is left out.
fn text(name: &str) -> Option<String> {
    let folder = std::env::var_os("COUNTERSIGN_SCHEMAS")
        .map(PathBuf::from)
        .or_else(|| {
            let root = repository().path("");
            let mut beside = root
                .ancestors()
                .skip(1)
                .map(|a| a.join("shared/anchors/schemas"));
            beside.find(|folder| folder.is_dir())
        });
    let Some(folder) = folder else {
        eprintln!("skipped: {name} is not here (COUNTERSIGN_SCHEMAS names its folder)");
        return None;
    };
    let path = folder.join(name);
    Some(fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}

/// The compose specification's schema.
pub fn compose() -> Option<Validator> {
    let schema: Value = serde_json::from_str(&text("compose-spec.json")?).unwrap();
    Some(
        jsonschema::options()
            .with_draft(Draft::Draft7)
            .build(&schema)
            .unwrap(),
    )
}

/// Istio's custom resource definitions.
pub struct Istio(Vec<Value>);

impl Istio {
    pub fn load() -> Option<Self> {
        let text = text("istio-crds.yaml")?;
        let definitions = serde_norway::Deserializer::from_str(&text)
            .map(|d| Value::deserialize(d).unwrap())
            .filter(|d| d["kind"] == "CustomResourceDefinition");
        Some(Istio(definitions.collect()))
    }

    /// Checks the `spec` of a resource. Keys that the definition does not have are refused, as
    /// `kubectl --validate=strict` does; the API server alone would drop them silently.
    pub fn check(&self, file: &str, resource: &Value) {
        let (api, kind) = (&resource["apiVersion"], &resource["kind"]);
        let (group, version) = api.as_str().unwrap().split_once('/').unwrap();
        let definition = self
            .0
            .iter()
            .find(|d| d["spec"]["group"] == group && d["spec"]["names"]["kind"] == *kind)
            .unwrap_or_else(|| panic!("{file}: no definition of {api} {kind}"));
        let version = definition["spec"]["versions"]
            .as_array()
            .unwrap()
            .iter()
            .find(|v| v["name"] == version && v["served"] == true)
            .unwrap_or_else(|| panic!("{file}: {kind} is not served as {api}"));
        let mut schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"].clone();
        forbid_unknown(&mut schema);
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .build(&schema)
            .unwrap();
        accept(&format!("{file}: {kind}"), &validator, &resource["spec"]);
    }
}

fn forbid_unknown(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            let closed = map.get("type").is_some_and(|t| t == "object")
                && map.contains_key("properties")
                && !map.contains_key("additionalProperties")
                && !map.contains_key("x-kubernetes-preserve-unknown-fields");
            if closed {
                map.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            map.values_mut().for_each(forbid_unknown);
        }
        Value::Array(items) => items.iter_mut().for_each(forbid_unknown),
        _ => {}
    }
}

/// Fails with every error and its path.
pub fn accept(what: &str, validator: &Validator, value: &Value) {
    let errors: Vec<String> = validator
        .iter_errors(value)
        .map(|e| format!("  {}: {e}", e.instance_path()))
        .collect();
    assert!(
        errors.is_empty(),
        "{what} does not fit its schema:\n{}",
        errors.join("\n")
    );
}

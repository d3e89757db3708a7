//! The policy inside `envoy/reverse-proxy.yaml`, for tests that change one thing in it.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::repository::Repository;

/// Where the bootstrap has it.
const PLACE: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/0\
                     /typed_config/config/configuration/value";

/// The shipped policy. Its text as JSON is a policy file.
///
/// # Errors
/// When the bootstrap does not have one where it should be.
pub fn shipped() -> Result<Value> {
    let text = Repository::find()?.read("envoy/reverse-proxy.yaml")?;
    let bootstrap: Value = serde_norway::from_str(&text)?;
    let place: String = PLACE.split_whitespace().collect();
    bootstrap
        .pointer(&place)
        .cloned()
        .with_context(|| format!("envoy/reverse-proxy.yaml has nothing at {place}"))
}

/// The rule of that name.
///
/// # Errors
/// When the policy has none.
pub fn rule<'a>(policy: &'a mut Value, name: &str) -> Result<&'a mut Value> {
    let rules = policy["rules"].as_array_mut().context("no rules")?;
    rules
        .iter_mut()
        .find(|rule| rule["name"] == name)
        .with_context(|| format!("the policy has no rule {name}"))
}

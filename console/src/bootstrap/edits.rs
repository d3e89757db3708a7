//! The changes, each on the parsed bootstrap.

use std::net::IpAddr;
use std::str::FromStr;

use serde_json::{Map, Value, json};

use crate::failure::Failure;

/// A host or IP address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Host name or IP address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not ADDR:PORT, as in 127.0.0.1:10000 or [::1]:10000");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let host = match host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
        {
            Some(inner) => inner,
            None if host.contains(':') => return Err(wrong()),
            None => host,
        };
        if host.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl Address {
    pub(super) fn is_ip(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }

    pub(super) fn to_json(&self) -> Value {
        json!({"socket_address": {"address": self.host, "port_value": self.port}})
    }
}

/// A listener or cluster by name, and an address for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name in the bootstrap.
    pub name: String,
    /// The address it gets.
    pub address: Address,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, address) = text
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| format!("`{text}` is not NAME=ADDR:PORT"))?;
        Ok(Self {
            name: name.to_owned(),
            address: address.parse()?,
        })
    }
}

/// Puts `policy` in the place of every policy in the bootstrap, in the form that is there (a
/// Struct, or JSON text in a StringValue), and lets the module see the environment variables that
/// the policy's secrets name.
pub(super) fn set_policy(bootstrap: &mut Value, policy: &Value) -> Result<(), Failure> {
    let mut secrets: Vec<String> = Vec::new();
    for secret in policy
        .get("secrets")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::values)
    {
        secrets.extend(secret.get("env").and_then(Value::as_str).map(str::to_owned));
    }
    on_each_plugin(bootstrap, &mut |plugin| {
        if let Some(value) = plugin.pointer_mut("/configuration/value") {
            *value = if value.is_string() {
                Value::from(policy.to_string())
            } else {
                policy.clone()
            };
        }
        let keys = at(
            plugin,
            &["vm_config", "environment_variables", "host_env_keys"],
        );
        if !keys.is_array() {
            *keys = json!([]);
        }
        if let Value::Array(keys) = keys {
            for name in &secrets {
                if !keys.iter().any(|key| key.as_str() == Some(name)) {
                    keys.push(Value::from(name.as_str()));
                }
            }
        }
    })
}

/// Points the filter at the module `path`.
pub(super) fn set_wasm(bootstrap: &mut Value, path: &str) -> Result<(), Failure> {
    on_each_plugin(bootstrap, &mut |plugin| {
        *at(plugin, &["vm_config", "code"]) = json!({"local": {"filename": path}});
    })
}

/// Does `edit` to the configuration of every Countersign filter: each plugin whose configuration
/// is a policy, or an error if there is none.
fn on_each_plugin(bootstrap: &mut Value, edit: &mut dyn FnMut(&mut Value)) -> Result<(), Failure> {
    if visit(bootstrap, edit) {
        return Ok(());
    }
    Err(Failure::new(
        "there is no Countersign filter in the bootstrap",
        "It is an envoy.filters.http.wasm filter whose configuration value holds `version: v1`.",
    ))
}

fn visit(node: &mut Value, edit: &mut dyn FnMut(&mut Value)) -> bool {
    if is_plugin(node) {
        edit(node);
        return true;
    }
    let mut any = false;
    match node {
        Value::Array(items) => {
            for item in items {
                any |= visit(item, edit);
            }
        }
        Value::Object(map) => {
            for (_, item) in map.iter_mut() {
                any |= visit(item, edit);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    any
}

fn is_plugin(node: &Value) -> bool {
    if node.get("vm_config").is_none() {
        return false;
    }
    match node.pointer("/configuration/value") {
        Some(Value::Object(map)) => map.contains_key("version"),
        Some(Value::String(text)) => {
            serde_json::from_str::<Value>(text).is_ok_and(|policy| policy.get("version").is_some())
        }
        _ => false,
    }
}

/// Lets a listener listen elsewhere.
pub(super) fn set_listener(bootstrap: &mut Value, target: &Target) -> Result<(), Failure> {
    let listener = named(bootstrap, "listeners", "listener", &target.name)?;
    *at(listener, &["address"]) = target.address.to_json();
    Ok(())
}

/// Whether every cluster that the policy names is there: Envoy would only say so when it is called,
/// by refusing every token of that provider. Clusters that Envoy is told later (CDS) are not known here.
pub(super) fn require_clusters(bootstrap: &Value, policy: &Value) -> Result<(), Failure> {
    if bootstrap.pointer("/dynamic_resources/cds_config").is_some() {
        return Ok(());
    }
    let clusters = bootstrap.pointer("/static_resources/clusters");
    let clusters = clusters.and_then(Value::as_array);
    let known: Vec<&str> = clusters
        .iter()
        .flat_map(|list| list.iter())
        .filter_map(|cluster| cluster.get("name").and_then(Value::as_str))
        .collect();
    let mut missing = Vec::new();
    named_clusters(policy, &mut missing);
    missing.retain(|name| !known.contains(name));
    match missing.first() {
        None => Ok(()),
        Some(name) => Err(Failure::new(
            format!("the policy names the cluster `{name}`, which the bootstrap does not have"),
            format!(
                "Add it to static_resources.clusters; there are: {}.",
                known.join(", ")
            ),
        )),
    }
}

/// The values of all keys `cluster`.
fn named_clusters<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("cluster").and_then(Value::as_str));
            members.values().for_each(|v| named_clusters(v, found));
        }
        Value::Array(items) => items.iter().for_each(|v| named_clusters(v, found)),
        _ => {}
    }
}

/// Gives a cluster one endpoint.
pub(super) fn set_cluster(bootstrap: &mut Value, target: &Target) -> Result<(), Failure> {
    let cluster = named(bootstrap, "clusters", "cluster", &target.name)?;
    endpoint(cluster, &target.name, &target.address);
    Ok(())
}

pub(super) fn endpoint(cluster: &mut Value, name: &str, address: &Address) {
    *at(cluster, &["type"]) = Value::from(if address.is_ip() {
        "STATIC"
    } else {
        "STRICT_DNS"
    });
    *at(cluster, &["load_assignment"]) = json!({
        "cluster_name": name,
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address.to_json()}}]}],
    });
}

/// Lets the admin interface listen elsewhere.
pub(super) fn set_admin(bootstrap: &mut Value, address: &Address) {
    *at(bootstrap, &["admin", "address"]) = address.to_json();
}

/// The entry of `static_resources` with this name.
pub(super) fn named<'a>(
    bootstrap: &'a mut Value,
    list: &str,
    what: &str,
    name: &str,
) -> Result<&'a mut Value, Failure> {
    let has_name = |item: &Value| item.get("name").and_then(Value::as_str) == Some(name);
    let items = bootstrap
        .get_mut("static_resources")
        .and_then(|resources| resources.get_mut(list))
        .and_then(Value::as_array_mut);
    let mut names = Vec::new();
    for item in items.into_iter().flatten() {
        if has_name(item) {
            return Ok(item);
        }
        names.extend(item.get("name").and_then(Value::as_str).map(str::to_owned));
    }
    Err(Failure::new(
        format!("the bootstrap has no {what} `{name}`"),
        format!("Its {list} are: {}.", names.join(", ")),
    ))
}

/// The value at `path`, made on the way where it is not there.
pub(super) fn at<'a>(value: &'a mut Value, path: &[&str]) -> &'a mut Value {
    let mut value = value;
    for key in path {
        if !value.is_object() {
            *value = json!({});
        }
        value = &mut value[*key];
    }
    value
}

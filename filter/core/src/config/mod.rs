//! From the operator's document to a [`Policy`]: read, checked and compiled once.
//!
//! The document is the same on disk (YAML), in Istio, and as the JSON that Envoy hands over. An
//! unknown key is an error, every error is reported at once with its path, and a document with an
//! error compiles to nothing: Envoy then keeps the last good configuration.

mod conditions;
mod connections;
mod decode;
mod identity;
mod plugin;
mod rules;
mod services;
#[cfg(test)]
pub(crate) mod testing;

use serde_json::Value;
use sha2::{Digest, Sha256};

pub use decode::ConfigError;
use decode::{Faults, Node};
pub use plugin::compile_plugin;

use crate::policy::{Action, Mode, Policy};

/// Resolves an environment variable that the policy names as a secret.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

const ACTIONS: &[(&str, Action)] = &[
    ("allow", Action::Allow),
    ("require_approval", Action::RequireApproval),
    ("deny", Action::Deny),
];

const KEYS: &[&str] = &[
    "version",
    "mode",
    "identity",
    "connections",
    "secrets",
    "default",
    "unknown_writes",
    "rules",
    "masking",
    "approval_service",
    "audit",
    "limits",
    "undecided",
];

/// Compiles a document.
///
/// # Errors
/// Every fault of the document, each with the path at which it stands.
pub fn compile(document: &Value, environment: Environment) -> Result<Policy, Vec<ConfigError>> {
    let faults = Faults::default();
    let policy = read(&Node::root(document, &faults), environment);
    let faults = faults.into_vec();
    match policy {
        Some(policy) if faults.is_empty() => Ok(policy),
        _ => Err(faults),
    }
}

fn read(root: &Node, environment: Environment) -> Option<Policy> {
    let document = root.object(KEYS)?;
    let version = document.require("version", "this filter reads `version: v1`");
    version.and_then(|v| v.choice(&[("v1", ())]));
    let mode = document
        .get("mode")
        .and_then(|m| m.choice(&[("enforce", Mode::Enforce), ("observe", Mode::Observe)]))
        .unwrap_or(Mode::Enforce);
    let default = document
        .require(
            "default",
            "say what happens when no rule matches: allow, require_approval or deny",
        )
        .and_then(|d| d.choice(ACTIONS));
    let unknown_writes = document
        .get("unknown_writes")
        .and_then(|u| u.choice(ACTIONS))
        .unwrap_or(Action::Deny);

    let secrets = services::secrets(&document, environment);
    let mut identity = identity::read(&document);
    let connections = connections::read(&document, &secrets);
    let rules = rules::read(&document, &connections);
    let asked = rules::claims(&rules);
    for provider in &mut identity.providers {
        provider.config.kept_claims.clone_from(&asked);
    }
    let masking = services::masking(&document);
    let approval_service = services::approval_service(&document, &secrets);
    let audit = services::audit(&document, &secrets);
    let limits = services::limits(&document);
    let undecided = services::undecided(&document);

    let asks = |action: Action| action == Action::RequireApproval;
    let asking = default.is_some_and(asks)
        || asks(unknown_writes)
        || rules.iter().any(rules::may_ask)
        || connections
            .iter()
            .any(|c| c.default.is_some_and(asks) || c.unknown_writes.is_some_and(asks));
    if asking && approval_service.is_none() {
        document.fault("`approval_service` is missing: this policy asks for approvals");
    }

    Some(Policy {
        digest: digest(root.value()),
        mode,
        providers: identity.providers,
        token_locations: identity.token_locations,
        revoked: identity.revoked,
        connections,
        default: default.unwrap_or(Action::Deny),
        unknown_writes,
        rules,
        masking: masking?,
        approval_service,
        audit: audit?,
        limits,
        undecided,
    })
}

/// SHA-256 over the document with sorted keys and no blanks: the same for YAML, Istio and Envoy.
fn digest(document: &Value) -> String {
    let mut text = String::new();
    canonical(document, &mut text);
    crate::hex(&Sha256::digest(text.as_bytes()))
}

fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            out.push('{');
            for (key, value) in entries {
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                canonical(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        // Envoy's Struct knows doubles only: 1 and 1.0 are the same document.
        Value::Number(n) => match n.as_f64() {
            Some(f) => out.push_str(&f.to_string()),
            None => out.push_str(&n.to_string()),
        },
        Value::Null | Value::Bool(_) | Value::String(_) => out.push_str(&value.to_string()),
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;

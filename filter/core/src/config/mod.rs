//! From the operator's document to a [`Policy`]: read, checked and compiled once.
//!
//! The document is the same on disk (YAML), in Istio, and as the JSON that Envoy hands over. An
//! unknown key is an error, every error is reported at once with its path, and a document with an
//! error compiles to nothing: Envoy then keeps the last good configuration.

mod conditions;
mod connections;
mod decode;
mod identity;
mod masking;
mod plugin;
mod rules;
mod services;
mod shape;
#[cfg(test)]
pub(crate) mod testing;

use serde_json::Value;
use sha2::{Digest, Sha256};

pub use decode::ConfigError;
use decode::{Faults, Node};
pub use plugin::compile_plugin;
use shape::{Shape, Takes, may, must};

use crate::policy::{Action, Mode, Policy, RuleIndex};

/// Resolves an environment variable that the policy names as a secret.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

const ACTIONS: &[(&str, Action)] = &[
    ("allow", Action::Allow),
    ("require_approval", Action::RequireApproval),
    ("deny", Action::Deny),
];

/// What every answer to a request may be.
const ANSWER: Takes = Takes::Choice(&["allow", "require_approval", "deny"]);

static DOCUMENT: Shape = Shape {
    name: "policy",
    about: "Who may do what on which system, whom to ask, and what to mask and record.",
    fields: &[
        must(
            "version",
            Takes::Choice(&["v1"]),
            "The version of this format.",
        ),
        may(
            "mode",
            Takes::Choice(&["enforce", "observe"]),
            "enforce (default), or observe: decide and record, and let everything through.",
        ),
        must(
            "identity",
            Takes::Object(&identity::IDENTITY),
            "Who vouches for callers.",
        ),
        must(
            "connections",
            Takes::Some(&Takes::Object(&connections::CONNECTION)),
            "The systems behind the gateway. A host that none of them names is refused.",
        ),
        may(
            "secrets",
            Takes::Map(&Takes::Object(&services::SECRET)),
            "Secrets by name, each from an environment variable of Envoy.",
        ),
        must(
            "default",
            ANSWER,
            "What happens when no rule applies; a connection may have its own.",
        ),
        may(
            "unknown_writes",
            ANSWER,
            "What happens to writes that no operation table knows, when no rule applies: deny unless \
             said otherwise, and never milder than the default.",
        ),
        may(
            "unknown_reads",
            ANSWER,
            "The same for reads that no operation table knows; allow unless said otherwise.",
        ),
        may(
            "rules",
            Takes::List(&Takes::Object(&rules::RULE)),
            "Deny beats require_approval beats allow; the order is nothing.",
        ),
        may(
            "masking",
            Takes::Object(&masking::MASKING),
            "Secrets that are masked in requests and answers.",
        ),
        may(
            "approval_service",
            Takes::Object(&services::APPROVAL_SERVICE),
            "Who is asked for approvals: the console, or any HTTP ext_authz service.",
        ),
        must(
            "audit",
            Takes::Object(&services::AUDIT),
            "Where records go.",
        ),
        may(
            "limits",
            Takes::Object(&services::LIMITS),
            "Sizes up to which the gateway reads.",
        ),
        may(
            "undecided",
            Takes::Object(&services::UNDECIDED),
            "Answers to what could not be read, other than deny.",
        ),
    ],
};

/// The JSON Schema (2020-12) of a policy.
pub fn schema() -> Value {
    shape::schema(&DOCUMENT)
}

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
    let document = root.object(&DOCUMENT)?;
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

    let unknown_reads = document
        .get("unknown_reads")
        .and_then(|u| u.choice(ACTIONS))
        .unwrap_or(Action::Allow);

    let secrets = services::secrets(&document, environment);
    let mut identity = identity::read(&document);
    let connections = connections::read(&document, &secrets);
    let rules = rules::read(&document, &connections);
    let asked = rules::claims(&rules);
    for provider in &mut identity.providers {
        provider.config.kept_claims.clone_from(&asked);
    }
    let masking = masking::read(&document, &secrets);
    let approval_service = services::approval_service(&document, &secrets);
    let audit = services::audit(&document, &secrets);
    let limits = services::limits(&document);
    let undecided = services::undecided(&document);

    let asks = |action: Action| action == Action::RequireApproval;
    let asking = default.is_some_and(asks)
        || asks(unknown_writes)
        || asks(unknown_reads)
        || rules.iter().any(rules::may_ask)
        || connections
            .iter()
            .flat_map(|c| [c.default, c.unknown_writes, c.unknown_reads])
            .flatten()
            .any(asks);
    if asking && approval_service.is_none() {
        document.fault("`approval_service` is missing: this policy asks for approvals");
    }

    let mut document = String::new();
    canonical(root.value(), &mut document);
    Some(Policy {
        digest: crate::hex(&Sha256::digest(document.as_bytes())),
        document,
        mode,
        providers: identity.providers,
        token_locations: identity.token_locations,
        revoked: identity.revoked,
        connections,
        default: default.unwrap_or(Action::Deny),
        unknown_writes,
        unknown_reads,
        index: RuleIndex::new(&rules),
        rules,
        masking: masking?,
        approval_service,
        audit: audit?,
        limits,
        undecided,
    })
}

/// Writes JSON with sorted keys and no blanks.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            out.push('{');
            for (at, (key, value)) in entries.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                canonical(item, out);
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

#[cfg(test)]
mod masking_tests;

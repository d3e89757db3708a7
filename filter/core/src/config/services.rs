//! `secrets`, `masking`, `approval_service`, `audit`, `limits` and `undecided`.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::Environment;
use super::decode::{Node, Object};
use crate::mask::{CustomRule, MaskConfig, MaskPath, MaskSet};
use crate::policy::{Action, ApprovalService, Audit, Delivery, Limits, Masking, Secret};
use crate::reason::Reason;

/// The named secrets of the policy, resolved.
#[derive(Debug, Default)]
pub struct Secrets(BTreeMap<String, Option<Secret>>);

impl Secrets {
    /// The secret that `node` names. A name that is declared but could not be resolved was
    /// reported where it is declared.
    pub fn named(&self, node: &Node) -> Option<Secret> {
        let name = node.string()?;
        match self.0.get(&name) {
            Some(secret) => secret.clone(),
            None => {
                node.fault(format!(
                    "no secret is named `{name}`; declare it under `secrets`"
                ));
                None
            }
        }
    }
}

/// Reads `secrets`: each comes from an environment variable of the gateway.
pub fn secrets(document: &Object, environment: Environment) -> Secrets {
    let mut secrets = BTreeMap::new();
    let Some(section) = document.get("secrets").and_then(|n| n.map()) else {
        return Secrets::default();
    };
    for (name, node) in section.entries() {
        secrets.insert(name.to_owned(), secret(&node, environment));
    }
    Secrets(secrets)
}

fn secret(node: &Node, environment: Environment) -> Option<Secret> {
    let variable = node
        .object(&["env"])?
        .require("env", "the environment variable that holds it")?
        .string()?;
    let Some(value) = environment(&variable) else {
        node.fault(format!(
            "the environment variable {variable} is not set; set it for Envoy and list it under \
             vm_config.environment_variables.host_env_keys"
        ));
        return None;
    };
    let value = value.trim();
    // What ends up in a header must not be able to end it.
    if value.len() < 8 || !value.bytes().all(|b| b.is_ascii_graphic()) {
        node.fault(format!("the value of {variable} is not a credential: at least 8 printable characters, no blanks"));
        return None;
    }
    Some(Secret::new(value.to_owned()))
}

/// Reads `masking`. Without it nothing is masked but the injected credential.
pub fn masking(document: &Object) -> Option<Masking> {
    #[derive(Clone, Copy, PartialEq)]
    enum MaskAction {
        Mask,
        Deny,
    }
    let none = Rc::new(
        MaskSet::compile(&MaskConfig {
            rules: Vec::new(),
            custom: Vec::new(),
        })
        .ok()?,
    );
    let Some(section) = document
        .get("masking")
        .and_then(|n| n.object(&["request", "response", "custom"]))
    else {
        return Some(Masking {
            request: None,
            deny_request: false,
            response: None,
            none,
        });
    };
    let (custom, custom_nodes) = custom_rules(&section);
    let direction = |key: &str, may_deny: bool| {
        let node = section.get(key)?;
        let object = node.object(&["rules", "action"])?;
        let rules = object
            .require("rules", "names of masking rules, or `default` for all")
            .map(|n| n.strings())?;
        let choices: &[(&str, MaskAction)] = match may_deny {
            true => &[("mask", MaskAction::Mask), ("deny", MaskAction::Deny)],
            false => &[("mask", MaskAction::Mask)],
        };
        let action = object
            .require("action", "mask, or deny (requests only)")
            .and_then(|n| n.choice(choices))?;
        match MaskSet::compile(&MaskConfig {
            rules,
            custom: custom.clone(),
        }) {
            Ok(set) => Some((Rc::new(set), action)),
            Err(faults) => {
                for (place, message) in faults {
                    match place {
                        MaskPath::Custom(index) => {
                            custom_nodes.get(index).unwrap_or(&node).fault(message)
                        }
                        MaskPath::Rule(_) => node.fault(message),
                    }
                }
                None
            }
        }
    };
    let request = direction("request", true);
    let response = direction("response", false);
    Some(Masking {
        none,
        deny_request: request
            .as_ref()
            .is_some_and(|(_, action)| *action == MaskAction::Deny),
        request: request.map(|(set, _)| set),
        response: response.map(|(set, _)| set),
    })
}

fn custom_rules<'a>(section: &Object<'a>) -> (Vec<CustomRule>, Vec<Node<'a>>) {
    let mut rules = Vec::new();
    let mut nodes = Vec::new();
    for node in section.get("custom").map(|n| n.list()).unwrap_or_default() {
        let Some(object) = node.object(&["id", "regex"]) else {
            continue;
        };
        let id = object
            .require("id", "the mask shows it")
            .and_then(|n| n.string());
        let regex = object
            .require("regex", "what it matches")
            .and_then(|n| n.string());
        if let (Some(id), Some(regex)) = (id, regex) {
            rules.push(CustomRule { id, regex });
            nodes.push(node);
        }
    }
    (rules, nodes)
}

/// Reads `approval_service`.
pub fn approval_service(document: &Object, secrets: &Secrets) -> Option<ApprovalService> {
    const KEYS: &[&str] = &[
        "cluster",
        "protocol",
        "authority",
        "path_prefix",
        "credential",
        "on_error",
    ];
    let object = document.get("approval_service")?.object(KEYS)?;
    let cluster = object
        .require("cluster", "the Envoy cluster of the service")
        .and_then(|n| n.string());
    object
        .get("protocol")
        .and_then(|n| n.choice(&[("http", ())]));
    if let Some(node) = object.get("on_error")
        && node.choice(&[("deny", Some(())), ("allow", None)]) == Some(None)
    {
        node.fault(
            "`allow` would let a request through that nobody approved; only `deny` is possible",
        );
    }
    let path_prefix = object
        .get("path_prefix")
        .and_then(|n| n.string())
        .unwrap_or_else(|| "/ext_authz".to_owned());
    let credential = object.get("credential").and_then(|n| bearer(&n, secrets));
    let cluster = cluster?;
    Some(ApprovalService {
        authority: object
            .get("authority")
            .and_then(|n| n.string())
            .unwrap_or_else(|| cluster.clone()),
        cluster,
        path_prefix: path_prefix.trim_end_matches('/').to_owned(),
        credential,
    })
}

/// Headers that are credentials or hold them, for any client or upstream: never in a record.
const CREDENTIAL_HEADERS: &[&str] = &[
    "api-key",
    "authorization",
    "cookie",
    "proxy-authorization",
    "set-cookie",
    "set-cookie2",
    "x-api-key",
    "x-goog-api-key",
    "x-functions-key",
    "ocp-apim-subscription-key",
    "private-token",
];

/// The headers that records keep.
fn captured_headers(node: &Node) -> Vec<String> {
    let mut names = node.strings();
    for name in &mut names {
        name.make_ascii_lowercase();
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(is_name) {
            node.fault(format!("`{name}` is not the name of a header"));
        } else if CREDENTIAL_HEADERS.contains(&name.as_str())
            || name.contains("token")
            || name.contains("secret")
        {
            node.fault(format!(
                "`{name}` holds credentials, and those are never in a record"
            ));
        }
    }
    names.sort();
    names.dedup();
    names
}

/// Reads `audit`; a gateway without a trail is not offered.
pub fn audit(document: &Object, secrets: &Secrets) -> Option<Audit> {
    let section = document.require("audit", "say where records go")?;
    let object = section.object(&["sink", "delivery", "capture", "queue", "timeout"])?;
    let sink = object
        .require("sink", "the console, or any OTLP/HTTP collector")
        .and_then(|n| n.object(&["cluster", "authority", "path", "credential"]))?;
    let cluster = sink
        .require("cluster", "the Envoy cluster of the sink")
        .and_then(|n| n.string());
    let deliveries = &[
        ("strict", Delivery::Strict),
        ("best_effort", Delivery::BestEffort),
    ];
    let delivery = object
        .require("delivery", "strict or best_effort")
        .and_then(|n| n.choice(deliveries));
    let capture = object
        .get("capture")
        .and_then(|n| n.object(&["request_body", "response_body", "headers"]));
    let size = |key: &str, default: u64| {
        let node = capture.as_ref().and_then(|c| c.get(key));
        node.and_then(|n| n.bytes()).unwrap_or(default) as usize
    };
    let credential = sink.get("credential").and_then(|n| bearer(&n, secrets));
    let cluster = cluster?;
    Some(Audit {
        authority: sink
            .get("authority")
            .and_then(|n| n.string())
            .unwrap_or_else(|| cluster.clone()),
        cluster,
        path: sink
            .get("path")
            .and_then(|n| n.string())
            .unwrap_or_else(|| "/v1/logs".to_owned()),
        credential,
        delivery: delivery?,
        capture_request: size("request_body", 256 << 10),
        capture_response: size("response_body", 1 << 20),
        capture_headers: capture
            .as_ref()
            .and_then(|c| c.get("headers"))
            .map(|n| captured_headers(&n))
            .unwrap_or_default(),
        queue: object
            .get("queue")
            .and_then(|n| n.integer(16..=1_000_000))
            .unwrap_or(4_096) as usize,
        timeout_ms: object
            .get("timeout")
            .and_then(|n| n.duration_ms())
            .unwrap_or(5_000),
    })
}

/// A secret that shows the gateway to one of its own services.
fn bearer(node: &Node, secrets: &Secrets) -> Option<Secret> {
    let object = node.object(&["secret"])?;
    object
        .require("secret", "the name of one of `secrets`")
        .and_then(|n| secrets.named(&n))
}

/// Reads `limits`.
pub fn limits(document: &Object) -> Limits {
    let object = document
        .get("limits")
        .and_then(|n| n.object(&["request_body", "waiting_body", "first_body"]));
    let get = |key: &str| object.as_ref().and_then(|o| o.get(key));
    Limits {
        request_body: get("request_body")
            .and_then(|n| n.bytes())
            .unwrap_or(1 << 20) as usize,
        waiting_body: get("waiting_body")
            .and_then(|n| n.bytes())
            .unwrap_or(4 << 20) as usize,
        first_body_ms: get("first_body")
            .and_then(|n| n.duration_ms())
            .unwrap_or(10_000)
            .max(100),
    }
}

/// Reads `undecided`: answers to what could not be read, other than "deny". Identity, approval and
/// audit are not among them: those are never skipped.
pub fn undecided(document: &Object) -> BTreeMap<Reason, Action> {
    const OPEN: &[Reason] = &[
        Reason::BodyTooLarge,
        Reason::BodyEncoding,
        Reason::BodyUnreadable,
        Reason::ResponseEncoding,
    ];
    let mut answers = BTreeMap::new();
    let Some(section) = document.get("undecided").and_then(|n| n.map()) else {
        return answers;
    };
    for (code, node) in section.entries() {
        match OPEN.iter().find(|r| r.code() == code) {
            Some(reason) => {
                let action = node.choice(&[("deny", Action::Deny), ("allow", Action::Allow)]);
                answers.insert(*reason, action.unwrap_or(Action::Deny));
            }
            None => {
                let known: Vec<&str> = OPEN.iter().map(|r| r.code()).collect();
                node.fault(format!(
                    "this outcome has no answer of its own; known here: {}",
                    known.join(", ")
                ));
            }
        }
    }
    answers
}

//! `secrets`, `approval_service`, `audit`, `limits` and `undecided`.

use std::collections::BTreeMap;

use super::Environment;
use super::decode::{Node, Object};
use super::shape::{Shape, Takes, may, must};
use crate::ext_authz::names_content;
use crate::policy::{Action, ApprovalService, Audit, Delivery, Limits, Secret, ServiceProtocol};
use crate::reason::Reason;

pub static SECRET: Shape = Shape {
    name: "secret",
    about: "A secret of the gateway.",
    fields: &[must(
        "env",
        Takes::Text,
        "The environment variable of Envoy that holds it.",
    )],
};

static BEARER: Shape = Shape {
    name: "bearer",
    about: "A bearer token.",
    fields: &[must("secret", Takes::Text, "The name of one of `secrets`.")],
};

pub static APPROVAL_SERVICE: Shape = Shape {
    name: "approval_service",
    about: "A service that answers whether a person has approved.",
    fields: &[
        must("cluster", Takes::Text, "Its Envoy cluster."),
        may(
            "protocol",
            Takes::Choice(&["http", "grpc"]),
            "How it is asked: as Envoy's ext_authz asks an HTTP service (unless said otherwise), or \
             envoy.service.auth.v3.Authorization over gRPC, for which its cluster has to speak HTTP/2.",
        ),
        may(
            "authority",
            Takes::Text,
            "Its host; the cluster's name unless said otherwise.",
        ),
        may(
            "path_prefix",
            Takes::Text,
            "Put before the original path, over HTTP; /ext_authz unless said otherwise.",
        ),
        may(
            "credential",
            Takes::Object(&BEARER),
            "Shows the gateway to it.",
        ),
        may(
            "timeout",
            Takes::Duration,
            "How long one question may take, for a service that answers at once; it is asked again until \
             the hold ends. As long as the hold unless said otherwise.",
        ),
        may(
            "request_headers",
            Takes::List(&Takes::Text),
            "Names of request headers that it is shown, such as cookie; none unless said otherwise.",
        ),
        may(
            "upstream_headers",
            Takes::List(&Takes::Text),
            "Names of headers of its yes that are put on the request, over HTTP. Over gRPC the answer \
             names them itself.",
        ),
        may(
            "on_error",
            Takes::Choice(&["deny"]),
            "What happens when it cannot be asked, does not answer in time, or is not understood: what \
             nobody approved is not let through.",
        ),
    ],
};

pub static AUDIT: Shape = Shape {
    name: "audit",
    about: "The trail.",
    fields: &[
        must(
            "sink",
            Takes::Object(&SINK),
            "The console, or any OTLP/HTTP collector.",
        ),
        must(
            "delivery",
            Takes::Choice(&["strict", "best_effort"]),
            "strict: nothing is forwarded before its record is acknowledged.",
        ),
        may(
            "capture",
            Takes::Object(&CAPTURE),
            "How much of bodies is kept.",
        ),
        may(
            "queue",
            Takes::Integer(16, 1_000_000),
            "Records that a worker queues at most; 4096 unless said otherwise.",
        ),
        may(
            "timeout",
            Takes::Duration,
            "How long a strict request waits for its record; 5s unless said otherwise.",
        ),
    ],
};

static SINK: Shape = Shape {
    name: "sink",
    about: "Where records go.",
    fields: &[
        must("cluster", Takes::Text, "Its Envoy cluster."),
        may(
            "authority",
            Takes::Text,
            "Its host; the cluster's name unless said otherwise.",
        ),
        may("path", Takes::Text, "/v1/logs unless said otherwise."),
        may(
            "credential",
            Takes::Object(&BEARER),
            "Shows the gateway to it.",
        ),
    ],
};

static CAPTURE: Shape = Shape {
    name: "capture",
    about: "How much of bodies a record keeps.",
    fields: &[
        may("request_body", Takes::Size, "256KiB unless said otherwise."),
        may("response_body", Takes::Size, "1MiB unless said otherwise."),
        may(
            "headers",
            Takes::List(&Takes::Text),
            "Names of request and response headers that are kept; those that hold credentials never are.",
        ),
    ],
};

pub static LIMITS: Shape = Shape {
    name: "limits",
    about: "Sizes up to which the gateway reads, and how much one caller may ask.",
    fields: &[
        may(
            "request_body",
            Takes::Size,
            "A request body that has to be judged or masked whole; 1MiB unless said otherwise.",
        ),
        may(
            "waiting_body",
            Takes::Size,
            "What may wait in Envoy's buffer beyond that; 4MiB unless said otherwise.",
        ),
        may(
            "first_body",
            Takes::Duration,
            "How long to wait for a body's first byte on a new worker; 10s unless said otherwise.",
        ),
        may(
            "held_response",
            Takes::Size,
            "An answer that waits for a person (`hold: response`); 512KiB unless said otherwise. Must be \
             below the listener's per_connection_buffer_limit_bytes.",
        ),
        may(
            "open_approvals",
            Takes::Integer(1, 100_000),
            "Questions that one identity may have open at the approval service; 20 unless said \
             otherwise. What comes beyond is denied with the reason approval_limit.",
        ),
    ],
};

const OPEN: Takes = Takes::Choice(&["deny", "allow"]);

pub static UNDECIDED: Shape = Shape {
    name: "undecided",
    about: "Identity, approval and audit are not among these: they are never skipped.",
    fields: &[
        may("body_too_large", OPEN, "The body is over the limit."),
        may("body_encoding", OPEN, "The body has a content encoding."),
        may("body_unreadable", OPEN, "The body could not be parsed."),
        may(
            "response_encoding",
            OPEN,
            "The answer came in an encoding that can not be masked.",
        ),
    ],
};

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
        .object(&SECRET)?
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

/// Reads `approval_service`.
pub fn approval_service(document: &Object, secrets: &Secrets) -> Option<ApprovalService> {
    let object = document
        .get("approval_service")?
        .object(&APPROVAL_SERVICE)?;
    let cluster = object
        .require("cluster", "the Envoy cluster of the service")
        .and_then(|n| n.string());
    let protocol = object
        .get("protocol")
        .and_then(|n| {
            n.choice(&[
                ("http", ServiceProtocol::Http),
                ("grpc", ServiceProtocol::Grpc),
            ])
        })
        .unwrap_or(ServiceProtocol::Http);
    for key in ["path_prefix", "upstream_headers"] {
        if let (ServiceProtocol::Grpc, Some(node)) = (protocol, object.get(key)) {
            node.fault(format!("`{key}` belongs to `protocol: http`"));
        }
    }
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
        protocol,
        timeout_ms: object.get("timeout").and_then(|n| n.duration_ms()),
        request_headers: object
            .get("request_headers")
            .map(|n| header_names(&n, |_| None))
            .unwrap_or_default(),
        upstream_headers: object
            .get("upstream_headers")
            .map(|n| {
                header_names(&n, |name| {
                    names_content(name).then_some("says where a request goes or how it is read")
                })
            })
            .unwrap_or_default(),
        authority: object
            .get("authority")
            .and_then(|n| n.string())
            .unwrap_or_else(|| cluster.clone()),
        cluster,
        path_prefix: path_prefix.trim_end_matches('/').to_owned(),
        credential,
    })
}

/// Names of headers, lower case; `objection` says what is wrong with one.
fn header_names(node: &Node, objection: fn(&str) -> Option<&'static str>) -> Vec<String> {
    let mut names = node.strings();
    for name in &mut names {
        name.make_ascii_lowercase();
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(is_name) {
            node.fault(format!("`{name}` is not the name of a header"));
        } else if let Some(objection) = objection(name) {
            node.fault(format!("`{name}` {objection}"));
        }
    }
    names
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
    let mut names = header_names(node, |name| {
        let secret =
            CREDENTIAL_HEADERS.contains(&name) || name.contains("token") || name.contains("secret");
        secret.then_some("holds credentials, and those are never in a record")
    });
    names.sort();
    names.dedup();
    names
}

/// Reads `audit`; a gateway without a trail is not offered.
pub fn audit(document: &Object, secrets: &Secrets) -> Option<Audit> {
    let section = document.require("audit", "say where records go")?;
    let object = section.object(&AUDIT)?;
    let sink = object
        .require("sink", "the console, or any OTLP/HTTP collector")
        .and_then(|n| n.object(&SINK))?;
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
    let capture = object.get("capture").and_then(|n| n.object(&CAPTURE));
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
    let object = node.object(&BEARER)?;
    object
        .require("secret", "the name of one of `secrets`")
        .and_then(|n| secrets.named(&n))
}

/// Reads `limits`.
pub fn limits(document: &Object) -> Limits {
    let object = document.get("limits").and_then(|n| n.object(&LIMITS));
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
        held_response: get("held_response")
            .and_then(|n| n.bytes())
            .unwrap_or(512 << 10) as usize,
        open_approvals: get("open_approvals")
            .and_then(|n| n.integer(1..=100_000))
            .unwrap_or(20),
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

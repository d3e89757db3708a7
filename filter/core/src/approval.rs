//! Asking a person: the HTTP contract of Envoy's `ext_authz`, with the request described in the
//! body, and the fingerprint that binds an answer to the bytes that were asked about.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::effect::{Call, CallAnswer};
use crate::head::{Headers, RequestHead};
use crate::identity::Identity;
use crate::operation::{Operation, Target};
use crate::policy::{Approval, ApprovalService, Consent};
use crate::record::{Captured, operation_json};

/// Milliseconds that the service may take longer than the hold to say "not answered".
const GRACE_MS: u64 = 5_000;

/// Bytes of a body that a reviewer is shown at most.
const SHOWN_BODY: usize = 64 << 10;

/// What is asked.
#[derive(Debug)]
pub struct Question<'a> {
    /// The exchange that waits.
    pub exchange: &'a str,
    /// See [`fingerprint`].
    pub fingerprint: &'a str,
    /// Who asks.
    pub identity: &'a Identity,
    /// The client's session, if it names one.
    pub session: Option<&'a str>,
    /// Connection name.
    pub connection: &'a str,
    /// The request.
    pub head: &'a RequestHead,
    /// SHA-256 of the body that is bound, hexadecimal.
    pub body_sha256: &'a str,
    /// Its size in bytes.
    pub body_size: usize,
    /// What the reviewer sees of it, after masking.
    pub body: &'a Captured,
    /// What it does.
    pub operations: &'a [Operation],
    /// The rule that asks; `None` for a default.
    pub rule: Option<&'a str>,
    /// The rule's reason.
    pub reason: Option<&'a str>,
    /// Policy digest.
    pub policy: &'a str,
    /// Who may answer and how long the request waits.
    pub approval: &'a Approval,
    /// Milliseconds of the hold that are left.
    pub hold_ms: u64,
    /// The claims that the service is told.
    pub claims: &'a [String],
}

/// What the service said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Go on.
    Approved(Given),
    /// Do not; the text is the reviewer's reason.
    Refused(Given, String),
    /// Nobody answered in time; the same request may come again.
    Pending {
        /// The approval's id.
        id: String,
        /// Where a reviewer finds it.
        url: String,
        /// Unix seconds until which a later answer counts.
        expires: Option<u64>,
    },
    /// A newer copy of the same request waits for the answer.
    Superseded(String),
    /// The service could not be asked, or its answer not be understood.
    Unavailable {
        /// For the log.
        why: String,
        /// Whether asking again can help.
        again: bool,
    },
}

/// Who answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// The approval's id.
    pub id: String,
    /// The reviewer.
    pub by: String,
    /// When, as RFC 3339 text.
    pub at: String,
}

/// Binds an approval to a request: identity, connection, method, authority, path, body and policy.
/// Every field is preceded by its length, so no two requests share an input.
pub fn fingerprint(
    identity: &Identity,
    connection: &str,
    head: &RequestHead,
    body_sha256: &str,
    policy: &str,
) -> String {
    let mut hash = Sha256::new();
    let host = head.host();
    let fields = [
        "countersign fingerprint v1",
        &identity.provider,
        &identity.subject,
        connection,
        &head.method,
        &host,
        &head.path,
        head.headers.text("content-type").unwrap_or_default(),
        body_sha256,
        policy,
    ];
    for field in fields {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field.as_bytes());
    }
    crate::hex(&hash.finalize())
}

/// The call that asks.
pub fn ask(service: &ApprovalService, question: &Question) -> Call {
    let mut headers = vec![
        (":method".to_owned(), question.head.method.clone()),
        (
            ":path".to_owned(),
            format!("{}{}", service.path_prefix, question.head.path),
        ),
        (":authority".to_owned(), service.authority.clone()),
        ("content-type".to_owned(), "application/json".to_owned()),
        (
            "x-countersign-exchange".to_owned(),
            question.exchange.to_owned(),
        ),
        (
            "x-countersign-fingerprint".to_owned(),
            question.fingerprint.to_owned(),
        ),
        (
            "x-countersign-hold".to_owned(),
            question.hold_ms.to_string(),
        ),
    ];
    if let Some(credential) = &service.credential {
        headers.push((
            "authorization".to_owned(),
            format!("Bearer {}", credential.expose()),
        ));
    }
    Call {
        cluster: service.cluster.clone(),
        headers,
        body: describe(question).to_string().into_bytes(),
        timeout_ms: question.hold_ms + GRACE_MS,
    }
}

fn describe(question: &Question) -> Value {
    let mut shown = Captured::default();
    shown.add(&question.body.bytes, SHOWN_BODY);
    shown.truncated |= question.body.truncated;
    let (body, encoding) = shown.text();
    let identity = question.identity;
    json!({
        "exchange": question.exchange,
        "fingerprint": question.fingerprint,
        "identity": {
            "provider": identity.provider,
            "subject": identity.subject,
            "email": identity.email,
            "groups": identity.groups,
            "claims": question.claims.iter().filter_map(|path| {
                Some((path.clone(), identity.claim(path)?.clone()))
            }).collect::<Map<String, Value>>(),
        },
        "connection": question.connection,
        "session": question.session,
        "request": {
            "method": question.head.method,
            "authority": question.head.authority,
            "path": question.head.path,
            "content_type": question.head.headers.text("content-type"),
            "body_sha256": question.body_sha256,
            "body_size": question.body_size,
            "body": body,
            "body_encoding": encoding,
            "body_truncated": shown.truncated,
        },
        "operations": question.operations.iter().map(operation_json).collect::<Vec<_>>(),
        "summary": summary(question.operations),
        "rule": question.rule,
        "reason": question.reason,
        "policy": question.policy,
        "approval": terms(question.approval),
    })
}

/// Who has to agree and for how long. The one consent of a plain rule is there by itself as well,
/// for services that read no more.
fn terms(approval: &Approval) -> Value {
    let consent = |consent: &Consent| {
        let reviewers = &consent.reviewers;
        let claims: Map<String, Value> = reviewers
            .claims
            .iter()
            .map(|(path, patterns)| (path.clone(), json!(patterns)))
            .collect();
        json!({
            "reviewers": {"groups": reviewers.groups, "subjects": reviewers.subjects, "claims": claims},
            "min": consent.min,
        })
    };
    let demands: Vec<Value> = approval
        .demands
        .iter()
        .map(|demand| {
            let any_of: Vec<Value> = demand.any_of.iter().map(consent).collect();
            json!({"rule": demand.rule, "any_of": any_of})
        })
        .collect();
    let mut terms = match approval.demands.as_slice() {
        [one] if one.any_of.len() == 1 => one.any_of.iter().map(consent).next(),
        _ => None,
    }
    .unwrap_or_else(|| json!({}));
    terms["demands"] = demands.into();
    terms["hold_ms"] = approval.hold_ms.into();
    terms["ticket_s"] = approval.ticket_s.into();
    terms
}

/// Says in words what the operations do: `ref.push refs/heads/main in acme/web`.
pub fn summary(operations: &[Operation]) -> String {
    let mut parts: Vec<String> = operations.iter().take(3).map(phrase).collect();
    if operations.len() > parts.len() {
        parts.push(format!("and {} more", operations.len() - parts.len()));
    }
    parts.join(", ")
}

fn phrase(operation: &Operation) -> String {
    let mut words = operation.name.clone();
    match &operation.reference {
        Target::Known(reference) => words.push_str(&format!(" {reference}")),
        Target::Any => words.push_str(" on a ref that the request does not name"),
        Target::None => {}
    }
    if let crate::operation::Paths::Known(paths) = &operation.paths {
        match paths.as_slice() {
            [path] => words.push_str(&format!(" {path}")),
            paths => words.push_str(&format!(" {} files", paths.len())),
        }
    }
    match &operation.repo {
        Target::Known(repo) => words.push_str(&format!(" in {repo}")),
        Target::Any => words.push_str(" in a repository that the request does not name"),
        Target::None => {}
    }
    words
}

/// Reads the service's answer. Status 200 is the only yes; 5xx and silence are neither yes nor no.
pub fn read_answer(answer: &CallAnswer) -> Answer {
    let header = |name: &str| text(&answer.headers, name);
    let given = || Given {
        id: header("x-countersign-approval"),
        by: header("x-countersign-approver"),
        at: header("x-countersign-approved-at"),
    };
    match answer.status {
        Some(200) => Answer::Approved(given()),
        // Any other ext_authz service: 403 is its no.
        Some(403) => match header("x-countersign-decision").as_str() {
            "pending" => Answer::Pending {
                id: header("x-countersign-approval"),
                url: header("x-countersign-approval-url"),
                expires: header("x-countersign-ticket-expires").parse().ok(),
            },
            "superseded" => Answer::Superseded(header("x-countersign-approval")),
            _ => Answer::Refused(given(), reason(&answer.body)),
        },
        Some(401) => Answer::Unavailable {
            why: "it does not accept the gateway's credential (401)".to_owned(),
            again: false,
        },
        // What it did not understand it has not refused; asking again changes nothing.
        Some(status) => Answer::Unavailable {
            why: format!("status {status}"),
            again: matches!(status, 429 | 500..=599),
        },
        None => Answer::Unavailable {
            why: "no answer".to_owned(),
            again: true,
        },
    }
}

fn text(headers: &Headers, name: &str) -> String {
    headers.text(name).unwrap_or_default().to_owned()
}

fn reason(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    body.get("reason")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .chars()
        .take(500)
        .collect()
}

#[cfg(test)]
#[path = "approval_tests.rs"]
mod tests;

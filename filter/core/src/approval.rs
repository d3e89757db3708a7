//! Asking a person: what is asked, the fingerprint that binds an answer to the bytes that were asked
//! about, and what an answer means. How it travels is [`crate::ext_authz`]'s matter.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::effect::{Call, CallAnswer};
use crate::ext_authz::{self, Change, Check, Refusal, Subject};
use crate::head::{Headers, RequestHead};
use crate::identity::Identity;
use crate::operation::{Operation, Target};
use crate::policy::{Approval, ApprovalService, Consent, Reviewers};
use crate::record::{Captured, operation_json};

/// Milliseconds that the service may take longer than the hold to say "not answered".
const GRACE_MS: u64 = 5_000;

/// Bytes of a body that a reviewer is shown at most.
pub const SHOWN_BODY: usize = 64 << 10;

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
    /// Its address.
    pub client: &'a str,
    /// Unix seconds.
    pub now_s: u64,
    /// The request.
    pub head: &'a RequestHead,
    /// SHA-256 of the body that is bound, hexadecimal.
    pub body_sha256: &'a str,
    /// Its size in bytes.
    pub body_size: usize,
    /// What the reviewer sees of it, after masking.
    pub body: &'a Captured,
    /// The answer that waits, where it is not the request.
    pub answer: Option<&'a Shown>,
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
    /// Milliseconds of the whole hold.
    pub hold_whole_ms: u64,
    /// Milliseconds of the hold that are left.
    pub hold_ms: u64,
    /// The claims that the service is told.
    pub claims: &'a [String],
    /// Questions of one identity that may be open.
    pub open: u64,
}

/// An answer that is asked about.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its status.
    pub status: u16,
    /// Its media type.
    pub content_type: String,
    /// Bytes of its body.
    pub size: usize,
    /// SHA-256 of them.
    pub sha256: String,
    /// The files that it names and the rule asks about.
    pub paths: Vec<String>,
    /// What the reviewer sees of it, after masking.
    pub body: Captured,
}

/// What the service said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Go on.
    Approved {
        /// By whom.
        given: Given,
        /// What the service changes of the request.
        request: Vec<Change>,
        /// What it changes of the answer.
        response: Vec<Change>,
    },
    /// Do not.
    Refused {
        /// By whom.
        given: Given,
        /// The reviewer's reason.
        text: String,
        /// The no of a service that words it itself.
        as_worded: Option<Refusal>,
    },
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
    /// The policy that asks is not in force any more.
    PolicyChanged,
    /// Too many questions of this identity are open.
    Limited,
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
    // A service that decides at once may be given less; one that asks people needs the whole hold.
    let patience = question.hold_ms + GRACE_MS;
    let subject = Subject {
        exchange: question.exchange,
        principal: &question.identity.subject,
        client: question.client,
        head: question.head,
        body_size: question.body_size,
        now_s: question.now_s,
        question: describe(question).to_string(),
        facts: vec![
            ("x-countersign-exchange", question.exchange.to_owned()),
            ("x-countersign-fingerprint", question.fingerprint.to_owned()),
            ("x-countersign-hold", question.hold_ms.to_string()),
        ],
        timeout_ms: service.timeout_ms.map_or(patience, |ms| ms.min(patience)),
    };
    ext_authz::ask(service, subject)
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
        "summary": heading(question),
        "answer": question.answer.map(answer_json),
        "rule": question.rule,
        "reason": question.reason,
        "policy": question.policy,
        "approval": terms(question),
    })
}

/// Who has to agree and for how long. The one consent of a plain rule is there by itself as well,
/// for services that read no more.
fn terms(question: &Question) -> Value {
    let approval = question.approval;
    let consent = |consent: &Consent| -> Map<String, Value> {
        let Reviewers {
            groups,
            subjects,
            claims,
        } = &consent.reviewers;
        let claims: Map<String, Value> = claims
            .iter()
            .map(|(path, patterns)| (path.clone(), json!(patterns)))
            .collect();
        let reviewers = json!({"groups": groups, "subjects": subjects, "claims": claims});
        let pairs = [("reviewers", reviewers), ("min", json!(consent.min))];
        pairs
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .collect()
    };
    let demands: Vec<Value> = approval
        .demands
        .iter()
        .map(|demand| {
            let any_of: Vec<_> = demand.any_of.iter().map(consent).collect();
            json!({"rule": demand.rule, "any_of": any_of})
        })
        .collect();
    let mut terms = match approval.demands.as_slice() {
        [one] if one.any_of.len() == 1 => one.any_of.iter().map(consent).next(),
        _ => None,
    }
    .unwrap_or_default();
    for (name, value) in [
        ("demands", demands.into()),
        ("hold_ms", question.hold_whole_ms.into()),
        ("ticket_s", approval.ticket_s.into()),
        ("open", question.open.into()),
    ] {
        terms.insert(name.to_owned(), value);
    }
    terms.into()
}

fn answer_json(answer: &Shown) -> Value {
    let (body, encoding) = answer.body.text();
    json!({
        "status": answer.status,
        "content_type": answer.content_type,
        "body_sha256": answer.sha256,
        "body_size": answer.size,
        "paths": answer.paths,
        "body": body,
        "body_encoding": encoding,
        "body_truncated": answer.body.truncated,
    })
}

/// What a reviewer reads first.
fn heading(question: &Question) -> String {
    let done = summary(question.operations);
    match question.answer.map(|answer| answer.paths.as_slice()) {
        None => done,
        Some([]) => format!("deliver the answer to {done}"),
        Some(paths) => format!(
            "deliver the answer to {done}, which names {}",
            paths.join(", ")
        ),
    }
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

/// Reads the service's answer.
pub fn read_answer(service: &ApprovalService, answer: &CallAnswer) -> Answer {
    match ext_authz::read(service, answer) {
        Check::Ok {
            facts,
            request,
            response,
        } => Answer::Approved {
            given: given(&facts),
            request,
            response,
        },
        Check::Denied(refusal) => {
            let header = |name: &str| text(&refusal.headers, name);
            match header("x-countersign-decision").as_str() {
                "pending" => Answer::Pending {
                    id: header("x-countersign-approval"),
                    url: header("x-countersign-approval-url"),
                    expires: header("x-countersign-ticket-expires").parse().ok(),
                },
                "superseded" => Answer::Superseded(header("x-countersign-approval")),
                "policy_changed" => Answer::PolicyChanged,
                "limited" => Answer::Limited,
                // Any other service words its no itself.
                "" => Answer::Refused {
                    given: Given::default(),
                    text: reason(&refusal),
                    as_worded: Some(refusal),
                },
                _ => Answer::Refused {
                    given: given(&refusal.headers),
                    text: reason(&refusal),
                    as_worded: None,
                },
            }
        }
        Check::Error { why, again } => Answer::Unavailable { why, again },
    }
}

fn given(headers: &Headers) -> Given {
    Given {
        id: text(headers, "x-countersign-approval"),
        by: text(headers, "x-countersign-approver"),
        at: text(headers, "x-countersign-approved-at"),
    }
}

fn text(headers: &Headers, name: &str) -> String {
    headers.text(name).unwrap_or_default().to_owned()
}

/// The reason in the body: a member of a JSON object, or a plain text.
fn reason(refusal: &Refusal) -> String {
    let text = match serde_json::from_slice::<Value>(&refusal.body) {
        Ok(body) => {
            let member = |name: &&str| body.get(*name).and_then(Value::as_str);
            let found = ["reason", "message", "error"].iter().find_map(member);
            found.unwrap_or_default().to_owned()
        }
        Err(_) => {
            let html = refusal.body.first() == Some(&b'<');
            let text = std::str::from_utf8(&refusal.body).ok().filter(|_| !html);
            text.unwrap_or_default().trim().to_owned()
        }
    };
    text.chars().take(500).collect()
}

#[cfg(test)]
#[path = "approval_tests.rs"]
mod tests;

//! Over HTTP: the request's method and path behind a prefix. 200 is the only yes; 3xx and 4xx are a
//! no; anything else is neither.

use super::{Change, Check, How, Refusal, Subject, shown};
use crate::effect::{Call, CallAnswer, CallKind};
use crate::policy::ApprovalService;

/// Names of request headers that the upstream must not get, in an answer that says yes.
const TO_REMOVE: &str = "x-envoy-auth-headers-to-remove";

pub(super) fn ask(service: &ApprovalService, subject: Subject) -> Call {
    let head = subject.head;
    let mut headers = vec![
        (":method".to_owned(), head.method.clone()),
        (
            ":path".to_owned(),
            format!("{}{}", service.path_prefix, head.path),
        ),
        (":authority".to_owned(), service.authority.clone()),
        ("content-type".to_owned(), "application/json".to_owned()),
    ];
    let facts = subject.facts.into_iter();
    headers.extend(facts.map(|(name, value)| (name.to_owned(), value)));
    let shown = shown(service, head).filter(|(name, _)| *name != "content-type");
    headers.extend(shown.map(|(name, value)| (name.to_owned(), value.to_owned())));
    if let Some(credential) = &service.credential {
        headers.retain(|(name, _)| name != "authorization");
        let value = format!("Bearer {}", credential.expose());
        headers.push(("authorization".to_owned(), value));
    }
    Call {
        kind: CallKind::Http,
        cluster: service.cluster.clone(),
        headers,
        body: subject.question.into_bytes(),
        timeout_ms: subject.timeout_ms,
    }
}

pub(super) fn read(service: &ApprovalService, answer: &CallAnswer) -> Check {
    let decision = answer.headers.text("x-countersign-decision");
    let status = match answer.status {
        Some(status) => status,
        None => {
            return Check::Error {
                why: "no answer".to_owned(),
                again: true,
            };
        }
    };
    match status {
        200 => allowed(service, answer).unwrap_or_else(Check::unclear),
        // The gateway's own credential was sent: this is about that, and not about the caller.
        401 if service.credential.is_some() => {
            Check::unclear("it does not accept the gateway's credential (401)")
        }
        // A console that could not decide says so.
        _ if decision == Some("error") => Check::Error {
            why: format!("status {status}"),
            again: matches!(status, 429 | 500..=599),
        },
        300..=499 => Check::Denied(Refusal {
            status,
            headers: answer.headers.clone(),
            body: answer.body.clone(),
        }),
        // 204 is no 200: passed on as a no it would read as a yes.
        status => Check::Error {
            why: format!("status {status}"),
            again: status >= 500,
        },
    }
}

fn allowed(service: &ApprovalService, answer: &CallAnswer) -> Result<Check, String> {
    let mut request = Vec::new();
    for name in &service.upstream_headers {
        let values: Vec<&[u8]> = answer.headers.all(name).collect();
        if !values.is_empty() {
            request.push(Change::new(name, How::Set(values.join(&b", "[..])))?);
        }
    }
    let removed = answer.headers.text(TO_REMOVE).unwrap_or_default();
    for name in removed.split(',').map(str::trim).filter(|n| !n.is_empty()) {
        request.push(Change::new(name, How::Remove)?);
    }
    Ok(Check::Ok {
        facts: answer.headers.clone(),
        request,
        response: Vec::new(),
    })
}

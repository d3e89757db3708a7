//! Over gRPC: `envoy.service.auth.v3.Authorization/Check`. Status 0 inside an answered call is the
//! only yes; a call that failed, or an answer that cannot be read, is neither yes nor no.

use prost::Message;

use super::messages::{
    Address, AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, EnvoyGrpc,
    GrpcService, HeaderValueOption, HttpRequest, HttpResponse, OkHttpResponse, Peer, Request,
    SocketAddress, Status,
};
use super::{Change, Check, How, QUESTION, Refusal, Subject, shown};
use crate::effect::{Call, CallAnswer, CallKind};
use crate::head::Headers;
use crate::policy::ApprovalService;

/// The method's path.
pub const METHOD_PATH: &str = "/envoy.service.auth.v3.Authorization/Check";

/// gRPC's status codes that are named here.
mod code {
    pub const OK: u32 = 0;
    pub const UNKNOWN: u32 = 2;
    pub const DEADLINE_EXCEEDED: u32 = 4;
    pub const RESOURCE_EXHAUSTED: u32 = 8;
    pub const ABORTED: u32 = 10;
    pub const INTERNAL: u32 = 13;
    pub const UNAVAILABLE: u32 = 14;
    pub const UNAUTHENTICATED: u32 = 16;
}

pub(super) fn ask(service: &ApprovalService, subject: Subject) -> Call {
    let head = subject.head;
    let mut request_headers: std::collections::BTreeMap<String, String> = shown(service, head)
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    for (name, value) in [
        (":method", &head.method),
        (":path", &head.path),
        (":authority", &head.authority),
        (":scheme", &head.scheme),
    ] {
        request_headers.insert(name.to_owned(), value.clone());
    }
    let message = CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(Peer {
                address: address(subject.client),
                principal: subject.principal.to_owned(),
            }),
            request: Some(Request {
                time: Some(prost_types::Timestamp {
                    seconds: i64::try_from(subject.now_s).unwrap_or_default(),
                    nanos: 0,
                }),
                http: Some(HttpRequest {
                    id: subject.exchange.to_owned(),
                    method: head.method.clone(),
                    headers: request_headers,
                    path: head.path.clone(),
                    host: head.authority.clone(),
                    scheme: head.scheme.clone(),
                    size: i64::try_from(subject.body_size).unwrap_or(-1),
                    ..HttpRequest::default()
                }),
            }),
            context_extensions: [(QUESTION.to_owned(), subject.question)].into(),
            metadata_context: None,
        }),
    };
    let mut headers = vec![
        (":path".to_owned(), METHOD_PATH.to_owned()),
        (":authority".to_owned(), service.authority.clone()),
    ];
    let facts = subject.facts.into_iter();
    headers.extend(facts.map(|(name, value)| (name.to_owned(), value)));
    if let Some(credential) = &service.credential {
        let value = format!("Bearer {}", credential.expose());
        headers.push(("authorization".to_owned(), value));
    }
    Call {
        kind: CallKind::Grpc,
        cluster: service.cluster.clone(),
        headers,
        body: message.encode_to_vec(),
        timeout_ms: subject.timeout_ms,
    }
}

/// `envoy.config.core.v3.GrpcService` with an `envoy_grpc`: how Envoy is told whom to call.
pub fn envoy_service(cluster: &str, authority: &str) -> Vec<u8> {
    GrpcService {
        envoy_grpc: Some(EnvoyGrpc {
            cluster_name: cluster.to_owned(),
            authority: authority.to_owned(),
        }),
    }
    .encode_to_vec()
}

/// The answer of a service that says no.
pub(super) fn refusal(headers: &[(&str, &str)]) -> CallAnswer {
    let headers = headers.iter();
    let message = CheckResponse {
        status: Some(Status {
            code: 7,
            message: String::new(),
        }),
        http_response: Some(HttpResponse::Denied(DeniedHttpResponse {
            status: None,
            headers: headers
                .map(|(name, value)| HeaderValueOption::set(name, value))
                .collect(),
            body: String::new(),
        })),
        dynamic_metadata: None,
    };
    CallAnswer {
        grpc_status: Some(code::OK),
        body: message.encode_to_vec(),
        ..CallAnswer::default()
    }
}

/// `192.0.2.1:443` or `[2001:db8::1]:443`; others have no address here.
fn address(client: &str) -> Option<Address> {
    let (host, port) = client.rsplit_once(':')?;
    Some(Address {
        socket_address: Some(SocketAddress {
            address: host.trim_matches(['[', ']']).to_owned(),
            port_value: port.parse().ok()?,
        }),
    })
}

pub(super) fn read(answer: &CallAnswer) -> Check {
    match answer.grpc_status {
        None => Check::Error {
            why: "no answer".to_owned(),
            again: true,
        },
        Some(code::OK) => match CheckResponse::decode(answer.body.as_slice()) {
            Ok(response) => read_response(response).unwrap_or_else(Check::unclear),
            Err(_) => Check::unclear("its answer is no CheckResponse"),
        },
        Some(code::UNAUTHENTICATED) => {
            Check::unclear("it does not accept the gateway's credential (gRPC status 16)")
        }
        Some(status) => Check::Error {
            why: format!("gRPC status {status}"),
            again: matches!(
                status,
                code::UNKNOWN
                    | code::DEADLINE_EXCEEDED
                    | code::RESOURCE_EXHAUSTED
                    | code::ABORTED
                    | code::INTERNAL
                    | code::UNAVAILABLE
            ),
        },
    }
}

fn read_response(response: CheckResponse) -> Result<Check, String> {
    // An answer without a status is an empty one: it says nothing.
    let status = response.status.ok_or("its answer has no status")?;
    let facts = facts(response.dynamic_metadata.unwrap_or_default());
    match (status.code, response.http_response) {
        (_, Some(HttpResponse::Error(error))) => Ok(Check::Error {
            why: format!("it could not decide: {}", http_status(&error, 500)?),
            again: true,
        }),
        (0, None) => Ok(Check::Ok {
            facts,
            request: Vec::new(),
            response: Vec::new(),
        }),
        (0, Some(HttpResponse::Ok(ok))) => allowed(facts, ok),
        (0, Some(HttpResponse::Denied(_))) => Err("its answer says both yes and no".to_owned()),
        (_, Some(HttpResponse::Denied(denied))) => refused(denied),
        (_, None | Some(HttpResponse::Ok(_))) => Ok(Check::Denied(Refusal {
            status: 403,
            headers: Headers::default(),
            body: status.message.into_bytes(),
        })),
    }
}

fn allowed(facts: Headers, ok: OkHttpResponse) -> Result<Check, String> {
    if !ok.query_parameters_to_set.is_empty() || !ok.query_parameters_to_remove.is_empty() {
        return Err("its answer would change the query".to_owned());
    }
    let mut request = changes(ok.headers)?;
    for name in &ok.headers_to_remove {
        request.push(Change::new(name, How::Remove)?);
    }
    Ok(Check::Ok {
        facts,
        request,
        response: changes(ok.response_headers_to_add)?,
    })
}

fn changes(options: Vec<HeaderValueOption>) -> Result<Vec<Change>, String> {
    let mut changes = Vec::new();
    for option in options {
        let (name, value) = pair(option.header)?;
        // Where `append` is not given, ext_authz overrides: the enumeration's zero is not meant.
        let how = match (option.append, option.append_action) {
            (Some(true), _) => How::Append(value),
            (None, 1) => How::AddIfAbsent(value),
            (None, 3) => How::SetIfPresent(value),
            (Some(false) | None, _) => How::Set(value),
        };
        changes.push(Change::new(&name, how)?);
    }
    Ok(changes)
}

fn pair(header: Option<super::messages::HeaderValue>) -> Result<(String, Vec<u8>), String> {
    let header = header.ok_or("its answer has a header without a name")?;
    let value = match header.raw_value.is_empty() {
        true => header.value.into_bytes(),
        false => header.raw_value,
    };
    Ok((header.key, value))
}

fn refused(denied: DeniedHttpResponse) -> Result<Check, String> {
    let status = http_status(&denied, 403)?;
    // A no that its reader would take for a yes.
    if status < 300 {
        return Err(format!("its answer refuses with status {status}"));
    }
    let headers = denied.headers.into_iter().map(|option| pair(option.header));
    Ok(Check::Denied(Refusal {
        status,
        headers: Headers::new(headers.collect::<Result<_, _>>()?),
        body: denied.body.into_bytes(),
    }))
}

fn http_status(denied: &DeniedHttpResponse, default: u16) -> Result<u16, String> {
    let Some(status) = denied.status else {
        return Ok(default);
    };
    u16::try_from(status.code)
        .ok()
        .filter(|code| (200..=599).contains(code))
        .ok_or_else(|| format!("its answer has the status {}", status.code))
}

/// Texts of the metadata, as headers.
fn facts(metadata: prost_types::Struct) -> Headers {
    let texts = metadata.fields.into_iter();
    let texts = texts.filter_map(|(name, value)| match value.kind {
        Some(prost_types::value::Kind::StringValue(text)) => Some((name, text.into_bytes())),
        _ => None,
    });
    Headers::new(texts.collect())
}

//! The messages of the gRPC approval service against those that Envoy has: every Envoy carries the
//! descriptors of the files that it was made from. What one side writes, the other reads, field by field.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends with it, and says where"
)]

use std::collections::BTreeSet;
use std::fs;

use countersign_core::ext_authz::METHOD_PATH;
use countersign_core::ext_authz::messages::{
    Address, AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, EnvoyGrpc,
    GrpcService, HeaderValue, HeaderValueOption, HttpRequest, HttpResponse, HttpStatus, Metadata,
    OkHttpResponse, Peer, QueryParameter, Request, SocketAddress, Status,
};
use countersign_e2e::Repository;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use prost_types::value::Kind;
use prost_types::{FileDescriptorProto, FileDescriptorSet, Struct, Timestamp};
use serde_json::{Value, json};

/// The descriptors of these files and of all that they import.
fn published(files: &[&str]) -> DescriptorPool {
    let program = fs::read(Repository::find().unwrap().envoy().unwrap()).unwrap();
    let mut missing: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
    let mut known = BTreeSet::new();
    let mut found = Vec::new();
    while let Some(name) = missing.pop() {
        if known.insert(name.clone()) {
            let file = descriptor(&program, &name);
            missing.extend(file.dependency.iter().cloned());
            found.push(file);
        }
    }
    DescriptorPool::from_file_descriptor_set(FileDescriptorSet { file: found }).unwrap()
}

/// A file's descriptor as the program has it: its fields one after the other, of which the name is the
/// first, and then a zero, which begins no field.
fn descriptor(program: &[u8], name: &str) -> FileDescriptorProto {
    let mut start = vec![0x0a, u8::try_from(name.len()).unwrap()];
    start.extend(name.as_bytes());
    // An import of it looks the same but for what follows.
    let files = memchr::memmem::find_iter(program, &start).filter_map(|at| {
        let rest = &program[at..];
        let file = FileDescriptorProto::decode(&rest[..length(rest)]).ok()?;
        (file.name() == name && !file.package().is_empty()).then_some(file)
    });
    let mut files = files;
    files
        .next()
        .unwrap_or_else(|| panic!("Envoy has no {name}"))
}

/// How far there are fields with a length, all that a file's descriptor has.
fn length(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    loop {
        let before = rest.len();
        let mut next = rest;
        let Ok((_, prost::encoding::WireType::LengthDelimited)) =
            prost::encoding::decode_key(&mut next)
        else {
            return bytes.len() - before;
        };
        let size = prost::encoding::decode_varint(&mut next).unwrap();
        rest = &next[usize::try_from(size).unwrap()..];
    }
}

/// That `ours` means `value` to everybody else.
#[track_caller]
fn same<M: Message + Default + PartialEq + std::fmt::Debug>(
    pool: &DescriptorPool,
    name: &str,
    ours: &M,
    value: &Value,
) {
    let published = pool.get_message_by_name(name).unwrap();
    let read = DynamicMessage::decode(published.clone(), ours.encode_to_vec().as_slice()).unwrap();
    let unknown: Vec<_> = read.unknown_fields().collect();
    assert!(unknown.is_empty(), "{name}: {unknown:?}");
    assert_eq!(&serde_json::to_value(&read).unwrap(), value, "{name}");
    let theirs = DynamicMessage::deserialize(published, value.clone()).unwrap();
    let read = M::decode(theirs.encode_to_vec().as_slice()).unwrap();
    assert_eq!(&read, ours, "{name}");
}

fn text(text: &str) -> Option<prost_types::Value> {
    let kind = Some(Kind::StringValue(text.to_owned()));
    Some(prost_types::Value { kind })
}

fn with(name: &str) -> Struct {
    Struct {
        fields: [(name.to_owned(), text("said").unwrap())].into(),
    }
}

fn header(key: &str, append: bool, append_action: i32) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key: key.into(),
            value: "v".into(),
            raw_value: b"raw".to_vec(),
        }),
        append: Some(append),
        append_action,
    }
}

#[test]
fn what_is_asked_and_answered_is_what_envoy_knows() {
    let pool = published(&[
        "envoy/service/auth/v3/external_auth.proto",
        "envoy/config/core/v3/grpc_service.proto",
    ]);
    let (service, method) = METHOD_PATH.trim_start_matches('/').split_once('/').unwrap();
    let service = pool.get_service_by_name(service).unwrap();
    assert!(service.methods().any(|known| known.name() == method));

    let asked = CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(Peer {
                address: Some(Address {
                    socket_address: Some(SocketAddress {
                        address: "192.0.2.1".into(),
                        port_value: 4711,
                    }),
                }),
                principal: "spiffe://agent".into(),
            }),
            request: Some(Request {
                time: Some(Timestamp {
                    seconds: 1,
                    nanos: 0,
                }),
                http: Some(HttpRequest {
                    id: "7".into(),
                    method: "POST".into(),
                    headers: [("accept".into(), "*/*".into())].into(),
                    path: "/x?y".into(),
                    host: "api.github.com".into(),
                    scheme: "https".into(),
                    size: -1,
                    protocol: "HTTP/1.1".into(),
                    body: "text".into(),
                    raw_body: b"raw".to_vec(),
                }),
            }),
            context_extensions: [("countersign.min".into(), "2".into())].into(),
            metadata_context: Some(Metadata {
                filter_metadata: [("envoy.filters.http.jwt_authn".into(), with("sub"))].into(),
            }),
        }),
    };
    let means = json!({"attributes": {
        "source": {"address": {"socketAddress": {"address": "192.0.2.1", "portValue": 4711}}, "principal": "spiffe://agent"},
        "request": {"time": "1970-01-01T00:00:01Z", "http": {
            "id": "7", "method": "POST", "headers": {"accept": "*/*"}, "path": "/x?y", "host": "api.github.com",
            "scheme": "https", "size": "-1", "protocol": "HTTP/1.1", "body": "text", "rawBody": "cmF3"}},
        "contextExtensions": {"countersign.min": "2"},
        "metadataContext": {"filterMetadata": {"envoy.filters.http.jwt_authn": {"sub": "said"}}}}});
    same(&pool, "envoy.service.auth.v3.CheckRequest", &asked, &means);

    let told = |key: &str, action: &str| json!({"header": {"key": key, "value": "v", "rawValue": "cmF3"}, "append": true, "appendAction": action});
    let answer = |http_response: HttpResponse| CheckResponse {
        status: Some(Status {
            code: 7,
            message: "why".into(),
        }),
        http_response: Some(http_response),
        dynamic_metadata: Some(with("approver")),
    };
    let means = |name: &str, response: Value| json!({"status": {"code": 7, "message": "why"}, "dynamicMetadata": {"approver": "said"}, name: response});
    let denied = DeniedHttpResponse {
        status: Some(HttpStatus { code: 403 }),
        headers: vec![header("a", true, 1), header("b", true, 2)],
        body: "no".into(),
    };
    let no = json!({"status": {"code": "Forbidden"}, "body": "no",
        "headers": [told("a", "ADD_IF_ABSENT"), told("b", "OVERWRITE_IF_EXISTS_OR_ADD")]});
    let parameter = QueryParameter {
        key: "k".into(),
        value: "v".into(),
    };
    let ok = OkHttpResponse {
        headers: vec![header("a", true, 3)],
        headers_to_remove: vec!["gone".into()],
        response_headers_to_add: vec![header("b", true, 1)],
        query_parameters_to_set: vec![parameter],
        query_parameters_to_remove: vec!["old".into()],
    };
    let yes = json!({"headers": [told("a", "OVERWRITE_IF_EXISTS")], "headersToRemove": ["gone"],
        "responseHeadersToAdd": [told("b", "ADD_IF_ABSENT")],
        "queryParametersToSet": [{"key": "k", "value": "v"}], "queryParametersToRemove": ["old"]});
    for (ours, name, value) in [
        (
            HttpResponse::Denied(denied.clone()),
            "deniedResponse",
            no.clone(),
        ),
        (HttpResponse::Ok(ok), "okResponse", yes),
        (HttpResponse::Error(denied), "errorResponse", no),
    ] {
        let name_of_it = "envoy.service.auth.v3.CheckResponse";
        same(&pool, name_of_it, &answer(ours), &means(name, value));
    }

    let service = GrpcService {
        envoy_grpc: Some(EnvoyGrpc {
            cluster_name: "console".into(),
            authority: "console.example.com".into(),
        }),
    };
    let means =
        json!({"envoyGrpc": {"clusterName": "console", "authority": "console.example.com"}});
    same(&pool, "envoy.config.core.v3.GrpcService", &service, &means);
}

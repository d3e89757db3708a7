//! What Envoy's own filter asks, and what it has to say.

use axum::http::{HeaderName, HeaderValue};
use countersign_core::ext_authz::messages::{HttpRequest, Metadata, Peer, Request};

use super::*;

fn http(headers: &[(&str, &str)], method: &str, path: &str, body: &str) -> Result<Asked, String> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    let uri: Uri = format!("/ext_authz{path}").parse().unwrap();
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    over_http(
        &method,
        &uri,
        &map,
        &Bytes::copy_from_slice(body.as_bytes()),
    )
}

const SET: [(&str, &str); 3] = [
    ("host", "api.example.com"),
    ("x-countersign-subject", "ada"),
    ("x-countersign-reviewers", "group:leads, carol"),
];

#[test]
fn the_terms_of_the_operator_make_the_question() {
    let mut headers = SET.to_vec();
    headers.extend([
        ("x-countersign-hold", "3000"),
        ("x-countersign-min", "2"),
        ("x-countersign-rule", "production"),
    ]);
    let asked = http(&headers, "DELETE", "/v1/things/7?x=1", "").unwrap();
    let question: Value = serde_json::from_str(&asked.raw).unwrap();
    assert_eq!(asked.hold.as_millis(), 3_000);
    assert_eq!(question["request"]["path"], "/v1/things/7?x=1");
    assert_eq!(question["request"]["authority"], "api.example.com");
    assert_eq!(question["identity"]["subject"], "ada");
    assert_eq!(question["approval"]["min"], 2);
    assert_eq!(
        question["approval"]["reviewers"]["groups"],
        json!(["leads"])
    );
    assert_eq!(
        question["approval"]["reviewers"]["subjects"],
        json!(["carol"])
    );
}

#[test]
fn every_part_of_a_request_changes_its_fingerprint() {
    let whole = [("x-envoy-auth-partial-body", "false")];
    let of = |more: &[(&str, &str)], method: &str, path: &str, body: &str| {
        let headers = [&SET[..], &whole[..], more].concat();
        let asked = http(&headers, method, path, body).unwrap();
        asked.question.fingerprint
    };
    let base = of(&[], "POST", "/a", "b");
    assert_eq!(base, of(&[], "POST", "/a", "b"));
    for other in [
        of(&[], "PUT", "/a", "b"),
        of(&[], "POST", "/a?", "b"),
        of(&[], "POST", "/a", "c"),
        of(&[("content-type", "text/plain")], "POST", "/a", "b"),
        of(&[("x-countersign-rule", "r")], "POST", "/a", "b"),
    ] {
        assert_ne!(base, other);
    }
}

#[test]
fn what_was_not_seen_or_not_said_is_no_question() {
    let without = |name: &str| {
        let headers: Vec<_> = SET.into_iter().filter(|(n, _)| *n != name).collect();
        http(&headers, "GET", "/", "").err().unwrap_or_default()
    };
    assert!(without("x-countersign-subject").contains("who asks"));
    assert!(without("x-countersign-reviewers").contains("nobody may agree"));
    for (extra, method) in [
        (("x-envoy-auth-partial-body", "true"), "POST"),
        (("x-other", "1"), "POST"),
        (("content-length", "5"), "DELETE"),
    ] {
        let headers = [&SET[..], &[extra]].concat();
        let why = http(&headers, method, "/", "").err().unwrap_or_default();
        assert!(why.contains("with_request_body"), "{extra:?}: {why}");
    }
    let twice = [&SET[..], &[("x-countersign-subject", "eve")]].concat();
    assert!(http(&twice, "GET", "/", "").is_err());
}

fn text(value: &str) -> prost_types::Value {
    prost_types::Value {
        kind: Some(Kind::StringValue(value.to_owned())),
    }
}

#[test]
fn over_grpc_a_verified_token_comes_before_the_peer() {
    let context = |token: bool| AttributeContext {
        source: Some(Peer {
            principal: "spiffe://mesh/agent".to_owned(),
            address: None,
        }),
        request: Some(Request {
            time: None,
            http: Some(HttpRequest {
                method: "GET".to_owned(),
                path: "/a".to_owned(),
                host: "api.example.com".to_owned(),
                ..HttpRequest::default()
            }),
        }),
        context_extensions: [("countersign.reviewers".to_owned(), "carol".to_owned())].into(),
        metadata_context: token.then(|| Metadata {
            filter_metadata: [(
                JWT_AUTHN.to_owned(),
                prost_types::Struct {
                    fields: [(
                        "payload".to_owned(),
                        prost_types::Value {
                            kind: Some(Kind::StructValue(prost_types::Struct {
                                fields: [("sub".to_owned(), text("ada"))].into(),
                            })),
                        },
                    )]
                    .into(),
                },
            )]
            .into(),
        }),
    };
    let subject = |token| over_grpc(context(token)).unwrap().question.identity.subject;
    assert_eq!(subject(true), "ada");
    assert_eq!(subject(false), "spiffe://mesh/agent");
}

//! What is asked and what is understood, over both protocols.

use prost::Message;

use super::messages::{
    CheckRequest, CheckResponse, DeniedHttpResponse, HeaderValueOption, HttpResponse, HttpStatus,
    OkHttpResponse, QueryParameter, Status,
};
use super::*;
use crate::effect::CallKind;
use crate::policy::Secret;

fn service(protocol: ServiceProtocol) -> ApprovalService {
    ApprovalService {
        protocol,
        cluster: "authz".into(),
        authority: "authz.example".into(),
        path_prefix: "/check".into(),
        credential: None,
        timeout_ms: None,
        request_headers: vec!["cookie".into(), "x-tenant".into()],
        upstream_headers: vec!["x-user".into()],
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Headers {
    let pairs = pairs.iter();
    Headers::new(
        pairs
            .map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec()))
            .collect(),
    )
}

fn head() -> RequestHead {
    RequestHead {
        method: "POST".into(),
        scheme: "https".into(),
        authority: "api.github.com".into(),
        path: "/repos/acme/web/merges?x=1".into(),
        headers: pairs(&[
            ("cookie", "sid=1"),
            ("authorization", "Bearer of-the-agent"),
            ("content-type", "text/plain"),
        ]),
    }
}

fn asked(service: &ApprovalService) -> Call {
    ask(
        service,
        Subject {
            exchange: "e-1",
            principal: "ada",
            client: "192.0.2.7:50000",
            head: &head(),
            body_size: 12,
            now_s: 1_700_000_000,
            question: r#"{"exchange":"e-1"}"#.into(),
            facts: vec![("x-countersign-hold", "100".into())],
            timeout_ms: 5_100,
        },
    )
}

fn header<'a>(call: &'a Call, name: &str) -> Option<&'a str> {
    let mut found = call.headers.iter().filter(|(n, _)| n == name);
    let first = found.next().map(|(_, v)| v.as_str());
    assert!(found.next().is_none(), "{name} comes twice");
    first
}

#[test]
fn a_service_sees_the_headers_that_the_policy_names_and_no_token() {
    let mut over_http = service(ServiceProtocol::Http);
    let call = asked(&over_http);
    assert_eq!(
        header(&call, ":path"),
        Some("/check/repos/acme/web/merges?x=1")
    );
    assert_eq!(header(&call, ":method"), Some("POST"));
    assert_eq!(header(&call, "cookie"), Some("sid=1"));
    assert_eq!(header(&call, "content-type"), Some("application/json"));
    assert_eq!(header(&call, "authorization"), None);
    over_http.credential = Some(Secret::new("of-the-gateway".into()));
    over_http.request_headers.push("authorization".into());
    let call = asked(&over_http);
    assert_eq!(
        header(&call, "authorization"),
        Some("Bearer of-the-gateway")
    );

    let call = asked(&service(ServiceProtocol::Grpc));
    assert_eq!(call.kind, CallKind::Grpc);
    assert_eq!(header(&call, ":path"), Some(METHOD_PATH));
    let request = CheckRequest::decode(call.body.as_slice()).unwrap();
    let attributes = request.attributes.unwrap();
    let source = attributes.source.unwrap();
    assert_eq!(source.principal, "ada");
    let address = source.address.unwrap().socket_address.unwrap();
    assert_eq!(
        (address.address.as_str(), address.port_value),
        ("192.0.2.7", 50_000)
    );
    let http = attributes.request.unwrap().http.unwrap();
    assert_eq!(http.path, "/repos/acme/web/merges?x=1");
    assert_eq!(http.host, "api.github.com");
    assert_eq!(http.headers["cookie"], "sid=1");
    assert!(!http.headers.contains_key("authorization"));
    assert_eq!(
        attributes.context_extensions[QUESTION],
        r#"{"exchange":"e-1"}"#
    );
}

fn http_answer(status: u16, headers: &[(&str, &str)]) -> Check {
    let answer = CallAnswer {
        status: Some(status),
        headers: pairs(headers),
        ..CallAnswer::default()
    };
    read(&service(ServiceProtocol::Http), &answer)
}

fn grpc_answer(response: &CheckResponse) -> Check {
    let answer = CallAnswer {
        grpc_status: Some(0),
        body: response.encode_to_vec(),
        ..CallAnswer::default()
    };
    read(&service(ServiceProtocol::Grpc), &answer)
}

fn status(code: i32) -> Option<Status> {
    Some(Status {
        code,
        message: "why".into(),
    })
}

fn ok(response: OkHttpResponse) -> CheckResponse {
    CheckResponse {
        status: status(0),
        http_response: Some(HttpResponse::Ok(response)),
        dynamic_metadata: None,
    }
}

fn denied(code: i32, denied: DeniedHttpResponse) -> CheckResponse {
    CheckResponse {
        status: status(code),
        http_response: Some(HttpResponse::Denied(denied)),
        dynamic_metadata: None,
    }
}

fn is_error(check: &Check, retried: bool) -> bool {
    matches!(check, Check::Error { again, .. } if *again == retried)
}

#[test]
fn http_has_three_outcomes() {
    for code in [301, 302, 400, 401, 403, 404, 429, 451] {
        assert!(
            matches!(http_answer(code, &[]), Check::Denied(r) if r.status == code),
            "{code}"
        );
    }
    // A yes to its reader, and none to the contract.
    for code in [100, 201, 204, 206] {
        assert!(is_error(&http_answer(code, &[]), false), "{code}");
    }
    for code in [500, 502, 503, 504] {
        assert!(is_error(&http_answer(code, &[]), true), "{code}");
    }
    let error = [("x-countersign-decision", "error")];
    assert!(is_error(&http_answer(413, &error), false));
    assert!(is_error(&http_answer(429, &error), true));
    let silence = read(&service(ServiceProtocol::Http), &CallAnswer::default());
    assert!(is_error(&silence, true));
    // With a credential of the gateway, a 401 is about that.
    let mut own = service(ServiceProtocol::Http);
    own.credential = Some(Secret::new("of-the-gateway".into()));
    let answer = CallAnswer {
        status: Some(401),
        ..CallAnswer::default()
    };
    assert!(is_error(&read(&own, &answer), false));
}

#[test]
fn grpc_has_three_outcomes() {
    for code in 1..=17 {
        let answer = CallAnswer {
            grpc_status: Some(code),
            // What stands in a failed call counts for nothing.
            body: ok(OkHttpResponse::default()).encode_to_vec(),
            ..CallAnswer::default()
        };
        let check = read(&service(ServiceProtocol::Grpc), &answer);
        let again = [2, 4, 8, 10, 13, 14].contains(&code);
        assert!(is_error(&check, again), "{code}: {check:?}");
    }
    for garbage in [&b"\xff\xff\xff"[..], b"", b"\x0a\x02\x08"] {
        let answer = CallAnswer {
            grpc_status: Some(0),
            body: garbage.to_vec(),
            ..CallAnswer::default()
        };
        let check = read(&service(ServiceProtocol::Grpc), &answer);
        assert!(is_error(&check, false), "{garbage:?}: {check:?}");
    }
    assert!(is_error(
        &read(&service(ServiceProtocol::Grpc), &CallAnswer::default()),
        true
    ));
    assert!(matches!(
        grpc_answer(&ok(OkHttpResponse::default())),
        Check::Ok { .. }
    ));
    let both = denied(0, DeniedHttpResponse::default());
    assert!(is_error(&grpc_answer(&both), false), "a yes that denies");
    let yes_as_no = DeniedHttpResponse {
        status: Some(HttpStatus { code: 200 }),
        ..DeniedHttpResponse::default()
    };
    assert!(is_error(&grpc_answer(&denied(7, yes_as_no)), false));
    let unable = CheckResponse {
        status: status(0),
        http_response: Some(HttpResponse::Error(DeniedHttpResponse::default())),
        dynamic_metadata: None,
    };
    assert!(is_error(&grpc_answer(&unable), true));
    let plain = CheckResponse {
        status: status(7),
        http_response: None,
        dynamic_metadata: None,
    };
    let Check::Denied(refusal) = grpc_answer(&plain) else {
        panic!("no");
    };
    assert_eq!(
        (refusal.status, refusal.body.as_slice()),
        (403, &b"why"[..])
    );
}

fn option(name: &str, append: Option<bool>, append_action: i32) -> HeaderValueOption {
    HeaderValueOption {
        append,
        append_action,
        ..HeaderValueOption::set(name, "new")
    }
}

#[test]
fn headers_are_set_added_and_removed_as_the_answer_says() {
    let response = ok(OkHttpResponse {
        headers: vec![
            option("X-A", None, 0),
            option("x-b", Some(true), 0),
            option("x-c", None, 1),
            option("x-d", None, 1),
            option("x-e", None, 3),
            option("x-f", None, 3),
            option("x-g", Some(false), 0),
        ],
        headers_to_remove: vec!["x-h".into(), "x-i".into()],
        response_headers_to_add: vec![option("x-seen-by", None, 2)],
        ..OkHttpResponse::default()
    });
    let Check::Ok {
        request, response, ..
    } = grpc_answer(&response)
    else {
        panic!("a yes");
    };
    let before = pairs(&[
        ("x-a", "1"),
        ("x-a", "2"),
        ("x-b", "1"),
        ("x-c", "1"),
        ("x-e", "1"),
        ("x-h", "1"),
    ]);
    let after: Vec<(&str, Option<Option<Vec<u8>>>)> = request
        .iter()
        .map(|change| (change.name.as_str(), change.applied(&before)))
        .collect();
    let new = || Some(Some(b"new".to_vec()));
    let expected = [
        ("x-a", new()),
        ("x-b", Some(Some(b"1, new".to_vec()))),
        ("x-c", None),
        ("x-d", new()),
        ("x-e", new()),
        ("x-f", None),
        ("x-g", new()),
        ("x-h", Some(None)),
        ("x-i", None),
    ];
    assert_eq!(after, expected);
    assert_eq!(response[0].name, "x-seen-by");

    let Check::Ok { request, .. } = http_answer(
        200,
        &[
            ("x-user", "ada"),
            ("x-other", "1"),
            ("x-envoy-auth-headers-to-remove", "cookie, x-tenant"),
        ],
    ) else {
        panic!("a yes");
    };
    let words: Vec<String> = request.iter().map(Change::words).collect();
    assert_eq!(words, ["set x-user", "remove cookie", "remove x-tenant"]);
}

#[test]
fn a_yes_that_makes_another_request_of_it_is_not_understood() {
    for name in [
        ":path",
        "Host",
        "content-type",
        "content-length",
        "x-envoy-retry-on",
        "x-countersign-approver",
        "a b",
    ] {
        let response = ok(OkHttpResponse {
            headers: vec![option(name, None, 0)],
            ..OkHttpResponse::default()
        });
        assert!(is_error(&grpc_answer(&response), false), "set {name}");
        let response = ok(OkHttpResponse {
            headers_to_remove: vec![name.to_owned()],
            ..OkHttpResponse::default()
        });
        assert!(is_error(&grpc_answer(&response), false), "remove {name}");
        let removed = [("x-envoy-auth-headers-to-remove", name)];
        assert!(
            is_error(&http_answer(200, &removed), false),
            "over HTTP: {name}"
        );
    }
    let smuggled = ok(OkHttpResponse {
        headers: vec![HeaderValueOption::set("x-a", "1\r\nhost: evil")],
        ..OkHttpResponse::default()
    });
    assert!(is_error(&grpc_answer(&smuggled), false));
    let query = ok(OkHttpResponse {
        query_parameters_to_set: vec![QueryParameter {
            key: "force".into(),
            value: "1".into(),
        }],
        ..OkHttpResponse::default()
    });
    assert!(is_error(&grpc_answer(&query), false));
}

#[test]
fn a_denial_passes_on_what_is_for_the_caller() {
    let refusal = Refusal {
        status: 302,
        headers: pairs(&[
            ("location", "https://sso.example"),
            ("set-cookie", "a=1"),
            ("content-type", "text/html"),
            ("content-length", "4"),
            ("connection", "close"),
            ("server", "x"),
            ("x-countersign-reason", "forged"),
        ]),
        body: Vec::new(),
    };
    let names: Vec<&str> = refusal.passed_on().map(|(name, _)| name).collect();
    assert_eq!(names, ["location", "set-cookie", "content-type"]);
}

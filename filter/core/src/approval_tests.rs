//! Fingerprints and answers of the approval contract.

use super::*;
use crate::policy::ServiceProtocol;

fn identity(subject: &str) -> Identity {
    Identity {
        provider: "corporate".into(),
        subject: subject.into(),
        email: None,
        groups: vec![],
        session: None,
        token_id: None,
        expires: 0,
        claims: Default::default(),
    }
}

fn head(method: &str, path: &str) -> RequestHead {
    RequestHead {
        method: method.into(),
        scheme: "https".into(),
        authority: "api.github.com".into(),
        path: path.into(),
        headers: Headers::default(),
    }
}

fn of_provider(name: &str) -> Identity {
    Identity {
        provider: name.into(),
        ..identity("a")
    }
}

fn to(authority: &str) -> RequestHead {
    RequestHead {
        authority: authority.into(),
        ..head("POST", "/x")
    }
}

fn typed(content_type: &str) -> RequestHead {
    let header = ("content-type".to_owned(), content_type.as_bytes().to_vec());
    RequestHead {
        headers: Headers::new(vec![header]),
        ..head("POST", "/x")
    }
}

#[test]
fn every_part_of_the_request_changes_the_fingerprint() {
    let base = fingerprint(&identity("a"), "c", &head("POST", "/x"), "b", "p");
    assert_eq!(
        base,
        fingerprint(&identity("a"), "c", &head("POST", "/x"), "b", "p")
    );
    let others = [
        fingerprint(&identity("b"), "c", &head("POST", "/x"), "b", "p"),
        fingerprint(&identity("a"), "d", &head("POST", "/x"), "b", "p"),
        fingerprint(&identity("a"), "c", &head("PUT", "/x"), "b", "p"),
        fingerprint(&identity("a"), "c", &head("POST", "/x?y"), "b", "p"),
        fingerprint(&identity("a"), "c", &head("POST", "/x"), "c", "p"),
        fingerprint(&identity("a"), "c", &head("POST", "/x"), "b", "q"),
        fingerprint(&of_provider("b"), "c", &head("POST", "/x"), "b", "p"),
        fingerprint(&identity("a"), "c", &to("uploads.github.com"), "b", "p"),
        fingerprint(&identity("a"), "c", &typed("text/plain"), "b", "p"),
        // Moving a letter from one field to the next is another request.
        fingerprint(&identity("ac"), "", &head("POST", "/x"), "b", "p"),
    ];
    for other in others {
        assert_ne!(base, other);
    }
}

fn service() -> ApprovalService {
    ApprovalService {
        protocol: ServiceProtocol::Http,
        cluster: "console".into(),
        authority: "console".into(),
        path_prefix: "/ext_authz".into(),
        credential: None,
        timeout_ms: None,
        request_headers: Vec::new(),
        upstream_headers: Vec::new(),
    }
}

fn answer(status: Option<u16>, headers: &[(&str, &str)], body: &str) -> Answer {
    let headers = headers
        .iter()
        .map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec()))
        .collect();
    let answer = CallAnswer {
        status,
        headers: Headers::new(headers),
        body: body.as_bytes().to_vec(),
        grpc_status: None,
    };
    read_answer(&service(), &answer)
}

#[test]
fn only_200_is_yes() {
    let by = [
        ("x-countersign-decision", "approved"),
        ("x-countersign-approval", "a1"),
        ("x-countersign-approver", "dana"),
    ];
    let given = Given {
        id: "a1".into(),
        by: "dana".into(),
        at: String::new(),
    };
    let approved = Answer::Approved {
        given: given.clone(),
        request: Vec::new(),
        response: Vec::new(),
    };
    assert_eq!(answer(Some(200), &by, ""), approved);
    let mut refused = by;
    refused[0].1 = "refused";
    assert_eq!(
        answer(Some(403), &refused, r#"{"reason":"not today"}"#),
        Answer::Refused {
            given,
            text: "not today".into(),
            as_worded: None
        }
    );
    for status in [201, 204] {
        assert!(
            matches!(
                answer(Some(status), &[], ""),
                Answer::Unavailable { again: false, .. }
            ),
            "{status}"
        );
    }
    for status in [500, 502, 503, 504] {
        assert!(
            matches!(
                answer(Some(status), &[], ""),
                Answer::Unavailable { again: true, .. }
            ),
            "{status}"
        );
    }
    assert!(matches!(
        answer(None, &[], ""),
        Answer::Unavailable { again: true, .. }
    ));
}

#[test]
fn a_service_that_is_no_console_words_its_own_no() {
    for (body, expected) in [
        (r#"{"message":"sign in"}"#, "sign in"),
        (r#"{"reason":"a","message":"b"}"#, "a"),
        ("not today\n", "not today"),
        ("<html>", ""),
        ("", ""),
    ] {
        let Answer::Refused {
            text,
            as_worded: Some(refusal),
            ..
        } = answer(Some(401), &[], body)
        else {
            panic!("{body}");
        };
        assert_eq!((text.as_str(), refusal.status), (expected, 401));
        assert_eq!(refusal.body, body.as_bytes());
    }
    let limited = [("x-countersign-decision", "limited")];
    assert_eq!(answer(Some(403), &limited, ""), Answer::Limited);
}

#[test]
fn pending_carries_the_ticket() {
    let pending = [
        ("x-countersign-decision", "pending"),
        ("x-countersign-approval", "a1"),
        ("x-countersign-approval-url", "https://console/approvals/a1"),
        ("x-countersign-ticket-expires", "1700000900"),
    ];
    let expected = Answer::Pending {
        id: "a1".into(),
        url: "https://console/approvals/a1".into(),
        expires: Some(1_700_000_900),
    };
    assert_eq!(answer(Some(403), &pending, ""), expected);
}

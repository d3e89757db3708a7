//! Fingerprints and answers of the approval contract.

use super::*;

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
        // Moving a letter from one field to the next is another request.
        fingerprint(&identity("ac"), "", &head("POST", "/x"), "b", "p"),
    ];
    for other in others {
        assert_ne!(base, other);
    }
}

fn answer(status: Option<u16>, headers: &[(&str, &str)], body: &str) -> Answer {
    let headers = headers
        .iter()
        .map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec()))
        .collect();
    read_answer(&CallAnswer {
        status,
        headers: Headers::new(headers),
        body: body.as_bytes().to_vec(),
    })
}

#[test]
fn only_200_is_yes() {
    let by = [
        ("x-countersign-approval", "a1"),
        ("x-countersign-approver", "dana"),
    ];
    let given = Given {
        id: "a1".into(),
        by: "dana".into(),
        at: String::new(),
    };
    assert_eq!(answer(Some(200), &by, ""), Answer::Approved(given.clone()));
    assert_eq!(
        answer(Some(403), &by, r#"{"reason":"not today"}"#),
        Answer::Refused(given, "not today".into())
    );
    for status in [201, 204, 302, 400, 401, 404, 413] {
        assert!(
            matches!(
                answer(Some(status), &[], ""),
                Answer::Unavailable { again: false, .. }
            ),
            "{status}"
        );
    }
    for status in [500, 502, 503, 504, 429] {
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

use super::*;
use serde_json::json;

fn denial(reason: Reason) -> Denial<'static> {
    Denial {
        reason,
        rule: Some("production-branch"),
        text: "Releases go through the platform team.",
        detail: None,
        exchange: "ex-1",
        ticket: None,
        realm: "countersign",
    }
}

fn ticket() -> TicketInfo<'static> {
    TicketInfo {
        id: "ap-1",
        url: "https://console.test/approvals/ap-1",
        expires: 1_900_000_000,
    }
}

fn body(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap()
}

fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    let mut values = reply.headers.iter().filter(|(n, _)| *n == name);
    let first = values.next().map(|(_, value)| value.as_str());
    assert!(values.next().is_none(), "{name} comes twice");
    first
}

fn styles() -> Vec<DenialStyle> {
    let push = |side_band| DenialStyle::GitReceivePack {
        side_band,
        refs: vec!["refs/heads/main".to_owned()],
    };
    let call = |tool| McpCall { id: json!(7), tool };
    vec![
        DenialStyle::GitHubRest,
        DenialStyle::GraphQl,
        DenialStyle::GitInfoRefs,
        push(true),
        push(false),
        DenialStyle::OpenAi,
        DenialStyle::Mcp {
            calls: vec![call(true)],
            batch: false,
        },
        DenialStyle::Mcp {
            calls: vec![call(false), call(true)],
            batch: true,
        },
        DenialStyle::Mcp {
            calls: vec![],
            batch: false,
        },
        DenialStyle::Plain,
    ]
}

/// Whatever the reason and the caller: the reason is named, nothing invites a resend, and only a
/// missing or bad token asks for one.
#[test]
fn every_reason_in_every_style() {
    for style in styles() {
        for reason in Reason::ALL {
            let reply = render(&style, &denial(*reason));
            let context = format!("{style:?} {reason:?}");
            assert_eq!(
                header(&reply, "x-countersign-reason"),
                Some(reason.code()),
                "{context}"
            );
            assert_eq!(header(&reply, "x-countersign-exchange"), Some("ex-1"));
            assert_eq!(header(&reply, "retry-after"), None);
            assert_eq!(
                header(&reply, "www-authenticate").is_some(),
                reply.status == 401,
                "{context}"
            );
            assert!(!reply.body.is_empty(), "{context}");
            assert!(matches!(reply.status, 200 | 400..=599), "{context}");
            let text = String::from_utf8_lossy(&reply.body).into_owned();
            assert!(text.contains(reason.code()), "{context}: {text}");
        }
    }
}

#[test]
fn rest_says_message_rule_and_ticket() {
    let reply = render(
        &DenialStyle::GitHubRest,
        &Denial {
            ticket: Some(ticket()),
            ..denial(Reason::ApprovalPending)
        },
    );
    assert_eq!(reply.status, 403);
    assert_eq!(
        body(&reply),
        json!({
            "message": "Releases go through the platform team. Approval: https://console.test/approvals/ap-1 \
                        Once it is approved, send the same request again. \
                        [Countersign: approval_pending, rule production-branch, exchange ex-1]",
            "documentation_url": "https://console.test/approvals/ap-1",
            "countersign": {
                "reason": "approval_pending",
                "detail": null,
                "rule": "production-branch",
                "retry": true,
                "ticket": { "id": "ap-1", "url": "https://console.test/approvals/ap-1", "expires": 1_900_000_000 },
                "exchange": "ex-1",
            },
        })
    );
}

#[test]
fn a_token_is_asked_for_in_the_callers_scheme() {
    let missing = render(&DenialStyle::GitHubRest, &denial(Reason::TokenMissing));
    assert_eq!(missing.status, 401);
    assert_eq!(
        header(&missing, "www-authenticate"),
        Some("Bearer realm=\"countersign\"")
    );
    let invalid = Denial {
        detail: Some("expired\"\r\nx: y"),
        ..denial(Reason::TokenInvalid)
    };
    assert_eq!(
        header(
            &render(&DenialStyle::GitHubRest, &invalid),
            "www-authenticate"
        ),
        Some(
            "Bearer realm=\"countersign\", error=\"invalid_token\", error_description=\"The identity token was refused. (expired'  x: y)\""
        )
    );
    for style in [
        DenialStyle::GitInfoRefs,
        DenialStyle::GitReceivePack {
            side_band: true,
            refs: vec![],
        },
    ] {
        let reply = render(&style, &denial(Reason::TokenMissing));
        assert_eq!(reply.status, 401);
        assert_eq!(
            header(&reply, "www-authenticate"),
            Some("Basic realm=\"countersign\"")
        );
    }
}

#[test]
fn graphql_answers_200_when_it_is_decided() {
    let reply = render(&DenialStyle::GraphQl, &denial(Reason::RuleDenied));
    assert_eq!(reply.status, 200);
    let answer = body(&reply);
    assert_eq!(answer["data"], Value::Null);
    assert_eq!(answer["errors"][0]["type"], "FORBIDDEN");
    assert_eq!(
        answer["errors"][0]["extensions"]["countersign"]["rule"],
        "production-branch"
    );
    let reply = render(&DenialStyle::GraphQl, &denial(Reason::BodyTooLarge));
    assert_eq!(reply.status, 413);
    assert!(body(&reply)["message"].is_string());
}

#[test]
fn model_routes_get_statuses_that_copilot_shows() {
    for (reason, status) in [
        (Reason::RuleDenied, 451),
        (Reason::TokenMissing, 451),
        (Reason::ConnectionUnknown, 451),
        (Reason::BodyUnreadable, 400),
        (Reason::BodyTooLarge, 413),
        (Reason::KeysUnavailable, 503),
        (Reason::UpgradeRefused, 403),
    ] {
        let reply = render(&DenialStyle::OpenAi, &denial(reason));
        assert_eq!(reply.status, status, "{reason:?}");
        assert_eq!(header(&reply, "x-github-request-id"), Some("ex-1"));
        assert_eq!(header(&reply, "x-should-retry"), Some("false"));
        let error = &body(&reply)["error"];
        assert_eq!(error["code"], reason.code());
        assert_eq!(error["param"], Value::Null);
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .starts_with("Releases go")
        );
    }
}

#[test]
fn mcp_answers_each_call_in_its_kind() {
    let call = |id: Value, tool| McpCall { id, tool };
    let one = DenialStyle::Mcp {
        calls: vec![call(json!("a"), true)],
        batch: false,
    };
    let reply = render(&one, &denial(Reason::RuleDenied));
    assert_eq!(reply.status, 200);
    let answer = body(&reply);
    assert_eq!(
        (&answer["id"], &answer["result"]["isError"]),
        (&json!("a"), &json!(true))
    );
    let batch = DenialStyle::Mcp {
        calls: vec![call(json!(1), false), call(json!(2), true)],
        batch: true,
    };
    let answer = body(&render(&batch, &denial(Reason::RuleDenied)));
    assert_eq!(answer[0]["error"]["code"], -32000);
    assert_eq!(answer[1]["result"]["isError"], true);
    let single = DenialStyle::Mcp {
        calls: vec![call(json!(1), true)],
        batch: true,
    };
    assert_eq!(
        body(&render(&single, &denial(Reason::RuleDenied)))
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    let mismatch = render(&one, &denial(Reason::HeaderAmbiguous));
    assert_eq!(
        (mismatch.status, &body(&mismatch)["error"]["code"]),
        (400, &json!(-32020))
    );
    let unread = DenialStyle::Mcp {
        calls: vec![],
        batch: false,
    };
    let reply = render(&unread, &denial(Reason::BodyUnreadable));
    assert_eq!((reply.status, &body(&reply)["id"]), (400, &Value::Null));
}

/// The pkt-lines of a body, up to a flush, which is `None`.
fn pkts(mut bytes: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..4]).unwrap(), 16).unwrap();
        assert!(size <= 65_520);
        if size == 0 {
            out.push(None);
            bytes = &bytes[4..];
        } else {
            out.push(Some(bytes[4..size].to_vec()));
            bytes = &bytes[size..];
        }
    }
    out
}

/// What side-bands 1 and 2 carry.
fn bands(reply: &Reply) -> (Vec<u8>, String) {
    let (mut data, mut text) = (Vec::new(), Vec::new());
    let pkts = pkts(&reply.body);
    assert_eq!(pkts.last(), Some(&None));
    for pkt in pkts.iter().flatten() {
        match pkt[0] {
            1 => data.extend_from_slice(&pkt[1..]),
            2 => text.extend_from_slice(&pkt[1..]),
            other => panic!("band {other}"),
        }
    }
    (data, String::from_utf8(text).unwrap())
}

#[test]
fn a_push_is_refused_ref_by_ref() {
    let refs: Vec<String> = (0..4_096)
        .map(|n| format!("refs/heads/{}{n}", "long".repeat(40)))
        .collect();
    let style = DenialStyle::GitReceivePack {
        side_band: true,
        refs: refs.clone(),
    };
    let reply = render(&style, &denial(Reason::RuleDenied));
    assert_eq!(reply.status, 200);
    let (data, text) = bands(&reply);
    assert!(text.starts_with("Releases go through the platform team.\n"));
    let report = pkts(&data);
    assert_eq!(report[0].as_deref(), Some(b"unpack ok\n".as_slice()));
    for (index, name) in refs.iter().enumerate() {
        let line = format!("ng {name} countersign: rule_denied, rule production-branch\n");
        assert_eq!(report[index + 1].as_deref(), Some(line.as_bytes()));
    }
    assert_eq!(report.last(), Some(&None));
    let bare = DenialStyle::GitReceivePack {
        side_band: false,
        refs: vec!["refs/heads/main".to_owned()],
    };
    let report = pkts(&render(&bare, &denial(Reason::RuleDenied)).body);
    assert_eq!(report.len(), 3);
}

#[test]
fn untrusted_text_is_harmless() {
    let evil = "a\u{1b}[31mred\u{202e}\u{9b}\r\nsecond\0\u{200b}line\n\n\u{7}";
    let long = "é".repeat(5_000);
    for text in [evil, long.as_str()] {
        let denial = Denial {
            text,
            rule: Some("r\"\r\nx: y\u{1b}"),
            exchange: "e\r\nset-cookie: a",
            ..denial(Reason::RuleDenied)
        };
        for style in styles() {
            let reply = render(&style, &denial);
            for (name, value) in &reply.headers {
                assert!(
                    value.bytes().all(|b| (b' '..=b'~').contains(&b)),
                    "{name}: {value:?}"
                );
            }
            let shown = match &style {
                DenialStyle::GitReceivePack {
                    side_band: true, ..
                } => {
                    let (_, text) = bands(&reply);
                    assert!(text.lines().all(|line| line.len() <= 900));
                    text
                }
                _ => String::from_utf8(reply.body).unwrap(),
            };
            assert!(
                !shown
                    .chars()
                    .any(|c| (c.is_control() && c != '\n') || c == '\u{202e}' || c == '\u{200b}'),
                "{style:?}: {shown:?}"
            );
        }
    }
}

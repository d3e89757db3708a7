//! Targets for single readers.

use std::rc::Rc;

use countersign_core::head::{Headers, RequestHead};
use countersign_core::json::parse_strict;
use countersign_core::mask::samples::expand;
use countersign_core::mask::{
    Format, MaskConfig, MaskSet, Replacement, StreamMasker, find, mask_whole,
};
use countersign_core::operation::Operation;
use countersign_core::path::RequestPath;
use countersign_core::protocol::git::{GitCommands, Progress};
use countersign_core::protocol::{ProtocolKind, Undecided, operations};
use serde_json::{Value, json};

use crate::mutate::pieces;

/// Request targets.
pub fn path(input: &[u8]) {
    let Ok(target) = std::str::from_utf8(input) else {
        return;
    };
    let Ok(read) = RequestPath::read(target) else {
        return;
    };
    for segment in read.segments() {
        for part in segment.split('/') {
            assert!(!matches!(part, "" | "." | ".."), "{target:?}: {segment:?}");
        }
        assert!(!segment.chars().any(char::is_control), "{target:?}");
    }
    let plain = written(&read);
    let again = RequestPath::read(&plain).unwrap_or_else(|fault| panic!("{plain}: {fault}"));
    assert_eq!(again, read, "{target:?} written as {plain:?}");
}

/// A path with every byte of its parts encoded.
fn written(path: &RequestPath) -> String {
    let all = |text: &str| -> String { text.bytes().map(|b| format!("%{b:02X}")).collect() };
    let mut out = String::new();
    for segment in path.segments() {
        out.push('/');
        out.push_str(&all(segment));
    }
    if out.is_empty() {
        out.push('/');
    }
    for (number, (name, value)) in path.query().iter().enumerate() {
        out.push(if number == 0 { '?' } else { '&' });
        out.push_str(&format!("{}={}", all(name), all(value)));
    }
    out
}

/// JSON texts.
pub fn json(input: &[u8]) {
    let Ok(read) = parse_strict(input) else {
        return;
    };
    let other: Value = serde_json::from_slice(input).expect("the plain reader refuses it");
    assert_eq!(read, other);
    let plain = read.to_string();
    let again = parse_strict(plain.as_bytes()).expect("its own text is refused");
    // Decimal fractions are read to the nearest binary one, give or take its last bit.
    assert!(same(&again, &read), "{read} and {again}");
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            a == b
                || match (a.as_f64(), b.as_f64()) {
                    (Some(a), Some(b)) => (a - b).abs() <= a.abs() * 1e-12,
                    _ => false,
                }
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(name, value)| b.get(name).is_some_and(|other| same(value, other)))
        }
        (a, b) => a == b,
    }
}

/// The commands of a push.
pub fn pkt_line(input: &[u8]) {
    let whole = GitCommands::new().feed(input);
    let mut reader = GitCommands::new();
    let mut cut = Progress::NeedMore;
    for piece in pieces(input) {
        cut = reader.feed(piece);
        if cut != Progress::NeedMore {
            break;
        }
    }
    assert_eq!(cut, whole);
    let Progress::Done(push) = &whole else {
        return;
    };
    assert!(push.consumed <= input.len());
    let (commands, pack) = input.split_at(push.consumed);
    assert!(commands.ends_with(b"0000"), "the flush ends the commands");
    assert_eq!(
        GitCommands::new().feed(commands),
        whole,
        "{} bytes behind count",
        pack.len()
    );
    let head = head("POST", "/acme/web.git/git-receive-pack", "");
    match read(ProtocolKind::Git, &head, input) {
        Ok(judged) => assert_eq!(judged.len(), push.commands.len().max(1)),
        // The probe is four bytes and nothing else.
        Err(_) => assert!(push.commands.is_empty() && !pack.is_empty()),
    }
}

/// GraphQL documents.
pub fn graphql(input: &[u8]) {
    let Ok(document) = std::str::from_utf8(input) else {
        return;
    };
    let json_head = head("POST", "/graphql", "application/json");
    let body = json!({ "query": document });
    let judge = |body: &Value| {
        read(
            ProtocolKind::GitHub,
            &json_head,
            body.to_string().as_bytes(),
        )
    };
    let one = judge(&body);
    if let Ok(operations) = &one {
        // Each root field is at most a handful of operations, and there are at most 500 of those.
        assert!(
            operations.len() <= 500 * 8,
            "{} operations",
            operations.len()
        );
        assert!(!operations.is_empty());
    }
    assert_eq!(
        reduced(judge(&json!([body]))),
        reduced(one.clone()),
        "as a batch"
    );
    let encoded: String = document.bytes().map(|b| format!("%{b:02x}")).collect();
    // A URL can not hold what a body can: NUL.
    if !document.contains('\0') && !document.is_empty() {
        let get = head("GET", &format!("/graphql?query={encoded}"), "");
        assert_eq!(
            reduced(read(ProtocolKind::GitHub, &get, b"")),
            reduced(one),
            "as a URL"
        );
    }
}

/// JSON-RPC messages.
pub fn mcp(input: &[u8]) {
    let head = head("POST", "/mcp", "application/json");
    let Ok(judged) = read(ProtocolKind::Mcp, &head, input) else {
        return;
    };
    assert!(!judged.is_empty());
    let value: Value = serde_json::from_slice(input).expect("judged, and no JSON");
    let plain = value.to_string();
    let again = read(ProtocolKind::Mcp, &head, plain.as_bytes());
    // Fractions may differ in their last digit.
    if parse_strict(plain.as_bytes()).as_ref() == Ok(&value) {
        assert_eq!(again.as_ref(), Ok(&judged), "written plainly");
    }
    if value.is_object() {
        let batch = Value::Array(vec![value]).to_string();
        if parse_strict(batch.as_bytes()).is_ok() {
            let batch = read(ProtocolKind::Mcp, &head, batch.as_bytes());
            assert_eq!(reduced(batch), reduced(again), "as a batch of one");
        }
    }
}

/// Event streams of a model, masked.
pub fn events(input: &[u8]) {
    let config = MaskConfig {
        rules: vec!["default".to_owned()],
        ..MaskConfig::default()
    };
    let set = Rc::new(MaskSet::compile(&config).expect("built-in rules"));
    for format in [
        Format::EventStream,
        Format::Json,
        Format::Text,
        Format::Form,
        Format::Multipart,
    ] {
        let whole = mask_whole(&set, None, format, input);
        let mut masker = StreamMasker::new(Rc::clone(&set), None, format);
        let mut out = Vec::new();
        let mut taken = 0;
        for piece in pieces(input) {
            masker.push(piece, &mut out);
            taken += piece.len();
            assert!(masker.held() <= taken, "{format:?} holds more than came");
        }
        masker.finish(&mut out);
        assert_eq!(masker.held(), 0, "{format:?}");
        assert_eq!(
            String::from_utf8_lossy(&out),
            String::from_utf8_lossy(&whole.body),
            "{format:?}"
        );
        // In events, text that could be the start of a secret moves on to a later event.
        if whole.findings.is_empty() && format != Format::EventStream {
            assert_eq!(whole.body, input, "{format:?} changed what holds no secret");
        }
    }
}

/// Text with secrets in it: a template, so that mutations keep their checksums right.
pub fn secrets(input: &[u8]) {
    let text = expand(&String::from_utf8_lossy(input), input.len() as u64);
    let text = text.as_bytes();
    for replacement in [Replacement::Kind, Replacement::KeepLast] {
        let config = MaskConfig {
            rules: vec!["default".to_owned()],
            replacement: replacement.clone(),
            ..MaskConfig::default()
        };
        let set = Rc::new(MaskSet::compile(&config).expect("built-in rules"));
        let whole = mask_whole(&set, None, Format::Text, text);
        let mut masker = StreamMasker::new(Rc::clone(&set), None, Format::Text);
        let mut out = Vec::new();
        for piece in pieces(text) {
            masker.push(piece, &mut out);
        }
        masker.finish(&mut out);
        assert_eq!(
            String::from_utf8_lossy(&out),
            String::from_utf8_lossy(&whole.body)
        );
        if matches!(replacement, Replacement::Kind) {
            let mut expected = Vec::new();
            let mut at = 0;
            for found in find(&set, text) {
                expected.extend_from_slice(&text[at..found.start]);
                expected.extend_from_slice(format!("[REDACTED:{}]", found.rule).as_bytes());
                at = found.end;
            }
            expected.extend_from_slice(&text[at..]);
            assert_eq!(
                String::from_utf8_lossy(&whole.body),
                String::from_utf8_lossy(&expected)
            );
        }
    }
}

fn head(method: &str, path: &str, media: &str) -> RequestHead {
    let headers = match media {
        "" => Vec::new(),
        media => vec![("content-type".to_owned(), media.as_bytes().to_vec())],
    };
    RequestHead {
        method: method.to_owned(),
        scheme: "https".to_owned(),
        authority: "gateway.test".to_owned(),
        path: path.to_owned(),
        headers: Headers::new(headers),
    }
}

fn read(kind: ProtocolKind, head: &RequestHead, body: &[u8]) -> Result<Vec<Operation>, Undecided> {
    let path = RequestPath::read(&head.path).expect("a plain path");
    operations(kind, head, &path, Some(body)).map(|judged| judged.operations)
}

/// What two ways of asking must have in common: the operations, or that there are none.
fn reduced(result: Result<Vec<Operation>, Undecided>) -> Option<Vec<Operation>> {
    result.ok()
}

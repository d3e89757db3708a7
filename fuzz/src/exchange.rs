//! A whole exchange: a request in its text form, whole and cut, through the engine.

use std::rc::Rc;
use std::sync::OnceLock;

use countersign_core::config;
use countersign_core::effect::{Effect, Flow, Now, Step};
use countersign_core::head::{Headers, RequestHead};
use countersign_core::policy::Policy;
use countersign_core::stream::{Ended, Source, Stream};
use countersign_core::worker::Worker;
use serde_json::{Value, json};

use crate::mutate::pieces;

/// A policy and a token of its provider.
const SETTING: &[u8] = include_bytes!("../../filter/core/benches/exchange.json");

/// How an exchange ended.
#[derive(Clone, Debug, PartialEq)]
enum End {
    /// Answered: status and reason.
    Answered(u16, String),
    /// A person is being asked.
    Held,
    /// Handed on with these changes: a new body, headers removed, headers set.
    HandedOn(Option<Vec<u8>>, Vec<String>, Vec<String>),
}

/// `METHOD TARGET`, header lines, an empty line, the body.
pub fn exchange(input: &[u8]) {
    let Some((head, body)) = parse(input) else {
        return;
    };
    let whole = play(&head, &[body]);
    let cut = play(&head, &pieces(body));
    assert_eq!(cut, whole, "cut elsewhere");
    if let End::HandedOn(replaced, removed, set) = &whole {
        // What a rule may have seen goes on untouched: target, method and host are in no effect, and
        // of the headers only credentials, the gateway's own and what asks for plain bytes change.
        assert_eq!(*replaced, None, "nothing masks here");
        let free = |name: &String| {
            ["content-type", "content-encoding", "content-length", "host"].contains(&name.as_str())
        };
        assert!(!removed.iter().chain(set).any(free), "{removed:?} {set:?}");
        assert!(set.iter().any(|name| name == "authorization"), "{set:?}");
    }
}

fn parse(input: &[u8]) -> Option<(RequestHead, &[u8])> {
    let split = input.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = match split {
        Some(at) => (&input[..at], &input[at + 2..]),
        None => (input, &[][..]),
    };
    let head = std::str::from_utf8(head).ok()?;
    let mut lines = head.lines();
    let (method, rest) = lines.next()?.split_once(' ')?;
    let (authority, target) = rest.split_at(rest.find('/')?);
    let mut headers = vec![(
        "authorization".to_owned(),
        format!("Bearer {}", setting()["token"].as_str()?).into_bytes(),
    )];
    for line in lines {
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_owned(), value.trim().as_bytes().to_vec()));
    }
    let head = RequestHead {
        method: method.to_owned(),
        scheme: "https".to_owned(),
        authority: authority.to_owned(),
        path: target.to_owned(),
        headers: Headers::new(headers),
    };
    Some((head, body))
}

fn setting() -> &'static Value {
    static SETTING_READ: OnceLock<Value> = OnceLock::new();
    SETTING_READ.get_or_init(|| serde_json::from_slice(SETTING).expect("exchange.json is JSON"))
}

/// The benchmark's policy with every protocol, and nothing that changes a body or waits.
fn policy() -> Rc<Policy> {
    thread_local! {
        static POLICY: Rc<Policy> = {
            let mut document = setting()["policy"].clone();
            let credential = json!({ "secret": "github", "scheme": "bearer" });
            document["connections"] = json!([
                { "name": "github-api", "hosts": ["api.github.com"], "protocol": "github", "credential": credential },
                { "name": "github-git", "hosts": ["github.com"], "protocol": "git", "credential": credential },
                { "name": "copilot", "hosts": ["*.githubcopilot.com"], "protocol": "openai", "credential": credential },
                { "name": "tools", "hosts": ["mcp.example.com"], "protocol": "mcp", "credential": credential },
                { "name": "internal", "hosts": ["internal.example.com"], "protocol": "http", "credential": credential },
            ]);
            document["masking"] = json!({});
            if let Some(rules) = document["rules"].as_array_mut() {
                rules.retain(|rule| rule["action"] != "require_approval");
            }
            document["audit"]["delivery"] = json!("best_effort");
            let secret = |_: &str| Some("ghs_fuzzedcredential0000000000000000000".to_owned());
            let policy = config::compile(&document, &secret);
            Rc::new(policy.unwrap_or_else(|faults| panic!("{faults:?}")))
        };
    }
    POLICY.with(Rc::clone)
}

fn play(head: &RequestHead, pieces: &[&[u8]]) -> End {
    let now = Now(1_800_000_100_000_000_000);
    let mut worker = Worker::new(policy(), "0123456789abcdef".to_owned());
    let mut stream = Stream::new(1, &mut worker);
    let empty = pieces.iter().all(|piece| piece.is_empty());
    let mut end = None;
    let mut changes = End::HandedOn(None, Vec::new(), Vec::new());
    let step = stream.on_request_headers(&mut worker, head.clone(), Source::default(), empty, now);
    let mut flow = take(step, &mut end, &mut changes);
    for (number, piece) in pieces.iter().enumerate() {
        if empty || end.is_some() {
            break;
        }
        let last = number + 1 == pieces.len();
        let bytes = if stream.wants_request_bytes() {
            piece
        } else {
            &[][..]
        };
        let step = stream.on_request_body(&mut worker, bytes, piece.len(), last, now);
        flow = take(step, &mut end, &mut changes);
    }
    let log = stream.on_log(&mut worker, &Ended::default(), now);
    for effect in log {
        assert!(
            !matches!(effect, Effect::Reply(_)),
            "an answer after the end"
        );
    }
    match end {
        Some(end) => end,
        None => {
            assert_eq!(flow, Flow::Continue, "neither answered nor handed on");
            changes
        }
    }
}

fn take(step: Step, end: &mut Option<End>, changes: &mut End) -> Flow {
    for effect in step.effects {
        let End::HandedOn(body, removed, set) = changes else {
            continue;
        };
        match effect {
            Effect::Reply(reply) => {
                assert!(end.is_none(), "two answers");
                let reason = reply
                    .headers
                    .iter()
                    .find(|(n, _)| *n == "x-countersign-reason");
                let reason = reason.map(|(_, v)| v.clone()).unwrap_or_default();
                *end = Some(End::Answered(reply.status, reason));
            }
            Effect::Call(_) => {
                assert!(end.is_none(), "asked after an answer");
                *end = Some(End::Held);
            }
            Effect::SetRequestHeader(name, _) => set.push(name),
            Effect::RemoveRequestHeader(name) => removed.push(name),
            // A refused push is read to its end and dropped.
            Effect::ReplaceRequestBody(bytes) if !bytes.is_empty() => *body = Some(bytes),
            _ => {}
        }
    }
    step.flow
}

//! Prints what one small allowed exchange costs outside Envoy: all that the engine does, no host calls.
//! `cargo bench -p countersign-core --bench exchange`; one argument is the number of exchanges.

use std::rc::Rc;

use countersign_core::config;
use countersign_core::effect::{CallAnswer, Effect, Now};
use countersign_core::head::{Headers, RequestHead, ResponseHead};
use countersign_core::stream::{Ended, Source, Stream};
use countersign_core::worker::{Purpose, Worker, WorkerEffect};

/// A policy and a token of its provider, as `bench/setting.py` makes them.
const SETTING: &[u8] = include_bytes!("exchange.json");
const ANSWER: &[u8] = br#"{"id":1296269,"node_id":"MDEwOlJlcG9zaXRvcnkxMjk2MjY5","name":"web","full_name":"acme/web","private":true,"owner":{"login":"acme","id":1,"type":"Organization","html_url":"https://github.com/acme"},"html_url":"https://github.com/acme/web","description":"The web shop.","default_branch":"main","visibility":"private","forks":3,"open_issues":7,"pushed_at":"2026-11-20T09:10:11Z"}"#;

#[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(100_000_u32);
    let setting: serde_json::Value = serde_json::from_slice(SETTING)?;
    let environment = |_: &str| Some("ghs_benchcredential00000000000000000000".to_owned());
    let policy = config::compile(&setting["policy"], &environment)
        .map_err(|faults| format!("{faults:?}"))?;
    let token = setting["token"].as_str().unwrap_or_default();
    let mut worker = Worker::new(Rc::new(policy), "0123456789abcdef".to_owned());
    let mut best = f64::MAX;
    for _ in 0..5 {
        let start = std::time::Instant::now();
        for id in 0..count / 5 {
            exchange(&mut worker, id, token)?;
        }
        best = best.min(start.elapsed().as_secs_f64() / f64::from(count / 5));
    }
    println!("small allowed exchange, engine alone: {:.2} µs", best * 1e6);
    Ok(())
}

fn exchange(worker: &mut Worker, id: u32, token: &str) -> Result<(), String> {
    let now = Now(1_800_000_100_000_000_000 + u64::from(id));
    let mut stream = Stream::new(id, worker);
    let pair = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    let head = RequestHead {
        method: "GET".to_owned(),
        scheme: "http".to_owned(),
        authority: "api.github.com".to_owned(),
        path: "/repos/acme/web".to_owned(),
        headers: Headers::new(vec![
            pair("authorization", &format!("Bearer {token}")),
            pair("user-agent", "bench"),
            pair("x-forwarded-proto", "http"),
            pair("x-request-id", "4f1c9a7e-0b1d-4c55-9f39-6a2d1e8b7c10"),
        ]),
    };
    let source = Source {
        address: "127.0.0.1:40000".to_owned(),
    };
    let step = stream.on_request_headers(worker, head, source, true, now);
    if step.effects.iter().any(|e| matches!(e, Effect::Reply(_))) {
        return Err(format!("refused: {:?}", step.effects));
    }
    let head = ResponseHead {
        status: 200,
        headers: Headers::new(vec![
            pair("content-length", &ANSWER.len().to_string()),
            pair("content-type", "application/json; charset=utf-8"),
            pair("date", "Sat, 21 Nov 2026 09:30:00 GMT"),
            pair("server", "envoy"),
        ]),
    };
    std::hint::black_box(stream.on_response_headers(head, false, now));
    std::hint::black_box(stream.on_response_body(worker, ANSWER, ANSWER.len(), true, now));
    std::hint::black_box(stream.on_log(worker, &Ended::default(), now));
    for effect in worker.poll(now) {
        if let WorkerEffect::Call(Purpose::Records, _) = effect {
            let answer = CallAnswer {
                status: Some(200),
                body: b"{}".to_vec(),
                ..CallAnswer::default()
            };
            std::hint::black_box(worker.on_call(Purpose::Records, answer, now));
        }
    }
    Ok(())
}

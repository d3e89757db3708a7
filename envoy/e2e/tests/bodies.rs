//! Bodies at their edges: trailers, limits, chunks, encodings, and answers that break.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends with it, and says where"
)]

use bytes::Bytes;
use countersign_e2e::{Answer, Curl, Shared, Stack, StackOptions, policy};
use serde_json::{Value, json};

/// The shipped policy with a body limit that is quickly passed.
static SHARED: Shared = Shared::new(|| {
    let mut shipped = policy::shipped()?;
    shipped["limits"]["request_body"] = "256KiB".into();
    Ok(StackOptions {
        policy: Some(shipped.to_string()),
        ..StackOptions::default()
    })
});

const WORKFLOW: &str = "/api/v3/repos/acme/web/git/trees";

/// A tree that changes the CI workflow: denied because of what is in the body alone.
fn denied_tree() -> Value {
    json!({ "tree": [{ "path": ".github/workflows/ci.yml", "mode": "100644", "type": "blob", "content": "on: push\n" }] })
}

fn allowed_tree() -> Value {
    json!({ "tree": [{ "path": "docs/a.md", "mode": "100644", "type": "blob", "content": "hello\n" }] })
}

fn post(stack: &Stack, mark: &str, path: &str) -> Curl {
    let token = stack.token("agent-7", &["agents"]).unwrap();
    Curl::new("POST", &format!("{}{path}", stack.gateway()))
        .mark(mark)
        .bearer(&token)
}

fn assert_denied(answer: &Answer) {
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert_eq!(answer.json()["countersign"]["rule"], "ci-config");
}

/// Sends a request over HTTP/2 in small pieces, ended by trailers or not; status and body.
fn over_h2(stack: &Stack, mark: &str, body: &str, trailers: bool) -> (u16, String) {
    let token = stack.token("agent-7", &["agents"]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    let address = stack.gateway().trim_start_matches("http://").to_owned();
    runtime.block_on(async {
        let socket = tokio::net::TcpStream::connect(&address).await.unwrap();
        let (client, connection) = h2::client::handshake(socket).await.unwrap();
        tokio::spawn(async { connection.await.unwrap() });
        {
            let mut client = client.ready().await.unwrap();
            let request = http::Request::post(format!("{}{WORKFLOW}", stack.gateway()))
                .header("authorization", format!("Bearer {token}"))
                .header("content-type", "application/json")
                .header("user-agent", mark)
                .body(())
                .unwrap();
            let (answer, mut stream) = client.send_request(request, false).unwrap();
            let pieces: Vec<&[u8]> = body.as_bytes().chunks(40).collect();
            for (at, piece) in pieces.iter().enumerate() {
                let last = at + 1 == pieces.len() && !trailers;
                let piece = Bytes::copy_from_slice(piece);
                stream.send_data(piece, last).unwrap();
            }
            if trailers {
                let mut map = http::HeaderMap::new();
                map.insert("x-digest", http::HeaderValue::from_static("none"));
                stream.send_trailers(map).unwrap();
            }
            let mut answer = answer.await.unwrap();
            let mut text = Vec::new();
            while let Some(piece) = answer.body_mut().data().await {
                text.extend_from_slice(&piece.unwrap());
            }
            let text = String::from_utf8_lossy(&text).into_owned();
            (answer.status().as_u16(), text)
        }
    })
}

#[test]
fn a_body_is_judged_whether_or_not_trailers_end_it() {
    let stack = SHARED.get().unwrap();
    for trailers in [false, true] {
        let mark = format!("h2-denied-{trailers}");
        let (status, body) = over_h2(&stack, &mark, &denied_tree().to_string(), trailers);
        assert_eq!(status, 403, "trailers {trailers}: {body}");
        assert!(body.contains("ci-config"), "{body}");
        assert!(
            stack.seen_by(&mark).unwrap().is_empty(),
            "trailers {trailers}"
        );

        let mark = format!("h2-allowed-{trailers}");
        let sent = allowed_tree().to_string();
        let (status, body) = over_h2(&stack, &mark, &sent, trailers);
        assert_eq!(status, 201, "trailers {trailers}: {body}");
        let seen = stack.seen_by(&mark).unwrap();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0]["body"], sent, "forwarded byte for byte");
    }
}

#[test]
fn curl_over_http2_is_judged_like_http1() {
    let stack = SHARED.get().unwrap();
    let denied = post(&stack, "curl-h2", WORKFLOW)
        .option(&["--http2-prior-knowledge"])
        .json(&denied_tree())
        .run()
        .unwrap();
    assert_denied(&denied);
    assert!(stack.seen_by("curl-h2").unwrap().is_empty());
    let allowed = post(&stack, "curl-h2", WORKFLOW)
        .option(&["--http2-prior-knowledge"])
        .json(&allowed_tree())
        .run()
        .unwrap();
    assert_eq!(allowed.status, 201, "{}", allowed.text());
}

#[test]
fn a_chunked_body_is_judged_like_one_of_known_length() {
    let stack = SHARED.get().unwrap();
    let chunked = |body: &Value| {
        post(&stack, "chunked-request", WORKFLOW)
            .header("Transfer-Encoding", "chunked")
            .json(body)
            .run()
            .unwrap()
    };
    assert_denied(&chunked(&denied_tree()));
    assert!(stack.seen_by("chunked-request").unwrap().is_empty());
    assert_eq!(chunked(&allowed_tree()).status, 201);
}

#[test]
fn a_body_over_the_limit_gets_a_readable_413_and_nothing_goes_upstream() {
    let stack = SHARED.get().unwrap();
    let large = json!({ "tree": [], "padding": "x".repeat(300 << 10) });
    let answer = post(&stack, "too-large", WORKFLOW)
        .json(&large)
        .run()
        .unwrap();
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert_eq!(answer.reason(), "body_too_large");
    assert!(
        answer.json()["message"]
            .as_str()
            .unwrap()
            .contains("262144 bytes"),
        "{}",
        answer.text()
    );
    let model = post(&stack, "too-large", "/copilot/chat/completions")
        .json(&large)
        .run()
        .unwrap();
    assert_eq!(model.status, 413, "{}", model.text());
    assert_eq!(model.json()["error"]["code"], "body_too_large");
    assert!(stack.seen_by("too-large").unwrap().is_empty());

    let just = json!({ "tree": allowed_tree()["tree"], "padding": "x".repeat(200 << 10) });
    let answer = post(&stack, "large-enough", WORKFLOW)
        .json(&just)
        .run()
        .unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(
        stack.seen_by("large-enough").unwrap()[0]["body"],
        just.to_string()
    );
}

#[test]
fn a_body_that_cannot_be_read_is_refused_not_guessed() {
    let stack = SHARED.get().unwrap();
    let zipped = post(&stack, "unreadable", WORKFLOW)
        .header("Content-Encoding", "gzip")
        .body("application/json", vec![0x1f, 0x8b, 8, 0])
        .run()
        .unwrap();
    assert_eq!(
        (zipped.status, zipped.reason()),
        (415, "body_encoding"),
        "{}",
        zipped.text()
    );
    for body in [
        r#"{"tree": [}"#,
        r#"{"tree": [], "tree": [{"path": ".github/workflows/ci.yml"}]}"#,
    ] {
        let answer = post(&stack, "unreadable", WORKFLOW)
            .body("application/json", body)
            .run()
            .unwrap();
        assert_eq!(
            (answer.status, answer.reason()),
            (400, "body_unreadable"),
            "{body}: {}",
            answer.text()
        );
    }
    assert!(stack.seen_by("unreadable").unwrap().is_empty());
}

/// The secrets that the simulated model tells: asked for without the gateway.
fn told_secrets(stack: &Stack) -> Vec<String> {
    let answer = Curl::new("POST", &format!("{}/chat/completions", stack.upstream()))
        .header("Host", "api.githubcopilot.com")
        .bearer(countersign_e2e::stack::CREDENTIAL)
        .json(&chat("tell me a secret", false))
        .run()
        .unwrap();
    let text = answer.json()["choices"][0]["message"]["content"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut secrets: Vec<String> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        .map(|(_, value)| value.to_owned())
        .collect();
    let pem = text.lines().skip_while(|l| !l.starts_with("-----BEGIN"));
    secrets.extend(pem.skip(1).take(3).map(str::to_owned));
    assert!(secrets.len() >= 6, "{text}");
    secrets
}

fn chat(prompt: &str, stream: bool) -> Value {
    json!({ "model": "gpt-4.1", "stream": stream, "messages": [{ "role": "user", "content": prompt }] })
}

/// The text of a streamed answer.
fn streamed(answer: &Answer) -> String {
    let text = answer.text();
    let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
    events
        .filter(|event| *event != "[DONE]")
        .map(|event| {
            serde_json::from_str::<Value>(event).unwrap_or_else(|e| panic!("{e}: {event}"))
        })
        .filter_map(|event| {
            event["choices"][0]["delta"]["content"]
                .as_str()
                .map(str::to_owned)
        })
        .collect()
}

#[test]
fn secrets_in_an_answer_are_masked_however_it_is_cut() {
    let stack = SHARED.get().unwrap();
    let secrets = told_secrets(&stack);
    for (faults, stream) in [
        ("", false),
        ("chunk=1", false),
        ("chunk=7", false),
        ("", true),
        ("chunk=1", true),
        ("chunk=13,trailers", true),
        ("trailers", false),
    ] {
        let answer = post(&stack, "masked-answer", "/copilot/chat/completions")
            .simulate(faults)
            .json(&chat("tell me a secret", stream))
            .run()
            .unwrap();
        assert_eq!((answer.status, answer.exit), (200, 0), "{faults}");
        let said = match stream {
            true => {
                assert!(answer.text().contains("data: [DONE]"), "{faults}");
                streamed(&answer)
            }
            false => answer.json()["choices"][0]["message"]["content"]
                .as_str()
                .unwrap()
                .to_owned(),
        };
        assert!(said.starts_with("Sure, here is"), "{faults}: {said}");
        assert!(said.ends_with("That is all. ✓"), "{faults}: {said}");
        for secret in &secrets {
            assert!(
                !said.contains(secret.as_str()),
                "{faults} stream {stream}: {secret} in {said}"
            );
        }
    }
}

#[test]
fn a_secret_in_a_prompt_never_reaches_the_model() {
    let stack = SHARED.get().unwrap();
    let secret = &told_secrets(&stack)[0];
    let answer = post(&stack, "masked-prompt", "/copilot/chat/completions")
        .json(&chat(&format!("why does {secret} not work?"), false))
        .run()
        .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = &stack.seen_by("masked-prompt").unwrap()[0];
    let body = seen["body"].as_str().unwrap();
    assert!(!body.contains(secret.as_str()), "{body}");
    let body: Value = serde_json::from_str(body).unwrap();
    let prompt = body["messages"][0]["content"].as_str().unwrap();
    assert!(
        prompt.starts_with("why does ") && prompt.ends_with(" not work?"),
        "{prompt}"
    );
}

#[test]
fn an_answer_that_cannot_be_read_is_not_passed_on() {
    let stack = SHARED.get().unwrap();
    let answer = post(&stack, "gzip-answer", "/copilot/chat/completions")
        .simulate("gzip")
        .json(&chat("tell me a secret", false))
        .run()
        .unwrap();
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(answer.json()["error"]["code"], "response_encoding");
    assert_eq!(stack.seen_by("gzip-answer").unwrap().len(), 1);
}

#[test]
fn a_slow_answer_arrives_and_a_broken_one_is_seen_to_be_broken() {
    let stack = SHARED.get().unwrap();
    let slow = post(&stack, "slow", "/copilot/chat/completions")
        .simulate("slow=1500,pace=2,chunk=200")
        .json(&chat("hello", true))
        .run()
        .unwrap();
    assert_eq!((slow.status, slow.exit), (200, 0));
    assert!(slow.text().contains("data: [DONE]"));

    let cut = post(&stack, "reset", "/copilot/chat/completions")
        .simulate("reset")
        .json(&chat("tell me a secret", true))
        .run()
        .unwrap();
    assert_ne!(cut.exit, 0, "the cut went unnoticed: {}", cut.text());
    assert!(!cut.text().contains("data: [DONE]"));
    let secrets = told_secrets(&stack);
    assert!(!secrets.iter().any(|s| cut.text().contains(s.as_str())));
}

#[test]
fn a_body_without_secrets_passes_byte_for_byte() {
    let stack = SHARED.get().unwrap();
    let body = "{ \"model\" : \"gpt-4.1\",\n\t\"messages\": [ {\"role\":\"user\", \"content\":\"h\\u00e9llo \\/ ☕\"} ] , \"n\": 1.0e0 }";
    let answer = post(&stack, "untouched", "/copilot/chat/completions")
        .body("application/json", body)
        .run()
        .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(stack.seen_by("untouched").unwrap()[0]["body"], body);
}

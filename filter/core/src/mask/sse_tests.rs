//! Event streams as the model APIs send them.

use super::tokens_tests as samples;
use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn set() -> Rc<MaskSet> {
    let config = MaskConfig {
        rules: vec!["default".into()],
        ..MaskConfig::default()
    };
    Rc::new(MaskSet::compile(&config).unwrap())
}

/// Pushes event by event; gives what left with each, and what left at the end.
fn by_event(events: &[String]) -> Vec<String> {
    let mut masker = StreamMasker::new(set(), None, Format::EventStream);
    let mut left: Vec<String> = events
        .iter()
        .map(|event| {
            let mut out = Vec::new();
            masker.push(event.as_bytes(), &mut out);
            String::from_utf8(out).unwrap()
        })
        .collect();
    let mut out = Vec::new();
    masker.finish(&mut out);
    left.push(String::from_utf8(out).unwrap());
    left
}

fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

fn named(data: &Value) -> String {
    format!(
        "event: {}\ndata: {data}\n\n",
        data["type"].as_str().unwrap()
    )
}

fn done() -> String {
    "data: [DONE]\n\n".into()
}

/// The JSON data of every event of a stream.
fn parsed(stream: &str) -> Vec<Value> {
    stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

fn pieces(text: &str, size: usize) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters
        .chunks(size)
        .map(|c| c.iter().collect())
        .collect()
}

fn chat(choice: u32, delta: Value) -> String {
    event(
        &json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt", "choices": [{"index": choice, "delta": delta, "finish_reason": null}]}),
    )
}

fn chat_end(choice: u32) -> String {
    event(
        &json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt", "choices": [{"index": choice, "delta": {}, "finish_reason": "stop"}]}),
    )
}

/// Joins what a client joins: one text per choice and field.
fn joined(stream: &str, choice: u64, read: impl Fn(&Value) -> Option<&str>) -> String {
    parsed(stream)
        .iter()
        .flat_map(|data| data["choices"].as_array().cloned().unwrap_or_default())
        .filter(|c| c["index"] == choice)
        .filter_map(|c| read(&c["delta"]).map(str::to_owned))
        .collect()
}

#[test]
fn a_secret_split_over_deltas_is_masked_in_every_channel() {
    for size in [1, 2, 3, 4, 7, 30] {
        let token = samples::checksummed("ghp_", size as u64);
        let jwt = samples::jwt(size as u64);
        let content = pieces(&format!("Use {token}, then “{token}” é\nend {token}"), size);
        let second = pieces(&format!("x = \"{jwt}\" and https://u:s3cr3t@h/"), size);
        let arguments = pieces(
            &format!("{{\"cmd\":\"curl -H \\\"Authorization: Bearer {jwt}\\\"\\n{token}\"}}"),
            size,
        );
        let mut events = vec![chat(0, json!({"role": "assistant", "content": ""}))];
        events.push(chat(0, json!({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "bash", "arguments": ""}}]})));
        for i in 0..content.len().max(second.len()).max(arguments.len()) {
            // Two choices and two fields of one of them, interleaved.
            if let Some(piece) = content.get(i) {
                events.push(chat(0, json!({"content": piece})));
            }
            if let Some(piece) = second.get(i) {
                events.push(chat(
                    1,
                    json!({"content": piece, "reasoning_content": piece, "refusal": null}),
                ));
            }
            if let Some(piece) = arguments.get(i) {
                events.push(chat(
                    0,
                    json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}),
                ));
            }
        }
        events.extend([chat_end(0), chat_end(1), done()]);
        let left = by_event(&events);
        let stream = left.concat();
        assert!(!stream.contains(&token[4..20]) && !stream.contains("s3cr3t"));
        let content = |delta: &Value| delta["content"].as_str().map(str::to_owned);
        let content = |c: u64| {
            parsed(&stream)
                .iter()
                .flat_map(|data| data["choices"].as_array().cloned().unwrap())
                .filter(|choice| choice["index"] == c)
                .filter_map(|choice| content(&choice["delta"]))
                .collect::<String>()
        };
        assert_eq!(
            content(0),
            "Use [REDACTED:github-token], then “[REDACTED:github-token]” é\nend [REDACTED:github-token]"
        );
        let masked = "x = \"[REDACTED:jwt]\" and https://u:[REDACTED:url-password]@h/";
        assert_eq!(content(1), masked);
        assert_eq!(
            joined(&stream, 1, |d| d["reasoning_content"].as_str()),
            masked
        );
        let arguments = joined(&stream, 0, |d| {
            d["tool_calls"][0]["function"]["arguments"].as_str()
        });
        assert_eq!(
            arguments,
            "{\"cmd\":\"curl -H \\\"Authorization: Bearer [REDACTED:jwt]\\\"\\n[REDACTED:github-token]\"}"
        );
        let names = joined(&stream, 0, |d| {
            d["tool_calls"][0]["function"]["name"].as_str()
        });
        assert_eq!(names, "bash", "no event repeats the name of a call");
        // All text is out before the finish reason of its choice.
        let finish = parsed(&stream)
            .iter()
            .position(|d| d["choices"][0]["finish_reason"] == "stop")
            .unwrap();
        assert!(
            parsed(&stream)[finish..]
                .iter()
                .all(|d| d["choices"][0]["index"] == 1 || d["choices"][0]["delta"] == json!({}))
        );
        assert!(left.last().unwrap().is_empty());
    }
}

#[test]
fn events_without_held_text_leave_at_once_as_they_came() {
    let events: Vec<String> = [
        ": waiting\n\n",
        "data:{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello \\u00e9 \\/ \"}}]}\n\n",
        "retry: 3000\nid: 7\n\n",
        "data: {\"choices\" : null, \"copilot_references\":[ ]}\n\n",
        "data: {\"choices\":[],\"usage\":{\"total_tokens\":12}}\r\n\r\n",
        "data: not json at all,\ndata: two lines\n\n",
        "data: {\"jsonrpc\":\"2.0\",\ndata:  \"result\":{}}\n\n",
        "\n",
        "data\n\n",
        "event: ping\rdata: {\"type\": \"ping\"}\r\r",
        "data: [1, 2, \"x\"]\n\n",
        "data: [DONE]\n\n",
    ]
    .map(str::to_owned)
    .to_vec();
    let left = by_event(&events);
    assert_eq!(left[..events.len()], events[..]);
    assert_eq!(left[events.len()], "");
}

#[test]
fn held_text_goes_into_the_next_event_of_its_channel() {
    let token = samples::checksummed("ghp_", 5);
    let events = [
        chat(0, json!({"content": format!("see {}", &token[..10])})),
        chat(0, json!({"content": token[10..].to_owned() + " ok, "})),
        done(),
    ];
    let left = by_event(&events);
    assert_eq!(left[0], chat(0, json!({"content": "see "})));
    assert_eq!(
        left[1],
        chat(0, json!({"content": "[REDACTED:github-token] ok, "}))
    );
    assert_eq!(left[2], done());
}

#[test]
fn held_text_without_a_next_event_gets_one_of_its_own() {
    let expected = chat(0, json!({"content": "ghp_12"}));
    let start = chat(0, json!({"content": "see ghp_12"}));
    // Before the finish reason, before [DONE], and at the end of the stream.
    for rest in [vec![chat_end(0), done()], vec![done()], vec![]] {
        let mut events = vec![start.clone()];
        events.extend(rest.clone());
        let left = by_event(&events);
        assert_eq!(left[0], chat(0, json!({"content": "see "})));
        let stream = parsed(&left[1..].concat());
        assert_eq!(stream[0]["choices"], parsed(&expected)[0]["choices"]);
        assert_eq!(stream[0]["id"], "chatcmpl-1");
        assert!(left[1..].concat().ends_with(&rest.concat()));
    }
    // The event that ends the channel has a place of its own.
    let last = event(
        &json!({"choices": [{"index": 0, "delta": {"content": " x"}, "finish_reason": "stop"}]}),
    );
    let left = by_event(&[start, last]);
    assert_eq!(
        left[1],
        event(
            &json!({"choices": [{"index": 0, "delta": {"content": "ghp_12 x"}, "finish_reason": "stop"}]})
        )
    );
    // An event that the stream cuts off is still the last one.
    let cut = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a ghp_1\"}}]}".to_owned();
    assert_eq!(by_event(std::slice::from_ref(&cut)), ["".to_owned(), cut]);
}

#[test]
fn the_responses_api_is_masked_in_deltas_and_in_repeated_text() {
    let token = samples::checksummed("gho_", 9);
    let text = format!("Your token is {token}");
    let place = json!({"item_id": "msg_1", "output_index": 0, "content_index": 0});
    let with = |kind: &str, key: &str, value: &str| {
        let mut data = json!({"type": kind, "sequence_number": 4});
        data.as_object_mut()
            .unwrap()
            .extend(place.as_object().unwrap().clone());
        data[key] = json!(value);
        named(&data)
    };
    let mut events: Vec<String> = pieces(&text, 5)
        .iter()
        .map(|piece| with("response.output_text.delta", "delta", piece))
        .collect();
    let arguments = |piece: &str| {
        named(
            &json!({"type": "response.function_call_arguments.delta", "item_id": "fc_1", "output_index": 1, "delta": piece}),
        )
    };
    events.push(arguments("{\"t\":\"ghp"));
    events.push(with("response.output_text.done", "text", &text));
    events.push(named(&json!({"type": "response.function_call_arguments.done", "item_id": "fc_1", "output_index": 1, "arguments": "{\"t\":\"ghp"})));
    events.push(named(&json!({"type": "response.completed", "response": {"output": [{"content": [{"type": "output_text", "text": text}], "encrypted_content": samples::random(samples::ALNUM, 600, 1)}]}})));
    let stream = by_event(&events).concat();
    let data = parsed(&stream);
    let masked = "Your token is [REDACTED:github-token]";
    let deltas = |kind: &str| {
        data.iter()
            .filter(|d| d["type"] == kind)
            .map(|d| d["delta"].as_str().unwrap())
            .collect::<String>()
    };
    assert_eq!(deltas("response.output_text.delta"), masked);
    assert_eq!(
        deltas("response.function_call_arguments.delta"),
        "{\"t\":\"ghp"
    );
    assert!(
        data.iter()
            .any(|d| d["type"] == "response.output_text.done" && d["text"] == masked)
    );
    let completed = data.last().unwrap();
    assert_eq!(
        completed["response"]["output"][0]["content"][0]["text"],
        masked
    );
    assert_eq!(
        completed["response"]["output"][0]["encrypted_content"],
        samples::random(samples::ALNUM, 600, 1)
    );
    // The deltas of a text come before its end.
    let types: Vec<&str> = data.iter().map(|d| d["type"].as_str().unwrap()).collect();
    let text_done = types
        .iter()
        .position(|t| *t == "response.output_text.done")
        .unwrap();
    assert!(
        types[text_done..]
            .iter()
            .all(|t| *t != "response.output_text.delta")
    );
    for (line, kind) in stream
        .lines()
        .filter_map(|l| l.strip_prefix("event: "))
        .zip(&types)
    {
        assert_eq!(line, *kind);
    }
}

#[test]
fn anthropic_messages() {
    let token = samples::checksummed("ghu_", 9);
    let delta = |index: u32, kind: &str, member: &str, text: &str| {
        named(
            &json!({"type": "content_block_delta", "index": index, "delta": {"type": kind, member: text}}),
        )
    };
    let mut events = vec![named(
        &json!({"type": "message_start", "message": {"id": "m", "content": []}}),
    )];
    for piece in pieces(&format!("It is {token}"), 6) {
        events.push(delta(0, "text_delta", "text", &piece));
    }
    events.push(named(&json!({"type": "content_block_stop", "index": 0})));
    for piece in pieces(
        &format!("{{\"password\":\"hunter2!x\",\"t\":\"{token}\"}}"),
        6,
    ) {
        events.push(delta(1, "input_json_delta", "partial_json", &piece));
    }
    events.push(delta(2, "thinking_delta", "thinking", "ghp_"));
    events.push(delta(2, "signature_delta", "signature", "ErUBCkYIBRgC"));
    events.push(named(&json!({"type": "content_block_stop", "index": 2})));
    events.push(named(
        &json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
    ));
    events.push(named(&json!({"type": "message_stop"})));
    let stream = by_event(&events).concat();
    let data = parsed(&stream);
    let text = |index: u32, member: &str| {
        data.iter()
            .filter(|d| d["index"] == index)
            .filter_map(|d| d["delta"][member].as_str())
            .collect::<String>()
    };
    assert_eq!(text(0, "text"), "It is [REDACTED:github-token]");
    let input: Value = serde_json::from_str(&text(1, "partial_json")).unwrap();
    assert_eq!(
        input,
        json!({"password": "[REDACTED:password]", "t": "[REDACTED:github-token]"})
    );
    assert_eq!(text(2, "thinking"), "ghp_");
    assert_eq!(text(2, "signature"), "ErUBCkYIBRgC");
    let stop = data
        .iter()
        .position(|d| d["type"] == "content_block_stop")
        .unwrap();
    assert!(
        data[stop..]
            .iter()
            .all(|d| d["type"] != "content_block_delta" || d["index"] != 0)
    );
}

#[test]
fn completions_and_foreign_events() {
    let token = samples::checksummed("ghp_", 31);
    let completion = |text: &str| {
        event(&json!({"id": "c", "choices": [{"index": 0, "text": text, "finish_reason": null}]}))
    };
    let left = by_event(&[completion(&token[..20]), completion(&token[20..]), done()]);
    let text: String = parsed(&left.concat())
        .iter()
        .filter_map(|d| d["choices"][0]["text"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(text, "[REDACTED:github-token]");

    let events = [
        format!(
            "event: message\ndata: {{\"jsonrpc\":\"2.0\",\"result\":{{\"text\":\"{token}\"}}}}\n\n"
        ),
        format!("data: plain {token} text\ndata: more\n\n"),
        format!(": {token}\nid: {token}\n\n"),
        format!("data: {{\"a\":\ndata: \"{token}\"}}\n\n"),
        format!("data: [\"{token}\"]\n\n"),
    ];
    let expected = events
        .clone()
        .map(|e| e.replace(&token, "[REDACTED:github-token]"));
    assert_eq!(by_event(&events)[..events.len()], expected);
}

#[test]
fn an_oversize_event_is_masked_string_by_string_and_told() {
    let token = samples::checksummed("ghp_", 32);
    let filler = "word ".repeat(EVENT_MAX / 5);
    let large = format!("data: {{\"text\":\"{filler}{token}\",\"b\":\"{token}\"}}\n\n");
    let events = [
        chat(0, json!({"content": "x ghp_1"})),
        large.clone(),
        chat(0, json!({"content": token})),
    ];
    let mut outputs = Vec::new();
    for size in [17, 4096, usize::MAX] {
        let mut masker = StreamMasker::new(set(), None, Format::EventStream);
        let mut out = Vec::new();
        for chunk in events
            .concat()
            .as_bytes()
            .chunks(size.min(events.concat().len()))
        {
            masker.push(chunk, &mut out);
        }
        masker.finish(&mut out);
        assert_eq!(masker.fault(), Some(Fault::EventTooLarge));
        outputs.push(String::from_utf8(out).unwrap());
    }
    assert!(outputs.windows(2).all(|w| w[0] == w[1]));
    assert!(!outputs[0].contains(&token));
    assert!(outputs[0].contains(&large.replace(&token, "[REDACTED:github-token]")));
    assert!(outputs[0].ends_with(&chat(0, json!({"content": "[REDACTED:github-token]"}))));
}

#[test]
fn more_channels_than_are_followed_are_masked_on_their_own() {
    let token = samples::checksummed("ghp_", 33);
    let call = |tool: u32, text: &str| {
        chat(
            0,
            json!({"tool_calls": [{"index": tool, "function": {"arguments": text}}]}),
        )
    };
    let mut masker = StreamMasker::new(set(), None, Format::EventStream);
    let mut out = Vec::new();
    for tool in 0..300 {
        masker.push(call(tool, &token).as_bytes(), &mut out);
    }
    masker.finish(&mut out);
    assert_eq!(masker.fault(), Some(Fault::TooManyChannels));
    assert_eq!(masker.findings()[0].count, 300);
    assert!(!String::from_utf8(out).unwrap().contains(&token));
}

#[test]
fn characters_outside_of_ascii_survive_a_rewrite() {
    let token = samples::checksummed("ghp_", 34);
    let body = format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"\\ud83d\\ude00 \\ud83d é\\u0001 {token} \\\"q\\\\\"}}}}]}}\n\n"
    );
    let left = by_event(&[body]);
    assert!(
        left[0].contains("\"\\ud83d\\ude00 \\ud83d é\\u0001 [REDACTED:github-token] \\\"q\\\\\""),
        "{}",
        left[0]
    );
}

proptest! {
    /// What a client joins is what masking the joined text gives, however it is spread over events
    /// and bytes.
    #[test]
    fn joined_deltas_are_the_masked_text(
        texts in prop::collection::vec((1u64..90, any::<prop::sample::Index>(), prop::sample::select(vec![" ", "\n", "x=", "é", "\"", "password: ", "\u{1F600}", "Bearer "]), any::<bool>()), 1..7),
        sizes in prop::collection::vec(1usize..25, 1..6),
        chunk in 1usize..200,
        ends: bool,
    ) {
        let texts: Vec<String> = [0u64, 7].iter().map(|shift| {
            texts.iter().map(|(seed, index, before, whole)| {
                let tokens = samples::tokens(seed + shift);
                let token = &tokens[index.index(tokens.len())].1;
                let end = if *whole { token.len() } else { token.len() / 2 };
                format!("{before}{}", &token[..end])
            }).collect()
        }).collect();
        let mut sizes = sizes.iter().cycle();
        let mut pieces: Vec<std::collections::VecDeque<String>> = texts.iter().map(|text| {
            let mut rest: Vec<char> = text.chars().collect();
            let mut pieces = std::collections::VecDeque::new();
            while !rest.is_empty() {
                let size = (*sizes.next().unwrap()).min(rest.len());
                pieces.push_back(rest.drain(..size).collect());
            }
            pieces
        }).collect();
        let mut stream = String::new();
        while pieces.iter().any(|p| !p.is_empty()) {
            for (choice, pieces) in pieces.iter_mut().enumerate() {
                if let Some(piece) = pieces.pop_front() {
                    stream.push_str(&chat(choice as u32, json!({"content": piece})));
                }
            }
        }
        if ends {
            stream.push_str(&chat_end(0));
            stream.push_str(&chat_end(1));
            stream.push_str(&done());
        }
        let mut masker = StreamMasker::new(set(), None, Format::EventStream);
        let mut out = Vec::new();
        for chunk in stream.as_bytes().chunks(chunk) {
            masker.push(chunk, &mut out);
        }
        masker.finish(&mut out);
        let out = String::from_utf8(out).unwrap();
        for (choice, text) in texts.iter().enumerate() {
            let expected = mask_whole(&set(), None, Format::Text, text.as_bytes());
            let expected = String::from_utf8(expected.body).unwrap();
            prop_assert_eq!(joined(&out, choice as u64, |d| d["content"].as_str()), expected);
        }
    }
}

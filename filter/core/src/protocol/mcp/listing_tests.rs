use super::*;
use proptest::prelude::*;
use serde_json::json;

const HIDDEN: &str = "delete_repository";

fn answer(id: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": { "tools": [
        { "name": "get_me", "description": "a\nb" }, { "name": HIDDEN }, { "title": "no name" }
    ], "nextCursor": "x" } })
}

fn feed(events: bool, pieces: &[&[u8]]) -> (Vec<u8>, Vec<String>) {
    let mut narrowing = Narrowing::new(vec![json!(1), json!("b")], events);
    let mut out = Vec::new();
    let mut keeps = |tool: &str| tool != HIDDEN;
    for (at, piece) in pieces.iter().enumerate() {
        let last = at + 1 == pieces.len();
        narrowing.push(piece, last, &mut keeps, &mut out).unwrap();
    }
    assert_eq!(narrowing.held(), 0);
    (out, narrowing.removed().to_vec())
}

fn names(text: &[u8]) -> Vec<String> {
    let value: Value = serde_json::from_slice(text).unwrap();
    let tools = value["result"]["tools"].as_array().unwrap();
    tools.iter().map(|t| t["name"].to_string()).collect()
}

#[test]
fn a_tool_that_may_not_be_used_is_left_out() {
    for id in [json!(1), json!("b")] {
        let (out, removed) = feed(false, &[answer(id).to_string().as_bytes()]);
        assert_eq!(names(&out), ["\"get_me\"", "null"]);
        assert_eq!(removed, [HIDDEN]);
    }
    let batch = json!([answer(json!(1)), answer(json!(9))]).to_string();
    let (out, removed) = feed(false, &[batch.as_bytes()]);
    let value: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(value[0]["result"]["tools"].as_array().unwrap().len(), 2);
    assert_eq!(value[1]["result"]["tools"].as_array().unwrap().len(), 3);
    assert_eq!(removed, [HIDDEN]);
}

#[test]
fn what_is_not_the_answer_passes_byte_for_byte() {
    let other = answer(json!(9)).to_string();
    let duplicate = r#"{"id":1,"id":1,"result":{"tools":[{"name":"delete_repository"}]}}"#;
    let harmless = r#"{ "id": 1 , "result":{"tools":[{"name":"get_me"}]}}"#;
    for text in [other.as_str(), duplicate, harmless, "no json", ""] {
        let (out, removed) = feed(false, &[text.as_bytes()]);
        assert_eq!((out.as_slice(), removed.len()), (text.as_bytes(), 0));
    }
    for text in [
        ": ping\n\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\r\n\r\n",
        "data: not json\n\n",
        "retry: 5\r\rdata: {\"id\":1",
        "\n\n\n",
    ] {
        assert_eq!(feed(true, &[text.as_bytes()]).0, text.as_bytes());
    }
}

#[test]
fn an_event_keeps_its_name_and_id() {
    let (first, second) = (answer(json!(1)).to_string(), answer(json!(9)).to_string());
    let stream = format!(
        ": hi\r\n\r\nevent: message\r\nid: 7\r\ndata: {first}\r\n\r\nevent: message\ndata: {second}\n\n"
    );
    let (out, removed) = feed(true, &[stream.as_bytes()]);
    let out = String::from_utf8(out).unwrap();
    assert!(out.starts_with(": hi\r\n\r\nevent: message\nid: 7\ndata: {\""));
    assert!(out.ends_with(&format!("event: message\ndata: {second}\n\n")));
    assert_eq!(out.matches(HIDDEN).count(), 1);
    assert_eq!(removed, [HIDDEN]);
}

#[test]
fn too_much_passes_as_it_comes() {
    let mut narrowing = Narrowing::new(vec![json!(1)], false);
    let mut out = Vec::new();
    let piece = vec![b' '; MAX];
    let mut keeps = |_: &str| false;
    assert_eq!(narrowing.push(&piece, false, &mut keeps, &mut out), Ok(()));
    assert_eq!(out.len(), 0);
    let body = answer(json!(1)).to_string();
    let pushed = narrowing.push(body.as_bytes(), false, &mut keeps, &mut out);
    assert_eq!(pushed, Err(TooLarge));
    assert_eq!(narrowing.push(b"x", true, &mut keeps, &mut out), Ok(()));
    assert_eq!(out.len(), MAX + body.len() + 1);
    assert_eq!(narrowing.removed().len(), 0);
}

fn stream() -> impl Strategy<Value = String> {
    let end = prop::sample::select(vec!["\n", "\r\n", "\r"]);
    let data = prop_oneof![
        Just(answer(json!(1)).to_string()),
        Just(answer(json!(2)).to_string()),
        Just("text".to_owned()),
        Just(String::new()),
    ];
    let event = (end, data, any::<bool>()).prop_map(|(end, data, named)| {
        let name = if named {
            format!("event: message{end}")
        } else {
            String::new()
        };
        format!("{name}data: {data}{end}{end}")
    });
    prop::collection::vec(event, 0..4).prop_map(|events| events.concat())
}

proptest! {
    #[test]
    fn however_it_is_cut_the_outcome_is_the_same(
        text in stream(), events in any::<bool>(), cuts in prop::collection::vec(0usize..900, 0..8)
    ) {
        let bytes = text.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(bytes.len())).collect();
        cuts.push(bytes.len());
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for to in cuts {
            pieces.push(&bytes[from..to]);
            from = to;
        }
        prop_assert_eq!(feed(events, &pieces), feed(events, &[bytes]));
        let single: Vec<&[u8]> = bytes.chunks(1).chain([&b""[..]]).collect();
        prop_assert_eq!(feed(events, &single), feed(events, &[bytes]));
    }
}

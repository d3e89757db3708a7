//! Log probabilities, which say an answer again.

use super::stream_tests::set;
use super::*;

fn withheld(format: Format, body: &str, cut: usize) -> (String, bool) {
    let mut masker =
        StreamMasker::new(set(&["default"], false), None, format).without_log_probabilities();
    let mut out = Vec::new();
    let (first, rest) = body.as_bytes().split_at(cut);
    masker.push(first, &mut out);
    masker.push(rest, &mut out);
    masker.finish(&mut out);
    (String::from_utf8(out).unwrap(), masker.withheld())
}

#[test]
fn log_probabilities_are_kept_back_wherever_the_answer_is_cut() {
    let chat = r#"{"choices":[{"logprobs": {"content":[{"token":"\"]}\\","bytes":[34,93],"top_logprobs":[]}],"refusal":null} ,"index":0}]}"#;
    let kept = r#"{"choices":[{"logprobs": null ,"index":0}]}"#;
    let responses = r#"{"type":"response.output_text.delta","delta":"hi! ","logprobs":[{"token":"hi","bytes":[104]}],"x":[1]}"#;
    let empty = r#"{"type":"response.output_text.delta","delta":"hi! ","logprobs":[],"x":[1]}"#;
    for (format, body, expected) in [
        (Format::Json, chat.to_owned(), kept.to_owned()),
        (Format::Json, responses.to_owned(), empty.to_owned()),
        (
            Format::EventStream,
            format!("data: {chat}\n\ndata: {responses}\n\n"),
            format!("data: {kept}\n\ndata: {empty}\n\n"),
        ),
    ] {
        for cut in 0..body.len() {
            assert_eq!(
                withheld(format, &body, cut),
                (expected.clone(), true),
                "{cut}"
            );
        }
    }
}

#[test]
fn an_answer_without_any_stays_as_it_came() {
    for body in [
        r#"{"choices":[{"logprobs":null,"text":"logprobs: [1]"}],"log":["logprobs",{"a":1}]}"#,
        r#"{"logprobs":"[1]","b":[1,{"c":2}]}"#,
    ] {
        for cut in 0..body.len() {
            assert_eq!(withheld(Format::Json, body, cut), (body.to_owned(), false));
        }
    }
}

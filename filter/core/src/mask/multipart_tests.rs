//! Bodies of several parts.

use super::stream_tests::{set, streamed};
use super::tokens_tests as samples;
use super::*;
use proptest::prelude::*;

fn masked(body: &str) -> String {
    let masked = mask_whole(
        &set(&["default"], false),
        None,
        Format::Multipart,
        body.as_bytes(),
    );
    String::from_utf8(masked.body).unwrap()
}

#[test]
fn each_part_is_read_as_what_it_is() {
    let token = &samples::tokens(3).first().unwrap().1.clone();
    let body = format!(
        "--b0\r\ncontent-disposition: form-data; name=\"password\"\r\n\r\nhunter2!x\r\n\
         --b0\r\nContent-Disposition: form-data; name=note\r\nContent-Type: application/json\r\n\r\n\
         {{\"password\":\"a\\u0062cdef7!\",\"t\":\"\\n{token}\"}}\r\n\
         --b0\r\nContent-Disposition: form-data; name=\"password\"; filename=\"p.png\"\r\nContent-Type: image/png\r\n\r\n\
         {token}\r\n--b0--\r\n{token}\r\n"
    );
    let id = samples::tokens(3).first().unwrap().0;
    let expected = format!(
        "--b0\r\ncontent-disposition: form-data; name=\"password\"\r\n\r\n[REDACTED:password]\r\n\
         --b0\r\nContent-Disposition: form-data; name=note\r\nContent-Type: application/json\r\n\r\n\
         {{\"password\":\"[REDACTED:password]\",\"t\":\"\\n[REDACTED:{id}]\"}}\r\n\
         --b0\r\nContent-Disposition: form-data; name=\"password\"; filename=\"p.png\"\r\nContent-Type: image/png\r\n\r\n\
         {token}\r\n--b0--\r\n[REDACTED:{id}]\r\n"
    );
    assert_eq!(masked(&body), expected);
}

#[test]
fn what_is_no_multipart_body_is_text() {
    let (id, token) = samples::tokens(5).first().unwrap().clone();
    for before in [
        "",
        "-",
        "--\r\n",
        "text\r\n--b\r\n",
        &format!("--{}\r\n", "b".repeat(80)),
    ] {
        let body = format!("{before}{token} ");
        assert_eq!(
            masked(&body),
            format!("{before}[REDACTED:{id}] "),
            "{before:?}"
        );
    }
}

proptest! {
    #[test]
    fn any_cut_of_parts_gives_the_same(parts in prop::collection::vec(("[ -~]{0,20}(\r\n|\n|\r|)(-{0,3})(b0|b|)", 0usize..4), 0..6), end in "(--b0--)?[ -~\r\n]{0,9}", cuts in prop::collection::vec(1usize..40, 1..8), seed in 1u64..500) {
        let tokens = samples::tokens(seed);
        let types = ["", "content-type: application/json\r\n", "content-type: image/png\r\n", "content-disposition: form-data; name=api_key\r\n"];
        let mut body = String::new();
        for (number, (text, kind)) in parts.iter().enumerate() {
            let token = &tokens[number % tokens.len()].1;
            body.push_str(&format!("--b0\r\n{}\r\n{text}{token}{text}\r\n", types[*kind]));
        }
        body.push_str(&end);
        let set = set(&["default"], false);
        let whole = mask_whole(&set, None, Format::Multipart, body.as_bytes());
        prop_assert_eq!(&streamed(&set, None, Format::Multipart, body.as_bytes(), &cuts), &whole);
        prop_assert_eq!(&streamed(&set, None, Format::Multipart, body.as_bytes(), &[1]), &whole);
    }
}

//! Files in base64 inside JSON.

use super::stream_tests::{set, streamed};
use super::tokens_tests as samples;
use super::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

/// As the contents API writes it: a line end after every sixty characters.
fn in_lines(encoded: &str) -> String {
    let lines = encoded
        .as_bytes()
        .chunks(60)
        .map(|line| format!("{}\n", String::from_utf8_lossy(line)));
    lines.collect()
}

fn decoded(body: &[u8], key: &str) -> String {
    let value: Value = serde_json::from_slice(body).unwrap();
    let text: String = value[key].as_str().unwrap().split_whitespace().collect();
    String::from_utf8(STANDARD.decode(text).unwrap()).unwrap()
}

proptest! {
    #[test]
    fn any_cut_of_a_file_in_base64_gives_the_same_and_it_decodes(before in "[a-z =\\n]{0,80}", after in "[a-z ;\\n]{0,80}", seed in 1u64..500, lines: bool, mode in 0usize..3, cuts in prop::collection::vec(1usize..70, 1..6)) {
        let replacement = [Replacement::Kind, Replacement::KeepLast, Replacement::Hash { key: b"k".to_vec() }][mode].clone();
        let config = MaskConfig { rules: vec!["default".into()], replacement, ..MaskConfig::default() };
        let set = Rc::new(MaskSet::compile(&config).unwrap());
        let token = samples::checksummed("ghp_", seed);
        let file = format!("// a file with some text in it, long enough\n{before} {token} {after}");
        let encoded = STANDARD.encode(&file);
        let encoded = if lines { in_lines(&encoded) } else { encoded };
        let body = json!({"name": "a.js", "content": encoded, "encoding": "base64"}).to_string();
        let whole = mask_whole(&set, None, Format::Json, body.as_bytes());
        prop_assert_eq!(&streamed(&set, None, Format::Json, body.as_bytes(), &cuts), &whole);
        prop_assert_eq!(&streamed(&set, None, Format::Json, body.as_bytes(), &[1]), &whole);
        let masked = decoded(&whole.body, "content");
        prop_assert!(!masked.contains(&token), "{}", masked);
        prop_assert!(masked.contains("[REDACTED:github-token"), "{}", masked);
        let start = file.split(&token).next().unwrap();
        prop_assert!(masked.starts_with(start), "{}", masked);
        prop_assert!(masked.trim_end().ends_with(after.trim_end()), "{}", masked);
    }

    #[test]
    fn a_file_without_a_secret_stays_byte_for_byte(file in prop::collection::vec(any::<u8>(), 0..300), lines: bool, key in prop::sample::select(vec!["content", "data", "other"])) {
        let encoded = STANDARD.encode(&file);
        let encoded = if lines { in_lines(&encoded) } else { encoded };
        let body = json!({ key: encoded, "size": 1 }).to_string();
        let whole = mask_whole(&set(&["default"], false), None, Format::Json, body.as_bytes());
        if whole.findings.is_empty() {
            prop_assert_eq!(String::from_utf8(whole.body).unwrap(), body);
        }
    }

    #[test]
    fn any_cut_of_what_is_nearly_base64_gives_the_same(text in "[A-Za-z0-9+/=\\n\\\\ .\u{e9}-]{0,200}", cuts in prop::collection::vec(1usize..70, 1..6)) {
        let set = set(&["default"], false);
        let body = json!({"content": text, "data": [text, text]}).to_string();
        let whole = mask_whole(&set, None, Format::Json, body.as_bytes());
        prop_assert_eq!(&streamed(&set, None, Format::Json, body.as_bytes(), &cuts), &whole);
        if whole.findings.is_empty() {
            prop_assert_eq!(String::from_utf8(whole.body).unwrap(), body);
        }
    }
}

#[test]
fn a_token_under_the_same_key_is_found_all_the_same() {
    let set = set(&["default"], false);
    for (rule, token) in samples::tokens(5) {
        if token.contains('\n') {
            continue;
        }
        let body = json!({"content": token, "data": format!("say {token}")}).to_string();
        let out = mask_whole(&set, None, Format::Json, body.as_bytes());
        let named = format!("[REDACTED:{rule}]");
        let expected = json!({"content": named, "data": format!("say {named}")}).to_string();
        assert_eq!(String::from_utf8(out.body).unwrap(), expected);
    }
}

//! Paths in answers of every shape.

use super::*;

fn globs() -> Globs {
    let mut globs = Globs::default();
    globs.push("src/auth/**").unwrap();
    globs.push("**/login.rs").unwrap();
    globs
}

fn json(body: &str) -> Vec<String> {
    named(body.as_bytes(), Format::Json, &globs())
}

#[test]
fn a_path_is_found_wherever_an_answer_says_it() {
    for (body, path) in [
        (
            r#"{"choices":[{"message":{"content":"Change `src/auth/token.rs`, please."}}]}"#,
            "src/auth/token.rs",
        ),
        (
            r#"{"content":"+++ b/src/auth/token.rs\n@@"}"#,
            "src/auth/token.rs",
        ),
        (
            r#"{"content":"*** Update File: src/auth/token.rs\n"}"#,
            "src/auth/token.rs",
        ),
        (
            r#"{"input":{"file_path":"/home/me/web/src/auth/token.rs"}}"#,
            "src/auth/token.rs",
        ),
        (
            r#"{"arguments":"{\"path\":\"src\\u002fauth/token.rs\"}"}"#,
            "src/auth/token.rs",
        ),
        (
            r#"{"arguments":"{\"edits\":{\"src/auth/token.rs\":\"text\"}}"}"#,
            "src/auth/token.rs",
        ),
        (r#"{"content":"see ./login.rs."}"#, "login.rs"),
    ] {
        assert_eq!(json(body), [path], "{body}");
    }
    for body in [
        r#"{"content":"src/authority/token.rs and src/author.rs"}"#,
        r#"{"content":"The auth module is fine."}"#,
        "{}",
        "",
    ] {
        assert!(json(body).is_empty(), "{body}");
    }
    assert_eq!(
        named(b"edit src/auth/a.rs", Format::Text, &globs()),
        ["src/auth/a.rs"]
    );
}

/// The same text in pieces of any length, as each interface streams it.
#[test]
fn a_path_in_pieces_is_put_together() {
    let text = r#"{"path":"src/auth/token.rs","x":"y"}"#;
    let quoted = |piece: &str| Value::from(piece).to_string();
    for size in 1..=text.len() {
        let pieces: Vec<String> = text
            .as_bytes()
            .chunks(size)
            .map(|piece| quoted(std::str::from_utf8(piece).unwrap()))
            .collect();
        let chat = pieces.iter().map(|piece| {
            format!(
                "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"tool_calls\":[{{\"index\":1,\"function\":{{\"arguments\":{piece}}}}}]}}}}]}}\n\n"
            )
        });
        // A second call, whose pieces come between.
        let other = "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"/\"}}]}}]}\n\n";
        let chat: String = chat.flat_map(|event| [event, other.to_owned()]).collect();
        let responses: String = pieces
            .iter()
            .map(|piece| {
                format!("data: {{\"type\":\"response.function_call_arguments.delta\",\"item_id\":\"a\",\"delta\":{piece}}}\n\n")
            })
            .collect();
        for body in [chat, responses] {
            let found = named(body.as_bytes(), Format::EventStream, &globs());
            assert_eq!(found, ["src/auth/token.rs"], "{size}: {body}");
        }
    }
}

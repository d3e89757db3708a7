//! The model: deterministic, and driven by the last thing the user said.
//!
//! - `run: COMMAND` asks for the tool `bash` (or the shell tool that the request offers) with that command;
//! - `call: TOOL ARGUMENTS` asks for that tool with those arguments, which are JSON;
//! - `long: BYTES` answers that much prose, with a token in every 64 KiB;
//! - anything with `secret` or `token` in it is answered with a text that holds a GitHub token, an AWS key pair, a JWT and a
//!   PEM private key;
//! - after a tool's result, and for everything else, a short sentence.

use serde_json::{Value, json};

use crate::samples;

/// What the model says to a conversation.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Plain text.
    Text(String),
    /// A call of a tool: its name and its arguments as JSON text.
    Tool(String, String),
}

/// A turn of a conversation, whatever protocol it came in.
#[derive(Debug, Clone)]
pub struct Turn {
    /// `user`, `assistant`, `tool` …
    pub role: String,
    /// Its text, parts joined.
    pub text: String,
}

/// Longest answer to `long:`, in bytes.
const LONGEST: usize = 256 * 1024 * 1024;

/// The answer to `turns`, given the names of the tools on offer.
pub fn reply(turns: &[Turn], tools: &[String]) -> Reply {
    let last = turns
        .iter()
        .rev()
        .find(|turn| matches!(turn.role.as_str(), "user" | "tool"));
    let Some(last) = last else {
        return Reply::Text("Hello. What shall we build?".into());
    };
    if last.role == "tool" {
        let first = last.text.lines().next().unwrap_or_default();
        return Reply::Text(format!(
            "The command has run. Its output begins with: {first}"
        ));
    }
    let text = last.text.as_str();
    if let Some(command) = after(text, "run:") {
        let tool = tools
            .iter()
            .find(|name| matches!(name.as_str(), "bash" | "shell" | "run_in_terminal"));
        let arguments =
            json!({ "command": command, "description": "Run the command that was asked for" });
        return Reply::Tool(
            tool.map_or("bash", String::as_str).to_owned(),
            arguments.to_string(),
        );
    }
    if let Some((tool, arguments)) = after(text, "call:").and_then(|call| call.split_once(' ')) {
        return Reply::Tool(tool.to_owned(), arguments.trim().to_owned());
    }
    if let Some(bytes) = after(text, "long:").and_then(|number| number.parse().ok()) {
        return Reply::Text(long(bytes));
    }
    let lower = text.to_lowercase();
    if lower.contains("secret") || lower.contains("token") {
        return Reply::Text(secrets());
    }
    let echoed: String = text.chars().take(200).collect();
    Reply::Text(format!(
        "You said: {echoed}\n\nThat sounds good – tell me where to begin. ✓"
    ))
}

fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(mark)?;
    rest.lines()
        .next()
        .map(str::trim)
        .filter(|line| !line.is_empty())
}

/// The answer that must never reach an agent as it is.
pub fn secrets() -> String {
    let (id, secret) = samples::aws_key();
    format!(
        "Sure, here is the configuration I found – please rotate it afterwards.\n\n```env\nGITHUB_TOKEN={}\n\
         AWS_ACCESS_KEY_ID={id}\nAWS_SECRET_ACCESS_KEY={secret}\nSESSION={}\n```\n\nand the deploy key:\n\n{}\n\nThat is all. ✓",
        samples::github_token("ghp_", "deploy"),
        samples::jwt(),
        samples::private_key(),
    )
}

fn long(bytes: usize) -> String {
    let bytes = bytes.min(LONGEST);
    let mut text = String::with_capacity(bytes + 128);
    let mut next_token = 32 * 1024;
    let mut line = 0u64;
    while text.len() < bytes {
        line += 1;
        if text.len() >= next_token {
            next_token += 64 * 1024;
            text.push_str(&format!(
                "export GITHUB_TOKEN={}\n",
                samples::github_token("ghp_", "deploy")
            ));
        }
        let mark = line.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        text.push_str(&format!("{line}. The build of crate_{:04} took {} ms; artefact {mark:016x}; nothing to report – go on.\n", line % 9973, mark % 5000));
    }
    let mut end = bytes;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

/// Cuts a text as a model's stream does: a few bytes at a time, never within a character.
pub fn pieces(text: String) -> impl Iterator<Item = String> + Send + 'static {
    const SIZES: [usize; 8] = [3, 1, 5, 2, 7, 4, 1, 6];
    let scale = if text.len() > 64 * 1024 { 64 } else { 1 };
    let (mut start, mut turn) = (0, 0);
    std::iter::from_fn(move || {
        if start >= text.len() {
            return None;
        }
        let mut end = (start + SIZES[turn % SIZES.len()] * scale).min(text.len());
        while !text.is_char_boundary(end) {
            end += 1;
        }
        let piece = text[start..end].to_owned();
        (start, turn) = (end, turn + 1);
        Some(piece)
    })
}

/// The text of a `content` member: a string, or a list of parts with `text`.
pub fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts: Vec<String> = parts
                .iter()
                .map(|part| {
                    part["text"]
                        .as_str()
                        .map_or_else(|| text_of(&part["content"]), str::to_owned)
                })
                .filter(|text| !text.is_empty())
                .collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

/// A rough count of tokens, for `usage`.
pub fn tokens(text: &str) -> usize {
    text.len().div_ceil(4)
}

/// Tool names on offer, from OpenAI's two shapes and Anthropic's.
pub fn tool_names(body: &Value) -> Vec<String> {
    let tools = body["tools"].as_array().into_iter().flatten();
    tools
        .filter_map(|tool| {
            Some(
                tool["function"]["name"]
                    .as_str()
                    .or(tool["name"].as_str())?
                    .to_owned(),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(text: &str) -> Reply {
        let turn = Turn {
            role: "user".into(),
            text: text.into(),
        };
        reply(&[turn], &["bash".into()])
    }

    #[test]
    fn the_prompt_decides() {
        assert_eq!(
            ask("please run: ls -l\nthanks"),
            Reply::Tool(
                "bash".into(),
                r#"{"command":"ls -l","description":"Run the command that was asked for"}"#.into()
            )
        );
        assert_eq!(
            ask(r#"call: push_files {"a": [1]}"#),
            Reply::Tool("push_files".into(), r#"{"a": [1]}"#.into())
        );
        let Reply::Text(text) = ask("show me the Secret") else {
            panic!("no text")
        };
        for part in ["ghp_", "AKIA", "eyJ", "PRIVATE KEY-----"] {
            assert!(text.contains(part), "{part}");
        }
        let Reply::Text(text) = ask("long: 100000") else {
            panic!("no text")
        };
        assert!((99_990..=100_000).contains(&text.len()));
        assert_eq!(text.matches("ghp_").count(), 2);
    }

    #[test]
    fn pieces_make_the_whole_again() {
        let pieces: Vec<String> = pieces(secrets()).collect();
        assert_eq!(pieces.concat(), secrets());
        assert!(pieces.iter().all(|piece| piece.len() <= 9));
    }
}

//! `{name:argument}` in a scenario's texts: what cannot be written down.
//!
//! | written | stands for |
//! |---|---|
//! | `{token:NAME}` | a token of the scenario |
//! | `{basic:USER:NAME}` | `USER:token` in base64 |
//! | `{secret:KIND}` | a well-formed secret, made here so that nobody's scanner takes the corpus for a leak |
//! | `{base64:TEXT}` | TEXT in base64, expanded before |

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Expands every text of a document.
///
/// # Errors
/// A name that nothing stands for.
pub fn expand(value: &mut Value, tokens: &BTreeMap<String, String>) -> Result<()> {
    match value {
        Value::String(text) => *text = expand_text(text, tokens)?,
        Value::Array(items) => {
            for item in items {
                expand(item, tokens)?;
            }
        }
        Value::Object(members) => {
            for member in members.values_mut() {
                expand(member, tokens)?;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Ok(())
}

fn expand_text(text: &str, tokens: &BTreeMap<String, String>) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let name = ["token", "basic", "secret", "base64"]
            .into_iter()
            .find(|name| {
                from[1..]
                    .strip_prefix(name)
                    .is_some_and(|r| r.starts_with(':'))
            });
        let Some(name) = name else {
            out.push('{');
            rest = &from[1..];
            continue;
        };
        let inner = &from[name.len() + 2..];
        let end = closing(inner).with_context(|| format!("no closing brace: {text}"))?;
        out.push_str(&stands_for(name, &inner[..end], tokens)?);
        rest = &inner[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

/// The brace that closes the one before `inner`.
fn closing(inner: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn stands_for(name: &str, argument: &str, tokens: &BTreeMap<String, String>) -> Result<String> {
    let token = |name: &str| {
        let token = tokens.get(name).cloned();
        token.with_context(|| format!("no token is named {name}"))
    };
    Ok(match name {
        "token" => token(argument)?,
        "basic" => {
            let (user, name) = argument.split_once(':').context("{basic:USER:TOKEN}")?;
            STANDARD.encode(format!("{user}:{}", token(name)?))
        }
        "base64" => STANDARD.encode(expand_text(argument, tokens)?),
        _ => secret(argument)?,
    })
}

fn secret(kind: &str) -> Result<String> {
    const BODY: &str = "q7Zk2mXb9RtYw4LsVn6PcHd3Jf8GaE";
    Ok(match kind {
        "github" => format!("ghp_{BODY}{}", checksum(BODY)),
        "aws" => format!("AKIA{}", "Q3EGRZ7KX2ML5WTN"),
        "slack" => format!(
            "xoxb-{}-{}-{}",
            "263594206564", "2343594206574", "FGqddMF8t08v8N7Oq4i57vs1"
        ),
        "pem" => format!(
            "-----BEGIN {0}-----\n{1}\n{1}\n-----END {0}-----",
            "PRIVATE KEY", "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgq7Zk2mXb9RtYw4Ls"
        ),
        other => bail!("no secret of the kind {other}"),
    })
}

/// The last six characters of GitHub's tokens: CRC-32 in base 62.
fn checksum(body: &str) -> String {
    const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut crc = u32::MAX;
    for byte in body.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    let mut rest = !crc;
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[rest as usize % 62];
        rest /= 62;
    }
    digits.iter().map(|d| char::from(*d)).collect()
}

//! The operator's regular expressions.
//!
//! A regular expression can match text of any length, so it is matched within one line of decoded
//! text: the unfinished line is held, up to [`LINE_MAX`] bytes. A longer line is cut there, and a
//! match that spans the cut is not found. `^` and `$` stand for the ends of the line.

use super::classes::part;
use super::rules::RULES;
use super::set::{CustomRule, MaskSet, RuleIndex};
use super::text::Span;
use regex_lite::Regex;

/// Longest line, in bytes, that is searched as one.
pub const LINE_MAX: usize = 4096;

/// A compiled custom rule.
pub(super) struct Custom {
    pub id: String,
    regex: Regex,
    /// What every match begins with; empty when that is not plain from the expression.
    literal: Vec<u8>,
}

/// Compiles a rule, or says why it is refused.
pub(super) fn compile(rule: &CustomRule) -> Result<Custom, String> {
    let id_fits = (1..=64).contains(&rule.id.len())
        && rule
            .id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if !id_fits {
        return Err("the id must be 1 to 64 letters, digits, '-', '_' or '.'".to_owned());
    }
    let regex =
        Regex::new(&rule.regex).map_err(|e| format!("the expression does not parse: {e}"))?;
    if regex.is_match("") {
        return Err(
            "the expression matches empty text, so it would mask between any two characters"
                .to_owned(),
        );
    }
    let line_end = [
        "\\n", "\\r", "\\x0a", "\\x0A", "\\x{a}", "\\x{A}", "\\u000a", "\\u000A", "\n",
    ]
    .iter()
    .any(|escape| rule.regex.replace("\\\\", "").contains(escape));
    if line_end {
        return Err(
            "the expression asks for a line end, and custom rules are matched within one line: \
             more can not be held back in a stream"
                .to_owned(),
        );
    }
    Ok(Custom {
        id: rule.id.clone(),
        literal: literal(&rule.regex),
        regex,
    })
}

/// The plain characters an expression begins with.
fn literal(pattern: &str) -> Vec<u8> {
    if pattern.contains('|') {
        return Vec::new();
    }
    let mut literal = Vec::new();
    for &b in pattern.as_bytes() {
        if b.is_ascii_alphanumeric() || b" /:@_-=\"'<>%&;,~!".contains(&b) {
            literal.push(b);
        } else {
            if b"?*{".contains(&b) {
                literal.pop();
            }
            break;
        }
    }
    literal
}

/// Finds every match of every rule in `text[from..to]`, one line, in order of their starts.
pub(super) fn search(set: &MaskSet, text: &[u8], from: usize, to: usize, spans: &mut Vec<Span>) {
    let line = part(text, from, to);
    let mut replaced = String::new();
    for (index, rule) in set.custom.iter().enumerate() {
        let found = rule.literal.is_empty()
            || (rule.literal.len() <= line.len()
                && line.windows(rule.literal.len()).any(|w| w == rule.literal));
        if !found {
            continue;
        }
        let line = match std::str::from_utf8(line) {
            Ok(line) => line,
            Err(_) => {
                if replaced.is_empty() {
                    replaced = same_length(line);
                }
                &replaced
            }
        };
        spans.extend(
            rule.regex
                .find_iter(line)
                .filter(|found| !found.is_empty() && !set.allows(found.as_str().as_bytes()))
                .map(|found| Span {
                    start: from + found.start(),
                    end: from + found.end(),
                    rule: (RULES.len() + 1 + index) as RuleIndex,
                    goes_on: false,
                }),
        );
    }
}

/// The text with one ASCII byte (SUB) for each byte that is no UTF-8, so that places stay right.
fn same_length(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '\u{1a}'));
    }
    text
}

//! The words of a denial, and the one place where untrusted text is made harmless.

use super::Denial;

/// More than this much of one text is cut: a denial is read in a terminal.
const MAX_TEXT: usize = 2_000;

/// `raw` on one line: no control characters (terminal escapes, header breaks), no characters that
/// reorder or hide what is shown, at most `limit` characters.
pub(super) fn clean(raw: &str, limit: usize) -> String {
    let mut out = String::with_capacity(raw.len().min(limit));
    for (count, c) in raw.chars().enumerate() {
        if count == limit {
            out.push('…');
            break;
        }
        if c.is_control() || c == '\u{2028}' || c == '\u{2029}' {
            out.push(' ');
        } else if !invisible(c) {
            out.push(c);
        }
    }
    out.trim().to_owned()
}

/// Printable ASCII for a header value.
pub(super) fn header(raw: &str, limit: usize) -> String {
    clean(raw, limit)
        .chars()
        .filter(|c| c.is_ascii() && !c.is_ascii_control())
        .collect()
}

/// The inside of a quoted-string (RFC 9110, section 5.6.4), without what would need escaping.
pub(super) fn quoted(raw: &str) -> String {
    header(raw, 200).replace(['"', '\\'], "'")
}

/// What is said, one thought a line: the text, the detail, the ticket, how to ask about it.
pub(super) fn lines(denial: &Denial<'_>) -> Vec<String> {
    let mut lines: Vec<String> = denial
        .text
        .lines()
        .map(|line| clean(line, MAX_TEXT))
        .filter(|line| !line.is_empty())
        .take(20)
        .collect();
    if lines.is_empty() {
        lines.push(denial.reason.text().to_owned());
    }
    if let Some(detail) = denial.detail {
        lines.push(format!("Detail: {}", clean(detail, 300)));
    }
    if let Some(ticket) = &denial.ticket {
        lines.push(format!("Approval: {}", clean(ticket.url, 500)));
        lines.push("Once it is approved, send the same request again.".to_owned());
    }
    lines.push(signature(denial));
    lines
}

/// The same on one line.
pub(super) fn sentence(denial: &Denial<'_>) -> String {
    lines(denial).join(" ")
}

fn signature(denial: &Denial<'_>) -> String {
    let exchange = header(denial.exchange, 128);
    match denial.rule {
        Some(rule) => format!(
            "[Countersign: {}, rule {}, exchange {exchange}]",
            denial.reason.code(),
            clean(rule, 200)
        ),
        None => format!(
            "[Countersign: {}, exchange {exchange}]",
            denial.reason.code()
        ),
    }
}

/// Bidirectional controls and zero-width characters: they make a text look like another.
fn invisible(c: char) -> bool {
    matches!(
        c,
        '\u{00ad}'
            | '\u{061c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

//! Private keys in PEM and its relatives (OpenSSH, PGP armour).
//!
//! A header line alone is no secret: code mentions it often. It becomes one when a body follows
//! (16 base64 bytes, or an armour header such as `Proc-Type:`). From there everything is swallowed
//! until the END line, until something that cannot be a key body, or for [`BODY_MAX`] bytes. Line
//! ends may be real or written as `\n`, and lines may be quoted and joined as in source code.

use super::classes::{ALNUM, BASE64, DASH, DIGIT, SPACE, byte, is, part, run_end};
use super::context::Verdict;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END";
const DASHES: &[u8] = b"-----";
/// Longest key body that is swallowed after one header line, in bytes.
pub(super) const BODY_MAX: usize = 16 * 1024;
/// Longest mix of line ends, quotes and blanks between two lines of a body.
const GLUE_MAX: usize = 64;
const LABEL_MAX: usize = 48;
/// Longest armour header line.
const HEADER_MAX: usize = 256;

/// Whether a private key begins at `at`; `Yes` is the place where its body begins.
pub(super) fn opening(text: &[u8], at: usize, end_of_text: bool) -> Verdict {
    let short = if end_of_text {
        Verdict::No
    } else {
        Verdict::More
    };
    let rest = text.get(at..).unwrap_or_default();
    if !rest.starts_with(BEGIN) {
        return if BEGIN.starts_with(rest) {
            short
        } else {
            Verdict::No
        };
    }
    let label = at + BEGIN.len();
    let label_end = label
        + part(text, label, text.len())
            .iter()
            .take(LABEL_MAX)
            .take_while(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || **b == b' ')
            .count();
    let name = part(text, label, label_end);
    let dashes = text.get(label_end..).unwrap_or_default();
    if !dashes.starts_with(DASHES) {
        let open = DASHES.starts_with(dashes) && name.len() < LABEL_MAX;
        return if open { short } else { Verdict::No };
    }
    if !name.ends_with(b"PRIVATE KEY") && !name.ends_with(b"PRIVATE KEY BLOCK") {
        return Verdict::No;
    }
    let glue_start = label_end + DASHES.len();
    let glue = glue_end(text, glue_start);
    if open_escape(text, glue) && glue - glue_start <= GLUE_MAX {
        return short;
    }
    if glue == glue_start && glue < text.len() || glue - glue_start > GLUE_MAX {
        return Verdict::No;
    }
    let run = run_end(text, glue, BASE64);
    if run - glue >= 16 || header_line(text, glue, end_of_text) == Verdict::Yes(()) {
        return Verdict::Yes(glue);
    }
    if run == text.len() || header_line(text, glue, end_of_text) == Verdict::More {
        return short;
    }
    Verdict::No
}

/// Whether the private lines of a PuTTY key begin at `at`; `Yes` is the place where its body begins.
pub(super) fn putty(text: &[u8], at: usize, end_of_text: bool) -> Verdict {
    const LINES: &[u8] = b"Private-Lines: ";
    let short = if end_of_text {
        Verdict::No
    } else {
        Verdict::More
    };
    let rest = text.get(at..).unwrap_or_default();
    if !rest.starts_with(LINES) {
        return if LINES.starts_with(rest) {
            short
        } else {
            Verdict::No
        };
    }
    let digits = at + LINES.len();
    let glue_start = run_end(part(text, 0, text.len().min(digits + 4)), digits, DIGIT);
    let glue = glue_end(text, glue_start);
    if glue == text.len() || open_escape(text, glue) {
        return if glue - glue_start > GLUE_MAX {
            Verdict::No
        } else {
            short
        };
    }
    let run = run_end(text, glue, BASE64);
    if glue == glue_start || run - glue >= 16 {
        return if glue > glue_start && glue_start > digits {
            Verdict::Yes(glue)
        } else {
            Verdict::No
        };
    }
    if run == text.len() {
        short
    } else {
        Verdict::No
    }
}

/// One step through a key body at `at`: `Yes(end, last)` swallows up to `end`; `No` ends the body.
/// `in_line`: the bytes before `at` were taken for a body line, which may go on.
pub(super) fn body(
    text: &[u8],
    at: usize,
    in_line: bool,
    end_of_text: bool,
) -> Verdict<(usize, bool)> {
    let short = if end_of_text {
        Verdict::No
    } else {
        Verdict::More
    };
    if in_line && byte(text, at).is_some_and(|b| is(b, BASE64)) {
        return Verdict::Yes((run_end(text, at, BASE64), false));
    }
    let line = glue_end(text, at);
    if line - at > GLUE_MAX {
        return Verdict::No;
    }
    let rest = text.get(line..).unwrap_or_default();
    if rest.is_empty()
        || open_escape(text, line)
        || (!rest.starts_with(END) && END.starts_with(rest))
    {
        return short;
    }
    if rest.starts_with(END) {
        let label = rest.get(END.len()..).unwrap_or_default();
        let label_length = label
            .iter()
            .take(LABEL_MAX + 1)
            .take_while(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || **b == b' ')
            .count();
        let after = label.get(label_length..).unwrap_or_default();
        let end = line + END.len() + label_length;
        return if after.starts_with(DASHES) {
            Verdict::Yes((end + DASHES.len(), true))
        } else if DASHES.starts_with(after) && !end_of_text {
            Verdict::More
        } else {
            Verdict::Yes((end, true))
        };
    }
    let run = run_end(text, line, BASE64);
    if run - line >= 40 {
        return Verdict::Yes((run, false));
    }
    match header_line(text, line, end_of_text) {
        Verdict::Yes(()) => {
            let length = part(text, line, text.len())
                .iter()
                .take(HEADER_MAX)
                .position(|b| matches!(b, b'\n' | b'\\'));
            return match length {
                Some(length) => Verdict::Yes((line + length, false)),
                None if text.len() - line >= HEADER_MAX => Verdict::No,
                None => short,
            };
        }
        Verdict::More => return short,
        Verdict::No => {}
    }
    // A short last line: base64 that ends with a line end or with the END line.
    let plain = !part(text, at, line)
        .iter()
        .any(|b| matches!(b, b'"' | b'\'' | b'+' | b','));
    match byte(text, run) {
        None if end_of_text => {
            if plain && run > line {
                Verdict::Yes((run, true))
            } else {
                Verdict::No
            }
        }
        None => Verdict::More,
        Some(b'\r' | b'\n') if run > line => Verdict::Yes((run, false)),
        Some(b'-') if run > line => {
            let rest = text.get(run..).unwrap_or_default();
            if rest.starts_with(END) {
                Verdict::Yes((run, false))
            } else if END.starts_with(rest) {
                short
            } else {
                Verdict::No
            }
        }
        Some(b'\\') if run > line => match byte(text, run + 1) {
            None => short,
            Some(b'n' | b'r' | b'\\') => Verdict::Yes((run, false)),
            Some(_) => Verdict::No,
        },
        Some(_) => Verdict::No,
    }
}

/// Where the line ends, blanks, quotes and joints that begin at `from` end.
fn glue_end(text: &[u8], from: usize) -> usize {
    let mut at = from;
    while at <= from + GLUE_MAX {
        match byte(text, at) {
            Some(b) if is(b, SPACE) || matches!(b, b'"' | b'\'' | b'+' | b',') => at += 1,
            Some(b'\\') => {
                let run = part(text, at, text.len())
                    .iter()
                    .take_while(|&&b| b == b'\\')
                    .count();
                match byte(text, at + run) {
                    Some(b'n' | b'r' | b't') => at += run + 1,
                    Some(b'\n' | b'\r' | b'"' | b'\'') => at += run,
                    _ => return at,
                }
            }
            _ => return at,
        }
    }
    at
}

/// Whether only a backslash, whose meaning the next byte gives, stands at `at`.
fn open_escape(text: &[u8], at: usize) -> bool {
    let rest = part(text, at, text.len());
    !rest.is_empty() && rest.len() <= GLUE_MAX && rest.iter().all(|&b| b == b'\\')
}

/// `Proc-Type: 4,ENCRYPTED`, `Version: GnuPG v2` and the like.
fn header_line(text: &[u8], at: usize, end_of_text: bool) -> Verdict<()> {
    let name = run_end(text, at, ALNUM | DASH);
    if name == at || name - at > 24 {
        return Verdict::No;
    }
    let known = [
        &b"Proc-Type"[..],
        b"DEK-Info",
        b"Version",
        b"Comment",
        b"Hash",
        b"Charset",
        b"MessageID",
    ];
    let word = part(text, at, name);
    match byte(text, name) {
        None if !end_of_text && known.iter().any(|k| k.starts_with(word)) => Verdict::More,
        Some(b':') if known.contains(&word) => Verdict::Yes(()),
        _ => Verdict::No,
    }
}

//! Text from agents and upstreams, as pages show it. Templates escape markup; what is left are
//! characters that change how the text around them looks.

/// `text` with every control and every invisible or direction-changing character spelled out, so
/// that what a reviewer reads is what is there. Line breaks and tabs stay.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\n' | '\t' => out.push(c),
            '\r' if rest.peek() == Some(&'\n') => {}
            c if c.is_control() || is_deceptive(c) => {
                out.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out
}

/// As [`shown`], on one line.
pub(crate) fn shown_line(text: &str) -> String {
    shown(&text.replace(['\n', '\r', '\t'], " "))
}

/// The first letter large: summaries are written as the middle of a sentence.
pub(crate) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Bytes in the unit that reads best.
pub(crate) fn size(bytes: i64) -> String {
    match bytes {
        ..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// A number with its thousands apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Microseconds in the unit that reads best.
pub(crate) fn duration(us: i64) -> String {
    match us {
        ..1000 => format!("{us} µs"),
        1000..1_000_000 => format!("{:.1} ms", us as f64 / 1000.0),
        _ => format!("{:.2} s", us as f64 / 1_000_000.0),
    }
}

/// What a decision of the gateway means, in words.
pub(crate) fn decision(word: &str) -> &str {
    match word {
        "allowed" => "allowed",
        "denied" => "denied",
        "held" => "held",
        "held_approved" => "held, approved",
        "held_refused" => "held, refused",
        "held_expired" => "held, not answered",
        "undecided_denied" => "undecided, denied",
        "undecided_allowed" => "undecided, let through",
        "observed" => "observed only",
        "unfinished" => "ended before a decision",
        other => other,
    }
}

/// The colour class of a decision.
pub(crate) fn tone(word: &str) -> &'static str {
    match word {
        "allowed" | "held_approved" | "approved" | "consumed" => "good",
        "denied" | "held_refused" | "undecided_denied" | "refused" => "bad",
        "held" | "held_expired" | "undecided_allowed" | "pending" => "warn",
        _ => "plain",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_is_spelled_out() {
        assert_eq!(
            shown("a\u{202e}gnp.exe\u{0}\r\nb\tc\u{200b}\rd"),
            "a\\u{202e}gnp.exe\\u{0}\nb\tc\\u{200b}\\u{d}d"
        );
        assert_eq!(shown_line("a\nb"), "a b");
    }

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}

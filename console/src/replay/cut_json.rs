//! Reading a JSON document whose end was not captured: what came before the cut.

use serde_json::Value;

/// A document, and whether it is only the part before a cut.
pub fn read(text: &str, cut: bool) -> Option<(Value, bool)> {
    match serde_json::from_str(text) {
        Ok(value) => Some((value, cut)),
        Err(_) if cut => closed(text)
            .into_iter()
            .find_map(|text| serde_json::from_str(&text).ok())
            .map(|value| (value, true)),
        Err(_) => None,
    }
}

/// The text up to a point at which closing all that is open gives a document, longest first. A
/// string that was cut is closed where it ends; a member without a value is left out.
fn closed(text: &str) -> Vec<String> {
    let mut open: Vec<u8> = Vec::new();
    let mut in_string = false;
    let mut escaped = false;
    // Where the text can be cut, and what is open there.
    let mut good: Option<(usize, Vec<u8>)> = None;
    let mut value_string = false;
    let mut after_colon = false;
    let mut last_escape = 0;
    for (at, byte) in text.bytes().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => {
                    escaped = true;
                    last_escape = at;
                }
                b'"' => {
                    in_string = false;
                    if value_string {
                        good = Some((at + 1, open.clone()));
                    }
                }
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => {
                in_string = true;
                last_escape = 0;
                value_string = after_colon || open.last() != Some(&b'}');
                after_colon = false;
            }
            b'{' => {
                open.push(b'}');
                after_colon = false;
                good = Some((at + 1, open.clone()));
            }
            b'[' => {
                open.push(b']');
                after_colon = false;
                good = Some((at + 1, open.clone()));
            }
            b'}' | b']' => {
                if open.pop() != Some(byte) {
                    return Vec::new();
                }
                good = Some((at + 1, open.clone()));
            }
            b',' => {
                after_colon = false;
                good = Some((at, open.clone()));
            }
            b':' => after_colon = true,
            _ => {}
        }
    }
    let mut ends = Vec::new();
    if in_string && value_string {
        ends.push((text.len(), open.clone(), "\""));
        if last_escape > 0 {
            // An escape that was cut is left out.
            ends.push((last_escape, open, "\""));
        }
    }
    ends.extend(good.map(|(end, open)| (end, open, "")));
    let close = |(end, mut open, quote): (usize, Vec<u8>, &str)| {
        open.reverse();
        let closing = String::from_utf8(open).ok()?;
        Some(format!("{}{quote}{closing}", text.get(..end)?))
    };
    ends.into_iter().filter_map(close).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_cut_of_a_document_is_read_as_its_beginning() {
        let text = r#"{"model":"gpt","messages":[{"role":"user","content":"a \"b\" \u00e4 ü\\"},{"n":-1.5e3,"t":true}],"x":{"y":[]}}"#;
        let whole: Value = serde_json::from_str(text).unwrap();
        for end in 1..text.len() {
            let Some(part) = text.get(..end) else {
                continue;
            };
            let (value, cut) = read(part, true).unwrap_or_else(|| panic!("{part}"));
            assert!(cut && is_beginning(&value, &whole), "{part} gave {value}");
        }
    }

    fn is_beginning(part: &Value, whole: &Value) -> bool {
        match (part, whole) {
            (Value::Object(part), Value::Object(whole)) => part
                .iter()
                .all(|(k, v)| whole.get(k).is_some_and(|w| is_beginning(v, w))),
            (Value::Array(part), Value::Array(whole)) => {
                part.len() <= whole.len() && part.iter().zip(whole).all(|(p, w)| is_beginning(p, w))
            }
            (Value::String(part), Value::String(whole)) => whole.starts_with(part.as_str()),
            (part, whole) => part == whole,
        }
    }

    #[test]
    fn what_was_not_cut_is_not_mended() {
        assert_eq!(read("{\"a\":", false), None);
        assert_eq!(read("{}", true), Some((json!({}), true)));
        assert_eq!(read("]", true), None);
    }
}

//! Whether JSON holds what is expected of it.

use serde_json::Value;

/// Where `seen` misses something of `expected`; `None` if it holds all of it.
///
/// Objects may have more members, lists may not have more items. A text that begins with `~` asks
/// for a part, `null` for a member that is not there.
pub fn missing(expected: &Value, seen: &Value) -> Option<String> {
    at(expected, seen, "")
}

fn at(expected: &Value, seen: &Value, path: &str) -> Option<String> {
    match (expected, seen) {
        (Value::Object(expected), Value::Object(seen)) => {
            expected.iter().find_map(|(key, value)| {
                let path = format!("{path}.{key}");
                match (value, seen.get(key)) {
                    (Value::Null, None | Some(Value::Null)) => None,
                    (_, None) => Some(format!("{path} is missing (expected {value})")),
                    (_, Some(seen)) => at(value, seen, &path),
                }
            })
        }
        (Value::Array(expected), Value::Array(seen)) => {
            if expected.len() != seen.len() {
                let count = expected.len();
                return Some(format!(
                    "{path} has {} items, not {count}: {seen:?}",
                    seen.len()
                ));
            }
            let pairs = expected.iter().zip(seen).enumerate();
            pairs
                .into_iter()
                .find_map(|(index, (e, s))| at(e, s, &format!("{path}[{index}]")))
        }
        (Value::String(text), Value::String(seen)) if text.starts_with('~') => {
            let part = &text[1..];
            (!seen.contains(part)).then(|| format!("{path} is {seen:?}, without {part:?}"))
        }
        _ if expected == seen => None,
        _ => Some(format!("{path} is {seen}, not {expected}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::missing;

    #[test]
    fn more_members_are_fine_and_more_items_are_not() {
        let seen = json!({"a": 1, "b": [{"c": "hello world", "d": 2}], "n": null});
        for good in [
            json!({"a": 1}),
            json!({"b": [{"c": "~world"}]}),
            json!({"x": null, "n": null}),
            json!({}),
        ] {
            assert_eq!(missing(&good, &seen), None, "{good}");
        }
        for bad in [
            json!({"a": 2}),
            json!({"b": []}),
            json!({"b": [{"c": "world"}]}),
            json!({"a": null}),
            json!({"x": 1}),
        ] {
            assert!(missing(&bad, &seen).is_some(), "{bad}");
        }
    }
}

//! Whether one rule denies all that another names, read from the document itself.
//!
//! It errs on the side of saying no: patterns are compared as they are written, or by whether one
//! takes the literal text of the other.

use countersign_core::policy::Glob;
use serde_json::{Map, Value};

/// Keys of a rule that name what it applies to as lists of patterns.
const LISTS: &[&str] = &[
    "operations",
    "connections",
    "hosts",
    "methods",
    "groups",
    "subjects",
    "repos",
    "owners",
    "refs",
];

/// Keys that are only compared as a whole.
const WHOLE: &[&str] = &["attributes", "claims", "time"];

/// Keys under which a rule might leave out what it names.
const OPEN: &[&str] = &["except", "paths", "json", "unknown_target"];

/// The name of a rule that denies all that the rule at `index` names.
pub fn covering(document: &Value, index: usize) -> Option<&str> {
    let rules = document.get("rules")?.as_array()?;
    let rule = rules.get(index)?.as_object()?;
    rules.iter().enumerate().find_map(|(at, other)| {
        let other = other.as_object()?;
        let denies = other.get("action").and_then(Value::as_str) == Some("deny");
        // Of two that are the same, the later one is one too many.
        let covers = at != index && denies && covers(other, rule);
        let twin = covers && at > index && is_deny(rule) && self::covers(rule, other);
        (covers && !twin)
            .then(|| other.get("name")?.as_str())
            .flatten()
    })
}

fn is_deny(rule: &Map<String, Value>) -> bool {
    rule.get("action").and_then(Value::as_str) == Some("deny")
}

fn covers(wide: &Map<String, Value>, narrow: &Map<String, Value>) -> bool {
    let open = OPEN.iter().any(|key| wide.contains_key(*key));
    !open
        && LISTS
            .iter()
            .all(|key| list_covers(wide.get(*key), narrow.get(*key)))
        && WHOLE
            .iter()
            .all(|key| match (wide.get(*key), narrow.get(*key)) {
                (None, _) => true,
                (wide, narrow) => wide == narrow,
            })
}

fn list_covers(wide: Option<&Value>, narrow: Option<&Value>) -> bool {
    let Some(wide) = wide else { return true };
    let Some(narrow) = narrow else { return false };
    let texts = |value: &Value| -> Vec<String> {
        let items = value.as_array().into_iter().flatten();
        items
            .filter_map(Value::as_str)
            .map(str::to_lowercase)
            .collect()
    };
    let (wide, narrow) = (texts(wide), texts(narrow));
    let includes = |list: &[String]| -> Vec<String> {
        list.iter()
            .filter(|p| !p.starts_with('!'))
            .cloned()
            .collect()
    };
    let takes = |pattern: &String| {
        wide.iter().any(|w| {
            w == pattern
                || w == "**"
                || Glob::new(w).is_ok_and(|w| {
                    Glob::new(pattern).is_ok_and(|p| p.is_literal()) && w.matches(pattern)
                })
        })
    };
    let (wide_in, narrow_in) = (includes(&wide), includes(&narrow));
    let inside = if wide_in.is_empty() {
        true
    } else {
        !narrow_in.is_empty() && narrow_in.iter().all(takes)
    };
    let mut excluded = wide.iter().filter(|p| p.starts_with('!'));
    inside && excluded.all(|out| narrow.contains(out))
}

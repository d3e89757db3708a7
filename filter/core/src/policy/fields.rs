//! Fields of a JSON body that a rule asks for: `json: {"/pointer": value}`.
//!
//! A field is named by an RFC 6901 pointer and compared with a value, a pattern, an expression, or a
//! list of those, one of which has to fit. A list in the body is meant element by element: one is
//! enough for a rule that restrains, one that allows needs all. `null` stands for a field that is
//! null or is not there.
//!
//! A server may be more generous than JSON is. Where its reading could differ (a member whose name
//! differs in case only, an object where a text is asked for, a text longer than [`TEXT_MAX`]) the
//! field cannot be compared; and a rule that restrains takes `"1"` for `1` and `"true"` for `true`.

use regex_lite::Regex;
use serde_json::Value;

use super::condition::Compared;
use super::glob::Globs;

/// Longest text, in bytes, that is compared with a pattern or an expression.
pub const TEXT_MAX: usize = 16 << 10;

/// A field and what it has to be.
#[derive(Debug)]
pub struct Field {
    pointer: Pointer,
    wanted: Wanted,
}

/// What a field has to be.
#[derive(Debug)]
pub enum Wanted {
    /// This value; `null` also stands for absence.
    Value(Value),
    /// A text that matches.
    Globs(Globs),
    /// A text in which the expression is found.
    Regex(Regex),
    /// Any of these.
    OneOf(Vec<Wanted>),
}

/// An RFC 6901 pointer, unescaped.
#[derive(Debug)]
pub struct Pointer(Vec<String>);

/// What a pointer points at.
enum Found<'v> {
    Value(&'v Value),
    Absent,
    /// Another reader could find something else.
    Unclear,
}

impl Field {
    /// A field and what it has to be.
    pub fn new(pointer: Pointer, wanted: Wanted) -> Self {
        Field { pointer, wanted }
    }

    /// Compares it with a body. A rule that `restrains` reads generously, one that allows strictly.
    pub fn compare(&self, body: &Value, restrains: bool) -> Compared {
        match self.pointer.find(body) {
            Found::Unclear => Compared::Unknown,
            Found::Absent => self.wanted.compare(&Value::Null, restrains),
            Found::Value(Value::Array(items)) => {
                let each = items
                    .iter()
                    .map(|item| self.wanted.compare(item, restrains));
                if restrains {
                    Compared::any(each)
                } else if items.is_empty() {
                    Compared::No
                } else {
                    Compared::all(each)
                }
            }
            Found::Value(value) => self.wanted.compare(value, restrains),
        }
    }
}

impl Wanted {
    /// An expression, of bounded size.
    ///
    /// # Errors
    /// An expression that does not parse or is too large.
    pub fn regex(expression: &str) -> Result<Wanted, String> {
        regex_lite::RegexBuilder::new(expression)
            .size_limit(64 << 10)
            .nest_limit(32)
            .build()
            .map(Wanted::Regex)
            .map_err(|error| format!("the expression cannot be used: {error}"))
    }

    fn compare(&self, value: &Value, restrains: bool) -> Compared {
        let text = |matches: &dyn Fn(&str) -> bool| match value {
            Value::String(text) if text.len() > TEXT_MAX => Compared::Unknown,
            Value::String(text) => Compared::from(matches(text)),
            Value::Bool(_) | Value::Number(_) if restrains => {
                Compared::from(matches(&value.to_string()))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Compared::No,
            Value::Array(_) | Value::Object(_) => Compared::Unknown,
        };
        match self {
            Wanted::Value(wanted) => Compared::from(equal(wanted, value, restrains)),
            Wanted::Globs(globs) => text(&|text| globs.matches(text)),
            Wanted::Regex(regex) => text(&|text| regex.is_match(text)),
            Wanted::OneOf(wanted) => {
                Compared::any(wanted.iter().map(|one| one.compare(value, restrains)))
            }
        }
    }
}

/// Equality of JSON values; `generous` also takes a text for the number or boolean it spells.
fn equal(wanted: &Value, value: &Value, generous: bool) -> bool {
    match (wanted, value) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::String(a), Value::Number(_) | Value::Bool(_)) if generous => *a == spelled(value),
        (Value::Number(_) | Value::Bool(_), Value::String(b)) if generous => spelled(wanted) == *b,
        (a, b) => a == b,
    }
}

fn spelled(value: &Value) -> String {
    value.to_string()
}

impl Pointer {
    /// Reads a pointer.
    ///
    /// # Errors
    /// What RFC 6901 does not have.
    pub fn read(text: &str) -> Result<Pointer, String> {
        if text.is_empty() {
            return Ok(Pointer(Vec::new()));
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err(format!(
                "`{text}` is not a JSON pointer: it begins with a slash, as in /branch or /files/0/path"
            ));
        };
        let unescape = |token: &str| {
            let mut parts = token.split('~');
            let mut out = parts.next().unwrap_or_default().to_owned();
            for part in parts {
                let (escaped, tail) = match (part.strip_prefix('0'), part.strip_prefix('1')) {
                    (Some(tail), _) => ('~', tail),
                    (_, Some(tail)) => ('/', tail),
                    (None, None) => {
                        return Err("in a JSON pointer `~` is written ~0 and `/` ~1".to_owned());
                    }
                };
                out.push(escaped);
                out.push_str(tail);
            }
            Ok(out)
        };
        rest.split('/')
            .map(unescape)
            .collect::<Result<_, _>>()
            .map(Pointer)
    }

    fn find<'v>(&self, root: &'v Value) -> Found<'v> {
        let mut value = root;
        for token in &self.0 {
            let next = match value {
                Value::Object(members) => {
                    // Readers that ignore case would take either.
                    let twin = |name: &String| name != token && name.eq_ignore_ascii_case(token);
                    if members.keys().any(twin) {
                        return Found::Unclear;
                    }
                    members.get(token)
                }
                Value::Array(items) => {
                    let plain = token == "0" || !token.starts_with(['0', '+']);
                    token
                        .parse()
                        .ok()
                        .filter(|_| plain)
                        .and_then(|at: usize| items.get(at))
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
            };
            match next {
                Some(next) => value = next,
                None => return Found::Absent,
            }
        }
        Found::Value(value)
    }
}

#[cfg(test)]
#[path = "fields_tests.rs"]
mod tests;

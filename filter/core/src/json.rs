//! JSON read the one way two correct readers would both read it.
//!
//! Everything that decides something (tokens, key sets, policy, request bodies under a rule) is read here rather than
//! with plain `serde_json`, which takes the last of two equal keys without a word. Refused: duplicate member names
//! (RFC 8259 section 4 leaves their meaning open), a byte order mark, invalid UTF-8, anything after the value, more
//! than [`MAX_DEPTH`] levels, and numbers that no `f64` holds. A fault names the place.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How deep arrays and objects may be nested.
///
/// Below `serde_json`'s own limit of 128, and small enough for a wasm stack.
pub const MAX_DEPTH: usize = 64;

/// What is wrong with a JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonFaultKind {
    /// Not JSON, or a number out of range.
    Syntax,
    /// The bytes are not UTF-8 (RFC 8259 section 8.1).
    Utf8,
    /// The text starts with a byte order mark (RFC 8259 section 8.1 forbids sending one).
    ByteOrderMark,
    /// An object has two members of one name.
    DuplicateKey,
    /// More than [`MAX_DEPTH`] levels.
    TooDeep,
    /// Something other than blanks follows the value.
    TrailingData,
}

impl JsonFaultKind {
    /// What it means, in words that hold nothing of the text.
    pub fn message(self) -> &'static str {
        match self {
            Self::Syntax => "not valid JSON",
            Self::Utf8 => "not valid UTF-8",
            Self::ByteOrderMark => "starts with a byte order mark",
            Self::DuplicateKey => "two members of one object have the same name",
            Self::TooDeep => "nested too deep",
            Self::TrailingData => "something follows the JSON value",
        }
    }
}

/// Why and where a JSON text was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonFault {
    /// What is wrong.
    pub kind: JsonFaultKind,
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1; 0 where the line's end itself is the place.
    pub column: usize,
    /// The member it is about (`$.keys[2].kid`); `$` for the whole. Holds names from the text: not for outside.
    pub path: String,
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            line,
            column,
            path,
        } = self;
        write!(
            f,
            "{} at {path} (line {line}, column {column})",
            kind.message()
        )
    }
}

impl std::error::Error for JsonFault {}

/// Reads `bytes` as exactly one JSON value.
///
/// # Errors
/// The first fault met, with its place.
pub fn parse_strict(bytes: &[u8]) -> Result<Value, JsonFault> {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(JsonFault {
            kind: JsonFaultKind::ByteOrderMark,
            line: 1,
            column: 1,
            path: "$".to_owned(),
        });
    }
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let before = bytes.get(..e.valid_up_to()).unwrap_or_default();
        let line_start = before
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |at| at + 1);
        JsonFault {
            kind: JsonFaultKind::Utf8,
            line: before.iter().filter(|b| **b == b'\n').count() + 1,
            column: before.len() - line_start + 1,
            path: "$".to_owned(),
        }
    })?;
    let trail = Trail::default();
    let mut reader = serde_json::Deserializer::from_str(text);
    let strict = Strict {
        trail: &trail,
        depth: 0,
    };
    let value = strict
        .deserialize(&mut reader)
        .map_err(|e| trail.fault(&e, JsonFaultKind::Syntax))?;
    reader
        .end()
        .map_err(|e| trail.fault(&e, JsonFaultKind::TrailingData))?;
    Ok(value)
}

/// A name that the members of `object` have twice but for case. Go's `encoding/json` takes either for
/// the same field, the last one wins, and it folds the long s and the Kelvin sign as well.
pub fn twin(object: &Map<String, Value>) -> Option<&str> {
    let folded = |name: &str| -> String {
        let plain = name.chars().map(|c| match c {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            other => other,
        });
        plain.flat_map(char::to_lowercase).collect()
    };
    let mut seen = BTreeSet::new();
    object
        .keys()
        .find(|name| !seen.insert(folded(name)))
        .map(String::as_str)
}

/// What went wrong besides syntax, and the path to it, filled from the inside out while an error unwinds.
///
/// `serde_json`'s error carries no path and no kind of ours; a path kept on the way down would cost each good text.
#[derive(Default)]
struct Trail {
    kind: RefCell<Option<JsonFaultKind>>,
    path: RefCell<Vec<String>>,
}

impl Trail {
    fn found(&self, kind: JsonFaultKind) {
        self.kind.replace(Some(kind));
    }

    fn leave(&self, step: String) {
        self.path.borrow_mut().push(step);
    }

    fn fault(&self, error: &serde_json::Error, otherwise: JsonFaultKind) -> JsonFault {
        let steps = self.path.borrow();
        let path = std::iter::once("$")
            .chain(steps.iter().rev().map(String::as_str))
            .collect();
        let kind = self.kind.borrow().unwrap_or(otherwise);
        JsonFault {
            kind,
            line: error.line(),
            column: error.column(),
            path,
        }
    }
}

/// One value at one depth.
#[derive(Clone, Copy)]
struct Strict<'t> {
    trail: &'t Trail,
    depth: usize,
}

impl Strict<'_> {
    fn inside<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            self.trail.found(JsonFaultKind::TooDeep);
            return Err(E::custom(JsonFaultKind::TooDeep.message()));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut array = Vec::new();
        loop {
            match items.next_element_seed(inside) {
                Ok(Some(item)) => array.push(item),
                Ok(None) => return Ok(Value::Array(array)),
                Err(error) => {
                    self.trail.leave(format!("[{}]", array.len()));
                    return Err(error);
                }
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                self.trail.found(JsonFaultKind::DuplicateKey);
                self.trail.leave(format!(".{name}"));
                return Err(A::Error::custom(JsonFaultKind::DuplicateKey.message()));
            }
            match members.next_value_seed(inside) {
                Ok(value) => object.insert(name, value),
                Err(error) => {
                    self.trail.leave(format!(".{name}"));
                    return Err(error);
                }
            };
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn refused(text: &[u8]) -> JsonFault {
        parse_strict(text).unwrap_err()
    }

    #[test]
    fn good_texts_read_as_serde_json_reads_them() {
        for text in [
            r#"{"a":[1,-2,3.5,true,null,"x\u00e9"],"b":{"a":{}}}"#,
            " [ ] \r\n\t",
            "0",
            "18446744073709551615",
            "-9223372036854775808",
            "1e3",
            r#""\ud83d\ude00""#,
            r#"{"A":1,"a":2}"#,
        ] {
            let plain: Value = serde_json::from_str(text).unwrap();
            assert_eq!(parse_strict(text.as_bytes()).unwrap(), plain, "{text}");
        }
    }

    #[test]
    fn each_fault_has_its_kind_and_place() {
        use JsonFaultKind::*;
        for (text, kind, path) in [
            (&b"\xef\xbb\xbf{}"[..], ByteOrderMark, "$"),
            (b"{\"a\":\"\xff\"}", Utf8, "$"),
            (br#"{"a":1,"a":1}"#, DuplicateKey, "$.a"),
            (br#"{"a":1,"\u0061":1}"#, DuplicateKey, "$.a"),
            (
                br#"{"keys":[{},{"k":{"x":1,"x":2}}]}"#,
                DuplicateKey,
                "$.keys[1].k.x",
            ),
            (b"{} {}", TrailingData, "$"),
            (b"{}\0", TrailingData, "$"),
            (b"1,", TrailingData, "$"),
            (b"", Syntax, "$"),
            (br#"{"exp":1e400}"#, Syntax, "$.exp"),
            (br#"{"exp":NaN}"#, Syntax, "$.exp"),
            (br#"{"a":01}"#, Syntax, "$.a"),
            (br#"{"a":[1,]}"#, Syntax, "$.a[1]"),
            (br#"{"a":1,}"#, Syntax, "$"),
            (br#"["\ud800"]"#, Syntax, "$[0]"),
            (b"[\"a\nb\"]", Syntax, "$[0]"),
            (b"{'a':1}", Syntax, "$"),
            (b"// x\n{}", Syntax, "$"),
        ] {
            let fault = refused(text);
            assert_eq!(
                (fault.kind, fault.path.as_str()),
                (kind, path),
                "{}",
                String::from_utf8_lossy(text)
            );
        }
    }

    #[test]
    fn names_that_differ_in_case_alone_are_twins() {
        let twin_of = |text: &str| {
            let value = parse_strict(text.as_bytes()).unwrap();
            twin(value.as_object().unwrap()).map(str::to_owned)
        };
        for text in [
            r#"{"name":1,"Name":2}"#,
            r#"{"params":1,"x":0,"param\u017f":2}"#,
            r#"{"kind":1,"\u212aind":2}"#,
            r#"{"\u0041":1,"a":2}"#,
        ] {
            assert!(twin_of(text).is_some(), "{text}");
        }
        for text in [
            "{}",
            r#"{"name":1,"names":2,"nam":3}"#,
            r#"{"a":{"A":1},"b":{"a":1}}"#,
        ] {
            assert_eq!(twin_of(text), None, "{text}");
        }
    }

    #[test]
    fn a_fault_tells_line_and_column() {
        let fault = refused(b"{\n  \"a\": 1,\n  \"a\": 2\n}");
        assert_eq!((fault.line, fault.column), (3, 5));
        assert!(
            fault
                .to_string()
                .starts_with("two members of one object have the same name at $.a (line 3")
        );
        let fault = refused(b"{\n\"a\xff\"}");
        assert_eq!((fault.line, fault.column), (2, 3));
    }

    #[test]
    fn depth_is_bounded_exactly() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse_strict(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(
            refused(nested(MAX_DEPTH + 1).as_bytes()).kind,
            JsonFaultKind::TooDeep
        );
        assert_eq!(
            refused("[".repeat(100_000).as_bytes()).kind,
            JsonFaultKind::TooDeep
        );
        let objects = format!(
            "{}1{}",
            "{\"a\":".repeat(MAX_DEPTH + 1),
            "}".repeat(MAX_DEPTH + 1)
        );
        assert_eq!(refused(objects.as_bytes()).kind, JsonFaultKind::TooDeep);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map("[a-c\"\\\\é]{0,3}", inner, 0..6)
                    .prop_map(|m| json!(m)),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in value()) {
            prop_assert_eq!(parse_strict(value.to_string().as_bytes()), Ok(value));
        }

        #[test]
        fn nothing_is_taken_that_serde_json_refuses(bytes in prop::collection::vec(prop::sample::select(b"{}[],:\"a1e.-\\u0 \xff".to_vec()), 0..24)) {
            if parse_strict(&bytes).is_ok() {
                prop_assert!(serde_json::from_slice::<Value>(&bytes).is_ok());
            }
        }
    }
}

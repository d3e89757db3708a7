//! Reading a JSON value as configuration: every fault at once, each with its path.
//!
//! serde stops at the first error, and an operator who mends a policy wants all of them. The
//! reader never fails: it notes the fault, gives `None` or an empty list, and goes on.

use std::cell::RefCell;
use std::fmt;

use serde_json::{Map, Value};

use super::shape::Shape;

/// One thing wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where, as `rules[3].action`; empty for the whole document.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => write!(f, "{}", self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

/// Where faults are collected while a document is read.
#[derive(Debug, Default)]
pub struct Faults(RefCell<Vec<ConfigError>>);

impl Faults {
    /// Notes a fault at `path`.
    pub fn note(&self, path: &str, message: impl Into<String>) {
        self.0.borrow_mut().push(ConfigError {
            path: path.to_owned(),
            message: message.into(),
        });
    }

    /// All of them, in the order in which they were met.
    pub fn into_vec(self) -> Vec<ConfigError> {
        self.0.into_inner()
    }
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    value: &'a Value,
    path: String,
    faults: &'a Faults,
}

impl<'a> Node<'a> {
    /// The whole document.
    pub fn root(value: &'a Value, faults: &'a Faults) -> Self {
        Node {
            value,
            path: String::new(),
            faults,
        }
    }

    /// Notes a fault here.
    pub fn fault(&self, message: impl Into<String>) {
        self.faults.note(&self.path, message);
    }

    /// The value as it is.
    pub fn value(&self) -> &'a Value {
        self.value
    }

    /// An object with no keys but those of `shape`.
    pub fn object(&self, shape: &Shape) -> Option<Object<'a>> {
        let object = self.map()?;
        for key in object.map.keys().filter(|key| !shape.has(key)) {
            self.faults.note(
                &object.at(key),
                format!("unknown key; known here: {}", shape.keys()),
            );
        }
        Some(object)
    }

    /// An object whose keys are names that the operator chose.
    pub fn map(&self) -> Option<Object<'a>> {
        match self.value {
            Value::Object(map) => Some(Object {
                map,
                path: self.path.clone(),
                faults: self.faults,
            }),
            _ => self.expected("an object"),
        }
    }

    /// A list; anything else is a fault and reads as empty.
    pub fn list(&self) -> Vec<Node<'a>> {
        match self.value {
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(i, value)| Node {
                    value,
                    path: format!("{}[{i}]", self.path),
                    faults: self.faults,
                })
                .collect(),
            _ => self.expected("a list").unwrap_or_default(),
        }
    }

    /// A string that is not empty.
    pub fn string(&self) -> Option<String> {
        match self.value {
            Value::String(s) if !s.is_empty() => Some(s.clone()),
            Value::String(_) => self.expected("a string that is not empty"),
            _ => self.expected("a string"),
        }
    }

    /// A list of strings, none empty.
    pub fn strings(&self) -> Vec<String> {
        self.list().iter().filter_map(Node::string).collect()
    }

    /// One of the names in `choices`.
    pub fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let name = self.string()?;
        let found = choices
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(n, _)| *n).collect();
            self.fault(format!("`{name}` is not one of: {}", names.join(", ")));
        }
        found
    }

    /// `true` or `false`.
    pub fn flag(&self) -> Option<bool> {
        match self.value {
            Value::Bool(flag) => Some(*flag),
            _ => self.expected("true or false"),
        }
    }

    /// A whole number in `range`. Envoy hands numbers of a `Struct` over as doubles.
    pub fn integer(&self, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let whole = |f: f64| (f >= 0.0 && f.fract() == 0.0 && f < 9e15).then_some(f as u64);
        match self
            .value
            .as_u64()
            .or_else(|| self.value.as_f64().and_then(whole))
        {
            Some(n) if range.contains(&n) => Some(n),
            _ => self.expected(&format!(
                "a whole number from {} to {}",
                range.start(),
                range.end()
            )),
        }
    }

    /// A duration such as `500ms`, `45s`, `15m`, `8h`, in milliseconds.
    pub fn duration_ms(&self) -> Option<u64> {
        let units: &[(&str, u64)] = &[
            ("ms", 1),
            ("s", 1_000),
            ("m", 60_000),
            ("h", 3_600_000),
            ("d", 86_400_000),
        ];
        match self.value.as_str().and_then(|text| quantity(text, units)) {
            Some(ms) => Some(ms),
            None => self.expected("a duration such as 500ms, 45s, 15m or 8h"),
        }
    }

    /// A size such as `256KiB`, `1MiB` or a number of bytes.
    pub fn bytes(&self) -> Option<u64> {
        let units: &[(&str, u64)] = &[("KiB", 1 << 10), ("MiB", 1 << 20), ("B", 1)];
        let size = match self.value {
            Value::String(text) => quantity(text, units),
            _ => return self.integer(0..=(1 << 30)),
        };
        match size {
            Some(size) if size <= 1 << 30 => Some(size),
            _ => self.expected("a size such as 256KiB or 1MiB, at most 1024MiB"),
        }
    }

    fn expected<T>(&self, what: &str) -> Option<T> {
        let got = match self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(b) => format!("`{b}`"),
            Value::Number(n) => format!("`{n}`"),
            Value::String(s) => format!("`{}`", s.chars().take(40).collect::<String>()),
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "an object".to_owned(),
        };
        self.fault(format!("expected {what}, got {got}"));
        None
    }
}

/// An object and where it stands.
#[derive(Clone, Debug)]
pub struct Object<'a> {
    map: &'a Map<String, Value>,
    path: String,
    faults: &'a Faults,
}

impl<'a> Object<'a> {
    /// The value of `key`; absent and `null` are the same.
    pub fn get(&self, key: &str) -> Option<Node<'a>> {
        let value = self.map.get(key).filter(|v| !v.is_null())?;
        Some(Node {
            value,
            path: self.at(key),
            faults: self.faults,
        })
    }

    /// The value of `key`; its absence is a fault.
    pub fn require(&self, key: &str, why: &str) -> Option<Node<'a>> {
        let node = self.get(key);
        if node.is_none() {
            self.faults
                .note(&self.path, format!("`{key}` is missing: {why}"));
        }
        node
    }

    /// All entries.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, Node<'a>)> + '_ {
        self.map.iter().map(|(key, value)| {
            (
                key.as_str(),
                Node {
                    value,
                    path: self.at(key),
                    faults: self.faults,
                },
            )
        })
    }

    /// Strings under `key`, empty when absent.
    pub fn strings(&self, key: &str) -> Vec<String> {
        self.get(key).map(|n| n.strings()).unwrap_or_default()
    }

    /// Notes a fault at the object itself.
    pub fn fault(&self, message: impl Into<String>) {
        self.faults.note(&self.path, message);
    }

    fn at(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }
}

fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let factor = units
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, factor)| *factor)?;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

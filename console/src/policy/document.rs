//! YAML (and so JSON) as plain values, with the place of every one of them.

use std::collections::BTreeMap;

use saphyr::{LoadableYamlNode, MarkedYaml, Marker, Scalar, YamlData};
use serde_json::{Map, Value};

use super::{Place, Problem};

/// A value and where its parts are.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The value.
    pub value: Value,
    /// Places by path. That of an entry of a mapping is its key's.
    places: BTreeMap<String, Place>,
}

/// Reads all documents of a YAML stream. A key that is there twice is an error.
pub fn parse(text: &str) -> Result<Vec<MarkedYaml<'_>>, Problem> {
    MarkedYaml::load_from_str(text).map_err(|error| Problem {
        place: place(error.marker()),
        path: String::new(),
        message: error.info().to_owned(),
        warning: false,
    })
}

impl Document {
    /// The value of a node. Paths begin at the node.
    pub fn of(node: &MarkedYaml<'_>) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader::default();
        reader.places.insert(String::new(), place(&node.span.start));
        let value = reader.value(node, "");
        if reader.problems.is_empty() {
            Ok(Self {
                value,
                places: reader.places,
            })
        } else {
            Err(reader.problems)
        }
    }

    /// Where `path` is; a path that is not there (a missing field) is at what encloses it.
    pub fn place(&self, path: &str) -> Place {
        let mut path = path;
        loop {
            if let Some(place) = self.places.get(path) {
                return *place;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = path.get(..end).unwrap_or_default(),
                None if path.is_empty() => return Place { line: 1, column: 1 },
                None => path = "",
            }
        }
    }

    /// The same document, its places seen from the file that it is part of.
    pub fn moved(mut self, to: impl Fn(Place) -> Place) -> Self {
        for place in self.places.values_mut() {
            *place = to(*place);
        }
        self
    }
}

#[derive(Default)]
struct Reader {
    places: BTreeMap<String, Place>,
    problems: Vec<Problem>,
}

impl Reader {
    fn value(&mut self, node: &MarkedYaml<'_>, path: &str) -> Value {
        match &node.data {
            YamlData::Value(scalar) => self.scalar(node, scalar, path),
            YamlData::Sequence(items) => {
                let mut values = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    self.places.insert(path.clone(), place(&item.span.start));
                    values.push(self.value(item, &path));
                }
                Value::Array(values)
            }
            YamlData::Mapping(entries) => {
                let mut map = Map::new();
                for (key, item) in entries {
                    let Some(name) = key.data.as_str() else {
                        self.problem(key, path, "a key has to be text");
                        continue;
                    };
                    let path = if path.is_empty() {
                        name.to_owned()
                    } else {
                        format!("{path}.{name}")
                    };
                    self.places.insert(path.clone(), place(&key.span.start));
                    let value = self.value(item, &path);
                    map.insert(name.to_owned(), value);
                }
                Value::Object(map)
            }
            YamlData::Tagged(_, _) => {
                self.problem(node, path, "tags (`!…`) are not part of this format; a pattern that excludes is quoted, as in \"!x\"");
                Value::Null
            }
            YamlData::Alias(_) | YamlData::BadValue | YamlData::Representation(..) => {
                self.problem(node, path, "this is not a value");
                Value::Null
            }
        }
    }

    fn scalar(&mut self, node: &MarkedYaml<'_>, scalar: &Scalar<'_>, path: &str) -> Value {
        match scalar {
            Scalar::Null => Value::Null,
            Scalar::Boolean(flag) => Value::from(*flag),
            Scalar::Integer(number) => Value::from(*number),
            Scalar::FloatingPoint(number) => {
                let number = serde_json::Number::from_f64(number.into_inner());
                number.map(Value::Number).unwrap_or_else(|| {
                    self.problem(node, path, "this is not a number");
                    Value::Null
                })
            }
            Scalar::String(text) => Value::from(text.as_ref()),
        }
    }

    fn problem(&mut self, node: &MarkedYaml<'_>, path: &str, message: &str) {
        self.problems.push(Problem {
            place: place(&node.span.start),
            path: path.to_owned(),
            message: message.to_owned(),
            warning: false,
        });
    }
}

/// Saphyr counts columns from 0.
pub(super) fn place(marker: &Marker) -> Place {
    Place {
        line: marker.line(),
        column: marker.col() + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Document {
        Document::of(&parse(text).unwrap()[0]).unwrap()
    }

    #[test]
    fn places_are_those_of_keys_and_items() {
        let text = "version: v1\nrules:\n- name: a\n  action: deny\n- { name: b, action: allow }\n";
        let document = read(text);
        for (path, line, column) in [
            ("version", 1, 1),
            ("rules", 2, 1),
            ("rules[0]", 3, 3),
            ("rules[0].action", 4, 3),
            ("rules[1].action", 5, 14),
            ("rules[1].missing.deeper", 5, 3),
            ("nowhere", 1, 1),
        ] {
            assert_eq!(document.place(path), Place { line, column }, "{path}");
        }
    }

    #[test]
    fn json_is_read_too() {
        let document = read("{\n  \"version\": \"v1\",\n  \"n\": 3, \"f\": 1.5, \"t\": true\n}");
        assert_eq!(
            document.value,
            serde_json::json!({"version": "v1", "n": 3, "f": 1.5, "t": true})
        );
        assert_eq!(document.place("n"), Place { line: 3, column: 3 });
    }

    #[test]
    fn a_key_twice_is_an_error() {
        let problem = parse("a: 1\nb: 2\na: 3\n").unwrap_err();
        assert_eq!(problem.place.line, 3);
    }

    #[test]
    fn a_key_that_is_no_text_is_an_error() {
        let node = &parse("1: a\n").unwrap()[0];
        assert_eq!(Document::of(node).unwrap_err().len(), 1);
    }
}

//! The shape of the document: every key with what it takes and what it is for.
//!
//! Each reader has its [`Shape`] beside it. A key that is not in the shape is refused where it is
//! read, and the JSON Schema of the document ([`schema`]) is made of the same shapes, so that what
//! an editor completes is what the filter knows.

use serde_json::{Map, Value, json};

/// An object of the document.
#[derive(Debug)]
pub struct Shape {
    /// Its name in the schema.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Its keys.
    pub fields: &'static [Field],
}

/// A key of an object.
#[derive(Debug)]
pub struct Field {
    /// The key.
    pub key: &'static str,
    /// Whether the document has to have it.
    pub required: bool,
    /// What it takes.
    pub takes: Takes,
    /// What it is for.
    pub about: &'static str,
}

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub enum Takes {
    /// A string that is not empty.
    Text,
    /// A string of this form.
    Form(&'static str),
    /// `true` or `false`.
    Flag,
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// A whole number.
    Integer(u64, u64),
    /// `500ms`, `45s`, `15m`, `8h`, `30d`.
    Duration,
    /// `256KiB`, `1MiB`, or a number of bytes.
    Size,
    /// Any JSON value.
    Anything,
    /// A string, a number, a boolean or null.
    Scalar,
    /// An object of its own.
    Object(&'static Shape),
    /// A list.
    List(&'static Takes),
    /// A list that is not empty.
    Some(&'static Takes),
    /// An object whose keys are names.
    Map(&'static Takes),
    /// An object whose keys are names, at least one.
    SomeMap(&'static Takes),
    /// An object whose keys are JSON pointers (RFC 6901), at least one.
    Pointers(&'static Takes),
    /// Any of these.
    OneOf(&'static [Takes]),
}

/// A key that the document may leave out.
pub const fn may(key: &'static str, takes: Takes, about: &'static str) -> Field {
    Field {
        key,
        required: false,
        takes,
        about,
    }
}

/// A key that the document has to have.
pub const fn must(key: &'static str, takes: Takes, about: &'static str) -> Field {
    Field {
        key,
        required: true,
        takes,
        about,
    }
}

impl Shape {
    /// Whether it has this key.
    pub fn has(&self, key: &str) -> bool {
        self.fields.iter().any(|field| field.key == key)
    }

    /// Its keys, as a fault lists them.
    pub fn keys(&self) -> String {
        let keys: Vec<&str> = self.fields.iter().map(|field| field.key).collect();
        keys.join(", ")
    }
}

/// The JSON Schema (2020-12) of a document of this shape.
pub fn schema(root: &'static Shape) -> Value {
    let mut definitions = Map::new();
    let mut schema = Map::new();
    schema.insert(
        "$schema".to_owned(),
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    schema.insert("title".to_owned(), json!("Countersign policy"));
    if let Value::Object(members) = object(root, &mut definitions) {
        schema.extend(members);
    }
    schema.insert("$defs".to_owned(), Value::Object(definitions));
    Value::Object(schema)
}

fn object(shape: &'static Shape, definitions: &mut Map<String, Value>) -> Value {
    let mut properties = Map::new();
    for field in shape.fields {
        let mut property = value(&field.takes, definitions);
        if let Value::Object(members) = &mut property {
            members.insert("description".to_owned(), json!(field.about));
        }
        properties.insert(field.key.to_owned(), property);
    }
    let required: Vec<&str> = shape
        .fields
        .iter()
        .filter(|field| field.required)
        .map(|field| field.key)
        .collect();
    let mut schema = json!({
        "description": shape.about,
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if let (false, Value::Object(members)) = (required.is_empty(), &mut schema) {
        members.insert("required".to_owned(), json!(required));
    }
    schema
}

fn value(takes: &'static Takes, definitions: &mut Map<String, Value>) -> Value {
    match takes {
        Takes::Text => json!({"type": "string", "minLength": 1}),
        Takes::Form(pattern) => json!({"type": "string", "pattern": pattern}),
        Takes::Flag => json!({"type": "boolean"}),
        Takes::Choice(names) => json!({"enum": names}),
        Takes::Integer(least, most) => {
            json!({"type": "integer", "minimum": least, "maximum": most})
        }
        Takes::Duration => json!({"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$"}),
        Takes::Size => json!({"anyOf": [
            {"type": "string", "pattern": "^[0-9]+(KiB|MiB|B)$"},
            {"type": "integer", "minimum": 0, "maximum": 1_u64 << 30},
        ]}),
        Takes::Anything => json!({}),
        Takes::Scalar => json!({"type": ["string", "number", "boolean", "null"]}),
        Takes::Object(shape) => {
            if !definitions.contains_key(shape.name) {
                // Taken first, so that a shape may hold itself.
                definitions.insert(shape.name.to_owned(), Value::Null);
                let schema = object(shape, definitions);
                definitions.insert(shape.name.to_owned(), schema);
            }
            json!({"$ref": format!("#/$defs/{}", shape.name)})
        }
        Takes::List(item) => json!({"type": "array", "items": value(item, definitions)}),
        Takes::Some(item) => {
            json!({"type": "array", "minItems": 1, "items": value(item, definitions)})
        }
        Takes::Map(item) => {
            json!({"type": "object", "additionalProperties": value(item, definitions)})
        }
        Takes::SomeMap(item) => {
            let item = value(item, definitions);
            json!({"type": "object", "minProperties": 1, "additionalProperties": item})
        }
        Takes::Pointers(item) => {
            let item = value(item, definitions);
            json!({
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": "^(/.*)?$"},
                "additionalProperties": item,
            })
        }
        Takes::OneOf(all) => {
            let all: Vec<Value> = all.iter().map(|one| value(one, definitions)).collect();
            json!({"anyOf": all})
        }
    }
}

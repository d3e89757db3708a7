//! The configuration as Envoy hands it to a Wasm plugin.
//!
//! A `google.protobuf.StringValue` in the bootstrap arrives as its text. A `google.protobuf.Struct`,
//! which lets operators write the policy as plain YAML, arrives as the serialized message (seen with
//! Envoy 1.40, whose documentation says JSON). Both are read.

use prost::Message;
use prost_types::value::Kind;
use prost_types::{Struct, Value as ProtoValue};
use serde_json::{Map, Number, Value};

use super::{ConfigError, Environment, compile};
use crate::json::MAX_DEPTH;
use crate::policy::Policy;

/// Compiles a plugin configuration: JSON text, or a serialized `google.protobuf.Struct`.
///
/// # Errors
/// As [`compile`]; bytes that are neither are one fault at the root.
pub fn compile_plugin(bytes: &[u8], environment: Environment) -> Result<Policy, Vec<ConfigError>> {
    let document = match (crate::json::parse_strict(bytes), message(bytes)) {
        (Ok(document), _) | (Err(_), Some(document)) => document,
        (Err(fault), None) => {
            let message = format!("neither JSON ({fault}) nor a google.protobuf.Struct");
            return Err(vec![ConfigError {
                path: String::new(),
                message,
            }]);
        }
    };
    compile(&document, environment)
}

fn message(bytes: &[u8]) -> Option<Value> {
    object(Struct::decode(bytes).ok()?, MAX_DEPTH)
}

fn object(message: Struct, depth: usize) -> Option<Value> {
    let entry = |(key, value)| Some((key, json(value, depth.checked_sub(1)?)?));
    message
        .fields
        .into_iter()
        .map(entry)
        .collect::<Option<Map<_, _>>>()
        .map(Value::Object)
}

fn json(value: ProtoValue, depth: usize) -> Option<Value> {
    Some(match value.kind? {
        Kind::NullValue(_) => Value::Null,
        Kind::NumberValue(number) => Value::Number(Number::from_f64(number)?),
        Kind::StringValue(text) => Value::String(text),
        Kind::BoolValue(flag) => Value::Bool(flag),
        Kind::StructValue(message) => object(message, depth)?,
        Kind::ListValue(list) => {
            let item = |value| json(value, depth.checked_sub(1)?);
            Value::Array(list.values.into_iter().map(item).collect::<Option<_>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::testing::document;

    fn proto(value: &Value) -> ProtoValue {
        let kind = match value {
            Value::Null => Kind::NullValue(0),
            Value::Bool(flag) => Kind::BoolValue(*flag),
            Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
            Value::String(text) => Kind::StringValue(text.clone()),
            Value::Array(items) => Kind::ListValue(prost_types::ListValue {
                values: items.iter().map(proto).collect(),
            }),
            Value::Object(_) => Kind::StructValue(structure(value)),
        };
        ProtoValue { kind: Some(kind) }
    }

    fn structure(value: &Value) -> Struct {
        let fields = value
            .as_object()
            .unwrap()
            .iter()
            .map(|(k, v)| (k.clone(), proto(v)))
            .collect();
        Struct { fields }
    }

    #[test]
    fn a_struct_and_its_json_are_the_same_policy() {
        let mut document = document();
        document["audit"]["queue"] = json!(100);
        let secret = |_: &str| Some("secret-value".to_owned());
        let text = compile_plugin(document.to_string().as_bytes(), &secret).unwrap();
        let message = compile_plugin(&structure(&document).encode_to_vec(), &secret).unwrap();
        assert_eq!(text.digest, message.digest);
        assert_eq!(message.audit.queue, 100);
    }

    #[test]
    fn what_is_neither_is_told_so() {
        for bytes in [&b"\n{broken"[..], b"", b"{", b"\xff\xff"] {
            let faults = compile_plugin(bytes, &|_| None).unwrap_err();
            assert!(!faults.is_empty(), "{bytes:?}");
        }
    }
}

//! A JSON body, read strictly: one coding, one charset, one value, no key twice.

use serde_json::Value;

use super::Fault;
use crate::head::RequestHead;
use crate::reason::Reason;

/// The body as JSON.
pub(super) fn json(head: &RequestHead, body: &[u8]) -> Result<Value, Fault> {
    identity_coding(head)?;
    let media = head.content_type();
    if head.headers.single("content-type").is_err() {
        return Err(Fault::new(
            Reason::HeaderAmbiguous,
            "content-type comes twice",
        ));
    }
    charset(head)?;
    match media.as_str() {
        // GitHub reads JSON whatever the type says, and its own curl examples send none.
        "" | "application/json" | "text/json" | "text/plain" | "application/octet-stream" => {}
        // curl's default. A form reader must find nothing in it but one odd name.
        "application/x-www-form-urlencoded" => {
            if body.iter().any(|b| matches!(b, b'&' | b';')) {
                return Err(Fault::unreadable("content-type says form, body says JSON"));
            }
        }
        other if other.ends_with("+json") => {}
        _ => return Err(Fault::unreadable("content-type is not JSON")),
    }
    parse(body)
}

/// Refuses a body in a content coding: what is matched must be what the upstream reads.
pub(super) fn identity_coding(head: &RequestHead) -> Result<(), Fault> {
    for coding in head.headers.all("content-encoding") {
        if !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity") {
            return Err(Fault::new(
                Reason::BodyEncoding,
                "content-encoding other than identity",
            ));
        }
    }
    Ok(())
}

fn charset(head: &RequestHead) -> Result<(), Fault> {
    let Some(value) = head.headers.get("content-type") else {
        return Ok(());
    };
    let value = std::str::from_utf8(value)
        .map_err(|_| Fault::new(Reason::HeaderAmbiguous, "content-type is not text"))?;
    for parameter in value.split(';').skip(1) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim().trim_matches('"');
        if name.trim().eq_ignore_ascii_case("charset")
            && !value.eq_ignore_ascii_case("utf-8")
            && !value.eq_ignore_ascii_case("utf8")
            && !value.eq_ignore_ascii_case("us-ascii")
        {
            return Err(Fault::new(Reason::BodyEncoding, "charset other than utf-8"));
        }
    }
    Ok(())
}

pub(super) fn parse(body: &[u8]) -> Result<Value, Fault> {
    strict::parse_strict(body).map_err(|fault| Fault::unreadable(format!("JSON: {}", fault.0)))
}

/// Stands in for the crate's strict reader, with its signature.
mod strict {
    use std::fmt;

    use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
    use serde_json::{Map, Value};

    /// What is wrong with the text, by name.
    pub struct JsonFault(pub &'static str);

    /// One JSON value and nothing else; a key that comes twice is an error, and so are a byte order
    /// mark and nesting beyond serde_json's 128.
    pub fn parse_strict(bytes: &[u8]) -> Result<Value, JsonFault> {
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let fault = |error: serde_json::Error| {
            if error.to_string().starts_with(DUPLICATE) {
                JsonFault(DUPLICATE)
            } else {
                JsonFault("not one well-formed value")
            }
        };
        let value = Strict.deserialize(&mut reader).map_err(fault)?;
        reader.end().map_err(fault)?;
        Ok(value)
    }

    const DUPLICATE: &str = "a key comes twice";

    #[derive(Clone, Copy)]
    struct Strict;

    impl<'de> DeserializeSeed<'de> for Strict {
        type Value = Value;

        fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
            reader.deserialize_any(self)
        }
    }

    impl<'de> Visitor<'de> for Strict {
        type Value = Value;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON value")
        }

        fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
            Ok(Value::Bool(value))
        }

        fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
            Ok(value.into())
        }

        fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
            Ok(value.into())
        }

        fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
            Ok(value.into())
        }

        fn visit_str<E>(self, value: &str) -> Result<Value, E> {
            Ok(value.into())
        }

        fn visit_string<E>(self, value: String) -> Result<Value, E> {
            Ok(value.into())
        }

        fn visit_unit<E>(self) -> Result<Value, E> {
            Ok(Value::Null)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
            let mut out = Vec::new();
            while let Some(item) = items.next_element_seed(Strict)? {
                out.push(item);
            }
            Ok(Value::Array(out))
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
            let mut out = Map::new();
            while let Some(key) = entries.next_key::<String>()? {
                let value = entries.next_value_seed(Strict)?;
                if out.insert(key, value).is_some() {
                    return Err(A::Error::custom(DUPLICATE));
                }
            }
            Ok(Value::Object(out))
        }
    }
}

//! Audit records: OTLP log records (OpenTelemetry Protocol, JSON encoding) with OpenTelemetry's
//! attribute names where one exists and `countersign.*` for the rest.
//!
//! An exchange gives a request record, written before anything is forwarded, and an outcome record,
//! joined by `countersign.exchange.id`. Before all of them a worker tells the policy it judges by. Tokens and credentials are never part of one: the types
//! here have no place for them.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::effect::Now;
use crate::operation::{Operation, Paths, Target};
use crate::policy::Policy;

/// Which half of an exchange a record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What is about to happen.
    Request,
    /// What came of it.
    Outcome,
    /// The policy that came into force on a worker: no half of an exchange.
    Policy,
}

/// What was decided, as records name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decision {
    /// None: the exchange ended before there was one.
    #[default]
    Unfinished,
    /// Let through by a rule or default.
    Allowed,
    /// Refused by a rule, a default or a check.
    Denied,
    /// Waiting for a person.
    Held,
    /// Let through after a person agreed.
    HeldApproved,
    /// Refused by a person.
    HeldRefused,
    /// Refused because nobody answered in time.
    HeldExpired,
    /// Could not be decided, and therefore refused.
    UndecidedDenied,
    /// Could not be decided, and let through because the policy says so.
    UndecidedAllowed,
    /// Would have been refused or held; the mode is observe.
    Observed,
}

impl Decision {
    /// Its name in records.
    pub fn code(self) -> &'static str {
        match self {
            Decision::Unfinished => "unfinished",
            Decision::Allowed => "allowed",
            Decision::Denied => "denied",
            Decision::Held => "held",
            Decision::HeldApproved => "held_approved",
            Decision::HeldRefused => "held_refused",
            Decision::HeldExpired => "held_expired",
            Decision::UndecidedDenied => "undecided_denied",
            Decision::UndecidedAllowed => "undecided_allowed",
            Decision::Observed => "observed",
        }
    }
}

/// A body as far as it was captured, after masking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// The bytes that are kept.
    pub bytes: Vec<u8>,
    /// Whether there were more.
    pub truncated: bool,
}

impl Captured {
    /// Adds bytes up to `limit` in all.
    pub fn add(&mut self, bytes: &[u8], limit: usize) {
        let room = limit.saturating_sub(self.bytes.len());
        self.bytes
            .extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        self.truncated |= bytes.len() > room;
    }

    /// The text and its encoding: UTF-8 as it is (a character that truncation cut is left out),
    /// anything else in base64.
    pub fn text(&self) -> (Cow<'_, str>, &'static str) {
        match std::str::from_utf8(&self.bytes) {
            Ok(text) => (text.into(), "utf8"),
            Err(fault) if self.truncated && fault.error_len().is_none() => {
                let whole = self.bytes.get(..fault.valid_up_to()).unwrap_or_default();
                (String::from_utf8_lossy(whole), "utf8")
            }
            Err(_) => (STANDARD.encode(&self.bytes).into(), "base64"),
        }
    }
}

/// How often a masking rule was applied, in one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskCount {
    /// The masking rule.
    pub rule: String,
    /// How often.
    pub count: u64,
    /// `request` or `response`.
    pub direction: &'static str,
    /// JSON pointers or channels of an event stream, the first few.
    pub places: Vec<String>,
}

/// A chunk of a response: when it came and how long it was, after masking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Milliseconds since the exchange began.
    pub offset_ms: u64,
    /// Bytes.
    pub size: u64,
}

/// One record. Attributes are written as JSON when they are added: a record is made for every
/// exchange, and a tree of values would cost several times what the exchange itself does.
#[derive(Clone, Debug)]
pub struct Record {
    /// Which half.
    pub kind: Kind,
    /// When it was made.
    pub time: Now,
    /// OTLP `KeyValue` objects, each followed by a comma.
    attributes: Vec<u8>,
}

/// OTLP `AnyValue`, as proto3 JSON names its kinds.
#[derive(Serialize)]
enum Any<'a> {
    #[serde(rename = "stringValue")]
    Text(&'a str),
    /// An int64, which is a string in proto3 JSON.
    #[serde(rename = "intValue", serialize_with = "as_text")]
    Number(u64),
    #[serde(rename = "boolValue")]
    Flag(bool),
    #[serde(rename = "arrayValue")]
    List(Values<Any<'a>>),
    #[serde(rename = "kvlistValue")]
    Map(Values<KeyValue<'a>>),
}

#[derive(Serialize)]
struct Values<T> {
    values: Vec<T>,
}

#[derive(Serialize)]
struct KeyValue<'a> {
    key: &'a str,
    value: Any<'a>,
}

fn as_text<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

impl<'a> Any<'a> {
    fn list(values: impl Iterator<Item = Any<'a>>) -> Self {
        Any::List(Values {
            values: values.collect(),
        })
    }

    fn texts(values: &'a [String]) -> Self {
        Any::list(values.iter().map(|v| Any::Text(v)))
    }

    fn map(fields: impl IntoIterator<Item = (&'a str, Any<'a>)>) -> Self {
        let entry = |(key, value)| KeyValue { key, value };
        Any::Map(Values {
            values: fields.into_iter().map(entry).collect(),
        })
    }
}

impl Record {
    /// An empty record.
    pub fn new(kind: Kind, time: Now) -> Self {
        Record {
            kind,
            time,
            attributes: Vec::with_capacity(4096),
        }
    }

    /// The policy that a worker judges by from now on, whole: it names its secrets and has none.
    pub fn policy(policy: &Policy, time: Now) -> Self {
        let mut record = Record::new(Kind::Policy, time);
        record.text("countersign.policy.digest", &policy.digest);
        record.text("countersign.mode", policy.mode.code());
        record.text("countersign.policy.document", &policy.document);
        record
    }

    /// Adds a text; nothing for an empty one.
    pub fn text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.add(key, Any::Text(value));
        }
    }

    /// Adds a number.
    pub fn number(&mut self, key: &str, value: u64) {
        self.add(key, Any::Number(value));
    }

    /// Adds a truth value.
    pub fn flag(&mut self, key: &str, value: bool) {
        self.add(key, Any::Flag(value));
    }

    /// Adds a list of texts; nothing for an empty one.
    pub fn texts(&mut self, key: &str, values: &[String]) {
        if !values.is_empty() {
            self.add(key, Any::texts(values));
        }
    }

    /// Adds the operations of the request.
    pub fn operations(&mut self, operations: &[Operation]) {
        if !operations.is_empty() {
            self.add(
                "countersign.operations",
                Any::list(operations.iter().map(operation)),
            );
        }
    }

    /// Adds mask counts.
    pub fn masks(&mut self, masks: &[MaskCount]) {
        if masks.is_empty() {
            return;
        }
        self.add("countersign.masks", Any::list(masks.iter().map(mask)));
    }

    /// Adds a captured body under `countersign.<side>.body`.
    pub fn body(&mut self, side: &str, body: &Captured) {
        if body.bytes.is_empty() && !body.truncated {
            return;
        }
        let (text, encoding) = body.text();
        self.add(&format!("countersign.{side}.body"), Any::Text(&text));
        self.add(
            &format!("countersign.{side}.body.encoding"),
            Any::Text(encoding),
        );
        self.flag(
            &format!("countersign.{side}.body.truncated"),
            body.truncated,
        );
    }

    /// Adds the response's chunks.
    pub fn chunks(&mut self, chunks: &[Chunk]) {
        if chunks.is_empty() {
            return;
        }
        let entry = |c: &Chunk| {
            Any::map([
                ("offset_ms", Any::Number(c.offset_ms)),
                ("size", Any::Number(c.size)),
            ])
        };
        self.add(
            "countersign.response.chunks",
            Any::list(chunks.iter().map(entry)),
        );
    }

    /// The OTLP log record as JSON, numbered by its worker. `dropped` is how many records the worker
    /// has lost so far: a ledger that misses numbers can tell loss from a cut.
    pub fn into_otlp(mut self, worker: &str, sequence: u64, dropped: u64) -> Vec<u8> {
        let name = match self.kind {
            Kind::Request => "countersign.request",
            Kind::Outcome => "countersign.outcome",
            Kind::Policy => "countersign.policy",
        };
        self.text("countersign.worker.id", worker);
        self.number("countersign.worker.seq", sequence);
        if dropped > 0 {
            self.number("countersign.worker.dropped", dropped);
        }
        let time = self.time.0;
        let mut json = format!(
            r#"{{"timeUnixNano":"{time}","observedTimeUnixNano":"{time}","severityNumber":9,"eventName":"{name}","body":{{"stringValue":"{name}"}},"attributes":["#
        )
        .into_bytes();
        json.reserve_exact(self.attributes.len() + 2);
        // The last comma ends nothing.
        self.attributes.pop();
        json.append(&mut self.attributes);
        json.extend_from_slice(b"]}");
        json
    }

    fn add(&mut self, key: &str, value: Any) {
        // Writing to memory does not fail, and no type here refuses to be written.
        let _ = serde_json::to_writer(&mut self.attributes, &KeyValue { key, value });
        self.attributes.push(b',');
    }
}

fn mask(mask: &MaskCount) -> Any<'_> {
    let mut fields = vec![
        ("rule", Any::Text(&mask.rule)),
        ("count", Any::Number(mask.count)),
        ("direction", Any::Text(mask.direction)),
    ];
    if !mask.places.is_empty() {
        fields.push(("places", Any::texts(&mask.places)));
    }
    Any::map(fields)
}

fn operation(operation: &Operation) -> Any<'_> {
    let mut fields = vec![
        ("name", Any::Text(&operation.name)),
        ("aliases", Any::texts(&operation.aliases)),
    ];
    fields.extend(target(&operation.repo).map(|v| ("repo", Any::Text(v))));
    fields.extend(target(&operation.reference).map(|v| ("ref", Any::Text(v))));
    match &operation.paths {
        Paths::None => {}
        Paths::Known(paths) => {
            fields.push(("paths", Any::texts(paths)));
            fields.push(("paths_known", Any::Flag(true)));
        }
        Paths::Unknown => fields.push(("paths_known", Any::Flag(false))),
    }
    if !operation.attributes.is_empty() {
        let attributes = operation.attributes.iter();
        let attributes = Any::map(attributes.map(|(k, v)| (k.as_str(), Any::Text(v))));
        fields.push(("attributes", attributes));
    }
    fields.push(("write", Any::Flag(operation.write)));
    Any::map(fields)
}

/// A target as records show it: `*` where it could be any.
fn target(target: &Target) -> Option<&str> {
    match target {
        Target::None => None,
        Target::Known(value) => Some(value),
        Target::Any => Some("*"),
    }
}

/// An operation as plain JSON, for the approval service.
pub fn operation_json(operation: &Operation) -> Value {
    let mut fields = Map::new();
    fields.insert("name".to_owned(), json!(operation.name));
    fields.insert("aliases".to_owned(), json!(operation.aliases));
    fields.extend(target(&operation.repo).map(|v| ("repo".to_owned(), json!(v))));
    fields.extend(target(&operation.reference).map(|v| ("ref".to_owned(), json!(v))));
    match &operation.paths {
        Paths::None => {}
        Paths::Known(paths) => {
            fields.insert("paths".to_owned(), json!(paths));
            fields.insert("paths_known".to_owned(), json!(true));
        }
        Paths::Unknown => {
            fields.insert("paths_known".to_owned(), json!(false));
        }
    }
    fields.insert("attributes".to_owned(), json!(operation.attributes));
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_captured_text_is_cut_between_characters() {
        let mut captured = Captured::default();
        captured.add("grün".as_bytes(), 3);
        assert_eq!(captured.text(), ("gr".into(), "utf8"));
        assert!(captured.truncated);
        captured.add(b"more", 3);
        assert_eq!(captured.bytes.len(), 3);
    }

    #[test]
    fn bytes_that_are_no_text_are_kept_in_base64() {
        let mut captured = Captured::default();
        captured.add(&[0xff, 0x00], 10);
        assert_eq!(captured.text(), ("/wA=".into(), "base64"));
    }

    #[test]
    fn numbers_are_strings_in_otlp_json() {
        let mut record = Record::new(Kind::Request, Now(7));
        record.number("http.request.body.size", 5);
        let otlp: Value = serde_json::from_slice(&record.into_otlp("w", 3, 0)).unwrap();
        assert_eq!(otlp["timeUnixNano"], "7");
        assert_eq!(otlp["eventName"], "countersign.request");
        assert_eq!(otlp["attributes"][0]["value"]["intValue"], "5");
        assert_eq!(otlp["attributes"][2]["key"], "countersign.worker.seq");
    }

    #[test]
    fn a_record_is_json_whatever_its_texts_hold() {
        let mut record = Record::new(Kind::Outcome, Now(7));
        let odd = "a\"b\\c\n\u{1}\u{2028}ü</script>";
        record.text("user_agent.original", odd);
        record.text("user.email", "");
        record.texts("countersign.not_captured", &[odd.to_owned()]);
        let mut operation = Operation {
            name: "ref.push".to_owned(),
            reference: Target::Any,
            paths: Paths::Known(vec![odd.to_owned()]),
            write: true,
            ..Operation::default()
        };
        operation
            .attributes
            .insert("old".to_owned(), odd.to_owned());
        record.operations(&[operation]);
        record.masks(&[MaskCount {
            rule: "github".to_owned(),
            count: 2,
            direction: "request",
            places: vec!["/a".to_owned()],
        }]);
        record.chunks(&[Chunk {
            offset_ms: 1,
            size: 2,
        }]);
        let otlp: Value = serde_json::from_slice(&record.into_otlp("w", 3, 1)).unwrap();
        let string = |s: &str| json!({"stringValue": s});
        let kvlist = |values: Value| json!({"kvlistValue": {"values": values}});
        let operation = kvlist(json!([
            {"key": "name", "value": string("ref.push")},
            {"key": "aliases", "value": {"arrayValue": {"values": []}}},
            {"key": "ref", "value": string("*")},
            {"key": "paths", "value": {"arrayValue": {"values": [string(odd)]}}},
            {"key": "paths_known", "value": {"boolValue": true}},
            {"key": "attributes", "value": kvlist(json!([{"key": "old", "value": string(odd)}]))},
            {"key": "write", "value": {"boolValue": true}},
        ]));
        let list = |value: Value| json!({"arrayValue": {"values": [value]}});
        let mask = kvlist(json!([
            {"key": "rule", "value": string("github")},
            {"key": "count", "value": {"intValue": "2"}},
            {"key": "direction", "value": string("request")},
            {"key": "places", "value": list(string("/a"))},
        ]));
        let chunk = kvlist(json!([
            {"key": "offset_ms", "value": {"intValue": "1"}},
            {"key": "size", "value": {"intValue": "2"}},
        ]));
        assert_eq!(
            otlp,
            json!({
                "timeUnixNano": "7",
                "observedTimeUnixNano": "7",
                "severityNumber": 9,
                "eventName": "countersign.outcome",
                "body": string("countersign.outcome"),
                "attributes": [
                    {"key": "user_agent.original", "value": string(odd)},
                    {"key": "countersign.not_captured", "value": list(string(odd))},
                    {"key": "countersign.operations", "value": list(operation)},
                    {"key": "countersign.masks", "value": list(mask)},
                    {"key": "countersign.response.chunks", "value": list(chunk)},
                    {"key": "countersign.worker.id", "value": string("w")},
                    {"key": "countersign.worker.seq", "value": {"intValue": "3"}},
                    {"key": "countersign.worker.dropped", "value": {"intValue": "1"}},
                ],
            })
        );
    }
}

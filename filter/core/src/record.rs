//! Audit records: OTLP log records (OpenTelemetry Protocol, JSON encoding) with OpenTelemetry's
//! attribute names where one exists and `countersign.*` for the rest.
//!
//! An exchange gives a request record, written before anything is forwarded, and an outcome record,
//! joined by `countersign.exchange.id`. Tokens and credentials are never part of one: the types
//! here have no place for them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::effect::Now;
use crate::operation::{Operation, Paths, Target};

/// Which half of an exchange a record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What is about to happen.
    Request,
    /// What came of it.
    Outcome,
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
    pub fn text(&self) -> (String, &'static str) {
        match std::str::from_utf8(&self.bytes) {
            Ok(text) => (text.to_owned(), "utf8"),
            Err(fault) if self.truncated && fault.error_len().is_none() => {
                let whole = self.bytes.get(..fault.valid_up_to()).unwrap_or_default();
                (String::from_utf8_lossy(whole).into_owned(), "utf8")
            }
            Err(_) => (STANDARD.encode(&self.bytes), "base64"),
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
}

/// A chunk of a response: when it came and how long it was, after masking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Milliseconds since the exchange began.
    pub offset_ms: u64,
    /// Bytes.
    pub size: u64,
}

/// One record.
#[derive(Clone, Debug)]
pub struct Record {
    /// Which half.
    pub kind: Kind,
    /// When it was made.
    pub time: Now,
    attributes: Vec<Value>,
}

impl Record {
    /// An empty record.
    pub fn new(kind: Kind, time: Now) -> Self {
        Record {
            kind,
            time,
            attributes: Vec::with_capacity(32),
        }
    }

    /// Adds a text; nothing for an empty one.
    pub fn text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.add(key, string(value));
        }
    }

    /// Adds a number.
    pub fn number(&mut self, key: &str, value: u64) {
        self.add(key, integer(value));
    }

    /// Adds a truth value.
    pub fn flag(&mut self, key: &str, value: bool) {
        self.add(key, json!({"boolValue": value}));
    }

    /// Adds a list of texts; nothing for an empty one.
    pub fn texts(&mut self, key: &str, values: &[String]) {
        if !values.is_empty() {
            self.add(key, array(values.iter().map(|v| string(v)).collect()));
        }
    }

    /// Adds the operations of the request.
    pub fn operations(&mut self, operations: &[Operation]) {
        if !operations.is_empty() {
            self.add(
                "countersign.operations",
                array(operations.iter().map(operation).collect()),
            );
        }
    }

    /// Adds mask counts.
    pub fn masks(&mut self, masks: &[MaskCount]) {
        if masks.is_empty() {
            return;
        }
        let entry = |m: &MaskCount| {
            kvlist(vec![
                ("rule", string(&m.rule)),
                ("count", integer(m.count)),
                ("direction", string(m.direction)),
            ])
        };
        self.add(
            "countersign.masks",
            array(masks.iter().map(entry).collect()),
        );
    }

    /// Adds a captured body under `countersign.<side>.body`.
    pub fn body(&mut self, side: &str, body: &Captured) {
        if body.bytes.is_empty() && !body.truncated {
            return;
        }
        let (text, encoding) = body.text();
        self.add(&format!("countersign.{side}.body"), string(&text));
        self.add(
            &format!("countersign.{side}.body.encoding"),
            string(encoding),
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
            kvlist(vec![
                ("offset_ms", integer(c.offset_ms)),
                ("size", integer(c.size)),
            ])
        };
        self.add(
            "countersign.response.chunks",
            array(chunks.iter().map(entry).collect()),
        );
    }

    /// The OTLP log record, numbered by its worker. `dropped` is how many records the worker has
    /// lost so far: a ledger that misses numbers can tell loss from a cut.
    pub fn to_otlp(&self, worker: &str, sequence: u64, dropped: u64) -> Value {
        let (name, severity) = match self.kind {
            Kind::Request => ("countersign.request", 9),
            Kind::Outcome => ("countersign.outcome", 9),
        };
        let mut attributes = self.attributes.clone();
        let mut add =
            |key: &str, value: Value| attributes.push(json!({"key": key, "value": value}));
        add("countersign.worker.id", string(worker));
        add("countersign.worker.seq", integer(sequence));
        if dropped > 0 {
            add("countersign.worker.dropped", integer(dropped));
        }
        let time = self.time.0.to_string();
        json!({
            "timeUnixNano": time,
            "observedTimeUnixNano": time,
            "severityNumber": severity,
            "eventName": name,
            "body": {"stringValue": name},
            "attributes": attributes,
        })
    }

    fn add(&mut self, key: &str, value: Value) {
        self.attributes.push(json!({"key": key, "value": value}));
    }
}

fn operation(operation: &Operation) -> Value {
    let mut fields = vec![
        ("name", string(&operation.name)),
        (
            "aliases",
            array(operation.aliases.iter().map(|a| string(a)).collect()),
        ),
    ];
    let target = |t: &Target| match t {
        Target::None => None,
        Target::Known(value) => Some(string(value)),
        Target::Any => Some(string("*")),
    };
    fields.extend(target(&operation.repo).map(|v| ("repo", v)));
    fields.extend(target(&operation.reference).map(|v| ("ref", v)));
    match &operation.paths {
        Paths::None => {}
        Paths::Known(paths) => {
            fields.push(("paths", array(paths.iter().map(|p| string(p)).collect())));
            fields.push(("paths_known", json!({"boolValue": true})));
        }
        Paths::Unknown => fields.push(("paths_known", json!({"boolValue": false}))),
    }
    if !operation.attributes.is_empty() {
        let attributes = operation
            .attributes
            .iter()
            .map(|(k, v)| (k.as_str(), string(v)))
            .collect();
        fields.push(("attributes", kvlist(attributes)));
    }
    fields.push(("write", json!({"boolValue": operation.write})));
    kvlist(fields)
}

/// `AnyValue.stringValue`.
fn string(value: &str) -> Value {
    json!({"stringValue": value})
}

/// `AnyValue.intValue`: an int64, which is a string in proto3 JSON.
fn integer(value: u64) -> Value {
    json!({"intValue": value.to_string()})
}

fn array(values: Vec<Value>) -> Value {
    json!({"arrayValue": {"values": values}})
}

fn kvlist(fields: Vec<(&str, Value)>) -> Value {
    let values: Vec<Value> = fields
        .into_iter()
        .map(|(key, value)| json!({"key": key, "value": value}))
        .collect();
    json!({"kvlistValue": {"values": values}})
}

/// An operation as plain JSON, for the approval service.
pub fn operation_json(operation: &Operation) -> Value {
    let mut fields = Map::new();
    fields.insert("name".to_owned(), json!(operation.name));
    fields.insert("aliases".to_owned(), json!(operation.aliases));
    let target = |t: &Target| match t {
        Target::None => None,
        Target::Known(value) => Some(json!(value)),
        Target::Any => Some(json!("*")),
    };
    fields.extend(target(&operation.repo).map(|v| ("repo".to_owned(), v)));
    fields.extend(target(&operation.reference).map(|v| ("ref".to_owned(), v)));
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
        assert_eq!(captured.text(), ("gr".to_owned(), "utf8"));
        assert!(captured.truncated);
        captured.add(b"more", 3);
        assert_eq!(captured.bytes.len(), 3);
    }

    #[test]
    fn bytes_that_are_no_text_are_kept_in_base64() {
        let mut captured = Captured::default();
        captured.add(&[0xff, 0x00], 10);
        assert_eq!(captured.text(), ("/wA=".to_owned(), "base64"));
    }

    #[test]
    fn numbers_are_strings_in_otlp_json() {
        let mut record = Record::new(Kind::Request, Now(7));
        record.number("http.request.body.size", 5);
        let otlp = record.to_otlp("w", 3, 0);
        assert_eq!(otlp["timeUnixNano"], "7");
        assert_eq!(otlp["eventName"], "countersign.request");
        assert_eq!(otlp["attributes"][0]["value"]["intValue"], "5");
        assert_eq!(otlp["attributes"][2]["key"], "countersign.worker.seq");
    }
}

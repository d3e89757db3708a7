//! What a record is: one log record of the gateway, about one exchange or about itself.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::otlp::{plain, plain_attributes};
use crate::ledger::Kind;
use crate::ledger::body::{self, Body, hex};

/// Which half of an exchange a record tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// Written before the request goes on.
    Request,
    /// Written when the exchange is over.
    Outcome,
}

impl Half {
    /// The OpenTelemetry event name.
    pub fn event_name(self) -> &'static str {
        match self {
            Self::Request => "countersign.request",
            Self::Outcome => "countersign.outcome",
        }
    }

    fn from_event_name(name: &str) -> Option<Self> {
        [Self::Request, Self::Outcome]
            .into_iter()
            .find(|half| half.event_name() == name)
    }
}

/// What a gateway tells of when a worker begins: the policy that it judges by.
pub const POLICY_EVENT: &str = "countersign.policy";

/// A record as it is kept, with what it takes to find it again.
#[derive(Clone, Debug)]
pub struct Record {
    /// The worker that wrote it.
    pub worker: String,
    /// The worker's number for it, from 1.
    pub seq: i64,
    /// Records that the worker has dropped so far, for want of room or because they were refused.
    pub dropped: i64,
    /// SHA-256 of the value, which has all but the observation time: a resend may change that.
    pub digest: [u8; 32],
    /// What it tells of.
    pub kind: Kind,
    /// The exchange that is over with it.
    pub ended: Option<String>,
    /// The worker that judged by another policy before, and does not any more.
    pub replaced: Option<String>,
    /// What the ledger's entry says: JSON with sorted keys, references in place of bodies.
    pub value: String,
    /// The bodies.
    pub bodies: Vec<Body>,
}

/// The longest id of an exchange or a worker: an index has to hold it.
const LONGEST_ID: usize = 512;

/// One log record with the resource and the scope it came under; the previous version of the
/// database stored it so.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Whole {
    resource: Option<Resource>,
    scope: Option<InstrumentationScope>,
    log_record: LogRecord,
}

/// Takes a batch apart: the records, and why each of the others is not one.
pub fn records(batch: ExportLogsServiceRequest) -> (Vec<Record>, Vec<String>) {
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for group in batch.resource_logs {
        let resource = group.resource.map(resource);
        for scoped in group.scope_logs {
            let scope = scoped.scope.map(scope);
            for log_record in scoped.log_records {
                match record(resource.clone(), scope.clone(), log_record) {
                    Ok(record) => good.push(record),
                    Err(why) => bad.push(why),
                }
            }
        }
    }
    (good, bad)
}

/// Reads a record that the previous version of the database stored.
pub fn from_version_1(whole: &str) -> Result<Record, String> {
    let whole: Whole = serde_json::from_str(whole).map_err(|error| error.to_string())?;
    record(
        whole.resource.map(resource),
        whole.scope.map(scope),
        whole.log_record,
    )
}

fn record(
    resource: Option<Value>,
    scope: Option<Value>,
    log_record: LogRecord,
) -> Result<Record, String> {
    let name = log_record.event_name;
    let mut attributes = plain_attributes(log_record.attributes);
    let half = Half::from_event_name(&name);
    let (kind, needed) = match half {
        Some(_) => (Kind::Record, "countersign.exchange.id"),
        None if name == POLICY_EVENT => (Kind::Policy, "countersign.policy.digest"),
        None => {
            let name = brief(&name);
            return Err(format!("`{name}` is not an event of Countersign"));
        }
    };
    let id = |key: &str| match text(&attributes, key) {
        None => Err(format!("a record without {key}")),
        Some(id) if id.len() > LONGEST_ID => Err(format!("{key} has more than {LONGEST_ID} bytes")),
        Some(id) => Ok(id.to_owned()),
    };
    let about = id(needed)?;
    let ended = (half == Some(Half::Outcome)).then_some(about);
    let replaced = (kind == Kind::Policy).then(|| text(&attributes, "countersign.policy.replaces"));
    let replaced = replaced.flatten().map(str::to_owned);
    let worker = id("countersign.worker.id")?;
    let seq = attributes
        .get("countersign.worker.seq")
        .and_then(Value::as_i64)
        .filter(|seq| *seq > 0)
        .ok_or("a record without countersign.worker.seq")?;
    let dropped = attributes
        .get("countersign.worker.dropped")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    let (references, bodies) = take_bodies(&mut attributes);
    let mut value = Map::new();
    let mut put = |key: &str, given: Option<Value>| {
        if let Some(given) = given {
            value.insert(key.to_owned(), given);
        }
    };
    let hexed = |id: Vec<u8>| (!id.is_empty()).then(|| hex(&id).into());
    put("attributes", Some(Value::Object(attributes)));
    put("bodies", references);
    // What it says in words, where that is more than the event's name.
    let message = log_record.body.map(plain);
    put("body", message.filter(|message| *message != name.as_str()));
    put("event", Some(name.into()));
    put("resource", resource);
    put("scope", scope);
    let severity = log_record.severity_number;
    put("severity", (severity != 0).then(|| severity.into()));
    put("span_id", hexed(log_record.span_id));
    // As text: JSON readers may round a number of this size.
    let time = log_record.time_unix_nano;
    put(
        "time_unix_nano",
        (time > 0).then(|| time.to_string().into()),
    );
    put("trace_id", hexed(log_record.trace_id));
    let value = Value::Object(value).to_string();
    Ok(Record {
        worker,
        seq,
        dropped,
        digest: Sha256::digest(value.as_bytes()).into(),
        kind,
        ended,
        replaced,
        value,
        bodies,
    })
}

/// Takes the bodies out of the attributes; what stands for them in the leaf.
fn take_bodies(attributes: &mut Map<String, Value>) -> (Option<Value>, Vec<Body>) {
    let mut references = Map::new();
    let mut bodies = Vec::new();
    for key in body::KEYS {
        if !attributes.get(*key).is_some_and(Value::is_string) {
            continue;
        }
        let encoding = format!("{key}.encoding");
        if let Some(Value::String(text)) = attributes.remove(*key) {
            let body = Body::new(text, attributes.get(&encoding).and_then(Value::as_str));
            references.insert((*key).to_owned(), body.reference());
            bodies.push(body);
        }
    }
    let references = (!references.is_empty()).then_some(Value::Object(references));
    (references, bodies)
}

fn resource(resource: Resource) -> Value {
    Value::Object(plain_attributes(resource.attributes))
}

fn scope(scope: InstrumentationScope) -> Value {
    serde_json::json!({"name": scope.name, "version": scope.version})
}

/// The attribute as text, if it is text and not empty.
pub fn text<'a>(attributes: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    attributes
        .get(key)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

fn brief(text: &str) -> String {
    text.chars().take(80).collect()
}

//! What a record is: one log record of the gateway about one exchange.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::otlp::plain_attributes;
use crate::clock::Millis;

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

/// A record as it came, with what it takes to find it again.
#[derive(Clone, Debug)]
pub struct Record {
    /// The worker that wrote it.
    pub worker: String,
    /// The worker's number for it, from 1.
    pub seq: i64,
    /// SHA-256 of all but the observation time, which a resend may change.
    pub digest: [u8; 32],
    /// The exchange it belongs to.
    pub exchange: String,
    /// Which half.
    pub half: Half,
    /// When it happened.
    pub at: Millis,
    /// The attributes as plain JSON.
    pub attributes: Map<String, Value>,
    /// All of it, as OTLP JSON.
    pub whole: String,
}

/// The stored form: one log record with the resource and the scope it came under.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Whole {
    resource: Option<Resource>,
    scope: Option<InstrumentationScope>,
    log_record: LogRecord,
}

/// A record that was stored, read back.
#[derive(Clone, Debug, Serialize)]
pub struct Stored {
    /// The event name.
    pub event: String,
    /// When it happened.
    pub at: Millis,
    /// Attributes of the resource.
    pub resource: Map<String, Value>,
    /// Attributes of the record.
    pub attributes: Map<String, Value>,
}

/// Takes a batch apart: the records, and why each of the others is not one.
pub fn records(batch: ExportLogsServiceRequest, now: Millis) -> (Vec<Record>, Vec<String>) {
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for group in batch.resource_logs {
        for scoped in group.scope_logs {
            for log_record in scoped.log_records {
                let whole = Whole {
                    resource: group.resource.clone(),
                    scope: scoped.scope.clone(),
                    log_record,
                };
                match record(whole, now) {
                    Ok(record) => good.push(record),
                    Err(why) => bad.push(why),
                }
            }
        }
    }
    (good, bad)
}

fn record(mut whole: Whole, now: Millis) -> Result<Record, String> {
    let name = &whole.log_record.event_name;
    let half = Half::from_event_name(name)
        .ok_or_else(|| format!("`{}` is not an event of Countersign", brief(name)))?;
    let attributes = plain_attributes(&whole.log_record.attributes);
    let exchange = text(&attributes, "countersign.exchange.id")
        .ok_or("a record without countersign.exchange.id")?
        .to_owned();
    let worker = text(&attributes, "countersign.worker.id")
        .ok_or("a record without countersign.worker.id")?
        .to_owned();
    let seq = attributes
        .get("countersign.worker.seq")
        .and_then(Value::as_i64)
        .filter(|seq| *seq > 0)
        .ok_or("a record without countersign.worker.seq")?;
    let at = [
        whole.log_record.time_unix_nano,
        whole.log_record.observed_time_unix_nano,
    ]
    .into_iter()
    .find(|nanos| *nanos > 0)
    .map_or(now, |nanos| i64::try_from(nanos / 1_000_000).unwrap_or(now));
    let unwritable = |error: serde_json::Error| format!("a record that cannot be kept: {error}");
    let text = serde_json::to_string(&whole).map_err(unwritable)?;
    whole.log_record.observed_time_unix_nano = 0;
    let to_digest = serde_json::to_vec(&whole).map_err(unwritable)?;
    Ok(Record {
        worker,
        seq,
        digest: Sha256::digest(&to_digest).into(),
        exchange,
        half,
        at,
        attributes,
        whole: text,
    })
}

/// Reads a stored record back.
pub fn read_stored(whole: &str) -> Result<Stored, String> {
    let whole: Whole = serde_json::from_str(whole).map_err(|error| error.to_string())?;
    let nanos = whole.log_record.time_unix_nano;
    Ok(Stored {
        event: whole.log_record.event_name.clone(),
        at: i64::try_from(nanos / 1_000_000).unwrap_or_default(),
        resource: whole
            .resource
            .map(|resource| plain_attributes(&resource.attributes))
            .unwrap_or_default(),
        attributes: plain_attributes(&whole.log_record.attributes),
    })
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

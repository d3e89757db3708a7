//! What was seen of a scenario, in a form that no runner colours.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::host::{LocalReply, Pairs};

/// One exchange.
#[derive(Debug, Default)]
pub struct Exchange {
    /// The gateway's id for it.
    pub id: String,
    /// What the upstream got.
    pub forwarded: Option<Sent>,
    /// How many records were durable when the first of it was handed on.
    pub records_before: usize,
    /// How many approvals had been given when the first of it was handed on.
    pub approvals_before: usize,
    /// The gateway's own answer.
    pub reply: Option<LocalReply>,
    /// The upstream's answer as the client got it.
    pub response: Option<Received>,
    /// The access-log line.
    pub summary: Value,
}

/// A request as the upstream got it.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// Headers, pseudo-headers included.
    pub headers: Pairs,
    /// Body.
    pub body: Vec<u8>,
}

/// A response as the client got it.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: Pairs,
    /// Body.
    pub body: Vec<u8>,
    /// It was cut off.
    pub reset: bool,
}

/// Everything that was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Exchanges in order.
    pub exchanges: Vec<Exchange>,
    /// Acknowledged records in order, flat: attribute to plain value, and `event`.
    pub records: Vec<Value>,
    /// Questions to the approval service.
    pub asked: Vec<Value>,
    /// Exchanges that the approval service let through.
    pub approved: Vec<String>,
    /// Counters by name; `None` where the runner has none of its own.
    pub counters: Option<std::collections::BTreeMap<String, u64>>,
    /// Envoy's log.
    pub log: Vec<String>,
}

/// The first value of a header, as text.
pub fn header<'a>(pairs: &'a Pairs, name: &str) -> Option<std::borrow::Cow<'a, str>> {
    let found = pairs.iter().find(|(n, _)| n == name);
    found.map(|(_, value)| String::from_utf8_lossy(value))
}

/// The records of an OTLP/JSON delivery, flat.
///
/// # Errors
/// Not what OTLP says.
pub fn records_of(body: &[u8]) -> Result<Vec<Value>> {
    let body: Value = serde_json::from_slice(body).context("a delivery is no JSON")?;
    let records = &body["resourceLogs"][0]["scopeLogs"][0]["logRecords"];
    let records = records.as_array().context("a delivery without records")?;
    records.iter().map(flat).collect()
}

fn flat(record: &Value) -> Result<Value> {
    let name = record["eventName"]
        .as_str()
        .context("a record without a name")?;
    let event = name.strip_prefix("countersign.").unwrap_or(name);
    let mut out = Map::from_iter([("event".to_owned(), json!(event))]);
    for attribute in record["attributes"]
        .as_array()
        .context("a record without attributes")?
    {
        let key = attribute["key"]
            .as_str()
            .context("an attribute without a key")?;
        let before = out.insert(key.to_owned(), plain(&attribute["value"])?);
        anyhow::ensure!(before.is_none(), "the attribute {key} comes twice");
    }
    Ok(Value::Object(out))
}

/// An OTLP `AnyValue` as the JSON it stands for.
fn plain(value: &Value) -> Result<Value> {
    let (kind, inner) = value
        .as_object()
        .and_then(|object| object.iter().next())
        .context("an attribute without a value")?;
    Ok(match kind.as_str() {
        "stringValue" | "boolValue" => inner.clone(),
        // int64 is a string in proto3 JSON.
        "intValue" => json!(
            inner
                .as_str()
                .context("an intValue that is no string")?
                .parse::<i64>()?
        ),
        "arrayValue" => {
            let values = inner["values"]
                .as_array()
                .context("an arrayValue without values")?;
            Value::Array(values.iter().map(plain).collect::<Result<_>>()?)
        }
        "kvlistValue" => {
            let values = inner["values"]
                .as_array()
                .context("a kvlistValue without values")?;
            let entry = |entry: &Value| -> Result<(String, Value)> {
                let key = entry["key"].as_str().context("an entry without a key")?;
                Ok((key.to_owned(), plain(&entry["value"])?))
            };
            Value::Object(values.iter().map(entry).collect::<Result<_>>()?)
        }
        other => anyhow::bail!("no OTLP value is called {other}"),
    })
}

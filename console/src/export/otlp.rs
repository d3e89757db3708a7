//! OpenTelemetry logs: records as they came, in both of OTLP's encodings.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde_json::{Map, Value};

use super::Item;
use super::encode::write_json;

/// One line of OpenTelemetry's file format: a request with one record.
pub(super) fn line(item: &Item, out: &mut Vec<u8>) {
    write_json(&request(std::slice::from_ref(item)), out);
    out.push(b'\n');
}

/// A request with these records; records of one resource stand together.
pub(super) fn request(items: &[Item]) -> ExportLogsServiceRequest {
    let mut resource_logs: Vec<ResourceLogs> = Vec::new();
    let mut last: Option<&Map<String, Value>> = None;
    for item in items {
        if last != Some(&item.resource) {
            last = Some(&item.resource);
            resource_logs.push(ResourceLogs {
                resource: Some(Resource {
                    attributes: pairs(&item.resource),
                    ..Resource::default()
                }),
                scope_logs: vec![ScopeLogs {
                    scope: Some(InstrumentationScope {
                        name: "countersign".to_owned(),
                        version: env!("CARGO_PKG_VERSION").to_owned(),
                        ..InstrumentationScope::default()
                    }),
                    ..ScopeLogs::default()
                }],
                ..ResourceLogs::default()
            });
        }
        let scope = resource_logs
            .last_mut()
            .and_then(|r| r.scope_logs.last_mut());
        if let Some(scope) = scope {
            scope.log_records.push(log_record(item));
        }
    }
    ExportLogsServiceRequest { resource_logs }
}

fn log_record(item: &Item) -> LogRecord {
    let nanos = |ms: i64| u64::try_from(ms).unwrap_or(0).saturating_mul(1_000_000);
    let mut attributes = pairs(&item.attributes);
    attributes.push(KeyValue {
        key: "countersign.ledger.index".to_owned(),
        value: Some(any(&item.index.into())),
        ..KeyValue::default()
    });
    let denied = item
        .attributes
        .get("countersign.decision")
        .and_then(Value::as_str)
        .is_some_and(|word| word.contains("denied") || word.contains("refused"));
    LogRecord {
        time_unix_nano: nanos(item.at),
        observed_time_unix_nano: nanos(item.received_at),
        severity_number: if denied { 13 } else { 9 },
        severity_text: if denied { "WARN" } else { "INFO" }.to_owned(),
        body: Some(any(&item.event.as_str().into())),
        event_name: item.event.clone(),
        attributes,
        ..LogRecord::default()
    }
}

fn pairs(map: &Map<String, Value>) -> Vec<KeyValue> {
    map.iter()
        .map(|(key, value)| KeyValue {
            key: key.clone(),
            value: Some(any(value)),
            ..KeyValue::default()
        })
        .collect()
}

fn any(value: &Value) -> AnyValue {
    use any_value::Value as Kind;
    let kind = match value {
        Value::Null => None,
        Value::Bool(flag) => Some(Kind::BoolValue(*flag)),
        Value::Number(number) => Some(match number.as_i64() {
            Some(number) => Kind::IntValue(number),
            None => Kind::DoubleValue(number.as_f64().unwrap_or_default()),
        }),
        Value::String(text) => Some(Kind::StringValue(text.clone())),
        Value::Array(all) => Some(Kind::ArrayValue(ArrayValue {
            values: all.iter().map(any).collect(),
        })),
        Value::Object(map) => Some(Kind::KvlistValue(KeyValueList { values: pairs(map) })),
    };
    AnyValue { value: kind }
}

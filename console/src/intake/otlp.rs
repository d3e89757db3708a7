//! OTLP/HTTP: requests and responses in both encodings, and attribute values as plain JSON.
//! (OpenTelemetry protocol specification 1.x, sections "OTLP/HTTP Request" and "Response".)

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use prost::Message;
use serde_json::{Map, Value};

/// How a request is written, and therefore its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `application/json`
    Json,
    /// `application/x-protobuf`
    Protobuf,
}

/// `google.rpc.Status`, which OTLP prescribes for errors.
#[derive(Clone, PartialEq, Message, serde::Serialize)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

impl Encoding {
    /// The encoding that the content type names, if it is one of OTLP's.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let media_type = value.split(';').next().unwrap_or_default().trim();
        if media_type.eq_ignore_ascii_case("application/json") {
            Some(Self::Json)
        } else if media_type.eq_ignore_ascii_case("application/x-protobuf") {
            Some(Self::Protobuf)
        } else {
            None
        }
    }

    /// Reads a batch.
    pub fn decode(self, body: &[u8]) -> Result<ExportLogsServiceRequest, String> {
        match self {
            Self::Json => serde_json::from_slice(body).map_err(|error| error.to_string()),
            Self::Protobuf => {
                ExportLogsServiceRequest::decode(body).map_err(|error| error.to_string())
            }
        }
    }

    /// Everything was taken, or all but `rejected` records, for the reason given.
    pub fn success(self, rejected: u64, why: &str) -> Response {
        let partial_success = (rejected > 0).then(|| ExportLogsPartialSuccess {
            rejected_log_records: i64::try_from(rejected).unwrap_or(i64::MAX),
            error_message: why.to_owned(),
        });
        match self {
            Self::Json => {
                let body = match &partial_success {
                    None => Value::Object(Map::new()),
                    // 64-bit numbers are strings in protobuf's JSON.
                    Some(partial) => serde_json::json!({"partialSuccess": {
                        "rejectedLogRecords": partial.rejected_log_records.to_string(),
                        "errorMessage": partial.error_message,
                    }}),
                };
                self.response(StatusCode::OK, body.to_string().into_bytes())
            }
            Self::Protobuf => {
                let message = ExportLogsServiceResponse { partial_success };
                self.response(StatusCode::OK, message.encode_to_vec())
            }
        }
    }

    /// Nothing was taken.
    pub fn failure(self, status: StatusCode, why: &str) -> Response {
        // google.rpc.Code: what OTLP clients look at is the HTTP status.
        let code = match status {
            StatusCode::BAD_REQUEST
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE => 3,
            StatusCode::TOO_MANY_REQUESTS => 8,
            _ => 14,
        };
        let message = RpcStatus {
            code,
            message: why.to_owned(),
        };
        let body = match self {
            Self::Json => serde_json::to_vec(&message).unwrap_or_default(),
            Self::Protobuf => message.encode_to_vec(),
        };
        self.response(status, body)
    }

    fn response(self, status: StatusCode, body: Vec<u8>) -> Response {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(match self {
                Self::Json => "application/json",
                Self::Protobuf => "application/x-protobuf",
            }),
        );
        response
    }
}

/// Attributes as plain JSON: integers and doubles as numbers, bytes as base64. Of a key that is
/// there twice the last value counts; OTLP forbids it.
pub fn plain_attributes(attributes: Vec<KeyValue>) -> Map<String, Value> {
    attributes
        .into_iter()
        .map(|pair| (pair.key, pair.value.map_or(Value::Null, plain)))
        .collect()
}

/// A value as plain JSON.
pub fn plain(value: AnyValue) -> Value {
    match value.value {
        None => Value::Null,
        Some(any_value::Value::StringValue(text)) => Value::from(text),
        Some(any_value::Value::BoolValue(flag)) => Value::from(flag),
        Some(any_value::Value::IntValue(number)) => Value::from(number),
        Some(any_value::Value::DoubleValue(number)) => Value::from(number),
        Some(any_value::Value::ArrayValue(array)) => array.values.into_iter().map(plain).collect(),
        Some(any_value::Value::KvlistValue(list)) => Value::Object(plain_attributes(list.values)),
        Some(any_value::Value::BytesValue(bytes)) => Value::from(STANDARD.encode(bytes)),
        // An index into a dictionary that logs do not have.
        Some(any_value::Value::StringValueStrindex(_)) => Value::Null,
    }
}

//! Server-sent events: each written and flushed on its own, as a model's server does.

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use http::header;
use serde_json::Value;

/// One event without a name.
pub fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

/// One event with the name that its `type` member has.
pub fn named(value: &Value) -> String {
    format!(
        "event: {}\ndata: {value}\n\n",
        value["type"].as_str().unwrap_or("message")
    )
}

/// An answer of events.
pub fn answer(events: impl Iterator<Item = String> + Send + 'static) -> Response {
    let body = stream::iter(events).then(|event| async move {
        // Pending once makes hyper send what it has before the next event is added.
        tokio::task::yield_now().await;
        Ok::<_, std::convert::Infallible>(Bytes::from(event))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, Body::from_stream(body)).into_response()
}

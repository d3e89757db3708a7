//! What a REST operation answers, before it becomes HTTP.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;

use crate::refusal::Refusal;

/// Status, extra headers and a body.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// Extra headers.
    pub headers: Vec<(HeaderName, String)>,
    /// The body.
    pub body: Content,
}

/// The body of an [`Answer`].
#[derive(Debug)]
pub enum Content {
    /// Nothing at all.
    Empty,
    /// JSON.
    Json(Value),
    /// Bytes of a media type.
    Bytes(&'static str, Vec<u8>),
}

impl Answer {
    /// 200 with JSON.
    pub fn ok(body: Value) -> Self {
        Self::new(StatusCode::OK, body)
    }

    /// 201 with JSON.
    pub fn created(body: Value) -> Self {
        Self::new(StatusCode::CREATED, body)
    }

    /// 204.
    pub fn no_content() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            headers: Vec::new(),
            body: Content::Empty,
        }
    }

    /// Any status with JSON.
    pub fn new(status: StatusCode, body: Value) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Content::Json(body),
        }
    }

    /// 200 with bytes of a media type.
    pub fn bytes(media_type: &'static str, bytes: Vec<u8>) -> Self {
        Self {
            status: StatusCode::OK,
            headers: Vec::new(),
            body: Content::Bytes(media_type, bytes),
        }
    }

    /// With one more header.
    pub fn with(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = match self.body {
            Content::Empty => self.status.into_response(),
            Content::Json(body) => {
                let kind = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
                (self.status, kind, body.to_string()).into_response()
            }
            Content::Bytes(kind, bytes) => {
                (self.status, [(header::CONTENT_TYPE, kind)], bytes).into_response()
            }
        };
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        Answer::new(self.status, self.rest_body()).into_response()
    }
}

/// A value for `x-github-request-id`, unique within this process.
pub fn request_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    format!(
        "{:04X}:{:06X}:{:06X}:{:06X}:{:08X}",
        mixed >> 48,
        (mixed >> 24) & 0xFF_FFFF,
        mixed & 0xFF_FFFF,
        number & 0xFF_FFFF,
        std::process::id()
    )
}

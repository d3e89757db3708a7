//! The recorder: what reached the upstream, so that a test can say what did not.
//!
//! `GET /__seen` lists the requests, oldest first; `DELETE /__seen` forgets them. Neither needs the credential.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http_body::{Body as HttpBody, Frame, SizeHint};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::hosts;
use crate::upstream::Shared;

/// Requests kept; the oldest goes first.
const KEPT: usize = 1000;
/// Bytes of each body kept as they came.
const BODY_KEPT: usize = 256 * 1024;

/// The requests received.
#[derive(Debug, Default)]
pub struct Seen {
    inner: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    next: u64,
    records: VecDeque<Record>,
}

#[derive(Debug)]
struct Record {
    number: u64,
    method: String,
    host: String,
    path: String,
    version: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    size: u64,
    hash: Sha256,
    trailers: bool,
    complete: bool,
    status: Option<u16>,
}

impl Seen {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, request: &Request) -> u64 {
        let headers = request.headers().iter();
        let record = Record {
            number: 0,
            method: request.method().to_string(),
            host: hosts::host(request.uri(), request.headers()),
            path: request
                .uri()
                .path_and_query()
                .map_or("/", |path| path.as_str())
                .to_owned(),
            version: format!("{:?}", request.version()),
            headers: headers
                .map(|(name, value)| {
                    (
                        name.to_string(),
                        String::from_utf8_lossy(value.as_bytes()).into_owned(),
                    )
                })
                .collect(),
            body: Vec::new(),
            size: 0,
            hash: Sha256::new(),
            trailers: false,
            complete: false,
            status: None,
        };
        let mut log = self.log();
        log.next += 1;
        let number = log.next;
        log.records.push_back(Record { number, ..record });
        if log.records.len() > KEPT {
            log.records.pop_front();
        }
        number
    }

    fn change(&self, number: u64, change: impl FnOnce(&mut Record)) {
        let mut log = self.log();
        // Numbers run on, so the place of a record follows from that of the oldest.
        let Some(oldest) = log.records.front().map(|record| record.number) else {
            return;
        };
        let at = number
            .checked_sub(oldest)
            .and_then(|at| usize::try_from(at).ok());
        if let Some(record) = at.and_then(|at| log.records.get_mut(at)) {
            change(record);
        }
    }
}

impl Record {
    fn show(&self) -> Value {
        let mut headers = Map::new();
        for (name, value) in &self.headers {
            match headers.get_mut(name) {
                Some(Value::String(joined)) => {
                    joined.push_str(", ");
                    joined.push_str(value);
                }
                _ => {
                    headers.insert(name.clone(), json!(value));
                }
            }
        }
        let (body, encoding) = match std::str::from_utf8(&self.body) {
            Ok(text) => (text.to_owned(), "utf8"),
            Err(_) => (STANDARD.encode(&self.body), "base64"),
        };
        let hash: String = self
            .hash
            .clone()
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        json!({
            "number": self.number,
            "method": self.method,
            "host": self.host,
            "path": self.path,
            "version": self.version,
            "headers": headers,
            "body_size": self.size,
            "body_sha256": hash,
            "body": body,
            "body_encoding": encoding,
            "body_truncated": self.size > self.body.len() as u64,
            "trailers": self.trailers,
            "complete": self.complete,
            "status": self.status,
        })
    }
}

/// Notes the head at once and the body as it is read.
pub async fn record(State(upstream): State<Shared>, request: Request, next: Next) -> Response {
    let number = upstream.seen.begin(&request);
    let seen = upstream.clone();
    let request = request.map(|inner| {
        let complete = inner.is_end_stream();
        if complete {
            seen.seen.change(number, |record| record.complete = true);
        }
        Body::new(Watched {
            inner,
            upstream: seen,
            number,
        })
    });
    let response = next.run(request).await;
    upstream.seen.change(number, |record| {
        record.status = Some(response.status().as_u16())
    });
    response
}

/// `GET /__seen`: `{"requests": [...]}`.
pub async fn list(State(upstream): State<Shared>) -> Json<Value> {
    let log = upstream.seen.log();
    Json(json!({ "requests": log.records.iter().map(Record::show).collect::<Vec<_>>() }))
}

/// `DELETE /__seen`.
pub async fn clear(State(upstream): State<Shared>) -> StatusCode {
    upstream.seen.log().records.clear();
    StatusCode::NO_CONTENT
}

/// A request body that is noted while the handler reads it.
struct Watched {
    inner: Body,
    upstream: Shared,
    number: u64,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        let ended = self.inner.is_end_stream();
        match &polled {
            Poll::Ready(Some(Ok(frame))) => self.upstream.seen.change(self.number, |record| {
                if let Some(data) = frame.data_ref() {
                    record.size += data.len() as u64;
                    record.hash.update(data);
                    let room = BODY_KEPT.saturating_sub(record.body.len()).min(data.len());
                    record.body.extend_from_slice(&data[..room]);
                }
                record.trailers |= frame.is_trailers();
                record.complete |= ended || frame.is_trailers();
            }),
            Poll::Ready(None) => self
                .upstream
                .seen
                .change(self.number, |record| record.complete = true),
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

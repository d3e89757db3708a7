//! Misbehaviour on demand: the request header `x-simulate` says what should go wrong with the answer.
//!
//! `slow=MS` waits before the answer, `pace=MS` between its chunks, `chunk=N` sends the body in pieces of N bytes each
//! flushed, `gzip` compresses although nobody asked, `trailers` ends the body with trailers, `reset` breaks the
//! connection in the middle of the body, `status=N` answers N without doing anything, `echo-credential` sends the
//! credential back in many disguises. Several are separated by commas.

use std::io::Write as _;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream::{self, StreamExt as _};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::{Body as _, Frame};
use http_body_util::StreamBody;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

/// What one request asks for.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Faults {
    /// Wait before the answer.
    pub slow: Duration,
    /// Wait between chunks.
    pub pace: Duration,
    /// Size of a chunk in bytes.
    pub chunk: Option<usize>,
    /// Answer this status and do nothing.
    pub status: Option<StatusCode>,
    /// Break off in the middle of the body.
    pub reset: bool,
    /// End the body with trailers.
    pub trailers: bool,
    /// Compress the body.
    pub gzip: bool,
    /// Send the credential back.
    pub echo_credential: bool,
}

impl Faults {
    /// Reads `x-simulate`; the error is the word that is not understood, so that a typing error in a test is seen.
    pub fn read(headers: &HeaderMap) -> Result<Self, String> {
        let mut faults = Self::default();
        for value in headers.get_all("x-simulate") {
            for word in value
                .to_str()
                .unwrap_or("?")
                .split(',')
                .map(str::trim)
                .filter(|word| !word.is_empty())
            {
                faults.add(word).ok_or_else(|| word.to_owned())?;
            }
        }
        Ok(faults)
    }

    fn add(&mut self, word: &str) -> Option<()> {
        let (name, number) = word.split_once('=').map_or((word, ""), |pair| pair);
        match name {
            "slow" => self.slow = Duration::from_millis(number.parse().ok()?),
            "pace" => self.pace = Duration::from_millis(number.parse().ok()?),
            "chunk" => self.chunk = Some(number.parse().ok().filter(|size| *size > 0)?),
            "status" => self.status = Some(number.parse().ok()?),
            "reset" => self.reset = true,
            "trailers" => self.trailers = true,
            "gzip" => self.gzip = true,
            "echo-credential" => self.echo_credential = true,
            _ => return None,
        }
        Some(())
    }

    fn touch_body(&self) -> bool {
        self.reset || self.trailers || self.gzip || self.chunk.is_some() || !self.pace.is_zero()
    }
}

/// Applies what the request asks for.
pub async fn apply(request: Request, next: Next) -> Response {
    let faults = match Faults::read(request.headers()) {
        Ok(faults) => faults,
        Err(word) => {
            return (
                StatusCode::BAD_REQUEST,
                format!("x-simulate: {word} is not understood\n"),
            )
                .into_response();
        }
    };
    tokio::time::sleep(faults.slow).await;
    let authorization = request.headers().get(header::AUTHORIZATION).cloned();
    let response = if let Some(status) = faults.status {
        let text = status.canonical_reason().unwrap_or("Simulated");
        (
            status,
            axum::Json(json!({ "message": text, "status": status.as_u16().to_string() })),
        )
            .into_response()
    } else if faults.echo_credential {
        echo(authorization.as_ref())
    } else {
        next.run(request).await
    };
    if faults.touch_body() {
        distort(response, &faults)
    } else {
        response
    }
}

/// The credential raw, in base64 and percent-encoded, in headers and in a JSON body.
fn echo(authorization: Option<&HeaderValue>) -> Response {
    let raw = authorization
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let bare = raw.split_once(' ').map_or(raw.as_str(), |(_, rest)| rest);
    let decoded = STANDARD
        .decode(bare)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    // For Basic the secret is the password inside.
    let token = match (
        &decoded,
        raw.get(..6)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic ")),
    ) {
        (Some(pair), true) => pair
            .split_once(':')
            .map_or(pair.as_str(), |(_, password)| password),
        _ => bare,
    };
    let forms = [
        ("authorization", raw.clone()),
        ("token", token.to_owned()),
        ("base64", STANDARD.encode(token)),
        ("base64url", URL_SAFE_NO_PAD.encode(token)),
        ("base64-authorization", STANDARD.encode(&raw)),
        (
            "percent",
            utf8_percent_encode(token, NON_ALPHANUMERIC).to_string(),
        ),
        (
            "percent-authorization",
            utf8_percent_encode(&raw, NON_ALPHANUMERIC).to_string(),
        ),
        (
            "percent-every-byte",
            token.bytes().map(|byte| format!("%{byte:02X}")).collect(),
        ),
    ];
    let body: serde_json::Map<_, _> = forms
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    let mut response = axum::Json(body).into_response();
    for (name, value) in forms {
        if let (Ok(name), Ok(value)) = (
            http::HeaderName::try_from(format!("x-echo-{name}")),
            HeaderValue::try_from(value),
        ) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Rewrites the body's frames; its length is no longer known.
fn distort(response: Response, faults: &Faults) -> Response {
    let (mut parts, body) = response.into_parts();
    let length = body.size_hint().exact();
    let has_type = parts.headers.contains_key(header::CONTENT_TYPE);
    parts.headers.remove(header::CONTENT_LENGTH);
    if faults.gzip && has_type {
        parts
            .headers
            .insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if faults.trailers {
        parts.headers.insert(
            header::TRAILER,
            HeaderValue::from_static("x-simulated-trailer"),
        );
    }
    let data = body
        .into_data_stream()
        .map(|piece| piece.unwrap_or_default())
        .boxed();
    let data = if faults.gzip && has_type {
        compressed(data)
    } else {
        data
    };
    let size = faults.chunk.unwrap_or(usize::MAX);
    let pieces = data.flat_map(move |bytes| {
        let parts: Vec<Bytes> = bytes.chunks(size).map(Bytes::copy_from_slice).collect();
        stream::iter(parts)
    });
    let pace = faults.pace;
    let paced = pieces.enumerate().then(move |(at, piece)| async move {
        if at > 0 && !pace.is_zero() {
            tokio::time::sleep(pace).await;
        } else {
            // Pending once makes hyper flush what it has.
            tokio::task::yield_now().await;
        }
        piece
    });
    let frames = paced.map(|piece| Ok::<_, std::io::Error>(Frame::data(piece)));
    let body = if faults.reset {
        // A known short body ends before its last byte is sent, a stream after a few events.
        let before = length.map_or(400, |length| (length / 2).max(1));
        let mut left = usize::try_from(before).unwrap_or(usize::MAX);
        let broken = frames.flat_map(move |frame| {
            let error = || Err(std::io::Error::other("simulated reset"));
            let frame = match frame.map(Frame::into_data) {
                Ok(Ok(data)) if data.len() < left => {
                    left -= data.len();
                    return stream::iter(vec![Ok(Frame::data(data))]);
                }
                Ok(Ok(data)) => data.slice(..left),
                _ => Bytes::new(),
            };
            stream::iter(vec![Ok(Frame::data(frame)), error()])
        });
        let end = stream::iter([Err(std::io::Error::other("simulated reset"))]);
        // The pause lets the bytes before the break reach the client.
        let slow = broken.chain(end).then(|frame| async move {
            if frame.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            frame
        });
        Body::new(StreamBody::new(slow.boxed()))
    } else if faults.trailers {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-simulated-trailer", HeaderValue::from_static("end"));
        Body::new(StreamBody::new(
            frames
                .chain(stream::iter([Ok(Frame::trailers(trailers))]))
                .boxed(),
        ))
    } else {
        Body::new(StreamBody::new(frames.boxed()))
    };
    Response::from_parts(parts, body)
}

type Pieces = stream::BoxStream<'static, Bytes>;

/// Compresses piece by piece, each flushed so that a stream still arrives as one.
fn compressed(data: Pieces) -> Pieces {
    let mut encoder = Some(GzEncoder::new(Vec::new(), Compression::default()));
    data.map(Some)
        .chain(stream::iter([None]))
        .map(move |piece| {
            let out = match (piece, encoder.as_mut()) {
                (Some(piece), Some(writer)) => {
                    // Writing into memory does not fail.
                    let _ = writer.write_all(&piece).and_then(|()| writer.flush());
                    std::mem::take(writer.get_mut())
                }
                (None, Some(_)) => encoder
                    .take()
                    .and_then(|writer| writer.finish().ok())
                    .unwrap_or_default(),
                (_, None) => Vec::new(),
            };
            Bytes::from(out)
        })
        .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_a_typing_error_is_named() {
        let mut headers = HeaderMap::new();
        headers.insert(
            "x-simulate",
            HeaderValue::from_static("slow=20, chunk=3,gzip, status=503"),
        );
        let faults = Faults::read(&headers).unwrap();
        assert_eq!(faults.slow, Duration::from_millis(20));
        assert_eq!(
            (faults.chunk, faults.gzip, faults.reset),
            (Some(3), true, false)
        );
        assert_eq!(faults.status, Some(StatusCode::SERVICE_UNAVAILABLE));
        for wrong in ["chunk=0", "slow", "restet", "status=99"] {
            headers.insert("x-simulate", HeaderValue::from_static(wrong));
            assert_eq!(Faults::read(&headers), Err(wrong.to_owned()));
        }
    }
}

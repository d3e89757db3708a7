//! `POST /v1/logs`.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::otlp::Encoding;
use super::{LARGEST_BATCH, record};
use crate::approvals::{book, others};
use crate::ledger::arrival::{self, Kept};
use crate::store::StoreError;
use crate::web::App;

/// Takes a batch of log records.
pub async fn take(State(app): State<App>, request: Request) -> Response {
    let Some(encoding) = Encoding::of(request.headers()) else {
        return Encoding::Json.failure(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the content type is neither application/json nor application/x-protobuf",
        );
    };
    // The place in memory is taken before the batch is read.
    let size = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .filter(|_| !request.headers().contains_key(header::CONTENT_ENCODING))
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .unwrap_or(LARGEST_BATCH);
    if size > LARGEST_BATCH {
        return too_large(encoding);
    }
    let places = u32::try_from(size.max(1)).unwrap_or(u32::MAX);
    let Ok(_place) = Arc::clone(&app.intake.memory).try_acquire_many_owned(places) else {
        return busy(&app, encoding);
    };
    let body = match read(request.into_body()).await {
        Ok(body) => body,
        Err(Unread::TooLarge) => return too_large(encoding),
        Err(Unread::Broken(why)) => return encoding.failure(StatusCode::BAD_REQUEST, &why),
    };
    let batch = match encoding.decode(&body) {
        Ok(batch) => batch,
        Err(why) => {
            let why = format!("not an OTLP logs request: {why}");
            return encoding.failure(StatusCode::BAD_REQUEST, &why);
        }
    };
    drop(body);
    let now = app.clock.now();
    let (records, bad) = record::records(batch);
    let rejected = bad.len() as u64;
    let ended: Vec<String> = records.iter().filter_map(|r| r.ended.clone()).collect();
    let replaced: Vec<String> = records.iter().filter_map(|r| r.replaced.clone()).collect();
    let kept = if records.is_empty() {
        Ok((Kept::default(), Vec::new()))
    } else {
        let told = ended.clone();
        app.store
            .try_write(move |c| {
                let kept = arrival::keep(c, now, &records)?;
                others::tell_ended(c, &told)?;
                let mut outdated = Vec::new();
                for worker in &replaced {
                    outdated.extend(book::outdate(c, now, worker)?);
                }
                Ok((kept, outdated))
            })
            .await
    };
    match kept {
        Ok((kept, outdated)) => {
            app.intake.count(now, kept, rejected);
            app.desk.ended(&ended);
            if !outdated.is_empty() {
                outdated.iter().for_each(|one| app.desk.ring(one));
                app.announce();
            }
            if let Some(why) = bad.first() {
                tracing::warn!(rejected, %why, "log records were rejected");
            }
            encoding.success(rejected, bad.first().map_or("", String::as_str))
        }
        Err(StoreError::Busy) => busy(&app, encoding),
        Err(error) => {
            tracing::error!(%error, "records could not be stored");
            retry_later(encoding.failure(
                StatusCode::SERVICE_UNAVAILABLE,
                "the records could not be stored",
            ))
        }
    }
}

enum Unread {
    TooLarge,
    Broken(String),
}

async fn read(body: Body) -> Result<axum::body::Bytes, Unread> {
    axum::body::to_bytes(body, LARGEST_BATCH)
        .await
        .map_err(|error| {
            let mut cause: Option<&dyn std::error::Error> = Some(&error);
            while let Some(error) = cause {
                if error.is::<http_body_util::LengthLimitError>() {
                    return Unread::TooLarge;
                }
                cause = error.source();
            }
            Unread::Broken(format!("the body cannot be read: {error}"))
        })
}

fn too_large(encoding: Encoding) -> Response {
    encoding.failure(
        StatusCode::PAYLOAD_TOO_LARGE,
        &format!("the batch is larger than {LARGEST_BATCH} bytes"),
    )
}

fn busy(app: &App, encoding: Encoding) -> Response {
    app.intake
        .counts
        .refused_batches
        .fetch_add(1, Ordering::Relaxed);
    retry_later(encoding.failure(StatusCode::TOO_MANY_REQUESTS, "too many records wait"))
}

fn retry_later(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

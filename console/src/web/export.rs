//! The trail for other systems, as a stream from a cursor.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;

use super::App;
use super::auth::{ApiAuditor, ApiCaller};
use super::look::looked;
use super::page::page_error;
use crate::clock::{parse_moment, rfc3339};
use crate::exchanges::query::{Field, Query as Words, parse};
use crate::export::feed::{self, Selection};
use crate::export::{Encoder, Format};
use crate::people::access::{Looked, Way};
use crate::store::StoreError;

/// Records in one answer, unless fewer are asked for.
const LARGEST: i64 = 10_000;
/// Records that are read at once.
const PAGE: u32 = 200;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    format: String,
    cursor: Option<i64>,
    limit: Option<i64>,
    user: Option<String>,
    since: Option<String>,
    until: Option<String>,
    q: Option<String>,
}

/// Entries from `cursor` on. `x-countersign-next` is the cursor behind them; it counts once the whole
/// body has come.
pub(super) async fn export(
    State(app): State<App>,
    caller: ApiAuditor,
    Query(asked): Query<Asked>,
) -> Response {
    // What is taken away has the bodies in it.
    if !app.rights.reads_bodies(&caller.0) {
        let why = "an export holds bodies, which you lack the right to read";
        return (StatusCode::FORBIDDEN, Json(json!({ "error": why }))).into_response();
    }
    let wrong =
        |why: String| (StatusCode::BAD_REQUEST, Json(json!({ "error": why }))).into_response();
    let name = match asked.format.as_str() {
        "" => "ndjson",
        name => name,
    };
    let Some(format) = Format::from_name(name) else {
        let known: Vec<&str> = Format::ALL.iter().map(|format| format.name()).collect();
        return wrong(format!(
            "no format is called `{name}`; there are {}",
            known.join(", ")
        ));
    };
    let now = app.clock.now();
    let moment = |text: &Option<String>| {
        let text = text.as_deref().filter(|text| !text.trim().is_empty());
        text.map(|text| parse_moment(text, now)).transpose()
    };
    let query = asked.q.as_deref().filter(|q| !q.trim().is_empty());
    let query = match query.map(|text| parse(text, now)).transpose() {
        Ok(query) => query,
        Err(error) => return wrong(format!("{}. {}", error.problem, error.remedy)),
    };
    let selection = match (moment(&asked.since), moment(&asked.until)) {
        (Ok(since), Ok(until)) => Selection {
            user: asked.user.filter(|user| !user.is_empty()),
            since,
            until,
            query,
        },
        (Err(why), _) | (_, Err(why)) => return wrong(why),
    };
    let from = asked.cursor.unwrap_or(0).max(0);
    let limit = asked.limit.unwrap_or(LARGEST).clamp(1, LARGEST);
    // Where this answer ends is settled before it begins: the cursor is a header.
    let by_exchange = format.by_exchange() || selection.needs_exchanges();
    let bounds = app.store.read(move |c| {
        let end = feed::end(c, by_exchange)?;
        let until = from.saturating_add(limit).min(end).max(from);
        Ok((end, until, feed::has_more_than_looks(c, from, until)?))
    });
    let (end, until, tells) = match bounds.await {
        Ok(bounds) => bounds,
        Err(error) => return page_error(&error),
    };
    // A client that follows would otherwise be told of its own looks, each a look again.
    if tells {
        let look = Looked::Export {
            format: name.to_owned(),
            query: described(&selection),
            bodies: true,
        };
        if let Err(error) = looked(&app, &caller.0.name, Way::Api, look).await {
            return page_error(&error);
        }
    }
    let (tell, mut told) = mpsc::channel::<Result<Bytes, StoreError>>(4);
    let store = app.store.clone();
    tokio::task::spawn_blocking(move || {
        let outcome = write(&store, format, from, until, &selection, &tell);
        if let Err(error) = outcome {
            tracing::error!(%error, "an export was cut off");
            // An answer that ends so is seen to be cut off.
            let _ = tell.blocking_send(Err(error));
        }
    });
    let stream = futures_util::stream::poll_fn(move |context| told.poll_recv(context));
    let mut response = Response::new(Body::from_stream(stream));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(format.media_type()),
    );
    headers.insert("x-countersign-next", HeaderValue::from(until));
    let more = if until < end { "true" } else { "false" };
    headers.insert("x-countersign-more", HeaderValue::from_static(more));
    response
}

/// The selection in the words of a search.
fn described(selection: &Selection) -> String {
    let user = selection.user.as_deref();
    let user = user.map(|user| Words::of(Field::User, user).to_string());
    let since = selection.since.map(|at| format!("after:{}", rfc3339(at)));
    let until = selection.until.map(|at| format!("before:{}", rfc3339(at)));
    let query = selection.query.as_ref().map(ToString::to_string);
    let parts: Vec<String> = [user, since, until, query].into_iter().flatten().collect();
    parts.join(" ")
}

fn write(
    store: &crate::store::Store,
    format: Format,
    from: i64,
    until: i64,
    selection: &Selection,
    tell: &mpsc::Sender<Result<Bytes, StoreError>>,
) -> Result<(), StoreError> {
    let mut encoder = Encoder::new(format);
    let mut bytes = Vec::new();
    if from == 0 || format == Format::Har {
        encoder.head(&mut bytes);
    }
    let mut cursor = from;
    while cursor < until {
        let page =
            store.read_now(|c| feed::page(c, cursor, PAGE, selection, format.by_exchange()))?;
        for item in page.items.iter().filter(|item| item.index < until) {
            encoder.item(item, &mut bytes);
        }
        if page.next == cursor {
            break;
        }
        cursor = page.next;
        if !bytes.is_empty()
            && tell
                .blocking_send(Ok(std::mem::take(&mut bytes).into()))
                .is_err()
        {
            // Whoever asked is gone.
            return Ok(());
        }
    }
    encoder.tail(&mut bytes);
    let _ = tell.blocking_send(Ok(bytes.into()));
    Ok(())
}

/// How the targets of `serve --forward` fare.
pub(super) async fn forwards(State(app): State<App>, _caller: ApiCaller) -> Response {
    Json(json!({ "forwards": app.forwards.status() })).into_response()
}

/// How the exports of the settings fare.
pub(super) async fn schedules(State(app): State<App>, _caller: ApiCaller) -> Response {
    Json(json!({ "exports": app.schedules.status() })).into_response()
}

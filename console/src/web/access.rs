//! Who looked at the trail.

use askama::Template;
use axum::extract::{Query as UrlQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;

use super::App;
use super::auth::Auditor;
use super::look::looked;
use super::page::{Frame, page_error, render};
use super::text::shown_line;
use crate::clock::readable;
use crate::people::access::{self, Access, Looked, Way};
use crate::store::StoreError;

const LOOKS: u32 = 100;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Place {
    before: Option<i64>,
}

#[derive(Template)]
#[template(path = "access.html")]
struct Page {
    frame: Frame,
    lines: Vec<Line>,
    next: Option<i64>,
}

struct Line {
    at: String,
    who: String,
    what: String,
    detail: String,
    way: String,
}

pub(super) async fn list(
    State(app): State<App>,
    session: Auditor,
    UrlQuery(place): UrlQuery<Place>,
) -> Response {
    let load = async {
        looked(&app, &session.0.person.name, Way::Page, Looked::Accesses).await?;
        let before = place.before.unwrap_or(i64::MAX);
        let looks = app
            .store
            .read(move |c| access::list(c, before, LOOKS))
            .await?;
        let full = looks.len() == LOOKS as usize;
        Ok::<_, StoreError>(Page {
            frame: Frame::new(&app, &session.0, "health", "Who looked").await?,
            next: looks.last().map(|look| look.index).filter(|_| full),
            lines: looks.iter().map(Line::new).collect(),
        })
    };
    match load.await {
        Ok(page) => render(StatusCode::OK, &page),
        Err(error) => page_error(&error),
    }
}

impl Line {
    fn new(access: &Access) -> Self {
        let word = |key: &str| {
            let value = access.value.get(key).and_then(Value::as_str);
            shown_line(value.unwrap_or_default())
        };
        let bodies = access.value.get("bodies").and_then(Value::as_bool) == Some(true);
        let action = word("action");
        Self {
            at: readable(access.at),
            who: word("who"),
            what: match (action.as_str(), bodies) {
                ("search", _) => "searched".to_owned(),
                ("exchange", true) => "opened an exchange with its bodies".to_owned(),
                ("exchange", false) => "opened an exchange".to_owned(),
                ("session", true) => "opened a session with its bodies".to_owned(),
                ("session", false) => "opened a session".to_owned(),
                ("export", true) => "exported records with their bodies".to_owned(),
                ("export", false) => "exported records".to_owned(),
                ("accesses", _) => "looked at this list".to_owned(),
                (other, _) => other.to_owned(),
            },
            detail: [
                word("query"),
                word("exchange"),
                word("session"),
                word("format"),
            ]
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join(" · "),
            way: word("way").replace('_', " "),
        }
    }
}

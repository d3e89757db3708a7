//! The list of sessions, those with the newest exchanges first.

use askama::Template;
use axum::extract::{Query as UrlQuery, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::App;
use super::asked::{Parameters, address};
use super::audit::NO_WORDS;
use super::auth::Auditor;
use super::look::looked;
use super::page::{Frame, page_error, render};
use super::text::{grouped, shown_line};
use crate::clock::{in_words, readable};
use crate::exchanges::groups::{self, Group};
use crate::exchanges::query::{Field, Query};
use crate::exchanges::search::{self, answered};
use crate::people::access::{Looked, Way};
use crate::store::StoreError;

const HERE: &str = "/sessions";
const SESSIONS: usize = 40;

#[derive(Template)]
#[template(path = "sessions.html")]
struct Page {
    frame: Frame,
    q: String,
    wrong: Option<String>,
    lines: Vec<Line>,
    more: Option<String>,
}

struct Line {
    /// For the address.
    id: String,
    name: String,
    users: String,
    first: String,
    lasted: String,
    exchanges: String,
    refused: u64,
    held: u64,
    link: String,
}

impl Line {
    fn new(group: Group) -> Self {
        Self {
            users: shown_line(&group.users.join(", ")),
            first: readable(group.first),
            lasted: in_words(group.last - group.first),
            exchanges: grouped(group.exchanges),
            refused: group.refused,
            held: group.held,
            link: address("/audit", &Query::of(Field::Session, &group.value)),
            name: shown_line(&group.value),
            id: group.value,
        }
    }
}

pub(super) async fn list(
    State(app): State<App>,
    session: Auditor,
    UrlQuery(parameters): UrlQuery<Parameters>,
) -> Response {
    match page(&app, &session, &parameters).await {
        Ok((status, page)) => render(status, &page),
        Err(error) => page_error(&error),
    }
}

async fn page(
    app: &App,
    session: &Auditor,
    parameters: &Parameters,
) -> Result<(StatusCode, Page), StoreError> {
    let mut page = Page {
        frame: Frame::new(app, &session.0, "sessions", "Sessions").await?,
        q: parameters.q.clone(),
        wrong: None,
        lines: Vec::new(),
        more: None,
    };
    let asked = match parameters.asked(app.clock.now()) {
        Ok(asked) => asked,
        Err(wrong) => {
            page.wrong = Some(shown_line(&wrong.to_string()));
            return Ok((StatusCode::BAD_REQUEST, page));
        }
    };
    page.q = asked.query.to_string();
    if asked.query.has_words() && !session.bodies(app) {
        page.wrong = Some(NO_WORDS.to_owned());
        return Ok((StatusCode::FORBIDDEN, page));
    }
    let look = Looked::Search {
        query: page.q.clone(),
        cursor: asked.after.map(|cursor| cursor.to_string()),
    };
    looked(app, &session.0.person.name, Way::Page, look).await?;
    let query = asked.query.clone();
    let found = app
        .store
        .read(move |c| {
            let matches = match answered(search::count(c, &asked.query))? {
                Ok(matches) => matches,
                Err(why) => return Ok(Err(why)),
            };
            groups::sessions(c, &matches.rows, asked.after, SESSIONS).map(Ok)
        })
        .await?;
    match found {
        Ok((sessions, next)) => {
            page.lines = sessions.into_iter().map(Line::new).collect();
            let here = address(HERE, &query);
            let and = if here.contains('?') { '&' } else { '?' };
            page.more = next.map(|next| format!("{here}{and}cursor={next}"));
            Ok((StatusCode::OK, page))
        }
        Err(why) => {
            page.wrong = Some(shown_line(&why));
            Ok((StatusCode::BAD_REQUEST, page))
        }
    }
}

//! The trail's search page: a query, what it finds, and what that has in common.

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query as UrlQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::App;
use super::asked::{Parameters, Wrong, address, encoded};
use super::auth::Auditor;
use super::chart::{Bars, Ranking};
use super::look::looked;
use super::page::{Frame, message, page_error, render, stale_form};
use super::text::{self, grouped, shown_line};
use crate::clock::readable;
use crate::exchanges::facets::{self, Facet, Histogram};
use crate::exchanges::query::{FIELDS, Field, Named, Query, TRAITS, Trait};
use crate::exchanges::search::{Matches, answered};
use crate::exchanges::{Found, Summary, saved, search_and_count};
use crate::ledger::derive;
use crate::people::access::{Looked, Way};
use crate::store::StoreError;

/// The page's address.
const HERE: &str = "/audit";
/// What somebody is told who searches for words without the right to read what they are in.
pub(super) const NO_WORDS: &str =
    "Words are looked for in bodies, which you lack the right to read. Search by fields instead.";

/// One exchange in a list.
pub(super) struct Row {
    pub exchange: String,
    pub at: String,
    pub user: String,
    pub what: String,
    pub where_to: String,
    pub decision: String,
    pub tone: &'static str,
    pub rule: Option<String>,
    pub status: String,
    pub masked: i64,
    pub open: bool,
}

impl Row {
    pub fn new(summary: &Summary) -> Self {
        let line = |text: &Option<String>| shown_line(text.as_deref().unwrap_or(""));
        let request = format!("{} {}", line(&summary.method), line(&summary.url));
        let decision = summary.decision.as_deref().unwrap_or("");
        Self {
            exchange: shown_line(&summary.exchange),
            at: readable(summary.at),
            user: summary
                .user_id
                .as_deref()
                .map_or_else(|| "not known".to_owned(), shown_line),
            what: if summary.operations.is_empty() {
                request.trim().to_owned()
            } else {
                shown_line(&summary.operations)
            },
            where_to: if summary.operations.is_empty() {
                line(&summary.connection)
            } else {
                request.trim().to_owned()
            },
            decision: shown_line(text::decision(decision)),
            tone: text::tone(decision),
            rule: summary.rule.as_deref().map(shown_line),
            status: summary.status.map_or(String::new(), |s| s.to_string()),
            masked: summary.masked,
            open: !summary.has_outcome,
        }
    }
}

/// A term of the query, and the search without it.
struct Chip {
    text: String,
    link: String,
}

/// The query as it was typed, around the place of an error.
struct Misread {
    before: String,
    place: String,
    after: String,
    problem: String,
    remedy: String,
}

/// What was found.
struct Answer {
    rows: Vec<Row>,
    count: String,
    more: Option<String>,
    newest: Option<String>,
    bars: Option<Bars>,
    facets: Vec<Ranking>,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct Page {
    frame: Frame,
    q: String,
    chips: Vec<Chip>,
    misread: Option<Misread>,
    wrong: Option<String>,
    answer: Option<Answer>,
    /// Records that a search does not find yet.
    behind: String,
    filtered: bool,
    saved: Vec<SavedLine>,
    fields: &'static [Named],
    traits: &'static [(Trait, &'static str, &'static str)],
    api: String,
}

struct SavedLine {
    id: i64,
    name: String,
    query: String,
    link: String,
    owner: Option<String>,
    shared: bool,
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
    let person = session.0.person.name.clone();
    let mut page = Page {
        frame: Frame::new(app, &session.0, "audit", "Exchanges").await?,
        q: parameters.q.clone(),
        chips: Vec::new(),
        misread: None,
        wrong: None,
        answer: None,
        behind: String::new(),
        filtered: true,
        saved: app
            .store
            .read(move |c| saved::list(c, &person))
            .await?
            .into_iter()
            .map(|saved| SavedLine::new(saved, &session.0.person.name))
            .collect(),
        fields: FIELDS,
        traits: TRAITS,
        api: String::new(),
    };
    let now = app.clock.now();
    let asked = match parameters.asked(now) {
        Ok(asked) => asked,
        Err(Wrong::Query(error)) => {
            page.misread = Some(Misread::new(&parameters.q, &error));
            return Ok((StatusCode::BAD_REQUEST, page));
        }
        Err(Wrong::Parameter(why)) => {
            page.wrong = Some(shown_line(&why));
            return Ok((StatusCode::BAD_REQUEST, page));
        }
    };
    page.q = asked.query.to_string();
    page.chips = Chip::all(&asked.query);
    page.filtered = !asked.query.terms.is_empty();
    page.api = address("/api/v1/exchanges", &asked.query);
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
    let at_first = asked.after.is_none();
    let found = app
        .store
        .read(move |c| {
            let (found, matches) = match answered(search_and_count(c, &asked))? {
                Ok(found) => found,
                Err(why) => return Ok(Err(why)),
            };
            Ok(Ok(Loaded {
                facets: facets::facets(c, &matches)?,
                histogram: facets::histogram(c, &matches, &asked.query, now)?,
                behind: derive::position(c)?.behind(),
                found,
                matches,
            }))
        })
        .await?;
    match found {
        Ok(loaded) => {
            if loaded.behind > 0 {
                page.behind = grouped(loaded.behind.unsigned_abs());
            }
            page.answer = Some(Answer::new(&loaded, &query, at_first));
            Ok((StatusCode::OK, page))
        }
        Err(why) => {
            page.wrong = Some(shown_line(&why));
            Ok((StatusCode::BAD_REQUEST, page))
        }
    }
}

struct Loaded {
    found: Found,
    matches: Matches,
    facets: Vec<Facet>,
    histogram: Histogram,
    behind: i64,
}

impl Answer {
    fn new(loaded: &Loaded, query: &Query, at_first: bool) -> Self {
        let (count, all) = loaded.matches.count();
        let noun = if count == 1 { "exchange" } else { "exchanges" };
        let here = address(HERE, query);
        let and = if here.contains('?') { '&' } else { '?' };
        Self {
            rows: loaded.found.exchanges.iter().map(Row::new).collect(),
            count: match all {
                true => format!("{} {noun}", grouped(count)),
                false => format!(
                    "more than {} {noun}; counting stopped there",
                    grouped(count)
                ),
            },
            more: loaded
                .found
                .next
                .map(|next| format!("{here}{and}cursor={next}")),
            newest: (!at_first).then_some(here),
            bars: Bars::new("Exchanges over time", &loaded.histogram, query, HERE),
            facets: loaded
                .facets
                .iter()
                .filter(|facet| !facet.values.is_empty())
                .map(|facet| Ranking::new(title(facet.field), facet, query, HERE))
                .collect(),
        }
    }
}

/// A facet's heading.
fn title(field: Field) -> &'static str {
    match field {
        Field::User => "User",
        Field::Operation => "Operation",
        Field::Repo => "Repository",
        Field::Decision => "Decision",
        Field::Connection => "Connection",
        Field::Model => "Model",
        Field::Rule => "Rule",
        other => other.name(),
    }
}

impl Chip {
    fn all(query: &Query) -> Vec<Self> {
        let chip = |index: usize| Self {
            text: shown_line(
                &query
                    .terms
                    .get(index)
                    .map(ToString::to_string)
                    .unwrap_or_default(),
            ),
            link: address(HERE, &query.clone().without(index)),
        };
        (0..query.terms.len()).map(chip).collect()
    }
}

impl Misread {
    fn new(q: &str, error: &crate::exchanges::query::Error) -> Self {
        let part = |from: usize, to: usize| shown_line(q.get(from..to).unwrap_or_default());
        Self {
            before: part(0, error.start),
            place: part(error.start, error.end),
            after: part(error.end, q.len()),
            problem: shown_line(&error.problem),
            remedy: shown_line(&error.remedy),
        }
    }
}

impl SavedLine {
    fn new(saved: saved::Saved, person: &str) -> Self {
        Self {
            id: saved.id,
            name: shown_line(&saved.name),
            link: format!("{HERE}?q={}", encoded(&saved.query)),
            query: shown_line(&saved.query),
            owner: (saved.owner != person).then(|| shown_line(&saved.owner)),
            shared: saved.shared,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Naming {
    form_token: String,
    name: String,
    q: String,
    #[serde(default)]
    shared: Option<String>,
}

/// Gives a search a name.
pub(super) async fn save(
    State(app): State<App>,
    session: Auditor,
    Form(form): Form<Naming>,
) -> Response {
    let back = format!("{HERE}?q={}", encoded(&form.q));
    if !session.sent(&form.form_token) {
        return stale_form(&back);
    }
    let now = app.clock.now();
    let refused = |why: &str| message(StatusCode::BAD_REQUEST, "Not saved", why, &back);
    if let Err(error) = crate::exchanges::query::parse(&form.q, now) {
        return refused(&shown_line(&error.to_string()));
    }
    let owner = session.0.person.name;
    let (name, q, shared) = (form.name.clone(), form.q.clone(), form.shared.is_some());
    let saved = app
        .store
        .write(move |c| saved::save(c, now, &owner, &name, &q, shared))
        .await;
    match saved {
        Ok(Ok(())) => Redirect::to(&back).into_response(),
        Ok(Err(why)) => refused(&format!("Nothing was saved: {why}.")),
        Err(error) => page_error(&error),
    }
}

#[derive(Deserialize)]
pub(super) struct Deleting {
    form_token: String,
}

/// Takes a name away again.
pub(super) async fn forget(
    State(app): State<App>,
    session: Auditor,
    Path(id): Path<i64>,
    Form(form): Form<Deleting>,
) -> Response {
    if !session.sent(&form.form_token) {
        return stale_form(HERE);
    }
    let owner = session.0.person.name;
    match app.store.write(move |c| saved::delete(c, &owner, id)).await {
        Ok(true) => Redirect::to(HERE).into_response(),
        Ok(false) => message(
            StatusCode::NOT_FOUND,
            "Not found",
            "You have no saved search of this number.",
            HERE,
        ),
        Err(error) => page_error(&error),
    }
}

//! The front page: what waits, what happened, who did it, and whether the trail is whole.

use askama::Template;
use axum::extract::{Query as UrlQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::App;
use super::asked::address;
use super::audit::Row;
use super::auth::SignedIn;
use super::chart::{Bars, Ranking};
use super::health::Warning;
use super::page::{Frame, page_error, render};
use super::text::grouped;
use crate::clock::{Millis, in_words};
use crate::exchanges::facets::{decided, over, top};
use crate::exchanges::index::{Index, Kind};
use crate::exchanges::query::{Field, Moment, Query, Side, Term, Trait, Wanted};
use crate::exchanges::search::{answered, since};
use crate::exchanges::{self, Asked, Health};
use crate::intake::Tally;
use crate::ledger::health::health as ledger_health;
use crate::store::StoreError;

const LATEST: u32 = 8;
const HOUR: Millis = 3_600_000;

/// The lengths of time that the page can show.
const PERIODS: &[(&str, &str, Millis)] = &[
    ("1h", "hour", HOUR),
    ("24h", "24 hours", 24 * HOUR),
    ("7d", "7 days", 7 * 24 * HOUR),
    ("30d", "30 days", 30 * 24 * HOUR),
];

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Period {
    period: String,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Page {
    frame: Frame,
    periods: Vec<(&'static str, &'static str, bool)>,
    period: &'static str,
    held: usize,
    exchanges: Tile,
    refused: Tile,
    asked: Tile,
    masked: Tile,
    health: Health,
    warnings: Vec<Warning>,
    intake: Tally,
    last_record: Option<String>,
    waiting_writes: usize,
    bars: Option<Bars>,
    rankings: Vec<Ranking>,
    rows: Vec<Row>,
}

/// A figure with the search behind it.
struct Tile {
    figure: String,
    link: String,
}

impl Tile {
    fn new(count: u64, query: &Query) -> Self {
        Self {
            figure: grouped(count),
            link: address("/audit", query),
        }
    }
}

pub(super) async fn show(
    State(app): State<App>,
    session: SignedIn,
    UrlQuery(period): UrlQuery<Period>,
) -> Response {
    // Who may not read the trail has the approvals.
    if !app.rights.reads_trail(&session.0.person) {
        return Redirect::to("/approvals").into_response();
    }
    match page(&app, &session, &period.period).await {
        Ok(page) => render(StatusCode::OK, &page),
        Err(error) => page_error(&error),
    }
}

async fn page(app: &App, session: &SignedIn, period: &str) -> Result<Page, StoreError> {
    let now = app.clock.now();
    let chosen = PERIODS.iter().find(|(word, ..)| *word == period);
    let (word, words, length) = chosen.copied().unwrap_or(("24h", "24 hours", 24 * HOUR));
    let from = now - length;
    let query = Query::default().and(Term {
        negated: false,
        wanted: Wanted::Time(
            Side::After,
            Moment {
                text: word.to_owned(),
                at: from,
            },
        ),
    });
    let of_decision = |word: &str| query.clone().and(Term::of(Field::Decision, word));
    let masks = query.clone().and(Term {
        negated: false,
        wanted: Wanted::Has(vec![Trait::Mask]),
    });
    let (refused_query, held_query) = (of_decision("refused"), of_decision("held"));
    let charts = query.clone();
    let loaded = app
        .store
        .read(move |c| {
            let index = Index(c);
            let rows = since(&index, from)?;
            let latest = Asked {
                limit: LATEST,
                ..Asked::default()
            };
            let latest = match answered(exchanges::search(c, &latest))? {
                Ok(found) => found.exchanges,
                Err(why) => return Err(StoreError::Unreadable(why)),
            };
            const TOP: &[Field] = &[Field::User, Field::Operation, Field::Repo, Field::Rule];
            Ok((
                exchanges::health(c)?,
                ledger_health(c, now)?,
                rows.len(),
                decided(c, "refused")?.intersection_len(&rows),
                decided(c, "held")?.intersection_len(&rows),
                index
                    .exactly(Kind::Has, Trait::Mask.word())?
                    .intersection_len(&rows),
                over(c, &rows, Some(from), now)?,
                top(c, &rows, TOP, 6)?,
                latest,
            ))
        })
        .await?;
    let (health, ledger, all, refused, held, masked, histogram, facets, latest) = loaded;
    let intake = app.intake.tally();
    let heading = |field: Field| match field {
        Field::User => "Identities",
        Field::Operation => "Operations",
        Field::Repo => "Repositories",
        _ => "Rules",
    };
    Ok(Page {
        frame: Frame::new(app, &session.0, "overview", "Overview").await?,
        periods: PERIODS
            .iter()
            .map(|(one, words, _)| (*one, *words, *one == word))
            .collect(),
        period: words,
        held: app.desk.held(),
        exchanges: Tile::new(all, &query),
        refused: Tile::new(refused, &refused_query),
        asked: Tile::new(held, &held_query),
        masked: Tile::new(masked, &masks),
        warnings: super::health::warnings(app, &ledger, now),
        health,
        last_record: (intake.last_at > 0).then(|| in_words(now - intake.last_at)),
        intake,
        waiting_writes: app.store.waiting_writes(),
        bars: Bars::new("Exchanges over time", &histogram, &charts, "/audit"),
        rankings: facets
            .iter()
            .filter(|facet| !facet.values.is_empty())
            .map(|facet| Ranking::new(heading(facet.field), facet, &charts, "/audit"))
            .collect(),
        rows: latest.iter().map(Row::new).collect(),
    })
}

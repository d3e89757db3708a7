//! The policies that exchanges were judged by, and what their rules did.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::App;
use super::asked::address;
use super::auth::Auditor;
use super::page::{Frame, page_error, render};
use super::text::{grouped, shown_line};
use crate::clock::readable;
use crate::exchanges::groups::{Group, groups};
use crate::exchanges::query::{Field, Query, Term};

#[derive(Template)]
#[template(path = "policy.html")]
struct Page {
    frame: Frame,
    policies: Vec<Line>,
    rules: Vec<Line>,
}

/// A policy or a rule with what it decided.
struct Line {
    name: String,
    first: String,
    last: String,
    exchanges: String,
    refused: String,
    held: String,
    all_link: String,
    refused_link: String,
    held_link: String,
}

impl Line {
    fn new(group: &Group, field: Field) -> Self {
        let query = Query::of(field, &group.value);
        let decided = |word: &str| {
            let query = query.clone().and(Term::of(Field::Decision, word));
            address("/audit", &query)
        };
        Self {
            name: shown_line(&group.value),
            first: readable(group.first),
            last: readable(group.last),
            exchanges: grouped(group.exchanges),
            refused: grouped(group.refused),
            held: grouped(group.held),
            all_link: address("/audit", &query),
            refused_link: decided("refused"),
            held_link: decided("held"),
        }
    }
}

pub(super) async fn show(State(app): State<App>, session: Auditor) -> Response {
    let load = async {
        let (policies, rules) = app
            .store
            .read(|c| Ok((groups(c, Field::Policy)?, groups(c, Field::Rule)?)))
            .await?;
        let lines = |groups: &[Group], field: Field| {
            groups.iter().map(|group| Line::new(group, field)).collect()
        };
        Ok(Page {
            frame: Frame::new(&app, &session.0, "policy", "Policy").await?,
            policies: lines(&policies, Field::Policy),
            rules: lines(&rules, Field::Rule),
        })
    };
    match load.await {
        Ok(page) => render(StatusCode::OK, &page),
        Err(error) => page_error(&error),
    }
}

//! The policies that exchanges were judged by, and what their rules did.

use askama::Template;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use super::App;
use super::api::unavailable;
use super::asked::address;
use super::auth::{ApiAuditor, Auditor};
use super::page::{Frame, not_found, page_error, render};
use super::text::{grouped, shown_line};
use crate::clock::readable;
use crate::exchanges::groups::{Group, groups};
use crate::exchanges::query::{Field, Query, Term};
use crate::policy::history::{self, Whole};
use crate::store::StoreError;
use crate::store::sql::Connection;

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
    /// The policy's own page, where the ledger has its text.
    text_link: Option<String>,
}

#[derive(Template)]
#[template(path = "policy_version.html")]
struct VersionPage {
    frame: Frame,
    digest: String,
    first: String,
    last: String,
    starts: String,
    all_link: String,
    /// The digest of the policy before it, and the lines that came and went since.
    before: Option<(String, Vec<(&'static str, String)>)>,
    text: String,
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
            text_link: None,
        }
    }
}

pub(super) async fn show(State(app): State<App>, session: Auditor) -> Response {
    let load = async {
        let (policies, rules, versions) = app
            .store
            .read(|c| {
                Ok((
                    groups(c, Field::Policy)?,
                    groups(c, Field::Rule)?,
                    history::versions(c)?,
                ))
            })
            .await?;
        let lines = |groups: &[Group], field: Field| -> Vec<Line> {
            groups.iter().map(|group| Line::new(group, field)).collect()
        };
        let mut policies = lines(&policies, Field::Policy);
        for line in &mut policies {
            let known = versions.iter().any(|version| version.digest == line.name);
            line.text_link = known.then(|| format!("/policy/{}", line.name));
        }
        Ok(Page {
            frame: Frame::new(&app, &session.0, "policy", "Policy").await?,
            policies,
            rules: lines(&rules, Field::Rule),
        })
    };
    match load.await {
        Ok(page) => render(StatusCode::OK, &page),
        Err(error) => page_error(&error),
    }
}

/// One policy, and what it changed.
pub(super) async fn version(
    State(app): State<App>,
    session: Auditor,
    Path(digest): Path<String>,
) -> Response {
    let load = async {
        let read = move |c: &Connection| with_the_one_before(c, &digest);
        let found = app.store.read(read).await?;
        let frame = Frame::new(&app, &session.0, "policy", "Policy").await?;
        Ok((found, frame))
    };
    let (found, frame) = match load.await {
        Ok(loaded) => loaded,
        Err(error) => return page_error(&error),
    };
    let Some((before, whole)) = found else {
        return not_found().await;
    };
    let version = &whole.version;
    let page = VersionPage {
        frame,
        digest: shown_line(&version.digest),
        first: readable(version.first_at),
        last: readable(version.last_at),
        starts: grouped(version.starts),
        all_link: address("/audit", &Query::of(Field::Policy, &version.digest)),
        before: before.map(|before| since(&before, &whole)),
        text: history::lines(&whole.document),
    };
    render(StatusCode::OK, &page)
}

/// The policy of this digest, and the one that came into force before it.
fn with_the_one_before(
    c: &Connection,
    digest: &str,
) -> Result<Option<(Option<Whole>, Whole)>, StoreError> {
    let mut versions = history::versions(c)?;
    let Some(at) = versions.iter().position(|known| known.digest == digest) else {
        return Ok(None);
    };
    let now = versions.swap_remove(at).whole(c)?;
    let before = match at.checked_sub(1) {
        Some(before) => Some(versions.swap_remove(before).whole(c)?),
        None => None,
    };
    Ok(Some((before, now)))
}

fn since(before: &Whole, now: &Whole) -> (String, Vec<(&'static str, String)>) {
    let lines = history::difference(&before.document, &now.document);
    let class = |line: &str| match line.as_bytes().first() {
        Some(b'+') => "come",
        Some(b'-') => "go",
        _ => "",
    };
    let lines = lines.lines().map(|line| (class(line), line.to_owned()));
    (shown_line(&before.version.digest), lines.collect())
}

pub(super) async fn versions_json(State(app): State<App>, _: ApiAuditor) -> Response {
    let all = |c: &Connection| {
        let versions = history::versions(c)?.into_iter();
        versions.map(|version| version.whole(c)).collect()
    };
    let read: Result<Vec<Whole>, StoreError> = app.store.read(all).await;
    match read {
        Ok(versions) => Json(versions).into_response(),
        Err(error) => unavailable(&error),
    }
}

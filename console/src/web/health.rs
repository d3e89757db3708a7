//! Whether the trail is whole: gaps, exchanges without an end, the queue, the index, the disk.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::App;
use super::auth::Auditor;
use super::page::{Frame, page_error, render};
use super::text::{grouped, shown_line, size};
use crate::approvals::limited::{self, Limited};
use crate::clock::{Millis, in_words, readable};
use crate::intake::Tally;
use crate::ledger::health::{Health, Worker, health};
use crate::notify::outbox;
use crate::store::{QUEUE, StoreError};

/// A search that is further behind is worth a warning.
const BEHIND: i64 = 50_000;
/// A checkpoint that is older, while entries wait for one, is worth a warning: they are made every
/// half minute.
const CHECKPOINT: Millis = 300_000;
/// Gaps that are spelled out for a worker.
const GAPS: usize = 5;

/// Something that somebody should look at.
pub(super) struct Warning {
    pub text: String,
    pub link: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "health.html")]
struct Page {
    frame: Frame,
    warnings: Vec<Warning>,
    facts: Vec<(&'static str, String)>,
    workers: Vec<Line>,
    open: Vec<(String, String)>,
}

struct Line {
    name: String,
    first: String,
    last: String,
    ago: String,
    highest: String,
    missing: i64,
    dropped: i64,
    gaps: String,
}

pub(super) async fn show(State(app): State<App>, session: Auditor) -> Response {
    match page(&app, &session).await {
        Ok(page) => render(StatusCode::OK, &page),
        Err(error) => page_error(&error),
    }
}

async fn page(app: &App, session: &Auditor) -> Result<Page, StoreError> {
    let now = app.clock.now();
    let (health, bytes, channels, limited) = app
        .store
        .read(move |c| {
            let limited = limited::recent(c, now)?;
            Ok((health(c, now)?, c.size()?, outbox::health(c)?, limited))
        })
        .await?;
    let mut warnings = warnings(app, &health, now);
    warnings.extend(channels.iter().filter_map(silent));
    warnings.extend(limited.iter().map(|one| Warning {
        text: beyond(one),
        link: Some("/approvals"),
    }));
    warnings.extend(unsent(app, now));
    let mut facts = facts(app, &health, bytes, now);
    facts.extend(channels.iter().map(|channel| ("Notices", told(channel))));
    facts.extend(sent_on(app, now));
    Ok(Page {
        frame: Frame::new(app, &session.0, "health", "Health").await?,
        warnings,
        facts,
        workers: health
            .workers
            .iter()
            .map(|worker| Line::new(worker, now))
            .collect(),
        open: health
            .open
            .iter()
            .map(|(exchange, at)| (exchange.clone(), readable(*at)))
            .collect(),
    })
}

/// A channel that people are not told by.
fn silent(channel: &outbox::Health) -> Option<Warning> {
    let not_taken = channel.failed
        + if channel.error.is_some() {
            channel.waiting
        } else {
            0
        };
    let notices = match not_taken {
        0 => return None,
        1 => "1 notice".to_owned(),
        many => format!("{many} notices"),
    };
    let why = shown_line(channel.error.as_deref().unwrap_or_default());
    Some(Warning {
        text: format!(
            "The channel {} did not take {notices}: {why}.",
            shown_line(&channel.channel)
        ),
        link: None,
    })
}

/// An identity that asks for more than reviewers are asked about.
pub(super) fn beyond(limited: &Limited) -> String {
    format!(
        "{} requests of {} wait for a reviewer, and no more may: {} more in the last day were denied, at last at {} UTC.",
        limited.most,
        shown_line(&limited.subject),
        grouped(limited.count.unsigned_abs()),
        readable(limited.last_at),
    )
}

/// Targets and exports that do not get the trail.
fn unsent(app: &App, now: Millis) -> Vec<Warning> {
    let warning = |what: &str, name: &str, since: Option<Millis>, why: &Option<String>| {
        let why = shown_line(why.as_deref()?);
        let since = in_words(now - since.unwrap_or(now));
        let text = format!("{what} {} for {since}: {why}.", shown_line(name));
        Some(Warning { text, link: None })
    };
    let forwards = app.forwards.status().into_iter().filter_map(|one| {
        let what = "The trail could not be sent on to";
        warning(what, &one.target, one.failing_since, &one.trouble)
    });
    let exports = app.schedules.status().into_iter().filter_map(|one| {
        let what = "Nothing could be written of the export";
        warning(what, &one.name, one.failing_since, &one.trouble)
    });
    forwards.chain(exports).collect()
}

fn sent_on(app: &App, now: Millis) -> Vec<(&'static str, String)> {
    let last = |at: Option<Millis>| match at {
        Some(at) => format!("last {} ago", in_words(now - at)),
        None => "not yet".to_owned(),
    };
    let count = |number: i64| grouped(number.unsigned_abs());
    let forwards = app.forwards.status().into_iter().map(|one| {
        let (target, behind) = (shown_line(&one.target), count(one.behind.max(0)));
        let said = format!("{target}: {}, {behind} wait", last(one.last_sent));
        ("Sent on to", said)
    });
    let exports = app.schedules.status().into_iter().map(|one| {
        let (name, cursor) = (shown_line(&one.name), count(one.cursor));
        let said = format!("{name}: {}, {cursor} entries so far", last(one.last_at));
        ("Export", said)
    });
    forwards.chain(exports).collect()
}

fn told(channel: &outbox::Health) -> String {
    format!(
        "{}: {} sent, {} waiting, {} given up",
        shown_line(&channel.channel),
        channel.sent,
        channel.waiting,
        channel.failed
    )
}

fn facts(app: &App, health: &Health, bytes: i64, now: Millis) -> Vec<(&'static str, String)> {
    let count = |number: i64| grouped(number.unsigned_abs());
    let tally: Tally = app.intake.tally();
    let mut facts = vec![
        ("Entries in the ledger", count(health.position.entries)),
        (
            "Newest checkpoint",
            match health.checkpoint_at {
                None => "none yet".to_owned(),
                Some(at) => format!(
                    "{} ago, over {} entries",
                    in_words(now - at),
                    count(health.checkpoint_size)
                ),
            },
        ),
        (
            "Signed",
            match health.position.entries - health.signed {
                ..=0 => "all of them".to_owned(),
                left => format!("all but the newest {}", count(left)),
            },
        ),
        (
            "Not yet found by searches",
            match health.position.behind() {
                ..=0 => "none".to_owned(),
                behind => format!("the newest {}", count(behind)),
            },
        ),
        (
            "Writes that wait",
            format!(
                "{} of at most {}",
                app.store.waiting_writes(),
                grouped(QUEUE as u64)
            ),
        ),
        ("Database", size(bytes)),
        (
            "Since this console started",
            format!(
                "{} records stored, {} resent, {} rejected, {} batches sent away",
                grouped(tally.stored),
                grouped(tally.duplicates),
                grouped(tally.rejected),
                grouped(tally.refused_batches)
            ),
        ),
        (
            "Last record",
            match tally.last_at {
                0 => "none since this console started".to_owned(),
                at => format!("{} ago", in_words(now - at)),
            },
        ),
    ];
    for witness in &health.witnesses {
        let said = match (&witness.error, witness.sent_at) {
            (Some(error), _) => format!(
                "{} failures in a row: {}",
                witness.failures,
                shown_line(error)
            ),
            (None, Some(at)) => format!(
                "took {} entries {} ago",
                count(witness.sent_size),
                in_words(now - at)
            ),
            (None, None) => "has taken none yet".to_owned(),
        };
        facts.push(("Witness", format!("{}: {said}", shown_line(&witness.url))));
    }
    facts
}

impl Line {
    fn new(worker: &Worker, now: Millis) -> Self {
        let mut gaps: Vec<String> = worker
            .gaps
            .iter()
            .take(GAPS)
            .map(|(from, to)| match from == to {
                true => from.to_string(),
                false => format!("{from} to {to}"),
            })
            .collect();
        if worker.gaps.len() > GAPS {
            gaps.push("…".to_owned());
        }
        Self {
            name: shown_line(&worker.worker),
            first: readable(worker.first_at),
            last: readable(worker.last_at),
            ago: in_words(now - worker.last_at),
            highest: grouped(worker.highest.unsigned_abs()),
            missing: worker.missing(),
            dropped: worker.dropped,
            gaps: gaps.join(", "),
        }
    }
}

/// What should be looked at, in the order of its weight.
pub(super) fn warnings(app: &App, health: &Health, now: Millis) -> Vec<Warning> {
    let count = |number: i64| grouped(number.unsigned_abs());
    let mut warnings = Vec::new();
    let mut warn = |there: bool, text: String, link: Option<&'static str>| {
        if there {
            warnings.push(Warning { text, link });
        }
    };
    warn(
        health.missing > 0,
        format!(
            "{} records that gateway workers numbered have not come in.",
            count(health.missing)
        ),
        Some("/health#workers"),
    );
    warn(
        health.dropped > 0,
        format!(
            "Gateway workers say that they dropped {} records.",
            count(health.dropped)
        ),
        Some("/health#workers"),
    );
    warn(
        health.without_outcome > 0,
        format!(
            "{} exchanges never got an outcome.",
            count(health.without_outcome)
        ),
        Some("/health#open"),
    );
    let waits = health.position.entries > health.checkpoint_size;
    let old = health.checkpoint_at.is_some_and(|at| now - at > CHECKPOINT);
    warn(
        waits && old,
        "The newest checkpoint is older than five minutes, and entries wait for the next."
            .to_owned(),
        Some("/health"),
    );
    for witness in health
        .witnesses
        .iter()
        .filter(|witness| witness.failures > 0)
    {
        warn(
            true,
            format!(
                "The witness {} does not take checkpoints.",
                shown_line(&witness.url)
            ),
            Some("/health"),
        );
    }
    if let Some(untaken) = app.in_force.untaken() {
        let since = untaken.since.map(readable).unwrap_or_default();
        let why = untaken.why.replace('\n', "; ");
        let text = format!(
            "The settings that were read at {} UTC were not taken: {}. Those from {since} stay in force.",
            readable(untaken.at),
            shown_line(&why)
        );
        warn(true, text, None);
    }
    let tally = app.intake.tally();
    warn(
        tally.refused_batches > 0,
        format!(
            "{} batches were sent away because too much waited; the gateway sends them again.",
            grouped(tally.refused_batches)
        ),
        None,
    );
    warn(
        tally.rejected > 0,
        format!(
            "{} log records were rejected because they are not Countersign's.",
            grouped(tally.rejected)
        ),
        None,
    );
    warn(
        health.position.behind() > BEHIND,
        format!(
            "Searches do not find the newest {} records yet.",
            count(health.position.behind())
        ),
        None,
    );
    warnings
}

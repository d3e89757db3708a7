//! `/ext_authz/*`: the HTTP contract between the gateway and the approval service, in the shape of
//! Envoy's ext_authz HTTP service. 200 lets the request through, 403 does not and says why, and
//! anything else means that no answer could be found.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::time::Instant;

use super::Question;
use super::book::{self, Caller, Standing, Verdict};
use super::desk::Seat;
use crate::clock::rfc3339;
use crate::secret::random_id;
use crate::store::StoreError;
use crate::web::App;

/// No caller is held longer, whatever it asks for.
const LONGEST_HOLD: Duration = Duration::from_secs(3600);

/// Answers one approval request, at the latest when its hold ends.
pub async fn authorize(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Response {
    let (question, raw, hold) = match read(&headers, &body) {
        Ok(read) => read,
        Err(why) => {
            tracing::warn!(%why, "an approval request could not be read");
            return problem(StatusCode::BAD_REQUEST, &why);
        }
    };
    match hold_until_answered(&app, question, raw, hold).await {
        Ok(standing) => answer(&app, standing),
        Err(error) => {
            tracing::error!(%error, "an approval request could not be answered");
            problem(
                StatusCode::SERVICE_UNAVAILABLE,
                "the console's database did not answer",
            )
        }
    }
}

fn read(headers: &HeaderMap, body: &Bytes) -> Result<(Question, String, Duration), String> {
    let raw = std::str::from_utf8(body).map_err(|_| "the body is not UTF-8")?;
    let question = Question::read(body)?;
    let header = |name: &str| -> Result<Option<&str>, String> {
        headers
            .get(name)
            .map(|value| value.to_str().map_err(|_| format!("{name} is not text")))
            .transpose()
    };
    // A header that says something else than the body means that one of them is not the gateway's.
    for (name, inside) in [
        ("x-countersign-exchange", &question.exchange),
        ("x-countersign-fingerprint", &question.fingerprint),
    ] {
        if header(name)?.is_some_and(|outside| outside != inside) {
            return Err(format!("{name} is not what the body says"));
        }
    }
    let milliseconds = match header("x-countersign-hold")? {
        Some(text) => text
            .parse()
            .map_err(|_| "x-countersign-hold is not a number of milliseconds".to_owned())?,
        None => question.approval.hold_ms,
    };
    let hold = Duration::from_millis(milliseconds).min(LONGEST_HOLD);
    Ok((question, raw.to_owned(), hold))
}

/// Asks, and waits for a decision, the end of the hold, a newer caller, or the console's end.
async fn hold_until_answered(
    app: &App,
    question: Question,
    raw: String,
    hold: Duration,
) -> Result<Standing, StoreError> {
    let deadline = Instant::now() + hold;
    let now = app.clock.now();
    let caller = Caller {
        waiter: format!("{}{}", app.store.console(), random_id()?),
        exchange: question.exchange.clone(),
        hold_until: now.saturating_add_unsigned(hold.as_millis().try_into().unwrap_or(u64::MAX)),
    };
    let fingerprint = question.fingerprint.clone();
    // Seated before asking: a decision that follows the question finds the caller listening.
    let mut waiting = Waiting {
        app: app.clone(),
        seat: app.desk.sit(&fingerprint, &caller.exchange),
        caller: Some(caller.clone()),
    };
    let asking = caller.clone();
    let mut standing = app
        .store
        .write(move |c| book::ask(c, now, &question, &raw, &asking))
        .await?;
    app.desk.ring(&fingerprint);
    app.announce();
    let mut stopping = app.stopping.clone();
    while let Standing::Pending { approval, .. } = &standing {
        let last = tokio::select! {
            () = waiting.seat.woken() => false,
            () = tokio::time::sleep_until(deadline) => true,
            // A console that stops gives everybody the ticket rather than an error.
            _ = stopping.wait_for(|stop| *stop) => true,
        };
        if waiting.seat.is_left() {
            // Dropped with its caller, `waiting` notes that nobody is there any more.
            return Ok(standing);
        }
        let (approval, looking, now) = (approval.clone(), caller.clone(), app.clock.now());
        standing = app
            .store
            .write(move |c| book::look(c, now, &approval, &looking, last))
            .await?;
        if last {
            break;
        }
    }
    waiting.caller = None;
    app.announce();
    Ok(standing)
}

/// A caller that is held. Dropped before its answer, its connection went away.
struct Waiting {
    app: App,
    seat: Seat,
    caller: Option<Caller>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(caller) = self.caller.take() else {
            return;
        };
        let app = self.app.clone();
        let fingerprint = self.seat.fingerprint().to_owned();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            let now = app.clock.now();
            let left = app
                .store
                .write(move |c| book::leave(c, now, &fingerprint, &caller))
                .await;
            match left {
                Ok(_) => app.announce(),
                Err(error) => tracing::error!(%error, "a caller that went away was not noted"),
            }
        });
    }
}

fn answer(app: &App, standing: Standing) -> Response {
    let (status, decision, approval) = match &standing {
        Standing::Granted(verdict) => (StatusCode::OK, "approved", &verdict.approval),
        Standing::Refused(verdict) => (StatusCode::FORBIDDEN, "refused", &verdict.approval),
        Standing::Pending { approval, .. } => (StatusCode::FORBIDDEN, "pending", approval),
        Standing::Superseded { approval } => (StatusCode::FORBIDDEN, "superseded", approval),
    };
    let mut headers = HeaderMap::new();
    set(&mut headers, "x-countersign-decision", decision);
    set(&mut headers, "x-countersign-approval", approval);
    let url = app.page(&format!("/approvals/{approval}"));
    set(&mut headers, "x-countersign-approval-url", &url);
    let reason = match &standing {
        Standing::Granted(verdict) => {
            decided(&mut headers, verdict);
            format!("approved by {}", verdict.who)
        }
        Standing::Refused(verdict) => {
            decided(&mut headers, verdict);
            ticket(&mut headers, verdict.expires_at);
            match &verdict.why {
                Some(why) => why.clone(),
                None => format!("refused by {}", verdict.who),
            }
        }
        Standing::Pending { expires_at, .. } => {
            ticket(&mut headers, *expires_at);
            "no reviewer has decided yet; the same request passes once if it is approved before \
             the ticket ends"
                .to_owned()
        }
        Standing::Superseded { .. } => {
            "the same request was sent again, and the newer one waits".to_owned()
        }
    };
    (status, headers, Json(json!({ "reason": reason }))).into_response()
}

fn decided(headers: &mut HeaderMap, verdict: &Verdict) {
    set(headers, "x-countersign-approver", &verdict.who);
    set(headers, "x-countersign-approved-at", &rfc3339(verdict.at));
}

fn ticket(headers: &mut HeaderMap, expires_at: i64) {
    let seconds = expires_at.div_euclid(1000).to_string();
    set(headers, "x-countersign-ticket-expires", &seconds);
}

/// Names of people may hold letters that a header cannot carry as they are.
fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    let safe: String = value
        .chars()
        .map(|c| {
            if c.is_ascii_graphic() || c == ' ' {
                c
            } else {
                '?'
            }
        })
        .collect();
    if let Ok(value) = HeaderValue::from_str(&safe) {
        headers.insert(name, value);
    }
}

fn problem(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "reason": why }))).into_response()
}

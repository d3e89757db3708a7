//! `/ext_authz/*`: the HTTP contract between the gateway and the approval service, in the shape of
//! Envoy's ext_authz HTTP service. 200 lets the request through, 403 does not and says why, and
//! anything else means that no answer could be found (`x-countersign-decision: error`).
//!
//! The gateway puts its question into the body. Envoy's own `ext_authz` filter asks about the request
//! that the call itself is, on the terms of its operator ([`super::plain`]).

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::book::{self, Caller, Standing, Verdict};
use super::desk::Seat;
use super::{Question, plain};
use crate::clock::rfc3339;
use crate::secret::random_id;
use crate::store::StoreError;
use crate::web::App;

/// No caller is held longer, whatever it asks for.
const LONGEST_HOLD: Duration = Duration::from_secs(3600);

/// Answers one approval request, at the latest when its hold ends.
pub async fn authorize(
    State(app): State<App>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let asked = match headers.contains_key("x-countersign-fingerprint") {
        true => of_gateway(&headers, &body),
        false => plain::over_http(&method, &uri, &headers, &body),
    };
    match asked {
        Ok(asked) => match hold_until_answered(&app, asked).await {
            Ok(standing) => {
                let told = Told::new(&app, standing);
                let status = match told.granted {
                    true => StatusCode::OK,
                    false => StatusCode::FORBIDDEN,
                };
                let mut headers = HeaderMap::new();
                for (name, value) in &told.facts {
                    if let Ok(value) = HeaderValue::from_str(value) {
                        headers.insert(*name, value);
                    }
                }
                (status, headers, Json(told.body())).into_response()
            }
            Err(_) => problem(StatusCode::SERVICE_UNAVAILABLE, NO_DATABASE),
        },
        Err(why) => {
            tracing::warn!(%why, "an approval request could not be read");
            problem(StatusCode::BAD_REQUEST, &why)
        }
    }
}

/// What a caller is told when nothing can be written down.
pub(super) const NO_DATABASE: &str = "the console's database did not answer";

/// A question that has been read.
pub(super) struct Asked {
    pub question: Question,
    /// As it came, for the database.
    pub raw: String,
    pub hold: Duration,
}

impl Asked {
    /// Reads the question of a gateway, which may be held for `hold_ms` more.
    pub fn read(text: &str, hold_ms: Option<u64>) -> Result<Self, String> {
        let question = Question::read(text.as_bytes())?;
        let hold = Duration::from_millis(hold_ms.unwrap_or(question.approval.hold_ms));
        Ok(Self {
            hold: hold.min(LONGEST_HOLD),
            raw: text.to_owned(),
            question,
        })
    }
}

fn of_gateway(headers: &HeaderMap, body: &Bytes) -> Result<Asked, String> {
    let raw = std::str::from_utf8(body).map_err(|_| "the body is not UTF-8")?;
    let header = |name: &str| -> Result<Option<&str>, String> {
        headers
            .get(name)
            .map(|value| value.to_str().map_err(|_| format!("{name} is not text")))
            .transpose()
    };
    let hold_ms = match header("x-countersign-hold")? {
        Some(text) => Some(
            text.parse()
                .map_err(|_| "x-countersign-hold is not a number of milliseconds")?,
        ),
        None => None,
    };
    let asked = Asked::read(raw, hold_ms)?;
    // A header that says something else than the body means that one of them is not the gateway's.
    for (name, inside) in [
        ("x-countersign-exchange", &asked.question.exchange),
        ("x-countersign-fingerprint", &asked.question.fingerprint),
    ] {
        if header(name)?.is_some_and(|outside| outside != inside) {
            return Err(format!("{name} is not what the body says"));
        }
    }
    Ok(asked)
}

/// Asks, and waits for a decision, the end of the hold, a newer caller, or the console's end.
pub(super) async fn hold_until_answered(app: &App, asked: Asked) -> Result<Standing, StoreError> {
    let answered = wait(app, asked).await;
    if let Err(error) = &answered {
        tracing::error!(%error, "an approval request could not be answered");
    }
    answered
}

async fn wait(app: &App, asked: Asked) -> Result<Standing, StoreError> {
    let Asked {
        question,
        raw,
        hold,
    } = asked;
    let deadline = Instant::now() + hold;
    let now = app.clock.now();
    let caller = Caller {
        waiter: format!("{}{}", app.store.console(), random_id()?),
        exchange: question.exchange.clone(),
        most_pending: most_pending(app, &question),
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

/// How many requests of the identity may wait: as many as the gateway and the console both say.
fn most_pending(app: &App, question: &Question) -> u32 {
    let here = app.settings().approvals.limits.pending_per_identity;
    here.min(question.approval.open.unwrap_or(u32::MAX))
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

/// How a request stands, as its caller is told.
pub(super) struct Told {
    pub granted: bool,
    /// Names and values of headers.
    pub facts: Vec<(&'static str, String)>,
    pub reason: String,
}

impl Told {
    pub fn new(app: &App, standing: Standing) -> Self {
        let (granted, decision, approval) = match &standing {
            Standing::Granted(verdict) => (true, "approved", verdict.approval.as_str()),
            Standing::Refused(verdict) => (false, "refused", verdict.approval.as_str()),
            Standing::Pending { approval, .. } => (false, "pending", approval.as_str()),
            Standing::Superseded { approval } => (false, "superseded", approval.as_str()),
            Standing::PolicyChanged { approval } => (false, "policy_changed", approval.as_str()),
            // It was not asked about, so there is no approval.
            Standing::TooMany { .. } => (false, "limited", ""),
        };
        let mut told = Self {
            granted,
            facts: Vec::new(),
            reason: String::new(),
        };
        told.add("x-countersign-decision", decision);
        if !approval.is_empty() {
            told.add("x-countersign-approval", approval);
            let url = app.page(&format!("/approvals/{approval}"));
            told.add("x-countersign-approval-url", &url);
        }
        told.reason = match &standing {
            Standing::Granted(verdict) => {
                told.decided(verdict);
                format!("approved by {}", verdict.who)
            }
            Standing::Refused(verdict) => {
                told.decided(verdict);
                told.ticket(verdict.expires_at);
                match &verdict.why {
                    Some(why) => why.clone(),
                    None => format!("refused by {}", verdict.who),
                }
            }
            Standing::Pending { expires_at, .. } => {
                told.ticket(*expires_at);
                "no reviewer has decided yet; the same request passes once if it is approved before \
                 the ticket ends"
                    .to_owned()
            }
            Standing::TooMany { most } => format!(
                "{most} requests of this identity wait for a reviewer already; this one was not asked about"
            ),
            Standing::PolicyChanged { .. } => {
                "the gateway's policy has changed since this was asked; send the request again"
                    .to_owned()
            }
            Standing::Superseded { .. } => {
                "the same request was sent again, and the newer one waits".to_owned()
            }
        };
        told
    }

    /// The body: the gateway reads `reason`; who is behind Envoy's own filter reads all of it, and
    /// GitHub's clients show `message`.
    pub fn body(&self) -> Value {
        let fact = |name: &str| {
            let mut facts = self.facts.iter();
            facts.find(|(n, _)| *n == name).map(|(_, v)| v.as_str())
        };
        let message = match (
            fact("x-countersign-decision"),
            fact("x-countersign-approval-url"),
        ) {
            (Some("pending"), Some(url)) => format!("{} ({url})", self.reason),
            (Some("refused"), _) => format!(
                "Refused by {}: {}",
                fact("x-countersign-approver").unwrap_or_default(),
                self.reason
            ),
            _ => self.reason.clone(),
        };
        json!({ "reason": self.reason, "message": message })
    }

    fn decided(&mut self, verdict: &Verdict) {
        self.add("x-countersign-approver", &verdict.who);
        self.add("x-countersign-approved-at", &rfc3339(verdict.at));
    }

    fn ticket(&mut self, expires_at: i64) {
        let seconds = expires_at.div_euclid(1000).to_string();
        self.add("x-countersign-ticket-expires", &seconds);
    }

    /// Names of people may hold letters that a header cannot carry as they are.
    fn add(&mut self, name: &'static str, value: &str) {
        let plain = |c: char| {
            if c.is_ascii_graphic() || c == ' ' {
                c
            } else {
                '?'
            }
        };
        self.facts.push((name, value.chars().map(plain).collect()));
    }
}

/// Neither yes nor no.
fn problem(status: StatusCode, why: &str) -> Response {
    let decision = [("x-countersign-decision", "error")];
    (status, decision, Json(json!({ "reason": why }))).into_response()
}

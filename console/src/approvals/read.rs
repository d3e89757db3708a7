//! Approvals as pages and the API show them.

use super::{Question, State};
use crate::clock::Millis;
use crate::store::StoreError;
use crate::store::sql::{self, Connection, OptionalExtension, Row};

/// One approval with everything that is known of it.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // The names say it; times are milliseconds since the epoch.
pub struct Approval {
    pub id: String,
    pub state: State,
    pub question: Question,
    pub asked_at: Millis,
    pub expires_at: Millis,
    pub hold_until: Millis,
    /// Whether a caller is held by it right now.
    pub waiting: bool,
    pub decided_at: Option<Millis>,
    pub decided_by: Option<String>,
    pub decided_why: Option<String>,
    pub consumed_at: Option<Millis>,
    pub consumed_by: Option<String>,
    pub votes: Vec<Vote>,
}

/// One reviewer's consent.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Vote {
    pub who: String,
    pub at: Millis,
    pub why: Option<String>,
}

/// One step, as it was written down.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Event {
    pub at: Millis,
    pub kind: String,
    pub who: Option<String>,
    pub exchange: Option<String>,
    pub note: Option<String>,
}

fn from_row(row: &Row<'_>) -> sql::Result<Approval> {
    let question: String = row.get("question")?;
    let question = Question::read(question.as_bytes()).map_err(sql::Error::Unreadable)?;
    let waiter: Option<String> = row.get("waiter")?;
    let state: State = row.get("state")?;
    Ok(Approval {
        id: row.get("id")?,
        state,
        question,
        asked_at: row.get("asked_at")?,
        expires_at: row.get("expires_at")?,
        hold_until: row.get("hold_until")?,
        waiting: waiter.is_some() && state == State::Pending,
        decided_at: row.get("decided_at")?,
        decided_by: row.get("decided_by")?,
        decided_why: row.get("decided_why")?,
        consumed_at: row.get("consumed_at")?,
        consumed_by: row.get("consumed_by")?,
        votes: Vec::new(),
    })
}

fn with_votes(c: &Connection, mut approval: Approval) -> Result<Approval, StoreError> {
    approval.votes = c
        .prepare_cached(
            "SELECT who, at, why FROM approval_votes WHERE approval = ?1 ORDER BY at, who",
        )?
        .query_map([&approval.id], |row| {
            Ok(Vote {
                who: row.get(0)?,
                at: row.get(1)?,
                why: row.get(2)?,
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(approval)
}

/// The approval `id`.
pub fn find(c: &Connection, id: &str) -> Result<Option<Approval>, StoreError> {
    let row = c
        .prepare_cached("SELECT * FROM approvals WHERE id = ?1")?
        .query_row([id], from_row)
        .optional()?;
    row.map(|row| with_votes(c, row)).transpose()
}

/// Approvals in one of `states`, newest first. A ticket that has ended at `now` counts as expired
/// even where that has not been written down yet.
pub fn list(
    c: &Connection,
    now: Millis,
    states: &[State],
    limit: u32,
) -> Result<Vec<Approval>, StoreError> {
    // Words of this program.
    let wanted: Vec<String> = states.iter().map(|s| format!("'{}'", s.as_str())).collect();
    let sql = format!(
        "SELECT * FROM approvals
         WHERE (CASE WHEN state IN ('pending', 'approved', 'refused') AND expires_at <= ?1
                THEN 'expired' ELSE state END) IN ({})
         ORDER BY asked_at DESC,
           (SELECT min(approval_events.id) FROM approval_events WHERE approval = approvals.id) DESC
         LIMIT ?2",
        wanted.join(", ")
    );
    let rows: Vec<_> = c
        .prepare_cached(&sql)?
        .query_map(sql::params![now, limit], from_row)?
        .collect::<Result<_, _>>()?;
    rows.into_iter()
        .map(|row| {
            let mut approval = with_votes(c, row)?;
            if approval.state != State::Consumed && approval.expires_at <= now {
                approval.state = State::Expired;
            }
            Ok(approval)
        })
        .collect()
}

/// How many wait for a decision.
pub fn pending_count(c: &Connection, now: Millis) -> Result<u32, StoreError> {
    Ok(c.prepare_cached(
        "SELECT count(*) FROM approvals WHERE state = 'pending' AND expires_at > ?1",
    )?
    .query_row([now], |row| row.get(0))?)
}

/// Everything that happened to the approval `id`, oldest first.
pub fn events(c: &Connection, id: &str) -> Result<Vec<Event>, StoreError> {
    Ok(c.prepare_cached(
        "SELECT at, kind, who, exchange, note FROM approval_events WHERE approval = ?1 ORDER BY id",
    )?
    .query_map([id], |row| {
        Ok(Event {
            at: row.get(0)?,
            kind: row.get(1)?,
            who: row.get(2)?,
            exchange: row.get(3)?,
            note: row.get(4)?,
        })
    })?
    .collect::<Result<_, _>>()?)
}

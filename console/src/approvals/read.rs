//! Approvals as pages and the API show them.

use super::demand::{Count, Given, Progress, progress};
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
    /// How often the same bytes came again.
    pub came_again: usize,
}

/// One reviewer's consent.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Vote {
    pub who: String,
    pub at: Millis,
    pub why: Option<String>,
    /// What it counts for; for everything, if it is from before that was written down.
    pub counts: Option<Vec<Count>>,
}

impl Approval {
    /// How far each demand is met.
    pub fn progress(&self) -> Vec<Progress> {
        let given = |vote: &Vote| Given {
            who: vote.who.clone(),
            counts: vote.counts.clone(),
        };
        let votes: Vec<Given> = self.votes.iter().map(given).collect();
        progress(&self.question.demands(), &votes)
    }
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
        came_again: 0,
    })
}

fn with_votes(c: &Connection, mut approval: Approval) -> Result<Approval, StoreError> {
    approval.votes = c
        .prepare_cached(
            "SELECT who, at, why, counts FROM approval_votes WHERE approval = ?1 ORDER BY at, who",
        )?
        .query_map([&approval.id], |row| {
            let counts: Option<String> = row.get(3)?;
            Ok(Vote {
                who: row.get(0)?,
                at: row.get(1)?,
                why: row.get(2)?,
                counts: counts.and_then(|text| serde_json::from_str(&text).ok()),
            })
        })?
        .collect::<Result<_, _>>()?;
    let joined: i64 = c
        .prepare_cached(
            "SELECT count(*) FROM approval_events WHERE approval = ?1 AND kind = 'joined'",
        )?
        .query_row([&approval.id], |row| row.get(0))?;
    approval.came_again = usize::try_from(joined).unwrap_or(0);
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

/// Earlier decisions about the repository of `approval`, newest first.
pub fn of_repo(
    c: &Connection,
    approval: &Approval,
    limit: u32,
) -> Result<Vec<Approval>, StoreError> {
    let Some(repo) = approval.question.repo() else {
        return Ok(Vec::new());
    };
    Ok(c.prepare_cached(
        "SELECT * FROM approvals WHERE repo = ?1 AND id <> ?2 AND decided_at IS NOT NULL
         ORDER BY asked_at DESC, id DESC LIMIT ?3",
    )?
    .query_map(sql::params![repo, approval.id, i64::from(limit)], from_row)?
    .collect::<Result<_, _>>()?)
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

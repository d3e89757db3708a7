//! The reviewer's side: approve, refuse or break the glass, once, by somebody who may.

use serde_json::json;

use super::authority::Authority;
use super::book::{expire, note, note_with};
use super::demand::{Count, Given, are_met};
use super::{Question, State, Step};
use crate::clock::{Millis, rfc3339};
use crate::store::StoreError;
use crate::store::sql::{Connection, OptionalExtension, params};

/// What a person wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Yes.
    Approve,
    /// No.
    Refuse,
    /// Yes, alone, whoever else should agree.
    BreakGlass,
}

/// A decision that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// Whose callers have to be woken up.
    pub fingerprint: String,
    /// What the approval is now; still pending when more people have to agree.
    pub state: State,
}

/// Why a decision was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such approval.
    #[error("there is no such approval")]
    NotFound,
    /// It was decided before, or its time is over.
    #[error("this request is already {}", .0.as_str())]
    Settled(State),
    /// The four-eyes rule.
    #[error("this is your own request: somebody else has to decide it")]
    OwnRequest,
    /// The rule names others.
    #[error("you are not one of the reviewers of this request ({0})")]
    NotReviewer(String),
    /// One person, one vote.
    #[error("you have already approved this request; others have to as well")]
    AlreadyApproved,
    /// He is not among those who may let a request through alone.
    #[error("you may not let this request through alone")]
    NoGlass,
    /// Breaking the glass without saying why.
    #[error("say why, in at least {0} characters: it goes on record and is told to everybody")]
    NoReason(usize),
    /// Out of office.
    #[error("you are out of office until {}; your stand-in decides", rfc3339(*.0))]
    Away(Millis),
}

/// Takes a decision on the approval `id`.
pub fn decide(
    c: &Connection,
    now: Millis,
    id: &str,
    by: &Authority,
    choice: Choice,
    why: Option<&str>,
) -> Result<Result<Decided, Refused>, StoreError> {
    expire(c, now)?;
    let found: Option<(State, String, String)> = c
        .prepare_cached("SELECT state, question, fingerprint FROM approvals WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((state, question, fingerprint)) = found else {
        return Ok(Err(Refused::NotFound));
    };
    let question = Question::read(question.as_bytes()).map_err(StoreError::Unreadable)?;
    if let Some(refused) = by.objection(&question, state, choice == Choice::BreakGlass) {
        return Ok(Err(refused));
    }
    let name = by.person.name.as_str();
    let decided = |state| {
        Ok(Ok(Decided {
            fingerprint: fingerprint.clone(),
            state,
        }))
    };
    match choice {
        Choice::Refuse => {
            settle(c, now, id, State::Refused, name, why)?;
            note(c, id, now, Step::Refused, Some(name), None, why)?;
            decided(State::Refused)
        }
        Choice::BreakGlass => {
            let least = by.glass(&question).map_or(1, |glass| glass.min_reason);
            let length = why.map_or(0, |why| why.trim().chars().count());
            if length < least {
                return Ok(Err(Refused::NoReason(least)));
            }
            settle(c, now, id, State::Approved, name, why)?;
            note(c, id, now, Step::BrokeGlass, Some(name), None, why)?;
            decided(State::Approved)
        }
        Choice::Approve => {
            let counts = by.counts(&question);
            if !vote(c, now, id, name, why, &counts)? {
                return Ok(Err(Refused::AlreadyApproved));
            }
            let detail = json!({ "counts": counts });
            note_with(
                c,
                id,
                now,
                Step::Approved,
                Some(name),
                None,
                why,
                Some(&detail),
            )?;
            match close(c, now, id, &question, why)? {
                true => decided(State::Approved),
                false => decided(State::Pending),
            }
        }
    }
}

/// Writes a vote down; not a second one of the same person.
pub(crate) fn vote(
    c: &Connection,
    now: Millis,
    id: &str,
    who: &str,
    why: Option<&str>,
    counts: &[Count],
) -> Result<bool, StoreError> {
    let counts =
        serde_json::to_string(counts).map_err(|error| StoreError::Unreadable(error.to_string()))?;
    let added = c
        .prepare_cached(
            "INSERT INTO approval_votes (approval, who, at, why, counts) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (approval, who) DO NOTHING",
        )?
        .execute(params![id, who, now, why, counts])?;
    Ok(added > 0)
}

/// Grants the approval if all of its demands are met by now. Whether they are.
pub(crate) fn close(
    c: &Connection,
    now: Millis,
    id: &str,
    question: &Question,
    why: Option<&str>,
) -> Result<bool, StoreError> {
    let votes = given(c, id)?;
    if !are_met(&question.demands(), &votes) {
        return Ok(false);
    }
    let who: Vec<&str> = votes.iter().map(|vote| vote.who.as_str()).collect();
    settle(c, now, id, State::Approved, &who.join(", "), why)?;
    Ok(true)
}

/// The votes so far, in the order in which they were given.
pub(crate) fn given(c: &Connection, id: &str) -> Result<Vec<Given>, StoreError> {
    let rows: Vec<(String, Option<String>)> = c
        .prepare_cached(
            "SELECT who, counts FROM approval_votes WHERE approval = ?1 ORDER BY at, who",
        )?
        .query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    rows.into_iter()
        .map(|(who, counts)| {
            let counts = counts.map(|text| serde_json::from_str(&text)).transpose();
            let counts =
                counts.map_err(|error| StoreError::Unreadable(format!("a vote: {error}")))?;
            Ok(Given { who, counts })
        })
        .collect()
}

/// Writes a decision down.
pub(crate) fn settle(
    c: &Connection,
    now: Millis,
    id: &str,
    state: State,
    who: &str,
    why: Option<&str>,
) -> Result<(), StoreError> {
    c.prepare_cached(
        "UPDATE approvals SET state = ?2, decided_at = ?3, decided_by = ?4, decided_why = ?5 WHERE id = ?1",
    )?
    .execute(params![id, state, now, who, why])?;
    Ok(())
}

//! The reviewer's side: approve or refuse, once, by somebody who may.

use super::book::{expire, note};
use super::{Question, State, Step};
use crate::clock::Millis;
use crate::people::Person;
use crate::store::StoreError;
use crate::store::sql::{Connection, OptionalExtension, params};

/// A decision that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// Whose callers have to be woken up.
    pub fingerprint: String,
    /// What the approval is now; still pending when more people have to agree.
    pub state: State,
    /// How many have agreed, and how many have to.
    pub votes: (u32, u32),
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
    #[error("you have already approved this request; {0} more people have to")]
    AlreadyApproved(u32),
}

/// Approves (`approve`) or refuses the approval `id`.
pub fn decide(
    c: &Connection,
    now: Millis,
    id: &str,
    person: &Person,
    approve: bool,
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
    if let Some(refused) = objection(&question, state, person) {
        return Ok(Err(refused));
    }
    let needed = question.approval.min;
    if !approve {
        settle(c, now, id, State::Refused, &person.name, why)?;
        note(c, id, now, Step::Refused, Some(&person.name), None, why)?;
        return Ok(Ok(Decided {
            fingerprint,
            state: State::Refused,
            votes: (0, needed),
        }));
    }
    let added = c
        .prepare_cached(
            "INSERT INTO approval_votes (approval, who, at, why) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![id, person.name, now, why])?;
    let voters: Vec<String> = c
        .prepare_cached("SELECT who FROM approval_votes WHERE approval = ?1 ORDER BY at, who")?
        .query_map([id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let votes = u32::try_from(voters.len()).unwrap_or(u32::MAX);
    if added == 0 {
        return Ok(Err(Refused::AlreadyApproved(needed.saturating_sub(votes))));
    }
    note(c, id, now, Step::Approved, Some(&person.name), None, why)?;
    let state = if votes >= needed {
        settle(c, now, id, State::Approved, &voters.join(", "), why)?;
        State::Approved
    } else {
        State::Pending
    };
    Ok(Ok(Decided {
        fingerprint,
        state,
        votes: (votes, needed),
    }))
}

/// Why `person` may not decide now, if so.
pub(crate) fn objection(question: &Question, state: State, person: &Person) -> Option<Refused> {
    if state != State::Pending {
        return Some(Refused::Settled(state));
    }
    if question.is_asked_by(person) {
        return Some(Refused::OwnRequest);
    }
    if !question.may_be_decided_by(person) {
        return Some(Refused::NotReviewer(question.reviewers_in_words()));
    }
    None
}

fn settle(
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

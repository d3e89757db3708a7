//! The durable state of approvals, as steps that each run inside one transaction.
//!
//! [`ask`], [`look`] and [`leave`] are the caller's side; `decide` is the reviewer's. A waiter is
//! named by a random id: only the newest waiter of a fingerprint can use its approval.

use serde_json::Value;

use super::{Question, State, Step, limited, others};
use crate::clock::Millis;
use crate::ledger::approval::{self, append_step};
use crate::notify::outbox;
use crate::secret::random_id;
use crate::store::StoreError;
use crate::store::sql::{self, Connection, OptionalExtension, Row, params};

/// How a caller's request stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Approved, and used up by this very answer.
    Granted(Verdict),
    /// Refused by a person.
    Refused(Verdict),
    /// Nobody has decided.
    Pending {
        /// The approval's id.
        approval: String,
        /// End of the ticket.
        expires_at: Millis,
    },
    /// The identity has as many requests waiting as it may: this one is not asked about.
    TooMany {
        /// How many it may have.
        most: u32,
    },
    /// The policy that asked is not in force any more.
    PolicyChanged {
        /// The approval's id.
        approval: String,
    },
    /// A newer caller with the same request waits in this one's place, or the ticket has ended.
    Superseded {
        /// The approval's id.
        approval: String,
    },
}

/// A person's decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The approval's id.
    pub approval: String,
    /// Who decided; several names when several had to.
    pub who: String,
    /// When.
    pub at: Millis,
    /// The reviewer's own words.
    pub why: Option<String>,
    /// End of the ticket.
    pub expires_at: Millis,
}

/// A caller that wants to wait.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Random, one for each HTTP request.
    pub waiter: String,
    /// The exchange it is part of.
    pub exchange: String,
    /// When it will stop waiting.
    pub hold_until: Millis,
    /// How many requests of its identity may wait at a time.
    pub most_pending: u32,
}

struct Open {
    id: String,
    state: State,
    expires_at: Millis,
    waiter: Option<String>,
    decided_by: Option<String>,
    decided_at: Option<Millis>,
    decided_why: Option<String>,
}

impl Open {
    fn from_row(row: &Row<'_>) -> sql::Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            state: row.get("state")?,
            expires_at: row.get("expires_at")?,
            waiter: row.get("waiter")?,
            decided_by: row.get("decided_by")?,
            decided_at: row.get("decided_at")?,
            decided_why: row.get("decided_why")?,
        })
    }

    fn verdict(&self) -> Verdict {
        Verdict {
            approval: self.id.clone(),
            who: self.decided_by.clone().unwrap_or_default(),
            at: self.decided_at.unwrap_or_default(),
            why: self.decided_why.clone(),
            expires_at: self.expires_at,
        }
    }

    fn pending(&self) -> Standing {
        Standing::Pending {
            approval: self.id.clone(),
            expires_at: self.expires_at,
        }
    }
}

/// Puts the question, joins the one that is open for the same bytes, or answers at once: an
/// approval that waits is used up, a refusal that stands is repeated.
pub fn ask(
    c: &Connection,
    now: Millis,
    question: &Question,
    raw: &str,
    caller: &Caller,
) -> Result<Standing, StoreError> {
    expire(c, now)?;
    let Some(open) = find_open(c, &question.fingerprint)? else {
        let most = caller.most_pending;
        if pending_of(c, &question.identity.subject)? >= most {
            limited::count(c, now, question, &caller.exchange, most)?;
            return Ok(Standing::TooMany { most });
        }
        let id = random_id()?;
        let expires_at = question.ticket_end(now);
        c.prepare_cached(
            "INSERT INTO approvals (id, fingerprint, state, question, subject, asked_at, expires_at, hold_until, waiter, repo)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            id,
            question.fingerprint,
            State::Pending,
            raw,
            question.identity.subject,
            now,
            expires_at,
            caller.hold_until,
            caller.waiter,
            question.repo()
        ])?;
        note(
            c,
            &id,
            now,
            Step::Asked,
            Some(&question.identity.subject),
            Some(&caller.exchange),
            None,
        )?;
        return Ok(Standing::Pending {
            approval: id,
            expires_at,
        });
    };
    match open.state {
        State::Approved => consume(c, now, &open, caller),
        State::Refused => {
            note(
                c,
                &open.id,
                now,
                Step::Repeated,
                None,
                Some(&caller.exchange),
                None,
            )?;
            Ok(Standing::Refused(open.verdict()))
        }
        State::Pending | State::Consumed | State::Expired => {
            c.prepare_cached("UPDATE approvals SET waiter = ?2, hold_until = ?3 WHERE id = ?1")?
                .execute(params![open.id, caller.waiter, caller.hold_until])?;
            note(
                c,
                &open.id,
                now,
                Step::Joined,
                None,
                Some(&caller.exchange),
                None,
            )?;
            Ok(open.pending())
        }
    }
}

/// Looks whether there is a decision for a caller that waits. With `last`, a caller without a
/// decision stops waiting and takes the ticket.
pub fn look(
    c: &Connection,
    now: Millis,
    approval: &str,
    caller: &Caller,
    last: bool,
) -> Result<Standing, StoreError> {
    expire(c, now)?;
    let found = c
        .prepare_cached("SELECT * FROM approvals WHERE id = ?1")?
        .query_row([approval], Open::from_row)
        .optional()?;
    let superseded = Standing::Superseded {
        approval: approval.to_owned(),
    };
    let Some(open) = found else {
        return Ok(superseded);
    };
    if open.waiter.as_deref() != Some(caller.waiter.as_str()) {
        return Ok(superseded);
    }
    match open.state {
        State::Approved => consume(c, now, &open, caller),
        State::Refused => Ok(Standing::Refused(open.verdict())),
        State::Pending => {
            if last {
                c.prepare_cached("UPDATE approvals SET waiter = NULL WHERE id = ?1")?
                    .execute([approval])?;
                note(
                    c,
                    approval,
                    now,
                    Step::Ticket,
                    None,
                    Some(&caller.exchange),
                    None,
                )?;
            }
            Ok(open.pending())
        }
        State::Expired if is_outdated(c, approval)? => Ok(Standing::PolicyChanged {
            approval: approval.to_owned(),
        }),
        State::Expired => Ok(open.pending()),
        State::Consumed => Ok(superseded),
    }
}

/// A caller's connection went away. Says whether that was news.
pub fn leave(
    c: &Connection,
    now: Millis,
    fingerprint: &str,
    caller: &Caller,
) -> Result<bool, StoreError> {
    let found: Option<(String, State)> = c
        .prepare_cached("SELECT id, state FROM approvals WHERE fingerprint = ?1 AND waiter = ?2")?
        .query_row([fingerprint, &caller.waiter], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((id, state)) = found else {
        return Ok(false);
    };
    c.prepare_cached("UPDATE approvals SET waiter = NULL WHERE id = ?1")?
        .execute([&id])?;
    let used_up = (state == State::Consumed)
        .then_some("the approval was used up for a caller that did not wait for the answer");
    note(
        c,
        &id,
        now,
        Step::Gone,
        None,
        Some(&caller.exchange),
        used_up,
    )?;
    Ok(true)
}

/// Ends every approval and refusal whose ticket has ended. Returns how many.
pub fn expire(c: &Connection, now: Millis) -> Result<usize, StoreError> {
    let ended: Vec<(String, State)> = c
        .prepare_cached(
            "SELECT id, state FROM approvals
             WHERE state IN ('pending', 'approved', 'refused') AND expires_at <= ?1",
        )?
        .query_map([now], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (id, state) in &ended {
        c.prepare_cached("UPDATE approvals SET state = ?2 WHERE id = ?1")?
            .execute(params![id, State::Expired])?;
        let note_text = match state {
            State::Approved => "approved, but never used",
            State::Refused => "the refusal no longer stands for a new request",
            State::Pending | State::Consumed | State::Expired => "nobody decided",
        };
        note(c, id, now, Step::Expired, None, None, Some(note_text))?;
    }
    Ok(ended.len())
}

/// Ends what a gateway's worker asked whose policy is not in force any more, and what was granted of it
/// and not used: the policy that is might deny it. Returns the fingerprints.
pub fn outdate(c: &Connection, now: Millis, worker: &str) -> Result<Vec<String>, StoreError> {
    let moot: Vec<(String, String)> = c
        .prepare_cached(
            "SELECT DISTINCT approvals.id, fingerprint FROM approvals
             JOIN approval_events ON approval_events.approval = approvals.id
             WHERE state IN ('pending', 'approved') AND kind = 'asked'
               AND substr(approval_events.exchange, 1, length(?1)) = ?1",
        )?
        .query_map([format!("{worker}-")], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (id, _) in &moot {
        c.prepare_cached("UPDATE approvals SET state = ?2 WHERE id = ?1")?
            .execute(params![id, State::Expired])?;
        note(c, id, now, Step::Outdated, None, None, None)?;
    }
    Ok(moot
        .into_iter()
        .map(|(_, fingerprint)| fingerprint)
        .collect())
}

fn is_outdated(c: &Connection, approval: &str) -> Result<bool, StoreError> {
    Ok(c.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM approval_events WHERE approval = ?1 AND kind = 'outdated')",
    )?
    .query_row([approval], |row| row.get(0))?)
}

/// After a restart nobody waits any more: their connections ended with the console. Of consoles that
/// share a database each has a name, and the waiters' names begin with it.
pub fn forget_waiters(c: &Connection, now: Millis, console: &str) -> Result<usize, StoreError> {
    let waiting: Vec<String> = c
        .prepare(
            "SELECT id FROM approvals WHERE state = 'pending' AND waiter IS NOT NULL
               AND substr(waiter, 1, length(?1)) = ?1",
        )?
        .query_map([console], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for id in &waiting {
        note(
            c,
            id,
            now,
            Step::Gone,
            None,
            None,
            Some("the console was restarted"),
        )?;
    }
    c.execute(
        "UPDATE approvals SET waiter = NULL
         WHERE waiter IS NOT NULL AND substr(waiter, 1, length(?1)) = ?1",
        [console],
    )?;
    Ok(waiting.len())
}

fn pending_of(c: &Connection, subject: &str) -> Result<u32, StoreError> {
    Ok(
        c.prepare_cached(
            "SELECT count(*) FROM approvals WHERE subject = ?1 AND state = 'pending'",
        )?
        .query_row([subject], |row| row.get(0))?,
    )
}

fn find_open(c: &Connection, fingerprint: &str) -> Result<Option<Open>, StoreError> {
    Ok(c.prepare_cached(
        "SELECT * FROM approvals
         WHERE fingerprint = ?1 AND state IN ('pending', 'approved', 'refused')",
    )?
    .query_row([fingerprint], Open::from_row)
    .optional()?)
}

fn consume(
    c: &Connection,
    now: Millis,
    open: &Open,
    caller: &Caller,
) -> Result<Standing, StoreError> {
    c.prepare_cached(
        "UPDATE approvals SET state = ?2, consumed_at = ?3, consumed_by = ?4, waiter = ?5 WHERE id = ?1",
    )?
    .execute(params![
        open.id,
        State::Consumed,
        now,
        caller.exchange,
        caller.waiter
    ])?;
    note(
        c,
        &open.id,
        now,
        Step::Consumed,
        None,
        Some(&caller.exchange),
        None,
    )?;
    Ok(Standing::Granted(open.verdict()))
}

/// Writes one step down, in the ledger and among the approval's events.
pub(crate) fn note(
    c: &Connection,
    approval: &str,
    now: Millis,
    step: Step,
    who: Option<&str>,
    exchange: Option<&str>,
    text: Option<&str>,
) -> Result<(), StoreError> {
    note_with(c, approval, now, step, who, exchange, text, None)
}

/// As [`note`], with what programs read of it.
#[allow(clippy::too_many_arguments)] // Each is a field of the entry.
pub(super) fn note_with(
    c: &Connection,
    approval: &str,
    now: Millis,
    step: Step,
    who: Option<&str>,
    exchange: Option<&str>,
    text: Option<&str>,
    detail: Option<&Value>,
) -> Result<(), StoreError> {
    let newest = match exchange {
        None => newest_exchange(c, approval)?,
        Some(_) => None,
    };
    let exchange = exchange.or(newest.as_deref());
    let entry = append_step(
        c,
        now,
        approval::Step {
            approval,
            step: step.as_str(),
            who,
            exchange,
            note: text,
            detail,
        },
    )?;
    c.prepare_cached(
        "INSERT INTO approval_events (approval, at, kind, who, exchange, note, entry)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        approval,
        now,
        step.as_str(),
        who,
        exchange,
        text,
        entry
    ])?;
    outbox::put(c, approval, step, now)?;
    others::tell_changed(c, approval)
}

/// What a step of nobody's call is about: the exchange that asked, or joined last.
fn newest_exchange(c: &Connection, approval: &str) -> Result<Option<String>, StoreError> {
    Ok(c.prepare_cached(
        "SELECT exchange FROM approval_events WHERE approval = ?1 AND exchange IS NOT NULL
         ORDER BY id DESC LIMIT 1",
    )?
    .query_row([approval], |row| row.get(0))
    .optional()?)
}

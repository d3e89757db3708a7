//! What is to be told, in the database: written with the step that it is of, taken by one console at a
//! time, tried again, and on record once it was told or given up.

use crate::approvals::{self, Approval, Authority, State, Step, book};
use crate::clock::Millis;
use crate::people;
use crate::secret::random_id;
use crate::settings::Settings;
use crate::store::StoreError;
use crate::store::sql::{Connection, params};

/// How often one notice is tried.
pub const ATTEMPTS: u32 = 8;
/// Whoever takes a notice has it to himself for so long.
const LEASE: Millis = 60_000;
/// Between attempts: from this, doubled, to this.
const PAUSE: (Millis, Millis) = (2_000, 300_000);
/// Notices that are taken at once.
const AT_ONCE: i64 = 16;
/// A sent notice is kept so long; its record stays.
const KEEP: Millis = 30 * 24 * 3_600_000;

/// A notice to be sent now.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Its id.
    pub id: String,
    /// Of which approval.
    pub approval: Approval,
    /// Of which step.
    pub step: String,
    /// When that was taken.
    pub at: Millis,
    /// The channel's name.
    pub channel: String,
    /// How often it has been tried, this time included.
    pub attempts: u32,
    /// Addresses of those who may decide.
    pub reviewers: Vec<String>,
}

/// Puts a step there that channels may be told of, in the transaction of the step.
pub fn put(c: &Connection, approval: &str, step: Step, now: Millis) -> Result<(), StoreError> {
    match step {
        Step::Asked | Step::Approved | Step::Refused | Step::BrokeGlass | Step::Expired => {}
        _ => return Ok(()),
    }
    c.prepare_cached(
        "INSERT INTO notices (id, approval, step, at, state, next_at) VALUES (?1, ?2, ?3, ?4, 'new', ?4)",
    )?
    .execute(params![random_id()?, approval, step.as_str(), now])?;
    Ok(())
}

/// Hands new steps to the channels that are told of them. Returns how many there were.
pub fn expand(c: &Connection, now: Millis, settings: &Settings) -> Result<usize, StoreError> {
    let new: Vec<(String, String, String, Millis)> = c
        .prepare_cached(
            "SELECT id, approval, step, at FROM notices WHERE state = 'new' ORDER BY at LIMIT 200",
        )?
        .query_map([], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<Result<_, _>>()?;
    for (id, approval, step, at) in &new {
        c.prepare_cached("DELETE FROM notices WHERE id = ?1")?
            .execute([id])?;
        if settings.notify.is_empty() {
            continue;
        }
        let Some(found) = approvals::find(c, approval)? else {
            continue;
        };
        let demands = found.question.demands();
        let rules: Vec<&str> = demands.iter().filter_map(|d| d.rule.as_deref()).collect();
        let told = settings
            .notify
            .iter()
            .filter(|channel| channel.is_told_of(step, &rules));
        for channel in told {
            c.prepare_cached(
                "INSERT INTO notices (id, approval, step, at, channel, state, next_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, 'waiting', ?6)",
            )?
            .execute(params![random_id()?, approval, step, at, channel.name, now])?;
        }
    }
    if !new.is_empty() {
        c.prepare_cached("DELETE FROM notices WHERE state IN ('sent', 'failed') AND at < ?1")?
            .execute([now - KEEP])?;
    }
    Ok(new.len())
}

/// Takes what is due, so that nobody else does.
pub fn take(c: &Connection, now: Millis, settings: &Settings) -> Result<Vec<Notice>, StoreError> {
    let due: Vec<(String, String, String, Millis, String, u32, Millis)> = c
        .prepare_cached(
            "SELECT id, approval, step, at, channel, attempts, next_at FROM notices
             WHERE state = 'waiting' AND next_at <= ?1 ORDER BY next_at LIMIT ?2",
        )?
        .query_map(params![now, AT_ONCE], |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
                row.get(5)?,
                row.get(6)?,
            ))
        })?
        .collect::<Result<_, _>>()?;
    let mut taken = Vec::new();
    for (id, approval, step, at, channel, attempts, next_at) in due {
        let mine = c
            .prepare_cached(
                "UPDATE notices SET attempts = attempts + 1, next_at = ?2 WHERE id = ?1 AND next_at = ?3 AND state = 'waiting'",
            )?
            .execute(params![id, now + LEASE, next_at])?;
        if mine == 0 {
            continue;
        }
        let found = approvals::find(c, &approval)?;
        let known = settings.notify.iter().any(|one| one.name == channel);
        // Nobody needs to be called to what is decided, and a channel that was taken out of the
        // settings is told nothing.
        let moot = |found: &Approval| {
            step == "asked" && (found.state != State::Pending || found.expires_at <= now)
        };
        match found {
            Some(approval) if known && !moot(&approval) => {
                let reviewers = reviewers(c, now, settings, &approval)?;
                taken.push(Notice {
                    id,
                    approval,
                    step,
                    at,
                    channel,
                    attempts: attempts + 1,
                    reviewers,
                });
            }
            _ => {
                c.prepare_cached("DELETE FROM notices WHERE id = ?1")?
                    .execute([&id])?;
            }
        }
    }
    Ok(taken)
}

/// The addresses of everybody who may decide it now.
fn reviewers(
    c: &Connection,
    now: Millis,
    settings: &Settings,
    approval: &Approval,
) -> Result<Vec<String>, StoreError> {
    let mut addresses = Vec::new();
    let wanted = settings.notify.iter().filter_map(|one| one.email.as_ref());
    if !wanted.into_iter().any(|email| email.reviewers) {
        return Ok(addresses);
    }
    for person in people::list(c)? {
        let Some(address) = person.email.clone() else {
            continue;
        };
        let authority = Authority::of(c, now, &settings.approvals, person)?;
        if authority
            .objection(&approval.question, State::Pending, false)
            .is_none()
        {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

/// What became of an attempt.
pub fn settle(
    c: &Connection,
    now: Millis,
    notice: &Notice,
    told: Result<(), &str>,
) -> Result<(), StoreError> {
    let (id, channel) = (notice.approval.id.as_str(), notice.channel.as_str());
    match told {
        Ok(()) => {
            let sent = c
                .prepare_cached(
                    "UPDATE notices SET state = 'sent', sent_at = ?2, error = NULL WHERE id = ?1 AND state = 'waiting'",
                )?
                .execute(params![notice.id, now])?;
            if sent > 0 {
                let text = format!("{channel}: {}", notice.step);
                book::note(c, id, now, Step::Notified, None, None, Some(&text))?;
            }
        }
        Err(why) if notice.attempts >= ATTEMPTS => {
            c.prepare_cached("UPDATE notices SET state = 'failed', error = ?2 WHERE id = ?1")?
                .execute(params![notice.id, why])?;
            let text = format!("{channel}: {}, {ATTEMPTS} attempts: {why}", notice.step);
            book::note(c, id, now, Step::NotNotified, None, None, Some(&text))?;
        }
        Err(why) => {
            let pause = PAUSE
                .0
                .saturating_mul(1 << (notice.attempts - 1).min(20))
                .min(PAUSE.1);
            c.prepare_cached("UPDATE notices SET next_at = ?2, error = ?3 WHERE id = ?1")?
                .execute(params![notice.id, now + pause, why])?;
        }
    }
    Ok(())
}

/// How a channel does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Its name.
    pub channel: String,
    /// Notices that were sent.
    pub sent: i64,
    /// That wait, most of them to be tried again.
    pub waiting: i64,
    /// That were given up.
    pub failed: i64,
    /// What was said last where one was not taken.
    pub error: Option<String>,
}

/// How each channel has done in the last days.
pub fn health(c: &Connection) -> Result<Vec<Health>, StoreError> {
    Ok(c.prepare_cached(
        "SELECT channel,
                SUM(CASE WHEN state = 'sent' THEN 1 ELSE 0 END),
                SUM(CASE WHEN state = 'waiting' THEN 1 ELSE 0 END),
                SUM(CASE WHEN state = 'failed' THEN 1 ELSE 0 END),
                MAX(error)
         FROM notices WHERE channel IS NOT NULL GROUP BY channel ORDER BY channel",
    )?
    .query_map([], |row| {
        Ok(Health {
            channel: row.get(0)?,
            sent: row.get(1)?,
            waiting: row.get(2)?,
            failed: row.get(3)?,
            error: row.get(4)?,
        })
    })?
    .collect::<Result<_, _>>()?)
}

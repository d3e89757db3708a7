//! What the entries say of workers, approvals and holds, played again into empty tables.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::approvals::demand::Count;
use crate::approvals::{Question, State, decide, limited};
use crate::clock::Millis;
use crate::intake::record::text;
use crate::ledger::entry::Kind;
use crate::ledger::read::{self, Entry};
use crate::ledger::{approval, hold};
use crate::store::StoreError;
use crate::store::sql::{Connection, params};

/// Entries that are read in one go.
const AT_ONCE: u32 = 1_000;

/// Plays all entries.
pub(super) fn replay(anew: &Connection) -> Result<(), StoreError> {
    let mut from = 0;
    loop {
        let entries = read::entries(anew, from, None, AT_ONCE)?;
        let Some(last) = entries.last() else {
            return Ok(());
        };
        from = last.index + 1;
        for entry in &entries {
            let Some(value) = entry.value()? else {
                continue;
            };
            match entry.kind {
                Kind::Record | Kind::Policy => arrival(anew, entry, &value)?,
                Kind::ApprovalEvent => step(anew, entry, &value)?,
                Kind::Hold => hold::derive(anew, entry.index, entry.at, &value)?,
                Kind::Access | Kind::Key | Kind::Retention => {}
            }
        }
    }
}

fn arrival(anew: &Connection, entry: &Entry, value: &Map<String, Value>) -> Result<(), StoreError> {
    let attributes = value.get("attributes").and_then(Value::as_object);
    let worker = attributes.and_then(|attributes| text(attributes, "countersign.worker.id"));
    let seq = attributes
        .and_then(|attributes| attributes.get("countersign.worker.seq"))
        .and_then(Value::as_i64);
    let dropped = attributes
        .and_then(|attributes| attributes.get("countersign.worker.dropped"))
        .and_then(Value::as_i64)
        .unwrap_or(0);
    let (Some(worker), Some(seq), Some(said)) = (worker, seq, said(entry)) else {
        return Err(StoreError::Unreadable(format!(
            "entry {} is no record",
            entry.index
        )));
    };
    let digest: [u8; 32] = Sha256::digest(said.as_bytes()).into();
    anew.prepare_cached(
        "INSERT INTO workers (worker, first_at, last_at, highest, records)
         VALUES (?1, ?2, ?2, 0, 0) ON CONFLICT DO NOTHING",
    )?
    .execute(params![worker, entry.at])?;
    anew.prepare_cached(
        "UPDATE workers SET last_at = CASE WHEN last_at < ?2 THEN ?2 ELSE last_at END,
           highest = CASE WHEN highest < ?3 THEN ?3 ELSE highest END,
           dropped = CASE WHEN dropped < ?4 THEN ?4 ELSE dropped END,
           records = records + CASE WHEN EXISTS
             (SELECT 1 FROM arrivals WHERE arrivals.worker = workers.id AND seq = ?3) THEN 0 ELSE 1 END
         WHERE worker = ?1",
    )?
    .execute(params![worker, entry.at, seq, dropped])?;
    let worker: i64 = anew
        .prepare_cached("SELECT id FROM workers WHERE worker = ?1")?
        .query_row([worker], |row| row.get(0))?;
    anew.prepare_cached(
        "INSERT INTO arrivals (worker, seq, digest, entry) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![worker, seq, digest, entry.index])?;
    Ok(())
}

/// The bytes of the leaf's `value`, which is its last field.
fn said(entry: &Entry) -> Option<&str> {
    let leaf = entry.leaf.as_deref()?;
    let (_, said) = leaf.split_once(r#","value":"#)?;
    said.strip_suffix('}')
}

/// A step of an approval, as `approvals::book` and `approvals::decide` take it.
fn step(anew: &Connection, entry: &Entry, value: &Map<String, Value>) -> Result<(), StoreError> {
    let word = |key: &str| text(value, key);
    // Of questions that were not put there is no approval.
    if word("step") == Some(limited::STEP) {
        return Ok(());
    }
    let (Some(id), Some(kind)) = (word("approval"), word("step")) else {
        return Err(StoreError::Unreadable(format!(
            "entry {} is no step of an approval",
            entry.index
        )));
    };
    if kind == "asked" {
        asked(anew, entry, id, value)?;
    }
    anew.prepare_cached(
        "INSERT INTO approval_events (approval, at, kind, who, exchange, note, entry)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        id,
        entry.at,
        kind,
        word("who"),
        word("exchange"),
        word("note"),
        entry.index
    ])?;
    match kind {
        "approved" => {
            let counts = value.get("detail").and_then(|detail| detail.get("counts"));
            approved(anew, entry.at, id, word("who"), word("note"), counts)?;
        }
        "broke_glass" => {
            let who = word("who").unwrap_or_default();
            decide::settle(anew, entry.at, id, State::Approved, who, word("note"))?;
        }
        "refused" => {
            let who = word("who").unwrap_or_default();
            decide::settle(anew, entry.at, id, State::Refused, who, word("note"))?;
        }
        "consumed" => {
            anew.prepare_cached(
                "UPDATE approvals SET state = ?2, consumed_at = ?3, consumed_by = ?4 WHERE id = ?1",
            )?
            .execute(params![id, kind, entry.at, word("exchange")])?;
        }
        "expired" | "outdated" => {
            anew.prepare_cached("UPDATE approvals SET state = ?2 WHERE id = ?1")?
                .execute(params![id, State::Expired])?;
        }
        _ => {}
    }
    Ok(())
}

fn asked(
    anew: &Connection,
    entry: &Entry,
    id: &str,
    value: &Map<String, Value>,
) -> Result<(), StoreError> {
    let raw = approval::question(anew, value)?
        .unwrap_or_default()
        .to_string();
    let question = Question::read(raw.as_bytes()).map_err(StoreError::Unreadable)?;
    anew.prepare_cached(
        "INSERT INTO approvals (id, fingerprint, state, question, subject, asked_at, expires_at, hold_until)
         VALUES (?1, ?2, 'pending', ?3, ?4, ?5, ?6, 0)",
    )?
    .execute(params![
        id,
        question.fingerprint,
        raw,
        question.identity.subject,
        entry.at,
        question.ticket_end(entry.at)
    ])?;
    Ok(())
}

fn approved(
    anew: &Connection,
    at: Millis,
    id: &str,
    who: Option<&str>,
    why: Option<&str>,
    counts: Option<&Value>,
) -> Result<(), StoreError> {
    // Votes from before it was written down what they count for have nothing there.
    let counts = match counts {
        None => None,
        Some(value) => {
            let counts: Vec<Count> = serde_json::from_value(value.clone())
                .map_err(|error| StoreError::Unreadable(format!("a vote: {error}")))?;
            let text = serde_json::to_string(&counts);
            Some(text.map_err(|error| StoreError::Unreadable(error.to_string()))?)
        }
    };
    anew.prepare_cached(
        "INSERT INTO approval_votes (approval, who, at, why, counts) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![id, who, at, why, counts])?;
    let question: String = anew
        .prepare_cached("SELECT question FROM approvals WHERE id = ?1")?
        .query_row([id], |row| row.get(0))?;
    let question = Question::read(question.as_bytes()).map_err(StoreError::Unreadable)?;
    decide::close(anew, at, id, &question, why)?;
    Ok(())
}

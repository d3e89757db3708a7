//! Other consoles over the same database: what they are told of approvals, and what is heard of them.
//!
//! What is said is no more than that there is something to look at; the database says what.

use tokio::sync::mpsc;

use super::{Step, book};
use crate::clock::Millis;
use crate::store::sql::{Connection, Engine};
use crate::store::{StoreError, Told};
use crate::web::App;

/// An approval has changed: its fingerprint.
const CHANGED: &str = "changed ";
/// An exchange has ended while its caller was held: its id.
const ENDED: &str = "ended ";
/// A caller whose hold ended so long ago was not told by anybody.
const LATE: Millis = 10_000;

/// Tells all consoles that an approval has changed, once the transaction is committed.
pub(super) fn tell_changed(c: &Connection, approval: &str) -> Result<(), StoreError> {
    if c.engine() == Engine::Postgres {
        let fingerprint: String = c
            .prepare_cached("SELECT fingerprint FROM approvals WHERE id = ?1")?
            .query_row([approval], |row| row.get(0))?;
        c.tell(&format!("{CHANGED}{fingerprint}"))?;
    }
    Ok(())
}

/// Tells all consoles which of these exchanges have ended while somebody held their callers.
pub fn tell_ended(c: &Connection, exchanges: &[String]) -> Result<(), StoreError> {
    if c.engine() != Engine::Postgres || exchanges.is_empty() {
        return Ok(());
    }
    let held: Vec<String> = c
        .prepare_cached(
            "SELECT DISTINCT approval_events.exchange FROM approvals
             JOIN approval_events ON approval_events.approval = approvals.id
             WHERE state = 'pending' AND waiter IS NOT NULL
               AND approval_events.exchange IS NOT NULL",
        )?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for exchange in held.iter().filter(|held| exchanges.contains(held)) {
        c.tell(&format!("{ENDED}{exchange}"))?;
    }
    Ok(())
}

/// Wakes this console's callers when others say so, until the console stops.
pub async fn hear(app: App, mut told: mpsc::UnboundedReceiver<Told>) {
    while let Some(told) = told.recv().await {
        match told {
            Told::Everything => app.desk.ring_all(),
            Told::Word(word) => {
                if let Some(fingerprint) = word.strip_prefix(CHANGED) {
                    app.desk.ring(fingerprint);
                } else if let Some(exchange) = word.strip_prefix(ENDED) {
                    app.desk.ended(&[exchange.to_owned()]);
                }
            }
        }
        app.announce();
    }
}

/// Forgets callers whose hold ended long ago without a word: the console that held them is gone.
pub fn forget_lost(c: &Connection, now: Millis) -> Result<usize, StoreError> {
    let lost: Vec<String> = c
        .prepare_cached(
            "SELECT id FROM approvals
             WHERE state = 'pending' AND waiter IS NOT NULL AND hold_until < ?1",
        )?
        .query_map([now - LATE], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for id in &lost {
        c.prepare_cached("UPDATE approvals SET waiter = NULL WHERE id = ?1")?
            .execute([id])?;
        let why = Some("the console that held it has ended");
        book::note(c, id, now, Step::Gone, None, None, why)?;
    }
    Ok(lost.len())
}

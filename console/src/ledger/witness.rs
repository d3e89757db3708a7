//! Witnesses: parties elsewhere that keep the checkpoints. Whoever rewrites the ledger, key and all,
//! does not reach theirs.
//!
//! Each newest checkpoint is POSTed as it is (`text/plain`), until the witness answers 2xx. What an
//! answer has in signature lines (a cosignature) is kept. How each witness stands is in the database.

use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

use super::checkpoint::{self, Stored};
use crate::client::agent;
use crate::clock::{Clock, Millis};
use crate::store::sql::{self, Connection, OptionalExtension, Row, params};
use crate::store::{Store, StoreError};

/// How often is looked for a new checkpoint.
const LOOK: Duration = Duration::from_millis(500);
/// How long a witness may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// First and longest pause after a failure.
const PAUSE: (Millis, Millis) = (1_000, 300_000);
/// As much of an answer is read.
const LARGEST_ANSWER: u64 = 16 << 10;

/// How a witness stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Witness {
    /// Its address.
    pub url: String,
    /// How many entries the newest checkpoint covers that it has taken.
    pub sent_size: i64,
    /// When it took that; nothing if it never took one.
    pub sent_at: Option<Millis>,
    /// Failures in a row.
    pub failures: i64,
    /// The last failure in words, if it has not taken one since.
    pub error: Option<String>,
    /// Not asked again before.
    pub next_at: Millis,
    /// Signature lines that it answered with.
    pub cosignature: Option<String>,
}

fn from_row(row: &Row<'_>) -> sql::Result<Witness> {
    Ok(Witness {
        url: row.get("url")?,
        sent_size: row.get("sent_size")?,
        sent_at: row.get("sent_at")?,
        failures: row.get("failures")?,
        error: row.get("error")?,
        next_at: row.get("next_at")?,
        cosignature: row.get("cosignature")?,
    })
}

/// Every witness that this ledger has had, as it stands.
pub fn list(c: &Connection) -> Result<Vec<Witness>, StoreError> {
    Ok(c.prepare_cached("SELECT * FROM witnesses ORDER BY url")?
        .query_map([], from_row)?
        .collect::<Result<_, _>>()?)
}

/// What a witness answered.
type Sent = Result<Option<String>, String>;

/// Sends each new checkpoint to `url`, until the console stops.
pub async fn send_all(
    store: Store,
    clock: Clock,
    url: String,
    mut stopping: watch::Receiver<bool>,
) {
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        if !store.leads() {
            continue;
        }
        if let Err(error) = send_newest(&store, &clock, &url).await {
            tracing::error!(%error, %url, "how the witness stands could not be kept");
        }
    }
}

/// Sends the newest checkpoint if the witness has not had it and may be asked. Whether it was asked.
pub async fn send_newest(store: &Store, clock: &Clock, url: &str) -> Result<bool, StoreError> {
    let now = clock.now();
    let wanted = url.to_owned();
    let due = store.read(move |c| due(c, &wanted, now)).await?;
    let Some((witness, stored)) = due else {
        return Ok(false);
    };
    let (to, note) = (url.to_owned(), stored.note.clone());
    let sent = tokio::task::spawn_blocking(move || post(&to, &note))
        .await
        .unwrap_or_else(|error| Err(error.to_string()));
    if let Err(why) = &sent {
        tracing::warn!(%url, %why, "a witness did not take a checkpoint");
    }
    let after = stand(&witness, stored.size, clock.now(), sent);
    store.write(move |c| keep(c, &after)).await?;
    Ok(true)
}

fn due(c: &Connection, url: &str, now: Millis) -> Result<Option<(Witness, Stored)>, StoreError> {
    let known = c
        .prepare_cached("SELECT * FROM witnesses WHERE url = ?1")?
        .query_row([url], from_row)
        .optional()?;
    let witness = known.unwrap_or_else(|| Witness {
        url: url.to_owned(),
        sent_size: 0,
        sent_at: None,
        failures: 0,
        error: None,
        next_at: 0,
        cosignature: None,
    });
    let newest = checkpoint::newest(c)?.filter(|newest| newest.size > witness.sent_size);
    Ok(newest
        .filter(|_| witness.next_at <= now)
        .map(|newest| (witness, newest)))
}

/// How the witness stands after it was asked.
fn stand(witness: &Witness, size: i64, now: Millis, sent: Sent) -> Witness {
    let mut after = witness.clone();
    match sent {
        Ok(cosignature) => {
            after.sent_size = size;
            after.sent_at = Some(now);
            after.failures = 0;
            after.error = None;
            after.next_at = 0;
            after.cosignature = cosignature;
        }
        Err(why) => {
            let pause = PAUSE.0 << witness.failures.clamp(0, 16);
            after.failures += 1;
            after.error = Some(why);
            after.next_at = now + pause.min(PAUSE.1);
        }
    }
    after
}

fn keep(c: &Connection, witness: &Witness) -> Result<(), StoreError> {
    c.prepare_cached(
        "INSERT INTO witnesses (url, sent_size, sent_at, failures, error, next_at, cosignature)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (url) DO UPDATE SET sent_size = excluded.sent_size, sent_at = excluded.sent_at,
           failures = excluded.failures, error = excluded.error, next_at = excluded.next_at,
           cosignature = excluded.cosignature",
    )?
    .execute(params![
        witness.url,
        witness.sent_size,
        witness.sent_at,
        witness.failures,
        witness.error,
        witness.next_at,
        witness.cosignature
    ])?;
    Ok(())
}

fn post(url: &str, note: &str) -> Sent {
    let mut answer = agent(PATIENCE, None)
        .map_err(|failure| failure.to_string())?
        .post(url)
        .content_type("text/plain; charset=utf-8")
        .send(note)
        .map_err(|error| error.to_string())?;
    if !answer.status().is_success() {
        return Err(format!("it answered {}", answer.status()));
    }
    // An answer without signature lines, or none that can be read, is an answer all the same.
    let text = answer
        .body_mut()
        .with_config()
        .limit(LARGEST_ANSWER)
        .read_to_string()
        .unwrap_or_default();
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with('\u{2014}'))
        .collect();
    Ok((!lines.is_empty()).then(|| lines.join("\n")))
}

//! What the consoles of one database have to do with each other: a word to all of them when callers
//! have to be woken, and one of them that has the duties which one is enough for.
//!
//! A connection of its own listens, and holds the lock of the one with the duties for as long as it
//! lives. Between two of them there can be a moment with none, and, when a connection hangs, a moment
//! with two: each duty is one that can be done twice.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_postgres::AsyncMessage;

use super::client::in_words;
use super::target::Target;
use super::tls::Tls;

/// The name of the words.
pub const CHANNEL: &str = "countersign";
/// How often the connection is looked after, and how long an answer may take.
const BEAT: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);
/// The first and the longest pause before the next attempt.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// The lock of the one with the duties.
const DUTIES: &str = "hashtextextended('countersign duties ' || current_schema(), 0)";

/// What a console is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// What was said in a transaction.
    Word(String),
    /// Words may have been missed: whatever they were, look.
    Everything,
}

/// Listens, and takes the duties when nobody has them, until the console stops.
pub async fn attend(
    target: Target,
    leads: Arc<AtomicBool>,
    told: mpsc::UnboundedSender<Told>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut pause = PAUSE.0;
    loop {
        let listening = async {
            let why = listen(&target, &leads, &told, &mut pause).await;
            leads.store(false, Ordering::Relaxed);
            tracing::warn!(database = %target, %why, "not listening to other consoles");
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        };
        tokio::select! {
            // A console that is gone without a word has stopped too.
            _ = stopping.wait_for(|stop| *stop) => break,
            () = listening => {}
        }
    }
    leads.store(false, Ordering::Relaxed);
}

/// Returns why it does not any more.
async fn listen(
    target: &Target,
    leads: &AtomicBool,
    told: &mpsc::UnboundedSender<Told>,
    pause: &mut Duration,
) -> String {
    let tls = match Tls::new(&target.trust) {
        Ok(tls) => tls,
        Err(why) => return why,
    };
    let (client, mut connection) = match target.config.connect(tls).await {
        Ok(connected) => connected,
        Err(error) => return in_words(&error),
    };
    let (hear, mut heard) = mpsc::unbounded_channel();
    // It ends with the client, or when the server goes; either way `heard` does.
    let driver = tokio::spawn(async move {
        loop {
            match poll_fn(|context| connection.poll_message(context)).await {
                Some(Ok(AsyncMessage::Notification(said))) => {
                    if hear.send(said.payload().to_owned()).is_err() {
                        return "the console stopped".to_owned();
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return in_words(&error),
                None => return "the connection was closed".to_owned(),
            }
        }
    });
    if let Err(error) = client.batch_execute(&format!("LISTEN {CHANNEL}")).await {
        return in_words(&error);
    }
    *pause = PAUSE.0;
    // Nobody is left to be told when this fails: the console stops.
    let _ = told.send(Told::Everything);
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            word = heard.recv() => match word {
                Some(word) => drop(told.send(Told::Word(word))),
                None => return driver.await.unwrap_or_else(|error| error.to_string()),
            },
            _ = beat.tick() => {
                let sql = match leads.load(Ordering::Relaxed) {
                    true => "SELECT true".to_owned(),
                    false => format!("SELECT pg_try_advisory_lock({DUTIES})"),
                };
                match timeout(PATIENCE, client.query_one(&sql, &[])).await {
                    Ok(Ok(row)) => {
                        let has: bool = row.get(0);
                        if has && !leads.swap(true, Ordering::Relaxed) {
                            tracing::info!(database = %target, "this console has the duties now");
                        }
                    }
                    Ok(Err(error)) => return in_words(&error),
                    Err(_) => return format!("no answer within {PATIENCE:?}"),
                }
            }
        }
    }
}

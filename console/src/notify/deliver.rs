//! Sending what waits: beside everything else, so that no request and no reviewer waits for a chat.

use std::time::Duration;

use tokio::task::JoinSet;

use super::outbox::{self, Notice};
use super::{Message, chat, mail};
use crate::client::agent;
use crate::settings::{Channel, SecretFrom};
use crate::store::StoreError;
use crate::web::App;

/// How often is looked for what is due.
const LOOK: Duration = Duration::from_millis(500);
/// One attempt takes at most this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends until the console stops.
pub async fn run(app: App) {
    let mut stopping = app.stopping.clone();
    loop {
        match round(&app).await {
            Ok(0) => {
                tokio::select! {
                    () = tokio::time::sleep(LOOK) => {}
                    _ = stopping.wait_for(|stop| *stop) => return,
                }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!(%error, "notices could not be sent");
                tokio::time::sleep(LOOK).await;
            }
        }
        if *stopping.borrow() {
            return;
        }
    }
}

/// Hands out new steps and tries what is due, all of it at once. Returns how many were tried.
pub async fn round(app: &App) -> Result<usize, StoreError> {
    let (settings, now) = (app.settings(), app.clock.now());
    // Nothing to do is the rule: it costs a read, not a commit.
    let due = app.store.read(move |c| is_due(c, now)).await?;
    if !due {
        return Ok(0);
    }
    let notices = app
        .store
        .write(move |c| {
            outbox::expand(c, now, &settings)?;
            outbox::take(c, now, &settings)
        })
        .await?;
    let mut sending = JoinSet::new();
    let count = notices.len();
    for notice in notices {
        let (app, now) = (app.clone(), now);
        sending.spawn(async move {
            let told = tell(&app, &notice, now).await;
            if let Err(why) = &told {
                tracing::warn!(channel = notice.channel, %why, "a notice was not taken");
            }
            let at = app.clock.now();
            app.store
                .write(move |c| {
                    outbox::settle(
                        c,
                        at,
                        &notice,
                        told.as_ref().copied().map_err(String::as_str),
                    )
                })
                .await
        });
    }
    while let Some(settled) = sending.join_next().await {
        match settled {
            Ok(result) => result?,
            Err(error) => tracing::error!(%error, "a notice was not settled"),
        }
    }
    if count > 0 {
        app.announce();
    }
    Ok(count)
}

fn is_due(c: &crate::store::sql::Connection, now: i64) -> Result<bool, StoreError> {
    Ok(c.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM notices WHERE state IN ('new', 'waiting') AND next_at <= ?1)",
    )?
    .query_row([now], |row| row.get(0))?)
}

async fn tell(app: &App, notice: &Notice, now: i64) -> Result<(), String> {
    let settings = app.settings();
    let mut channels = settings.notify.iter();
    let channel = channels
        .find(|one| one.name == notice.channel)
        .cloned()
        .ok_or("the channel is not in the settings")?;
    let link = app.page(&format!("/approvals/{}", notice.approval.id));
    let message = Message::new(&notice.id, &notice.approval, &notice.step, notice.at, link);
    let reviewers = notice.reviewers.clone();
    let sent = tokio::task::spawn_blocking(move || send(&channel, &message, &reviewers, now));
    sent.await.map_err(|error| error.to_string())?
}

fn send(
    channel: &Channel,
    message: &Message,
    reviewers: &[String],
    now: i64,
) -> Result<(), String> {
    let held = |secret: &SecretFrom| {
        let value = secret.value.as_ref().map(|value| value.expose().to_owned());
        value.ok_or_else(|| format!("{} is not set", secret.env))
    };
    if let Some(address) = &channel.slack {
        let body = chat::slack(message).to_string();
        return post(&held(address)?, &body, &[], None);
    }
    if let Some(address) = &channel.teams {
        let body = chat::teams(message).to_string();
        return post(&held(address)?, &body, &[], None);
    }
    if let Some(webhook) = &channel.webhook {
        let body = message.to_json().to_string();
        let seconds = now.div_euclid(1000);
        let headers = chat::signed(&held(&webhook.key)?, &message.id, seconds, &body)?;
        return post(&webhook.url, &body, &headers, webhook.ca.as_deref());
    }
    match &channel.email {
        Some(email) => {
            let reviewers = if email.reviewers { reviewers } else { &[] };
            mail::send(email, message, reviewers)
        }
        None => Err("the channel is of no kind".to_owned()),
    }
}

/// Anything but a 2xx is a failure; a redirect is not followed.
fn post(
    address: &str,
    body: &str,
    headers: &[(&'static str, String)],
    ca: Option<&std::path::Path>,
) -> Result<(), String> {
    // The address may be a secret: it is in no error.
    let without = |text: String| text.replace(address, "the address");
    let agent = agent(PATIENCE, ca).map_err(|error| without(error.to_string()))?;
    let mut request = agent.post(address).content_type("application/json");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let answer = request
        .send(body)
        .map_err(|error| without(error.to_string()))?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => Err(format!("status {status}")),
    }
}

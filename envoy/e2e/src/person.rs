//! A person with a browser or a script at the console.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::curl::{Answer, Curl};
use crate::wait::eventually;

/// Somebody who may sign in.
#[derive(Clone, Debug)]
pub struct Person {
    console: String,
    secret: String,
}

impl Person {
    /// From the link that `countersign user add` printed.
    ///
    /// # Errors
    /// When there is no link in it.
    pub fn from_link(console: &str, printed: &str) -> Result<Self> {
        let (_, secret) = printed
            .split_once("/sign-in#")
            .with_context(|| format!("no sign-in link: {printed}"))?;
        let secret = secret.split_whitespace().next().unwrap_or_default();
        Ok(Person {
            console: console.to_owned(),
            secret: secret.to_owned(),
        })
    }

    /// Waits for an open question for which `which` holds, with somebody waiting for its answer.
    ///
    /// # Errors
    /// When none comes.
    pub fn asked(&self, what: &str, which: impl Fn(&Value) -> bool) -> Result<Value> {
        eventually(what, || {
            let open = self.get("/api/v1/approvals?state=pending").ok()?;
            let open = open["approvals"].as_array()?.clone();
            let live = |a: &Value| a["waiting"].as_u64() > Some(0) || a["waiting"] == true;
            open.into_iter().find(|a| live(a) && which(a))
        })
    }

    /// Approves.
    ///
    /// # Errors
    /// When the console refuses.
    pub fn approve(&self, approval: &Value) -> Result<()> {
        let answer = self.decide(approval, "approve", "looks right")?;
        ensure!(answer.status == 200, "not approved: {}", answer.text());
        Ok(())
    }

    /// Refuses with a reason.
    ///
    /// # Errors
    /// When the console does not take the answer.
    pub fn refuse(&self, approval: &Value, why: &str) -> Result<()> {
        let answer = self.decide(approval, "refuse", why)?;
        ensure!(answer.status == 200, "not refused: {}", answer.text());
        Ok(())
    }

    /// Sends an answer and returns what the console said to it.
    ///
    /// # Errors
    /// When the console cannot be asked.
    pub fn decide(&self, approval: &Value, verb: &str, why: &str) -> Result<Answer> {
        let id = approval["id"].as_str().context("an approval has an id")?;
        let url = format!("{}/api/v1/approvals/{id}/{verb}", self.console);
        let body = json!({ "reason": why });
        Curl::new("POST", &url)
            .bearer(&self.secret)
            .json(&body)
            .run()
    }

    /// A JSON document of the console.
    ///
    /// # Errors
    /// When the console does not give it.
    pub fn get(&self, path: &str) -> Result<Value> {
        let answer = Curl::get(&format!("{}{path}", self.console))
            .bearer(&self.secret)
            .run()?;
        ensure!(
            answer.status == 200,
            "{path}: {} {}",
            answer.status,
            answer.text()
        );
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// Waits for the record of the exchange whose caller called itself `agent`, outcome included.
    ///
    /// # Errors
    /// When none comes.
    pub fn record_of(&self, agent: &str) -> Result<Value> {
        eventually(&format!("the record of {agent}"), || {
            self.records_of(agent)
                .ok()?
                .into_iter()
                .find(|e| !e["outcome"].is_null())
        })
    }

    /// The exchanges of an identity, once at least `count` of them have ended.
    ///
    /// # Errors
    /// When there are never as many.
    pub fn exchanges_of(&self, subject: &str, count: usize) -> Result<Vec<Value>> {
        eventually(&format!("{count} exchanges of {subject}"), || {
            let list = self
                .get(&format!("/api/v1/exchanges?limit=500&user={subject}"))
                .ok()?;
            let list = list["exchanges"].as_array()?.clone();
            let ended = list.iter().filter(|e| e["has_outcome"] == true).count();
            (ended >= count && ended == list.len()).then_some(list)
        })
    }

    /// Every exchange whose caller called itself `agent`, with its records.
    ///
    /// # Errors
    /// When the console does not answer.
    pub fn records_of(&self, agent: &str) -> Result<Vec<Value>> {
        let list = self.get("/api/v1/exchanges?limit=500")?;
        let list = list["exchanges"].as_array().context("no list")?;
        let mut found = Vec::new();
        for summary in list {
            let id = summary["exchange"].as_str().context("no exchange id")?;
            let exchange = self.get(&format!("/api/v1/exchanges/{id}"))?;
            let named = |half: &str| exchange[half]["user_agent.original"] == agent;
            if named("request") || named("outcome") {
                found.push(exchange);
            }
        }
        Ok(found)
    }

    /// A page as the browser shows it, signed in by the form.
    ///
    /// # Errors
    /// When the console refuses the secret or the page.
    pub fn page(&self, path: &str) -> Result<String> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(60)))
            .max_redirects(0)
            .build()
            .into();
        let signed_in = agent
            .post(format!("{}/sign-in", self.console))
            .send_form([("secret", self.secret.as_str()), ("next", path)])?;
        let cookie = signed_in.headers().get("set-cookie");
        let cookie = cookie
            .context("no session after signing in")?
            .to_str()?
            .to_owned();
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        let mut page = agent
            .get(format!("{}{path}", self.console))
            .header("cookie", &cookie)
            .call()?;
        ensure!(page.status() == 200, "{path}: {}", page.status());
        Ok(page.body_mut().read_to_string()?)
    }
}

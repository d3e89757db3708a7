//! What remains of an exchange: its records and its line in Envoy's access log.

use std::rc::Rc;

use serde::Serialize;

use super::{Phase, Stream};
use crate::effect::{Effect, Now};
use crate::ext_authz::Change;
use crate::head::Headers;
use crate::mask::{Format, MaskSet, mask_whole};
use crate::record::{Kind, Record};
use crate::worker::Worker;

/// Headers by which clients name their session, most telling first.
const SESSION_HEADERS: &[&str] = &["x-client-session-id", "vscode-sessionid", "mcp-session-id"];

/// What Envoy knows of an exchange when it ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Status that the caller got; `None` if none was sent.
    pub status: Option<u16>,
    /// `response.code_details`: which part of Envoy answered, and why.
    pub details: String,
    /// `response.flags`, as Envoy's bit set.
    pub flags: u64,
}

/// The line in the access log.
#[derive(Serialize)]
struct Summary<'a> {
    exchange: &'a str,
    decision: &'static str,
    reason: Option<&'static str>,
    rule: Option<&'a str>,
    user: Option<&'a str>,
    connection: Option<&'a str>,
    operations: Vec<&'a str>,
    end: &'static str,
}

impl Stream {
    /// The session that the client names.
    pub(super) fn session(&self) -> Option<&str> {
        let claimed = self.identity().and_then(|i| i.session.as_deref());
        claimed.or_else(|| {
            SESSION_HEADERS
                .iter()
                .find_map(|name| self.head.headers.text(name))
        })
    }

    /// Ends the exchange: outcome record and access-log line.
    pub(super) fn close(&mut self, worker: &mut Worker, ended: &Ended, now: Now) {
        self.note_response_masks();
        self.response.status = self.response.status.or(ended.status);
        let how = self.how_it_ended();
        let mut record = self.record(Kind::Outcome, now);
        if let Some(status) = self.response.status {
            record.number("http.response.status_code", u64::from(status));
        }
        record.number("http.response.body.size", self.response.size);
        for (name, values) in &self.response.headers {
            record.texts(&format!("http.response.header.{name}"), values);
        }
        if let (Some(released), true) = (self.released, self.response.started) {
            record.number(
                "countersign.upstream.duration_us",
                now.0.saturating_sub(released.0) / 1_000,
            );
        }
        record.body("response", &self.response.captured);
        record.texts("countersign.tools.hidden", self.hidden_tools());
        record.chunks(&self.response.chunks);
        record.number(
            "countersign.duration_us",
            now.0.saturating_sub(self.started.0) / 1_000,
        );
        record.text("countersign.end", how);
        record.text("countersign.response.details", &ended.details);
        if ended.flags != 0 {
            record.text("countersign.response.flags", &format!("{:#x}", ended.flags));
        }
        // A loss is counted by the queue and shows in the ledger as a gap.
        let _ = worker.submit(record, None);
        let line = self.summary(how);
        self.effects.push(Effect::Summary(line));
    }

    /// A record of this exchange as far as it is known.
    pub(super) fn record(&self, kind: Kind, now: Now) -> Record {
        let mut record = Record::new(kind, now);
        let outcome = &self.outcome;
        record.text("countersign.exchange.id", &self.exchange);
        record.text("countersign.policy.digest", &self.policy.digest);
        record.text("countersign.mode", self.policy.mode.code());
        record.text("countersign.session.id", self.session().unwrap_or_default());
        if let Some(identity) = self.identity() {
            record.text("user.id", &identity.subject);
            record.text("user.email", identity.email.as_deref().unwrap_or_default());
            record.text("countersign.identity.provider", &identity.provider);
            record.texts("countersign.identity.groups", &identity.groups);
            record.text(
                "countersign.identity.token_id",
                identity.token_id.as_deref().unwrap_or_default(),
            );
        }
        record.text("client.address", &self.client);
        record.text(
            "user_agent.original",
            self.head.headers.text("user-agent").unwrap_or_default(),
        );
        record.text(
            "countersign.connection",
            self.connection().map_or("", |c| c.name.as_str()),
        );
        record.text("http.request.method", &self.head.method);
        record.text("url.full", &self.url());
        record.text("server.address", &self.head.host());
        record.operations(&self.operations);
        record.text(
            "gen_ai.request.model",
            self.model.as_deref().unwrap_or_default(),
        );
        record.text("countersign.decision", outcome.decision.code());
        record.text(
            "countersign.reason",
            outcome.reason.map_or("", |r| r.code()),
        );
        record.text("countersign.reason.detail", &outcome.detail);
        record.text(
            "countersign.rule",
            outcome.rule.as_deref().unwrap_or_default(),
        );
        if let Some(hold) = &self.hold {
            record.text("countersign.approval.id", &hold.given.id);
            record.text("countersign.approval.by", &hold.given.by);
            record.text("countersign.approval.at", &hold.given.at);
            let changes = hold.request_changes.iter().map(Change::words);
            record.texts("countersign.approval.changes", &changes.collect::<Vec<_>>());
        }
        record.number("http.request.body.size", self.body_size as u64);
        // The request record has it already; the outcome need not repeat it.
        if kind == Kind::Request || !self.request_recorded {
            record.body("request", &self.captured);
            let set = self.policy.masking.request.as_ref();
            for (name, values) in self.kept_headers(&self.head.headers, set) {
                record.texts(&format!("http.request.header.{name}"), &values);
            }
        }
        record.texts("countersign.not_captured", &self.not_captured);
        record.masks(&self.masks);
        record
    }

    /// The headers that the policy keeps, masked like the body that they belong to.
    pub(super) fn kept_headers(
        &self,
        headers: &Headers,
        set: Option<&Rc<MaskSet>>,
    ) -> Vec<(String, Vec<String>)> {
        let set = set.unwrap_or(&self.policy.masking.none);
        let echo = self.echo();
        let kept = |value: &[u8]| {
            let masked = mask_whole(set, echo.as_ref(), Format::Text, value);
            String::from_utf8_lossy(&masked.body).into_owned()
        };
        // A header that this policy reads tokens from is none of them, whatever it is called.
        let is_no_token = |name: &&String| {
            let tokens = self.policy.token_locations.iter();
            !tokens.map(|l| &l.header).any(|header| header == *name)
        };
        let names = self.policy.audit.capture_headers.iter().filter(is_no_token);
        names
            .map(|name| (name.clone(), headers.all(name).map(kept).collect()))
            .collect()
    }

    /// URL as sent, with secrets in its query masked.
    fn url(&self) -> String {
        let url = format!(
            "{}://{}{}",
            self.head.scheme, self.head.authority, self.head.path
        );
        let Some(set) = &self.policy.masking.request else {
            return url;
        };
        let masked = crate::mask::mask_whole(set, None, crate::mask::Format::Text, url.as_bytes());
        match masked.findings.is_empty() {
            true => url,
            false => String::from_utf8_lossy(&masked.body).into_owned(),
        }
    }

    fn how_it_ended(&self) -> &'static str {
        match (&self.phase, self.response.started, self.response.ended) {
            (Phase::Replied | Phase::Drain(_), _, _) => "refused",
            (Phase::Answer(_), _, _) => "client_gone",
            (_, _, true) => "complete",
            (Phase::Released, true, false) => "cut",
            (_, _, false) => "client_gone",
        }
    }

    fn summary(&self, how: &'static str) -> String {
        let operations: Vec<&str> = self
            .operations
            .iter()
            .take(3)
            .map(|o| o.name.as_str())
            .collect();
        let summary = Summary {
            exchange: &self.exchange,
            decision: self.outcome.decision.code(),
            reason: self.outcome.reason.map(|r| r.code()),
            rule: self.outcome.rule.as_deref(),
            user: self.identity().map(|i| i.subject.as_str()),
            connection: self.connection().map(|c| c.name.as_str()),
            operations,
            end: how,
        };
        // Nothing in it refuses to be written.
        serde_json::to_string(&summary).unwrap_or_default()
    }
}

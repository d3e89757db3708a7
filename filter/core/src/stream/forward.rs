//! The ways out of the gateway: let go, or refused.

use super::{AfterRecord, Phase, Stream};
use crate::denial::{Denial, DenialStyle, Reply, TicketInfo, render};
use crate::effect::{Counter, Effect, Histogram, Now};
use crate::ext_authz::Refusal;
use crate::policy::{Action, Credential, Delivery, Mode};
use crate::reason::{Class, Reason};
use crate::record::{Decision, Kind, Record};
use crate::worker::Worker;

/// Headers by which a caller could show credentials of its own beside the injected one.
const CALLER_CREDENTIALS: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "cookie",
    "api-key",
    "x-api-key",
    "private-token",
];

/// Headers by which a caller could speak as the gateway, as Envoy (whose router retries a write when
/// `x-envoy-retry-on` says so), or as a proxy that tells the upstream another host or path than was
/// judged. What Envoy itself says of the client is removed by its route.
fn is_ours_to_say(name: &str) -> bool {
    const ENVOY: [&str; 4] = [
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-envoy-external-address",
        "x-envoy-internal",
    ];
    const ROUTING: [&str; 4] = ["forwarded", "x-host", "x-original-host", "x-original-uri"];
    let spoken_for = ["x-envoy-", "x-forwarded-"]
        .iter()
        .any(|prefix| name.starts_with(prefix));
    name.starts_with("x-countersign-")
        || (spoken_for && !ENVOY.contains(&name))
        || ROUTING.contains(&name)
}

/// What a caller without a token is asked to sign in to.
const REALM: &str = "countersign";

impl Stream {
    /// Lets the request go on, in strict mode once its record is durable.
    pub(super) fn forward(&mut self, worker: &mut Worker, decision: Decision, now: Now) {
        self.outcome.decision = decision;
        match self.policy.audit.delivery {
            Delivery::Strict => {
                let record = self.record(Kind::Request, now);
                self.await_record(worker, record, AfterRecord::Release, now);
            }
            Delivery::BestEffort => self.release(now),
        }
    }

    /// Hands the record to the worker and waits until it is durable.
    pub(super) fn await_record(
        &mut self,
        worker: &mut Worker,
        record: Record,
        next: AfterRecord,
        now: Now,
    ) {
        if worker.submit(record, Some(self.id)).is_err() {
            return self.refuse_hard(Reason::AuditUnavailable, "the audit queue is full", now);
        }
        self.request_recorded = true;
        self.phase = Phase::Record(next);
        let at = now.after_ms(self.policy.audit.timeout_ms);
        self.deadline = Some(at);
        worker.wake_at(at, self.id);
    }

    /// The record is durable.
    pub(super) fn on_recorded(&mut self, worker: &mut Worker, next: AfterRecord, now: Now) {
        if let Some(at) = self.deadline.take() {
            worker.cancel_wake(at, self.id);
        }
        match next {
            AfterRecord::Ask => self.ask(worker, now),
            AfterRecord::Release => self.release(now),
        }
    }

    /// Changes the request into what the upstream may see, and lets it go. Nothing of it changes
    /// afterwards.
    pub(super) fn release(&mut self, now: Now) {
        self.deadline = None;
        self.released = Some(now);
        self.change_request();
        self.edit_request();
        if let Some(body) = self.replacement.take() {
            self.effects.push(Effect::SetRequestHeader(
                "content-length".to_owned(),
                body.len().to_string().into_bytes(),
            ));
            self.effects.push(Effect::ReplaceRequestBody(body));
        }
        self.body = Vec::new();
        let counter = match self.outcome.decision {
            Decision::Observed => Counter::Observed,
            Decision::Unfinished
            | Decision::Allowed
            | Decision::Denied
            | Decision::Held
            | Decision::HeldApproved
            | Decision::HeldRefused
            | Decision::HeldExpired
            | Decision::UndecidedDenied
            | Decision::UndecidedAllowed => Counter::Allowed,
        };
        self.effects.push(Effect::Count(counter, 1));
        self.effects.push(Effect::Observe(
            Histogram::VerdictMs,
            now.millis_since(self.started),
        ));
        self.phase = Phase::Released;
    }

    /// What the approval service changes of the request; the gateway's own changes come after it.
    fn change_request(&mut self) {
        let Some(hold) = self.hold.as_ref().filter(|h| !h.request_changes.is_empty()) else {
            return;
        };
        let mut headers = self.head.headers.clone();
        for change in &hold.request_changes {
            let Some(value) = change.applied(&headers) else {
                continue;
            };
            let name = change.name.clone();
            headers.set(&name, value.as_deref());
            self.effects.push(match value {
                Some(value) => Effect::SetRequestHeader(name, value),
                None => Effect::RemoveRequestHeader(name),
            });
        }
        self.head.headers = headers;
    }

    fn edit_request(&mut self) {
        let mut remove: Vec<String> = Vec::new();
        let mut set: Vec<(String, Vec<u8>)> = Vec::new();
        if let Some(caller) = &self.caller {
            remove.extend(caller.headers.iter().cloned());
            // Without a verified caller (observe mode) nothing is injected.
            if let Some(Credential::Inject { header, value, .. }) =
                self.connection().map(|c| &c.credential)
            {
                remove.extend(CALLER_CREDENTIALS.iter().map(|n| (*n).to_owned()));
                remove.extend(self.policy.token_locations.iter().map(|l| l.header.clone()));
                set.push((header.clone(), value.expose().as_bytes().to_vec()));
            }
        }
        let names = self.head.headers.iter().map(|(n, _)| n);
        remove.extend(names.filter(|n| is_ours_to_say(n)).map(str::to_owned));
        if self.connection().is_some_and(|c| c.mcp.read_only) {
            set.push(("x-mcp-readonly".to_owned(), b"true".to_vec()));
        }
        if self.reads_response() {
            // Asking for plain bytes is cheaper than decoding, and part of a body can not be masked.
            remove.extend(["range", "if-range", "te"].map(str::to_owned));
            set.push(("accept-encoding".to_owned(), b"identity".to_vec()));
        }
        let overwritten = |name: &String| set.iter().any(|(n, _)| n == name);
        remove.retain(|name| self.head.headers.contains(name) && !overwritten(name));
        remove.sort();
        remove.dedup();
        self.effects
            .extend(remove.into_iter().map(Effect::RemoveRequestHeader));
        self.effects
            .extend(set.into_iter().map(|(n, v)| Effect::SetRequestHeader(n, v)));
    }

    /// What could not be decided: the policy's own answer for it, "no" unless it says otherwise.
    pub(super) fn undecided(
        &mut self,
        worker: &mut Worker,
        reason: Reason,
        detail: &str,
        now: Now,
    ) {
        // An open answer needs a caller: what is not identified is never let through by it.
        if self.policy.undecided_action(reason) == Action::Allow && self.caller.is_some() {
            self.outcome.reason = Some(reason);
            self.outcome.detail = detail.to_owned();
            self.mask_request = false;
            return self.forward(worker, Decision::UndecidedAllowed, now);
        }
        self.refuse(worker, reason, detail, now);
    }

    /// Refuses, with the rule's text or the reason's own.
    pub(super) fn refuse(&mut self, worker: &mut Worker, reason: Reason, detail: &str, now: Now) {
        let rule = self.outcome.rule.as_deref();
        let rule = rule.and_then(|name| self.policy.rules.iter().find(|r| r.name == name));
        // What else stood in the way of a rule's request has words of its own.
        let text = match reason == Reason::RuleDenied {
            true => rule.and_then(|r| r.reason.clone()).unwrap_or_default(),
            false => String::new(),
        };
        self.refuse_with(worker, reason, detail, &text, None, now);
    }

    /// Refuses with a text; in observe mode the request goes on instead, and the record says what
    /// would have happened.
    pub(super) fn refuse_with(
        &mut self,
        worker: &mut Worker,
        reason: Reason,
        detail: &str,
        text: &str,
        ticket: Option<TicketInfo>,
        now: Now,
    ) {
        self.outcome.reason = Some(reason);
        self.outcome.detail = detail.to_owned();
        self.outcome.decision = decision(reason);
        if self.policy.mode == Mode::Observe && self.observable(reason) {
            return self.forward(worker, Decision::Observed, now);
        }
        let reply = self.denial(reason, detail, text, ticket);
        self.answer(reason, reply, now);
    }

    /// Refuses in the words of the approval service, where its caller reads plain HTTP; other protocols
    /// get its reason in their own form.
    pub(super) fn refuse_as_worded(
        &mut self,
        worker: &mut Worker,
        text: &str,
        refusal: &Refusal,
        now: Now,
    ) {
        let reason = Reason::ApprovalRefused;
        match self.style {
            DenialStyle::Plain | DenialStyle::GitHubRest => {}
            DenialStyle::GraphQl
            | DenialStyle::GitInfoRefs
            | DenialStyle::GitReceivePack { .. }
            | DenialStyle::OpenAi
            | DenialStyle::Mcp { .. } => {
                return self.refuse_with(worker, reason, "", text, None, now);
            }
        }
        self.outcome.reason = Some(reason);
        self.outcome.detail = String::new();
        self.outcome.decision = decision(reason);
        let mut reply = self.denial(reason, "", text, None);
        reply.status = refusal.status;
        if !refusal.body.is_empty() {
            reply.body.clone_from(&refusal.body);
            reply.headers.retain(|(name, _)| name != "content-type");
        }
        let passed = refusal.passed_on();
        let passed = passed.map(|(name, value)| (name.to_owned().into(), value.to_owned()));
        reply.headers.extend(passed.collect::<Vec<_>>());
        self.answer(reason, reply, now);
    }

    /// Refuses whatever the mode: the gateway itself can not go on.
    pub(super) fn refuse_hard(&mut self, reason: Reason, detail: &str, now: Now) {
        self.outcome.reason = Some(reason);
        self.outcome.detail = detail.to_owned();
        self.outcome.decision = decision(reason);
        let reply = self.denial(reason, detail, "", None);
        self.answer(reason, reply, now);
    }

    pub(super) fn denial(
        &self,
        reason: Reason,
        detail: &str,
        text: &str,
        ticket: Option<TicketInfo>,
    ) -> Reply {
        render(
            &self.style,
            &Denial {
                reason,
                rule: self
                    .outcome
                    .rule
                    .as_deref()
                    .filter(|_| decided_by_rule(reason)),
                text,
                // A detail that only repeats the reason is noise to the reader.
                detail: Some(detail).filter(|d| !d.is_empty() && *d != reason.code()),
                exchange: &self.exchange,
                ticket,
                realm: REALM,
            },
        )
    }

    fn answer(&mut self, reason: Reason, reply: Reply, now: Now) {
        self.deadline = None;
        self.body = Vec::new();
        self.effects
            .push(Effect::Count(Counter::Refused(reason), 1));
        self.effects.push(Effect::Observe(
            Histogram::VerdictMs,
            now.millis_since(self.started),
        ));
        // git sends its whole pack before it reads an answer of status 200.
        let pushing =
            matches!(self.style, DenialStyle::GitReceivePack { .. }) && reply.status == 200;
        if pushing && !self.body_ended {
            self.drop_body();
            self.phase = Phase::Drain(reply);
        } else {
            self.reply(reply);
        }
    }

    /// Drops what came of a refused body; at its end the answer goes out.
    pub(super) fn drain(&mut self) {
        self.drop_body();
        self.end_drain();
    }

    /// Gives the answer once a refused body has ended. (With trailers there is no new piece to drop.)
    pub(super) fn end_drain(&mut self) {
        if self.body_ended
            && let Phase::Drain(reply) = std::mem::replace(&mut self.phase, Phase::Replied)
        {
            self.reply(reply);
        }
    }

    /// Empties Envoy's buffer. Before the first piece there is none, and Envoy refuses to empty it.
    fn drop_body(&mut self) {
        if self.body_size > 0 {
            self.effects.push(Effect::ReplaceRequestBody(Vec::new()));
        }
    }

    fn reply(&mut self, reply: Reply) {
        self.response.status = Some(reply.status);
        self.effects.push(Effect::Reply(reply));
        self.phase = Phase::Replied;
    }

    /// Observe mode lets through whatever a policy could decide; what makes the exchange itself
    /// impossible is still refused.
    fn observable(&self, reason: Reason) -> bool {
        match reason {
            Reason::AuditUnavailable
            | Reason::HeaderPauseMissing
            | Reason::HostFault
            | Reason::ConnectionUnknown
            | Reason::UpgradeRefused => false,
            Reason::TokenMissing
            | Reason::TokenInvalid
            | Reason::TokenAmbiguous
            | Reason::IdentityRevoked
            | Reason::KeysUnavailable
            | Reason::PathAmbiguous
            | Reason::HeaderAmbiguous
            | Reason::BodyTooLarge
            | Reason::BodyEncoding
            | Reason::BodyUnreadable
            | Reason::MethodRefused
            | Reason::UnknownWrite
            | Reason::UnknownRead
            | Reason::RuleDenied
            | Reason::DefaultDenied
            | Reason::SecretInRequest
            | Reason::ApprovalRefused
            | Reason::ApprovalPending
            | Reason::ApprovalSuperseded
            | Reason::PolicyChanged
            | Reason::ApprovalLimit
            | Reason::ApprovalUnavailable
            | Reason::ResponseEncoding
            | Reason::AnswerUnreadable => true,
        }
    }
}

fn decision(reason: Reason) -> Decision {
    match (reason, reason.class()) {
        (Reason::ApprovalRefused, _) => Decision::HeldRefused,
        (Reason::ApprovalPending | Reason::ApprovalSuperseded | Reason::PolicyChanged, _) => {
            Decision::HeldExpired
        }
        (_, Class::Denied | Class::Waiting) => Decision::Denied,
        (_, Class::Undecided) => Decision::UndecidedDenied,
    }
}

/// Whether the rule that is on record is what the caller was refused for. (It is also there when a
/// rule allowed the request, and something else then stood in its way.)
fn decided_by_rule(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::RuleDenied
            | Reason::ApprovalRefused
            | Reason::ApprovalPending
            | Reason::ApprovalSuperseded
            | Reason::PolicyChanged
            | Reason::ApprovalLimit
            | Reason::ApprovalUnavailable
    )
}

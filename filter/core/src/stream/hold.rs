//! Holding the live request while a person is asked.

use std::rc::Rc;

use sha2::{Digest, Sha256};

use super::{AfterRecord, AnswerStep, Phase, Stream};
use crate::approval::{self, Answer, Question};
use crate::denial::TicketInfo;
use crate::effect::{CallAnswer, Counter, Effect, Level, Now};
use crate::ext_authz::Change;
use crate::mask::Format;
use crate::patience;
use crate::policy::{Approval, Delivery, Mode};
use crate::reason::Reason;
use crate::record::{Decision, Kind};
use crate::worker::Worker;

/// Pauses between attempts to reach the approval service.
const AGAIN_MS: (u64, u64) = (250, 4_000);

/// A held request.
#[derive(Debug)]
pub(super) struct Hold {
    approval: Approval,
    /// What the rule says to the caller.
    text: String,
    until: Now,
    /// Milliseconds from the beginning to `until`.
    whole_ms: u64,
    attempts: u32,
    fingerprint: String,
    body_sha256: String,
    body_size: usize,
    /// Id, approver, time; as far as they are known.
    pub(super) given: approval::Given,
    /// What the service's yes changes of the request.
    pub(super) request_changes: Vec<Change>,
    /// What it changes of the answer.
    pub(super) response_changes: Vec<Change>,
    /// The answer that waits; the request itself if there is none.
    answer: Option<approval::Shown>,
}

/// An answer that is being collected.
#[derive(Debug)]
pub(super) struct HeldAnswer {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) format: Format,
    pub(super) bytes: Vec<u8>,
}

impl Stream {
    /// Stops the request here until a person has answered.
    pub(super) fn hold(&mut self, worker: &mut Worker, approval: Approval, text: String, now: Now) {
        if self.policy.mode == Mode::Observe {
            self.outcome.reason = Some(Reason::ApprovalPending);
            return self.forward(worker, Decision::Observed, now);
        }
        let body = self.replacement.as_deref().unwrap_or(&self.body);
        let body = (crate::hex(&Sha256::digest(body)), body.len());
        if !self.begin_hold(approval, text, body, None, now) {
            return;
        }
        let record = self.record(Kind::Request, now);
        match self.policy.audit.delivery {
            Delivery::Strict => self.await_record(worker, record, AfterRecord::Ask, now),
            Delivery::BestEffort => {
                // A loss is counted by the queue and does not stop the request.
                let _ = worker.submit(record, None);
                self.request_recorded = true;
                self.ask(worker, now);
            }
        }
    }

    /// Notes what is held, and to which bytes the answer is bound: those of the request, whose body's
    /// digest and size are given, and those of the `answer` if it is that which waits. `false` if
    /// nobody is known to ask for.
    pub(super) fn begin_hold(
        &mut self,
        approval: Approval,
        text: String,
        (body_sha256, body_size): (String, usize),
        answer: Option<approval::Shown>,
        now: Now,
    ) -> bool {
        let (Some(identity), Some(connection)) = (self.identity(), self.connection()) else {
            return false;
        };
        let bound = match &answer {
            None => body_sha256.clone(),
            Some(answer) => format!("answer {body_sha256} {}", answer.sha256),
        };
        let fingerprint = approval::fingerprint(
            identity,
            &connection.name,
            &self.head,
            &bound,
            &self.policy.digest,
        );
        let whole_ms = approval
            .hold_ms
            .unwrap_or_else(|| patience::hold_ms(&self.style, &self.head));
        self.hold = Some(Hold {
            until: now.after_ms(whole_ms),
            whole_ms,
            approval,
            text,
            attempts: 0,
            fingerprint,
            body_size,
            body_sha256,
            given: approval::Given::default(),
            request_changes: Vec::new(),
            response_changes: Vec::new(),
            answer,
        });
        self.outcome.decision = Decision::Held;
        self.effects.push(Effect::Count(Counter::Held, 1));
        true
    }

    /// Asks the approval service, with what is left of the hold.
    pub(super) fn ask(&mut self, worker: &mut Worker, now: Now) {
        let (Some(hold), Some(service)) = (&self.hold, &self.policy.approval_service) else {
            return self.refuse(
                worker,
                Reason::ApprovalUnavailable,
                "no approval service",
                now,
            );
        };
        let (Some(caller), Some(connection)) = (&self.caller, self.connection()) else {
            return;
        };
        let question = Question {
            exchange: &self.exchange,
            fingerprint: &hold.fingerprint,
            identity: &caller.identity,
            session: self.session(),
            connection: &connection.name,
            client: &self.client,
            now_s: now.seconds(),
            head: &self.head,
            body_sha256: &hold.body_sha256,
            body_size: hold.body_size,
            body: &self.captured,
            answer: hold.answer.as_ref(),
            operations: &self.operations,
            rule: self.outcome.rule.as_deref(),
            reason: Some(hold.text.as_str()).filter(|t| !t.is_empty()),
            policy: &self.policy.digest,
            approval: &hold.approval,
            hold_whole_ms: hold.whole_ms,
            hold_ms: hold.until.millis_since(now),
            claims: &service.claims,
            open: self.policy.limits.open_approvals,
        };
        let call = approval::ask(service, &question);
        self.effects.push(Effect::Call(call));
        self.phase = match hold.answer {
            Some(_) => Phase::Answer(AnswerStep::Ask),
            None => Phase::Ask,
        };
    }

    /// Takes the service's answer.
    pub(super) fn on_approval_answer(
        &mut self,
        worker: &mut Worker,
        answer: &CallAnswer,
        now: Now,
    ) {
        let policy = Rc::clone(&self.policy);
        let Some(service) = &policy.approval_service else {
            return;
        };
        match approval::read_answer(service, answer) {
            Answer::Approved {
                given,
                request,
                response,
            } => {
                if let Some(hold) = self.hold.as_mut() {
                    hold.given = given;
                    hold.request_changes = request;
                    hold.response_changes = response;
                }
                self.outcome.decision = Decision::HeldApproved;
                match self.phase {
                    Phase::Answer(_) => {
                        self.effects.push(Effect::ResumeResponse);
                        self.phase = Phase::Released;
                    }
                    _ => self.release(now),
                }
            }
            Answer::Refused {
                text,
                as_worded: Some(refusal),
                ..
            } => self.refuse_as_worded(worker, &text, &refusal, now),
            Answer::Refused { given, text, .. } => {
                self.note_approval(given.clone());
                let text = match (given.by.as_str(), text.as_str()) {
                    ("", "") => String::new(),
                    ("", text) => text.to_owned(),
                    (by, "") => format!("Refused by {by}."),
                    (by, text) => format!("Refused by {by}: {text}"),
                };
                self.refuse_with(worker, Reason::ApprovalRefused, "", &text, None, now);
            }
            Answer::Pending { id, url, expires } => {
                self.note_approval(approval::Given {
                    id: id.clone(),
                    ..Default::default()
                });
                let ticket_s = self.hold.as_ref().map_or(0, |h| h.approval.ticket_s);
                let expires = expires.unwrap_or(now.seconds() + ticket_s);
                let ticket = TicketInfo {
                    id: &id,
                    url: &url,
                    expires,
                };
                self.refuse_with(worker, Reason::ApprovalPending, "", "", Some(ticket), now);
            }
            Answer::Superseded(id) => {
                self.note_approval(approval::Given {
                    id,
                    ..Default::default()
                });
                self.refuse(worker, Reason::ApprovalSuperseded, "", now);
            }
            Answer::PolicyChanged => self.refuse(worker, Reason::PolicyChanged, "", now),
            Answer::Limited => self.refuse(worker, Reason::ApprovalLimit, "", now),
            Answer::Unavailable { why, again } => self.ask_again(worker, &why, again, now),
        }
    }

    /// The service may be restarting: the same question is asked again for as long as the hold lasts.
    fn ask_again(&mut self, worker: &mut Worker, why: &str, again: bool, now: Now) {
        self.effects.push(Effect::Log(
            Level::Warn,
            format!(
                "{}: the approval service could not be asked: {why}",
                self.exchange
            ),
        ));
        let Some(hold) = self.hold.as_mut() else {
            return;
        };
        let pause = AGAIN_MS
            .0
            .saturating_mul(1 << hold.attempts.min(10))
            .min(AGAIN_MS.1);
        hold.attempts = hold.attempts.saturating_add(1);
        let at = now.after_ms(pause);
        if !again || at > hold.until {
            return self.refuse(worker, Reason::ApprovalUnavailable, why, now);
        }
        self.phase = match hold.answer {
            Some(_) => Phase::Answer(AnswerStep::AskAgain),
            None => Phase::AskAgain,
        };
        self.deadline = Some(at);
        worker.wake_at(at, self.id);
    }

    fn note_approval(&mut self, given: approval::Given) {
        if let Some(hold) = self.hold.as_mut() {
            hold.given = given;
        }
    }
}

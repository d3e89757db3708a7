//! Holding an answer until a person has agreed to what it says (`hold: response`).
//!
//! Its head waits in Envoy, its masked bytes here. At its end either no rule asks after all, and it
//! goes on as it is; or somebody is asked, and it waits in Envoy's buffer for the yes. What is
//! delivered is what was shown: the fingerprint covers the answer as well as the request.

use std::rc::Rc;

use sha2::{Digest, Sha256};

use super::hold::HeldAnswer;
use super::{AnswerStep, Phase, Stream, body_format};
use crate::approval;
use crate::effect::{Effect, Now};
use crate::head::ResponseHead;
use crate::mask::Format;
use crate::policy::{self, Approval, Mode};
use crate::protocol::edits;
use crate::reason::Reason;
use crate::record::Captured;
use crate::worker::Worker;

impl Stream {
    /// Notes which rules will look at the answer, and the digest of the request that it answers. A policy
    /// that only observes holds nothing.
    pub(super) fn plan_answer(&mut self, mut rules: Vec<usize>) {
        if self.policy.mode == Mode::Observe {
            rules.clear();
        }
        if !rules.is_empty() {
            let body = self.replacement.as_deref().unwrap_or(&self.body);
            self.request_sha256 = crate::hex(&Sha256::digest(body));
        }
        self.answer_rules = rules;
    }

    /// Begins to hold an answer that rules want to see.
    pub(super) fn hold_answer(&mut self, head: &ResponseHead, format: Format) {
        if self.answer_rules.is_empty() {
            return;
        }
        self.response.held = Some(HeldAnswer {
            status: head.status,
            content_type: head.content_type(),
            format,
            bytes: Vec::new(),
        });
        self.effects
            .push(Effect::RemoveResponseHeader("content-length".to_owned()));
        self.phase = Phase::Answer(AnswerStep::Collect);
    }

    /// Takes bytes that would be delivered now. They wait here, and Envoy's buffer is emptied.
    pub(super) fn keep_answer(&mut self, worker: &mut Worker, bytes: &[u8], end: bool, now: Now) {
        let most = self.policy.limits.held_response;
        let Some(held) = self.response.held.as_mut() else {
            return;
        };
        if held.bytes.len().saturating_add(bytes.len()) > most {
            self.response.held = None;
            return self.refuse_response(Reason::AnswerUnreadable);
        }
        held.bytes.extend_from_slice(bytes);
        if !end {
            self.effects.push(Effect::ReplaceResponseBody(Vec::new()));
            return;
        }
        self.judge_answer(worker, now);
    }

    /// The whole answer is here: whether somebody has to be asked.
    fn judge_answer(&mut self, worker: &mut Worker, now: Now) {
        let Some(held) = self.response.held.take() else {
            return;
        };
        let policy = Rc::clone(&self.policy);
        let mut asking: Option<(&policy::Rule, Approval)> = None;
        let mut named: Vec<String> = Vec::new();
        for rule in self
            .answer_rules
            .iter()
            .filter_map(|i| policy.rules.get(*i))
        {
            let Some(globs) = &rule.answer else { continue };
            let paths = match globs.is_empty() {
                true => Vec::new(),
                false => edits::named(&held.bytes, held.format, globs),
            };
            if !globs.is_empty() && paths.is_empty() {
                continue;
            }
            named.extend(paths);
            // What several rules ask for has to be met for each of them.
            match &mut asking {
                None => asking = Some((rule, rule.approval.clone())),
                Some((_, approval)) => approval.and(&rule.approval),
            }
        }
        named.sort();
        named.dedup();
        self.effects
            .push(Effect::ReplaceResponseBody(held.bytes.clone()));
        let Some((rule, approval)) = asking else {
            self.phase = Phase::Released;
            return;
        };
        self.outcome.rule = Some(rule.name.clone());
        let text = rule.reason.clone().unwrap_or_default();
        self.ask_about(worker, (approval, text), &held, named, now);
    }

    fn ask_about(
        &mut self,
        worker: &mut Worker,
        (approval, text): (Approval, String),
        held: &HeldAnswer,
        paths: Vec<String>,
        now: Now,
    ) {
        let mut body = Captured::default();
        body.add(&held.bytes, approval::SHOWN_BODY);
        let answer = approval::Shown {
            status: held.status,
            content_type: held.content_type.clone(),
            size: held.bytes.len(),
            sha256: crate::hex(&Sha256::digest(&held.bytes)),
            paths,
            body,
        };
        let request = (self.request_sha256.clone(), self.body_size);
        if self.begin_hold(approval, text, request, Some(answer), now) {
            self.ask(worker, now);
        }
    }

    /// The rules that ask about this answer cannot see it.
    pub(super) fn answer_is_unreadable(&mut self, head: &ResponseHead) -> bool {
        !self.answer_rules.is_empty()
            && (head.headers.is_encoded()
                || body_format(&self.policy.masking.types, &head.headers) == Format::Binary)
    }
}

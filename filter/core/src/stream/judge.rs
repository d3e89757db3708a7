//! The body as far as it is needed, the operations it stands for, and the verdict on them.

use std::rc::Rc;

use super::{Phase, Stream, body_format};
use crate::effect::{Counter, Now};
use crate::mask::{Format, MaskSet, mask_whole, written};
use crate::operation::{Operation, Paths};
use crate::path::RequestPath;
use crate::policy::{self, Action, Connection};
use crate::protocol::git::Progress;
use crate::protocol::{self, BodyNeed, Context, Request};
use crate::reason::Reason;
use crate::record::Decision;
use crate::worker::Worker;

impl Stream {
    /// Decides from the head how much of the body has to be read.
    pub(super) fn plan_body(&mut self, connection: &Connection) {
        let Some(path) = &self.path else { return };
        self.need = protocol::body_need(connection.protocol, &self.head, path);
        // An upgrade's body never ends. A pack is neither text nor small: masking and capturing leave it alone.
        let refused = protocol::is_refused_by_head(&self.head, path);
        if !connection.takes(&self.head.method) {
            self.need = BodyNeed::None;
            return;
        }
        if self.body_ended || refused || self.need == BodyNeed::GitCommands {
            return;
        }
        if self.policy.reads_body(connection, &self.head) {
            self.need = BodyNeed::Whole;
        }
        let text = body_format(&self.policy.masking.types, &self.head.headers) != Format::Binary;
        self.mask_request = text && self.policy.masking.request.is_some() && !self.is_spared();
        // An encoded body that nothing has to be read in passes: clients compress their telemetry.
        let unread = self.need == BodyNeed::None && self.head.headers.is_encoded();
        let capture = text && self.policy.audit.capture_request > 0 && !unread;
        if self.mask_request || capture {
            self.need = BodyNeed::Whole;
        } else if self.need == BodyNeed::None {
            self.not_captured
                .push(format!("request_body: {}", self.head.content_type()));
        }
    }

    /// Takes new bytes of a body that has not been judged yet.
    pub(super) fn collect(&mut self, worker: &mut Worker, bytes: &[u8], now: Now) {
        let judging = matches!(self.phase, Phase::Identify | Phase::Collect);
        match self.need {
            BodyNeed::None => self.bound_waiting_body(worker, now),
            BodyNeed::Whole if !judging => {}
            BodyNeed::Whole if self.body_size > self.policy.limits.request_body => {
                let detail = format!("more than {} bytes", self.policy.limits.request_body);
                self.need = BodyNeed::None;
                self.body = Vec::new();
                self.not_captured.push("request_body: too large".to_owned());
                self.undecided(worker, Reason::BodyTooLarge, &detail, now);
            }
            BodyNeed::Whole => self.body.extend_from_slice(bytes),
            BodyNeed::GitCommands if self.commands_done => self.bound_waiting_body(worker, now),
            BodyNeed::GitCommands => {
                self.body.extend_from_slice(bytes);
                match self.commands.feed(bytes) {
                    Progress::NeedMore => {}
                    // An empty list is git's probe, and the whole of its request: what follows is
                    // for `operations` to see.
                    Progress::Done(push) if push.commands.is_empty() => {
                        self.commands_done = self.body.len() > push.consumed;
                    }
                    Progress::Done(push) => {
                        self.commands_done = true;
                        self.body.truncate(push.consumed);
                    }
                    // `operations` reads the same bytes and names the fault.
                    Progress::Fault(_) => self.commands_done = true,
                }
            }
        }
    }

    /// A body that waits in Envoy's buffer must not fill it: Envoy would answer 413, and the caller
    /// would not know why.
    fn bound_waiting_body(&mut self, worker: &mut Worker, now: Now) {
        if self.body_size <= self.policy.limits.waiting_body {
            return;
        }
        match self.phase {
            Phase::Ask | Phase::AskAgain => {
                self.refuse(
                    worker,
                    Reason::ApprovalPending,
                    "too large to be held; send it again once it is approved",
                    now,
                );
            }
            // Sent again, it may find the sink quicker.
            Phase::Record(_) => {
                self.refuse(
                    worker,
                    Reason::AuditUnavailable,
                    "the body outgrew the gateway's buffer before its record was durable",
                    now,
                );
            }
            Phase::Identify | Phase::Collect => {
                self.refuse(
                    worker,
                    Reason::BodyTooLarge,
                    "the body outgrew the gateway's buffer while it waited",
                    now,
                );
            }
            Phase::New | Phase::Drain(_) | Phase::Released | Phase::Answer(_) | Phase::Replied => {}
        }
    }

    /// Reads the operations and decides, once the body is there as far as it is needed.
    pub(super) fn judge(&mut self, worker: &mut Worker, now: Now) {
        let there = match self.need {
            BodyNeed::None => true,
            BodyNeed::Whole => self.body_ended,
            BodyNeed::GitCommands => self.commands_done || self.body_ended,
        };
        if !there || self.places.is_asking() {
            return;
        }
        let policy = Rc::clone(&self.policy);
        let Some(connection) = self.connection.and_then(|i| policy.connections.get(i)) else {
            return;
        };
        let Some(path) = self.path.clone() else {
            return;
        };
        // An upgrade has its own reason, by which Copilot's clients fall back.
        let taken = connection.takes(&self.head.method);
        if !taken && !protocol::is_refused_by_head(&self.head, &path) {
            return self.refuse(worker, Reason::MethodRefused, "", now);
        }
        if self.need == BodyNeed::Whole && !self.body.is_empty() && self.head.headers.is_encoded() {
            return self.undecided(worker, Reason::BodyEncoding, "content-encoding", now);
        }
        if !self.read_operations(worker, connection, &path, now) {
            return;
        }
        if let Some(secrets) = self.mask_body() {
            return self.refuse(worker, Reason::SecretInRequest, &secrets, now);
        }
        let Some(identity) = self.identity() else {
            return;
        };
        let body = self.judged_body(&self.body);
        let request = policy::Request::new(identity, connection, &self.head, body, now.seconds());
        let verdict = policy.judge(&request, &self.operations);
        let looking = policy.answer_rules(&request, &self.operations);
        self.outcome.rule = verdict.rule.map(|r| r.name.clone());
        self.plan_answer(looking);
        match verdict.action {
            Action::Allow => self.forward(worker, Decision::Allowed, now),
            Action::RequireApproval => {
                let approval = verdict.rule.map(|r| r.approval.clone()).unwrap_or_default();
                let text = verdict
                    .rule
                    .and_then(|r| r.reason.clone())
                    .unwrap_or_default();
                self.outcome.detail = verdict.unknown.code().to_owned();
                self.hold(worker, approval, text, now);
            }
            Action::Deny => {
                let reason = match verdict.rule {
                    Some(_) => Reason::RuleDenied,
                    None if verdict.unknown_write => Reason::UnknownWrite,
                    None if verdict.unknown_read => Reason::UnknownRead,
                    None => Reason::DefaultDenied,
                };
                self.refuse(worker, reason, verdict.unknown.code(), now);
            }
        }
    }

    /// `false` if the request could not be read; the exchange has then been dealt with.
    fn read_operations(
        &mut self,
        worker: &mut Worker,
        connection: &Connection,
        path: &RequestPath,
        now: Now,
    ) -> bool {
        let nodes = self.places.nodes();
        let request = Request {
            head: &self.head,
            path,
            body: &self.body,
            context: Context {
                nodes: Some(&nodes),
                ..connection.context()
            },
        };
        match protocol::judge(connection.protocol, &request) {
            Ok(_) if self.asks_places(nodes) => false,
            Ok(judged) => {
                self.operations = judged.operations;
                self.style = judged.style;
                self.model = judged.model;
                self.answer = judged.answer;
                true
            }
            Err(undecided) => {
                self.style = undecided.style;
                self.undecided(worker, undecided.reason, &undecided.detail, now);
                false
            }
        }
    }

    /// Masks the body, and keeps what the record shows of it. The names of the secrets found, if the
    /// policy refuses them.
    fn mask_body(&mut self) -> Option<String> {
        if self.need == BodyNeed::GitCommands {
            self.not_captured.push("request_body: git pack".to_owned());
            return None;
        }
        let mut refused = None;
        let masking = &self.policy.masking;
        if let (true, Some(set)) = (self.mask_request, masking.request.clone()) {
            let policy = Rc::clone(&self.policy);
            let format = body_format(&policy.masking.types, &self.head.headers);
            let masked = mask_whole(&set, None, format, &self.body);
            let found = self.note_masks(&masked.findings, "request", Counter::MaskedRequest);
            self.note_limit("request", masked.fault);
            if found > 0 {
                self.replacement = Some(masked.body);
            }
            let denied = |rule: &str| {
                let listed = policy.masking.denied.iter();
                policy.masking.deny_request
                    || listed.into_iter().any(|d| d == rule || d == "default")
            };
            let rules: Vec<&str> = self.masks.iter().map(|m| m.rule.as_str()).collect();
            if rules.iter().any(|rule| denied(rule)) {
                refused = Some(rules.join(", "));
            } else if let Some(fault) = masked.fault
                && policy.masking.refuse_over_limit
            {
                refused = Some(fault.text().to_owned());
            }
            refused = self.pushed_secrets(&set).or(refused);
        }
        let limit = self.policy.audit.capture_request;
        self.captured
            .add(self.replacement.as_deref().unwrap_or(&self.body), limit);
        refused
    }

    /// The files and rules of secrets that a write would add to a repository, where the policy refuses that.
    fn pushed_secrets(&self, set: &Rc<MaskSet>) -> Option<String> {
        const WRITES: [&str; 6] = [
            "content.write",
            "blob.create",
            "tree.create",
            "commit.create",
            "gist.create",
            "gist.update",
        ];
        let writes = |o: &&Operation| o.write && WRITES.contains(&o.name.as_str());
        let write = self.operations.iter().find(writes)?;
        if !self.policy.masking.deny_pushes {
            return None;
        }
        let found = written(set, &self.body);
        if found.is_empty() {
            return None;
        }
        // The contents API has the file in its address.
        let in_path = match &write.paths {
            Paths::Known(paths) => paths.first().filter(|_| paths.len() == 1),
            Paths::None | Paths::Unknown => None,
        };
        let lines: Vec<String> = found
            .iter()
            .map(|w| match in_path {
                Some(path) if w.file.starts_with('/') => format!("{path}: {}", w.rule),
                _ => format!("{}: {}", w.file, w.rule),
            })
            .collect();
        Some(lines.join(", "))
    }

    /// Whether the policy masks nothing here but the injected credential.
    pub(super) fn is_spared(&self) -> bool {
        let spared = &self.policy.masking.spared;
        let path = self.head.path.split('?').next().unwrap_or_default();
        let by_path = !spared.paths.is_empty() && spared.paths.matches(path);
        by_path
            || self
                .connection()
                .is_some_and(|c| spared.connections.contains(&c.name))
    }
}

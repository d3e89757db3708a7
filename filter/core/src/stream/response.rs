//! The answer: masked as it streams, the injected credential scrubbed, chunks noted.

use std::rc::Rc;

use super::answer::Reader;
use super::hold::HeldAnswer;
use super::{AnswerStep, Phase, Stream, body_format};
use crate::effect::{Counter, Effect, Level, Now};
use crate::head::ResponseHead;
use crate::mask::{Fault, Finding, Format, MaskSet, Scrub, StreamMasker, mask_whole};
use crate::policy::{Action, Credential};
use crate::protocol::github::nodes::Pupil;
use crate::reason::Reason;
use crate::record::{Captured, Chunk, Decision, MaskCount};
use crate::worker::Worker;

/// Chunks whose times a record keeps; later ones are added to the last.
const CHUNKS: usize = 2_000;

/// What is known of the response.
#[derive(Debug, Default)]
pub(super) struct Response {
    /// The response head has been seen.
    pub(super) started: bool,
    /// The whole response has been seen.
    pub(super) ended: bool,
    /// The status that the caller got.
    pub(super) status: Option<u16>,
    /// Bytes of the body as they came.
    pub(super) size: u64,
    pub(super) captured: Captured,
    pub(super) chunks: Vec<Chunk>,
    /// The headers that the policy keeps.
    pub(super) headers: Vec<(String, Vec<String>)>,
    length: Option<u64>,
    capture: bool,
    masker: Option<StreamMasker>,
    pub(super) reader: Option<Reader>,
    pub(super) pupil: Option<Pupil>,
    /// What waits here until all of it is there.
    pub(super) held: Option<HeldAnswer>,
}

impl Response {
    /// Whether its bytes are looked at.
    pub(super) fn is_read(&self) -> bool {
        self.masker.is_some()
            || self.capture
            || self.reader.is_some()
            || self.pupil.is_some()
            || self.held.is_some()
    }
}

impl Stream {
    /// Whether the answer will be read, and must therefore come whole and in plain bytes.
    pub(super) fn reads_response(&self) -> bool {
        self.masks_response() || self.reads_answer() || !self.answer_rules.is_empty()
    }

    fn masks_response(&self) -> bool {
        self.masked_response().is_some() || self.echo().is_some()
    }

    /// The rules for the answer, unless the policy spares it.
    fn masked_response(&self) -> Option<Rc<MaskSet>> {
        let set = self.policy.masking.response.as_ref();
        set.filter(|_| !self.is_spared()).map(Rc::clone)
    }

    /// The head of the answer: what will be done with its body.
    pub(super) fn respond_headers(&mut self, head: ResponseHead, end: bool, _now: Now) {
        self.response.started = true;
        self.response.ended = end;
        if matches!(self.phase, Phase::Replied) {
            return;
        }
        self.response.status = Some(head.status);
        self.change_response(&head);
        self.response.headers =
            self.kept_headers(&head.headers, self.policy.masking.response.as_ref());
        let scrub = self.echo();
        if let Some(scrub) = &scrub {
            self.scrub_headers(&head, scrub);
        }
        if end {
            return;
        }
        let media_type = head.content_type();
        let format = body_format(&self.policy.masking.types, &head.headers);
        let encoded = head.headers.is_encoded();
        if self.answer_is_unreadable(&head) {
            return self.refuse_response(Reason::AnswerUnreadable);
        }
        if format == Format::Binary {
            self.not_captured
                .push(format!("response_body: {media_type}"));
            return;
        }
        if encoded && self.masks_response() {
            self.not_captured
                .push("response_body: content-encoding".to_owned());
            return self.refuse_response(Reason::ResponseEncoding);
        }
        self.hold_answer(&head, format);
        self.response.capture = !encoded && self.policy.audit.capture_response > 0;
        self.response.reader = self.answer_reader(&head, format);
        self.response.pupil = self.pupil(&head);
        if self.masks_response() {
            let set = self
                .masked_response()
                .unwrap_or_else(|| Rc::clone(&self.policy.masking.none));
            let masker = StreamMasker::new(set, scrub, format);
            let chat = self.operations.iter().any(|o| o.name == "chat.completion");
            self.response.masker = Some(match chat && self.masked_response().is_some() {
                true => masker.without_log_probabilities(),
                false => masker,
            });
        }
        self.response.length = head
            .headers
            .text("content-length")
            .and_then(|v| v.trim().parse().ok());
        if self.response.masker.is_some() || self.response.reader.is_some() {
            self.effects
                .push(Effect::RemoveResponseHeader("content-length".to_owned()));
        }
    }

    /// What the approval service changes of the answer.
    fn change_response(&mut self, head: &ResponseHead) {
        let Some(hold) = self
            .hold
            .as_ref()
            .filter(|h| !h.response_changes.is_empty())
        else {
            return;
        };
        let mut headers = head.headers.clone();
        for change in &hold.response_changes {
            let Some(value) = change.applied(&headers) else {
                continue;
            };
            let name = change.name.clone();
            headers.set(&name, value.as_deref());
            self.effects.push(match value {
                Some(value) => Effect::SetResponseHeader(name, value),
                None => Effect::RemoveResponseHeader(name),
            });
        }
    }

    /// A piece of the answer.
    pub(super) fn respond_body(
        &mut self,
        worker: &mut Worker,
        bytes: &[u8],
        size: usize,
        end: bool,
        now: Now,
    ) {
        self.response.ended |= end;
        // While a person is asked, what comes is the end of what is here.
        if matches!(
            self.phase,
            Phase::Replied | Phase::Answer(AnswerStep::Ask | AnswerStep::AskAgain)
        ) {
            return;
        }
        self.response.size += size as u64;
        // With a known length the last byte is known as the last, also when trailers follow it.
        let last = end || self.response.length == Some(self.response.size);
        self.learn(bytes, last, now);
        let narrowed = self.read_answer(bytes, last);
        let whole = bytes;
        let bytes = narrowed.as_deref().unwrap_or(bytes);
        let mut out = Vec::new();
        let shown = match self.response.masker.as_mut() {
            Some(masker) => {
                out.reserve(bytes.len());
                masker.push(bytes, &mut out);
                if last {
                    masker.finish(&mut out);
                }
                out.as_slice()
            }
            None => bytes,
        };
        if self
            .response
            .masker
            .as_ref()
            .is_some_and(StreamMasker::withheld)
        {
            self.note_gap("response_body: log probabilities");
        }
        let fault = self.response.masker.as_ref().and_then(StreamMasker::fault);
        if fault.is_some() && self.policy.masking.refuse_over_limit {
            self.note_limit("response", fault);
            self.effects.push(Effect::ReplaceResponseBody(Vec::new()));
            self.effects.push(Effect::ResetResponse);
            return;
        }
        if self.response.capture && !shown.is_empty() {
            self.response
                .captured
                .add(shown, self.policy.audit.capture_response);
            let chunk = Chunk {
                offset_ms: now.millis_since(self.started),
                size: shown.len() as u64,
            };
            let full = self.response.chunks.len() >= CHUNKS;
            match self.response.chunks.last_mut() {
                Some(last) if full => last.size += chunk.size,
                Some(_) | None => self.response.chunks.push(chunk),
            }
        }
        if self.response.held.is_some() {
            let bytes = match self.response.masker.is_some() {
                true => out,
                false => bytes.to_vec(),
            };
            self.keep_answer(worker, &bytes, last, now);
        } else if self.response.masker.is_some() && out != whole {
            self.effects.push(Effect::ReplaceResponseBody(out));
        } else if self.response.masker.is_none() && bytes != whole {
            self.effects
                .push(Effect::ReplaceResponseBody(bytes.to_vec()));
        }
        if end {
            self.note_response_masks();
        }
    }

    /// Trailers end the answer, and no body can be written any more.
    pub(super) fn respond_trailers(&mut self) {
        self.response.ended = true;
        if matches!(self.phase, Phase::Answer(AnswerStep::Collect)) {
            // Its bytes are here, and can not be put back any more.
            self.response.held = None;
            return self.refuse_response(Reason::AnswerUnreadable);
        }
        let mut held = Vec::new();
        if let Some(masker) = self.response.masker.as_mut() {
            masker.finish(&mut held);
        }
        self.note_response_masks();
        let waiting = held.len() + self.response.reader.as_ref().map_or(0, Reader::held);
        if waiting > 0 {
            // The end of the answer is still here: cutting it off is visible, losing it is not.
            self.effects.push(Effect::Log(
                Level::Warn,
                format!(
                    "{}: trailers came before the last {waiting} bytes were cleared",
                    self.exchange
                ),
            ));
            self.not_captured
                .push("response_body: cut at trailers".to_owned());
            self.effects.push(Effect::ResetResponse);
        }
    }

    /// Adds what the masker found to the record's counts.
    pub(super) fn note_response_masks(&mut self) {
        let Some(masker) = self.response.masker.take() else {
            return;
        };
        self.note_masks(masker.findings(), "response", Counter::MaskedResponse);
        self.note_limit("response", masker.fault());
    }

    /// Notes in the record that a limit of the masker was passed.
    pub(super) fn note_limit(&mut self, direction: &str, fault: Option<Fault>) {
        let Some(fault) = fault else {
            return;
        };
        self.note_gap(&format!("{direction}_body: {}", fault.text()));
    }

    /// Notes once what the record does not have.
    fn note_gap(&mut self, note: &str) {
        if !self.not_captured.iter().any(|known| known == note) {
            self.not_captured.push(note.to_owned());
        }
    }

    /// Adds findings to the record's counts; how many there were.
    pub(super) fn note_masks(
        &mut self,
        findings: &[Finding],
        direction: &'static str,
        counter: Counter,
    ) -> u64 {
        let found = findings.iter().map(|f| u64::from(f.count)).sum();
        self.masks.extend(findings.iter().map(|f| MaskCount {
            rule: f.rule.clone(),
            count: u64::from(f.count),
            direction,
            places: f.places.clone(),
        }));
        if found > 0 {
            self.effects.push(Effect::Count(counter, found));
        }
        found
    }

    /// Takes the credential out of every header. One that comes several times is removed, as is a
    /// cookie: setting it would join or drop the other values.
    fn scrub_headers(&mut self, head: &ResponseHead, scrub: &Rc<Scrub>) {
        let mut names: Vec<&str> = head.headers.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let Some(clean) = head.headers.all(name).find_map(|v| self.scrubbed(scrub, v)) else {
                continue;
            };
            let name = name.to_owned();
            self.effects.push(
                if name == "set-cookie" || head.headers.single(&name).is_err() {
                    Effect::RemoveResponseHeader(name)
                } else {
                    Effect::SetResponseHeader(name, clean)
                },
            );
        }
    }

    /// The value without the credential; `None` if it was not in it.
    fn scrubbed(&self, scrub: &Rc<Scrub>, value: &[u8]) -> Option<Vec<u8>> {
        scrub
            .is_in(value)
            .then(|| mask_whole(&self.policy.masking.none, Some(scrub), Format::Text, value).body)
    }

    /// The injected credential, to be found in answers.
    pub(super) fn echo(&self) -> Option<Rc<Scrub>> {
        self.caller.as_ref()?;
        match &self.connection()?.credential {
            Credential::Inject { echo, .. } => Some(Rc::clone(echo)),
            Credential::Passthrough => None,
        }
    }

    pub(super) fn refuse_response(&mut self, reason: Reason) {
        self.outcome.reason = Some(reason);
        let open = self.policy.undecided_action(reason) == Action::Allow
            || self.policy.mode == crate::policy::Mode::Observe;
        if open {
            self.outcome.decision = Decision::UndecidedAllowed;
            return;
        }
        self.outcome.decision = Decision::UndecidedDenied;
        self.effects
            .push(Effect::Count(Counter::Refused(reason), 1));
        let reply = self.denial(reason, "", "", None);
        self.response.status = Some(reply.status);
        self.effects.push(Effect::Reply(reply));
        self.phase = Phase::Replied;
    }
}

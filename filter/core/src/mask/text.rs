//! The text layer: finds secrets in decoded text that comes in pieces.
//!
//! Three searches walk the text (built-in rules, scrubbed literals, custom rules), each up to the
//! first place whose question a later byte could still change. What lies before all three is
//! released or masked; what lies behind is held. Matches may overlap: the union is masked, and
//! named after the match that begins it.

use super::classes::{part, run_end};
use super::context::{LOOK_BEHIND, Verdict};
use super::custom;
use super::glance::{self, Question};
use super::pem;
use super::probe::{self, After, Hit};
use super::replace::Stretch;
use super::scan::Walk;
use super::scrub::Scrub;
use super::set::{MaskSet, RuleIndex};
use super::tally::Tally;
use std::rc::Rc;

/// Where the text layer writes. Calls come in the order of the text.
pub(super) trait Sink {
    /// These bytes stay.
    fn keep(&mut self, bytes: &[u8]);
    /// This many bytes go.
    fn remove(&mut self, count: usize);
    /// This stands in the place of what goes.
    fn insert(&mut self, replacement: &[u8]);
    /// What goes next is what this rule found.
    fn begin(&mut self, _rule: &str) {}
}

/// Text that is written as it is decoded.
impl Sink for Vec<u8> {
    fn keep(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
    fn remove(&mut self, _: usize) {}
    fn insert(&mut self, replacement: &[u8]) {
        self.extend_from_slice(replacement);
    }
}

/// A stretch of text to mask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Span {
    pub start: usize,
    pub end: usize,
    pub rule: RuleIndex,
    /// Continues the span before it: no replacement of its own.
    pub goes_on: bool,
}

/// What the built-in search is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    /// Looking for secrets.
    Search,
    /// Swallowing the rest of an over-long token.
    Run {
        class: super::classes::Class,
        rule: RuleIndex,
    },
    /// Swallowing a key body, up to this many bytes more.
    KeyBody {
        left: usize,
        in_line: bool,
        rule: RuleIndex,
    },
}

/// One text, from its first byte to its last.
pub(super) struct Text {
    set: Rc<MaskSet>,
    scrub: Option<Rc<Scrub>>,
    /// Look-behind, then what is not settled.
    buffer: Vec<u8>,
    /// Up to here the sink knows.
    told: usize,
    /// Up to here everything is masked by spans that have begun.
    masked: usize,
    searched: usize,
    mode: Mode,
    scrubbed: usize,
    line: usize,
    spans: Vec<Span>,
    /// The secret that is being masked, when what stands for it depends on it.
    open: Option<Stretch>,
}

impl Text {
    pub(super) fn new(set: Rc<MaskSet>, scrub: Option<Rc<Scrub>>) -> Self {
        Self {
            set,
            scrub,
            buffer: Vec::new(),
            told: 0,
            masked: 0,
            searched: 0,
            mode: Mode::Search,
            scrubbed: 0,
            line: 0,
            spans: Vec::new(),
            open: None,
        }
    }

    /// The length in bytes under which a text without context can hold no secret.
    pub(super) fn shortest(&self) -> usize {
        let scrub = self.scrub.as_ref().map_or(usize::MAX, |s| s.shortest());
        if self.set.custom.is_empty() {
            // `a://:pwd@` is the shortest that a built-in rule finds something in.
            scrub.min(9)
        } else {
            0
        }
    }

    /// Begins a new text. `context` is what the reader knows to stand before it (`key:` and NUL
    /// for the value of an outer format).
    pub(super) fn restart(&mut self, context: &[u8]) {
        self.buffer.clear();
        self.buffer.extend_from_slice(context);
        let start = context.len();
        self.told = start;
        self.masked = start;
        self.searched = start;
        self.scrubbed = start;
        self.line = start;
        self.mode = Mode::Search;
        self.spans.clear();
        self.open = None;
    }

    /// How many bytes are held back.
    pub(super) fn held(&self) -> usize {
        self.buffer.len() - self.told.min(self.buffer.len())
    }

    /// The last bytes of the text so far, as it was before masking.
    pub(super) fn tail(&self) -> &[u8] {
        let start = self.buffer.len().saturating_sub(96);
        part(&self.buffer, start, self.buffer.len())
    }

    /// Takes more of the text and writes what is settled.
    pub(super) fn push(&mut self, bytes: &[u8], sink: &mut impl Sink, tally: &mut Tally) {
        self.forget();
        self.buffer.extend_from_slice(bytes);
        self.settle(false, sink, tally);
    }

    /// Writes the rest. The text is over.
    pub(super) fn finish(&mut self, sink: &mut impl Sink, tally: &mut Tally) {
        if self.told < self.buffer.len() || self.open.is_some() {
            self.settle(true, sink, tally);
        }
    }

    /// Drops text that nothing looks back to any more.
    fn forget(&mut self) {
        let needed = self
            .told
            .min(self.searched)
            .min(self.scrubbed)
            .min(self.line)
            .saturating_sub(LOOK_BEHIND);
        if needed < 2048 {
            return;
        }
        self.buffer.drain(..needed.min(self.buffer.len()));
        for place in [
            &mut self.told,
            &mut self.masked,
            &mut self.searched,
            &mut self.scrubbed,
            &mut self.line,
        ] {
            *place = place.saturating_sub(needed);
        }
        for span in &mut self.spans {
            span.start -= needed;
            span.end -= needed;
        }
        // A large body arrives in large pieces; a small stream need not keep their room.
        self.buffer.shrink_to(64 * 1024);
    }

    fn settle(&mut self, end_of_text: bool, sink: &mut impl Sink, tally: &mut Tally) {
        self.search(end_of_text);
        let mut settled = self.searched;
        if let Some(scrub) = &self.scrub {
            self.scrubbed = scrub.search(&self.buffer, self.scrubbed, end_of_text, &mut self.spans);
            settled = settled.min(self.scrubbed);
        } else {
            self.scrubbed = self.searched;
        }
        if self.set.custom.is_empty() {
            self.line = settled;
        } else {
            self.search_lines(end_of_text);
            settled = settled.min(self.line);
        }
        self.write(settled, end_of_text, sink, tally);
    }

    /// The built-in rules.
    fn search(&mut self, end_of_text: bool) {
        loop {
            let done = match self.mode {
                Mode::Search => self.search_words(end_of_text),
                Mode::Run { class, rule } => {
                    let end = run_end(&self.buffer, self.searched, class);
                    self.swallow(end, rule);
                    if end < self.buffer.len() {
                        self.mode = Mode::Search;
                    }
                    end == self.buffer.len()
                }
                Mode::KeyBody {
                    left,
                    in_line,
                    rule,
                } => self.swallow_key(left, in_line, rule, end_of_text),
            };
            if done {
                return;
            }
        }
    }

    /// Takes `searched..end` into the span before it.
    fn swallow(&mut self, end: usize, rule: RuleIndex) {
        if end > self.searched {
            self.spans.push(Span {
                start: self.searched,
                end,
                rule,
                goes_on: true,
            });
            self.searched = end;
        }
    }

    fn swallow_key(
        &mut self,
        left: usize,
        in_line: bool,
        rule: RuleIndex,
        end_of_text: bool,
    ) -> bool {
        if left == 0 {
            self.mode = Mode::Search;
            return false;
        }
        match pem::body(&self.buffer, self.searched, in_line, end_of_text) {
            Verdict::More => true,
            Verdict::No => {
                self.mode = Mode::Search;
                false
            }
            Verdict::Yes((end, last)) => {
                let end = end.min(self.searched + left);
                let left = left - (end - self.searched);
                self.swallow(end, rule);
                self.mode = if last {
                    Mode::Search
                } else {
                    Mode::KeyBody {
                        left,
                        in_line: true,
                        rule,
                    }
                };
                false
            }
        }
    }

    /// Goes from place to place; stops at the end of what has come (true), at a place that later bytes decide (true), or
    /// where a mode begins (false).
    fn search_words(&mut self, end_of_text: bool) -> bool {
        let mut walk = Walk::new(self.searched, self.set.has_values());
        while let Some(block) = walk.block(&self.buffer, self.buffer.len()) {
            for (at, question) in glance::questions(&self.buffer, &block) {
                if let Some(done) = self.ask(at, question, end_of_text) {
                    return done;
                }
            }
        }
        self.searched = self.buffer.len();
        true
    }

    /// Whether nothing is found in a whole text without context, the first `end` of these bytes. What is told by `false` may
    /// still turn out to be clean.
    pub(super) fn is_clean(&self, bytes: &[u8], end: usize) -> bool {
        let text = part(bytes, 0, end);
        if !self.set.custom.is_empty() || self.scrub.as_ref().is_some_and(|s| s.is_in(text)) {
            return false;
        }
        let mut walk = Walk::new(0, self.set.has_values());
        while let Some(block) = walk.block(bytes, end) {
            for (at, question) in glance::questions(text, &block) {
                if probe::ask(&self.set, text, at, question, true) != Verdict::No {
                    return false;
                }
            }
        }
        true
    }

    /// Asks the rules at one place. An answer ends the walk: with true where later bytes decide.
    #[inline]
    fn ask(&mut self, at: usize, question: Question, end_of_text: bool) -> Option<bool> {
        match probe::ask(&self.set, &self.buffer, at, question, end_of_text) {
            Verdict::No => None,
            Verdict::More => {
                self.searched = at;
                Some(true)
            }
            Verdict::Yes(hit) => {
                let whole = hit.after == After::Done;
                if whole && self.set.allows(part(&self.buffer, at, hit.end)) {
                    return None;
                }
                self.spans.push(Span {
                    start: at,
                    end: hit.end,
                    rule: hit.rule,
                    goes_on: false,
                });
                if whole {
                    return None;
                }
                self.begin_swallow(hit);
                Some(false)
            }
        }
    }

    fn begin_swallow(&mut self, hit: Hit) {
        self.searched = hit.end;
        let rule = hit.rule;
        self.mode = match hit.after {
            After::Done => Mode::Search,
            After::Run(class) => Mode::Run { class, rule },
            After::KeyBody => Mode::KeyBody {
                left: pem::BODY_MAX,
                in_line: false,
                rule,
            },
        };
    }

    /// The custom rules, line by line.
    fn search_lines(&mut self, end_of_text: bool) {
        loop {
            let rest = part(&self.buffer, self.line, self.buffer.len());
            let window = rest.get(..custom::LINE_MAX).unwrap_or(rest);
            let (end, next) = match window.iter().position(|&b| b == b'\n') {
                Some(length) => (self.line + length, self.line + length + 1),
                None if window.len() == custom::LINE_MAX || (end_of_text && !rest.is_empty()) => {
                    (self.line + window.len(), self.line + window.len())
                }
                None => return,
            };
            custom::search(&self.set, &self.buffer, self.line, end, &mut self.spans);
            self.line = next;
        }
    }

    /// Tells the sink about everything before `settled`, and about what begun spans mask behind it.
    fn write(
        &mut self,
        settled: usize,
        end_of_text: bool,
        sink: &mut impl Sink,
        tally: &mut Tally,
    ) {
        if !self.spans.is_empty() {
            self.write_spans(settled, sink, tally);
        }
        if self.open.is_some() && settled >= self.masked {
            // What goes on where it ends is still to come, or is there and not settled.
            let goes_on = self.mode != Mode::Search
                || self
                    .spans
                    .iter()
                    .any(|s| s.goes_on && s.start == self.masked);
            if end_of_text || !goes_on {
                self.close(sink);
            }
        }
        if self.told < settled {
            sink.keep(part(&self.buffer, self.told, settled));
            self.told = settled;
        }
    }

    fn write_spans(&mut self, settled: usize, sink: &mut impl Sink, tally: &mut Tally) {
        self.spans.sort_by_key(|span| (span.start, span.rule));
        let ready = self.spans.partition_point(|span| span.start < settled);
        for span in self.spans.drain(..ready).collect::<Vec<_>>() {
            let joins = span.start < self.masked || (span.goes_on && span.start == self.masked);
            if !joins {
                self.close(sink);
                sink.keep(part(&self.buffer, self.told, span.start));
                self.told = span.start;
                self.masked = span.start;
                let id = self.set.id(span.rule);
                sink.begin(id);
                tally.add(span.rule, id);
                let stretch = Stretch::new(span.rule, &self.set.replacement);
                if self.set.replacement.is_blind() {
                    sink.insert(stretch.text(id, &self.set.replacement).as_bytes());
                } else {
                    self.open = Some(stretch);
                }
            }
            if span.end > self.masked {
                self.masked = span.end;
            }
            if self.masked > self.told {
                if let Some(open) = &mut self.open {
                    open.add(part(&self.buffer, self.told, self.masked));
                }
                sink.remove(self.masked - self.told);
                self.told = self.masked;
            }
        }
    }

    /// Writes what stands for the secret that ends here.
    fn close(&mut self, sink: &mut impl Sink) {
        if let Some(open) = self.open.take() {
            let id = self.set.id(open.rule);
            sink.insert(open.text(id, &self.set.replacement).as_bytes());
        }
    }
}

//! The event-stream layer: events are read byte by byte, strings that continue a text over many
//! events are searched as that one text, everything else on its own.
//!
//! An event leaves when its blank line has come, in the same push, byte for byte as it came unless
//! something in it was masked or held. Text that is held at the end of an event goes in front of
//! the next event of its channel; when the channel ends first (finish reason, block stop, `*.done`,
//! `[DONE]`, end of the stream), it goes into that event if it has a place for it, else into one
//! more event of the channel's shape right before. An event larger than [`EVENT_MAX`] is not read
//! as a whole: its strings are searched each on its own, and the fault is told.

use super::Fault;
use super::channel::Channel;
use super::delta::{self, End, Key, Plan};
use super::json::{self, Json};
use super::scrub::Scrub;
use super::set::MaskSet;
use super::tally::Tally;
use super::text::Text;
use std::borrow::Cow;
use std::rc::Rc;

/// Largest event that is read as a whole, in bytes.
pub const EVENT_MAX: usize = 1024 * 1024;
/// Most texts that are followed at the same time.
const CHANNELS_MAX: usize = 256;

pub(super) struct EventStream {
    set: Rc<MaskSet>,
    scrub: Option<Rc<Scrub>>,
    /// The unfinished event.
    event: Vec<u8>,
    /// Whether the current line has no byte yet.
    line_start: bool,
    /// The last byte was a CR: a LF that follows belongs to the same line end.
    after_cr: bool,
    /// The unfinished event is too large; its bytes go straight to `json`.
    oversize: bool,
    channels: Vec<Channel>,
    json: Json,
    plain: Text,
    envelope: Vec<u8>,
    line_end: &'static [u8],
    fault: Option<Fault>,
}

impl EventStream {
    pub(super) fn new(set: &Rc<MaskSet>, scrub: Option<&Rc<Scrub>>) -> Self {
        Self {
            set: Rc::clone(set),
            scrub: scrub.map(Rc::clone),
            event: Vec::new(),
            line_start: true,
            after_cr: false,
            oversize: false,
            channels: Vec::new(),
            json: Json::new(set, scrub),
            plain: Text::new(Rc::clone(set), scrub.map(Rc::clone)),
            envelope: Vec::new(),
            line_end: b"\n",
            fault: None,
        }
    }

    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// What its events hold as JSON.
    pub(super) fn json(&mut self) -> &mut Json {
        &mut self.json
    }

    /// Whether log probabilities were kept back.
    pub(super) fn withheld(&self) -> bool {
        self.json.withheld()
    }

    pub(super) fn held(&self) -> usize {
        let channels: usize = self.channels.iter().map(Channel::held).sum();
        channels + self.event.len() + self.json.held()
    }

    pub(super) fn push(&mut self, mut chunk: &[u8], out: &mut Vec<u8>, tally: &mut Tally) {
        while let Some(&first) = chunk.first() {
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                chunk = chunk.get(1..).unwrap_or_default();
                if self.event.is_empty() && !self.oversize {
                    // The event has left with its CR.
                    out.push(b'\n');
                } else {
                    self.take(b"\n", out, tally);
                }
                continue;
            }
            let end = chunk.iter().position(|&b| b == b'\n' || b == b'\r');
            let (line, rest) = chunk.split_at(end.map_or(chunk.len(), |end| end + 1));
            chunk = rest;
            let blank = self.line_start && end == Some(0);
            self.line_start = end.is_some();
            self.after_cr = line.last() == Some(&b'\r');
            self.take(line, out, tally);
            if blank {
                self.end_event(false, out, tally);
            }
        }
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>, tally: &mut Tally) {
        self.end_event(true, out, tally);
        self.end_channels(&[End::All], &[], out, tally);
    }

    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>, tally: &mut Tally) {
        if !self.oversize {
            self.event.extend_from_slice(bytes);
            if self.event.len() <= EVENT_MAX {
                return;
            }
            self.oversize = true;
            self.fault = Some(Fault::EventTooLarge);
            self.end_channels(&[End::All], &[], out, tally);
            let event = std::mem::take(&mut self.event);
            self.json.push(&event, out, tally);
        } else {
            self.json.push(bytes, out, tally);
        }
    }

    fn end_event(&mut self, last: bool, out: &mut Vec<u8>, tally: &mut Tally) {
        if std::mem::take(&mut self.oversize) {
            self.json.finish(out, tally);
            return;
        }
        let mut event = std::mem::take(&mut self.event);
        if event.len() > 2 {
            self.event(&event, last, out, tally);
        } else {
            out.extend_from_slice(&event);
        }
        // Keep the room for the next event.
        event.clear();
        self.event = event;
    }

    fn event(&mut self, raw: &[u8], last: bool, out: &mut Vec<u8>, tally: &mut Tally) {
        let lines = lines(raw);
        if let Some(line) = lines.first() {
            self.line_end = match line.end {
                b"\r\n" => b"\r\n",
                b"\r" => b"\r",
                _ => b"\n",
            };
        }
        let mut values = lines.iter().filter_map(Line::data);
        let data: Option<Cow<'_, [u8]>> = match (values.next(), values.next()) {
            (None, _) => None,
            (Some(only), None) => Some(Cow::Borrowed(only)),
            _ => {
                let values: Vec<&[u8]> = lines.iter().filter_map(Line::data).collect();
                Some(Cow::Owned(values.join(&b'\n')))
            }
        };
        let mut plan = Plan::default();
        if let Some(data) = &data {
            match data.trim_ascii_start() {
                text if text.starts_with(b"{") => plan = delta::plan(data),
                text if text.trim_ascii_end() == b"[DONE]" => plan.ends.push(End::All),
                _ => {}
            }
        }
        if last {
            plan.ends.push(End::All);
        }
        if !plan.envelope.is_empty() {
            std::mem::swap(&mut self.envelope, &mut plan.envelope);
        }
        let kept: Vec<Key> = plan.slots.iter().map(|slot| slot.key.clone()).collect();
        self.end_channels(&plan.ends, &kept, out, tally);
        let masked = data.as_deref().map(|data| self.data(data, &plan, tally));
        let unchanged = masked.as_deref() == data.as_deref();
        self.write(&lines, masked.as_deref().filter(|_| !unchanged), out, tally);
    }

    /// Ends channels that have no place in the event that ends them: what they hold gets an event
    /// of its own.
    fn end_channels(&mut self, ends: &[End], kept: &[Key], out: &mut Vec<u8>, tally: &mut Tally) {
        if ends.is_empty() {
            return;
        }
        let channels = std::mem::take(&mut self.channels);
        for mut channel in channels {
            if kept.contains(&channel.key) || !ends.iter().any(|end| end.covers(&channel.key)) {
                self.channels.push(channel);
                continue;
            }
            let rest = channel.push(&[], true, tally);
            tally.at(|| channel.key.place());
            if rest.is_empty() {
                continue;
            }
            let mut text = Vec::new();
            json::escape_into(&rest, &mut text);
            let (name, data) = channel.key.event(&self.envelope, &text);
            if let Some(name) = name {
                out.extend_from_slice(b"event: ");
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(self.line_end);
            }
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(&data);
            out.extend_from_slice(self.line_end);
            out.extend_from_slice(self.line_end);
        }
    }

    /// The data of an event, masked.
    fn data(&mut self, data: &[u8], plan: &Plan, tally: &mut Tally) -> Vec<u8> {
        let mut out = Vec::with_capacity(data.len() + 32);
        if !matches!(data.trim_ascii_start().first(), Some(b'{' | b'[')) {
            self.plain.restart(&[]);
            self.plain.push(data, &mut out, tally);
            self.plain.finish(&mut out, tally);
            tally.nowhere();
            return out;
        }
        let mut done = 0;
        for (number, slot) in plan.slots.iter().enumerate() {
            // The tokenizer sees an empty string in the place of the delta.
            self.json.push(
                data.get(done..slot.start).unwrap_or_default(),
                &mut out,
                tally,
            );
            let inside = data.get(slot.start..slot.end).unwrap_or_default();
            let again = plan
                .slots
                .iter()
                .skip(number + 1)
                .any(|s| s.key == slot.key);
            let last = !again && plan.ends.iter().any(|end| end.covers(&slot.key));
            self.delta(inside, &slot.key, last, &mut out, tally);
            done = slot.end;
        }
        self.json
            .push(data.get(done..).unwrap_or_default(), &mut out, tally);
        self.json.finish(&mut out, tally);
        out
    }

    fn delta(
        &mut self,
        inside: &[u8],
        key: &Key,
        last: bool,
        out: &mut Vec<u8>,
        tally: &mut Tally,
    ) {
        let mut place = self.channels.iter().position(|channel| channel.key == *key);
        if place.is_none() && self.channels.len() >= CHANNELS_MAX {
            // No room to follow this text: the oldest one ends here, in front.
            self.fault = Some(Fault::TooManyChannels);
        } else if place.is_none() {
            let text = Text::new(Rc::clone(&self.set), self.scrub.as_ref().map(Rc::clone));
            self.channels.push(Channel::new(key.clone(), text));
            place = Some(self.channels.len() - 1);
        }
        let decoded = json::unescape(inside);
        let text = match place.and_then(|place| self.channels.get_mut(place)) {
            Some(channel) => {
                let text = channel.push(&decoded, last, tally);
                tally.at(|| channel.key.place());
                text
            }
            None => {
                let mut text = Vec::new();
                self.plain.restart(&[]);
                self.plain.push(&decoded, &mut text, tally);
                self.plain.finish(&mut text, tally);
                tally.at(|| key.place());
                text
            }
        };
        if text == decoded {
            out.extend_from_slice(inside);
        } else {
            json::escape_into(&text, out);
        }
        if last {
            self.channels.retain(|channel| channel.key != *key);
        }
    }

    /// Writes an event: the lines that are not data, masked as plain text, and the data as it was
    /// or, when given, as it is now.
    fn write(
        &mut self,
        lines: &[Line<'_>],
        data: Option<&[u8]>,
        out: &mut Vec<u8>,
        tally: &mut Tally,
    ) {
        let mut data_written = false;
        for line in lines {
            match (line.data(), data) {
                (None, _) => {
                    self.plain.restart(&[]);
                    self.plain.push(line.text, out, tally);
                    self.plain.finish(out, tally);
                    tally.nowhere();
                }
                (Some(_), None) => out.extend_from_slice(line.text),
                (Some(value), Some(data)) => {
                    if !std::mem::replace(&mut data_written, true) {
                        let prefix = line.text.len() - value.len();
                        let prefix = line.text.get(..prefix).unwrap_or_default();
                        for (number, value) in data.split(|&b| b == b'\n').enumerate() {
                            if number > 0 {
                                out.extend_from_slice(self.line_end);
                            }
                            out.extend_from_slice(prefix);
                            out.extend_from_slice(value);
                        }
                        out.extend_from_slice(line.end);
                    }
                    continue;
                }
            }
            out.extend_from_slice(line.end);
        }
    }
}

/// One line of an event.
struct Line<'a> {
    text: &'a [u8],
    end: &'a [u8],
}

impl<'a> Line<'a> {
    /// The value, when it is a data line.
    fn data(&self) -> Option<&'a [u8]> {
        let text = self.text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(self.text);
        if text == b"data" {
            return Some(&[]);
        }
        let value = text.strip_prefix(b"data:")?;
        Some(value.strip_prefix(b" ").unwrap_or(value))
    }
}

fn lines(raw: &[u8]) -> Vec<Line<'_>> {
    let mut lines = Vec::with_capacity(4);
    let mut rest = raw;
    while !rest.is_empty() {
        let length = rest
            .iter()
            .position(|&b| b == b'\n' || b == b'\r')
            .unwrap_or(rest.len());
        let (text, tail) = rest.split_at(length);
        let end = match tail {
            [b'\r', b'\n', ..] => 2,
            [_, ..] => 1,
            [] => 0,
        };
        let (end, tail) = tail.split_at(end);
        lines.push(Line { text, end });
        rest = tail;
    }
    lines
}

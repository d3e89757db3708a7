//! The multipart layer (RFC 2046, `multipart/form-data` of RFC 7578): each part is read by its own media type, a field's
//! value with the field's name as its key. The delimiter is the first line of the body; what does not begin with one is
//! searched as text. A part that is itself multipart is text.

use super::format::Format;
use super::keys;
use super::layer::Layer;
use super::scrub::Scrub;
use super::set::MaskSet;
use super::tally::Tally;
use std::rc::Rc;

/// Longest delimiter: two dashes and a boundary of seventy bytes.
const DELIMITER_MAX: usize = 72;
/// Longest head of a part, in bytes; a longer one is searched as text, with what follows it.
const HEAD_MAX: usize = 8 * 1024;

enum State {
    /// The first line, which tells the delimiter.
    Start,
    /// Behind a delimiter, up to the end of the part's head.
    Head,
    /// In a part.
    Part(Layer),
    /// Behind the last delimiter, or in what is no multipart body.
    Rest(Layer),
}

pub(super) struct Multipart {
    set: Rc<MaskSet>,
    scrub: Option<Rc<Scrub>>,
    state: State,
    /// A line feed, and what a line that ends a part begins with.
    delimiter: Vec<u8>,
    /// What came and is not handed on.
    waiting: Vec<u8>,
}

impl Multipart {
    pub(super) fn new(set: &Rc<MaskSet>, scrub: Option<&Rc<Scrub>>) -> Self {
        Self {
            set: Rc::clone(set),
            scrub: scrub.map(Rc::clone),
            state: State::Start,
            delimiter: Vec::new(),
            waiting: Vec::new(),
        }
    }

    pub(super) fn held(&self) -> usize {
        let part = match &self.state {
            State::Part(layer) | State::Rest(layer) => layer.held(),
            State::Start | State::Head => 0,
        };
        part + self.waiting.len()
    }

    pub(super) fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>, tally: &mut Tally) {
        self.waiting.extend_from_slice(chunk);
        while self.step(out, tally) {}
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>, tally: &mut Tally) {
        if matches!(self.state, State::Start | State::Head) {
            self.state = State::Rest(self.text(&[]));
        }
        let waiting = std::mem::take(&mut self.waiting);
        if let State::Part(layer) | State::Rest(layer) = &mut self.state {
            layer.push(&waiting, out, tally);
            layer.finish(out, tally);
        }
    }

    /// Hands on what can be told; whether there may be more.
    fn step(&mut self, out: &mut Vec<u8>, tally: &mut Tally) -> bool {
        match &mut self.state {
            State::Start => self.start(out),
            State::Head => self.head(out, tally),
            State::Part(layer) => {
                let (end, ends) = end_of_part(&self.waiting, &self.delimiter);
                let rest = self.waiting.split_off(end);
                layer.push(&self.waiting, out, tally);
                self.waiting = rest;
                if !ends {
                    return false;
                }
                layer.finish(out, tally);
                tally.nowhere();
                let carriage = usize::from(self.waiting.first() == Some(&b'\r'));
                let rest = self.waiting.split_off(carriage + self.delimiter.len());
                out.append(&mut self.waiting);
                self.waiting = rest;
                self.state = State::Head;
                true
            }
            State::Rest(layer) => {
                layer.push(&self.waiting, out, tally);
                self.waiting.clear();
                false
            }
        }
    }

    fn start(&mut self, out: &mut Vec<u8>) -> bool {
        let line = self.waiting.iter().position(|&b| b == b'\n');
        let first = self
            .waiting
            .get(..line.unwrap_or(self.waiting.len()))
            .unwrap_or_default();
        let bare = first.strip_suffix(b"\r").unwrap_or(first).trim_ascii_end();
        let fits =
            bare.len() <= DELIMITER_MAX && (bare.starts_with(b"--") || b"--".starts_with(bare));
        match line {
            _ if !fits => self.state = State::Rest(self.text(&[])),
            None => return false,
            Some(_) if bare.len() <= 2 => self.state = State::Rest(self.text(&[])),
            Some(_) => {
                self.delimiter = [b"\n", bare].concat();
                let rest = self.waiting.split_off(bare.len());
                out.append(&mut self.waiting);
                self.waiting = rest;
                self.state = State::Head;
            }
        }
        true
    }

    /// The rest of a delimiter's line, and the head of the part behind it.
    fn head(&mut self, out: &mut Vec<u8>, tally: &mut Tally) -> bool {
        if self.waiting.starts_with(b"--") {
            self.state = State::Rest(self.text(&[]));
            return true;
        }
        let end = [&b"\n\r\n"[..], b"\n\n"]
            .iter()
            .filter_map(|blank| Some(find(&self.waiting, blank)? + blank.len()))
            .min();
        let Some(end) = end else {
            if self.waiting.len() > HEAD_MAX {
                self.state = State::Rest(self.text(&[]));
                return true;
            }
            return false;
        };
        let rest = self.waiting.split_off(end);
        let head = std::mem::replace(&mut self.waiting, rest);
        let mut text = self.text(&[]);
        text.push(&head, out, tally);
        text.finish(out, tally);
        tally.nowhere();
        self.state = State::Part(self.part(&head));
        true
    }

    /// What reads the part behind this head.
    fn part(&self, head: &[u8]) -> Layer {
        let head = String::from_utf8_lossy(head);
        let field = |name: &str| {
            head.lines().find_map(|line| {
                let (known, value) = line.split_once(':')?;
                known
                    .trim()
                    .eq_ignore_ascii_case(name)
                    .then(|| value.trim())
            })
        };
        let format = match field("content-type").map(Format::of_content_type) {
            None | Some(Format::Multipart) => Format::Text,
            Some(format) => format,
        };
        let disposition = field("content-disposition").unwrap_or_default();
        match (format, parameter(disposition, "name")) {
            (Format::Text, Some(name)) if parameter(disposition, "filename").is_none() => {
                let mut context = Vec::new();
                keys::of_value(name.as_bytes(), &mut context);
                self.text(&context)
            }
            _ => Layer::new(&self.set, self.scrub.as_ref(), format),
        }
    }

    fn text(&self, context: &[u8]) -> Layer {
        Layer::text(&self.set, self.scrub.as_ref(), context)
    }
}

/// How much of what came belongs to the part for certain, and whether a delimiter follows that. Nothing but blanks, a line
/// end or the dashes of the last one stand behind a delimiter.
fn end_of_part(text: &[u8], delimiter: &[u8]) -> (usize, bool) {
    let before = |place: usize| {
        let carriage = place.checked_sub(1).and_then(|at| text.get(at)) == Some(&b'\r');
        place - usize::from(carriage)
    };
    for (place, _) in text.iter().enumerate().filter(|(_, b)| **b == b'\n') {
        let rest = text.get(place..).unwrap_or_default();
        match rest.strip_prefix(delimiter).map(<[u8]>::first) {
            Some(Some(b'\r' | b'\n' | b' ' | b'\t' | b'-')) => return (before(place), true),
            Some(None) => return (before(place), false),
            None if delimiter.starts_with(rest) => return (before(place), false),
            Some(Some(_)) | None => {}
        }
    }
    let carriage = usize::from(text.ends_with(b"\r"));
    (text.len() - carriage, false)
}

/// A parameter of a header field.
fn parameter<'a>(field: &'a str, name: &str) -> Option<&'a str> {
    field.split(';').skip(1).find_map(|part| {
        let (known, value) = part.split_once('=')?;
        let known = known.trim().trim_end_matches('*');
        known
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().trim_matches('"'))
    })
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len())
        .position(|window| window == wanted)
}

//! The JSON layer: strings are searched as their reader will see them, with the key as context.
//!
//! A tokenizer over bytes that knows strings, escapes and the last key, and nothing else of the
//! grammar: text that is not quite JSON (several values, comments, single quotes) is still
//! searched, outside of strings as plain text. What stays is written as it came.

use super::classes::{STRUCTURE, is};
use super::encoded::{self, HEAD};
use super::escaped::Escaped;
use super::keys;
use super::pointer::Path;
use super::scrub::Scrub;
use super::set::MaskSet;
use super::tally::Tally;
use super::text::Text;
use std::rc::Rc;

/// Most bytes of a key that are remembered.
const KEY_MAX: usize = 96;

/// Longest string that is looked at whole.
const WHOLE_MAX: usize = 512;

/// Where the tokenizer is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Outside,
    String,
    /// Inside a string, after a backslash; so many bytes of the escape are in `escape`.
    Escape(usize),
    /// Inside a value that does not leave.
    Withheld {
        depth: usize,
        string: bool,
        escape: bool,
    },
}

/// The key of what repeats a model's answer token by token, as text and as bytes.
const LOG_PROBABILITIES: &[u8] = b"logprobs";

/// Masks JSON, NDJSON and what looks like it.
pub(super) struct Json {
    state: State,
    string: Escaped,
    escape: [u8; 6],
    /// Bytes outside of strings other than structure and white space, and all that follows them.
    bare: Text,
    bare_open: bool,
    /// The last string, decoded: a key, if a colon follows.
    last: Vec<u8>,
    /// The key of the value that comes, with what makes it a context.
    key: Vec<u8>,
    /// The key of the value that comes, decoded; what it says is asked when the value begins.
    name: Vec<u8>,
    named: bool,
    path: Path,
    /// The value that comes may be base64.
    encoded: bool,
    /// Strings shorter than this need no search, unless a key gives them context.
    short: usize,
    /// Whether log probabilities are kept back.
    withholds: bool,
    /// Whether any were.
    withheld: bool,
}

impl Json {
    pub(super) fn new(set: &Rc<MaskSet>, scrub: Option<&Rc<Scrub>>) -> Self {
        let text = || Text::new(Rc::clone(set), scrub.map(Rc::clone));
        let bare = text();
        Self {
            state: State::Outside,
            short: bare.shortest(),
            string: Escaped::new(text(), false),
            escape: [0; 6],
            bare,
            bare_open: false,
            last: Vec::new(),
            key: Vec::new(),
            name: Vec::new(),
            named: false,
            path: Path::default(),
            encoded: false,
            withholds: false,
            withheld: false,
        }
    }

    /// Keeps log probabilities back: a secret could be read from them, token by token.
    pub(super) fn withhold(&mut self) {
        self.withholds = true;
    }

    /// Whether any were kept back.
    pub(super) fn withheld(&self) -> bool {
        self.withheld
    }

    pub(super) fn held(&self) -> usize {
        let escape = match self.state {
            State::Escape(length) => length,
            _ => 0,
        };
        self.string.held() + self.bare.held() + escape
    }

    pub(super) fn push(&mut self, mut chunk: &[u8], out: &mut Vec<u8>, tally: &mut Tally) {
        while let Some(&first) = chunk.first() {
            chunk = match self.state {
                State::Outside => self.outside(chunk, out, tally),
                State::String => self.inside(chunk, out, tally),
                State::Withheld {
                    depth,
                    string,
                    escape,
                } => self.pass_over(chunk, depth, string, escape),
                State::Escape(length) => {
                    if self.escaped(length, first, out, tally) {
                        chunk.get(1..).unwrap_or_default()
                    } else {
                        chunk
                    }
                }
            };
        }
        if matches!(self.state, State::String | State::Escape(_)) {
            self.string.settle(out, tally);
            tally.at(|| self.path.pointer());
        }
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>, tally: &mut Tally) {
        if let State::Escape(length) = self.state {
            self.literal(length, out, tally);
        }
        self.string.finish(out, tally);
        tally.at(|| self.path.pointer());
        self.bare.finish(out, tally);
        tally.nowhere();
        self.path.clear();
        self.state = State::Outside;
        self.bare_open = false;
        self.key.clear();
        self.named = false;
        self.last.clear();
    }

    /// Up to and with the quote that opens a string, which is more than plain.
    fn outside<'a>(&mut self, chunk: &'a [u8], out: &mut Vec<u8>, tally: &mut Tally) -> &'a [u8] {
        // Most strings are plain and come whole: nothing to hold, and nothing found.
        let plain = if self.bare_open { 0 } else { self.plain(chunk) };
        let (plain, chunk) = chunk.split_at(plain);
        out.extend_from_slice(plain);
        if let Some((&opening, rest)) = chunk.split_first()
            && !self.bare_open
            && self.opens_withheld(opening)
        {
            out.extend_from_slice(if opening == b'[' { b"[]" } else { b"null" });
            self.named = false;
            self.withheld = true;
            self.state = State::Withheld {
                depth: 1,
                string: false,
                escape: false,
            };
            return rest;
        }
        let quote = chunk.iter().position(|&b| b == b'"');
        let (text, rest) = chunk.split_at(quote.unwrap_or(chunk.len()));
        if !text.is_empty() {
            self.note_structure(text, false);
            if !self.bare_open {
                self.bare.restart(&[]);
                self.bare_open = true;
            }
            self.bare.push(text, out, tally);
            tally.nowhere();
        }
        let Some((quote, rest)) = rest.split_first() else {
            return &[];
        };
        if self.bare_open {
            // Not JSON, perhaps: `password = "…"` in some other notation.
            let mut context = self.bare.tail().to_vec();
            context.push(b'"');
            self.bare.finish(out, tally);
            tally.nowhere();
            self.bare_open = false;
            self.string.restart(if self.key.is_empty() {
                &context
            } else {
                &self.key
            });
        } else if self.encoded && self.key.is_empty() {
            self.string.restart_encoded();
        } else {
            self.string.restart(&self.key);
        }
        // It is the key of one value.
        self.key.clear();
        out.push(*quote);
        self.last.clear();
        self.state = State::String;
        rest
    }

    /// How much at the beginning is structure and whole strings without escapes in which nothing is found. What follows is
    /// another string, or text outside of strings.
    fn plain(&mut self, chunk: &[u8]) -> usize {
        let mut done = 0;
        loop {
            let rest = chunk.get(done..).unwrap_or_default();
            let structure = rest
                .iter()
                .position(|&b| !is(b, STRUCTURE))
                .unwrap_or(rest.len());
            let (structure, rest) = rest.split_at(structure);
            let noted = self.note_structure(structure, self.withholds);
            done += noted;
            let (true, Some((b'"', rest))) = (noted == structure.len(), rest.split_first()) else {
                return done;
            };
            if self.name_says(rest) {
                return done;
            }
            let most = if self.encoded { HEAD } else { WHOLE_MAX };
            let window = rest.get(..most).unwrap_or(rest);
            let end = window.iter().position(|&b| b == b'"' || b == b'\\');
            let Some((string, [b'"', ..])) = end.map(|end| rest.split_at(end)) else {
                return done;
            };
            if string.len() >= self.short && !self.bare.is_clean(rest, string.len()) {
                return done;
            }
            self.last.clear();
            self.last
                .extend_from_slice(string.get(..KEY_MAX).unwrap_or(string));
            done += string.len() + 2;
        }
    }

    /// Whether the key before the string that begins with `rest` gives it a context, which is then in `key`.
    fn name_says(&mut self, rest: &[u8]) -> bool {
        if !std::mem::take(&mut self.named) {
            return !self.key.is_empty();
        }
        // Nothing is found in less than six bytes, whatever the key.
        let head = rest.get(..6).unwrap_or_default();
        if head.contains(&b'"') && !head.contains(&b'\\') {
            self.key.clear();
            return false;
        }
        keys::of_value(&self.name, &mut self.key);
        !self.key.is_empty()
    }

    /// A colon makes the last string the key of what follows; any other structure ends its reach. How much was noted: all, or
    /// what stands before a value that is withheld.
    fn note_structure(&mut self, outside: &[u8], withholds: bool) -> usize {
        for (place, b) in outside.iter().enumerate() {
            if withholds && self.opens_withheld(*b) {
                return place;
            }
            match b {
                b':' => {
                    std::mem::swap(&mut self.name, &mut self.last);
                    self.key.clear();
                    self.named = true;
                    self.path.name(&self.name);
                    self.encoded = encoded::may_hold(&self.name);
                }
                b'[' => self.path.open(true),
                b',' | b'{' | b'}' | b']' => {
                    match b {
                        b',' => self.path.next(),
                        b'{' => self.path.open(false),
                        _ => self.path.close(),
                    }
                    self.encoded = false;
                    self.named = false;
                    self.key.clear();
                    self.last.clear();
                }
                _ => {}
            }
        }
        outside.len()
    }

    fn opens_withheld(&self, b: u8) -> bool {
        matches!(b, b'[' | b'{') && self.withholds && self.named && self.name == LOG_PROBABILITIES
    }

    /// Up to the bracket that closes a value which does not leave.
    fn pass_over<'a>(
        &mut self,
        chunk: &'a [u8],
        mut depth: usize,
        mut string: bool,
        mut escape: bool,
    ) -> &'a [u8] {
        for (place, b) in chunk.iter().enumerate() {
            match b {
                _ if std::mem::take(&mut escape) => {}
                b'\\' if string => escape = true,
                b'"' => string = !string,
                b'[' | b'{' if !string => depth += 1,
                b']' | b'}' if !string => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.state = State::Outside;
                return chunk.get(place + 1..).unwrap_or_default();
            }
        }
        self.state = State::Withheld {
            depth,
            string,
            escape,
        };
        &[]
    }

    /// Up to and with the quote that closes the string, or a backslash.
    fn inside<'a>(&mut self, chunk: &'a [u8], out: &mut Vec<u8>, tally: &mut Tally) -> &'a [u8] {
        let end = chunk.iter().position(|&b| b == b'"' || b == b'\\');
        let (plain, rest) = chunk.split_at(end.unwrap_or(chunk.len()));
        self.string.plain(plain, out, tally);
        self.note_string(plain);
        match rest.split_first() {
            Some((b'\\', rest)) => {
                self.state = State::Escape(1);
                self.escape = [b'\\', 0, 0, 0, 0, 0];
                rest
            }
            Some((quote, rest)) => {
                self.string.finish(out, tally);
                tally.at(|| self.path.pointer());
                out.push(*quote);
                self.state = State::Outside;
                rest
            }
            None => &[],
        }
    }

    fn note_string(&mut self, decoded: &[u8]) {
        let room = KEY_MAX.saturating_sub(self.last.len());
        self.last
            .extend_from_slice(decoded.get(..room).unwrap_or(decoded));
    }

    /// One byte of an escape. False when the byte does not belong to it.
    fn escaped(&mut self, length: usize, b: u8, out: &mut Vec<u8>, tally: &mut Tally) -> bool {
        if length == 1 && b != b'u' {
            let decoded = match b {
                b'"' | b'\\' | b'/' => b,
                b'b' => 8,
                b'f' => 12,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                _ => {
                    // No JSON escape: the backslash stands for itself.
                    self.literal(1, out, tally);
                    return false;
                }
            };
            self.string.escape(&[b'\\', b], &[decoded], out, tally);
            self.note_string(&[decoded]);
            self.state = State::String;
            return true;
        }
        if length > 1 && !b.is_ascii_hexdigit() {
            self.literal(length, out, tally);
            return false;
        }
        if let Some(slot) = self.escape.get_mut(length) {
            *slot = b;
        }
        if length < 5 {
            self.state = State::Escape(length + 1);
            return true;
        }
        let unit = hex_unit(self.escape.get(2..).unwrap_or_default());
        let mut buffer = [0; 3];
        let decoded = wide(unit, &mut buffer);
        let raw = self.escape;
        self.string.escape(&raw, decoded, out, tally);
        let room = KEY_MAX.saturating_sub(self.last.len());
        self.last
            .extend_from_slice(decoded.get(..room).unwrap_or(decoded));
        self.state = State::String;
        true
    }

    /// An escape that is none: its bytes stand for themselves.
    fn literal(&mut self, length: usize, out: &mut Vec<u8>, tally: &mut Tally) {
        let escape = self.escape;
        let raw = escape.get(..length).unwrap_or_default();
        self.string.plain(raw, out, tally);
        self.note_string(raw);
        self.state = State::String;
    }
}

fn hex_unit(digits: &[u8]) -> u16 {
    digits.iter().fold(0, |unit, &d| {
        (unit << 4) | char::from(d).to_digit(16).unwrap_or(0) as u16
    })
}

/// UTF-8 of one UTF-16 unit; a surrogate, paired or not, takes three bytes of its own (WTF-8).
fn wide(unit: u16, buffer: &mut [u8; 3]) -> &[u8] {
    let low = |shift: u16| 0x80 | ((unit >> shift) & 0x3f) as u8;
    let length = match unit {
        0..=0x7f => {
            *buffer = [unit as u8, 0, 0];
            1
        }
        0x80..=0x7ff => {
            *buffer = [0xc0 | (unit >> 6) as u8, low(0), 0];
            2
        }
        _ => {
            *buffer = [0xe0 | (unit >> 12) as u8, low(6), low(0)];
            3
        }
    };
    buffer.get(..length).unwrap_or_default()
}

/// Decodes the inside of a JSON string. Surrogates become three bytes each, so that
/// [`escape_into`] can write them back.
pub(super) fn unescape(inside: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(place) = rest.iter().position(|&b| b == b'\\') {
        let (plain, escape) = rest.split_at(place);
        text.extend_from_slice(plain);
        let (decoded, length) = match escape.get(1) {
            Some(b'n') => (b'\n', 2),
            Some(b'r') => (b'\r', 2),
            Some(b't') => (b'\t', 2),
            Some(b'b') => (8, 2),
            Some(b'f') => (12, 2),
            Some(&b @ (b'"' | b'\\' | b'/')) => (b, 2),
            Some(b'u') => match escape.get(2..6) {
                Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => {
                    let mut buffer = [0; 3];
                    text.extend_from_slice(wide(hex_unit(digits), &mut buffer));
                    rest = escape.get(6..).unwrap_or_default();
                    continue;
                }
                _ => (b'\\', 1),
            },
            _ => (b'\\', 1),
        };
        text.push(decoded);
        rest = escape.get(length..).unwrap_or_default();
    }
    text.extend_from_slice(rest);
    text
}

/// Writes text as the inside of a JSON string.
pub(super) fn escape_into(text: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let unit = |out: &mut Vec<u8>, unit: u16| {
        out.extend_from_slice(b"\\u");
        for shift in [12, 8, 4, 0] {
            out.extend(HEX.get(usize::from((unit >> shift) & 15)));
        }
    };
    let mut rest = text;
    while let Some((&b, tail)) = rest.split_first() {
        rest = tail;
        match b {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', b]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => unit(out, u16::from(b)),
            0xed => match tail {
                [second @ 0xa0..=0xbf, third @ 0x80..=0xbf, tail @ ..] => {
                    let low = (u16::from(second & 0x3f) << 6) | u16::from(third & 0x3f);
                    unit(out, 0xd000 | low);
                    rest = tail;
                }
                _ => out.push(b),
            },
            _ => out.push(b),
        }
    }
}

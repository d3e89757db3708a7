//! Text that is written with escapes (a JSON string, a form value): it is searched decoded, and
//! what stays is written as it came, escape by escape.

use super::encoded::{self, HEAD, Taken, Unit, Units};
use super::tally::Tally;
use super::text::{Sink, Text};
use std::collections::VecDeque;

/// Longest escape of any format, in bytes (`\uXXXX`).
const ESCAPE_MAX: usize = 6;

/// How a stretch of decoded text was written.
enum Origin {
    /// Byte for byte, this many.
    Plain(usize),
    /// As an escape that stands for this many decoded bytes.
    Escape {
        decoded: usize,
        raw: [u8; ESCAPE_MAX],
        length: usize,
        masked: bool,
    },
    /// As a unit of base64.
    Unit(Unit),
}

/// How the text is written below its escapes.
enum Code {
    Plain,
    /// Base64, perhaps: what came so far, byte by byte with its escapes.
    Undecided(Vec<(u8, Vec<u8>)>),
    Base64(Units),
}

/// One escaped text, decoded piece by piece by its format.
pub(super) struct Escaped {
    text: Text,
    /// Decoded, but not yet handed to `text`.
    decoded: Vec<u8>,
    origins: VecDeque<Origin>,
    /// How the format writes the brackets and the colon of a replacement.
    percent: bool,
    code: Code,
    /// Decoded bytes that have no unit of their own any more.
    loose: Vec<u8>,
}

impl Escaped {
    /// `percent`: replacements are written percent-encoded.
    pub(super) fn new(text: Text, percent: bool) -> Self {
        Self {
            text,
            decoded: Vec::new(),
            origins: VecDeque::new(),
            percent,
            code: Code::Plain,
            loose: Vec::new(),
        }
    }

    /// Begins a new text after `context`.
    pub(super) fn restart(&mut self, context: &[u8]) {
        self.text.restart(context);
        self.decoded.clear();
        self.origins.clear();
        self.code = Code::Plain;
        self.loose.clear();
    }

    /// Begins a new text that may be base64.
    pub(super) fn restart_encoded(&mut self) {
        self.restart(&[]);
        self.code = Code::Undecided(Vec::new());
    }

    pub(super) fn held(&self) -> usize {
        let waiting = match &self.code {
            Code::Undecided(head) => head.len(),
            Code::Plain | Code::Base64(_) => 0,
        };
        self.text.held() + waiting
    }

    /// Takes bytes that stand for themselves.
    pub(super) fn plain(&mut self, bytes: &[u8], out: &mut Vec<u8>, tally: &mut Tally) {
        let mut rest = bytes;
        while !matches!(self.code, Code::Plain) {
            let Some((&b, tail)) = rest.split_first() else {
                return;
            };
            self.coded(b, &[b], out, tally);
            rest = tail;
        }
        self.as_is(rest);
    }

    /// Takes an escape and what it stands for (at least one byte).
    pub(super) fn escape(
        &mut self,
        raw: &[u8],
        decoded: &[u8],
        out: &mut Vec<u8>,
        tally: &mut Tally,
    ) {
        match (&self.code, decoded) {
            (Code::Plain, _) => self.as_escape(raw, decoded),
            (_, [b]) => self.coded(*b, raw, out, tally),
            _ => {
                // Beyond ASCII: no base64.
                self.is_plain(out, tally);
                self.as_escape(raw, decoded);
            }
        }
    }

    /// Takes a byte of what is base64, or may be.
    fn coded(&mut self, b: u8, raw: &[u8], out: &mut Vec<u8>, tally: &mut Tally) {
        match &mut self.code {
            Code::Plain => self.as_written(b, raw),
            Code::Undecided(head) => {
                head.push((b, raw.to_vec()));
                let bytes: Vec<u8> = head.iter().map(|(b, _)| *b).collect();
                if !encoded::looks_encoded(&bytes) {
                    self.is_plain(out, tally);
                } else if bytes.len() == HEAD {
                    let head = std::mem::take(head);
                    self.code = Code::Base64(Units::default());
                    for (b, raw) in head {
                        self.coded(b, &raw, out, tally);
                    }
                }
            }
            Code::Base64(units) => match units.take(b, raw) {
                Taken::Part => {}
                Taken::Whole(unit, decoded) => self.unit(unit, &decoded),
                Taken::Not(raw) => {
                    self.end_of_code(false, out, tally);
                    self.text.restart(&[]);
                    self.code = Code::Plain;
                    self.as_is(&raw);
                }
            },
        }
    }

    fn unit(&mut self, unit: Unit, decoded: &[u8]) {
        self.decoded.extend_from_slice(decoded);
        self.origins.push_back(Origin::Unit(unit));
    }

    /// It is no base64: what waits is plain.
    fn is_plain(&mut self, out: &mut Vec<u8>, tally: &mut Tally) {
        match &mut self.code {
            Code::Plain => {}
            Code::Undecided(head) => {
                let head = std::mem::take(head);
                self.code = Code::Plain;
                for (b, raw) in head {
                    self.as_written(b, &raw);
                }
            }
            Code::Base64(units) => {
                let rest = match units.finish() {
                    Ok((unit, _)) => unit.raw,
                    Err(raw) => raw,
                };
                self.end_of_code(false, out, tally);
                self.text.restart(&[]);
                self.code = Code::Plain;
                self.as_is(&rest);
            }
        }
    }

    /// Writes all that was decoded.
    fn end_of_code(&mut self, last: bool, out: &mut Vec<u8>, tally: &mut Tally) {
        self.settle(out, tally);
        let mut writer = Writer {
            origins: &mut self.origins,
            loose: &mut self.loose,
            coded: matches!(self.code, Code::Base64(_)),
            percent: self.percent,
            out,
        };
        self.text.finish(&mut writer, tally);
        if !self.loose.is_empty() {
            encoded::flush(&mut self.loose, last, out);
        }
    }

    fn as_written(&mut self, b: u8, raw: &[u8]) {
        if raw == [b] {
            self.as_is(raw);
        } else {
            self.as_escape(raw, &[b]);
        }
    }

    fn as_is(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.decoded.extend_from_slice(bytes);
        if let Some(Origin::Plain(count)) = self.origins.back_mut() {
            *count += bytes.len();
        } else {
            self.origins.push_back(Origin::Plain(bytes.len()));
        }
    }

    fn as_escape(&mut self, raw: &[u8], decoded: &[u8]) {
        let mut copy = [0; ESCAPE_MAX];
        for (slot, byte) in copy.iter_mut().zip(raw) {
            *slot = *byte;
        }
        self.decoded.extend_from_slice(decoded);
        self.origins.push_back(Origin::Escape {
            decoded: decoded.len(),
            raw: copy,
            length: raw.len().min(ESCAPE_MAX),
            masked: false,
        });
    }

    /// Searches what was taken and writes what is settled.
    pub(super) fn settle(&mut self, out: &mut Vec<u8>, tally: &mut Tally) {
        let mut writer = Writer {
            origins: &mut self.origins,
            loose: &mut self.loose,
            coded: matches!(self.code, Code::Base64(_)),
            percent: self.percent,
            out,
        };
        if !self.decoded.is_empty() {
            self.text.push(&self.decoded, &mut writer, tally);
            self.decoded.clear();
        }
    }

    /// Writes the rest; the text is over.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>, tally: &mut Tally) {
        let mut rest = Vec::new();
        match &mut self.code {
            Code::Plain => {}
            Code::Undecided(_) => self.is_plain(out, tally),
            Code::Base64(units) => match units.finish() {
                Ok((unit, decoded)) => self.unit(unit, &decoded),
                Err(raw) => rest = raw,
            },
        }
        self.end_of_code(true, out, tally);
        out.extend_from_slice(&rest);
        self.code = Code::Plain;
    }
}

struct Writer<'a> {
    origins: &'a mut VecDeque<Origin>,
    loose: &'a mut Vec<u8>,
    /// The text stands in base64.
    coded: bool,
    percent: bool,
    out: &'a mut Vec<u8>,
}

impl Writer<'_> {
    /// Uses up `bytes` or, when they go, `count` decoded bytes.
    fn consume(&mut self, mut count: usize, mut kept: Option<&[u8]>) {
        while count > 0 {
            let Some(origin) = self.origins.front_mut() else {
                return;
            };
            let (used, spent) = match origin {
                Origin::Plain(length) => {
                    let used = count.min(*length);
                    if let Some(bytes) = kept {
                        self.out
                            .extend_from_slice(bytes.get(..used).unwrap_or_default());
                    }
                    *length -= used;
                    (used, *length == 0)
                }
                Origin::Escape {
                    decoded,
                    raw,
                    length,
                    masked,
                } => {
                    let used = count.min(*decoded);
                    *decoded -= used;
                    *masked |= kept.is_none();
                    // An escape of which a part is masked goes as a whole.
                    if *decoded == 0 && !*masked {
                        self.out
                            .extend_from_slice(raw.get(..*length).unwrap_or_default());
                    }
                    (used, *decoded == 0)
                }
                Origin::Unit(unit) => {
                    let used = count.min(unit.left);
                    unit.left -= used;
                    match kept {
                        Some(bytes) if unit.masked => {
                            // Filled up here, so that no blank stands in what stays.
                            while !(self.loose.len() + unit.left + used).is_multiple_of(3) {
                                self.loose.push(b' ');
                            }
                            self.loose
                                .extend_from_slice(bytes.get(..used).unwrap_or_default());
                        }
                        Some(bytes) => {
                            unit.kept
                                .extend_from_slice(bytes.get(..used).unwrap_or_default());
                        }
                        None => {
                            unit.masked = true;
                            self.loose.append(&mut unit.kept);
                        }
                    }
                    if unit.left == 0 && !unit.masked {
                        if !self.loose.is_empty() {
                            encoded::flush(self.loose, false, self.out);
                        }
                        self.out.extend_from_slice(&unit.raw);
                    }
                    (used, unit.left == 0)
                }
            };
            if spent {
                self.origins.pop_front();
            }
            count -= used;
            kept = kept.map(|bytes| bytes.get(used..).unwrap_or_default());
        }
    }
}

impl Sink for Writer<'_> {
    fn keep(&mut self, bytes: &[u8]) {
        self.consume(bytes.len(), Some(bytes));
    }

    fn remove(&mut self, count: usize) {
        self.consume(count, None);
    }

    fn insert(&mut self, replacement: &[u8]) {
        if self.coded {
            if let Some(Origin::Unit(unit)) = self.origins.front_mut() {
                unit.masked |= !unit.kept.is_empty();
                self.loose.append(&mut unit.kept);
            }
            self.loose.extend_from_slice(replacement);
            return;
        }
        if !self.percent {
            self.out.extend_from_slice(replacement);
            return;
        }
        for &b in replacement {
            if b.is_ascii_alphanumeric() || b"-_.*".contains(&b) {
                self.out.push(b);
            } else {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                self.out.push(b'%');
                for nibble in [b >> 4, b & 15] {
                    self.out.extend(HEX.get(usize::from(nibble)));
                }
            }
        }
    }
}

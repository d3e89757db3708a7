//! Text that is written with escapes (a JSON string, a form value): it is searched decoded, and
//! what stays is written as it came, escape by escape.

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
}

/// One escaped text, decoded piece by piece by its format.
pub(super) struct Escaped {
    text: Text,
    /// Decoded, but not yet handed to `text`.
    decoded: Vec<u8>,
    origins: VecDeque<Origin>,
    /// How the format writes the brackets and the colon of a replacement.
    percent: bool,
}

impl Escaped {
    /// `percent`: replacements are written percent-encoded.
    pub(super) fn new(text: Text, percent: bool) -> Self {
        Self {
            text,
            decoded: Vec::new(),
            origins: VecDeque::new(),
            percent,
        }
    }

    /// Begins a new text after `context`.
    pub(super) fn restart(&mut self, context: &[u8]) {
        self.text.restart(context);
        self.decoded.clear();
        self.origins.clear();
    }

    pub(super) fn held(&self) -> usize {
        self.text.held()
    }

    /// Takes bytes that stand for themselves.
    pub(super) fn plain(&mut self, bytes: &[u8]) {
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

    /// Takes an escape and what it stands for (at least one byte).
    pub(super) fn escape(&mut self, raw: &[u8], decoded: &[u8]) {
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
        self.settle(out, tally);
        let mut writer = Writer {
            origins: &mut self.origins,
            percent: self.percent,
            out,
        };
        self.text.finish(&mut writer, tally);
    }
}

struct Writer<'a> {
    origins: &'a mut VecDeque<Origin>,
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
        if !self.percent {
            self.out.extend_from_slice(replacement);
            return;
        }
        for &b in replacement {
            match b {
                b'[' => self.out.extend_from_slice(b"%5B"),
                b']' => self.out.extend_from_slice(b"%5D"),
                b':' => self.out.extend_from_slice(b"%3A"),
                _ => self.out.push(b),
            }
        }
    }
}

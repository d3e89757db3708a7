//! The form layer (`application/x-www-form-urlencoded`): names and values are searched decoded,
//! each value with its name as context. What stays is written as it came.

use super::escaped::Escaped;
use super::keys;
use super::scrub::Scrub;
use super::set::MaskSet;
use super::tally::Tally;
use super::text::Text;
use std::rc::Rc;

/// Most bytes of a name that are remembered.
const NAME_MAX: usize = 96;

pub(super) struct Form {
    field: Escaped,
    /// An unfinished `%XX`.
    escape: Vec<u8>,
    /// The decoded name, while it is read.
    name: Option<Vec<u8>>,
}

impl Form {
    pub(super) fn new(set: &Rc<MaskSet>, scrub: Option<&Rc<Scrub>>) -> Self {
        let text = Text::new(Rc::clone(set), scrub.map(Rc::clone));
        Self {
            field: Escaped::new(text, true),
            escape: Vec::new(),
            name: Some(Vec::new()),
        }
    }

    pub(super) fn held(&self) -> usize {
        self.field.held() + self.escape.len()
    }

    pub(super) fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>, tally: &mut Tally) {
        let mut rest = chunk;
        while let Some(&b) = rest.first() {
            if !self.escape.is_empty() {
                if b.is_ascii_hexdigit() {
                    self.escape.push(b);
                    rest = rest.get(1..).unwrap_or_default();
                    if let [_, high, low] = *self.escape {
                        let nibble = |d: u8| char::from(d).to_digit(16).unwrap_or(0) as u8;
                        let decoded = (nibble(high) << 4) | nibble(low);
                        self.field
                            .escape(&[b'%', high, low], &[decoded], out, tally);
                        self.note(&[decoded]);
                        self.escape.clear();
                    }
                } else {
                    self.literal(out, tally);
                }
                continue;
            }
            let plain = rest
                .iter()
                .position(|b| matches!(b, b'%' | b'+' | b'&' | b'='))
                .unwrap_or(rest.len());
            let (text, tail) = rest.split_at(plain);
            self.field.plain(text, out, tally);
            self.note(text);
            let Some((&mark, tail)) = tail.split_first() else {
                break;
            };
            rest = tail;
            match mark {
                b'%' => self.escape.push(b'%'),
                b'+' => {
                    self.field.escape(b"+", b" ", out, tally);
                    self.note(b" ");
                }
                b'=' if self.name.is_none() => self.field.plain(b"=", out, tally),
                _ => self.next(mark, out, tally),
            }
        }
        self.field.settle(out, tally);
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>, tally: &mut Tally) {
        self.literal(out, tally);
        self.field.finish(out, tally);
    }

    /// Ends a name or a value at `=` or `&`.
    fn next(&mut self, mark: u8, out: &mut Vec<u8>, tally: &mut Tally) {
        self.field.finish(out, tally);
        out.push(mark);
        let name = self.name.take();
        if mark == b'&' {
            self.name = Some(Vec::new());
            self.field.restart(&[]);
            return;
        }
        let mut context = Vec::new();
        keys::of_value(&name.unwrap_or_default(), &mut context);
        self.field.restart(&context);
    }

    fn note(&mut self, decoded: &[u8]) {
        if let Some(name) = &mut self.name {
            let room = NAME_MAX.saturating_sub(name.len());
            name.extend_from_slice(decoded.get(..room).unwrap_or(decoded));
        }
    }

    /// A percent sign that begins no escape stands for itself.
    fn literal(&mut self, out: &mut Vec<u8>, tally: &mut Tally) {
        let raw = std::mem::take(&mut self.escape);
        self.field.plain(&raw, out, tally);
        self.note(&raw);
    }
}

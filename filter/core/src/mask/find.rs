//! Where the secrets of a text are, instead of the text without them.

use super::set::MaskSet;
use super::tally::Tally;
use super::text::{Sink, Text};
use std::rc::Rc;

/// A stretch of text that is masked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// Its first byte.
    pub start: usize,
    /// The byte behind its last.
    pub end: usize,
    /// The rule that names it.
    pub rule: String,
}

/// Notes places instead of writing text.
#[derive(Default)]
struct Places {
    at: usize,
    found: Vec<Found>,
}

impl Sink for Places {
    fn keep(&mut self, bytes: &[u8]) {
        self.at += bytes.len();
    }

    fn remove(&mut self, count: usize) {
        self.at += count;
        if let Some(last) = self.found.last_mut() {
            last.end = self.at;
        }
    }

    fn insert(&mut self, _: &[u8]) {}

    fn begin(&mut self, rule: &str) {
        self.found.push(Found {
            start: self.at,
            end: self.at,
            rule: rule.to_owned(),
        });
    }
}

/// The stretches of a whole text that the rules mask, in order.
#[must_use]
pub fn find(set: &Rc<MaskSet>, text: &[u8]) -> Vec<Found> {
    let mut places = Places::default();
    let mut tally = Tally::default();
    let mut search = Text::new(Rc::clone(set), None);
    search.push(text, &mut places, &mut tally);
    search.finish(&mut places, &mut tally);
    places.found
}

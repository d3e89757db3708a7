//! The query language of the trail.
//!
//! `user:ci-runner op:ref.push,pr.merge -repo:acme/* status:>=400 after:2d "drop table"`
//!
//! Terms stand side by side and all have to hold. A term is a field with one or more values (any of
//! them is enough), a word, or a "phrase"; a `-` before it turns it round. In a value `*` stands for
//! anything, and upper and lower case are the same; inside quotes nothing is special but `\"` and
//! `\\`. Words are whole words of prompts, answers, addresses and names; `word*` begins one.
//!
//! Pure: text in, a [`Query`] or an [`Error`] with its place and remedy out. [`Query`] prints as what
//! parses to it again.

mod fields;
mod parse;
#[cfg(test)]
mod parse_tests;
mod print;

pub use fields::{FIELDS, Field, Named, TRAITS, Trait};
pub use parse::{LONGEST, MOST_TERMS, parse};

use std::fmt;
use std::ops::RangeInclusive;

use crate::clock::Millis;

/// What is looked for. All terms have to hold; none means everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The terms, in the order in which they were written.
    pub terms: Vec<Term>,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// Whether it must not hold.
    pub negated: bool,
    /// The condition.
    pub wanted: Wanted,
}

/// What a term asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// One of these values in a field.
    Field(Field, Vec<Pattern>),
    /// Words side by side in a text.
    Words(Words),
    /// A status in one of these ranges, or none at all.
    Status(Vec<Status>),
    /// One of these is there.
    Has(Vec<Trait>),
    /// It happened on one side of a moment.
    Time(Side, Moment),
}

/// A value in which `*` may stand for anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// The pieces between the stars, as they were written. One piece: no star.
    pub pieces: Vec<String>,
}

/// A word, the beginning of one (`drop*`), or several side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// As they were written, without quotes and star.
    pub text: String,
    /// Whether the last one may go on.
    pub prefix: bool,
}

/// Statuses that are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// From one to another.
    Within(RangeInclusive<i64>),
    /// None was sent, or the outcome is not known.
    None,
}

/// Which side of a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// At or after it.
    After,
    /// Before it.
    Before,
}

/// A time as it was written, and what that is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// `2d`, `today`, `2026-05-01`: kept, so that a saved search moves with the time.
    pub text: String,
    /// What it meant when the query was read.
    pub at: Millis,
}

/// What cannot be read in a query, where, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Where it begins: a byte offset at a character boundary.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// The place in words: the character it begins at, from 1.
    pub character: usize,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "query, character {}: {}. {}",
            self.character, self.problem, self.remedy
        )
    }
}

impl std::error::Error for Error {}

impl Query {
    /// A query of one field and an exact value.
    pub fn of(field: Field, value: &str) -> Self {
        Self::default().and(Term::of(field, value))
    }

    /// With one more term, unless it is there.
    pub fn and(mut self, term: Term) -> Self {
        if !self.terms.contains(&term) {
            self.terms.push(term);
        }
        self
    }

    /// Without the term at `index`.
    pub fn without(mut self, index: usize) -> Self {
        if index < self.terms.len() {
            self.terms.remove(index);
        }
        self
    }

    /// Without the terms of the times.
    pub fn at_any_time(mut self) -> Self {
        self.terms
            .retain(|term| !matches!(term.wanted, Wanted::Time(..)));
        self
    }

    /// Whether it looks for words, there or not there.
    pub fn has_words(&self) -> bool {
        let words = |term: &Term| matches!(term.wanted, Wanted::Words(_));
        self.terms.iter().any(words)
    }

    /// The words and phrases that must be there, for marking them in a text.
    pub fn words(&self) -> impl Iterator<Item = &Words> {
        self.terms.iter().filter_map(|term| match &term.wanted {
            Wanted::Words(words) if !term.negated => Some(words),
            _ => None,
        })
    }
}

impl Term {
    /// The condition that `field` has exactly `value`.
    pub fn of(field: Field, value: &str) -> Self {
        Self {
            negated: false,
            wanted: Wanted::Field(field, vec![Pattern::exact(value)]),
        }
    }

    /// Its opposite.
    pub fn negate(mut self) -> Self {
        self.negated = !self.negated;
        self
    }
}

impl Pattern {
    /// The value itself.
    pub fn exact(value: &str) -> Self {
        Self {
            pieces: vec![value.to_owned()],
        }
    }

    /// The value, if there is no star in the pattern.
    pub fn as_exact(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }

    /// Whether it matches whatever is there.
    pub fn is_anything(&self) -> bool {
        self.pieces.len() > 1 && self.pieces.iter().all(String::is_empty)
    }

    /// The pattern in the form in which values are compared.
    pub fn folded(&self) -> Self {
        Self {
            pieces: self.pieces.iter().map(|piece| fold(piece)).collect(),
        }
    }

    /// Whether a value matches; both are compared as they are.
    pub fn matches(&self, value: &str) -> bool {
        let [first, middle @ .., last] = self.pieces.as_slice() else {
            return self.pieces.first().is_some_and(|only| only == value);
        };
        let Some(mut rest) = value.strip_prefix(first.as_str()) else {
            return false;
        };
        for piece in middle {
            match rest.find(piece.as_str()) {
                Some(at) => rest = rest.get(at + piece.len()..).unwrap_or_default(),
                None => return false,
            }
        }
        rest.ends_with(last.as_str())
    }
}

/// A value as the index compares it.
pub fn fold(value: &str) -> String {
    value.to_lowercase()
}

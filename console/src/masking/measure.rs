//! How well the rules find what a labelled file says is there.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::rc::Rc;

use countersign_core::mask::{Found, MaskSet, find};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// A labelled text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Labelled {
    /// The text.
    pub text: String,
    /// Where its secrets stand: from the first character up to and without the last.
    pub spans: Vec<[usize; 2]>,
    /// What kind they are; only for the report.
    #[serde(default)]
    pub kind: String,
}

/// Spans of one kind.
#[derive(Clone, Copy, Default, Debug)]
struct Count {
    spans: usize,
    found: usize,
}

/// What was measured.
#[derive(Default, Debug)]
pub struct Measured {
    texts: usize,
    kinds: BTreeMap<String, Count>,
    stretches: usize,
    right: usize,
    missed: Vec<String>,
    wrong: Vec<String>,
}

/// Runs the rules over a labelled file.
///
/// # Errors
/// A line that is not a labelled text, with its number.
pub fn measure(set: &Rc<MaskSet>, file: &str) -> Result<Measured, Failure> {
    let mut measured = Measured::default();
    for (number, line) in file
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let fault = |what: String| {
            Failure::new(
                format!("line {}: {what}", number + 1),
                "Each line is {\"text\": \"…\", \"spans\": [[start, end]], \"kind\": \"…\"}.",
            )
        };
        let labelled: Labelled =
            serde_json::from_str(line).map_err(|error| fault(error.to_string()))?;
        measured.add(set, &labelled).map_err(fault)?;
    }
    Ok(measured)
}

impl Measured {
    /// Adds a labelled text.
    ///
    /// # Errors
    /// A span that is not in the text.
    pub fn add(&mut self, set: &Rc<MaskSet>, labelled: &Labelled) -> Result<(), String> {
        let text = &labelled.text;
        let mut places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        places.push(text.len());
        let mut spans = Vec::new();
        for [start, end] in &labelled.spans {
            match (places.get(*start), places.get(*end)) {
                (Some(start), Some(end)) if start < end => spans.push(*start..*end),
                _ => return Err(format!("the span [{start}, {end}] is not in the text")),
            }
        }
        self.texts += 1;
        let found = find(set, text.as_bytes());
        let count = self.kinds.entry(labelled.kind.clone()).or_default();
        for span in &spans {
            count.spans += 1;
            if covered(&found, span.start, span.end) {
                count.found += 1;
            } else {
                let secret = text.get(span.clone()).unwrap_or_default();
                self.missed
                    .push(format!("{}: {secret} in {text:?}", labelled.kind));
            }
        }
        for stretch in &found {
            self.stretches += 1;
            if spans
                .iter()
                .any(|span| stretch.start < span.end && span.start < stretch.end)
            {
                self.right += 1;
            } else {
                self.wrong.push(format!("{} in {text:?}", stretch.rule));
            }
        }
        Ok(())
    }

    /// The share of the labelled spans that were masked.
    #[must_use]
    pub fn recall(&self) -> f64 {
        let (found, spans) = self.kinds.values().fold((0, 0), |(found, spans), k| {
            (found + k.found, spans + k.spans)
        });
        share(found, spans)
    }

    /// The same, for kinds that the filter lets through.
    #[must_use]
    pub fn recall_of(&self, kind: impl Fn(&str) -> bool) -> f64 {
        let (found, spans) = self
            .kinds
            .iter()
            .filter(|(id, _)| kind(id))
            .fold((0, 0), |(found, spans), (_, k)| {
                (found + k.found, spans + k.spans)
            });
        share(found, spans)
    }

    /// The share of the masked stretches that were labelled.
    #[must_use]
    pub fn precision(&self) -> f64 {
        share(self.right, self.stretches)
    }

    /// How many spans the texts had, and how many texts had none.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.kinds.values().map(|k| k.spans).sum(), self.texts)
    }

    /// What was missed and what was wrong, a line each.
    #[must_use]
    pub fn faults(&self) -> (&[String], &[String]) {
        (&self.missed, &self.wrong)
    }

    /// The figures, and the kinds of which something was missed.
    #[must_use]
    pub fn report(&self, verbose: bool) -> String {
        let mut out = String::new();
        let spans: usize = self.kinds.values().map(|k| k.spans).sum();
        let found: usize = self.kinds.values().map(|k| k.found).sum();
        let _ = writeln!(out, "texts      {}", self.texts);
        let _ = writeln!(
            out,
            "recall     {:.4}  ({found} of {spans} spans)",
            self.recall()
        );
        let _ = write!(
            out,
            "precision  {:.4}  ({} of {} masked stretches)",
            self.precision(),
            self.right,
            self.stretches
        );
        for (kind, count) in self.kinds.iter().filter(|(_, k)| k.found < k.spans) {
            let _ = write!(out, "\n  {kind}: {} of {}", count.found, count.spans);
        }
        if verbose {
            for (what, lines) in [("missed", &self.missed), ("wrong", &self.wrong)] {
                for line in lines {
                    let _ = write!(out, "\n{what} {line}");
                }
            }
        }
        out
    }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        return 1.0;
    }
    part as f64 / whole as f64
}

/// Whether every byte from `start` to `end` is in a stretch.
fn covered(found: &[Found], start: usize, end: usize) -> bool {
    let mut at = start;
    for stretch in found {
        if stretch.start <= at && at < stretch.end {
            at = stretch.end;
        }
    }
    at >= end
}

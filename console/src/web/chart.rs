//! Charts as SVG from the server. A chart is also a table: for those who do not see it, and for
//! those who want the numbers.

use super::asked::address;
use super::text::grouped;
use crate::clock::{Millis, readable};
use crate::exchanges::facets::{Facet, Histogram};
use crate::exchanges::query::{Field, Moment, Query, Side, Term, Wanted};

/// Units of the drawing; the page scales it.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 96.0;
const MINUTE: Millis = 60_000;
const DAY: Millis = 1440 * MINUTE;

/// Exchanges over time.
pub(super) struct Bars {
    pub title: String,
    pub description: String,
    pub width: f64,
    pub height: f64,
    pub bars: Vec<Bar>,
    pub begins: String,
    pub ends: String,
    pub highest: String,
}

/// One bucket: the parts of its bar from the bottom, and its line in the table.
pub(super) struct Bar {
    pub x: f64,
    pub width: f64,
    pub parts: Vec<Part>,
    pub label: String,
    pub all: String,
    pub refused: String,
    pub held: String,
    pub link: String,
}

/// A part of a bar.
pub(super) struct Part {
    pub tone: &'static str,
    pub y: f64,
    pub height: f64,
}

/// The most frequent values of a field, each with a line as long as its share.
pub(super) struct Ranking {
    pub title: &'static str,
    pub rows: Vec<Ranked>,
}

/// A value of a [`Ranking`].
pub(super) struct Ranked {
    pub value: String,
    pub count: String,
    /// Of 100.
    pub share: f64,
    pub link: String,
    pub chosen: bool,
}

impl Bars {
    /// The chart of a histogram; `query` is what a bar's link adds its time to. Nothing if there is
    /// nothing to draw.
    pub fn new(title: &str, histogram: &Histogram, query: &Query, page: &str) -> Option<Self> {
        let highest = histogram.buckets.iter().map(|bucket| bucket.all).max()?;
        if highest == 0 {
            return None;
        }
        let step = WIDTH / histogram.buckets.len() as f64;
        let mut bars = Vec::new();
        for (index, bucket) in histogram.buckets.iter().enumerate() {
            let from = histogram.from + index as Millis * histogram.step;
            let released = bucket.held.min(bucket.all.saturating_sub(bucket.refused));
            let mut parts = Vec::new();
            let mut below = 0.0;
            for (tone, count) in [
                ("bad", bucket.refused),
                ("warn", released),
                ("good", bucket.all.saturating_sub(bucket.refused + released)),
            ] {
                if count > 0 {
                    // A single refusal among thousands is still to be seen.
                    let height = (count as f64 / highest as f64 * HEIGHT).max(1.5);
                    below += height;
                    parts.push(Part {
                        tone,
                        y: round((HEIGHT - below).max(0.0)),
                        height: round(height),
                    });
                }
            }
            bars.push(Bar {
                x: round(index as f64 * step),
                width: round((step - 1.5).max(1.0)),
                parts,
                label: label(from, histogram.step),
                all: grouped(bucket.all),
                refused: grouped(bucket.refused),
                held: grouped(bucket.held),
                link: address(page, &between(query, from, from + histogram.step)),
            });
        }
        let all: u64 = histogram.buckets.iter().map(|bucket| bucket.all).sum();
        let refused: u64 = histogram.buckets.iter().map(|bucket| bucket.refused).sum();
        let end = histogram.from + histogram.buckets.len() as Millis * histogram.step;
        Some(Self {
            title: title.to_owned(),
            description: format!(
                "{} exchanges from {} to {} UTC, {} of them refused; at most {} in {}.",
                grouped(all),
                minute(histogram.from),
                minute(end),
                grouped(refused),
                grouped(highest),
                step_in_words(histogram.step)
            ),
            width: WIDTH,
            height: HEIGHT,
            bars,
            begins: minute(histogram.from),
            ends: minute(end),
            highest: format!("{} in {}", grouped(highest), step_in_words(histogram.step)),
        })
    }

    /// The lines of the table: those with anything in them, newest first.
    pub fn lines(&self) -> impl Iterator<Item = &Bar> {
        self.bars.iter().rev().filter(|bar| !bar.parts.is_empty())
    }
}

impl Ranking {
    /// A facet, with links that add a value to `query`.
    pub fn new(title: &'static str, facet: &Facet, query: &Query, page: &str) -> Self {
        let highest = facet.values.iter().map(|value| value.count).max();
        let highest = highest.unwrap_or(1).max(1) as f64;
        let rows = facet.values.iter().map(|counted| {
            let term = Term::of(facet.field, &counted.value);
            let place = query.terms.iter().position(|other| *other == term);
            let link = match place {
                Some(index) => query.clone().without(index),
                None => query.clone().and(term),
            };
            Ranked {
                value: super::text::shown_line(match facet.field {
                    Field::Decision => super::text::decision(&counted.value),
                    _ => &counted.value,
                }),
                count: grouped(counted.count),
                share: round((counted.count as f64 / highest * 100.0).max(1.0)),
                link: address(page, &link),
                chosen: place.is_some(),
            }
        });
        Self {
            title,
            rows: rows.collect(),
        }
    }
}

/// `query` within these times instead of its own.
fn between(query: &Query, from: Millis, to: Millis) -> Query {
    let mut query = query.clone().at_any_time();
    for (side, at) in [(Side::After, from), (Side::Before, to)] {
        let text = crate::clock::rfc3339(at).replace(".000Z", "Z");
        query.terms.push(Term {
            negated: false,
            wanted: Wanted::Time(side, Moment { text, at }),
        });
    }
    query
}

fn label(from: Millis, step: Millis) -> String {
    match step {
        ..DAY => minute(from),
        DAY => readable(from).chars().take(10).collect(),
        _ => format!(
            "from {}",
            readable(from).chars().take(10).collect::<String>()
        ),
    }
}

/// Without the seconds.
fn minute(at: Millis) -> String {
    readable(at).chars().take(16).collect()
}

fn step_in_words(step: Millis) -> String {
    let (count, unit) = match step {
        step if step % DAY == 0 => (step / DAY, "day"),
        step if step % (60 * MINUTE) == 0 => (step / (60 * MINUTE), "hour"),
        _ => (step / MINUTE, "minute"),
    };
    match count {
        1 => format!("one {unit}"),
        _ => format!("{count} {unit}s"),
    }
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchanges::facets::Bucket;

    #[test]
    fn a_bar_is_as_high_as_its_parts_and_links_to_its_time() {
        let histogram = Histogram {
            from: 0,
            step: 60 * MINUTE,
            buckets: vec![
                Bucket {
                    all: 100,
                    refused: 1,
                    held: 2,
                },
                Bucket::default(),
                Bucket {
                    all: 50,
                    refused: 50,
                    held: 0,
                },
            ],
        };
        let query = Query::of(Field::User, "a b").at_any_time();
        let bars = Bars::new("Exchanges", &histogram, &query, "/audit").unwrap();
        let tones: Vec<&str> = bars.bars[0].parts.iter().map(|part| part.tone).collect();
        assert_eq!(tones, ["bad", "warn", "good"]);
        assert!(bars.bars[0].parts.iter().all(|part| part.y >= 0.0));
        assert!(bars.bars[1].parts.is_empty());
        assert_eq!(bars.lines().count(), 2);
        assert!(
            bars.description.contains("150 exchanges")
                && bars.description.contains("51 of them refused")
        );
        assert_eq!(
            bars.bars[2].link,
            "/audit?q=user:%22a+b%22+after:1970-01-01T02:00:00Z+before:1970-01-01T03:00:00Z"
        );
        assert!(Bars::new("", &Histogram::default(), &query, "/audit").is_none());
    }
}

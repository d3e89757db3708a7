//! What the exchanges that were found have in common: values with their counts, and when they were.

use roaring::RoaringBitmap;
use serde::Serialize;

use super::index::{FACETS, Index, Kind};
use super::query::{Field, Query, Side, Wanted};
use super::search::{Matches, kinds_of_decision};
use crate::clock::Millis;
use crate::store::StoreError;
use crate::store::sql::{Connection, params};

/// The newest matches, whose values are the candidates of each facet.
const SAMPLE: usize = 2000;
/// Values of a facet.
const VALUES: usize = 8;
/// So many matches are put into buckets one by one.
const ONE_BY_ONE: u64 = 2000;
const BARS: i64 = 60;
const MINUTE: Millis = 60_000;
const HOUR: Millis = 60 * MINUTE;
const DAY: Millis = 24 * HOUR;

/// The most frequent values of one field.
#[derive(Clone, Debug, Serialize)]
pub struct Facet {
    /// The field.
    #[serde(serialize_with = "by_name")]
    pub field: Field,
    /// Most frequent first. The candidates are the values of the newest matches; the counts are of
    /// all matches.
    pub values: Vec<Counted>,
}

fn by_name<S: serde::Serializer>(field: &Field, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(field.name())
}

/// A value and how many of the matches have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// The value.
    pub value: String,
    /// How many.
    pub count: u64,
}

/// How many exchanges began when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Histogram {
    /// When the first bucket begins.
    #[serde(rename = "from_ms")]
    pub from: Millis,
    /// How long each is.
    #[serde(rename = "step_ms")]
    pub step: Millis,
    /// All, and those of them that were refused.
    pub buckets: Vec<Bucket>,
}

/// The exchanges of a length of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bucket {
    /// All of them.
    pub all: u64,
    /// Those that were refused, by a rule, a person, or the clock.
    pub refused: u64,
    /// Those that were held for a person.
    pub held: u64,
}

/// The facets of a search.
pub fn facets(c: &Connection, matches: &Matches) -> Result<Vec<Facet>, StoreError> {
    top(c, &matches.rows, FACETS, VALUES)
}

/// The most frequent values of some fields among `rows`.
pub fn top(
    c: &Connection,
    rows: &RoaringBitmap,
    fields: &[Field],
    most: usize,
) -> Result<Vec<Facet>, StoreError> {
    let index = Index(c);
    let kinds: Vec<Kind> = fields.iter().map(|field| Kind::Field(*field)).collect();
    let tally = index.tally(rows.iter().rev().take(SAMPLE), &kinds)?;
    let all_seen = rows.len() <= SAMPLE as u64;
    let mut facets = Vec::new();
    for field in fields {
        let mut candidates: Vec<(u64, i64)> = tally
            .iter()
            .filter(|((kind, _), _)| *kind == field.code())
            .map(|((_, value), count)| (*count, *value))
            .collect();
        candidates.sort_by_key(|(count, value)| (std::cmp::Reverse(*count), *value));
        candidates.truncate(most);
        let mut values = Vec::new();
        for (count, number) in candidates {
            let count = match all_seen {
                true => count,
                false => index.count(number, rows)?,
            };
            if let Some(value) = index.value(number)? {
                values.push(Counted { value, count });
            }
        }
        values.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
        facets.push(Facet {
            field: *field,
            values,
        });
    }
    Ok(facets)
}

/// The exchanges whose decision is of the kind that `word` names.
pub fn decided(c: &Connection, word: &str) -> Result<RoaringBitmap, StoreError> {
    let index = Index(c);
    let kind = Kind::Field(Field::Decision);
    let mut rows = index.exactly(kind, word)?;
    for other in kinds_of_decision(word) {
        rows |= index.exactly(kind, other)?;
    }
    Ok(rows)
}

/// When the exchanges of a search began, over the time that the query names or else over all of it.
pub fn histogram(
    c: &Connection,
    matches: &Matches,
    query: &Query,
    now: Millis,
) -> Result<Histogram, StoreError> {
    let (mut from, mut to) = (None, None);
    for term in query.terms.iter().filter(|term| !term.negated) {
        match &term.wanted {
            Wanted::Time(Side::After, moment) => from = from.max(Some(moment.at)),
            Wanted::Time(Side::Before, moment) => {
                to = Some(to.map_or(moment.at, |to: Millis| to.min(moment.at)));
            }
            _ => {}
        }
    }
    over(c, &matches.rows, from, to.unwrap_or(now))
}

/// When these exchanges began, from `from` or the first of them to `to`.
pub fn over(
    c: &Connection,
    rows: &RoaringBitmap,
    from: Option<Millis>,
    to: Millis,
) -> Result<Histogram, StoreError> {
    if rows.is_empty() {
        return Ok(Histogram::default());
    }
    let times = Times::of(c, rows, from)?;
    let Some((first, last)) = times.span() else {
        return Ok(Histogram::default());
    };
    let from = from.unwrap_or(first).max(first - 400 * DAY);
    let to = to.max(last + 1).max(from + 1);
    let step = step(to - from, times.finest);
    let begin = from.div_euclid(step) * step;
    let count = ((to - begin) as usize)
        .div_ceil(step as usize)
        .min(4 * BARS as usize);
    let mut histogram = Histogram {
        from: begin,
        step,
        buckets: vec![Bucket::default(); count],
    };
    for (at, bucket) in times.counts {
        let place = usize::try_from((at - begin).div_euclid(step)).ok();
        if let Some(sum) = place.and_then(|place| histogram.buckets.get_mut(place)) {
            sum.all += bucket.all;
            sum.refused += bucket.refused;
            sum.held += bucket.held;
        }
    }
    Ok(histogram)
}

/// Counts by when, as fine as they are known.
struct Times {
    finest: Millis,
    counts: Vec<(Millis, Bucket)>,
}

impl Times {
    fn of(c: &Connection, rows: &RoaringBitmap, from: Option<Millis>) -> Result<Self, StoreError> {
        let refused = decided(c, "refused")? & rows;
        let held = decided(c, "held")? & rows;
        if rows.len() <= ONE_BY_ONE {
            let mut statement = c.prepare_cached("SELECT at FROM exchanges WHERE id = ?1")?;
            let mut counts = Vec::new();
            for row in rows {
                let at: Millis = statement.query_row(params![row], |row| row.get(0))?;
                let one = Bucket {
                    all: 1,
                    refused: refused.contains(row).into(),
                    held: held.contains(row).into(),
                };
                counts.push((at, one));
            }
            return Ok(Self {
                finest: MINUTE,
                counts,
            });
        }
        let index = Index(c);
        let by = |kind: Kind, length: Millis, wanted: &dyn Fn(i64) -> bool| {
            let mut counts = Vec::new();
            for (number, value) in index.values(kind, u32::MAX)? {
                let Some(value) = value.parse().ok().filter(|value| wanted(*value)) else {
                    continue;
                };
                let then = index.rows(number)?;
                let bucket = Bucket {
                    all: then.intersection_len(rows),
                    refused: then.intersection_len(&refused),
                    held: then.intersection_len(&held),
                };
                if bucket.all > 0 {
                    counts.push((value * length, bucket));
                }
            }
            counts.sort_by_key(|(at, _)| *at);
            Ok::<_, StoreError>(counts)
        };
        let first = from.map_or(i64::MIN, |from| from.div_euclid(DAY));
        let days = by(Kind::Day, DAY, &|day| day >= first)?;
        let (Some((first, _)), Some((last, _))) = (days.first(), days.last()) else {
            return Ok(Self {
                finest: DAY,
                counts: days,
            });
        };
        let (first, last) = (*first, *last + DAY);
        // As far as six hours are a step.
        if last - first > 15 * DAY {
            return Ok(Self {
                finest: DAY,
                counts: days,
            });
        }
        Ok(Self {
            finest: HOUR,
            counts: by(Kind::Hour, HOUR, &|hour| {
                (first.div_euclid(HOUR)..last.div_euclid(HOUR)).contains(&hour)
            })?,
        })
    }

    fn span(&self) -> Option<(Millis, Millis)> {
        let times = self.counts.iter().map(|(at, _)| *at);
        Some((times.clone().min()?, times.max()?))
    }
}

/// The shortest readable step that gives at most [`BARS`] bars.
fn step(length: Millis, finest: Millis) -> Millis {
    const STEPS: &[Millis] = &[
        MINUTE,
        5 * MINUTE,
        15 * MINUTE,
        HOUR,
        3 * HOUR,
        6 * HOUR,
        DAY,
        7 * DAY,
        28 * DAY,
    ];
    let fits = |step: &&Millis| **step >= finest && length <= **step * BARS;
    STEPS.iter().find(fits).copied().unwrap_or(364 * DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_has_few_bars() {
        for (length, finest, wanted) in [
            (HOUR, MINUTE, MINUTE),
            (2 * HOUR, MINUTE, 5 * MINUTE),
            (2 * HOUR, HOUR, HOUR),
            (3 * DAY, MINUTE, 3 * HOUR),
            (30 * DAY, HOUR, DAY),
            (365 * DAY, DAY, 7 * DAY),
        ] {
            assert_eq!(step(length, finest), wanted, "{length} {finest}");
        }
    }
}

//! Text to [`Query`].

use super::{
    Error, FIELDS, Field, Moment, Pattern, Query, Side, Status, TRAITS, Term, Trait, Wanted, Words,
};
use crate::clock::{Millis, parse_moment};

/// The longest query, in bytes.
pub const LONGEST: usize = 4096;
/// The most terms of a query, and the most values of a term.
pub const MOST_TERMS: usize = 64;
/// The beginning of a word has at least so many letters: a shorter one is in every text.
const SHORTEST_PREFIX: usize = 2;
const DAY: Millis = 86_400_000;

/// Reads a query. Times such as `2d` count back from `now`.
pub fn parse(text: &str, now: Millis) -> Result<Query, Error> {
    let reader = Reader { text, now };
    if text.len() > LONGEST {
        let at = (0..=LONGEST).rev().find(|at| text.is_char_boundary(*at));
        return Err(reader.error(
            at.unwrap_or(0)..text.len(),
            format!("the query is longer than {LONGEST} bytes"),
            "Take something away from it.",
        ));
    }
    let mut query = Query::default();
    let mut at = 0;
    while let Some(start) = reader.next_term(at) {
        if query.terms.len() == MOST_TERMS {
            return Err(reader.error(
                start..text.len(),
                format!("there are more than {MOST_TERMS} terms"),
                "Take some away, or write the values of one field as one term: op:a,b,c.",
            ));
        }
        let (term, end) = reader.term(start)?;
        query.terms.push(term);
        at = end;
    }
    Ok(query)
}

struct Reader<'a> {
    text: &'a str,
    now: Millis,
}

/// A value as it stands in the text: pieces between stars.
struct Raw {
    pieces: Vec<String>,
    quoted: bool,
    start: usize,
    end: usize,
}

impl Raw {
    /// Without any special meaning of a star.
    fn plain(&self) -> String {
        self.pieces.join("*")
    }
}

impl Reader<'_> {
    fn rest(&self, at: usize) -> &str {
        self.text.get(at..).unwrap_or_default()
    }

    fn peek(&self, at: usize) -> Option<char> {
        self.rest(at).chars().next()
    }

    fn next_term(&self, at: usize) -> Option<usize> {
        let rest = self.rest(at);
        let blank = rest.len() - rest.trim_start().len();
        (blank < rest.len()).then_some(at + blank)
    }

    fn error(
        &self,
        place: std::ops::Range<usize>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Error {
        let before = self.text.get(..place.start).unwrap_or_default();
        Error {
            start: place.start,
            end: place.end.max(place.start),
            character: before.chars().count() + 1,
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    fn term(&self, start: usize) -> Result<(Term, usize), Error> {
        let negated = self.peek(start) == Some('-');
        let at = start + usize::from(negated);
        if self.peek(at).is_none_or(char::is_whitespace) {
            return Err(self.error(
                start..at,
                "a `-` with nothing behind it",
                "Put it right before what must not be there: -op:repo.read.",
            ));
        }
        let (wanted, end) = match self.field_name(at) {
            Some((name, values)) => self.field(at, name, values)?,
            None => self.words(at)?,
        };
        Ok((Term { negated, wanted }, end))
    }

    /// The name before a colon, and where its values begin.
    fn field_name(&self, at: usize) -> Option<(&str, usize)> {
        let rest = self.rest(at);
        let name = rest.split(|c: char| c.is_whitespace() || c == '"').next()?;
        let (name, _) = name.split_once(':')?;
        Some((name, at + name.len() + 1))
    }

    fn field(&self, start: usize, name: &str, at: usize) -> Result<(Wanted, usize), Error> {
        let known = match name.to_ascii_lowercase().as_str() {
            "status" => Known::Status,
            "has" => Known::Has,
            "after" | "since" | "from" => Known::Time(Side::After),
            "before" | "until" => Known::Time(Side::Before),
            _ => match Field::from_name(name) {
                Some(field) => Known::Field(field),
                None => return Err(self.unknown_field(start, name, at)),
            },
        };
        let (values, end) = self.values(at)?;
        let wanted = match known {
            Known::Field(field) => {
                let patterns = values.into_iter().map(|raw| Pattern { pieces: raw.pieces });
                Wanted::Field(field, patterns.collect())
            }
            Known::Status => Wanted::Status(
                (values.iter().map(|raw| self.status(raw))).collect::<Result<_, _>>()?,
            ),
            Known::Has => Wanted::Has(
                (values.iter().map(|raw| self.one_trait(raw))).collect::<Result<_, _>>()?,
            ),
            Known::Time(side) => match values.as_slice() {
                [one] => Wanted::Time(side, self.moment(one)?),
                _ => {
                    return Err(self.error(
                        at..end,
                        "more than one time",
                        "Give one: after:2d before:today.",
                    ));
                }
            },
        };
        Ok((wanted, end))
    }

    fn unknown_field(&self, start: usize, name: &str, at: usize) -> Error {
        let place = start..at;
        if name.eq_ignore_ascii_case("http") || name.eq_ignore_ascii_case("https") {
            return self.error(
                place,
                "an address by itself",
                format!("Write url:{name}:… to look for the address, or put it in quotes."),
            );
        }
        let names = FIELDS
            .iter()
            .map(|named| named.name)
            .chain(["status", "has", "after", "before"]);
        let near = names
            .clone()
            .find(|known| !name.is_empty() && is_near(known, &name.to_ascii_lowercase()));
        let remedy = match near {
            Some(near) => format!("Did you mean {near}:?"),
            None => format!(
                "The fields are {}. Put a text with a colon in quotes.",
                names.collect::<Vec<_>>().join(", ")
            ),
        };
        self.error(
            place,
            format!("there is no field `{}`", brief(name)),
            remedy,
        )
    }

    /// Values with commas between them, up to the next blank.
    fn values(&self, start: usize) -> Result<(Vec<Raw>, usize), Error> {
        let mut values = Vec::new();
        let mut at = start;
        loop {
            let raw = self.value(at, ",")?;
            if raw.pieces.iter().all(String::is_empty) && raw.pieces.len() == 1 && !raw.quoted {
                return Err(self.error(
                    start.saturating_sub(1)..raw.end,
                    "a value is missing",
                    "Write it right behind the colon: user:ci-runner, or user:* for any.",
                ));
            }
            at = raw.end;
            values.push(raw);
            if values.len() > MOST_TERMS {
                return Err(self.error(
                    start..at,
                    format!("more than {MOST_TERMS} values of one field"),
                    "Use a * for what they have in common.",
                ));
            }
            if self.peek(at) != Some(',') {
                return Ok((values, at));
            }
            at += 1;
        }
    }

    /// One value, up to a blank or one of `stops`.
    fn value(&self, start: usize, stops: &str) -> Result<Raw, Error> {
        let mut raw = Raw {
            pieces: vec![String::new()],
            quoted: false,
            start,
            end: start,
        };
        let mut letters = self.rest(start).char_indices();
        while let Some((offset, c)) = letters.next() {
            raw.end = start + offset;
            match c {
                c if c.is_whitespace() || stops.contains(c) => return Ok(raw),
                '*' => {
                    // Two stars mean what one does.
                    if raw.pieces.len() < 2 || raw.pieces.last().is_some_and(|p| !p.is_empty()) {
                        raw.pieces.push(String::new());
                    }
                }
                '"' => {
                    raw.quoted = true;
                    let mut closed = false;
                    while let Some((_, c)) = letters.next() {
                        let c = match c {
                            '"' => {
                                closed = true;
                                break;
                            }
                            '\\' => letters.next().map_or('\\', |(_, c)| c),
                            c => c,
                        };
                        push(&mut raw, c);
                    }
                    if !closed {
                        return Err(self.error(
                            start + offset..self.text.len(),
                            "a quote is not closed",
                            "Put a \" at its end; a quote inside is written \\\".",
                        ));
                    }
                }
                c => push(&mut raw, c),
            }
        }
        raw.end = self.text.len();
        Ok(raw)
    }

    fn words(&self, start: usize) -> Result<(Wanted, usize), Error> {
        let raw = self.value(start, "")?;
        let place = raw.start..raw.end;
        let (last, before) = match raw.pieces.as_slice() {
            [] => ("", &[][..]),
            [before @ .., last] => (last.as_str(), before),
        };
        let prefix = !before.is_empty();
        if prefix && !(last.is_empty() && before.len() == 1) {
            return Err(self.error(
                place,
                "a `*` inside a word",
                "It can stand at the end: drop* finds dropped. In front of it, write the field: url:*drop*.",
            ));
        }
        let text = raw.pieces.concat();
        if !raw.quoted && matches!(text.as_str(), "AND" | "OR" | "NOT") {
            return Err(self.error(
                place,
                format!("`{text}` has no meaning here"),
                "All terms have to hold. Write a,b for either of two values, and - before what must not be; \
                 put the word in quotes to look for it.",
            ));
        }
        let letters = text.chars().filter(|c| c.is_alphanumeric()).count();
        if letters == 0 {
            return Err(self.error(
                place,
                "nothing to look for: no letter and no digit",
                "Texts are searched by their words. Look for a word beside it, or for a field: path:*->*.",
            ));
        }
        if prefix && letters < SHORTEST_PREFIX {
            return Err(self.error(
                place,
                "the beginning of a word is too short",
                format!("Give at least {SHORTEST_PREFIX} letters before the *."),
            ));
        }
        let end = raw.end;
        Ok((Wanted::Words(Words { text, prefix }), end))
    }

    fn status(&self, raw: &Raw) -> Result<Status, Error> {
        let text = raw.plain();
        read_status(&text).ok_or_else(|| {
            self.error(
                raw.start..raw.end,
                format!("`{}` is not a status", brief(&text)),
                "Write 404, 4xx, >=500, <400, 400-499, or none.",
            )
        })
    }

    fn one_trait(&self, raw: &Raw) -> Result<Trait, Error> {
        let text = raw.plain();
        Trait::from_word(&text).ok_or_else(|| {
            let words: Vec<&str> = TRAITS.iter().map(|(_, word, _)| *word).collect();
            self.error(
                raw.start..raw.end,
                format!("nothing is called `{}`", brief(&text)),
                format!("has: knows {}.", words.join(", ")),
            )
        })
    }

    fn moment(&self, raw: &Raw) -> Result<Moment, Error> {
        let text = raw.plain();
        let midnight = self.now.div_euclid(DAY) * DAY;
        let at = match text.to_ascii_lowercase().as_str() {
            "now" => Ok(self.now),
            "today" => Ok(midnight),
            "yesterday" => Ok(midnight - DAY),
            _ => parse_moment(&text, self.now),
        };
        match at {
            Ok(at) => Ok(Moment { text, at }),
            Err(_) => Err(self.error(
                raw.start..raw.end,
                format!("`{}` is not a time", brief(&text)),
                "Write 2026-05-01, 2026-05-01T13:00Z, today, yesterday, or an age such as 3h or 2d (UTC).",
            )),
        }
    }
}

enum Known {
    Field(Field),
    Status,
    Has,
    Time(Side),
}

fn push(raw: &mut Raw, c: char) {
    if let Some(last) = raw.pieces.last_mut() {
        last.push(c);
    }
}

fn read_status(text: &str) -> Option<Status> {
    let number = |text: &str| -> Option<i64> {
        let digits = (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten()
    };
    if text.eq_ignore_ascii_case("none") {
        return Some(Status::None);
    }
    let range = if let Some(rest) = text.strip_prefix(">=") {
        number(rest)?..=i64::MAX
    } else if let Some(rest) = text.strip_prefix("<=") {
        i64::MIN..=number(rest)?
    } else if let Some(rest) = text.strip_prefix('>') {
        number(rest)? + 1..=i64::MAX
    } else if let Some(rest) = text.strip_prefix('<') {
        i64::MIN..=number(rest)? - 1
    } else if let Some(class) = text.to_ascii_lowercase().strip_suffix("xx") {
        let class = number(class).filter(|class| (1..=9).contains(class))?;
        class * 100..=class * 100 + 99
    } else if let Some((from, to)) = text.split_once('-') {
        let (from, to) = (number(from)?, number(to)?);
        if from > to {
            return None;
        }
        from..=to
    } else {
        let one = number(text)?;
        one..=one
    };
    Some(Status::Within(range))
}

/// Whether one letter was left out, added, changed, or swapped with its neighbour.
fn is_near(known: &str, typed: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (known.chars().collect(), typed.chars().collect());
    let same = |n: usize| a.iter().zip(&b).take(n).all(|(x, y)| x == y);
    let front = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let tail = |x: &[char], y: &[char]| x == y;
    let (after_a, after_b) = (a.get(front..).unwrap_or(&[]), b.get(front..).unwrap_or(&[]));
    let skip = |letters: &[char], n: usize| letters.get(n..).unwrap_or(&[]).to_vec();
    let swapped = after_a.len() >= 2
        && after_b.len() >= 2
        && after_a.first() == after_b.get(1)
        && after_a.get(1) == after_b.first()
        && skip(after_a, 2) == skip(after_b, 2);
    a.len() > 1
        && same(front)
        && (tail(&skip(after_a, 1), after_b)
            || tail(after_a, &skip(after_b, 1))
            || tail(&skip(after_a, 1), &skip(after_b, 1))
            || swapped)
}

fn brief(text: &str) -> String {
    let mut brief: String = text.chars().take(40).collect();
    if brief.len() < text.len() {
        brief.push('…');
    }
    brief
}

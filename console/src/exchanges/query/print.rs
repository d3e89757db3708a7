//! A query as text again.

use std::fmt;

use super::{Pattern, Query, Side, Status, Term, Wanted, Words};

impl fmt::Display for Query {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.terms.iter().enumerate() {
            if index > 0 {
                out.write_str(" ")?;
            }
            term.fmt(out)?;
        }
        Ok(())
    }
}

impl fmt::Display for Term {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negated {
            out.write_str("-")?;
        }
        match &self.wanted {
            Wanted::Words(words) => words.fmt(out),
            Wanted::Field(field, values) => {
                write!(out, "{}:", field.name())?;
                list(out, values)
            }
            Wanted::Status(ranges) => {
                out.write_str("status:")?;
                list(out, ranges)
            }
            Wanted::Has(traits) => {
                out.write_str("has:")?;
                list(out, traits.iter().map(|one| one.word()))
            }
            Wanted::Time(side, moment) => {
                let side = match side {
                    Side::After => "after",
                    Side::Before => "before",
                };
                let moment = &moment.text;
                let plain = moment
                    .chars()
                    .all(|c| !c.is_whitespace() && c != ',' && c != '"');
                match plain {
                    true => write!(out, "{side}:{moment}"),
                    false => write!(out, "{side}:{}", Quoted(moment)),
                }
            }
        }
    }
}

impl fmt::Display for Words {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare = |c: char| !c.is_whitespace() && !"\":*".contains(c);
        let plain = !self.text.is_empty()
            && self.text.chars().all(bare)
            && !self.text.starts_with('-')
            && !matches!(self.text.as_str(), "AND" | "OR" | "NOT");
        let star = if self.prefix { "*" } else { "" };
        match plain {
            true => write!(out, "{}{star}", self.text),
            false => write!(out, "{}{star}", Quoted(&self.text)),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, piece) in self.pieces.iter().enumerate() {
            if index > 0 {
                out.write_str("*")?;
            }
            let bare = |c: char| !c.is_whitespace() && !"\",*".contains(c);
            let plain = piece.chars().all(bare) && (self.pieces.len() > 1 || !piece.is_empty());
            match plain {
                true => out.write_str(piece)?,
                false => Quoted(piece).fmt(out)?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Status {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::None => out.write_str("none"),
            Status::Within(range) => match (*range.start(), *range.end()) {
                (from, to) if from == to => write!(out, "{from}"),
                (i64::MIN, to) => write!(out, "<={to}"),
                (from, i64::MAX) => write!(out, ">={from}"),
                (from, to) if from % 100 == 0 && to == from + 99 && (100..=900).contains(&from) => {
                    write!(out, "{}xx", from / 100)
                }
                (from, to) => write!(out, "{from}-{to}"),
            },
        }
    }
}

/// Text in quotes.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("\"")?;
        for c in self.0.chars() {
            if matches!(c, '"' | '\\') {
                out.write_str("\\")?;
            }
            write!(out, "{c}")?;
        }
        out.write_str("\"")
    }
}

fn list<T: fmt::Display>(
    out: &mut fmt::Formatter<'_>,
    values: impl IntoIterator<Item = T>,
) -> fmt::Result {
    for (index, value) in values.into_iter().enumerate() {
        if index > 0 {
            out.write_str(",")?;
        }
        value.fmt(out)?;
    }
    Ok(())
}

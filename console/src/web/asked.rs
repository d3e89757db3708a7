//! A search as it stands in an address: the query language, and the single parameters that were
//! there before it.

use serde::Deserialize;

use crate::clock::Millis;
use crate::exchanges::query::{
    self, Error, Field, Moment, Pattern, Query, Side, Term, Wanted, Words, parse,
};
use crate::exchanges::{Asked, Cursor};

/// Exchanges on a page, if the address does not say.
pub const PAGE: u32 = 50;

/// The parameters of an address. Everything that is given has to hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Parameters {
    pub q: String,
    pub text: String,
    pub user: String,
    pub operation: String,
    pub decision: String,
    pub connection: String,
    pub session: String,
    pub since: String,
    pub until: String,
    pub cursor: String,
    pub limit: Option<u32>,
}

/// What cannot be read in the parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// In `q`: the place is one of its.
    Query(Error),
    /// In another parameter.
    Parameter(String),
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Query(error) => error.fmt(out),
            Self::Parameter(why) => out.write_str(why),
        }
    }
}

impl Parameters {
    /// The search that is meant.
    pub fn asked(&self, now: Millis) -> Result<Asked, Wrong> {
        let after = match self.cursor.trim() {
            "" => None,
            text => Some(Cursor::parse(text).ok_or_else(|| {
                Wrong::Parameter(format!(
                    "`{text}` is not a cursor: take `next` of the page before"
                ))
            })?),
        };
        Ok(Asked {
            query: self.query(now)?,
            after,
            limit: self.limit.unwrap_or(PAGE),
        })
    }

    fn query(&self, now: Millis) -> Result<Query, Wrong> {
        let mut query = parse(&self.q, now).map_err(Wrong::Query)?;
        for (field, text) in [
            (Field::User, &self.user),
            (Field::Operation, &self.operation),
            (Field::Decision, &self.decision),
            (Field::Connection, &self.connection),
        ] {
            if !text.trim().is_empty() {
                let pieces = text.trim().split('*').map(str::to_owned).collect();
                query.terms.push(Term {
                    negated: false,
                    wanted: Wanted::Field(field, vec![Pattern { pieces }]),
                });
            }
        }
        if !self.session.trim().is_empty() {
            query = query.and(Term::of(Field::Session, self.session.trim()));
        }
        for (side, text) in [(Side::After, &self.since), (Side::Before, &self.until)] {
            if !text.trim().is_empty() {
                let text = text.trim().to_owned();
                let at = crate::clock::parse_moment(&text, now).map_err(Wrong::Parameter)?;
                query.terms.push(Term {
                    negated: false,
                    wanted: Wanted::Time(side, Moment { text, at }),
                });
            }
        }
        for (index, part) in self.text.split('"').enumerate() {
            let words: Vec<&str> = match index % 2 {
                1 => vec![part],
                _ => part.split_whitespace().collect(),
            };
            for text in words {
                let letters = text.chars().filter(|c| c.is_alphanumeric()).count();
                if letters > 0 {
                    query.terms.push(Term {
                        negated: false,
                        wanted: Wanted::Words(Words {
                            text: text.to_owned(),
                            prefix: letters > 1,
                        }),
                    });
                }
            }
        }
        if query.terms.len() > query::MOST_TERMS {
            let most = query::MOST_TERMS;
            return Err(Wrong::Parameter(format!(
                "there are more than {most} terms"
            )));
        }
        Ok(query)
    }
}

/// The address of a search.
pub(super) fn address(page: &str, query: &Query) -> String {
    match query.terms.is_empty() {
        true => page.to_owned(),
        false => format!("{page}?q={}", encoded(&query.to_string())),
    }
}

/// `text` as a value in a query string.
pub(super) fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'A'..=b'Z'
            | b'a'..=b'z'
            | b'0'..=b'9'
            | b'-'
            | b'.'
            | b'_'
            | b'~'
            | b':'
            | b'/'
            | b'*'
            | b',' => char::from(b).to_string(),
            b' ' => "+".to_owned(),
            b => format!("%{b:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_single_parameters_are_terms() {
        let parameters = Parameters {
            q: "op:ref.push".into(),
            user: "ci-*".into(),
            text: "drop \"two words\"".into(),
            session: "a*b".into(),
            since: "2h".into(),
            ..Parameters::default()
        };
        let query = parameters.query(7_200_000).unwrap();
        assert_eq!(
            query.to_string(),
            "op:ref.push user:ci-* session:\"a*b\" after:2h drop* \"two words\"*"
        );
        assert_eq!(
            address("/audit", &Query::of(Field::Path, "a&b c")),
            "/audit?q=path:%22a%26b+c%22"
        );
        let wrong = Parameters {
            q: "nope:1".into(),
            ..Parameters::default()
        };
        assert!(matches!(wrong.query(0), Err(Wrong::Query(_))));
    }
}

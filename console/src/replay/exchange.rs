//! One exchange as its records tell it: the outcome counts over the request, and a body is what was
//! captured, or the reason why nothing was.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::clock::Millis;
use crate::exchanges::Detail;
use crate::intake::record::Half;

/// The records of one exchange, newest values first.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    /// Its id.
    pub id: String,
    /// When it began.
    pub at: Millis,
    /// When it ended, if that is on record.
    pub ended: Option<Millis>,
    request: Option<Map<String, Value>>,
    outcome: Option<Map<String, Value>>,
    /// Bodies that retention has deleted.
    deleted: Vec<String>,
}

/// Which of the two bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What the caller sent.
    Request,
    /// What came back.
    Response,
}

/// A body as far as it was captured, after masking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing was sent.
    Empty,
    /// Not captured, and why.
    Missing(String),
    /// Captured; cut off if it was larger than the policy keeps.
    Kept {
        /// The bytes.
        bytes: Vec<u8>,
        /// Whether the end is missing.
        cut: bool,
    },
}

/// An operation as a record names it.
#[derive(Clone, Copy, Debug)]
pub struct Operation<'a>(&'a Map<String, Value>);

impl Exchange {
    /// From everything the trail has of it.
    pub fn new(detail: &Detail) -> Self {
        let records = &detail.records;
        let mut exchange = Self::of_records(
            &detail.summary.exchange,
            records
                .iter()
                .map(|r| (r.event.as_str(), r.at, &r.attributes)),
        );
        let deleted = records.iter().flat_map(|r| r.bodies_missing.keys());
        exchange.deleted.extend(deleted.cloned());
        exchange
    }

    /// From its records (event name, time, attributes) in the order in which they came; of each half
    /// the last one counts.
    pub fn of_records<'a>(
        id: &str,
        records: impl IntoIterator<Item = (&'a str, Millis, &'a Map<String, Value>)>,
    ) -> Self {
        let mut exchange = Self {
            id: id.to_owned(),
            ..Self::default()
        };
        let mut asked = None;
        for (event, at, attributes) in records {
            if event == Half::Request.event_name() {
                exchange.request = Some(attributes.clone());
                asked = Some(at);
            } else if event == Half::Outcome.event_name() {
                exchange.outcome = Some(attributes.clone());
                exchange.ended = Some(at);
            }
        }
        // The request record is written after a hold: the length counts back to the beginning.
        let length = exchange
            .number("countersign.duration_us")
            .map(|us| us / 1000);
        exchange.at = match (exchange.ended, length, asked) {
            (Some(end), Some(length), _) => end.saturating_sub(length),
            (end, _, asked) => asked.or(end).unwrap_or_default(),
        };
        exchange
    }

    /// A value, of the outcome if it has it.
    pub fn find(&self, key: &str) -> Option<&Value> {
        [&self.outcome, &self.request]
            .into_iter()
            .flatten()
            .find_map(|attributes| attributes.get(key))
    }

    /// A text that is not empty.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.find(key)?.as_str().filter(|text| !text.is_empty())
    }

    /// A whole number.
    pub fn number(&self, key: &str) -> Option<i64> {
        self.find(key)?.as_i64()
    }

    /// The members of a list.
    pub fn list(&self, key: &str) -> impl Iterator<Item = &Value> {
        self.find(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    }

    /// Whether the request is on record.
    pub fn has_request(&self) -> bool {
        self.request.is_some()
    }

    /// Whether the outcome is on record.
    pub fn has_outcome(&self) -> bool {
        self.outcome.is_some()
    }

    /// The attributes of one half.
    pub fn half(&self, half: Half) -> Option<&Map<String, Value>> {
        match half {
            Half::Request => self.request.as_ref(),
            Half::Outcome => self.outcome.as_ref(),
        }
    }

    /// About how many bytes its records take.
    pub fn weight(&self) -> usize {
        let bodies = [&self.request, &self.outcome].into_iter().flatten();
        bodies
            .flat_map(|attributes| attributes.values())
            .filter_map(|value| value.as_str().map(str::len))
            .sum::<usize>()
            + 2_000
    }

    /// Who called.
    pub fn user(&self) -> Option<&str> {
        self.text("user.id")
    }

    /// The session that the client named.
    pub fn session(&self) -> Option<&str> {
        self.text("countersign.session.id")
    }

    /// The decision, as records name it.
    pub fn decision(&self) -> &str {
        self.text("countersign.decision").unwrap_or_default()
    }

    /// The operations.
    pub fn operations(&self) -> impl Iterator<Item = Operation<'_>> {
        self.list("countersign.operations")
            .filter_map(|operation| operation.as_object().map(Operation))
    }

    /// The path of the address, without the query.
    pub fn path(&self) -> &str {
        let url = self.text("url.full").unwrap_or_default();
        let below = url.split_once("://").map_or(url, |(_, rest)| rest);
        let path = below.find('/').map_or("", |at| &below[at..]);
        path.split(['?', '#']).next().unwrap_or_default()
    }

    /// One of the bodies.
    pub fn body(&self, side: Side) -> Body {
        let name = side.name();
        let size = self.number(&format!("http.{name}.body.size"));
        let Some(text) = self
            .find(&format!("countersign.{name}.body"))
            .and_then(Value::as_str)
        else {
            if self.deleted.contains(&format!("countersign.{name}.body")) {
                return Body::Missing("deleted, because its time of retention was over".to_owned());
            }
            let why = self.why_missing(side);
            return match (why, size) {
                (None, Some(0)) => Body::Empty,
                (None, None) if side == Side::Response && !self.has_outcome() => {
                    Body::Missing("no outcome is on record".to_owned())
                }
                (None, None) if side == Side::Request => Body::Empty,
                (why, _) => Body::Missing(why.unwrap_or("the policy keeps none").to_owned()),
            };
        };
        let cut = self
            .find(&format!("countersign.{name}.body.truncated"))
            .and_then(Value::as_bool)
            == Some(true);
        let encoding = self.text(&format!("countersign.{name}.body.encoding"));
        let bytes = match encoding {
            Some("base64") => match STANDARD.decode(text) {
                Ok(bytes) => bytes,
                Err(_) => return Body::Missing("the record holds broken base64".to_owned()),
            },
            _ => text.as_bytes().to_vec(),
        };
        Body::Kept { bytes, cut }
    }

    /// What the record says was not captured, in its own words.
    pub fn not_captured(&self) -> Vec<&str> {
        self.list("countersign.not_captured")
            .filter_map(Value::as_str)
            .collect()
    }

    /// When each chunk of the answer came, and how long it was.
    pub fn chunks(&self) -> Vec<(u64, u64)> {
        self.list("countersign.response.chunks")
            .map(|chunk| {
                let number = |key: &str| chunk.get(key).and_then(Value::as_u64).unwrap_or(0);
                (number("offset_ms"), number("size"))
            })
            .collect()
    }

    fn why_missing(&self, side: Side) -> Option<&str> {
        let prefix = format!("{}_body", side.name());
        self.not_captured()
            .into_iter()
            .find_map(|why| why.strip_prefix(prefix.as_str()))
            .map(|why| why.trim_start_matches([':', ' ']))
    }
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
        }
    }
}

impl<'a> Operation<'a> {
    /// One of its own texts: `name`, `repo`, `ref`.
    pub fn text(self, key: &str) -> Option<&'a str> {
        self.0.get(key)?.as_str().filter(|text| !text.is_empty())
    }

    /// Its name.
    pub fn name(self) -> &'a str {
        self.text("name").unwrap_or_default()
    }

    /// One of its attributes.
    pub fn attribute(self, key: &str) -> Option<&'a str> {
        self.0.get("attributes")?.get(key)?.as_str()
    }

    /// Whether it changes something.
    pub fn is_write(self) -> bool {
        self.0.get("write").and_then(Value::as_bool) == Some(true)
    }

    /// The files it touches, and whether those are all.
    pub fn paths(self) -> (Vec<&'a str>, bool) {
        let paths = self.0.get("paths").and_then(Value::as_array);
        let known = self.0.get("paths_known").and_then(Value::as_bool);
        let paths = paths.into_iter().flatten().filter_map(Value::as_str);
        (paths.collect(), known != Some(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(id: &str, records: &[(&str, Millis, Value)]) -> Exchange {
        let records = records.iter();
        Exchange::of_records(
            id,
            records.map(|(event, at, attributes)| (*event, *at, attributes.as_object().unwrap())),
        )
    }

    #[test]
    fn the_outcome_counts_and_tells_the_beginning() {
        let request = (
            "countersign.request",
            5_000,
            json!({
                "countersign.decision": "held", "countersign.request.body": "/wA=",
                "countersign.request.body.encoding": "base64", "url.full": "https://h/a/b?x=/c",
            }),
        );
        let outcome = (
            "countersign.outcome",
            6_000,
            json!({
                "countersign.decision": "held_approved", "countersign.duration_us": 4_000_000,
                "http.response.body.size": 10,
                "countersign.not_captured": ["response_body: application/octet-stream"],
            }),
        );
        let exchange = of("x", &[request, outcome]);
        assert_eq!((exchange.at, exchange.ended), (2_000, Some(6_000)));
        assert_eq!(exchange.decision(), "held_approved");
        assert_eq!(exchange.path(), "/a/b");
        let bytes = vec![0xff, 0];
        assert_eq!(
            exchange.body(Side::Request),
            Body::Kept { bytes, cut: false }
        );
        let missing = Body::Missing("application/octet-stream".to_owned());
        assert_eq!(exchange.body(Side::Response), missing);
    }

    #[test]
    fn what_is_not_there_is_told_apart() {
        let request = (
            "countersign.request",
            1,
            json!({"http.request.body.size": 0}),
        );
        let open = of("x", &[request]);
        assert_eq!(open.body(Side::Request), Body::Empty);
        let missing = Body::Missing("no outcome is on record".to_owned());
        assert_eq!(open.body(Side::Response), missing);
    }
}

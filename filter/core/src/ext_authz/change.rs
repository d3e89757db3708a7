//! What an answer of the service does to headers, and what it may not touch.

use crate::head::Headers;

/// A change of one header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Lower case.
    pub name: String,
    /// What becomes of it.
    pub how: How,
}

/// What becomes of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// This value, whatever was there.
    Set(Vec<u8>),
    /// This value behind those that are there.
    Append(Vec<u8>),
    /// This value if there is none.
    AddIfAbsent(Vec<u8>),
    /// This value if there is one.
    SetIfPresent(Vec<u8>),
    /// None.
    Remove,
}

/// A no as the service words it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// Status for the caller.
    pub status: u16,
    /// Headers for the caller.
    pub headers: Headers,
    /// Body for the caller.
    pub body: Vec<u8>,
}

/// Headers that say where a request goes, how its body is read, or what somebody else vouches for.
const FIXED: &[&str] = &[
    "connection",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-http-method-override",
    "x-original-url",
    "x-rewrite-url",
];

/// Whether a header belongs to the content or the way of a message: what was approved would be
/// another request with another value of it.
pub fn names_content(name: &str) -> bool {
    name.starts_with(':')
        || name.starts_with("content-")
        || name.starts_with("x-envoy-")
        || name.starts_with("x-countersign-")
        || FIXED.contains(&name)
}

fn is_name(name: &str) -> bool {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(is_token)
}

fn is_value(value: &[u8]) -> bool {
    !value.iter().any(|b| matches!(b, 0 | b'\r' | b'\n'))
}

impl Change {
    /// A change that may be made; an error says what it may not touch.
    pub(super) fn new(name: &str, how: How) -> Result<Self, String> {
        let name = name.to_ascii_lowercase();
        let value: &[u8] = match &how {
            How::Set(v) | How::Append(v) | How::AddIfAbsent(v) | How::SetIfPresent(v) => v,
            How::Remove => &[],
        };
        if names_content(&name) {
            return Err(format!("its answer would change {name}"));
        }
        if !is_name(&name) || !is_value(value) {
            return Err("its answer has a header that is none".to_owned());
        }
        Ok(Change { name, how })
    }

    /// The value that the header has afterwards, given what is there: `Some(None)` is none, `None`
    /// leaves it as it is.
    pub fn applied(&self, headers: &Headers) -> Option<Option<Vec<u8>>> {
        let there = headers.contains(&self.name);
        match &self.how {
            How::Set(value) => Some(Some(value.clone())),
            How::Append(value) if there => {
                let mut all: Vec<&[u8]> = headers.all(&self.name).collect();
                all.push(value);
                Some(Some(all.join(&b", "[..])))
            }
            How::Append(value) => Some(Some(value.clone())),
            How::AddIfAbsent(value) => (!there).then(|| Some(value.clone())),
            How::SetIfPresent(value) => there.then(|| Some(value.clone())),
            How::Remove => there.then_some(None),
        }
    }

    /// In words, for the record: never the value.
    pub fn words(&self) -> String {
        let verb = match self.how {
            How::Set(_) | How::SetIfPresent(_) => "set",
            How::Append(_) | How::AddIfAbsent(_) => "add",
            How::Remove => "remove",
        };
        format!("{verb} {}", self.name)
    }
}

impl Refusal {
    /// The headers that may go to the caller as they are: none of the connection, of the console or of
    /// Envoy.
    pub fn passed_on(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().filter_map(|(name, value)| {
            let connection = name != "content-type" && names_content(name);
            let own = ["date", "server"].contains(&name);
            let value = std::str::from_utf8(value).ok()?;
            (!connection && !own && is_name(name) && is_value(value.as_bytes()))
                .then_some((name, value))
        })
    }
}

//! The head of a request or response as the engine sees it.
//!
//! Header values are bytes: HTTP does not promise UTF-8 (RFC 9110, section 5.5), and checks that
//! assumed it have failed open before. Names are lower case, as HTTP/2 and Envoy deliver them.

/// An ordered header list. Repeated names stay repeated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    /// Takes the pairs as the host gave them; names are lower-cased once, here.
    pub fn new(pairs: Vec<(String, Vec<u8>)>) -> Self {
        let mut headers = Headers(pairs);
        for (name, _) in &mut headers.0 {
            name.make_ascii_lowercase();
        }
        headers
    }

    /// The first value of `name`.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// The only value of `name`. A header that comes twice is `Err`: two readers could pick
    /// different ones.
    pub fn single(&self, name: &str) -> Result<Option<&[u8]>, RepeatedHeader> {
        let mut values = self.all(name);
        let first = values.next();
        match values.next() {
            None => Ok(first),
            Some(_) => Err(RepeatedHeader),
        }
    }

    /// The first value of `name` if it is UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|v| std::str::from_utf8(v).ok())
    }

    /// Every value of `name`, in order.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.0
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, v)| v.as_slice())
    }

    /// All pairs, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_slice()))
    }

    /// Whether the body has a content coding other than `identity` (RFC 9110, section 8.4).
    pub fn is_encoded(&self) -> bool {
        self.get("content-encoding")
            .is_some_and(|v| !v.eq_ignore_ascii_case(b"identity"))
    }

    /// Whether `name` is present.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

/// A header that must come once came several times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepeatedHeader;

/// A request head: pseudo-headers apart from the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHead {
    /// `:method`, as sent.
    pub method: String,
    /// `:scheme`, `http` or `https`.
    pub scheme: String,
    /// `:authority`, as sent (may carry a port).
    pub authority: String,
    /// `:path`, raw, with its query.
    pub path: String,
    /// Everything else.
    pub headers: Headers,
}

impl RequestHead {
    /// The host of `:authority` in lower case, without port and trailing dot.
    pub fn host(&self) -> String {
        let authority = self.authority.as_str();
        let host = match authority.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or_default(),
            None => authority.split(':').next().unwrap_or_default(),
        };
        host.trim_end_matches('.').to_ascii_lowercase()
    }

    /// The media type of the body in lower case, without parameters; empty when absent.
    pub fn content_type(&self) -> String {
        media_type(&self.headers)
    }
}

/// A response head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseHead {
    /// `:status`.
    pub status: u16,
    /// Everything else.
    pub headers: Headers,
}

impl ResponseHead {
    /// The media type of the body in lower case, without parameters; empty when absent.
    pub fn content_type(&self) -> String {
        media_type(&self.headers)
    }
}

fn media_type(headers: &Headers) -> String {
    let value = headers.text("content-type").unwrap_or_default();
    value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

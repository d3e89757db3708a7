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

    /// Replaces every value of `name`, by none without a value.
    pub fn set(&mut self, name: &str, value: Option<&[u8]>) {
        self.0.retain(|(n, _)| n != name);
        if let Some(value) = value {
            self.0.push((name.to_owned(), value.to_vec()));
        }
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
    /// The host of `:authority` in lower case, without port and trailing dot; empty if the authority
    /// is anything but a plain host with an optional port. User information, percent-encoding and
    /// letters beyond ASCII are read in several ways on the way to an address.
    pub fn host(&self) -> String {
        let authority = self.authority.as_str();
        let (host, port, allowed): (_, _, fn(u8) -> bool) = match authority.strip_prefix('[') {
            Some(v6) => match v6.split_once(']') {
                Some((host, port)) => (host, port, |b| b.is_ascii_hexdigit() || b":.".contains(&b)),
                None => return String::new(),
            },
            None => {
                let (host, port) =
                    authority.split_at(authority.find(':').unwrap_or(authority.len()));
                (host, port, |b| {
                    b.is_ascii_alphanumeric() || b"-._".contains(&b)
                })
            }
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        let port = port.strip_prefix(':').unwrap_or(port);
        let plain = !host.ends_with('.')
            && host.bytes().all(allowed)
            && port.len() <= 5
            && port.bytes().all(|b| b.is_ascii_digit());
        match plain {
            true => host.to_ascii_lowercase(),
            false => String::new(),
        }
    }

    /// The first header that two readers could read differently, by its kind.
    pub fn ambiguous_header(&self) -> Option<&'static str> {
        /// Servers that know them take the path from them instead of the request line.
        const SECOND_PATHS: [&str; 2] = ["x-original-url", "x-rewrite-url"];
        let headers = &self.headers;
        for name in ["content-type", "content-encoding", "content-length"] {
            // Envoy joins repeated values of the headers it knows with a comma.
            let joined = headers.get(name).is_some_and(|v| v.contains(&b','));
            if joined || headers.single(name).is_err() {
                return Some(name);
            }
        }
        match headers.single("transfer-encoding") {
            Ok(None) => {}
            Ok(Some(v)) if v.eq_ignore_ascii_case(b"chunked") => {
                // RFC 9112, section 6.3: the way requests are smuggled.
                if headers.contains("content-length") {
                    return Some("content-length");
                }
            }
            Ok(Some(_)) | Err(_) => return Some("transfer-encoding"),
        }
        match headers.single("host") {
            Ok(None) => {}
            Ok(Some(v)) if v.eq_ignore_ascii_case(self.authority.as_bytes()) => {}
            Ok(Some(_)) | Err(_) => return Some("host"),
        }
        // CGI and its heirs (Rack, WSGI) read `x_http_method` as `x-http-method`.
        if headers.iter().any(|(name, _)| name.contains('_')) {
            return Some("a name with an underscore");
        }
        SECOND_PATHS.into_iter().find(|name| headers.contains(name))
    }

    /// Whether the body is a form, or could be taken for one: some servers find a second method in it.
    pub fn may_be_form(&self) -> bool {
        let media = self.content_type();
        media.is_empty()
            || media == "application/x-www-form-urlencoded"
            || media.starts_with("multipart/")
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

#[cfg(test)]
mod tests {
    use super::*;

    fn head(authority: &str, headers: &[(&str, &str)]) -> RequestHead {
        let pairs = headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec()));
        RequestHead {
            authority: authority.to_owned(),
            headers: Headers::new(pairs.collect()),
            ..RequestHead::default()
        }
    }

    #[test]
    fn a_host_is_plain_or_nothing() {
        for (authority, host) in [
            ("api.github.com", "api.github.com"),
            ("API.GitHub.com:443", "api.github.com"),
            ("api.github.com.", "api.github.com"),
            ("api.github.com.:443", "api.github.com"),
            ("127.0.0.1:10000", "127.0.0.1"),
            ("[::1]:8080", "::1"),
            ("[::1]", "::1"),
            ("api.github.com..", ""),
            ("user@api.github.com", ""),
            ("evil.example:x@api.github.com", ""),
            ("api.github.com:443:1", ""),
            ("api.github.com:port", ""),
            ("api.github.com,evil.example", ""),
            ("api%2egithub.com", ""),
            ("api.github\u{3002}com", ""),
            ("evil.example/.github.com", ""),
            ("evil.example\\.github.com", ""),
            ("[::1", ""),
            ("[::1]x", ""),
            ("[evil.example]", ""),
            ("", ""),
        ] {
            assert_eq!(head(authority, &[]).host(), host, "{authority:?}");
        }
    }

    #[test]
    fn headers_with_two_readings_are_found() {
        let found = |headers: &[(&str, &str)]| head("a.example", headers).ambiguous_header();
        assert_eq!(found(&[]), None);
        assert_eq!(
            found(&[
                ("Host", "A.example"),
                ("content-type", "application/json; charset=utf-8"),
                ("transfer-encoding", "chunked"),
                ("x-forwarded-host", "b.example"),
            ]),
            None
        );
        for (headers, name) in [
            (
                &[("content-length", "1"), ("content-length", "1")][..],
                "content-length",
            ),
            (&[("content-length", "1,1")], "content-length"),
            (
                &[("content-type", "a/b"), ("content-type", "a/b")],
                "content-type",
            ),
            (&[("content-encoding", "gzip, gzip")], "content-encoding"),
            (
                &[("transfer-encoding", "chunked"), ("content-length", "1")],
                "content-length",
            ),
            (
                &[("transfer-encoding", "gzip, chunked")],
                "transfer-encoding",
            ),
            (
                &[
                    ("transfer-encoding", "chunked"),
                    ("transfer-encoding", "chunked"),
                ],
                "transfer-encoding",
            ),
            (&[("host", "b.example")], "host"),
            (&[("host", "a.example"), ("host", "a.example")], "host"),
            (
                &[("x_http_method_override", "DELETE")],
                "a name with an underscore",
            ),
            (&[("X-Original-URL", "/admin")], "x-original-url"),
            (&[("x-rewrite-url", "/admin")], "x-rewrite-url"),
        ] {
            assert_eq!(found(headers), Some(name), "{headers:?}");
        }
    }
}

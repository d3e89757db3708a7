//! A request path, read once and in one way.
//!
//! The order is: cut off the query, split at `/`, then percent-decode each segment. So `%2F` stays
//! inside its segment: Octokit writes `contents/.github%2Fworkflows%2Fci.yml`. Whatever two readers
//! on the way could read differently (dot segments, `//`, `\`, `;x=y`, double encoding, bytes that
//! are not UTF-8 …) is refused instead of normalised: what is forwarded is then what was judged.

use std::fmt;

/// A path that has one reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestPath {
    segments: Vec<String>,
    query: Vec<(String, String)>,
}

/// Why a path has more than one reading, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathFault {
    /// It does not begin with `/` (absolute form, `*`, empty).
    NotOrigin,
    /// `#`.
    Fragment,
    /// A control character, plain or encoded.
    Control,
    /// A space, quote, angle bracket or byte above 0x7f that was not percent-encoded.
    NotEncoded,
    /// `\`, plain or encoded.
    Backslash,
    /// `;`, which some servers cut off together with what follows, and some read as `&` in a query.
    Parameter,
    /// `//`, plain or encoded, or an encoded slash at the edge of a segment.
    EmptySegment,
    /// `.` or `..`, plain or encoded.
    DotSegment,
    /// A percent sign without two hexadecimal digits.
    Percent,
    /// Encoded twice: decoding again would give another path.
    DoubleEncoding,
    /// The decoded bytes are not UTF-8 (overlong forms included).
    Utf8,
}

impl PathFault {
    /// Stable name for records and denials.
    pub fn code(self) -> &'static str {
        match self {
            PathFault::NotOrigin => "not_origin_form",
            PathFault::Fragment => "fragment",
            PathFault::Control => "control_character",
            PathFault::NotEncoded => "character_not_encoded",
            PathFault::Backslash => "backslash",
            PathFault::Parameter => "path_parameter",
            PathFault::EmptySegment => "empty_segment",
            PathFault::DotSegment => "dot_segment",
            PathFault::Percent => "invalid_percent_encoding",
            PathFault::DoubleEncoding => "double_encoding",
            PathFault::Utf8 => "invalid_utf8",
        }
    }
}

impl fmt::Display for PathFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A query parameter that came more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepeatedParameter;

impl RequestPath {
    /// Reads `:path`.
    ///
    /// # Errors
    /// A [`PathFault`] that names the first thing in it with two readings.
    pub fn read(target: &str) -> Result<RequestPath, PathFault> {
        for byte in target.bytes() {
            match byte {
                b'#' => return Err(PathFault::Fragment),
                0..=0x1f | 0x7f => return Err(PathFault::Control),
                b' ' | b'"' | b'<' | b'>' | 0x80.. => return Err(PathFault::NotEncoded),
                b'\\' => return Err(PathFault::Backslash),
                _ => {}
            }
        }
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let rest = path.strip_prefix('/').ok_or(PathFault::NotOrigin)?;
        let mut segments = Vec::new();
        // One slash at the end is the same resource; two are not.
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if !rest.is_empty() || path.len() > 1 {
            for raw in rest.split('/') {
                segments.push(segment(raw)?);
            }
        }
        Ok(RequestPath {
            segments,
            query: read_query(query.unwrap_or_default())?,
        })
    }

    /// The decoded segments. A trailing slash adds none; `/` has none.
    pub fn segments(&self) -> &[String] {
        &self.segments
    }

    /// The decoded query pairs, in order.
    pub fn query(&self) -> &[(String, String)] {
        &self.query
    }

    /// The only value of the query parameter `name`.
    ///
    /// # Errors
    /// It came more than once, or in brackets (`ref[]`, `ref[x]`, `[ref`): servers differ in which one
    /// they take, and what of it.
    pub fn parameter(&self, name: &str) -> Result<Option<&str>, RepeatedParameter> {
        let mut values = self.query.iter().filter(|(n, _)| plain_name(n) == name);
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some((spelled, value)), None) if spelled == name => Ok(Some(value)),
            (Some(_), _) => Err(RepeatedParameter),
        }
    }

    /// Whether the query has the parameter `name`, in whatever spelling.
    pub fn has_parameter(&self, name: &str) -> bool {
        self.query.iter().any(|(n, _)| plain_name(n) == name)
    }

    /// The path without its first `count` segments; the query stays.
    pub fn without(&self, count: usize) -> RequestPath {
        RequestPath {
            segments: self.segments.get(count..).unwrap_or_default().to_vec(),
            query: self.query.clone(),
        }
    }
}

/// The decoded path, for records and people; an encoded slash can no longer be told from a plain one.
impl fmt::Display for RequestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.segments.join("/"))
    }
}

/// The name that Rack and PHP make of a parameter's: without blanks and brackets in front, and
/// without what is in brackets behind it.
fn plain_name(name: &str) -> &str {
    let name = name.trim_start_matches([' ', '[', ']']);
    name.split(['[', ']']).next().unwrap_or_default().trim_end()
}

fn segment(raw: &str) -> Result<String, PathFault> {
    if raw.is_empty() {
        return Err(PathFault::EmptySegment);
    }
    if raw.contains(';') {
        return Err(PathFault::Parameter);
    }
    let text = decode(raw, false)?;
    if text.chars().any(char::is_control) {
        return Err(PathFault::Control);
    }
    if text.contains('\\') {
        return Err(PathFault::Backslash);
    }
    if decodes_again(&text) {
        return Err(PathFault::DoubleEncoding);
    }
    for part in text.split('/') {
        // `..;x` is `..` for servers that know path parameters (CVE-2026-73551).
        let name = part.split(';').next().unwrap_or_default();
        if name == "." || name == ".." {
            return Err(PathFault::DotSegment);
        }
        if part.is_empty() {
            return Err(PathFault::EmptySegment);
        }
    }
    Ok(text)
}

fn read_query(raw: &str) -> Result<Vec<(String, String)>, PathFault> {
    // Rack 2 splits at it as at `&`, Go drops the pair, others take it for a letter.
    if raw.contains(';') {
        return Err(PathFault::Parameter);
    }
    let mut pairs = Vec::new();
    for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name, true)?, decode(value, true)?);
        if name.contains('\0') || value.contains('\0') {
            return Err(PathFault::Control);
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}

fn decode(raw: &str, form: bool) -> Result<String, PathFault> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => match (rest.next().and_then(hex), rest.next().and_then(hex)) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(PathFault::Percent),
            },
            b'+' if form => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| PathFault::Utf8)
}

/// Whether decoding `text` once more would change what it means: a file called `100%` or `a%20b` is
/// fine, `%2e%2e` is not.
fn decodes_again(text: &str) -> bool {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|b| *b == b'%') {
        rest = rest.get(at + 1..).unwrap_or_default();
        let [high, low, ..] = rest else { continue };
        let (Some(high), Some(low)) = (hex(*high), hex(*low)) else {
            continue;
        };
        match high << 4 | low {
            b'.' | b'/' | b'\\' | b'%' | b';' | b'?' | b'#' | 0..=0x1f | 0x7f.. => return true,
            _ => {}
        }
    }
    false
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn segments(target: &str) -> Vec<String> {
        RequestPath::read(target).unwrap().segments().to_vec()
    }

    #[test]
    fn plain_paths_have_one_reading() {
        let none: [&str; 0] = [];
        assert_eq!(segments("/"), none);
        assert_eq!(segments("/user"), ["user"]);
        assert_eq!(segments("/repos/acme/web/"), ["repos", "acme", "web"]);
        assert_eq!(
            segments("/repos/acme/web/contents/.github%2Fworkflows%2fci.yml?ref=a%2Fb"),
            [
                "repos",
                "acme",
                "web",
                "contents",
                ".github/workflows/ci.yml"
            ]
        );
        assert_eq!(segments("/a/100%25/b%20c/..."), ["a", "100%", "b c", "..."]);
        assert_eq!(segments("/a/r%C3%A9sum%C3%A9"), ["a", "résumé"]);
        assert_eq!(segments("/a/x%3By"), ["a", "x;y"]);
        assert_eq!(segments("/a/.github/b..c"), ["a", ".github", "b..c"]);
        assert_eq!(segments("/a/1%2520"), ["a", "1%20"]);
    }

    #[test]
    fn query_pairs_are_decoded_and_repeats_are_seen() {
        let path = RequestPath::read("/x?service=git-receive-pack&q=a+b%2Bc&flag&a=1&a=2").unwrap();
        assert_eq!(path.parameter("service"), Ok(Some("git-receive-pack")));
        assert_eq!(path.parameter("q"), Ok(Some("a b+c")));
        assert_eq!(path.parameter("flag"), Ok(Some("")));
        assert_eq!(path.parameter("b"), Ok(None));
        assert_eq!(path.parameter("a"), Err(RepeatedParameter));
        assert_eq!(path.query().len(), 5);
    }

    #[test]
    fn a_parameter_in_brackets_is_the_same_parameter_to_some() {
        for query in [
            "ref[]=a",
            "ref[x]=a",
            "[ref=a",
            "%5Bref%5D=a",
            "+ref=a",
            "ref+=a",
            "ref=a&ref[]=b",
        ] {
            let path = RequestPath::read(&format!("/x?{query}")).unwrap();
            assert_eq!(path.parameter("ref"), Err(RepeatedParameter), "{query}");
            assert!(path.has_parameter("ref"), "{query}");
        }
        let path = RequestPath::read("/x?reference=a&xref=b&filter[ref]=c").unwrap();
        assert_eq!(path.parameter("ref"), Ok(None));
        assert!(!path.has_parameter("ref"));
    }

    #[test]
    fn two_readings_are_refused() {
        use PathFault::*;
        let cases = [
            ("", NotOrigin),
            ("*", NotOrigin),
            ("http://api.github.com/user", NotOrigin),
            ("user", NotOrigin),
            ("/a#b", Fragment),
            ("/a?b#c", Fragment),
            ("/a\0", Control),
            ("/a\u{7f}", Control),
            ("/a%00b", Control),
            ("/a%0d%0ab", Control),
            ("/a%C2%85", Control),
            ("/a b", NotEncoded),
            ("/é", NotEncoded),
            ("/a\\b", Backslash),
            ("/a/..%5cb", Backslash),
            ("/a;x=y/b", Parameter),
            ("/a/..;/b", Parameter),
            ("//a", EmptySegment),
            ("//", EmptySegment),
            ("/a//b", EmptySegment),
            ("/a//", EmptySegment),
            ("/a/b%2F%2Fc", EmptySegment),
            ("/a/%2Fb", EmptySegment),
            ("/a/b%2F", EmptySegment),
            ("/a/./b", DotSegment),
            ("/a/../b", DotSegment),
            ("/a/..", DotSegment),
            ("/a/.%2e/b", DotSegment),
            ("/a/%2E%2E", DotSegment),
            ("/a/b%2F..%2Fc", DotSegment),
            ("/a/..%3Bx", DotSegment),
            ("/a/%", Percent),
            ("/a/%2", Percent),
            ("/a/%zz", Percent),
            ("/a/%+1", Percent),
            ("/a?b=%g0", Percent),
            ("/a/%252e%252e/b", DoubleEncoding),
            ("/a/%252Fb", DoubleEncoding),
            ("/a/%25252e", DoubleEncoding),
            ("/a/%2500", DoubleEncoding),
            ("/a/%25c0%25ae", DoubleEncoding),
            ("/a/%c0%ae", Utf8),
            ("/a/%ff", Utf8),
            ("/a?b=%ff", Utf8),
            ("/a?b=1;ref=main", Parameter),
            ("/a?b=main%00", Control),
        ];
        for (target, fault) in cases {
            assert_eq!(RequestPath::read(target), Err(fault), "{target:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_never_yields_dots(target in "[/a.%2eEfF5cC;?&=\\\\#0 é]{0,24}") {
            if let Ok(path) = RequestPath::read(&format!("/{target}")) {
                for segment in path.segments() {
                    for part in segment.split('/') {
                        prop_assert!(!matches!(part, "" | "." | ".."), "{target:?} -> {segment:?}");
                    }
                }
            }
        }

        #[test]
        fn encoding_a_segment_does_not_change_its_reading(name in "[a-z .é%_-]{1,12}") {
            prop_assume!(name != "." && name != ".." );
            prop_assume!(!decodes_again(&name));
            let encoded: String = name.bytes().map(|b| format!("%{b:02X}")).collect();
            prop_assert_eq!(segments(&format!("/x/{encoded}/y")), ["x", name.as_str(), "y"]);
        }
    }
}

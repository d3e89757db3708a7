//! A request in a file: as it goes over the wire (HTTP/1.1), as `curl -v` prints it, or in a HAR as
//! browsers and proxies save it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_core::head::{Headers, RequestHead};
use serde_json::Value;

use crate::failure::Failure;

/// A request and its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestFile {
    /// The head as Envoy hands it to the filter.
    pub head: RequestHead,
    /// The body, empty if there is none.
    pub body: Vec<u8>,
}

/// Reads a request.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub fn parse(bytes: &[u8]) -> Result<RequestFile, Failure> {
    if bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{') {
        return from_har(bytes);
    }
    let (lines, body) = split(bytes);
    let mut lines = lines.into_iter();
    let first = lines.next().unwrap_or_default();
    let words: Vec<&str> = first.split_ascii_whitespace().collect();
    let (method, target) = match words.as_slice() {
        [method, target, version] if version.starts_with("HTTP/") => (*method, *target),
        _ => {
            return Err(Failure::new(
                format!("`{first}` is not the first line of a request"),
                "Give a request as it goes over the wire: `GET /repos/acme/web HTTP/1.1`, then its \
                 headers, an empty line, and its body; what `curl -v` prints; or a HAR file.",
            ));
        }
    };
    let mut headers = Vec::new();
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            return Err(Failure::plain(format!(
                "`{line}` is not a header: it has no colon"
            )));
        };
        headers.push((name.trim().to_owned(), value.trim().as_bytes().to_vec()));
    }
    let length = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse::<usize>().ok());
    let body = body.get(..length.unwrap_or(body.len()).min(body.len()));
    let body = body.unwrap_or_default().to_vec();
    request(method, target, headers, body)
}

/// The lines of the head without curl's `> `, and the bytes behind them.
fn split(bytes: &[u8]) -> (Vec<String>, &[u8]) {
    let mut lines = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = rest.iter().position(|b| *b == b'\n');
        let (line, tail) = rest.split_at(end.map_or(rest.len(), |at| at + 1));
        rest = tail;
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end_matches(['\r', '\n']);
        // What curl says itself, and what it got.
        if line.starts_with("* ") || line.starts_with("< ") || line.starts_with("{ [") {
            continue;
        }
        let line = match line.strip_prefix('>') {
            Some(sent) => sent.trim_start(),
            None => line,
        };
        match (line.is_empty(), lines.is_empty()) {
            (true, true) => {}
            (true, false) => break,
            (false, _) => lines.push(line.to_owned()),
        }
    }
    (lines, rest)
}

/// The first request of a HAR file, or a HAR request by itself.
fn from_har(bytes: &[u8]) -> Result<RequestFile, Failure> {
    let har: Value = serde_json::from_slice(bytes).map_err(|error| {
        Failure::plain(format!("the request is neither HTTP nor a HAR: {error}"))
    })?;
    let entry = har
        .pointer("/log/entries/0/request")
        .or_else(|| har.get("request"))
        .unwrap_or(&har);
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    let (Some(method), Some(url)) = (text("method"), text("url")) else {
        return Err(Failure::new(
            "the file is JSON, and no HAR with a request in it",
            "A HAR has log.entries, each with a request that has a method and a url.",
        ));
    };
    let headers = entry.get("headers").and_then(Value::as_array);
    let headers = headers.into_iter().flatten().filter_map(|header| {
        let name = header.get("name")?.as_str()?;
        let value = header.get("value")?.as_str()?;
        Some((name.to_owned(), value.as_bytes().to_vec()))
    });
    let data = entry.get("postData");
    let data = |name: &str| data.and_then(|d| d.get(name)).and_then(Value::as_str);
    let body = match (data("text"), data("encoding")) {
        (Some(text), Some("base64")) => STANDARD
            .decode(text)
            .map_err(|_| Failure::plain("postData.text of the HAR is not base64"))?,
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, _) => Vec::new(),
    };
    request(method, url, headers.collect(), body)
}

fn request(
    method: &str,
    target: &str,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
) -> Result<RequestFile, Failure> {
    let mut authority = String::new();
    let mut scheme = "https".to_owned();
    let mut kept = Vec::new();
    for (name, value) in headers {
        match name.to_ascii_lowercase().as_str() {
            "host" | ":authority" => authority = String::from_utf8_lossy(&value).into_owned(),
            // What Envoy takes off or makes of the pseudo-headers.
            "transfer-encoding" | "content-length" => {}
            other if other.starts_with(':') => {}
            _ => kept.push((name, value)),
        }
    }
    // A proxy is asked with the whole address; Envoy splits it.
    let mut path = target.to_owned();
    if let Some((before, rest)) = target.split_once("://") {
        let slash = rest.find('/').unwrap_or(rest.len());
        let (host, tail) = rest.split_at(slash);
        scheme = before.to_ascii_lowercase();
        host.clone_into(&mut authority);
        path = if tail.is_empty() {
            "/".to_owned()
        } else {
            tail.to_owned()
        };
    }
    if authority.is_empty() {
        return Err(Failure::new(
            "the request names no host",
            "Add its `Host:` header: connections are found by it.",
        ));
    }
    Ok(RequestFile {
        head: RequestHead {
            method: method.to_owned(),
            scheme,
            authority,
            path,
            headers: Headers::new(kept),
        },
        body,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_goes_over_the_wire() {
        for text in [
            "PUT /a?b=c HTTP/1.1\r\nHost: api.github.com\r\nX-A: 1\r\n\r\n{\"x\":1}",
            "\nPUT /a?b=c HTTP/2\nhost: api.github.com\nx-a: 1\ncontent-length: 7\n\n{\"x\":1}\n",
            "*   Trying 127.0.0.1\n> PUT /a?b=c HTTP/1.1\n> Host: api.github.com\n> X-A: 1\n> \n{\"x\":1}",
            "PUT https://api.github.com/a?b=c HTTP/1.1\nx-a: 1\n\n{\"x\":1}",
        ] {
            let read = parse(text.as_bytes()).unwrap();
            assert_eq!(read.head.method, "PUT", "{text}");
            assert_eq!(read.head.authority, "api.github.com", "{text}");
            assert_eq!(read.head.path, "/a?b=c", "{text}");
            assert_eq!(read.head.headers.text("x-a"), Some("1"), "{text}");
            assert_eq!(read.body, b"{\"x\":1}", "{text}");
        }
    }

    #[test]
    fn a_har_has_its_first_request_read() {
        let har = r#"{"log": {"entries": [{"request": {"method": "POST", "url": "https://api.github.com/graphql",
            "headers": [{"name": "X-A", "value": "1"}], "postData": {"text": "eyJ4IjoxfQ==", "encoding": "base64"}}}]}}"#;
        let read = parse(har.as_bytes()).unwrap();
        assert_eq!(
            (read.head.method.as_str(), read.head.path.as_str()),
            ("POST", "/graphql")
        );
        assert_eq!(read.head.authority, "api.github.com");
        assert_eq!(read.body, b"{\"x\":1}");
    }

    #[test]
    fn what_is_no_request_is_refused_with_a_remedy() {
        for (text, part) in [
            ("", "not the first line"),
            ("hello", "not the first line"),
            ("GET / HTTP/1.1\n\n", "names no host"),
            ("GET / HTTP/1.1\nHost\n\n", "no colon"),
            ("{}", "no HAR"),
        ] {
            let failure = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(failure.contains(part), "{text:?}: {failure}");
        }
    }
}

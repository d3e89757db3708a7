//! A JSON body, read strictly: one coding, one charset, one value, no key twice.

use serde_json::{Map, Value};

use super::{Fault, second_method};
use crate::head::RequestHead;
use crate::json;
use crate::reason::Reason;

/// The body as JSON.
pub(super) fn read_json(head: &RequestHead, body: &[u8]) -> Result<Value, Fault> {
    identity_coding(head)?;
    let media = head.content_type();
    if head.headers.single("content-type").is_err() {
        return Err(Fault::new(
            Reason::HeaderAmbiguous,
            "content-type comes twice",
        ));
    }
    charset(head)?;
    match media.as_str() {
        // GitHub reads JSON whatever the type says, and its own curl examples send none.
        "" | "application/json" | "text/json" | "text/plain" | "application/octet-stream" => {}
        // curl's default. A form reader must find nothing in it but one odd name.
        "application/x-www-form-urlencoded" => {
            if body.iter().any(|b| matches!(b, b'&' | b';')) {
                return Err(Fault::unreadable("content-type says form, body says JSON"));
            }
        }
        other if other.ends_with("+json") => {}
        _ => return Err(Fault::unreadable("content-type is not JSON")),
    }
    let value = parse(body)?;
    if value.get(second_method::PARAMETER).is_some() {
        return Err(Fault::unreadable("_method names a second method"));
    }
    Ok(value)
}

/// The members of `object`, none of which is there twice but for case.
pub(super) fn without_twins(object: &Map<String, Value>) -> Result<&Map<String, Value>, Fault> {
    match json::twin(object) {
        None => Ok(object),
        Some(_) => Err(Fault::unreadable(
            "JSON: two names of one object differ in case alone",
        )),
    }
}

/// Refuses a body in a content coding: what is matched must be what the upstream reads.
pub(super) fn identity_coding(head: &RequestHead) -> Result<(), Fault> {
    for coding in head.headers.all("content-encoding") {
        if !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity") {
            return Err(Fault::new(
                Reason::BodyEncoding,
                "content-encoding other than identity",
            ));
        }
    }
    Ok(())
}

fn charset(head: &RequestHead) -> Result<(), Fault> {
    let Some(value) = head.headers.get("content-type") else {
        return Ok(());
    };
    let value = std::str::from_utf8(value)
        .map_err(|_| Fault::new(Reason::HeaderAmbiguous, "content-type is not text"))?;
    for parameter in value.split(';').skip(1) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim().trim_matches('"');
        if name.trim().eq_ignore_ascii_case("charset")
            && !value.eq_ignore_ascii_case("utf-8")
            && !value.eq_ignore_ascii_case("utf8")
            && !value.eq_ignore_ascii_case("us-ascii")
        {
            return Err(Fault::new(Reason::BodyEncoding, "charset other than utf-8"));
        }
    }
    Ok(())
}

/// One JSON value and nothing else, no key twice.
pub(super) fn parse(body: &[u8]) -> Result<Value, Fault> {
    json::parse_strict(body)
        .map_err(|fault| Fault::unreadable(format!("JSON: {}", fault.kind.message())))
}

/// Refuses a member that a reader without regard to case would take for one of `names`. Go's readers
/// are such, and fold as Unicode does (`\u{17f}` is an s to them): `{"name": "a", "Name": "b"}` is then
/// `b` for them and `a` here.
pub(super) fn exact_names(members: &Map<String, Value>, names: &[&str]) -> Result<(), Fault> {
    for member in members.keys() {
        if names.contains(&member.as_str()) {
            continue;
        }
        let folded: String = member.chars().map(fold).collect();
        if let Some(name) = names.iter().find(|name| folded.eq_ignore_ascii_case(name)) {
            return Err(Fault::unreadable(format!(
                "JSON: {name} is spelled in another case"
            )));
        }
    }
    Ok(())
}

/// The two characters beyond ASCII that fold to a letter of it.
fn fold(c: char) -> char {
    match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other,
    }
}

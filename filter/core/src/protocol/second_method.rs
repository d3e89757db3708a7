//! A second method beside the request line's: frameworks take it from a header, from the query, or
//! from a form (Rails, Symfony and others: a POST with `_method=DELETE` is a DELETE). Whichever of the
//! two the upstream follows, a request that names two is refused.
//!
//! A multipart body is searched where GitHub is spoken, which takes none; other upstreams take uploads
//! in it, which are not collected for this.

use super::{Fault, ProtocolKind};
use crate::head::RequestHead;
use crate::path::RequestPath;
use crate::reason::Reason;

const HEADERS: [&str; 5] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-original-method",
    "x-forwarded-method",
];
/// Name of the parameter or member.
pub(super) const PARAMETER: &str = "_method";

/// Headers and query.
pub(super) fn in_head(head: &RequestHead, path: &RequestPath) -> Option<Fault> {
    if let Some(name) = HEADERS.iter().find(|name| head.headers.contains(name)) {
        return Some(Fault::new(
            Reason::HeaderAmbiguous,
            format!("{name} names a second method"),
        ));
    }
    path.has_parameter(PARAMETER).then(|| {
        Fault::new(
            Reason::PathAmbiguous,
            format!("{PARAMETER} names a second method"),
        )
    })
}

/// Whether the body has to be read for it. JSON bodies that decide anything are read anyway.
pub(super) fn may_be_in_body(kind: ProtocolKind, head: &RequestHead) -> bool {
    let form = head.may_be_form() && head.method.eq_ignore_ascii_case("POST");
    match kind {
        ProtocolKind::GitHub => form,
        ProtocolKind::Http => form && !is_multipart(head),
        ProtocolKind::Git | ProtocolKind::OpenAi | ProtocolKind::Mcp => false,
    }
}

/// In a form.
pub(super) fn in_body(kind: ProtocolKind, head: &RequestHead, body: &[u8]) -> Option<Fault> {
    if body.is_empty() || !may_be_in_body(kind, head) {
        return None;
    }
    if is_multipart(head) {
        return Some(Fault::unreadable("a multipart body"));
    }
    // Read as the query is, less what a query may not hold: a body has blanks and quotes.
    let named = body
        .split(|byte| matches!(byte, b'&' | b';'))
        .any(names_method);
    named.then(|| Fault::unreadable(format!("{PARAMETER} names a second method")))
}

fn is_multipart(head: &RequestHead) -> bool {
    head.content_type().starts_with("multipart/")
}

/// Whether `name=value` has the name, however it is spelled.
fn names_method(pair: &[u8]) -> bool {
    let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
    let name: String = name.iter().copied().map(char::from).collect();
    let spelled: String = name.chars().filter(|c| !c.is_whitespace()).collect();
    RequestPath::read(&format!("/?{spelled}")).is_ok_and(|path| path.has_parameter(PARAMETER))
}

//! Plain HTTP: any API, by method, host, path and query.

use std::collections::BTreeMap;

use super::{BodyNeed, Fault, Judged, Protocol, Request, is_read};
use crate::denial::DenialStyle;
use crate::head::RequestHead;
use crate::operation::Operation;
use crate::path::RequestPath;

/// Any HTTP API.
pub(super) struct Http;

impl Protocol for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn body_need(&self, _: &RequestHead, _: &RequestPath) -> BodyNeed {
        BodyNeed::None
    }

    fn judge(&self, request: &Request<'_>) -> Result<Judged, Fault> {
        Ok(Judged::new(
            vec![operation(request.head, request.path)],
            DenialStyle::Plain,
        ))
    }

    fn style(&self, _: &RequestHead, _: Option<&RequestPath>) -> DenialStyle {
        DenialStyle::Plain
    }
}

/// `http.<method>` with `method`, `host`, `path` and, if there is one, `query`. Its JSON body is for
/// rules with `json`, which read it themselves.
pub(super) fn operation(head: &RequestHead, path: &RequestPath) -> Operation {
    let mut attributes = BTreeMap::from([
        ("method".to_owned(), head.method.to_ascii_uppercase()),
        ("host".to_owned(), head.host()),
        ("path".to_owned(), path.to_string()),
    ]);
    if let Some((_, query)) = head.path.split_once('?') {
        attributes.insert("query".to_owned(), query.to_owned());
    }
    Operation {
        name: format!("http.{}", head.method.to_ascii_lowercase()),
        attributes,
        write: !is_read(&head.method),
        ..Operation::default()
    }
}

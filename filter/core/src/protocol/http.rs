//! Plain HTTP: any API, by method, host, path and query.

use std::collections::BTreeMap;

use super::{Judged, is_read};
use crate::denial::DenialStyle;
use crate::head::RequestHead;
use crate::operation::{Operation, Paths, Target};
use crate::path::RequestPath;

pub(super) fn judge(head: &RequestHead, path: &RequestPath) -> Judged {
    Judged::new(vec![operation(head, path)], DenialStyle::Plain)
}

/// `http.<method>` with `host`, `path` and, if there is one, `query`.
pub(super) fn operation(head: &RequestHead, path: &RequestPath) -> Operation {
    let mut attributes = BTreeMap::from([
        ("host".to_owned(), head.host()),
        ("path".to_owned(), path.to_string()),
    ]);
    if let Some((_, query)) = head.path.split_once('?') {
        attributes.insert("query".to_owned(), query.to_owned());
    }
    Operation {
        name: format!("http.{}", head.method.to_ascii_lowercase()),
        aliases: Vec::new(),
        repo: Target::None,
        reference: Target::None,
        paths: Paths::None,
        attributes,
        write: !is_read(&head.method),
    }
}

//! A line of JSON for each record.

use serde::Serialize;
use serde_json::{Map, Value};

use super::Item;
use super::encode::write_json;
use crate::clock::rfc3339;

#[derive(Serialize)]
struct Line<'a> {
    index: i64,
    kind: &'a str,
    event: &'a str,
    time: String,
    received: String,
    worker: &'a str,
    seq: i64,
    resource: &'a Map<String, Value>,
    attributes: &'a Map<String, Value>,
}

pub(super) fn line(item: &Item, out: &mut Vec<u8>) {
    let line = Line {
        index: item.index,
        kind: item.kind.as_str(),
        event: &item.event,
        time: rfc3339(item.at),
        received: rfc3339(item.received_at),
        worker: &item.worker,
        seq: item.seq,
        resource: &item.resource,
        attributes: &item.attributes,
    };
    write_json(&line, out);
    out.push(b'\n');
}

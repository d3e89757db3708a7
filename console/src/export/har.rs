//! HTTP Archive 1.2. Fields that the trail does not have are empty or -1, as the format says; what
//! it has beyond the format is under `_countersign`.

use serde_json::{Map, Value, json};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::encode::write_json;
use crate::clock::rfc3339;
use crate::intake::record::Half;
use crate::replay::{Body, Exchange, Side};

pub(super) fn head(out: &mut Vec<u8>) {
    let version = env!("CARGO_PKG_VERSION");
    out.extend_from_slice(
        format!(
            r#"{{"log":{{"version":"1.2","creator":{{"name":"countersign","version":"{version}"}},"pages":[],"entries":["#
        )
        .as_bytes(),
    );
}

pub(super) fn tail(out: &mut Vec<u8>) {
    out.extend_from_slice(b"]}}\n");
}

pub(super) fn entry(exchange: &Exchange, first: bool, out: &mut Vec<u8>) {
    if !first {
        out.extend_from_slice(b",\n");
    }
    write_json(&of(exchange), out);
}

fn of(exchange: &Exchange) -> Value {
    let text = |key: &str| exchange.text(key).unwrap_or_default();
    let url = text("url.full");
    let length = exchange
        .number("countersign.duration_us")
        .map(|us| us / 1000);
    let first = exchange.chunks().first().map(|(offset, _)| *offset as i64);
    let wait = first.or(length).unwrap_or(0);
    let request = exchange.body(Side::Request);
    let mut asked = json!({
        "method": text("http.request.method"),
        "url": url,
        "httpVersion": "",
        "cookies": [],
        "headers": headers(exchange, "http.request.header."),
        "queryString": query(url),
        "headersSize": -1,
        "bodySize": exchange.number("http.request.body.size").unwrap_or(-1),
    });
    if let Body::Kept { bytes, cut } = &request {
        let mut data = Map::new();
        data.insert("mimeType".into(), media_type(bytes).into());
        data.insert("params".into(), json!([]));
        match std::str::from_utf8(bytes) {
            Ok(text) => data.insert("text".into(), text.into()),
            Err(_) => {
                data.insert("_encoding".into(), "base64".into());
                data.insert("text".into(), STANDARD.encode(bytes).into())
            }
        };
        if *cut {
            data.insert("_truncated".into(), true.into());
        }
        asked["postData"] = data.into();
    }
    let size = exchange.number("http.response.body.size").unwrap_or(0);
    let mut content = json!({ "size": size, "mimeType": "" });
    match exchange.body(Side::Response) {
        Body::Kept { bytes, cut } => {
            content["mimeType"] = media_type(&bytes).into();
            match std::str::from_utf8(&bytes) {
                Ok(text) => content["text"] = text.into(),
                Err(_) => {
                    content["text"] = STANDARD.encode(&bytes).into();
                    content["encoding"] = "base64".into();
                }
            }
            if cut {
                content["_truncated"] = true.into();
            }
        }
        Body::Missing(why) => content["comment"] = format!("not captured: {why}").into(),
        Body::Empty => {}
    }
    let mut own = Map::new();
    for half in [Half::Request, Half::Outcome] {
        let attributes = exchange.half(half).into_iter().flatten();
        for (key, value) in attributes.filter(|(key, _)| !key.ends_with(".body")) {
            own.insert(key.clone(), value.clone());
        }
    }
    json!({
        "startedDateTime": rfc3339(exchange.at),
        "time": length.unwrap_or(0),
        "request": asked,
        "response": {
            // 0 where no answer is on record.
            "status": exchange.number("http.response.status_code").unwrap_or(0),
            "statusText": "",
            "httpVersion": "",
            "cookies": [],
            "headers": headers(exchange, "http.response.header."),
            "content": content,
            "redirectURL": "",
            "headersSize": -1,
            "bodySize": exchange.number("http.response.body.size").unwrap_or(-1),
        },
        "cache": {},
        "timings": { "blocked": -1, "dns": -1, "connect": -1, "ssl": -1, "send": 0,
                     "wait": wait, "receive": (length.unwrap_or(0) - wait).max(0) },
        "serverIPAddress": "",
        "_countersign": own,
    })
}

/// Headers that the policy keeps.
fn headers(exchange: &Exchange, prefix: &str) -> Vec<Value> {
    let mut headers = Vec::new();
    for half in [Half::Request, Half::Outcome] {
        for (key, value) in exchange.half(half).into_iter().flatten() {
            let Some(name) = key.strip_prefix(prefix) else {
                continue;
            };
            let values: Vec<&str> = match value {
                Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
                one => one.as_str().into_iter().collect(),
            };
            for value in values {
                let header = json!({ "name": name, "value": value });
                if !headers.contains(&header) {
                    headers.push(header);
                }
            }
        }
    }
    headers
}

fn query(url: &str) -> Vec<Value> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            json!({ "name": name, "value": value })
        })
        .collect()
}

/// What a body looks like: its own header is not always on record.
fn media_type(bytes: &[u8]) -> &'static str {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return "application/octet-stream";
    };
    match text.trim_start().chars().next() {
        Some('{' | '[') => "application/json",
        Some('<') => "text/html",
        _ if text.starts_with("data:") || text.starts_with("event:") => "text/event-stream",
        _ => "text/plain",
    }
}

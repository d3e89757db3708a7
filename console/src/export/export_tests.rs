//! Every format against what is published of it, with hostile content in every field.

use serde_json::{Map, Value, json};

use super::*;
use crate::clock::Millis;
use crate::replay::Exchange;

const HOSTILE: &str = "=HYPERLINK(\"http://x\")\r\n\"]\\ <script>\u{1b}[2J\u{202e}\0 é ,;";

fn attributes(text: &str) -> Map<String, Value> {
    let value = json!({
        "countersign.exchange.id": "x1", "user.id": text, "user.email": text, "client.address": "10.0.0.7:4711",
        "countersign.identity.groups": [text, "agents"], "countersign.identity.provider": text,
        "user_agent.original": text, "countersign.session.id": text, "countersign.connection": "github-api",
        "http.request.method": "DELETE", "url.full": format!("https://api.github.com/repos/a/b?q={text}"),
        "server.address": "api.github.com", "gen_ai.request.model": text, "countersign.decision": "denied",
        "countersign.reason": "rule_denied", "countersign.rule": text, "countersign.policy.digest": "ab",
        "countersign.operations": [{"name": "repo.delete", "repo": "a/b", "ref": text, "write": true, "paths": [text]}],
        "countersign.request.body": text, "http.request.body.size": text.len(),
        "http.response.body.size": 3, "countersign.masks": [{"rule": "r", "count": 2, "direction": "request"}],
        "countersign.double": 1.5, "countersign.flag": true,
    });
    value.as_object().cloned().unwrap()
}

/// The two records of an exchange; the second has come only if `ended`.
fn items(text: &str, ended: bool) -> Vec<Item> {
    let request = attributes(text);
    let mut outcome = request.clone();
    outcome.insert("http.response.status_code".into(), json!(403));
    outcome.insert("countersign.duration_us".into(), json!(12_345));
    outcome.insert("countersign.response.body".into(), json!(text));
    outcome.insert(
        "countersign.response.chunks".into(),
        json!([{"offset_ms": 5, "size": 3}]),
    );
    let mut records: Vec<(&str, Millis, &Map<String, Value>)> =
        vec![("countersign.request", 1_000, &request)];
    if ended {
        records.push(("countersign.outcome", 1_012, &outcome));
    }
    let exchange = Exchange::of_records("x1", records.clone());
    records
        .into_iter()
        .enumerate()
        .map(|(index, (event, at, attributes))| Item {
            index: index as i64 + 7,
            kind: crate::ledger::Kind::Record,
            worker: format!("w {text}"),
            seq: 1,
            received_at: at + 1,
            event: event.to_owned(),
            at,
            resource: Map::new(),
            attributes: attributes.clone(),
            exchange: Some(exchange.clone()),
        })
        .collect()
}

fn export(format: Format, items: &[Item]) -> String {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(format);
    encoder.head(&mut out);
    for item in items {
        encoder.item(item, &mut out);
    }
    encoder.tail(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn an_exchange_is_told_once_when_it_has_ended_and_open_before() {
    for format in [Format::Csv, Format::Ocsf, Format::Syslog, Format::Har] {
        let count = |items: &[Item]| {
            let mut encoder = Encoder::new(format);
            items.iter().for_each(|item| {
                encoder.item(item, &mut Vec::new());
            });
            encoder.entries()
        };
        assert_eq!(count(&items("a", true)), 1, "{format:?}");
        assert_eq!(count(&items("a", false)), 1, "{format:?}");
    }
    assert_eq!(export(Format::Ndjson, &items("a", true)).lines().count(), 2);
}

#[test]
fn ndjson_leaves_nothing_out() {
    let items = items(HOSTILE, true);
    for (line, item) in export(Format::Ndjson, &items).lines().zip(&items) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["attributes"], Value::Object(item.attributes.clone()));
        assert_eq!(line["index"], item.index);
    }
}

#[test]
fn csv_is_read_back_and_holds_no_formula() {
    let text = export(Format::Csv, &items(HOSTILE, true));
    let mut reader = ::csv::ReaderBuilder::new().from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let rows: Vec<::csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 1);
    let cell = |name: &str| &rows[0][header.iter().position(|h| h == name).unwrap()];
    assert_eq!(
        cell("user"),
        format!("'{}", HOSTILE.replace('\0', "\u{fffd}"))
    );
    assert_eq!(
        (cell("status"), cell("duration_ms"), cell("decision")),
        ("403", "12", "denied")
    );
    for cell in rows[0].iter() {
        assert!(
            !cell.starts_with(['=', '+', '-', '@', '\t', '\r']),
            "{cell}"
        );
    }
    for risky in ["=1", "+1", "-1", "@x", "\t=1", " =1", "\"=1", "\r=1"] {
        let text = export(Format::Csv, &items(risky, true));
        let mut reader = ::csv::Reader::from_reader(text.as_bytes());
        let row = reader.records().next().unwrap().unwrap();
        assert!(row[4].starts_with('\''), "{risky:?}: {:?}", &row[4]);
    }
}

#[test]
fn har_has_every_field_that_1_2_requires() {
    let har: Value = serde_json::from_str(&export(Format::Har, &items(HOSTILE, true))).unwrap();
    let log = &har["log"];
    assert_eq!(log["version"], "1.2");
    assert!(log["creator"]["name"].is_string() && log["creator"]["version"].is_string());
    let entry = &log["entries"][0];
    for (path, kind) in [
        ("/startedDateTime", "string"),
        ("/time", "number"),
        ("/cache", "object"),
        ("/request/method", "string"),
        ("/request/url", "string"),
        ("/request/httpVersion", "string"),
        ("/request/cookies", "array"),
        ("/request/headers", "array"),
        ("/request/queryString", "array"),
        ("/request/headersSize", "number"),
        ("/request/bodySize", "number"),
        ("/request/postData/mimeType", "string"),
        ("/request/postData/text", "string"),
        ("/response/status", "number"),
        ("/response/statusText", "string"),
        ("/response/httpVersion", "string"),
        ("/response/cookies", "array"),
        ("/response/headers", "array"),
        ("/response/content/size", "number"),
        ("/response/content/mimeType", "string"),
        ("/response/redirectURL", "string"),
        ("/response/headersSize", "number"),
        ("/response/bodySize", "number"),
        ("/timings/send", "number"),
        ("/timings/wait", "number"),
        ("/timings/receive", "number"),
    ] {
        let found = entry
            .pointer(path)
            .unwrap_or_else(|| panic!("no {path} in {entry}"));
        let is = match found {
            Value::String(_) => "string",
            Value::Number(_) => "number",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
            _ => "other",
        };
        assert_eq!(is, kind, "{path}");
    }
    let timings = &entry["timings"];
    let sum: i64 = ["send", "wait", "receive"]
        .iter()
        .map(|t| timings[*t].as_i64().unwrap())
        .sum();
    assert_eq!(entry["time"], sum, "the timings make up the time");
    assert_eq!(entry["response"]["content"]["text"], HOSTILE);
    let open: Value = serde_json::from_str(&export(Format::Har, &items("a", false))).unwrap();
    assert_eq!(open["log"]["entries"][0]["response"]["status"], 0);
    let none: Value = serde_json::from_str(&export(Format::Har, &[])).unwrap();
    assert_eq!(none["log"]["entries"], json!([]));
}

#[test]
fn ocsf_has_what_api_activity_requires() {
    let line = export(Format::Ocsf, &items(HOSTILE, true));
    assert_eq!(line.lines().count(), 1);
    let event: Value = serde_json::from_str(&line).unwrap();
    // Base event and class: requirement "required" in ocsf-schema 1.4.
    for key in [
        "activity_id",
        "category_uid",
        "class_uid",
        "metadata",
        "severity_id",
        "time",
        "type_uid",
        "actor",
        "api",
        "src_endpoint",
        "action_id",
        "disposition_id",
    ] {
        assert!(event.get(key).is_some(), "no {key}");
    }
    assert_eq!(
        (&event["class_uid"], &event["category_uid"]),
        (&json!(6003), &json!(6))
    );
    assert_eq!(event["activity_id"], 4);
    assert_eq!(event["type_uid"], 600_304);
    assert_eq!(event["metadata"]["version"], "1.4.0");
    for path in [
        "/metadata/product/vendor_name",
        "/metadata/product/name",
        "/api/operation",
        "/src_endpoint/ip",
        "/actor/user/uid",
    ] {
        assert!(
            event.pointer(path).is_some_and(Value::is_string),
            "no {path}"
        );
    }
    assert_eq!(event["src_endpoint"]["ip"], "10.0.0.7");
    assert!(event["time"].is_i64());
    assert_eq!(
        (
            &event["status_id"],
            &event["action_id"],
            &event["disposition_id"]
        ),
        (&json!(2), &json!(2), &json!(2))
    );
    let open: Value = serde_json::from_str(&export(Format::Ocsf, &items("a", false))).unwrap();
    assert_eq!(open["status_id"], 0);
    assert_ne!(open["metadata"]["uid"], event["metadata"]["uid"]);
}

/// The grammar of RFC 5424, section 6, as far as a sender uses it.
fn parse_5424(line: &str) -> (u8, Vec<(String, String)>, String) {
    let rest = line.strip_prefix('<').unwrap();
    let (priority, rest) = rest.split_once('>').unwrap();
    let rest = rest.strip_prefix("1 ").unwrap();
    let mut parts = rest.splitn(6, ' ');
    let time = parts.next().unwrap();
    assert!(
        time.parse::<jiff::Timestamp>().is_ok() && time.len() <= 32,
        "{time}"
    );
    for (name, longest) in [
        ("HOSTNAME", 255),
        ("APP-NAME", 48),
        ("PROCID", 128),
        ("MSGID", 32),
    ] {
        let field = parts.next().unwrap();
        let graphic = field.bytes().all(|b| (33..=126).contains(&b));
        assert!(
            graphic && (1..=longest).contains(&field.len()),
            "{name}: {field}"
        );
    }
    let data = parts.next().unwrap().strip_prefix('[').unwrap();
    let (id, mut data) = data.split_once(' ').unwrap();
    let (name, number) = id.split_once('@').unwrap();
    assert!(
        !name.is_empty() && number.bytes().all(|b| b.is_ascii_digit()),
        "{id}"
    );
    let mut parameters = Vec::new();
    let message = loop {
        let (name, rest) = data.split_once("=\"").unwrap();
        let good = name
            .bytes()
            .all(|b| (33..=126).contains(&b) && !b"=]\"".contains(&b));
        assert!(good && (1..=32).contains(&name.len()), "{name}");
        let mut value = String::new();
        let mut characters = rest.char_indices();
        let end = loop {
            match characters.next().unwrap() {
                (_, '\\') => match characters.next().unwrap().1 {
                    c @ ('"' | '\\' | ']') => value.push(c),
                    c => panic!("\\{c} in {rest}"),
                },
                (at, '"') => break at,
                (_, ']') => panic!("a bare ] in {rest}"),
                (_, c) => value.push(c),
            }
        };
        parameters.push((name.to_owned(), value));
        match rest[end + 1..].strip_prefix("] ") {
            Some(message) => break message,
            None => data = rest[end + 1..].strip_prefix(' ').unwrap(),
        }
    };
    let message = message
        .strip_prefix('\u{feff}')
        .expect("UTF-8 begins with a BOM");
    (priority.parse().unwrap(), parameters, message.to_owned())
}

#[test]
fn syslog_follows_rfc_5424_whatever_is_in_it() {
    let text = export(Format::Syslog, &items(HOSTILE, true));
    assert_eq!(text.lines().count(), 1, "{text}");
    let (priority, parameters, message) = parse_5424(text.trim_end_matches('\n'));
    assert_eq!(priority, 13 * 8 + 4);
    assert!(
        parameters
            .iter()
            .any(|(name, value)| name == "decision" && value == "denied")
    );
    let user = parameters.iter().find(|(name, _)| name == "user").unwrap();
    assert!(user.1.starts_with("=HYPERLINK(\"http://x\")"), "{user:?}");
    assert!(text.trim_end().chars().all(|c| !c.is_control()), "{text:?}");
    assert!(message.contains("repo.delete denied"), "{message}");
    let long = export(Format::Syslog, &items(&"x".repeat(100_000), true));
    assert!(long.len() < 12_000, "{}", long.len());
}

#[test]
fn otlp_lines_read_back_as_the_same_attributes() {
    use crate::intake::otlp::plain_attributes;
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use prost::Message;
    let items = items(HOSTILE, true);
    let text = export(Format::Otlp, &items);
    assert_eq!(text.lines().count(), 2);
    for (line, item) in text.lines().zip(&items) {
        let json: ExportLogsServiceRequest = serde_json::from_str(line).unwrap();
        let whole = otlp::request(std::slice::from_ref(item));
        assert_eq!(json, whole);
        let binary = ExportLogsServiceRequest::decode(whole.encode_to_vec().as_slice()).unwrap();
        let record = &binary.resource_logs[0].scope_logs[0].log_records[0];
        let mut read = plain_attributes(record.attributes.clone());
        assert_eq!(
            read.remove("countersign.ledger.index"),
            Some(json!(item.index))
        );
        assert_eq!(read, item.attributes);
        assert_eq!(record.time_unix_nano, item.at as u64 * 1_000_000);
    }
    assert_eq!(
        otlp::request(&items).resource_logs.len(),
        1,
        "one resource, one group"
    );
}

//! RFC 4180 with a header line. A text that a spreadsheet would take for a formula gets an
//! apostrophe in front of it.

use super::Item;
use crate::clock::rfc3339;
use crate::replay::Exchange;

const COLUMNS: [&str; 26] = [
    "index",
    "exchange",
    "time",
    "ended",
    "user",
    "email",
    "groups",
    "provider",
    "client_address",
    "user_agent",
    "session",
    "connection",
    "method",
    "url",
    "operations",
    "repos",
    "refs",
    "paths",
    "model",
    "decision",
    "reason",
    "rule",
    "approval",
    "approved_by",
    "status",
    "duration_ms",
];

pub(super) fn head(out: &mut Vec<u8>) {
    row(COLUMNS.iter().map(|column| (*column).to_owned()), out);
}

pub(super) fn line(item: &Item, exchange: &Exchange, out: &mut Vec<u8>) {
    let text = |key: &str| safe(exchange.text(key).unwrap_or_default());
    let each = |key: &str| {
        let mut values: Vec<&str> = exchange.operations().filter_map(|o| o.text(key)).collect();
        values.dedup();
        safe(&values.join(" "))
    };
    let paths: Vec<&str> = exchange.operations().flat_map(|o| o.paths().0).collect();
    let groups: Vec<&str> = exchange
        .list("countersign.identity.groups")
        .filter_map(|group| group.as_str())
        .collect();
    let number = |number: Option<i64>| number.map_or_else(String::new, |n| n.to_string());
    let cells = [
        item.index.to_string(),
        safe(&exchange.id),
        rfc3339(exchange.at),
        exchange.ended.map(rfc3339).unwrap_or_default(),
        text("user.id"),
        text("user.email"),
        safe(&groups.join(" ")),
        text("countersign.identity.provider"),
        text("client.address"),
        text("user_agent.original"),
        text("countersign.session.id"),
        text("countersign.connection"),
        text("http.request.method"),
        text("url.full"),
        each("name"),
        each("repo"),
        each("ref"),
        safe(&paths.join(" ")),
        text("gen_ai.request.model"),
        text("countersign.decision"),
        text("countersign.reason"),
        text("countersign.rule"),
        text("countersign.approval.id"),
        text("countersign.approval.by"),
        number(exchange.number("http.response.status_code")),
        number(
            exchange
                .number("countersign.duration_us")
                .map(|us| us / 1000),
        ),
    ];
    row(cells.into_iter(), out);
}

fn row(cells: impl Iterator<Item = String>, out: &mut Vec<u8>) {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(out);
    // Writing to memory does not fail.
    let _ = writer.write_record(cells);
    let _ = writer.flush();
}

/// What a spreadsheet shows as text. OWASP's list of first characters, and NUL, which ends a cell
/// for some readers.
fn safe(text: &str) -> String {
    let text = text.replace('\0', "\u{fffd}");
    let risky = [
        '=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠', '|', '%',
    ];
    match text.trim_start_matches([' ', '"', '\'']).starts_with(risky) || text.starts_with(risky) {
        true => format!("'{text}"),
        false => text,
    }
}

//! RFC 5424. One line for an exchange: facts as structured data, a sentence as the message.

use super::{Item, ocsf};
use crate::clock::rfc3339;
use crate::replay::Exchange;
use crate::web::text::shown_line;

/// Log audit.
const FACILITY: u8 = 13;
/// An enterprise number has to stand here; 32473 is the one that RFC 5612 sets aside for use like
/// this.
const ELEMENT: &str = "countersign@32473";
/// The longest value; collectors cut at 2 to 8 KiB.
const LONGEST: usize = 512;

pub(super) fn message(item: &Item, exchange: &Exchange) -> String {
    let text = |key: &str| exchange.text(key).unwrap_or_default().to_owned();
    let each = |key: &str| {
        let mut values: Vec<&str> = exchange.operations().filter_map(|o| o.text(key)).collect();
        values.dedup();
        values.join(" ")
    };
    let severity = match exchange.decision() {
        "denied" | "undecided_denied" | "held_refused" | "held_expired" => 4,
        "held" | "held_approved" | "undecided_allowed" | "observed" => 5,
        _ => 6,
    };
    let number = |key: &str| {
        exchange
            .number(key)
            .map_or_else(String::new, |n| n.to_string())
    };
    let operations = each("name");
    let facts = [
        ("index", item.index.to_string()),
        ("exchange", exchange.id.clone()),
        ("user", text("user.id")),
        ("client", text("client.address")),
        ("session", text("countersign.session.id")),
        ("connection", text("countersign.connection")),
        ("method", text("http.request.method")),
        ("url", text("url.full")),
        ("operations", operations.clone()),
        ("repos", each("repo")),
        ("refs", each("ref")),
        ("model", text("gen_ai.request.model")),
        ("decision", text("countersign.decision")),
        ("reason", text("countersign.reason")),
        ("rule", text("countersign.rule")),
        ("policy", text("countersign.policy.digest")),
        ("approval", text("countersign.approval.id")),
        ("approvedBy", text("countersign.approval.by")),
        ("status", number("http.response.status_code")),
        ("durationUs", number("countersign.duration_us")),
    ];
    let data: String = facts
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!(" {name}=\"{}\"", value_of(&value)))
        .collect();
    let kind = match exchange.has_outcome() {
        true => "exchange",
        false => "request",
    };
    let host = header_field(item.resource.get("host.name").and_then(|h| h.as_str()), 255);
    let worker = header_field(Some(&item.worker), 128);
    format!(
        "<{}>1 {} {host} countersign {worker} {kind} [{ELEMENT}{data}] \u{feff}{}",
        FACILITY * 8 + severity,
        rfc3339(exchange.at),
        shown_line(&cut(&ocsf::message(exchange, &operations)))
    )
}

/// A field of the header: printable ASCII without blanks, or a dash.
fn header_field(text: Option<&str>, longest: usize) -> String {
    let field: String = text
        .unwrap_or_default()
        .chars()
        .filter(char::is_ascii_graphic)
        .take(longest)
        .collect();
    match field.is_empty() {
        true => "-".to_owned(),
        false => field,
    }
}

/// A parameter's value: `"`, `\` and `]` escaped, controls spelled out.
fn value_of(text: &str) -> String {
    let mut value = String::new();
    for c in shown_line(&cut(text)).chars() {
        if matches!(c, '"' | '\\' | ']') {
            value.push('\\');
        }
        value.push(c);
    }
    value
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

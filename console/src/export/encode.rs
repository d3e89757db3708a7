//! From items to bytes.

use super::{Format, Item, csv, har, ndjson, ocsf, otlp, syslog};

/// Writes one export: what comes before the entries, the entries, and what comes after.
#[derive(Clone, Debug)]
pub struct Encoder {
    format: Format,
    entries: u64,
}

impl Encoder {
    /// An encoder of a format.
    pub fn new(format: Format) -> Self {
        Self { format, entries: 0 }
    }

    /// What an export begins with.
    pub fn head(&self, out: &mut Vec<u8>) {
        match self.format {
            Format::Csv => csv::head(out),
            Format::Har => har::head(out),
            Format::Ndjson | Format::Ocsf | Format::Otlp | Format::Syslog => {}
        }
    }

    /// One item. Whether an entry was written.
    pub fn item(&mut self, item: &Item, out: &mut Vec<u8>) -> bool {
        let before = out.len();
        match (self.format, item.due()) {
            (Format::Ndjson, _) => ndjson::line(item, out),
            (Format::Otlp, _) => otlp::line(item, out),
            (_, None) => {}
            (Format::Csv, Some(exchange)) => csv::line(item, exchange, out),
            (Format::Har, Some(exchange)) => har::entry(exchange, self.entries == 0, out),
            (Format::Ocsf, Some(exchange)) => {
                write_json(&ocsf::event(item, exchange), out);
                out.push(b'\n');
            }
            (Format::Syslog, Some(exchange)) => {
                out.extend_from_slice(syslog::message(item, exchange).as_bytes());
                out.push(b'\n');
            }
        }
        let written = out.len() > before;
        self.entries += u64::from(written);
        written
    }

    /// What an export ends with.
    pub fn tail(&self, out: &mut Vec<u8>) {
        if self.format == Format::Har {
            har::tail(out);
        }
    }

    /// How many entries it has written.
    pub fn entries(&self) -> u64 {
        self.entries
    }
}

/// Writes a value; nothing in one refuses to be written to memory.
pub(super) fn write_json(value: &impl serde::Serialize, out: &mut Vec<u8>) {
    let length = out.len();
    if let Err(error) = serde_json::to_writer(&mut *out, value) {
        out.truncate(length);
        tracing::error!(%error, "an entry could not be written");
    }
}

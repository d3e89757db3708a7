//! What reads the format of a body.

use super::form::Form;
use super::json::Json;
use super::multipart::Multipart;
use super::scrub::Scrub;
use super::set::MaskSet;
use super::sse::EventStream;
use super::tally::Tally;
use super::text::Text;
use super::{Fault, Format};
use std::rc::Rc;

pub(super) enum Layer {
    /// JSON, unless the first byte says otherwise; held until that byte has come.
    Undecided {
        json: Box<Json>,
        text: Box<Text>,
    },
    Json(Box<Json>),
    EventStream(Box<EventStream>),
    Form(Box<Form>),
    Multipart(Box<Multipart>),
    Text(Box<Text>),
    Binary,
}

impl Layer {
    pub(super) fn new(set: &Rc<MaskSet>, scrub: Option<&Rc<Scrub>>, format: Format) -> Self {
        match format {
            Format::Json | Format::Ndjson => Self::Undecided {
                json: Box::new(Json::new(set, scrub)),
                text: Box::new(Text::new(Rc::clone(set), scrub.map(Rc::clone))),
            },
            Format::EventStream => Self::EventStream(Box::new(EventStream::new(set, scrub))),
            Format::Form => Self::Form(Box::new(Form::new(set, scrub))),
            Format::Multipart => Self::Multipart(Box::new(Multipart::new(set, scrub))),
            Format::Text => Self::text(set, scrub, &[]),
            Format::Binary => Self::Binary,
        }
    }

    /// A text of which the reader knows what stands before it.
    pub(super) fn text(set: &Rc<MaskSet>, scrub: Option<&Rc<Scrub>>, context: &[u8]) -> Self {
        let mut text = Text::new(Rc::clone(set), scrub.map(Rc::clone));
        text.restart(context);
        Self::Text(Box::new(text))
    }

    /// See [`super::StreamMasker::without_log_probabilities`].
    pub(super) fn withhold(&mut self) {
        match self {
            Self::Undecided { json, .. } | Self::Json(json) => json.withhold(),
            Self::EventStream(events) => events.json().withhold(),
            Self::Form(_) | Self::Multipart(_) | Self::Text(_) | Self::Binary => {}
        }
    }

    pub(super) fn withheld(&self) -> bool {
        match self {
            Self::Json(json) => json.withheld(),
            Self::EventStream(events) => events.withheld(),
            Self::Undecided { .. }
            | Self::Form(_)
            | Self::Multipart(_)
            | Self::Text(_)
            | Self::Binary => false,
        }
    }

    pub(super) fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>, tally: &mut Tally) {
        let mut chunk = chunk;
        if let Self::Undecided { .. } = self {
            // White space and a byte order mark are no part of any secret.
            let blank = |b: &u8| b.is_ascii_whitespace() || b"\xef\xbb\xbf\x1e".contains(b);
            let blanks = chunk.iter().take_while(|b| blank(b)).count();
            let (blanks, rest) = chunk.split_at(blanks);
            out.extend_from_slice(blanks);
            let Some(first) = rest.first() else {
                return;
            };
            chunk = rest;
            let looks_json = b"{[\"-0123456789tfn".contains(first);
            if let Self::Undecided { json, text } = std::mem::replace(self, Self::Binary) {
                *self = if looks_json {
                    Self::Json(json)
                } else {
                    Self::Text(text)
                };
            }
        }
        match self {
            Self::Json(json) => json.push(chunk, out, tally),
            Self::EventStream(events) => events.push(chunk, out, tally),
            Self::Form(form) => form.push(chunk, out, tally),
            Self::Multipart(parts) => parts.push(chunk, out, tally),
            Self::Text(text) => text.push(chunk, out, tally),
            Self::Binary | Self::Undecided { .. } => out.extend_from_slice(chunk),
        }
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>, tally: &mut Tally) {
        match self {
            Self::Json(json) => json.finish(out, tally),
            Self::EventStream(events) => events.finish(out, tally),
            Self::Form(form) => form.finish(out, tally),
            Self::Multipart(parts) => parts.finish(out, tally),
            Self::Text(text) => text.finish(out, tally),
            Self::Binary | Self::Undecided { .. } => {}
        }
    }

    /// How many bytes are held back at the moment.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::Json(json) => json.held(),
            Self::EventStream(events) => events.held(),
            Self::Form(form) => form.held(),
            Self::Multipart(parts) => parts.held(),
            Self::Text(text) => text.held(),
            Self::Binary | Self::Undecided { .. } => 0,
        }
    }

    /// The last limit that was passed, if any.
    pub(super) fn fault(&self) -> Option<Fault> {
        match self {
            Self::EventStream(events) => events.fault(),
            _ => None,
        }
    }
}

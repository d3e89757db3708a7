//! The answer to `tools/list`, less the tools that its caller may not use anyway.
//!
//! A convenience for the model, which then does not try what would be refused; what decides is the
//! judging of each call. So whatever is not understood here passes as it came: another message, a
//! body over [`MAX`], one that is no JSON. An answer as JSON is held until its end, an event of an
//! event stream until its blank line; everything else of a stream leaves as it comes.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

/// The most that is held.
const MAX: usize = 1024 * 1024;

/// The answer was too large to be held; it passes as it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// Takes tools out of one answer, however it is cut.
#[derive(Debug)]
pub struct Narrowing {
    ids: Vec<Value>,
    events: bool,
    /// The body, or the event, as far as it has come.
    held: Vec<u8>,
    /// Where in `held` the line begins that is not complete.
    line: usize,
    too_large: bool,
    removed: Vec<String>,
}

impl Narrowing {
    /// For the answers to these requests; `events` if the body is an event stream.
    pub fn new(ids: Vec<Value>, events: bool) -> Self {
        Narrowing {
            ids,
            events,
            held: Vec::new(),
            line: 0,
            too_large: false,
            removed: Vec::new(),
        }
    }

    /// Takes the next bytes and gives what may leave. `keeps` tells which tools stay.
    ///
    /// # Errors
    /// [`TooLarge`], once, in place of nothing: the bytes are in `out` all the same.
    pub fn push(
        &mut self,
        bytes: &[u8],
        last: bool,
        keeps: &mut dyn FnMut(&str) -> bool,
        out: &mut Vec<u8>,
    ) -> Result<(), TooLarge> {
        if self.too_large {
            out.extend_from_slice(bytes);
            return Ok(());
        }
        self.held.extend_from_slice(bytes);
        while let Some(size) = self.event_size(last) {
            let rest = self.held.split_off(size);
            let event = std::mem::replace(&mut self.held, rest);
            self.line = 0;
            self.event(event, keeps, out);
        }
        if last {
            let body = std::mem::take(&mut self.held);
            if self.events {
                out.extend_from_slice(&body);
            } else {
                self.body(body, keeps, out);
            }
        } else if self.held.len() > MAX {
            self.too_large = true;
            out.append(&mut self.held);
            return Err(TooLarge);
        }
        Ok(())
    }

    /// Bytes that wait for what follows them.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// The tools that were taken out so far.
    pub fn removed(&self) -> &[String] {
        &self.removed
    }

    /// The size of the first event, its blank line included. A CR at the end may yet become a CRLF.
    fn event_size(&mut self, last: bool) -> Option<usize> {
        if !self.events {
            return None;
        }
        loop {
            let rest = self.held.get(self.line..)?;
            let end = rest.iter().position(|b| matches!(b, b'\n' | b'\r'))?;
            let after = match (rest.get(end), rest.get(end + 1)) {
                (Some(b'\r'), Some(b'\n')) => end + 2,
                (Some(b'\r'), None) if !last => return None,
                _ => end + 1,
            };
            self.line += after;
            if end == 0 {
                return Some(self.line);
            }
        }
    }

    fn body(&mut self, body: Vec<u8>, keeps: &mut dyn FnMut(&str) -> bool, out: &mut Vec<u8>) {
        match self.narrowed(&body, keeps) {
            Some(narrowed) => out.extend_from_slice(&narrowed),
            None => out.extend_from_slice(&body),
        }
    }

    /// An event with one message as its data, which may be spread over lines.
    fn event(&mut self, event: Vec<u8>, keeps: &mut dyn FnMut(&str) -> bool, out: &mut Vec<u8>) {
        let Some(data) = data(&event) else {
            out.extend_from_slice(&event);
            return;
        };
        let Some(narrowed) = self.narrowed(&data, keeps) else {
            out.extend_from_slice(&event);
            return;
        };
        for line in lines(&event).filter(|line| !is_data(line) && !line.is_empty()) {
            out.extend_from_slice(line);
            out.push(b'\n');
        }
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&narrowed);
        out.extend_from_slice(b"\n\n");
    }

    /// The text without the tools, or nothing where it stays as it is. What stays keeps its bytes: a
    /// model reads the schemas of its tools in the order in which they were written.
    fn narrowed(&mut self, text: &[u8], keeps: &mut dyn FnMut(&str) -> bool) -> Option<Vec<u8>> {
        crate::json::parse_strict(text).ok()?;
        let text = std::str::from_utf8(text).ok()?;
        let one: &RawValue = serde_json::from_str(text).ok()?;
        let messages = elements(one).unwrap_or_else(|| vec![one]);
        let mut out = String::with_capacity(text.len());
        let mut copied = 0;
        for message in messages {
            let Some((tools, kept)) = self.message(message, keeps) else {
                continue;
            };
            // `tools` is a part of `text`.
            let start = (tools.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
            out.push_str(text.get(copied..start)?);
            out.push_str(&format!("[{}]", kept.join(",")));
            copied = start + tools.len();
        }
        if copied == 0 {
            return None;
        }
        out.push_str(text.get(copied..)?);
        Some(out.into_bytes())
    }

    /// The tools of an answer as they came, and those that stay; nothing if all do.
    fn message<'t>(
        &mut self,
        message: &'t RawValue,
        keeps: &mut dyn FnMut(&str) -> bool,
    ) -> Option<(&'t str, Vec<&'t str>)> {
        let id: Value = serde_json::from_str(member(message, "id")?.get()).ok()?;
        if !self.ids.contains(&id) {
            return None;
        }
        let tools = member(member(message, "result")?, "tools")?;
        let all = elements(tools)?;
        let before = self.removed.len();
        let mut kept = Vec::with_capacity(all.len());
        for tool in &all {
            let name = member(tool, "name")
                .and_then(|name| serde_json::from_str::<String>(name.get()).ok());
            match name {
                Some(name) if !keeps(&name) => self.removed.push(name),
                Some(_) | None => kept.push(tool.get()),
            }
        }
        (self.removed.len() > before).then(|| (tools.get(), kept))
    }
}

/// The member `name` of an object, as it is written.
fn member<'t>(object: &'t RawValue, name: &str) -> Option<&'t RawValue> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(object.get()).ok()?;
    members.get(name).copied()
}

/// The elements of an array, as they are written.
fn elements(array: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(array.get()).ok()
}

/// The lines of an event.
fn lines(event: &[u8]) -> impl Iterator<Item = &[u8]> {
    event.split(|b| *b == b'\n').flat_map(|line| {
        line.strip_suffix(b"\r")
            .unwrap_or(line)
            .split(|b| *b == b'\r')
    })
}

fn is_data(line: &[u8]) -> bool {
    line == b"data" || line.starts_with(b"data:")
}

/// The data of an event: its lines joined (WHATWG HTML, section 9.2.6).
fn data(event: &[u8]) -> Option<Vec<u8>> {
    let mut parts = lines(event)
        .filter(|line| is_data(line))
        .map(|line| line.get(5..).unwrap_or_default())
        .map(|data| data.strip_prefix(b" ").unwrap_or(data))
        .peekable();
    parts.peek()?;
    Some(parts.collect::<Vec<_>>().join(&b'\n'))
}

#[cfg(test)]
#[path = "listing_tests.rs"]
mod tests;

//! Server-sent events in a captured body, each with the moment at which its last byte came.

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The data lines, joined.
    pub data: std::borrow::Cow<'a, str>,
    /// Milliseconds after the beginning of the exchange, if the chunks tell.
    pub at_ms: Option<u64>,
}

/// Whether a body is a stream of events rather than one document.
pub fn is_stream(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    ["data:", "event:", ":", "id:", "retry:"]
        .into_iter()
        .any(|start| text.starts_with(start))
}

/// The events of a body. An event that was cut before its blank line is given as well: the part
/// that came was seen by the client's connection, and its data may be whole.
pub fn events<'a>(text: &'a str, chunks: &[(u64, u64)]) -> Vec<Event<'a>> {
    let mut clock = ChunkClock::new(chunks);
    let mut events = Vec::new();
    let mut data: Vec<&str> = Vec::new();
    let mut position = 0;
    let mut end_of_data = 0;
    while position < text.len() {
        let rest = &text[position..];
        let length = rest.find(['\n', '\r']).unwrap_or(rest.len());
        let line = &rest[..length];
        let ending = match rest.as_bytes().get(length..) {
            Some([b'\r', b'\n', ..]) => 2,
            Some([_, ..]) => 1,
            _ => 0,
        };
        position += length + ending;
        if let Some(value) = line.strip_prefix("data:") {
            data.push(value.strip_prefix(' ').unwrap_or(value));
            end_of_data = position;
        } else if line.is_empty() && !data.is_empty() {
            events.push(event(&mut data, clock.at(position as u64)));
        }
    }
    if !data.is_empty() {
        events.push(event(&mut data, clock.at(end_of_data as u64)));
    }
    events
}

fn event<'a>(data: &mut Vec<&'a str>, at_ms: Option<u64>) -> Event<'a> {
    let data = match std::mem::take(data).as_slice() {
        [one] => (*one).into(),
        more => more.join("\n").into(),
    };
    Event { data, at_ms }
}

/// Which chunk brought a byte; positions must not go back.
pub struct ChunkClock<'a> {
    chunks: &'a [(u64, u64)],
    brought: u64,
    last: Option<u64>,
}

impl<'a> ChunkClock<'a> {
    /// A clock over chunks in their order.
    pub fn new(chunks: &'a [(u64, u64)]) -> Self {
        Self {
            chunks,
            brought: 0,
            last: None,
        }
    }

    /// When the byte before `end` came.
    pub fn at(&mut self, end: u64) -> Option<u64> {
        while self.brought < end {
            let Some(((offset, size), rest)) = self.chunks.split_first() else {
                break;
            };
            self.chunks = rest;
            self.brought += size;
            self.last = Some(*offset);
        }
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_know_when_they_came() {
        let text = ": wait\n\ndata: a\n\nevent: x\ndata: b\ndata:c\r\n\r\ndata: cut";
        let first = text.find("event").unwrap() as u64;
        let chunks = [(5, first), (9, 10), (20, 1_000)];
        let events = events(text, &chunks);
        let told: Vec<(&str, Option<u64>)> =
            events.iter().map(|e| (e.data.as_ref(), e.at_ms)).collect();
        assert_eq!(
            told,
            [("a", Some(5)), ("b\nc", Some(20)), ("cut", Some(20))]
        );
    }

    #[test]
    fn without_chunks_there_is_no_time() {
        assert_eq!(events("data: a\n\n", &[])[0].at_ms, None);
        assert!(is_stream("\n: ping\n") && is_stream("data: x") && !is_stream("{\"a\":1}"));
    }
}

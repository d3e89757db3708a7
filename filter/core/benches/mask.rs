//! Prints how fast bodies are masked, in megabytes of input a second: best of five passes.
//! `cargo bench -p countersign-core --bench mask`; one argument takes a file instead of the mix.

use countersign_core::mask::{Format, MaskConfig, MaskSet, Scrub, StreamMasker};
use std::rc::Rc;

const PROSE: &str = "The gateway reads each request, decides, and writes a record. Nobody waits for \
    more than the answer of a person; see https://example.com/docs/page-1 for the details. ";
const CODE: &str = "fn decide(&self, head: &RequestHead) -> Result<Verdict, Reason> {\n    let token \
    = self.tokens.get(index).ok_or(Reason::Missing)?;\n    self.count += 1; // 0x1f3a\n}\n";
const LOG: &str = "2026-11-21T08:28:09.123Z INFO gateway[4242] request id=4f1c9a7e-0b1d-4c55-9f39-\
    6a2d1e8b7c10 sha=9b74c9897bac770ffc029102a200c5de9b74c989 status=200 path=/repos/acme/web\n";
const RECORD: &str = r#"{"id":"chatcmpl-8f2","name":"web","private":false,"size":1024,"html_url":"https://github.com/acme/web","node_id":"MDEwOlJlcG9zaXRvcnkx","token_type":"bearer","description":"A line\nwith \"escapes\" and \u00e9"},"#;

#[allow(
    clippy::disallowed_methods,
    reason = "a benchmark measures time and may read a file"
)]
fn main() {
    let config = MaskConfig {
        rules: vec!["default".into()],
        custom: vec![],
    };
    let Ok(set) = MaskSet::compile(&config).map(Rc::new) else {
        return;
    };
    let scrub = Rc::new(Scrub::new(&[b"gw-0123456789abcdef0123456789abcdef"]));
    let repeat = |parts: &[&str]| parts.concat().repeat(16_000_000 / parts.concat().len());
    let text = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'))
        .and_then(|path| std::fs::read(path).ok())
        .unwrap_or_else(|| repeat(&[PROSE, CODE, LOG, RECORD]).into_bytes());
    let json = format!("[{}0]", repeat(&[RECORD])).into_bytes();
    let delta = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\
        \"model\":\"gpt\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" gateway\"},\
        \"finish_reason\":null}]}\n\n";
    let events = delta.repeat(8_000_000 / delta.len()).into_bytes();
    for (name, format, body, chunk, scrub) in [
        ("text, 64 KiB chunks", Format::Text, &text, 65536, None),
        (
            "text, 64 KiB chunks, credential",
            Format::Text,
            &text,
            65536,
            Some(&scrub),
        ),
        ("text, 40 B chunks", Format::Text, &text, 40, None),
        ("json, 64 KiB chunks", Format::Json, &json, 65536, None),
        (
            "json, 64 KiB chunks, credential",
            Format::Json,
            &json,
            65536,
            Some(&scrub),
        ),
        (
            "event stream, one event a chunk",
            Format::EventStream,
            &events,
            delta.len(),
            None,
        ),
    ] {
        let mut best = f64::MAX;
        let mut found = 0;
        for _ in 0..5 {
            let mut masker = StreamMasker::new(Rc::clone(&set), scrub.map(Rc::clone), format);
            let mut out = Vec::with_capacity(1 << 17);
            let start = std::time::Instant::now();
            for piece in body.chunks(chunk) {
                out.clear();
                masker.push(piece, &mut out);
            }
            masker.finish(&mut out);
            best = best.min(start.elapsed().as_secs_f64());
            found = masker.findings().iter().map(|f| f.count).sum();
        }
        let speed = body.len() as f64 / best / 1e6;
        println!("{name:34} {speed:8.0} MB/s  {found} found");
    }
}

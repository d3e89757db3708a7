//! Prints how fast bodies are masked, in megabytes of input a second: the best of many short passes, for neighbours on a
//! busy machine disturb a few of them at most. And what it costs to begin:
//! time to compile the rules, and memory.
//!
//! `cargo bench -p countersign-core --bench mask` runs it natively; built for wasm32-wasip1, `bench/v8.mjs` runs it in
//! Node's V8. One argument takes a file instead of the mix; `--write FILE` writes the mix for other scanners; `--only WORD`
//! measures what has the word in its name.

use countersign_core::mask::samples::{self, Dice};
use countersign_core::mask::{Format, MaskConfig, MaskSet, Scrub, StreamMasker};
use std::rc::Rc;
use std::time::Instant;

const PASSES: usize = 50;

const PROSE: &str = "The gateway reads each request, decides, and writes a record. Nobody waits for \
    more than the answer of a person; see https://example.com/docs/page-1 for the details. ";
const CODE: &str = "fn decide(&self, head: &RequestHead) -> Result<Verdict, Reason> {\n    let token \
    = self.tokens.get(index).ok_or(Reason::Missing)?;\n    self.count += 1; // 0x1f3a\n}\n";
const LOG: &str = "2026-11-21T08:28:09.123Z INFO gateway[4242] request id=[0-9a-f]{8}-[0-9a-f]{4}-4c55-9f39-\
    [0-9a-f]{12} sha=[0-9a-f]{40} status=200 path=/repos/acme/web\n";
const RECORD: &str = r#"{"id":"chatcmpl-8f2","name":"web","private":false,"size":1024,"html_url":"https://github.com/acme/web","node_id":"MDEwOlJlcG9zaXRvcnkx","token_type":"bearer","description":"A line\nwith \"escapes\" and \u00e9"},"#;

/// Prose, code, logs and records, with a secret every 20 kB.
fn mix(size: usize) -> Vec<u8> {
    let secrets: Vec<&str> = samples::examples()
        .flat_map(|e| e.yes.first().copied())
        .collect();
    let mut dice = Dice::new(7);
    let mut text = String::new();
    let mut next = 20_000;
    while text.len() < size {
        if text.len() > next {
            next += 20_000;
            let template = secrets
                .get(dice.below(secrets.len()))
                .copied()
                .unwrap_or_default();
            text.push_str(&samples::expand(template, dice.below(1 << 30) as u64));
            text.push('\n');
        }
        match dice.below(4) {
            0 => text.push_str(PROSE),
            1 => text.push_str(CODE),
            2 => text.push_str(&samples::expand(LOG, dice.below(1 << 30) as u64)),
            _ => text.push_str(RECORD),
        }
    }
    text.into_bytes()
}

fn set(rules: Vec<String>) -> Option<Rc<MaskSet>> {
    let config = MaskConfig {
        rules,
        ..MaskConfig::default()
    };
    MaskSet::compile(&config).ok().map(Rc::new)
}

/// A yardstick: how many runs of sixteen token bytes there are, a byte at a time.
fn runs(text: &[u8]) -> usize {
    let mut token = [false; 256];
    for b in (b'a'..=b'z')
        .chain(b'A'..=b'Z')
        .chain(b'0'..=b'9')
        .chain(*b"_-./+=~")
    {
        if let Some(slot) = token.get_mut(usize::from(b)) {
            *slot = true;
        }
    }
    let (mut runs, mut length) = (0, 0);
    for &b in text {
        length = if token.get(usize::from(b)) == Some(&true) {
            length + 1
        } else {
            0
        };
        runs += usize::from(length == 16);
    }
    runs
}

/// Bytes of linear memory; nothing natively.
fn memory() -> usize {
    #[cfg(target_family = "wasm")]
    return std::arch::wasm32::memory_size(0) * 65536;
    #[cfg(not(target_family = "wasm"))]
    0
}

#[allow(
    clippy::disallowed_methods,
    reason = "a benchmark measures time and may read a file"
)]
fn main() {
    let before = memory();
    let start = Instant::now();
    let Some(all) = set(vec!["default".into()]) else {
        return;
    };
    let compiled = start.elapsed().as_secs_f64() * 1e6;
    println!("{:34} {compiled:8.0} µs", "start: rules compiled in");
    // By the page of 64 KiB: what fits into the module's first pages adds none.
    println!(
        "{:34} {:8} KiB",
        "start: memory for it",
        (memory() - before) / 1024
    );
    println!(
        "{:34} {:8} KiB",
        "start: linear memory, all of it",
        memory() / 1024
    );
    let tokens = samples::examples()
        .filter(|e| e.yes.iter().all(|t| !t.contains([' ', '=', ':'])))
        // A key block has no prefix but dashes.
        .filter(|e| e.rule != "private-key")
        .map(|e| e.rule.to_owned());
    let Some(prefixes) = set(tokens.collect()) else {
        return;
    };
    let scrub = Rc::new(Scrub::new(&[b"gw-0123456789abcdef0123456789abcdef"]));
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    let first = arguments.next();
    let mut only = None;
    let text = match (first.as_deref(), arguments.next()) {
        (Some("--only"), word) => {
            only = word;
            mix(4_000_000)
        }
        (Some("--write"), Some(path)) => {
            let text = mix(16_000_000);
            if std::fs::write(&path, text).is_err() {
                println!("{path} cannot be written");
            }
            return;
        }
        (Some(path), _) => std::fs::read(path).unwrap_or_default(),
        (None, _) => mix(4_000_000),
    };
    let mut best = f64::MAX;
    let mut count = 0;
    for _ in 0..PASSES {
        let start = Instant::now();
        count = runs(std::hint::black_box(&text));
        best = best.min(start.elapsed().as_secs_f64());
    }
    let speed = text.len() as f64 / best / 1e6;
    println!(
        "{:34} {speed:8.0} MB/s  {count} found",
        "yardstick: runs, byte by byte"
    );
    let json = format!("[{}0]", RECORD.repeat(2_000_000 / RECORD.len())).into_bytes();
    let delta = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\
        \"model\":\"gpt\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" gateway\"},\
        \"finish_reason\":null}]}\n\n";
    let events = delta.repeat(1_000_000 / delta.len()).into_bytes();
    for (name, set, format, body, chunk, scrub) in [
        ("text, all rules", &all, Format::Text, &text, 65536, None),
        (
            "text, prefix rules alone",
            &prefixes,
            Format::Text,
            &text,
            65536,
            None,
        ),
        (
            "text, all rules and a credential",
            &all,
            Format::Text,
            &text,
            65536,
            Some(&scrub),
        ),
        ("text, 40 B chunks", &all, Format::Text, &text, 40, None),
        ("json", &all, Format::Json, &json, 65536, None),
        (
            "json and a credential",
            &all,
            Format::Json,
            &json,
            65536,
            Some(&scrub),
        ),
        (
            "event stream, one event a chunk",
            &all,
            Format::EventStream,
            &events,
            delta.len(),
            None,
        ),
    ] {
        if only
            .as_ref()
            .is_some_and(|word| !name.contains(word.as_str()))
        {
            continue;
        }
        let mut best = f64::MAX;
        let mut found = 0;
        for _ in 0..PASSES {
            let mut masker = StreamMasker::new(Rc::clone(set), scrub.map(Rc::clone), format);
            let mut out = Vec::with_capacity(1 << 17);
            let start = Instant::now();
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

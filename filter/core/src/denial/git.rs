//! A refused push, in the form git shows.
//!
//! `report-status` (gitprotocol-pack, "Report Status") names every ref with its own `ng` line; the
//! text people read travels in side-band 2, where git prints it after `remote: `. A 403 here would
//! be shown as "Everything up-to-date".

use super::{Denial, Reply, text};

/// A pkt-line carries at most 65,520 bytes, its own length included; side-band takes one more.
const MAX_BAND: usize = 65_515;
/// Lines of people's text are cut here: git prints each after a prefix, in a terminal.
const MAX_LINE: usize = 900;
const PROGRESS: u8 = 2;
const DATA: u8 = 1;

pub(super) fn receive_pack(denial: &Denial<'_>, side_band: bool, refs: &[String]) -> Reply {
    let mut report = Vec::new();
    if refs.is_empty() {
        // No ref is known to hang the refusal on.
        pkt(&mut report, unpack_refusal(denial).as_bytes());
    } else {
        pkt(&mut report, b"unpack ok\n");
    }
    let reason = ref_reason(denial);
    for name in refs {
        let line = format!("ng {} {reason}\n", text::clean(name, 1_024));
        pkt(&mut report, line.as_bytes());
    }
    report.extend_from_slice(b"0000");

    let body = if side_band {
        let mut body = Vec::new();
        for line in text::lines(denial) {
            for piece in pieces(&line, MAX_LINE) {
                band(&mut body, PROGRESS, format!("{piece}\n").as_bytes());
            }
        }
        for piece in report.chunks(MAX_BAND) {
            band(&mut body, DATA, piece);
        }
        body.extend_from_slice(b"0000");
        body
    } else {
        report
    };
    Reply {
        status: 200,
        headers: vec![(
            "content-type".into(),
            "application/x-git-receive-pack-result".to_owned(),
        )],
        body,
    }
}

/// What git prints in brackets behind the ref.
fn ref_reason(denial: &Denial<'_>) -> String {
    match denial.rule {
        Some(rule) => format!(
            "countersign: {}, rule {}",
            denial.reason.code(),
            text::clean(rule, 200)
        ),
        None => format!("countersign: {}", denial.reason.code()),
    }
}

fn unpack_refusal(denial: &Denial<'_>) -> String {
    format!("unpack {}\n", ref_reason(denial))
}

fn pkt(out: &mut Vec<u8>, payload: &[u8]) {
    out.extend_from_slice(format!("{:04x}", payload.len() + 4).as_bytes());
    out.extend_from_slice(payload);
}

fn band(out: &mut Vec<u8>, number: u8, payload: &[u8]) {
    out.extend_from_slice(format!("{:04x}", payload.len() + 5).as_bytes());
    out.push(number);
    out.extend_from_slice(payload);
}

/// `line` in pieces of at most `limit` bytes, never inside a character.
fn pieces(line: &str, limit: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = line;
    while rest.len() > limit {
        let mut at = limit;
        while at > 0 && !rest.is_char_boundary(at) {
            at -= 1;
        }
        let Some((head, tail)) = rest.split_at_checked(at) else {
            break;
        };
        pieces.push(head);
        rest = tail;
    }
    pieces.push(rest);
    pieces
}

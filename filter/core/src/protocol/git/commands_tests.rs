use super::*;
use proptest::prelude::*;

const ZERO: &str = "0000000000000000000000000000000000000000";
const ONE: &str = "1111111111111111111111111111111111111111";
const TWO: &str = "2222222222222222222222222222222222222222";

fn pkt(line: impl AsRef<[u8]>) -> Vec<u8> {
    let line = line.as_ref();
    let mut out = format!("{:04x}", line.len() + 4).into_bytes();
    out.extend_from_slice(line);
    out
}

fn body(lines: &[&str]) -> Vec<u8> {
    let mut out: Vec<u8> = lines.iter().flat_map(pkt).collect();
    out.extend_from_slice(b"0000");
    out
}

fn read(bytes: &[u8]) -> Progress {
    GitCommands::new().feed(bytes)
}

fn done(bytes: &[u8]) -> PushCommands {
    match read(bytes) {
        Progress::Done(push) => push,
        other => panic!("{other:?}"),
    }
}

fn fault(bytes: &[u8]) -> CommandFault {
    match read(bytes) {
        Progress::Fault(fault) => fault,
        other => panic!("{other:?}"),
    }
}

/// The bytes git 2.47 sends for two refs, in front of a pack.
fn captured() -> Vec<u8> {
    let mut out = body(&[
        &format!(
            "{ONE} {TWO} refs/heads/main\0 report-status-v2 side-band-64k quiet object-format=sha1 agent=git/2.47.3"
        ),
        &format!("{ZERO} {TWO} refs/heads/feat"),
    ]);
    out.extend_from_slice(b"PACK\0\0\0\x02");
    out
}

#[test]
fn commands_capabilities_and_the_place_of_the_pack() {
    let bytes = captured();
    let push = done(&bytes);
    let seen: Vec<(&str, Change)> = push
        .commands
        .iter()
        .map(|c| (c.reference.as_str(), c.change()))
        .collect();
    assert_eq!(
        seen,
        [
            ("refs/heads/main", Change::Update),
            ("refs/heads/feat", Change::Create)
        ]
    );
    assert!(push.has("side-band-64k") && push.has("object-format") && !push.has("atomic"));
    assert_eq!(&bytes[push.consumed..], b"PACK\0\0\0\x02");
}

#[test]
fn the_probe_has_no_commands() {
    let push = done(b"0000");
    assert!(push.commands.is_empty());
    assert_eq!(push.consumed, 4);
}

#[test]
fn shallow_lines_deletes_and_sha256() {
    let (zero, id) = ("0".repeat(64), "a".repeat(64));
    let push = done(&body(&[
        &format!("shallow {ONE}\n"),
        &format!("{id} {zero} refs/tags/v1\0object-format=sha256\n"),
    ]));
    assert_eq!(push.commands[0].change(), Change::Delete);
    assert_eq!(push.commands[0].reference, "refs/tags/v1");
}

#[test]
fn push_options_follow_the_first_flush() {
    let mut bytes = body(&[&format!(
        "{ONE} {TWO} refs/heads/main\0report-status push-options"
    )]);
    assert_eq!(read(&bytes), Progress::NeedMore);
    bytes.extend(body(&["ci.skip", "reviewer=a b"]));
    let push = done(&bytes);
    assert_eq!(push.push_options, ["ci.skip", "reviewer=a b"]);
    assert_eq!(push.consumed, bytes.len());
}

fn certificate(commands: &[&str], tail: &[&str]) -> Vec<u8> {
    let mut lines = vec![
        "push-cert\0report-status side-band-64k",
        "certificate version 0.1\n",
        "pusher A <a@example.com> 1 +0000\n",
        "pushee https://example.com/a.git\n",
        "nonce n\n",
        "\n",
    ];
    lines.extend(commands);
    lines.extend(tail);
    body(&lines)
}

const SIGNATURE: [&str; 4] = [
    "-----BEGIN PGP SIGNATURE-----\n",
    "abc=\n",
    "-----END PGP SIGNATURE-----\n",
    "push-cert-end\n",
];

#[test]
fn a_push_certificate_holds_the_commands() {
    let command = format!("{ONE} {TWO} refs/heads/main\n");
    let push = done(&certificate(&[&command], &SIGNATURE));
    assert!(push.certificate && push.has("side-band-64k"));
    assert_eq!(push.commands.len(), 1);
    assert_eq!(push.commands[0].reference, "refs/heads/main");
}

#[test]
fn a_certificate_keeps_to_the_object_format() {
    let mut bytes = pkt("push-cert\0object-format=sha256");
    let long = format!("{} {} refs/heads/main\n", "1".repeat(64), "2".repeat(64));
    for line in ["certificate version 0.1\n", "\n", long.as_str()]
        .iter()
        .chain(&SIGNATURE)
    {
        bytes.extend(pkt(line));
    }
    bytes.extend_from_slice(b"0000");
    assert_eq!(done(&bytes).commands[0].new.len(), 64);
    let short = format!("{ONE} {TWO} refs/heads/main\n");
    let mut bytes = pkt("push-cert\0object-format=sha256");
    for line in ["certificate version 0.1\n", "\n", short.as_str()]
        .iter()
        .chain(&SIGNATURE)
    {
        bytes.extend(pkt(line));
    }
    assert_eq!(fault(&bytes), CommandFault::ObjectId);
}

#[test]
fn a_push_certificate_with_two_readings_is_refused() {
    let command = format!("{ONE} {TWO} refs/heads/dev\n");
    let hidden = format!("{ONE} {TWO} refs/heads/main\n");
    let [begin, data, end, last] = SIGNATURE;
    let tails: [&[&str]; 4] = [
        // A command that another reader takes for part of the payload.
        &[begin, data, hidden.as_str(), end, last],
        &[begin, data, end, begin, data, end, last],
        // No signature, and lines behind the end.
        &[last],
        &[begin, data, end, last, hidden.as_str()],
    ];
    for tail in tails {
        let bytes = certificate(&[&command], tail);
        assert_eq!(fault(&bytes), CommandFault::Certificate, "{tail:?}");
    }
    let beside = body(&[&format!("{ONE} {TWO} refs/heads/dev\0x"), "push-cert"]);
    assert_eq!(fault(&beside), CommandFault::Certificate);
    let cut = certificate(&[&command], &[begin, data]);
    assert_eq!(fault(&cut), CommandFault::Certificate);
}

#[test]
fn what_is_no_command_is_refused() {
    let first = format!("{ONE} {TWO} refs/heads/a\0report-status");
    let cases: Vec<(Vec<u8>, CommandFault)> = vec![
        (b"zzzz".to_vec(), CommandFault::Length),
        (b"0001".to_vec(), CommandFault::Length),
        (b"0003".to_vec(), CommandFault::Length),
        (b"0004".to_vec(), CommandFault::Length),
        (b"0002".to_vec(), CommandFault::Length),
        (b"ffff".to_vec(), CommandFault::Length),
        (b"fff1".to_vec(), CommandFault::Length),
        (
            body(&[&format!(
                "{ONE} {TWO} refs/heads/a\0object-format=sha1 object-format=sha256"
            )]),
            CommandFault::Capabilities,
        ),
        (b"+0a0".to_vec(), CommandFault::Length),
        (body(&["hello"]), CommandFault::Command),
        (body(&["ERR no"]), CommandFault::Command),
        (body(&["x y refs/heads/a"]), CommandFault::ObjectId),
        (
            body(&[&format!("{ONE} {} refs/heads/a", "2".repeat(64))]),
            CommandFault::ObjectId,
        ),
        (
            body(&[&format!("{ONE} {TWO} refs/heads/a\0object-format=sha256")]),
            CommandFault::ObjectId,
        ),
        (body(&[&format!("{ONE} {TWO} main")]), CommandFault::RefName),
        (body(&[&format!("{ONE} {TWO} HEAD")]), CommandFault::RefName),
        (
            body(&[&format!("{ONE} {TWO} refs/heads/a b")]),
            CommandFault::RefName,
        ),
        (
            body(&[&format!("{ONE} {TWO} refs/heads/a\nx")]),
            CommandFault::RefName,
        ),
        (
            body(&[&format!("{ONE} {TWO} refs/heads/../main")]),
            CommandFault::RefName,
        ),
        (
            pkt([ONE.as_bytes(), b" ", TWO.as_bytes(), b" refs/heads/\xff"].concat()),
            CommandFault::RefName,
        ),
        // Capabilities twice: the second could switch the first off.
        (
            body(&[&first, &format!("{ONE} {TWO} refs/heads/b\0atomic")]),
            CommandFault::Capabilities,
        ),
        (
            body(&[&format!("{ONE} {TWO} refs/heads/a\0a\0b")]),
            CommandFault::Capabilities,
        ),
        (
            body(&[&first, &format!("shallow {ONE}")]),
            CommandFault::Command,
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(
            fault(&bytes),
            expected,
            "{}",
            String::from_utf8_lossy(&bytes)
        );
    }
}

#[test]
fn commands_are_bounded() {
    let line = |n: usize| pkt(format!("{ONE} {TWO} refs/heads/b{n}"));
    let mut many: Vec<u8> = (0..4_097).flat_map(line).collect();
    assert!(many.len() > 256 * 1024 || matches!(read(&many), Progress::Fault(_)));
    assert_eq!(fault(&many), CommandFault::TooLarge);
    many.clear();
    let long = "x".repeat(900);
    while many.len() < 257 * 1024 {
        many.extend(pkt(format!("{ONE} {TWO} refs/heads/{long}{}", many.len())));
    }
    assert_eq!(fault(&many), CommandFault::TooLarge);
}

#[test]
fn ref_names_follow_check_ref_format() {
    for good in [
        "refs/heads/main",
        "refs/heads/a/b",
        "refs/heads/@",
        "refs/heads/ü",
        "refs/x",
    ] {
        assert!(is_ref_name(good), "{good}");
    }
    for bad in [
        "",
        "refs/",
        "main",
        "refs/heads/",
        "refs//a",
        "refs/heads/.a",
        "refs/heads/a..b",
        "refs/heads/a.lock",
        "refs/heads/a.lock/b",
        "refs/heads/a@{b",
        "refs/heads/a~1",
        "refs/heads/a^",
        "refs/heads/a:b",
        "refs/heads/a?",
        "refs/heads/*",
        "refs/heads/[a",
        "refs/heads/a\\b",
        "refs/heads/a.",
        "refs/heads/a\u{7f}",
        "refs/heads/a\0",
        "refs/heads/a b",
    ] {
        assert!(!is_ref_name(bad), "{bad:?}");
    }
}

proptest! {
    /// However the body is cut, the reading is the same.
    #[test]
    fn every_split_reads_the_same(cuts in prop::collection::vec(0usize..400, 0..8), which in 0usize..4) {
        let command = format!("{ONE} {TWO} refs/heads/main\n");
        let bytes = match which {
            0 => captured(),
            1 => certificate(&[&command], &SIGNATURE),
            2 => {
                let mut bytes = body(&[&format!("{ONE} {TWO} refs/heads/main\0push-options")]);
                bytes.extend(body(&["a", "b"]));
                bytes.extend_from_slice(b"PACK");
                bytes
            }
            _ => body(&[&format!("{ONE} {TWO} refs/heads/main\0x"), "broken"]),
        };
        let whole = read(&bytes);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(bytes.len())).collect();
        cuts.push(bytes.len());
        cuts.sort_unstable();
        let (mut reader, mut from, mut last) = (GitCommands::new(), 0, Progress::NeedMore);
        for to in cuts {
            last = reader.feed(&bytes[from..to]);
            from = to;
            if last != Progress::NeedMore {
                break;
            }
        }
        prop_assert_eq!(last, whole);
    }

    #[test]
    fn byte_by_byte_is_the_same_too(which in 0usize..2) {
        let bytes = if which == 0 { captured() } else { certificate(&[&format!("{ONE} {ZERO} refs/heads/x\n")], &SIGNATURE) };
        let mut reader = GitCommands::new();
        let last = bytes.iter().map(|b| reader.feed(&[*b])).find(|p| *p != Progress::NeedMore);
        prop_assert_eq!(last, Some(read(&bytes)));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
        let mut framed = pkt(&bytes);
        framed.extend_from_slice(b"0000");
        let _ = read(&framed);
    }
}

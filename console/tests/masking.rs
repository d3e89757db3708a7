//! `countersign mask` and `countersign rules`, and what the rules are worth: recall and precision on the labelled corpus.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // These are tests.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::rc::Rc;

use countersign::masking::corpus;
use countersign::masking::measure::{Measured, measure};
use countersign_core::mask::samples::{examples, expand};
use countersign_core::mask::{MaskConfig, MaskSet};

fn run(args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn all_rules() -> Rc<MaskSet> {
    let config = MaskConfig {
        rules: vec!["default".to_owned()],
        ..MaskConfig::default()
    };
    Rc::new(MaskSet::compile(&config).unwrap())
}

fn token() -> String {
    expand("ghp_[0-9A-Za-z]{30}<crc32>", 4)
}

fn measured(seed: u64) -> Measured {
    let set = all_rules();
    let mut measured = Measured::default();
    for line in corpus::lines(seed).unwrap() {
        measured.add(&set, &line).unwrap();
    }
    measured
}

#[test]
fn recall_and_precision_on_the_labelled_corpus() {
    // Kinds that a prefix or a checksum gives away: what has a template without blanks.
    let plain: BTreeSet<&str> = examples()
        .filter(|e| e.yes.iter().all(|t| !t.contains([' ', '=', ':'])))
        .map(|e| e.rule)
        .collect();
    for seed in [1, 2] {
        let measured = measured(seed);
        let (positives, texts) = measured.size();
        assert!(
            positives >= 1000 && texts - positives >= 1000,
            "{positives} of {texts}"
        );
        let report = measured.report(true);
        assert!(measured.recall() >= 0.95, "{report}");
        assert!(measured.precision() >= 0.96, "{report}");
        assert!(
            measured.recall_of(|kind| plain.contains(kind)) >= 0.99,
            "{report}"
        );
    }
}

#[test]
fn the_corpus_has_every_kind_and_is_the_same_each_time() {
    let lines = corpus::lines(1).unwrap();
    let kinds: BTreeSet<&str> = lines.iter().map(|line| line.kind.as_str()).collect();
    for (id, _) in MaskSet::built_in() {
        assert!(kinds.contains(id), "{id} is in no text");
    }
    let again = corpus::lines(1).unwrap();
    assert!(
        lines
            .iter()
            .zip(&again)
            .all(|(a, b)| a.text == b.text && a.spans == b.spans)
    );
    assert_ne!(lines[0].text, corpus::lines(3).unwrap()[0].text);
}

#[test]
fn standard_input_is_masked_in_its_own_format() {
    let token = token();
    for (format, input, expected) in [
        (
            "auto",
            format!("export T={token}\n"),
            "export T=[REDACTED:github-token]\n".to_owned(),
        ),
        (
            "auto",
            format!("{{\"a\":\"x\\n{token}\"}}"),
            "{\"a\":\"x\\n[REDACTED:github-token]\"}".to_owned(),
        ),
        (
            "json",
            format!("[\"{token}\"]"),
            "[\"[REDACTED:github-token]\"]".to_owned(),
        ),
        (
            "text",
            format!("<{token}>"),
            "<[REDACTED:github-token]>".to_owned(),
        ),
    ] {
        let output = run(&["mask", "--format", format], input.as_bytes());
        assert!(output.status.success());
        assert_eq!(stdout(&output), expected);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            told.contains("1 github-token") && !told.contains(&token),
            "{told}"
        );
    }
    // Split over two events: only the joined text shows it.
    let (first, second) = token.split_at(12);
    let event = |text: &str| {
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
    };
    let input = format!("{}{}data: [DONE]\n\n", event(first), event(second));
    for format in ["auto", "sse"] {
        let out = stdout(&run(&["mask", "--format", format], input.as_bytes()));
        assert!(
            out.contains("[REDACTED:github-token]") && !out.contains(&second[..8]),
            "{out}"
        );
        assert!(out.ends_with("data: [DONE]\n\n"), "{out}");
    }
    let clean = run(&["mask"], b"nothing here\n");
    assert_eq!(stdout(&clean), "nothing here\n");
    assert_eq!(clean.stderr, b"nothing masked\n");
}

#[test]
fn only_the_named_rules_are_used_and_an_unknown_one_is_refused() {
    let input = format!("{} password: \"hunter22\"\n", token());
    let out = stdout(&run(&["mask", "--rule", "password"], input.as_bytes()));
    assert_eq!(
        out,
        format!("{} password: \"[REDACTED:password]\"\n", token())
    );
    let refused = run(&["mask", "--rule", "no-such"], b"");
    assert!(!refused.status.success());
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        told.contains("no-such") && told.contains("rules list"),
        "{told}"
    );
}

#[test]
fn the_rules_are_listed() {
    let list = stdout(&run(&["rules", "list"], b""));
    assert!(list.lines().count() >= 250);
    assert!(list.lines().any(|line| line.starts_with("github-token ")));
    let json: serde_json::Value =
        serde_json::from_str(&stdout(&run(&["rules", "list", "--json"], b""))).unwrap();
    assert_eq!(json.as_array().unwrap().len(), list.lines().count());
}

#[test]
fn a_labelled_file_is_measured() {
    let token = token();
    let hit = serde_json::json!({"text": format!("\u{e9} {token}!"), "spans": [[2, 42]], "kind": "github"});
    let miss =
        serde_json::json!({"text": "my dog is called Rex", "spans": [[17, 20]], "kind": "pet"});
    let wrong = serde_json::json!({"text": format!("{token}"), "spans": [], "kind": ""});
    let file = format!("{hit}\n{miss}\n\n{wrong}\n");
    let measured = measure(&all_rules(), &file).unwrap();
    assert!((measured.recall() - 0.5).abs() < 1e-9 && (measured.precision() - 0.5).abs() < 1e-9);
    let (missed, falsely) = measured.faults();
    assert!(missed.len() == 1 && missed[0].contains("Rex") && falsely.len() == 1);
    let output = run(&["rules", "test", "-"], file.as_bytes());
    let report = stdout(&output);
    assert!(output.status.success());
    assert!(
        report.contains("recall     0.5000") && report.contains("pet: 0 of 1"),
        "{report}"
    );
    let strict = run(
        &["rules", "test", "-", "--min-recall", "0.9"],
        file.as_bytes(),
    );
    assert!(!strict.status.success());
    for (line, word) in [
        ("{", "line 1"),
        ("{\"text\":\"a\",\"spans\":[[0,9]]}", "not in the text"),
    ] {
        let refused = run(&["rules", "test", "-"], line.as_bytes());
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && told.contains(word), "{told}");
    }
}

#[test]
fn a_folder_is_searched_and_values_are_not_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("src")).unwrap();
    let token = token();
    std::fs::write(
        folder.path().join("src/a.py"),
        format!("import os\nT = '{token}'\n"),
    )
    .unwrap();
    std::fs::write(folder.path().join("b.bin"), format!("\0{token}")).unwrap();
    let output = run(&["rules", "scan", folder.path().to_str().unwrap()], b"");
    let told = stdout(&output);
    assert!(
        told.contains("src/a.py:2: github-token\n") && !told.contains(&token),
        "{told}"
    );
    assert!(told.contains("1 found in 1 files"), "{told}");
}

#[test]
fn what_the_readme_shows_works() {
    let readme = include_str!("../../README.md");
    let section = readme.split("## Masking\n").nth(1).unwrap();
    let block = section
        .split("```sh\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("server.log"),
        format!("got {}\n", token()),
    )
    .unwrap();
    std::fs::create_dir(folder.path().join("src")).unwrap();
    let programs = std::path::Path::new(env!("CARGO_BIN_EXE_countersign"))
        .parent()
        .unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", block])
        .env("PATH", path)
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        stdout(&output).contains("recall     "),
        "{}",
        stdout(&output)
    );
    let clean = std::fs::read_to_string(folder.path().join("clean.log")).unwrap();
    assert_eq!(clean, "got [REDACTED:github-token]\n");
    let kinds = MaskSet::built_in().count();
    assert!(
        section.contains(&format!("{kinds} kinds of secrets")),
        "there are {kinds} kinds"
    );
}

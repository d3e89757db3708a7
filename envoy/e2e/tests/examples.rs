//! Every folder under `examples/` with a `policy.yaml`: the policy compiles, Envoy runs with it, and the
//! commands that the README shows give the answers that it shows. So does the README of the repository.
//!
//! A command is run when its block (`sh`) is followed by a block with its answer (`text`). It is run
//! as it stands but for addresses: `http://127.0.0.1:10000` and `:8600` become the test's own, and
//! `TOKEN` is a token of the agent `agent-7` in the group `agents`. Every line of the answer has to
//! occur in the output; `…` stands for anything.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends with it, and says where"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use countersign_e2e::stack::run;
use countersign_e2e::{Repository, Stack, StackOptions};

const SHIPPED_GATEWAY: &str = "http://127.0.0.1:10000";
const SHIPPED_CONSOLE: &str = "http://127.0.0.1:8600";

/// A command block and the answer below it.
struct Shown {
    command: String,
    answer: Vec<String>,
}

fn shown(markdown: &str) -> Vec<Shown> {
    let mut blocks: Vec<(String, String)> = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in markdown.lines() {
        match (line.strip_prefix("```"), open.as_mut()) {
            (Some(language), None) => open = Some((language.trim().to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    let pairs = blocks
        .windows(2)
        .filter(|pair| pair[0].0 == "sh" && pair[1].0 == "text");
    pairs
        .map(|pair| Shown {
            command: pair[0].1.clone(),
            answer: pair[1]
                .1
                .lines()
                .filter(|l| !l.trim().is_empty())
                .map(str::to_owned)
                .collect(),
        })
        .collect()
}

/// Whether the parts of `pattern` between `…` occur in `line` in their order.
fn matches(line: &str, pattern: &str) -> bool {
    let mut rest = line;
    pattern
        .split('…')
        .map(str::trim)
        .all(|part| match rest.find(part) {
            Some(at) => {
                rest = &rest[at + part.len()..];
                true
            }
            None => false,
        })
}

/// Runs what `readme` shows against `stack`; returns how many commands that were.
fn run_shown(stack: &Stack, readme: &Path) -> usize {
    let token = stack.token("agent-7", &["agents"]).unwrap();
    let commands = shown(&fs::read_to_string(readme).unwrap());
    for Shown { command, answer } in &commands {
        let command = command
            .replace(SHIPPED_GATEWAY, stack.gateway())
            .replace(SHIPPED_CONSOLE, stack.console());
        // Git answers a refused push with a failure: what counts is what the reader sees.
        let script = format!("exec 2>&1\n{command}\ntrue");
        let folder = tempfile::tempdir_in(stack.folder()).unwrap();
        let mut bash = Command::new("bash");
        bash.arg("-c")
            .arg(&script)
            .current_dir(folder.path())
            .env("TOKEN", &token);
        bash.env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0");
        bash.env("GIT_AUTHOR_NAME", "agent-7")
            .env("GIT_AUTHOR_EMAIL", "agent-7@example.com");
        bash.env("GIT_COMMITTER_NAME", "agent-7")
            .env("GIT_COMMITTER_EMAIL", "agent-7@example.com");
        let output = run(&mut bash).unwrap();
        for expected in answer {
            assert!(
                output.lines().any(|line| matches(line, expected)),
                "{}:\n{command}\nshould print a line like\n  {expected}\nand printed\n{output}",
                readme.display()
            );
        }
    }
    commands.len()
}

#[test]
fn every_example_runs_and_answers_as_its_readme_says() {
    let repository = Repository::find().unwrap();
    let mut examples = 0;
    for entry in fs::read_dir(repository.path("examples")).unwrap() {
        let folder = entry.unwrap().path();
        let policy = folder.join("policy.yaml");
        if !policy.is_file() {
            continue;
        }
        examples += 1;
        let program = repository.program("countersign").unwrap();
        run(Command::new(program).arg("check").arg(&policy)).unwrap();
        let options = StackOptions {
            policy: Some(fs::read_to_string(&policy).unwrap()),
            ..StackOptions::default()
        };
        let stack = Stack::start_with(&options).unwrap();
        let commands = run_shown(&stack, &folder.join("README.md"));
        assert!(
            commands > 0,
            "{} shows no command with its answer",
            folder.display()
        );
    }
    assert!(examples > 0, "examples/ has no policy");
}

#[test]
fn the_readme_answers_as_it_says() {
    let readme = Repository::find().unwrap().path("README.md");
    let stack = Stack::start().unwrap();
    assert!(
        run_shown(&stack, &readme) > 0,
        "the README shows no command with its answer"
    );
}

#[test]
fn an_answer_is_matched_line_by_line() {
    assert!(matches("{\"id\": 12, \"x\": 3}", "{\"id\": … \"x\": 3}"));
    assert!(!matches("{\"id\": 12}", "{\"id\": … \"x\""));
    let found =
        shown("a\n```sh\ncurl x\n```\nprints\n```text\none\n\ntwo\n```\n```sh\nonly shown\n```\n");
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].command.as_str(), found[0].answer.len()),
        ("curl x\n", 2)
    );
}

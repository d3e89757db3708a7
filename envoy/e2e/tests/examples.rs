//! Every folder under `examples/` with a `policy.yaml`: the policy compiles, Envoy runs with it, and the
//! commands that the README shows give the answers that it shows. So does the README of the repository.
//!
//! A command is run when its block (`sh`) is followed by a block with its answer (`text`). It is run
//! as it stands but for places: `http://127.0.0.1:10000` and `:8600` become the test's own, and so do
//! `dist/countersign`, `data/console` and files under `examples/`. `TOKEN` is a token of the agent `agent-7` in the group
//! `agents`. What a block exports, and the folder it ends in, hold for the blocks below it. Every line
//! of the answer has to occur in the output; `…` stands for anything.
//!
//! Words behind `sh` say what else it takes: a program (the block is skipped, with a line that says
//! so, where that is not installed), or `approved` or `refused`: what the reviewer alice answers.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends with it, and says where"
)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use countersign_e2e::stack::run;
use countersign_e2e::{Person, Repository, Stack, StackOptions};

const SHIPPED_GATEWAY: &str = "http://127.0.0.1:10000";
const SHIPPED_CONSOLE: &str = "http://127.0.0.1:8600";

const SHIPPED_PROGRAM: &str = "dist/countersign";
const SHIPPED_DATA: &str = "data/console";

/// A command block and the answer below it.
struct Shown {
    /// The words behind `sh`.
    needs: Vec<String>,
    command: String,
    answer: Vec<String>,
}

/// The fenced blocks of a text: what stands behind the fence, and what is inside.
fn blocks(markdown: &str) -> Vec<(String, String)> {
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
    blocks
}

fn shown(markdown: &str) -> Vec<Shown> {
    let blocks = blocks(markdown);
    let pairs = blocks.windows(2).filter_map(|pair| {
        let mut words = pair[0].0.split_whitespace();
        let run = words.next() == Some("sh") && pair[1].0 == "text";
        let lines = pair[1].1.lines().filter(|l| !l.trim().is_empty());
        run.then(|| Shown {
            needs: words.map(str::to_owned).collect(),
            command: pair[0].1.clone(),
            answer: lines.map(str::to_owned).collect(),
        })
    });
    pairs.collect()
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

/// Where the clients are that `scripts/setup` installs.
const CLIENTS: [&str; 2] = [".tools/python/bin", ".tools/node-clients/node_modules/.bin"];

/// bash with the installed clients and an agent's git.
fn bash(repository: &Repository, folder: &Path, script: &str) -> Command {
    let mut path: Vec<_> = CLIENTS.iter().map(|c| repository.path(c)).collect();
    path.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    let mut bash = Command::new("bash");
    bash.args(["-c", script])
        .current_dir(folder)
        .env("PATH", std::env::join_paths(path).unwrap())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0");
    for role in ["AUTHOR", "COMMITTER"] {
        bash.env(format!("GIT_{role}_NAME"), "agent-7");
        bash.env(format!("GIT_{role}_EMAIL"), "agent-7@example.com");
    }
    bash
}

/// Whether a client is installed: a Python package or a program.
fn installed(repository: &Repository, client: &str) -> bool {
    let look = match client {
        "openai" => "python3 -c 'import openai'".to_owned(),
        program => format!("command -v {program}"),
    };
    run(&mut bash(repository, &repository.path("."), &look)).is_ok()
}

/// Answers the next question that is asked.
fn answer_as(alice: &Person, answer: &str) {
    let asked = alice.asked("a question to alice", |_| true).unwrap();
    match answer {
        "approved" => alice.approve(&asked).unwrap(),
        _ => alice.refuse(&asked, "Not on a Friday.").unwrap(),
    }
}

/// Runs what `readme` shows against `stack`; returns how many commands it shows.
fn run_shown(stack: &Stack, readme: &Path) -> usize {
    let repository = Repository::find().unwrap();
    let token = stack.token("agent-7", &["agents"]).unwrap();
    let alice = stack.person("alice", &["platform-leads"]).unwrap();
    let program = repository.program("countersign").unwrap();
    let program = format!("COUNTERSIGN_GATEWAY_KEY= {}", program.display());
    let data = stack.data().display().to_string();
    let folder = tempfile::tempdir_in(stack.folder()).unwrap();
    let state = stack.folder().join("state.sh");
    fs::write(&state, "").unwrap();
    let commands = shown(&fs::read_to_string(readme).unwrap());
    for Shown {
        needs,
        command,
        answer,
    } in &commands
    {
        let (answers, clients): (Vec<&String>, Vec<&String>) = needs
            .iter()
            .partition(|word| ["approved", "refused"].contains(&word.as_str()));
        if let Some(client) = clients.iter().find(|c| !installed(&repository, c)) {
            eprintln!("skipped in {}: {client} is not installed", readme.display());
            continue;
        }
        let command = command
            .replace(SHIPPED_GATEWAY, stack.gateway())
            .replace(SHIPPED_CONSOLE, stack.console())
            .replace(SHIPPED_PROGRAM, &program)
            .replace(
                " examples/",
                &format!(" {}/", repository.path("examples").display()),
            )
            .replace(SHIPPED_DATA, &data);
        // Git answers a refused push with a failure: what counts is what the reader sees.
        let script = format!(
            "exec 2>&1\n. \"$STATE\"\n{command}\n{{ export -p; printf 'cd %q\\n' \"$PWD\"; }} >\"$STATE\""
        );
        let mut bash = bash(&repository, folder.path(), &script);
        bash.env("TOKEN", &token).env("STATE", &state);
        let output = thread::scope(|scope| {
            for answer in answers {
                scope.spawn(|| answer_as(&alice, answer));
            }
            run(&mut bash).unwrap()
        });
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
        let readme = folder.join("README.md");
        let shown = blocks(&fs::read_to_string(&readme).unwrap());
        let clusters = shown
            .into_iter()
            .find(|(kind, text)| kind == "yaml" && text.contains("load_assignment"));
        let options = StackOptions {
            // As ci-runner's README says: the development console signs in GitHub's place.
            policy: Some(fs::read_to_string(&policy).unwrap().replace(
                "cluster: github-oidc, path: /.well-known/jwks",
                "cluster: console, path: /dev/jwks",
            )),
            clusters: clusters.map(|(_, text)| text),
            ..StackOptions::default()
        };
        let stack = Stack::start_with(&options).unwrap();
        let commands = run_shown(&stack, &readme);
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
    let found = shown(
        "a\n```sh gh\ncurl x\n```\nprints\n```text\none\n\ntwo\n```\n```sh\nonly shown\n```\n",
    );
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].command.as_str(), found[0].answer.len()),
        ("curl x\n", 2)
    );
    assert_eq!(found[0].needs, ["gh"]);
}

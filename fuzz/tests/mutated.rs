//! Every target on mutated seeds. `PROPTEST_CASES` says how many each.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends with it, and says where"
)]

use countersign_fuzz::{TARGETS, Target, mutate};
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

fn run(name: &str) {
    let found = TARGETS.iter().find(|target| target.name == name);
    let target: &Target = found.unwrap();
    for seed in target.seeds {
        (target.run)(seed);
    }
    let config = Config {
        // A finding belongs into the seeds or the scenarios, by hand and with a name.
        failure_persistence: None,
        ..Config::default()
    };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, random);
    let outcome = runner.run(&mutate::mutated(target), |input| {
        (target.run)(&input);
        Ok(())
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, input)) => {
            panic!(
                "{name}: {reason}\ninput: {:?}",
                String::from_utf8_lossy(&input)
            )
        }
        Err(TestError::Abort(reason)) => panic!("{name}: {reason}"),
    }
}

#[test]
fn path() {
    run("path");
}

#[test]
fn json() {
    run("json");
}

#[test]
fn pkt_line() {
    run("pkt_line");
}

#[test]
fn graphql() {
    run("graphql");
}

#[test]
fn mcp() {
    run("mcp");
}

#[test]
fn secrets() {
    run("secrets");
}

#[test]
fn events() {
    run("events");
}

#[test]
fn exchange() {
    run("exchange");
}

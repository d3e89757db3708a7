//! Every target on mutated seeds. `PROPTEST_CASES` says how many each.

use countersign_fuzz::{TARGETS, Target, mutate};
use proptest::test_runner::{Config, TestRunner};

fn run(name: &str) {
    let found = TARGETS.iter().find(|target| target.name == name);
    let Some(target): Option<&Target> = found else {
        unreachable!("no target {name}");
    };
    for seed in target.seeds {
        (target.run)(seed);
    }
    let config = Config {
        // A finding belongs into the seeds or the scenarios, by hand and with a name.
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let outcome = runner.run(&mutate::mutated(target), |input| {
        (target.run)(&input);
        Ok(())
    });
    if let Err(proptest::test_runner::TestError::Fail(reason, input)) = &outcome {
        println!(
            "{name}: {reason}\ninput: {:?}",
            String::from_utf8_lossy(input)
        );
    }
    assert!(
        outcome.is_ok(),
        "{name}: {}",
        outcome.err().map(|e| e.to_string()).unwrap_or_default()
    );
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
fn events() {
    run("events");
}

#[test]
fn exchange() {
    run("exchange");
}

//! The corpus on real Envoy, as far as a scenario can be told from outside.

use std::collections::BTreeSet;

use countersign_e2e::Repository;
use countersign_e2e::scenario::body::Cut;
use countersign_e2e::scenario::corpus;
use countersign_e2e::scenario::format::{Cuts, Scenario};
use countersign_e2e::scenario::real::{Real, playable};

/// Policies of one Envoy: each has a VM of its own, and the shipped bootstrap bounds the heap.
const POLICIES: usize = 60;

/// Runs of scenarios that have no more policies than that.
fn batches<'a, 's>(scenarios: &'a [&'s Scenario]) -> Vec<&'a [&'s Scenario]> {
    let mut batches = Vec::new();
    let mut policies = BTreeSet::new();
    let mut start = 0;
    for (index, scenario) in scenarios.iter().enumerate() {
        if policies.len() == POLICIES && !policies.contains(&scenario.group) {
            batches.push(&scenarios[start..index]);
            policies.clear();
            start = index;
        }
        policies.insert(&scenario.group);
    }
    batches.push(&scenarios[start..]);
    batches
}

#[test]
fn scenarios_hold_on_real_envoy() {
    let repository = Repository::find().unwrap();
    let scenarios = corpus::read_at(&repository, corpus::this_second().unwrap()).unwrap();
    let scenarios: Vec<&Scenario> = scenarios.iter().filter(|s| playable(s)).collect();
    assert!(
        scenarios.len() >= 60,
        "only {} scenarios can be played",
        scenarios.len()
    );
    let mut faults = Vec::new();
    let mut runs = 0;
    let mut minted = (0, Vec::new());
    let mut first = 0;
    for batch in batches(&scenarios) {
        let dir = tempfile::tempdir().unwrap();
        let real = Real::start(&repository, batch, dir.path()).unwrap();
        for number in 0..batch.len() {
            // Tokens tell the time, and this takes minutes: they are made anew as it passes.
            let now = corpus::this_second().unwrap();
            if now > minted.0 + 10 {
                let all = corpus::read_at(&repository, now).unwrap();
                minted = (now, all.into_iter().filter(playable).collect());
            }
            let scenario: &Scenario = &minted.1[first + number];
            for cut in [Cut::AsWritten, Cut::Random(0x5eed_0001)] {
                if cut != Cut::AsWritten && scenario.cuts == Cuts::AsWritten {
                    continue;
                }
                runs += 1;
                if let Err(fault) = real.play(&repository, number, scenario, cut) {
                    faults.push(format!(
                        "{}: {} ({cut:?}): {fault:#}",
                        scenario.file, scenario.name
                    ));
                    break;
                }
            }
        }
        first += batch.len();
    }
    println!("{} scenarios, {runs} runs on Envoy", scenarios.len());
    assert!(
        faults.is_empty(),
        "{} scenarios failed:\n\n{}",
        faults.len(),
        faults.join("\n\n")
    );
}

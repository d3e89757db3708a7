//! The corpus on real Envoy, as far as a scenario can be told from outside.

use countersign_e2e::Repository;
use countersign_e2e::scenario::body::Cut;
use countersign_e2e::scenario::corpus;
use countersign_e2e::scenario::format::{Cuts, Scenario};
use countersign_e2e::scenario::real::{Real, playable};

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
    let dir = tempfile::tempdir().unwrap();
    let real = Real::start(&repository, &scenarios, dir.path()).unwrap();
    let mut faults = Vec::new();
    let mut runs = 0;
    let mut minted = (0, Vec::new());
    for index in 0..scenarios.len() {
        // Tokens tell the time, and this takes minutes: they are made anew as it passes.
        let now = corpus::this_second().unwrap();
        if now > minted.0 + 10 {
            let all = corpus::read_at(&repository, now).unwrap();
            minted = (now, all.into_iter().filter(playable).collect());
        }
        let scenario: &Scenario = &minted.1[index];
        for cut in [Cut::AsWritten, Cut::Random(0x5eed_0001)] {
            if cut != Cut::AsWritten && scenario.cuts == Cuts::AsWritten {
                continue;
            }
            runs += 1;
            if let Err(fault) = real.play(&repository, index, scenario, cut) {
                faults.push(format!(
                    "{}: {} ({cut:?}): {fault:#}",
                    scenario.file, scenario.name
                ));
                break;
            }
        }
    }
    println!("{} scenarios, {runs} runs on Envoy", scenarios.len());
    assert!(
        faults.is_empty(),
        "{} scenarios failed:\n\n{}",
        faults.len(),
        faults.join("\n\n")
    );
}

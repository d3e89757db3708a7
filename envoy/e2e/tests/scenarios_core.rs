//! The corpus on the engine itself, in every way of cutting it.
#![expect(clippy::unwrap_used, reason = "every function here is a test's")]

use std::collections::BTreeSet;

use countersign_core::reason::Reason;
use countersign_core::record::Decision;
use countersign_e2e::Repository;
use countersign_e2e::scenario::corpus;
use countersign_e2e::scenario::format::Scenario;
use countersign_e2e::scenario::native::Native;
use countersign_e2e::scenario::play::{VARIANTS, play};
use serde_json::{Value, json};

fn scenarios() -> (Repository, Vec<Scenario>) {
    let repository = Repository::find().unwrap();
    let scenarios = corpus::read(&repository).unwrap();
    (repository, scenarios)
}

#[test]
fn every_scenario_holds_on_the_engine_however_it_is_cut() {
    let (repository, scenarios) = scenarios();
    let mut faults = Vec::new();
    let mut runs = 0;
    for scenario in scenarios.iter().filter(|s| !s.not_on.contains_key("core")) {
        for variant in VARIANTS.iter().filter(|v| scenario.allows(v)) {
            runs += 1;
            if let Err(fault) = play(&repository, scenario, *variant, Native::new) {
                faults.push(format!("{fault:#}"));
                // The other ways would say the same.
                break;
            }
        }
    }
    println!("{} scenarios, {runs} runs on the engine", scenarios.len());
    assert!(
        faults.is_empty(),
        "{} scenarios failed:\n\n{}",
        faults.len(),
        faults.join("\n\n")
    );
}

#[test]
fn every_reason_and_every_decision_has_a_scenario() {
    let (_, scenarios) = scenarios();
    assert!(scenarios.len() >= 80, "only {} scenarios", scenarios.len());
    let mut reasons = BTreeSet::new();
    let mut decisions = BTreeSet::new();
    for step in scenarios.iter().flat_map(|s| &s.steps) {
        reasons.extend(step.expect.reply.as_ref().map(|reply| reply.reason.clone()));
        for record in step.expect.records.iter().flatten() {
            let text = |key: &str| record[key].as_str().map(str::to_owned);
            reasons.extend(text("countersign.reason"));
            decisions.extend(text("countersign.decision"));
        }
    }
    for reason in Reason::ALL {
        assert!(
            reasons.contains(reason.code()),
            "no scenario expects {}",
            reason.code()
        );
    }
    for decision in DECISIONS {
        assert!(
            decisions.contains(decision.code()),
            "no scenario expects {}",
            decision.code()
        );
    }
}

/// Every decision; a new one does not compile until it is here.
const DECISIONS: [Decision; 10] = {
    const fn known(decision: Decision) -> Decision {
        match decision {
            Decision::Unfinished
            | Decision::Allowed
            | Decision::Denied
            | Decision::Held
            | Decision::HeldApproved
            | Decision::HeldRefused
            | Decision::HeldExpired
            | Decision::UndecidedDenied
            | Decision::UndecidedAllowed
            | Decision::Observed => decision,
        }
    }
    [
        known(Decision::Unfinished),
        known(Decision::Allowed),
        known(Decision::Denied),
        known(Decision::Held),
        known(Decision::HeldApproved),
        known(Decision::HeldRefused),
        known(Decision::HeldExpired),
        known(Decision::UndecidedDenied),
        known(Decision::UndecidedAllowed),
        known(Decision::Observed),
    ]
};

/// The corpus can fail: whatever is expected wrongly is noticed.
#[test]
fn a_wrong_expectation_is_noticed() {
    let repository = Repository::find().unwrap();
    let mint = countersign_e2e::scenario::token::Mint::new(
        &repository,
        countersign_e2e::scenario::token::NOW_S,
    )
    .unwrap();
    let good = json!({
        "name": "control",
        "policy": {"merge": {"rules": [{"name": "r", "operations": ["repo.delete"], "action": "deny"}]}},
        "steps": [
            {"request": {"method": "DELETE", "url": "https://api.github.com/repos/acme/web", "token": "ada"},
             "expect": {"reply": {"status": 403, "reason": "rule_denied", "json": {"countersign": {"rule": "r"}}},
                        "records": [{"event": "outcome", "countersign.decision": "denied"}]}},
            {"request": {"url": "https://api.github.com/user", "token": "ada"},
             "expect": {"forwarded": {"path": "/user", "headers": {"authorization": "Bearer ghs-injected-by-the-gateway"}},
                        "response": {"status": 200, "body": "fine"}}},
        ],
        "counters": {"refused.rule_denied": 1, "exchanges": 2},
    });
    let verdict = |document: Value| {
        let scenario = corpus::one(document, &mint).unwrap();
        play(&repository, &scenario, VARIANTS[0], Native::new)
    };
    verdict(good.clone()).unwrap();
    for (place, wrong) in [
        ("/steps/0/expect/reply/status", json!(404)),
        ("/steps/0/expect/reply/reason", json!("default_denied")),
        (
            "/steps/0/expect/reply/json/countersign/rule",
            json!("other"),
        ),
        ("/steps/0/expect/records", json!([])),
        (
            "/steps/0/expect/records/0/countersign.decision",
            json!("allowed"),
        ),
        ("/steps/0/expect", json!({"forwarded": {}})),
        ("/steps/1/expect/forwarded/path", json!("/users")),
        (
            "/steps/1/expect/forwarded/headers/authorization",
            json!("Bearer other"),
        ),
        ("/steps/1/expect/response/body", json!("other")),
        (
            "/steps/1/expect",
            json!({"reply": {"status": 403, "reason": "rule_denied"}}),
        ),
        ("/counters/exchanges", json!(3)),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(place).unwrap() = wrong;
        assert!(verdict(bad).is_err(), "{place} was not looked at");
    }
}

//! A scenario played on a filter in the simulated Envoy.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

use super::body::Cut;
use super::check::check;
use super::format::{Cuts, Scenario};
use super::gateway::{Ending, Filter, Gateway, Variant};
use super::host::Host;
use super::policy;
use super::seen::Seen;
use super::services::Services;
use super::token::NOW_S;
use crate::Repository;

/// Every way in which a scenario is played. The first is the scenario as it is written.
pub const VARIANTS: &[Variant] = &[
    variant("as written", Cut::AsWritten, Ending::WithLast, true),
    variant(
        "as written, late answers",
        Cut::AsWritten,
        Ending::WithLast,
        false,
    ),
    variant("as written, empty end", Cut::AsWritten, Ending::Empty, true),
    variant(
        "as written, trailers",
        Cut::AsWritten,
        Ending::Trailers,
        true,
    ),
    variant("byte by byte", Cut::Bytes, Ending::WithLast, true),
    variant(
        "byte by byte, late answers, empty end",
        Cut::Bytes,
        Ending::Empty,
        false,
    ),
    variant("byte by byte, trailers", Cut::Bytes, Ending::Trailers, true),
    variant(
        "random cuts 1",
        Cut::Random(0x5eed_0001),
        Ending::WithLast,
        true,
    ),
    variant(
        "random cuts 2, trailers",
        Cut::Random(0x5eed_0002_0000),
        Ending::Trailers,
        false,
    ),
    variant(
        "random cuts 3, empty end",
        Cut::Random(0x5eed_0003_0000_0000),
        Ending::Empty,
        true,
    ),
];

const fn variant(name: &'static str, cut: Cut, ending: Ending, eager: bool) -> Variant {
    Variant {
        name,
        request: cut,
        response: cut,
        ending,
        eager,
    }
}

impl Scenario {
    /// Whether it stays the same scenario when it is played like that, and becomes no copy of another
    /// way: what has no body anywhere is not cut anywhere.
    pub fn allows(&self, variant: &Variant) -> bool {
        let as_written = variant.request == Cut::AsWritten && variant.ending == Ending::WithLast;
        let bodies = self.steps.iter().any(|step| {
            step.expect.reply.is_none() || !step.request.body.is_none() || step.request.open
        });
        as_written || self.cuts == Cuts::Any && bodies
    }

    /// The gateway's environment.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let mut env = BTreeMap::from([
            (
                "GITHUB_TOKEN".to_owned(),
                "ghs-injected-by-the-gateway".to_owned(),
            ),
            (
                "COUNTERSIGN_GATEWAY_KEY".to_owned(),
                "gateway-key-of-the-scenarios".to_owned(),
            ),
        ]);
        env.extend(self.env.clone());
        env
    }
}

/// Plays and checks one scenario in one way.
///
/// # Errors
/// The first thing that is not as expected.
pub fn play<F: Filter>(
    repository: &Repository,
    scenario: &Scenario,
    variant: Variant,
    filter: impl FnOnce(Host, &Value, &BTreeMap<String, String>) -> Result<F>,
) -> Result<()> {
    let run = || -> Result<()> {
        let policy = policy::document(repository, &scenario.policy)?;
        let env = scenario.environment();
        let services = Services::new(repository, &scenario.world)?;
        let host = Host::new(
            NOW_S * 1_000_000_000,
            services,
            scenario.world.host_fails.clone(),
        );
        let filter = filter(host, &policy, &env)?;
        let mut gateway = Gateway::new(filter, scenario.world.bodies_held_back);
        let mut seen = Seen::default();
        for step in &scenario.steps {
            gateway.idle(step.wait_ms)?;
            seen.exchanges
                .push(gateway.play(&step.request, &step.upstream, variant)?);
        }
        // What is left to deliver is delivered, retries included.
        gateway.idle(20_000)?;
        let host = gateway.filter.host();
        seen.records = std::mem::take(&mut host.services.records);
        seen.asked = std::mem::take(&mut host.services.asked);
        seen.approved = std::mem::take(&mut host.services.approved);
        seen.counters = Some(std::mem::take(&mut host.metrics));
        seen.log = std::mem::take(&mut host.log);
        let secrets: Vec<String> = env.into_values().collect();
        check(scenario, &policy, &secrets, &seen).with_context(|| format!("log: {:#?}", seen.log))
    };
    run().with_context(|| format!("{}: {} ({})", scenario.file, scenario.name, variant.name))
}

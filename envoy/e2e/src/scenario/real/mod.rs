//! Scenarios on real Envoy: the shipped listener once for every policy, that is for all the cases of a
//! scenario together.
//!
//! Left to the other runners is what cannot be told from outside, and what takes a real minute.

mod http1;
mod world;

use std::collections::BTreeMap;
use std::io::BufReader;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::body::Cut;
use super::check::check;
use super::format::{Answer, Request, Scenario};
use super::host::LocalReply;
use super::policy;
use super::seen::{Exchange, Received, Seen};
use super::services::Services;
use crate::{Process, Repository, eventually};
use world::{Scene, World};

/// Envoy with one listener for each scenario.
pub struct Real {
    /// Ends with this value.
    _envoy: Process,
    world: World,
    listeners: Vec<SocketAddr>,
    /// Number of the listener of each scenario.
    listener_of: Vec<usize>,
}

/// Whether a scenario can be played on real Envoy: by what it says, and by what it needs.
pub fn playable(scenario: &Scenario) -> bool {
    let named = |answers: &[Answer], name: &str| {
        answers
            .iter()
            .any(|a| matches!(a, Answer::Named(n) if n == name))
    };
    let world = &scenario.world;
    let waits = [&world.keys, &world.audit, &world.approvals]
        .iter()
        .any(|answers| named(answers, "silent"));
    // A hold whose service fails lasts as long as the policy says.
    let holds = matches!(world.approvals.last(), Some(Answer::Named(n)) if n == "none");
    let step = |step: &super::format::Step| {
        step.wait_ms == 0
            && !step.request.leaves
            && !step.request.open
            && step.request.trailers.is_empty()
            && step.upstream.trailers.is_empty()
    };
    !scenario.not_on.contains_key("envoy")
        && !waits
        && !holds
        && !world.bodies_held_back
        && world.host_fails.is_empty()
        && scenario.env.is_empty()
        // Keys are fetched when Envoy starts, before the scenario is on.
        && scenario.policy.base.as_deref() != Some("remote-keys")
        && scenario.steps.iter().all(step)
}

impl Real {
    /// Starts Envoy with a listener for each policy of `scenarios`.
    ///
    /// # Errors
    /// No Envoy, or it does not take a policy.
    pub fn start(repository: &Repository, scenarios: &[&Scenario], dir: &Path) -> Result<Self> {
        let world = World::start()?;
        let mut policies: Vec<&Scenario> = Vec::new();
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        let mut listener_of = Vec::new();
        for scenario in scenarios {
            let number = *numbers.entry(&scenario.group).or_insert(policies.len());
            if number == policies.len() {
                policies.push(scenario);
            }
            listener_of.push(number);
        }
        let config = dir.join("envoy.json");
        std::fs::write(
            &config,
            bootstrap(repository, &policies, &world, dir)?.to_string(),
        )?;
        let mut command = Command::new(repository.envoy()?);
        command.arg("-c").arg(&config).args([
            "--concurrency",
            "1",
            "--use-dynamic-base-id",
            "-l",
            "warning",
        ]);
        let admin = dir.join("admin");
        command.arg("--admin-address-path").arg(&admin);
        if let Some(first) = scenarios.first() {
            command.envs(first.environment());
        }
        let mut envoy = Process::start("envoy", &mut command, dir)?;
        let admin = envoy.wait_for("admin address", |_| {
            std::fs::read_to_string(&admin)
                .ok()
                .filter(|address| address.contains(':'))
        })?;
        let listeners = envoy.wait_for("listeners", |_| addresses(&admin, policies.len()))?;
        Ok(Real {
            _envoy: envoy,
            world,
            listeners,
            listener_of,
        })
    }

    /// Plays and checks the scenario with the number `index`.
    ///
    /// # Errors
    /// The first thing that is not as expected.
    pub fn play(
        &self,
        repository: &Repository,
        index: usize,
        scenario: &Scenario,
        cut: Cut,
    ) -> Result<()> {
        let services = Services::new(repository, &scenario.world)?;
        *self.world.scene() = Some(Scene {
            services,
            upstream: Default::default(),
            forwarded: None,
        });
        let mut seen = Seen::default();
        for (number, step) in scenario.steps.iter().enumerate() {
            if let Some(scene) = self.world.scene().as_mut() {
                scene.upstream = step.upstream.clone();
                scene.forwarded = None;
            }
            let listener = self.listener_of.get(index).copied();
            let address = listener
                .and_then(|number| self.listeners.get(number))
                .context("no listener")?;
            let mut exchange = exchange(*address, &step.request, cut)?;
            let reached = self
                .world
                .scene()
                .as_ref()
                .is_some_and(|s| s.forwarded.is_some());
            if let (None, Some(response), false) = (&exchange.reply, &exchange.response, reached) {
                bail!(
                    "step {}: Envoy itself answered {}",
                    number + 1,
                    response.status
                );
            }
            exchange.id = eventually("outcome record", || self.outcome(number))
                .with_context(|| format!("step {}", number + 1))?;
            if let Some((sent, records, approvals)) =
                self.world.scene().as_mut().and_then(|s| s.forwarded.take())
            {
                exchange.forwarded = Some(sent);
                exchange.records_before = records;
                exchange.approvals_before = approvals;
            }
            seen.exchanges.push(exchange);
        }
        let scene = self.world.scene().take().context("no scene is on")?;
        seen.records = scene.services.records;
        seen.asked = scene.services.asked;
        seen.approved = scene.services.approved;
        let policy = policy::document(repository, &scenario.policy)?;
        let secrets: Vec<String> = scenario.environment().into_values().collect();
        check(scenario, &policy, &secrets, &seen)
    }

    /// The exchange of the outcome record with that number.
    fn outcome(&self, number: usize) -> Option<String> {
        let scene = self.world.scene();
        let records = scene.as_ref()?.services.records.iter();
        let outcome = records.filter(|r| r["event"] == "outcome").nth(number)?;
        Some(outcome["countersign.exchange.id"].as_str()?.to_owned())
    }
}

/// The shipped bootstrap with its listener copied for every scenario.
fn bootstrap(
    repository: &Repository,
    scenarios: &[&Scenario],
    world: &World,
    dir: &Path,
) -> Result<Value> {
    let mut bootstrap: Value =
        serde_norway::from_str(&repository.read("envoy/reverse-proxy.yaml")?)?;
    let shipped = bootstrap["static_resources"]["listeners"][0].clone();
    let mut listeners = Vec::new();
    for (index, scenario) in scenarios.iter().enumerate() {
        let mut listener = shipped.clone();
        listener["name"] = json!(name(index));
        listener["address"]["socket_address"]["port_value"] = json!(0);
        let manager = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
        manager["route_config"] = json!({"name": name(index), "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": "upstream", "timeout": "0s"}, "request_body_buffer_limit": 50_331_648},
        ]}]});
        manager["access_log"] = json!([]);
        let config = &mut manager["http_filters"][0]["typed_config"]["config"];
        config["name"] = json!(name(index));
        // A VM each, as each has a policy of its own: one that traps takes no other along.
        config["vm_config"]["vm_id"] = json!(name(index));
        config["vm_config"]["code"]["local"]["filename"] = json!(repository.wasm()?);
        config["configuration"]["value"] = policy::document(repository, &scenario.policy)?;
        listeners.push(listener);
    }
    bootstrap["static_resources"]["listeners"] = Value::Array(listeners);
    let cluster = |name: &str| {
        json!({"name": name, "type": "STATIC", "connect_timeout": "5s", "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": world.address.port()}}}}]}]}})
    };
    bootstrap["static_resources"]["clusters"] =
        json!([cluster("upstream"), cluster("console"), cluster("idp")]);
    bootstrap["admin"] =
        json!({"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}});
    ensure!(dir.is_dir(), "{} is gone", dir.display());
    Ok(bootstrap)
}

fn name(index: usize) -> String {
    format!("scenario-{index}")
}

/// The addresses of all listeners, once all are there.
fn addresses(admin: &str, count: usize) -> Option<Vec<SocketAddr>> {
    let url = format!("http://{}/listeners?format=json", admin.trim());
    let text = ureq::get(&url)
        .call()
        .ok()?
        .body_mut()
        .read_to_string()
        .ok()?;
    let list: Value = serde_json::from_str(&text).ok()?;
    let mut found = BTreeMap::new();
    for listener in list["listener_statuses"].as_array()? {
        let address = &listener["local_address"]["socket_address"];
        let port = u16::try_from(address["port_value"].as_u64()?).ok()?;
        found.insert(
            listener["name"].as_str()?.to_owned(),
            SocketAddr::from(([127, 0, 0, 1], port)),
        );
    }
    let ready = format!("http://{}/ready", admin.trim());
    ureq::get(&ready).call().ok()?;
    (0..count)
        .map(|index| found.get(&name(index)).copied())
        .collect()
}

/// One exchange over a connection of its own.
fn exchange(address: SocketAddr, request: &Request, cut: Cut) -> Result<Exchange> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut pairs = request.pairs()?;
    let text = |name: &str| {
        super::seen::header(&pairs, name)
            .unwrap_or_default()
            .into_owned()
    };
    let start = format!("{} {} HTTP/1.1", text(":method"), text(":path"));
    let host = text(":authority");
    pairs.insert(0, ("host".to_owned(), host.into_bytes()));
    let pieces = cut.apply(&request.body.pieces()?);
    let length = match pieces.is_empty() {
        true => Some(0),
        false => None,
    };
    let mut writer = stream.try_clone()?;
    // An early answer ends the reading of the body; the answer is still there.
    let sender = std::thread::spawn(move || {
        http1::write(&mut writer, &start, &pairs, &pieces, length).unwrap_or_default()
    });
    let mut reader = BufReader::new(stream);
    let answer = http1::read(&mut reader, request.method == "HEAD");
    let answer = answer?.context("no answer")?;
    drop(reader);
    sender
        .join()
        .map_err(|_| anyhow::anyhow!("the sender panicked"))?;
    let status = answer
        .start
        .split(' ')
        .nth(1)
        .context("no status")?
        .parse()?;
    let mut exchange = Exchange::default();
    match answer.header("x-countersign-reason") {
        Some(_) => {
            exchange.reply = Some(LocalReply {
                status,
                headers: answer.headers,
                body: answer.body,
            })
        }
        None => {
            exchange.response = Some(Received {
                status,
                headers: answer.headers,
                body: answer.body,
                reset: answer.cut,
            });
        }
    }
    Ok(exchange)
}

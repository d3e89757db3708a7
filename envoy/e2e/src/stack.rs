//! The simulated upstream, the console and Envoy together, as `scripts/up` runs them.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::person::Person;
use crate::process::Process;
use crate::repository::Repository;
use crate::wait::eventually;

/// The credential that the simulated upstream demands and only Envoy has.
pub const CREDENTIAL: &str = "ghs_SimulatedUpstreamCredential000000001";
/// What the console and the filter share.
pub const GATEWAY_KEY: &str = "end-to-end-gateway-key-0123456789";
/// The development identity provider as the shipped bootstrap names it.
const SHIPPED_ISSUER: &str = "http://127.0.0.1:8600/dev";

/// What differs from the shipped configuration. The default is what `scripts/up` runs.
#[derive(Clone, Debug, Default)]
pub struct StackOptions {
    /// Replaces the policy inside the bootstrap: the text of a policy file. The issuer
    /// `http://127.0.0.1:8600/dev` in it becomes the real one.
    pub policy: Option<String>,
    /// More clusters for the bootstrap: a YAML list, not indented.
    pub clusters: Option<String>,
    /// Applied to the text of the bootstrap before Envoy gets it, for tests of bad set-ups.
    pub edit_bootstrap: Option<fn(String) -> String>,
    /// Envoy's workers; 1 when not given.
    pub workers: Option<u32>,
    /// More environment for Envoy.
    pub envoy_env: Vec<(String, String)>,
    /// Another Envoy than the repository's.
    pub envoy: Option<PathBuf>,
    /// Another module than the one in `dist/`.
    pub wasm: Option<PathBuf>,
    /// `--upstream github`, with the simulated upstream behind TLS in GitHub's place.
    pub upstream_tls: Option<UpstreamTls>,
}

/// PEM files for an upstream behind TLS.
#[derive(Clone, Debug)]
pub struct UpstreamTls {
    /// The upstream's certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The authorities that Envoy trusts.
    pub trusted: PathBuf,
}

/// All three programs, running. Fields are dropped in order: Envoy first, the folder last.
#[derive(Debug)]
pub struct Stack {
    /// Envoy with the filter.
    pub envoy: Process,
    /// The console.
    pub console: Process,
    /// The simulated GitHub and Copilot.
    pub upstream: Process,
    gateway_url: String,
    admin_url: String,
    console_url: String,
    upstream_url: String,
    repository: Repository,
    options: StackOptions,
    folder: TempDir,
}

impl Stack {
    /// Starts everything with the shipped configuration.
    ///
    /// # Errors
    /// When something cannot be built, started, or does not become ready; with what it printed.
    pub fn start() -> Result<Self> {
        Self::start_with(&StackOptions::default())
    }

    /// Starts everything.
    ///
    /// # Errors
    /// As [`Stack::start`].
    pub fn start_with(options: &StackOptions) -> Result<Self> {
        let repository = Repository::find()?;
        let folder = TempDir::with_prefix("countersign-e2e-")?;
        let dir = folder.path();

        let (gateway, held) = free_port()?;
        let gateway_url = format!("http://{gateway}");

        let mut command = Command::new(repository.program("simulated-upstream")?);
        command
            .args(["--listen", "127.0.0.1:0", "--credential", CREDENTIAL])
            .arg("--data")
            .arg(dir.join("upstream"))
            .args(["--public-url", &gateway_url]);
        if let Some(tls) = &options.upstream_tls {
            command.arg("--tls-cert").arg(&tls.certificate);
            command.arg("--tls-key").arg(&tls.key);
        }
        let mut upstream = Process::start("upstream", &mut command, dir)?;
        let upstream_url = upstream.wait_until_listening(0)?;

        let mut console = serve(&repository, dir, "127.0.0.1:0")?;
        let console_url = console.wait_until_listening(0)?;

        let addresses = Addresses {
            gateway,
            upstream: &upstream_url,
            console: &console_url,
        };
        write_bootstrap(&repository, dir, options, &addresses)?;
        let (envoy, admin_url) = launch_envoy(&repository, dir, options)?;
        drop(held);

        Ok(Stack {
            envoy,
            console,
            upstream,
            gateway_url,
            admin_url,
            console_url,
            upstream_url,
            repository,
            options: options.clone(),
            folder,
        })
    }

    /// The gateway, `http://127.0.0.1:PORT`: what clients use in place of GitHub.
    pub fn gateway(&self) -> &str {
        &self.gateway_url
    }

    /// Envoy's admin interface.
    pub fn admin(&self) -> &str {
        &self.admin_url
    }

    /// The console.
    pub fn console(&self) -> &str {
        &self.console_url
    }

    /// The simulated upstream, behind the gateway's back (`/__seen`).
    pub fn upstream(&self) -> &str {
        &self.upstream_url
    }

    /// A folder of this stack's own, gone when it is dropped.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The console's data folder.
    pub fn data(&self) -> PathBuf {
        self.folder().join("console")
    }

    /// A token of the development identity provider.
    ///
    /// # Errors
    /// When the console's command line refuses.
    pub fn token(&self, subject: &str, groups: &[&str]) -> Result<String> {
        let mut arguments = vec!["token", "--subject", subject];
        for group in groups {
            arguments.extend(["--group", group]);
        }
        self.countersign(&arguments)
    }

    /// Somebody of these groups who may sign in to the console.
    ///
    /// # Errors
    /// When the console's command line refuses.
    pub fn person(&self, name: &str, groups: &[&str]) -> Result<Person> {
        Person::from_link(&self.console_url, &self.add_person(name, groups)?)
    }

    /// Adds a person who may also read the trail, and returns what the command printed, sign-in
    /// link included.
    ///
    /// # Errors
    /// When the console's command line refuses.
    pub fn add_person(&self, name: &str, groups: &[&str]) -> Result<String> {
        let mut arguments = vec!["user", "add", name];
        for group in groups.iter().chain(&["auditors"]) {
            arguments.extend(["--group", group]);
        }
        self.countersign(&arguments)
    }

    /// Runs the console's command line on this stack's data folder; returns its standard output.
    ///
    /// # Errors
    /// When it fails, with what it printed.
    pub fn countersign(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(self.repository.program("countersign")?);
        command
            .args(arguments)
            .arg("--data")
            .arg(self.data())
            .env("COUNTERSIGN_GATEWAY_KEY", GATEWAY_KEY);
        run(&mut command)
    }

    /// Starts the console again where it was, after it was stopped or killed.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn restart_console(&mut self) -> Result<()> {
        let seen = self.console.log().matches("listening on ").count();
        let address = address_of(&self.console_url)?;
        self.console = serve(&self.repository, self.folder.path(), address)?;
        self.console.wait_until_listening(seen)?;
        Ok(())
    }

    /// Starts Envoy again where it was, after it was stopped or killed.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn restart_envoy(&mut self) -> Result<()> {
        let dir = self.folder.path();
        fs::remove_file(dir.join(ADMIN_FILE))?;
        (self.envoy, self.admin_url) = launch_envoy(&self.repository, dir, &self.options)?;
        Ok(())
    }

    /// Envoy's access log so far: one JSON object for each finished request.
    pub fn access_log(&self) -> Vec<Value> {
        let log = self.envoy.log();
        log.lines()
            .filter(|l| l.starts_with('{'))
            .filter_map(|l| serde_json::from_str(l).ok())
            .collect()
    }

    /// What the simulated upstream received so far (`GET /__seen`).
    ///
    /// # Errors
    /// When it does not answer with JSON.
    pub fn seen(&self) -> Result<Value> {
        let text = get(&format!("{}/__seen", self.upstream_url))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// The requests with this `User-Agent` that the upstream received.
    ///
    /// # Errors
    /// As [`Stack::seen`].
    pub fn seen_by(&self, agent: &str) -> Result<Vec<Value>> {
        let seen = self.seen()?;
        let requests = seen["requests"].as_array().context("no list of requests")?;
        let of_agent = |r: &&Value| r["headers"]["user-agent"] == agent;
        Ok(requests.iter().filter(of_agent).cloned().collect())
    }

    /// Waits until the upstream has received a request with this `User-Agent`.
    ///
    /// # Errors
    /// When none comes.
    pub fn await_seen(&self, agent: &str) -> Result<Value> {
        eventually(&format!("a request of {agent} upstream"), || {
            self.seen_by(agent).ok()?.into_iter().next()
        })
    }

    /// Waits for the access-log line of a request to a path that ends in `tail`.
    ///
    /// # Errors
    /// When none comes.
    pub fn access_line(&self, tail: &str) -> Result<Value> {
        eventually(&format!("the access log's line of {tail}"), || {
            let mut lines = self.access_log().into_iter();
            lines.find(|l| l["path"].as_str().is_some_and(|p| p.ends_with(tail)))
        })
    }

    /// The folder of the upstream's own copy of `acme/<name>`.
    pub fn bare(&self, name: &str) -> PathBuf {
        self.folder()
            .join("upstream/acme")
            .join(format!("{name}.git"))
    }
}

/// Runs a command to its end and returns its standard output, trimmed.
///
/// # Errors
/// When it cannot be started or fails, with what it printed.
pub fn run(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}");
    let output = command
        .output()
        .with_context(|| format!("cannot run {shown}"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{shown} ended with {}:\n{stdout}\n{stderr}",
        output.status
    );
    Ok(stdout)
}

/// The body of a GET that was answered with 2xx.
///
/// # Errors
/// When there is no such answer.
pub fn get(url: &str) -> Result<String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .into();
    Ok(agent.get(url).call()?.body_mut().read_to_string()?)
}

/// Where Envoy writes the address that its admin interface got.
const ADMIN_FILE: &str = "admin-address";
/// The bootstrap that it runs.
const BOOTSTRAP: &str = "envoy.yaml";

/// Starts Envoy on the written bootstrap and waits until it serves.
fn launch_envoy(
    repository: &Repository,
    dir: &Path,
    options: &StackOptions,
) -> Result<(Process, String)> {
    let admin_file = dir.join(ADMIN_FILE);
    let program = match &options.envoy {
        Some(path) => path.clone(),
        None => repository.envoy()?,
    };
    let mut command = Command::new(program);
    command.arg("-c").arg(dir.join(BOOTSTRAP));
    command.arg("--admin-address-path").arg(&admin_file);
    command.args(["--use-dynamic-base-id", "-l", "warning"]);
    command.args(["--component-log-level", "wasm:info"]);
    command.args(["--file-flush-interval-msec", "20"]);
    command
        .arg("--concurrency")
        .arg(options.workers.unwrap_or(1).to_string())
        .env("GITHUB_TOKEN", CREDENTIAL)
        .env("COUNTERSIGN_GATEWAY_KEY", GATEWAY_KEY)
        .envs(options.envoy_env.iter().map(|(k, v)| (k, v)));
    let mut envoy = Process::start("envoy", &mut command, dir)?;
    let admin_url = envoy.wait_for("admin address", |_| {
        let address = fs::read_to_string(&admin_file).ok()?;
        let url = format!("http://{}", address.trim());
        let ready = get(&format!("{url}/ready")).ok()?;
        ready.starts_with("LIVE").then_some(url)
    })?;
    Ok((envoy, admin_url))
}

fn serve(repository: &Repository, dir: &Path, listen: &str) -> Result<Process> {
    Process::start(
        "console",
        Command::new(repository.program("countersign")?)
            .args(["serve", "--dev", "--listen", listen, "--data"])
            .arg(dir.join("console"))
            .env("COUNTERSIGN_GATEWAY_KEY", GATEWAY_KEY),
        dir,
    )
}

/// Where the programs of one stack are.
struct Addresses<'a> {
    gateway: SocketAddrV4,
    upstream: &'a str,
    console: &'a str,
}

/// The shipped bootstrap with this stack's addresses, changed by `countersign bootstrap`.
fn write_bootstrap(
    repository: &Repository,
    dir: &Path,
    options: &StackOptions,
    addresses: &Addresses,
) -> Result<()> {
    let issuer = format!("{}/dev", addresses.console);
    let shipped = repository.read("envoy/reverse-proxy.yaml")?;
    ensure!(
        shipped.contains(SHIPPED_ISSUER),
        "envoy/reverse-proxy.yaml no longer names {SHIPPED_ISSUER}"
    );
    let source = dir.join("shipped.yaml");
    let mut shipped = shipped.replace(SHIPPED_ISSUER, &issuer);
    if let Some(clusters) = &options.clusters {
        const PLACE: &str = "\n  clusters:\n";
        ensure!(shipped.contains(PLACE), "the bootstrap has no clusters");
        let more: String = clusters.lines().map(|l| format!("  {l}\n")).collect();
        shipped = shipped.replacen(PLACE, &format!("{PLACE}{more}"), 1);
    }
    fs::write(&source, shipped)?;

    let mut command = Command::new(repository.program("countersign")?);
    command.arg("bootstrap").arg(&source);
    let wasm = match &options.wasm {
        Some(path) => path.clone(),
        None => repository.wasm()?,
    };
    command.arg("--wasm").arg(wasm);
    command
        .arg("--listener")
        .arg(format!("gateway={}", addresses.gateway));
    command.args(["--admin", "127.0.0.1:0"]);
    if let Some(tls) = &options.upstream_tls {
        command.args(["--upstream", "github", "--upstream-ca"]);
        command.arg(&tls.trusted);
    }
    for cluster in ["github-api", "github-git", "copilot"] {
        command
            .arg("--cluster")
            .arg(format!("{cluster}={}", address_of(addresses.upstream)?));
    }
    command
        .arg("--cluster")
        .arg(format!("console={}", address_of(addresses.console)?));
    if let Some(policy) = &options.policy {
        let file = dir.join("policy.yaml");
        fs::write(&file, policy.replace(SHIPPED_ISSUER, &issuer))?;
        command.arg("--policy").arg(file);
    }
    let mut text = run(&mut command)?;
    if let Some(edit) = options.edit_bootstrap {
        text = edit(text);
    }
    fs::write(dir.join(BOOTSTRAP), text)?;
    Ok(())
}

/// A port of 127.0.0.1 for Envoy, which binds with SO_REUSEPORT, and the socket that keeps everyone
/// else off it. The upstream is told the gateway's address before Envoy is told the upstream's.
fn free_port() -> Result<(SocketAddrV4, Socket)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_port(true)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0).into())?;
    let bound = socket.local_addr()?;
    let address = bound
        .as_socket_ipv4()
        .context("a loopback address is IPv4")?;
    Ok((address, socket))
}

/// `ADDR:PORT` of an `http://ADDR:PORT` URL.
fn address_of(url: &str) -> Result<&str> {
    url.split_once("://")
        .map(|(_, rest)| rest.trim_end_matches('/'))
        .with_context(|| format!("not a URL: {url}"))
}

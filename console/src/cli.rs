//! The command line.

use std::io::{ErrorKind, IsTerminal, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use countersign_core::effect::Now;
use serde_json::Value;

use crate::bootstrap::{self, Address, Changes, Target};
use crate::clock::{Clock, Millis, parse_duration};
use crate::data_folder::{self, DatabaseUrl, Where};
use crate::dev_idp::keys::Algorithm;
use crate::dev_idp::token::{self, Claims, parse_claim};
use crate::export::command::parse_header;
use crate::export::sink::Target as Forward;
use crate::failure::Failure;
use crate::ledger::arguments::Ledger;
use crate::ledger::command;
use crate::ledger::note::is_name;
use crate::ledger::retain::Keep;
use crate::masking;
use crate::people::{self, Person, Rights, UserError};
use crate::policy::explain::{self, Asking};
use crate::policy::layout::{self, Style};
use crate::policy::{check, request_file};
use crate::replay;
use crate::serve::{self, Options};
use crate::store::meta;

/// Where `user add` finds the console's address, for the sign-in link.
pub(crate) const PUBLIC_URL: &str = "public_url";

/// The console of Countersign: a person, a policy and a record between AI coding agents and the
/// systems they act on.
#[derive(Parser)]
#[command(
    name = "countersign",
    version,
    propagate_version = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the console: approvals, the log intake, and the pages for people
    ///
    /// It runs until SIGINT or SIGTERM. The key that the gateway shows is read from the environment
    /// variable COUNTERSIGN_GATEWAY_KEY (at least 16 characters). `listening on http://...` on
    /// standard output says that the console is ready.
    Serve(Serve),
    /// Add, list and remove the people who may sign in
    #[command(subcommand)]
    User(User),
    /// Check a policy, or the policy in an Envoy bootstrap, with the filter's own compiler
    ///
    /// FILE is a policy in YAML or JSON, or an Envoy bootstrap, an EnvoyFilter or a WasmPlugin that
    /// has one inside. Every error is printed as FILE:LINE:COLUMN: PATH: MESSAGE, and the exit
    /// status is 1 if there is one. Warnings are about what compiles and does not do what it seems
    /// to: a rule that can never match, or that leaves a way around open. The policy's secrets need
    /// not be set here.
    Check(Check),
    /// Show what a policy makes of a request, and why
    ///
    /// The request goes through the filter's own code: connection, operations, every rule with the
    /// first condition that does not hold, the verdict, and what the caller would read.
    Explain(Explain),
    /// Mask the secrets of standard input, with the engine that Envoy runs
    ///
    /// What was found is told on standard error: rule and count, never the value.
    Mask(masking::Mask),
    /// List the masking rules, and measure them on a labelled file
    #[command(subcommand)]
    Rules(masking::Rules),
    /// Print the JSON Schema of a policy, for editors
    Schema,
    /// Print an Envoy bootstrap with changes: policy, module, ports, upstreams
    ///
    /// The changes are made on the parsed file; a listener or cluster that is not in it is an
    /// error. What is printed is JSON, which Envoy loads under a name that ends in .json or .yaml.
    Bootstrap(Bootstrap),
    /// Show a session step by step: prompts, answers, tool calls, writes, holds and denials
    ///
    /// What is shown is what was captured, after masking; what was not captured is shown as missing.
    Replay(replay::command::Command),
    /// Verify, prove, keep and export the audit ledger
    #[command(subcommand)]
    Ledger(Ledger),
    /// Print an identity token of a development console
    ///
    /// It works on a data folder that `countersign serve --dev` has made, and on no other. The
    /// token's issuer is that console's address with /dev behind it.
    Token(Token),
}

#[derive(Args)]
#[command(after_help = "\
Example:
  export COUNTERSIGN_GATEWAY_KEY=$(openssl rand -hex 32)
  countersign serve --data ./data")]
struct Serve {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8600")]
    listen: SocketAddr,
    /// The data folder; made if it is not there
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// A PostgreSQL database that several consoles share, instead of one in the folder: a URL such as
    /// postgres://USER:PASSWORD@HOST/NAME. Each console has a data folder of its own, all of them the
    /// same signing key
    #[arg(long, value_name = "URL", env = data_folder::DATABASE_URL, hide_env_values = true)]
    database: Option<DatabaseUrl>,
    /// Where people reach the console, for links; the listen address if not given
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    public_url: Option<String>,
    /// A group whose members may read the trail; may be given several times
    ///
    /// Everybody else sees the approvals that are his to decide, and nothing more.
    #[arg(long = "auditors", value_name = "GROUP", default_value = people::AUDITORS)]
    auditors: Vec<String>,
    /// A group whose members, if they may read the trail, see bodies as well: prompts, answers,
    /// uploads; may be given several times. Without it every auditor does
    #[arg(long = "body-readers", value_name = "GROUP")]
    body_readers: Vec<String>,
    /// Also give out identities, for development; only on a loopback address and with a data
    /// folder of its own
    #[arg(long)]
    dev: bool,
    /// Send the ledger's checkpoints to this address as well; may be given several times
    #[arg(long = "witness", value_name = "URL", value_parser = parse_url)]
    witnesses: Vec<String>,
    /// The ledger's signing key; DIR/ledger.key if not given. Made if it is not there
    #[arg(long, value_name = "FILE", env = "COUNTERSIGN_SIGNING_KEY")]
    signing_key: Option<PathBuf>,
    /// What a new ledger is called in its checkpoints, such as trail.example.com/countersign
    #[arg(long, value_name = "NAME", value_parser = parse_ledger_name)]
    ledger_name: Option<String>,
    /// Delete bodies that are older, hourly; such as 30d. They are kept forever if not given
    #[arg(long, value_name = "AGE", value_parser = parse_duration)]
    keep_bodies: Option<Millis>,
    /// Delete whole days of records that are older, hourly; such as 400d
    #[arg(long, value_name = "AGE", value_parser = parse_duration)]
    keep_records: Option<Millis>,
    /// Send the trail on while it is written: to an OTLP endpoint (https://…) or a syslog collector
    /// (syslog+tls://, +tcp, +udp); may be given several times
    #[arg(long = "forward", value_name = "URL", value_parser = Forward::parse)]
    forward: Vec<Forward>,
    /// A header for --forward, as NAME: VALUE; a VALUE that begins with $ names an environment
    /// variable
    #[arg(long = "forward-header", value_name = "HEADER", value_parser = parse_header, requires = "forward")]
    forward_headers: Vec<(String, String)>,
    /// Trust these certificate authorities (PEM) for --forward instead of the system's
    #[arg(long, value_name = "FILE", requires = "forward")]
    forward_ca: Option<PathBuf>,
}

#[derive(Subcommand)]
enum User {
    /// Add a person and print the sign-in link
    ///
    /// The link holds the person's secret, which is not kept and cannot be shown again. The same
    /// secret is the bearer token of the console's JSON API.
    Add {
        /// The person's name; the same as in his identity tokens, so that nobody approves his own
        /// requests
        name: String,
        #[command(flatten)]
        place: Where,
        /// A group the person is in, as rules name it; may be given several times
        #[arg(long = "group", value_name = "G")]
        groups: Vec<String>,
        /// The person's e-mail address, as in his identity tokens
        #[arg(long, value_name = "ADDRESS")]
        email: Option<String>,
    },
    /// List everybody who may sign in
    List {
        #[command(flatten)]
        place: Where,
    },
    /// Remove a person; sessions end at once
    Remove {
        /// The person's name
        name: String,
        #[command(flatten)]
        place: Where,
    },
}

#[derive(Args)]
struct Check {
    /// The file to check
    file: PathBuf,
    /// Take warnings for errors
    #[arg(long)]
    strict: bool,
}

#[derive(Args)]
#[command(after_help = "\
Example:
  countersign explain policy.yaml --request request.http --as agent-7 --group agents

where request.http is
  POST /repos/acme/web/merges HTTP/1.1
  Host: api.github.com

  {\"base\": \"main\", \"head\": \"agent/fix\"}")]
struct Explain {
    /// The policy, or a file that has one inside
    file: PathBuf,
    /// The request: as it goes over the wire, as `curl -v` prints it, or a HAR file; - for standard
    /// input
    #[arg(long, value_name = "REQ")]
    request: PathBuf,
    /// Who asks (the subject of the token)
    #[arg(long = "as", value_name = "SUBJECT", default_value = "somebody")]
    subject: String,
    /// A group the caller is in; may be given several times
    #[arg(long = "group", value_name = "G")]
    groups: Vec<String>,
    /// A claim of the caller's token; VALUE may be JSON; may be given several times
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = parse_claim)]
    claims: Vec<(String, Value)>,
    /// When, as in 2026-11-21T09:30:00Z; now if not given
    #[arg(long, value_name = "TIME")]
    at: Option<jiff::Timestamp>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[command(after_help = "\
Example:
  countersign bootstrap envoy/reverse-proxy.yaml --policy policy.yaml \\
    --listener gateway=127.0.0.1:10001 --upstream github > envoy.json")]
struct Bootstrap {
    /// The bootstrap to start from
    file: PathBuf,
    /// Replace the filter's configuration by this policy, which is checked first
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Path of countersign.wasm, as Envoy will open it
    #[arg(long, value_name = "PATH")]
    wasm: Option<String>,
    /// Let a listener listen elsewhere; may be given several times
    #[arg(long = "listener", value_name = "NAME=ADDR:PORT")]
    listeners: Vec<Target>,
    /// Send a cluster elsewhere; may be given several times
    #[arg(long = "cluster", value_name = "NAME=ADDR:PORT")]
    clusters: Vec<Target>,
    /// Let the admin interface listen elsewhere
    #[arg(long, value_name = "ADDR:PORT")]
    admin: Option<Address>,
    /// Send the clusters github-api, github-git and copilot to GitHub itself, over TLS
    #[arg(long, value_enum)]
    upstream: Option<Upstream>,
    /// Trust these certificate authorities (PEM) for --upstream, instead of the system's
    #[arg(long, value_name = "FILE", requires = "upstream")]
    upstream_ca: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Upstream {
    Github,
}

#[derive(Args)]
struct Token {
    #[command(flatten)]
    place: Where,
    /// Who the token is for (sub)
    #[arg(long, value_name = "S")]
    subject: String,
    /// A group (groups); may be given several times
    #[arg(long = "group", value_name = "G")]
    groups: Vec<String>,
    /// An e-mail address (email)
    #[arg(long, value_name = "E")]
    email: Option<String>,
    /// Whom it is meant for (aud)
    #[arg(long, value_name = "A", default_value = "countersign")]
    audience: String,
    /// How long it is valid; negative for one that has expired
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse_ttl, allow_hyphen_values = true)]
    ttl: Millis,
    /// Signature algorithm
    #[arg(long, value_enum, default_value = "ES256", ignore_case = true)]
    alg: Algorithm,
    /// Any other claim, which counts over all of the above; VALUE may be JSON; may be given several
    /// times
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = parse_claim)]
    claims: Vec<(String, Value)>,
}

/// Does what the command line says.
pub fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Serve(Serve {
            listen,
            data,
            database,
            public_url,
            auditors,
            body_readers,
            dev,
            witnesses,
            signing_key,
            ledger_name,
            keep_bodies,
            keep_records,
            forward,
            forward_headers,
            forward_ca,
        }) => {
            serve::serve(&Options {
                listen,
                place: Where {
                    data: Some(data),
                    database,
                },
                public_url,
                dev,
                signing_key,
                ledger_name,
                witnesses,
                keep: Keep {
                    bodies: keep_bodies,
                    periods: keep_records,
                },
                forward,
                forward_headers,
                forward_ca,
                rights: Rights {
                    auditors,
                    body_readers,
                },
            })?;
        }
        Command::User(user) => run_user(user)?,
        Command::Check(Check { file, strict }) => return run_check(&file, strict),
        Command::Explain(asked) => run_explain(asked)?,
        Command::Mask(asked) => return masking::mask(&asked),
        Command::Rules(asked) => return masking::rules(&asked),
        Command::Schema => {
            let schema = countersign_core::config::schema();
            print(&serde_json::to_string_pretty(&schema).unwrap_or_default())?;
        }
        Command::Bootstrap(asked) => {
            let changes = Changes {
                policy: asked.policy,
                wasm: asked.wasm,
                listeners: asked.listeners,
                clusters: asked.clusters,
                admin: asked.admin,
                github: matches!(asked.upstream, Some(Upstream::Github)),
                upstream_ca: asked.upstream_ca,
            };
            print(&bootstrap::changed(&asked.file, &changes)?)?;
        }
        Command::Ledger(asked) => return command::run(asked, print),
        Command::Replay(asked) => replay::command::run(&asked)?,
        Command::Token(asked) => {
            let claims = Claims {
                subject: asked.subject,
                groups: asked.groups,
                email: asked.email,
                audience: asked.audience,
                lifetime: asked.ttl,
                more: asked.claims,
            };
            print(&token::issue(
                &asked.place,
                Clock::System.now(),
                asked.alg,
                claims,
            )?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn run_user(user: User) -> Result<(), Failure> {
    match user {
        User::Add {
            name,
            place,
            groups,
            email,
        } => {
            let store = match &place.data {
                Some(_) => place.folder()?.store()?,
                None => place.store()?,
            };
            let now = Clock::System.now();
            let person = Person {
                name,
                email,
                groups,
            };
            let added = store.write_now(move |c| match people::add(c, now, &person) {
                Ok(secret) => Ok(Ok(secret)),
                Err(UserError::Store(error)) => Err(error),
                Err(other) => Ok(Err(other)),
            })?;
            let secret = added.map_err(|error| Failure::plain(error.to_string()))?;
            let url = store
                .read_now(|c| meta::get(c, PUBLIC_URL))?
                .unwrap_or_else(|| "http://127.0.0.1:8600".to_owned());
            print(&format!("{url}/sign-in#{secret}"))?;
        }
        User::List { place } => {
            let store = place.store()?;
            for person in store.read_now(people::list)? {
                let email = person.email.as_deref().unwrap_or("-");
                let groups = person.groups.join(",");
                print(&format!("{}\t{email}\t{groups}", person.name))?;
            }
        }
        User::Remove { name, place } => {
            let store = place.store()?;
            let wanted = name.clone();
            if !store.write_now(move |c| people::remove(c, &wanted))? {
                return Err(Failure::new(
                    format!("there is no user `{name}`"),
                    "`countersign user list --data DIR` shows who there is.",
                ));
            }
        }
    }
    Ok(())
}

fn run_check(file: &std::path::Path, strict: bool) -> Result<ExitCode, Failure> {
    let findings = check::findings(&check::read_file(file)?);
    if !findings.is_empty() {
        print(&check::report(file, &findings))?;
    }
    let warnings = findings.iter().filter(|found| found.warning).count();
    if warnings < findings.len() || (strict && warnings > 0) {
        return Ok(ExitCode::FAILURE);
    }
    let with = match warnings {
        0 => String::new(),
        1 => ", with a warning".to_owned(),
        many => format!(", with {many} warnings"),
    };
    print(&format!("{}: the policy compiles{with}", file.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn run_explain(asked: Explain) -> Result<(), Failure> {
    let document = check::compiled_file(&asked.file)?;
    let request = request_file::parse(&if asked.request.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin()
            .read_to_end(&mut bytes)
            .map_err(|error| Failure::plain(format!("standard input cannot be read: {error}")))?;
        bytes
    } else {
        std::fs::read(&asked.request).map_err(|error| {
            Failure::plain(format!(
                "{} cannot be read: {error}",
                asked.request.display()
            ))
        })?
    })?;
    let now = match asked.at {
        Some(at) => u64::try_from(at.as_nanosecond()).unwrap_or_default(),
        None => u64::try_from(Clock::System.now()).unwrap_or_default() * 1_000_000,
    };
    let asking = Asking {
        subject: asked.subject,
        groups: asked.groups,
        claims: asked.claims,
        at: Now(now),
    };
    let explanation = explain::explain(&document, &request, &asking)?;
    if asked.json {
        let json = explanation.to_json();
        return print(&serde_json::to_string_pretty(&json).unwrap_or_default());
    }
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    print(&layout::text(&explanation, Style::new(colour)))
}

/// Writes a line of output. A reader that has seen enough (`| head`) is no error.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::plain(format!(
            "the output cannot be written: {error}"
        ))),
        _ => Ok(()),
    }
}

fn parse_ttl(text: &str) -> Result<Millis, String> {
    match text.strip_prefix('-') {
        Some(past) => parse_duration(past).map(|length| -length),
        None => parse_duration(text),
    }
}

fn parse_ledger_name(text: &str) -> Result<String, String> {
    if is_name(text) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "`{text}` is not a name: no blanks, no +, at most 200 characters"
    ))
}

fn parse_url(text: &str) -> Result<String, String> {
    let wrong = || format!("`{text}` is not an address such as https://countersign.example.com");
    let uri: axum::http::Uri = text.parse().map_err(|_| wrong())?;
    match (uri.scheme_str(), uri.host(), uri.query()) {
        (Some("http" | "https"), Some(_), None) => Ok(text.trim_end_matches('/').to_owned()),
        _ => Err(wrong()),
    }
}

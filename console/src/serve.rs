//! `countersign serve`: from an address and a data folder to a running console, and back.

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::approvals::{book, limited, others};
use crate::cli::PUBLIC_URL;
use crate::clock::Clock;
use crate::data_folder::{self, DataFolder, Kind, Where};
use crate::dev_idp;
use crate::export::sink::{Sink, Target};
use crate::failure::Failure;
use crate::ledger::keeper::Signing;
use crate::ledger::keys::{self, KeyFile};
use crate::ledger::retain::{Done, Keep, retain};
use crate::ledger::{checkpoint, witness};
use crate::notify::deliver;
use crate::people::Rights;
use crate::secret::Secret;
use crate::settings::{self, Settings};
use crate::store::sql::Connection;
use crate::store::{Store, meta};
use crate::web::{App, router};

/// The environment variable that holds the gateway key: not an option, which `ps` would show.
pub const GATEWAY_KEY: &str = "COUNTERSIGN_GATEWAY_KEY";
const SHORTEST_KEY: usize = 16;
/// After a signal, connections get this long to finish.
const GRACE: Duration = Duration::from_secs(10);
/// How often tickets are looked at that nobody asks for.
const EXPIRY: Duration = Duration::from_secs(1);
/// How often is looked for what is older than it has to be.
const RETENTION: Duration = Duration::from_secs(3600);

/// How often a console that shares its database looks whether its turn has come.
const TURN: Duration = Duration::from_secs(5);

/// How to serve.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The data folder, and the database if that is elsewhere.
    pub place: Where,
    /// Where people reach the console; the listen address if not given.
    pub public_url: Option<String>,
    /// Turns the development identity provider on.
    pub dev: bool,
    /// The ledger's signing key, if it is not in the data folder.
    pub signing_key: Option<PathBuf>,
    /// The ledger's name, if it has none yet.
    pub ledger_name: Option<String>,
    /// Where checkpoints are sent.
    pub witnesses: Vec<String>,
    /// How long records are kept.
    pub keep: Keep,
    /// Where the trail is sent on to.
    pub forward: Vec<Target>,
    /// Headers for that.
    pub forward_headers: Vec<(String, String)>,
    /// Authorities to trust for that, instead of the system's.
    pub forward_ca: Option<PathBuf>,
    /// Who may read the trail.
    pub rights: Rights,
    /// A file with settings.
    pub settings: Option<PathBuf>,
}

/// Serves until SIGINT or SIGTERM.
pub fn serve(options: &Options) -> Result<(), Failure> {
    let gateway_key = gateway_key()?;
    let settings = match &options.settings {
        Some(path) => settings::read(path, &environment)?,
        None => Settings::default(),
    };
    if options.dev && !options.listen.ip().is_loopback() {
        return Err(Failure::new(
            format!(
                "--dev does not listen on {}: anyone who reaches it could be anyone",
                options.listen.ip()
            ),
            "Use a loopback address (--listen 127.0.0.1:8600), or leave out --dev.",
        ));
    }
    // First of all, so that a taken port leaves the data folder as it is.
    let listener = TcpListener::bind(options.listen)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .map_err(|error| cannot_listen(options.listen, &error))?;
    let folder = options.place.folder()?;
    let _lock = folder.lock()?;
    let store = signing_store(&folder, options)?;
    let kind = if options.dev {
        Kind::Development
    } else {
        Kind::Production
    };
    data_folder::claim_kind(&store, &options.place.named(), kind)?;
    if options.dev {
        store.write_now(dev_idp::keys::ensure)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::plain(format!("the console cannot start: {error}")))?;
    let result = runtime.block_on(run(options, settings, listener, store.clone(), gateway_key));
    // Held requests have their answers; what is left are readers of a page.
    runtime.shutdown_timeout(Duration::from_secs(1));
    store.close();
    result
}

/// The database with its signer, once it has been seen to be the one that was signed before.
fn signing_store(folder: &DataFolder, options: &Options) -> Result<Store, Failure> {
    let checkpoints = folder.checkpoints();
    let key_file = match &options.signing_key {
        Some(path) => KeyFile::at(path),
        None => folder.signing_key(),
    };
    let store = folder.store()?;
    checkpoint::repair(&checkpoints)?;
    checkpoint::guard(&store, &checkpoints)?;
    checkpoint::catch_up(&store, &checkpoints)?;
    let name = options.ledger_name.as_deref();
    let key = keys::ensure(&store, &key_file, Clock::System.now(), name)?;
    store.close();
    let signing = Signing::new(Clock::System, key, key_file, checkpoints);
    folder.store_with(Box::new(signing))
}

async fn run(
    options: &Options,
    settings: Settings,
    listener: TcpListener,
    store: Store,
    gateway_key: Secret,
) -> Result<(), Failure> {
    let address = listener
        .local_addr()
        .map_err(|error| cannot_listen(options.listen, &error))?;
    let listener = tokio::net::TcpListener::from_std(listener)
        .map_err(|error| cannot_listen(options.listen, &error))?;
    let public_url = match &options.public_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("http://{address}"),
    };
    let (stop, stopping) = watch::channel(false);
    let clock = Clock::System;
    let app = App::new(
        store,
        clock.clone(),
        gateway_key,
        &public_url,
        options.dev,
        stopping.clone(),
    )
    .with_rights(options.rights.clone())
    .with_settings(settings);
    let (now, issuer, dev) = (clock.now(), app.page("/dev"), options.dev);
    let (link, console) = (public_url.clone(), app.store.console().to_owned());
    app.store
        .write(move |c| {
            meta::set(c, PUBLIC_URL, &link)?;
            if dev {
                meta::set(c, dev_idp::ISSUER, &issuer)?;
            }
            book::forget_waiters(c, now, &console)
        })
        .await?;
    if options.dev {
        eprintln!(
            "\n  *** DEVELOPMENT CONSOLE ***\n  \
             It gives out identities at {public_url}/dev: anyone with this data folder can be anyone.\n  \
             Never put it in front of a real GitHub organisation.\n"
        );
    }
    if let Some(told) = app.store.attend(stopping.clone()) {
        tokio::spawn(others::hear(app.clone(), told));
    }
    for url in &options.witnesses {
        let (store, clock) = (app.store.clone(), clock.clone());
        tokio::spawn(witness::send_all(
            store,
            clock,
            url.clone(),
            stopping.clone(),
        ));
    }
    if options.keep != Keep::default() {
        tokio::spawn(delete_old(app.clone(), options.keep));
    }
    let expiry = tokio::spawn(expire_tickets(app.clone()));
    let notices = tokio::spawn(deliver::run(app.clone()));
    let forwards = start_forwards(options, &app, &stopping)?;
    let (again, schedules) = (app.clone(), app.schedules.clone());
    let mut wait_for_stop = stopping.clone();
    let server = axum::serve(listener, router(app)).with_graceful_shutdown(async move {
        // An error means that the sender is gone, and with it the console.
        let _ = wait_for_stop.wait_for(|stop| *stop).await;
    });
    let [mut interrupt, mut terminate] = signals()?;
    if let Some(path) = options.settings.clone() {
        tokio::spawn(read_again(again, path, caught(SignalKind::hangup())?));
    }
    let mut stdout = std::io::stdout();
    // A closed pipe is the starter's business, not a reason to stop.
    let _ = writeln!(stdout, "listening on http://{address}").and_then(|()| stdout.flush());
    let server = tokio::spawn(server.into_future());
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("stopping: held requests are given their tickets");
    let _ = stop.send(true);
    expiry.abort();
    // They end within the time of one attempt, and hold the store.
    let forwards = tokio::task::spawn_blocking(move || {
        schedules.stop();
        forwards.into_iter().for_each(|one| drop(one.join()));
    });
    let served = tokio::time::timeout(GRACE, server).await;
    let _ = tokio::time::timeout(GRACE, forwards).await;
    let _ = tokio::time::timeout(GRACE, notices).await;
    match served {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(error))) => Err(Failure::plain(format!("the console stopped: {error}"))),
        Ok(Err(error)) => Err(Failure::plain(format!("the console stopped: {error}"))),
        Err(_) => {
            tracing::warn!("some connections did not finish in time and were cut");
            Ok(())
        }
    }
}

/// Starts to send the trail on and to write exports, a thread for each.
fn start_forwards(
    options: &Options,
    app: &App,
    stopping: &watch::Receiver<bool>,
) -> Result<Vec<std::thread::JoinHandle<()>>, Failure> {
    let mut threads = Vec::new();
    for target in &options.forward {
        let headers = options.forward_headers.clone();
        let sink = Sink::new(target.clone(), headers, options.forward_ca.as_deref())?;
        let (store, clock) = (app.store.clone(), app.clock.clone());
        let thread = app.forwards.start(sink, store, clock, stopping.clone());
        threads.push(
            thread.map_err(|error| Failure::plain(format!("no thread for --forward: {error}")))?,
        );
    }
    let (schedules, exports) = (&app.schedules, &app.settings().exports);
    schedules
        .replace(exports, &app.store, &app.clock)
        .map_err(|error| no_thread(&error))?;
    Ok(threads)
}

fn no_thread(error: &std::io::Error) -> Failure {
    Failure::plain(format!("no thread for exports: {error}"))
}

/// Ends tickets. Its commits are also the beat at which the ledger is signed when nothing comes in.
async fn expire_tickets(app: App) {
    loop {
        tokio::time::sleep(EXPIRY).await;
        let now = app.clock.now();
        let work = move |c: &Connection| {
            let ended = book::expire(c, now)? + others::forget_lost(c, now)?;
            Ok(ended + limited::record(c, now)?)
        };
        match app.store.write(work).await {
            Ok(0) => {}
            Ok(_) => app.announce(),
            Err(error) => tracing::error!(%error, "tickets could not be ended"),
        }
    }
}

async fn delete_old(app: App, keep: Keep) {
    loop {
        let now = app.clock.now();
        if !app.store.leads() {
            // Another console does it, unless it ends.
            tokio::time::sleep(TURN).await;
            continue;
        }
        match app.store.write(move |c| retain(c, now, keep)).await {
            Ok(done) if done == Done::default() => {}
            Ok(done) => tracing::info!(?done, "what was older than it has to be was deleted"),
            Err(error) => tracing::error!(%error, "old records could not be deleted"),
        }
        tokio::time::sleep(RETENTION).await;
    }
}

/// Reads the settings anew whenever it is told to. A file with an error changes nothing.
async fn read_again(app: App, path: PathBuf, mut told: Signal) {
    while told.recv().await.is_some() {
        match settings::read(&path, &environment) {
            Ok(settings) => {
                let (exports, other) = (settings.exports.clone(), app.clone());
                app.take_settings(settings);
                let replaced = tokio::task::spawn_blocking(move || {
                    other
                        .schedules
                        .replace(&exports, &other.store, &other.clock)
                });
                if let Ok(Err(error)) = replaced.await {
                    tracing::error!(why = no_thread(&error).what(), "exports do not run");
                }
                tracing::info!(file = %path.display(), "the settings were read again");
            }
            Err(failure) => {
                let why = failure.what();
                tracing::error!(%why, "the settings were not taken; those before stay in force");
                app.in_force.refuse(app.clock.now(), why.to_owned());
                app.announce();
            }
        }
    }
}

/// Where the settings find secrets.
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The signals that ask the console to end; from here on they do not kill it.
fn signals() -> Result<[Signal; 2], Failure> {
    Ok([
        caught(SignalKind::interrupt())?,
        caught(SignalKind::terminate())?,
    ])
}

fn caught(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::plain(format!("no signal handler: {error}")))
}

fn gateway_key() -> Result<Secret, Failure> {
    let remedy = format!(
        "Make one with `openssl rand -hex 32` and set it as {GATEWAY_KEY} for the console and for Envoy."
    );
    let key = std::env::var(GATEWAY_KEY).unwrap_or_default();
    if key.is_empty() {
        return Err(Failure::new(format!("{GATEWAY_KEY} is not set"), remedy));
    }
    if key.len() < SHORTEST_KEY || !key.chars().all(|c| c.is_ascii_graphic()) {
        return Err(Failure::new(
            format!("{GATEWAY_KEY} is not at least {SHORTEST_KEY} printable ASCII characters"),
            remedy,
        ));
    }
    Ok(Secret::new(key))
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::AddrInUse => Failure::new(
            format!("{address} is in use by another program"),
            "Stop that program, or choose another port with --listen ADDR:PORT (port 0 takes a free one).",
        ),
        ErrorKind::PermissionDenied => Failure::new(
            format!("this user may not listen on {address}"),
            "Choose a port above 1023 with --listen ADDR:PORT.",
        ),
        _ => Failure::new(
            format!("the console cannot listen on {address}: {error}"),
            "Choose an address of this machine with --listen ADDR:PORT.",
        ),
    }
}

//! `simulated-upstream`: see the README beside this crate.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use simulated_upstream::{Settings, Upstream, app, server};

/// Behaves as GitHub, the Copilot API and git do, on one port and offline.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Address and port; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:18080")]
    listen: SocketAddr,
    /// Folder of the bare repositories; made and seeded if missing.
    #[arg(long)]
    data: PathBuf,
    /// The credential that every request must carry.
    #[arg(long, env = "SIMULATED_CREDENTIAL", hide_env_values = true)]
    credential: String,
    /// Base URL that answers name, for example the gateway's.
    #[arg(long)]
    public_url: Option<String>,
    /// PEM certificate chain: serve TLS instead of plain HTTP.
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// PEM private key.
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("simulated-upstream: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), String> {
    if arguments.credential.is_empty() {
        return Err(
            "--credential is empty; choose any token, the gateway must inject the same".into(),
        );
    }
    let tls = match (&arguments.tls_cert, &arguments.tls_key) {
        (Some(certificate), Some(key)) => {
            Some(server::tls(certificate, key).map_err(|error| format!("TLS: {error}"))?)
        }
        _ => None,
    };
    let listener = tokio::net::TcpListener::bind(arguments.listen)
        .await
        .map_err(|error| {
            format!(
                "cannot listen on {}: {error}; choose another with --listen",
                arguments.listen
            )
        })?;
    let data = std::path::absolute(&arguments.data).map_err(|error| error.to_string())?;
    let upstream = Upstream::open(Settings {
        data,
        credential: arguments.credential,
        public_url: arguments.public_url,
    })
    .map_err(|refusal| {
        format!(
            "cannot prepare {}: {}",
            arguments.data.display(),
            refusal.message
        )
    })?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    println!("listening on {scheme}://{address}");
    // A pipe holds the line back otherwise, and whoever waits for it would wait forever.
    let _ = std::io::stdout().flush();
    tokio::select! {
        ended = server::serve(listener, app(upstream), tls) => ended.map_err(|error| error.to_string()),
        () = stopped() => Ok(()),
    }
}

/// Ctrl-C or a termination signal.
async fn stopped() {
    let interrupted = tokio::signal::ctrl_c();
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminated) => {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
        }
        Err(_) => {
            let _ = interrupted.await;
        }
    }
}

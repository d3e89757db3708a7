//! Which PostgreSQL database: what a connection URL says, and how far its TLS is trusted.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// How long a connection may take to come about.
const PATIENCE: Duration = Duration::from_secs(10);
/// A peer that answers nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(20);

/// A database that consoles share, as `postgres://USER:PASSWORD@HOST:PORT/NAME?sslmode=…` names it.
#[derive(Clone)]
pub struct Target {
    pub(super) config: Config,
    pub(super) trust: Trust,
    shown: String,
}

/// Whom a connection trusts to be the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// There is no TLS, or TLS with whoever answers.
    Anybody,
    /// A certificate of a trusted authority, for whatever name.
    Authority(Option<PathBuf>),
    /// A certificate of a trusted authority for the name in the URL.
    Name(Option<PathBuf>),
}

impl Target {
    /// The URL without its password.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Target({})", self.shown)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.shown)
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(
                "it is not a URL such as postgres://user:password@host/database".to_owned(),
            );
        }
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let mut mode = None;
        let mut authority = None;
        let mut rest = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value),
                Some(("sslrootcert", value)) => authority = Some(PathBuf::from(plain(value)?)),
                _ => rest.push(pair),
            }
        }
        let mut config: Config = match rest.is_empty() {
            true => address.parse(),
            false => format!("{address}?{}", rest.join("&")).parse(),
        }
        .map_err(in_words)?;
        if config.get_hosts().is_empty() {
            return Err("it names no host: postgres://user:password@host/database".to_owned());
        }
        if config.get_dbname().is_none() {
            return Err("it names no database: postgres://user:password@host/database".to_owned());
        }
        let near = config.get_hosts().iter().all(is_near);
        let (ssl, trust) = match mode {
            Some("disable") => (SslMode::Disable, Trust::Anybody),
            Some("prefer") => (SslMode::Prefer, Trust::Anybody),
            None if near => (SslMode::Prefer, Trust::Anybody),
            // As libpq: an authority that is named is asked.
            Some("require") if authority.is_none() => (SslMode::Require, Trust::Anybody),
            Some("require" | "verify-ca") => (SslMode::Require, Trust::Authority(authority)),
            Some("verify-full") | None => (SslMode::Require, Trust::Name(authority)),
            Some(other) => {
                return Err(format!(
                    "sslmode={other} is none of disable, prefer, require, verify-ca, verify-full"
                ));
            }
        };
        config
            .ssl_mode(ssl)
            .application_name("countersign")
            .keepalives_idle(SILENCE)
            .tcp_user_timeout(SILENCE);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(PATIENCE);
        }
        Ok(Self {
            config,
            trust,
            shown: without_password(url),
        })
    }
}

/// Whether what is said to it stays on this machine.
fn is_near(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost"
                || name
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        }
    }
}

fn in_words(error: tokio_postgres::Error) -> String {
    use std::error::Error;
    match error.source() {
        Some(why) => format!("{error}: {why}"),
        None => error.to_string(),
    }
}

/// What stands behind percent signs.
fn plain(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        match (digit(), digit()) {
            (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
            _ => return Err(format!("`{text}` has a % without two digits")),
        }
    }
    String::from_utf8(bytes).map_err(|_| format!("`{text}` is not UTF-8"))
}

fn without_password(url: &str) -> String {
    let address = url.split('?').next().unwrap_or(url);
    let Some((scheme, rest)) = address.split_once("://") else {
        return address.to_owned();
    };
    match rest.rsplit_once('@') {
        Some((who, place)) => {
            let user = who.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{place}")
        }
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_whom_to_trust() {
        for (url, ssl, trust) in [
            (
                "postgres://u:p@localhost/c",
                SslMode::Prefer,
                Trust::Anybody,
            ),
            (
                "postgresql://u@/c?host=/run/sock",
                SslMode::Prefer,
                Trust::Anybody,
            ),
            (
                "postgres://u:p@db.example.com/c",
                SslMode::Require,
                Trust::Name(None),
            ),
            (
                "postgres://u:p@db.example.com/c?sslmode=verify-full&sslrootcert=%2Fca%20x.pem",
                SslMode::Require,
                Trust::Name(Some("/ca x.pem".into())),
            ),
            (
                "postgres://u:p@db.example.com/c?sslmode=require",
                SslMode::Require,
                Trust::Anybody,
            ),
            (
                "postgres://u:p@db.example.com/c?sslmode=require&sslrootcert=ca.pem",
                SslMode::Require,
                Trust::Authority(Some("ca.pem".into())),
            ),
        ] {
            let target: Target = url.parse().unwrap();
            assert_eq!(target.config.get_ssl_mode(), ssl, "{url}");
            assert_eq!(target.trust, trust, "{url}");
        }
    }

    #[test]
    fn a_wrong_url_says_what_is_wrong() {
        for (url, says) in [
            ("mysql://u@h/c", "postgres://user"),
            ("postgres://u:p@db.example.com/c?sslmode=yes", "verify-full"),
            ("postgres://u:p@db.example.com", "names no database"),
            ("postgres:///c", "names no host"),
            ("postgres://u@h/c?colour=red", "colour"),
        ] {
            let wrong = url.parse::<Target>().unwrap_err();
            assert!(wrong.contains(says), "{url}: {wrong}");
        }
    }

    #[test]
    fn nothing_shows_the_password() {
        let target: Target = "postgres://u:s3cret@db.example.com:5433/c?sslmode=require"
            .parse()
            .unwrap();
        assert_eq!(target.shown(), "postgres://u@db.example.com:5433/c");
        assert!(!format!("{target:?}").contains("s3cret"));
    }
}

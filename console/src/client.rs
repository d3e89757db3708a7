//! A console over HTTP, for commands that run elsewhere, and the blocking HTTP client of all
//! commands: TLS by rustls with the system's authorities, no redirects.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::tls::{RootCerts, TlsConfig};

use crate::failure::Failure;

/// Where a console is, on the command line.
#[derive(Args, Clone, Debug)]
pub struct Server {
    /// Ask this console instead of reading a data folder
    #[arg(long, value_name = "URL", conflicts_with = "data")]
    server: Option<String>,
    /// A person's secret, as `countersign user add` printed it behind the #
    #[arg(
        long,
        value_name = "SECRET",
        env = "COUNTERSIGN_TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,
}

/// A console that can be asked.
pub struct Client {
    agent: ureq::Agent,
    url: String,
    token: String,
}

impl Server {
    /// The console, if one is named.
    pub fn client(&self) -> Result<Option<Client>, Failure> {
        let Some(url) = &self.server else {
            return Ok(None);
        };
        let token = self.token.clone().ok_or_else(|| {
            Failure::new(
                "--server needs a person's secret",
                "Set COUNTERSIGN_TOKEN, or give --token.",
            )
        })?;
        Client::new(url, &token).map(Some)
    }
}

impl Client {
    /// The console at `url`, asked with `token`.
    pub fn new(url: &str, token: &str) -> Result<Self, Failure> {
        Ok(Self {
            agent: agent(Duration::from_secs(60), None)?,
            url: url.trim_end_matches('/').to_owned(),
            token: token.to_owned(),
        })
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends a document and reads one; what the console says against it is the failure.
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Failure> {
        let answer = self
            .agent
            .post(format!("{}{path}", self.url))
            .header("authorization", format!("Bearer {}", self.token))
            .content_type("application/json")
            .send(body.to_string());
        let mut answer = answer.map_err(|error| {
            Failure::new(
                format!("{} cannot be asked: {error}", self.url),
                "Is it the address under which people reach the console?",
            )
        })?;
        let text = answer
            .body_mut()
            .with_config()
            .limit(64 << 20)
            .read_to_string()
            .map_err(|error| Failure::plain(format!("{}{path}: {error}", self.url)))?;
        let status = answer.status();
        if status.is_success() {
            let read = serde_json::from_str(&text);
            return read.map_err(|error| Failure::plain(format!("{}{path}: {error}", self.url)));
        }
        Err(self.refusal(path, status.as_u16(), &text))
    }

    /// Whether anybody answers at its address.
    pub fn is_there(&self) -> bool {
        self.get("/healthz", &[]).is_ok()
    }

    /// What the console says against a call.
    fn refusal(&self, path: &str, status: u16, text: &str) -> Failure {
        let said: Value = serde_json::from_str(text).unwrap_or_default();
        let why = match said.get("error").and_then(Value::as_str) {
            Some(why) => crate::web::text::shown_line(why),
            None => {
                let brief: String = text.chars().take(300).collect();
                let brief = crate::web::text::shown_line(brief.trim());
                format!("{}{path}: status {status}: {brief}", self.url)
            }
        };
        match status {
            401 => Failure::new(
                why,
                "`countersign api-token add` makes a token, where the console runs.",
            ),
            _ => Failure::plain(why),
        }
    }

    /// An answer that goes on for as long as the console likes, as lines.
    pub fn lines(
        &self,
        path: &str,
    ) -> Result<impl Iterator<Item = std::io::Result<String>>, Failure> {
        let patient: ureq::Agent = ureq::Agent::config_builder()
            .timeout_connect(Some(Duration::from_secs(15)))
            .http_status_as_error(false)
            .max_redirects(0)
            .tls_config(self.agent.config().tls_config().clone())
            .build()
            .into();
        let mut answer = patient
            .get(format!("{}{path}", self.url))
            .header("authorization", format!("Bearer {}", self.token))
            .header("accept", "text/event-stream")
            .call()
            .map_err(|error| Failure::plain(format!("{} cannot be asked: {error}", self.url)))?;
        if !answer.status().is_success() {
            let text = answer.body_mut().read_to_string().unwrap_or_default();
            return Err(self.refusal(path, answer.status().as_u16(), &text));
        }
        Ok(BufReader::new(answer.into_body().into_reader()).lines())
    }

    /// A document; nothing where there is none.
    pub fn json<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Option<T>, Failure> {
        let mut answer = self.get(path, query)?;
        let wrong = |why: String| Failure::plain(format!("{}{path}: {why}", self.url));
        let status = answer.status();
        if status == 404 {
            return Ok(None);
        }
        let text = answer
            .body_mut()
            .with_config()
            .limit(256 << 20)
            .read_to_string()
            .map_err(|error| wrong(error.to_string()))?;
        if !status.is_success() {
            return Err(self.refusal(path, status.as_u16(), &text));
        }
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| wrong(error.to_string()))
    }

    /// An answer, whatever its status.
    pub fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<ureq::http::Response<ureq::Body>, Failure> {
        self.agent
            .get(format!("{}{path}", self.url))
            .query_pairs(query.iter().copied())
            .header("authorization", format!("Bearer {}", self.token))
            .call()
            .map_err(|error| {
                Failure::new(
                    format!("{} cannot be asked: {error}", self.url),
                    "Is it the address under which people reach the console?",
                )
            })
    }
}

/// A client that reports every status as an answer and follows nobody. `authorities` is a PEM file
/// to trust instead of the system's.
pub fn agent(timeout: Duration, authorities: Option<&Path>) -> Result<ureq::Agent, Failure> {
    let roots = match authorities {
        None => RootCerts::PlatformVerifier,
        Some(path) => {
            let unreadable = |why: String| {
                Failure::new(
                    format!("{}: {why}", path.display()),
                    "Give a PEM file with the certificates of the authorities to trust.",
                )
            };
            let pem = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
            let certificates: Vec<_> = ureq::tls::parse_pem(&pem)
                .filter_map(|item| match item {
                    Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(Ok(certificate)),
                    Ok(_) => None,
                    Err(error) => Some(Err(unreadable(error.to_string()))),
                })
                .collect::<Result<_, _>>()?;
            if certificates.is_empty() {
                return Err(unreadable("there is no certificate in it".to_owned()));
            }
            certificates.into()
        }
    };
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(roots)
        .build();
    Ok(ureq::Agent::config_builder()
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls)
        .build()
        .into())
}

/// One segment of a path, percent-encoded.
pub fn path_segment(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(b).to_string()
            }
            b => format!("%{b:02X}"),
        })
        .collect()
}

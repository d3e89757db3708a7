//! Where entries are sent: an OTLP/HTTP endpoint, or a syslog collector.
//!
//! OTLP confirms what it took. Syslog does not: over TCP and TLS what was sent when a connection
//! breaks may be lost or, after it is sent again, be there twice; over UDP nothing is known.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::http::Uri;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use prost::Message;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_platform_verifier::BuilderVerifierExt;

use super::{Encoder, Format, Item, otlp};
use crate::failure::Failure;

/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long a collector has to end a connection whose end it was told of.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// An address to send to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// OTLP/HTTP, protobuf: the whole address of the logs endpoint.
    Otlp(String),
    /// RFC 5424 over a protocol: host and port.
    Syslog(Transport, String, u16),
}

/// How syslog travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A datagram for each message (RFC 5426).
    Udp,
    /// Octet-counted frames (RFC 6587).
    Tcp,
    /// The same inside TLS (RFC 5425).
    Tls,
}

impl Target {
    /// Reads `https://host/v1/logs`, `syslog+tls://host:6514`, `syslog+tcp://…`, `syslog+udp://…`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not an address such as https://collector:4318/v1/logs or syslog+tls://siem.example.com:6514"
            )
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let transport = match scheme {
            "http" | "https" => {
                let uri: Uri = text.parse().map_err(|_| wrong())?;
                uri.host().ok_or_else(wrong)?;
                return Ok(Self::Otlp(match uri.path() {
                    "" | "/" => format!("{}/v1/logs", text.trim_end_matches('/')),
                    _ => text.to_owned(),
                }));
            }
            "syslog+udp" => Transport::Udp,
            "syslog+tcp" => Transport::Tcp,
            "syslog+tls" => Transport::Tls,
            _ => return Err(wrong()),
        };
        let authority: axum::http::uri::Authority =
            rest.trim_end_matches('/').parse().map_err(|_| wrong())?;
        let port = authority.port_u16().unwrap_or(match transport {
            Transport::Udp => 514,
            Transport::Tcp => 601,
            Transport::Tls => 6514,
        });
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        Ok(Self::Syslog(transport, host, port))
    }

    /// Whether an entry tells of a whole exchange.
    pub fn by_exchange(&self) -> bool {
        matches!(self, Self::Syslog(..))
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Otlp(url) => out.write_str(url),
            Self::Syslog(transport, host, port) => {
                let name = match transport {
                    Transport::Udp => "udp",
                    Transport::Tcp => "tcp",
                    Transport::Tls => "tls",
                };
                write!(out, "syslog+{name}://{host}:{port}")
            }
        }
    }
}

/// What became of a batch that arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Entries that the other side did not want.
    pub rejected: u64,
    /// Why.
    pub why: String,
}

/// Why a batch did not arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It may, later: after that long, if the other side says.
    Later(String, Option<Duration>),
    /// Never as it is: something in it is refused.
    Refused(String),
}

/// Something that takes batches.
pub struct Sink {
    target: Target,
    headers: Vec<(String, String)>,
    authorities: Option<PathBuf>,
    agent: ureq::Agent,
    line: Option<Line>,
}

enum Line {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Line {
    /// Ends a connection so that what was written is read: one that is closed while something of the
    /// other side is unread, as the tickets of TLS 1.3 are, is reset, and the rest of it lost.
    fn end(&mut self) -> io::Result<()> {
        let socket = match self {
            Self::Udp(_) => return Ok(()),
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => {
                stream.conn.send_close_notify();
                stream.flush()?;
                &mut stream.sock
            }
        };
        socket.shutdown(Shutdown::Write)?;
        socket.set_read_timeout(Some(LAST_WORDS))?;
        io::copy(&mut socket.take(1 << 20), &mut io::sink())?;
        Ok(())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Some(line) = &mut self.line
            && let Err(error) = line.end()
        {
            tracing::debug!(target = %self.target, %error, "the collector did not end the connection");
        }
    }
}

impl Sink {
    /// A sink; `authorities` is a PEM file to trust instead of the system's.
    pub fn new(
        target: Target,
        headers: Vec<(String, String)>,
        authorities: Option<&Path>,
    ) -> Result<Self, Failure> {
        Ok(Self {
            agent: crate::client::agent(TIMEOUT, authorities)?,
            target,
            headers,
            authorities: authorities.map(Path::to_owned),
            line: None,
        })
    }

    /// Where it sends to.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Sends a batch.
    pub fn send(&mut self, items: &[Item]) -> Result<Taken, Trouble> {
        match self.target.clone() {
            Target::Otlp(url) => self.post(&url, items),
            Target::Syslog(transport, host, port) => {
                let sent = self.write(transport, &host, port, items);
                if sent.is_err() {
                    self.line = None;
                }
                sent.map(|()| Taken::default())
                    .map_err(|error| Trouble::Later(error.to_string(), None))
            }
        }
    }

    fn post(&self, url: &str, items: &[Item]) -> Result<Taken, Trouble> {
        let mut request = self
            .agent
            .post(url)
            .header("content-type", "application/x-protobuf");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let body = otlp::request(items).encode_to_vec();
        let later = |error: ureq::Error| Trouble::Later(error.to_string(), None);
        let mut answer = request.send(&body).map_err(later)?;
        let status = answer.status().as_u16();
        let after = answer
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(|seconds: u64| Duration::from_secs(seconds.min(300)));
        let read = answer.body_mut().with_config().limit(1 << 20).read_to_vec();
        match status {
            200..=299 => {
                // A response that cannot be read is no rejection: the status says it was taken.
                let read = read.unwrap_or_default();
                let partial = ExportLogsServiceResponse::decode(read.as_slice())
                    .ok()
                    .and_then(|response| response.partial_success);
                Ok(partial.map_or_else(Taken::default, |partial| Taken {
                    rejected: u64::try_from(partial.rejected_log_records).unwrap_or(0),
                    why: partial.error_message,
                }))
            }
            // The batch, or a record in it: smaller ones may be taken.
            400 | 413 | 422 => Err(Trouble::Refused(told(status, read))),
            // Too much, or not set up right; that is for people to mend, and nothing is lost meanwhile.
            _ => Err(Trouble::Later(told(status, read), after)),
        }
    }

    fn write(
        &mut self,
        transport: Transport,
        host: &str,
        port: u16,
        items: &[Item],
    ) -> io::Result<()> {
        if self.line.is_none() {
            self.line = Some(self.connect(transport, host, port)?);
        }
        let mut encoder = Encoder::new(Format::Syslog);
        for item in items {
            let mut message = Vec::new();
            if !encoder.item(item, &mut message) {
                continue;
            }
            message.pop();
            let framed = || {
                let mut framed = format!("{} ", message.len()).into_bytes();
                framed.extend_from_slice(&message);
                framed
            };
            match &mut self.line {
                Some(Line::Udp(socket)) => {
                    socket.send(&message)?;
                }
                Some(Line::Tcp(stream)) => stream.write_all(&framed())?,
                Some(Line::Tls(stream)) => stream.write_all(&framed())?,
                None => {}
            }
        }
        match &mut self.line {
            Some(Line::Tcp(stream)) => stream.flush(),
            Some(Line::Tls(stream)) => stream.flush(),
            Some(Line::Udp(_)) | None => Ok(()),
        }
    }

    fn connect(&self, transport: Transport, host: &str, port: u16) -> io::Result<Line> {
        let other = |error: String| io::Error::other(error);
        let address = (host, port)
            .to_socket_addrs()?
            .next()
            .ok_or_else(|| other(format!("{host} has no address")))?;
        if transport == Transport::Udp {
            let own = if address.is_ipv4() {
                "0.0.0.0:0"
            } else {
                "[::]:0"
            };
            let socket = UdpSocket::bind(own)?;
            socket.connect(address)?;
            return Ok(Line::Udp(socket));
        }
        let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        if transport == Transport::Tcp {
            return Ok(Line::Tcp(stream));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|e| other(e.to_string()))?;
        let config = tls(self.authorities.as_deref()).map_err(other)?;
        let mut session =
            ClientConnection::new(Arc::new(config), name).map_err(|e| other(e.to_string()))?;
        let mut stream = stream;
        // Who is there is known before anything is sent.
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(Line::Tls(Box::new(StreamOwned::new(session, stream))))
    }
}

fn tls(authorities: Option<&Path>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match authorities {
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in
                CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())?
            {
                let certificate = certificate.map_err(|error| error.to_string())?;
                roots.add(certificate).map_err(|error| error.to_string())?;
            }
            builder.with_root_certificates(roots)
        }
        None => builder
            .with_platform_verifier()
            .map_err(|error| error.to_string())?,
    };
    Ok(builder.with_no_client_auth())
}

fn told(status: u16, read: Result<Vec<u8>, ureq::Error>) -> String {
    let text = String::from_utf8_lossy(&read.unwrap_or_default()).into_owned();
    let brief: String = text.chars().take(200).collect();
    format!("status {status} {}", crate::web::text::shown_line(&brief))
}

//! Syslog inside TLS (RFC 5425), to a collector that is who it should be, and to others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // These are tests.

mod common;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;

use axum::http::StatusCode;
use common::certificates::Authority;
use common::{Console, batch, exchange};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

const EXCHANGES: i64 = 3;

/// A collector with a certificate, for one connection; its port, and the frames that it was sent, or
/// why there are none.
fn collector(certificate: (String, String)) -> (u16, JoinHandle<Result<Vec<String>, String>>) {
    let (certificate, key) = certificate;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let session = ServerConnection::new(Arc::new(config)).unwrap();
        frames(BufReader::new(StreamOwned::new(session, stream)))
    });
    (port, thread)
}

/// Octet-counted frames, until the sender goes.
fn frames(mut from: impl BufRead) -> Result<Vec<String>, String> {
    let mut frames = Vec::new();
    while frames.len() < EXCHANGES as usize {
        let mut length = Vec::new();
        from.read_until(b' ', &mut length)
            .map_err(|error| error.to_string())?;
        if length.is_empty() {
            return Err("it went without a word".to_owned());
        }
        let length = String::from_utf8(length).unwrap();
        let mut frame = vec![0; length.trim().parse().unwrap()];
        from.read_exact(&mut frame).unwrap();
        frames.push(String::from_utf8(frame).unwrap());
    }
    Ok(frames)
}

/// A trail of a few exchanges.
async fn trail() -> Console {
    let console = Console::start();
    let records = (0..EXCHANGES).flat_map(|number| {
        let (request, outcome) = exchange(&format!("x{number}"), "w", 2 * number + 1);
        [request, outcome]
    });
    let body = batch(&records.collect::<Vec<_>>()).to_string().into_bytes();
    let answer = console.logs("application/json", body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    console
}

/// What `countersign ledger export --to` says, and whether it was content.
fn export(data: &Path, host: &str, port: u16, trusted: &Path) -> (bool, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(["ledger", "export", "--data"])
        .arg(data)
        .args(["--to", &format!("syslog+tls://{host}:{port}"), "--ca"])
        .arg(trusted)
        .output()
        .unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    (done.status.success(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_with_a_certificate_of_the_authority_gets_everything() {
    let console = trail().await;
    let files = tempfile::tempdir().unwrap();
    let authority = Authority::new("collectors");
    let (port, thread) = collector(authority.certificate(&["localhost"]));
    let trusted = authority.file(files.path());
    let (good, said) = export(console.folder.path(), "localhost", port, &trusted);
    assert!(good, "{said}");
    let frames = thread.join().unwrap().unwrap();
    for (frame, exchange) in frames.iter().zip(["x0", "x1", "x2"]) {
        assert!(frame.starts_with("<110>1 "), "{frame}");
        let named = format!("exchange=\"{exchange}\"");
        assert!(frame.contains(&named), "{frame}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_not_known_or_named_otherwise_gets_nothing() {
    let console = trail().await;
    let files = tempfile::tempdir().unwrap();
    let (authority, other) = (Authority::new("collectors"), Authority::new("others"));
    let trusted = authority.file(files.path());
    for (certificate, host, says) in [
        (
            other.certificate(&["localhost"]),
            "localhost",
            "UnknownIssuer",
        ),
        (
            authority.certificate(&["siem.example.com"]),
            "localhost",
            "not valid for name \"localhost\"",
        ),
        // A name says nothing of an address.
        (
            authority.certificate(&["localhost"]),
            "127.0.0.1",
            "not valid for name \"127.0.0.1\"",
        ),
    ] {
        let (port, thread) = collector(certificate);
        let (good, said) = export(console.folder.path(), host, port, &trusted);
        assert!(!good && said.contains(says), "{host}: {said}");
        // Nothing is passed over: the cursor stays where it was.
        assert!(said.contains("cursor: 0"), "{said}");
        let told = thread.join().unwrap();
        assert!(told.is_err(), "{host}: {told:?}");
    }
}

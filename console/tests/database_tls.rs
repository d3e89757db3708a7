//! TLS to PostgreSQL: a server with a certificate, and who is let to speak to it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // These are tests.

mod common;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::certificates::Authority;
use common::database::{Server, initialised, is_there, owned_by_server};
use countersign::ledger::keeper::Deriving;
use countersign::store::{Place, Store, StoreError};

/// A server that speaks TLS, and nothing else to the network.
struct Secured {
    server: Server,
    port: u16,
    trusted: PathBuf,
    stranger: PathBuf,
    _files: tempfile::TempDir,
}

impl Secured {
    /// With a certificate for `localhost`.
    fn start() -> Self {
        let folder = initialised();
        let files = tempfile::tempdir().unwrap();
        let authority = Authority::new("databases");
        let (certificate, key) = authority.certificate(&["localhost"]);
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            owned_by_server(&folder.join("data").join(name), &text);
        }
        let rules = "local all all trust\nhostssl all all 127.0.0.1/32 trust\n";
        owned_by_server(&folder.join("data/pg_hba.conf"), rules);
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let settings = [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={port}"),
            "ssl=on".to_owned(),
        ];
        Self {
            server: Server::with(folder, &settings, port),
            port,
            trusted: authority.file(files.path()),
            stranger: Authority::new("strangers").file(files.path()),
            _files: files,
        }
    }

    fn url(&self, host: &str, rest: &str) -> String {
        format!("postgres://postgres@{host}:{}/postgres{rest}", self.port)
    }
}

/// Whether the connection is encrypted, by the server's own account.
fn encrypted(url: &str) -> Result<bool, StoreError> {
    let place = Place::Server(Box::new(url.parse().unwrap()));
    let store = Store::open_at(&place, Box::new(Deriving::default()))?;
    store.read_now(|c| {
        let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        Ok(c.query_row(sql, [], |row| row.get(0))?)
    })
}

fn file(path: &Path) -> String {
    path.display().to_string().replace('/', "%2F")
}

#[test]
fn a_server_is_spoken_to_as_far_as_it_is_trusted() {
    if !is_there() {
        return;
    }
    let secured = Secured::start();
    let (trusted, stranger) = (file(&secured.trusted), file(&secured.stranger));
    for (host, rest) in [
        (
            "localhost",
            format!("?sslmode=verify-full&sslrootcert={trusted}"),
        ),
        // The authority counts, and the name does not.
        (
            "127.0.0.1",
            format!("?sslmode=verify-ca&sslrootcert={trusted}"),
        ),
        ("127.0.0.1", "?sslmode=require".to_owned()),
        ("localhost", String::new()),
    ] {
        let url = secured.url(host, &rest);
        assert!(encrypted(&url).unwrap(), "{url}");
    }
    for (host, rest, says) in [
        (
            "localhost",
            format!("?sslmode=verify-full&sslrootcert={stranger}"),
            "its certificate is of an authority that is not trusted",
        ),
        (
            "localhost",
            format!("?sslmode=verify-ca&sslrootcert={stranger}"),
            "its certificate is of an authority that is not trusted",
        ),
        (
            "127.0.0.1",
            format!("?sslmode=verify-full&sslrootcert={trusted}"),
            "its certificate is not for the name in the URL",
        ),
        (
            "localhost",
            "?sslmode=verify-full".to_owned(),
            "its certificate is of an authority that is not trusted",
        ),
        (
            "localhost",
            "?sslmode=verify-full&sslrootcert=%2Fnowhere.pem".to_owned(),
            "sslrootcert /nowhere.pem",
        ),
        ("localhost", "?sslmode=disable".to_owned(), "no encryption"),
    ] {
        let url = secured.url(host, &rest);
        let refused = encrypted(&url).unwrap_err().to_string();
        assert!(refused.contains(says), "{url}: {refused}");
    }
}

#[test]
fn a_server_that_is_not_trusted_is_told_of_with_what_to_do() {
    if !is_there() {
        return;
    }
    let secured = Secured::start();
    let data = tempfile::tempdir().unwrap();
    let add = |trusted: &Path| {
        let rest = format!("?sslmode=verify-full&sslrootcert={}", file(trusted));
        let done = Command::new(env!("CARGO_BIN_EXE_countersign"))
            .args(["user", "add", "alice", "--data"])
            .arg(data.path())
            .env("COUNTERSIGN_DATABASE", secured.url("localhost", &rest))
            .output()
            .unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        (done.status.success(), said)
    };
    let (good, said) = add(&secured.stranger);
    assert!(!good && said.contains("sslrootcert=FILE"), "{said}");
    let (good, said) = add(&secured.trusted);
    assert!(good, "{said}");
    let names = secured.server.sql("postgres", "SELECT name FROM users");
    assert_eq!(names, "alice");
}

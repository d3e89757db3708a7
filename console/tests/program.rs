//! The program itself: what it refuses, what it leaves behind when it is killed, its tokens.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // These are tests.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::program::Program;
use common::{KEY, batch, exchange, question};
use serde_json::Value;

fn countersign(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(args).env("COUNTERSIGN_GATEWAY_KEY", KEY);
    command
}

fn run(args: &[&str]) -> Output {
    countersign(args).output().unwrap()
}

fn error(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A console that is spoken to.
struct Running(Program);

impl Running {
    fn start(data: &Path, more: &[&str]) -> Self {
        Self(Program::serve(countersign(&[]), data, more))
    }

    /// One whose log is read.
    fn start_saying(data: &Path, more: &[&str]) -> Self {
        Self(Program::serve_with(
            countersign(&[]),
            data,
            more,
            Stdio::piped(),
        ))
    }

    fn request(&self, head: &str, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.0.address).unwrap();
        let length = body.len();
        write!(
            stream,
            "{head}\r\nHost: {}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n",
            self.0.address
        )
        .unwrap();
        stream.write_all(body).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn get(&self, path: &str, bearer: &str) -> Value {
        let answer = self.request(
            &format!("GET {path} HTTP/1.1\r\nAuthorization: Bearer {bearer}"),
            b"",
        );
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        serde_json::from_str(body).unwrap()
    }
}

fn add_user(data: &Path) -> String {
    let output = run(&[
        "user",
        "add",
        "bob",
        "--group",
        "leads",
        "--group",
        "auditors",
        "--data",
        data.to_str().unwrap(),
    ]);
    let link = String::from_utf8(output.stdout).unwrap();
    link.trim().split_once('#').unwrap().1.to_owned()
}

#[test]
fn an_acknowledged_record_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let secret = add_user(folder.path());
    let console = Running::start(folder.path(), &[]);
    for n in 0..20 {
        let (request, outcome) = exchange(&format!("e-{n}"), "w-1", 2 * n + 1);
        let body = batch(&[request, outcome]).to_string();
        let head = format!(
            "POST /v1/logs HTTP/1.1\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json"
        );
        let answer = console.request(&head, body.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    drop(console);
    let console = Running::start(folder.path(), &[]);
    let page = console.get("/api/v1/exchanges?limit=100", &secret);
    assert_eq!(page["exchanges"].as_array().unwrap().len(), 20);
    assert_eq!(
        console.get("/api/v1/exchanges/e-7", &secret)["records"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn a_closed_connection_frees_its_hold() {
    let folder = tempfile::tempdir().unwrap();
    let secret = add_user(folder.path());
    let console = Running::start(folder.path(), &[]);
    let body = question(1, "e-1").to_string();
    let mut caller = TcpStream::connect(&console.0.address).unwrap();
    write!(
        caller,
        "POST /ext_authz/acme HTTP/1.1\r\nHost: console\r\nAuthorization: Bearer {KEY}\r\n\
         x-countersign-fingerprint: {}\r\nx-countersign-hold: 600000\r\nContent-Length: {}\r\n\r\n{body}",
        "01".repeat(32),
        body.len()
    )
    .unwrap();
    let waiting = |expected: bool| {
        let path = "/api/v1/approvals?state=pending";
        while console.get(path, &secret)["approvals"][0]["waiting"] != expected {}
    };
    waiting(true);
    drop(caller);
    waiting(false);
}

#[test]
fn a_folder_has_one_console_and_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("data");
    let console = Running::start(&data, &[]);
    let path = data.to_str().unwrap();
    let second = error(&run(&["serve", "--listen", "127.0.0.1:0", "--data", path]));
    assert!(second.contains("in use by another console"), "{second}");
    let other = parent.path().join("other");
    let taken = error(&run(&[
        "serve",
        "--listen",
        &console.0.address,
        "--data",
        other.to_str().unwrap(),
    ]));
    assert!(
        taken.contains("in use by another program") && taken.contains("--listen"),
        "{taken}"
    );
    assert!(!other.exists());
    for (file, mode) in [("", 0o700), ("countersign.db", 0o600)] {
        let found = std::fs::metadata(data.join(file))
            .unwrap()
            .permissions()
            .mode()
            & 0o777;
        assert_eq!(found, mode, "{file}");
    }
}

#[test]
fn a_signal_ends_the_console_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let mut console = Running::start(folder.path(), &[]);
    let pid = console.0.child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert!(console.0.child.wait().unwrap().success());
}

#[test]
fn a_gateway_key_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    for key in [None, Some("short"), Some("long enough but with blanks")] {
        let mut command = countersign(&["serve", "--listen", "127.0.0.1:0", "--data", path]);
        command.env_remove("COUNTERSIGN_GATEWAY_KEY");
        if let Some(key) = key {
            command.env("COUNTERSIGN_GATEWAY_KEY", key);
        }
        let message = error(&command.output().unwrap());
        assert!(
            message.contains("COUNTERSIGN_GATEWAY_KEY") && message.contains("openssl"),
            "{message}"
        );
    }
}

#[test]
fn development_cannot_happen_by_accident() {
    let parent = tempfile::tempdir().unwrap();
    let real = parent.path().join("real");
    let dev = parent.path().join("dev");
    let (real, dev) = (real.to_str().unwrap(), dev.to_str().unwrap());
    let open = error(&run(&[
        "serve",
        "--dev",
        "--listen",
        "0.0.0.0:0",
        "--data",
        dev,
    ]));
    assert!(open.contains("loopback"), "{open}");

    drop(Running::start(Path::new(real), &[]));
    drop(Running::start(Path::new(dev), &["--dev"]));
    let message = error(&run(&[
        "serve",
        "--dev",
        "--listen",
        "127.0.0.1:0",
        "--data",
        real,
    ]));
    assert!(message.contains("real audit trail"), "{message}");
    let message = error(&run(&["serve", "--listen", "127.0.0.1:0", "--data", dev]));
    assert!(message.contains("development data folder"), "{message}");
    let message = error(&run(&["token", "--subject", "x", "--data", real]));
    assert!(
        message.contains("not a development data folder"),
        "{message}"
    );
    let nowhere = parent.path().join("nowhere");
    let message = error(&run(&[
        "token",
        "--subject",
        "x",
        "--data",
        nowhere.to_str().unwrap(),
    ]));
    assert!(
        message.contains("not a Countersign data folder"),
        "{message}"
    );
}

#[test]
fn tokens_verify_against_the_published_keys() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let console = Running::start(folder.path(), &["--dev"]);
    let discovery = console.get("/dev/.well-known/openid-configuration", "");
    let issuer = format!("http://{}/dev", console.0.address);
    assert_eq!(discovery["issuer"], issuer.as_str());
    assert_eq!(discovery["jwks_uri"], format!("{issuer}/jwks"));
    let keys = console.get("/dev/jwks", "");
    for alg in ["RS256", "ES256", "EdDSA"] {
        let output = run(&[
            "token",
            "--data",
            data,
            "--subject",
            "ci-runner",
            "--group",
            "agents",
            "--group",
            "ci",
            "--email",
            "ci@example.com",
            "--ttl",
            "5m",
            "--alg",
            alg,
            "--claim",
            "sid=s-1",
            "--claim",
            "n=[1]",
        ]);
        let token = String::from_utf8(output.stdout).unwrap();
        let parts: Vec<&str> = token.trim().split('.').collect();
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
        let header: Value = serde_json::from_slice(&decode(parts[0])).unwrap();
        let claims: Value = serde_json::from_slice(&decode(parts[1])).unwrap();
        assert_eq!(header["alg"], alg);
        assert_eq!(claims["iss"], issuer.as_str());
        assert_eq!(claims["aud"], "countersign");
        assert_eq!(claims["groups"], serde_json::json!(["agents", "ci"]));
        assert_eq!(
            claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
            300
        );
        assert_eq!(
            (&claims["sid"], &claims["n"]),
            (&"s-1".into(), &serde_json::json!([1]))
        );
        let key = keys["keys"]
            .as_array()
            .unwrap()
            .iter()
            .find(|key| key["kid"] == header["kid"])
            .unwrap();
        assert_eq!(key["alg"], alg);
        let signed = format!("{}.{}", parts[0], parts[1]);
        let mut signature = decode(parts[2]);
        assert!(verifies(key, signed.as_bytes(), &signature), "{alg}");
        signature[10] ^= 1;
        assert!(!verifies(key, signed.as_bytes(), &signature), "{alg}");
    }
}

fn verifies(key: &Value, message: &[u8], signature: &[u8]) -> bool {
    let part = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
    match key["alg"].as_str().unwrap() {
        "RS256" => {
            use rsa::signature::Verifier;
            let number = |name: &str| rsa::BigUint::from_bytes_be(&part(name));
            let key = rsa::RsaPublicKey::new(number("n"), number("e")).unwrap();
            let key = rsa::pkcs1v15::VerifyingKey::<rsa::sha2::Sha256>::new(key);
            rsa::pkcs1v15::Signature::try_from(signature)
                .is_ok_and(|s| key.verify(message, &s).is_ok())
        }
        "ES256" => {
            use p256::ecdsa::signature::Verifier;
            let point = [vec![4], part("x"), part("y")].concat();
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).unwrap();
            p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|s| key.verify(message, &s).is_ok())
        }
        _ => {
            use ed25519_dalek::Verifier;
            let key: [u8; 32] = part("x").try_into().unwrap();
            let key = ed25519_dalek::VerifyingKey::from_bytes(&key).unwrap();
            ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|s| key.verify(message, &s).is_ok())
        }
    }
}

#[test]
fn people_are_added_listed_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let secret = add_user(folder.path());
    let again = error(&run(&["user", "add", "BOB", "--data", data]));
    assert!(again.contains("already"), "{again}");
    let odd = error(&run(&["user", "add", "bob smith", "--data", data]));
    assert!(odd.contains("not a name"), "{odd}");
    let console = Running::start(folder.path(), &[]);
    console.get("/api/v1/exchanges", &secret);
    let list = run(&["user", "list", "--data", data]);
    assert_eq!(
        String::from_utf8(list.stdout).unwrap(),
        "bob\t-\tleads,auditors\n"
    );
    // While the console runs: the secret works no more.
    assert!(
        run(&["user", "remove", "bob", "--data", data])
            .status
            .success()
    );
    let head = format!("GET /api/v1/exchanges HTTP/1.1\r\nAuthorization: Bearer {secret}");
    assert!(console.request(&head, b"").starts_with("HTTP/1.1 401"));
    assert!(
        !run(&["user", "remove", "bob", "--data", data])
            .status
            .success()
    );
}

/// What the program says, line by line.
struct Said(std::io::Lines<BufReader<std::process::ChildStderr>>);

impl Said {
    fn until(&mut self, words: &str) -> String {
        loop {
            let line = self
                .0
                .next()
                .unwrap_or_else(|| panic!("it never said {words}"));
            let line = line.unwrap();
            if line.contains(words) {
                return line;
            }
        }
    }
}

#[test]
fn the_settings_are_read_again_when_told_and_the_last_good_ones_stay() {
    let folder = tempfile::tempdir().unwrap();
    let secret = add_user(folder.path());
    let file = folder.path().join("settings.yaml");
    let write = |away: &str| {
        let ends = "ends: 2099-01-01";
        let text =
            format!("version: v1\napprovals:\n  out_of_office: [ {{ person: {away}, {ends} }} ]\n");
        std::fs::write(&file, text).unwrap();
    };
    write("nobody");
    let (data, settings) = (folder.path(), file.to_str().unwrap());
    let mut console = Running::start_saying(data, &["--settings", settings]);
    let mut said = Said(BufReader::new(console.0.child.stderr.take().unwrap()).lines());
    let hang_up = || {
        let pid = console.0.child.id().to_string();
        let told = Command::new("kill").args(["-HUP", &pid]).status();
        assert!(told.unwrap().success());
    };
    let decide = |verb: &str| {
        let found = console.get("/api/v1/approvals?state=pending", &secret);
        let id = found["approvals"][0]["id"].as_str().unwrap().to_owned();
        let head = format!(
            "POST /api/v1/approvals/{id}/{verb} HTTP/1.1\r\nAuthorization: Bearer {secret}"
        );
        console.request(&head, b"")
    };
    let mut asked = question(1, "e-1");
    asked["approval"]["reviewers"]["groups"] = serde_json::json!(["leads"]);
    let head = format!(
        "POST /ext_authz/x HTTP/1.1\r\nAuthorization: Bearer {KEY}\r\nx-countersign-hold: 0\r\n\
         x-countersign-fingerprint: {}",
        asked["fingerprint"].as_str().unwrap()
    );
    let answer = console.request(&head, asked.to_string().as_bytes());
    assert!(
        answer.contains("x-countersign-decision: pending"),
        "{answer}"
    );

    write("bob");
    hang_up();
    said.until("the settings were read again");
    let answer = decide("approve");
    assert!(
        answer.contains("you are out of office until 2099"),
        "{answer}"
    );

    // A file with an error: where and what is in the log and on the page, and bob is away still.
    std::fs::write(&file, "version: v1\napprovals:\n  out_of_ofice: []\n").unwrap();
    hang_up();
    let line = said.until("the settings were not taken");
    assert!(
        line.contains("3:3: approvals.out_of_ofice: unknown field"),
        "{line}"
    );
    let health = page(&console, &secret, "/health");
    assert!(
        health.contains("were not taken: ") && health.contains("3:3: approvals.out_of_ofice"),
        "{health}"
    );
    assert!(decide("approve").contains("you are out of office"));
    // Nor is one that is gone.
    std::fs::remove_file(&file).unwrap();
    hang_up();
    said.until("the settings were not taken");

    write("nobody");
    hang_up();
    said.until("the settings were read again");
    assert!(!page(&console, &secret, "/health").contains("were not taken"));
    let answer = decide("approve");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// A page as somebody sees it who has signed in with his secret.
fn page(console: &Running, secret: &str, path: &str) -> String {
    let form = "Content-Type: application/x-www-form-urlencoded";
    let body = format!("secret={secret}&next={path}");
    let answer = console.request(
        &format!("POST /sign-in HTTP/1.1\r\n{form}"),
        body.as_bytes(),
    );
    let (_, cookie) = answer.split_once("set-cookie: ").unwrap();
    let cookie = cookie.split_once(';').unwrap().0;
    console.request(&format!("GET {path} HTTP/1.1\r\nCookie: {cookie}"), b"")
}

#[test]
fn the_exports_of_the_settings_are_written_and_changed_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let (data, exports) = (folder.path().join("data"), folder.path().join("exports"));
    std::fs::create_dir(&exports).unwrap();
    let settings = folder.path().join("settings.yaml");
    let write = |name: &str| {
        let directory = exports.display();
        let text = format!(
            "version: v1\nexports: [ {{ name: {name}, every: 1h, format: ndjson, directory: {directory} }} ]\n"
        );
        std::fs::write(&settings, text).unwrap();
    };
    write("all");
    let console = Running::start(&data, &["--settings", settings.to_str().unwrap()]);
    let written = |start: &str| {
        loop {
            let files = std::fs::read_dir(&exports).unwrap();
            let mut names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
            match names.find(|name| name.starts_with(start)) {
                Some(name) => return std::fs::read_to_string(exports.join(name)).unwrap(),
                None => std::thread::sleep(std::time::Duration::from_millis(20)),
            }
        }
    };
    // The first entry of a ledger is its key.
    let text = written("all-");
    assert!(text.contains("countersign.key"), "{text}");
    write("other");
    let pid = console.0.child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-HUP", &pid])
            .status()
            .unwrap()
            .success()
    );
    let text = written("other-");
    assert!(text.contains("countersign.key"), "{text}");
}

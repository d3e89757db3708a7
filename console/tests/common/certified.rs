//! An OpenID-certified provider as a program of its own, which shares no line with the console: npm
//! `oidc-provider`, with its own pages for signing in and consenting.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// A client's secret that reaches the provider only if it is encoded as RFC 6749 says.
pub const SECRET: &str = "a+b %c:/=&";

pub struct Certified {
    pub url: String,
    program: Child,
    lines: Lines<BufReader<ChildStdout>>,
    settings: Value,
}

impl Drop for Certified {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

impl Certified {
    /// Starts one for a console at `console`; nothing, and a line that says so, where Node or the
    /// package is not installed.
    pub fn start(console: &str) -> Option<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let package = here.join("../.tools/node/node_modules/oidc-provider");
        let program = Command::new("node")
            .arg(here.join("tests/common/certified.mjs"))
            .env("PACKAGE", &package)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Its warnings that it is set up for a test.
            .stderr(Stdio::null())
            .spawn();
        let (true, Ok(mut program)) = (package.exists(), program) else {
            println!("skipped: no oidc-provider (scripts/setup --test)");
            return None;
        };
        let lines = BufReader::new(program.stdout.take().unwrap()).lines();
        let mut provider = Self {
            url: String::new(),
            program,
            lines,
            settings: json!({
                "alg": "ES256", "conform": true, "methods": ["client_secret_basic"],
                "client": {
                    "client_id": "countersign", "client_secret": SECRET,
                    "redirect_uris": [format!("{console}/sign-in/oidc/callback")],
                },
                "people": {
                    "u-grace": {"preferred_username": "grace", "name": "Grace", "email": "grace@example.com", "email_verified": true,
                                "groups": ["staff", "platform-leads"], "department": "security"},
                    "u-newcomer": {"preferred_username": "newcomer", "email": "new@example.com", "email_verified": false, "groups": ["staff"]},
                    "u-guest": {"preferred_username": "guest", "groups": ["guests"]},
                },
            }),
        };
        provider.with(&json!({}));
        Some(provider)
    }

    /// Begins anew with these settings changed: with new keys, and with nobody signed in.
    pub fn with(&mut self, changes: &Value) {
        for (key, value) in changes.as_object().unwrap() {
            self.settings[key] = value.clone();
        }
        let mut input = self.program.stdin.as_ref().unwrap();
        writeln!(input, "{}", self.settings).unwrap();
        // It has notices of its own to print.
        self.url = loop {
            let line = self.lines.next().unwrap().unwrap();
            if let Some(url) = line.strip_prefix("ready ") {
                break url.to_owned();
            }
        };
    }

    /// The client as it is registered, with changes.
    pub fn client(&self, changes: &Value) -> Value {
        let mut client = self.settings["client"].clone();
        for (key, value) in changes.as_object().unwrap() {
            client[key] = value.clone();
        }
        client
    }

    /// What the console has to know of it.
    pub fn settings(&self) -> String {
        format!(
            "version: v1\nsign_in:\n  session: 10m\n  oidc: {{ issuer: \"{}\", client_id: countersign, client_secret: {{ env: SECRET }}, scopes: [profile, email, groups], claims: {{ name: preferred_username }}, keep: [department], groups: [staff] }}",
            self.url
        )
    }
}

/// A browser without scripts, as far as the provider's pages need one.
pub struct Visitor {
    agent: ureq::Agent,
    cookies: HashMap<String, String>,
    /// The forms that were filled in, by the question that each asked.
    pub forms: Vec<String>,
}

impl Visitor {
    pub fn new() -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .build()
            .into();
        Self {
            agent,
            cookies: HashMap::new(),
            forms: Vec::new(),
        }
    }

    /// Goes where the console sent him, signs in as `login`, agrees to what is asked, and says where he
    /// is sent back to. Nobody signs in without a login: he cancels instead.
    pub fn visit(&mut self, provider: &Certified, address: &str, login: Option<&str>) -> String {
        let mut address = address.to_owned();
        let mut form = None;
        // Login, consent and the steps between them are fewer.
        for _ in 0..20 {
            let (location, page) = self.call(&address, form.take());
            if let Some(location) = location {
                let location = match location.strip_prefix('/') {
                    Some(path) => format!("{}/{path}", provider.url),
                    None => location,
                };
                if !location.starts_with(&provider.url) {
                    return location;
                }
                address = location;
                continue;
            }
            let value = |name: &str| {
                let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\""))?;
                Some(rest.split_once('"')?.0.to_owned())
            };
            let prompt = value("prompt").unwrap_or_else(|| panic!("{address}: {page}"));
            self.forms.push(prompt.clone());
            match login {
                Some(login) => form = Some(format!("prompt={prompt}&login={login}&password=x")),
                None => address.push_str("/abort"),
            }
        }
        panic!("the provider goes round in circles at {address}");
    }

    /// Where the answer leads, or its page.
    fn call(&mut self, address: &str, form: Option<String>) -> (Option<String>, String) {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let cookies = cookies.join("; ");
        let answer = match form {
            Some(form) => self
                .agent
                .post(address)
                .header("cookie", cookies)
                .content_type("application/x-www-form-urlencoded")
                .send(form),
            None => self.agent.get(address).header("cookie", cookies).call(),
        };
        let mut answer = answer.unwrap();
        for cookie in answer.headers().get_all("set-cookie") {
            let (pair, _) = cookie.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let location = answer.headers().get("location");
        let location = location.map(|value| value.to_str().unwrap().to_owned());
        (location, answer.body_mut().read_to_string().unwrap())
    }
}

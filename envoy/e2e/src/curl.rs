//! curl: a client that sends exactly what it is told, and what it got back.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A request to be made.
#[derive(Clone, Debug)]
pub struct Curl {
    arguments: Vec<String>,
    body: Option<Vec<u8>>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status; 0 if no answer began.
    pub status: u16,
    /// Headers in their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, as far as it came.
    pub body: Vec<u8>,
    /// curl's exit code: 0, or why the exchange did not end well (18: body cut, 52: no answer, 92: stream reset).
    pub exit: i32,
}

impl Curl {
    /// A request; the URL is sent as it is, dot segments included.
    pub fn new(method: &str, url: &str) -> Self {
        let curl = Curl {
            arguments: Vec::new(),
            body: None,
        };
        let curl = curl.option(&[
            "-sS",
            "--path-as-is",
            "--globoff",
            "-i",
            "--max-time",
            "120",
        ]);
        curl.option(&["-X", method, "-H", "Expect:", url])
    }

    /// A GET.
    pub fn get(url: &str) -> Self {
        Curl::new("GET", url)
    }

    /// More of curl's own options.
    #[must_use]
    pub fn option(mut self, options: &[&str]) -> Self {
        self.arguments
            .extend(options.iter().map(|o| (*o).to_owned()));
        self
    }

    /// A header.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        self.option(&["-H", &format!("{name}: {value}")])
    }

    /// A token, the way most clients send it.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// The `User-Agent`, by which [`Stack::seen_by`](crate::Stack::seen_by) finds the request again.
    #[must_use]
    pub fn mark(self, mark: &str) -> Self {
        self.header("User-Agent", mark)
    }

    /// What the simulated upstream shall do wrong.
    #[must_use]
    pub fn simulate(self, faults: &str) -> Self {
        self.header("x-simulate", faults)
    }

    /// A body.
    #[must_use]
    pub fn body(self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let mut curl = self
            .header("Content-Type", content_type)
            .option(&["--data-binary", "@-"]);
        curl.body = Some(body.into());
        curl
    }

    /// A JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// Makes the request. Whatever the server does is an answer.
    ///
    /// # Errors
    /// When curl cannot be run, or says something that is not HTTP.
    pub fn run(&self) -> Result<Answer> {
        let mut child = Command::new("curl")
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run curl")?;
        let body = self.body.clone().unwrap_or_default();
        let mut stdin = child.stdin.take().context("curl has no input")?;
        // curl reads its input whole before it connects, so this cannot wait for its output.
        let written = stdin.write_all(&body);
        drop(stdin);
        let output = child.wait_with_output()?;
        written.context("curl did not take the body")?;
        let exit = output.status.code().unwrap_or(-1);
        ensure!(
            exit != 2,
            "curl does not understand {:?}: {}",
            self.arguments,
            String::from_utf8_lossy(&output.stderr)
        );
        Answer::read(&output.stdout, exit)
    }
}

impl Answer {
    fn read(mut bytes: &[u8], exit: i32) -> Result<Self> {
        let mut answer = Answer {
            status: 0,
            headers: Vec::new(),
            body: Vec::new(),
            exit,
        };
        while !bytes.is_empty() && (answer.status == 0 || answer.status / 100 == 1) {
            let end = bytes
                .windows(4)
                .position(|w| w == b"\r\n\r\n")
                .context("a head without an end")?;
            let (head, rest) = bytes.split_at(end);
            let head = String::from_utf8_lossy(head);
            let mut lines = head.lines();
            let first = lines.next().unwrap_or_default();
            answer.status = first
                .split_whitespace()
                .nth(1)
                .with_context(|| format!("no status line: {first}"))?
                .parse()?;
            answer.headers = lines
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                .collect();
            bytes = rest.get(4..).unwrap_or_default();
        }
        answer.body = bytes.to_vec();
        Ok(answer)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Head and body, for searches that must find nothing.
    pub fn everything(&self) -> String {
        format!("{:?}\n{}", self.headers, self.text())
    }

    /// Why it was refused: the code in every denial.
    pub fn reason(&self) -> &str {
        self.header("x-countersign-reason").unwrap_or_default()
    }
}

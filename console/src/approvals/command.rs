//! `countersign approvals`: what the page does, from a terminal, over the HTTP API.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::terminal::{demands, line, page, words};
use crate::cli::print;
use crate::client::{Client, path_segment};
use crate::clock::Clock;
use crate::failure::Failure;

/// Letters of an id that are enough, where only one request has them.
const BRIEF: usize = 4;
/// The first and the longest pause before a console that went away is asked again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// Where the console is, and who asks.
#[derive(Args)]
pub struct Console {
    /// The console's address
    #[arg(
        long,
        value_name = "URL",
        env = "COUNTERSIGN_SERVER",
        default_value = "http://127.0.0.1:8600"
    )]
    server: String,
    /// A token of the API, as `countersign api-token add` printed it
    #[arg(
        long,
        value_name = "TOKEN",
        env = "COUNTERSIGN_TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// List requests: those that wait, or those in a state
    List {
        /// Where, and as whom
        #[command(flatten)]
        console: Console,
        /// pending, approved, refused, consumed or expired
        #[arg(long, value_name = "STATE", default_value = "pending")]
        state: String,
        /// Print JSON, one request a line
        #[arg(long)]
        json: bool,
    },
    /// Show one request with all that is known of it
    Show {
        /// Where, and as whom
        #[command(flatten)]
        console: Console,
        /// Its id, or as many of its first letters as no other has
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Approve a request
    Approve {
        /// Where, and as whom
        #[command(flatten)]
        console: Console,
        /// Its id, or as many of its first letters as no other has
        id: String,
        /// Why
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
        /// Let it through alone, whoever else should agree; needs --reason, and everybody is told
        #[arg(long, requires = "reason")]
        break_glass: bool,
    },
    /// Refuse a request
    Deny {
        /// Where, and as whom
        #[command(flatten)]
        console: Console,
        /// Its id, or as many of its first letters as no other has
        id: String,
        /// Why; the caller reads it
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Print each request when it comes and when something happens to it, until stopped
    Watch {
        /// Where, and as whom
        #[command(flatten)]
        console: Console,
        /// Print JSON, one request a line
        #[arg(long)]
        json: bool,
        /// End after so many lines
        #[arg(long, value_name = "N")]
        lines: Option<usize>,
    },
}

/// Where a console says that something changed.
const STREAM: &str = "/api/v1/approvals/stream";

#[derive(Deserialize)]
struct List {
    approvals: Vec<Value>,
}

/// Does it.
pub fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::List {
            console,
            state,
            json,
        } => {
            let found = console.client()?.list(state)?;
            if found.is_empty() {
                // Beside the output: programs read that.
                eprintln!("no request of yours to see is {state}");
            }
            for approval in found {
                print(&line(&approval, *json, Clock::System.now()))?;
            }
            Ok(())
        }
        Command::Show { console, id, json } => {
            let client = console.client()?;
            let path = format!("/api/v1/approvals/{}", path_segment(&client.whole(id)?));
            let found: Option<Value> = client.json(&path, &[("seen", "true")])?;
            let approval = found.ok_or_else(none)?;
            print(&match json {
                true => serde_json::to_string_pretty(&approval).unwrap_or_default(),
                false => page(&approval),
            })
        }
        Command::Approve {
            console,
            id,
            reason,
            break_glass,
        } => {
            let body = json!({"reason": reason, "break_glass": break_glass});
            let decided = console.client()?.decide(id, "approve", &body)?;
            print(&match decided["state"].as_str() {
                Some("pending") => format!(
                    "your approval counts; others have to agree\n{}",
                    demands(&decided)
                ),
                _ => format!("approved: {}", words(&decided, "in_words")),
            })
        }
        Command::Deny {
            console,
            id,
            reason,
        } => {
            let body = json!({ "reason": reason });
            let decided = console.client()?.decide(id, "refuse", &body)?;
            print(&format!("refused: {}", words(&decided, "in_words")))
        }
        Command::Watch {
            console,
            json,
            lines,
        } => watch(&console.client()?, *json, *lines),
    }
}

impl Console {
    fn client(&self) -> Result<Client, Failure> {
        let token = self.token.as_deref().ok_or_else(|| {
            Failure::new(
                "there is no token",
                "Set COUNTERSIGN_TOKEN (or --token) to what this printed where the console runs:\n  \
                 countersign api-token add --data DIR --for NAME --scope approvals:read --scope approvals:decide",
            )
        })?;
        Client::new(&self.server, token)
    }
}

fn none() -> Failure {
    Failure::new(
        "there is no such approval",
        "`countersign approvals list` has the ids of those that wait.",
    )
}

impl Client {
    fn list(&self, state: &str) -> Result<Vec<Value>, Failure> {
        let found: Option<List> = self.json("/api/v1/approvals", &[("state", state)])?;
        Ok(found.map(|list| list.approvals).unwrap_or_default())
    }

    fn decide(&self, id: &str, verb: &str, body: &Value) -> Result<Value, Failure> {
        let id = self.whole(id)?;
        self.post(
            &format!("/api/v1/approvals/{}/{verb}", path_segment(&id)),
            body,
        )
    }

    /// The id that begins so; as it is, if none does.
    fn whole(&self, id: &str) -> Result<String, Failure> {
        if id.len() < BRIEF {
            return Err(Failure::plain(format!(
                "`{id}` is no id: give at least {BRIEF} letters of it"
            )));
        }
        let all = self.list("")?;
        let ids = all.iter().map(|approval| words(approval, "id"));
        let mut found = ids.filter(|known| known.starts_with(id));
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (Some(_), Some(_)) => Err(Failure::plain(format!(
                "several requests begin with `{id}`: give more of it"
            ))),
            (None, _) => Ok(id.to_owned()),
        }
    }
}

/// The stream says that something changed; what did is looked up, so that nothing is missed between
/// two connections. A console that goes away is waited for.
fn watch(client: &Client, json: bool, most: Option<usize>) -> Result<(), Failure> {
    let mut watched = Watched {
        client,
        json,
        left: most,
        known: Vec::new(),
    };
    let mut pause = PAUSE.0;
    let mut lines = client.lines(STREAM)?;
    loop {
        let mut why = "it ended the stream".to_owned();
        if watched.look()? {
            return Ok(());
        }
        for text in lines {
            match text {
                Ok(text) if text.starts_with("data:") => {
                    if watched.look()? {
                        return Ok(());
                    }
                }
                Ok(_) => {}
                Err(error) => why = error.to_string(),
            }
        }
        eprintln!("the console went away ({why}); asking again until it is back");
        lines = loop {
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE.1);
            match client.lines(STREAM) {
                Ok(lines) => break lines,
                // One that answers, and refuses, is back.
                Err(_) if client.list("").is_ok() => {}
                Err(error) if client.is_there() => return Err(error),
                Err(_) => {}
            }
        };
        pause = PAUSE.0;
    }
}

/// What `watch` has printed so far.
struct Watched<'a> {
    client: &'a Client,
    json: bool,
    /// Lines that are left to print; no end, without one.
    left: Option<usize>,
    /// Ids, and how each looked.
    known: Vec<(String, String)>,
}

impl Watched<'_> {
    /// Prints what has changed. Whether that was enough.
    fn look(&mut self) -> Result<bool, Failure> {
        let mut all = match self.client.list("") {
            Ok(all) => all,
            // It went away just now; the stream says so too.
            Err(_) if !self.client.is_there() => return Ok(false),
            Err(error) => return Err(error),
        };
        all.reverse();
        for approval in &all {
            let id = words(approval, "id");
            let look = format!(
                "{}{}{}",
                approval["state"], approval["waiting"], approval["votes"]
            );
            match self.known.iter_mut().find(|(known, _)| *known == id) {
                Some((_, before)) if *before == look => continue,
                Some((_, before)) => *before = look,
                None => {
                    self.known.push((id, look));
                    // What was settled before is no news.
                    if approval["state"] != "pending" {
                        continue;
                    }
                }
            }
            print(&line(approval, self.json, Clock::System.now()))?;
            if let Some(left) = &mut self.left {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

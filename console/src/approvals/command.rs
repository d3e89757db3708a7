//! `countersign approvals`: what the page does, from a terminal, over the HTTP API.

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::print;
use crate::client::{Client, path_segment};
use crate::failure::Failure;
use crate::web::text::{shown, shown_line};

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
    token: String,
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
        /// Its id
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
        /// Its id
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
        /// Its id
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
            for approval in console.client()?.list(state)? {
                print(&line(&approval, *json))?;
            }
            Ok(())
        }
        Command::Show { console, id, json } => {
            let path = format!("/api/v1/approvals/{}", path_segment(id));
            let found: Option<Value> = console.client()?.json(&path, &[("seen", "true")])?;
            let approval = found.ok_or_else(|| Failure::plain("there is no such approval"))?;
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
        Client::new(&self.server, &self.token)
    }
}

impl Client {
    fn list(&self, state: &str) -> Result<Vec<Value>, Failure> {
        let found: Option<List> = self.json("/api/v1/approvals", &[("state", state)])?;
        Ok(found.map(|list| list.approvals).unwrap_or_default())
    }

    fn decide(&self, id: &str, verb: &str, body: &Value) -> Result<Value, Failure> {
        self.post(
            &format!("/api/v1/approvals/{}/{verb}", path_segment(id)),
            body,
        )
    }
}

/// The stream says that something changed; what did is looked up, so that nothing is missed between
/// two connections.
fn watch(client: &Client, json: bool, most: Option<usize>) -> Result<(), Failure> {
    let mut known: Vec<(String, String)> = Vec::new();
    let mut printed = 0;
    let mut look = |known: &mut Vec<(String, String)>| -> Result<bool, Failure> {
        let mut all = client.list("")?;
        all.reverse();
        for approval in &all {
            let id = words(approval, "id");
            let look = format!(
                "{}{}{}",
                approval["state"], approval["waiting"], approval["votes"]
            );
            let before = known.iter_mut().find(|(known, _)| *known == id);
            match before {
                Some((_, before)) if *before == look => continue,
                Some((_, before)) => *before = look,
                None => {
                    known.push((id, look));
                    // What was settled before is no news.
                    if approval["state"] != "pending" {
                        continue;
                    }
                }
            }
            print(&line(approval, json))?;
            printed += 1;
            if most.is_some_and(|most| printed >= most) {
                return Ok(true);
            }
        }
        Ok(false)
    };
    let lines = client.lines("/api/v1/approvals/stream")?;
    if look(&mut known)? {
        return Ok(());
    }
    for text in lines {
        let text =
            text.map_err(|error| Failure::plain(format!("the console went away: {error}")))?;
        if text.starts_with("data:") && look(&mut known)? {
            return Ok(());
        }
    }
    Err(Failure::plain("the console ended the stream"))
}

/// An approval on one line.
fn line(approval: &Value, json: bool) -> String {
    if json {
        return approval.to_string();
    }
    let state = match (approval["state"].as_str(), approval["waiting"].as_bool()) {
        (Some("pending"), Some(true)) => "held",
        (Some("pending"), _) => "ticket",
        (Some(state), _) => state,
        (None, _) => "?",
    };
    let who = approval
        .pointer("/question/identity/subject")
        .and_then(Value::as_str);
    let mut line = format!(
        "{}\t{state}\t{}\t{}",
        words(approval, "id"),
        shown_line(who.unwrap_or_default()),
        words(approval, "in_words")
    );
    if let Some(by) = approval["decided_by"].as_str() {
        line.push_str(&format!("\tby {}", shown_line(by)));
    }
    line
}

/// All that a reviewer needs, as text.
fn page(approval: &Value) -> String {
    let at = |pointer: &str| {
        let text = approval.pointer(pointer).and_then(Value::as_str);
        shown_line(text.unwrap_or_default())
    };
    let mut out = format!("{}\n\n", words(approval, "in_words"));
    let request = format!(
        "{} {}{}",
        at("/question/request/method"),
        at("/question/request/authority"),
        at("/question/request/path")
    );
    for (label, text) in [
        ("who", at("/question/identity/subject")),
        ("rule", at("/question/rule")),
        ("reason", at("/question/reason")),
        ("request", request),
        ("policy", at("/question/policy")),
        ("state", at("/state")),
        ("held until", at("/hold_until")),
        ("ticket ends", at("/expires_at")),
        ("decided by", at("/decided_by")),
        ("because", at("/decided_why")),
        ("not yours", at("/objection")),
    ] {
        if !text.trim().is_empty() {
            out.push_str(&format!("{label:<12} {text}\n"));
        }
    }
    out.push_str(&demands(approval));
    if let Some(body) = approval
        .pointer("/question/request/body")
        .and_then(Value::as_str)
        && !body.is_empty()
    {
        out.push_str(&format!("\n{}\n", shown(body)));
    }
    out.push('\n');
    for event in approval["events"].as_array().into_iter().flatten() {
        let part = |key: &str| shown_line(event[key].as_str().unwrap_or_default());
        let text = format!(
            "{}  {:<12} {} {}",
            part("at"),
            part("kind"),
            part("who"),
            part("note")
        );
        out.push_str(&format!("{}\n", text.trim_end()));
    }
    out.trim_end().to_owned()
}

fn demands(approval: &Value) -> String {
    let mut out = String::new();
    for demand in approval["demands"].as_array().into_iter().flatten() {
        let ways: Vec<String> = demand["ways"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|way| {
                let given = way["given"].as_array().map_or(0, Vec::len);
                let who = shown_line(way["reviewers"].as_str().unwrap_or_default());
                format!("{given} of {} from {who}", way["min"])
            })
            .collect();
        let rule = shown_line(demand["rule"].as_str().unwrap_or("default"));
        out.push_str(&format!("{:<12} {rule}: {}\n", "needs", ways.join(", or ")));
    }
    out
}

fn words(approval: &Value, key: &str) -> String {
    shown_line(approval[key].as_str().unwrap_or_default())
}

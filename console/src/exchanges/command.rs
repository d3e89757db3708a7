//! `countersign ledger search`: the search bar on the command line.

use clap::Args;
use serde_json::{Value, json};

use super::query::{Error, Query, parse};
use super::search::{answered, search_and_count};
use super::{Asked, Summary};
use crate::client::Server;
use crate::clock::{Clock, Millis, readable, rfc3339};
use crate::data_folder::Where;
use crate::failure::Failure;
use crate::people::access::{self, Looked, Way};
use crate::web::text::{decision, grouped, shown_line};

/// What to look for, and where.
#[derive(Args)]
#[command(after_help = "\
Examples:
  countersign ledger search 'op:ref.push decision:held after:2d' --data ./data
  countersign ledger search '\"drop table\" -user:ci-*' --json --server https://countersign.example.com")]
pub struct Search {
    /// The query, as in the console's search bar; nothing finds everything
    #[arg(default_value = "", allow_hyphen_values = true)]
    query: String,
    /// How many exchanges at most, newest first
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
    /// Go on where an answer ended: its `next`
    #[arg(long, value_name = "CURSOR", default_value = "")]
    cursor: String,
    /// Print JSON, as GET /api/v1/exchanges gives it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    server: Server,
}

impl Search {
    /// Searches, and returns what to print.
    pub fn run(&self) -> Result<String, Failure> {
        // Read here as well: the mark under a mistake needs no console.
        let now = Clock::System.now();
        let query = parse(&self.query, now).map_err(|error| misread(&self.query, &error))?;
        let found = match self.server.client()? {
            Some(client) => {
                let limit = self.limit.to_string();
                let parameters = [
                    ("q", self.query.as_str()),
                    ("limit", &limit),
                    ("cursor", &self.cursor),
                ];
                let found: Option<Value> = client.json("/api/v1/exchanges", &parameters)?;
                found.ok_or_else(|| Failure::plain("that console has no search"))?
            }
            None => {
                let store = self.place.store()?;
                let after = match self.cursor.as_str() {
                    "" => None,
                    text => Some(super::Cursor::parse(text).ok_or_else(|| {
                        Failure::new(
                            format!("`{text}` is not a cursor"),
                            "Take `next` of an answer.",
                        )
                    })?),
                };
                let asked = Asked {
                    query,
                    after,
                    limit: self.limit,
                };
                let look = Looked::Search {
                    query: asked.query.to_string(),
                    cursor: asked.after.map(|cursor| cursor.to_string()),
                };
                let who = std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned());
                store.write_now(move |c| access::record(c, now, &who, Way::CommandLine, &look))?;
                let words = asked.query.to_string();
                let found = store.read_now(move |c| answered(search_and_count(c, &asked)))?;
                let (page, matches) = found.map_err(Failure::plain)?;
                let (count, all) = matches.count();
                json!({
                    "exchanges": page.exchanges.iter().map(as_json).collect::<Vec<_>>(),
                    "next": page.next.map(|next| next.to_string()),
                    "query": words, "count": count, "count_is_complete": all,
                })
            }
        };
        Ok(match self.json {
            true => format!("{found:#}"),
            false => lines(&found),
        })
    }
}

/// An exchange as the API and the command line give it.
pub fn as_json(summary: &Summary) -> Value {
    let mut value = json!(summary);
    value["at"] = rfc3339(summary.at).into();
    value
}

/// Reads a query that a person wrote on the command line; nothing if there is none.
pub fn read_query(text: Option<&str>, now: Millis) -> Result<Option<Query>, Failure> {
    let text = text.filter(|text| !text.trim().is_empty());
    text.map(|text| parse(text, now).map_err(|error| misread(text, &error)))
        .transpose()
}

fn misread(query: &str, error: &Error) -> Failure {
    let until = query.get(..error.start).unwrap_or_default().chars().count();
    let long = query
        .get(error.start..error.end)
        .unwrap_or_default()
        .chars()
        .count();
    let mark = format!("{}{}", " ".repeat(until), "^".repeat(long.max(1)));
    Failure::new(
        format!("{}\n  {}\n  {mark}", error.problem, shown_line(query)),
        error.remedy.clone(),
    )
}

/// A line for each exchange, and one that says how many there are.
fn lines(found: &Value) -> String {
    let mut out = String::new();
    let list = found["exchanges"].as_array();
    for exchange in list.into_iter().flatten() {
        let word = |key: &str| shown_line(exchange[key].as_str().unwrap_or_default());
        let at = exchange["at_ms"].as_i64().map(readable).unwrap_or_default();
        let status = exchange["status"].as_i64();
        let status = status.map_or("-".to_owned(), |status| status.to_string());
        let what = match word("operations") {
            empty if empty.is_empty() => format!("{} {}", word("method"), word("url")),
            what => what,
        };
        let decided = word("decision");
        out.push_str(&format!(
            "{at}  {}  {}  {status}  {what}  {}\n",
            word("user_id"),
            decision(&decided),
            word("exchange"),
        ));
    }
    let count = found["count"].as_u64().unwrap_or_default();
    let more = match found["count_is_complete"].as_bool() {
        Some(false) => "more than ",
        _ => "",
    };
    out.push_str(&format!("{more}{} found", grouped(count)));
    if let Some(next) = found["next"].as_str() {
        out.push_str(&format!("; go on with --cursor {next}"));
    }
    out
}

//! `countersign replay`.

use std::io::{IsTerminal, Write};

use clap::Args;

use super::session::{self, Replay, Which};
use super::terminal::{Pace, play};
use crate::cli::print;
use crate::client::Server;
use crate::clock::{Millis, parse_duration};
use crate::data_folder::Where;
use crate::failure::Failure;

/// What to replay, and how.
#[derive(Args)]
#[command(after_help = "\
Examples:
  countersign replay 0d7c9a4e --data ./data
  countersign replay ~6f1c…   --data ./data      what that exchange's identity did around it
  countersign replay 0d7c9a4e --server https://countersign.example.com --speed 4")]
pub struct Command {
    /// The session, or ~EXCHANGE for what the identity of an exchange did around it
    session: String,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    server: Server,
    /// Begin with this exchange of the session
    #[arg(long, value_name = "EXCHANGE")]
    from: Option<String>,
    /// Play this many times as fast as it was
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_speed)]
    speed: f64,
    /// The longest pause
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = parse_duration)]
    longest_pause: Millis,
    /// Print all of it at once, as is done when the output is no terminal
    #[arg(long)]
    no_wait: bool,
    /// Print the steps as JSON
    #[arg(long)]
    json: bool,
}

/// Replays.
pub fn run(asked: &Command) -> Result<(), Failure> {
    let replay = read(asked)?;
    if asked.json {
        let text = serde_json::to_string_pretty(&replay)
            .map_err(|error| Failure::plain(error.to_string()))?;
        return print(&text);
    }
    let terminal = std::io::stdout().is_terminal();
    let pace = Pace {
        speed: (terminal && !asked.no_wait).then_some(asked.speed),
        longest: asked.longest_pause,
        colour: terminal && std::env::var_os("NO_COLOR").is_none(),
    };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let played = play(&mut out, &replay, pace, &mut std::thread::sleep).and_then(|()| out.flush());
    match played {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::plain(
            format!("the output cannot be written: {error}"),
        )),
        _ => Ok(()),
    }
}

fn read(asked: &Command) -> Result<Replay, Failure> {
    let found = match asked.server.client()? {
        Some(client) => {
            let from = asked.from.as_deref().map(|from| [("from", from)]);
            let session = crate::client::path_segment(&asked.session);
            client.json(
                &format!("/api/v1/sessions/{session}/replay"),
                from.as_ref().map_or(&[], |query| query.as_slice()),
            )?
        }
        None => {
            let store = asked.place.store()?;
            let which = Which::parse(&asked.session);
            store.read_now(|c| session::replay(c, &which, asked.from.as_deref()))?
        }
    };
    found.ok_or_else(|| {
        Failure::new(
            format!("nothing is on record of `{}`", asked.session),
            "The page /sessions and `countersign replay ~EXCHANGE` help to find one.",
        )
    })
}

fn parse_speed(text: &str) -> Result<f64, String> {
    text.trim_end_matches(['x', '×'])
        .parse()
        .ok()
        .filter(|speed: &f64| speed.is_finite() && *speed > 0.0)
        .ok_or_else(|| format!("`{text}` is not a speed such as 1, 4 or 0.5"))
}

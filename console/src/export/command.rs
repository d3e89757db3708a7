//! `countersign ledger export`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::feed::{self, Selection};
use super::sink::{Sink, Taken, Target, Trouble};
use super::{Encoder, Format};
use crate::client::{Client, Server};
use crate::clock::{Clock, Millis, parse_moment};
use crate::data_folder::Where;
use crate::exchanges::command::read_query;
use crate::failure::Failure;
use crate::store::Store;

const PAGE: u32 = 500;
const POLL: Duration = Duration::from_secs(1);

/// What to export, and where to.
#[derive(Args)]
#[command(after_help = "\
Examples:
  countersign ledger export --data ./data --format csv --since 7d > week.csv
  countersign ledger export --data ./data --format ocsf --state siem.cursor --follow --output siem.ndjson
  countersign ledger export --data ./data --to syslog+tls://siem.example.com:6514 --state siem.cursor --follow

The cursor of the next record goes to standard error, or into the file of --state after each part that
was written or taken. An export that is cut off goes on there. A file of --output then has everything
once; standard output and --to may get the last part twice, and nothing is left out.")]
pub struct Export {
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    server: Server,
    /// What to write
    #[arg(long, value_enum, default_value = "ndjson")]
    format: Format,
    /// Only of this identity: subject or e-mail address
    #[arg(long, value_name = "WHO")]
    user: Option<String>,
    /// Only at or after this time: 2026-05-01, 2026-05-01T13:00Z, or an age such as 2h or 3d
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only exchanges that this search finds, as in `op:ref.push decision:held`
    #[arg(long, short = 'q', value_name = "QUERY")]
    query: Option<String>,
    /// Begin at this cursor
    #[arg(long, value_name = "CURSOR")]
    after: Option<i64>,
    /// Keep the cursor in this file, and begin at the one in it
    #[arg(long, value_name = "FILE", conflicts_with = "after")]
    state: Option<PathBuf>,
    /// Go on with what is recorded from now on, until interrupted
    #[arg(long)]
    follow: bool,
    /// Append to this file instead of writing to standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Send to an OTLP endpoint (https://…) or a syslog collector (syslog+tls://, +tcp, +udp)
    #[arg(long, value_name = "URL", value_parser = Target::parse, conflicts_with_all = ["output", "format", "server"])]
    to: Option<Target>,
    /// A header for --to, as NAME: VALUE; a VALUE that begins with $ names an environment variable
    #[arg(long = "header", value_name = "HEADER", value_parser = parse_header)]
    headers: Vec<(String, String)>,
    /// Trust these certificate authorities (PEM) for --to instead of the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// Exports.
pub fn export(asked: &Export) -> Result<(), Failure> {
    if asked.follow && asked.format == Format::Har {
        return Err(Failure::new(
            "an HTTP Archive is one document and cannot be followed",
            "Leave out --follow, or choose another --format.",
        ));
    }
    let now = Clock::System.now();
    let moment = |text: &Option<String>| -> Result<Option<Millis>, Failure> {
        text.as_deref()
            .map(|text| parse_moment(text, now).map_err(Failure::plain))
            .transpose()
    };
    let selection = Selection {
        user: asked.user.clone(),
        since: moment(&asked.since)?,
        until: moment(&asked.until)?,
        query: read_query(asked.query.as_deref(), now)?,
    };
    let (mut cursor, length) = match &asked.state {
        Some(path) => read_state(path)?,
        None => (asked.after.unwrap_or(0), None),
    };
    let result = match asked.server.client()? {
        Some(client) => remote(asked, &client, Output::open(asked, length)?, &mut cursor),
        None => {
            let store = asked.place.store()?;
            match &asked.to {
                Some(target) => {
                    let sink =
                        Sink::new(target.clone(), asked.headers.clone(), asked.ca.as_deref())?;
                    send(asked, &store, sink, &selection, &mut cursor)
                }
                None => {
                    let out = Output::open(asked, length)?;
                    local(asked, &store, out, &selection, &mut cursor)
                }
            }
        }
    };
    eprintln!("cursor: {cursor}");
    result
}

fn local(
    asked: &Export,
    store: &Store,
    mut out: Output,
    selection: &Selection,
    cursor: &mut i64,
) -> Result<(), Failure> {
    let mut encoder = Encoder::new(asked.format);
    let mut bytes = Vec::new();
    // Where a kill may come before the first part is confirmed, that is confirmed as well.
    asked.keep(*cursor, out.length()?)?;
    let begins = match out.file {
        Some(_) => out.is_new,
        None => *cursor == 0,
    };
    if begins || asked.format == Format::Har {
        encoder.head(&mut bytes);
    }
    loop {
        let page = store
            .read_now(|c| feed::page(c, *cursor, PAGE, selection, asked.format.by_exchange()))?;
        for item in &page.items {
            encoder.item(item, &mut bytes);
        }
        let stop = page.end && !asked.follow;
        if stop {
            encoder.tail(&mut bytes);
        }
        out.write(&bytes)?;
        bytes.clear();
        if page.next != *cursor || stop {
            *cursor = page.next;
            asked.keep(*cursor, out.length()?)?;
        }
        match (stop, page.end) {
            (true, _) => return Ok(()),
            (false, true) => std::thread::sleep(POLL),
            (false, false) => {}
        }
    }
}

fn remote(
    asked: &Export,
    client: &Client,
    mut out: Output,
    cursor: &mut i64,
) -> Result<(), Failure> {
    asked.keep(*cursor, out.length()?)?;
    loop {
        let from = cursor.to_string();
        let mut query = vec![("format", asked.format.name()), ("cursor", from.as_str())];
        for (name, value) in [
            ("user", &asked.user),
            ("since", &asked.since),
            ("until", &asked.until),
            ("q", &asked.query),
        ] {
            query.extend(value.as_deref().map(|value| (name, value)));
        }
        let mut answer = client.get("/api/v1/export", &query)?;
        let status = answer.status();
        let header = |name: &str| -> Option<String> {
            Some(answer.headers().get(name)?.to_str().ok()?.to_owned())
        };
        let next: Option<i64> = header("x-countersign-next").and_then(|next| next.parse().ok());
        let more = header("x-countersign-more").as_deref() == Some("true");
        let mut bytes = Vec::new();
        // A body that is cut off is an error here: the cursor stays.
        answer
            .body_mut()
            .as_reader()
            .read_to_end(&mut bytes)
            .map_err(|error| {
                Failure::plain(format!("the console's answer was cut off: {error}"))
            })?;
        let Some(next) = next.filter(|_| status.is_success()) else {
            let why: String = String::from_utf8_lossy(&bytes).chars().take(300).collect();
            let why = crate::web::text::shown_line(&why);
            return Err(Failure::plain(format!(
                "the console answered {status}: {why}"
            )));
        };
        out.write(&bytes)?;
        if next != *cursor {
            *cursor = next;
            asked.keep(next, out.length()?)?;
        }
        match (more, asked.follow) {
            (true, _) => {}
            (false, true) => std::thread::sleep(POLL),
            (false, false) => return Ok(()),
        }
    }
}

fn send(
    asked: &Export,
    store: &Store,
    mut sink: Sink,
    selection: &Selection,
    cursor: &mut i64,
) -> Result<(), Failure> {
    let whole = sink.target().by_exchange();
    let mut pause = POLL;
    loop {
        let page = store.read_now(|c| feed::page(c, *cursor, PAGE, selection, whole))?;
        let sent = match page.items.is_empty() {
            true => Ok(Taken::default()),
            false => sink.send(&page.items),
        };
        match sent {
            Ok(Taken { rejected, why }) => {
                pause = POLL;
                if rejected > 0 {
                    eprintln!("{} did not take {rejected} records: {why}", sink.target());
                }
            }
            Err(Trouble::Later(why, after)) if asked.follow => {
                eprintln!("{}: {why}", sink.target());
                std::thread::sleep(after.unwrap_or(pause));
                pause = (pause * 2).min(Duration::from_secs(60));
                continue;
            }
            Err(Trouble::Later(why, _) | Trouble::Refused(why)) => {
                return Err(Failure::plain(format!("{}: {why}", sink.target())));
            }
        }
        if page.next != *cursor {
            *cursor = page.next;
            asked.keep(*cursor, None)?;
        }
        match (page.end, asked.follow) {
            (true, false) => return Ok(()),
            (true, true) => std::thread::sleep(POLL),
            (false, _) => {}
        }
    }
}

impl Export {
    /// Writes the cursor down, whole or not at all, and how long the output is with it.
    fn keep(&self, cursor: i64, length: Option<u64>) -> Result<(), Failure> {
        let Some(path) = &self.state else {
            return Ok(());
        };
        let unwritable = |error: io::Error| {
            Failure::plain(format!(
                "the cursor cannot be kept in {}: {error}",
                path.display()
            ))
        };
        let mut new = path.clone().into_os_string();
        new.push(".new");
        let mut file = File::create(&new).map_err(unwritable)?;
        match length {
            Some(length) => writeln!(file, "{cursor} {length}"),
            None => writeln!(file, "{cursor}"),
        }
        .map_err(unwritable)?;
        file.sync_all().map_err(unwritable)?;
        fs::rename(&new, path).map_err(unwritable)
    }
}

/// The cursor, and how long the output was with it.
fn read_state(path: &Path) -> Result<(i64, Option<u64>), Failure> {
    let wrong = || {
        Failure::new(
            format!("{} does not hold a cursor", path.display()),
            "Remove it to begin at the beginning, or write the number of an entry into it.",
        )
    };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, None)),
        Err(error) => return Err(Failure::plain(format!("{}: {error}", path.display()))),
    };
    let mut words = text.split_whitespace();
    let cursor = words
        .next()
        .and_then(|word| word.parse().ok())
        .ok_or_else(wrong)?;
    let length = words.next().map(|word| word.parse().map_err(|_| wrong()));
    Ok((cursor, length.transpose()?))
}

struct Output {
    file: Option<File>,
    is_new: bool,
}

impl Output {
    /// Opens the output. What was written behind `length`, and so never confirmed by a cursor, is cut
    /// off: it is written again.
    fn open(asked: &Export, length: Option<u64>) -> Result<Self, Failure> {
        let Some(path) = &asked.output else {
            return Ok(Self {
                file: None,
                is_new: false,
            });
        };
        let failed = |error: io::Error| Failure::plain(format!("{}: {error}", path.display()));
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(failed)?;
        let there = file.metadata().map_err(failed)?.len();
        let confirmed = match (&asked.state, length) {
            // A file that is there without a state is somebody's: it is added to.
            (Some(_), Some(length)) => length,
            (Some(_), None) | (None, _) => there,
        };
        if there < confirmed {
            return Err(Failure::new(
                format!("{} is shorter than its cursor says", path.display()),
                "Remove the file of --state to export everything again.",
            ));
        }
        if there > confirmed {
            file.set_len(confirmed).map_err(failed)?;
        }
        Ok(Self {
            file: Some(file),
            is_new: confirmed == 0,
        })
    }

    /// How long a file is now.
    fn length(&self) -> Result<Option<u64>, Failure> {
        let length = self
            .file
            .as_ref()
            .map(|file| file.metadata().map(|m| m.len()));
        length
            .transpose()
            .map_err(|error| Failure::plain(format!("the output: {error}")))
    }

    /// Writes, as far as the disk for a file.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if bytes.is_empty() {
            return Ok(());
        }
        let written = match &mut self.file {
            Some(file) => file.write_all(bytes).and_then(|()| file.sync_data()),
            None => {
                let mut out = io::stdout().lock();
                out.write_all(bytes).and_then(|()| out.flush())
            }
        };
        written.map_err(|error| Failure::plain(format!("the output cannot be written: {error}")))
    }
}

/// `NAME: VALUE`, or `NAME: $VARIABLE`.
pub fn parse_header(text: &str) -> Result<(String, String), String> {
    let wrong = || format!("`{text}` is not a header such as `authorization: $COLLECTOR_TOKEN`");
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    let (name, value) = (name.trim(), value.trim());
    axum::http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
    let value = match value.strip_prefix('$') {
        Some(variable) => std::env::var(variable)
            .map_err(|_| format!("the environment variable {variable} is not set"))?,
        None => value.to_owned(),
    };
    axum::http::HeaderValue::from_str(&value).map_err(|_| wrong())?;
    Ok((name.to_owned(), value))
}

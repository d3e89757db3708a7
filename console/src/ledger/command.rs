//! `countersign ledger …`

use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::arguments::{Data, Hold, Keys, Ledger, Proof, Verify};
use super::entry::count;
use super::note::{Note, Verifier, split_notes};
use super::retain::{Keep, retain};
use super::verify::{Against, Report, verify};
use super::{bundle, checkpoint, derive, health, hold, keys, read, tree};
use crate::clock::{Clock, Millis, parse_moment, readable};
use crate::export::command::export;
use crate::export::evidence::evidence;
use crate::failure::Failure;
use crate::store::{self, StoreError};

/// Does it.
pub fn run(
    asked: Ledger,
    print: impl Fn(&str) -> Result<(), Failure>,
) -> Result<ExitCode, Failure> {
    let now = Clock::System.now();
    match asked {
        Ledger::Verify(asked) => return run_verify(&asked, print),
        Ledger::Checkpoint(Data { place }) => {
            let newest = place.store()?.read_now(checkpoint::newest)?;
            let newest = newest.ok_or_else(nothing_signed)?;
            print(newest.note.trim_end())?;
        }
        Ledger::Proof(asked) => print(&proof(&asked)?)?,
        Ledger::Keys(asked) => run_keys(asked, now, print)?,
        Ledger::Retain(asked) => {
            let keep = Keep {
                bodies: asked.bodies_after,
                periods: asked.periods_after,
            };
            let store = asked.place.store()?;
            let done = store.write_now(move |c| retain(c, now, keep))?;
            store.close();
            print(&format!(
                "deleted {} bodies ({} bytes) and {} entries; legal holds kept {}",
                done.bodies, done.bytes, done.entries, done.held
            ))?;
        }
        Ledger::Hold(asked) => run_hold(asked, now, print)?,
        Ledger::Search(asked) => print(&asked.run()?)?,
        Ledger::Export(asked) => export(&asked)?,
        Ledger::Evidence(asked) => evidence(&asked)?,
        Ledger::Status(asked) => {
            let health = asked.place.store()?.read_now(|c| health::health(c, now))?;
            if asked.json {
                let text = serde_json::to_string_pretty(&health);
                print(&text.map_err(|error| Failure::plain(error.to_string()))?)?;
            } else {
                print(&in_words(&health))?;
            }
        }
        Ledger::Bundle(asked) => {
            let store = asked.place.store()?;
            let failed = |error: std::io::Error| {
                Failure::plain(format!(
                    "{} cannot be written: {error}",
                    asked.output.display()
                ))
            };
            let out = BufWriter::new(File::create(&asked.output).map_err(failed)?);
            let written = store.read_now(|c| {
                // One snapshot, while the console goes on.
                let snapshot = c.snapshot()?;
                Ok(bundle::write(&snapshot, now, &bundle::Selection::All, out))
            })?;
            print(&format!("{} entries", written?))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn nothing_signed() -> Failure {
    Failure::new(
        "nothing in this ledger has been signed yet",
        "`countersign serve` signs it.",
    )
}

fn run_verify(
    asked: &Verify,
    print: impl Fn(&str) -> Result<(), Failure>,
) -> Result<ExitCode, Failure> {
    let key = read_key(&asked.key)?;
    let mut checkpoints = Vec::new();
    for file in &asked.checkpoints {
        let text = fs::read_to_string(file)
            .map_err(|error| Failure::plain(format!("{}: {error}", file.display())))?;
        let notes = split_notes(&text);
        let unreadable = notes.iter().any(|note| Note::parse(note).is_err());
        if notes.is_empty() || unreadable {
            return Err(Failure::new(
                format!("{} does not have signed checkpoints", file.display()),
                "A checkpoint is what `countersign ledger checkpoint` prints, or what a witness was sent.",
            ));
        }
        checkpoints.extend(notes);
    }
    let mut against = Against {
        key,
        checkpoints,
        beside: Vec::new(),
        derived: false,
        selection: false,
    };
    let report: Report = match &asked.export {
        None => {
            against.derived = true;
            if let Some(folder) = asked.place.known_folder()? {
                against.beside = folder.checkpoints().notes().map_err(|error| {
                    let path = folder.checkpoints().path().display().to_string();
                    Failure::plain(format!("{path}: {error}"))
                })?;
            }
            // A note that a crash cut off says nothing.
            against.beside.retain(|note| Note::parse(note).is_ok());
            let connection = store::read_only(&asked.place.place()?)?;
            // One snapshot, while a console may go on.
            let snapshot = connection.snapshot().map_err(StoreError::from)?;
            verify(&snapshot, &against)?
        }
        Some(export) => {
            let file = File::open(export)
                .map_err(|error| Failure::plain(format!("{}: {error}", export.display())))?;
            let scratch = store::Scratch::new()?;
            let read = bundle::read(BufReader::new(file), scratch.path())?;
            against.selection = read.selection;
            verify(&read.connection, &against)?
        }
    };
    if asked.json {
        let text = serde_json::to_string_pretty(&report);
        print(&text.map_err(|error| Failure::plain(error.to_string()))?)?;
    } else {
        print(&report.to_string())?;
    }
    Ok(if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn read_key(text: &str) -> Result<Verifier, Failure> {
    let (given, place) = match fs::read_to_string(text) {
        Ok(file) => (file, format!("{text}: ")),
        Err(_) => (text.to_owned(), String::new()),
    };
    Verifier::parse(&given).map_err(|error| {
        Failure::new(
            format!("{place}{error}"),
            "Give the line that `countersign ledger keys show` prints, or a file with it.",
        )
    })
}

fn proof(asked: &Proof) -> Result<String, Failure> {
    let store = asked.place.store()?;
    let newest = store
        .read_now(checkpoint::newest)?
        .map(|newest| newest.size);
    let size = asked.size.or(newest).ok_or_else(nothing_signed)?;
    let encode = |hash: &super::entry::Hash| STANDARD.encode(hash);
    let (entry, from) = (asked.entry, asked.from);
    let value = store.read_now(|c| {
        if size > count(c)? {
            return Ok(None);
        }
        let root = encode(&tree::root(c, size)?);
        Ok(match (entry, from) {
            (Some(index), _) if (0..size).contains(&index) => {
                let path: Vec<String> = tree::inclusion(c, index, size)?
                    .iter()
                    .map(encode)
                    .collect();
                let entry = read::entry(c, index)?;
                let hash = entry.as_ref().map(|entry| encode(&entry.hash));
                Some(
                    json!({"index": index, "size": size, "leaf": entry.and_then(|e| e.leaf),
                            "leaf_hash": hash, "root": root, "proof": path}),
                )
            }
            (None, Some(from)) if (0..=size).contains(&from) => {
                let path: Vec<String> = tree::consistency(c, from, size)?
                    .iter()
                    .map(encode)
                    .collect();
                Some(
                    json!({"from": from, "to": size, "from_root": encode(&tree::root(c, from)?),
                            "to_root": root, "proof": path}),
                )
            }
            _ => None,
        })
    })?;
    let value = value.ok_or_else(|| {
        Failure::new(
            "the ledger does not have that",
            "`countersign ledger status` says how many entries there are; the first is 0.",
        )
    })?;
    serde_json::to_string_pretty(&value).map_err(|error| Failure::plain(error.to_string()))
}

fn run_keys(
    asked: Keys,
    now: Millis,
    print: impl Fn(&str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    match asked {
        Keys::List(Data { place }) => {
            for key in place.store()?.read_now(keys::announced)? {
                print(&format!(
                    "{}\t{}\tentry {}\t{}",
                    readable(key.at),
                    key.event,
                    key.index,
                    key.verifier
                ))?;
            }
        }
        Keys::Show(Data { place }) => {
            let last = place.store()?.read_now(keys::announced)?.pop();
            print(&last.ok_or_else(nothing_signed)?.verifier.to_string())?;
        }
        Keys::Rotate {
            place,
            signing_key,
            lost,
        } => {
            let folder = place.known_folder()?;
            let store = place.store()?;
            let file = match (signing_key, &folder) {
                (Some(path), _) => keys::KeyFile::at(path),
                (None, Some(folder)) => folder.signing_key(),
                (None, None) => {
                    return Err(Failure::new(
                        "where the signing key is has to be said",
                        "Give the folder of a console with --data DIR, or the file with --signing-key FILE.",
                    ));
                }
            };
            let new = keys::rotate(&store, &file, now, lost)?;
            if let Some(folder) = &folder {
                checkpoint::catch_up(&store, &folder.checkpoints())?;
            }
            print(&new.to_string())?;
        }
    }
    Ok(())
}

fn run_hold(
    asked: Hold,
    now: Millis,
    print: impl Fn(&str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    match asked {
        Hold::Add {
            place,
            user,
            session,
            exchange,
            connection,
            from,
            until,
            reason,
            who,
        } => {
            let moment = |text: Option<String>| {
                text.map(|text| parse_moment(&text, now).map_err(Failure::plain))
                    .transpose()
            };
            let filter = hold::Filter {
                user,
                session,
                exchange,
                connection,
                from: moment(from)?,
                until: moment(until)?,
            };
            let id = place
                .store()?
                .write_now(move |c| hold::add(c, now, &filter, &reason, &who))?;
            print(&id)?;
        }
        Hold::Remove {
            id,
            place,
            reason,
            who,
        } => {
            let wanted = id.clone();
            let store = place.store()?;
            if !store.write_now(move |c| hold::lift(c, now, &wanted, &reason, &who))? {
                return Err(Failure::new(
                    format!("there is no hold `{id}` that stands"),
                    "`countersign ledger hold list --data DIR` shows them.",
                ));
            }
        }
        Hold::List(Data { place }) => {
            for hold in place.store()?.read_now(|c| hold::list(c, false))? {
                let lifted = hold.lifted_at.map_or_else(
                    || "stands".to_owned(),
                    |at| format!("lifted {}", readable(at)),
                );
                let filter = serde_json::to_string(&hold.filter).unwrap_or_default();
                print(&format!(
                    "{}\t{}\t{lifted}\t{filter}\t{}\t{}",
                    hold.id,
                    readable(hold.added_at),
                    hold.who,
                    hold.reason
                ))?;
            }
        }
    }
    Ok(())
}

fn in_words(health: &health::Health) -> String {
    let derive::Position { entries, .. } = health.position;
    let mut lines = vec![
        format!(
            "entries       {entries}, {} not searchable yet",
            health.position.behind()
        ),
        format!("signed        {}", health.signed),
        match health.checkpoint_at {
            Some(at) => format!(
                "checkpoint    {} entries, {}",
                health.checkpoint_size,
                readable(at)
            ),
            None => "checkpoint    none".to_owned(),
        },
        format!(
            "missing       {} numbers of workers; they dropped {}",
            health.missing, health.dropped
        ),
        format!("no outcome    {} exchanges", health.without_outcome),
    ];
    for worker in &health.workers {
        let gaps: Vec<String> = worker
            .gaps
            .iter()
            .map(|(from, to)| format!("{from}-{to}"))
            .collect();
        let gaps = if gaps.is_empty() {
            "no gap".to_owned()
        } else {
            format!("missing {}", gaps.join(", "))
        };
        lines.push(format!(
            "worker        {}  {} to {}  numbers to {}, {gaps}",
            worker.worker,
            readable(worker.first_at),
            readable(worker.last_at),
            worker.highest
        ));
    }
    for witness in &health.witnesses {
        let stands = match &witness.error {
            Some(error) => format!("failed {} times: {error}", witness.failures),
            None => format!("has {} entries", witness.sent_size),
        };
        lines.push(format!("witness       {}  {stands}", witness.url));
    }
    lines.join("\n")
}

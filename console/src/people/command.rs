//! `countersign api-token`: tokens of the HTTP API.

use std::path::PathBuf;

use clap::Subcommand;

use super::tokens::{self, Scope};
use crate::cli::print;
use crate::clock::{Clock, Millis, parse_duration, readable};
use crate::data_folder::DataFolder;
use crate::failure::Failure;

/// What to do with tokens.
#[derive(Subcommand)]
pub enum Command {
    /// Make a token and print it; it is not kept and cannot be shown again
    Add {
        /// Whom it acts for, as `countersign user list` shows him
        #[arg(long = "for", value_name = "NAME")]
        owner: String,
        /// What it is for, in a few words
        #[arg(long, value_name = "TEXT", default_value = "")]
        label: String,
        /// What it may be used for; may be given several times
        #[arg(long = "scope", value_enum, value_name = "SCOPE", required = true)]
        scopes: Vec<Scope>,
        /// When it ends, from now
        #[arg(long, value_name = "AGE", default_value = "30d", value_parser = parse_duration)]
        ends: Millis,
        /// The console's data folder
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
    },
    /// List the tokens there are: id, whose, scopes, end, last use, what for
    List {
        /// The console's data folder
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
    },
    /// Take a token away, at once
    Revoke {
        /// Its id, as `list` shows it
        id: String,
        /// The console's data folder
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
    },
}

/// Does it.
pub fn run(command: &Command) -> Result<(), Failure> {
    let now = Clock::System.now();
    match command {
        Command::Add {
            owner,
            label,
            scopes,
            ends,
            data,
        } => {
            if *ends <= 0 {
                return Err(Failure::plain("--ends: a token ends in the future"));
            }
            let store = DataFolder::open(data)?.store()?;
            let (name, label, scopes, ends) =
                (owner.clone(), label.clone(), scopes.clone(), now + *ends);
            let made =
                store.write_now(move |c| tokens::make(c, now, &name, &label, &scopes, ends))?;
            let Some((id, token)) = made else {
                return Err(Failure::new(
                    format!("there is no user `{owner}`"),
                    "`countersign user list --data DIR` shows who there is; who signs in with OpenID is there after the first time.",
                ));
            };
            eprintln!("token {id}, until {} UTC", readable(ends));
            print(&token)
        }
        Command::List { data } => {
            let store = DataFolder::open(data)?.store()?;
            for token in store.read_now(tokens::list)? {
                let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.word()).collect();
                let used = token.used_at.map_or_else(|| "never".to_owned(), readable);
                print(&format!(
                    "{}\t{}\t{}\t{}\t{used}\t{}",
                    token.id,
                    token.owner,
                    scopes.join(","),
                    readable(token.ends_at),
                    token.label
                ))?;
            }
            Ok(())
        }
        Command::Revoke { id, data } => {
            let store = DataFolder::open(data)?.store()?;
            let wanted = id.clone();
            if store.write_now(move |c| tokens::revoke(c, &wanted))? {
                return Ok(());
            }
            Err(Failure::new(
                format!("there is no token `{id}`"),
                "`countersign api-token list --data DIR` shows which there are.",
            ))
        }
    }
}

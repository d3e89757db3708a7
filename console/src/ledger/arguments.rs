//! The command line of `countersign ledger …`.

#![allow(missing_docs)] // What each of them is stands where it is used in `Ledger`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::clock::{Millis, parse_duration};
use crate::data_folder::Where;
use crate::exchanges::command::Search;
use crate::export::command::Export;
use crate::export::evidence::Evidence;

/// What can be done with a ledger.
#[derive(Subcommand)]
pub enum Ledger {
    /// Check that nothing was edited, removed, moved, inserted or cut; works offline
    ///
    /// Give an export (`countersign ledger bundle`) or a data folder, and the public key that you
    /// trust. With a checkpoint that you kept, somebody who has the signing key is found out as well.
    /// The first entry that is wrong is named; the exit status is 1 if there is one.
    Verify(Verify),
    /// Print the newest signed checkpoint
    Checkpoint(Data),
    /// Print the proof that an entry is in the ledger, or that an earlier ledger is the beginning
    /// of the present one
    Proof(Proof),
    /// The signing keys: list, show, rotate
    #[command(subcommand)]
    Keys(Keys),
    /// Delete what is older than it has to be: bodies first, whole days last
    ///
    /// Hashes stay, so that the rest verifies; each deletion is an entry; what a legal hold covers
    /// stays.
    Retain(Retain),
    /// Legal holds: add, list, remove
    #[command(subcommand)]
    Hold(Hold),
    /// Print how complete the ledger is: gaps, restarts, exchanges without an outcome, witnesses
    Status(Status),
    /// Write the whole ledger to a file that `countersign ledger verify` checks
    Bundle(Bundle),
    /// Find exchanges, with the query language of the console's search bar
    ///
    /// A search of a data folder is on record in it, as one of a console is.
    Search(Search),
    /// Write the trail in a form that other systems read, or send it to them
    Export(Box<Export>),
    /// Make one file of what was recorded of somebody in a time, with what proves it
    Evidence(Evidence),
}

#[derive(Args)]
pub struct Data {
    #[command(flatten)]
    pub(super) place: Where,
}

#[derive(Args)]
#[command(after_help = "\
Example:
  countersign ledger verify trail.ndjson --key auditor/ledger.vkey --checkpoint auditor/last-month.txt")]
pub struct Verify {
    /// The export to check; without it, the data folder or database, with every table in it
    #[arg(conflicts_with = "data")]
    pub(super) export: Option<PathBuf>,
    #[command(flatten)]
    pub(super) place: Where,
    /// The public key to trust: `countersign ledger keys show`, or a file with it
    #[arg(long, value_name = "FILE|VKEY")]
    pub(super) key: String,
    /// Checkpoints that were kept elsewhere, one or many in a file; may be given several times
    #[arg(long = "checkpoint", value_name = "FILE")]
    pub(super) checkpoints: Vec<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args)]
pub struct Proof {
    #[command(flatten)]
    pub(super) place: Where,
    /// The entry whose inclusion is proven
    #[arg(long, value_name = "INDEX", required_unless_present = "from")]
    pub(super) entry: Option<i64>,
    /// The size of the earlier ledger
    #[arg(long, value_name = "SIZE", conflicts_with = "entry")]
    pub(super) from: Option<i64>,
    /// The size of the ledger that it is proven for; the newest checkpoint's if not given
    #[arg(long, value_name = "SIZE")]
    pub(super) size: Option<i64>,
}

#[derive(Subcommand)]
pub enum Keys {
    /// Every key that the ledger has had
    List(Data),
    /// The public key that is in use, as `verify --key` takes it
    Show(Data),
    /// Take a new key into use; a running console goes on with it
    Rotate {
        #[command(flatten)]
        place: Where,
        /// The signing key, if it is not in the data folder
        #[arg(long, value_name = "FILE", env = "COUNTERSIGN_SIGNING_KEY")]
        signing_key: Option<PathBuf>,
        /// The old key is gone: auditors have to be given the new one
        #[arg(long)]
        lost: bool,
    },
}

#[derive(Args)]
pub struct Retain {
    #[command(flatten)]
    pub(super) place: Where,
    /// Delete bodies that are older
    #[arg(long, value_name = "AGE", value_parser = parse_duration, required_unless_present = "periods_after")]
    pub(super) bodies_after: Option<Millis>,
    /// Delete whole days that are older
    #[arg(long, value_name = "AGE", value_parser = parse_duration)]
    pub(super) periods_after: Option<Millis>,
}

#[derive(Subcommand)]
pub enum Hold {
    /// Put a hold on; prints its id
    Add {
        #[command(flatten)]
        place: Where,
        /// Subject or e-mail address
        #[arg(long)]
        user: Option<String>,
        /// Session
        #[arg(long)]
        session: Option<String>,
        /// Exchange
        #[arg(long)]
        exchange: Option<String>,
        /// Connection of the policy
        #[arg(long)]
        connection: Option<String>,
        /// Taken at or after: a date, a time, or an age such as 30d
        #[arg(long, value_name = "TIME")]
        from: Option<String>,
        /// Taken before
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        /// Why, for the record
        #[arg(long)]
        reason: String,
        /// Who puts it on, for the record
        #[arg(long)]
        who: String,
    },
    /// Lift a hold
    Remove {
        /// The hold
        id: String,
        #[command(flatten)]
        place: Where,
        /// Why, for the record
        #[arg(long)]
        reason: String,
        /// Who lifts it, for the record
        #[arg(long)]
        who: String,
    },
    /// Every hold, lifted ones too
    List(Data),
}

#[derive(Args)]
pub struct Status {
    #[command(flatten)]
    pub(super) place: Where,
    /// Print it as JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args)]
pub struct Bundle {
    #[command(flatten)]
    pub(super) place: Where,
    /// The file to write
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: PathBuf,
}

//! `countersign ledger evidence`: what was recorded of somebody in a time, with what proves it, in one
//! file that an auditor can check without the console.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::feed::{self, Item, Selection};
use super::{Encoder, Format, report};
use crate::approvals;
use crate::clock::{Clock, Millis, parse_moment, rfc3339};
use crate::data_folder::Where;
use crate::exchanges::command::read_query;
use crate::failure::Failure;
use crate::intake::record::text;
use crate::ledger::{Kind, bundle, checkpoint, keys};
use crate::store::StoreError;
use crate::store::sql::Connection;

const PAGE: u32 = 500;

/// What to prove, and where to.
#[derive(Args)]
#[command(after_help = "\
Example:
  countersign ledger evidence --data ./data --from 2026-05-01 --to 2026-06-01 --user ci-runner --out may.zip")]
pub struct Evidence {
    #[command(flatten)]
    place: Where,
    /// At or after this time: 2026-05-01, 2026-05-01T13:00Z, or an age such as 2h or 3d
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Of this identity: subject or e-mail address
    #[arg(long, value_name = "WHO")]
    user: Option<String>,
    /// Of exchanges that this search finds, as in `op:ref.push repo:acme/*`
    #[arg(long, short = 'q', value_name = "QUERY")]
    query: Option<String>,
    /// The file to make
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Everything that goes into a pack.
pub(super) struct Found {
    /// Entries that are about what was asked for, in order.
    pub items: Vec<Item>,
    /// Approvals that those name, with their steps.
    pub approvals: Vec<Value>,
    /// Policies that decided: the digest, how often, and the text if the ledger has it.
    pub policies: BTreeMap<String, (u64, Option<Value>)>,
    /// Entries of the ledger in all.
    pub entries: i64,
    /// The newest checkpoint.
    pub checkpoint: Option<String>,
    /// The key that verifies it.
    pub key: String,
}

/// Makes a pack.
pub fn evidence(asked: &Evidence) -> Result<(), Failure> {
    let now = Clock::System.now();
    let moment = |text: &Option<String>| -> Result<Option<Millis>, Failure> {
        text.as_deref()
            .map(|text| parse_moment(text, now).map_err(Failure::plain))
            .transpose()
    };
    let selection = Selection {
        user: asked.user.clone(),
        since: moment(&asked.from)?,
        until: moment(&asked.to)?,
        query: read_query(asked.query.as_deref(), now)?,
    };
    let store = asked.place.store()?;
    let unwritable = |error: String| Failure::plain(format!("{}: {error}", asked.out.display()));
    let file = File::create_new(&asked.out).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::new(
            format!("{} is there already", asked.out.display()),
            "Evidence is not overwritten: choose another --out, or move that file away.",
        ),
        _ => unwritable(error.to_string()),
    })?;
    let written = store.read_now(|c| {
        // One look at the ledger: what is proven is what is written.
        let snapshot = c.snapshot()?;
        let found = find(&snapshot, &selection)?;
        Ok(write(&snapshot, now, &selection, &found, file).map(|()| found.items.len()))
    })?;
    match written {
        Ok(items) => crate::cli::print(&format!("{}: {items} entries", asked.out.display())),
        Err(error) => {
            // Half a pack proves nothing.
            let _ = std::fs::remove_file(&asked.out);
            Err(unwritable(error))
        }
    }
}

fn find(c: &Connection, selection: &Selection) -> Result<Found, StoreError> {
    let mut items = Vec::new();
    let mut named: BTreeSet<String> = BTreeSet::new();
    let mut policies: BTreeMap<String, (u64, Option<Value>)> = BTreeMap::new();
    let mut cursor = 0;
    loop {
        let page = feed::page(c, cursor, PAGE, selection, true)?;
        for item in page.items {
            named.extend(text(&item.attributes, "countersign.approval.id").map(str::to_owned));
            if let Some(digest) = text(&item.attributes, "countersign.policy.digest") {
                policies.entry(digest.to_owned()).or_default().0 += 1;
            }
            items.push(item);
        }
        cursor = page.next;
        if page.end {
            break;
        }
    }
    let mut approvals = Vec::new();
    for id in &named {
        if let Some(found) = approvals::find(c, id)? {
            approvals.push(approval(&found, &approvals::events(c, id)?));
        }
    }
    // Steps of those approvals and texts of those policies are entries of their own.
    let mut cursor = 0;
    loop {
        let everything = Selection::default();
        let page = feed::page(c, cursor, PAGE, &everything, false)?;
        for item in page.items {
            let word = |key: &str| text(&item.attributes, key);
            match item.kind {
                Kind::ApprovalEvent if word("approval").is_some_and(|id| named.contains(id)) => {
                    items.push(item);
                }
                Kind::Policy => {
                    let digest = word("countersign.policy.digest");
                    let document = word("countersign.policy.document");
                    let known = digest.and_then(|digest| policies.get_mut(digest));
                    // Every worker tells it; once is enough here.
                    if let (Some((_, text @ None)), Some(document)) = (known, document) {
                        *text = serde_json::from_str(document).ok();
                        items.push(item);
                    }
                }
                _ => {}
            }
        }
        cursor = page.next;
        if page.end {
            break;
        }
    }
    items.sort_by_key(|item| item.index);
    let key = keys::announced(c)?.pop();
    Ok(Found {
        items,
        approvals,
        policies,
        entries: crate::ledger::entry::count(c)?,
        checkpoint: checkpoint::newest(c)?.map(|stored| stored.note),
        key: key.map_or_else(String::new, |key| key.verifier.to_string()),
    })
}

fn approval(approval: &approvals::Approval, events: &[approvals::Event]) -> Value {
    let events: Vec<Value> = events
        .iter()
        .map(|event| {
            json!({ "at": rfc3339(event.at), "step": event.kind, "who": event.who,
                    "exchange": event.exchange, "note": event.note })
        })
        .collect();
    let votes: Vec<Value> = approval
        .votes
        .iter()
        .map(|vote| json!({ "who": vote.who, "at": rfc3339(vote.at), "why": vote.why }))
        .collect();
    json!({
        "id": approval.id, "state": approval.state.as_str(), "asked_at": rfc3339(approval.asked_at),
        "decided_at": approval.decided_at.map(rfc3339), "decided_by": approval.decided_by,
        "why": approval.decided_why, "consumed_by": approval.consumed_by, "votes": votes, "steps": events,
    })
}

fn write(
    c: &Connection,
    now: Millis,
    selection: &Selection,
    found: &Found,
    file: File,
) -> Result<(), String> {
    let mut pack = Pack {
        zip: ZipWriter::new(BufWriter::new(file)),
        sums: String::new(),
    };
    let export = |format: Format| {
        let mut encoder = Encoder::new(format);
        let mut out = Vec::new();
        encoder.head(&mut out);
        for item in &found.items {
            encoder.item(item, &mut out);
        }
        encoder.tail(&mut out);
        out
    };
    pack.add("records.ndjson", &export(Format::Ndjson))?;
    pack.add("exchanges.csv", &export(Format::Csv))?;
    pack.add("approvals.json", &pretty(&found.approvals.clone().into()))?;
    let policies: Map<String, Value> = found
        .policies
        .iter()
        .map(|(digest, (times, text))| {
            (
                digest.clone(),
                json!({ "records": times, "document": text }),
            )
        })
        .collect();
    pack.add("policies.json", &pretty(&policies.into()))?;
    let mut ledger = Vec::new();
    let wanted: HashSet<i64> = found.items.iter().map(|item| item.index).collect();
    bundle::write(c, now, &bundle::Selection::Entries(wanted), &mut ledger)
        .map_err(|error| error.to_string())?;
    pack.add("ledger.ndjson", &ledger)?;
    pack.add("ledger.vkey", format!("{}\n", found.key).as_bytes())?;
    if let Some(checkpoint) = &found.checkpoint {
        pack.add("checkpoint.txt", checkpoint.as_bytes())?;
    }
    pack.add(
        "report.html",
        report::html(now, selection, found)?.as_bytes(),
    )?;
    pack.add("VERIFY.md", verify_text(found).as_bytes())?;
    let sums = std::mem::take(&mut pack.sums);
    pack.add("SHA256SUMS", sums.as_bytes())?;
    let mut out = pack.zip.finish().map_err(|error| error.to_string())?;
    out.flush().map_err(|error| error.to_string())?;
    out.get_ref().sync_all().map_err(|error| error.to_string())
}

struct Pack {
    zip: ZipWriter<BufWriter<File>>,
    sums: String,
}

impl Pack {
    fn add(&mut self, name: &str, content: &[u8]) -> Result<(), String> {
        let options = SimpleFileOptions::default().large_file(content.len() > 1 << 30);
        self.zip
            .start_file(name, options)
            .map_err(|error| error.to_string())?;
        self.zip
            .write_all(content)
            .map_err(|error| error.to_string())?;
        let digest = Sha256::digest(content);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        self.sums.push_str(&format!("{hex}  {name}\n"));
        Ok(())
    }
}

fn pretty(value: &Value) -> Vec<u8> {
    serde_json::to_vec_pretty(value).unwrap_or_default()
}

fn verify_text(found: &Found) -> String {
    let checkpoint = match found.checkpoint {
        Some(_) => " --checkpoint checkpoint.txt",
        None => "",
    };
    let key = &found.key;
    let entries = found.entries;
    format!(
        "# How to check this evidence

Nothing here has to be believed: these commands check it, offline, with the `countersign` program of anybody's making from
its source.

The files are the ones that were packed:

```sh
sha256sum -c SHA256SUMS
```

Each entry is in the ledger under the signed checkpoint, at its place, unchanged; of the ledger's {entries} entries those
that are not part of this evidence are here as hashes only:

```sh
countersign ledger verify ledger.ndjson --key ledger.vkey{checkpoint}
```

**The key is what you trust.** `ledger.vkey` here came with the evidence. Compare it with the one that you were given
before, by another way than this file:

```text
{key}
```

A checkpoint that was kept elsewhere (by you, or by a witness) also shows that the ledger was not rewritten since:

```sh
countersign ledger verify ledger.ndjson --key YOUR.vkey --checkpoint YOUR-OLDER-CHECKPOINT.txt
```

| file | what it is |
|---|---|
| `report.html` | for reading and printing; made from the records |
| `records.ndjson` | each record with its bodies, as captured after masking |
| `exchanges.csv` | one line for each exchange |
| `approvals.json` | who was asked, who answered, and why |
| `policies.json` | the policies that decided: digest, number of records, and the text where the ledger has it |
| `ledger.ndjson` | the entries with what proves them: hashes, bodies, checkpoints |
| `checkpoint.txt`, `ledger.vkey` | the newest signed checkpoint, and the key that verifies it |

`records.ndjson` is the readable form of `ledger.ndjson`: where they should differ, the ledger counts.
"
    )
}

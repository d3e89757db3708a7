//! The entries, one after the other, against their hashes, the tiles, the seals and the checkpoints.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use super::claims::{Claim, claims};
use super::trust::Trusted;
use super::{Against, Report, What};
use crate::clock::Millis;
use crate::ledger::body::{hex, references};
use crate::ledger::entry::{Hash, leaf_hash};
use crate::ledger::note::Note;
use crate::ledger::retain::Deleted;
use crate::ledger::seal;
use crate::ledger::tree::{self, Edge, TileBuilder};
use crate::store::StoreError;
use crate::store::sql::{self, Connection, ValueRef};

/// What the entries say of bodies.
#[derive(Default)]
pub(super) struct Seen {
    /// The newest entry that has a body.
    pub bodies: HashMap<Hash, i64>,
    /// What retention has deleted, as entries say.
    pub deleted: Deleted,
}

/// A row of `entries`, whatever is in it.
struct Row {
    index: i64,
    at: Option<Millis>,
    kind: String,
    leaf: Option<Vec<u8>>,
    hash: Option<Hash>,
}

/// A seal that the pass has gone by.
struct Passed {
    size: i64,
    line: String,
    root: Hash,
}

struct Pass<'a> {
    c: &'a Connection,
    against: &'a Against,
    trusted: &'a Trusted,
    edge: Edge,
    tiles: TileBuilder,
    /// The tile of leaf hashes that stands for the entries around here.
    tile: Option<(i64, Option<Vec<Hash>>)>,
    claims: BTreeMap<i64, Vec<Claim>>,
    seals: std::vec::IntoIter<(i64, String)>,
    next_seal: Option<(i64, String)>,
    /// Seals since the last statement that held.
    passed: Vec<Passed>,
    /// How many entries are known to be right, as the newest statement that holds says.
    good: i64,
    /// The same, by statements that were kept elsewhere.
    good_elsewhere: i64,
    seen: Seen,
    /// The first entry that is wrong by itself.
    wrong: Option<i64>,
}

/// Checks them all.
pub(super) fn check(
    c: &Connection,
    against: &Against,
    trusted: &Trusted,
    report: &mut Report,
) -> Result<Seen, StoreError> {
    let mut seals = seal::between(c, 0, i64::MAX)?.into_iter();
    let mut pass = Pass {
        c,
        against,
        trusted,
        edge: Edge::default(),
        tiles: TileBuilder::default(),
        tile: None,
        claims: claims(c, against, trusted, report)?,
        next_seal: seals.next(),
        seals,
        passed: Vec::new(),
        good: 0,
        good_elsewhere: 0,
        seen: Seen {
            deleted: Deleted::read(c)?,
            ..Seen::default()
        },
        wrong: None,
    };
    let sql = "SELECT idx, at, kind, leaf, hash FROM entries ORDER BY idx";
    c.scan::<StoreError>(sql, &[], |row| {
        let row = Row::read(row)?;
        let expected = pass.edge.size() as i64;
        if row.index != expected {
            pass.gap(expected, row.index, report);
            return Ok(false);
        }
        pass.entry(&row, report)?;
        Ok(true)
    })?;
    pass.end(report)?;
    Ok(pass.seen)
}

impl Row {
    /// Reads a row in which anything may stand.
    fn read(row: &sql::Row<'_>) -> Result<Self, StoreError> {
        let bytes = |column: usize| -> Result<Option<Vec<u8>>, StoreError> {
            Ok(match row.get_ref(column)? {
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes.to_vec()),
                ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => None,
            })
        };
        Ok(Self {
            index: row.get(0)?,
            at: row.get(1).ok(),
            kind: row.get(2).unwrap_or_default(),
            leaf: bytes(3)?,
            hash: bytes(4)?.and_then(|hash| hash.try_into().ok()),
        })
    }

    fn parsed(&self) -> Option<Map<String, Value>> {
        serde_json::from_slice(self.leaf.as_deref()?).ok()
    }
}

impl Pass<'_> {
    fn entry(&mut self, row: &Row, report: &mut Report) -> Result<(), StoreError> {
        let computed = row.leaf.as_deref().map(leaf_hash);
        let Some(hash) = computed.or(row.hash) else {
            self.local(What::Edited, row.index, "its hash was changed", report);
            self.push([0; 32], report)?;
            return Ok(());
        };
        let parsed = row.parsed();
        if let Some((what, why)) = self.look(row, hash, parsed.as_ref())? {
            self.local(what, row.index, &why, report);
        }
        if let Some(value) = parsed
            .as_ref()
            .and_then(|leaf| leaf.get("value")?.as_object())
        {
            for (key, reference) in references(value) {
                match reference {
                    Some(reference) => {
                        self.seen.bodies.insert(reference.sha256, row.index);
                    }
                    None => {
                        let why = format!("what it says of {key} cannot be read");
                        self.local(What::Edited, row.index, &why, report);
                    }
                }
            }
        }
        if row.leaf.is_none() {
            report.hashes_only += 1;
        }
        self.push(hash, report)
    }

    /// What is wrong with an entry by itself and beside its neighbours.
    fn look(
        &mut self,
        row: &Row,
        hash: Hash,
        leaf: Option<&Map<String, Value>>,
    ) -> Result<Option<(What, String)>, StoreError> {
        let index = row.index;
        let in_tile = self.tile_hash(index)?;
        if row.leaf.is_none() {
            if in_tile.is_some_and(|expected| expected != hash) {
                return Ok(Some((What::Edited, "its hash was changed".into())));
            }
            let allowed = self.against.selection || self.seen.deleted.covers_leaf(index);
            return Ok((!allowed).then(|| {
                let why = "its contents were removed, and no retention says so";
                (What::Removed, why.to_owned())
            }));
        }
        let Some(leaf) = leaf else {
            return Ok(Some((What::Edited, "it is no JSON any more".into())));
        };
        let says = leaf.get("index").and_then(Value::as_i64);
        if says != Some(index) {
            return Ok(Some(self.misplaced(index, says)?));
        }
        if in_tile.is_some_and(|expected| expected != hash) || row.hash != Some(hash) {
            // An insertion pushes what stood here to the next place.
            let expected = in_tile.or(row.hash);
            let next = self.hash_at(index + 1)?;
            if expected.is_some() && in_tile.is_some() && next == expected {
                let why = "what stood here stands one place later";
                return Ok(Some((What::Inserted, why.into())));
            }
            let why = "its contents do not have the hash that was recorded";
            return Ok(Some((What::Edited, why.into())));
        }
        let at = leaf.get("at").and_then(Value::as_i64);
        let kind = leaf.get("kind").and_then(Value::as_str);
        if at != row.at || kind != Some(row.kind.as_str()) {
            let why = "the columns beside its contents say something else";
            return Ok(Some((What::Edited, why.into())));
        }
        Ok(None)
    }

    /// Another entry stands here.
    fn misplaced(&self, index: i64, says: Option<i64>) -> Result<(What, String), StoreError> {
        let Some(says) = says else {
            return Ok((What::Edited, "it does not say its own place".into()));
        };
        let here = self.says_at(index + 1)?;
        let words = format!("what stands there says that it is entry {says}");
        let what = match () {
            // Everything behind moved up by one place ...
            () if says == index + 1 && here != Some(index) => What::Removed,
            // ... or down.
            () if says == index - 1 => What::Inserted,
            () => What::Reordered,
        };
        Ok((what, words))
    }

    fn says_at(&self, index: i64) -> Result<Option<i64>, StoreError> {
        let row = self.row(index)?;
        Ok(row.and_then(|row| row.parsed()?.get("index")?.as_i64()))
    }

    fn hash_at(&self, index: i64) -> Result<Option<Hash>, StoreError> {
        let row = self.row(index)?;
        Ok(row.and_then(|row| row.leaf.as_deref().map(leaf_hash).or(row.hash)))
    }

    fn row(&self, index: i64) -> Result<Option<Row>, StoreError> {
        let mut statement = self
            .c
            .prepare_cached("SELECT idx, at, kind, leaf, hash FROM entries WHERE idx = ?1")?;
        let mut rows = statement.query([index])?;
        rows.next()?.map(|row| Row::read(&row)).transpose()
    }

    /// The hash of an entry as the tile has it; nothing where no tile is full yet.
    fn tile_hash(&mut self, index: i64) -> Result<Option<Hash>, StoreError> {
        let position = index / tree::WIDTH;
        if self
            .tile
            .as_ref()
            .is_none_or(|(known, _)| *known != position)
        {
            // A tile that is not one is found when it is compared whole.
            let tile = tree::tile(self.c, 0, position).ok().flatten();
            self.tile = Some((position, tile));
        }
        let place = (index % tree::WIDTH) as usize;
        let tile = self.tile.as_ref().and_then(|(_, tile)| tile.as_ref());
        Ok(tile.and_then(|hashes| hashes.get(place).copied()))
    }

    fn local(&mut self, what: What, index: i64, why: &str, report: &mut Report) {
        // Behind the first one, most things are wrong in consequence.
        if self.wrong.is_some() {
            return;
        }
        self.wrong = Some(index);
        let verb = match what {
            What::Removed => "was removed",
            What::Inserted => "was inserted",
            What::Reordered => "was moved",
            _ => "was edited",
        };
        report.add(what, Some(index), format!("entry {index} {verb}: {why}"));
    }

    fn gap(&mut self, expected: i64, found: i64, report: &mut Report) {
        if found < expected {
            report.add(
                What::Inserted,
                Some(expected),
                format!("entry {found} was inserted"),
            );
            self.wrong = Some(self.wrong.unwrap_or(expected));
            return;
        }
        let words = match found - expected {
            1 => format!("entry {expected} was removed"),
            _ => format!("entries {expected} to {} were removed", found - 1),
        };
        if self.wrong.is_none() {
            report.add(What::Removed, Some(expected), words);
        }
        self.wrong = Some(self.wrong.unwrap_or(expected));
    }

    fn push(&mut self, hash: Hash, report: &mut Report) -> Result<(), StoreError> {
        self.edge.push(hash);
        self.tiles.push(hash);
        let size = self.edge.size() as i64;
        self.compare_tiles(report)?;
        if self.next_seal.as_ref().is_some_and(|(at, _)| *at == size)
            && let Some((size, line)) = self.next_seal.take()
        {
            self.next_seal = self.seals.next();
            let root = self.edge.root();
            self.passed.push(Passed { size, line, root });
        }
        if let Some(claims) = self.claims.remove(&size) {
            let root = self.edge.root();
            for claim in claims {
                report.checkpoints += 1;
                if claim.said.root == root {
                    self.good = size;
                    if claim.elsewhere {
                        self.good_elsewhere = size;
                    }
                    report.signed = size;
                    self.check_seals(&claim, report)?;
                } else {
                    self.mismatch(&claim, report);
                }
            }
        }
        Ok(())
    }

    /// The entries up to a checkpoint are right; so are their seals, unless those were changed.
    fn check_seals(&mut self, claim: &Claim, report: &mut Report) -> Result<(), StoreError> {
        let passed = std::mem::take(&mut self.passed);
        if !self.against.derived {
            return Ok(());
        }
        for passed in passed {
            if !passed.holds(self.trusted) {
                let words = format!("the seal of {} entries was changed", passed.size);
                report.add(What::Signature, None, words);
            }
        }
        let size = claim.said.size as i64;
        let there = seal::count_below(self.c, size)?;
        if let Some(said) = claim.said.seals()
            && said != there
        {
            let words = format!(
                "seals of less than {size} entries were taken away or added: {said} were made, {there} are there"
            );
            report.add(What::Signature, None, words);
        }
        Ok(())
    }

    /// A statement does not hold. The seals before it say from where on, unless all of them hold: then
    /// somebody with the key has signed another history, and only what was kept elsewhere counts.
    fn mismatch(&mut self, claim: &Claim, report: &mut Report) {
        if self.wrong.is_some() {
            return;
        }
        let (size, from) = (claim.said.size, claim.from);
        let (mut first, mut last) = (self.good, size as i64 - 1);
        let mut broken = false;
        for passed in std::mem::take(&mut self.passed) {
            if passed.holds(self.trusted) {
                first = first.max(passed.size);
            } else {
                last = last.min(passed.size - 1);
                broken = true;
                break;
            }
        }
        if !broken {
            first = if claim.elsewhere {
                self.good_elsewhere
            } else {
                self.good
            };
        }
        self.wrong = Some(first);
        let words = if first == last {
            format!("entry {first} was changed: it does not have the root that was signed after it")
        } else {
            format!(
                "an entry from {first} to {last} was changed, removed or inserted, and everything up to \
                 {size} was hashed anew: the checkpoint of {size} entries {from} has another root"
            )
        };
        report.add(What::Changed, Some(first), words);
    }

    fn compare_tiles(&mut self, report: &mut Report) -> Result<(), StoreError> {
        if !self.against.derived {
            self.tiles.finished.clear();
            return Ok(());
        }
        for (level, position, hashes) in std::mem::take(&mut self.tiles.finished) {
            let stored = tree::tile(self.c, level, position).ok().flatten();
            if stored.as_ref() != Some(&hashes) && self.wrong.is_none() {
                let words =
                    format!("tile {position} of level {level} of the tree was changed or removed");
                report.add(What::Tree, None, words);
            }
        }
        Ok(())
    }

    fn end(&mut self, report: &mut Report) -> Result<(), StoreError> {
        let entries = self.edge.size() as i64;
        report.entries = entries;
        report.root = hex(&self.edge.root());
        // Statements about more entries than there are.
        let beyond: Vec<(i64, &'static str)> = self
            .claims
            .iter()
            .filter_map(|(size, claims)| Some((*size, claims.first()?.from)))
            .filter(|(size, _)| *size > entries)
            .collect();
        if let Some((size, from)) = beyond.last()
            && self.wrong.is_none()
        {
            report.add(
                What::Cut,
                Some(entries),
                format!(
                    "the tail was cut: entry {entries} and those after it are gone, at least {} of \
                     them; the checkpoint of {size} entries {from} has them",
                    size - entries
                ),
            );
        }
        self.check_tail(entries, report);
        let sealed_beyond = self.next_seal.take().filter(|(size, _)| *size > entries);
        if let Some((size, _)) = sealed_beyond
            && beyond.is_empty()
            && self.wrong.is_none()
        {
            report.add(
                What::Cut,
                Some(entries),
                format!(
                    "the tail was cut: entry {entries} and those after it are gone; a seal tells of \
                     {size} entries"
                ),
            );
        }
        Ok(())
    }

    /// The seals behind the last checkpoint.
    fn check_tail(&mut self, entries: i64, report: &mut Report) {
        let mut right = self.good;
        for passed in std::mem::take(&mut self.passed) {
            if passed.holds(self.trusted) {
                right = passed.size;
                continue;
            }
            if self.wrong.is_none() {
                self.wrong = Some(right);
                let last = passed.size - 1;
                let words = if right == last {
                    format!("entry {right} was changed: its seal does not hold")
                } else {
                    format!("an entry from {right} to {last} was changed: the seal does not hold")
                };
                report.add(What::Changed, Some(right), words);
            }
            break;
        }
        report.signed = right;
        report.unsigned_tail = entries - right;
        if self.wrong.is_some() || right == entries {
            return;
        }
        let words = if right == 0 {
            "nothing in this ledger is signed by the key given".to_owned()
        } else {
            format!(
                "entry {right} and those after it are not signed: they were put there by something \
                 other than the console"
            )
        };
        // The command line appends a few kinds while no console runs; the next start signs them.
        let records = self.c.query_row(
            "SELECT count(*) FROM entries WHERE idx >= ?1 AND kind IN ('record', 'approval_event')",
            [right],
            |row| row.get::<_, i64>(0),
        );
        if right == 0 || records.is_ok_and(|records| records > 0) {
            report.add(What::Unsigned, Some(right), words);
        }
    }
}

impl Passed {
    fn holds(&self, trusted: &Trusted) -> bool {
        let text = seal::text(&trusted.name, self.size as u64, self.root);
        Note::parse(&format!("{text}\n{}", self.line)).is_ok_and(|note| trusted.signed(&note))
    }
}

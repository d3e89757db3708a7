//! What the ledger does at each commit and between them.
//!
//! At each commit: the derived tables take a short backlog in, full tiles are stored, and the size
//! and root after the commit are sealed with a signature, so that no entry is acknowledged that is
//! not signed. Every 1,000 entries, and at least every half minute when there is something new, the
//! seal is a checkpoint that leaves the database.

use super::checkpoint::{self, CheckpointFile};
use super::entry::{Hash, count};
use super::keys::{KeyFile, announced};
use super::note::{Checkpoint, NoteKey, Verifier};
use super::tree::{self, Edge};
use super::{derive, seal};
use crate::clock::{Clock, Millis};
use crate::store::sql::{Connection, Engine};
use crate::store::{Keeper, StoreError};

/// A backlog of so many entries is derived in the transaction that brought the last of them.
const AT_ONCE: i64 = 256;
/// Entries that are derived between two looks at whether anybody waits.
const WHEN_IDLE: u32 = 256;
/// Entries that are derived in one transaction at most. Each leaves a part of the full-text index that
/// has to be merged with the others.
const TOGETHER: u32 = 4_096;
/// Entries between two checkpoints at most.
pub const EVERY: u64 = 1_000;
/// Milliseconds between two checkpoints at most, when there is something new.
pub const INTERVAL: Millis = 30_000;

/// Keeps the derived tables and the tiles up. For programs that do not sign.
#[derive(Debug)]
pub struct Deriving {
    behind: bool,
}

impl Default for Deriving {
    fn default() -> Self {
        // A console that ended may have left something.
        Self { behind: true }
    }
}

impl Keeper for Deriving {
    fn before_commit(&mut self, c: &Connection) -> Result<(), StoreError> {
        let mut position = derive::position(c)?;
        if position.behind() <= AT_ONCE {
            position = derive::advance(c, AT_ONCE as u32)?;
        }
        self.behind = position.behind() > 0;
        tree::store_tiles(c)
    }

    fn after_commit(&mut self) {}

    fn has_work(&self) -> bool {
        self.behind
    }

    fn when_idle(
        &mut self,
        c: &Connection,
        is_waited_for: &dyn Fn() -> bool,
    ) -> Result<bool, StoreError> {
        for _ in 0..TOGETHER / WHEN_IDLE {
            self.behind = derive::advance(c, WHEN_IDLE)?.behind() > 0;
            if !self.behind || is_waited_for() {
                break;
            }
        }
        Ok(self.behind)
    }
}

/// Signs as well.
pub struct Signing {
    deriving: Deriving,
    clock: Clock,
    key: NoteKey,
    key_file: KeyFile,
    checkpoints: CheckpointFile,
    /// The tree as it was committed last; nothing before the first commit.
    edge: Option<Edge>,
    /// Seals that there are.
    seals: u64,
    /// What stands when the transaction under way is committed: the tree, the seals, new checkpoints.
    pending: Option<(Edge, u64, Vec<String>)>,
    /// When the newest checkpoint was made.
    newest_at: Millis,
    newest_size: u64,
    /// Checkpoints of other consoles that the file does not have yet.
    others: Vec<String>,
}

impl Signing {
    /// Signs with `key`, and with what is in `key_file` once the ledger says that another key is in
    /// use.
    pub fn new(clock: Clock, key: NoteKey, key_file: KeyFile, checkpoints: CheckpointFile) -> Self {
        Self {
            deriving: Deriving::default(),
            clock,
            key,
            key_file,
            checkpoints,
            edge: None,
            seals: 0,
            pending: None,
            newest_at: 0,
            newest_size: 0,
            others: Vec::new(),
        }
    }

    /// The tree after the last commit of this process, or what the database says it is.
    fn edge(&mut self, c: &Connection) -> Result<Edge, StoreError> {
        if let Some(edge) = &self.edge {
            let edge = edge.clone();
            return match c.engine() {
                // The folder is locked: nobody else signs.
                Engine::Sqlite => Ok(edge),
                Engine::Postgres => self.follow(c, edge),
            };
        }
        if let Some(newest) = checkpoint::newest(c)? {
            self.newest_at = newest.at;
            self.newest_size = newest.size as u64;
        }
        self.seals = seal::count_below(c, i64::MAX)?;
        tree::edge(c, seal::newest_size(c)?.unwrap_or(0))
    }

    /// Goes on from where another console, or a commit of this one whose answer was lost, has left the
    /// tree. What stood before still stands, and what came since is signed: else nothing is taken.
    fn follow(&mut self, c: &Connection, mut edge: Edge) -> Result<Edge, StoreError> {
        let known = edge.size();
        let sealed = seal::newest_size(c)?.unwrap_or(0) as u64;
        if sealed == known {
            return Ok(edge);
        }
        for hash in new_hashes(c, known, sealed)? {
            edge.push(hash);
        }
        let keys: Vec<Verifier> = announced(c)?.into_iter().map(|key| key.verifier).collect();
        if edge.size() != sealed || !seal::is_newest(c, &edge, &keys)? {
            return Err(StoreError::Unreadable(format!(
                "the ledger had {known} entries, and the {sealed} that are signed now do not follow from them"
            )));
        }
        self.seals += seal::between(c, known as i64 + 1, sealed as i64)?.len() as u64;
        let newer = checkpoint::after(c, self.newest_size as i64)?;
        if let Some(newest) = newer.last() {
            self.newest_at = newest.at;
            self.newest_size = newest.size as u64;
        }
        self.others
            .extend(newer.into_iter().map(|stored| stored.note));
        self.edge = Some(edge.clone());
        Ok(edge)
    }

    /// The key that the ledger says is in use.
    fn key(&mut self, c: &Connection) -> Result<&NoteKey, StoreError> {
        if let Some(last) = announced(c)?.pop()
            && last.verifier != *self.key.verifier()
        {
            self.key = self
                .key_file
                .read_current(&last.verifier)
                .map_err(|failure| StoreError::NoKey(failure.to_string()))?;
        }
        Ok(&self.key)
    }

    fn sign(&mut self, c: &Connection) -> Result<(), StoreError> {
        let mut edge = self.edge(c)?;
        let entries = count(c)? as u64;
        if entries < edge.size() {
            return Err(StoreError::Unreadable(format!(
                "the ledger had {} entries and has {entries}",
                edge.size()
            )));
        }
        if entries == edge.size() && entries == self.newest_size {
            return Ok(());
        }
        let now = self.clock.now();
        let (newest_at, newest_size) = (self.newest_at, self.newest_size);
        let mut seals = self.seals;
        let key = self.key(c)?;
        let mut notes = Vec::new();
        let mut make = |edge: &Edge, seals: u64| -> Result<(), StoreError> {
            let name = key.verifier().name();
            let said = Checkpoint::new(name, edge.size(), edge.root(), now, Some(seals));
            let note = said.sign(&[key]);
            checkpoint::insert(c, edge.size() as i64, now, &note)?;
            notes.push(note);
            Ok(())
        };
        for hash in new_hashes(c, edge.size(), entries)? {
            edge.push(hash);
            if edge.size().is_multiple_of(EVERY) {
                make(&edge, seals)?;
            }
            if edge.size().is_multiple_of(seal::EVERY) || edge.size() == entries {
                seal::insert(c, &edge, key)?;
                seals += 1;
            }
        }
        let made = if entries >= EVERY {
            entries - entries % EVERY
        } else {
            0
        };
        let behind = newest_size.max(made) < entries;
        if behind && now - newest_at >= INTERVAL && made <= newest_size {
            // Its own size was sealed by now.
            make(&edge, seals - 1)?;
        }
        self.pending = Some((edge, seals, notes));
        Ok(())
    }
}

fn new_hashes(c: &Connection, from: u64, to: u64) -> Result<Vec<Hash>, StoreError> {
    Ok(
        c.prepare_cached("SELECT hash FROM entries WHERE idx >= ?1 AND idx < ?2 ORDER BY idx")?
            .query_map([from as i64, to as i64], |row| row.get(0))?
            .collect::<Result<_, _>>()?,
    )
}

impl Keeper for Signing {
    fn before_commit(&mut self, c: &Connection) -> Result<(), StoreError> {
        self.pending = None;
        self.deriving.before_commit(c)?;
        self.sign(c)
    }

    fn after_commit(&mut self) {
        let mut notes = std::mem::take(&mut self.others);
        if let Some((edge, seals, own)) = self.pending.take() {
            self.edge = Some(edge);
            self.seals = seals;
            if let Some(last) = own.last() {
                self.newest_at = self.clock.now();
                self.newest_size = super::note::Note::parse(last)
                    .and_then(|note| note.checkpoint())
                    .map_or(self.newest_size, |checkpoint| checkpoint.size);
            }
            notes.extend(own);
        }
        if notes.is_empty() {
            return;
        }
        if let Err(error) = self.checkpoints.append(&notes) {
            // The database has them; the next start appends them.
            tracing::error!(%error, file = %self.checkpoints.path().display(),
                "checkpoints could not be written");
        }
    }

    fn has_work(&self) -> bool {
        self.deriving.has_work()
    }

    fn when_idle(
        &mut self,
        c: &Connection,
        is_waited_for: &dyn Fn() -> bool,
    ) -> Result<bool, StoreError> {
        self.deriving.when_idle(c, is_waited_for)
    }
}

//! Tokens that were verified before.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::claims::Identity;
use super::keys::KeySet;
use super::provider::ProviderConfig;

/// Under which configuration and keys a token was verified. Made once whenever one of them changes, not per request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp([u8; 32]);

impl Stamp {
    /// The stamp of these keys under this configuration.
    pub fn of(provider: &ProviderConfig, keys: &KeySet) -> Self {
        Self(
            Sha256::new()
                .chain_update(provider.digest())
                .chain_update(keys.digest())
                .finalize()
                .into(),
        )
    }
}

/// Verified tokens, by SHA-256 of the whole token: of the signature too, or another could ride on its claims.
///
/// Bounded in entries and in memory. Only tokens that verified get in, so strangers cannot push entries out.
#[derive(Debug)]
pub struct VerifiedCache {
    entries: BTreeMap<[u8; 32], Entry>,
    max_entries: usize,
    max_weight: usize,
    weight: usize,
    /// Counts uses; the entry with the lowest is the longest unused.
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    identity: Arc<Identity>,
    stamp: Stamp,
    /// First second in which the token is no longer valid.
    dies: u64,
    weight: usize,
    used: u64,
}

impl Default for VerifiedCache {
    /// 1,024 entries and about 4 MiB: a worker's share.
    fn default() -> Self {
        Self::new(1024, 4 * 1024 * 1024)
    }
}

impl VerifiedCache {
    /// At most `max_entries` entries of together about `max_weight` bytes.
    pub fn new(max_entries: usize, max_weight: usize) -> Self {
        Self {
            entries: BTreeMap::new(),
            max_entries,
            max_weight,
            weight: 0,
            uses: 0,
        }
    }

    /// Who `token` was verified to name, if it still holds at `now` and its provider's stamp is still the same.
    ///
    /// `stamp_of` tells a provider's present stamp by its name. An entry that no longer holds is dropped.
    pub fn get(
        &mut self,
        token: &[u8],
        now: u64,
        stamp_of: impl FnOnce(&str) -> Option<Stamp>,
    ) -> Option<Arc<Identity>> {
        let key = key(token);
        let entry = self.entries.get_mut(&key)?;
        if now < entry.dies && stamp_of(&entry.identity.provider) == Some(entry.stamp) {
            self.uses += 1;
            entry.used = self.uses;
            return Some(Arc::clone(&entry.identity));
        }
        self.remove(&key);
        None
    }

    /// Remembers that `token` was just verified for `provider`, whose present stamp is `stamp`.
    ///
    /// When full, what has expired goes first, then what was used longest ago.
    pub fn insert(
        &mut self,
        token: &[u8],
        identity: Arc<Identity>,
        provider: &ProviderConfig,
        stamp: Stamp,
        now: u64,
    ) {
        let dies = identity.expires.saturating_add(provider.skew_s);
        // Parsed claims take a few times the room of their text.
        let weight = 512 + 4 * token.len();
        if now >= dies || weight > self.max_weight || self.max_entries == 0 {
            return;
        }
        let key = key(token);
        self.remove(&key);
        if self.is_full_for(weight) {
            let expired: Vec<_> = self
                .entries
                .iter()
                .filter(|(_, entry)| now >= entry.dies)
                .map(|(key, _)| *key)
                .collect();
            expired.iter().for_each(|key| self.remove(key));
        }
        while self.is_full_for(weight) {
            let Some(oldest) = self
                .entries
                .iter()
                .min_by_key(|(_, entry)| entry.used)
                .map(|(key, _)| *key)
            else {
                break;
            };
            self.remove(&oldest);
        }
        self.uses += 1;
        self.weight += weight;
        self.entries.insert(
            key,
            Entry {
                identity,
                stamp,
                dies,
                weight,
                used: self.uses,
            },
        );
    }

    /// How many tokens are remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn is_full_for(&self, weight: usize) -> bool {
        self.entries.len() >= self.max_entries || self.weight + weight > self.max_weight
    }

    fn remove(&mut self, key: &[u8; 32]) {
        if let Some(entry) = self.entries.remove(key) {
            self.weight -= entry.weight;
        }
    }
}

fn key(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

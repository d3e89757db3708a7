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

#[cfg(test)]
mod tests {
    use super::super::minting::{NOW, PUBLIC, keys, provider};
    use super::*;

    fn identity(subject: &str, expires: u64) -> Arc<Identity> {
        Arc::new(Identity {
            provider: "corporate".to_owned(),
            subject: subject.to_owned(),
            email: None,
            groups: vec![],
            session: None,
            token_id: None,
            expires,
            claims: serde_json::Map::new(),
        })
    }

    fn stamp() -> Stamp {
        Stamp::of(&provider(), &keys())
    }

    fn put(cache: &mut VerifiedCache, token: &str, expires: u64, now: u64) {
        cache.insert(
            token.as_bytes(),
            identity(token, expires),
            &provider(),
            stamp(),
            now,
        );
    }

    fn look(cache: &mut VerifiedCache, token: &str, now: u64) -> Option<String> {
        let current = |name: &str| (name == "corporate").then(stamp);
        cache
            .get(token.as_bytes(), now, current)
            .map(|identity| identity.subject.clone())
    }

    #[test]
    fn an_entry_dies_with_its_token() {
        let mut cache = VerifiedCache::default();
        put(&mut cache, "a", NOW + 10, NOW);
        assert_eq!(look(&mut cache, "a", NOW + 69).as_deref(), Some("a"));
        assert_eq!(look(&mut cache, "b", NOW), None);
        assert_eq!(look(&mut cache, "a", NOW + 70), None);
        assert!(cache.is_empty());
        put(&mut cache, "late", NOW - 60, NOW);
        assert!(cache.is_empty());
    }

    #[test]
    fn an_entry_dies_with_its_keys_and_its_configuration() {
        let mut fewer: serde_json::Value = serde_json::from_slice(PUBLIC).unwrap();
        fewer["keys"].as_array_mut().unwrap().pop();
        let rotated = Stamp::of(
            &provider(),
            &KeySet::parse(fewer.to_string().as_bytes()).unwrap(),
        );
        let mut narrowed = provider();
        narrowed.audiences = vec!["other".to_owned()];
        let narrowed = Stamp::of(&narrowed, &keys());
        for now_current in [Some(rotated), Some(narrowed), None] {
            let mut cache = VerifiedCache::default();
            put(&mut cache, "a", NOW + 10, NOW);
            assert!(cache.get(b"a", NOW, |_| now_current).is_none());
            assert_eq!(look(&mut cache, "a", NOW), None, "it must not come back");
        }
    }

    #[test]
    fn the_longest_unused_makes_room() {
        let mut cache = VerifiedCache::new(3, usize::MAX);
        for token in ["a", "b", "c"] {
            put(&mut cache, token, NOW + 10, NOW);
        }
        assert!(look(&mut cache, "a", NOW).is_some());
        put(&mut cache, "d", NOW + 10, NOW);
        assert_eq!(cache.len(), 3);
        assert_eq!(look(&mut cache, "b", NOW), None);
        for token in ["a", "c", "d"] {
            assert_eq!(look(&mut cache, token, NOW).as_deref(), Some(token));
        }
    }

    #[test]
    fn the_expired_make_room_before_the_unused() {
        let mut cache = VerifiedCache::new(2, usize::MAX);
        put(&mut cache, "long", NOW + 1000, NOW);
        put(&mut cache, "short", NOW + 10, NOW);
        put(&mut cache, "new", NOW + 1000, NOW + 500);
        assert_eq!(look(&mut cache, "long", NOW + 500).as_deref(), Some("long"));
        assert_eq!(look(&mut cache, "new", NOW + 500).as_deref(), Some("new"));
    }

    #[test]
    fn memory_is_bounded_and_accounted() {
        let token = |n: usize| format!("{n:0>1000}");
        let mut cache = VerifiedCache::new(1024, 50_000);
        (0..100).for_each(|n| put(&mut cache, &token(n), NOW + 10, NOW));
        assert_eq!(cache.len(), 11);
        // The same token again takes no second place.
        (0..5).for_each(|_| put(&mut cache, &token(99), NOW + 10, NOW));
        assert_eq!((cache.len(), cache.weight), (11, 11 * 4512));
        put(&mut cache, &"x".repeat(20_000), NOW + 10, NOW);
        assert_eq!(cache.len(), 11, "one that can never fit pushes nobody out");
        for n in 0..100 {
            look(&mut cache, &token(n), NOW + 1000);
        }
        assert_eq!((cache.len(), cache.weight), (0, 0));
    }
}

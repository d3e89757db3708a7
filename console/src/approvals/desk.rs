//! The callers that wait right now, by fingerprint. Nothing here decides anything: it wakes
//! callers up, and each looks into the database, which knows the one that may go through.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Where callers wait.
#[derive(Clone, Default)]
pub struct Desk {
    seats: Arc<Mutex<HashMap<String, Vec<Arc<Notify>>>>>,
}

/// A caller's place; given up when dropped.
pub struct Seat {
    desk: Desk,
    fingerprint: String,
    bell: Arc<Notify>,
}

impl Desk {
    /// Takes a place for `fingerprint`.
    pub fn sit(&self, fingerprint: &str) -> Seat {
        let bell = Arc::new(Notify::new());
        self.with(|seats| {
            seats
                .entry(fingerprint.to_owned())
                .or_default()
                .push(Arc::clone(&bell));
        });
        Seat {
            desk: self.clone(),
            fingerprint: fingerprint.to_owned(),
            bell,
        }
    }

    /// Wakes everybody who waits for `fingerprint`. A bell rung before its caller listens is kept.
    pub fn ring(&self, fingerprint: &str) {
        self.with(|seats| {
            for bell in seats.get(fingerprint).into_iter().flatten() {
                bell.notify_one();
            }
        });
    }

    /// How many callers are held.
    pub fn held(&self) -> usize {
        self.with(|seats| seats.values().map(Vec::len).sum())
    }

    fn with<T>(&self, look: impl FnOnce(&mut HashMap<String, Vec<Arc<Notify>>>) -> T) -> T {
        look(&mut self.seats.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Seat {
    /// What the caller waits for.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Returns when there is something to look at.
    pub async fn woken(&self) {
        self.bell.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.desk.with(|seats| {
            if let Some(bells) = seats.get_mut(&self.fingerprint) {
                bells.retain(|bell| !Arc::ptr_eq(bell, &self.bell));
                if bells.is_empty() {
                    seats.remove(&self.fingerprint);
                }
            }
        });
    }
}

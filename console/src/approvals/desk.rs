//! The callers that wait right now, by fingerprint. Nothing here decides anything: it wakes
//! callers up, and each looks into the database, which knows the one that may go through.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Where callers wait.
#[derive(Clone, Default)]
pub struct Desk {
    seats: Arc<Mutex<HashMap<String, Vec<Arc<Place>>>>>,
}

struct Place {
    bell: Notify,
    exchange: String,
    /// The exchange has ended while its question was open.
    ended: AtomicBool,
}

/// A caller's place; given up when dropped.
pub struct Seat {
    desk: Desk,
    fingerprint: String,
    place: Arc<Place>,
}

impl Desk {
    /// Takes a place for `fingerprint`, for the caller of `exchange`.
    pub fn sit(&self, fingerprint: &str, exchange: &str) -> Seat {
        let place = Arc::new(Place {
            bell: Notify::new(),
            exchange: exchange.to_owned(),
            ended: AtomicBool::new(false),
        });
        self.with(|seats| {
            seats
                .entry(fingerprint.to_owned())
                .or_default()
                .push(Arc::clone(&place));
        });
        Seat {
            desk: self.clone(),
            fingerprint: fingerprint.to_owned(),
            place,
        }
    }

    /// Wakes everybody who waits for `fingerprint`. A bell rung before its caller listens is kept.
    pub fn ring(&self, fingerprint: &str) {
        self.with(|seats| {
            for place in seats.get(fingerprint).into_iter().flatten() {
                place.bell.notify_one();
            }
        });
    }

    /// Wakes everybody.
    pub fn ring_all(&self) {
        self.with(|seats| {
            for place in seats.values().flatten() {
                place.bell.notify_one();
            }
        });
    }

    /// Sends away whoever waits for an exchange that has ended: Envoy does not cancel the call of a
    /// Wasm filter when the stream goes that the call was made for, but the filter records its end.
    pub fn ended(&self, exchanges: &[String]) {
        self.with(|seats| {
            for place in seats.values().flatten() {
                if exchanges.contains(&place.exchange) {
                    place.ended.store(true, Ordering::Relaxed);
                    place.bell.notify_one();
                }
            }
        });
    }

    /// How many callers are held.
    pub fn held(&self) -> usize {
        self.with(|seats| seats.values().map(Vec::len).sum())
    }

    fn with<T>(&self, look: impl FnOnce(&mut HashMap<String, Vec<Arc<Place>>>) -> T) -> T {
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
        self.place.bell.notified().await;
    }

    /// Whether its exchange has ended, so that no answer can reach the caller.
    pub fn is_left(&self) -> bool {
        self.place.ended.load(Ordering::Relaxed)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.desk.with(|seats| {
            if let Some(places) = seats.get_mut(&self.fingerprint) {
                places.retain(|place| !Arc::ptr_eq(place, &self.place));
                if places.is_empty() {
                    seats.remove(&self.fingerprint);
                }
            }
        });
    }
}

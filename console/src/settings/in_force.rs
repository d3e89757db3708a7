//! The settings in force. A file that was changed is taken while the console runs, when the operator says
//! so; one with an error is not, and the last good settings stay.

use std::sync::{Arc, PoisonError, RwLock};

use super::Settings;
use crate::clock::Millis;
use crate::people::oidc::Provider;

/// Clones share it.
#[derive(Clone, Default)]
pub struct InForce(Arc<RwLock<Current>>);

#[derive(Default)]
struct Current {
    settings: Arc<Settings>,
    provider: Option<Arc<Provider>>,
    since: Option<Millis>,
    untaken: Option<Untaken>,
}

/// A file that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untaken {
    /// When it was read.
    pub at: Millis,
    /// What is wrong with it.
    pub why: String,
    /// Since when the settings are in force that stay.
    pub since: Option<Millis>,
}

impl InForce {
    /// Puts `settings` into force; whoever signs in at their provider comes back to `back`.
    pub fn put(&self, now: Millis, settings: Settings, back: &str) {
        let provider = |oidc| Arc::new(Provider::new(oidc, back.to_owned()));
        let current = Current {
            provider: settings.sign_in.oidc.clone().map(provider),
            settings: settings.into(),
            since: Some(now),
            untaken: None,
        };
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = current;
    }

    /// Notes that a file was not taken.
    pub fn refuse(&self, now: Millis, why: String) {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let since = current.since;
        current.untaken = Some(Untaken {
            at: now,
            why,
            since,
        });
    }

    /// The settings.
    pub fn settings(&self) -> Arc<Settings> {
        self.look(|current| Arc::clone(&current.settings))
    }

    /// Their identity provider, if people sign in there.
    pub fn provider(&self) -> Option<Arc<Provider>> {
        self.look(|current| current.provider.clone())
    }

    /// The file that was read last, if it was not taken.
    pub fn untaken(&self) -> Option<Untaken> {
        self.look(|current| current.untaken.clone())
    }

    fn look<T>(&self, look: impl FnOnce(&Current) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

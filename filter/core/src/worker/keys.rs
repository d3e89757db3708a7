//! Key sets of the providers: fetched ahead, kept while good, fetched again on a new key id.
//!
//! A set that cannot be read never replaces a good one. Keys that could not be refreshed die after
//! [`STALE_MS`]: that bounds how long a withdrawn key lives when the provider is out of reach.

use std::rc::Rc;

use serde_json::Value;

use super::StreamId;
use crate::effect::{Call, CallAnswer, CallKind, Now};
use crate::identity::KeySet;
use crate::policy::{KeySource, Policy};

/// Keys die when no fetch has succeeded for this long.
const STALE_MS: u64 = 3_600_000;
/// A made-up key id causes one fetch in this time at most.
const UNKNOWN_KEY_PAUSE_MS: u64 = 10_000;
/// First and longest pause after a failed fetch.
const BACKOFF_MS: (u64, u64) = (1_000, 30_000);
const FETCH_TIMEOUT_MS: u64 = 5_000;

/// A fetch under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyFetch {
    /// Index of the provider in the policy.
    pub provider: usize,
    /// Whether this fetch is for the discovery document.
    pub discovery: bool,
}

/// What is known of a provider's keys.
#[derive(Clone, Debug)]
pub enum KeyState {
    /// Usable.
    Ready(Rc<KeySet>),
    /// None yet, or too old.
    Missing,
}

/// The outcome of a fetch.
#[derive(Debug, Default)]
pub struct Fetched {
    /// Streams that waited for it.
    pub wake: Vec<StreamId>,
    /// What went wrong, for the log.
    pub fault: Option<String>,
}

#[derive(Debug)]
struct Remote {
    cluster: String,
    authority: String,
    path: String,
    discovery: bool,
    issuer: String,
    refresh_ms: u64,
    /// Path of the key set that discovery named.
    discovered: Option<String>,
    fetching: bool,
    failures: u32,
    next: Now,
    fetched: Option<Now>,
    asked_for_unknown: Now,
    waiting: Vec<StreamId>,
}

#[derive(Debug)]
struct Provider {
    keys: Option<Rc<KeySet>>,
    remote: Option<Remote>,
}

/// The keys of all providers.
#[derive(Debug)]
pub struct KeyStore(Vec<Provider>);

impl KeyStore {
    /// Inline keys are there at once; remote ones are due at once.
    pub fn new(policy: &Policy) -> Self {
        let provider = |p: &crate::policy::Provider| match &p.keys {
            KeySource::Inline(keys) => Provider {
                keys: Some(Rc::clone(keys)),
                remote: None,
            },
            KeySource::Remote {
                cluster,
                authority,
                path,
                discovery,
                refresh_ms,
            } => Provider {
                keys: None,
                remote: Some(Remote {
                    cluster: cluster.clone(),
                    authority: authority.clone(),
                    path: path.clone(),
                    discovery: *discovery,
                    issuer: p.config.issuer.clone(),
                    refresh_ms: *refresh_ms,
                    discovered: None,
                    fetching: false,
                    failures: 0,
                    next: Now::default(),
                    fetched: None,
                    asked_for_unknown: Now::default(),
                    waiting: Vec::new(),
                }),
            },
        };
        KeyStore(policy.providers.iter().map(provider).collect())
    }

    /// What is known of a provider's keys.
    pub fn state(&self, provider: usize) -> KeyState {
        match self.0.get(provider) {
            Some(Provider {
                keys: Some(keys), ..
            }) => KeyState::Ready(Rc::clone(keys)),
            Some(Provider { keys: None, .. }) | None => KeyState::Missing,
        }
    }

    /// Puts a stream in line for the next fetch; `false` if none will be made for it.
    pub fn wait(&mut self, provider: usize, unknown_key: bool, stream: StreamId, now: Now) -> bool {
        let Some(Provider {
            remote: Some(remote),
            keys,
            ..
        }) = self.0.get_mut(provider)
        else {
            return false;
        };
        if unknown_key && keys.is_some() && !remote.fetching {
            if now < remote.asked_for_unknown.after_ms(UNKNOWN_KEY_PAUSE_MS) {
                return false;
            }
            remote.asked_for_unknown = now;
            remote.next = now;
        }
        // Within a back-off nobody waits: the answer is known, and it is "not now".
        if !remote.fetching && now < remote.next {
            return false;
        }
        remote.waiting.push(stream);
        true
    }

    /// Drops keys that are too old; whether there were any.
    pub fn expire(&mut self, now: Now) -> bool {
        let mut any = false;
        for provider in &mut self.0 {
            let Some(remote) = &provider.remote else {
                continue;
            };
            let stale = remote
                .fetched
                .is_some_and(|at| now.millis_since(at) > remote.refresh_ms + STALE_MS);
            if stale && provider.keys.take().is_some() {
                any = true;
            }
        }
        any
    }

    /// Fetches that are due.
    pub fn due(&mut self, now: Now) -> Vec<(KeyFetch, Call)> {
        let mut calls = Vec::new();
        for (index, provider) in self.0.iter_mut().enumerate() {
            let Some(remote) = provider.remote.as_mut() else {
                continue;
            };
            if !remote.fetching && now >= remote.next {
                remote.fetching = true;
                let discovery = remote.discovery && remote.discovered.is_none();
                calls.push((
                    KeyFetch {
                        provider: index,
                        discovery,
                    },
                    remote.call(),
                ));
            }
        }
        calls
    }

    /// Takes the answer to a fetch.
    pub fn on_answer(&mut self, fetch: KeyFetch, answer: &CallAnswer, now: Now) -> Fetched {
        let Some(provider) = self.0.get_mut(fetch.provider) else {
            return Fetched::default();
        };
        let Some(remote) = provider.remote.as_mut() else {
            return Fetched::default();
        };
        remote.fetching = false;
        let outcome = match answer.status {
            Some(200) if fetch.discovery => remote.read_discovery(&answer.body).map(|()| None),
            Some(200) => KeySet::parse(&answer.body)
                .map(Some)
                .map_err(|f| f.to_string()),
            Some(status) => Err(format!("status {status}")),
            None => Err("no answer".to_owned()),
        };
        match outcome {
            // Discovery done: the key set itself is due now, and the streams keep waiting.
            Ok(None) => {
                remote.next = now;
                Fetched::default()
            }
            Ok(Some(keys)) => {
                remote.failures = 0;
                remote.fetched = Some(now);
                remote.next = now.after_ms(remote.refresh_ms);
                provider.keys = Some(Rc::new(keys));
                Fetched {
                    wake: std::mem::take(&mut remote.waiting),
                    fault: None,
                }
            }
            Err(why) => {
                let pause = BACKOFF_MS
                    .0
                    .saturating_mul(1 << remote.failures.min(10))
                    .min(BACKOFF_MS.1);
                remote.failures = remote.failures.saturating_add(1);
                remote.next = now.after_ms(pause);
                // The provider may have moved its key set: ask discovery again.
                remote.discovered = None;
                let fault = format!(
                    "the keys of {} could not be fetched from cluster {}: {why}; next try in {pause} ms",
                    remote.issuer, remote.cluster
                );
                Fetched {
                    wake: std::mem::take(&mut remote.waiting),
                    fault: Some(fault),
                }
            }
        }
    }

    /// A stream has ended.
    pub fn forget(&mut self, stream: StreamId) {
        for remote in self.0.iter_mut().filter_map(|p| p.remote.as_mut()) {
            remote.waiting.retain(|s| *s != stream);
        }
    }
}

impl Remote {
    fn call(&self) -> Call {
        let path = self.discovered.as_ref().unwrap_or(&self.path);
        let headers = [
            (":method", "GET"),
            (":path", path.as_str()),
            (":authority", self.authority.as_str()),
            ("accept", "application/json"),
        ];
        Call {
            kind: CallKind::Http,
            cluster: self.cluster.clone(),
            headers: headers
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
            body: Vec::new(),
            timeout_ms: FETCH_TIMEOUT_MS,
        }
    }

    /// OpenID Connect Discovery 1.0, section 4.3: the document's issuer has to be the configured
    /// one. The key set is fetched through the same cluster: its host is the operator's choice.
    fn read_discovery(&mut self, body: &[u8]) -> Result<(), String> {
        let document =
            crate::json::parse_strict(body).map_err(|f| format!("discovery document: {f}"))?;
        let text = |key: &str| document.get(key).and_then(Value::as_str);
        if text("issuer") != Some(self.issuer.as_str()) {
            return Err("the discovery document names another issuer".to_owned());
        }
        let uri = text("jwks_uri").ok_or("the discovery document has no jwks_uri")?;
        let rest = uri
            .strip_prefix("https://")
            .or_else(|| uri.strip_prefix("http://"));
        let path = rest.and_then(|r| r.find('/').and_then(|slash| r.get(slash..)));
        self.discovered = Some(
            path.ok_or("the discovery document's jwks_uri is not a URL with a path")?
                .to_owned(),
        );
        Ok(())
    }
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;

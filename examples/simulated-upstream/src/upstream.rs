//! The state behind the server, and its router.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware;
use axum::response::Response;
use axum::routing::get;

use crate::credential::{self, Credential};
use crate::hosts::Face;
use crate::organisation::Organisation;
use crate::refusal::{Outcome, Refusal};
use crate::seen::{self, Seen};
use crate::{api, copilot, faults, git};

/// What an operator chooses.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Folder of the bare repositories.
    pub data: PathBuf,
    /// The credential that every request must carry.
    pub credential: String,
    /// Base URL for links in answers, when neither `Host` nor `X-Forwarded-Host` tells it.
    pub public_url: Option<String>,
}

/// Everything the handlers share.
#[derive(Debug)]
pub struct Upstream {
    /// Base URL given by the operator.
    pub public_url: Option<String>,
    /// What requests must carry.
    pub credential: Credential,
    /// The requests received.
    pub seen: Seen,
    /// Requests answered by the API, for `x-ratelimit-used`.
    pub used: AtomicU64,
    organisation: Mutex<Organisation>,
    mcp_sessions: Mutex<HashSet<String>>,
}

/// The handlers' state.
pub type Shared = Arc<Upstream>;

impl Upstream {
    /// Opens the data folder and seeds it.
    pub fn open(settings: Settings) -> Outcome<Shared> {
        let organisation = Organisation::open(settings.data)?;
        Ok(Arc::new(Self {
            public_url: settings.public_url,
            credential: Credential::new(settings.credential),
            seen: Seen::default(),
            used: AtomicU64::new(0),
            organisation: Mutex::new(organisation),
            mcp_sessions: Mutex::new(HashSet::new()),
        }))
    }

    /// The organisation, locked. A lock poisoned by a panic elsewhere is still taken: the state is only a simulation.
    pub fn organisation(&self) -> MutexGuard<'_, Organisation> {
        self.organisation
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Ids of the open MCP sessions.
    pub fn mcp_sessions(&self) -> MutexGuard<'_, HashSet<String>> {
        self.mcp_sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs work that calls git on a thread that may block.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Outcome<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(Refusal::internal)
}

/// The whole server.
pub fn app(upstream: Shared) -> Router {
    let faces = Router::new()
        .fallback(by_face)
        .layer(middleware::from_fn(faults::apply))
        .layer(middleware::from_fn_with_state(
            upstream.clone(),
            credential::require,
        ))
        .layer(middleware::from_fn_with_state(
            upstream.clone(),
            seen::record,
        ))
        .with_state(upstream.clone());
    Router::new()
        .route("/__seen", get(seen::list).delete(seen::clear))
        .fallback_service(faces)
        .with_state(upstream)
}

async fn by_face(State(upstream): State<Shared>, request: Request) -> Response {
    match Face::of(&request) {
        Face::Api => api::serve(upstream, request).await,
        Face::Git => git::serve(upstream, request).await,
        Face::Copilot => copilot::serve(upstream, request).await,
    }
}

#[cfg(test)]
#[path = "upstream_tests.rs"]
mod tests;

//! The console over HTTP: what the gateway calls, what people look at, and the same as JSON.

mod access;
mod api;
mod approvals;
mod asked;
mod assets;
mod audit;
mod auth;
mod card;
mod chart;
mod context;
mod exchange;
mod export;
mod guard;
mod health;
mod ledger;
mod look;
mod overview;
mod page;
mod policies;
mod replay;
mod sessions;
mod sign_in;
pub(crate) mod text;

pub(crate) use card::{change_blocks, changes_of};
pub use guard::CONTENT_SECURITY_POLICY;
pub use page::page_error;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use countersign_core::ext_authz::METHOD_PATH;
use tokio::sync::watch;
use tower_http::decompression::RequestDecompressionLayer;

use crate::approvals::{Desk, endpoint as approval_endpoint, grpc as approval_grpc};
use crate::clock::Clock;
use crate::dev_idp;
use crate::export::forward::Forwards;
use crate::export::schedule::Schedules;
use crate::intake::{Intake, endpoint as intake_endpoint};
use crate::people::Rights;
use crate::people::oidc::Provider;
use crate::secret::Secret;
use crate::settings::{InForce, Settings};
use crate::store::{Store, meta};

/// An approval request carries at most 64 KiB of body; with base64, operations and paths this is
/// ample.
const LARGEST_QUESTION: usize = 1 << 20;
/// Forms and API calls of people.
const LARGEST_FORM: usize = 64 << 10;

/// Everything that a request handler needs; clones share it.
#[derive(Clone)]
pub struct App {
    /// The database.
    pub store: Store,
    /// The callers that are held.
    pub desk: Desk,
    /// The log intake's counts and limits.
    pub intake: Intake,
    /// Where the trail is sent on to.
    pub forwards: Forwards,
    /// The exports that are written every so often.
    pub schedules: Schedules,
    /// The time.
    pub clock: Clock,
    /// What the gateway has to show.
    pub gateway_key: Secret,
    /// Where people reach the console, without a slash at the end.
    pub public_url: Arc<str>,
    /// Whether the development identity provider is on.
    pub dev: bool,
    /// Who may read what.
    pub rights: Arc<Rights>,
    /// Who stands in for whom, how people sign in, and who is told.
    pub in_force: InForce,
    /// Becomes true when the console stops.
    pub stopping: watch::Receiver<bool>,
    changes: Arc<watch::Sender<u64>>,
}

impl App {
    /// Puts a console together over an open database.
    pub fn new(
        store: Store,
        clock: Clock,
        gateway_key: Secret,
        public_url: &str,
        dev: bool,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        Self {
            store,
            desk: Desk::default(),
            intake: Intake::default(),
            forwards: Forwards::default(),
            schedules: Schedules::default(),
            clock,
            gateway_key,
            public_url: public_url.trim_end_matches('/').into(),
            dev,
            rights: Arc::default(),
            in_force: InForce::default(),
            stopping,
            changes: Arc::new(watch::Sender::new(0)),
        }
    }

    /// With these rights instead of the default ones.
    pub fn with_rights(mut self, rights: Rights) -> Self {
        self.rights = rights.into();
        self
    }

    /// With these settings instead of the default ones.
    pub fn with_settings(mut self, settings: Settings) -> Self {
        self.in_force = InForce::default();
        self.take_settings(settings);
        self
    }

    /// Puts other settings into force, for every clone. Who is signed in stays so.
    pub fn take_settings(&self, settings: Settings) {
        let back = self.page("/sign-in/oidc/callback");
        self.in_force.put(self.clock.now(), settings, &back);
        self.announce();
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<Settings> {
        self.in_force.settings()
    }

    /// The organisation's identity provider, if people sign in there.
    pub fn provider(&self) -> Option<Arc<Provider>> {
        self.in_force.provider()
    }

    /// Whether secrets that an operator made sign in.
    pub fn takes_secrets(&self) -> bool {
        self.settings().sign_in.secrets.unwrap_or(true)
    }

    /// The address of a page, for people elsewhere.
    pub fn page(&self, path: &str) -> String {
        format!("{}{path}", self.public_url)
    }

    /// Tells open pages that approvals have changed.
    pub fn announce(&self) {
        self.changes
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Follows [`App::announce`].
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// Every address of the console.
pub fn router(app: App) -> Router {
    let machines = Router::new()
        .route("/ext_authz", any(approval_endpoint::authorize))
        .route("/ext_authz/", any(approval_endpoint::authorize))
        .route("/ext_authz/{*path}", any(approval_endpoint::authorize))
        .route(METHOD_PATH, post(approval_grpc::check))
        .layer(DefaultBodyLimit::max(LARGEST_QUESTION))
        .route(
            "/v1/logs",
            post(intake_endpoint::take).layer(RequestDecompressionLayer::new()),
        )
        .route_layer(middleware::from_fn_with_state(
            app.clone(),
            guard::gateway_only,
        ));
    let people = Router::new()
        .route("/", get(overview::show))
        .route("/approvals", get(approvals::list))
        .route("/approvals/pending", get(approvals::pending))
        .route("/approvals/stream", get(approvals::stream))
        .route("/approvals/{id}", get(approvals::one))
        .route("/approvals/{id}/approve", post(approvals::approve))
        .route("/approvals/{id}/refuse", post(approvals::refuse))
        .route("/approvals/{id}/break-glass", post(approvals::break_glass))
        .route("/approvals/refuse-all", post(approvals::refuse_all))
        .route("/audit", get(audit::list))
        .route("/audit/{exchange}", get(exchange::one))
        .route("/audit/searches", post(audit::save))
        .route("/audit/searches/{id}/delete", post(audit::forget))
        .route("/sessions", get(sessions::list))
        .route("/sessions/{session}", get(replay::one))
        .route("/policy", get(policies::show))
        .route("/policy/{digest}", get(policies::version))
        .route("/api/v1/policies", get(policies::versions_json))
        .route("/health", get(health::show))
        .route("/health/access", get(access::list))
        .route("/api/v1/sessions", get(replay::list_json))
        .route("/api/v1/sessions/{session}/replay", get(replay::one_json))
        .route("/api/v1/export", get(export::export))
        .route("/api/v1/forwards", get(export::forwards))
        .route("/api/v1/exports", get(export::schedules))
        .route("/sign-in", get(sign_in::form).post(sign_in::submit))
        .route("/sign-in/oidc", get(sign_in::begin))
        .route("/sign-in/oidc/callback", get(sign_in::finish))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/session", get(sign_in::session))
        .route("/api/v1/approvals", get(api::approvals))
        .route("/api/v1/approvals/stream", get(api::stream))
        .route("/api/v1/approvals/{id}", get(api::approval))
        .route("/api/v1/approvals/{id}/approve", post(api::approve))
        .route("/api/v1/approvals/{id}/refuse", post(api::refuse))
        .route("/api/v1/exchanges", get(api::exchanges))
        .route("/api/v1/exchanges/{id}", get(api::exchange))
        .route("/api/v1/ledger/checkpoint", get(ledger::newest))
        .route("/api/v1/ledger/inclusion", get(ledger::inclusion))
        .route("/api/v1/ledger/consistency", get(ledger::consistency))
        .route("/api/v1/ledger/keys", get(ledger::all_keys))
        .route("/api/v1/ledger/health", get(ledger::completeness))
        .layer(DefaultBodyLimit::max(LARGEST_FORM))
        .layer(middleware::from_fn(guard::same_origin_writes));
    let mut all = machines
        .merge(people)
        .merge(assets::router())
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready));
    if app.dev {
        all = all
            .route(
                "/dev/.well-known/openid-configuration",
                get(dev_idp::discovery),
            )
            .route("/dev/jwks", get(dev_idp::jwks));
    }
    all.fallback(page::not_found)
        .layer(middleware::from_fn(guard::security_headers))
        .with_state(app)
}

/// Ready means that a write reaches the disk.
async fn ready(State(app): State<App>) -> Response {
    let now = app.clock.now().to_string();
    match app
        .store
        .write(move |c| meta::set(c, "ready_checked_at", &now))
        .await
    {
        Ok(()) => "ready\n".into_response(),
        Err(error) => {
            tracing::error!(%error, "not ready");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "the database cannot be written\n",
            )
                .into_response()
        }
    }
}

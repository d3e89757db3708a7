//! The files that operators load: each is parsed, checked against its real schema, and every path,
//! port, cluster, host and label it names has to exist where it points.
//!
//! The public schemas (compose-spec, Istio's CRDs) are looked for in `$COUNTERSIGN_SCHEMAS`, else in
//! `shared/anchors/schemas` beside the repository. Where they are not, that part says so and is left
//! out; Envoy's own validation and the checks of names always run.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends with it, and says where"
)]

#[path = "manifests/compose.rs"]
mod compose;
#[path = "manifests/document.rs"]
mod document;
#[path = "manifests/istio.rs"]
mod istio;
#[path = "manifests/reverse_proxy.rs"]
mod reverse_proxy;
#[path = "manifests/schema.rs"]
mod schema;

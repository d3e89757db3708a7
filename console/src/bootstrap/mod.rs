//! `countersign bootstrap`: an Envoy bootstrap with changes, made on the parsed file. What is
//! printed is JSON, which Envoy loads as JSON and as YAML.

mod edits;
mod upstream;

pub use edits::{Address, Target};

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::failure::Failure;
use crate::policy;

/// What to change.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Replaces the filter's configuration.
    pub policy: Option<PathBuf>,
    /// Path of the module, as Envoy will open it.
    pub wasm: Option<String>,
    /// Listeners and where they listen.
    pub listeners: Vec<Target>,
    /// Clusters and where their one endpoint is.
    pub clusters: Vec<Target>,
    /// Where the admin interface listens.
    pub admin: Option<Address>,
    /// Sends the three GitHub clusters to GitHub itself, over TLS.
    pub github: bool,
    /// Certificate authorities that are trusted for that, instead of the system's.
    pub upstream_ca: Option<PathBuf>,
}

/// Reads the bootstrap at `path` and returns it with `changes`.
pub fn changed(path: &Path, changes: &Changes) -> Result<String, Failure> {
    let mut bootstrap = read(path)?;
    if let Some(file) = &changes.policy {
        let policy = policy::check::compiled_file(file)?;
        edits::require_clusters(&bootstrap, &policy)?;
        edits::set_policy(&mut bootstrap, &policy)?;
    }
    if let Some(wasm) = &changes.wasm {
        edits::set_wasm(&mut bootstrap, wasm)?;
    }
    if changes.github {
        upstream::to_github(&mut bootstrap, changes.upstream_ca.as_deref())?;
    }
    for target in &changes.listeners {
        edits::set_listener(&mut bootstrap, target)?;
    }
    // After --upstream: a test may send GitHub's clusters elsewhere and keep the rest of it.
    for target in &changes.clusters {
        edits::set_cluster(&mut bootstrap, target)?;
    }
    if let Some(admin) = &changes.admin {
        edits::set_admin(&mut bootstrap, admin);
    }
    serde_json::to_string_pretty(&bootstrap).map_err(|error| Failure::plain(error.to_string()))
}

fn read(path: &Path) -> Result<Value, Failure> {
    let text = policy::check::read_file(path)?;
    let failed = |problem: policy::Problem| Failure::plain(format!("{}:{problem}", path.display()));
    let nodes = policy::document::parse(&text).map_err(failed)?;
    let [node] = nodes.as_slice() else {
        return Err(Failure::plain(format!(
            "{} holds {} YAML documents, a bootstrap is one",
            path.display(),
            nodes.len()
        )));
    };
    let document = policy::document::Document::of(node).map_err(|problems| {
        let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure::plain(format!("{}: {}", path.display(), all.join("\n")))
    })?;
    if document.value.get("static_resources").is_none() {
        return Err(Failure::new(
            format!(
                "{} is not an Envoy bootstrap: it has no static_resources",
                path.display()
            ),
            "Give a file such as envoy/reverse-proxy.yaml.",
        ));
    }
    Ok(document.value)
}

//! Programs that people use with GitHub, run with nothing of the machine's own configuration.
//! One that is not installed is a test skipped, not failed: `None`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::git::{Told, told};
use crate::{Repository, Stack};

/// `gh`, whose host is the gateway: it asks it as a proxy for `api.github.localhost`.
///
/// # Errors
/// When it is there and cannot be run.
pub fn gh(stack: &Stack, token: &str, arguments: &[&str]) -> Result<Option<Told>> {
    let version = Command::new("gh").arg("--version").output();
    if !version.is_ok_and(|v| v.status.success()) {
        println!("skipped: gh is not installed (apt-get install gh)");
        return Ok(None);
    }
    let mut command = Command::new("gh");
    command
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", stack.folder())
        .env("GH_CONFIG_DIR", stack.folder().join("gh"))
        .env("GH_HOST", "github.localhost")
        .env("GH_TOKEN", token)
        .env("GH_PROMPT_DISABLED", "1")
        .env("GH_NO_UPDATE_NOTIFIER", "1")
        .env("HTTP_PROXY", stack.gateway())
        .current_dir(stack.folder());
    told(&mut command).map(Some)
}

/// A package or program that `scripts/setup` put under `.tools/<folder>/node_modules`.
///
/// # Errors
/// Outside the repository.
pub fn node_package(folder: &str, name: &str) -> Result<Option<PathBuf>> {
    let path = format!(".tools/{folder}/node_modules/{name}");
    let found = Repository::find()?.path(&path);
    if found.exists() {
        return Ok(Some(found));
    }
    println!("skipped: no {path} (scripts/setup --test, --clients)");
    Ok(None)
}

/// Node with a module's text; `GATEWAY`, `TOKEN` and `PACKAGE` (the folder of `package`) are in its environment.
///
/// # Errors
/// When it is there and cannot be run.
pub fn node(
    stack: &Stack,
    token: &str,
    package: &str,
    script: &str,
    arguments: &[&str],
) -> Result<Option<Told>> {
    let Some(folder) = node_package("node", package)? else {
        return Ok(None);
    };
    let mut command = Command::new("node");
    command
        .args(["--input-type=module", "-e", script])
        .args(arguments)
        .env("PACKAGE", folder)
        .env("TOKEN", token)
        .env("GATEWAY", stack.gateway());
    told(&mut command).map(Some)
}

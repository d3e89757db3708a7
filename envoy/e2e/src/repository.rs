//! Where the tests find things: the repository, what it built, and Envoy.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};

/// The repository this crate is part of.
#[derive(Clone, Debug)]
pub struct Repository {
    root: PathBuf,
}

impl Repository {
    /// The repository around this crate's sources.
    ///
    /// # Errors
    /// When the sources are no longer where they were compiled.
    pub fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .canonicalize()
            .context("the repository this test was compiled in is gone")?;
        Ok(Repository { root })
    }

    /// A path inside the repository.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// The text of a file of the repository.
    ///
    /// # Errors
    /// When it cannot be read as UTF-8.
    pub fn read(&self, relative: &str) -> Result<String> {
        let path = self.path(relative);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// A program of this repository, from `dist/`: `countersign` or `simulated-upstream`.
    ///
    /// # Errors
    /// When the build fails or has no such program.
    pub fn program(&self, name: &str) -> Result<PathBuf> {
        self.built(name)
    }

    /// The filter as Envoy loads it.
    ///
    /// # Errors
    /// When the build fails.
    pub fn wasm(&self) -> Result<PathBuf> {
        self.built("countersign.wasm")
    }

    /// Envoy: `$ENVOY_BIN`, else what `scripts/setup` found and wrote to `.tools/env`.
    ///
    /// # Errors
    /// When there is none.
    pub fn envoy(&self) -> Result<PathBuf> {
        if let Some(path) = std::env::var_os("ENVOY_BIN") {
            return Ok(PathBuf::from(path));
        }
        let found = fs::read_to_string(self.path(".tools/env")).unwrap_or_default();
        let Some(path) = found.lines().find_map(|l| l.strip_prefix("ENVOY_BIN=")) else {
            bail!("no Envoy: run ./scripts/setup, or set ENVOY_BIN");
        };
        let path = PathBuf::from(path.trim_matches(['\'', '"']));
        ensure!(
            path.is_file(),
            "{} is gone: run ./scripts/setup",
            path.display()
        );
        Ok(path)
    }

    /// A file of `dist/`. What is there is brought up to date once per test program, so that a
    /// test never judges yesterday's build; COUNTERSIGN_BUILT=1 says that this was just done.
    fn built(&self, name: &str) -> Result<PathBuf> {
        static BUILD: OnceLock<Result<(), String>> = OnceLock::new();
        let built = BUILD.get_or_init(|| {
            if std::env::var_os("COUNTERSIGN_BUILT").is_some() {
                return Ok(());
            }
            let output = Command::new(self.path("scripts/build"))
                .output()
                .map_err(|e| format!("cannot run scripts/build: {e}"))?;
            if output.status.success() {
                return Ok(());
            }
            Err(format!(
                "scripts/build failed:\n{}",
                String::from_utf8_lossy(&output.stderr)
            ))
        });
        if let Err(reason) = built {
            bail!("{reason}");
        }
        let path = self.path("dist").join(name);
        ensure!(
            path.is_file(),
            "{} is missing: run ./scripts/build",
            path.display()
        );
        Ok(path)
    }
}

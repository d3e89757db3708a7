//! A database file that is gone afterwards.

use std::path::{Path, PathBuf};

use super::StoreError;

/// A name in the system's folder for such files, which `TMPDIR` names.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Result<Self, StoreError> {
        let name = format!("countersign-{}.db", crate::secret::random_id()?);
        Ok(Self(std::env::temp_dir().join(name)))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm", "-journal"] {
            let mut name = self.0.clone().into_os_string();
            name.push(end);
            // What is not there need not be removed.
            let _ = std::fs::remove_file(name);
        }
    }
}

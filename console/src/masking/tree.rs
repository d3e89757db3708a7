//! What the rules find in a folder of files: to look for secrets, and to see how seldom they are wrong.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use countersign_core::mask::{MaskSet, find};

use crate::cli::print;
use crate::failure::Failure;

/// Largest file that is read, in bytes.
const FILE_MAX: u64 = 8 * 1024 * 1024;

/// What was read and found.
#[derive(Default, Debug)]
pub struct Scanned {
    /// Bytes of text that were searched.
    pub bytes: u64,
    /// Text files.
    pub files: u64,
    /// Masked stretches.
    pub finds: u64,
}

impl Scanned {
    /// Finds in a megabyte of text.
    #[must_use]
    pub fn per_megabyte(&self) -> f64 {
        self.finds as f64 / (self.bytes as f64 / 1e6).max(f64::MIN_POSITIVE)
    }
}

/// Searches files and, with everything in them, folders. Each find is told as FILE:LINE: RULE, never with its value.
///
/// # Errors
/// A path that can not be read.
pub fn scan(set: &Rc<MaskSet>, paths: &[PathBuf], quiet: bool) -> Result<Scanned, Failure> {
    let mut scanned = Scanned::default();
    let mut waiting: Vec<PathBuf> = paths.to_vec();
    while let Some(path) = waiting.pop() {
        let unreadable =
            |e: std::io::Error| Failure::plain(format!("{} cannot be read: {e}", path.display()));
        let kind = std::fs::symlink_metadata(&path).map_err(unreadable)?;
        if kind.is_dir() {
            let mut inside = Vec::new();
            for entry in std::fs::read_dir(&path).map_err(unreadable)? {
                inside.push(entry.map_err(unreadable)?.path());
            }
            // The last one is looked at first.
            inside.sort();
            inside.reverse();
            waiting.append(&mut inside);
        } else if kind.is_file() && kind.len() <= FILE_MAX {
            let text = std::fs::read(&path).map_err(unreadable)?;
            let head = text.get(..4096).unwrap_or(&text);
            if !head.contains(&0) {
                file(set, &path, &text, quiet, &mut scanned)?;
            }
        }
    }
    Ok(scanned)
}

fn file(
    set: &Rc<MaskSet>,
    path: &Path,
    text: &[u8],
    quiet: bool,
    scanned: &mut Scanned,
) -> Result<(), Failure> {
    scanned.bytes += text.len() as u64;
    scanned.files += 1;
    for found in find(set, text) {
        scanned.finds += 1;
        if !quiet {
            let before = text.get(..found.start).unwrap_or_default();
            let line = before.iter().filter(|&&b| b == b'\n').count() + 1;
            print(&format!("{}:{line}: {}", path.display(), found.rule))?;
        }
    }
    Ok(())
}

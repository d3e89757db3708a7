//! Waiting for something that another program is about to do.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Far more than anything takes on a loaded machine; a test that fails may be slow.
const LONGEST: Duration = Duration::from_secs(90);

/// Looks again until `seen` gives a value.
///
/// # Errors
/// When it never does; `what` says for what was waited.
pub fn eventually<T>(what: &str, mut seen: impl FnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + LONGEST;
    loop {
        if let Some(value) = seen() {
            return Ok(value);
        }
        if Instant::now() > deadline {
            bail!("waited {LONGEST:?} in vain for {what}");
        }
        std::thread::sleep(Duration::from_millis(25));
    }
}

//! One stack for all tests of a file that run at the same time.
//!
//! A static would never be dropped and would leave its programs running; this one ends with the last
//! test that holds it, and the next test starts another.

use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::stack::{Stack, StackOptions};

/// A stack that is started when a test asks for it.
#[derive(Debug)]
pub struct Shared {
    options: fn() -> Result<StackOptions>,
    running: Mutex<Weak<Stack>>,
}

impl Shared {
    /// Nothing is started yet.
    pub const fn new(options: fn() -> Result<StackOptions>) -> Self {
        Shared {
            options,
            running: Mutex::new(Weak::new()),
        }
    }

    /// The running stack, or a new one.
    ///
    /// # Errors
    /// As [`Stack::start`].
    pub fn get(&self) -> Result<Arc<Stack>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stack) = running.upgrade() {
            return Ok(stack);
        }
        let options = (self.options)()?;
        let (send, started) = mpsc::channel();
        // Envoy asks the kernel to be ended with the thread that started it (PR_SET_PDEATHSIG), and the
        // thread of a test ends with that test: this one stays for as long as the stack is held.
        std::thread::spawn(move || {
            let stack = Stack::start_with(&options).map(Arc::new);
            let held = stack.as_ref().map(Arc::downgrade).unwrap_or_default();
            let _ = send.send(stack);
            while held.strong_count() > 0 {
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let stack = started.recv().context("the stack's thread is gone")??;
        *running = Arc::downgrade(&stack);
        Ok(stack)
    }
}

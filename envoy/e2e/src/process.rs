//! One program that a test started: its log, and its end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a program may take to say that it is ready. Generous: a loaded machine is not a fault.
pub const READY_WITHIN: Duration = Duration::from_secs(60);

/// A running program. Dropping it ends it; when a test fails, its last lines are printed.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; standard output and error go to `<dir>/<name>.log`, after what an earlier
    /// process of the same name wrote there.
    ///
    /// It stays in the caller's process group, so that Ctrl-C reaches it too.
    ///
    /// # Errors
    /// When the program or its log cannot be opened.
    pub fn start(name: &str, command: &mut Command, dir: &Path) -> Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log)?;
        let err = out.try_clone()?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .with_context(|| format!("cannot start {name}: {:?}", command.get_program()))?;
        Ok(Process {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// Everything it printed so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `ready` gives a value.
    ///
    /// # Errors
    /// When the program ends first, or after [`READY_WITHIN`]; both with the last lines it printed.
    pub fn wait_for<T>(
        &mut self,
        what: &str,
        mut ready: impl FnMut(&str) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Some(value) = ready(&self.log()) {
                return Ok(value);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}:\n{}", self.name, self.last_lines());
            }
            if Instant::now() > deadline {
                bail!(
                    "{}: no {what} within {READY_WITHIN:?}:\n{}",
                    self.name,
                    self.last_lines()
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the line `listening on http://ADDR:PORT` and returns the URL. The log may hold
    /// the line of an earlier process of that name: the last one counts once `seen` were there.
    ///
    /// # Errors
    /// As [`Process::wait_for`].
    pub fn wait_until_listening(&mut self, seen: usize) -> Result<String> {
        self.wait_for("`listening on` line", |log| {
            let mut urls = log
                .lines()
                .filter_map(|l| l.split_once("listening on "))
                .filter_map(|(_, rest)| rest.split_whitespace().next())
                .skip(seen);
            urls.next().map(str::to_owned)
        })
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// When it cannot be signalled or waited for.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        Ok(self.child.wait()?)
    }

    /// Ends it as Ctrl-C does (SIGINT) and waits until it has ended.
    ///
    /// # Errors
    /// When it cannot be signalled or waited for.
    pub fn interrupt(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGINT)?;
        Ok(self.child.wait()?)
    }

    /// Ends it at once (SIGKILL), as a crash would.
    ///
    /// # Errors
    /// When it cannot be signalled or waited for.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.child.kill()?;
        Ok(self.child.wait()?)
    }

    /// Sends it a signal, if it still runs.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            let pid = Pid::from_raw(i32::try_from(self.child.id())?);
            kill(pid, signal).with_context(|| format!("cannot signal {}", self.name))?;
        }
        Ok(())
    }

    fn last_lines(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let from = lines.len().saturating_sub(30);
        let shown: Vec<String> = lines
            .iter()
            .skip(from)
            .map(|l| format!("  {}| {l}", self.name))
            .collect();
        shown.join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.last_lines());
        }
    }
}

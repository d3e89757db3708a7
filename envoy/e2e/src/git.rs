//! A clone of a simulated repository, and git as an agent runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use crate::stack::{Stack, run};

/// A working copy.
#[derive(Clone, Debug)]
pub struct Clone {
    folder: PathBuf,
    gateway: String,
    token: String,
    mark: String,
}

/// How a git command ended and what its user read.
#[derive(Clone, Debug)]
pub struct Told {
    /// Exit code.
    pub code: i32,
    /// Standard output and error.
    pub text: String,
}

impl Clone {
    /// Clones `acme/<name>` through the gateway with `token`. `mark` becomes the user agent and names
    /// the folder.
    ///
    /// # Errors
    /// When git cannot clone it.
    pub fn of(stack: &Stack, name: &str, token: &str, mark: &str) -> Result<Self> {
        let folder = stack.folder().join(mark);
        let clone = Clone {
            folder: folder.clone(),
            gateway: stack.gateway().to_owned(),
            token: token.to_owned(),
            mark: mark.to_owned(),
        };
        let url = format!("{}/acme/{name}.git", stack.gateway());
        let mut command = clone.command(&["clone", "-q", &url]);
        run(command.arg(&folder).current_dir(stack.folder()))?;
        Ok(clone)
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// git in this working copy, with nothing of the machine's own configuration.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = plain();
        command.args(["-c", &format!("http.userAgent={}", self.mark)]);
        let header = format!("Authorization: Bearer {}", self.token);
        command.args([
            "-c",
            &format!("http.{}/.extraHeader={header}", self.gateway),
        ]);
        command.args(arguments);
        if self.folder.is_dir() {
            command.current_dir(&self.folder);
        }
        command
    }

    /// Runs git and returns what it says, whatever its exit code.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn git(&self, arguments: &[&str]) -> Result<Told> {
        told(&mut self.command(arguments))
    }

    /// Writes a file and commits it on the present branch; returns the commit.
    ///
    /// # Errors
    /// When git refuses.
    pub fn commit(&self, path: &str, content: &[u8]) -> Result<String> {
        let file = self.folder.join(path);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&file, content)?;
        run(&mut self.command(&["add", "--all"]))?;
        run(&mut self.command(&["commit", "-q", "-m", &format!("Change {path}")]))?;
        run(&mut self.command(&["rev-parse", "HEAD"]))
    }

    /// A new branch from the present commit.
    ///
    /// # Errors
    /// When git refuses.
    pub fn branch(&self, name: &str) -> Result<()> {
        run(&mut self.command(&["checkout", "-q", "-b", name])).map(|_| ())
    }
}

/// git without anybody's configuration, and unable to ask.
pub fn plain() -> Command {
    let mut command = Command::new("git");
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C.UTF-8");
    for (role, name) in [("AUTHOR", "agent"), ("COMMITTER", "agent")] {
        command.env(format!("GIT_{role}_NAME"), name);
        command.env(format!("GIT_{role}_EMAIL"), "agent@acme.example");
    }
    command
}

/// Runs a command and returns what it says, whatever its exit code.
///
/// # Errors
/// When it cannot be run.
pub fn told(command: &mut Command) -> Result<Told> {
    let output = command.output()?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Ok(Told {
        code: output.status.code().unwrap_or(-1),
        text,
    })
}

/// The commit that a reference of `acme/<name>` points to in the upstream's own repository.
///
/// # Errors
/// When the repository cannot be read; an absent reference is `None`.
pub fn upstream_ref(stack: &Stack, name: &str, reference: &str) -> Result<Option<String>> {
    let bare = stack.bare(name);
    ensure!(bare.is_dir(), "{} is gone", bare.display());
    let mut command = plain();
    command
        .arg("--git-dir")
        .arg(&bare)
        .args(["rev-parse", "-q", "--verify", reference]);
    let told = told(&mut command)?;
    Ok((told.code == 0).then(|| told.text.trim().to_owned()))
}

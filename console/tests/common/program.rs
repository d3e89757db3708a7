//! The console as a program of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::KEY;

/// A console that runs; killed when dropped.
pub struct Program {
    pub child: Child,
    /// Host and port.
    pub address: String,
}

impl Program {
    /// `serve` on a free port, by a command that the arguments only have to be given to.
    pub fn serve(command: Command, data: &Path, more: &[&str]) -> Self {
        Self::serve_with(command, data, more, Stdio::null())
    }

    /// The same, with what it logs.
    pub fn serve_with(mut command: Command, data: &Path, more: &[&str], log: Stdio) -> Self {
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(more)
            .env("COUNTERSIGN_GATEWAY_KEY", KEY);
        Self::begin(command, log)
    }

    /// `serve` as the command has it.
    pub fn begin(mut command: Command, log: Stdio) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap();
        Self {
            address: address.to_owned(),
            child,
        }
    }

    /// SIGKILL: nothing is cleaned up, nobody is answered.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

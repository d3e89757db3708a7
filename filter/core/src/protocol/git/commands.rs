//! The commands of a push, read from the front of a `git-receive-pack` body as it arrives.
//!
//! Format: gitprotocol-pack, "Reference Update Request and Packfile Transfer". pkt-lines up to a
//! flush packet: `shallow` lines, then commands (capabilities behind a NUL on the first), or one
//! push certificate that holds them; then push options and a second flush if that capability is on.
//! What follows is the pack, which is not touched here. Where git's own reader is generous (NUL on
//! any line, several signatures), this one refuses: another server may read it differently.

use super::refname::is_ref_name;

/// No push needs more: 4,096 commands of ordinary length fit.
const MAX_BYTES: usize = 256 * 1024;
/// The most refs one push may name.
const MAX_COMMANDS: usize = 4_096;
/// The longest pkt-line (gitprotocol-common), its length included.
const MAX_LINE: usize = 65_520;

/// One ref to move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Object id before, 40 or 64 hexadecimal digits; all zero when the ref is new.
    pub old: String,
    /// Object id after; all zero when the ref goes.
    pub new: String,
    /// Full ref name.
    pub reference: String,
}

/// What a command does to its ref. A forced update can not be told from a fast-forward here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The ref is new.
    Create,
    /// It moves.
    Update,
    /// It goes.
    Delete,
}

impl Command {
    /// Create, update or delete.
    pub fn change(&self) -> Change {
        let zero = |id: &str| id.bytes().all(|b| b == b'0');
        if zero(&self.new) {
            Change::Delete
        } else if zero(&self.old) {
            Change::Create
        } else {
            Change::Update
        }
    }
}

/// Everything before the pack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushCommands {
    /// In order; empty for the 4-byte probe that git sends before a large push.
    pub commands: Vec<Command>,
    /// The client's capabilities, in order.
    pub capabilities: Vec<String>,
    /// `git push -o`, in order.
    pub push_options: Vec<String>,
    /// Whether the commands came in a push certificate.
    pub certificate: bool,
    /// How many bytes of the body these were; the pack begins here.
    pub consumed: usize,
}

impl PushCommands {
    /// Whether the client asked for `name`, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.capabilities
            .iter()
            .any(|c| c.split('=').next() == Some(name))
    }
}

/// Where the reader stands after a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The commands are not complete.
    NeedMore,
    /// They are; the rest of the chunk is the pack.
    Done(PushCommands),
    /// They can not be read.
    Fault(CommandFault),
}

/// Why the commands of a push can not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandFault {
    /// Over 256 KiB, or over 4,096 refs.
    TooLarge,
    /// A pkt-line length that is none, or not allowed here.
    Length,
    /// A line that is no command.
    Command,
    /// A ref name that git does not accept, or that is not UTF-8.
    RefName,
    /// Object ids that are none, or not of the announced format.
    ObjectId,
    /// Capabilities in another place than the first line, or not ASCII.
    Capabilities,
    /// A push certificate that is malformed, or beside plain commands.
    Certificate,
    /// A push option that is not one line of text.
    PushOption,
}

impl CommandFault {
    /// Stable name for records and denials.
    pub fn code(self) -> &'static str {
        match self {
            CommandFault::TooLarge => "push_commands_too_large",
            CommandFault::Length => "pkt_line_length",
            CommandFault::Command => "push_command",
            CommandFault::RefName => "ref_name",
            CommandFault::ObjectId => "object_id",
            CommandFault::Capabilities => "push_capabilities",
            CommandFault::Certificate => "push_certificate",
            CommandFault::PushOption => "push_option",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Before the first command.
    #[default]
    Start,
    Commands,
    /// Inside a push certificate, up to `push-cert-end`.
    Certificate,
    /// Behind it: only the flush may come.
    CertificateEnd,
    Options,
}

/// The reader. Feed it chunks, cut anywhere, until it says something else than
/// [`Progress::NeedMore`].
#[derive(Clone, Debug, Default)]
pub struct GitCommands {
    /// The bytes of a pkt-line that is not complete yet.
    partial: Vec<u8>,
    state: State,
    certificate: Vec<u8>,
    out: PushCommands,
}

enum Line {
    Flush,
    Data(Vec<u8>),
}

impl GitCommands {
    /// A reader at the beginning of a body.
    pub fn new() -> Self {
        GitCommands::default()
    }

    /// Takes the next bytes of the body. Bytes behind the commands are left alone.
    pub fn feed(&mut self, chunk: &[u8]) -> Progress {
        let mut rest = chunk;
        loop {
            match self.line(&mut rest) {
                Ok(None) => return Progress::NeedMore,
                Ok(Some(line)) => match self.take(line) {
                    Ok(false) => {}
                    Ok(true) => return Progress::Done(std::mem::take(&mut self.out)),
                    Err(fault) => return Progress::Fault(fault),
                },
                Err(fault) => return Progress::Fault(fault),
            }
        }
    }

    /// The next whole pkt-line, if `rest` completes one.
    fn line(&mut self, rest: &mut &[u8]) -> Result<Option<Line>, CommandFault> {
        if !self.fill(rest, 4) {
            return Ok(None);
        }
        let length = match self.partial.get(..4) {
            Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => std::str::from_utf8(digits)
                .ok()
                .and_then(|text| usize::from_str_radix(text, 16).ok())
                .ok_or(CommandFault::Length)?,
            _ => return Err(CommandFault::Length),
        };
        // 1 and 2 are protocol v2's, 3 is none, 4 an empty line: none of them belongs here.
        if (1..=4).contains(&length) || length > MAX_LINE {
            return Err(CommandFault::Length);
        }
        let size = length.max(4);
        if self.out.consumed + size > MAX_BYTES {
            return Err(CommandFault::TooLarge);
        }
        if !self.fill(rest, size) {
            return Ok(None);
        }
        self.out.consumed += size;
        let line = self.partial.split_off(4);
        self.partial.clear();
        Ok(Some(if length == 0 {
            Line::Flush
        } else {
            Line::Data(line)
        }))
    }

    /// Moves bytes from `rest` until `size` are held; whether they are.
    fn fill(&mut self, rest: &mut &[u8], size: usize) -> bool {
        let missing = size.saturating_sub(self.partial.len());
        let (head, tail) = rest.split_at(missing.min(rest.len()));
        self.partial.extend_from_slice(head);
        *rest = tail;
        self.partial.len() >= size
    }

    /// Whether the commands are complete with this line.
    fn take(&mut self, line: Line) -> Result<bool, CommandFault> {
        match (self.state, line) {
            (State::Options, Line::Flush) => Ok(true),
            (State::Options, Line::Data(line)) => {
                self.out.push_options.push(option(chomp(&line))?);
                Ok(false)
            }
            (State::Certificate, Line::Flush) => Err(CommandFault::Certificate),
            (State::Certificate, Line::Data(line)) => {
                if line == b"push-cert-end\n" || line == b"push-cert-end" {
                    let commands = certified(&self.certificate)?;
                    commands
                        .iter()
                        .try_for_each(|command| self.check_format(command))?;
                    self.out.commands = commands;
                    self.state = State::CertificateEnd;
                } else {
                    self.certificate.extend_from_slice(&line);
                }
                Ok(false)
            }
            (State::CertificateEnd, Line::Data(_)) => Err(CommandFault::Certificate),
            (State::Start | State::Commands | State::CertificateEnd, Line::Flush) => {
                let options = self.out.has("push-options") && !self.out.commands.is_empty();
                self.state = State::Options;
                Ok(!options)
            }
            (State::Start | State::Commands, Line::Data(line)) => {
                self.first(chomp(&line))?;
                Ok(false)
            }
        }
    }

    /// A line before the flush: `shallow`, `push-cert` or a command.
    fn first(&mut self, line: &[u8]) -> Result<(), CommandFault> {
        if line.starts_with(b"shallow ") {
            let id = line.get(8..).and_then(|id| std::str::from_utf8(id).ok());
            return match (self.state, id) {
                (State::Start, Some(id)) if is_object_id(id) => Ok(()),
                _ => Err(CommandFault::Command),
            };
        }
        let command = match line.iter().position(|b| *b == 0) {
            None => line,
            Some(_) if self.state != State::Start => return Err(CommandFault::Capabilities),
            Some(at) => {
                let (command, capabilities) = line.split_at(at);
                self.capabilities(capabilities.get(1..).unwrap_or_default())?;
                command
            }
        };
        if command == b"push-cert" {
            if self.state != State::Start {
                return Err(CommandFault::Certificate);
            }
            self.state = State::Certificate;
            self.out.certificate = true;
            return Ok(());
        }
        self.state = State::Commands;
        if self.out.commands.len() == MAX_COMMANDS {
            return Err(CommandFault::TooLarge);
        }
        let command = read_command(command)?;
        self.check_format(&command)?;
        self.out.commands.push(command);
        Ok(())
    }

    fn capabilities(&mut self, raw: &[u8]) -> Result<(), CommandFault> {
        let text = std::str::from_utf8(raw).map_err(|_| CommandFault::Capabilities)?;
        if text.chars().any(char::is_control) {
            return Err(CommandFault::Capabilities);
        }
        self.out.capabilities = text
            .split(' ')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        let formats = self.out.capabilities.iter();
        if formats.filter(|c| c.starts_with("object-format=")).count() > 1 {
            return Err(CommandFault::Capabilities);
        }
        Ok(())
    }

    fn check_format(&self, command: &Command) -> Result<(), CommandFault> {
        let size = self.out.capabilities.iter().find_map(|c| match c.as_str() {
            "object-format=sha1" => Some(40),
            "object-format=sha256" => Some(64),
            _ => None,
        });
        if size.is_none_or(|size| size == command.old.len()) {
            Ok(())
        } else {
            Err(CommandFault::ObjectId)
        }
    }
}

/// The commands inside a push certificate: header lines, a blank line, commands, a signature.
fn certified(certificate: &[u8]) -> Result<Vec<Command>, CommandFault> {
    let text = std::str::from_utf8(certificate).map_err(|_| CommandFault::Certificate)?;
    let mut lines = text.split('\n');
    if lines.next() != Some("certificate version 0.1") {
        return Err(CommandFault::Certificate);
    }
    lines
        .by_ref()
        .find(|line| line.is_empty())
        .ok_or(CommandFault::Certificate)?;
    let mut commands = Vec::new();
    let mut signed = false;
    for line in lines {
        let begins = line.starts_with("-----BEGIN ");
        if signed {
            // git takes the last signature as the signature: what stands between two is a command.
            if begins || read_command(line.as_bytes()).is_ok() {
                return Err(CommandFault::Certificate);
            }
        } else if begins {
            signed = true;
        } else if commands.len() == MAX_COMMANDS {
            return Err(CommandFault::TooLarge);
        } else if !line.is_empty() {
            commands.push(read_command(line.as_bytes())?);
        }
    }
    if signed && !commands.is_empty() {
        Ok(commands)
    } else {
        Err(CommandFault::Certificate)
    }
}

fn read_command(line: &[u8]) -> Result<Command, CommandFault> {
    let text = std::str::from_utf8(line).map_err(|_| CommandFault::RefName)?;
    let mut parts = text.splitn(3, ' ');
    let (Some(old), Some(new), Some(reference)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(CommandFault::Command);
    };
    if !is_object_id(old) || !is_object_id(new) || old.len() != new.len() {
        return Err(CommandFault::ObjectId);
    }
    if !is_ref_name(reference) {
        return Err(CommandFault::RefName);
    }
    Ok(Command {
        old: old.to_ascii_lowercase(),
        new: new.to_ascii_lowercase(),
        reference: reference.to_owned(),
    })
}

fn option(line: &[u8]) -> Result<String, CommandFault> {
    let text = std::str::from_utf8(line).map_err(|_| CommandFault::PushOption)?;
    if text.chars().any(char::is_control) {
        return Err(CommandFault::PushOption);
    }
    Ok(text.to_owned())
}

fn is_object_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn chomp(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

#[cfg(test)]
#[path = "commands_tests.rs"]
mod tests;

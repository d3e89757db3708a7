//! Whose tools a request calls, and what its head says about them.

use crate::head::RequestHead;
use crate::operation::Operation;
use crate::path::RequestPath;
use crate::protocol::Request;

/// The server behind an MCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Server<'a> {
    /// GitHub's: its tools are known.
    GitHub,
    /// Another one, by the name that the policy gives it.
    Named(&'a str),
    /// The policy does not say; the connection's name. A tool with the name of one of GitHub's is
    /// taken for it, so that a rule about the operation holds.
    Unstated(&'a str),
}

impl<'a> Server<'a> {
    /// By the policy, else by the host.
    pub(super) fn of(request: &Request<'a>) -> Server<'a> {
        match request.context.mcp_server {
            Some("github") => Server::GitHub,
            Some(name) => Server::Named(name),
            None if is_github(&request.head.host()) => Server::GitHub,
            None => Server::Unstated(request.context.connection),
        }
    }

    pub(super) fn name(self) -> &'a str {
        match self {
            Server::GitHub => "github",
            Server::Named(name) | Server::Unstated(name) => name,
        }
    }

    pub(super) fn may_be_github(self) -> bool {
        matches!(self, Server::GitHub | Server::Unstated(_))
    }
}

/// `api.githubcopilot.com` and its siblings, `copilot-api.<subdomain>.ghe.com`.
fn is_github(host: &str) -> bool {
    host.ends_with(".githubcopilot.com")
        || (host.starts_with("copilot-api.") && host.ends_with(".ghe.com"))
}

/// Headers of GitHub's server that change which tools there are, and the attribute that shows each.
const DOORS: &[(&str, &str)] = &[
    ("x-mcp-toolsets", "toolsets"),
    ("x-mcp-tools", "tools"),
    ("x-mcp-exclude-tools", "exclude_tools"),
    ("x-mcp-features", "features"),
    ("x-mcp-readonly", "readonly"),
    ("x-mcp-insiders", "insiders"),
    ("x-mcp-lockdown", "lockdown"),
];

/// Shows on an operation what the head and the path (`/mcp/x/{toolset}/readonly`, `/mcp/insiders`)
/// say about the tools on offer. A door in sight is no door: the tool that is called is judged.
pub(super) fn show_doors(operation: &mut Operation, head: &RequestHead, path: &RequestPath) {
    for (header, attribute) in DOORS {
        let values: Vec<String> = head
            .headers
            .all(header)
            .map(|value| String::from_utf8_lossy(value).trim().to_owned())
            .collect();
        if !values.is_empty() {
            let mut shown = values.join(",");
            if matches!(*attribute, "readonly" | "insiders" | "lockdown") {
                shown = truth(&shown).to_string();
            }
            add(operation, attribute, &shown);
        }
    }
    let mut below = path
        .segments()
        .iter()
        .skip_while(|segment| !segment.eq_ignore_ascii_case("mcp"))
        .skip(1);
    while let Some(segment) = below.next() {
        match segment.as_str() {
            "x" => {
                if let Some(toolset) = below.next() {
                    add(operation, "toolsets", toolset);
                }
            }
            "readonly" => add(operation, "readonly", "true"),
            "insiders" => add(operation, "insiders", "true"),
            _ => {}
        }
    }
}

/// As GitHub's server reads a switch.
fn truth(value: &str) -> bool {
    let no = ["", "false", "f", "no", "n", "0", "off"];
    !no.iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// The most of one attribute that is kept.
const SHOWN: usize = 500;

fn add(operation: &mut Operation, name: &str, value: &str) {
    let shown: String = value
        .chars()
        .filter(|c| !c.is_control())
        .take(SHOWN)
        .collect();
    let entry = operation.attributes.entry(name.to_owned()).or_default();
    match name {
        // The path wins over the header that denies it.
        "readonly" | "insiders" | "lockdown" => *entry = shown,
        _ if entry.is_empty() => *entry = shown,
        _ => {
            entry.push(',');
            entry.push_str(&shown);
        }
    }
}

//! `connections`: the systems behind the gateway.

use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::decode::{Node, Object};
use super::services::Secrets;
use super::shape::{Shape, Takes, may, must};
use super::{ACTIONS, ANSWER, conditions};
use crate::mask::Scrub;
use crate::policy::{Connection, Credential, Glob, McpServer, Secret};
use crate::protocol::ProtocolKind;

pub static CONNECTION: Shape = Shape {
    name: "connection",
    about: "A system behind the gateway. The longest path prefix wins, then the order.",
    fields: &[
        must("name", Takes::Text, "Its name in rules and records."),
        must(
            "hosts",
            Takes::Some(&Takes::Text),
            "Hosts without scheme and port; `*.example.com` for those below one.",
        ),
        may(
            "path_prefixes",
            Takes::List(&Takes::Form("^/")),
            "Only paths under one of these belong to it.",
        ),
        may(
            "base_path",
            Takes::Form("^/"),
            "A prefix that Envoy's route takes off, instead of path_prefixes.",
        ),
        may(
            "methods",
            Takes::Some(&Takes::Text),
            "Methods that it takes; others are refused. `!X` excludes one.",
        ),
        must(
            "protocol",
            Takes::Choice(&["http", "github", "git", "openai", "mcp"]),
            "How its requests are read.",
        ),
        must(
            "credential",
            Takes::OneOf(&[Takes::Choice(&["passthrough"]), Takes::Object(&CREDENTIAL)]),
            "What the upstream sees instead of the agent's token.",
        ),
        may("default", ANSWER, "What happens when no rule applies."),
        may(
            "unknown_writes",
            ANSWER,
            "What happens to writes that no operation table knows.",
        ),
        may(
            "unknown_reads",
            ANSWER,
            "What happens to reads that no operation table knows.",
        ),
        may(
            "mcp",
            Takes::Object(&MCP),
            "The MCP server behind it; for the protocols mcp and openai.",
        ),
    ],
};

static MCP: Shape = Shape {
    name: "mcp",
    about: "What is known of an MCP server.",
    fields: &[
        may(
            "server",
            Takes::Form("^[^/]+$"),
            "Its name in rules and records; `github` is GitHub's, whose tools are known.",
        ),
        may(
            "narrow_tools",
            Takes::Flag,
            "Leave tools that the caller may never use out of `tools/list`.",
        ),
        may(
            "read_only",
            Takes::Flag,
            "Tell GitHub's server to offer nothing that writes.",
        ),
    ],
};

static CREDENTIAL: Shape = Shape {
    name: "credential",
    about: "A secret of the gateway that is put in place of the agent's token.",
    fields: &[
        must("secret", Takes::Text, "The name of one of `secrets`."),
        must(
            "scheme",
            Takes::Choice(&["bearer", "token", "basic", "raw"]),
            "How it is written into the header.",
        ),
        may(
            "username",
            Takes::Text,
            "With the scheme basic; x-access-token unless said otherwise.",
        ),
        may(
            "header",
            Takes::Text,
            "The header; authorization unless said otherwise.",
        ),
    ],
};

/// Reads `connections`; a policy without one would refuse everything.
pub fn read(document: &Object, secrets: &Secrets) -> Vec<Connection> {
    let Some(list) = document.require("connections", "name at least one system behind the gateway")
    else {
        return Vec::new();
    };
    let nodes = list.list();
    if nodes.is_empty() {
        list.fault("name at least one system behind the gateway");
    }
    let mut connections: Vec<Connection> = Vec::new();
    for node in &nodes {
        let Some(connection) = connection(node, secrets) else {
            continue;
        };
        if connections.iter().any(|c| c.name == connection.name) {
            node.fault(format!("a second connection named `{}`", connection.name));
        }
        connections.push(connection);
    }
    connections
}

fn connection(node: &Node, secrets: &Secrets) -> Option<Connection> {
    let object = node.object(&CONNECTION)?;
    let name = object
        .require("name", "rules and records name the connection")
        .and_then(|n| n.string());
    let hosts = object
        .require("hosts", "the hosts that belong to it")
        .map(|n| hosts(&n));
    let mut path_prefixes = object
        .get("path_prefixes")
        .map(|n| prefixes(&n))
        .unwrap_or_default();
    let base_path = object
        .get("base_path")
        .and_then(|n| n.string())
        .unwrap_or_default();
    if !base_path.is_empty() {
        if !path_prefixes.is_empty() || !base_path.starts_with('/') {
            object.fault("`base_path` begins with a slash and stands instead of `path_prefixes`");
        }
        path_prefixes.push(base_path.clone());
    }
    let protocols: Vec<_> = ProtocolKind::ALL.iter().map(|p| (p.name(), *p)).collect();
    let protocol = object
        .require("protocol", "how its requests are read")
        .and_then(|n| n.choice(&protocols));
    let credential = object
        .require(
            "credential",
            "what the upstream sees instead of the agent's token; `passthrough` to say nothing",
        )
        .and_then(|n| credential(&n, secrets));
    let default = object.get("default").and_then(|n| n.choice(ACTIONS));
    let unknown_writes = object.get("unknown_writes").and_then(|n| n.choice(ACTIONS));
    let unknown_reads = object.get("unknown_reads").and_then(|n| n.choice(ACTIONS));
    let mcp = object.get("mcp").and_then(|n| mcp(&n, protocol));
    Some(Connection {
        name: name?,
        hosts: hosts?,
        path_prefixes,
        base_segments: base_path.split('/').filter(|s| !s.is_empty()).count(),
        methods: conditions::methods(&object),
        protocol: protocol?,
        credential: credential?,
        default,
        unknown_writes,
        unknown_reads,
        mcp: mcp.unwrap_or_default(),
    })
}

fn mcp(node: &Node, protocol: Option<ProtocolKind>) -> Option<McpServer> {
    let object = node.object(&MCP)?;
    if protocol.is_some_and(|p| !matches!(p, ProtocolKind::Mcp | ProtocolKind::OpenAi)) {
        object.fault("`mcp` belongs to a connection with the protocol mcp or openai");
    }
    let server = object.get("server").and_then(|n| {
        let name = n.string()?;
        if name.is_empty() || name.contains('/') {
            n.fault("a name for rules and records, without a slash; `github` is GitHub's server");
        }
        Some(name)
    });
    let flag = |key: &str| object.get(key).and_then(|n| n.flag());
    let read_only = flag("read_only").unwrap_or_default();
    if read_only && server.as_deref().is_some_and(|name| name != "github") {
        object.fault("`read_only` is a header that only GitHub's server reads");
    }
    Some(McpServer {
        server,
        narrow_tools: flag("narrow_tools").unwrap_or_default(),
        read_only,
    })
}

fn hosts(node: &Node) -> Vec<Glob> {
    let items = node.list();
    if items.is_empty() {
        node.fault("name at least one host");
    }
    let mut globs = Vec::new();
    for item in items {
        let Some(host) = item.string() else { continue };
        // One colon is a port; an IPv6 address has more.
        if host.contains('/') || host.matches(':').count() == 1 {
            item.fault("a host name alone, without scheme, port or path");
        }
        match Glob::new(&host.trim_matches(['[', ']']).to_ascii_lowercase()) {
            Ok(glob) => globs.push(glob),
            Err(message) => item.fault(message),
        }
    }
    globs
}

fn prefixes(node: &Node) -> Vec<String> {
    let mut prefixes = Vec::new();
    for item in node.list() {
        match item.string() {
            Some(prefix) if prefix.starts_with('/') => prefixes.push(prefix),
            Some(_) => item.fault("a path prefix begins with a slash"),
            None => {}
        }
    }
    prefixes
}

fn credential(node: &Node, secrets: &Secrets) -> Option<Credential> {
    #[derive(Clone, Copy)]
    enum Scheme {
        Bearer,
        Token,
        Basic,
        Raw,
    }
    if node.value().as_str() == Some("passthrough") {
        return Some(Credential::Passthrough);
    }
    if node.value().is_string() {
        node.fault("`passthrough`, or an object with `secret` and `scheme`");
        return None;
    }
    let object = node.object(&CREDENTIAL)?;
    let secret = object
        .require("secret", "the name of one of `secrets`")
        .and_then(|n| secrets.named(&n));
    let schemes = &[
        ("bearer", Scheme::Bearer),
        ("token", Scheme::Token),
        ("basic", Scheme::Basic),
        ("raw", Scheme::Raw),
    ];
    let scheme = object
        .require("scheme", "bearer, token, basic or raw")
        .and_then(|n| n.choice(schemes));
    let header = object
        .get("header")
        .and_then(|n| n.string())
        .unwrap_or_else(|| "authorization".to_owned());
    let username = object.get("username").and_then(|n| n.string());
    let scheme = scheme?;
    if username.is_some() && !matches!(scheme, Scheme::Basic) {
        object.fault("`username` belongs to the scheme basic");
    }
    let secret = secret?;
    let raw = secret.expose();
    let value = match scheme {
        Scheme::Bearer => format!("Bearer {raw}"),
        Scheme::Token => format!("token {raw}"),
        Scheme::Raw => raw.to_owned(),
        Scheme::Basic => {
            let user = username.unwrap_or_else(|| "x-access-token".to_owned());
            format!("Basic {}", STANDARD.encode(format!("{user}:{raw}")))
        }
    };
    let echo = Rc::new(Scrub::new(&[raw.as_bytes(), value.as_bytes()]));
    Some(Credential::Inject {
        header: header.to_ascii_lowercase(),
        value: Secret::new(value),
        echo,
    })
}

//! `connections`: the systems behind the gateway.

use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::decode::{Node, Object};
use super::services::Secrets;
use super::{ACTIONS, conditions};
use crate::mask::Scrub;
use crate::policy::{Connection, Credential, Glob, McpServer, Secret};
use crate::protocol::ProtocolKind;

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
    const KEYS: &[&str] = &[
        "name",
        "hosts",
        "path_prefixes",
        "base_path",
        "methods",
        "protocol",
        "credential",
        "default",
        "unknown_writes",
        "mcp",
    ];
    let object = node.object(KEYS)?;
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
        mcp: mcp.unwrap_or_default(),
    })
}

fn mcp(node: &Node, protocol: Option<ProtocolKind>) -> Option<McpServer> {
    let object = node.object(&["server", "narrow_tools", "read_only"])?;
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
    let object = node.object(&["secret", "scheme", "username", "header"])?;
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

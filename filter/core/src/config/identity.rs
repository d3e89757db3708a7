//! `identity`: who vouches for callers, and where callers carry the proof.

use std::rc::Rc;

use super::decode::{Node, Object};
use crate::identity::{
    Algorithm, ClaimNames, KeySet, ProviderConfig, Providers, TokenKind, TokenLocation, TokenScheme,
};
use crate::policy::{KeySource, Provider, Revoked};

const ALGORITHMS: &[(&str, Algorithm)] = &[
    ("RS256", Algorithm::Rs256),
    ("ES256", Algorithm::Es256),
    ("EdDSA", Algorithm::EdDsa),
];

const SCHEMES: &[(&str, TokenScheme)] = &[
    ("bearer", TokenScheme::Bearer),
    ("token", TokenScheme::Token),
    ("basic", TokenScheme::Basic),
    ("raw", TokenScheme::Raw),
];

/// What `identity` says.
#[derive(Default)]
pub struct Identity {
    pub providers: Vec<Provider>,
    pub token_locations: Vec<TokenLocation>,
    pub revoked: Revoked,
}

/// Reads `identity`. Without a provider nobody could be let in, so one is required.
pub fn read(document: &Object) -> Identity {
    let section = document
        .require("identity", "name at least one provider of tokens")
        .and_then(|n| n.object(&["providers", "revoked"]));
    let Some(section) = section else {
        return Identity::default();
    };
    let nodes = section
        .require("providers", "name at least one provider of tokens")
        .map(|n| n.list());
    let mut providers: Vec<Provider> = Vec::new();
    let mut token_locations: Vec<TokenLocation> = Vec::new();
    let mut places = Vec::new();
    for node in nodes.iter().flatten() {
        let Some((provider, locations)) = provider(node) else {
            continue;
        };
        token_locations.extend(locations);
        places.push(node.clone());
        providers.push(provider);
    }
    token_locations.dedup();
    // What the token layer itself asks of its configuration.
    if let Err(faults) = Providers::new(providers.iter().map(|p| p.config.clone()).collect()) {
        for fault in faults {
            match places.get(fault.index) {
                Some(node) => node.fault(format!("`{}` {}", fault.field, fault.message)),
                None => section.fault(fault.to_string()),
            }
        }
    }
    if nodes.is_some_and(|n| n.is_empty()) {
        section.fault("`providers` is empty: name at least one provider of tokens");
    }
    let revoked = section
        .get("revoked")
        .and_then(|n| n.object(&["subjects", "token_ids"]));
    let revoked = revoked.map(|r| Revoked {
        subjects: r.strings("subjects"),
        token_ids: r.strings("token_ids"),
    });
    Identity {
        providers,
        token_locations,
        revoked: revoked.unwrap_or_default(),
    }
}

fn provider(node: &Node) -> Option<(Provider, Vec<TokenLocation>)> {
    const KEYS: &[&str] = &[
        "name",
        "issuer",
        "audiences",
        "algorithms",
        "skew",
        "max_lifetime",
        "jwks",
        "tokens",
        "claims",
    ];
    let object = node.object(KEYS)?;
    let name = object
        .require("name", "records name the provider")
        .and_then(|n| n.string());
    let issuer = object
        .require("issuer", "the exact `iss` of its tokens")
        .and_then(|n| n.string());
    let audiences = object
        .require("audiences", "tokens for others must not pass")
        .map(|n| n.strings());
    let algorithms = match object.get("algorithms") {
        Some(node) => node
            .list()
            .iter()
            .filter_map(|n| n.choice(ALGORITHMS))
            .collect(),
        None => ALGORITHMS.iter().map(|(_, a)| *a).collect(),
    };
    let skew_ms = object.get("skew").and_then(|n| n.duration_ms());
    let max_lifetime = object.get("max_lifetime").and_then(|n| n.duration_ms());
    let claims = object
        .get("claims")
        .and_then(|n| claims(&n))
        .unwrap_or_default();
    let tokens = match object.get("tokens") {
        Some(node) => node.list().iter().filter_map(token_location).collect(),
        None => default_locations(),
    };
    let keys = object
        .require(
            "jwks",
            "where its public keys come from: remote, discovery or inline",
        )
        .and_then(|n| key_source(&n, issuer.as_deref()));
    let provider = Provider {
        config: ProviderConfig {
            name: name?,
            issuer: issuer?,
            audiences: audiences?,
            algorithms,
            kinds: TokenKind::ALL.to_vec(),
            skew_s: skew_ms.unwrap_or(60_000) / 1_000,
            max_ttl_s: max_lifetime.map(|ms| ms / 1_000),
            claims,
            kept_claims: Vec::new(),
        },
        keys: keys?,
    };
    Some((provider, tokens))
}

/// `Authorization` in the three schemes that git, gh and the SDKs use.
fn default_locations() -> Vec<TokenLocation> {
    [TokenScheme::Bearer, TokenScheme::Token, TokenScheme::Basic]
        .into_iter()
        .map(|scheme| TokenLocation {
            header: "authorization".to_owned(),
            scheme,
        })
        .collect()
}

fn token_location(node: &Node) -> Option<TokenLocation> {
    let object = node.object(&["header", "scheme"])?;
    let header = object
        .require("header", "the header that carries the token")
        .and_then(|n| n.string())?;
    let scheme = object
        .require("scheme", "bearer, token, basic or raw")
        .and_then(|n| n.choice(SCHEMES))?;
    Some(TokenLocation {
        header: header.to_ascii_lowercase(),
        scheme,
    })
}

fn claims(node: &Node) -> Option<ClaimNames> {
    let object = node.object(&["subject", "email", "groups", "session"])?;
    let defaults = ClaimNames::default();
    let name =
        |key: &str, default: String| object.get(key).and_then(|n| n.string()).unwrap_or(default);
    Some(ClaimNames {
        subject: name("subject", defaults.subject.clone()),
        email: name("email", defaults.email.clone()),
        groups: name("groups", defaults.groups.clone()),
        session: name("session", defaults.session.clone()),
    })
}

fn key_source(node: &Node, issuer: Option<&str>) -> Option<KeySource> {
    let object = node.object(&["remote", "discovery", "inline"])?;
    let given = [
        object.get("remote"),
        object.get("discovery"),
        object.get("inline"),
    ];
    if given.iter().flatten().count() != 1 {
        node.fault("give exactly one of: remote, discovery, inline");
        return None;
    }
    let [remote, discovery, inline] = given;
    if let Some(inline) = inline {
        return match KeySet::parse(inline.value().to_string().as_bytes()) {
            Ok(keys) => Some(KeySource::Inline(Rc::new(keys))),
            Err(fault) => {
                inline.fault(format!("not a usable key set: {fault}"));
                None
            }
        };
    }
    let is_discovery = discovery.is_some();
    let fetch = remote
        .or(discovery)?
        .object(&["cluster", "authority", "path", "refresh"])?;
    let cluster = fetch
        .require("cluster", "the Envoy cluster to fetch through")
        .and_then(|n| n.string())?;
    let issuer_url = issuer.and_then(split_url);
    let path = match fetch.get("path") {
        Some(path) => path.string()?,
        None if is_discovery => {
            let base = issuer_url.map(|(_, path)| path).unwrap_or_default();
            format!(
                "{}/.well-known/openid-configuration",
                base.trim_end_matches('/')
            )
        }
        None => {
            fetch.fault("`path` is missing: the path of the key set");
            return None;
        }
    };
    if !path.starts_with('/') {
        fetch.fault("`path` has to begin with a slash");
    }
    let authority = fetch.get("authority").and_then(|n| n.string());
    let authority = authority
        .or(issuer_url.map(|(host, _)| host.to_owned()))
        .unwrap_or_else(|| cluster.clone());
    let refresh_ms = fetch
        .get("refresh")
        .and_then(|n| n.duration_ms())
        .unwrap_or(600_000)
        .max(1_000);
    Some(KeySource::Remote {
        cluster,
        authority,
        path,
        discovery: is_discovery,
        refresh_ms,
    })
}

/// Host (with port) and path of an absolute URL.
fn split_url(url: &str) -> Option<(&str, &str)> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))?;
    let slash = rest.find('/').unwrap_or(rest.len());
    rest.split_at_checked(slash)
}

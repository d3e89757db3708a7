//! `identity`: who vouches for callers, and where callers carry the proof.

use std::rc::Rc;

use super::decode::{Node, Object};
use super::shape::{Field, Shape, Takes, may, must};
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

pub static IDENTITY: Shape = Shape {
    name: "identity",
    about: "Who vouches for callers, and whom the policy cuts off.",
    fields: &[
        must(
            "providers",
            Takes::Some(&Takes::Object(&PROVIDER)),
            "OpenID Connect providers whose tokens are taken.",
        ),
        may(
            "revoked",
            Takes::Object(&REVOKED),
            "Identities that are cut off at once, whatever their token says.",
        ),
    ],
};

static REVOKED: Shape = Shape {
    name: "revoked",
    about: "Identities that are cut off.",
    fields: &[
        may("subjects", Takes::List(&Takes::Text), "Subjects."),
        may("token_ids", Takes::List(&Takes::Text), "Values of `jti`."),
    ],
};

static PROVIDER: Shape = Shape {
    name: "provider",
    about: "A provider of tokens.",
    fields: &[
        must("name", Takes::Text, "Its name in records."),
        must("issuer", Takes::Text, "The exact `iss` of its tokens."),
        must(
            "audiences",
            Takes::Some(&Takes::Text),
            "One of these has to be in `aud`.",
        ),
        may(
            "algorithms",
            Takes::Some(&Takes::Choice(&["RS256", "ES256", "EdDSA"])),
            "Accepted signatures; all three unless said otherwise.",
        ),
        may(
            "skew",
            Takes::Duration,
            "By how much its clock may differ; 60s unless said otherwise.",
        ),
        may(
            "max_lifetime",
            Takes::Duration,
            "The longest a token may be valid.",
        ),
        must(
            "jwks",
            Takes::Object(&KEYS),
            "Where its public keys come from.",
        ),
        may(
            "tokens",
            Takes::List(&Takes::Object(&TOKEN)),
            "Where callers carry the token; authorization as bearer, token and basic unless said otherwise.",
        ),
        may(
            "claims",
            Takes::Object(&CLAIMS),
            "Names or dotted paths of the claims that are read.",
        ),
    ],
};

static KEYS: Shape = Shape {
    name: "jwks",
    about: "Exactly one source of public keys.",
    fields: &[
        may("remote", Takes::Object(&REMOTE), "A key set."),
        may(
            "discovery",
            Takes::Object(&DISCOVERY),
            "An OpenID discovery document that names the key set.",
        ),
        may(
            "inline",
            Takes::Anything,
            "The key set itself, as `{keys: [..]}`.",
        ),
    ],
};

const CLUSTER: Field = must(
    "cluster",
    Takes::Text,
    "The Envoy cluster to fetch through.",
);
const AUTHORITY: Field = may(
    "authority",
    Takes::Text,
    "The host that is asked; the issuer's unless said otherwise.",
);
const REFRESH: Field = may(
    "refresh",
    Takes::Duration,
    "The time between fetches; 10m unless said otherwise.",
);

static REMOTE: Shape = Shape {
    name: "remote_keys",
    about: "A key set at an address.",
    fields: &[
        CLUSTER,
        AUTHORITY,
        must("path", Takes::Form("^/"), "The path of the key set."),
        REFRESH,
    ],
};

static DISCOVERY: Shape = Shape {
    name: "discovery",
    about: "An OpenID discovery document.",
    fields: &[
        CLUSTER,
        AUTHORITY,
        may(
            "path",
            Takes::Form("^/"),
            "The path of the document; that of the issuer unless said otherwise.",
        ),
        REFRESH,
    ],
};

static TOKEN: Shape = Shape {
    name: "token",
    about: "A place where callers carry the token.",
    fields: &[
        must("header", Takes::Text, "The header."),
        must(
            "scheme",
            Takes::Choice(&["bearer", "token", "basic", "raw"]),
            "How it is written there.",
        ),
    ],
};

static CLAIMS: Shape = Shape {
    name: "claims",
    about: "Names or dotted paths of claims.",
    fields: &[
        may("subject", Takes::Text, "Who; sub unless said otherwise."),
        may(
            "email",
            Takes::Text,
            "The address; email unless said otherwise.",
        ),
        may(
            "groups",
            Takes::Text,
            "The groups; groups unless said otherwise.",
        ),
        may(
            "session",
            Takes::Text,
            "The session; sid unless said otherwise.",
        ),
    ],
};

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
        .and_then(|n| n.object(&IDENTITY));
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
    let revoked = section.get("revoked").and_then(|n| n.object(&REVOKED));
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
    let object = node.object(&PROVIDER)?;
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
    let object = node.object(&TOKEN)?;
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
    let object = node.object(&CLAIMS)?;
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
    let object = node.object(&KEYS)?;
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
        .object(if is_discovery { &DISCOVERY } else { &REMOTE })?;
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

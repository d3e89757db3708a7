//! What the policy says of each identity provider, checked once.

use std::fmt;

use sha2::{Digest, Sha256};

use super::claims::ClaimNames;
use super::token::{Algorithm, TokenKind};

/// One identity provider and what its tokens must look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderConfig {
    /// The policy's name for it; also what records show.
    pub name: String,
    /// `iss`, compared byte by byte: a slash at the end matters.
    pub issuer: String,
    /// One of these must be in `aud`, compared byte by byte. At least one is required.
    pub audiences: Vec<String>,
    /// Accepted algorithms.
    pub algorithms: Vec<Algorithm>,
    /// Accepted values of `typ`.
    pub kinds: Vec<TokenKind>,
    /// Seconds by which the provider's clock may differ from ours.
    pub skew_s: u64,
    /// Where the claims are.
    pub claims: ClaimNames,
    /// Names or dotted paths of the claims that rules ask for: only these are kept.
    pub kept_claims: Vec<String>,
    /// The longest accepted time between `iat` (or now, without one) and `exp`, in seconds.
    pub max_ttl_s: Option<u64>,
}

impl ProviderConfig {
    /// The largest clock difference that a policy can ask for, in seconds.
    pub const MAX_SKEW_S: u64 = 600;

    /// A provider with every other setting at its default: RS256, ES256 and EdDSA, 60 s of skew, any kind.
    pub fn new(name: impl Into<String>, issuer: impl Into<String>, audiences: Vec<String>) -> Self {
        Self {
            name: name.into(),
            issuer: issuer.into(),
            audiences,
            algorithms: Algorithm::ALL.to_vec(),
            kinds: TokenKind::ALL.to_vec(),
            skew_s: 60,
            claims: ClaimNames::default(),
            kept_claims: Vec::new(),
            max_ttl_s: None,
        }
    }

    /// SHA-256 of every setting: what was verified under another configuration must not be taken for verified.
    pub(super) fn digest(&self) -> [u8; 32] {
        let Self {
            name,
            issuer,
            audiences,
            algorithms,
            kinds,
            skew_s,
            claims,
            kept_claims,
            max_ttl_s,
        } = self;
        let ClaimNames {
            subject,
            email,
            groups,
            session,
        } = claims;
        let mut hash = Sha256::new();
        let mut field = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        for text in [name, issuer, subject, email, groups, session] {
            field(text.as_bytes());
        }
        field(&(audiences.len() as u64).to_be_bytes());
        audiences
            .iter()
            .for_each(|audience| field(audience.as_bytes()));
        algorithms
            .iter()
            .for_each(|algorithm| field(algorithm.name().as_bytes()));
        kinds.iter().for_each(|kind| field(kind.name().as_bytes()));
        field(&(kept_claims.len() as u64).to_be_bytes());
        kept_claims.iter().for_each(|path| field(path.as_bytes()));
        field(&skew_s.to_be_bytes());
        field(&max_ttl_s.map(u64::to_be_bytes).unwrap_or_default());
        field(&[u8::from(max_ttl_s.is_some())]);
        hash.finalize().into()
    }
}

/// What is wrong with a provider's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderFault {
    /// Which provider of the list, from 0.
    pub index: usize,
    /// Which setting.
    pub field: &'static str,
    /// What is wrong with it.
    pub message: &'static str,
}

impl fmt::Display for ProviderFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "provider {}: {}: {}",
            self.index, self.field, self.message
        )
    }
}

impl std::error::Error for ProviderFault {}

/// The policy's identity providers; no two have one name or one issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Providers(Vec<ProviderConfig>);

impl Providers {
    /// Checks the whole list.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn new(providers: Vec<ProviderConfig>) -> Result<Self, Vec<ProviderFault>> {
        let mut faults = Vec::new();
        for (index, provider) in providers.iter().enumerate() {
            let earlier = providers.get(..index).unwrap_or_default();
            let mut refuse = |wrong: bool, field, message| {
                if wrong {
                    faults.push(ProviderFault {
                        index,
                        field,
                        message,
                    });
                }
            };
            let ProviderConfig {
                name,
                issuer,
                audiences,
                algorithms,
                kinds,
                skew_s,
                claims,
                kept_claims: _,
                max_ttl_s,
            } = provider;
            refuse(name.is_empty(), "name", "is empty");
            refuse(
                earlier.iter().any(|p| p.name == *name),
                "name",
                "is another provider's too",
            );
            refuse(issuer.is_empty(), "issuer", "is empty");
            refuse(
                earlier.iter().any(|p| p.issuer == *issuer),
                "issuer",
                "is another provider's too",
            );
            refuse(
                audiences.is_empty(),
                "audiences",
                "is empty: tokens meant for others would pass",
            );
            refuse(
                audiences.iter().any(String::is_empty),
                "audiences",
                "has an empty entry",
            );
            refuse(
                algorithms.is_empty(),
                "algorithms",
                "is empty: no token could pass",
            );
            refuse(kinds.is_empty(), "kinds", "is empty: no token could pass");
            refuse(
                *skew_s > ProviderConfig::MAX_SKEW_S,
                "skew",
                "is more than ten minutes",
            );
            refuse(
                *max_ttl_s == Some(0),
                "max_ttl",
                "is zero: no token could pass",
            );
            for (field, path) in [
                ("claims.subject", &claims.subject),
                ("claims.email", &claims.email),
                ("claims.groups", &claims.groups),
                ("claims.session", &claims.session),
            ] {
                refuse(
                    path.split('.').any(str::is_empty),
                    field,
                    "has an empty part",
                );
            }
        }
        if faults.is_empty() {
            Ok(Self(providers))
        } else {
            Err(faults)
        }
    }

    /// The provider that issues tokens as `issuer`, compared byte by byte.
    pub fn by_issuer(&self, issuer: &str) -> Option<&ProviderConfig> {
        self.0.iter().find(|provider| provider.issuer == issuer)
    }

    /// The provider of that name.
    pub fn by_name(&self, name: &str) -> Option<&ProviderConfig> {
        self.0.iter().find(|provider| provider.name == name)
    }

    /// All of them, in the policy's order.
    pub fn iter(&self) -> impl Iterator<Item = &ProviderConfig> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(name: &str, issuer: &str) -> ProviderConfig {
        ProviderConfig::new(name, issuer, vec!["countersign".to_owned()])
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let mut open = provider("a", "https://a");
        open.audiences.clear();
        open.algorithms.clear();
        open.kinds.clear();
        open.skew_s = 601;
        open.max_ttl_s = Some(0);
        open.claims.groups = "realm_access..roles".to_owned();
        let mut blank = provider("", "");
        blank.audiences = vec![String::new()];
        let faults = Providers::new(vec![open, blank, provider("a", "https://a")]).unwrap_err();
        let told: Vec<_> = faults.iter().map(|f| (f.index, f.field)).collect();
        assert_eq!(
            told,
            [
                (0, "audiences"),
                (0, "algorithms"),
                (0, "kinds"),
                (0, "skew"),
                (0, "max_ttl"),
                (0, "claims.groups"),
                (1, "name"),
                (1, "issuer"),
                (1, "audiences"),
                (2, "name"),
                (2, "issuer"),
            ]
        );
    }

    #[test]
    fn issuers_are_found_exactly() {
        let providers = Providers::new(vec![
            provider("a", "https://a/"),
            provider("b", "https://a"),
        ])
        .unwrap();
        assert_eq!(
            providers.by_issuer("https://a").map(|p| p.name.as_str()),
            Some("b")
        );
        assert_eq!(providers.by_issuer("https://A/"), None);
        assert_eq!(
            providers.by_name("a").map(|p| p.issuer.as_str()),
            Some("https://a/")
        );
        assert_eq!(providers.iter().count(), 2);
    }

    #[test]
    fn every_setting_changes_the_digest() {
        let base = provider("a", "https://a");
        let mut seen = vec![base.digest()];
        let mut differs = |change: &dyn Fn(&mut ProviderConfig)| {
            let mut changed = base.clone();
            change(&mut changed);
            assert!(!seen.contains(&changed.digest()), "{changed:?}");
            seen.push(changed.digest());
        };
        differs(&|p| p.name = "b".to_owned());
        differs(&|p| p.issuer = "https://b".to_owned());
        differs(&|p| p.audiences.push("x".to_owned()));
        differs(&|p| p.audiences = vec!["counter".to_owned(), "sign".to_owned()]);
        differs(&|p| p.algorithms.truncate(1));
        differs(&|p| p.kinds.truncate(1));
        differs(&|p| p.skew_s = 61);
        differs(&|p| p.max_ttl_s = Some(0));
        differs(&|p| p.claims.subject = "oid".to_owned());
        differs(&|p| p.claims.email = "mail".to_owned());
        differs(&|p| p.claims.groups = "roles".to_owned());
        differs(&|p| p.claims.session = "jti".to_owned());
        differs(&|p| p.kept_claims = vec!["ref".to_owned()]);
    }
}

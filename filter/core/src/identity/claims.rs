//! The claims of a verified token (RFC 7519 section 4, RFC 9068 section 4), read strictly.

use serde_json::{Map, Value};

use super::fault::TokenFault;
use super::provider::ProviderConfig;
use crate::json::parse_strict;

/// Where a provider's tokens keep what we need.
///
/// Each is a claim's name or a path with dots (`realm_access.roles`). A claim whose name is the whole text goes before
/// the path, because namespaced claims (`https://example.com/groups`) have dots of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimNames {
    /// Who: required, a non-empty string.
    pub subject: String,
    /// A string, if present.
    pub email: String,
    /// An array of strings, or one string without blanks and commas; none if absent.
    pub groups: String,
    /// A string, if present.
    pub session: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        let [subject, email, groups, session] =
            ["sub", "email", "groups", "sid"].map(str::to_owned);
        Self {
            subject,
            email,
            groups,
            session,
        }
    }
}

/// Who a verified token names.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The name of the provider in the policy.
    pub provider: String,
    /// Who, as this provider names them.
    pub subject: String,
    /// Their address, if the token has it; as the provider wrote it.
    pub email: Option<String>,
    /// Their groups as the provider wrote them, a leading `/` included.
    pub groups: Vec<String>,
    /// The session the token belongs to.
    pub session: Option<String>,
    /// `jti`.
    pub token_id: Option<String>,
    /// When it ends, in seconds since 1970, without the skew.
    pub expires: u64,
    /// The claims that the policy's rules ask for; of the others nothing is kept.
    pub claims: Map<String, Value>,
}

impl Identity {
    /// A claim by its name or dotted path.
    pub fn claim(&self, path: &str) -> Option<&Value> {
        lookup(&self.claims, path)
    }
}

/// The last second of the year 9999: later times are milliseconds taken for seconds.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// The payload as the JSON object that a JWT's is.
pub(super) fn object(payload: &[u8]) -> Result<Map<String, Value>, TokenFault> {
    match parse_strict(payload) {
        Ok(Value::Object(claims)) => Ok(claims),
        _ => Err(TokenFault::Malformed(
            "The token's payload is not a JSON object without repeated names.",
        )),
    }
}

/// `iss`.
pub(super) fn issuer(claims: &Map<String, Value>) -> Result<&str, TokenFault> {
    claims
        .get("iss")
        .and_then(Value::as_str)
        .ok_or(TokenFault::Issuer)
}

/// Reads who the claims name, if they hold for this provider at `now`.
pub(super) fn read(
    mut claims: Map<String, Value>,
    provider: &ProviderConfig,
    now: u64,
) -> Result<Identity, TokenFault> {
    if issuer(&claims)? != provider.issuer {
        return Err(TokenFault::Issuer);
    }
    audience(&claims, provider)?;
    let expires = times(&claims, provider, now)?;

    let names = &provider.claims;
    let subject = text(
        lookup(&claims, &names.subject),
        "The token's subject is not a plain string.",
    )?
    .filter(|subject| !subject.is_empty())
    .ok_or(TokenFault::Claims("The token has no subject."))?;
    let email = text(
        lookup(&claims, &names.email),
        "The token's email is not a plain string.",
    )?;
    let session = text(
        lookup(&claims, &names.session),
        "The token's session is not a plain string.",
    )?;
    let token_id = text(claims.get("jti"), "The token's id is not a plain string.")?;
    let groups = groups(&claims, &names.groups)?;
    claims.retain(|name, _| {
        let asked = |path: &String| path == name || path.split('.').next() == Some(name);
        provider.kept_claims.iter().any(asked)
    });
    Ok(Identity {
        provider: provider.name.clone(),
        subject,
        email,
        groups,
        session,
        token_id,
        expires,
        claims,
    })
}

fn audience(claims: &Map<String, Value>, provider: &ProviderConfig) -> Result<(), TokenFault> {
    const WRONG: TokenFault =
        TokenFault::Claims("The token's audience is neither a string nor an array of strings.");
    let ours = |audience: &str| provider.audiences.iter().any(|ours| ours == audience);
    let meant = match claims.get("aud") {
        None => false,
        Some(Value::String(audience)) => ours(audience),
        Some(Value::Array(audiences)) => {
            let audiences: Option<Vec<&str>> = audiences.iter().map(Value::as_str).collect();
            audiences.ok_or(WRONG)?.into_iter().any(ours)
        }
        Some(_) => return Err(WRONG),
    };
    if meant {
        Ok(())
    } else {
        Err(TokenFault::Audience)
    }
}

/// Checks `exp`, `nbf` and `iat`, and gives `exp` in whole seconds.
fn times(
    claims: &Map<String, Value>,
    provider: &ProviderConfig,
    now: u64,
) -> Result<u64, TokenFault> {
    let (now, skew) = (now as f64, provider.skew_s as f64);
    let exp = seconds(
        claims.get("exp"),
        "The token's expiry is not a time in seconds.",
    )?
    .ok_or(TokenFault::Claims("The token has no expiry."))?;
    let nbf = seconds(
        claims.get("nbf"),
        "The token's start is not a time in seconds.",
    )?;
    let iat = seconds(
        claims.get("iat"),
        "The token's issue time is not a time in seconds.",
    )?;
    if now >= exp + skew {
        return Err(TokenFault::Expired);
    }
    if nbf.into_iter().chain(iat).any(|start| start > now + skew) {
        return Err(TokenFault::NotYetValid);
    }
    if provider
        .max_ttl_s
        .is_some_and(|most| exp - iat.unwrap_or(now) > most as f64)
    {
        return Err(TokenFault::Lifetime);
    }
    Ok(exp.max(0.0) as u64)
}

/// A NumericDate (RFC 7519 section 2): any JSON number, fractions included.
fn seconds(claim: Option<&Value>, wrong: &'static str) -> Result<Option<f64>, TokenFault> {
    let Some(claim) = claim else { return Ok(None) };
    let time = claim
        .as_f64()
        .filter(|time| time.is_finite() && time.abs() <= LAST_SECOND);
    time.map(Some).ok_or(TokenFault::Claims(wrong))
}

/// A string without control characters, which have no place in a name and would break a line of somebody's log.
fn text(claim: Option<&Value>, wrong: &'static str) -> Result<Option<String>, TokenFault> {
    match claim {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.chars().any(char::is_control) => Ok(Some(text.clone())),
        Some(_) => Err(TokenFault::Claims(wrong)),
    }
}

fn groups(claims: &Map<String, Value>, path: &str) -> Result<Vec<String>, TokenFault> {
    const WRONG: &str = "The token's groups are not an array of plain strings or one plain string.";
    if overflowed(claims, path) {
        return Err(TokenFault::GroupsOverage);
    }
    let one = |group: &Value| match text(Some(group), WRONG)? {
        Some(group) if !group.is_empty() => Ok(group),
        _ => Err(TokenFault::Claims(WRONG)),
    };
    match lookup(claims, path) {
        None => Ok(Vec::new()),
        Some(Value::Array(groups)) => groups.iter().map(one).collect(),
        // "a b" could be one group or two.
        Some(group @ Value::String(text)) if !text.contains([' ', ',']) => Ok(vec![one(group)?]),
        // null too: a group that denies must not vanish with a provider's mistake.
        Some(_) => Err(TokenFault::Claims(WRONG)),
    }
}

/// Whether the provider left the groups out because they were too many (Entra ID: over 200, or over 6 in a URL).
fn overflowed(claims: &Map<String, Value>, path: &str) -> bool {
    let elsewhere = match claims.get("_claim_names") {
        None => false,
        Some(Value::Object(names)) => {
            names.contains_key(path)
                || path
                    .split('.')
                    .next()
                    .is_some_and(|top| names.contains_key(top))
        }
        Some(_) => true,
    };
    let hidden = path == "groups"
        && claims
            .get("hasgroups")
            .is_some_and(|marker| *marker != Value::Bool(false));
    elsewhere || hidden
}

fn lookup<'c>(claims: &'c Map<String, Value>, path: &str) -> Option<&'c Value> {
    if let Some(claim) = claims.get(path) {
        return Some(claim);
    }
    let (top, rest) = path.split_once('.')?;
    rest.split('.').try_fold(claims.get(top)?, |object, name| {
        object.as_object()?.get(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: u64 = 1_700_000_000;

    fn provider() -> ProviderConfig {
        ProviderConfig::new(
            "idp",
            "https://idp",
            vec!["countersign".to_owned(), "api://other".to_owned()],
        )
    }

    fn claims(change: Value) -> Map<String, Value> {
        let mut claims =
            json!({"iss": "https://idp", "aud": "countersign", "exp": NOW + 300, "sub": "ada"});
        let claims = claims.as_object_mut().unwrap();
        claims.extend(change.as_object().unwrap().clone());
        claims.clone()
    }

    fn with(change: Value, set: impl FnOnce(&mut ProviderConfig)) -> Result<Identity, TokenFault> {
        let mut provider = provider();
        set(&mut provider);
        read(claims(change), &provider, NOW)
    }

    #[test]
    fn a_full_token_gives_a_full_identity() {
        let identity = with(
            json!({"aud": ["x", "api://other"], "email": "ada@example.com", "groups": ["/eng/team", "release managers"],
                "sid": "s1", "jti": "t1", "nbf": NOW, "iat": NOW, "exp": NOW as f64 + 300.5, "ref": "refs/heads/main",
                "realm_access": {"roles": ["dev"]}, "https://x.example/env": "prod", "secret_note": "x"}),
            |p| p.kept_claims = ["ref", "realm_access.roles", "https://x.example/env", "absent"].map(str::to_owned).to_vec(),
        )
        .unwrap();
        assert_eq!(identity.provider, "idp");
        assert_eq!(identity.subject, "ada");
        assert_eq!(identity.email.as_deref(), Some("ada@example.com"));
        assert_eq!(identity.groups, ["/eng/team", "release managers"]);
        assert_eq!(identity.session.as_deref(), Some("s1"));
        assert_eq!(identity.token_id.as_deref(), Some("t1"));
        assert_eq!(identity.expires, NOW + 300);
        assert_eq!(identity.claim("ref"), Some(&json!("refs/heads/main")));
        assert_eq!(identity.claim("realm_access.roles"), Some(&json!(["dev"])));
        assert_eq!(
            identity.claim("https://x.example/env"),
            Some(&json!("prod"))
        );
        assert_eq!(identity.claim("absent"), None);
        assert_eq!(
            identity.claims.len(),
            3,
            "what no rule asks for is not kept"
        );
    }

    #[test]
    fn groups_are_found_by_name_then_by_path() {
        let roles = |path: &str, change| {
            with(change, |p| p.claims.groups = path.to_owned()).map(|i| i.groups)
        };
        assert_eq!(
            roles(
                "realm_access.roles",
                json!({"realm_access": {"roles": ["a"]}})
            ),
            Ok(vec!["a".to_owned()])
        );
        assert_eq!(
            roles(
                "https://x.example/groups",
                json!({"https://x.example/groups": "a"})
            ),
            Ok(vec!["a".to_owned()])
        );
        assert_eq!(
            roles("a.b.c", json!({"a": {"b": {"c": ["d"]}}})),
            Ok(vec!["d".to_owned()])
        );
        assert_eq!(roles("a.b.c", json!({"a": {"b": "c"}})), Ok(vec![]));
        assert_eq!(roles("groups", json!({})), Ok(vec![]));
        assert_eq!(roles("groups", json!({"groups": []})), Ok(vec![]));
    }

    #[test]
    fn odd_groups_are_refused() {
        for groups in [
            json!("a b"),
            json!("a,b"),
            json!(""),
            json!(null),
            json!(1),
            json!({"a": 1}),
            json!(["a", 1]),
            json!([""]),
            json!([null]),
            json!([["a"]]),
            json!(["a\nb"]),
        ] {
            let fault = with(json!({"groups": groups}), |_| {}).unwrap_err();
            assert_eq!(fault.code(), "token_claims", "{groups}");
        }
    }

    #[test]
    fn groups_left_out_are_noticed_where_they_matter() {
        let names = json!({"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://graph"}}});
        assert_eq!(with(names.clone(), |_| {}), Err(TokenFault::GroupsOverage));
        for marker in [json!(true), json!("true"), json!(1)] {
            assert_eq!(
                with(json!({"hasgroups": marker}), |_| {}),
                Err(TokenFault::GroupsOverage)
            );
        }
        assert_eq!(
            with(json!({"_claim_names": "x"}), |_| {}),
            Err(TokenFault::GroupsOverage)
        );
        assert!(with(json!({"hasgroups": false}), |_| {}).is_ok());
        // App roles are the remedy, and are not cut.
        assert!(with(names, |p| p.claims.groups = "roles".to_owned()).is_ok());
        assert!(
            with(json!({"hasgroups": true, "roles": ["a"]}), |p| p
                .claims
                .groups =
                "roles".to_owned())
            .is_ok()
        );
        let nested = json!({"_claim_names": {"realm_access": "src1"}});
        assert_eq!(
            with(nested, |p| p.claims.groups =
                "realm_access.roles".to_owned()),
            Err(TokenFault::GroupsOverage)
        );
    }

    #[test]
    fn times_hold_to_the_second() {
        let at = |change| with(change, |_| {}).map(|i| i.expires);
        assert_eq!(at(json!({"exp": NOW - 59})), Ok(NOW - 59));
        assert_eq!(at(json!({"exp": NOW - 60})), Err(TokenFault::Expired));
        assert_eq!(at(json!({"exp": 0})), Err(TokenFault::Expired));
        assert_eq!(at(json!({"exp": -1})), Err(TokenFault::Expired));
        assert_eq!(at(json!({"nbf": NOW + 60})), Ok(NOW + 300));
        assert_eq!(at(json!({"nbf": NOW + 61})), Err(TokenFault::NotYetValid));
        assert_eq!(at(json!({"iat": NOW + 61})), Err(TokenFault::NotYetValid));
        assert_eq!(at(json!({"iat": 0})), Ok(NOW + 300));
        assert_eq!(at(json!({"exp": 253_402_300_799_u64})), Ok(253_402_300_799));
        let strict = |change| with(change, |p| p.skew_s = 0).map(|i| i.expires);
        assert_eq!(strict(json!({"exp": NOW})), Err(TokenFault::Expired));
        assert_eq!(strict(json!({"exp": NOW + 1, "nbf": NOW})), Ok(NOW + 1));
    }

    #[test]
    fn lifetimes_are_bounded_when_asked() {
        let within = |change| with(change, |p| p.max_ttl_s = Some(600)).map(|i| i.expires);
        assert_eq!(
            within(json!({"iat": NOW - 300, "exp": NOW + 300})),
            Ok(NOW + 300)
        );
        assert_eq!(
            within(json!({"iat": NOW - 301, "exp": NOW + 300})),
            Err(TokenFault::Lifetime)
        );
        assert_eq!(within(json!({"exp": NOW + 600})), Ok(NOW + 600));
        assert_eq!(within(json!({"exp": NOW + 601})), Err(TokenFault::Lifetime));
    }

    #[test]
    fn the_subject_can_be_another_claim() {
        let subject =
            |change| with(change, |p| p.claims.subject = "oid".to_owned()).map(|i| i.subject);
        assert_eq!(subject(json!({"oid": "o-1"})), Ok("o-1".to_owned()));
        assert_eq!(
            subject(json!({})),
            Err(TokenFault::Claims("The token has no subject."))
        );
    }
}

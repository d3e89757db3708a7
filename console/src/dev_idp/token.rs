//! `countersign token`: a JSON Web Token signed with a development folder's key.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::ISSUER;
use super::keys::{self, Algorithm};
use crate::clock::Millis;
use crate::data_folder::{self, Kind, Where};
use crate::failure::Failure;
use crate::secret::random_id;
use crate::store::meta;

/// What a token says.
#[derive(Clone, Debug)]
pub struct Claims {
    /// `sub`
    pub subject: String,
    /// `groups`
    pub groups: Vec<String>,
    /// `email`
    pub email: Option<String>,
    /// `aud`
    pub audience: String,
    /// From `iat` to `exp`; may be negative, for a token that has expired.
    pub lifetime: Millis,
    /// Anything else; counts over everything above.
    pub more: Vec<(String, Value)>,
}

/// Signs a token with the key of the development data at `place`.
pub fn issue(
    place: &Where,
    now: Millis,
    algorithm: Algorithm,
    claims: Claims,
) -> Result<String, Failure> {
    let store = place.store()?;
    let not_development = || {
        Failure::new(
            format!("{} is not a development data folder", place.named()),
            "Only `countersign serve --dev --data DIR` makes one; real identities come from your identity provider.",
        )
    };
    if data_folder::kind(&store)? != Some(Kind::Development) {
        return Err(not_development());
    }
    let issuer = store
        .read_now(|c| meta::get(c, ISSUER))?
        .ok_or_else(not_development)?;
    let key = store
        .read_now(|c| keys::signing_key(c, algorithm))?
        .ok_or_else(not_development)?;
    let seconds = now.div_euclid(1000);
    let mut payload = Map::new();
    payload.insert("iss".into(), issuer.into());
    payload.insert("sub".into(), claims.subject.into());
    payload.insert("aud".into(), claims.audience.into());
    payload.insert("iat".into(), seconds.into());
    payload.insert("nbf".into(), seconds.into());
    let expires = seconds.saturating_add(claims.lifetime.div_euclid(1000));
    payload.insert("exp".into(), expires.into());
    let id = random_id().map_err(|error| Failure::plain(error.to_string()))?;
    payload.insert("jti".into(), id.into());
    if !claims.groups.is_empty() {
        payload.insert("groups".into(), claims.groups.into());
    }
    if let Some(email) = claims.email {
        payload.insert("email".into(), email.into());
    }
    payload.extend(claims.more);
    let header = json!({"alg": algorithm.name(), "kid": key.kid, "typ": "JWT"});
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(Value::Object(payload).to_string())
    );
    let signature = key.sign(signed.as_bytes())?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// Reads `name=value`; a value that is JSON is taken as that, any other as text.
pub fn parse_claim(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or("write it as NAME=VALUE")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    Ok((name.to_owned(), value))
}

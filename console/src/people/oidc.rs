//! Sign-in with an OpenID provider: authorization code with PKCE, bound to the browser that began it.
//!
//! What the provider vouches for is the ID token, whose signature, issuer, audience, time and nonce
//! the `openidconnect` crate checks. Groups that are not in it are asked for at the userinfo endpoint,
//! whose subject has to be the same.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreProviderMetadata,
};
use openidconnect::{
    AccessToken, AuthType, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IssuerUrl, Nonce, OAuth2TokenResponse,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, TokenResponse,
};
use serde_json::{Map, Value};

use super::{Person, Provided, claim};
use crate::clock::Millis;
use crate::secret::{hash_token, random_token};
use crate::settings::Oidc;
use crate::store::StoreError;
use crate::store::sql::{Connection, OptionalExtension, params};

/// How long somebody may take at the provider.
pub const PATIENCE: Millis = 10 * 60_000;
/// Discovery and keys are asked for again after this.
const FRESH: Duration = Duration::from_secs(600);
/// One call to the provider takes at most this long.
const CALL: Duration = Duration::from_secs(15);
/// Answers of the provider that are longer are none.
const LARGEST: u64 = 1 << 20;

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Why somebody could not sign in. The text is for the person; the cause goes to the log.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The provider did not answer, or not as a provider does.
    #[error("the identity provider could not be asked")]
    Provider(String),
    /// Its answer does not hold.
    #[error("the identity provider's answer is not valid")]
    Invalid(String),
    /// It left the groups out.
    #[error(
        "the identity provider did not say which groups you are in, because there are too many"
    )]
    TooManyGroups,
    /// A claim is missing.
    #[error("the identity provider did not say `{0}`")]
    Missing(String),
    /// He is in none of the groups that may sign in.
    #[error("you are in none of the groups that may sign in here")]
    NotAdmitted,
}

/// The provider, as it is known.
pub struct Provider {
    settings: Oidc,
    redirect: String,
    known: Mutex<Option<(Instant, CoreProviderMetadata)>>,
}

/// A sign-in that begins.
pub struct Begun {
    /// Where the browser goes.
    pub address: String,
    /// Comes back in the address.
    pub state: String,
    nonce: String,
    verifier: String,
}

/// A sign-in that came back.
#[derive(Clone, Debug)]
pub struct Returned {
    nonce: String,
    verifier: String,
    /// Where the person wanted to go.
    pub next: String,
}

impl Provider {
    /// A provider that sends people back to `redirect`.
    pub fn new(settings: Oidc, redirect: String) -> Self {
        Self {
            settings,
            redirect,
            known: Mutex::default(),
        }
    }

    /// What the button says.
    pub fn label(&self) -> &str {
        &self.settings.label
    }

    /// Begins a sign-in. Blocks.
    pub fn begin(&self) -> Result<Begun, Trouble> {
        let client = self.client(false)?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let mut request = client.authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            CsrfToken::new_random,
            Nonce::new_random,
        );
        for scope in &self.settings.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        let (address, state, nonce) = request.set_pkce_challenge(challenge).url();
        Ok(Begun {
            address: address.to_string(),
            state: state.secret().clone(),
            nonce: nonce.secret().clone(),
            verifier: verifier.secret().clone(),
        })
    }

    /// Whether an answer that says `issuer` is this provider's, as RFC 9207 has it; many say nothing.
    pub fn sent(&self, issuer: &str) -> Result<(), Trouble> {
        if issuer.is_empty() || issuer == self.settings.issuer {
            return Ok(());
        }
        Err(Trouble::Invalid("it is another provider's".into()))
    }

    /// Who came back with `code`. Blocks.
    pub fn finish(&self, code: &str, returned: &Returned) -> Result<Provided, Trouble> {
        let client = self.client(false)?;
        let http = |request: HttpRequest| self.call(request);
        let answer = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|error| Trouble::Provider(error.to_string()))?
            .set_pkce_verifier(PkceCodeVerifier::new(returned.verifier.clone()))
            .request(&http)
            .map_err(|error| Trouble::Invalid(format!("the code: {}", causes(&error))))?;
        let token = answer
            .id_token()
            .ok_or_else(|| Trouble::Invalid("there is no ID token".into()))?;
        let nonce = Nonce::new(returned.nonce.clone());
        let checked = token.claims(&client.id_token_verifier(), &nonce).map(drop);
        if checked.is_err() {
            // A new key may have signed it; a token that does not hold with the newest does not hold.
            let newest = self.client(true)?;
            token
                .claims(&newest.id_token_verifier(), &nonce)
                .map_err(|error| Trouble::Invalid(format!("the ID token: {}", causes(&error))))?;
        }
        // Every byte of it has been verified above.
        let mut claims = payload(&token.to_string())?;
        let subject = text(&claims, "sub")?;
        let names = &self.settings.claims;
        let wanted = [&names.name, &names.email, &names.groups];
        if wanted.iter().any(|path| claim(&claims, path).is_empty()) {
            for (key, value) in self.userinfo(answer.access_token(), &subject)? {
                claims.entry(key).or_insert(value);
            }
        }
        self.person(&subject, claims)
    }

    fn person(&self, subject: &str, claims: Map<String, Value>) -> Result<Provided, Trouble> {
        let names = &self.settings.claims;
        let first = |path: &str| claim(&claims, path).into_iter().next();
        let mut groups = claim(&claims, &names.groups);
        // A list in one text, as some providers write it.
        if let [one] = groups.as_slice() {
            groups = one.split([' ', ',']).map(str::to_owned).collect();
        }
        groups.retain(|group| !group.is_empty());
        let left_out = claims.get("hasgroups") == Some(&Value::Bool(true))
            || claims
                .get("_claim_names")
                .is_some_and(|names| names.get("groups").is_some());
        if groups.is_empty() && left_out {
            return Err(Trouble::TooManyGroups);
        }
        let admitted = &self.settings.groups;
        if !admitted.is_empty() && !admitted.iter().any(|group| groups.contains(group)) {
            return Err(Trouble::NotAdmitted);
        }
        let unverified = claims.get("email_verified") == Some(&Value::Bool(false));
        let kept = self.settings.keep.iter().filter_map(|path| {
            let values = claim(&claims, path);
            (!values.is_empty()).then(|| (path.clone(), Value::from(values)))
        });
        Ok(Provided {
            issuer: self.settings.issuer.clone(),
            subject: subject.to_owned(),
            person: Person {
                name: first(&names.name).ok_or_else(|| Trouble::Missing(names.name.clone()))?,
                // Anybody may claim an address that nobody verified.
                email: first(&names.email).filter(|_| !unverified),
                groups,
                claims: kept.collect(),
            },
        })
    }

    fn userinfo(&self, token: &AccessToken, subject: &str) -> Result<Map<String, Value>, Trouble> {
        let metadata = self.metadata(false)?;
        let Some(endpoint) = metadata.userinfo_endpoint() else {
            return Ok(Map::new());
        };
        let request = openidconnect::http::Request::get(endpoint.as_str())
            .header("authorization", format!("Bearer {}", token.secret()))
            .header("accept", "application/json")
            .body(Vec::new())
            .map_err(|error| Trouble::Provider(error.to_string()))?;
        let answer = self
            .call(request)
            .map_err(|error| Trouble::Provider(error.0))?;
        if !answer.status().is_success() {
            return Err(Trouble::Provider(format!(
                "userinfo: status {}",
                answer.status()
            )));
        }
        let claims: Map<String, Value> = serde_json::from_slice(answer.body())
            .map_err(|error| Trouble::Invalid(format!("userinfo: {error}")))?;
        if claims.get("sub").and_then(Value::as_str) != Some(subject) {
            return Err(Trouble::Invalid("userinfo is of somebody else".into()));
        }
        Ok(claims)
    }

    fn client(&self, newest: bool) -> Result<Client, Trouble> {
        let metadata = self.metadata(newest)?;
        let wrong = |error: String| Trouble::Provider(error);
        let redirect =
            RedirectUrl::new(self.redirect.clone()).map_err(|error| wrong(error.to_string()))?;
        let secret = self.settings.client_secret.as_ref();
        let secret = secret.and_then(|secret| secret.value.as_ref());
        let shown = way_to_show(&metadata);
        Ok(CoreClient::from_provider_metadata(
            metadata,
            ClientId::new(self.settings.client_id.clone()),
            secret.map(|secret| ClientSecret::new(secret.expose().to_owned())),
        )
        .set_auth_type(shown)
        .set_redirect_uri(redirect))
    }

    fn metadata(&self, newest: bool) -> Result<CoreProviderMetadata, Trouble> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let (false, Some((at, metadata))) = (newest, &*known())
            && at.elapsed() < FRESH
        {
            return Ok(metadata.clone());
        }
        let wrong = |error: String| Trouble::Provider(error);
        let issuer =
            IssuerUrl::new(self.settings.issuer.clone()).map_err(|e| wrong(e.to_string()))?;
        let http = |request: HttpRequest| self.call(request);
        let metadata = CoreProviderMetadata::discover(&issuer, &http)
            .map_err(|error| wrong(format!("discovery: {}", causes(&error))))?;
        *known() = Some((Instant::now(), metadata.clone()));
        Ok(metadata)
    }

    fn call(&self, request: HttpRequest) -> Result<HttpResponse, CallError> {
        let failed = |error: String| CallError(error);
        let agent = crate::client::agent(CALL, self.settings.ca.as_deref())
            .map_err(|error| failed(error.to_string()))?;
        let answer = agent
            .run(request)
            .map_err(|error| failed(error.to_string()))?;
        let (parts, mut body) = answer.into_parts();
        let body = body
            .with_config()
            .limit(LARGEST)
            .read_to_vec()
            .map_err(|error| failed(error.to_string()))?;
        Ok(HttpResponse::from_parts(parts, body))
    }
}

/// How the client shows its secret: in a header, which every provider takes that does not say otherwise.
fn way_to_show(metadata: &CoreProviderMetadata) -> AuthType {
    let taken = metadata.token_endpoint_auth_methods_supported();
    let takes = |method| taken.is_none_or(|methods| methods.contains(&method));
    match takes(CoreClientAuthMethod::ClientSecretPost)
        && !takes(CoreClientAuthMethod::ClientSecretBasic)
    {
        true => AuthType::RequestBody,
        false => AuthType::BasicAuth,
    }
}

/// A call that did not work out.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CallError(String);

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

fn payload(token: &str) -> Result<Map<String, Value>, Trouble> {
    let invalid = || Trouble::Invalid("the ID token has no claims".into());
    let part = token.split('.').nth(1).ok_or_else(invalid)?;
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| invalid())?;
    serde_json::from_slice(&bytes).map_err(|_| invalid())
}

fn text(claims: &Map<String, Value>, key: &str) -> Result<String, Trouble> {
    let value = claims.get(key).and_then(Value::as_str);
    value
        .map(str::to_owned)
        .ok_or_else(|| Trouble::Missing(key.to_owned()))
}

/// Writes down a sign-in that begins, and returns what the browser keeps meanwhile. Those that nobody
/// came back from are cleared on the way.
pub fn remember(
    c: &Connection,
    now: Millis,
    begun: &Begun,
    next: &str,
) -> Result<String, StoreError> {
    let browser = random_token()?;
    c.execute("DELETE FROM sign_ins WHERE ends_at <= ?1", [now])?;
    c.execute(
        "INSERT INTO sign_ins (state_hash, browser_hash, nonce, verifier, next, ends_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            hash_token("sign-in-state", &begun.state),
            hash_token("sign-in-browser", &browser),
            begun.nonce,
            begun.verifier,
            next,
            now + PATIENCE
        ],
    )?;
    Ok(browser)
}

/// The sign-in that `state` is of, if this browser began it; once.
pub fn recall(
    c: &Connection,
    now: Millis,
    state: &str,
    browser: &str,
) -> Result<Option<Returned>, StoreError> {
    let (state, browser) = (
        hash_token("sign-in-state", state),
        hash_token("sign-in-browser", browser),
    );
    let found = c
        .query_row(
            "SELECT nonce, verifier, next FROM sign_ins
             WHERE state_hash = ?1 AND browser_hash = ?2 AND ends_at > ?3",
            params![state, browser, now],
            |row| {
                Ok(Returned {
                    nonce: row.get(0)?,
                    verifier: row.get(1)?,
                    next: row.get(2)?,
                })
            },
        )
        .optional()?;
    let mine = c.execute(
        "DELETE FROM sign_ins WHERE state_hash = ?1 AND browser_hash = ?2",
        params![state, browser],
    )?;
    Ok(found.filter(|_| mine > 0))
}

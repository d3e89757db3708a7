//! An OpenID provider on a socket, which checks what a provider checks: the client's secret, the code, and
//! the proof of PKCE.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Redirect;
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign::dev_idp::keys::{self, Algorithm};
use countersign::store::Store;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

#[derive(Clone)]
pub struct Provider {
    pub url: String,
    store: Store,
    /// What the next ID token says instead.
    pub claims: Arc<Mutex<Value>>,
    /// What the userinfo endpoint says.
    pub more: Arc<Mutex<Value>>,
    /// Code -> (PKCE challenge, nonce).
    pub codes: Arc<Mutex<HashMap<String, (String, String)>>>,
}

impl Provider {
    pub async fn start(folder: &std::path::Path) -> Self {
        let store = Store::open(&folder.join("provider.db")).unwrap();
        store.write(keys::ensure).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let provider = Self {
            // Another site than the console's 127.0.0.1.
            url: format!("http://localhost:{}", listener.local_addr().unwrap().port()),
            store,
            claims: Arc::new(Mutex::new(json!({}))),
            more: Arc::new(Mutex::new(json!({}))),
            codes: Arc::default(),
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks", get(jwks))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/userinfo", get(userinfo))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        provider
    }

    /// A code for a sign-in with this proof and nonce.
    pub fn code(&self, challenge: &str, nonce: &str) -> String {
        let mut codes = self.codes.lock().unwrap();
        let code = format!("code-{}", codes.len());
        codes.insert(code.clone(), (challenge.to_owned(), nonce.to_owned()));
        code
    }

    pub fn settings(&self) -> String {
        format!(
            "version: v1\nsign_in:\n  session: 10m\n  oidc: {{ issuer: \"{}\", client_id: countersign, client_secret: {{ env: X }}, claims: {{ name: preferred_username }}, keep: [department], groups: [staff] }}",
            self.url
        )
    }
}

async fn discovery(State(provider): State<Provider>) -> Json<Value> {
    let url = &provider.url;
    Json(json!({
        "issuer": url, "authorization_endpoint": format!("{url}/authorize"), "token_endpoint": format!("{url}/token"),
        "jwks_uri": format!("{url}/jwks"), "userinfo_endpoint": format!("{url}/userinfo"),
        "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }))
}

/// Whoever comes is signed in there already.
async fn authorize(
    State(provider): State<Provider>,
    Query(asked): Query<HashMap<String, String>>,
) -> Redirect {
    let code = provider.code(&asked["code_challenge"], &asked["nonce"]);
    Redirect::to(&format!(
        "{}?code={code}&state={}",
        asked["redirect_uri"], asked["state"]
    ))
}

async fn jwks(State(provider): State<Provider>) -> Json<Value> {
    Json(provider.store.read(keys::public_set).await.unwrap())
}

async fn userinfo(State(provider): State<Provider>, headers: HeaderMap) -> Json<Value> {
    assert_eq!(headers[header::AUTHORIZATION], "Bearer at-1");
    Json(provider.more.lock().unwrap().clone())
}

async fn token(
    State(provider): State<Provider>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> (StatusCode, Json<Value>) {
    assert!(
        headers.contains_key(header::AUTHORIZATION),
        "the client shows its secret"
    );
    let code = provider.codes.lock().unwrap().remove(&form["code"]);
    let proof = URL_SAFE_NO_PAD.encode(Sha256::digest(form["code_verifier"].as_bytes()));
    let Some((challenge, nonce)) = code.filter(|(challenge, _)| *challenge == proof) else {
        return (
            StatusCode::BAD_REQUEST,
            Json(json!({"error": "invalid_grant"})),
        );
    };
    assert!(!challenge.is_empty());
    let now = jiff::Timestamp::now().as_second();
    let mut payload = json!({
        "iss": provider.url, "aud": "countersign", "sub": "u-17", "iat": now, "exp": now + 60, "nonce": nonce,
        "preferred_username": "grace", "email": "grace@example.com", "groups": ["staff", "platform-leads"],
        "department": "security", "secret_claim": "not kept",
    });
    let changed = provider.claims.lock().unwrap().clone();
    for (key, value) in changed.as_object().unwrap() {
        match value {
            Value::Null => drop(payload.as_object_mut().unwrap().remove(key)),
            value => payload[key] = value.clone(),
        }
    }
    let key = provider
        .store
        .read(|c| keys::signing_key(c, Algorithm::Es256))
        .await
        .unwrap()
        .unwrap();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = json!({"alg": "ES256", "kid": key.kid, "typ": "JWT"});
    let signed = format!("{}.{}", part(&head), part(&payload));
    let mut signature = key.sign(signed.as_bytes()).unwrap();
    if changed.get("signature").is_some() {
        signature[10] ^= 1;
    }
    let id_token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
    (
        StatusCode::OK,
        Json(
            json!({"access_token": "at-1", "token_type": "Bearer", "expires_in": 60, "id_token": id_token}),
        ),
    )
}

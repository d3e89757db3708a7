//! Tokens signed with the test keys of `testdata/jwt`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::Signer as _;
use rsa::{BigUint, Pkcs1v15Sign, RsaPrivateKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::Repository;

/// The scenarios' clock starts here, in seconds since 1970.
pub const NOW_S: u64 = 1_800_000_000;

/// Private test keys.
pub struct Mint {
    keys: Vec<Value>,
    now_s: u64,
}

impl Mint {
    /// Reads the keys; tokens are good from `now_s`, in seconds since 1970.
    ///
    /// # Errors
    /// When the file is not there.
    pub fn new(repository: &Repository, now_s: u64) -> Result<Self> {
        let keys: Value = serde_json::from_str(&repository.read("testdata/jwt/test-keys.json")?)?;
        let keys = keys["keys"]
            .as_array()
            .context("test-keys.json has no keys")?;
        Ok(Mint {
            keys: keys.clone(),
            now_s,
        })
    }

    /// The tokens that a scenario names, and `ada`, whom every scenario knows.
    ///
    /// # Errors
    /// A token that cannot be made.
    pub fn all(&self, named: &Value) -> Result<BTreeMap<String, String>> {
        let mut tokens = BTreeMap::from([("ada".to_owned(), self.token(&json!({}))?)]);
        for (name, wish) in named.as_object().into_iter().flatten() {
            let token = self.token(wish).with_context(|| format!("token {name}"))?;
            tokens.insert(name.clone(), token);
        }
        Ok(tokens)
    }

    /// One token: `{alg, claims, header, spoil}`, each optional. Claims and header are merged onto
    /// good ones, `null` removes. `exp_in` and `nbf_in` are seconds from now.
    fn token(&self, wish: &Value) -> Result<String> {
        for key in wish.as_object().into_iter().flatten().map(|(key, _)| key) {
            if !["alg", "claims", "header", "spoil", "exp_in", "nbf_in"].contains(&key.as_str()) {
                bail!("unknown key {key}");
            }
        }
        let algorithm = wish["alg"].as_str().unwrap_or("ES256");
        let kid = format!("test-only-{}", algorithm.to_lowercase());
        let mut header = json!({"alg": algorithm, "kid": kid, "typ": "JWT"});
        super::policy::merge(&mut header, &wish["header"]);
        let ttl = wish["exp_in"].as_i64().unwrap_or(3_600);
        let expires = i64::try_from(self.now_s)? + ttl;
        let mut claims = json!({
            "iss": "https://idp.example.com/", "aud": "countersign", "sub": "ada", "exp": expires,
            "email": "ada@example.com", "groups": ["developers"],
        });
        if let Some(later) = wish["nbf_in"].as_i64() {
            claims["nbf"] = json!(i64::try_from(self.now_s)? + later);
        }
        super::policy::merge(&mut claims, &wish["claims"]);
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let mut signature = self.sign(algorithm, signed.as_bytes())?;
        match wish["spoil"].as_str() {
            None => {}
            Some("signature") => {
                if let Some(first) = signature.first_mut() {
                    *first ^= 1;
                }
            }
            Some(other) => bail!("cannot spoil {other}"),
        }
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn sign(&self, algorithm: &str, signed: &[u8]) -> Result<Vec<u8>> {
        let key = self.keys.iter().find(|key| key["alg"] == algorithm);
        let key = key.with_context(|| format!("no test key for {algorithm}"))?;
        let part = |name: &str| -> Result<Vec<u8>> {
            let text = key[name]
                .as_str()
                .with_context(|| format!("key without {name}"))?;
            Ok(URL_SAFE_NO_PAD.decode(text)?)
        };
        Ok(match algorithm {
            "RS256" => {
                let number = |name: &str| part(name).map(|bytes| BigUint::from_bytes_be(&bytes));
                let primes = vec![number("p")?, number("q")?];
                let key = RsaPrivateKey::from_components(
                    number("n")?,
                    number("e")?,
                    number("d")?,
                    primes,
                )
                .map_err(|fault| anyhow!("{fault}"))?;
                // DigestInfo of SHA-256 (RFC 8017, section 9.2, note 1).
                let prefix =
                    b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
                let padding = Pkcs1v15Sign {
                    hash_len: Some(32),
                    prefix: Box::new(*prefix),
                };
                key.sign(padding, &Sha256::digest(signed))
                    .map_err(|fault| anyhow!("{fault}"))?
            }
            "ES256" => {
                let key = p256::ecdsa::SigningKey::from_slice(&part("d")?)?;
                let signature: p256::ecdsa::Signature = key.sign(signed);
                signature.to_bytes().to_vec()
            }
            "EdDSA" => {
                let seed: [u8; 32] = part("d")?.as_slice().try_into()?;
                ed25519_dalek::SigningKey::from_bytes(&seed)
                    .sign(signed)
                    .to_bytes()
                    .to_vec()
            }
            other => bail!("no signer for {other}"),
        })
    }
}

//! Tokens signed for tests with the private keys of `testdata/jwt`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::Signer as _;
use rsa::{BigUint, Pkcs1v15Sign, RsaPrivateKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Algorithm, KeySet, ProviderConfig};

const PRIVATE: &[u8] = include_bytes!("../../../../testdata/jwt/test-keys.json");
pub(super) const PUBLIC: &[u8] = include_bytes!("../../../../testdata/jwt/jwks.json");

pub(super) const NOW: u64 = 1_800_000_000;

pub(super) fn keys() -> KeySet {
    KeySet::parse(PUBLIC).unwrap()
}

pub(super) fn provider() -> ProviderConfig {
    ProviderConfig::new(
        "corporate",
        "https://idp.example.com/",
        vec!["countersign".to_owned()],
    )
}

pub(super) fn claims() -> Value {
    json!({"iss": "https://idp.example.com/", "aud": "countersign", "sub": "ada", "exp": NOW + 300, "groups": ["eng"]})
}

pub(super) fn header(algorithm: Algorithm) -> Value {
    let kid = format!("test-only-{}", algorithm.name().to_lowercase());
    json!({"alg": algorithm.name(), "kid": kid})
}

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A good token.
pub(super) fn token(algorithm: Algorithm) -> String {
    mint(algorithm, &header(algorithm), &claims())
}

/// Any header and any claims, signed with the algorithm's key whatever the header says.
pub(super) fn mint(algorithm: Algorithm, header: &Value, claims: &Value) -> String {
    mint_text(algorithm, &header.to_string(), &claims.to_string())
}

/// As [`mint`], for texts that are not JSON or not as a serializer writes it.
pub(super) fn mint_text(algorithm: Algorithm, header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = sign(algorithm, signed.as_bytes());
    format!("{signed}.{}", encode(signature))
}

pub(super) fn sign(algorithm: Algorithm, signed: &[u8]) -> Vec<u8> {
    let keys: Value = serde_json::from_slice(PRIVATE).unwrap();
    let key = keys["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["alg"] == algorithm.name())
        .unwrap();
    let part = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
    match algorithm {
        Algorithm::Rs256 => {
            let number = |name: &str| BigUint::from_bytes_be(&part(name));
            let primes = vec![number("p"), number("q")];
            let key = RsaPrivateKey::from_components(number("n"), number("e"), number("d"), primes)
                .unwrap();
            // The prefix is written out again here: a wrong one in the verifier must not agree with itself.
            let prefix =
                b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
            let padding = Pkcs1v15Sign {
                hash_len: Some(32),
                prefix: Box::new(*prefix),
            };
            key.sign(padding, &Sha256::digest(signed)).unwrap()
        }
        Algorithm::Es256 => {
            let key = p256::ecdsa::SigningKey::from_slice(&part("d")).unwrap();
            let signature: p256::ecdsa::Signature = key.sign(signed);
            signature.to_bytes().to_vec()
        }
        Algorithm::EdDsa => {
            let key = ed25519_dalek::SigningKey::from_bytes(&part("d").try_into().unwrap());
            key.sign(signed).to_bytes().to_vec()
        }
    }
}

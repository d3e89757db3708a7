//! The signing keys of a development folder, one for each algorithm.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer;
use rsa::pkcs1v15;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use rsa::signature::{SignatureEncoding, Signer as RsaSigner};
use rsa::traits::PublicKeyParts;
use serde_json::{Value, json};

use crate::secret::{random_bytes, random_id};
use crate::store::StoreError;
use crate::store::sql::{Connection, OptionalExtension, params};

const RSA_BITS: usize = 2048;

/// A signature algorithm (RFC 7518, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[value(name = "RS256")]
    Rs256,
    /// ECDSA with P-256 and SHA-256.
    #[value(name = "ES256")]
    Es256,
    /// Ed25519.
    #[value(name = "EdDSA")]
    EdDsa,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 3] = [Self::Rs256, Self::Es256, Self::EdDsa];

    /// The `alg` value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// A key that signs.
pub struct SigningKey {
    /// The `kid` value.
    pub kid: String,
    private: Private,
}

enum Private {
    Rs256(Box<rsa::RsaPrivateKey>),
    Es256(p256::ecdsa::SigningKey),
    EdDsa(Box<ed25519_dalek::SigningKey>),
}

/// Makes the keys that the folder does not have yet.
pub fn ensure(c: &Connection) -> Result<(), StoreError> {
    for algorithm in Algorithm::ALL {
        let known: bool = c.query_row(
            "SELECT EXISTS (SELECT 1 FROM dev_keys WHERE algorithm = ?1)",
            [algorithm.name()],
            |row| row.get(0),
        )?;
        if known {
            continue;
        }
        let kid = format!("dev-{}-{}", algorithm.name().to_lowercase(), random_id()?);
        c.execute(
            "INSERT INTO dev_keys (algorithm, kid, private) VALUES (?1, ?2, ?3)",
            params![algorithm.name(), kid, generate(algorithm)?],
        )?;
    }
    Ok(())
}

fn generate(algorithm: Algorithm) -> Result<Vec<u8>, StoreError> {
    match algorithm {
        Algorithm::Rs256 => {
            let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, RSA_BITS)
                .map_err(unreadable)?;
            let der = key.to_pkcs8_der().map_err(unreadable)?;
            Ok(der.as_bytes().to_vec())
        }
        // Almost every 32 bytes are a P-256 scalar; the loop is for the others.
        Algorithm::Es256 => loop {
            let bytes = random_bytes::<32>()?;
            if p256::ecdsa::SigningKey::from_slice(&bytes).is_ok() {
                return Ok(bytes.to_vec());
            }
        },
        Algorithm::EdDsa => Ok(random_bytes::<32>()?.to_vec()),
    }
}

/// The folder's key for `algorithm`, if it is a development folder.
pub fn signing_key(c: &Connection, algorithm: Algorithm) -> Result<Option<SigningKey>, StoreError> {
    let row: Option<(String, Vec<u8>)> = c
        .query_row(
            "SELECT kid, private FROM dev_keys WHERE algorithm = ?1",
            [algorithm.name()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    row.map(|(kid, private)| {
        Ok(SigningKey {
            kid,
            private: read(algorithm, &private)?,
        })
    })
    .transpose()
}

/// The JSON Web Key Set of all keys.
pub fn public_set(c: &Connection) -> Result<Value, StoreError> {
    let mut keys = Vec::new();
    for algorithm in Algorithm::ALL {
        if let Some(key) = signing_key(c, algorithm)? {
            keys.push(key.public());
        }
    }
    Ok(json!({ "keys": keys }))
}

fn read(algorithm: Algorithm, private: &[u8]) -> Result<Private, StoreError> {
    Ok(match algorithm {
        Algorithm::Rs256 => Private::Rs256(Box::new(
            rsa::RsaPrivateKey::from_pkcs8_der(private).map_err(unreadable)?,
        )),
        Algorithm::Es256 => {
            Private::Es256(p256::ecdsa::SigningKey::from_slice(private).map_err(unreadable)?)
        }
        Algorithm::EdDsa => Private::EdDsa(Box::new(
            ed25519_dalek::SigningKey::try_from(private).map_err(unreadable)?,
        )),
    })
}

impl SigningKey {
    /// Signs `message`, in the form that JWS prescribes for the algorithm.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, StoreError> {
        Ok(match &self.private {
            Private::Rs256(key) => {
                let signer = pkcs1v15::SigningKey::<rsa::sha2::Sha256>::new((**key).clone());
                RsaSigner::try_sign(&signer, message)
                    .map_err(unreadable)?
                    .to_vec()
            }
            Private::Es256(key) => {
                let signature: p256::ecdsa::Signature =
                    key.try_sign(message).map_err(unreadable)?;
                signature.to_bytes().to_vec()
            }
            Private::EdDsa(key) => {
                use ed25519_dalek::Signer as _;
                key.try_sign(message)
                    .map_err(unreadable)?
                    .to_bytes()
                    .to_vec()
            }
        })
    }

    fn public(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match &self.private {
            Private::Rs256(key) => json!({
                "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid,
                "n": text(&key.n().to_bytes_be()), "e": text(&key.e().to_bytes_be()),
            }),
            Private::Es256(key) => {
                let point = key.verifying_key().to_sec1_point(false);
                json!({
                    "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid,
                    "x": point.x().map(|x| text(x)), "y": point.y().map(|y| text(y)),
                })
            }
            Private::EdDsa(key) => json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.kid,
                "x": text(key.verifying_key().as_bytes()),
            }),
        }
    }
}

fn unreadable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unreadable(format!("a development key: {error}"))
}

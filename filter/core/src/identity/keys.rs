//! A provider's published keys (RFC 7517), each bound to one algorithm.

use std::fmt;

use p256::ecdsa::signature::Verifier as _;
use rsa::{BigUint, Pkcs1v15Sign, RsaPublicKey};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::fault::TokenFault;
use super::token::{Algorithm, decode};
use crate::json::{JsonFault, parse_strict};

/// Why one key of a set is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// Not a JSON object with a string `kty`.
    Shape,
    /// A `kty` other than RSA, EC and OKP.
    KeyType,
    /// A curve other than P-256 and Ed25519.
    Curve,
    /// `use` is not `sig` (RFC 7517 4.2).
    Use,
    /// `key_ops` has no `verify` (RFC 7517 4.3).
    Operations,
    /// `alg` is not the one we use keys of this type for.
    Algorithm,
    /// `kid` is not a non-empty string.
    Id,
    /// `n`, `e`, `x` or `y` is missing, not base64url, or not of its length.
    Encoding,
    /// An RSA modulus under 2,048 or over 4,096 bits.
    RsaSize,
    /// An even RSA modulus, or an exponent that is even, 1 or over 33 bits.
    RsaNumbers,
    /// An RSA modulus made by the flawed generator of CVE-2017-15361 (ROCA): it can be factored.
    RsaRoca,
    /// Not a point of the curve, or one of the few that verify anything.
    Point,
}

impl KeyFault {
    /// What it means.
    pub fn message(self) -> &'static str {
        match self {
            Self::Shape => "is not a JSON Web Key",
            Self::KeyType => "is of a type other than RSA, EC and OKP",
            Self::Curve => "is on a curve other than P-256 and Ed25519",
            Self::Use => "is not for signatures",
            Self::Operations => "is not for verifying",
            Self::Algorithm => {
                "is for an algorithm other than RS256, ES256 and EdDSA, or not for its own type's"
            }
            Self::Id => "has a key id that is not a non-empty string",
            Self::Encoding => "has a missing or wrongly encoded number",
            Self::RsaSize => "has a modulus of under 2048 or over 4096 bits",
            Self::RsaNumbers => "has an unsafe modulus or exponent",
            Self::RsaRoca => "was made by a flawed generator (CVE-2017-15361)",
            Self::Point => "is not a safe point of its curve",
        }
    }
}

/// A key that was left out, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedKey {
    /// Which key of the set, from 0.
    pub index: usize,
    /// Its `kid`, if it has one.
    pub id: Option<String>,
    /// Why.
    pub fault: KeyFault,
}

/// Why a whole key set was refused; the set before it stays in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySetFault {
    /// More than [`KeySet::MAX_LEN`] bytes or [`KeySet::MAX_KEYS`] keys.
    TooLarge,
    /// Not strict JSON.
    Json(JsonFault),
    /// Not an object with an array `keys`.
    Shape,
    /// A private or symmetric key is published: whoever reads the set can sign.
    PrivateKey {
        /// Which key, from 0.
        index: usize,
    },
    /// Two different keys have one `kid`.
    DuplicateId {
        /// The second of them, from 0.
        index: usize,
    },
    /// Nothing in it can be used.
    NoUsableKey(Vec<SkippedKey>),
}

impl fmt::Display for KeySetFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("the key set is too large"),
            Self::Json(fault) => write!(f, "the key set cannot be read: {fault}"),
            Self::Shape => f.write_str("the key set is not an object with an array `keys`"),
            Self::PrivateKey { index } => {
                write!(f, "key {index} of the set is a private or symmetric key")
            }
            Self::DuplicateId { index } => {
                write!(f, "key {index} of the set has an earlier key's id")
            }
            Self::NoUsableKey(skipped) => {
                f.write_str("the key set has no usable key")?;
                skipped
                    .iter()
                    .try_for_each(|key| write!(f, "; key {} {}", key.index, key.fault.message()))
            }
        }
    }
}

impl std::error::Error for KeySetFault {}

/// The usable keys of one provider.
#[derive(Clone, Debug)]
pub struct KeySet {
    keys: Vec<Key>,
    skipped: Vec<SkippedKey>,
    digest: [u8; 32],
}

impl KeySet {
    /// The longest key set in bytes.
    pub const MAX_LEN: usize = 256 * 1024;
    /// The most keys a set may list.
    pub const MAX_KEYS: usize = 100;

    /// Reads a JSON Web Key Set.
    ///
    /// Keys we have no use for are left out ([`skipped`](Self::skipped)); certificates (`x5c`, `x5u`) are not read.
    ///
    /// # Errors
    /// A set that is unreadable, publishes a private key, has two keys of one name, or leaves none to use.
    pub fn parse(json: &[u8]) -> Result<Self, KeySetFault> {
        if json.len() > Self::MAX_LEN {
            return Err(KeySetFault::TooLarge);
        }
        let set = parse_strict(json).map_err(KeySetFault::Json)?;
        let Some(listed) = set.get("keys").and_then(Value::as_array) else {
            return Err(KeySetFault::Shape);
        };
        if listed.len() > Self::MAX_KEYS {
            return Err(KeySetFault::TooLarge);
        }
        // "d" is the private part of RSA, EC and OKP, "k" the symmetric key (RFC 7518 section 6).
        let private = |key: &Value| {
            ["d", "k", "p", "q", "dp", "dq", "qi", "oth"]
                .iter()
                .any(|part| key.get(part).is_some())
        };
        if let Some(index) = listed.iter().position(private) {
            return Err(KeySetFault::PrivateKey { index });
        }

        let mut keys: Vec<Key> = Vec::new();
        let mut skipped = Vec::new();
        for (index, listed) in listed.iter().enumerate() {
            let key = match Key::read(listed) {
                Ok(key) => key,
                Err(fault) => {
                    let id = listed.get("kid").and_then(Value::as_str).map(str::to_owned);
                    skipped.push(SkippedKey { index, id, fault });
                    continue;
                }
            };
            let mut namesakes = keys.iter().filter(|earlier| earlier.id == key.id);
            if namesakes.any(|earlier| earlier.fingerprint == key.fingerprint) {
                continue;
            }
            if key.id.is_some() && keys.iter().any(|earlier| earlier.id == key.id) {
                return Err(KeySetFault::DuplicateId { index });
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(KeySetFault::NoUsableKey(skipped));
        }
        let digest = digest(&keys);
        Ok(Self {
            keys,
            skipped,
            digest,
        })
    }

    /// The keys that were left out.
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }

    /// How many keys can verify.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Never: a set without a usable key is refused.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// SHA-256 of the usable keys and their ids, in any order: the same keys fetched again are the same set.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    pub(super) fn select(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<&Key, TokenFault> {
        let Some(id) = id else {
            let mut fitting = self
                .keys
                .iter()
                .filter(|key| key.material.algorithm() == algorithm);
            return match (fitting.next(), fitting.next()) {
                (Some(key), None) => Ok(key),
                (None, _) => Err(TokenFault::UnknownKey),
                (Some(_), Some(_)) => Err(TokenFault::KeyIdMissing),
            };
        };
        let key = self
            .keys
            .iter()
            .find(|key| key.id.as_deref() == Some(id))
            .ok_or(TokenFault::UnknownKey)?;
        if key.material.algorithm() == algorithm {
            Ok(key)
        } else {
            Err(TokenFault::AlgorithmRefused)
        }
    }
}

fn digest(keys: &[Key]) -> [u8; 32] {
    let mut entries: Vec<[u8; 32]> = keys
        .iter()
        .map(|key| {
            let id = key.id.as_deref().unwrap_or_default();
            Sha256::new()
                .chain_update(key.fingerprint)
                .chain_update(id)
                .finalize()
                .into()
        })
        .collect();
    entries.sort_unstable();
    entries
        .iter()
        .fold(Sha256::new(), |hash, entry| hash.chain_update(entry))
        .finalize()
        .into()
}

/// One usable key.
#[derive(Clone, Debug)]
pub(super) struct Key {
    id: Option<String>,
    material: Material,
    /// SHA-256 of the public numbers.
    fingerprint: [u8; 32],
}

#[derive(Clone, Debug)]
enum Material {
    Rsa(RsaPublicKey),
    P256(p256::ecdsa::VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
}

impl Material {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa(_) => Algorithm::Rs256,
            Self::P256(_) => Algorithm::Es256,
            Self::Ed25519(_) => Algorithm::EdDsa,
        }
    }
}

/// The DER of a SHA-256 `DigestInfo` up to the digest (RFC 8017 9.2, note 1).
const SHA256_DIGEST_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

impl Key {
    fn read(key: &Value) -> Result<Self, KeyFault> {
        let key = key.as_object().ok_or(KeyFault::Shape)?;
        let (material, fingerprint) = match key
            .get("kty")
            .and_then(Value::as_str)
            .ok_or(KeyFault::Shape)?
        {
            "RSA" => {
                usable(key, Algorithm::Rs256)?;
                rsa(&number(key, "n")?, &number(key, "e")?)?
            }
            "EC" => {
                curve(key, "P-256")?;
                usable(key, Algorithm::Es256)?;
                p256(&fixed(key, "x")?, &fixed(key, "y")?)?
            }
            "OKP" => {
                curve(key, "Ed25519")?;
                usable(key, Algorithm::EdDsa)?;
                ed25519(&fixed(key, "x")?)?
            }
            _ => return Err(KeyFault::KeyType),
        };
        let id = match key.get("kid") {
            None => None,
            Some(Value::String(id)) if !id.is_empty() => Some(id.clone()),
            Some(_) => return Err(KeyFault::Id),
        };
        Ok(Self {
            id,
            material,
            fingerprint,
        })
    }

    /// Whether `signature` is this key's over `signed`, under the key's own algorithm.
    pub(super) fn verifies(&self, signed: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Rsa(key) => {
                let padding = Pkcs1v15Sign {
                    hash_len: Some(32),
                    prefix: Box::new(SHA256_DIGEST_INFO),
                };
                // The crate refuses a signature that is not as long as the modulus.
                key.verify(padding, &Sha256::digest(signed), signature)
                    .is_ok()
            }
            Material::P256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(signed, &signature).is_ok()),
            Material::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(signed, &signature).is_ok()),
        }
    }
}

/// Whether the key's own words allow it to verify under `algorithm`.
fn usable(key: &Map<String, Value>, algorithm: Algorithm) -> Result<(), KeyFault> {
    if key.get("use").is_some_and(|purpose| purpose != "sig") {
        return Err(KeyFault::Use);
    }
    let verifies = |ops: &Value| {
        ops.as_array()
            .is_some_and(|ops| ops.iter().any(|op| op == "verify"))
    };
    if key.get("key_ops").is_some_and(|ops| !verifies(ops)) {
        return Err(KeyFault::Operations);
    }
    match key.get("alg") {
        None => Ok(()),
        Some(name) if name.as_str().and_then(Algorithm::from_name) == Some(algorithm) => Ok(()),
        Some(_) => Err(KeyFault::Algorithm),
    }
}

fn curve(key: &Map<String, Value>, name: &str) -> Result<(), KeyFault> {
    if key.get("crv").and_then(Value::as_str) == Some(name) {
        Ok(())
    } else {
        Err(KeyFault::Curve)
    }
}

fn number(key: &Map<String, Value>, name: &str) -> Result<Vec<u8>, KeyFault> {
    let text = key
        .get(name)
        .and_then(Value::as_str)
        .ok_or(KeyFault::Encoding)?;
    decode(text.as_bytes())
        .filter(|bytes| !bytes.is_empty())
        .ok_or(KeyFault::Encoding)
}

/// A coordinate: exactly 32 bytes, leading zeros included (RFC 7518 6.2.1.2, RFC 8037 section 2).
fn fixed(key: &Map<String, Value>, name: &str) -> Result<[u8; 32], KeyFault> {
    number(key, name)?
        .try_into()
        .map_err(|_| KeyFault::Encoding)
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<(Material, [u8; 32]), KeyFault> {
    let n = BigUint::from_bytes_be(modulus);
    let e = BigUint::from_bytes_be(exponent);
    if !(2048..=RsaPublicKey::MAX_SIZE).contains(&n.bits()) {
        return Err(KeyFault::RsaSize);
    }
    if has_roca_fingerprint(modulus) {
        return Err(KeyFault::RsaRoca);
    }
    let (n_bytes, e_bytes) = (n.to_bytes_be(), e.to_bytes_be());
    let key = RsaPublicKey::new(n, e).map_err(|_| KeyFault::RsaNumbers)?;
    Ok((Material::Rsa(key), fingerprint(b"RSA", &n_bytes, &e_bytes)))
}

fn p256(x: &[u8; 32], y: &[u8; 32]) -> Result<(Material, [u8; 32]), KeyFault> {
    // SEC1 uncompressed; the crate checks that the point is on the curve.
    let point: Vec<u8> = std::iter::once(4).chain(*x).chain(*y).collect();
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).map_err(|_| KeyFault::Point)?;
    Ok((Material::P256(key), fingerprint(b"EC", x, y)))
}

fn ed25519(x: &[u8; 32]) -> Result<(Material, [u8; 32]), KeyFault> {
    let key = ed25519_dalek::VerifyingKey::from_bytes(x).map_err(|_| KeyFault::Point)?;
    if key.is_weak() {
        return Err(KeyFault::Point);
    }
    Ok((Material::Ed25519(key), fingerprint(b"OKP", x, b"")))
}

fn fingerprint(kind: &[u8], first: &[u8], second: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for field in [kind, first, second] {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
    }
    hash.finalize().into()
}

/// Whether a modulus is of the form the ROCA generator made: modulo every small prime a power of 65537.
///
/// Nemec et al., "The Return of Coppersmith's Attack", CCS 2017, section 3; by chance about once in 2^154.
fn has_roca_fingerprint(modulus: &[u8]) -> bool {
    const PRIMES: [u32; 38] = [
        3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89,
        97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
    ];
    PRIMES.iter().all(|prime| {
        let residue = modulus
            .iter()
            .fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
        let generator = 65537 % prime;
        let powers = std::iter::successors(Some(1), |power| {
            Some(power * generator % prime).filter(|power| *power != 1)
        });
        powers.take(*prime as usize).any(|power| power == residue)
    })
}

//! One compact JWS (RFC 7515), read so that no second reader could see another token in it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::fault::TokenFault;
use super::keys::KeySet;
use crate::json::parse_strict;

/// A signature algorithm that tokens may use. Nothing symmetric: whoever can check could also sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 3.3).
    Rs256,
    /// ECDSA on P-256 with SHA-256 (RFC 7518 3.4).
    Es256,
    /// Ed25519, named `EdDSA` (RFC 8037) or `Ed25519` (RFC 9864).
    EdDsa,
}

impl Algorithm {
    /// All of them, the default of a provider.
    pub const ALL: [Self; 3] = [Self::Rs256, Self::Es256, Self::EdDsa];

    /// The algorithm that an `alg` names, by its exact spelling.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }

    /// Its usual `alg`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// What the header's `typ` says a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// `at+jwt`: an access token (RFC 9068).
    AccessToken,
    /// `JWT`.
    Jwt,
    /// No `typ`: what many providers send for both.
    Absent,
}

impl TokenKind {
    /// All of them, the default of a provider.
    pub const ALL: [Self; 3] = [Self::AccessToken, Self::Jwt, Self::Absent];

    /// The policy's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::AccessToken => "at+jwt",
            Self::Jwt => "JWT",
            Self::Absent => "absent",
        }
    }

    /// `typ` is a media type: any case, `application/` may be left out (RFC 7515 4.1.9).
    fn from_typ(typ: &str) -> Option<Self> {
        let typ = typ.to_ascii_lowercase();
        match typ.strip_prefix("application/").unwrap_or(&typ) {
            "at+jwt" => Some(Self::AccessToken),
            "jwt" => Some(Self::Jwt),
            _ => None,
        }
    }
}

/// A compact JWS whose header is acceptable; its signature is not checked by reading it.
///
/// Of the header only `alg`, `kid` and `typ` are used. `jku`, `x5u`, `jwk` and `x5c` would let a token bring its own
/// key and are never read.
pub struct Token<'a> {
    algorithm: Algorithm,
    kind: TokenKind,
    key_id: Option<String>,
    signed: &'a [u8],
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl<'a> Token<'a> {
    /// The longest token in bytes. Providers with hundreds of groups stay under half of it.
    pub const MAX_LEN: usize = 16 * 1024;

    /// Reads `token`: exactly three base64url parts without padding, blanks or stray bits, and a strict JSON object as
    /// header. An empty payload is a JWS, though no JWT.
    ///
    /// # Errors
    /// `TooLarge`, `Malformed`, `AlgorithmRefused`, `Critical` or `Kind`, whichever is met first.
    pub fn parse(token: &'a [u8]) -> Result<Self, TokenFault> {
        use TokenFault::Malformed;
        if token.len() > Self::MAX_LEN {
            return Err(TokenFault::TooLarge);
        }
        let mut parts = token.split(|byte| *byte == b'.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Malformed("The token does not have three parts."));
        };
        let signed = token
            .get(..header.len() + 1 + payload.len())
            .unwrap_or_default();

        let header = decode(header).ok_or(Malformed("The token's header is not base64url."))?;
        let Ok(Value::Object(header)) = parse_strict(&header) else {
            return Err(Malformed(
                "The token's header is not a JSON object without repeated names.",
            ));
        };
        let algorithm = match header.get("alg") {
            Some(Value::String(name)) => {
                Algorithm::from_name(name).ok_or(TokenFault::AlgorithmRefused)?
            }
            _ => return Err(Malformed("The token's header names no algorithm.")),
        };
        if header.contains_key("crit") || header.contains_key("b64") {
            return Err(TokenFault::Critical);
        }
        let kind = kind(&header)?;
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(id)) => Some(id.clone()),
            Some(_) => return Err(Malformed("The token's key id is not a string.")),
        };

        let payload = decode(payload).ok_or(Malformed("The token's payload is not base64url."))?;
        if signature.is_empty() {
            return Err(Malformed("The token has no signature."));
        }
        let signature =
            decode(signature).ok_or(Malformed("The token's signature is not base64url."))?;
        Ok(Self {
            algorithm,
            kind,
            key_id,
            signed,
            payload,
            signature,
        })
    }

    /// The header's algorithm: a wish until the key agrees.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What the header says it is.
    pub fn kind(&self) -> TokenKind {
        self.kind
    }

    /// The payload's bytes, believable only after [`verify_signature`](Self::verify_signature).
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Checks the signature with the one key of `keys` that the header's `kid` names, or, without a `kid`, with the
    /// only key for its algorithm.
    ///
    /// # Errors
    /// `UnknownKey`, `KeyIdMissing`, `AlgorithmRefused` when the key is for another algorithm, or `Signature`.
    pub fn verify_signature(&self, keys: &KeySet) -> Result<(), TokenFault> {
        let key = keys.select(self.key_id.as_deref(), self.algorithm)?;
        if key.verifies(self.signed, &self.signature) {
            Ok(())
        } else {
            Err(TokenFault::Signature)
        }
    }
}

impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// base64url in its one spelling: no padding, no blanks, unused bits zero (RFC 7515 section 2, RFC 4648 3.5).
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn kind(header: &Map<String, Value>) -> Result<TokenKind, TokenFault> {
    match header.get("typ") {
        None => Ok(TokenKind::Absent),
        Some(Value::String(typ)) => TokenKind::from_typ(typ).ok_or(TokenFault::Kind),
        Some(_) => Err(TokenFault::Kind),
    }
}

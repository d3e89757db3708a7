//! Who is calling: the token is found in the request, verified, and turned into an [`Identity`].
//!
//! In the order a request meets it:
//! 1. [`extract()`] finds the one token in the headers that the policy names ([`mod@extract`]).
//! 2. [`VerifiedCache::get`] knows tokens that were verified before ([`cache`]): a signature costs about a millisecond.
//! 3. [`unverified_issuer`] chooses the provider, and with it the [`KeySet`] ([`keys`]).
//! 4. [`verify`] reads the token strictly ([`token`]), checks its signature with a key of that set under the one
//!    algorithm the key is for, and reads the claims ([`claims`]).
//!
//! Signatures are left to the `rsa`, `p256` and `ed25519-dalek` crates; which tokens are taken at all is decided here,
//! by RFC 7515, 7519, 8725 and 9068, stricter where those leave room. Every refusal is a named [`TokenFault`].
//! Who is revoked is the policy's business: it sees the identity's subject and token id.

pub mod cache;
pub mod claims;
pub mod extract;
mod fault;
pub mod keys;
mod provider;
pub mod token;

#[cfg(test)]
mod keys_tests;
#[cfg(test)]
mod minting;
#[cfg(test)]
mod misuse_tests;
#[cfg(test)]
mod vector_tests;

pub use cache::{Stamp, VerifiedCache};
pub use claims::{ClaimNames, Identity};
pub use extract::{ExtractFault, Extracted, TokenLocation, TokenScheme, extract};
pub use fault::TokenFault;
pub use keys::{KeyFault, KeySet, KeySetFault, SkippedKey};
pub use provider::{ProviderConfig, ProviderFault, Providers};
pub use token::{Algorithm, Token, TokenKind};

/// The issuer a token claims to have, to choose provider and keys by and for nothing else: nothing is verified yet.
///
/// # Errors
/// [`TokenFault::Issuer`] without a string `iss`, and whatever [`Token::parse`] refuses.
pub fn unverified_issuer(token: &[u8]) -> Result<String, TokenFault> {
    let token = Token::parse(token)?;
    claims::issuer(&claims::object(token.payload())?).map(str::to_owned)
}

/// Verifies a compact token for one provider at `now` (seconds since 1970) and reads who it names.
///
/// The algorithm is the key's; the header's must be the same and be allowed by the provider. Claims are read only
/// after the signature holds.
///
/// # Errors
/// The first check that failed. [`TokenFault::UnknownKey`] may be cured by newer keys, nothing else by a retry.
pub fn verify(
    token: &[u8],
    provider: &ProviderConfig,
    keys: &KeySet,
    now: u64,
) -> Result<Identity, TokenFault> {
    let token = Token::parse(token)?;
    if !provider.algorithms.contains(&token.algorithm()) {
        return Err(TokenFault::AlgorithmRefused);
    }
    if !provider.kinds.contains(&token.kind()) {
        return Err(TokenFault::Kind);
    }
    token.verify_signature(keys)?;
    claims::read(claims::object(token.payload())?, provider, now)
}

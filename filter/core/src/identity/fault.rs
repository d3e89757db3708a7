//! Why a token was refused.

use std::fmt;

/// Why a token was refused. Neither code nor message ever holds a byte of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// Not a compact JWS with a JSON header and claims, read strictly; the text says which part.
    Malformed(&'static str),
    /// Longer than [`Token::MAX_LEN`](super::Token::MAX_LEN).
    TooLarge,
    /// An algorithm that is not ours, not allowed by the provider, or not the one its key is for (RFC 8725 3.1).
    AlgorithmRefused,
    /// The header has `crit` or `b64`: an extension that must be understood, and none is (RFC 7515 4.1.11).
    Critical,
    /// A `typ` that the provider does not allow, such as a logout token's (RFC 8725 3.11).
    Kind,
    /// The header's `kid` is not in the key set: keys may have been rotated, newer ones may help.
    UnknownKey,
    /// No `kid` in the header, and more than one key it could mean.
    KeyIdMissing,
    /// The signature is not this key's over these bytes.
    Signature,
    /// `iss` is missing or another than the provider's.
    Issuer,
    /// `aud` is missing or names none of the provider's audiences.
    Audience,
    /// `exp`, with the skew, is not in the future.
    Expired,
    /// `nbf` or `iat`, with the skew, is in the future.
    NotYetValid,
    /// Valid for longer than the provider's tokens may be.
    Lifetime,
    /// A claim is missing or not of its type; the text says which.
    Claims(&'static str),
    /// The groups did not fit and the provider left them out: deciding without them would be wrong.
    GroupsOverage,
}

impl TokenFault {
    /// The stable name for records, counters and scenarios.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "token_malformed",
            Self::TooLarge => "token_too_large",
            Self::AlgorithmRefused => "token_algorithm",
            Self::Critical => "token_critical_header",
            Self::Kind => "token_kind",
            Self::UnknownKey => "token_unknown_key",
            Self::KeyIdMissing => "token_key_id_missing",
            Self::Signature => "token_signature",
            Self::Issuer => "token_issuer",
            Self::Audience => "token_audience",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::Lifetime => "token_lifetime",
            Self::Claims(_) => "token_claims",
            Self::GroupsOverage => "groups_overage",
        }
    }

    /// One line for the caller.
    pub fn message(&self) -> &'static str {
        match self {
            Self::Malformed(what) | Self::Claims(what) => what,
            Self::TooLarge => "The token is too long.",
            Self::AlgorithmRefused => "The token's algorithm is not accepted for its key.",
            Self::Critical => "The token needs an extension that is not supported.",
            Self::Kind => "This kind of token is not accepted here.",
            Self::UnknownKey => "The token was signed with a key that its issuer does not publish.",
            Self::KeyIdMissing => "The token does not say which of its issuer's keys signed it.",
            Self::Signature => "The token's signature is wrong.",
            Self::Issuer => "The token's issuer is not accepted.",
            Self::Audience => "The token was issued for another audience.",
            Self::Expired => "The token has expired.",
            Self::NotYetValid => "The token is not valid yet.",
            Self::Lifetime => "The token is valid for longer than is accepted.",
            Self::GroupsOverage => {
                "The token leaves out its groups because there are too many; let the issuer send app roles or fewer groups."
            }
        }
    }
}

impl fmt::Display for TokenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for TokenFault {}

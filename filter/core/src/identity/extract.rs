//! The caller's token in the request's headers.
//!
//! Clients of one kind use several spellings: the Copilot CLI sends `Bearer`, `bearer` and `token` in one session, git
//! sends Basic, and GitHub's clients take a token only behind one of GitHub's prefixes. All are read here; anything
//! that two readers could read differently is refused.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// How a header carries a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenScheme {
    /// `Bearer TOKEN` (RFC 6750).
    Bearer,
    /// `Basic` with the token as password, or as user name with the password empty or `x-oauth-basic`.
    Basic,
    /// `token TOKEN`, as GitHub's clients send it.
    Token,
    /// The whole value, as in `api-key: TOKEN`.
    Raw,
}

impl TokenScheme {
    /// The scheme's name in the header; `Raw` has none.
    fn name(self) -> Option<&'static str> {
        match self {
            Self::Bearer => Some("bearer"),
            Self::Basic => Some("basic"),
            Self::Token => Some("token"),
            Self::Raw => None,
        }
    }
}

/// One place where a token may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenLocation {
    /// The header's name in lower case.
    pub header: String,
    /// How the header carries it.
    pub scheme: TokenScheme,
}

/// The one token of a request.
#[derive(Clone, PartialEq, Eq)]
pub struct Extracted {
    /// The token without scheme and GitHub prefix; to be verified.
    pub token: Vec<u8>,
    /// The headers that carried it, in the policy's order: none of them may reach the upstream.
    pub headers: Vec<String>,
}

impl fmt::Debug for Extracted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extracted")
            .field("token", &"[redacted]")
            .field("headers", &self.headers)
            .finish()
    }
}

/// Why there is no one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtractFault {
    /// No header that the policy names carries a token.
    Missing,
    /// One header came several times.
    SeveralValues,
    /// Different tokens in one request.
    SeveralTokens,
    /// The scheme is one of the policy's, what follows is not a token.
    Malformed(&'static str),
}

impl ExtractFault {
    /// The stable name for records, counters and scenarios.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "token_missing",
            Self::SeveralValues => "token_header_repeated",
            Self::SeveralTokens => "token_ambiguous",
            Self::Malformed(_) => "token_header_malformed",
        }
    }

    /// One line for the caller; holds nothing of the request.
    pub fn message(&self) -> &'static str {
        match self {
            Self::Missing => "The request carries no token.",
            Self::SeveralValues => "A header that carries a token came more than once.",
            Self::SeveralTokens => "The request carries different tokens.",
            Self::Malformed(what) => what,
        }
    }
}

impl fmt::Display for ExtractFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for ExtractFault {}

/// Finds the one token among `locations`; `headers` gives every value of a header.
///
/// With a passed-through upstream credential in one header and an identity in another, both may look like tokens to
/// the policy; then the only one that has a JWT's shape is meant. Two that have it are never chosen between.
///
/// # Errors
/// [`ExtractFault::Missing`] if there is none, and why it is not one token otherwise.
pub fn extract(
    headers: &dyn Fn(&str) -> Vec<Vec<u8>>,
    locations: &[TokenLocation],
) -> Result<Extracted, ExtractFault> {
    let mut found: Vec<Extracted> = Vec::new();
    for (index, TokenLocation { header, .. }) in locations.iter().enumerate() {
        if locations
            .iter()
            .take(index)
            .any(|earlier| earlier.header == *header)
        {
            continue;
        }
        let mut values = headers(header).into_iter();
        let Some(value) = values.next() else { continue };
        if values.next().is_some() {
            return Err(ExtractFault::SeveralValues);
        }
        let schemes = locations
            .iter()
            .filter(|location| location.header == *header)
            .map(|location| location.scheme);
        let Some(token) = credential(&value, schemes)? else {
            continue;
        };
        match found.iter_mut().find(|earlier| earlier.token == token) {
            Some(earlier) => earlier.headers.push(header.clone()),
            None => found.push(Extracted {
                token,
                headers: vec![header.clone()],
            }),
        }
    }
    if found.len() > 1 {
        found.retain(|candidate| looks_like_jwt(&candidate.token));
        if found.len() != 1 {
            return Err(ExtractFault::SeveralTokens);
        }
    }
    found.pop().ok_or(ExtractFault::Missing)
}

/// The token in one header's value, if it is in one of `schemes`. Another scheme is not ours to judge.
fn credential(
    value: &[u8],
    schemes: impl Iterator<Item = TokenScheme>,
) -> Result<Option<Vec<u8>>, ExtractFault> {
    let mut raw = false;
    for scheme in schemes {
        let Some(name) = scheme.name() else {
            raw = true;
            continue;
        };
        let Some(rest) = after_scheme(value, name) else {
            continue;
        };
        let rest = rest
            .strip_prefix(b" ")
            .filter(|rest| is_token68(rest))
            .ok_or(ExtractFault::Malformed(
                "The scheme is not followed by one blank and one token.",
            ))?;
        return match scheme {
            TokenScheme::Basic => basic(rest).map(Some),
            TokenScheme::Bearer | TokenScheme::Token | TokenScheme::Raw => {
                Ok(Some(without_prefix(rest).to_vec()))
            }
        };
    }
    match value {
        [] => Ok(None),
        _ if !raw => Ok(None),
        value if is_token68(value) => Ok(Some(without_prefix(value).to_vec())),
        _ => Err(ExtractFault::Malformed("The header is not one token.")),
    }
}

/// What follows the scheme's name (in any case, RFC 9110 11.1), if the value starts with that name and no longer one.
fn after_scheme<'v>(value: &'v [u8], name: &str) -> Option<&'v [u8]> {
    let (scheme, rest) = value.split_at_checked(name.len())?;
    let longer = rest
        .first()
        .is_some_and(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte));
    (scheme.eq_ignore_ascii_case(name.as_bytes()) && !longer).then_some(rest)
}

/// RFC 9110 11.2: no blanks, no commas, nothing that ends a token for one reader and not for another.
fn is_token68(value: &[u8]) -> bool {
    !value.is_empty()
        && value
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte))
}

/// RFC 7617: `user:password`, of which the password is the token.
fn basic(encoded: &[u8]) -> Result<Vec<u8>, ExtractFault> {
    const WRONG: ExtractFault =
        ExtractFault::Malformed("The Basic credential is not user:token in base64.");
    let pair = STANDARD.decode(encoded).map_err(|_| WRONG)?;
    let colon = pair.iter().position(|byte| *byte == b':').ok_or(WRONG)?;
    let (user, password) = pair.split_at_checked(colon).ok_or(WRONG)?;
    let (user, password) = (
        without_prefix(user),
        without_prefix(password.get(1..).ok_or(WRONG)?),
    );
    let token = match (looks_like_jwt(user), looks_like_jwt(password)) {
        (true, true) if user != password => return Err(ExtractFault::SeveralTokens),
        (true, false) if password.is_empty() || password == b"x-oauth-basic" => user,
        _ => password,
    };
    if is_token68(token) {
        Ok(token.to_vec())
    } else {
        Err(WRONG)
    }
}

/// Without the GitHub prefix that some clients insist on (`gho_` + JWT); real GitHub tokens keep theirs.
fn without_prefix(token: &[u8]) -> &[u8] {
    ["gho_", "ghu_", "ghs_", "github_pat_"]
        .iter()
        .filter_map(|prefix| token.strip_prefix(prefix.as_bytes()))
        .find(|rest| looks_like_jwt(rest))
        .unwrap_or(token)
}

/// The start of a JSON object in base64url (`{"`, or `{` and a blank), and a dot somewhere after it.
fn looks_like_jwt(token: &[u8]) -> bool {
    (token.starts_with(b"ey") || token.starts_with(b"ew")) && token.contains(&b'.')
}

#[cfg(test)]
mod tests {
    use super::TokenScheme::*;
    use super::*;
    use proptest::prelude::*;

    const JWT: &str = "eyJhbGciOiJFUzI1NiJ9.e30.c2ln";
    const OTHER: &str = "eyJhbGciOiJFUzI1NiJ9.e30.b3RoZXI";

    fn at(header: &str, scheme: TokenScheme) -> TokenLocation {
        TokenLocation {
            header: header.to_owned(),
            scheme,
        }
    }

    fn all() -> Vec<TokenLocation> {
        vec![
            at("authorization", Bearer),
            at("authorization", Basic),
            at("authorization", Token),
            at("proxy-authorization", Basic),
            at("api-key", Raw),
        ]
    }

    fn read(
        headers: &[(&str, &[u8])],
        locations: &[TokenLocation],
    ) -> Result<(String, Vec<String>), ExtractFault> {
        let values = |name: &str| {
            headers
                .iter()
                .filter(|(n, _)| *n == name)
                .map(|(_, v)| v.to_vec())
                .collect()
        };
        extract(&values, locations)
            .map(|found| (String::from_utf8(found.token).unwrap(), found.headers))
    }

    fn authorization(value: &str) -> Result<String, ExtractFault> {
        read(&[("authorization", value.as_bytes())], &all()).map(|(token, _)| token)
    }

    fn encoded(pair: &str) -> String {
        format!("Basic {}", STANDARD.encode(pair))
    }

    #[test]
    fn every_spelling_of_real_clients_is_read() {
        for value in [
            format!("Bearer {JWT}"),
            format!("bearer {JWT}"),
            format!("BEARER {JWT}"),
            format!("token {JWT}"),
            format!("Token {JWT}"),
            format!("Bearer gho_{JWT}"),
            format!("token ghu_{JWT}"),
            format!("Bearer ghs_{JWT}"),
            format!("Bearer github_pat_{JWT}"),
            encoded(&format!("x-access-token:{JWT}")),
            encoded(&format!("anyone:gho_{JWT}")),
            encoded(&format!(":{JWT}")),
            encoded(&format!("{JWT}:")),
            encoded(&format!("gho_{JWT}:x-oauth-basic")),
            encoded(&format!("{JWT}:{JWT}")),
            encoded(&format!("x:{JWT}")).replacen("Basic", "basic", 1),
        ] {
            assert_eq!(authorization(&value).as_deref(), Ok(JWT), "{value}");
        }
        assert_eq!(
            read(&[("api-key", JWT.as_bytes())], &all()),
            Ok((JWT.to_owned(), vec!["api-key".to_owned()]))
        );
    }

    #[test]
    fn a_github_token_is_handed_on_whole() {
        // It is no identity; the verifier says so. Stripping its prefix would hide what it was.
        for token in [
            "ghp_abc",
            "gho_abc",
            "github_pat_11A_b",
            "ghp_eyJ.a.b",
            "ghs_123_eyJ.a.b",
        ] {
            assert_eq!(
                authorization(&format!("Bearer {token}")).as_deref(),
                Ok(token)
            );
        }
    }

    #[test]
    fn odd_credentials_are_refused() {
        for value in [
            "Bearer".to_owned(),
            "Bearer ".to_owned(),
            format!("Bearer  {JWT}"),
            format!("Bearer\t{JWT}"),
            format!("Bearer {JWT} "),
            format!("Bearer {JWT},"),
            format!("Bearer {JWT}, Bearer {OTHER}"),
            format!("Bearer {JWT} {OTHER}"),
            format!("Bearer \"{JWT}\""),
            format!("Bearer,{JWT}"),
            format!("Bearer={JWT}"),
            format!("Bearer {JWT}\u{e9}"),
            format!("Bearer Bearer {JWT}"),
            format!("Basic Bearer {JWT}"),
            format!("Basic {JWT}"),
            "Basic e30".to_owned(),
            encoded("no colon"),
            encoded("user:"),
            encoded("user:two words"),
            encoded(&format!("{JWT}:wrong password")),
        ] {
            let fault = authorization(&value).unwrap_err();
            assert_eq!(fault.code(), "token_header_malformed", "{value:?}");
        }
        assert_eq!(
            authorization(&encoded(&format!("{JWT}:{OTHER}"))),
            Err(ExtractFault::SeveralTokens)
        );
    }

    #[test]
    fn another_scheme_is_no_token() {
        for value in [
            format!("xBearer {JWT}"),
            format!("Bearer2 {JWT}"),
            format!("Negotiate {JWT}"),
            format!(" Bearer {JWT}"),
            String::new(),
            JWT.to_owned(),
        ] {
            assert_eq!(
                authorization(&value),
                Err(ExtractFault::Missing),
                "{value:?}"
            );
        }
        assert_eq!(read(&[], &all()), Err(ExtractFault::Missing));
        let bearer = [at("authorization", Bearer)];
        let basic = encoded(&format!("x:{JWT}"));
        assert_eq!(
            read(&[("authorization", basic.as_bytes())], &bearer),
            Err(ExtractFault::Missing)
        );
        assert_eq!(
            read(&[("api-key", b"")], &all()),
            Err(ExtractFault::Missing)
        );
        assert_eq!(
            read(&[("api-key", b"a b")], &all()).unwrap_err().code(),
            "token_header_malformed"
        );
    }

    #[test]
    fn repeated_headers_and_different_tokens_are_refused() {
        let bearer = format!("Bearer {JWT}");
        let same = [
            ("authorization", bearer.as_bytes()),
            ("authorization", bearer.as_bytes()),
        ];
        assert_eq!(read(&same, &all()), Err(ExtractFault::SeveralValues));
        let basic = encoded(&format!("x:{OTHER}"));
        let different = [
            ("authorization", bearer.as_bytes()),
            ("proxy-authorization", basic.as_bytes()),
        ];
        assert_eq!(read(&different, &all()), Err(ExtractFault::SeveralTokens));
        let agreeing = [
            ("authorization", bearer.as_bytes()),
            ("api-key", JWT.as_bytes()),
        ];
        let both = vec!["authorization".to_owned(), "api-key".to_owned()];
        assert_eq!(read(&agreeing, &all()), Ok((JWT.to_owned(), both)));
    }

    #[test]
    fn an_upstream_credential_beside_the_identity_is_left_alone() {
        let basic = encoded(&format!("x:{JWT}"));
        let copilot = b"Bearer tid=ab";
        let passthrough = [
            ("authorization", &copilot[..]),
            ("proxy-authorization", basic.as_bytes()),
        ];
        assert_eq!(
            read(&passthrough, &all()),
            Ok((JWT.to_owned(), vec!["proxy-authorization".to_owned()]))
        );
        let neither = [("authorization", &copilot[..]), ("api-key", b"k")];
        assert_eq!(read(&neither, &all()), Err(ExtractFault::SeveralTokens));
    }

    #[test]
    fn tokens_do_not_show_in_debug_output() {
        let found = extract(
            &|_| vec![format!("Bearer {JWT}").into_bytes()],
            &[at("authorization", Bearer)],
        )
        .unwrap();
        assert!(!format!("{found:?}").contains("eyJ"));
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(value in prop::collection::vec(any::<u8>(), 0..80), lead in 0..5_usize) {
            let lead = [&b""[..], b"Bearer ", b"basic ", b"token ", b"Basic eDp"][lead];
            let value = [lead, &value].concat();
            if let Ok((token, _)) = read(&[("authorization", &value), ("api-key", &value)], &all()) {
                prop_assert!(is_token68(token.as_bytes()));
            }
        }
    }
}

//! Tokens that must not pass, each with the reason it is refused for.
//!
//! The list holds what Envoy's own jwt_authn 1.40 and common JWT crates let through when they were measured: stray
//! dots, padding and blanks, ECDSA signatures of odd lengths, `crit`, every `typ`, an audience with a slash more, a
//! trailing comma in the header, a header that is an array, no `exp`, no `sub`.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::minting::*;
use super::token::Algorithm::{self, EdDsa, Es256, Rs256};
use super::{KeySet, Token, TokenFault, TokenKind, unverified_issuer, verify};

fn outcome(token: &[u8]) -> Result<(), TokenFault> {
    verify(token, &provider(), &keys(), NOW).map(|_| ())
}

/// A claim set with one claim set, or removed by null.
fn claim(name: &str, value: Value) -> Value {
    let mut claims = claims();
    let members = claims.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.to_owned(), value);
    }
    claims
}

fn with_claim(name: &str, value: Value) -> String {
    mint(Es256, &header(Es256), &claim(name, value))
}

fn with_header(name: &str, value: Value) -> String {
    let mut header = header(Es256);
    header
        .as_object_mut()
        .unwrap()
        .insert(name.to_owned(), value);
    mint(Es256, &header, &claims())
}

fn header_text(text: &str) -> String {
    mint_text(Es256, text, &claims().to_string())
}

fn claims_text(text: &str) -> String {
    mint_text(Es256, &header(Es256).to_string(), text)
}

/// The same claims with one more member as text, for what a JSON value cannot hold.
fn claims_plus(member: &str) -> String {
    claims_text(
        &claims()
            .to_string()
            .replacen('{', &format!("{{{member},"), 1),
    )
}

fn without_exp_plus(member: &str) -> String {
    claims_text(
        &claim("exp", Value::Null)
            .to_string()
            .replacen('{', &format!("{{{member},"), 1),
    )
}

/// A token of one algorithm whose signature was changed.
fn with_signature(algorithm: Algorithm, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> String {
    let token = token(algorithm);
    let (signed, _) = token.rsplit_once('.').unwrap();
    format!(
        "{signed}.{}",
        encode(change(sign(algorithm, signed.as_bytes())))
    )
}

fn der(signature: Vec<u8>) -> Vec<u8> {
    let integer = |number: &[u8]| {
        let mut number: Vec<u8> = number.iter().copied().skip_while(|b| *b == 0).collect();
        if number[0] >= 0x80 {
            number.insert(0, 0);
        }
        [&[2, number.len() as u8][..], &number].concat()
    };
    let body = [integer(&signature[..32]), integer(&signature[32..])].concat();
    [&[0x30, body.len() as u8][..], &body].concat()
}

/// HS256 with public bytes as the secret: the classic confusion.
fn hmac_token(secret: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    let signed = format!(
        "{}.{}",
        encode(r#"{"alg":"HS256","kid":"test-only-rs256"}"#),
        encode(claims().to_string())
    );
    let mut pad = if secret.len() > 64 {
        Sha256::digest(secret).to_vec()
    } else {
        secret.to_vec()
    };
    pad.resize(64, 0);
    let keyed = |with: u8| pad.iter().map(|byte| byte ^ with).collect::<Vec<_>>();
    let inner = Sha256::digest([keyed(0x36), signed.as_bytes().to_vec()].concat());
    let mac = Sha256::digest([keyed(0x5c), inner.to_vec()].concat());
    format!("{signed}.{}", encode(mac))
}

fn part(token: &str, index: usize, change: impl FnOnce(&str) -> String) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    parts[index] = change(&parts[index]);
    parts.join(".")
}

#[test]
fn good_tokens_pass() {
    for algorithm in Algorithm::ALL {
        let identity = verify(token(algorithm).as_bytes(), &provider(), &keys(), NOW).unwrap();
        assert_eq!(
            (identity.subject.as_str(), &identity.groups[..]),
            ("ada", &["eng".to_owned()][..])
        );
    }
    for good in [
        with_header("typ", json!("JWT")),
        with_header("typ", json!("jwt")),
        with_header("typ", json!("at+jwt")),
        with_header("typ", json!("application/at+JWT")),
        with_header("x5t", json!("thumbprint")),
        with_header("jku", json!("https://evil.example/keys")),
        with_claim("aud", json!(["other", "countersign"])),
        with_claim("exp", json!(NOW as f64 + 0.5)),
        header_text("{ \"alg\" : \"ES256\",\n \"kid\":\"test-only-es256\" }"),
        mint(
            EdDsa,
            &json!({"alg": "Ed25519", "kid": "test-only-eddsa"}),
            &claims(),
        ),
        mint(Rs256, &json!({"alg": "RS256"}), &claims()),
        mint(Es256, &json!({"alg": "ES256"}), &claims()),
    ] {
        assert_eq!(outcome(good.as_bytes()), Ok(()), "{good}");
    }
}

#[test]
#[rustfmt::skip] // one row, one token
fn misused_tokens_are_refused_for_the_right_reason() {
    let es = token(Es256);
    let rs = token(Rs256);
    let ed = token(EdDsa);
    let jwk = serde_json::from_slice::<Value>(PUBLIC).unwrap();
    let stranger = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let n = jwk["keys"][0]["n"].as_str().unwrap();
    let table: Vec<(&str, String, &str)> = vec![
        // The form of a compact JWS.
        ("nothing", String::new(), "token_malformed"),
        ("one part", "eyJhbGciOiJFUzI1NiJ9".to_owned(), "token_malformed"),
        ("two parts", es.rsplit_once('.').unwrap().0.to_owned(), "token_malformed"),
        ("two dots alone", "..".to_owned(), "token_malformed"),
        ("a dot before", format!(".{es}"), "token_malformed"),
        ("a dot after", format!("{es}."), "token_malformed"),
        ("dots after", format!("{es}..."), "token_malformed"),
        ("a doubled dot", es.replacen('.', "..", 1), "token_malformed"),
        ("a fourth part", format!("{es}.e30"), "token_malformed"),
        ("five parts, as a JWE has", format!("{es}.e30.e30"), "token_malformed"),
        ("no header", part(&es, 0, |_| String::new()), "token_malformed"),
        ("no payload", mint_text(Es256, &header(Es256).to_string(), ""), "token_malformed"),
        ("no signature", part(&es, 2, |_| String::new()), "token_malformed"),
        ("padding on the header", part(&es, 0, |h| format!("{h}=")), "token_malformed"),
        ("padding on the payload", part(&es, 1, |p| format!("{p}==")), "token_malformed"),
        ("padding on the signature", part(&es, 2, |s| format!("{s}==")), "token_malformed"),
        ("a blank before", format!(" {es}"), "token_malformed"),
        ("a blank after", format!("{es} "), "token_malformed"),
        ("a line end after", format!("{es}\n"), "token_malformed"),
        ("a blank in the payload", part(&es, 1, |p| p.replacen('J', " J", 1)), "token_malformed"),
        ("a line end in the signature", part(&es, 2, |s| format!("{}\n{}", &s[..9], &s[9..])), "token_malformed"),
        ("a NUL after", format!("{es}\0"), "token_malformed"),
        ("base64 instead of base64url", part(&es, 2, |s| format!("+/{}", &s[2..])), "token_malformed"),
        ("stray bits at the signature's end", part(&es, 2, stray_bits), "token_malformed"),
        ("letters outside ASCII", part(&es, 1, |p| format!("{p}é")), "token_malformed"),
        ("JSON serialization", json!({"payload": "e30", "protected": "e30", "signature": "e30"}).to_string(), "token_malformed"),
        ("too long", with_claim("pad", json!("x".repeat(Token::MAX_LEN))), "token_too_large"),
        // The header.
        ("header not JSON", header_text("alg=ES256"), "token_malformed"),
        ("header an array", header_text(r#"["ES256"]"#), "token_malformed"),
        ("header a string", header_text(r#""ES256""#), "token_malformed"),
        ("header with a trailing comma", header_text(r#"{"alg":"ES256","kid":"test-only-es256",}"#), "token_malformed"),
        ("header with bytes after", header_text(r#"{"alg":"ES256","kid":"test-only-es256"} {}"#), "token_malformed"),
        ("header with a byte order mark", header_text("\u{feff}{\"alg\":\"ES256\",\"kid\":\"test-only-es256\"}"), "token_malformed"),
        ("alg twice", header_text(r#"{"alg":"none","alg":"ES256","kid":"test-only-es256"}"#), "token_malformed"),
        ("kid twice, once escaped", header_text(r#"{"alg":"ES256","kid":"x","\u006bid":"test-only-es256"}"#), "token_malformed"),
        ("header nested too deep", header_text(&format!(r#"{{"alg":"ES256","a":{}1{}}}"#, "[".repeat(99), "]".repeat(99))), "token_malformed"),
        ("no alg", header_text(r#"{"kid":"test-only-es256"}"#), "token_malformed"),
        ("alg null", with_header("alg", json!(null)), "token_malformed"),
        ("alg an array", with_header("alg", json!(["ES256"])), "token_malformed"),
        ("Alg for alg", header_text(r#"{"Alg":"ES256","kid":"test-only-es256"}"#), "token_malformed"),
        ("kid a number", with_header("kid", json!(1)), "token_malformed"),
        ("crit empty", with_header("crit", json!([])), "token_critical_header"),
        ("crit unknown", with_header("crit", json!(["exp2"])), "token_critical_header"),
        ("crit null", with_header("crit", json!(null)), "token_critical_header"),
        ("crit of a header that is there", with_header("crit", json!(["kid"])), "token_critical_header"),
        ("b64 false", with_header("b64", json!(false)), "token_critical_header"),
        ("b64 true", with_header("b64", json!(true)), "token_critical_header"),
        ("a logout token", with_header("typ", json!("logout+jwt")), "token_kind"),
        ("a security event", with_header("typ", json!("secevent+jwt")), "token_kind"),
        ("a DPoP proof", with_header("typ", json!("dpop+jwt")), "token_kind"),
        ("typ empty", with_header("typ", json!("")), "token_kind"),
        ("typ an array", with_header("typ", json!(["JWT"])), "token_kind"),
        ("typ null", with_header("typ", json!(null)), "token_kind"),
        ("typ with a parameter", with_header("typ", json!("JWT;x=y")), "token_kind"),
        // The algorithm and the key.
        ("none", format!("{}.{}.", encode(r#"{"alg":"none"}"#), encode(claims().to_string())), "token_algorithm"),
        ("none with a signature", with_header("alg", json!("none")), "token_algorithm"),
        ("None", with_header("alg", json!("None")), "token_algorithm"),
        ("es256", with_header("alg", json!("es256")), "token_algorithm"),
        ("ES256 and a blank", with_header("alg", json!("ES256 ")), "token_algorithm"),
        ("HS256 with the key set as secret", hmac_token(PUBLIC), "token_algorithm"),
        ("HS256 with the modulus as secret", hmac_token(n.as_bytes()), "token_algorithm"),
        ("PS256", with_header("alg", json!("PS256")), "token_algorithm"),
        ("ES256K", with_header("alg", json!("ES256K")), "token_algorithm"),
        ("RSA1_5, an encryption", with_header("alg", json!("RSA1_5")), "token_algorithm"),
        ("ES256 header, RSA key", mint(Rs256, &json!({"alg": "ES256", "kid": "test-only-rs256"}), &claims()), "token_algorithm"),
        ("RS256 header, EC key", mint(Es256, &json!({"alg": "RS256", "kid": "test-only-es256"}), &claims()), "token_algorithm"),
        ("EdDSA header, EC key", mint(EdDsa, &json!({"alg": "EdDSA", "kid": "test-only-es256"}), &claims()), "token_algorithm"),
        ("EC signature under the RSA key's name", mint(Es256, &header(Rs256), &claims()), "token_signature"),
        ("Ed25519 signature under the EC key's name", mint(EdDsa, &header(Es256), &claims()), "token_signature"),
        ("EC signature under the Ed25519 key's name", mint(Es256, &header(EdDsa), &claims()), "token_signature"),
        ("kid of nobody", with_header("kid", json!("other")), "token_unknown_key"),
        ("kid empty", with_header("kid", json!("")), "token_unknown_key"),
        ("kid a path", with_header("kid", json!("../../dev/null")), "token_unknown_key"),
        ("kid in another case", with_header("kid", json!("TEST-ONLY-ES256")), "token_unknown_key"),
        ("kid with a blank", with_header("kid", json!("test-only-es256 ")), "token_unknown_key"),
        ("its own key in jwk", mint(EdDsa, &json!({"alg": "EdDSA", "jwk": stranger, "kid": "mine"}), &claims()), "token_unknown_key"),
        ("a key by jku", mint(EdDsa, &json!({"alg": "EdDSA", "jku": "https://evil.example", "kid": "mine"}), &claims()), "token_unknown_key"),
        // The signature.
        ("ES256 of 63 bytes", with_signature(Es256, |s| s[1..].to_vec()), "token_signature"),
        ("ES256 of 65 bytes", with_signature(Es256, |s| [s, vec![0]].concat()), "token_signature"),
        ("ES256 of 66 bytes, a zero before each half", with_signature(Es256, |s| [&[0], &s[..32], &[0], &s[32..]].concat()), "token_signature"),
        ("ES256 of 96 bytes", with_signature(Es256, |s| [&[0; 16], &s[..32], &[0; 16], &s[32..]].concat()), "token_signature"),
        ("ES256 in DER", with_signature(Es256, der), "token_signature"),
        ("ES256 of zeros", with_signature(Es256, |_| vec![0; 64]), "token_signature"),
        ("ES256 with its halves swapped", with_signature(Es256, |s| [&s[32..], &s[..32]].concat()), "token_signature"),
        ("EdDSA of 63 bytes", with_signature(EdDsa, |s| s[..63].to_vec()), "token_signature"),
        ("EdDSA of 65 bytes", with_signature(EdDsa, |s| [s, vec![0]].concat()), "token_signature"),
        ("EdDSA with S over the order", with_signature(EdDsa, over_order), "token_signature"),
        ("EdDSA of zeros", with_signature(EdDsa, |_| vec![0; 64]), "token_signature"),
        ("RS256 a zero longer", with_signature(Rs256, |s| [vec![0], s].concat()), "token_signature"),
        ("RS256 a byte shorter", with_signature(Rs256, |s| s[1..].to_vec()), "token_signature"),
        ("RS256 of zeros", with_signature(Rs256, |_| vec![0; 256]), "token_signature"),
        ("RS256 of ones", with_signature(Rs256, |_| vec![0xff; 256]), "token_signature"),
        ("another token's signature", part(&ed, 1, |_| encode(claim("sub", json!("eve")).to_string())), "token_signature"),
        ("another header's signature", part(&rs, 0, |_| encode(r#"{"alg":"RS256","kid":"test-only-rs256","a":1}"#)), "token_signature"),
        // The claims.
        ("claims not JSON", claims_text("sub=ada"), "token_malformed"),
        ("claims an array", claims_text("[]"), "token_malformed"),
        ("claims with bytes after", claims_text(&format!("{}x", claims())), "token_malformed"),
        ("sub twice", claims_plus(r#""sub":"eve""#), "token_malformed"),
        ("exp NaN", without_exp_plus(r#""exp":NaN"#), "token_malformed"),
        ("exp 1e400", without_exp_plus(r#""exp":1e400"#), "token_malformed"),
        ("invalid UTF-8", invalid_utf8(), "token_malformed"),
        ("no iss", with_claim("iss", json!(null)), "token_issuer"),
        ("iss a slash short", with_claim("iss", json!("https://idp.example.com")), "token_issuer"),
        ("iss in another case", with_claim("iss", json!("https://IDP.example.com/")), "token_issuer"),
        ("iss an array", with_claim("iss", json!(["https://idp.example.com/"])), "token_issuer"),
        ("no aud", with_claim("aud", json!(null)), "token_audience"),
        ("aud of another", with_claim("aud", json!("other")), "token_audience"),
        ("aud with a slash", with_claim("aud", json!("countersign/")), "token_audience"),
        ("aud with a scheme", with_claim("aud", json!("https://countersign")), "token_audience"),
        ("aud in another case", with_claim("aud", json!("Countersign")), "token_audience"),
        ("aud with others in one string", with_claim("aud", json!("other countersign")), "token_audience"),
        ("aud an empty array", with_claim("aud", json!([])), "token_audience"),
        ("aud a number", with_claim("aud", json!(1)), "token_claims"),
        ("aud an object", with_claim("aud", json!({"countersign": 1})), "token_claims"),
        ("aud an array with a number", with_claim("aud", json!(["countersign", 1])), "token_claims"),
        ("no exp", with_claim("exp", json!(null)), "token_claims"),
        ("exp null", without_exp_plus(r#""exp":null"#), "token_claims"),
        ("exp a string", with_claim("exp", json!((NOW + 300).to_string())), "token_claims"),
        ("exp true", with_claim("exp", json!(true)), "token_claims"),
        ("exp an array", with_claim("exp", json!([NOW + 300])), "token_claims"),
        ("exp in milliseconds", with_claim("exp", json!((NOW + 300) * 1000)), "token_claims"),
        ("exp 1e300", with_claim("exp", json!(1e300)), "token_claims"),
        ("exp of 30 digits", without_exp_plus(r#""exp":999999999999999999999999999999"#), "token_claims"),
        ("exp zero", with_claim("exp", json!(0)), "token_expired"),
        ("exp negative zero", without_exp_plus(r#""exp":-0.0"#), "token_expired"),
        ("exp negative", with_claim("exp", json!(-1)), "token_expired"),
        ("expired beyond the skew", with_claim("exp", json!(NOW - 60)), "token_expired"),
        ("nbf in the future", with_claim("nbf", json!(NOW + 61)), "token_not_yet_valid"),
        ("nbf a string", with_claim("nbf", json!("0")), "token_claims"),
        ("iat in the future", with_claim("iat", json!(NOW + 3600)), "token_not_yet_valid"),
        ("iat a string", with_claim("iat", json!("now")), "token_claims"),
        ("no sub", with_claim("sub", json!(null)), "token_claims"),
        ("sub empty", with_claim("sub", json!("")), "token_claims"),
        ("sub a number", with_claim("sub", json!(1)), "token_claims"),
        ("sub with a line end", with_claim("sub", json!("ada\nadmin")), "token_claims"),
        ("sub with a NUL", with_claim("sub", json!("ada\0")), "token_claims"),
        ("email an array", with_claim("email", json!(["ada@example.com"])), "token_claims"),
        ("jti a number", with_claim("jti", json!(7)), "token_claims"),
        ("groups a number", with_claim("groups", json!(7)), "token_claims"),
        ("groups with a number in it", with_claim("groups", json!(["eng", 7])), "token_claims"),
        ("groups in one string with a blank", with_claim("groups", json!("eng admins")), "token_claims"),
        ("groups elsewhere", with_claim("_claim_names", json!({"groups": "src1"})), "groups_overage"),
        ("groups hidden", with_claim("hasgroups", json!(true)), "groups_overage"),
    ];
    for (name, token, code) in &table {
        let fault = outcome(token.as_bytes()).expect_err(name);
        assert_eq!(fault.code(), *code, "{name}: {fault}");
        assert!(!fault.message().is_empty() && fault.to_string() == fault.message(), "{name}");
    }
    eprintln!("{} misused tokens refused", table.len());
}

/// The same signature bytes, spelled with other unused bits in the last letter.
fn stray_bits(signature: &str) -> String {
    let (rest, last) = signature.split_at(signature.len() - 1);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = alphabet.find(last).unwrap();
    format!("{rest}{}", &alphabet[at + 1..at + 2])
}

/// S + L is the same scalar for a careless verifier (RFC 8032 5.1.7 demands S < L).
fn over_order(mut signature: Vec<u8>) -> Vec<u8> {
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0;
    for (byte, add) in signature[32..].iter_mut().zip(L) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    signature
}

fn invalid_utf8() -> String {
    let claims = claims().to_string().into_bytes();
    let claims: Vec<u8> = claims
        .iter()
        .map(|byte| if *byte == b'd' { 0xff } else { *byte })
        .collect();
    let signed = format!("{}.{}", encode(header(Es256).to_string()), encode(claims));
    let signature = sign(Es256, signed.as_bytes());
    format!("{signed}.{}", encode(signature))
}

#[test]
fn a_provider_can_ask_for_less() {
    let good = token(Es256);
    let mut rsa_only = provider();
    rsa_only.algorithms = vec![Rs256];
    assert_eq!(
        verify(good.as_bytes(), &rsa_only, &keys(), NOW),
        Err(TokenFault::AlgorithmRefused)
    );
    let mut access_only = provider();
    access_only.kinds = vec![TokenKind::AccessToken];
    assert_eq!(
        verify(good.as_bytes(), &access_only, &keys(), NOW),
        Err(TokenFault::Kind)
    );
    assert!(
        verify(
            with_header("typ", json!("at+jwt")).as_bytes(),
            &access_only,
            &keys(),
            NOW
        )
        .is_ok()
    );
    let mut short = provider();
    short.max_ttl_s = Some(60);
    assert_eq!(
        verify(good.as_bytes(), &short, &keys(), NOW),
        Err(TokenFault::Lifetime)
    );
    let mut nobody = provider();
    nobody.audiences.clear();
    assert_eq!(
        verify(good.as_bytes(), &nobody, &keys(), NOW),
        Err(TokenFault::Audience)
    );
}

#[test]
fn without_a_kid_there_must_be_one_key_to_mean() {
    let mut doubled: Value = serde_json::from_slice(PUBLIC).unwrap();
    let keys = doubled["keys"].as_array_mut().unwrap();
    keys.push(json!({"kty": "OKP", "crv": "Ed25519", "kid": "b", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}));
    let doubled = KeySet::parse(doubled.to_string().as_bytes()).unwrap();
    let nameless = mint(EdDsa, &json!({"alg": "EdDSA"}), &claims());
    assert_eq!(
        verify(nameless.as_bytes(), &provider(), &doubled, NOW),
        Err(TokenFault::KeyIdMissing)
    );
    let only_ec = json!({"keys": [serde_json::from_slice::<Value>(PUBLIC).unwrap()["keys"][1]]});
    let only_ec = KeySet::parse(only_ec.to_string().as_bytes()).unwrap();
    assert_eq!(
        verify(nameless.as_bytes(), &provider(), &only_ec, NOW),
        Err(TokenFault::UnknownKey)
    );
}

#[test]
fn the_issuer_is_read_before_anything_is_believed() {
    let forged = part(&token(Rs256), 2, |_| encode([0; 256]));
    assert_eq!(
        unverified_issuer(forged.as_bytes()).as_deref(),
        Ok("https://idp.example.com/")
    );
    assert_eq!(
        unverified_issuer(with_claim("iss", json!(7)).as_bytes()),
        Err(TokenFault::Issuer)
    );
    assert_eq!(
        unverified_issuer(b"ghp_x").unwrap_err().code(),
        "token_malformed"
    );
}

#[test]
fn debug_output_holds_no_token() {
    let good = token(Es256);
    let shown = format!("{:?}", Token::parse(good.as_bytes()).unwrap());
    assert_eq!(shown, "Token { algorithm: Es256, .. }");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_refused_without_a_panic(token in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(outcome(&token).is_err());
        prop_assert!(unverified_issuer(&token).is_err());
    }

    #[test]
    fn any_three_parts_are_refused_without_a_panic(
        header in r#"\{("alg":"(ES256|RS256|EdDSA|none)")?,?("kid":"test-only-(es256|rs256|eddsa)")?,?("typ":"[a-z+]{0,6}")?\}"#,
        payload in prop::collection::vec(any::<u8>(), 0..60),
        signature in prop::sample::select(vec![0, 1, 63, 64, 65, 255, 256, 257])
            .prop_flat_map(|length| prop::collection::vec(any::<u8>(), length)),
    ) {
        let token = format!("{}.{}.{}", encode(header), encode(payload), encode(signature));
        prop_assert!(outcome(token.as_bytes()).is_err());
    }

    #[test]
    fn a_changed_token_is_never_taken(
        algorithm in prop::sample::select(Algorithm::ALL.to_vec()),
        at in any::<prop::sample::Index>(),
        change in prop_oneof![
            (1..=255_u8).prop_map(Change::Flip),
            any::<u8>().prop_map(Change::Insert),
            Just(Change::Remove),
            Just(Change::Cut),
            Just(Change::Double),
        ],
    ) {
        let good = token(algorithm).into_bytes();
        let changed = change.of(&good, at.index(good.len()));
        prop_assume!(changed != good);
        prop_assert!(outcome(&changed).is_err());
    }

    #[test]
    fn any_key_set_is_read_without_a_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut changed = PUBLIC.to_vec();
        let at = at.index(changed.len());
        changed[at] = byte;
        if let Ok(keys) = KeySet::parse(&changed) {
            prop_assert!(!keys.is_empty());
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Flip(u8),
    Insert(u8),
    Remove,
    Cut,
    Double,
}

impl Change {
    fn of(self, token: &[u8], at: usize) -> Vec<u8> {
        let (before, after) = token.split_at(at);
        match self {
            Self::Flip(bits) => [before, &[after[0] ^ bits], &after[1..]].concat(),
            Self::Insert(byte) => [before, &[byte], after].concat(),
            Self::Remove => [before, &after[1..]].concat(),
            Self::Cut => before.to_vec(),
            Self::Double => [before, &after[..1], after].concat(),
        }
    }
}

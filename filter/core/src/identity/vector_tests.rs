//! Public vectors, run where they are laid beside the repository (`../shared/anchors`): C2SP Wycheproof and the JOSE
//! cookbook (RFC 7520, 7797, 8037). They sign other things than claims, so they run against the signature check.

use serde_json::{Value, json};

use super::token::Token;
use super::{KeySet, TokenFault};

const ANCHORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/anchors");

fn anchor(name: &str) -> Option<Value> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the vectors are read at test time, not copied here"
    )]
    let bytes = std::fs::read(format!("{ANCHORS}/{name}"));
    match bytes {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).unwrap()),
        Err(_) => {
            eprintln!("skipped {name}: no ../shared/anchors beside the repository");
            None
        }
    }
}

/// A key or a key set, as a key set.
fn set(keys: &Value) -> Result<KeySet, super::KeySetFault> {
    let keys = if keys.get("keys").is_some() {
        keys.clone()
    } else {
        json!({"keys": [keys]})
    };
    KeySet::parse(keys.to_string().as_bytes())
}

fn accepted(keys: &Value, jws: &Value) -> bool {
    let text = jws.as_str().map_or_else(|| jws.to_string(), str::to_owned);
    let Ok(keys) = set(keys) else { return false };
    Token::parse(text.as_bytes())
        .and_then(|token| token.verify_signature(&keys))
        .is_ok()
}

/// Runs every test of a file and gives how many of them had a key that we use.
///
/// With such a key every verdict must be the vector's; with any other nothing may pass.
fn run(name: &str, total: usize) -> Option<usize> {
    let file = anchor(name)?;
    let (mut ran, mut ours) = (0, 0);
    for group in file["testGroups"].as_array().unwrap() {
        let keys = group.get("public").unwrap_or(&group["private"]);
        let usable = set(keys).is_ok();
        for test in group["tests"].as_array().unwrap() {
            // Encrypted messages (JWE) come with `jwe` instead.
            let Some(jws) = test.get("jws").or_else(|| test.get("jwe")) else {
                panic!("no message in {test}")
            };
            let valid = test["result"] == "valid";
            assert_eq!(
                accepted(keys, jws),
                valid && usable,
                "{name} {}: {}",
                test["tcId"],
                test["comment"]
            );
            ran += 1;
            ours += usize::from(usable);
        }
    }
    assert_eq!(ran, total, "{name}");
    Some(ours)
}

#[test]
fn wycheproof_signatures() {
    // RS256 and ES256: 15 + 226 + 5 + 2 + 24; the other 129 are for algorithms and uses that we refuse.
    if let Some(ours) = run("wycheproof/json_web_signature_test.json", 401) {
        assert_eq!(ours, 272);
    }
}

#[test]
fn wycheproof_keys() {
    // Only the one good RSA key is used; a ROCA modulus, 1,024 bits, exponent 1, a point off the curve, mixed and
    // duplicate sets and the like never become a key set.
    if let Some(ours) = run("wycheproof/json_web_key_test.json", 26) {
        assert_eq!(ours, 1);
    }
}

#[test]
fn wycheproof_mixed() {
    if let Some(ours) = run("wycheproof/json_web_crypto_test.json", 83) {
        assert_eq!(ours, 28);
    }
}

#[test]
fn cookbook_signatures() {
    for (file, expected) in [
        ("jws-4_1.rsa_v15_signature.json", Ok(())),
        ("curve25519-jws.json", Ok(())),
        (
            "jws-4_2.rsa-pss_signature.json",
            Err(TokenFault::AlgorithmRefused),
        ),
        (
            "jws-4_3.ecdsa_signature.json",
            Err(TokenFault::AlgorithmRefused),
        ),
        (
            "jws-4_4.hmac-sha2_integrity_protection.json",
            Err(TokenFault::AlgorithmRefused),
        ),
        (
            "jws-4_5.signature_with_detached_content.json",
            Err(TokenFault::AlgorithmRefused),
        ),
        (
            "rfc7797-hmac-sha2_b64_false.json",
            Err(TokenFault::AlgorithmRefused),
        ),
    ] {
        let Some(example) = anchor(&format!("jose-cookbook/{file}")) else {
            return;
        };
        let mut key = example["input"]["key"].clone();
        ["d", "p", "q", "dp", "dq", "qi"].iter().for_each(|part| {
            key.as_object_mut().unwrap().remove(*part);
        });
        let jws = example["output"]["compact"].as_str().unwrap();
        let token = Token::parse(jws.as_bytes());
        let outcome = token.and_then(|token| token.verify_signature(&set(&key).unwrap()));
        assert_eq!(outcome, expected, "{file}");
        // The JSON serializations, one signature or several, are no bearer token.
        let json = example["output"]["json"].to_string();
        assert!(
            matches!(Token::parse(json.as_bytes()), Err(TokenFault::Malformed(_))),
            "{file}"
        );
    }
}

#[test]
fn cookbook_public_keys() {
    if let Some(key) = anchor("jose-cookbook/jwk-3_3.rsa_public_key.json") {
        assert_eq!(set(&key).unwrap().len(), 1);
    }
    if let Some(key) = anchor("jose-cookbook/jwk-3_1.ec_public_key.json") {
        assert!(set(&key).is_err(), "P-521 is not ours");
    }
}

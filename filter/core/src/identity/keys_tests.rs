//! Key sets: what is used, what is left out, what is refused whole.

use serde_json::{Value, json};

use super::keys::{KeyFault, KeySet, KeySetFault, SkippedKey};
use super::minting::{PUBLIC, keys};

fn published() -> Vec<Value> {
    serde_json::from_slice::<Value>(PUBLIC).unwrap()["keys"]
        .as_array()
        .unwrap()
        .clone()
}

fn parse(keys: &[Value]) -> Result<KeySet, KeySetFault> {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
}

/// One of the published keys with members set (or removed by null).
fn changed(index: usize, members: Value) -> Value {
    let mut key = published()[index].clone();
    for (name, value) in members.as_object().unwrap() {
        if value.is_null() {
            key.as_object_mut().unwrap().remove(name);
        } else {
            key[name] = value.clone();
        }
    }
    key
}

fn fault(key: Value) -> KeyFault {
    match parse(&[key]) {
        Err(KeySetFault::NoUsableKey(skipped)) => skipped[0].fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn keys_that_cannot_be_used_are_named() {
    const RSA: usize = 0;
    const EC: usize = 1;
    const OKP: usize = 2;
    let no_point = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for (key, why) in [
        (json!(7), KeyFault::Shape),
        (changed(RSA, json!({"kty": null})), KeyFault::Shape),
        (changed(RSA, json!({"kty": "rsa"})), KeyFault::KeyType),
        (changed(RSA, json!({"kty": "AKP"})), KeyFault::KeyType),
        (changed(RSA, json!({"kty": "EC"})), KeyFault::Curve),
        (changed(EC, json!({"crv": "secp256k1"})), KeyFault::Curve),
        (changed(EC, json!({"crv": null})), KeyFault::Curve),
        (changed(OKP, json!({"crv": "X25519"})), KeyFault::Curve),
        (changed(EC, json!({"use": "enc"})), KeyFault::Use),
        (changed(EC, json!({"use": ["sig"]})), KeyFault::Use),
        (
            changed(EC, json!({"key_ops": ["sign"]})),
            KeyFault::Operations,
        ),
        (changed(EC, json!({"key_ops": []})), KeyFault::Operations),
        (
            changed(EC, json!({"key_ops": "verify"})),
            KeyFault::Operations,
        ),
        (changed(RSA, json!({"alg": "RS512"})), KeyFault::Algorithm),
        (changed(RSA, json!({"alg": "ES256"})), KeyFault::Algorithm),
        (changed(RSA, json!({"alg": "HS256"})), KeyFault::Algorithm),
        (changed(EC, json!({"alg": 7})), KeyFault::Algorithm),
        (changed(EC, json!({"kid": 7})), KeyFault::Id),
        (changed(EC, json!({"kid": ""})), KeyFault::Id),
        (changed(RSA, json!({"n": null})), KeyFault::Encoding),
        (changed(RSA, json!({"e": "AQAB="})), KeyFault::Encoding),
        (changed(RSA, json!({"e": ""})), KeyFault::Encoding),
        (changed(EC, json!({"x": "AQAB"})), KeyFault::Encoding),
        (changed(OKP, json!({"x": 7})), KeyFault::Encoding),
        (changed(RSA, json!({"n": "rJBIp6T1YK8"})), KeyFault::RsaSize),
        (
            changed(RSA, json!({"n": "_".repeat(684)})),
            KeyFault::RsaSize,
        ),
        (changed(RSA, json!({"e": "AQ"})), KeyFault::RsaNumbers),
        (changed(RSA, json!({"e": "AA"})), KeyFault::RsaNumbers),
        (changed(RSA, json!({"e": "AQAA"})), KeyFault::RsaNumbers),
        (changed(RSA, json!({"e": "______8"})), KeyFault::RsaNumbers),
        (changed(EC, json!({"y": no_point})), KeyFault::Point),
        (
            changed(EC, json!({"x": no_point, "y": no_point})),
            KeyFault::Point,
        ),
        // The identity and a point of order four: every signature of one kind would verify.
        (
            changed(
                OKP,
                json!({"x": "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}),
            ),
            KeyFault::Point,
        ),
        (changed(OKP, json!({"x": no_point})), KeyFault::Point),
    ] {
        assert_eq!(fault(key.clone()), why, "{key}");
        assert!(!why.message().is_empty());
    }
}

#[test]
fn a_set_keeps_what_it_can_use() {
    let mut listed = published();
    listed.insert(
        0,
        changed(0, json!({"use": "enc", "alg": "RSA-OAEP", "kid": "enc"})),
    );
    let set = parse(&listed).unwrap();
    assert_eq!(set.len(), 3);
    assert_eq!(
        set.skipped(),
        [SkippedKey {
            index: 0,
            id: Some("enc".to_owned()),
            fault: KeyFault::Use
        }]
    );
    let plain = [
        json!({"use": null}),
        json!({"alg": null, "key_ops": ["verify"]}),
        json!({"alg": "Ed25519"}),
    ];
    for (index, members) in plain.into_iter().enumerate() {
        assert_eq!(parse(&[changed(index, members)]).unwrap().len(), 1);
    }
}

#[test]
fn keys_without_a_name_may_be_several() {
    let nameless = |index| changed(index, json!({"kid": null}));
    assert_eq!(
        parse(&[nameless(0), nameless(1), nameless(1), nameless(2)])
            .unwrap()
            .len(),
        3
    );
}

#[test]
fn a_set_that_cannot_be_trusted_is_refused_whole() {
    for private in ["d", "k", "p"] {
        let mut listed = published();
        listed[1][private] = json!("AQAB");
        assert_eq!(
            parse(&listed).unwrap_err(),
            KeySetFault::PrivateKey { index: 1 }
        );
    }
    let renamed = changed(2, json!({"kid": "test-only-es256"}));
    assert_eq!(
        parse(&[published(), vec![renamed]].concat()).unwrap_err(),
        KeySetFault::DuplicateId { index: 3 }
    );
    assert_eq!(
        parse(&[published(), published()].concat()).unwrap().len(),
        3
    );
    assert_eq!(parse(&[]).unwrap_err(), KeySetFault::NoUsableKey(vec![]));
    assert_eq!(
        parse(&vec![json!({}); KeySet::MAX_KEYS + 1]).unwrap_err(),
        KeySetFault::TooLarge
    );
    for shape in [&b"[]"[..], b"{}", br#"{"keys":{}}"#, b"null"] {
        assert_eq!(KeySet::parse(shape).unwrap_err(), KeySetFault::Shape);
    }
    assert_eq!(
        KeySet::parse(&vec![b' '; KeySet::MAX_LEN + 1]).unwrap_err(),
        KeySetFault::TooLarge
    );
    let twice = br#"{"keys":[{"kty":"EC","kty":"RSA"}]}"#;
    let fault = KeySet::parse(twice).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "the key set cannot be read: two members of one object have the same name at $.keys[0].kty (line 1, column 26)"
    );
}

#[test]
fn the_digest_tells_sets_apart_and_nothing_else() {
    let mut turned = published();
    turned.reverse();
    turned[0]["use"] = json!("sig");
    assert_eq!(parse(&turned).unwrap().digest(), keys().digest());
    assert_ne!(parse(&published()[..2]).unwrap().digest(), keys().digest());
    let mut renamed = published();
    renamed[0]["kid"] = json!("new");
    assert_ne!(parse(&renamed).unwrap().digest(), keys().digest());
}

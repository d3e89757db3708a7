//! Key sets against a provider that rotates, fails and lies.

use serde_json::json;

use super::*;
use crate::config::testing::document;

const T: Now = Now(1_000_000_000_000_000);

fn store(discovery: bool) -> KeyStore {
    let mut document = document();
    if discovery {
        document["identity"]["providers"][0]["jwks"] = json!({"discovery": {"cluster": "idp"}});
    }
    let policy = crate::config::compile(&document, &|_| Some("secret-value".to_owned())).unwrap();
    KeyStore::new(&policy)
}

fn answer(status: u16, body: &str) -> CallAnswer {
    CallAnswer {
        status: Some(status),
        body: body.as_bytes().to_vec(),
        ..Default::default()
    }
}

fn path(call: &Call) -> &str {
    &call.headers.iter().find(|(n, _)| n == ":path").unwrap().1
}

fn jwks() -> String {
    include_str!("../../../../testdata/jwt/jwks.json").to_owned()
}

#[test]
fn keys_are_fetched_ahead_and_again_after_the_refresh_time() {
    let mut store = store(false);
    let due = store.due(T);
    assert_eq!((due.len(), path(&due[0].1)), (1, "/jwks"));
    assert!(store.due(T).is_empty(), "one fetch at a time");
    assert!(store.wait(0, false, 7, T), "a fetch is under way");
    let fetched = store.on_answer(due[0].0, &answer(200, &jwks()), T);
    assert_eq!((fetched.wake, fetched.fault), (vec![7], None));
    assert!(matches!(store.state(0), KeyState::Ready(_)));
    assert!(store.due(T.after_ms(599_999)).is_empty());
    assert_eq!(store.due(T.after_ms(600_000)).len(), 1);
}

#[test]
fn a_bad_set_never_replaces_a_good_one_and_backs_off() {
    let mut store = store(false);
    let due = store.due(T);
    store.on_answer(due[0].0, &answer(200, &jwks()), T);
    let mut at = T.after_ms(600_000);
    for (bad, pause) in [
        (answer(500, ""), 1_000),
        (answer(200, "{\"keys\":[]}"), 2_000),
        (CallAnswer::default(), 4_000),
    ] {
        let due = store.due(at);
        let fetched = store.on_answer(due[0].0, &bad, at);
        assert!(fetched.fault.is_some());
        assert!(matches!(store.state(0), KeyState::Ready(_)));
        assert!(store.due(at.after_ms(pause - 1)).is_empty());
        at = at.after_ms(pause);
    }
    assert!(!store.expire(at));
    assert!(
        store.expire(T.after_ms(600_000 + STALE_MS + 1)),
        "withdrawn keys die in a stated time"
    );
    assert!(matches!(store.state(0), KeyState::Missing));
}

#[test]
fn made_up_key_ids_cause_no_flood() {
    let mut store = store(false);
    let due = store.due(T);
    store.on_answer(due[0].0, &answer(200, &jwks()), T);
    assert!(store.wait(0, true, 1, T), "the first is granted");
    assert_eq!(store.due(T).len(), 1);
    assert!(store.wait(0, true, 2, T), "others join the fetch under way");
    let fetch = KeyFetch {
        provider: 0,
        discovery: false,
    };
    assert_eq!(
        store.on_answer(fetch, &answer(200, &jwks()), T).wake,
        [1, 2]
    );
    assert!(!store.wait(0, true, 3, T.after_ms(UNKNOWN_KEY_PAUSE_MS - 1)));
    assert!(store.due(T.after_ms(UNKNOWN_KEY_PAUSE_MS - 1)).is_empty());
    assert!(store.wait(0, true, 3, T.after_ms(UNKNOWN_KEY_PAUSE_MS)));
}

#[test]
fn nobody_waits_through_a_back_off() {
    let mut store = store(false);
    let due = store.due(T);
    assert!(store.wait(0, false, 1, T));
    assert_eq!(store.on_answer(due[0].0, &answer(503, ""), T).wake, [1]);
    assert!(!store.wait(0, false, 2, T.after_ms(10)));
}

#[test]
fn discovery_names_the_key_set_and_must_be_the_issuers() {
    let mut store = store(true);
    let due = store.due(T);
    assert_eq!(path(&due[0].1), "/.well-known/openid-configuration");
    assert!(store.wait(0, false, 4, T));
    let lie = r#"{"issuer":"https://evil.example.com","jwks_uri":"https://idp.example.com/keys"}"#;
    assert!(
        store
            .on_answer(due[0].0, &answer(200, lie), T)
            .fault
            .is_some()
    );
    let at = T.after_ms(1_000);
    let due = store.due(at);
    assert!(store.wait(0, false, 4, at));
    let honest =
        r#"{"issuer":"https://idp.example.com/","jwks_uri":"https://idp.example.com/keys/v1"}"#;
    let fetched = store.on_answer(due[0].0, &answer(200, honest), at);
    assert!(
        fetched.wake.is_empty(),
        "the stream still waits: now for the keys"
    );
    let due = store.due(at);
    assert_eq!(path(&due[0].1), "/keys/v1");
    assert_eq!(
        store.on_answer(due[0].0, &answer(200, &jwks()), at).wake,
        [4]
    );
}

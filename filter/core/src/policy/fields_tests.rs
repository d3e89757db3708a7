//! Fields of a body against what a rule asks for.

use serde_json::{Value, json};

use super::*;

fn globs(patterns: &[&str]) -> Wanted {
    let mut globs = Globs::default();
    patterns.iter().for_each(|p| globs.push(p).unwrap());
    Wanted::Globs(globs)
}

/// How a rule that restrains and one that allows compare.
fn both(pointer: &str, wanted: Wanted, body: &Value) -> (Compared, Compared) {
    let field = Field::new(Pointer::read(pointer).unwrap(), wanted);
    (field.compare(body, true), field.compare(body, false))
}

use Compared::{No, Unknown, Yes};

#[test]
fn a_pointer_is_that_of_rfc_6901() {
    let body = json!({"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "m~n": 8, "k\"l": 6, "deep": {"0": "zero"}});
    for (pointer, value) in [
        ("/foo/0", json!("bar")),
        ("/foo/1", json!("baz")),
        ("/", json!(0)),
        ("/a~1b", json!(1)),
        ("/c%d", json!(2)),
        ("/m~0n", json!(8)),
        ("/k\"l", json!(6)),
        ("/deep/0", json!("zero")),
    ] {
        assert_eq!(
            both(pointer, Wanted::Value(value), &body),
            (Yes, Yes),
            "{pointer}"
        );
    }
    for absent in [
        "/foo/2", "/foo/01", "/foo/+1", "/foo/-", "/nope", "/a/b", "/foo/0/x",
    ] {
        assert_eq!(
            both(absent, Wanted::Value(Value::Null), &body),
            (Yes, Yes),
            "{absent} is not there"
        );
    }
    for wrong in ["foo", "/a~2", "/a~"] {
        assert!(Pointer::read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn values_patterns_expressions_and_lists() {
    let body = json!({"env": "production", "count": 3, "dry": false, "none": null});
    let value = |v: Value| Wanted::Value(v);
    assert_eq!(both("/env", value(json!("production")), &body), (Yes, Yes));
    assert_eq!(both("/env", value(json!("prod")), &body), (No, No));
    assert_eq!(both("/env", globs(&["prod*"]), &body), (Yes, Yes));
    assert_eq!(both("/env", globs(&["!prod*"]), &body), (No, No));
    assert_eq!(
        both("/env", Wanted::regex("^prod").unwrap(), &body),
        (Yes, Yes)
    );
    assert_eq!(
        both("/env", Wanted::regex("^rod").unwrap(), &body),
        (No, No)
    );
    let list = || Wanted::OneOf(vec![value(json!("staging")), globs(&["prod*"])]);
    assert_eq!(both("/env", list(), &body), (Yes, Yes));
    assert_eq!(both("/count", value(json!(3.0)), &body), (Yes, Yes));
    assert_eq!(both("/none", value(json!(null)), &body), (Yes, Yes));
    assert_eq!(both("/none", globs(&["*"]), &body), (No, No));
    assert_eq!(both("/dry", value(json!(false)), &body), (Yes, Yes));
}

#[test]
fn what_a_generous_server_takes_is_restrained_and_not_allowed() {
    let body = json!({"dry": "false", "count": "3", "id": 42});
    assert_eq!(both("/dry", Wanted::Value(json!(false)), &body), (Yes, No));
    assert_eq!(both("/count", Wanted::Value(json!(3)), &body), (Yes, No));
    assert_eq!(both("/id", Wanted::Value(json!("42")), &body), (Yes, No));
    assert_eq!(both("/id", globs(&["4*"]), &body), (Yes, No));
}

#[test]
fn a_list_in_the_body_is_meant_element_by_element() {
    let body = json!({"labels": ["safe", "prod"], "none": []});
    let prod = || Wanted::Value(json!("prod"));
    assert_eq!(both("/labels", prod(), &body), (Yes, No));
    assert_eq!(both("/labels", globs(&["*"]), &body), (Yes, Yes));
    assert_eq!(both("/none", globs(&["*"]), &body), (No, No));
}

#[test]
fn what_could_be_read_otherwise_cannot_be_compared() {
    let object = json!({"env": {"name": "production"}});
    assert_eq!(both("/env", globs(&["prod*"]), &object), (Unknown, Unknown));
    let twins = json!({"env": "test", "ENV": "production"});
    assert_eq!(
        both("/env", Wanted::Value(json!("production")), &twins),
        (Unknown, Unknown)
    );
    let other_case = json!({"Env": "production"});
    assert_eq!(
        both("/env", Wanted::Value(json!("production")), &other_case),
        (Unknown, Unknown)
    );
    let long = json!({"env": "x".repeat(TEXT_MAX + 1)});
    assert_eq!(both("/env", globs(&["*"]), &long), (Unknown, Unknown));
}

#[test]
fn expressions_are_bounded() {
    assert!(Wanted::regex("a{1,1000}{1,1000}").is_err());
    assert!(Wanted::regex("(").is_err());
    assert!(Wanted::regex(&"(".repeat(64)).is_err());
}

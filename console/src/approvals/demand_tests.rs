//! Demands, and what votes count for.

use serde_json::json;

use super::*;

fn demands(value: Value) -> Vec<Demand> {
    serde_json::from_value(value).unwrap()
}

fn vote(who: &str, counts: &[(usize, usize, Option<&str>)]) -> Given {
    let count = |(demand, consent, instead_of): &(usize, usize, Option<&str>)| Count {
        demand: *demand,
        consent: *consent,
        instead_of: instead_of.map(str::to_owned),
    };
    Given {
        who: who.into(),
        counts: Some(counts.iter().map(count).collect()),
    }
}

#[test]
fn every_demand_has_to_be_met_and_each_in_one_way() {
    let of = |group: &str, min: u32| json!({"reviewers": {"groups": [group]}, "min": min});
    let demands = demands(json!([
        {"rule": "main", "any_of": [of("leads", 2)]},
        {"rule": "web", "any_of": [of("web", 1), of("security", 1)]},
    ]));
    let ann = vote("ann", &[(0, 0, None)]);
    let bob = vote("bob", &[(0, 0, None), (1, 1, None)]);
    let cleo = vote("cleo", &[(0, 0, Some("ann"))]);
    assert!(!are_met(&demands, &[]));
    assert!(!are_met(&demands, std::slice::from_ref(&ann)));
    assert!(!are_met(&demands, std::slice::from_ref(&bob)));
    assert!(are_met(&demands, &[ann.clone(), bob.clone()]));
    let twice = [ann, cleo.clone()];
    assert_eq!(progress(&demands, &twice)[0].ways[0].given, ["ann"]);
    assert!(
        are_met(&demands, &[cleo, bob]),
        "a stand-in counts for the one who is away"
    );
    assert!(
        !are_met(&[], &[vote("ann", &[])]),
        "nothing demanded is not consent"
    );
    let nobody = [Demand::default()];
    assert!(!are_met(&nobody, &[vote("ann", &[(0, 0, None)])]));
}

#[test]
fn reviewers_are_named_by_group_subject_and_claim() {
    let person = |value: Value| Person {
        name: "ann".into(),
        email: Some("ann@example.com".into()),
        groups: vec!["leads".into()],
        claims: value.as_object().unwrap().clone(),
    };
    let ann =
        person(json!({"department": "sec-web", "org": {"roles": ["dev", "on-call"]}, "level": 3}));
    for (reviewers, named) in [
        (json!({"groups": ["leads"]}), true),
        (json!({"groups": ["Leads"]}), false),
        (json!({"subjects": ["ann@example.com"]}), true),
        (json!({"claims": {"department": ["sec-*"]}}), true),
        (json!({"claims": {"department": "hr"}}), false),
        (json!({"claims": {"org.roles": ["on-call"]}}), true),
        (json!({"claims": {"org.roles": ["!dev"]}}), false),
        (json!({"claims": {"level": ["3"]}}), true),
        (json!({"claims": {"absent": ["!x"]}}), false),
        (json!({"claims": {"department": ["{sec}"]}}), false),
        (json!({}), false),
    ] {
        let read: Reviewers = serde_json::from_value(reviewers.clone()).unwrap();
        assert_eq!(read.name(&ann), named, "{reviewers}");
    }
}

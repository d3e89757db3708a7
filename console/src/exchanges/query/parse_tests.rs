use proptest::prelude::*;

use super::*;
use crate::clock::parse_moment;

const NOW: Millis = 1_790_000_000_000;

fn good(text: &str) -> Query {
    parse(text, NOW).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn bad(text: &str) -> Error {
    parse(text, NOW).expect_err(text)
}

#[test]
fn the_query_of_the_first_page() {
    let query =
        good(r#"user:ci-runner op:ref.push repo:acme/* decision:held after:2d "drop table""#);
    let fields: Vec<String> = query.terms.iter().map(Term::to_string).collect();
    assert_eq!(
        fields,
        [
            "user:ci-runner",
            "op:ref.push",
            "repo:acme/*",
            "decision:held",
            "after:2d",
            "\"drop table\""
        ]
    );
    let Wanted::Field(Field::Repo, repos) = &query.terms[2].wanted else {
        panic!("{query:?}")
    };
    assert_eq!(repos[0].pieces, ["acme/", ""]);
    let Wanted::Time(Side::After, moment) = &query.terms[4].wanted else {
        panic!("{query:?}")
    };
    assert_eq!(moment.at, NOW - 2 * 86_400_000);
}

#[test]
fn every_field_is_found_by_its_names_and_by_its_number() {
    for named in FIELDS {
        for name in named.also.iter().chain([&named.name]) {
            assert_eq!(Field::from_name(name), Some(named.field), "{name}");
        }
        assert_eq!(Field::from_code(named.code), Some(named.field));
        assert_eq!(named.field.named().name, named.name);
        assert!(
            good(&format!("{}:{}", named.name, named.example))
                .terms
                .len()
                == 1
        );
    }
    let mut codes: Vec<i64> = FIELDS.iter().map(|named| named.code).collect();
    codes.dedup();
    assert_eq!(codes.len(), FIELDS.len());
}

#[test]
fn quotes_stars_commas_and_minus() {
    let query = good(r#"-op:repo.read,"a, b" path:"a*b" has:mask,approval -"two words" drop*"#);
    assert!(query.terms[0].negated);
    let Wanted::Field(Field::Operation, values) = &query.terms[0].wanted else {
        panic!()
    };
    assert_eq!(values[1], Pattern::exact("a, b"));
    assert_eq!(Term::of(Field::Path, "a*b").wanted, query.terms[1].wanted);
    assert_eq!(
        query.terms[2].wanted,
        Wanted::Has(vec![Trait::Mask, Trait::Approval])
    );
    assert!(query.terms[3].negated);
    assert_eq!(
        query.terms[4].wanted,
        Wanted::Words(Words {
            text: "drop".into(),
            prefix: true
        })
    );
    assert_eq!(
        query.words().count(),
        1,
        "a word that must not be there is not marked"
    );
}

#[test]
fn statuses_and_times() {
    for (text, low, high) in [
        ("404", 404, 404),
        ("4xx", 400, 499),
        (">=500", 500, i64::MAX),
        (">499", 500, i64::MAX),
        ("<400", i64::MIN, 399),
        ("<=399", i64::MIN, 399),
        ("400-418", 400, 418),
    ] {
        let query = good(&format!("status:{text}"));
        assert_eq!(
            query.terms[0].wanted,
            Wanted::Status(vec![Status::Within(low..=high)]),
            "{text}"
        );
    }
    assert_eq!(good("status:none,5XX").terms.len(), 1);
    let at = |text: &str| match &good(text).terms[0].wanted {
        Wanted::Time(_, moment) => moment.at,
        other => panic!("{other:?}"),
    };
    assert_eq!(at("after:today"), parse_moment("2026-09-21", 0).unwrap());
    assert_eq!(
        at("before:yesterday"),
        parse_moment("2026-09-20", 0).unwrap()
    );
    assert_eq!(at("since:3h"), NOW - 3 * 3_600_000);
    assert_eq!(at("after:\"1h 30m\""), NOW - 5_400_000);
}

#[test]
fn an_error_names_its_place_and_a_remedy() {
    for (text, character, problem, remedy) in [
        ("op:a usr:b", 6, "no field `usr`", "user:?"),
        ("wer:b", 1, "no field", "user?"),
        ("ü https://a", 3, "an address by itself", "url:https:"),
        ("status:teapot", 8, "not a status", "4xx"),
        ("status:600-500", 8, "not a status", "4xx"),
        ("after:soon", 7, "not a time", "2d"),
        ("after:1d,2d", 7, "more than one time", "after:2d"),
        ("has:everything", 5, "nothing is called", "prompt"),
        ("user:", 5, "a value is missing", "user:*"),
        ("user:a,", 5, "a value is missing", "user:*"),
        ("\"open", 1, "not closed", "\\\""),
        ("a - b", 3, "nothing behind", "-op:repo.read"),
        ("a OR b", 3, "no meaning", "a,b"),
        ("->", 2, "no letter", "words"),
        ("dr*p", 1, "inside a word", "drop*"),
        ("d*", 1, "too short", "2 letters"),
    ] {
        let error = bad(text);
        assert_eq!(error.character, character, "{text}: {error}");
        assert!(error.problem.contains(problem), "{text}: {error}");
        let remedy_found = error.remedy.contains(remedy) || problem == "no field";
        assert!(remedy_found, "{text}: {error}");
        assert!(
            text.get(error.start..error.end).is_some(),
            "{text}: {error:?}"
        );
    }
    assert!(bad(&"a ".repeat(3000)).problem.contains("longer"));
    assert!(bad(&"a ".repeat(65)).problem.contains("more than 64"));
}

#[test]
fn patterns_match_by_their_pieces() {
    let pattern = |text: &str| match &good(&format!("repo:{text}")).terms[0].wanted {
        Wanted::Field(_, values) => values[0].clone(),
        other => panic!("{other:?}"),
    };
    for (text, value, matches) in [
        ("acme/*", "acme/web", true),
        ("acme/*", "acme", false),
        ("*web*", "acme/web", true),
        ("a*b*c", "abbc", true),
        ("a*b*c", "acb", false),
        ("ab*ba", "aba", false),
        ("*", "", true),
        ("\"*\"", "*", true),
        ("\"*\"", "x", false),
    ] {
        assert_eq!(pattern(text).matches(value), matches, "{text} {value}");
    }
    assert!(pattern("**").is_anything() && !pattern("\"*\"").is_anything());
}

fn any_pattern() -> impl Strategy<Value = Pattern> {
    // As the parser makes them: no empty piece but the first and the last, and never nothing.
    let piece = prop_oneof![
        "[a-z0-9/._-]{1,6}",
        "\\PC{1,6}",
        Just(" \"\\,*:-\t".to_owned())
    ];
    (
        proptest::collection::vec(piece, 1..4),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(mut pieces, front, back)| {
            if front {
                pieces.insert(0, String::new());
            }
            if back {
                pieces.push(String::new());
            }
            Pattern { pieces }
        })
}

fn any_term() -> impl Strategy<Value = Term> {
    let field = (0..FIELDS.len()).prop_map(|index| FIELDS[index].field);
    let values = proptest::collection::vec(any_pattern(), 1..4);
    let status = prop_oneof![
        Just(Status::None),
        (1i64..999).prop_map(|n| Status::Within(n..=n)),
        (1i64..500, 500i64..999).prop_map(|(a, b)| Status::Within(a..=b)),
        (1i64..999).prop_map(|n| Status::Within(i64::MIN..=n)),
        (1i64..999).prop_map(|n| Status::Within(n..=i64::MAX)),
        (1i64..9).prop_map(|n| Status::Within(n * 100..=n * 100 + 99)),
    ];
    let one_trait = (0..TRAITS.len()).prop_map(|index| TRAITS[index].0);
    let text = prop_oneof![
        "[a-z]{2,8}",
        "[a-z]{2,4} [a-z\"\\\\*:,-]{1,6}",
        Just("-OR ab".into()),
        Just("NOT".into()),
        "[a-z]{2}\\PC{0,8}"
    ];
    let wanted = prop_oneof![
        (field, values).prop_map(|(field, values)| Wanted::Field(field, values)),
        proptest::collection::vec(status, 1..4).prop_map(Wanted::Status),
        proptest::collection::vec(one_trait, 1..4).prop_map(Wanted::Has),
        (text, any::<bool>()).prop_map(|(text, prefix)| Wanted::Words(Words { text, prefix })),
        Just(Wanted::Time(
            Side::After,
            Moment {
                text: "2d".into(),
                at: NOW - 2 * 86_400_000
            }
        )),
        Just(Wanted::Time(
            Side::Before,
            Moment {
                text: "1h 30m".into(),
                at: NOW - 5_400_000
            }
        )),
    ];
    (any::<bool>(), wanted).prop_map(|(negated, wanted)| Term { negated, wanted })
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(terms in proptest::collection::vec(any_term(), 0..6)) {
        let query = Query { terms };
        let text = query.to_string();
        prop_assert_eq!(parse(&text, NOW).map_err(|e| e.to_string()), Ok(query), "{}", text);
    }

    #[test]
    fn whatever_is_typed_is_read_or_refused_at_a_place_in_it(text in "\\PC{0,60}") {
        match parse(&text, NOW) {
            Ok(query) => {
                let again = parse(&query.to_string(), NOW).map_err(|e| e.to_string());
                prop_assert_eq!(again, Ok(query));
            }
            Err(error) => {
                prop_assert!(text.get(error.start..error.end).is_some());
                prop_assert!(!error.problem.is_empty() && !error.remedy.is_empty());
            }
        }
    }

    #[test]
    fn syntax_thrown_together_is_read_or_refused(
        parts in proptest::collection::vec(
            prop_oneof![
                Just("user:"), Just("\""), Just("*"), Just("-"), Just(","), Just(" "), Just("\\"), Just("a"),
                Just("status:"), Just(">="), Just("4xx"), Just("after:"), Just("2d"), Just("has:"), Just("ö"),
                Just("\u{0}"), Just("\u{202e}"), Just("'; DROP TABLE records; --"),
            ],
            0..20,
        )
    ) {
        let text = parts.concat();
        if let Ok(query) = parse(&text, NOW) {
            let again = parse(&query.to_string(), NOW).map_err(|e| e.to_string());
            prop_assert_eq!(again, Ok(query), "{}", text);
        }
    }

    #[test]
    fn a_pattern_matches_what_it_was_cut_from(pieces in proptest::collection::vec("[ab]{0,3}", 1..4), fill in "[abc]{0,3}") {
        let value = pieces.join(&fill);
        let pattern = Pattern { pieces };
        prop_assert!(pattern.pieces.len() == 1 || pattern.matches(&value));
    }
}

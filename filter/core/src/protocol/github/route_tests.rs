//! The table against the file it is made of, line by line.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::path::RequestPath;
use crate::protocol::github::attributes::DERIVED;

/// A line of the file, read apart from `build.rs`.
struct Line {
    template: &'static str,
    method: &'static str,
    id: &'static str,
    name: &'static str,
    names: Vec<&'static str>,
    source: Vec<&'static str>,
}

fn lines() -> Vec<Line> {
    let mut template = "";
    let mut lines = Vec::new();
    for line in include_str!("../../../github/operations.txt").lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] | ["#", ..] => {}
            [path] if path.starts_with('/') => template = path,
            [method, id, names, _resource, source @ ..] => {
                let names: Vec<&str> = names.split(',').collect();
                lines.push(Line {
                    template,
                    method,
                    id,
                    name: names[0],
                    names,
                    source: source.to_vec(),
                });
            }
            other => panic!("{other:?}"),
        }
    }
    lines
}

/// Segments that fit a template: of a parameter with given words the first, else a name.
fn filled(template: &str) -> Vec<String> {
    let part = |part: &str| -> Vec<String> {
        let Some(inside) = part.strip_prefix('{').map(|p| p.trim_end_matches('}')) else {
            return vec![part.to_owned()];
        };
        match inside {
            _ if part == "{base}...{head}" => vec!["main...topic".to_owned()],
            many if many.ends_with('*') => vec!["some".to_owned(), "where".to_owned()],
            number if number.ends_with('#') => vec!["7".to_owned()],
            words if words.contains('=') => {
                let words = words.split('=').nth(1).unwrap();
                vec![words.split('|').next().unwrap().to_owned()]
            }
            _ => vec!["some".to_owned()],
        }
    };
    let parts = template.split('/').filter(|part| !part.is_empty());
    parts.flat_map(part).collect()
}

fn segments(target: &str) -> Vec<String> {
    RequestPath::read(target).unwrap().segments().to_vec()
}

fn found(method: &str, target: &str) -> Option<(&'static str, &'static str)> {
    find(method, &segments(target)).map(|f| (f.row.id, f.row.effect.name))
}

#[test]
fn every_operation_is_found_however_its_path_is_spelled() {
    for line in lines() {
        let id = line.id.trim_start_matches('-');
        let parts = filled(line.template);
        let plain = format!("/{}", parts.join("/"));
        let encode =
            |text: &String| -> String { text.bytes().map(|b| format!("%{b:02x}")).collect() };
        let encoded: Vec<String> = parts.iter().map(encode).collect();
        let words: Vec<&str> = line.template.split('/').collect();
        let shouted = if words.iter().all(|w| !w.contains('*')) {
            let parts = parts.iter().zip(words.iter().skip(1));
            let case = |(part, word): (&String, &&str)| match word.starts_with('{') {
                true => part.clone(),
                false => part.to_ascii_uppercase(),
            };
            format!("/{}", parts.map(case).collect::<Vec<_>>().join("/"))
        } else {
            plain.clone()
        };
        for target in [
            plain.clone(),
            format!("/{}", encoded.join("/")),
            shouted,
            format!("{}/?page=2", plain.trim_end_matches('/')),
        ] {
            let expected = Some((id, line.name));
            assert_eq!(
                found(line.method, &target),
                expected,
                "{} {target}",
                line.method
            );
        }
        if line.method == "GET" {
            assert_eq!(found("HEAD", &plain), Some((id, line.name)), "HEAD {plain}");
        }
    }
}

#[test]
fn the_table_is_what_github_describes() {
    let lines = lines();
    let described = lines.iter().filter(|line| line.id != "-");
    let ids: BTreeSet<&str> = described.clone().map(|line| line.id).collect();
    // GitHub's ids are unique, and this is how many its description has.
    assert_eq!((ids.len(), described.clone().count()), (1223, 1223));
    let writes = described.filter(|line| line.method != "GET");
    assert_eq!(writes.count(), 584);
    let mut calls = BTreeSet::new();
    for line in &lines {
        let shape: Vec<&str> = line
            .template
            .split('/')
            .map(|part| if part.starts_with('{') { "{}" } else { part })
            .collect();
        let many = line.template.contains("*}");
        assert!(
            calls.insert((line.method, shape.join("/"), many)),
            "{} {}",
            line.method,
            line.template
        );
    }
}

#[test]
fn every_write_has_a_name_and_says_where_it_is() {
    // What is sent by POST because of its size, and changes nothing.
    let readings = BTreeSet::from([
        "apps/check-token",
        "markdown/render",
        "markdown/render-raw",
        "orgs/list-attestations-bulk",
        "repos/generate-release-notes",
        "users/list-attestations-bulk",
    ]);
    for line in lines() {
        let reads = line.name.ends_with(".read");
        let expected = line.method == "GET" || readings.contains(line.id);
        assert_eq!(
            reads, expected,
            "{} {} is {}",
            line.method, line.template, line.name
        );
        assert!(!line.names.iter().any(|name| name.contains("unknown")));
        let path = filled(line.template);
        let found = find(line.method, &path).unwrap();
        let named = ["{owner}/{repo}", "{template_owner}/{template_repo}"];
        let repo = match named.iter().any(|pair| line.template.contains(pair)) {
            true => Target::Known("some/some".to_owned()),
            false => Target::None,
        };
        assert_eq!(found.repo, repo, "{}", line.template);
        let account = match line.template.split('/').nth(1) {
            Some("orgs" | "organizations" | "users") if path.len() > 1 => {
                Target::Known("some".to_owned())
            }
            Some("enterprises") => Target::Known("enterprises/some".to_owned()),
            Some("user") if path.get(1).is_some_and(|id| id == "7") => Target::Any,
            _ => Target::None,
        };
        assert_eq!(found.account, account, "{}", line.template);
    }
}

#[test]
fn other_spellings_by_number_are_the_same_operations() {
    for line in lines() {
        let (alias, below) =
            if let Some(below) = line.template.strip_prefix("/repos/{owner}/{repo}") {
                ("/repositories/42", below)
            } else if let Some(below) = line.template.strip_prefix("/orgs/{org}") {
                ("/organizations/42", below)
            } else if let Some(below) = line.template.strip_prefix("/users/{username}") {
                ("/user/42", below)
            } else {
                continue;
            };
        // `/user/{id}` has a line of its own.
        if alias == "/user/42" && below.is_empty() {
            continue;
        }
        let target = format!("{alias}/{}", filled(below).join("/"));
        let path = segments(&target);
        let found = find(line.method, &path).unwrap_or_else(|| panic!("{} {target}", line.method));
        assert_eq!(
            (found.row.id, found.row.effect.name),
            (line.id.trim_start_matches('-'), line.name)
        );
        match alias {
            "/repositories/42" => assert_eq!(found.repo, Target::Any),
            _ => assert_eq!(found.account, Target::Any),
        }
    }
    assert_eq!(
        found("GET", "/repositories"),
        Some(("repos/list-public", "github.read"))
    );
    // A name is no number: there is no such place.
    assert_eq!(found("GET", "/user/octocat/repos"), None);
}

/// A kind of segment; the order is that of preference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Literal(String),
    Word(Vec<String>),
    Digits,
    Range,
    Any,
    Many,
}

fn parts(template: &str) -> Vec<Part> {
    let part = |part: &str| {
        let Some(inside) = part.strip_prefix('{').map(|p| p.trim_end_matches('}')) else {
            return Part::Literal(part.to_ascii_lowercase());
        };
        match inside {
            _ if part == "{base}...{head}" => Part::Range,
            many if many.ends_with('*') => Part::Many,
            number if number.ends_with('#') => Part::Digits,
            words if words.contains('=') => {
                let words = words.split('=').nth(1).unwrap().split('|');
                Part::Word(words.map(str::to_ascii_lowercase).collect())
            }
            _ => Part::Any,
        }
    };
    template
        .split('/')
        .filter(|p| !p.is_empty())
        .map(part)
        .collect()
}

/// A segment that fits both.
fn common(left: &Part, right: &Part) -> Option<String> {
    let fits = |part: &Part, text: &str| match part {
        Part::Literal(word) => word == text,
        Part::Word(words) => words.iter().any(|word| word == text),
        Part::Digits => is_number(text),
        Part::Range => text.contains("..."),
        Part::Any | Part::Many => true,
    };
    let candidates = [left, right].into_iter().flat_map(|part| match part {
        Part::Literal(word) => vec![word.clone()],
        Part::Word(words) => words.clone(),
        Part::Digits => vec!["7".to_owned()],
        Part::Range => vec!["a...b".to_owned()],
        Part::Any | Part::Many => vec!["some".to_owned()],
    });
    candidates
        .into_iter()
        .find(|text| fits(left, text) && fits(right, text))
}

/// A path that both templates fit, if there is one.
fn both(left: &[Part], right: &[Part]) -> Option<Vec<String>> {
    let (Some((first, left_rest)), Some((second, right_rest))) =
        (left.split_first(), right.split_first())
    else {
        return (left.is_empty() && right.is_empty()).then(Vec::new);
    };
    let segment = common(first, second)?;
    let mut ways = vec![(left_rest, right_rest)];
    if *first == Part::Many {
        ways.push((left, right_rest));
    }
    if *second == Part::Many {
        ways.push((left_rest, right));
    }
    ways.into_iter().find_map(|(left, right)| {
        let mut path = vec![segment.clone()];
        path.extend(both(left, right)?);
        Some(path)
    })
}

/// Whether `left` is tried before `right`: where they differ first, or else because it asks for more.
fn preferred(left: &[Part], right: &[Part]) -> bool {
    let mut pairs = left.iter().zip(right);
    match pairs.find(|(left, right)| left != right) {
        Some((left, right)) => left < right,
        None => left.len() > right.len(),
    }
}

#[test]
fn of_two_templates_that_fit_the_more_literal_is_taken() {
    let lines = lines();
    let parts: Vec<Vec<Part>> = lines.iter().map(|line| parts(line.template)).collect();
    let mut pairs = 0;
    let mut differing = BTreeMap::new();
    for (at, line) in lines.iter().enumerate() {
        for (other_at, other) in lines.iter().enumerate().skip(at + 1) {
            // POST is taken for PATCH too.
            let posted = |a: &Line, b: &Line| a.method == "POST" && b.method == "PATCH";
            let same = line.method == other.method;
            if !same && !posted(line, other) && !posted(other, line) {
                continue;
            }
            let Some(path) = both(&parts[at], &parts[other_at]) else {
                continue;
            };
            pairs += 1;
            let first_wins = if same {
                preferred(&parts[at], &parts[other_at])
            } else {
                line.method == "POST"
            };
            let (expected, loser) = if first_wins {
                (line, other)
            } else {
                (other, line)
            };
            let found = find(expected.method, &path).unwrap();
            assert_eq!(
                (found.row.id, found.row.effect.name),
                (expected.id.trim_start_matches('-'), expected.name),
                "{} {path:?}: {} and {}",
                line.method,
                line.template,
                other.template
            );
            if (&expected.names, &expected.source) != (&loser.names, &loser.source) {
                differing.insert(
                    format!("{} /{}", expected.method, path.join("/")),
                    (expected.name, loser.name),
                );
            }
        }
    }
    assert!(pairs > 30, "{pairs}");
    // Where the two differ in meaning, this is how GitHub routes them.
    let expected = [
        (
            "GET /user/codespaces/secrets",
            ("secret.read", "codespace.read"),
        ),
        (
            "GET /user/codespaces/secrets/machines",
            ("secret.read", "codespace.read"),
        ),
        (
            "GET /user/codespaces/secrets/exports/repositories",
            ("secret.read", "codespace.read"),
        ),
        (
            "POST /applications/some/token",
            ("token.read", "token.create"),
        ),
        (
            "POST /repos/some/some/security-advisories/reports",
            ("advisory.report", "advisory.update"),
        ),
    ];
    let expected: BTreeMap<String, _> = expected
        .into_iter()
        .map(|(path, names)| (path.to_owned(), names))
        .collect();
    assert_eq!(differing, expected);
}

#[test]
fn parameters_take_what_they_may_and_no_more() {
    for (method, target, id) in [
        (
            "POST",
            "/repos/a/b/releases/generate-notes",
            Some("repos/generate-release-notes"),
        ),
        (
            "POST",
            "/repos/a/b/releases/1",
            Some("repos/update-release"),
        ),
        ("POST", "/repos/a/b/releases/latest", None),
        ("PATCH", "/repos/a/b/issues/first", None),
        (
            "GET",
            "/repos/a/b/releases/tags/assets",
            Some("repos/get-release-by-tag"),
        ),
        (
            "PUT",
            "/repos/a/b/actions/secrets/public-key",
            Some("actions/create-or-update-repo-secret"),
        ),
        (
            "GET",
            "/repos/a/b/actions/secrets/public-key",
            Some("actions/get-repo-public-key"),
        ),
        (
            "PUT",
            "/repos/a/b/branches/x/y/protection",
            Some("repos/update-branch-protection"),
        ),
        (
            "PUT",
            "/repos/a/b/branches/protection/protection",
            Some("repos/update-branch-protection"),
        ),
        (
            "DELETE",
            "/repos/a/b/branches/x/protection/protection",
            Some("repos/delete-branch-protection"),
        ),
        (
            "GET",
            "/repos/a/b/commits/x/y/status",
            Some("repos/get-combined-status-for-ref"),
        ),
        ("GET", "/repos/a/b/commits/x/y", Some("repos/get-commit")),
        (
            "GET",
            "/repos/a/b/compare/x...y",
            Some("repos/compare-commits"),
        ),
        (
            "GET",
            "/repos/a/b/compare/x/z...y",
            Some("repos/compare-commits-with-basehead"),
        ),
        (
            "POST",
            "/orgs/acme/dependabot_alerts/enable_all",
            Some("orgs/enable-or-disable-security-product-on-all-org-repos"),
        ),
        ("POST", "/orgs/acme/new-thing/enable_all", None),
        ("POST", "/orgs/acme/teams/t", Some("teams/update-in-org")),
        (
            "DELETE",
            "/orgs/acme/packages/npm/x",
            Some("packages/delete-package-for-org"),
        ),
        ("DELETE", "/orgs/acme/packages/new/x", None),
        ("PUT", "/repos/a/b/contents", None),
        ("DELETE", "/repos/a", None),
        ("BREW", "/repos/a/b", None),
    ] {
        assert_eq!(
            found(method, target).map(|(id, _)| id),
            id,
            "{method} {target}"
        );
    }
    let path = segments("/repos/a/b/branches/x/protection/protection");
    let branch = find("DELETE", &path).unwrap().capture("branch");
    assert_eq!(branch.as_deref(), Some("x/protection"));
}

#[test]
fn the_vocabulary_is_that_of_the_table() {
    let mut written = BTreeSet::new();
    let document = include_str!("../../../github/vocabulary.md");
    let (names, _attributes) = document.split_once("# Attributes").unwrap();
    for line in names.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, area, verbs, _, _] = cells.as_slice() else {
            continue;
        };
        let Some(area) = area.strip_prefix('`').and_then(|a| a.strip_suffix('`')) else {
            continue;
        };
        for verb in verbs.split(", ") {
            let verb = verb.trim_matches('`');
            assert!(
                written.insert(format!("{area}.{verb}")),
                "{area}.{verb} twice"
            );
        }
    }
    let lines = lines();
    let table = lines.iter().flat_map(|line| line.names.iter().copied());
    let names: BTreeSet<String> = table
        .chain(DERIVED.iter().copied())
        .map(str::to_owned)
        .collect();
    assert_eq!(names, written);
}

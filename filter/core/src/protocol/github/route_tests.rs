use super::*;
use std::collections::BTreeSet;

fn filled(template: &str) -> Vec<String> {
    let part = |part: &str| match part {
        multi if multi.ends_with("*}") => vec!["some".to_owned(), "where".to_owned()],
        one if one.starts_with('{') => vec!["some".to_owned()],
        literal => vec![literal.to_owned()],
    };
    template
        .split('/')
        .filter(|part| !part.is_empty())
        .flat_map(part)
        .collect()
}

#[test]
fn every_row_is_found_by_its_own_template() {
    for (row, prefix) in REPO
        .iter()
        .map(|row| (row, "repos/acme/web/"))
        .chain(ROOT.iter().map(|row| (row, "")))
    {
        let segments = filled(&format!("{prefix}{}", row.template));
        let found = find(row.method, &segments).unwrap();
        assert_eq!(
            (found.row.template, found.row.id),
            (row.template, row.id),
            "{} {}",
            row.method,
            row.template
        );
    }
}

#[test]
fn no_call_and_no_name_comes_twice() {
    let mut calls = BTreeSet::new();
    for (row, table) in REPO
        .iter()
        .map(|r| (r, 0))
        .chain(ROOT.iter().map(|r| (r, 1)))
    {
        assert!(
            calls.insert((table, row.method, row.template)),
            "{}",
            row.template
        );
        let (area, verb) = row.name.split_once('.').unwrap();
        let plain = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        };
        assert!(plain(area) && plain(verb), "{}", row.name);
    }
}

#[test]
fn literal_segments_come_before_parameters() {
    let path = |text: &str| -> Vec<String> { text.split('/').map(str::to_owned).collect() };
    let segments = path("repos/a/b/releases/generate-notes");
    let found = find("POST", &segments).unwrap();
    assert_eq!(found.row.id, "repos/generate-release-notes");
    let segments = path("repos/a/b/releases/1");
    let found = find("POST", &segments).unwrap();
    assert_eq!(found.row.id, "repos/update-release");
    let segments = path("repos/a/b/branches/x/y/protection");
    let found = find("PUT", &segments).unwrap();
    assert_eq!(found.capture("branch").as_deref(), Some("x/y"));
    assert!(find("PUT", &path("repos/a/b/contents")).is_none());
    assert!(find("DELETE", &path("repos/a")).is_none());
}

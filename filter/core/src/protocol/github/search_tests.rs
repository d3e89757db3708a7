use super::*;

fn shown(query: &str) -> String {
    match bounds(query) {
        None => "anything".to_owned(),
        Some(bounds) => bounds
            .iter()
            .map(|bound| match (bound.repo.known(), bound.account.known()) {
                (Some(repo), _) => format!("repo {repo}"),
                (None, Some(account)) => format!("account {account}"),
                (None, None) => "?".to_owned(),
            })
            .collect::<Vec<_>>()
            .join(" + "),
    }
}

#[test]
fn a_search_is_bounded_by_its_qualifiers() {
    for (query, expected) in [
        ("repo:Acme/Web token", "repo acme/web"),
        ("token org:acme", "account acme"),
        ("user:acme is:open label:bug", "account acme"),
        (
            "repo:acme/web repo:acme/api",
            "repo acme/web + repo acme/api",
        ),
        ("repo:acme/web org:evil", "repo acme/web + account evil"),
        ("repo:acme/web -label:bug", "repo acme/web"),
        ("  repo:acme/web   résumé ", "repo acme/web"),
    ] {
        assert_eq!(shown(query), expected, "{query}");
    }
}

#[test]
fn what_could_make_a_search_wider_unbounds_it() {
    for query in [
        "",
        "token",
        "is:open",
        "-repo:acme/web",
        "repo:acme/web OR token",
        "repo:acme/web or repo:evil/x",
        "repo:acme/web AND token",
        "NOT repo:acme/web",
        "org:acme -org:evil",
        "(repo:acme/web) token",
        "\"repo:acme/web\" token",
        "token 'repo:acme/web'",
        "REPO:acme/web",
        "Org:acme",
        "repo: acme/web",
        "repo:acme",
        "repo:acme/",
        "repo:acme/web,evil/x",
        "repo:acme/*",
        "org:",
        "org:acme,evil",
        "org:*",
        // A login of digits alone could be an id.
        "org:42",
        "repo:acme/web enterprise:evil",
        "repo:acme/web @evil/x",
        "repo:acme/web owner:evil",
        "repo:acme/web x:y",
        "repo:acme/web\ttoken",
        "repo:acme/web\u{a0}OR token",
        "token\u{a0}repo:acme/web",
        "repo:acme/web || token",
        "repo:acme/web \\",
    ] {
        assert_eq!(shown(query), "anything", "{query}");
    }
    let many = "repo:acme/web ".repeat(MOST + 1);
    assert_eq!(shown(&many), "anything");
}

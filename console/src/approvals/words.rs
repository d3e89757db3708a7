//! Operations in words, for the heading that a reviewer reads first.

use super::question::Operation;

/// Operations that are spelled out; the request's page lists all.
const SPELLED_OUT: usize = 3;

/// What the operations do, as the middle of a sentence: `push to branch main of acme/web`.
pub fn phrase(operations: &[Operation]) -> String {
    let mut phrases: Vec<String> = operations.iter().take(SPELLED_OUT).map(one).collect();
    phrases.dedup();
    if operations.len() > SPELLED_OUT {
        phrases.push(format!("{} more", operations.len() - SPELLED_OUT));
    }
    phrases.join(", and ")
}

fn one(operation: &Operation) -> String {
    let (area, verb) = operation
        .name
        .split_once('.')
        .unwrap_or(("", &operation.name));
    let verb = verb.replace('_', " ");
    let reference = operation.reference.as_deref().map(reference);
    let repo = operation.repo.as_deref();
    let paths = match operation.paths.as_slice() {
        [] => None,
        [path] => Some(path.clone()),
        [first, rest @ ..] => Some(format!("{first} and {} more", rest.len())),
    };
    let mut words = match (area, verb.as_str(), &reference) {
        ("ref", "push", Some(reference)) => format!("push to {reference}"),
        ("ref", verb, Some(reference)) => format!("{verb} {reference}"),
        ("content", verb, _) => match &paths {
            Some(paths) => format!("{verb} {paths}"),
            None => format!("{verb} files"),
        },
        (area, verb, _) => match noun(area) {
            "" => verb.to_owned(),
            noun => format!("{verb} {noun}"),
        },
    };
    match (area, repo) {
        ("repo", Some(repo)) => words.push_str(&format!(" {repo}")),
        (_, Some(repo)) => words.push_str(&format!(" of {repo}")),
        (_, None) => {}
    }
    match (area, reference) {
        ("ref", _) | (_, None) => {}
        (_, Some(reference)) => words.push_str(&format!(" on {reference}")),
    }
    if let ("ref", Some(paths)) = (area, paths) {
        words.push_str(&format!(": {paths}"));
    }
    words
}

fn noun(area: &str) -> &str {
    match area {
        "repo" => "repository",
        "ref" => "branch or tag",
        "pr" => "pull request",
        "org" => "organisation",
        other => other,
    }
}

fn reference(name: &str) -> String {
    if let Some(branch) = name.strip_prefix("refs/heads/") {
        format!("branch {branch}")
    } else if let Some(tag) = name.strip_prefix("refs/tags/") {
        format!("tag {tag}")
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(name: &str, repo: &str, reference: Option<&str>, paths: &[&str]) -> Operation {
        Operation {
            name: name.into(),
            repo: Some(repo.into()),
            reference: reference.map(str::to_owned),
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            ..Operation::default()
        }
    }

    #[test]
    fn operations_read_as_sentences() {
        let main = Some("refs/heads/main");
        for (operation, words) in [
            (
                operation("ref.push", "acme/web", main, &[]),
                "push to branch main of acme/web",
            ),
            (
                operation(
                    "ref.push",
                    "acme/web",
                    main,
                    &[".github/workflows/ci.yml", "a"],
                ),
                "push to branch main of acme/web: .github/workflows/ci.yml and 1 more",
            ),
            (
                operation("ref.delete", "acme/web", Some("refs/tags/v1"), &[]),
                "delete tag v1 of acme/web",
            ),
            (
                operation("repo.delete", "acme/web", None, &[]),
                "delete repository acme/web",
            ),
            (
                operation("pr.merge", "acme/web", main, &[]),
                "merge pull request of acme/web on branch main",
            ),
            (
                operation("content.write", "acme/web", main, &["a.rs"]),
                "write a.rs of acme/web on branch main",
            ),
            (operation("odd", "acme/web", None, &[]), "odd of acme/web"),
        ] {
            assert_eq!(phrase(&[operation]), words);
        }
    }
}

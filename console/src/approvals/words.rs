//! Operations in words, for the heading that a reviewer reads first.

use serde_json::Value;

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
        all @ [first, rest @ ..] => Some(match common_folder(all) {
            Some(folder) => format!("{} files under {folder}", all.len()),
            None => format!("{first} and {} more", rest.len()),
        }),
    };
    let commits = operation.attributes.get("commits").and_then(Value::as_u64);
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
    let commits = commits.map(|count| match count {
        1 => "1 commit".to_owned(),
        many => format!("{many} commits"),
    });
    let paths = paths.filter(|_| area == "ref");
    let details: Vec<String> = commits.into_iter().chain(paths).collect();
    if !details.is_empty() {
        words.push_str(&format!(": {}", details.join(", ")));
    }
    words
}

/// The deepest folder that all of the paths are in.
fn common_folder(paths: &[String]) -> Option<String> {
    let folders = |path: &String| -> Vec<String> {
        let mut parts: Vec<String> = path.split('/').map(str::to_owned).collect();
        parts.pop();
        parts
    };
    let mut common = folders(paths.first()?);
    for path in paths {
        let other = folders(path);
        let same = common
            .iter()
            .zip(&other)
            .take_while(|(a, b)| a == b)
            .count();
        common.truncate(same);
    }
    (!common.is_empty()).then(|| common.join("/"))
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
                Operation {
                    attributes: serde_json::json!({"commits": 3})
                        .as_object()
                        .unwrap()
                        .clone(),
                    ..operation(
                        "ref.push",
                        "acme/web",
                        main,
                        &[".github/workflows/ci.yml", ".github/workflows/deploy/x.yml"],
                    )
                },
                "push to branch main of acme/web: 3 commits, 2 files under .github/workflows",
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

//! The git database, branches and their protection, comparisons and merges.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};

use super::{Call, Name};
use crate::answer::Answer;
use crate::bare::Change;
use crate::hosts::Addresses;
use crate::organisation::{Organisation, Repository};
use crate::refusal::{Outcome, Refusal};
use crate::view;

pub(super) fn answer(
    organisation: &mut Organisation,
    call: &Call,
    method: &str,
    (owner, name): Name<'_>,
    path: &[&str],
) -> Outcome<Answer> {
    let at = &call.at;
    let repository = if method == "GET" {
        organisation.repository_mut(owner, name)?
    } else {
        organisation.writable(owner, name)?
    };
    match (method, path) {
        (_, ["git", "refs" | "ref" | "matching-refs", rest @ ..]) => {
            references(repository, call, method, path[1], &rest.join("/"))
        }
        ("GET", ["git", "trees", rest @ ..]) => {
            let treeish = rest.join("/");
            let commit = repository.bare.resolve(&treeish).unwrap_or(treeish);
            let recursive = !matches!(call.parameter("recursive"), "");
            let entries = repository
                .bare
                .tree(&commit, recursive)
                .map_err(|_| Refusal::not_found())?;
            let shown: Vec<Value> = entries
                .iter()
                .map(|entry| view::tree_entry(repository, entry, at))
                .collect();
            Ok(Answer::ok(
                json!({ "sha": commit, "url": format!("{}/git/trees/{commit}", base(repository, at)), "tree": shown, "truncated": false }),
            ))
        }
        ("POST", ["git", "trees"]) => create_tree(repository, call),
        ("GET", ["git", "blobs", sha]) => {
            let bytes = repository.bare.blob(sha).ok_or_else(Refusal::not_found)?;
            let url = format!("{}/git/blobs/{sha}", base(repository, at));
            Ok(Answer::ok(
                json!({ "sha": sha, "size": bytes.len(), "url": url, "encoding": "base64", "content": STANDARD.encode(&bytes) }),
            ))
        }
        ("POST", ["git", "blobs"]) => {
            let content = call.required("Blob", "content")?;
            let bytes = if call.text("encoding") == "base64" {
                let compact: String = content.split_whitespace().collect();
                STANDARD
                    .decode(compact)
                    .map_err(|_| Refusal::unprocessable("content is not valid Base64"))?
            } else {
                content.as_bytes().to_vec()
            };
            let sha = repository.bare.write_blob(&bytes)?;
            Ok(Answer::created(
                json!({ "sha": sha, "url": format!("{}/git/blobs/{sha}", base(repository, at)) }),
            ))
        }
        ("GET", ["git", "commits", sha]) => Ok(Answer::ok(view::git_commit(
            repository,
            &repository.bare.commit(sha)?,
            at,
        ))),
        ("POST", ["git", "commits"]) => {
            let message = call.required("Commit", "message")?;
            let tree = call.required("Commit", "tree")?;
            let parents: Vec<String> = call.body["parents"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|sha| Some(sha.as_str()?.to_owned()))
                .collect();
            let author = &call.body["author"];
            let author = author["name"].as_str().zip(author["email"].as_str());
            let made = repository
                .bare
                .write_commit(tree, &parents, message, author);
            let sha = made.map_err(|_| {
                Refusal::unprocessable("Tree SHA does not exist or a parent is missing")
            })?;
            Ok(Answer::created(view::git_commit(
                repository,
                &repository.bare.commit(&sha)?,
                at,
            )))
        }
        ("POST", ["git", "tags"]) => {
            let (tag, object) = (
                call.required("Tag", "tag")?,
                call.required("Tag", "object")?,
            );
            let object = json!({ "sha": object, "type": call.body["type"] });
            Ok(Answer::created(
                json!({ "tag": tag, "sha": object["sha"], "message": call.text("message"), "object": object }),
            ))
        }
        ("GET", ["branches"]) => {
            let branches = repository.bare.references("refs/heads/")?;
            Ok(call.page(
                branches
                    .iter()
                    .map(|found| branch(repository, &found.name[11..], &found.sha, at))
                    .collect(),
            ))
        }
        (_, ["branches", name @ .., "protection"]) => {
            protection(repository, call, method, &name.join("/"))
        }
        ("PUT" | "PATCH" | "POST" | "DELETE", ["branches", name @ .., "protection", _]) => {
            let rules = repository
                .protection
                .entry(name.join("/"))
                .or_insert_with(|| json!({}));
            let part = path.last().copied().unwrap_or_default();
            rules[part] = if method == "DELETE" {
                Value::Null
            } else {
                call.body.clone()
            };
            Ok(if method == "DELETE" {
                Answer::no_content()
            } else {
                Answer::ok(rules[part].clone())
            })
        }
        ("POST", ["branches", name @ .., "rename"]) => {
            let (old, new) = (name.join("/"), call.required("Branch", "new_name")?);
            let found = repository
                .bare
                .reference(&format!("refs/heads/{old}"))
                .ok_or_else(Refusal::not_found)?;
            repository.bare.update_ref(
                &format!("refs/heads/{new}"),
                &found.sha,
                Some(crate::bare::ZERO),
            )?;
            if repository.default_branch == old {
                repository.bare.set_head(new)?;
                repository.default_branch = new.to_owned();
            }
            repository.bare.delete_ref(&found.name)?;
            Ok(Answer::created(branch(repository, new, &found.sha, at)))
        }
        ("GET", ["branches", name @ ..]) => {
            let name = name.join("/");
            let missing = || Refusal::new(StatusCode::NOT_FOUND, "Branch not found");
            let found = repository
                .bare
                .reference(&format!("refs/heads/{name}"))
                .ok_or_else(missing)?;
            let mut shown = branch(repository, &name, &found.sha, at);
            shown["commit"] = view::commit(repository, &repository.bare.commit(&found.sha)?, at);
            Ok(Answer::ok(shown))
        }
        ("GET", ["tags"]) => {
            let tags = repository.bare.references("refs/tags/")?;
            let shown = tags
                .iter()
                .map(|tag| json!({ "name": tag.name[10..], "commit": { "sha": tag.sha } }));
            Ok(call.page(shown.collect()))
        }
        ("GET", ["commits"]) => {
            let start = match call.parameter("sha") {
                "" => repository.default_branch.as_str(),
                given => given,
            };
            let missing = || Refusal::conflict("Git Repository is empty.");
            let start = repository.bare.resolve(start).ok_or_else(missing)?;
            let commits = repository.bare.log(&start, call.parameter("path"), 1000)?;
            Ok(call.page(
                commits
                    .iter()
                    .map(|commit| view::commit(repository, commit, at))
                    .collect(),
            ))
        }
        ("GET", ["commits", name @ .., "status"]) => {
            let sha = repository.bare.commit(&name.join("/"))?.sha;
            Ok(Answer::ok(
                json!({ "state": "success", "sha": sha, "statuses": [], "total_count": 0 }),
            ))
        }
        ("GET", ["commits", name @ .., "check-runs"]) => {
            repository.bare.commit(&name.join("/"))?;
            Ok(Answer::ok(json!({ "total_count": 0, "check_runs": [] })))
        }
        ("GET", ["commits", name @ ..]) => {
            let commit = repository.bare.commit(&name.join("/"))?;
            let mut shown = view::commit(repository, &commit, at);
            if let Some(parent) = commit.parents.first() {
                shown["files"] = files(repository, parent, &commit.sha)?;
            }
            Ok(Answer::ok(shown))
        }
        ("POST", ["statuses", sha]) => {
            repository.bare.commit(sha)?;
            Ok(Answer::created(
                json!({ "id": 1, "state": call.body["state"], "context": call.body["context"] }),
            ))
        }
        ("POST", ["merges"]) => {
            let (into, from) = (
                call.required("Merge", "base")?,
                call.required("Merge", "head")?,
            );
            let message = call.body["commit_message"]
                .as_str()
                .map_or_else(|| format!("Merge {from} into {into}"), str::to_owned);
            match repository.merge(into, from, &message, "merge")? {
                Some(sha) => Ok(Answer::created(view::commit(
                    repository,
                    &repository.bare.commit(&sha)?,
                    at,
                ))),
                None => Ok(Answer::no_content()),
            }
        }
        ("POST", ["merge-upstream"]) => Ok(Answer::ok(
            json!({ "message": "Already up-to-date", "merge_type": "none", "base_branch": call.body["branch"] }),
        )),
        ("GET", ["compare", rest @ ..]) => compare(repository, &rest.join("/"), at),
        _ => Err(Refusal::not_found()),
    }
}

fn base(repository: &Repository, at: &Addresses) -> String {
    format!("{}/repos/{}", at.api, repository.full_name())
}

fn references(
    repository: &mut Repository,
    call: &Call,
    method: &str,
    kind: &str,
    rest: &str,
) -> Outcome<Answer> {
    let at = &call.at;
    match (method, kind, rest) {
        ("POST", "refs", "") => {
            let (name, sha) = (
                call.required("Reference", "ref")?,
                call.required("Reference", "sha")?,
            );
            if !name.starts_with("refs/") || name.split('/').count() < 3 {
                return Err(Refusal::unprocessable(
                    "Reference name must start with 'refs/' and contain at least three path components.",
                ));
            }
            repository
                .bare
                .resolve(sha)
                .ok_or_else(|| Refusal::unprocessable("Object does not exist"))?;
            if repository.bare.reference(name).is_some() {
                return Err(Refusal::unprocessable("Reference already exists"));
            }
            repository
                .bare
                .update_ref(name, sha, Some(crate::bare::ZERO))?;
            let made = repository
                .bare
                .reference(name)
                .ok_or_else(Refusal::not_found)?;
            Ok(Answer::created(view::reference(repository, &made, at)))
        }
        ("GET", "refs" | "matching-refs", _) => {
            let found = repository.bare.references(&format!("refs/{rest}"))?;
            Ok(call.page(
                found
                    .iter()
                    .map(|found| view::reference(repository, found, at))
                    .collect(),
            ))
        }
        ("GET", "ref", _) => {
            let found = repository
                .bare
                .reference(&format!("refs/{rest}"))
                .ok_or_else(Refusal::not_found)?;
            Ok(Answer::ok(view::reference(repository, &found, at)))
        }
        ("PATCH", "refs", _) => {
            let sha = call.required("Reference", "sha")?;
            let name = format!("refs/{rest}");
            let force = call.body["force"].as_bool().unwrap_or(false);
            move_reference(repository, &name, sha, force)?;
            let moved = repository
                .bare
                .reference(&name)
                .ok_or_else(Refusal::not_found)?;
            Ok(Answer::ok(view::reference(repository, &moved, at)))
        }
        ("DELETE", "refs", _) => {
            repository.bare.delete_ref(&format!("refs/{rest}"))?;
            Ok(Answer::no_content())
        }
        _ => Err(Refusal::not_found()),
    }
}

/// Moves a ref; backwards or sideways only by force.
pub(crate) fn move_reference(
    repository: &Repository,
    name: &str,
    sha: &str,
    force: bool,
) -> Outcome<()> {
    let missing = || Refusal::unprocessable("Reference does not exist");
    let current = repository.bare.reference(name).ok_or_else(missing)?;
    repository
        .bare
        .resolve(sha)
        .ok_or_else(|| Refusal::unprocessable("Object does not exist"))?;
    if !force && !repository.bare.is_ancestor(&current.sha, sha) {
        return Err(Refusal::unprocessable("Update is not a fast forward"));
    }
    repository.bare.update_ref(name, sha, Some(&current.sha))
}

fn create_tree(repository: &Repository, call: &Call) -> Outcome<Answer> {
    let lines = call.body["tree"]
        .as_array()
        .ok_or_else(|| Refusal::invalid("Tree", "tree", "missing_field"))?;
    let mut changes = Vec::new();
    for line in lines {
        let path = line["path"]
            .as_str()
            .ok_or_else(|| Refusal::invalid("Tree", "path", "missing_field"))?;
        let mode = line["mode"].as_str().unwrap_or("100644").to_owned();
        let entry = match (line["content"].as_str(), line["sha"].as_str()) {
            (Some(text), _) => Some((mode, repository.bare.write_blob(text.as_bytes())?)),
            (None, Some(sha)) => Some((mode, sha.to_owned())),
            (None, None) => None,
        };
        changes.push(Change {
            path: path.to_owned(),
            entry,
        });
    }
    let sha = repository
        .bare
        .write_tree(call.body["base_tree"].as_str(), &changes);
    let sha = sha.map_err(|refusal| Refusal::unprocessable(refusal.message))?;
    let entries = repository.bare.tree(&sha, false)?;
    let shown: Vec<Value> = entries
        .iter()
        .map(|entry| view::tree_entry(repository, entry, &call.at))
        .collect();
    let url = format!("{}/git/trees/{sha}", base(repository, &call.at));
    Ok(Answer::created(
        json!({ "sha": sha, "url": url, "tree": shown, "truncated": false }),
    ))
}

fn branch(repository: &Repository, name: &str, sha: &str, at: &Addresses) -> Value {
    json!({
        "name": name,
        "commit": { "sha": sha, "url": format!("{}/commits/{sha}", base(repository, at)) },
        "protected": repository.protection.contains_key(name),
        "protection_url": format!("{}/branches/{name}/protection", base(repository, at)),
    })
}

fn protection(
    repository: &mut Repository,
    call: &Call,
    method: &str,
    name: &str,
) -> Outcome<Answer> {
    let missing = || Refusal::new(StatusCode::NOT_FOUND, "Branch not found");
    repository
        .bare
        .reference(&format!("refs/heads/{name}"))
        .ok_or_else(missing)?;
    let unprotected = || Refusal::new(StatusCode::NOT_FOUND, "Branch not protected");
    match method {
        "GET" => Ok(Answer::ok(
            repository
                .protection
                .get(name)
                .cloned()
                .ok_or_else(unprotected)?,
        )),
        "PUT" => {
            let mut rules = call.body.clone();
            rules["url"] = json!(format!(
                "{}/branches/{name}/protection",
                base(repository, &call.at)
            ));
            rules["enforce_admins"] =
                json!({ "enabled": call.body["enforce_admins"].as_bool().unwrap_or(false) });
            repository.protection.insert(name.to_owned(), rules.clone());
            Ok(Answer::ok(rules))
        }
        "DELETE" => {
            repository.protection.remove(name).ok_or_else(unprotected)?;
            Ok(Answer::no_content())
        }
        _ => Err(Refusal::not_found()),
    }
}

fn compare(repository: &Repository, range: &str, at: &Addresses) -> Outcome<Answer> {
    let (from, to) = range.split_once("...").ok_or_else(Refusal::not_found)?;
    let (from, to) = (repository.bare.commit(from)?, repository.bare.commit(to)?);
    let (ahead, behind) = repository.bare.distance(&from.sha, &to.sha)?;
    let meeting = repository
        .bare
        .merge_base(&from.sha, &to.sha)
        .ok_or_else(Refusal::not_found)?;
    let commits = repository
        .bare
        .log(&format!("{meeting}..{}", to.sha), "", 250)?;
    let status = match (ahead, behind) {
        (0, 0) => "identical",
        (_, 0) => "ahead",
        (0, _) => "behind",
        _ => "diverged",
    };
    Ok(Answer::ok(json!({
        "url": format!("{}/compare/{range}", base(repository, at)),
        "status": status,
        "ahead_by": ahead,
        "behind_by": behind,
        "total_commits": commits.len(),
        "base_commit": view::commit(repository, &from, at),
        "merge_base_commit": view::commit(repository, &repository.bare.commit(&meeting)?, at),
        "commits": commits.iter().rev().map(|commit| view::commit(repository, commit, at)).collect::<Vec<_>>(),
        "files": files(repository, &meeting, &to.sha)?,
    })))
}

/// The files that differ, as GitHub lists them.
pub(super) fn files(repository: &Repository, from: &str, to: &str) -> Outcome<Value> {
    let changed = repository.bare.changed(from, to)?;
    Ok(changed
        .into_iter()
        .map(|(path, letter)| {
            let status = match letter {
                'A' => "added",
                'D' => "removed",
                _ => "modified",
            };
            json!({ "filename": path, "status": status, "additions": 1, "deletions": 0, "changes": 1 })
        })
        .collect())
}

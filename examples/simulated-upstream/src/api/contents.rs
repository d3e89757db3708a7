//! Files through the API: read, written and deleted as commits on real branches.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Call, Name};
use crate::answer::Answer;
use crate::bare::{Change, Found};
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
    match (method, path) {
        ("GET", ["readme"]) => read(organisation.repository(owner, name)?, call, "README.md"),
        ("GET", ["contents", rest @ ..]) => {
            read(organisation.repository(owner, name)?, call, &rest.join("/"))
        }
        ("PUT", ["contents", rest @ ..]) => {
            write(organisation.writable(owner, name)?, call, &rest.join("/"))
        }
        ("DELETE", ["contents", rest @ ..]) => {
            remove(organisation.writable(owner, name)?, call, &rest.join("/"))
        }
        ("GET", [kind @ ("tarball" | "zipball"), rest @ ..]) => {
            let repository = organisation.repository(owner, name)?;
            let revision = if rest.is_empty() {
                repository.default_branch.clone()
            } else {
                rest.join("/")
            };
            let prefix = format!("{}-{}", repository.owner, repository.name);
            if *kind == "tarball" {
                Ok(Answer::bytes(
                    "application/x-gzip",
                    repository.bare.archive(&revision, &prefix, "tar.gz")?,
                ))
            } else {
                Ok(Answer::bytes(
                    "application/zip",
                    repository.bare.archive(&revision, &prefix, "zip")?,
                ))
            }
        }
        _ => Err(Refusal::not_found()),
    }
}

fn read(repository: &Repository, call: &Call, path: &str) -> Outcome<Answer> {
    let wanted = match call.parameter("ref") {
        "" => repository.default_branch.as_str(),
        given => given,
    };
    let missing = || {
        Refusal::new(
            http::StatusCode::NOT_FOUND,
            format!("No commit found for the ref {wanted}"),
        )
    };
    let commit = repository.bare.resolve(wanted).ok_or_else(missing)?;
    match repository
        .bare
        .read(&commit, path)
        .ok_or_else(Refusal::not_found)?
    {
        Found::File(_, bytes) if call.accept.contains("raw") => Ok(Answer::bytes(
            "application/vnd.github.raw+json; charset=utf-8",
            bytes,
        )),
        Found::File(sha, bytes) => Ok(Answer::ok(file(
            repository,
            path,
            &sha,
            Some(&bytes),
            wanted,
            &call.at,
        ))),
        Found::Folder(entries) => {
            let shown = entries.iter().map(|entry| {
                let kind = if entry.kind == "tree" { "dir" } else { "file" };
                let mut shown = file(repository, &entry.path, &entry.sha, None, wanted, &call.at);
                shown["type"] = json!(kind);
                shown["size"] = json!(entry.size.unwrap_or(0));
                shown
            });
            Ok(Answer::ok(shown.collect()))
        }
    }
}

fn write(repository: &Repository, call: &Call, path: &str) -> Outcome<Answer> {
    let message = call.required("Content", "message")?;
    let content: String = call
        .required("Content", "content")?
        .split_whitespace()
        .collect();
    let bytes = STANDARD
        .decode(content)
        .map_err(|_| Refusal::unprocessable("content is not valid Base64"))?;
    let branch = branch(repository, call);
    let current = current(repository, &branch, path);
    check_sha(current.as_deref(), call, path)?;
    let sha = repository.bare.write_blob(&bytes)?;
    let change = Change {
        path: path.to_owned(),
        entry: Some(("100644".into(), sha.clone())),
    };
    let commit = repository
        .bare
        .commit_on(&branch, &[change], message, author(call))?;
    let mut content = file(repository, path, &sha, Some(&bytes), &branch, &call.at);
    if let Some(members) = content.as_object_mut() {
        members.remove("content");
        members.remove("encoding");
    }
    let body =
        json!({ "content": content, "commit": shown_commit(repository, &commit, &call.at)? });
    Ok(if current.is_some() {
        Answer::ok(body)
    } else {
        Answer::created(body)
    })
}

fn remove(repository: &Repository, call: &Call, path: &str) -> Outcome<Answer> {
    // GitHub takes them from the query as well.
    let given = |member: &str| match call.text(member) {
        "" => call.parameter(member).to_owned(),
        text => text.to_owned(),
    };
    let message = given("message");
    if message.is_empty() {
        return Err(Refusal::invalid("Content", "message", "missing_field"));
    }
    let branch = match given("branch") {
        branch if branch.is_empty() => repository.default_branch.clone(),
        branch => branch,
    };
    let current = current(repository, &branch, path).ok_or_else(Refusal::not_found)?;
    match given("sha") {
        sha if sha.is_empty() => {
            return Err(Refusal::unprocessable(
                "Invalid request.\n\n\"sha\" wasn't supplied.",
            ));
        }
        sha if sha != current => {
            return Err(Refusal::conflict(format!("{path} does not match {sha}")));
        }
        _ => {}
    }
    let change = Change {
        path: path.to_owned(),
        entry: None,
    };
    let commit = repository
        .bare
        .commit_on(&branch, &[change], &message, author(call))?;
    Ok(Answer::ok(
        json!({ "content": null, "commit": shown_commit(repository, &commit, &call.at)? }),
    ))
}

fn branch(repository: &Repository, call: &Call) -> String {
    let given = call.text("branch");
    let given = given.strip_prefix("refs/heads/").unwrap_or(given);
    if given.is_empty() {
        repository.default_branch.clone()
    } else {
        given.to_owned()
    }
}

fn current(repository: &Repository, branch: &str, path: &str) -> Option<String> {
    let commit = repository.bare.resolve(&format!("refs/heads/{branch}"))?;
    match repository.bare.read(&commit, path)? {
        Found::File(sha, _) => Some(sha),
        Found::Folder(_) => None,
    }
}

/// An existing file is only replaced by one who names the blob he has seen.
fn check_sha(current: Option<&str>, call: &Call, path: &str) -> Outcome<()> {
    match (current, call.body["sha"].as_str()) {
        (Some(_), None) => Err(Refusal::unprocessable(
            "Invalid request.\n\n\"sha\" wasn't supplied.",
        )),
        (Some(current), Some(sha)) if current != sha => {
            Err(Refusal::conflict(format!("{path} does not match {sha}")))
        }
        _ => Ok(()),
    }
}

fn author(call: &Call) -> Option<(&str, &str)> {
    let person = [&call.body["author"], &call.body["committer"]]
        .into_iter()
        .find(|person| person.is_object())?;
    Some((person["name"].as_str()?, person["email"].as_str()?))
}

fn shown_commit(repository: &Repository, sha: &str, at: &Addresses) -> Outcome<Value> {
    let commit = repository.bare.commit(sha)?;
    let mut shown = view::git_commit(repository, &commit, at);
    shown["html_url"] = json!(format!(
        "{}/{}/commit/{sha}",
        at.web,
        repository.full_name()
    ));
    Ok(shown)
}

/// A file, with its content in base64 lines of 60 characters as GitHub sends it.
fn file(
    repository: &Repository,
    path: &str,
    sha: &str,
    bytes: Option<&[u8]>,
    revision: &str,
    at: &Addresses,
) -> Value {
    let full = repository.full_name();
    let url = format!("{}/repos/{full}/contents/{path}?ref={revision}", at.api);
    let html = format!("{}/{full}/blob/{revision}/{path}", at.web);
    let git = format!("{}/repos/{full}/git/blobs/{sha}", at.api);
    let mut shown = json!({
        "name": path.rsplit('/').next(),
        "path": path,
        "sha": sha,
        "size": bytes.map_or(0, <[u8]>::len),
        "url": url,
        "html_url": html,
        "git_url": git,
        "download_url": format!("{}/{full}/raw/{revision}/{path}", at.web),
        "type": "file",
        "_links": { "self": url, "git": git, "html": html },
    });
    if let Some(bytes) = bytes {
        let encoded = STANDARD.encode(bytes);
        let lines: String = encoded
            .as_bytes()
            .chunks(60)
            .flat_map(|line| line.iter().chain(b"\n"))
            .map(|byte| char::from(*byte))
            .collect();
        shown["content"] = json!(lines);
        shown["encoding"] = json!("base64");
    }
    shown
}

//! Mutations, on the same organisation as REST.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::{Object, author, objects};
use crate::api::move_reference;
use crate::bare::{Change, ZERO};
use crate::hosts::Addresses;
use crate::organisation::{
    Issue, NewRepository, ORGANISATION, Organisation, Repository, VIEWER, now,
};
use crate::refusal::{Outcome, Refusal};
use crate::view;

/// Runs one mutation; the result is its payload.
pub fn run(
    organisation: &mut Organisation,
    name: &str,
    input: &Value,
    at: &Addresses,
) -> Outcome<Object> {
    let text = |member: &str| input[member].as_str().unwrap_or_default();
    match name {
        "createRepository" => {
            let new = new_repository(input);
            let made = organisation.create(owner(text("ownerId")), new)?;
            let shown = objects::summary(made, at);
            Ok(payload(input, "repository", shown))
        }
        "cloneTemplateRepository" => {
            let (from, name) = repository_name(organisation, text("repositoryId"))?;
            let made = organisation.copy(
                (&from, &name),
                owner(text("ownerId")),
                new_repository(input),
                false,
            )?;
            let shown = objects::summary(made, at);
            Ok(payload(input, "repository", shown))
        }
        "updateRepository" | "archiveRepository" | "unarchiveRepository" => {
            let (of, old) = repository_name(organisation, text("repositoryId"))?;
            let new_name = input["name"].as_str().unwrap_or(&old).to_owned();
            if new_name != old {
                organisation.rename(&of, &old, &of, &new_name)?;
            }
            let repository = organisation.repository_mut(&of, &new_name)?;
            if let Some(description) = input["description"].as_str() {
                repository.description = description.to_owned();
            }
            match name {
                "archiveRepository" => repository.archived = true,
                "unarchiveRepository" => repository.archived = false,
                _ => {}
            }
            let shown = objects::summary(repository, at);
            Ok(payload(input, "repository", shown))
        }
        "createCommitOnBranch" => commit_on_branch(organisation, input, at),
        "createRef" => {
            let (of, name) = repository_name(organisation, text("repositoryId"))?;
            let repository = organisation.writable(&of, &name)?;
            if repository.bare.reference(text("name")).is_some() {
                return Err(Refusal::unprocessable(format!(
                    "A ref named \"{}\" already exists in the repository.",
                    text("name")
                )));
            }
            repository
                .bare
                .update_ref(text("name"), text("oid"), Some(ZERO))?;
            let shown = objects::reference(repository, text("name"), at);
            Ok(payload(input, "ref", shown))
        }
        "updateRef" => {
            let (repository, name) = reference(organisation, text("refId"))?;
            move_reference(
                repository,
                &name,
                text("oid"),
                input["force"].as_bool().unwrap_or(false),
            )?;
            let shown = objects::reference(repository, &name, at);
            Ok(payload(input, "ref", shown))
        }
        "deleteRef" => {
            let (repository, name) = reference(organisation, text("refId"))?;
            repository.bare.delete_ref(&name)?;
            Ok(plain_payload(input))
        }
        "updateRefs" => {
            let (of, name) = repository_name(organisation, text("repositoryId"))?;
            let repository = organisation.writable(&of, &name)?;
            for update in input["refUpdates"].as_array().into_iter().flatten() {
                let member = |name: &str| update[name].as_str().unwrap_or_default();
                match member("afterOid") {
                    ZERO => repository.bare.delete_ref(member("name"))?,
                    after => {
                        let before = update["beforeOid"].as_str();
                        repository.bare.update_ref(member("name"), after, before)?;
                    }
                }
            }
            Ok(plain_payload(input))
        }
        "mergeBranch" => {
            let (of, name) = repository_name(organisation, text("repositoryId"))?;
            let repository = organisation.writable(&of, &name)?;
            let message = input["commitMessage"].as_str().unwrap_or("Merge branch");
            let merged = repository.merge(text("base"), text("head"), message, "merge")?;
            let shown = match merged {
                Some(sha) => objects::commit(repository, &repository.bare.commit(&sha)?, at),
                None => Value::Null,
            };
            Ok(payload(input, "mergeCommit", shown))
        }
        "createPullRequest" => {
            let (of, name) = repository_name(organisation, text("repositoryId"))?;
            let repository = organisation.writable(&of, &name)?;
            let draft = input["draft"].as_bool().unwrap_or(false);
            let opened = repository.open_pull(
                text("title"),
                text("body"),
                text("headRefName"),
                text("baseRefName"),
                draft,
            )?;
            let shown = objects::pull(repository, &opened, at);
            Ok(payload(input, "pullRequest", shown))
        }
        "mergePullRequest" => {
            let (repository, number) = pull(organisation, text("pullRequestId"))?;
            let method = input["mergeMethod"]
                .as_str()
                .unwrap_or("MERGE")
                .to_lowercase();
            repository.merge_pull(number, &method, input["commitHeadline"].as_str())?;
            let shown = objects::pull(repository, repository.pull(number)?, at);
            Ok(payload(input, "pullRequest", shown))
        }
        "closePullRequest"
        | "reopenPullRequest"
        | "updatePullRequest"
        | "markPullRequestReadyForReview"
        | "addPullRequestReview"
        | "enablePullRequestAutoMerge" => {
            let (repository, number) = pull(organisation, text("pullRequestId"))?;
            let changed = repository.pull_mut(number)?;
            match name {
                "closePullRequest" => changed.closed = true,
                "reopenPullRequest" => changed.closed = changed.merged.is_some(),
                "markPullRequestReadyForReview" => changed.draft = false,
                "updatePullRequest" => {
                    changed.title = input["title"].as_str().unwrap_or(&changed.title).to_owned();
                    changed.body = input["body"].as_str().unwrap_or(&changed.body).to_owned();
                }
                _ => {}
            }
            let shown = objects::pull(repository, repository.pull(number)?, at);
            Ok(payload(input, "pullRequest", shown))
        }
        "createIssue" => {
            let (of, name) = repository_name(organisation, text("repositoryId"))?;
            let repository = organisation.writable(&of, &name)?;
            let issue = Issue {
                number: repository.next_number(),
                title: text("title").to_owned(),
                body: text("body").to_owned(),
                closed: false,
                labels: Vec::new(),
                created_at: now(),
            };
            repository.issues.push(issue.clone());
            let shown = objects::issue(repository, &issue, at);
            Ok(payload(input, "issue", shown))
        }
        "closeIssue" | "reopenIssue" => {
            let id = text("issueId");
            for repository in &mut organisation.repositories {
                let prefix = format!("I_kwDO{:06}", repository.id);
                if let Some(number) = id
                    .strip_prefix(&prefix)
                    .and_then(|number| number.parse().ok())
                {
                    repository.issue_mut(number)?.closed = name == "closeIssue";
                    let issue = repository.issue_mut(number)?.clone();
                    let shown = objects::issue(repository, &issue, at);
                    return Ok(payload(input, "issue", shown));
                }
            }
            Err(unresolved(id))
        }
        "addComment" => {
            let url = format!("{}/{ORGANISATION}", at.web);
            let node = json!({ "__typename": "IssueComment", "body": text("body"), "url": url, "author": objects::account(author(), at) });
            let edge = json!({ "__typename": "IssueCommentEdge", "node": node });
            Ok(payload(input, "commentEdge", edge))
        }
        "createBranchProtectionRule" => {
            let (of, name) = repository_name(organisation, text("repositoryId"))?;
            let repository = organisation.writable(&of, &name)?;
            repository
                .protection
                .insert(text("pattern").to_owned(), input.clone());
            let rule = json!({ "__typename": "BranchProtectionRule", "id": rule_id(repository, text("pattern")), "pattern": text("pattern") });
            Ok(payload(input, "branchProtectionRule", rule))
        }
        "deleteBranchProtectionRule" => {
            let id = text("branchProtectionRuleId");
            for repository in &mut organisation.repositories {
                let pattern = repository
                    .protection
                    .keys()
                    .find(|pattern| rule_id(repository, pattern) == id)
                    .cloned();
                if let Some(pattern) = pattern {
                    repository.protection.remove(&pattern);
                    return Ok(plain_payload(input));
                }
            }
            Err(unresolved(id))
        }
        _ => Err(Refusal::unprocessable(format!(
            "Field '{name}' doesn't exist on type 'Mutation'"
        ))),
    }
}

fn payload(input: &Value, member: &str, value: Value) -> Object {
    let mut payload = Map::new();
    payload.insert("clientMutationId".into(), input["clientMutationId"].clone());
    payload.insert(member.into(), value);
    Object::Plain(Value::Object(payload))
}

fn plain_payload(input: &Value) -> Object {
    Object::Plain(json!({ "clientMutationId": input["clientMutationId"] }))
}

fn new_repository(input: &Value) -> NewRepository {
    NewRepository {
        name: input["name"].as_str().unwrap_or_default().to_owned(),
        description: input["description"].as_str().unwrap_or_default().to_owned(),
        private: input["visibility"] != "PUBLIC",
        auto_init: false,
    }
}

fn owner(id: &str) -> &'static str {
    if id == view::account_id(ORGANISATION) {
        ORGANISATION
    } else {
        VIEWER
    }
}

fn unresolved(id: &str) -> Refusal {
    let mut refusal = Refusal::not_found();
    refusal.message = format!("Could not resolve to a node with the global id of '{id}'");
    refusal
}

fn repository_name(organisation: &Organisation, id: &str) -> Outcome<(String, String)> {
    organisation.by_id(id).ok_or_else(|| unresolved(id))
}

/// The repository and the full name behind a ref's id.
fn reference<'a>(
    organisation: &'a mut Organisation,
    id: &str,
) -> Outcome<(&'a mut Repository, String)> {
    let plain = id
        .strip_prefix("REF_")
        .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let plain = plain
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| unresolved(id))?;
    let (repository, name) = plain.split_once(':').ok_or_else(|| unresolved(id))?;
    let (of, repo) = repository_name(organisation, repository)?;
    Ok((organisation.writable(&of, &repo)?, name.to_owned()))
}

fn pull<'a>(organisation: &'a mut Organisation, id: &str) -> Outcome<(&'a mut Repository, u64)> {
    for repository in &mut organisation.repositories {
        if let Some(number) = repository
            .pulls
            .iter()
            .find(|pull| view::pull_id(repository, pull) == id)
            .map(|pull| pull.number)
        {
            return Ok((repository, number));
        }
    }
    Err(unresolved(id))
}

fn rule_id(repository: &Repository, pattern: &str) -> String {
    format!(
        "BPR_{}",
        URL_SAFE_NO_PAD.encode(format!("{}:{pattern}", repository.id))
    )
}

/// `createCommitOnBranch`: additions and deletions in one commit, on a head the caller has seen.
fn commit_on_branch(
    organisation: &mut Organisation,
    input: &Value,
    at: &Addresses,
) -> Outcome<Object> {
    let branch = &input["branch"];
    let (owner, name, branch) = match branch["id"].as_str() {
        Some(id) => {
            let (repository, name) = reference(organisation, id)?;
            (
                repository.owner.clone(),
                repository.name.clone(),
                name.trim_start_matches("refs/heads/").to_owned(),
            )
        }
        None => {
            let full = branch["repositoryNameWithOwner"]
                .as_str()
                .unwrap_or_default();
            let (owner, name) = full.split_once('/').ok_or_else(|| unresolved(full))?;
            let branch = branch["branchName"].as_str().unwrap_or_default();
            (
                owner.to_owned(),
                name.to_owned(),
                branch.trim_start_matches("refs/heads/").to_owned(),
            )
        }
    };
    let repository = organisation.writable(&owner, &name)?;
    let head = repository.bare.resolve(&format!("refs/heads/{branch}"));
    let head = head.ok_or_else(|| Refusal::unprocessable(format!("No such branch: {branch}")))?;
    let expected = input["expectedHeadOid"].as_str().unwrap_or_default();
    if head != expected {
        return Err(Refusal::unprocessable(format!(
            "Expected branch to point to \"{expected}\" but it points to \"{head}\". Pull and try again."
        )));
    }
    let files = &input["fileChanges"];
    let path = |file: &Value| {
        file["path"]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| Refusal::unprocessable("path is required"))
    };
    let mut changes = Vec::new();
    for file in files["additions"].as_array().into_iter().flatten() {
        let bytes = STANDARD.decode(file["contents"].as_str().unwrap_or_default());
        let bytes = bytes.map_err(|_| Refusal::unprocessable("contents must be Base64"))?;
        let sha = repository.bare.write_blob(&bytes)?;
        changes.push(Change {
            path: path(file)?,
            entry: Some(("100644".into(), sha)),
        });
    }
    for file in files["deletions"].as_array().into_iter().flatten() {
        changes.push(Change {
            path: path(file)?,
            entry: None,
        });
    }
    let message = format!(
        "{}\n\n{}",
        input["message"]["headline"].as_str().unwrap_or_default(),
        input["message"]["body"].as_str().unwrap_or_default()
    );
    let sha = repository
        .bare
        .commit_on(&branch, &changes, message.trim(), None)?;
    let commit = objects::commit(repository, &repository.bare.commit(&sha)?, at);
    let shown = objects::reference(repository, &format!("refs/heads/{branch}"), at);
    Ok(Object::Plain(
        json!({ "clientMutationId": input["clientMutationId"], "commit": commit, "ref": shown }),
    ))
}

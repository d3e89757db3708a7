//! The objects of the schema, with the fields that clients ask for.

use serde_json::{Value, json};

use super::{Object, author};
use crate::bare::{Commit, Found};
use crate::hosts::Addresses;
use crate::organisation::{Issue, ORGANISATION, Organisation, Pull, Repository, VIEWER};
use crate::refusal::{Outcome, Refusal};
use crate::view;

/// A connection of nodes.
pub fn connection(kind: &str, nodes: Vec<Value>) -> Value {
    json!({
        "__typename": format!("{kind}Connection"),
        "totalCount": nodes.len(),
        "nodes": nodes,
        "pageInfo": {
            "__typename": "PageInfo", "hasNextPage": false, "hasPreviousPage": false, "startCursor": null, "endCursor": null,
        },
    })
}

/// A user or the organisation.
pub fn account(login: &str, at: &Addresses) -> Value {
    let organisation = login == ORGANISATION;
    json!({
        "__typename": if organisation { "Organization" } else { "User" },
        "id": view::account_id(login),
        "databaseId": 9001,
        "login": login,
        "name": if organisation { "Acme" } else { login },
        "email": "",
        "url": format!("{}/{login}", at.web),
        "avatarUrl": format!("{}/{login}.png", at.web),
        "viewerCanCreateRepositories": true,
        "viewerCanAdminister": true,
        "isViewer": login == VIEWER,
    })
}

/// An account with its repositories.
pub fn owner(organisation: &Organisation, login: &str, at: &Addresses) -> Outcome<Value> {
    if ![ORGANISATION, VIEWER, "ada"].contains(&login) {
        let mut refusal = Refusal::not_found();
        refusal.message = format!("Could not resolve to an account with the login of '{login}'.");
        return Err(refusal);
    }
    let mut shown = account(login, at);
    let owned = organisation
        .repositories
        .iter()
        .filter(|found| found.owner == login);
    shown["repositories"] = connection(
        "Repository",
        owned.map(|found| summary(found, at)).collect(),
    );
    shown["teams"] = connection("Team", Vec::new());
    shown["projects"] = connection("Project", Vec::new());
    shown["projectsV2"] = connection("ProjectV2", Vec::new());
    Ok(shown)
}

/// The account behind the credential.
pub fn viewer(organisation: &Organisation, at: &Addresses) -> Value {
    let mut shown = owner(organisation, VIEWER, at).unwrap_or_default();
    shown["organizations"] = connection("Organization", vec![account(ORGANISATION, at)]);
    shown
}

/// A repository as a node of something else.
pub fn summary(repository: &Repository, at: &Addresses) -> Value {
    let full = repository.full_name();
    json!({
        "__typename": "Repository",
        "id": repository.node_id(),
        "databaseId": repository.id,
        "name": repository.name,
        "nameWithOwner": full,
        "owner": account(&repository.owner, at),
        "description": repository.description,
        "url": format!("{}/{full}", at.web),
        "sshUrl": format!("git@github.com:{full}.git"),
        "homepageUrl": "",
        "mirrorUrl": "",
        "isPrivate": repository.private,
        "visibility": if repository.private { "PRIVATE" } else { "PUBLIC" },
        "isArchived": repository.archived,
        "isFork": repository.parent.is_some(),
        "isTemplate": false,
        "isEmpty": false,
        "isInOrganization": repository.owner == ORGANISATION,
        "isMirror": false,
        "hasIssuesEnabled": true,
        "hasProjectsEnabled": true,
        "hasWikiEnabled": false,
        "hasDiscussionsEnabled": false,
        "mergeCommitAllowed": true,
        "squashMergeAllowed": true,
        "rebaseMergeAllowed": true,
        "autoMergeAllowed": false,
        "deleteBranchOnMerge": false,
        "viewerPermission": "ADMIN",
        "viewerCanAdminister": true,
        "viewerHasStarred": false,
        "viewerDefaultCommitEmail": "",
        "viewerDefaultMergeMethod": "MERGE",
        "stargazerCount": 3,
        "forkCount": 0,
        "diskUsage": 12,
        "createdAt": repository.created_at,
        "updatedAt": repository.created_at,
        "pushedAt": repository.created_at,
        "archivedAt": null,
        "licenseInfo": null,
        "codeOfConduct": null,
        "latestRelease": null,
        "templateRepository": null,
        "primaryLanguage": { "__typename": "Language", "name": "Rust", "color": "#dea584" },
        "defaultBranchRef": { "__typename": "Ref", "name": repository.default_branch, "prefix": "refs/heads/" },
        "pullRequestTemplates": [],
        "issueTemplates": [],
        "repositoryTopics": connection("RepositoryTopic", Vec::new()),
        "languages": connection("Language", Vec::new()),
        "watchers": connection("User", Vec::new()),
        "labels": connection("Label", vec![json!({ "__typename": "Label", "id": "LA_1", "name": "bug", "color": "d73a4a", "description": "" })]),
        "milestones": connection("Milestone", Vec::new()),
        "projects": connection("Project", Vec::new()),
        "projectsV2": connection("ProjectV2", Vec::new()),
        "assignableUsers": connection("User", vec![account("ada", at)]),
        "mentionableUsers": connection("User", vec![account("ada", at)]),
    })
}

/// A field of a repository; nothing if there is none of that name.
pub fn repository_field(
    organisation: &Organisation,
    (owner, name): (&str, &str),
    field: &str,
    arguments: &Value,
    at: &Addresses,
) -> Outcome<Option<Object>> {
    let repository = organisation.repository(owner, name)?;
    let text = |member: &str| arguments[member].as_str().unwrap_or_default();
    let plain = |value: Value| Ok(Some(Object::Plain(value)));
    match field {
        "parent" => {
            let parent = repository
                .parent
                .as_deref()
                .and_then(|full| full.split_once('/'));
            match parent.and_then(|(owner, name)| organisation.repository(owner, name).ok()) {
                Some(parent) => Ok(Some(Object::Repository(
                    parent.owner.clone(),
                    parent.name.clone(),
                ))),
                None => plain(Value::Null),
            }
        }
        "defaultBranchRef" => plain(reference(
            repository,
            &format!("refs/heads/{}", repository.default_branch),
            at,
        )),
        "isEmpty" => plain(json!(repository.bare.references("refs/heads/")?.is_empty())),
        "ref" => {
            let wanted = text("qualifiedName");
            let full = if wanted.starts_with("refs/") {
                wanted.to_owned()
            } else {
                format!("refs/heads/{wanted}")
            };
            plain(reference(repository, &full, at))
        }
        "refs" => {
            let found = repository.bare.references(text("refPrefix"))?;
            plain(connection(
                "Ref",
                found
                    .iter()
                    .map(|found| reference(repository, &found.name, at))
                    .collect(),
            ))
        }
        "object" => plain(git_object(repository, text("expression"), text("oid"), at)),
        "pullRequest" => {
            let number = arguments["number"].as_u64().unwrap_or(0);
            let missing = |_| absent("PullRequest", number);
            plain(pull(
                repository,
                repository.pull(number).map_err(missing)?,
                at,
            ))
        }
        "pullRequests" => {
            let states = listed(&arguments["states"]);
            let (base, head) = (text("baseRefName"), text("headRefName"));
            let wanted = repository.pulls.iter().rev().filter(|found| {
                (states.is_empty() || states.iter().any(|state| state == pull_state(found)))
                    && (base.is_empty() || found.base == base)
                    && (head.is_empty() || found.head == head)
            });
            plain(connection(
                "PullRequest",
                wanted.map(|found| pull(repository, found, at)).collect(),
            ))
        }
        "issue" | "issueOrPullRequest" => {
            let number = arguments["number"].as_u64().unwrap_or(0);
            if let (Ok(found), "issueOrPullRequest") = (repository.pull(number), field) {
                return plain(pull(repository, found, at));
            }
            let found = repository
                .issues
                .iter()
                .find(|issue| issue.number == number);
            plain(issue(
                repository,
                found.ok_or_else(|| absent("Issue", number))?,
                at,
            ))
        }
        "issues" => {
            let states = listed(&arguments["states"]);
            let wanted = repository.issues.iter().rev().filter(|found| {
                states.is_empty() || states.iter().any(|state| state == issue_state(found))
            });
            plain(connection(
                "Issue",
                wanted.map(|found| issue(repository, found, at)).collect(),
            ))
        }
        "releases" => {
            let shelf = repository.shelves.get("releases").into_iter().flatten();
            let releases = shelf.map(|release| {
                json!({
                    "__typename": "Release", "name": release["name"], "tagName": release["tag_name"], "isDraft": release["draft"],
                    "isPrerelease": release["prerelease"], "isLatest": true, "createdAt": release["created_at"], "publishedAt": release["published_at"],
                })
            });
            plain(connection("Release", releases.collect()))
        }
        _ => Ok(summary(repository, at)
            .get(field)
            .map(|value| Object::Plain(value.clone()))),
    }
}

fn absent(kind: &str, number: u64) -> Refusal {
    let mut refusal = Refusal::not_found();
    refusal.message = format!("Could not resolve to {kind} with the number of {number}.");
    refusal
}

fn listed(states: &Value) -> Vec<String> {
    match states {
        Value::Array(states) => states
            .iter()
            .filter_map(|state| Some(state.as_str()?.to_owned()))
            .collect(),
        Value::String(state) => vec![state.clone()],
        _ => Vec::new(),
    }
}

/// A ref with the commit it points to; null if it is not there.
pub fn reference(repository: &Repository, name: &str, at: &Addresses) -> Value {
    let Some(found) = repository.bare.reference(name) else {
        return Value::Null;
    };
    let short = name.splitn(3, '/').nth(2).unwrap_or(name);
    let target = repository
        .bare
        .commit(&found.sha)
        .map_or(Value::Null, |found| commit(repository, &found, at));
    json!({
        "__typename": "Ref",
        "id": view::reference_id(repository, name),
        "name": short,
        "prefix": name.strip_suffix(short),
        "target": target,
        "associatedPullRequests": connection("PullRequest", Vec::new()),
        "branchProtectionRule": null,
    })
}

/// A commit.
pub fn commit(repository: &Repository, commit: &Commit, at: &Addresses) -> Value {
    json!({
        "__typename": "Commit",
        "id": format!("C_{}", commit.sha),
        "oid": commit.sha,
        "abbreviatedOid": commit.sha.get(..7),
        "message": commit.message,
        "messageHeadline": commit.message.lines().next(),
        "messageBody": "",
        "committedDate": commit.date,
        "authoredDate": commit.date,
        "url": format!("{}/{}/commit/{}", at.web, repository.full_name(), commit.sha),
        "author": { "__typename": "GitActor", "name": commit.name, "email": commit.email, "date": commit.date, "user": null },
        "authors": connection("GitActor", Vec::new()),
        "tree": { "__typename": "Tree", "oid": commit.tree },
        "statusCheckRollup": null,
    })
}

fn git_object(repository: &Repository, expression: &str, oid: &str, at: &Addresses) -> Value {
    let (revision, path) = match expression.split_once(':') {
        Some((revision, path)) => (revision, Some(path)),
        None if expression.is_empty() => (oid, None),
        None => (expression, None),
    };
    let Some(sha) = repository.bare.resolve(revision) else {
        return Value::Null;
    };
    let Some(path) = path else {
        return repository
            .bare
            .commit(&sha)
            .map_or(Value::Null, |found| commit(repository, &found, at));
    };
    match repository.bare.read(&sha, path) {
        Some(Found::File(sha, bytes)) => json!({
            "__typename": "Blob", "id": format!("B_{sha}"), "oid": sha, "byteSize": bytes.len(),
            "isBinary": std::str::from_utf8(&bytes).is_err(), "isTruncated": false, "text": String::from_utf8(bytes).ok(),
        }),
        Some(Found::Folder(entries)) => {
            let entries: Vec<Value> = entries
                .iter()
                .map(|entry| {
                    let name = entry.path.rsplit('/').next();
                    json!({ "__typename": "TreeEntry", "name": name, "path": entry.path, "type": entry.kind, "oid": entry.sha })
                })
                .collect();
            json!({ "__typename": "Tree", "oid": sha, "entries": entries })
        }
        None => Value::Null,
    }
}

fn pull_state(pull: &Pull) -> &'static str {
    match (&pull.merged, pull.closed) {
        (Some(_), _) => "MERGED",
        (None, true) => "CLOSED",
        (None, false) => "OPEN",
    }
}

/// A pull request.
pub fn pull(of: &Repository, pull: &Pull, at: &Addresses) -> Value {
    let sha = |branch: &str| of.bare.resolve(&format!("refs/heads/{branch}"));
    let head = sha(&pull.head).and_then(|sha| of.bare.commit(&sha).ok());
    let last = head
        .as_ref()
        .map(|head| json!({ "__typename": "PullRequestCommit", "commit": commit(of, head, at) }));
    json!({
        "__typename": "PullRequest",
        "id": view::pull_id(of, pull),
        "number": pull.number,
        "title": pull.title,
        "body": pull.body,
        "state": pull_state(pull),
        "closed": pull.closed,
        "closedAt": pull.closed.then_some(&pull.created_at),
        "merged": pull.merged.is_some(),
        "mergedAt": pull.merged.as_ref().map(|_| &pull.created_at),
        "mergedBy": pull.merged.as_ref().map(|_| account(author(), at)),
        "mergeCommit": pull.merged.as_ref().map(|sha| json!({ "__typename": "Commit", "oid": sha })),
        "mergeable": if pull.closed { "UNKNOWN" } else { "MERGEABLE" },
        "mergeStateStatus": if pull.closed { "UNKNOWN" } else { "CLEAN" },
        "potentialMergeCommit": null,
        "url": format!("{}/{}/pull/{}", at.web, of.full_name(), pull.number),
        "author": account("ada", at),
        "authorAssociation": "MEMBER",
        "baseRefName": pull.base,
        "baseRefOid": sha(&pull.base),
        "baseRef": reference(of, &format!("refs/heads/{}", pull.base), at),
        "headRefName": pull.head,
        "headRefOid": head.as_ref().map(|head| &head.sha),
        "headRef": reference(of, &format!("refs/heads/{}", pull.head), at),
        "headRepository": summary(of, at),
        "headRepositoryOwner": account(&of.owner, at),
        "baseRepository": summary(of, at),
        "isCrossRepository": false,
        "isDraft": pull.draft,
        "maintainerCanModify": true,
        "createdAt": pull.created_at,
        "updatedAt": pull.created_at,
        "additions": 1,
        "deletions": 0,
        "changedFiles": 1,
        "reviewDecision": "",
        "autoMergeRequest": null,
        "milestone": null,
        "assignees": connection("User", Vec::new()),
        "labels": connection("Label", Vec::new()),
        "comments": connection("IssueComment", Vec::new()),
        "reviews": connection("PullRequestReview", Vec::new()),
        "latestReviews": connection("PullRequestReview", Vec::new()),
        "reviewRequests": connection("ReviewRequest", Vec::new()),
        "projectCards": connection("ProjectCard", Vec::new()),
        "projectItems": connection("ProjectV2Item", Vec::new()),
        "reactionGroups": [],
        "files": connection("PullRequestChangedFile", Vec::new()),
        "commits": connection("PullRequestCommit", last.into_iter().collect()),
        "statusCheckRollup": connection("PullRequestCommit", Vec::new()),
        "closingIssuesReferences": connection("Issue", Vec::new()),
    })
}

fn issue_state(issue: &Issue) -> &'static str {
    if issue.closed { "CLOSED" } else { "OPEN" }
}

/// An issue.
pub fn issue(of: &Repository, issue: &Issue, at: &Addresses) -> Value {
    let labels = issue.labels.iter().map(|name| json!({ "__typename": "Label", "id": "LA_1", "name": name, "color": "d73a4a", "description": "" }));
    json!({
        "__typename": "Issue",
        "id": format!("I_kwDO{:06}{:04}", of.id, issue.number),
        "number": issue.number,
        "title": issue.title,
        "body": issue.body,
        "state": issue_state(issue),
        "stateReason": null,
        "closed": issue.closed,
        "closedAt": issue.closed.then_some(&issue.created_at),
        "url": format!("{}/{}/issues/{}", at.web, of.full_name(), issue.number),
        "author": account("ada", at),
        "authorAssociation": "MEMBER",
        "createdAt": issue.created_at,
        "updatedAt": issue.created_at,
        "milestone": null,
        "assignees": connection("User", Vec::new()),
        "labels": connection("Label", labels.collect()),
        "comments": connection("IssueComment", Vec::new()),
        "projectCards": connection("ProjectCard", Vec::new()),
        "projectItems": connection("ProjectV2Item", Vec::new()),
        "reactionGroups": [],
        "repository": summary(of, at),
    })
}

/// What a node id names.
pub fn by_id(organisation: &Organisation, id: &str, at: &Addresses) -> Outcome<Object> {
    if let Some((owner, name)) = organisation.by_id(id) {
        return Ok(Object::Repository(owner, name));
    }
    for repository in &organisation.repositories {
        if let Some(found) = repository
            .pulls
            .iter()
            .find(|pull| view::pull_id(repository, pull) == id)
        {
            return Ok(Object::Plain(pull(repository, found, at)));
        }
        for found in &repository.issues {
            let shown = issue(repository, found, at);
            if shown["id"] == id {
                return Ok(Object::Plain(shown));
            }
        }
    }
    let mut refusal = Refusal::not_found();
    refusal.message = format!("Could not resolve to a node with the global id of '{id}'");
    Err(refusal)
}

/// `search(query:, type:)`.
pub fn search(organisation: &Organisation, arguments: &Value, at: &Addresses) -> Value {
    let text = arguments["query"]
        .as_str()
        .unwrap_or_default()
        .to_lowercase();
    let words: Vec<&str> = text.split_whitespace().collect();
    let plain = |title: &str| {
        words
            .iter()
            .filter(|word| !word.contains(':'))
            .all(|word| title.to_lowercase().contains(word))
    };
    let within = |full: &str| {
        words
            .iter()
            .filter_map(|word| word.strip_prefix("repo:"))
            .all(|repo| repo == full)
    };
    let mut nodes = Vec::new();
    for repository in organisation
        .repositories
        .iter()
        .filter(|found| within(&found.full_name()))
    {
        if arguments["type"] == "REPOSITORY" {
            if plain(&repository.full_name()) {
                nodes.push(summary(repository, at));
            }
            continue;
        }
        let open = |closed: bool| !words.contains(&if closed { "is:open" } else { "is:closed" });
        if !words
            .iter()
            .any(|word| matches!(*word, "is:issue" | "type:issue"))
        {
            let found = repository
                .pulls
                .iter()
                .filter(|found| plain(&found.title) && open(found.closed));
            nodes.extend(found.map(|found| pull(repository, found, at)));
        }
        if !words
            .iter()
            .any(|word| matches!(*word, "is:pr" | "type:pr"))
        {
            let found = repository
                .issues
                .iter()
                .filter(|found| plain(&found.title) && open(found.closed));
            nodes.extend(found.map(|found| issue(repository, found, at)));
        }
    }
    let mut found = connection("SearchResultItem", nodes);
    found["issueCount"] = found["totalCount"].clone();
    found["repositoryCount"] = found["totalCount"].clone();
    found
}

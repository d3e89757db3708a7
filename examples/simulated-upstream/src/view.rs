//! How people, repositories, issues and pull requests look in REST answers.

use serde_json::{Value, json};

use crate::bare::{Commit, Entry, Reference};
use crate::hosts::Addresses;
use crate::organisation::{Issue, ORGANISATION, Pull, Repository};

/// A user or the organisation.
pub fn account(login: &str, at: &Addresses) -> Value {
    let organisation = login == ORGANISATION;
    let id: u64 = if organisation {
        7001
    } else {
        9001 + login.bytes().map(u64::from).sum::<u64>()
    };
    json!({
        "login": login,
        "id": id,
        "node_id": account_id(login),
        "avatar_url": format!("{}/{login}.png", at.web),
        "url": format!("{}/{}/{login}", at.api, if organisation { "orgs" } else { "users" }),
        "html_url": format!("{}/{login}", at.web),
        "repos_url": format!("{}/{}/{login}/repos", at.api, if organisation { "orgs" } else { "users" }),
        "type": if organisation { "Organization" } else { "User" },
        "site_admin": false,
    })
}

/// The GraphQL id of an account.
pub fn account_id(login: &str) -> String {
    let kind = if login == ORGANISATION { "O" } else { "U" };
    format!("{kind}_{login}")
}

/// A repository, as `GET /repos/{owner}/{name}` shows it.
pub fn repository(repository: &Repository, at: &Addresses) -> Value {
    let full = repository.full_name();
    let open = repository
        .issues
        .iter()
        .filter(|issue| !issue.closed)
        .count()
        + repository.pulls.iter().filter(|pull| !pull.closed).count();
    let url = format!("{}/repos/{full}", at.api);
    json!({
        "id": repository.id,
        "node_id": repository.node_id(),
        "name": repository.name,
        "full_name": full,
        "private": repository.private,
        "visibility": if repository.private { "private" } else { "public" },
        "owner": account(&repository.owner, at),
        "html_url": format!("{}/{full}", at.web),
        "description": repository.description,
        "fork": repository.parent.is_some(),
        "url": url,
        "branches_url": format!("{url}/branches{{/branch}}"),
        "contents_url": format!("{url}/contents/{{+path}}"),
        "pulls_url": format!("{url}/pulls{{/number}}"),
        "hooks_url": format!("{url}/hooks"),
        "git_url": format!("git://github.com/{full}.git"),
        "ssh_url": format!("git@github.com:{full}.git"),
        "clone_url": format!("{}/{full}.git", at.web),
        "created_at": repository.created_at,
        "updated_at": repository.created_at,
        "pushed_at": repository.created_at,
        "size": 12,
        "stargazers_count": 3,
        "watchers_count": 3,
        "forks_count": 0,
        "open_issues_count": open,
        "language": "Rust",
        "has_issues": true,
        "has_projects": true,
        "has_wiki": false,
        "has_downloads": true,
        "archived": repository.archived,
        "disabled": false,
        "is_template": false,
        "topics": [],
        "license": null,
        "default_branch": repository.default_branch,
        "permissions": { "admin": true, "maintain": true, "push": true, "triage": true, "pull": true },
        "allow_squash_merge": true,
        "allow_merge_commit": true,
        "allow_rebase_merge": true,
        "delete_branch_on_merge": false,
    })
}

/// An issue.
pub fn issue(repository: &Repository, issue: &Issue, at: &Addresses) -> Value {
    let full = repository.full_name();
    let labels: Vec<Value> = issue
        .labels
        .iter()
        .map(|name| json!({ "id": 1, "name": name, "color": "d73a4a", "default": true }))
        .collect();
    json!({
        "id": repository.id * 1000 + issue.number,
        "node_id": format!("I_kwDO{:06}{:04}", repository.id, issue.number),
        "number": issue.number,
        "title": issue.title,
        "body": issue.body,
        "state": if issue.closed { "closed" } else { "open" },
        "user": account("ada", at),
        "labels": labels,
        "assignees": [],
        "milestone": null,
        "locked": false,
        "comments": 0,
        "author_association": "MEMBER",
        "url": format!("{}/repos/{full}/issues/{}", at.api, issue.number),
        "repository_url": format!("{}/repos/{full}", at.api),
        "html_url": format!("{}/{full}/issues/{}", at.web, issue.number),
        "created_at": issue.created_at,
        "updated_at": issue.created_at,
        "closed_at": if issue.closed { json!(issue.created_at) } else { Value::Null },
    })
}

/// A pull request, with what `git` knows about it.
pub fn pull(of: &Repository, pull: &Pull, at: &Addresses) -> Value {
    let full = of.full_name();
    let sha = |branch: &str| of.bare.resolve(&format!("refs/heads/{branch}"));
    let side = |branch: &str| {
        json!({
            "label": format!("{}:{branch}", of.owner),
            "ref": branch,
            "sha": sha(branch),
            "user": account(&of.owner, at),
            "repo": repository(of, at),
        })
    };
    let url = format!("{}/repos/{full}/pulls/{}", at.api, pull.number);
    json!({
        "id": of.id * 1000 + pull.number,
        "node_id": pull_id(of, pull),
        "number": pull.number,
        "state": if pull.closed { "closed" } else { "open" },
        "title": pull.title,
        "body": pull.body,
        "draft": pull.draft,
        "locked": false,
        "user": account("ada", at),
        "labels": [],
        "assignees": [],
        "requested_reviewers": [],
        "head": side(&pull.head),
        "base": side(&pull.base),
        "merged": pull.merged.is_some(),
        "merge_commit_sha": pull.merged,
        "merged_at": pull.merged.as_ref().map(|_| &pull.created_at),
        "mergeable": !pull.closed,
        "mergeable_state": if pull.closed { "unknown" } else { "clean" },
        "comments": 0,
        "commits": 1,
        "author_association": "MEMBER",
        "url": url,
        "issue_url": format!("{}/repos/{full}/issues/{}", at.api, pull.number),
        "html_url": format!("{}/{full}/pull/{}", at.web, pull.number),
        "diff_url": format!("{}/{full}/pull/{}.diff", at.web, pull.number),
        "created_at": pull.created_at,
        "updated_at": pull.created_at,
        "closed_at": if pull.closed { json!(pull.created_at) } else { Value::Null },
    })
}

/// The GraphQL id of a pull request.
pub fn pull_id(repository: &Repository, pull: &Pull) -> String {
    format!("PR_kwDO{:06}{:04}", repository.id, pull.number)
}

/// A ref.
pub fn reference(repository: &Repository, reference: &Reference, at: &Addresses) -> Value {
    let base = format!("{}/repos/{}/git", at.api, repository.full_name());
    json!({
        "ref": reference.name,
        "node_id": reference_id(repository, &reference.name),
        "url": format!("{base}/{}", reference.name),
        "object": { "sha": reference.sha, "type": reference.kind, "url": format!("{base}/commits/{}", reference.sha) },
    })
}

/// The GraphQL id of a ref; it can be read back.
pub fn reference_id(repository: &Repository, name: &str) -> String {
    use base64::Engine as _;
    let plain = format!("{}:{name}", repository.node_id());
    format!(
        "REF_{}",
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(plain)
    )
}

/// A commit, as `GET …/commits/{ref}` shows it.
pub fn commit(repository: &Repository, commit: &Commit, at: &Addresses) -> Value {
    let full = repository.full_name();
    let url = format!("{}/repos/{full}/commits/{}", at.api, commit.sha);
    json!({
        "sha": commit.sha,
        "node_id": format!("C_{}", commit.sha),
        "url": url,
        "html_url": format!("{}/{full}/commit/{}", at.web, commit.sha),
        "commit": git_commit(repository, commit, at),
        "author": account("ada", at),
        "committer": account("ada", at),
        "parents": parents(repository, commit, at),
    })
}

/// A commit, as `GET …/git/commits/{sha}` shows it.
pub fn git_commit(repository: &Repository, commit: &Commit, at: &Addresses) -> Value {
    let base = format!("{}/repos/{}/git", at.api, repository.full_name());
    let person = json!({ "name": commit.name, "email": commit.email, "date": commit.date });
    json!({
        "sha": commit.sha,
        "node_id": format!("C_{}", commit.sha),
        "url": format!("{base}/commits/{}", commit.sha),
        "message": commit.message,
        "author": person,
        "committer": person,
        "tree": { "sha": commit.tree, "url": format!("{base}/trees/{}", commit.tree) },
        "parents": parents(repository, commit, at),
        "comment_count": 0,
        "verification": { "verified": false, "reason": "unsigned", "signature": null, "payload": null },
    })
}

fn parents(repository: &Repository, commit: &Commit, at: &Addresses) -> Value {
    let url = format!("{}/repos/{}/commits", at.api, repository.full_name());
    commit
        .parents
        .iter()
        .map(|sha| json!({ "sha": sha, "url": format!("{url}/{sha}") }))
        .collect()
}

/// An entry of a tree in the git database.
pub fn tree_entry(repository: &Repository, entry: &Entry, at: &Addresses) -> Value {
    let base = format!("{}/repos/{}/git", at.api, repository.full_name());
    let kind = if entry.kind == "tree" {
        "trees"
    } else {
        "blobs"
    };
    let mut shown = json!({
        "path": entry.path,
        "mode": entry.mode,
        "type": entry.kind,
        "sha": entry.sha,
        "url": format!("{base}/{kind}/{}", entry.sha),
    });
    if let Some(size) = entry.size {
        shown["size"] = json!(size);
    }
    shown
}

//! Pull requests and issues.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Call, Name, git_data};
use crate::answer::Answer;
use crate::organisation::{Issue, Organisation, Pull, Repository, VIEWER, now};
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
        ("GET", ["pulls"]) => {
            let base = call.parameter("base");
            let head = call
                .parameter("head")
                .rsplit(':')
                .next()
                .unwrap_or_default();
            let wanted = repository.pulls.iter().rev().filter(|pull| {
                state(call, pull.closed)
                    && (base.is_empty() || pull.base == base)
                    && (head.is_empty() || pull.head == head)
            });
            Ok(call.page(
                wanted
                    .map(|pull| view::pull(repository, pull, at))
                    .collect(),
            ))
        }
        ("POST", ["pulls"]) => {
            let (head, base) = (
                call.required("PullRequest", "head")?,
                call.required("PullRequest", "base")?,
            );
            let draft = call.body["draft"].as_bool().unwrap_or(false);
            let pull =
                repository.open_pull(call.text("title"), call.text("body"), head, base, draft)?;
            Ok(Answer::created(view::pull(repository, &pull, at)))
        }
        (_, ["pulls", number, rest @ ..]) => {
            one_pull(repository, call, method, parsed(number)?, rest)
        }
        ("GET", ["issues"]) => {
            let issues = repository
                .issues
                .iter()
                .rev()
                .filter(|issue| state(call, issue.closed));
            let mut shown: Vec<Value> = issues
                .map(|issue| view::issue(repository, issue, at))
                .collect();
            for pull in repository
                .pulls
                .iter()
                .filter(|pull| state(call, pull.closed))
            {
                shown.push(as_issue(repository, call, pull.number)?);
            }
            Ok(call.page(shown))
        }
        ("POST", ["issues"]) => {
            let title = call.required("Issue", "title")?.to_owned();
            let labels = call.body["labels"].as_array().into_iter().flatten();
            let issue = Issue {
                number: repository.next_number(),
                title,
                body: call.text("body").to_owned(),
                closed: false,
                labels: labels
                    .filter_map(|label| Some(label.as_str()?.to_owned()))
                    .collect(),
                created_at: now(),
            };
            repository.issues.push(issue.clone());
            Ok(Answer::created(view::issue(repository, &issue, at)))
        }
        (_, ["issues", number, rest @ ..]) => {
            one_issue(repository, call, method, parsed(number)?, rest)
        }
        ("GET", ["labels"]) => Ok(Answer::ok(
            json!([{ "id": 1, "name": "bug", "color": "d73a4a", "default": true }]),
        )),
        ("GET", ["assignees"]) => Ok(Answer::ok(json!([
            view::account("ada", at),
            view::account(VIEWER, at)
        ]))),
        _ => super::shelves::keep(&mut repository.shelves, call, method, path, repository.id),
    }
}

fn parsed(number: &str) -> Outcome<u64> {
    number.parse().map_err(|_| Refusal::not_found())
}

fn state(call: &Call, closed: bool) -> bool {
    match call.parameter("state") {
        "all" => true,
        "closed" => closed,
        _ => !closed,
    }
}

fn as_issue(repository: &Repository, call: &Call, number: u64) -> Outcome<Value> {
    let pull = repository.pull(number)?;
    let issue = Issue {
        number,
        title: pull.title.clone(),
        body: pull.body.clone(),
        closed: pull.closed,
        labels: Vec::new(),
        created_at: pull.created_at.clone(),
    };
    let mut shown = view::issue(repository, &issue, &call.at);
    shown["pull_request"] = json!({ "url": format!("{}/repos/{}/pulls/{number}", call.at.api, repository.full_name()) });
    Ok(shown)
}

fn one_pull(
    repository: &mut Repository,
    call: &Call,
    method: &str,
    number: u64,
    path: &[&str],
) -> Outcome<Answer> {
    let at = &call.at;
    let pull = repository.pull(number)?.clone();
    match (method, path) {
        ("GET", []) if call.accept.contains("diff") => {
            let (base, head) = sides(repository, &pull)?;
            Ok(Answer::bytes(
                "application/vnd.github.diff; charset=utf-8",
                repository.bare.diff(&base, &head)?.into_bytes(),
            ))
        }
        ("GET", []) => Ok(Answer::ok(view::pull(repository, &pull, at))),
        ("PATCH", []) => {
            let changed = repository.pull_mut(number)?;
            if let Some(title) = call.body["title"].as_str() {
                changed.title = title.to_owned();
            }
            if let Some(body) = call.body["body"].as_str() {
                changed.body = body.to_owned();
            }
            if let Some(base) = call.body["base"].as_str() {
                changed.base = base.to_owned();
            }
            if let Some(state) = call.body["state"].as_str() {
                changed.closed = state == "closed";
            }
            let changed = changed.clone();
            Ok(Answer::ok(view::pull(repository, &changed, at)))
        }
        ("GET", ["merge"]) if pull.merged.is_some() => Ok(Answer::no_content()),
        ("PUT", ["merge"]) => {
            let method = call.body["merge_method"].as_str().unwrap_or("merge");
            if let Some(sha) = call.body["sha"].as_str()
                && repository
                    .bare
                    .resolve(&format!("refs/heads/{}", pull.head))
                    .as_deref()
                    != Some(sha)
            {
                return Err(Refusal::conflict(
                    "Head branch was modified. Review and try the merge again.",
                ));
            }
            let sha = repository.merge_pull(number, method, call.body["commit_title"].as_str())?;
            Ok(Answer::ok(
                json!({ "sha": sha, "merged": true, "message": "Pull Request successfully merged" }),
            ))
        }
        ("PUT", ["update-branch"]) => {
            let message = format!("Merge branch '{}' into {}", pull.base, pull.head);
            repository.merge(&pull.head, &pull.base, &message, "merge")?;
            Ok(Answer::new(
                StatusCode::ACCEPTED,
                json!({ "message": "Updating pull request branch." }),
            ))
        }
        ("GET", ["files"]) => {
            let (base, head) = sides(repository, &pull)?;
            Ok(Answer::ok(git_data::files(repository, &base, &head)?))
        }
        ("GET", ["commits"]) => {
            let (base, head) = sides(repository, &pull)?;
            let commits = repository.bare.log(&format!("{base}..{head}"), "", 250)?;
            Ok(Answer::ok(
                commits
                    .iter()
                    .rev()
                    .map(|commit| view::commit(repository, commit, at))
                    .collect(),
            ))
        }
        ("POST", ["reviews"]) => {
            let state = match call.text("event") {
                "APPROVE" => "APPROVED",
                "REQUEST_CHANGES" => "CHANGES_REQUESTED",
                "COMMENT" => "COMMENTED",
                _ => "PENDING",
            };
            let mut review = call.body.clone();
            review["number"] = json!(number);
            review["state"] = json!(state);
            review["user"] = view::account(VIEWER, at);
            let id = repository.shelves.get("reviews").map_or(0, Vec::len) + 1;
            review["id"] = json!(id);
            repository
                .shelves
                .entry("reviews".into())
                .or_default()
                .push(review.clone());
            Ok(Answer::ok(review))
        }
        ("GET", ["reviews"]) => {
            let reviews = repository.shelves.get("reviews").into_iter().flatten();
            Ok(Answer::ok(
                reviews
                    .filter(|review| review["number"] == number)
                    .cloned()
                    .collect(),
            ))
        }
        ("GET" | "POST" | "DELETE", ["requested_reviewers"]) => {
            let shown = view::pull(repository, &pull, at);
            Ok(if method == "POST" {
                Answer::created(shown)
            } else {
                Answer::ok(shown)
            })
        }
        (_, ["comments", ..]) => {
            super::shelves::keep(&mut repository.shelves, call, method, path, number)
        }
        _ => Err(Refusal::not_found()),
    }
}

/// What a pull request changes from and to: merge base and head, and once merged the merge commit and what was before it.
fn sides(repository: &Repository, pull: &Pull) -> Outcome<(String, String)> {
    if let Some(merge) = &pull.merged {
        let before = repository.bare.commit(merge)?.parents.into_iter().next();
        return Ok((before.ok_or_else(Refusal::not_found)?, merge.clone()));
    }
    let tip = |branch: &str| {
        repository
            .bare
            .resolve(&format!("refs/heads/{branch}"))
            .ok_or_else(Refusal::not_found)
    };
    let (base, head) = (tip(&pull.base)?, tip(&pull.head)?);
    let meeting = repository.bare.merge_base(&base, &head).unwrap_or(base);
    Ok((meeting, head))
}

fn one_issue(
    repository: &mut Repository,
    call: &Call,
    method: &str,
    number: u64,
    path: &[&str],
) -> Outcome<Answer> {
    let at = &call.at;
    if repository.issue_mut(number).is_err() && path.is_empty() && method == "GET" {
        return Ok(Answer::ok(as_issue(repository, call, number)?));
    }
    if repository.issue_mut(number).is_err() {
        repository.pull(number)?;
    }
    match (method, path) {
        ("GET", []) => {
            let issue = repository.issue_mut(number)?.clone();
            Ok(Answer::ok(view::issue(repository, &issue, at)))
        }
        ("PATCH", []) => {
            let issue = repository.issue_mut(number)?;
            if let Some(title) = call.body["title"].as_str() {
                issue.title = title.to_owned();
            }
            if let Some(body) = call.body["body"].as_str() {
                issue.body = body.to_owned();
            }
            if let Some(state) = call.body["state"].as_str() {
                issue.closed = state == "closed";
            }
            let issue = issue.clone();
            Ok(Answer::ok(view::issue(repository, &issue, at)))
        }
        ("POST", ["comments"]) => {
            let body = call.required("IssueComment", "body")?;
            let id = repository.shelves.get("comments").map_or(0, Vec::len) + 1;
            let html = format!(
                "{}/{}/issues/{number}#issuecomment-{id}",
                at.web,
                repository.full_name()
            );
            let comment = json!({
                "id": id, "number": number, "body": body, "html_url": html,
                "user": view::account(VIEWER, at), "created_at": now(), "updated_at": now(),
            });
            repository
                .shelves
                .entry("comments".into())
                .or_default()
                .push(comment.clone());
            Ok(Answer::created(comment))
        }
        ("GET", ["comments"]) => {
            let comments = repository.shelves.get("comments").into_iter().flatten();
            Ok(call.page(
                comments
                    .filter(|comment| comment["number"] == number)
                    .cloned()
                    .collect(),
            ))
        }
        (_, ["labels", ..]) => {
            let issue = repository.issue_mut(number)?;
            let given = call.body["labels"]
                .as_array()
                .or(call.body.as_array())
                .into_iter()
                .flatten();
            issue
                .labels
                .extend(given.filter_map(|label| Some(label.as_str()?.to_owned())));
            Ok(Answer::ok(
                issue
                    .labels
                    .iter()
                    .map(|name| json!({ "name": name }))
                    .collect(),
            ))
        }
        _ => Err(Refusal::not_found()),
    }
}

//! The tools: each is one or a few REST calls, so that both ways have the same effect.

use serde_json::{Map, Value, json};

use crate::answer::Content;
use crate::api::{self, Call};
use crate::bare::Change;
use crate::hosts::Addresses;
use crate::refusal::{Outcome, Refusal};
use crate::upstream::Upstream;

/// Name, description, what it does to the world, and its arguments (`*` marks the required ones).
type Tool = (&'static str, &'static str, Effect, &'static str);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    Reads,
    Writes,
    Destroys,
}

use Effect::{Destroys, Reads, Writes};

const TOOLS: [Tool; 24] = [
    ("get_me", "Get details of the authenticated user", Reads, ""),
    ("search_repositories", "Find repositories", Reads, "query*"),
    (
        "get_file_contents",
        "Get the contents of a file or directory",
        Reads,
        "owner* repo* path ref",
    ),
    (
        "list_branches",
        "List branches of a repository",
        Reads,
        "owner* repo*",
    ),
    (
        "list_commits",
        "List commits of a branch",
        Reads,
        "owner* repo* sha path",
    ),
    (
        "get_commit",
        "Get details of a commit",
        Reads,
        "owner* repo* sha*",
    ),
    (
        "list_issues",
        "List issues of a repository",
        Reads,
        "owner* repo* state",
    ),
    (
        "issue_read",
        "Get an issue or its comments",
        Reads,
        "owner* repo* issue_number#* method",
    ),
    (
        "list_pull_requests",
        "List pull requests of a repository",
        Reads,
        "owner* repo* state",
    ),
    (
        "pull_request_read",
        "Get a pull request, its diff or its files",
        Reads,
        "owner* repo* pullNumber#* method",
    ),
    (
        "create_repository",
        "Create a repository",
        Writes,
        "name* organization description private? autoInit?",
    ),
    (
        "fork_repository",
        "Fork a repository",
        Writes,
        "owner* repo* organization",
    ),
    (
        "delete_repository",
        "Delete a repository for good",
        Destroys,
        "owner* repo*",
    ),
    (
        "create_branch",
        "Create a branch",
        Writes,
        "owner* repo* branch* from_branch",
    ),
    (
        "create_or_update_file",
        "Create or update one file in one commit",
        Writes,
        "owner* repo* path* content* message* branch* sha",
    ),
    (
        "push_files",
        "Push several files in one commit",
        Writes,
        "owner* repo* branch* message* files@*",
    ),
    (
        "delete_file",
        "Delete a file",
        Destroys,
        "owner* repo* path* message* branch*",
    ),
    (
        "create_pull_request",
        "Open a pull request",
        Writes,
        "owner* repo* title* head* base* body draft?",
    ),
    (
        "merge_pull_request",
        "Merge a pull request",
        Writes,
        "owner* repo* pullNumber#* merge_method commit_title",
    ),
    (
        "issue_write",
        "Create or update an issue",
        Writes,
        "owner* repo* method* issue_number# title body state",
    ),
    (
        "add_issue_comment",
        "Comment on an issue or pull request",
        Writes,
        "owner* repo* issue_number#* body*",
    ),
    (
        "create_gist",
        "Create a gist",
        Writes,
        "filename* content* description public?",
    ),
    (
        "actions_run_trigger",
        "Run a workflow",
        Destroys,
        "owner* repo* method* workflow_id ref",
    ),
    (
        "star_repository",
        "Star a repository",
        Writes,
        "owner* repo*",
    ),
];

/// The tools as `tools/list` shows them.
pub fn list(readonly: bool) -> Vec<Value> {
    let shown = TOOLS
        .iter()
        .filter(|(_, _, effect, _)| !readonly || *effect == Reads);
    shown
        .map(|(name, description, effect, arguments)| {
            let mut properties = Map::new();
            let mut required = Vec::new();
            for argument in arguments.split_whitespace() {
                let plain = argument.trim_end_matches(['*', '#', '?', '@']);
                let kind = match argument.strip_prefix(plain).unwrap_or_default().trim_end_matches('*') {
                    "#" => json!({ "type": "number" }),
                    "?" => json!({ "type": "boolean" }),
                    "@" => {
                        let file = json!({ "path": { "type": "string" }, "content": { "type": "string" } });
                        json!({ "type": "array", "items": { "type": "object", "properties": file, "required": ["path", "content"] } })
                    }
                    _ => json!({ "type": "string" }),
                };
                properties.insert(plain.to_owned(), kind);
                if argument.ends_with('*') {
                    required.push(plain);
                }
            }
            json!({
                "name": name,
                "description": description,
                "inputSchema": { "type": "object", "properties": properties, "required": required },
                "annotations": { "title": description, "readOnlyHint": *effect == Reads, "destructiveHint": *effect == Destroys },
            })
        })
        .collect()
}

/// Whether there is such a tool.
pub fn known(name: &str, readonly: bool) -> bool {
    TOOLS
        .iter()
        .any(|tool| tool.0 == name && (!readonly || tool.2 == Reads))
}

/// Calls a tool.
pub fn call(upstream: &Upstream, at: &Addresses, name: &str, arguments: &Value) -> Outcome<Value> {
    let tool = TOOLS
        .iter()
        .find(|tool| tool.0 == name)
        .ok_or_else(Refusal::not_found)?;
    for argument in tool
        .3
        .split_whitespace()
        .filter(|argument| argument.ends_with('*'))
    {
        let plain = argument.trim_end_matches(['*', '#', '?', '@']);
        if arguments[plain].is_null() {
            return Err(Refusal::unprocessable(format!(
                "missing required parameter: {plain}"
            )));
        }
    }
    let text = |member: &str| arguments[member].as_str().unwrap_or_default();
    let number = |member: &str| {
        arguments[member]
            .as_u64()
            .map_or_else(String::new, |number| number.to_string())
    };
    let rest = |method: &str, path: &[&str], query: &[(&str, &str)], body: Value| {
        let call = Call {
            method: method.to_owned(),
            segments: path
                .iter()
                .filter(|part| !part.is_empty())
                .map(|part| (*part).to_owned())
                .collect(),
            query: query
                .iter()
                .filter(|pair| !pair.1.is_empty())
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            body,
            raw: Default::default(),
            accept: String::new(),
            at: at.clone(),
        };
        api::answer(upstream, &call).map(|answer| match answer.body {
            Content::Json(body) => body,
            Content::Bytes(_, bytes) => json!(String::from_utf8_lossy(&bytes)),
            Content::Empty => json!({ "status": answer.status.as_u16() }),
        })
    };
    let (owner, repo) = (text("owner"), text("repo"));
    let none = Value::Null;
    match name {
        "get_me" => rest("GET", &["user"], &[], none),
        "search_repositories" => rest(
            "GET",
            &["search", "repositories"],
            &[("q", text("query"))],
            none,
        ),
        "get_file_contents" => rest(
            "GET",
            &["repos", owner, repo, "contents", text("path")],
            &[("ref", text("ref"))],
            none,
        )
        .map(readable),
        "list_branches" => rest("GET", &["repos", owner, repo, "branches"], &[], none),
        "list_commits" => rest(
            "GET",
            &["repos", owner, repo, "commits"],
            &[("sha", text("sha")), ("path", text("path"))],
            none,
        ),
        "get_commit" => rest(
            "GET",
            &["repos", owner, repo, "commits", text("sha")],
            &[],
            none,
        ),
        "list_issues" => rest(
            "GET",
            &["repos", owner, repo, "issues"],
            &[("state", &text("state").to_lowercase())],
            none,
        ),
        "issue_read" => {
            let tail = if text("method") == "get_comments" {
                "comments"
            } else {
                ""
            };
            rest(
                "GET",
                &[
                    "repos",
                    owner,
                    repo,
                    "issues",
                    &number("issue_number"),
                    tail,
                ],
                &[],
                none,
            )
        }
        "list_pull_requests" => rest(
            "GET",
            &["repos", owner, repo, "pulls"],
            &[("state", text("state"))],
            none,
        ),
        "pull_request_read" => {
            let tail = if text("method") == "get_files" {
                "files"
            } else {
                ""
            };
            rest(
                "GET",
                &["repos", owner, repo, "pulls", &number("pullNumber"), tail],
                &[],
                none,
            )
        }
        "create_repository" => {
            let body = json!({
                "name": text("name"), "description": text("description"), "private": arguments["private"], "auto_init": arguments["autoInit"],
            });
            match text("organization") {
                "" => rest("POST", &["user", "repos"], &[], body),
                organisation => rest("POST", &["orgs", organisation, "repos"], &[], body),
            }
        }
        "fork_repository" => rest(
            "POST",
            &["repos", owner, repo, "forks"],
            &[],
            json!({ "organization": arguments["organization"] }),
        ),
        "delete_repository" => rest("DELETE", &["repos", owner, repo], &[], none),
        "create_branch" => {
            let from = match text("from_branch") {
                "" => rest("GET", &["repos", owner, repo], &[], Value::Null)?["default_branch"]
                    .as_str()
                    .unwrap_or("main")
                    .to_owned(),
                from => from.to_owned(),
            };
            let source = rest(
                "GET",
                &["repos", owner, repo, "git", "ref", "heads", &from],
                &[],
                Value::Null,
            )?;
            let body = json!({ "ref": format!("refs/heads/{}", text("branch")), "sha": source["object"]["sha"] });
            rest("POST", &["repos", owner, repo, "git", "refs"], &[], body)
        }
        "create_or_update_file" => {
            let path = ["repos", owner, repo, "contents", text("path")];
            let current = rest("GET", &path, &[("ref", text("branch"))], Value::Null).ok();
            let sha = arguments["sha"]
                .as_str()
                .map(str::to_owned)
                .or(current.and_then(|found| Some(found["sha"].as_str()?.to_owned())));
            rest(
                "PUT",
                &path,
                &[],
                json!({ "message": text("message"), "content": encoded(text("content")), "branch": text("branch"), "sha": sha }),
            )
        }
        "push_files" => push(upstream, at, arguments),
        "delete_file" => {
            let path = ["repos", owner, repo, "contents", text("path")];
            let current = rest("GET", &path, &[("ref", text("branch"))], Value::Null)?;
            rest(
                "DELETE",
                &path,
                &[],
                json!({ "message": text("message"), "branch": text("branch"), "sha": current["sha"] }),
            )
        }
        "create_pull_request" => {
            let body = json!({
                "title": text("title"), "head": text("head"), "base": text("base"), "body": text("body"), "draft": arguments["draft"],
            });
            rest("POST", &["repos", owner, repo, "pulls"], &[], body)
        }
        "merge_pull_request" => {
            let body = json!({ "merge_method": arguments["merge_method"], "commit_title": arguments["commit_title"] });
            rest(
                "PUT",
                &[
                    "repos",
                    owner,
                    repo,
                    "pulls",
                    &number("pullNumber"),
                    "merge",
                ],
                &[],
                body,
            )
        }
        "issue_write" if text("method") == "update" => rest(
            "PATCH",
            &["repos", owner, repo, "issues", &number("issue_number")],
            &[],
            arguments.clone(),
        ),
        "issue_write" => rest(
            "POST",
            &["repos", owner, repo, "issues"],
            &[],
            json!({ "title": arguments["title"], "body": text("body") }),
        ),
        "add_issue_comment" => rest(
            "POST",
            &[
                "repos",
                owner,
                repo,
                "issues",
                &number("issue_number"),
                "comments",
            ],
            &[],
            json!({ "body": text("body") }),
        ),
        "create_gist" => {
            let files = json!({ text("filename"): { "content": text("content") } });
            rest(
                "POST",
                &["gists"],
                &[],
                json!({ "files": files, "description": text("description"), "public": arguments["public"] }),
            )
        }
        "actions_run_trigger" => {
            let path = [
                "repos",
                owner,
                repo,
                "actions",
                "workflows",
                text("workflow_id"),
                "dispatches",
            ];
            rest("POST", &path, &[], json!({ "ref": arguments["ref"] }))
        }
        "star_repository" => rest("PUT", &["user", "starred", owner, repo], &[], none),
        _ => Err(Refusal::not_found()),
    }
}

fn encoded(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// A file's text instead of its base64: what a model can read.
fn readable(mut file: Value) -> Value {
    use base64::Engine as _;
    let compact: Option<String> = file["content"]
        .as_str()
        .map(|content| content.split_whitespace().collect());
    if let Some(bytes) = compact.and_then(|compact| {
        base64::engine::general_purpose::STANDARD
            .decode(compact)
            .ok()
    }) {
        file["content"] = json!(String::from_utf8_lossy(&bytes));
        file["encoding"] = json!("utf-8");
    }
    file
}

/// `push_files`: one commit with all of them.
fn push(upstream: &Upstream, at: &Addresses, arguments: &Value) -> Outcome<Value> {
    let text = |member: &str| arguments[member].as_str().unwrap_or_default();
    let mut organisation = upstream.organisation();
    let repository = organisation.writable(text("owner"), text("repo"))?;
    let mut changes = Vec::new();
    for file in arguments["files"].as_array().into_iter().flatten() {
        let (Some(path), Some(content)) = (file["path"].as_str(), file["content"].as_str()) else {
            return Err(Refusal::unprocessable(
                "each file must have a path and content",
            ));
        };
        let sha = repository.bare.write_blob(content.as_bytes())?;
        changes.push(Change {
            path: path.to_owned(),
            entry: Some(("100644".into(), sha)),
        });
    }
    if changes.is_empty() {
        return Err(Refusal::unprocessable("files must not be empty"));
    }
    repository
        .bare
        .commit_on(text("branch"), &changes, text("message"), None)?;
    let name = format!("refs/heads/{}", text("branch"));
    let moved = repository
        .bare
        .reference(&name)
        .ok_or_else(Refusal::not_found)?;
    Ok(crate::view::reference(repository, &moved, at))
}

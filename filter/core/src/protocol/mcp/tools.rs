//! A call of a tool, and the operations it is.
//!
//! On GitHub's own server a tool is the operation it performs (`table`), and one that is not in the
//! table is a write that nobody knows. On another server it is `mcp.call`.

use serde_json::{Map, Value};

use super::server::Server;
use super::table::{self, Reads};
use crate::operation::{Operation, Paths, Target};
use crate::protocol::github::{file_paths, search_within};
use crate::protocol::{Fault, body, branch_target, ref_target, repo_target};

/// The arguments that decide. A server that reads names without regard to case must not find one of
/// them where this reader does not.
const DECIDING: &[&str] = &[
    "owner",
    "repo",
    "branch",
    "path",
    "files",
    "method",
    "ref",
    "event",
    "name",
    "org",
    "organization",
    "level",
    "user",
    "username",
    "private",
    "public",
    "workflow_id",
    "query",
    "item_owner",
    "item_repo",
];

/// The operations of one `tools/call`.
pub(super) fn operations(
    server: Server<'_>,
    tool: &str,
    arguments: &Map<String, Value>,
) -> Result<Vec<Operation>, Fault> {
    let mut call = Operation {
        name: "mcp.call".to_owned(),
        aliases: vec![format!("mcp:{}/{tool}", server.name())],
        write: true,
        ..Operation::default()
    };
    set(&mut call, "tool", tool);
    set(&mut call, "server", server.name());
    if server.may_be_github() {
        body::exact_names(arguments, DECIDING)?;
        if let Some(Value::Array(files)) = arguments.get("files") {
            for file in files.iter().filter_map(Value::as_object) {
                body::exact_names(file, &["path"])?;
            }
        }
        call.aliases.push(format!("mcp:{tool}"));
    }
    let text = |name: &str| arguments.get(name).and_then(Value::as_str);
    for name in ["method", "event", "workflow_id", "level"] {
        if let Some(value) = text(name) {
            set(&mut call, name, value);
        }
    }
    // Another server's tool has no repository, unless it says so in GitHub's words.
    let named = match (text("owner"), text("repo")) {
        (Some(owner), Some(repo)) => Some(repo_target(owner, repo)),
        _ => None,
    };
    let known = server.may_be_github().then(|| table::find(tool)).flatten();
    match (known, server) {
        (Some((name, reads)), _) => {
            call.repo = named.unwrap_or(Target::Any);
            Ok(performed(call, tool, name, reads, arguments))
        }
        (None, Server::GitHub) => {
            call.name = "github.unknown_write".to_owned();
            call.repo = named.unwrap_or(Target::Any);
            call.reference = Target::Any;
            Ok(vec![call])
        }
        (None, Server::Unstated(_) | Server::Named(_)) => {
            call.repo = named.unwrap_or_default();
            Ok(vec![call])
        }
    }
}

/// What a tool of GitHub's does.
fn performed(
    call: Operation,
    tool: &str,
    name: &str,
    reads: Reads,
    arguments: &Map<String, Value>,
) -> Vec<Operation> {
    let text = |name: &str| arguments.get(name).and_then(Value::as_str);
    let mut first = call;
    first.name = name.to_owned();
    first.aliases.push("mcp.call".to_owned());
    first.write = !name.ends_with(".read") && !name.starts_with("mcp.");
    match reads {
        Reads::Repo => {}
        Reads::User => {
            first.repo = Target::None;
            // The account behind the credential, or whoever's gist it is.
            if first.write || name.starts_with("gist.") {
                first.account = Target::Any;
            }
        }
        Reads::Anywhere => first.repo = Target::Any,
        Reads::Search => {
            // The server puts `owner` and `repo` behind the query.
            let query = text("query").unwrap_or_default();
            let query = match (text("owner"), text("repo")) {
                (Some(owner), Some(repo)) => format!("{query} repo:{owner}/{repo}"),
                _ => query.to_owned(),
            };
            return search_within(&first, Some(&query));
        }
        Reads::Account => {
            first.repo = Target::None;
            first.account = account(arguments);
            // An issue of any repository may be put into a project.
            if let (Some(owner), Some(repo)) = (text("item_owner"), text("item_repo")) {
                first.repo = repo_target(owner, repo);
            }
        }
        Reads::Level => match text("level") {
            Some("repository") | None => {}
            Some(_) => {
                first.repo = Target::None;
                first.account = account(arguments);
                // There it says what properties there are, not which one a repository has.
                if name == "property.write" {
                    first.name = "property.schema".to_owned();
                }
            }
        },
        Reads::File(change) => return file(first, change, arguments),
        Reads::Files => return files(first, arguments),
        Reads::FileMethod => {
            return match text("method") {
                Some("create" | "update") => file(first, "write", arguments),
                Some("delete") => file(first, "delete", arguments),
                Some("push_files") => files(first, arguments),
                _ => {
                    first.paths = Paths::Unknown;
                    first.reference = branch(text("branch"));
                    moved(first)
                }
            };
        }
        Reads::Branch => {
            first.aliases.push("ref.push".to_owned());
            first.reference = branch(text("branch"));
        }
        Reads::Pull => first.reference = Target::Any,
        Reads::Fork => {
            // GitHub gives the copy the name of its source, or another where that is taken.
            let mut copy = Operation {
                name: "repo.create".to_owned(),
                repo: Target::Any,
                account: match text("organization") {
                    Some(name) if !name.is_empty() => Target::Known(name.to_ascii_lowercase()),
                    Some(_) | None => Target::Any,
                },
                ..first.clone()
            };
            set(&mut copy, "change", "fork");
            return vec![first, copy];
        }
        Reads::NewRepo => {
            first.account = account(arguments);
            first.repo = match (text("organization"), text("name")) {
                (Some(owner), Some(name)) => repo_target(owner, name),
                _ => Target::Any,
            };
            if let Some(Value::Bool(private)) = arguments.get("private") {
                let visibility = if *private { "private" } else { "public" };
                set(&mut first, "visibility", visibility);
            }
        }
        Reads::Issue => {
            if text("method") == Some("create") {
                first.name = "issue.create".to_owned();
            }
        }
        Reads::Review => {
            first.reference = Target::Any;
            if !matches!(
                arguments.get("event").map(Value::as_str),
                None | Some(Some("COMMENT" | "REQUEST_CHANGES"))
            ) {
                let approve = Operation {
                    name: "pr.approve".to_owned(),
                    ..first.clone()
                };
                return vec![first, approve];
            }
        }
        Reads::Actions => {
            first.reference = branch(text("ref"));
            return triggered(first, tool, text("method"));
        }
        Reads::ActionsGet => match text("method") {
            Some("get_workflow_run_logs_url" | "get_workflow_run_logs") => {
                first.name = "run_logs.read".to_owned();
            }
            Some("download_workflow_run_artifact") => first.name = "artifact.read".to_owned(),
            Some(_) | None => {}
        },
        Reads::Contents => {
            first.aliases.push("content.read".to_owned());
            // Without a path it is the root folder.
            first.paths = match text("path").map(|path| path.trim_matches('/')) {
                None | Some("") => Paths::None,
                Some(path) => file_paths(std::iter::once(path)),
            };
            if let Some(name) = text("ref") {
                set(&mut first, "ref", name);
            }
        }
    }
    // Copilot is put to work: by a new pull request, or by an issue that is given to it.
    match tool {
        "create_pull_request_with_copilot" => first.aliases.push("pr.create".to_owned()),
        "assign_copilot_to_issue" | "assign_copilot_to_issue_with_intent" => {
            first.aliases.push("issue.update".to_owned());
        }
        _ => {}
    }
    if name == "gist.create" {
        let public = arguments.get("public") == Some(&Value::Bool(true));
        let visibility = if public { "public" } else { "secret" };
        set(&mut first, "visibility", visibility);
    }
    vec![first]
}

/// What `actions_run_trigger` does by its `method`. A deprecated name of it says one thing and its
/// `method` may say another: then it counts as both.
fn triggered(first: Operation, tool: &str, method: Option<&str>) -> Vec<Operation> {
    let by_method = match method {
        Some("rerun_workflow_run" | "rerun_failed_jobs") => "run.rerun",
        Some("cancel_workflow_run") => "run.cancel",
        Some("delete_workflow_run_logs") => "run.delete_logs",
        None if tool != "actions_run_trigger" => return vec![first],
        // `run_workflow`, and whatever else it may learn: the one with the most effect.
        Some(_) | None => "workflow.dispatch",
    };
    let second = Operation {
        name: by_method.to_owned(),
        ..first.clone()
    };
    if tool == "actions_run_trigger" || second.name == first.name {
        return vec![second];
    }
    vec![first, second]
}

fn file(mut first: Operation, change: &str, arguments: &Map<String, Value>) -> Vec<Operation> {
    let text = |name: &str| arguments.get(name).and_then(Value::as_str);
    first.reference = branch(text("branch"));
    first.paths = file_paths(text("path").into_iter());
    set(&mut first, "change", change);
    if change == "delete" {
        first.aliases.push("content.delete".to_owned());
    }
    moved(first)
}

fn files(mut first: Operation, arguments: &Map<String, Value>) -> Vec<Operation> {
    first.reference = branch(arguments.get("branch").and_then(Value::as_str));
    first.paths = paths(arguments.get("files"));
    set(&mut first, "change", "write");
    moved(first)
}

/// The files, and the branch that moves to hold them.
fn moved(first: Operation) -> Vec<Operation> {
    let mut moved = Operation {
        name: "ref.update".to_owned(),
        ..first.clone()
    };
    moved.aliases.retain(|alias| alias != "content.delete");
    moved.aliases.push("ref.push".to_owned());
    vec![first, moved]
}

/// The organisation or user that the arguments name; any, where they name none.
fn account(arguments: &Map<String, Value>) -> Target {
    let named = ["organization", "org", "owner", "username", "user"]
        .iter()
        .find_map(|name| arguments.get(*name).and_then(Value::as_str));
    match named {
        Some(name) if !name.is_empty() => Target::Known(name.to_ascii_lowercase()),
        Some(_) | None => Target::Any,
    }
}

/// A branch name, or a full ref; absent, it is the default branch.
fn branch(name: Option<&str>) -> Target {
    match name {
        Some(name) if name.starts_with("refs/") => ref_target(name.to_owned()),
        Some(name) => branch_target(name),
        None => Target::Any,
    }
}

fn paths(files: Option<&Value>) -> Paths {
    let Some(Value::Array(files)) = files else {
        return Paths::Unknown;
    };
    let mut paths = Vec::with_capacity(files.len());
    for file in files {
        match file.get("path").and_then(Value::as_str) {
            Some(path) => paths.push(path),
            None => return Paths::Unknown,
        }
    }
    file_paths(paths.into_iter())
}

/// Every call of a tool that has other operations than another one, with nothing known of its
/// targets: what a rule says of all of them, it says of the tool.
pub(super) fn variants(server: Server<'_>, tool: &str) -> Vec<Vec<Operation>> {
    let methods: &[&str] = match table::find(tool) {
        Some((_, Reads::Actions)) => &[
            "run_workflow",
            "rerun_workflow_run",
            "cancel_workflow_run",
            "delete_workflow_run_logs",
        ],
        Some((_, Reads::ActionsGet)) => &[
            "get_workflow",
            "get_workflow_run_logs",
            "download_workflow_run_artifact",
        ],
        Some((_, Reads::Issue)) => &["create", "update"],
        Some((_, Reads::FileMethod)) => &["create", "delete"],
        Some(_) | None => &[""],
    };
    methods
        .iter()
        .filter_map(|method| {
            let mut arguments = Map::new();
            if !method.is_empty() {
                arguments.insert("method".to_owned(), Value::from(*method));
            }
            let operations = operations(server, tool, &arguments).ok()?;
            Some(operations.into_iter().map(with_any_target).collect())
        })
        .collect()
}

fn with_any_target(operation: Operation) -> Operation {
    Operation {
        repo: Target::Any,
        account: Target::Any,
        reference: Target::Any,
        paths: Paths::Unknown,
        ..operation
    }
}

pub(super) fn set(operation: &mut Operation, name: &str, value: &str) {
    operation
        .attributes
        .insert(name.to_owned(), value.to_owned());
}

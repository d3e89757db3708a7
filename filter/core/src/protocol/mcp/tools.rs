//! The tools of GitHub's MCP server, and the operations they are.
//!
//! Names and arguments are those of github-mcp-server's tool snapshots. Tools that take a `method`
//! are told apart by it. Any other tool is `mcp.call`.

use serde_json::{Map, Value};

use crate::operation::{Operation, Paths, Target};
use crate::protocol::github::file_paths;
use crate::protocol::{branch_target, ref_target, repo_target};

/// Where the attributes of a tool are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    /// `owner` and `repo`, where it has them.
    Repo,
    /// No repository.
    User,
    /// Any repository.
    Anywhere,
    /// `branch` and `path`.
    File(&'static str),
    /// `branch` and `files[].path`.
    Files,
    /// A new `branch`.
    Branch,
    /// A pull request: its base is not named.
    Pull,
    /// `name`, in `organization` or the caller's account.
    NewRepo,
    /// `method`: `create`, `submit_pending` … with `event`.
    Review,
    /// `method`: `run_workflow`, `rerun_workflow_run`, `cancel_workflow_run` …
    Actions,
    /// `path` and `ref` of what is read.
    Contents,
}

use Reads::*;

#[rustfmt::skip]
static TOOLS: &[(&str, &str, Reads)] = &[
    // Repositories, files, branches.
    ("delete_repository", "repo.delete", Repo),
    ("create_repository", "repo.create", NewRepo),
    ("fork_repository", "repo.fork", Repo),
    ("create_or_update_file", "content.write", File("write")),
    ("delete_file", "content.write", File("delete")),
    ("push_files", "content.write", Files),
    ("create_branch", "ref.create", Branch),
    // Pull requests.
    ("merge_pull_request", "pr.merge", Pull),
    ("create_pull_request", "pr.create", Repo),
    ("create_pull_request_with_copilot", "pr.create", Repo),
    ("update_pull_request", "pr.update", Repo),
    ("update_pull_request_title", "pr.update", Repo),
    ("update_pull_request_body", "pr.update", Repo),
    ("update_pull_request_state", "pr.update", Repo),
    ("update_pull_request_draft_state", "pr.update", Repo),
    ("update_pull_request_branch", "pr.update_branch", Pull),
    ("pull_request_review_write", "pr.review", Review),
    ("create_pull_request_review", "pr.review", Review),
    ("create_and_submit_pull_request_review", "pr.review", Review),
    ("create_pending_pull_request_review", "pr.comment", Repo),
    ("submit_pending_pull_request_review", "pr.review", Review),
    ("delete_pending_pull_request_review", "pr.comment", Repo),
    ("add_comment_to_pending_review", "pr.comment", Repo),
    ("add_pull_request_review_comment", "pr.comment", Repo),
    ("add_pull_request_review_comment_to_pending_review", "pr.comment", Repo),
    ("add_reply_to_pull_request_comment", "pr.comment", Repo),
    ("resolve_review_thread", "pr.comment", Anywhere),
    ("unresolve_review_thread", "pr.comment", Anywhere),
    ("request_pull_request_reviewers", "pr.request_review", Repo),
    ("request_copilot_review", "pr.request_review", Repo),
    // Issues and labels.
    ("issue_write", "issue.update", Repo),
    ("create_issue", "issue.create", Repo),
    ("update_issue", "issue.update", Repo),
    ("update_issue_title", "issue.update", Repo),
    ("update_issue_body", "issue.update", Repo),
    ("update_issue_state", "issue.update", Repo),
    ("update_issue_labels", "issue.update", Repo),
    ("update_issue_assignees", "issue.update", Repo),
    ("update_issue_milestone", "issue.update", Repo),
    ("update_issue_type", "issue.update", Repo),
    ("sub_issue_write", "issue.update", Repo),
    ("add_sub_issue", "issue.update", Repo),
    ("remove_sub_issue", "issue.update", Repo),
    ("reprioritize_sub_issue", "issue.update", Repo),
    ("add_issue_comment", "issue.comment", Repo),
    ("assign_copilot_to_issue", "issue.assign_agent", Repo),
    ("label_write", "label.write", Repo),
    ("discussion_comment_write", "discussion.comment", Repo),
    // Actions.
    ("actions_run_trigger", "workflow.dispatch", Actions),
    ("run_workflow", "workflow.dispatch", Actions),
    ("rerun_workflow_run", "run.rerun", Repo),
    ("rerun_failed_jobs", "run.rerun", Repo),
    ("cancel_workflow_run", "run.cancel", Repo),
    ("delete_workflow_run_logs", "run.delete_logs", Repo),
    // Gists, stars, notifications, projects.
    ("create_gist", "gist.create", User),
    ("update_gist", "gist.update", User),
    ("star_repository", "user.star", Repo),
    ("unstar_repository", "user.star", Repo),
    ("dismiss_notification", "user.notifications", User),
    ("mark_all_notifications_read", "user.notifications", User),
    ("manage_notification_subscription", "user.notifications", User),
    ("manage_repository_notification_subscription", "user.subscribe", Repo),
    ("projects_write", "project.write", Anywhere),
    // Reads.
    ("get_file_contents", "repo.read", Contents),
    ("get_repository_tree", "repo.read", Repo),
    ("list_branches", "repo.read", Repo),
    ("list_commits", "repo.read", Repo),
    ("get_commit", "repo.read", Repo),
    ("list_tags", "repo.read", Repo),
    ("get_tag", "repo.read", Repo),
    ("list_releases", "repo.read", Repo),
    ("get_latest_release", "repo.read", Repo),
    ("get_release_by_tag", "repo.read", Repo),
    ("list_issues", "repo.read", Repo),
    ("issue_read", "repo.read", Repo),
    ("get_issue", "repo.read", Repo),
    ("get_issue_comments", "repo.read", Repo),
    ("list_pull_requests", "repo.read", Repo),
    ("pull_request_read", "repo.read", Repo),
    ("get_pull_request", "repo.read", Repo),
    ("get_pull_request_diff", "repo.read", Repo),
    ("get_pull_request_files", "repo.read", Repo),
    ("get_label", "repo.read", Repo),
    ("list_label", "repo.read", Repo),
    ("list_discussions", "repo.read", Repo),
    ("get_discussion", "repo.read", Repo),
    ("actions_list", "repo.read", Repo),
    ("actions_get", "repo.read", Repo),
    ("get_job_logs", "run_logs.read", Repo),
    ("list_code_scanning_alerts", "security_alert.read", Repo),
    ("get_code_scanning_alert", "security_alert.read", Repo),
    ("list_dependabot_alerts", "security_alert.read", Repo),
    ("get_dependabot_alert", "security_alert.read", Repo),
    ("list_secret_scanning_alerts", "security_alert.read", Repo),
    ("get_secret_scanning_alert", "security_alert.read", Repo),
    ("search_code", "search.read", Anywhere),
    ("search_issues", "search.read", Anywhere),
    ("search_pull_requests", "search.read", Anywhere),
    ("search_repositories", "search.read", Anywhere),
    ("search_users", "github.read", User),
    ("search_orgs", "github.read", User),
    ("get_me", "github.read", User),
    ("get_teams", "github.read", User),
    ("get_team_members", "github.read", User),
    ("list_gists", "github.read", User),
    ("get_gist", "github.read", User),
    ("list_notifications", "github.read", User),
    ("get_notification_details", "github.read", User),
    ("list_starred_repositories", "github.read", User),
    ("projects_list", "github.read", Anywhere),
    ("projects_get", "github.read", Anywhere),
];

/// The operations of one `tools/call`.
pub(super) fn operations(tool: &str, arguments: &Map<String, Value>) -> Vec<Operation> {
    let mut first = Operation {
        name: "mcp.call".to_owned(),
        aliases: vec![format!("mcp:{tool}")],
        write: true,
        ..Operation::default()
    };
    set(&mut first, "tool", tool);
    let text = |name: &str| arguments.get(name).and_then(Value::as_str);
    for name in ["method", "event", "visibility", "workflow_id"] {
        if let Some(value) = text(name) {
            set(&mut first, name, value);
        }
    }
    let named = match (text("owner"), text("repo")) {
        (Some(owner), Some(repo)) => Some(repo_target(owner, repo)),
        _ => None,
    };
    let Some((_, name, reads)) = TOOLS.iter().find(|(known, ..)| *known == tool) else {
        // Another server's tool has no repository, unless it says so in GitHub's words.
        first.repo = named.unwrap_or_default();
        return vec![first];
    };
    first.name = (*name).to_owned();
    first.aliases.push("mcp.call".to_owned());
    first.write = !name.ends_with(".read");
    first.repo = named.unwrap_or(Target::Any);
    match reads {
        Repo => refine(&mut first, text("method")),
        User => first.repo = Target::None,
        Anywhere => first.repo = Target::Any,
        File(change) => {
            first.reference = branch(text("branch"));
            first.paths = file_paths(text("path").into_iter());
            set(&mut first, "change", change);
            if *change == "delete" {
                first.aliases.push("content.delete".to_owned());
            }
            return moved(first);
        }
        Files => {
            first.reference = branch(text("branch"));
            first.paths = files(arguments.get("files"));
            set(&mut first, "change", "write");
            return moved(first);
        }
        Branch => {
            first.aliases.push("ref.push".to_owned());
            first.reference = branch(text("branch"));
        }
        Pull => first.reference = Target::Any,
        NewRepo => {
            first.repo = match (text("organization"), text("name")) {
                (Some(owner), Some(name)) => repo_target(owner, name),
                _ => Target::Any,
            };
        }
        Review => {
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
        Actions => {
            match text("method") {
                Some("rerun_workflow_run" | "rerun_failed_jobs") => {
                    first.name = "run.rerun".to_owned();
                }
                Some("cancel_workflow_run") => first.name = "run.cancel".to_owned(),
                Some("delete_workflow_run_logs") => first.name = "run.delete_logs".to_owned(),
                // `run_workflow`, and whatever else it may learn: the one with the most effect.
                _ => {}
            }
            first.reference = branch(text("ref"));
        }
        Contents => {
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
    vec![first]
}

/// A tool whose `method` creates is told apart from one that changes.
fn refine(operation: &mut Operation, method: Option<&str>) {
    if operation.name == "issue.update" && method == Some("create") {
        operation.name = "issue.create".to_owned();
    }
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

/// A branch name, or a full ref; absent, it is the default branch.
fn branch(name: Option<&str>) -> Target {
    match name {
        Some(name) if name.starts_with("refs/") => ref_target(name.to_owned()),
        Some(name) => branch_target(name),
        None => Target::Any,
    }
}

fn files(files: Option<&Value>) -> Paths {
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

fn set(operation: &mut Operation, name: &str, value: &str) {
    operation
        .attributes
        .insert(name.to_owned(), value.to_owned());
}

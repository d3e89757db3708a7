//! The tools of GitHub's MCP server, each with the operation it performs.
//!
//! Names and arguments are those of github-mcp-server's tool snapshots and its list of deprecated
//! aliases. An alias gives the arguments to the tool of today, so the `method` among them decides
//! there as well ([`Reads::Actions`]).

use crate::protocol::Facets;

/// Where the attributes of a tool are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    /// `owner` and `repo`; any repository where they are not given.
    Repo,
    /// Nothing: the caller's own account, or the whole site.
    User,
    /// Any repository.
    Anywhere,
    /// Whatever `query` is bounded to, and `owner` and `repo` beside it.
    Search,
    /// An organisation or user: `org`, `organization`, `owner`, `user` or `username`.
    Account,
    /// `owner` and `repo`, or an organisation's or enterprise's with another `level`.
    Level,
    /// `branch` and `path`; the value of `change`.
    File(&'static str),
    /// `branch` and `files[].path`.
    Files,
    /// `File` or `Files`, by `method`.
    FileMethod,
    /// A new `branch`.
    Branch,
    /// A pull request: its base is not named.
    Pull,
    /// The tag in `tag_name`.
    Release,
    /// `owner` and `repo`, and the `organization` that gets the copy.
    Fork,
    /// `name`, in `organization` or the caller's account.
    NewRepo,
    /// `create` makes an issue, anything else changes one.
    Issue,
    /// `method`: `create`, `submit_pending` … with `event`.
    Review,
    /// `method`: `run_workflow`, `rerun_workflow_run`, `cancel_workflow_run` …
    Actions,
    /// `method`: logs and artifacts are told apart from the rest.
    ActionsGet,
    /// `path` and `ref` of what is read.
    Contents,
}

impl Reads {
    /// What a tool that is read so can tell.
    pub(super) fn facets(self) -> Facets {
        let (reference, paths) = match self {
            Reads::File(_) | Reads::Files | Reads::FileMethod => (true, true),
            Reads::Contents => (false, true),
            Reads::Branch | Reads::Pull | Reads::Review | Reads::Actions | Reads::Release => {
                (true, false)
            }
            Reads::Repo
            | Reads::User
            | Reads::Anywhere
            | Reads::Search
            | Reads::Account
            | Reads::Level
            | Reads::Fork
            | Reads::NewRepo
            | Reads::Issue
            | Reads::ActionsGet => (false, false),
        };
        Facets {
            repo: true,
            reference,
            paths,
        }
    }
}

use Reads::*;

/// The operation and the reading of a tool.
pub(super) fn find(tool: &str) -> Option<(&'static str, Reads)> {
    TOOLS
        .iter()
        .find(|(name, ..)| *name == tool)
        .map(|(_, operation, reads)| (*operation, *reads))
}

#[rustfmt::skip]
pub(super) static TOOLS: &[(&str, &str, Reads)] = &[
    // Repositories, files, branches.
    ("delete_repository", "repo.delete", Repo),
    ("create_repository", "repo.create", NewRepo),
    ("fork_repository", "repo.fork", Fork),
    ("create_or_update_file", "content.write", File("write")),
    ("delete_file", "content.write", File("delete")),
    ("push_files", "content.write", Files),
    ("file_write", "content.write", FileMethod),
    ("create_branch", "ref.create", Branch),
    ("delete_branch", "ref.delete", Branch),
    ("create_repository_ruleset", "ruleset.create", Level),
    ("create_organization_repository_ruleset", "ruleset.create", Level),
    ("create_enterprise_repository_ruleset", "ruleset.create", Level),
    ("custom_properties_write", "property.write", Level),
    ("add_repository_collaborator", "collaborator.write", Repo),
    ("create_release", "release.create", Release),
    ("delete_release", "release.delete", Release),
    // Pull requests.
    ("merge_pull_request", "pr.merge", Pull),
    ("create_pull_request", "pr.create", Repo),
    ("create_pull_request_with_copilot", "agent.start", Repo),
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
    ("add_pull_request_comment", "pr.comment", Repo),
    ("add_pull_request_review_comment", "pr.comment", Repo),
    ("add_pull_request_review_comment_to_pending_review", "pr.comment", Repo),
    ("add_pull_request_reaction", "pr.comment", Repo),
    ("add_pull_request_comment_reaction", "pr.comment", Repo),
    ("add_pull_request_review_comment_reaction", "pr.comment", Repo),
    ("add_reply_to_pull_request_comment", "pr.comment", Repo),
    ("resolve_review_thread", "pr.comment", Anywhere),
    ("unresolve_review_thread", "pr.comment", Anywhere),
    ("request_pull_request_reviewers", "pr.request_review", Repo),
    ("request_copilot_review", "pr.request_review", Repo),
    // Issues, labels, discussions.
    ("issue_write", "issue.update", Issue),
    ("create_issue", "issue.create", Repo),
    ("update_issue", "issue.update", Repo),
    ("update_issue_title", "issue.update", Repo),
    ("update_issue_body", "issue.update", Repo),
    ("update_issue_state", "issue.update", Repo),
    ("update_issue_labels", "issue.update", Repo),
    ("update_issue_assignees", "issue.update", Repo),
    ("update_issue_milestone", "issue.update", Repo),
    ("update_issue_type", "issue.update", Repo),
    ("set_issue_fields", "issue.update", Repo),
    ("sub_issue_write", "issue.update", Repo),
    ("add_sub_issue", "issue.update", Repo),
    ("remove_sub_issue", "issue.update", Repo),
    ("reprioritize_sub_issue", "issue.update", Repo),
    ("add_issue_comment", "issue.comment", Repo),
    ("add_issue_reaction", "issue.comment", Repo),
    ("add_issue_comment_reaction", "issue.comment", Repo),
    ("assign_copilot_to_issue", "agent.start", Repo),
    ("assign_copilot_to_issue_with_intent", "agent.start", Repo),
    ("label_write", "label.write", Repo),
    ("create_discussion", "discussion.create", Repo),
    ("discussion_comment_write", "discussion.comment", Repo),
    ("add_discussion_comment", "discussion.comment", Repo),
    ("delete_discussion_comment", "discussion.comment", Repo),
    // Actions, and the names its tools had before they were one.
    ("actions_run_trigger", "workflow.dispatch", Actions),
    ("run_workflow", "workflow.dispatch", Actions),
    ("rerun_workflow_run", "run.rerun", Actions),
    ("rerun_failed_jobs", "run.rerun", Actions),
    ("cancel_workflow_run", "run.cancel", Actions),
    ("delete_workflow_run_logs", "run.delete_logs", Actions),
    // Gists, stars, notifications, projects.
    ("create_gist", "gist.create", User),
    ("update_gist", "gist.update", User),
    ("star_repository", "user.star", Repo),
    ("unstar_repository", "user.star", Repo),
    ("dismiss_notification", "user.notifications", User),
    ("mark_all_notifications_read", "user.notifications", User),
    ("manage_notification_subscription", "user.notifications", User),
    ("manage_repository_notification_subscription", "user.subscribe", Repo),
    ("projects_write", "project.write", Account),
    ("add_project_item", "project.write", Account),
    ("update_project_item", "project.write", Account),
    ("delete_project_item", "project.write", Account),
    ("create_project_status_update", "project.write", Account),
    // Reads.
    ("get_file_contents", "repo.read", Contents),
    ("get_file_blame", "repo.read", Contents),
    ("get_repository_tree", "repo.read", Repo),
    ("list_branches", "repo.read", Repo),
    ("list_commits", "repo.read", Repo),
    ("get_commit", "repo.read", Repo),
    ("commit_read", "repo.read", Repo),
    ("compare_commits", "repo.read", Repo),
    ("compare_file_contents", "repo.read", Contents),
    ("list_tags", "repo.read", Repo),
    ("get_tag", "repo.read", Repo),
    ("tag_read", "repo.read", Repo),
    ("list_releases", "repo.read", Repo),
    ("get_latest_release", "repo.read", Repo),
    ("get_release_by_tag", "repo.read", Repo),
    ("release_read", "repo.read", Repo),
    ("list_issues", "repo.read", Repo),
    ("issue_read", "repo.read", Repo),
    ("get_issue", "repo.read", Repo),
    ("get_issue_comments", "repo.read", Repo),
    ("find_duplicate", "repo.read", Repo),
    ("list_sub_issues", "repo.read", Repo),
    ("list_pull_requests", "repo.read", Repo),
    ("pull_request_read", "repo.read", Repo),
    ("get_pull_request", "repo.read", Repo),
    ("get_pull_request_comments", "repo.read", Repo),
    ("get_pull_request_diff", "repo.read", Repo),
    ("get_pull_request_files", "repo.read", Repo),
    ("get_pull_request_review_comments", "repo.read", Repo),
    ("get_pull_request_reviews", "repo.read", Repo),
    ("get_pull_request_status", "repo.read", Repo),
    ("get_label", "repo.read", Repo),
    ("list_label", "repo.read", Repo),
    ("list_discussions", "repo.read", Repo),
    ("get_discussion", "repo.read", Repo),
    ("get_discussion_comments", "repo.read", Repo),
    ("list_discussion_categories", "repo.read", Repo),
    ("custom_properties_read", "repo.read", Level),
    ("actions_list", "repo.read", Repo),
    ("list_workflows", "repo.read", Repo),
    ("list_workflow_runs", "repo.read", Repo),
    ("list_workflow_jobs", "repo.read", Repo),
    ("list_workflow_run_artifacts", "repo.read", Repo),
    ("actions_get", "repo.read", ActionsGet),
    ("get_workflow", "repo.read", ActionsGet),
    ("get_workflow_run", "repo.read", ActionsGet),
    ("get_workflow_job", "repo.read", ActionsGet),
    ("get_workflow_run_usage", "repo.read", ActionsGet),
    ("get_workflow_run_logs", "run_logs.read", ActionsGet),
    ("get_workflow_job_logs", "run_logs.read", ActionsGet),
    ("download_workflow_run_artifact", "artifact.read", ActionsGet),
    ("get_job_logs", "run_logs.read", Repo),
    ("get_code_quality_finding", "security_alert.read", Repo),
    ("list_code_quality_findings", "security_alert.read", Repo),
    ("list_code_scanning_alerts", "security_alert.read", Repo),
    ("get_code_scanning_alert", "security_alert.read", Repo),
    ("list_dependabot_alerts", "security_alert.read", Repo),
    ("get_dependabot_alert", "security_alert.read", Repo),
    ("list_secret_scanning_alerts", "security_alert.read", Repo),
    ("get_secret_scanning_alert", "security_alert.read", Repo),
    ("list_repository_security_advisories", "advisory.read", Repo),
    ("list_org_repository_security_advisories", "advisory.read", Account),
    ("list_global_security_advisories", "github.read", User),
    ("get_global_security_advisory", "github.read", User),
    ("search_code", "search.read", Search),
    ("search_commits", "search.read", Search),
    ("search_issues", "search.read", Search),
    ("search_pull_requests", "search.read", Search),
    ("search_repositories", "search.read", Search),
    ("search_users", "search.read", User),
    ("search_orgs", "search.read", User),
    ("get_me", "github.read", User),
    ("get_teams", "github.read", Account),
    ("get_team_members", "github.read", Account),
    ("list_issue_types", "github.read", Account),
    ("list_issue_fields", "github.read", Account),
    ("list_gists", "gist.read", Account),
    ("get_gist", "gist.read", User),
    ("list_notifications", "github.read", Anywhere),
    ("get_notification_details", "github.read", Anywhere),
    ("list_starred_repositories", "github.read", Account),
    ("projects_list", "project.read", Account),
    ("projects_get", "project.read", Account),
    ("list_projects", "project.read", Account),
    ("list_project_fields", "project.read", Account),
    ("list_project_items", "project.read", Account),
    ("list_project_status_updates", "project.read", Account),
    ("get_project", "project.read", Account),
    ("get_project_field", "project.read", Account),
    ("get_project_item", "project.read", Account),
    ("get_project_status_update", "project.read", Account),
    ("get_copilot_space", "space.read", Account),
    ("list_copilot_spaces", "space.read", User),
    ("github_support_docs_search", "github.read", User),
    // They widen the list of tools; each of those is judged when it is called.
    ("enable_toolset", "mcp.toolset", User),
    ("list_available_toolsets", "mcp.protocol", User),
    ("get_toolset_tools", "mcp.protocol", User),
];

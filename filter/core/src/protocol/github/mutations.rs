//! GraphQL mutations and the operations they are: the same names as for REST.
//!
//! Most inputs name their target by an opaque node id: the repository (and often the ref) is then
//! [`Target::Any`]. There is no `deleteRepository` mutation.

use serde_json::{Map, Value};

use super::attributes::{PUSH, file_paths, set};
use crate::operation::{Operation, Paths, Target};
use crate::protocol::{branch_target, ref_target, repo_target};

/// Where the attributes of a mutation are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    /// Scalars of `input`, shown as they are.
    Input(&'static [&'static str]),
    /// The same, and it touches a ref that only an id names.
    Ref(&'static [&'static str]),
    /// `branch` and `fileChanges`.
    Commit,
    /// `name` is a full ref name.
    CreateRef,
    /// A ref by id.
    MoveRef,
    /// `refUpdates[]`.
    UpdateRefs,
    /// The branch `base` moves.
    MergeBranch,
    /// A review, with its `event`.
    Review,
}

use Reads::*;

/// Field, operation, attributes.
#[rustfmt::skip]
static MUTATIONS: &[(&str, &str, Reads)] = &[
    // Repositories.
    ("createRepository", "repo.create", Input(&["name", "visibility", "ownerId"])),
    ("cloneTemplateRepository", "repo.create", Input(&["name", "visibility", "ownerId"])),
    ("updateRepository", "repo.update", Input(&["name", "template"])),
    ("archiveRepository", "repo.archive", Input(&[])),
    ("unarchiveRepository", "repo.archive", Input(&[])),
    ("updateRepositoryWebCommitSignoffSetting", "repo.update", Input(&[])),
    ("updateTopics", "repo.update", Input(&[])),
    // Content and refs.
    ("createCommitOnBranch", "content.write", Commit),
    ("createRef", "ref.create", CreateRef),
    ("createLinkedBranch", "ref.create", CreateRef),
    ("updateRef", "ref.update", MoveRef),
    ("updateRefs", "ref.update", UpdateRefs),
    ("deleteRef", "ref.delete", MoveRef),
    ("mergeBranch", "ref.update", MergeBranch),
    // Pull requests.
    ("mergePullRequest", "pr.merge", Ref(&["mergeMethod"])),
    ("enablePullRequestAutoMerge", "pr.merge", Ref(&["mergeMethod"])),
    ("enqueuePullRequest", "pr.merge", Ref(&[])),
    ("disablePullRequestAutoMerge", "pr.update", Input(&[])),
    ("dequeuePullRequest", "pr.update", Input(&[])),
    ("createPullRequest", "pr.create", Input(&["baseRefName", "headRefName", "title", "draft"])),
    ("revertPullRequest", "pr.create", Input(&["title"])),
    ("updatePullRequest", "pr.update", Input(&["baseRefName", "state"])),
    ("updatePullRequestBranch", "pr.update_branch", Input(&[])),
    ("closePullRequest", "pr.update", Input(&[])),
    ("reopenPullRequest", "pr.update", Input(&[])),
    ("convertPullRequestToDraft", "pr.update", Input(&[])),
    ("markPullRequestReadyForReview", "pr.update", Input(&[])),
    ("requestReviews", "pr.request_review", Input(&[])),
    ("addPullRequestReview", "pr.review", Review),
    ("submitPullRequestReview", "pr.review", Review),
    ("updatePullRequestReview", "pr.comment", Input(&[])),
    ("dismissPullRequestReview", "pr.dismiss_review", Input(&[])),
    ("deletePullRequestReview", "pr.comment", Input(&[])),
    ("addPullRequestReviewComment", "pr.comment", Input(&[])),
    ("addPullRequestReviewThread", "pr.comment", Input(&[])),
    ("addPullRequestReviewThreadReply", "pr.comment", Input(&[])),
    ("updatePullRequestReviewComment", "pr.comment", Input(&[])),
    ("deletePullRequestReviewComment", "pr.comment", Input(&[])),
    ("resolveReviewThread", "pr.comment", Input(&[])),
    ("unresolveReviewThread", "pr.comment", Input(&[])),
    // Protection.
    ("createBranchProtectionRule", "protection.update", Ref(&["pattern"])),
    ("updateBranchProtectionRule", "protection.update", Ref(&["pattern"])),
    ("deleteBranchProtectionRule", "protection.delete", Ref(&[])),
    ("createRepositoryRuleset", "ruleset.create", Input(&["name", "target", "enforcement"])),
    ("updateRepositoryRuleset", "ruleset.update", Input(&["name", "target", "enforcement"])),
    ("deleteRepositoryRuleset", "ruleset.delete", Input(&[])),
    // Deployments, packages, people, organisations.
    ("approveDeployments", "deployment.approve", Input(&[])),
    ("rejectDeployments", "deployment.approve", Input(&[])),
    ("createEnvironment", "environment.write", Input(&["name"])),
    ("updateEnvironment", "environment.write", Input(&[])),
    ("deleteEnvironment", "environment.delete", Input(&[])),
    ("createDeployment", "deployment.create", Ref(&["environment"])),
    ("createDeploymentStatus", "deployment.update", Input(&["state"])),
    ("deleteDeployment", "deployment.delete", Input(&[])),
    ("deletePackageVersion", "package.delete", Input(&[])),
    ("updateTeamsRepository", "team.repo", Input(&["permission"])),
    ("removeOutsideCollaborator", "collaborator.delete", Input(&[])),
    ("transferEnterpriseOrganization", "org.transfer", Input(&[])),
    ("createEnterpriseOrganization", "org.create", Input(&["login"])),
    ("createIpAllowListEntry", "security.ip_allow_list", Input(&["allowListValue", "isActive"])),
    ("updateIpAllowListEntry", "security.ip_allow_list", Input(&["allowListValue", "isActive"])),
    ("deleteIpAllowListEntry", "security.ip_allow_list", Input(&[])),
    ("updateIpAllowListEnabledSetting", "security.ip_allow_list", Input(&["settingValue"])),
    ("dismissRepositoryVulnerabilityAlert", "security.update_alert", Input(&["dismissReason"])),
    // Everyday writes.
    ("createIssue", "issue.create", Input(&["title"])),
    ("updateIssue", "issue.update", Input(&["state"])),
    ("closeIssue", "issue.update", Input(&["stateReason"])),
    ("reopenIssue", "issue.update", Input(&[])),
    ("deleteIssue", "issue.delete", Input(&[])),
    ("transferIssue", "issue.transfer", Input(&[])),
    ("lockLockable", "issue.update", Input(&[])),
    ("unlockLockable", "issue.update", Input(&[])),
    ("pinIssue", "issue.update", Input(&[])),
    ("unpinIssue", "issue.update", Input(&[])),
    ("addSubIssue", "issue.update", Input(&[])),
    ("removeSubIssue", "issue.update", Input(&[])),
    ("addComment", "issue.comment", Input(&[])),
    ("updateIssueComment", "issue.comment", Input(&[])),
    ("deleteIssueComment", "issue.comment", Input(&[])),
    ("addReaction", "issue.comment", Input(&["content"])),
    ("removeReaction", "issue.comment", Input(&["content"])),
    ("addLabelsToLabelable", "issue.update", Input(&[])),
    ("removeLabelsFromLabelable", "issue.update", Input(&[])),
    ("addAssigneesToAssignable", "issue.update", Input(&[])),
    ("removeAssigneesFromAssignable", "issue.update", Input(&[])),
    ("replaceActorsForAssignable", "issue.update", Input(&[])),
    ("createLabel", "label.write", Input(&["name"])),
    ("updateLabel", "label.write", Input(&["name"])),
    ("deleteLabel", "label.write", Input(&[])),
    ("createCheckRun", "check.write", Input(&["name", "conclusion"])),
    ("updateCheckRun", "check.write", Input(&["name", "conclusion"])),
    ("createCheckSuite", "check.write", Input(&[])),
    ("addStar", "user.star", Input(&[])),
    ("removeStar", "user.star", Input(&[])),
    ("updateSubscription", "user.subscribe", Input(&["state"])),
];

/// The operations of one root field of a mutation.
pub(super) fn operations(field: &str, arguments: &Map<String, Value>) -> Vec<Operation> {
    let Some((_, name, reads)) = MUTATIONS.iter().find(|(known, ..)| *known == field) else {
        return vec![unknown(field)];
    };
    let none = Map::new();
    let input = match arguments.get("input") {
        Some(Value::Object(input)) => input,
        _ => &none,
    };
    let mut first = named(name, field);
    let text = |name: &str| input.get(name).and_then(Value::as_str);
    match reads {
        Input(names) => show(&mut first, input, names),
        Ref(names) => {
            first.reference = Target::Any;
            show(&mut first, input, names);
        }
        Commit => return commit(first, input, field),
        CreateRef => {
            first.aliases.push(PUSH.to_owned());
            first.reference = match text("name") {
                Some(name) if name.starts_with("refs/") => ref_target(name.to_owned()),
                _ => Target::Any,
            };
            show(&mut first, input, &["oid"]);
        }
        MoveRef => {
            first.aliases.push(PUSH.to_owned());
            first.reference = Target::Any;
            show(&mut first, input, &["oid", "force"]);
        }
        UpdateRefs => return update_refs(first, input),
        MergeBranch => {
            first.aliases.push(PUSH.to_owned());
            first.reference = text("base").map_or(Target::Any, branch_target);
            show(&mut first, input, &["base", "head"]);
        }
        Review => {
            first.reference = Target::Any;
            show(&mut first, input, &["event"]);
            if !matches!(
                input.get("event").map(Value::as_str),
                None | Some(Some("COMMENT" | "REQUEST_CHANGES" | "DISMISS"))
            ) {
                let approve = Operation {
                    name: "pr.approve".to_owned(),
                    ..first.clone()
                };
                return vec![first, approve];
            }
        }
    }
    vec![first]
}

/// A mutation, or subscription, that the table does not have.
pub(super) fn unknown(field: &str) -> Operation {
    Operation {
        reference: Target::Any,
        paths: Paths::Unknown,
        ..named("github.unknown_write", field)
    }
}

fn named(name: &str, field: &str) -> Operation {
    Operation {
        name: name.to_owned(),
        aliases: vec![format!("graphql:{field}")],
        repo: Target::Any,
        write: true,
        ..Operation::default()
    }
}

/// `createCommitOnBranch`: files and a branch, which may be named in full or by id.
fn commit(mut first: Operation, input: &Map<String, Value>, field: &str) -> Vec<Operation> {
    let branch = input.get("branch");
    let part = |name: &str| branch.and_then(|b| b.get(name)).and_then(Value::as_str);
    let by_id = branch.is_some_and(|b| b.get("id").is_some_and(|id| !id.is_null()));
    first.reference = Target::Any;
    if !by_id {
        if let Some((owner, name)) =
            part("repositoryNameWithOwner").and_then(|full| full.split_once('/'))
        {
            first.repo = repo_target(owner, name);
        }
        if let Some(name) = part("branchName") {
            first.reference = branch_target(name);
        }
    }
    first.paths = changed_files(input.get("fileChanges"));
    set(&mut first, "change", "write");
    let mut moved = Operation {
        name: "ref.update".to_owned(),
        ..first.clone()
    };
    moved.aliases = vec![format!("graphql:{field}"), PUSH.to_owned()];
    vec![first, moved]
}

fn changed_files(changes: Option<&Value>) -> Paths {
    let mut paths = Vec::new();
    for list in ["additions", "deletions"] {
        match changes.and_then(|changes| changes.get(list)) {
            None | Some(Value::Null) => {}
            Some(Value::Array(items)) => {
                for item in items {
                    match item.get("path").and_then(Value::as_str) {
                        Some(path) => paths.push(path),
                        None => return Paths::Unknown,
                    }
                }
            }
            Some(_) => return Paths::Unknown,
        }
    }
    file_paths(paths.into_iter())
}

/// `updateRefs`: each ref is created, moved or deleted, as in a push.
fn update_refs(first: Operation, input: &Map<String, Value>) -> Vec<Operation> {
    let updates = match input.get("refUpdates") {
        Some(Value::Array(updates)) if !updates.is_empty() => updates,
        _ => {
            return vec![Operation {
                reference: Target::Any,
                ..first
            }];
        }
    };
    let zero = |id: Option<&str>| id.is_some_and(|id| id.bytes().all(|b| b == b'0'));
    let operations = updates.iter().map(|update| {
        let text = |name: &str| update.get(name).and_then(Value::as_str);
        let name = if zero(text("afterOid")) {
            "ref.delete"
        } else if zero(text("beforeOid")) {
            "ref.create"
        } else {
            "ref.update"
        };
        let mut operation = Operation {
            name: name.to_owned(),
            reference: match text("name") {
                Some(name) => ref_target(name.to_owned()),
                None => Target::Any,
            },
            ..first.clone()
        };
        operation.aliases.push(PUSH.to_owned());
        if let Value::Object(members) = update {
            show(&mut operation, members, &["afterOid", "beforeOid", "force"]);
        }
        operation
    });
    operations.collect()
}

fn show(operation: &mut Operation, members: &Map<String, Value>, names: &[&str]) {
    for name in names {
        if let Some(value) = members.get(*name).and_then(crate::protocol::fields::shown) {
            set(operation, name, &value);
        }
    }
}

#[cfg(test)]
pub(super) fn known() -> impl Iterator<Item = (&'static str, &'static str)> {
    MUTATIONS.iter().map(|(field, name, _)| (*field, *name))
}

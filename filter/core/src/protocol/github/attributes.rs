//! From a row of the table to operations with repository, account, ref, paths and attributes.

use serde_json::{Map, Value};

use super::route::{self, Found};
use super::table::{Method, Reach};
use super::{places, search, shown};
use crate::operation::{Operation, Paths, Target};
use crate::protocol::fields::Fields;
use crate::protocol::{Facets, Fault, branch_target, ref_target};

/// Where the attributes of a row are; `members` are those of its line in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// In the path alone.
    Path,
    /// In the path, and in parameters of the query; the body is something else.
    Query,
    /// In the path, and in members of the body.
    Body,
    /// As [`Source::Body`]; the body may be the bare list that the member holds.
    List,
    /// A file: its path, and the branch in `branch` (the default branch when absent). The member is
    /// `write` or `delete`.
    Content,
    /// A file or folder that is read.
    ReadContent,
    /// A commit on the branch in the first member, of files that are not named.
    Autofix,
    /// `tree[].path`.
    Tree,
    /// A new ref in `ref`.
    CreateRef,
    /// The ref in the path, without `refs/`.
    MoveRef,
    /// The branch in the first member moves.
    MovesBranch,
    /// The branch in the path.
    BranchPath,
    /// As [`Source::BranchPath`] and [`Source::List`].
    BranchList,
    /// The branch in the path gets the name in `new_name`.
    RenameBranch,
    /// A pull request: its base is not in the request.
    PullRequest,
    /// A review; `APPROVE` is an approval.
    Review,
    /// A workflow, deployment or agent at the branch or tag in the first member.
    Dispatch,
    /// A release and its tag.
    Release,
    /// The settings of a repository, each of which is an effect of its own.
    RepoSettings,
    /// A new repository.
    CreateRepo,
    /// A new repository from the one in the path.
    FromTemplate,
    /// A copy of a repository in `organization`, or else in the caller's own account.
    Fork,
    /// A repository that goes to `new_owner`.
    Transfer,
    /// A security product in the path, switched on or off.
    Enablement,
    /// Whatever the search in `q` is bounded to.
    Search,
}

impl Source {
    /// Whether the body is needed.
    pub(super) fn body(self) -> bool {
        match self {
            Source::Path | Source::Query | Source::ReadContent => false,
            Source::BranchPath
            | Source::Body
            | Source::List
            | Source::Content
            | Source::Autofix
            | Source::Tree
            | Source::CreateRef
            | Source::MoveRef
            | Source::MovesBranch
            | Source::BranchList
            | Source::RenameBranch
            | Source::PullRequest
            | Source::Review
            | Source::Dispatch
            | Source::Release
            | Source::RepoSettings
            | Source::CreateRepo
            | Source::FromTemplate
            | Source::Fork
            | Source::Transfer
            | Source::Enablement
            | Source::Search => true,
        }
    }

    /// What an operation that is read so can tell, beside its repository.
    pub(super) fn facets(self) -> Facets {
        let (reference, paths) = match self {
            Source::Content | Source::Autofix => (true, true),
            Source::Tree | Source::ReadContent => (false, true),
            Source::CreateRef
            | Source::MoveRef
            | Source::MovesBranch
            | Source::BranchPath
            | Source::BranchList
            | Source::RenameBranch
            | Source::PullRequest
            | Source::Review
            | Source::Dispatch
            | Source::Release => (true, false),
            Source::Path
            | Source::Query
            | Source::Body
            | Source::List
            | Source::RepoSettings
            | Source::CreateRepo
            | Source::FromTemplate
            | Source::Fork
            | Source::Transfer
            | Source::Enablement
            | Source::Search => (false, false),
        };
        Facets {
            repo: true,
            reference,
            paths,
        }
    }

    /// Whether the body may be a bare list.
    pub(super) fn is_list(self) -> bool {
        matches!(self, Source::List | Source::BranchList)
    }
}

/// Another name of every operation that moves a ref, so that a rule for pushes holds for them.
pub(super) const PUSH: &str = "ref.push";

/// Names of operations that no row of the table has: a call that a row names has these effects too.
pub(super) const DERIVED: &[&str] = &[
    "ref.update",
    "ref.create",
    "pr.approve",
    "repo.read",
    "repo.create",
    "repo.visibility",
    "repo.archive",
    "repo.default_branch",
    "repo.rename",
    "repo.forking",
    "repo.template",
    "security.update",
    "security.enable",
    "security.disable",
    "github.unknown_write",
];

/// The operations of one REST call.
pub(super) fn operations(found: &Found<'_>, fields: &Fields<'_>) -> Result<Vec<Operation>, Fault> {
    let members = found.row.effect.members;
    let mut first = plain(found);
    let mut more = Vec::new();
    if !matches!(found.row.effect.source, Source::Content) {
        show(&mut first, fields, members)?;
    }
    match found.row.effect.source {
        Source::Path | Source::Query | Source::Body | Source::List => {}
        Source::Content => {
            first.reference = branch(fields, "branch")?;
            first.paths = file_paths(found.capture("path").as_deref().into_iter());
            set(&mut first, "change", members.first().unwrap_or(&""));
            more.push(derived(&first, "ref.update", &[PUSH]));
        }
        Source::ReadContent => {
            first.paths = match found.capture("path") {
                Some(path) => file_paths([path.as_str()].into_iter()),
                None => Paths::Unknown,
            };
            show(&mut first, fields, &["ref"])?;
        }
        Source::Autofix => {
            first.reference = branch(fields, members.first().unwrap_or(&""))?;
            first.paths = Paths::Unknown;
        }
        Source::Tree => more.extend(tree(&mut first, fields)?),
        Source::CreateRef => {
            first.reference = match fields.text("ref")? {
                Some(name) => ref_target(name.to_owned()),
                None => Target::Any,
            };
            show(&mut first, fields, &["ref", "sha"])?;
        }
        Source::MoveRef => {
            let name = found.capture("ref").unwrap_or_default();
            // Without its kind (`heads/`, `tags/`) it is no ref that GitHub documents.
            first.reference = if name.contains('/') {
                ref_target(format!("refs/{name}"))
            } else {
                Target::Any
            };
            show(&mut first, fields, &["sha", "force"])?;
        }
        Source::MovesBranch => first.reference = branch(fields, members.first().unwrap_or(&""))?,
        Source::BranchPath | Source::BranchList => first.reference = path_branch(found),
        Source::RenameBranch => {
            first.reference = path_branch(found);
            show(&mut first, fields, &["new_name"])?;
            let mut created = derived(&first, "ref.create", &[PUSH]);
            created.reference = branch(fields, "new_name")?;
            more.push(created);
        }
        Source::PullRequest => first.reference = Target::Any,
        Source::Review => {
            first.reference = Target::Any;
            show(&mut first, fields, &["event"])?;
            // The event is one of three words; what is not clearly another one counts.
            if !matches!(
                fields.text("event")?,
                None | Some("COMMENT" | "REQUEST_CHANGES")
            ) {
                more.push(derived(&first, "pr.approve", &[]));
            }
        }
        Source::Dispatch => {
            first.reference = match fields.text(members.first().unwrap_or(&""))? {
                Some(name) if name.starts_with("refs/") => ref_target(name.to_owned()),
                Some(name) => branch_target(name),
                None => Target::Any,
            };
        }
        Source::Release => {
            first.reference = match fields.text("tag_name")? {
                Some(tag) => ref_target(format!("refs/tags/{tag}")),
                None => Target::Any,
            };
        }
        Source::RepoSettings => more = places::settings(&first, fields)?,
        Source::CreateRepo => places::create(&mut first, found, fields)?,
        Source::FromTemplate => more.push(places::from_template(&mut first, fields)?),
        Source::Fork => more.push(places::fork(&first, fields)?),
        Source::Transfer => more.push(places::transfer(&first, fields)?),
        Source::Enablement => {
            // The table has these two words and no other.
            let disable = found
                .capture("enablement")
                .is_none_or(|e| e.contains("dis"));
            let name = if disable {
                "security.disable"
            } else {
                "security.enable"
            };
            more.push(derived(&first, name, &[]));
        }
        Source::Search => return search::operations(&first, fields),
    }
    more.extend(started(&first, fields)?);
    more.extend(compared(&first));
    finish(&mut first, found);
    more.insert(0, first);
    Ok(more)
}

/// Name, aliases, repository, account and what the path captured.
fn plain(found: &Found<'_>) -> Operation {
    let row = found.row;
    let name = row.effect.name;
    let mut aliases = Vec::with_capacity(1 + row.effect.aliases.len());
    if !row.id.is_empty() {
        aliases.push(format!("github:{}", row.id));
    }
    aliases.extend(row.effect.aliases.iter().map(|alias| (*alias).to_owned()));
    let mut operation = Operation {
        name: name.to_owned(),
        aliases,
        repo: found.repo.clone(),
        account: found.account.clone(),
        write: row.method != Method::Get && !name.ends_with(".read"),
        ..Operation::default()
    };
    if row.effect.reach == Reach::Repositories {
        operation.repo = Target::Any;
    }
    // A write that names neither is about the account behind the credential, which the request
    // does not tell.
    let somewhere = operation.write && operation.repo == Target::None;
    if operation.account == Target::None && (somewhere || row.effect.reach != Reach::Named) {
        operation.account = Target::Any;
    }
    for (name, value) in found.captures() {
        operation.attributes.insert(name.to_owned(), value);
    }
    operation
}

/// The attribute that the table calls the resource, under that name too.
fn finish(operation: &mut Operation, found: &Found<'_>) {
    if let Some(value) = operation.attributes.get(found.row.effect.resource) {
        let value = value.clone();
        operation.attributes.insert("resource".to_owned(), value);
    }
}

/// To give an issue to GitHub's coding agent is to start it.
fn started(first: &Operation, fields: &Fields<'_>) -> Result<Option<Operation>, Fault> {
    let Some(assignees) = first.attributes.get("assignees") else {
        return Ok(None);
    };
    let is_agent = |login: &str| {
        let login = login.trim().to_ascii_lowercase();
        login.starts_with("copilot") || login.ends_with("[bot]")
    };
    let one = fields.text("assignee")?;
    let any = assignees.split(',').chain(one).any(is_agent);
    Ok(any.then(|| derived(first, "agent.start", &[])))
}

/// `OWNER:branch` and `OWNER:repo:branch` in a comparison read what is another owner's.
fn compared(first: &Operation) -> Vec<Operation> {
    let range = first.attributes.get("basehead").map_or("", String::as_str);
    let owners = range.split("..").filter_map(|side| {
        let (owner, _) = side.trim_start_matches('.').split_once(':')?;
        Some(route::login(owner))
    });
    let read = |account: Target| Operation {
        repo: Target::Any,
        account,
        ..derived(first, "repo.read", &[])
    };
    owners.map(read).collect()
}

/// A second effect of the same call, with the same targets and attributes.
pub(super) fn derived(first: &Operation, name: &str, aliases: &[&str]) -> Operation {
    let from = first
        .aliases
        .iter()
        .filter(|alias| alias.contains(':'))
        .cloned();
    Operation {
        name: name.to_owned(),
        aliases: from
            .chain(aliases.iter().map(|a| (*a).to_owned()))
            .collect(),
        ..first.clone()
    }
}

/// Copies members of the body, or parameters, into the attributes: `name`, `a.name` (a member of a
/// member), `a.*` (each member of a member).
pub(super) fn show(
    operation: &mut Operation,
    fields: &Fields<'_>,
    names: &[&str],
) -> Result<(), Fault> {
    for name in names {
        match name.split_once('.') {
            None => {
                if let Some(value) = shown::field(fields.get(name)?) {
                    operation.attributes.insert((*name).to_owned(), value);
                }
            }
            Some((outer, inner)) => {
                let members = shown::members(fields.get(outer)?);
                for (key, value) in members.into_iter().flatten() {
                    let shown_key = match inner {
                        "*" => format!("{outer}.{key}"),
                        _ if inner == key => inner.to_owned(),
                        _ => continue,
                    };
                    if let Some(value) = shown::value(value) {
                        operation.attributes.insert(shown_key, value);
                    }
                }
            }
        }
    }
    Ok(())
}

/// The branch in `member`; absent, it is the default branch, which the request does not name.
fn branch(fields: &Fields<'_>, member: &str) -> Result<Target, Fault> {
    Ok(match fields.text(member)? {
        Some(name) => branch_target(name),
        None => Target::Any,
    })
}

fn path_branch(found: &Found<'_>) -> Target {
    match found.capture("branch") {
        Some(name) => branch_target(&name),
        None => Target::Any,
    }
}

/// A tree hangs on no branch yet, and may end on any. Without `base_tree` it is all that a commit
/// of it will hold: whatever it does not name is gone, which is a second operation.
fn tree(operation: &mut Operation, fields: &Fields<'_>) -> Result<Option<Operation>, Fault> {
    operation.reference = Target::Any;
    let entries = fields.list("tree")?;
    operation.paths = tree_paths(entries);
    let gone = |entry: &Value| entry.get("sha").is_some_and(Value::is_null);
    let entries = entries.unwrap_or_default();
    let mut changes = Vec::new();
    if entries.iter().any(|entry| !gone(entry)) {
        changes.push("write");
    }
    if entries.iter().any(gone) {
        changes.push("delete");
        operation.aliases.push("content.delete".to_owned());
    }
    show(operation, fields, &["base_tree"])?;
    if !operation.attributes.contains_key("base_tree") {
        changes.push("replace");
    }
    set(operation, "change", &changes.join(","));
    let replaces = changes.contains(&"replace") && operation.paths != Paths::Unknown;
    Ok(replaces.then(|| {
        let mut others = derived(operation, "content.write", &["tree.create"]);
        others.paths = Paths::Unknown;
        set(&mut others, "change", "replace");
        others
    }))
}

/// The entries of a new tree. One that is itself a tree brings files that are not named.
fn tree_paths(entries: Option<&[Value]>) -> Paths {
    let Some(entries) = entries else {
        return Paths::Unknown;
    };
    let mut paths = Vec::with_capacity(entries.len());
    for entry in entries {
        let text = |name: &str| entry.get(name).and_then(Value::as_str);
        let folder =
            text("type") == Some("tree") || matches!(text("mode"), Some("040000" | "40000"));
        match text("path") {
            Some(path) if !folder => paths.push(path),
            _ => return Paths::Unknown,
        }
    }
    file_paths(paths.into_iter())
}

/// Paths relative to the root. One that a server might tidy up first proves nothing.
pub(crate) fn file_paths<'a>(paths: impl Iterator<Item = &'a str>) -> Paths {
    let mut known = Vec::new();
    for path in paths {
        let tidy = !path.contains('\\')
            && !path.chars().any(char::is_control)
            && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if !tidy {
            return Paths::Unknown;
        }
        known.push(path.to_owned());
    }
    if known.is_empty() {
        Paths::Unknown
    } else {
        Paths::Known(known)
    }
}

pub(super) fn set(operation: &mut Operation, name: &str, value: &str) {
    operation
        .attributes
        .insert(name.to_owned(), value.to_owned());
}

/// A body that is a bare list, as the member that holds such lists.
pub(super) fn listed(found: &Found<'_>, items: Vec<Value>) -> Map<String, Value> {
    let member = found.row.effect.members.first().copied();
    member
        .map(|name| (name.to_owned(), Value::Array(items)))
        .into_iter()
        .collect()
}

/// Where an account that a member names is; absent, it is the caller's own.
pub(super) fn account_in(fields: &Fields<'_>, member: &str) -> Result<Target, Fault> {
    Ok(match fields.text(member)? {
        Some(name) => route::login(name),
        None => Target::Any,
    })
}

#[cfg(test)]
#[path = "attributes_tests.rs"]
mod tests;

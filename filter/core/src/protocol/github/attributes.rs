//! From a row of the table to operations with repository, ref, paths and attributes.

use std::collections::BTreeMap;

use serde_json::Value;

use super::route::Found;
use crate::operation::{Operation, Paths, Target};
use crate::protocol::fields::Fields;
use crate::protocol::{Fault, branch_target, is_read, ref_target, repo_target};

/// Where the attributes of a row are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    /// In the path alone.
    Path,
    /// In the path, and these members of the body.
    Body(&'static [&'static str]),
    /// As [`Reads::Path`], for a call that reaches repositories it does not name.
    Org,
    /// As [`Reads::Body`], for a call that reaches repositories it does not name.
    OrgBody(&'static [&'static str]),
    /// A file: its path, and the branch (the default branch when absent). `write` or `delete`.
    Content(&'static str),
    /// A file or folder that is read.
    ReadContent,
    /// `tree[].path`.
    Tree,
    /// A new ref in `ref`.
    CreateRef,
    /// The ref in the path, without `refs/`.
    MoveRef,
    /// The branch in this member moves; the list is shown.
    MovesBranch(&'static str, &'static [&'static str]),
    /// The branch in the path.
    BranchPath,
    /// The branch in the path gets the name in `new_name`.
    RenameBranch,
    /// A pull request: its base is not in the request.
    PullRequest(&'static [&'static str]),
    /// A review; `APPROVE` is an approval.
    Review,
    /// A workflow or deployment of the branch or tag in `ref`.
    Dispatch,
    /// A release and its tag.
    Release,
    /// The settings of a repository, each of which is an effect of its own.
    RepoSettings,
    /// A new repository.
    CreateRepo,
    /// A new repository from the one in the path.
    FromTemplate,
    /// A webhook, with its target in `config.url`.
    Hook,
    /// A webhook that hears of every repository.
    OrgHook,
}

impl Reads {
    /// Whether the body is needed.
    pub(super) fn body(self) -> bool {
        match self {
            Reads::Path | Reads::Org | Reads::ReadContent | Reads::BranchPath => false,
            Reads::Body(_)
            | Reads::OrgBody(_)
            | Reads::Content(_)
            | Reads::Tree
            | Reads::CreateRef
            | Reads::MoveRef
            | Reads::MovesBranch(..)
            | Reads::RenameBranch
            | Reads::PullRequest(_)
            | Reads::Review
            | Reads::Dispatch
            | Reads::Release
            | Reads::RepoSettings
            | Reads::CreateRepo
            | Reads::FromTemplate
            | Reads::Hook
            | Reads::OrgHook => true,
        }
    }
}

/// Another name of every operation that moves a ref, so that a rule for pushes holds for them.
pub(super) const PUSH: &str = "ref.push";

/// The operations of one REST call.
pub(super) fn operations(found: &Found<'_>, fields: &Fields<'_>) -> Result<Vec<Operation>, Fault> {
    let mut first = plain(found);
    let mut more = Vec::new();
    match found.row.reads {
        Reads::Path => {}
        Reads::Body(names) => show(&mut first, fields, names)?,
        Reads::Org => first.repo = Target::Any,
        Reads::OrgBody(names) => {
            first.repo = Target::Any;
            show(&mut first, fields, names)?;
        }
        Reads::Content(change) => {
            first.reference = branch(fields, "branch")?;
            first.paths = file_paths(found.capture("path").as_deref().into_iter());
            set(&mut first, "change", change);
            if change == "delete" {
                first.aliases.push("content.delete".to_owned());
            }
            more.push(derived(&first, "ref.update", &[PUSH]));
        }
        Reads::ReadContent => {
            first.paths = file_paths(found.capture("path").as_deref().into_iter());
            show(&mut first, fields, &["ref"])?;
        }
        Reads::Tree => {
            first.aliases.push("tree.create".to_owned());
            // A tree hangs on no branch yet, and may end on any.
            first.reference = Target::Any;
            first.paths = tree_paths(fields.list("tree")?);
        }
        Reads::CreateRef => {
            first.aliases.push(PUSH.to_owned());
            first.reference = match fields.text("ref")? {
                Some(name) => ref_target(name.to_owned()),
                None => Target::Any,
            };
            show(&mut first, fields, &["sha"])?;
        }
        Reads::MoveRef => {
            first.aliases.push(PUSH.to_owned());
            let name = found.capture("ref").unwrap_or_default();
            // Without its kind (`heads/`, `tags/`) it is no ref that GitHub documents.
            first.reference = if name.contains('/') {
                ref_target(format!("refs/{name}"))
            } else {
                Target::Any
            };
            show(&mut first, fields, &["sha", "force"])?;
        }
        Reads::MovesBranch(member, names) => {
            first.aliases.push(PUSH.to_owned());
            first.reference = branch(fields, member)?;
            show(&mut first, fields, names)?;
        }
        Reads::BranchPath => first.reference = path_branch(found),
        Reads::RenameBranch => {
            first.reference = path_branch(found);
            first
                .aliases
                .extend(["ref.update", PUSH].map(str::to_owned));
            show(&mut first, fields, &["new_name"])?;
            let mut created = derived(&first, "ref.create", &[PUSH]);
            created.reference = branch(fields, "new_name")?;
            more.push(created);
        }
        Reads::PullRequest(names) => {
            first.reference = Target::Any;
            show(&mut first, fields, names)?;
        }
        Reads::Review => {
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
        Reads::Dispatch => {
            first.reference = match fields.text("ref")? {
                Some(name) if name.starts_with("refs/") => ref_target(name.to_owned()),
                Some(name) => branch_target(name),
                None => Target::Any,
            };
            show(&mut first, fields, &["ref", "environment"])?;
        }
        Reads::Release => {
            first.reference = match fields.text("tag_name")? {
                Some(tag) => ref_target(format!("refs/tags/{tag}")),
                None => Target::Any,
            };
            show(
                &mut first,
                fields,
                &["tag_name", "target_commitish", "draft", "prerelease"],
            )?;
        }
        Reads::RepoSettings => more = settings(&first, fields)?,
        Reads::CreateRepo => {
            show(&mut first, fields, &["name", "private", "visibility"])?;
            first.repo = match (found.capture("org"), fields.text("name")?) {
                (Some(org), Some(name)) => repo_target(&org, name),
                _ => Target::Any,
            };
        }
        Reads::FromTemplate => {
            if let Some(template) = first.repo.known().map(str::to_owned) {
                set(&mut first, "template", &template);
            }
            show(&mut first, fields, &["owner", "name", "private"])?;
            first.repo = match (fields.text("owner")?, fields.text("name")?) {
                (Some(owner), Some(name)) => repo_target(owner, name),
                _ => Target::Any,
            };
        }
        Reads::Hook => show_hook(&mut first, fields)?,
        Reads::OrgHook => {
            first.repo = Target::Any;
            show_hook(&mut first, fields)?;
        }
    }
    more.insert(0, first);
    Ok(more)
}

/// Name, alias, repository and what the path captured. The last capture is the `resource`.
fn plain(found: &Found<'_>) -> Operation {
    let row = found.row;
    let mut operation = Operation {
        name: row.name.to_owned(),
        repo: found.repo.clone(),
        write: !is_read(row.method) && !row.name.ends_with(".read"),
        ..Operation::default()
    };
    if !row.id.is_empty() {
        operation.aliases.push(format!("github:{}", row.id));
    }
    for (name, value) in found.captures() {
        set(&mut operation, "resource", &value);
        operation.attributes.insert(name.to_owned(), value);
    }
    operation
}

/// A second effect of the same call, with the same targets and attributes.
fn derived(first: &Operation, name: &str, aliases: &[&str]) -> Operation {
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

/// `PATCH /repos/{o}/{r}`: the call itself, and an operation for each setting of consequence.
fn settings(first: &Operation, fields: &Fields<'_>) -> Result<Vec<Operation>, Fault> {
    const SETTINGS: [(&str, &str); 8] = [
        ("visibility", "repo.visibility"),
        ("private", "repo.visibility"),
        ("archived", "repo.archive"),
        ("default_branch", "repo.default_branch"),
        ("name", "repo.rename"),
        ("security_and_analysis", "security.update"),
        ("allow_forking", "repo.forking"),
        ("is_template", "repo.template"),
    ];
    let mut found: BTreeMap<&str, Operation> = BTreeMap::new();
    for (member, name) in SETTINGS {
        if fields.get(member)?.is_some() {
            let operation = found
                .entry(name)
                .or_insert_with(|| derived(first, name, &[]));
            show(operation, fields, &[member])?;
        }
    }
    Ok(found.into_values().collect())
}

fn show_hook(operation: &mut Operation, fields: &Fields<'_>) -> Result<(), Fault> {
    if let Some(super::super::fields::Field::Json(config)) = fields.get("config")?
        && let Some(url) = config.get("url").and_then(Value::as_str)
    {
        set(operation, "url", url);
    }
    show(operation, fields, &["active"])
}

/// Copies scalar members of the body into the attributes.
fn show(operation: &mut Operation, fields: &Fields<'_>, names: &[&str]) -> Result<(), Fault> {
    for name in names {
        if let Some(value) = fields.shown(name)? {
            operation.attributes.insert((*name).to_owned(), value);
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

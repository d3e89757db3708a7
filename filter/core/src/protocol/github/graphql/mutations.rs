//! What each mutation does: the names of REST for the same effects.
//!
//! Most inputs tell their place by a node id. What an earlier answer told of it is in [`Nodes`];
//! else the repository (and the ref) is [`Target::Any`]. There is no `deleteRepository` mutation.

use super::super::attributes::{PUSH, file_paths, set};
use super::super::nodes::{Node, Nodes};
use super::super::route;
use super::address;
use super::table::{self, Place, Reads, Row};
use super::value::Given;
use crate::operation::{Operation, Paths, Target};
use crate::protocol::{branch_target, ref_target, repo_target};

/// Attributes whose values GitHub writes in capitals here and in small letters in REST.
const SMALL: [&str; 9] = [
    "visibility",
    "state",
    "merge_method",
    "permission",
    "enforcement",
    "target",
    "conclusion",
    "status",
    "reason",
];

/// The operations of one root field of a mutation.
pub(super) fn operations(field: &str, input: Given<'_>, nodes: &Nodes) -> Vec<Operation> {
    let Some(row) = table::find(field) else {
        return vec![unknown(field)];
    };
    let mut first = Operation {
        name: row.name.to_owned(),
        aliases: vec![format!("graphql:{field}")],
        write: true,
        ..Operation::default()
    };
    first
        .aliases
        .extend(row.aliases.iter().map(|alias| (*alias).to_owned()));
    for (member, name) in &row.shown {
        show(&mut first, input, member, name);
    }
    let text = |name: &str| input.get(name).text();
    match row.reads {
        Reads::Plain => {}
        Reads::Ref => first.reference = Target::Any,
        Reads::RefId => {
            let node = text("refId").and_then(|id| nodes.find(id));
            first.reference = reference(node);
        }
        Reads::NewRef => {
            first.reference = match text("name") {
                Some(name) if name.starts_with("refs/") => ref_target(name.to_owned()),
                _ => Target::Any,
            };
        }
        Reads::NewBranch => first.reference = text("name").map_or(Target::Any, branch_target),
        Reads::MergeBranch => first.reference = text("base").map_or(Target::Any, branch_target),
        Reads::Review => first.reference = Target::Any,
        Reads::Archive(archived) => set(&mut first, "archived", &archived.to_string()),
        Reads::Create | Reads::Template | Reads::Import => {
            return created(first, row, input, nodes);
        }
        Reads::Commit => return commit(first, input, nodes),
        Reads::Refs | Reads::Settings => {}
    }
    let mut operations = Vec::new();
    for placed in place(&first, &row.places, input, nodes) {
        match row.reads {
            Reads::Refs => operations.extend(update_refs(&placed, input)),
            Reads::Settings => operations.extend(settings(placed, input)),
            Reads::Review => operations.extend(review(placed, input)),
            _ => operations.push(placed),
        }
    }
    operations
}

/// A mutation, or subscription, that the table does not have.
pub(super) fn unknown(field: &str) -> Operation {
    Operation {
        name: "github.unknown_write".to_owned(),
        aliases: vec![format!("graphql:{field}")],
        repo: Target::Any,
        account: Target::Any,
        reference: Target::Any,
        paths: Paths::Unknown,
        write: true,
        ..Operation::default()
    }
}

/// The operation at each of its places.
fn place(first: &Operation, places: &[Place], input: Given<'_>, nodes: &Nodes) -> Vec<Operation> {
    let mut repos: Vec<Target> = Vec::new();
    let mut account = Target::None;
    let mut in_repo = false;
    let mut add = |target: Target| {
        if !repos.contains(&target) {
            repos.push(target);
        }
    };
    for place in places {
        match place {
            Place::Repo(member) => {
                in_repo = true;
                for id in input.get(member).items() {
                    add(repo(id.text().and_then(|id| nodes.find(id))));
                }
            }
            Place::Url(member) => {
                if let Some(url) = input.get(member).text() {
                    add(address::repo(url));
                }
            }
            Place::Branch => in_repo = true,
            Place::Reach(member) => {
                in_repo = true;
                // The id may be a repository's: rulesets have one or the other as their source.
                add(repo(input.get(member).text().and_then(|id| nodes.find(id))));
            }
            Place::Owner(_) | Place::Anyone => account = Target::Any,
            Place::Login(member) => {
                account = input.get(member).text().map_or(Target::Any, route::login);
            }
        }
    }
    // An input without the member that would tell: an account's affair where it can be one.
    if repos.is_empty() {
        repos.push(match in_repo && account == Target::None {
            true => Target::Any,
            false => Target::None,
        });
    }
    let at = |repo: Target| Operation {
        account: match repo {
            Target::None => account.clone(),
            Target::Known(_) | Target::Any => Target::None,
        },
        repo,
        ..first.clone()
    };
    repos.into_iter().map(at).collect()
}

fn repo(node: Option<&Node>) -> Target {
    node.map_or(Target::Any, |node| Target::Known(node.repo.clone()))
}

fn reference(node: Option<&Node>) -> Target {
    match node.and_then(|node| node.reference.as_ref()) {
        Some(name) => ref_target(name.clone()),
        None => Target::Any,
    }
}

/// A second effect of the same call, in the same place and with the same attributes.
fn derived(first: &Operation, name: &str, aliases: &[&str]) -> Operation {
    let door = first.aliases.iter().filter(|alias| alias.contains(':'));
    Operation {
        name: name.to_owned(),
        aliases: door
            .cloned()
            .chain(aliases.iter().map(|a| (*a).to_owned()))
            .collect(),
        ..first.clone()
    }
}

/// A review; one that approves is `pr.approve` too. The event is one of a few words; what is not
/// clearly another one counts.
fn review(first: Operation, input: Given<'_>) -> Vec<Operation> {
    let event = input.get("event");
    let harmless = match event.text() {
        Some(word) => matches!(word, "COMMENT" | "REQUEST_CHANGES" | "DISMISS"),
        None => !event.is_set(),
    };
    if harmless {
        return vec![first];
    }
    let approve = derived(&first, "pr.approve", &[]);
    vec![first, approve]
}

/// A new repository: in the account of `ownerId`, which no answer tells by name, or the caller's own.
fn created(mut first: Operation, row: &Row, input: Given<'_>, nodes: &Nodes) -> Vec<Operation> {
    first.repo = Target::Any;
    match row.reads {
        Reads::Template => {
            let from = repo(
                input
                    .get("repositoryId")
                    .text()
                    .and_then(|id| nodes.find(id)),
            );
            let mut read = derived(&first, "repo.read", &[]);
            read.write = false;
            read.attributes.clear();
            if let Target::Known(template) = &from {
                set(&mut first, "template", template);
            }
            set(&mut first, "change", "template");
            read.repo = from;
            vec![first, read]
        }
        Reads::Import => {
            show(&mut first, input, "repositoryName", "name");
            let mut create = derived(&first, "repo.create", &[]);
            set(&mut create, "change", "import");
            vec![first, create]
        }
        _ => vec![first],
    }
}

/// `updateRepository`: the call itself, and an operation for each setting of consequence.
fn settings(first: Operation, input: Given<'_>) -> Vec<Operation> {
    let mut more = Vec::new();
    for (member, name, attribute) in [
        ("name", "repo.rename", "name"),
        ("template", "repo.template", "is_template"),
    ] {
        if input.get(member).is_set() {
            let mut operation = derived(&first, name, &[]);
            show(&mut operation, input, member, attribute);
            more.push(operation);
        }
    }
    more.insert(0, first);
    more
}

/// `createCommitOnBranch`: files and a branch, which may be named in full or by id.
fn commit(mut first: Operation, input: Given<'_>, nodes: &Nodes) -> Vec<Operation> {
    let branch = input.get("branch");
    let part = |name: &str| branch.get(name).text();
    first.repo = Target::Any;
    first.reference = Target::Any;
    if branch.get("id").is_set() {
        // Beside an id, names prove nothing: the server says which of them counts.
        let named =
            branch.get("repositoryNameWithOwner").is_set() || branch.get("branchName").is_set();
        if let (false, Some(node)) = (named, part("id").and_then(|id| nodes.find(id))) {
            first.repo = repo(Some(node));
            first.reference = reference(Some(node));
        }
    } else {
        let full = part("repositoryNameWithOwner").and_then(|full| full.split_once('/'));
        if let Some((owner, name)) = full {
            first.repo = repo_target(owner, name);
        }
        if let Some(name) = part("branchName") {
            first.reference = branch_target(name);
        }
    }
    first.paths = changed_files(input.get("fileChanges"));
    set(&mut first, "change", "write");
    let moved = derived(&first, "ref.update", &[PUSH]);
    vec![first, moved]
}

fn changed_files(changes: Given<'_>) -> Paths {
    let mut paths = Vec::new();
    for list in ["additions", "deletions"] {
        for change in changes.get(list).items() {
            match change.get("path").text() {
                Some(path) => paths.push(path),
                None => return Paths::Unknown,
            }
        }
    }
    file_paths(paths.into_iter())
}

/// `updateRefs`: each ref is created, moved or deleted, as in a push.
fn update_refs(first: &Operation, input: Given<'_>) -> Vec<Operation> {
    let updates = input.get("refUpdates").items();
    if updates.is_empty() {
        return vec![Operation {
            reference: Target::Any,
            ..first.clone()
        }];
    }
    let zero =
        |id: Option<&str>| id.is_some_and(|id| !id.is_empty() && id.bytes().all(|b| b == b'0'));
    let operations = updates.into_iter().map(|update| {
        let text = |name: &str| update.get(name).text();
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
        for (member, name) in [
            ("beforeOid", "old"),
            ("afterOid", "new"),
            ("force", "force"),
        ] {
            show(&mut operation, update, member, name);
        }
        operation
    });
    operations.collect()
}

fn show(operation: &mut Operation, members: Given<'_>, member: &str, name: &str) {
    let Some(mut value) = members.get(member).shown() else {
        return;
    };
    if SMALL.contains(&name) {
        value.make_ascii_lowercase();
    }
    set(operation, name, &value);
}

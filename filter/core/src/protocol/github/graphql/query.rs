//! What the root fields of a query read.

use super::super::{nodes::Nodes, search};
use super::document::{Fragments, Root};
use super::reach::{self, At, Reach};
use super::{address, mutations};
use crate::operation::{Operation, Target};
use crate::protocol::{Fault, repo_target};

/// Roots whose data belongs to nobody: see `REFERENCE` in `filter/core/github/update_fields.py`.
const REFERENCE: [&str; 10] = [
    "codeOfConduct",
    "codesOfConduct",
    "license",
    "licenses",
    "meta",
    "rateLimit",
    "securityAdvisories",
    "securityAdvisory",
    "securityVulnerabilities",
    "topic",
];

/// The operations of one root field of a query.
pub(super) fn operations(
    root: &Root<'_>,
    nodes: &Nodes,
    fragments: &Fragments<'_>,
) -> Result<Vec<Operation>, Fault> {
    let field = root.field.name().as_str();
    let text = |name: &str| root.arguments.get(name).text();
    let read = |name: &str, repo: Target, account: Target| Operation {
        name: name.to_owned(),
        aliases: vec![format!("graphql:{field}")],
        repo,
        account,
        ..Operation::default()
    };
    let in_repo = |repo: Target| read("repo.read", repo, Target::None);
    let (firsts, at) = match field {
        "repository" => {
            let repo = match (text("owner"), text("name")) {
                (Some(owner), Some(name)) => repo_target(owner, name),
                _ => Target::Any,
            };
            (vec![in_repo(repo)], At::Repository)
        }
        "organization" | "user" | "repositoryOwner" => {
            let account = reach::account(text("login"));
            (
                vec![read("github.read", Target::None, account)],
                At::Account,
            )
        }
        "viewer" => (
            vec![read("github.read", Target::None, Target::None)],
            At::Account,
        ),
        "enterprise" => (
            vec![read("github.read", Target::None, Target::Any)],
            At::Account,
        ),
        "node" | "nodes" => {
            let ids = root
                .arguments
                .get(if field == "node" { "id" } else { "ids" });
            let mut firsts: Vec<Operation> = Vec::new();
            for id in ids.items() {
                let node = id.text().and_then(|id| nodes.find(id));
                firsts.push(in_repo(
                    node.map_or(Target::Any, |n| Target::Known(n.repo.clone())),
                ));
            }
            if firsts.is_empty() {
                firsts.push(in_repo(Target::Any));
            }
            (firsts, At::Repository)
        }
        "resource" => (
            vec![in_repo(text("url").map_or(Target::Any, address::repo))],
            At::Repository,
        ),
        // Issues and repositories are bounded by the query; users and discussions are not known to be.
        "search" => {
            let bounded = matches!(
                text("type"),
                Some("ISSUE" | "ISSUE_ADVANCED" | "REPOSITORY")
            );
            let query = text("query").filter(|_| bounded).unwrap_or_default();
            let firsts = search::places(query).into_iter();
            let firsts = firsts.map(|(repo, account)| read("search.read", repo, account));
            (firsts.collect(), At::Repository)
        }
        field if field.starts_with("__") => {
            return Ok(vec![read("github.read", Target::None, Target::None)]);
        }
        field if REFERENCE.contains(&field) => (
            vec![read("github.read", Target::None, Target::None)],
            At::Repository,
        ),
        _ => (
            vec![read("github.read", Target::Any, Target::Any)],
            At::Elsewhere,
        ),
    };
    let account = match firsts.first() {
        Some(first) if at == At::Account && first.account != Target::None => first.account.clone(),
        _ => Target::Any,
    };
    let reach = reach::of(root.field, at, &account, &root.scope, fragments)?;
    Ok(extend(firsts, reach, &account, field))
}

/// The operations of one root field of a mutation: what it does, and what its answer reads.
pub(super) fn mutation(
    root: &Root<'_>,
    nodes: &Nodes,
    fragments: &Fragments<'_>,
) -> Result<Vec<Operation>, Fault> {
    let field = root.field.name().as_str();
    let operations = mutations::operations(field, root.arguments.get("input"), nodes);
    let mut repos = operations.iter().map(|operation| operation.repo.known());
    let first = repos.next().flatten();
    let at = match first {
        Some(_) if repos.all(|repo| repo == first) => At::Repository,
        Some(_) | None => At::Answer,
    };
    let reach = reach::of(root.field, at, &Target::Any, &root.scope, fragments)?;
    Ok(extend(operations, reach, &Target::Any, field))
}

/// Adds the reading of what a selection leads to.
fn extend(
    mut operations: Vec<Operation>,
    reach: Reach,
    account: &Target,
    field: &str,
) -> Vec<Operation> {
    let read = |repo: Target, account: Target| Operation {
        name: "repo.read".to_owned(),
        aliases: vec![format!("graphql:{field}")],
        repo,
        account,
        ..Operation::default()
    };
    for repo in reach.repos {
        let account = match (&repo, account) {
            (Target::Any, Target::Known(_)) => account.clone(),
            _ => Target::None,
        };
        operations.push(read(repo, account));
    }
    let anywhere = read(Target::Any, Target::None);
    if reach.leaves && !operations.contains(&anywhere) {
        operations.push(anywhere);
    }
    operations
}

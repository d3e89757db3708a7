//! Where a selection leads: whether it stays in the repository that a root field names.
//!
//! GraphQL objects lead on: from a repository to its forks, from a pull request to its author and
//! from there to every repository of his. `filter/core/github/fields.txt` lists the fields that
//! provably stay in the repository they are asked of; by every other field the walk leaves it. Below
//! such a field only what identifies an object may be asked (`parent { nameWithOwner }`,
//! `author { login }`); anything more reads a repository that the request does not tell. Fields
//! that list repositories always do.
//!
//! Fields go by their name alone, aliases do not count, and a name that GitHub adds later leaves.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use bluejay_core::AsIter;
use bluejay_parser::ast::executable::{Field, SelectionSet};
use rustc_hash::FxHashMap;

use super::super::route;
use super::document::{Fragments, Step, step};
use super::value::Scope;
use crate::operation::Target;
use crate::protocol::{Fault, repo_target};

/// Where a walk stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum At {
    /// In the repository that the request names, or among public reference data.
    Repository,
    /// In an account.
    Account,
    /// In the answer of a mutation that could be anywhere: what is not an object is its own.
    Answer,
    /// Anywhere.
    Elsewhere,
}

/// Where a selection leads beside the place it began at.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Reach {
    /// Into repositories that the request does not tell.
    pub leaves: bool,
    /// Into repositories of the account it began at, and which ones.
    pub repos: Vec<Target>,
}

/// What only identifies an object or its kind, or counts and pages objects.
const IDENTITY: &[&str] = &[
    "__typename",
    "abbreviatedOid",
    "avatarUrl",
    "clientMutationId",
    "closed",
    "closedAt",
    "createdAt",
    "cursor",
    "databaseId",
    "date",
    // One line about it; `gh` asks it of a fork's parent whenever it looks for a repository.
    "description",
    "ecosystem",
    "email",
    "endCursor",
    "fullDatabaseId",
    "hasDependencies",
    "hasIssuesEnabled",
    "hasNextPage",
    "hasPreviousPage",
    "hasProjectsEnabled",
    "hasWikiEnabled",
    "id",
    "isArchived",
    "isDraft",
    "isFork",
    "isInOrganization",
    "isPrivate",
    "isTemplate",
    "key",
    "login",
    "mergeCommitAllowed",
    "merged",
    "mergedAt",
    "name",
    "nameWithOwner",
    "number",
    "oid",
    "optionId",
    "packageManager",
    "packageName",
    "permission",
    "prefix",
    "rebaseMergeAllowed",
    "requirements",
    "resourcePath",
    "role",
    "slug",
    "spdxId",
    "squashMergeAllowed",
    "startCursor",
    "state",
    "totalCount",
    "updatedAt",
    "url",
    "viewerCanAdminister",
    "viewerPermission",
    "visibility",
];

/// Fields of an account that lead to what is that account's too.
const OF_ACCOUNT: &[&str] = &[
    "childTeams",
    "completedIterations",
    "configuration",
    "edges",
    "field",
    "fields",
    "iterations",
    "node",
    "nodes",
    "options",
    "pageInfo",
    "parentTeam",
    "projectV2",
    "projectsV2",
    "team",
    "teams",
    "view",
    "views",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leads {
    Stays,
    Lists,
}

static TABLE: &str = include_str!("../../../../github/fields.txt");

/// The fields of the table.
pub(super) fn table() -> &'static FxHashMap<&'static str, Leads> {
    static FIELDS: OnceLock<FxHashMap<&'static str, Leads>> = OnceLock::new();
    FIELDS.get_or_init(|| {
        let row = |line: &'static str| {
            let mut columns = line.split_ascii_whitespace();
            let leads = match columns.next()? {
                "stays" => Leads::Stays,
                "lists" => Leads::Lists,
                _ => return None,
            };
            Some((columns.next()?, leads))
        };
        TABLE.lines().filter_map(row).collect()
    })
}

/// Walks the selection of a root field.
pub(super) fn of(
    field: &Field<'_>,
    at: At,
    account: &Target,
    scope: &Scope<'_>,
    fragments: &Fragments<'_>,
) -> Result<Reach, Fault> {
    let mut reach = Reach::default();
    let mut seen = BTreeSet::new();
    let mut sets: Vec<(&SelectionSet<'_>, At)> = field
        .selection_set()
        .map(|set| (set, at))
        .into_iter()
        .collect();
    while let Some((set, at)) = sets.pop() {
        for selection in set.iter() {
            match step(selection, fragments)? {
                Step::Inline(set) => sets.push((set, at)),
                // Once for each kind of place: a cycle ends, and the work is bounded by the document.
                Step::Fragment(name, set) if seen.insert((name, at)) => sets.push((set, at)),
                Step::Fragment(..) => {}
                Step::Field(field) => {
                    let next = reach.enter(field, at, account, scope)?;
                    sets.extend(field.selection_set().zip(next));
                }
            }
        }
    }
    Ok(reach)
}

impl Reach {
    /// Where the walk stands below `field`.
    fn enter(
        &mut self,
        field: &Field<'_>,
        at: At,
        account: &Target,
        scope: &Scope<'_>,
    ) -> Result<Option<At>, Fault> {
        let name = field.name().as_str();
        let leaf = field.selection_set().is_none();
        // Nothing below changes what is known already.
        if at == At::Elsewhere && self.leaves {
            return Ok((!leaf).then_some(At::Elsewhere));
        }
        if leaf {
            self.leaves |= at == At::Elsewhere && IDENTITY.binary_search(&name).is_err();
            return Ok(None);
        }
        let leads = table().get(name).copied();
        Ok(Some(match (at, leads) {
            (At::Account, _) if name == "repository" => {
                let arguments = scope.arguments(field.arguments())?;
                let repo = match (account, arguments.get("name").text()) {
                    (Target::Known(owner), Some(name)) => repo_target(owner, name),
                    _ => Target::Any,
                };
                self.find(repo);
                At::Repository
            }
            (At::Account, _) if name == "repositories" => {
                let arguments = scope.arguments(field.arguments())?;
                let affiliations = arguments.get("ownerAffiliations").items();
                let owned = affiliations.len() == 1
                    && affiliations.iter().all(|a| a.text() == Some("OWNER"));
                // Without it, repositories of others in which a user works come too.
                self.leaves |= !owned;
                self.find(Target::Any);
                At::Repository
            }
            (_, Some(Leads::Lists)) => {
                self.leaves = true;
                At::Elsewhere
            }
            (At::Repository, Some(Leads::Stays)) => At::Repository,
            (At::Account, _) if OF_ACCOUNT.binary_search(&name).is_ok() => At::Account,
            (At::Repository | At::Account | At::Answer | At::Elsewhere, _) => At::Elsewhere,
        }))
    }

    fn find(&mut self, repo: Target) {
        if !self.repos.contains(&repo) {
            self.repos.push(repo);
        }
    }
}

/// Which account a root field names, by its login.
pub(super) fn account(login: Option<&str>) -> Target {
    login.map_or(Target::Any, route::login)
}

#[cfg(test)]
pub(super) fn lists_are_sorted() -> bool {
    IDENTITY.is_sorted() && OF_ACCOUNT.is_sorted()
}

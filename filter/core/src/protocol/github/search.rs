//! What a search is bounded to.
//!
//! `GET /search/…` takes a language of its own in `q`. Its qualifiers `repo:`, `org:` and `user:`
//! bound it: several of them make it the union of theirs, everything else narrows it further. That
//! is believed where nothing in the query could make it wider: no `OR`, no negated bound, no
//! quotes, brackets or qualifiers that are not known here. Else the search is of everything.

use crate::operation::{Operation, Target};
use crate::protocol::fields::{Field, Fields};
use crate::protocol::{Fault, repo_target};

use super::route::login;

/// More bounds than a person writes; a query that has more is taken as unbounded.
const MOST: usize = 64;

/// Qualifiers that only narrow a search, in code, commits, issues and repositories.
const NARROWING: &[&str] = &[
    "archived",
    "assignee",
    "author",
    "author-date",
    "author-email",
    "author-name",
    "base",
    "closed",
    "commenter",
    "comments",
    "committer",
    "committer-date",
    "committer-email",
    "committer-name",
    "created",
    "draft",
    "extension",
    "filename",
    "followers",
    "fork",
    "forks",
    "good-first-issues",
    "has",
    "hash",
    "head",
    "help-wanted-issues",
    "in",
    "interactions",
    "involves",
    "is",
    "label",
    "language",
    "license",
    "linked",
    "mentions",
    "merge",
    "merged",
    "milestone",
    "mirror",
    "no",
    "parent",
    "path",
    "project",
    "pushed",
    "reactions",
    "reason",
    "review",
    "review-requested",
    "reviewed-by",
    "sha",
    "size",
    "sort",
    "stars",
    "state",
    "status",
    "symbol",
    "team",
    "team-review-requested",
    "template",
    "topic",
    "topics",
    "tree",
    "type",
    "updated",
    "user-review-requested",
];

/// One operation for each bound; one for everything where there is none.
pub(super) fn operations(first: &Operation, fields: &Fields<'_>) -> Result<Vec<Operation>, Fault> {
    let query = match fields.get("q")? {
        // A body is no place for a query, and which of them GitHub would take is not known.
        Some(Field::Query(query)) => Some(query),
        _ => None,
    };
    Ok(within(first, query))
}

/// `first` in each place that a query is bounded to; everywhere without one.
pub(crate) fn within(first: &Operation, query: Option<&str>) -> Vec<Operation> {
    query
        .and_then(bounds)
        .unwrap_or_else(|| vec![Bound::default()])
        .into_iter()
        .map(|bound| Operation {
            repo: bound.repo,
            account: bound.account,
            ..first.clone()
        })
        .collect()
}

/// One place that a search looks into.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bound {
    repo: Target,
    account: Target,
}

impl Default for Bound {
    fn default() -> Self {
        Bound {
            repo: Target::Any,
            account: Target::Any,
        }
    }
}

/// The places that a query is bounded to; nothing where it is not provably bounded.
fn bounds(query: &str) -> Option<Vec<Bound>> {
    if query.contains(['"', '\'', '(', ')', '\\', '`']) || query.chars().any(char::is_control) {
        return None;
    }
    let mut bounds = Vec::new();
    for term in query.split(' ').filter(|term| !term.is_empty()) {
        if let Some(bound) = read_term(term)? {
            bounds.push(bound);
        }
    }
    (!bounds.is_empty() && bounds.len() <= MOST).then_some(bounds)
}

/// The bound that a term is, if it is one; nothing at all where the term could make a search wider.
fn read_term(term: &str) -> Option<Option<Bound>> {
    if ["OR", "NOT", "AND"].iter().any(|word| term.eq_ignore_ascii_case(word))
        // `@owner/repo` is a bound on GitHub's pages.
        || term.starts_with(['@', '|', '&', '+'])
    {
        return None;
    }
    let (negated, plain) = match term.strip_prefix('-') {
        Some(plain) => (true, plain),
        None => (false, term),
    };
    let Some((name, value)) = plain.split_once(':') else {
        return Some(None);
    };
    match name {
        "repo" | "org" | "user" if negated => None,
        "repo" => {
            let (owner, name) = value.split_once('/')?;
            let repo = repo_target(owner, name);
            repo.known()?;
            Some(Some(Bound {
                repo,
                account: Target::None,
            }))
        }
        "org" | "user" => {
            let account = login(value);
            account.known()?;
            Some(Some(Bound {
                repo: Target::Any,
                account,
            }))
        }
        _ if NARROWING.contains(&name) => Some(None),
        _ => None,
    }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;

//! Matching a path against the table: literal segments before parameters, short before long.

use super::table::{REPO, ROOT, Row};
use crate::operation::Target;
use crate::protocol::repo_target;

/// A row of the table and what its template captured.
#[derive(Debug)]
pub(super) struct Found<'p> {
    pub row: &'static Row,
    /// The repository the path names; `None` where the row has none.
    pub repo: Target,
    captures: Vec<(&'static str, &'p [String])>,
}

impl Found<'_> {
    /// A captured value; several segments are joined by `/`.
    pub(super) fn capture(&self, name: &str) -> Option<String> {
        self.captures()
            .find_map(|(n, value)| (n == name).then_some(value))
    }

    /// Every captured value but the repository, in the order of the template.
    pub(super) fn captures(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.captures
            .iter()
            .filter(|(name, _)| !matches!(*name, "owner" | "repo"))
            .map(|(name, segments)| (*name, segments.join("/")))
    }
}

/// The repository a path lies in, and its segments below it. `/repositories/{id}` names one that
/// the request does not tell (renamed repositories redirect there).
pub(super) fn repository(segments: &[String]) -> Option<(Target, &[String])> {
    match segments {
        [repos, owner, name, rest @ ..] if repos.eq_ignore_ascii_case("repos") => {
            Some((repo_target(owner, name), rest))
        }
        [repositories, _id, rest @ ..] if repositories.eq_ignore_ascii_case("repositories") => {
            Some((Target::Any, rest))
        }
        _ => None,
    }
}

/// The operation of `method` on `segments`, if the table has it. GitHub takes POST where its
/// documentation used to say so and now says PATCH: the same operation.
pub(super) fn find<'p>(method: &str, segments: &'p [String]) -> Option<Found<'p>> {
    let method = match method {
        "HEAD" => "GET",
        other => other,
    };
    let exact = find_method(method, segments);
    match exact {
        None if method == "POST" => find_method("PATCH", segments),
        found => found,
    }
}

fn find_method<'p>(method: &str, segments: &'p [String]) -> Option<Found<'p>> {
    let (table, repo, rest) = match repository(segments) {
        Some((repo, rest)) => (REPO, Some(repo), rest),
        None => (ROOT, None, segments),
    };
    let mut best: Option<(Vec<u8>, Found<'p>)> = None;
    for row in table.iter().filter(|row| row.method == method) {
        let mut captures = Vec::new();
        let mut rank = Vec::new();
        if !fits(row.template, rest, &mut captures, &mut rank) {
            continue;
        }
        if best.as_ref().is_none_or(|(other, _)| rank < *other) {
            let repo = repo.clone().unwrap_or_else(|| named(&captures));
            let found = Found {
                row,
                repo,
                captures,
            };
            best = Some((rank, found));
        }
    }
    best.map(|(_, found)| found)
}

/// The repository of a template with `{owner}/{repo}` further in.
fn named(captures: &[(&'static str, &[String])]) -> Target {
    let value = |name: &str| {
        captures
            .iter()
            .find_map(|(n, value)| (*n == name).then_some(*value))
    };
    match (value("owner"), value("repo")) {
        (Some([owner]), Some([repo])) => repo_target(owner, repo),
        _ => Target::None,
    }
}

/// Whether `template` fits all of `segments`. `rank` orders fits, the most literal first.
fn fits<'p>(
    template: &'static str,
    segments: &'p [String],
    captures: &mut Vec<(&'static str, &'p [String])>,
    rank: &mut Vec<u8>,
) -> bool {
    if template.is_empty() {
        return segments.is_empty();
    }
    let (part, rest) = template.split_once('/').unwrap_or((template, ""));
    let Some(name) = part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) else {
        // GitHub's own routes are lower case; a server that is generous must not be a way around.
        return match segments {
            [first, tail @ ..] if first.eq_ignore_ascii_case(part) => {
                rank.push(0);
                fits(rest, tail, captures, rank)
            }
            _ => false,
        };
    };
    let (name, longest) = match name.strip_suffix('*') {
        Some(name) => (name, segments.len()),
        None => (name, 1),
    };
    let (captured, ranked) = (captures.len(), rank.len());
    for length in (1..=longest).rev() {
        let Some((value, tail)) = segments.split_at_checked(length) else {
            continue;
        };
        captures.push((name, value));
        rank.push(if longest == 1 { 1 } else { 2 });
        if fits(rest, tail, captures, rank) {
            return true;
        }
        captures.truncate(captured);
        rank.truncate(ranked);
    }
    false
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;

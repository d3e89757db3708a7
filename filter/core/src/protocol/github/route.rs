//! Finding the operation of a path: literal segments before parameters, with a way back.

use std::cmp::Ordering;

use super::table::{Method, Node, Row, Segment};
use crate::operation::Target;
use crate::protocol::repo_target;

/// A row of the table and what its template captured.
#[derive(Debug)]
pub(super) struct Found<'p> {
    pub row: &'static Row,
    /// The repository the path names; `None` where the row has none.
    pub repo: Target,
    /// The account the path names; `None` where the row has none.
    pub account: Target,
    captures: Vec<&'p [String]>,
}

impl Found<'_> {
    /// A captured value; several segments are joined by `/`.
    pub(super) fn capture(&self, name: &str) -> Option<String> {
        self.captures()
            .find_map(|(n, value)| (n == name).then_some(value))
    }

    /// Every captured value but the repository, in the order of the template.
    pub(super) fn captures(&self) -> impl Iterator<Item = (&'static str, String)> {
        let names = self.row.captures.iter().copied();
        names
            .zip(&self.captures)
            .filter(|(name, _)| !REPOSITORY.iter().any(|pair| pair.contains(name)))
            .map(|(name, segments)| (name, segments.join("/")))
    }
}

/// The names under which templates capture a repository.
const REPOSITORY: [[&str; 2]; 2] = [["owner", "repo"], ["template_owner", "template_repo"]];

/// The repository a path lies in, if it lies in one. `/repositories/{id}` names one that the
/// request does not tell (renamed repositories redirect there).
pub(super) fn repository(segments: &[String]) -> Option<Target> {
    match segments {
        [repos, owner, name, ..] if repos.eq_ignore_ascii_case("repos") => {
            Some(repo_target(owner, name))
        }
        [repositories, _id, ..] if repositories.eq_ignore_ascii_case("repositories") => {
            Some(Target::Any)
        }
        _ => None,
    }
}

/// The account a path begins with, if it does.
pub(super) fn account(segments: &[String]) -> Target {
    let [kind, name, ..] = segments else {
        return Target::None;
    };
    let is = |word: &str| kind.eq_ignore_ascii_case(word);
    if is("orgs") || is("users") || is("organizations") {
        login(name)
    } else if is("enterprises") {
        // A namespace of its own: an enterprise is not the organisation of the same name.
        match login(name) {
            Target::Known(name) => Target::Known(format!("enterprises/{name}")),
            other => other,
        }
    } else if is("user") && is_number(name) {
        Target::Any
    } else {
        Target::None
    }
}

/// The login of an account in lower case. What could be an id, or no login, proves nothing.
pub(super) fn login(name: &str) -> Target {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if name.is_empty() || is_number(name) || !name.bytes().all(plain) {
        return Target::Any;
    }
    Target::Known(name.to_ascii_lowercase())
}

/// The operation of `method` on `segments`, if the table has it. GitHub takes POST where its
/// documentation used to say so and now says PATCH: the same operation.
pub(super) fn find<'p>(method: &str, segments: &'p [String]) -> Option<Found<'p>> {
    let method = Method::from_name(method)?;
    match find_method(method, segments) {
        None if method == Method::Post => find_method(Method::Patch, segments),
        found => found,
    }
}

fn find_method<'p>(method: Method, segments: &'p [String]) -> Option<Found<'p>> {
    let root = Node::root()?;
    let mut captures = Vec::new();
    let row = walk(root, method, segments, &mut captures)
        .or_else(|| by_number(root, method, segments, &mut captures))?;
    let repo = repository(segments).unwrap_or_else(|| named(row, &captures));
    Some(Found {
        row,
        repo,
        account: account(segments),
        captures,
    })
}

/// GitHub's other spellings, which its `Link` headers and redirects use: `/repositories/{id}/…`
/// for `/repos/{owner}/{repo}/…`, `/organizations/{id}/…` and `/user/{id}/…`.
fn by_number<'p>(
    root: &'static Node,
    method: Method,
    segments: &'p [String],
    captures: &mut Vec<&'p [String]>,
) -> Option<&'static Row> {
    let (head, rest) = segments.split_at_checked(2)?;
    let [kind, id] = head else { return None };
    let (place, parameters) = match () {
        () if kind.eq_ignore_ascii_case("repositories") => ("repos", 2),
        () if kind.eq_ignore_ascii_case("organizations") => ("orgs", 1),
        () if kind.eq_ignore_ascii_case("user") && is_number(id) => ("users", 1),
        () => return None,
    };
    let mut node = literal(root, place)?;
    captures.clear();
    for _ in 0..parameters {
        let any = |child: &&Node| matches!(child.segment, Segment::Any);
        node = node.children().iter().find(any)?;
        captures.push(head.get(1..)?);
    }
    walk(node, method, rest, captures)
}

/// The repository of a template with `{owner}/{repo}` further in.
fn named(row: &Row, captures: &[&[String]]) -> Target {
    let value = |name: &str| {
        let at = row.captures.iter().position(|known| *known == name)?;
        captures.get(at).copied()
    };
    match (value("owner"), value("repo")) {
        (Some([owner]), Some([repo])) => repo_target(owner, repo),
        _ => Target::None,
    }
}

/// The row at which all of `segments` end, below `node`. What was captured on a way that led
/// nowhere is taken off again.
fn walk<'p>(
    node: &'static Node,
    method: Method,
    segments: &'p [String],
    captures: &mut Vec<&'p [String]>,
) -> Option<&'static Row> {
    let Some((first, rest)) = segments.split_first() else {
        return node.row(method);
    };
    if let Some(found) = literal(node, first).and_then(|n| walk(n, method, rest, captures)) {
        return Some(found);
    }
    let captured = captures.len();
    for child in node.children() {
        // Short before long: what follows the parameter by name is not part of its value.
        let lengths = match child.segment {
            Segment::Root | Segment::Literal(_) => continue,
            Segment::Word(word) if !first.eq_ignore_ascii_case(word) => continue,
            Segment::Digits if !is_number(first) => continue,
            Segment::Range if !first.contains("...") => continue,
            Segment::Many if child.children().is_empty() => segments.len()..=segments.len(),
            Segment::Many => 1..=segments.len(),
            Segment::Word(_) | Segment::Digits | Segment::Range | Segment::Any => 1..=1,
        };
        for length in lengths {
            let Some((value, rest)) = segments.split_at_checked(length) else {
                continue;
            };
            captures.push(value);
            if let Some(found) = walk(child, method, rest, captures) {
                return Some(found);
            }
            captures.truncate(captured);
        }
    }
    None
}

/// The child for a literal segment. GitHub's own routes are lower case; a server that is generous
/// must not be a way around.
fn literal(node: &'static Node, segment: &str) -> Option<&'static Node> {
    let children = node.children();
    let order = |child: &Node| match child.segment {
        Segment::Literal(word) => compare(word, segment),
        _ => Ordering::Greater,
    };
    let at = children.binary_search_by(order).ok()?;
    children.get(at)
}

/// Orders a lower-case word against a segment in any case.
fn compare(word: &str, segment: &str) -> Ordering {
    let lower = segment.bytes().map(|b| b.to_ascii_lowercase());
    word.bytes().cmp(lower)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;

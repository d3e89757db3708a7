//! Which ids of an answer are those of the repository that its request named. The reasons are in
//! [`nodes`](super::super::nodes).

use std::collections::BTreeMap;
use std::rc::Rc;

use bluejay_core::AsIter;
use bluejay_parser::ast::executable::{ExecutableDocument, Field, SelectionSet};

use super::super::nodes::{Lesson, Plan, RefName};
use super::document::{Fragments, Kind, Root, Step, step};
use super::value::Scope;
use crate::operation::Operation;
use crate::protocol::ref_target;

/// Fields whose object belongs to the repository of the object they are asked of.
const OBJECTS: &[&str] = &[
    "baseRef",
    "comments",
    "defaultBranchRef",
    "discussion",
    "discussions",
    "issue",
    "issueOrPullRequest",
    "issues",
    "label",
    "labels",
    "latestReviews",
    "milestone",
    "milestones",
    "pullRequest",
    "pullRequests",
    "ref",
    "refs",
    "reviewThreads",
    "reviews",
];
/// Members of a page, whose objects are those of the connection.
const PAGES: &[&str] = &["edges", "node", "nodes"];
/// Members that a plan reads.
const READ: &[&str] = &["id", "name", "prefix"];
/// Mutations whose answer shows what they made, in the repository of their input.
const MADE: &[&str] = &["createIssue", "createPullRequest", "createRef"];
/// Fields looked at in one document.
const MAX_FIELDS: usize = 2_000;
/// Nesting of what is learnt.
const MAX_DEPTH: usize = 12;

/// What the answer to these root fields may tell.
pub(super) fn lesson(
    document: &ExecutableDocument<'_>,
    roots: &[Root<'_>],
    operations: &[Operation],
    fragments: &Fragments<'_>,
) -> Option<Lesson> {
    // Only one operation runs, and which one must be known.
    if document.operation_definitions().len() != 1 {
        return None;
    }
    let mut budget = MAX_FIELDS;
    let mut plans: Vec<(String, Plan)> = Vec::new();
    for (index, root) in roots.iter().enumerate() {
        let Some((repo, at)) = start(root, operations) else {
            continue;
        };
        let key = root.field.response_key();
        // Two fields of one key are one object of the answer: which of them named it?
        let mut others = roots.iter().enumerate().filter(|(at, _)| *at != index);
        if others.any(|(_, other)| other.field.response_key() == key) {
            continue;
        }
        let mut walk = Walk {
            fragments,
            scope: &root.scope,
            budget: &mut budget,
        };
        let mut draft = Draft::default();
        walk.below(root.field.selection_set()?, at, &mut draft, 0)?;
        plans.push((key.to_owned(), draft.plan(&repo)));
    }
    (!plans.is_empty()).then_some(Lesson::GraphQl(plans))
}

/// The repository that a root field names, and whether its `id` is that of an object in it.
fn start(root: &Root<'_>, operations: &[Operation]) -> Option<(Rc<str>, bool)> {
    let field = root.field.name().as_str();
    match root.kind {
        Kind::Query if field == "repository" => {
            let text = |name: &str| root.arguments.get(name).text();
            let repo = crate::protocol::repo_target(text("owner")?, text("name")?);
            Some((Rc::from(repo.known()?), true))
        }
        Kind::Mutation if MADE.contains(&field) => {
            let alias = format!("graphql:{field}");
            let mut of_field = operations
                .iter()
                .filter(|o| o.write && o.aliases.contains(&alias));
            let repo = of_field.next()?.repo.known()?;
            // Several repositories, or several mutations of one name: it does not tell which.
            of_field.next().is_none().then(|| (Rc::from(repo), false))
        }
        Kind::Query | Kind::Mutation | Kind::Subscription => None,
    }
}

/// A plan that is being read off a selection.
#[derive(Default)]
struct Draft<'d> {
    /// Every response key of the object.
    keys: BTreeMap<&'d str, Key<'d>>,
    id: bool,
    name: Option<RefName>,
    below: Vec<(&'d str, Draft<'d>)>,
}

/// What a response key stands for.
#[derive(Clone, Copy)]
struct Key<'d> {
    /// The field that it is of.
    field: &'d str,
    /// The place in `below` of the object that is read there.
    below: Option<usize>,
}

impl Draft<'_> {
    fn plan(self, repo: &Rc<str>) -> Plan {
        let below = self.below.into_iter();
        Plan {
            repo: Rc::clone(repo),
            id: self.id,
            name: self.name,
            below: below
                .map(|(key, d)| (key.to_owned(), d.plan(repo)))
                .collect(),
        }
    }
}

struct Walk<'w, 'd> {
    fragments: &'w Fragments<'d>,
    scope: &'w Scope<'d>,
    budget: &'w mut usize,
}

impl<'d> Walk<'_, 'd> {
    /// Fills `draft` from a selection; nothing at all may be learnt where this gives nothing.
    fn below(
        &mut self,
        set: &'d SelectionSet<'d>,
        object: bool,
        draft: &mut Draft<'d>,
        depth: usize,
    ) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        for selection in set.iter() {
            *self.budget = self.budget.checked_sub(1)?;
            match step(selection, self.fragments).ok()? {
                Step::Field(field) => self.field(field, object, draft, depth)?,
                Step::Inline(set) | Step::Fragment(_, set) => {
                    self.below(set, object, draft, depth + 1)?;
                }
            }
        }
        Some(())
    }

    fn field(
        &mut self,
        field: &'d Field<'d>,
        object: bool,
        draft: &mut Draft<'d>,
        depth: usize,
    ) -> Option<()> {
        let name = field.name().as_str();
        let key = field.response_key();
        let known = *draft.keys.entry(key).or_insert(Key {
            field: name,
            below: None,
        });
        if known.field != name || (READ.contains(&key) && key != name) {
            // Two fields of one name in the answer, or a text that goes by the name of an id.
            return None;
        }
        let Some(set) = field.selection_set() else {
            match name {
                "id" => draft.id |= object,
                "prefix" if matches!(draft.name, Some(RefName::After(_) | RefName::Unknown)) => {
                    draft.name = Some(RefName::Written);
                }
                _ => {}
            }
            return Some(());
        };
        if !OBJECTS.contains(&name) && !PAGES.contains(&name) {
            return Some(());
        }
        if known.below.is_some() && field.arguments().is_some() {
            // Asked twice: with the same arguments, or this is no valid document.
            return None;
        }
        let at = match known.below {
            Some(at) => at,
            None => {
                let below = Draft {
                    name: self.ref_name(field, draft),
                    ..Draft::default()
                };
                draft.below.push((key, below));
                let at = draft.below.len() - 1;
                draft.keys.get_mut(key)?.below = Some(at);
                at
            }
        };
        let (_, below) = draft.below.get_mut(at)?;
        self.below(set, true, below, depth + 1)
    }

    /// How the object of a field tells its name, if it is a ref.
    fn ref_name(&self, field: &'d Field<'d>, of: &Draft<'d>) -> Option<RefName> {
        let argument = |name: &str| {
            let arguments = self.scope.arguments(field.arguments()).ok()?;
            arguments.get(name).text().map(str::to_owned)
        };
        match field.name().as_str() {
            // Its name may be written in several ways; in full is one of them.
            "ref" => match argument("qualifiedName") {
                Some(name) if name.starts_with("refs/") => ref_target(name)
                    .known()
                    .map(|name| RefName::Asked(name.to_owned())),
                _ => Some(RefName::Unknown),
            },
            "refs" => match argument("refPrefix") {
                Some(prefix) if prefix == "refs/heads/" || prefix == "refs/tags/" => {
                    Some(RefName::After(prefix))
                }
                _ => Some(RefName::Unknown),
            },
            "defaultBranchRef" | "baseRef" => Some(RefName::After("refs/heads/".to_owned())),
            "nodes" | "edges" | "node" => of.name.clone(),
            _ => None,
        }
    }
}

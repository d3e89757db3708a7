//! A document: the operations of it that a request could run, and what they select.
//!
//! Parsed by `bluejay-parser`, with limits on depth and tokens before anything recurses; one error
//! and the request is undecided. `@skip` and `@include` are taken as if the field ran. With an
//! `operationName` that the document has, that operation is read, else all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use bluejay_core::{AsIter, OperationType};
use bluejay_parser::ast::executable::{
    ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet,
};
use bluejay_parser::ast::{Parse, ParseOptions};
use serde_json::{Map, Value};

use super::value::{Arguments, Scope};
use super::{MAX_FIELDS, MAX_TOKENS};
use crate::protocol::Fault;
use crate::reason::Reason;

/// Nesting as the parser counts it: two for a selection set, one for a value.
const MAX_DEPTH: usize = 200;

/// What an operation of a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Query,
    Mutation,
    Subscription,
}

/// Fragments by name.
pub(super) type Fragments<'d> = BTreeMap<&'d str, &'d SelectionSet<'d>>;

/// A root field of an operation that could run.
#[derive(Debug)]
pub(super) struct Root<'d> {
    pub kind: Kind,
    pub field: &'d Field<'d>,
    pub arguments: Arguments<'d>,
    pub scope: Rc<Scope<'d>>,
}

/// The document of a request.
pub(super) fn parse(text: &str) -> Result<ExecutableDocument<'_>, Fault> {
    let options = ParseOptions {
        graphql_ruby_compatibility: false,
        max_depth: MAX_DEPTH,
        max_tokens: Some(MAX_TOKENS),
    };
    ExecutableDocument::parse_with_options(text, options)
        .result
        .map_err(|_| Fault::unreadable("the GraphQL document does not parse"))
}

/// The fragments of a document.
pub(super) fn fragments<'d>(document: &'d ExecutableDocument<'d>) -> Result<Fragments<'d>, Fault> {
    let mut fragments = BTreeMap::new();
    for fragment in document.fragment_definitions() {
        let known = fragments.insert(fragment.name().as_str(), fragment.selection_set());
        if known.is_some() {
            return Err(Fault::unreadable("a GraphQL fragment is defined twice"));
        }
    }
    Ok(fragments)
}

/// The root fields of every operation that could run.
pub(super) fn roots<'d>(
    document: &'d ExecutableDocument<'d>,
    fragments: &Fragments<'d>,
    operation_name: Option<&str>,
    variables: &'d Map<String, Value>,
) -> Result<Vec<Root<'d>>, Fault> {
    let mut runs: Vec<&OperationDefinition<'d>> = document.operation_definitions().iter().collect();
    let named = |operation: &&OperationDefinition<'d>| {
        operation_name.is_some() && name(operation) == operation_name
    };
    if runs.iter().any(named) {
        runs.retain(named);
    }
    if runs.is_empty() {
        return Err(Fault::unreadable("a GraphQL document without an operation"));
    }
    let mut roots = Vec::new();
    for operation in runs {
        let kind = kind(operation);
        let scope = Rc::new(Scope::of(operation, variables)?);
        let mut seen = BTreeSet::new();
        let mut sets = vec![operation.selection_set()];
        while let Some(set) = sets.pop() {
            let mut inner = Vec::new();
            for selection in set.iter() {
                match step(selection, fragments)? {
                    Step::Field(field) => {
                        if roots.len() == MAX_FIELDS {
                            let detail = "too many GraphQL root fields";
                            return Err(Fault::new(Reason::BodyTooLarge, detail));
                        }
                        roots.push(Root {
                            kind,
                            field,
                            arguments: scope.arguments(field.arguments())?,
                            scope: Rc::clone(&scope),
                        });
                    }
                    Step::Inline(set) => inner.push(set),
                    // Each fragment adds its fields once, and a cycle ends.
                    Step::Fragment(name, set) if seen.insert(name) => inner.push(set),
                    Step::Fragment(..) => {}
                }
            }
            sets.extend(inner.into_iter().rev());
        }
    }
    Ok(roots)
}

/// What one selection leads to.
pub(super) enum Step<'d> {
    Field(&'d Field<'d>),
    Inline(&'d SelectionSet<'d>),
    Fragment(&'d str, &'d SelectionSet<'d>),
}

/// What one selection leads to.
pub(super) fn step<'d>(
    selection: &'d Selection<'d>,
    fragments: &Fragments<'d>,
) -> Result<Step<'d>, Fault> {
    Ok(match selection {
        Selection::Field(field) => Step::Field(field),
        Selection::InlineFragment(fragment) => Step::Inline(fragment.selection_set()),
        Selection::FragmentSpread(spread) => {
            let name = spread.name().as_str();
            let set = fragments.get(name).copied();
            let set = set.ok_or_else(|| Fault::unreadable("an unknown GraphQL fragment"))?;
            Step::Fragment(name, set)
        }
    })
}

fn name<'o>(operation: &'o OperationDefinition<'_>) -> Option<&'o str> {
    match operation {
        OperationDefinition::Explicit(operation) => operation.name().map(|name| name.as_str()),
        OperationDefinition::Implicit(_) => None,
    }
}

fn kind(operation: &OperationDefinition<'_>) -> Kind {
    match operation {
        OperationDefinition::Explicit(operation) => match operation.operation_type().into() {
            OperationType::Query => Kind::Query,
            OperationType::Mutation => Kind::Mutation,
            OperationType::Subscription => Kind::Subscription,
        },
        OperationDefinition::Implicit(_) => Kind::Query,
    }
}

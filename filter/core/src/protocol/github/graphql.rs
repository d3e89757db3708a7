//! GraphQL: every root field that a request could run.
//!
//! The document is parsed with `apollo-parser` (spec-compliant, with limits on depth and tokens);
//! one error and the request is undecided. Aliases, inline and named fragments and variables are
//! resolved; `@skip` and `@include` are taken as if the field ran. With an `operationName` that the
//! document has, that operation is read, else all of them.
//!
//! Reads are judged by their root fields alone: a `repository(owner:, name:)` is `repo.read` of it,
//! although its connections can lead on to other repositories.

use std::collections::{BTreeMap, BTreeSet};

use apollo_parser::cst::{self, CstChildren, CstNode, Definition, Selection};
use serde_json::{Map, Value};

use super::mutations;
use crate::head::RequestHead;
use crate::operation::{Operation, Target};
use crate::path::RequestPath;
use crate::protocol::{Fault, body, is_read, repo_target};
use crate::reason::Reason;

/// Nesting of selections and of values.
const MAX_DEPTH: usize = 64;
/// Tokens of one document.
const MAX_TOKENS: usize = 50_000;
/// Root fields and batch members of one request.
const MAX_FIELDS: usize = 500;

/// One root field with its arguments, variables filled in.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub kind: Kind,
    pub field: String,
    pub arguments: Map<String, Value>,
}

/// What an operation of a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Query,
    Mutation,
    Subscription,
}

/// The operations of a request to `/graphql`.
pub(super) fn operations(
    head: &RequestHead,
    path: &RequestPath,
    bytes: &[u8],
) -> Result<Vec<Operation>, Fault> {
    let mut calls = Vec::new();
    if is_read(&head.method) {
        let parameter = |name| {
            path.parameter(name)
                .map_err(|_| Fault::new(Reason::PathAmbiguous, format!("{name} comes twice")))
        };
        let Some(document) = parameter("query")? else {
            return Ok(vec![schema_read()]);
        };
        let variables = parameter("variables")?.map_or(Value::Null, Value::from);
        read(
            document,
            parameter("operationName")?,
            &variables_of(Some(&variables))?,
            &mut calls,
        )?;
    } else {
        const MEMBERS: [&str; 3] = ["query", "variables", "operationName"];
        let mixed = |(name, _): &(String, String)| MEMBERS.contains(&name.as_str());
        if path.query().iter().any(mixed) {
            return Err(Fault::new(
                Reason::PathAmbiguous,
                "GraphQL in the URL beside a body",
            ));
        }
        match body::read_json(head, bytes)? {
            Value::Array(requests) if !requests.is_empty() && requests.len() <= MAX_FIELDS => {
                for request in &requests {
                    read_request(request, &mut calls)?;
                }
            }
            request => read_request(&request, &mut calls)?,
        }
    }
    let mut operations: Vec<Operation> = Vec::new();
    for call in &calls {
        for operation in translate(call) {
            if !operations.contains(&operation) {
                operations.push(operation);
            }
        }
    }
    Ok(operations)
}

fn read_request(request: &Value, calls: &mut Vec<Call>) -> Result<(), Fault> {
    if let Value::Object(members) = request {
        body::without_twins(members)?;
    }
    let text = |name: &str| match request.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(Fault::unreadable(format!("{name} is not a string"))),
    };
    // A persisted query is an id whose document only the server knows.
    let document = text("query")?.ok_or_else(|| Fault::unreadable("GraphQL without a document"))?;
    let variables = variables_of(request.get("variables"))?;
    read(document, text("operationName")?, &variables, calls)
}

/// Variables are an object; some servers take one as a JSON string as well.
fn variables_of(value: Option<&Value>) -> Result<Map<String, Value>, Fault> {
    match value {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(members)) => Ok(members.clone()),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(Map::new()),
        Some(Value::String(text)) => match body::parse(text.as_bytes())? {
            Value::Object(members) => Ok(members),
            _ => Err(Fault::unreadable("variables are no object")),
        },
        Some(_) => Err(Fault::unreadable("variables are no object")),
    }
}

/// Adds the root fields of one document to `calls`.
fn read(
    document: &str,
    operation_name: Option<&str>,
    variables: &Map<String, Value>,
    calls: &mut Vec<Call>,
) -> Result<(), Fault> {
    let tree = apollo_parser::Parser::new(document)
        .recursion_limit(MAX_DEPTH)
        .token_limit(MAX_TOKENS)
        .parse();
    if tree.errors().len() > 0 {
        return Err(Fault::unreadable("the GraphQL document does not parse"));
    }
    let mut runs = Vec::new();
    let mut fragments = BTreeMap::new();
    for definition in tree.document().definitions() {
        match definition {
            Definition::OperationDefinition(operation) => runs.push(operation),
            Definition::FragmentDefinition(fragment) => {
                let name = fragment
                    .fragment_name()
                    .and_then(|name| name.name())
                    .map(|name| name.text().to_string())
                    .unwrap_or_default();
                if fragments.insert(name, fragment).is_some() {
                    return Err(Fault::unreadable("a GraphQL fragment is defined twice"));
                }
            }
            _ => {
                return Err(Fault::unreadable(
                    "a GraphQL schema definition in a request",
                ));
            }
        }
    }
    let named = |operation: &cst::OperationDefinition| {
        let name = operation.name().map(|name| name.text().to_string());
        name.as_deref() == operation_name
    };
    if operation_name.is_some_and(|name| !name.is_empty()) && runs.iter().any(named) {
        runs.retain(named);
    }
    if runs.is_empty() {
        return Err(Fault::unreadable("a GraphQL document without an operation"));
    }
    for operation in &runs {
        let scope = Scope {
            variables,
            defaults: defaults(operation)?,
        };
        let mut walk = Walk {
            kind: kind(operation),
            scope: &scope,
            fragments: &fragments,
            seen: BTreeSet::new(),
            calls,
        };
        walk.selections(operation.selection_set(), 0)?;
    }
    if calls.is_empty() {
        return Err(Fault::unreadable("a GraphQL operation without fields"));
    }
    Ok(())
}

fn kind(operation: &cst::OperationDefinition) -> Kind {
    match operation.operation_type() {
        None => Kind::Query,
        Some(t) if t.query_token().is_some() => Kind::Query,
        Some(t) if t.mutation_token().is_some() => Kind::Mutation,
        Some(_) => Kind::Subscription,
    }
}

struct Walk<'a> {
    kind: Kind,
    scope: &'a Scope<'a>,
    fragments: &'a BTreeMap<String, cst::FragmentDefinition>,
    /// Fragments already taken: each adds its fields once, and a cycle ends.
    seen: BTreeSet<String>,
    calls: &'a mut Vec<Call>,
}

impl Walk<'_> {
    fn selections(&mut self, set: Option<cst::SelectionSet>, depth: usize) -> Result<(), Fault> {
        let set = set.ok_or_else(|| Fault::unreadable("a GraphQL operation without fields"))?;
        if depth > MAX_DEPTH {
            return Err(Fault::unreadable("GraphQL fragments nest too deeply"));
        }
        for selection in set.selections() {
            match selection {
                Selection::Field(field) => self.field(&field)?,
                Selection::InlineFragment(fragment) => {
                    self.selections(fragment.selection_set(), depth + 1)?;
                }
                Selection::FragmentSpread(spread) => {
                    let name = spread
                        .fragment_name()
                        .and_then(|name| name.name())
                        .map(|name| name.text().to_string())
                        .unwrap_or_default();
                    let fragment = self
                        .fragments
                        .get(&name)
                        .ok_or_else(|| Fault::unreadable("an unknown GraphQL fragment"))?;
                    if self.seen.insert(name) {
                        self.selections(fragment.selection_set(), depth + 1)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn field(&mut self, field: &cst::Field) -> Result<(), Fault> {
        let name = field
            .name()
            .map(|name| name.text().to_string())
            .ok_or_else(|| Fault::unreadable("a GraphQL field without a name"))?;
        if self.calls.len() == MAX_FIELDS {
            return Err(Fault::new(
                Reason::BodyTooLarge,
                "too many GraphQL root fields",
            ));
        }
        let mut arguments = Map::new();
        for argument in field.arguments().iter().flat_map(|a| a.arguments()) {
            self.scope
                .member(argument.name(), argument.value(), 0, &mut arguments)?;
        }
        self.calls.push(Call {
            kind: self.kind,
            field: name,
            arguments,
        });
        Ok(())
    }
}

/// The values of variables: the request's, else the operation's defaults.
struct Scope<'a> {
    variables: &'a Map<String, Value>,
    defaults: Map<String, Value>,
}

fn defaults(operation: &cst::OperationDefinition) -> Result<Map<String, Value>, Fault> {
    let none = Map::new();
    let constant = Scope {
        variables: &none,
        defaults: Map::new(),
    };
    let mut out = Map::new();
    for definition in operation
        .variable_definitions()
        .iter()
        .flat_map(|v| v.variable_definitions())
    {
        if let Some(default) = definition.default_value() {
            let name = definition.variable().and_then(|v| v.name());
            constant.member(name, default.value(), 0, &mut out)?;
        }
    }
    Ok(out)
}

impl Scope<'_> {
    /// Adds `name: value` to `out`. A variable without a value adds nothing.
    fn member(
        &self,
        name: Option<cst::Name>,
        value: Option<cst::Value>,
        depth: usize,
        out: &mut Map<String, Value>,
    ) -> Result<(), Fault> {
        let (Some(name), Some(value)) = (name, value) else {
            return Err(Fault::unreadable("a GraphQL argument without a value"));
        };
        let name = name.text().to_string();
        if out.contains_key(&name) {
            return Err(Fault::unreadable("a GraphQL argument comes twice"));
        }
        if let Some(value) = self.value(&value, depth)? {
            out.insert(name, value);
        }
        Ok(())
    }

    fn value(&self, value: &cst::Value, depth: usize) -> Result<Option<Value>, Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault::unreadable("a GraphQL value nests too deeply"));
        }
        let token = || {
            value
                .syntax()
                .first_token()
                .map(|token| token.text().to_owned())
                .unwrap_or_default()
        };
        Ok(Some(match value {
            cst::Value::Variable(variable) => {
                let name = variable.name().map(|name| name.text().to_string());
                let name = name.unwrap_or_default();
                let value = self.variables.get(&name).or(self.defaults.get(&name));
                return Ok(value.cloned());
            }
            // Block strings and `\u{…}` are not JSON's: they stay unknown, and so do their targets.
            cst::Value::StringValue(_) => serde_json::from_str(&token()).unwrap_or(Value::Null),
            cst::Value::IntValue(_) | cst::Value::FloatValue(_) => {
                serde_json::from_str(&token()).unwrap_or(Value::Null)
            }
            cst::Value::BooleanValue(boolean) => Value::Bool(boolean.true_token().is_some()),
            cst::Value::NullValue(_) => Value::Null,
            cst::Value::EnumValue(_) => Value::String(token()),
            cst::Value::ListValue(list) => {
                let items: CstChildren<cst::Value> = list.values();
                let mut out = Vec::new();
                for item in items {
                    out.push(self.value(&item, depth + 1)?.unwrap_or(Value::Null));
                }
                Value::Array(out)
            }
            cst::Value::ObjectValue(object) => {
                let mut out = Map::new();
                for field in object.object_fields() {
                    self.member(field.name(), field.value(), depth + 1, &mut out)?;
                }
                Value::Object(out)
            }
        }))
    }
}

fn translate(call: &Call) -> Vec<Operation> {
    match call.kind {
        Kind::Query => vec![query(call)],
        Kind::Mutation => mutations::operations(&call.field, &call.arguments),
        Kind::Subscription => vec![mutations::unknown(&call.field)],
    }
}

fn query(call: &Call) -> Operation {
    let text = |name: &str| call.arguments.get(name).and_then(Value::as_str);
    let (name, repo) = match call.field.as_str() {
        "repository" => match (text("owner"), text("name")) {
            (Some(owner), Some(name)) => ("repo.read", repo_target(owner, name)),
            _ => ("repo.read", Target::Any),
        },
        "search" => ("search.read", Target::Any),
        "viewer" | "rateLimit" | "meta" | "license" | "licenses" | "codeOfConduct"
        | "codesOfConduct" => ("github.read", Target::None),
        introspection if introspection.starts_with("__") => ("github.read", Target::None),
        _ => ("github.read", Target::Any),
    };
    Operation {
        name: name.to_owned(),
        aliases: vec![format!("graphql:{}", call.field)],
        repo,
        ..Operation::default()
    }
}

fn schema_read() -> Operation {
    Operation {
        name: "github.read".to_owned(),
        aliases: vec!["graphql:__schema".to_owned()],
        ..Operation::default()
    }
}

#[cfg(test)]
#[path = "graphql_tests.rs"]
mod tests;

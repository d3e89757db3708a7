//! `POST /graphql`: documents are parsed in full (aliases, fragments, variables, directives, several mutations) and answered
//! for the objects that `gh` and the usual scripts ask for. A field nobody knows is an error, as on GitHub.

mod introspection;
mod mutations;
mod objects;

use std::collections::HashMap;

use graphql_parser::query::{
    Definition, Directive, Document, Field, FragmentDefinition, OperationDefinition, Selection,
    SelectionSet, TypeCondition,
};
use graphql_parser::query::{Value as Literal, VariableDefinition};
use serde_json::{Map, Value, json};

use crate::hosts::Addresses;
use crate::organisation::{Organisation, VIEWER};
use crate::refusal::{Outcome, Refusal};

/// Interfaces and unions: a fragment on one of them applies to whatever is there.
const ABSTRACT: [&str; 8] = [
    "Node",
    "Actor",
    "RepositoryOwner",
    "ProfileOwner",
    "GitObject",
    "Assignable",
    "Comment",
    "IssueOrPullRequest",
];

/// Executes the body of a request and returns the body of the answer.
pub fn execute(organisation: &mut Organisation, body: &Value, at: &Addresses) -> Value {
    let Some(text) = body["query"].as_str() else {
        return json!({ "errors": [{ "message": "A query attribute must be specified and must be a string." }] });
    };
    let document = match graphql_parser::parse_query::<String>(text) {
        Ok(document) => document,
        Err(error) => {
            let message = error
                .to_string()
                .lines()
                .take(3)
                .collect::<Vec<_>>()
                .join(" ");
            return json!({ "errors": [{ "message": format!("Parse error: {message}") }] });
        }
    };
    match Run::new(organisation, &document, body, at) {
        Ok((run, mutation, selections)) => run.finish(mutation, selections),
        Err(message) => json!({ "errors": [{ "message": message }] }),
    }
}

/// An object on the way to the answer.
enum Object {
    /// The root of a query.
    Query,
    /// The root of a mutation.
    Mutation,
    /// A repository, looked up again for each of its fields.
    Repository(String, String),
    /// Anything else, with all its fields.
    Plain(Value),
}

impl Object {
    fn kind(&self) -> &str {
        match self {
            Self::Query => "Query",
            Self::Mutation => "Mutation",
            Self::Repository(..) => "Repository",
            Self::Plain(value) => value["__typename"].as_str().unwrap_or("Object"),
        }
    }
}

struct Run<'a> {
    organisation: &'a mut Organisation,
    at: &'a Addresses,
    variables: Map<String, Value>,
    fragments: HashMap<&'a str, &'a FragmentDefinition<'a, String>>,
    errors: Vec<Value>,
}

type Parsed<'a> = Document<'a, String>;
type Selected<'a> = SelectionSet<'a, String>;

impl<'a> Run<'a> {
    fn new(
        organisation: &'a mut Organisation,
        document: &'a Parsed<'a>,
        body: &Value,
        at: &'a Addresses,
    ) -> Result<(Self, bool, &'a Selected<'a>), String> {
        let wanted = body["operationName"]
            .as_str()
            .filter(|name| !name.is_empty());
        let mut fragments = HashMap::new();
        let mut operations = Vec::new();
        for definition in &document.definitions {
            match definition {
                Definition::Fragment(fragment) => {
                    fragments.insert(fragment.name.as_str(), fragment);
                }
                Definition::Operation(operation) => operations.push(parts(operation)),
            }
        }
        let count = operations.len();
        let mut chosen = operations
            .into_iter()
            .filter(|operation| wanted.is_none_or(|name| operation.0 == Some(name)));
        let Some((_, mutation, defaults, selections)) = chosen.next() else {
            return Err(
                wanted.map_or("No operation in the document".into(), |name| {
                    format!("No operation named \"{name}\"")
                }),
            );
        };
        if count > 1 && wanted.is_none() {
            return Err("An operation name is required".into());
        }
        let mut run = Self {
            organisation,
            at,
            variables: body["variables"].as_object().cloned().unwrap_or_default(),
            fragments,
            errors: Vec::new(),
        };
        for variable in defaults {
            if let Some(default) = &variable.default_value
                && !run.variables.contains_key(&variable.name)
            {
                let value = run.value(default);
                run.variables.insert(variable.name.clone(), value);
            }
        }
        Ok((run, mutation, selections))
    }

    fn finish(mut self, mutation: bool, selections: &'a Selected<'a>) -> Value {
        let root = if mutation {
            Object::Mutation
        } else {
            Object::Query
        };
        let data = self.object(&root, selections, &mut Vec::new());
        let mut answer = json!({ "data": data });
        if !self.errors.is_empty() {
            answer["errors"] = Value::Array(self.errors);
        }
        answer
    }

    fn object(
        &mut self,
        object: &Object,
        selections: &'a Selected<'a>,
        path: &mut Vec<Value>,
    ) -> Value {
        let mut out = Map::new();
        self.select(object, selections, path, &mut out, 0);
        Value::Object(out)
    }

    fn select(
        &mut self,
        object: &Object,
        set: &'a Selected<'a>,
        path: &mut Vec<Value>,
        out: &mut Map<String, Value>,
        depth: usize,
    ) {
        if depth > 50 {
            // A fragment that spreads itself; GitHub refuses it when it validates the document.
            self.errors
                .push(json!({ "path": path, "message": "Fragments are nested too deep" }));
            return;
        }
        for selection in &set.items {
            match selection {
                Selection::Field(field) if self.included(&field.directives) => {
                    self.field(object, field, path, out)
                }
                Selection::FragmentSpread(spread) if self.included(&spread.directives) => {
                    match self.fragments.get(spread.fragment_name.as_str()).copied() {
                        Some(fragment)
                            if applies(Some(&fragment.type_condition), object.kind()) =>
                        {
                            self.select(object, &fragment.selection_set, path, out, depth + 1);
                        }
                        Some(_) => {}
                        None => {
                            let message = format!(
                                "Fragment {} was used, but not defined",
                                spread.fragment_name
                            );
                            self.errors
                                .push(json!({ "path": path, "message": message }));
                        }
                    }
                }
                Selection::InlineFragment(inline)
                    if self.included(&inline.directives)
                        && applies(inline.type_condition.as_ref(), object.kind()) =>
                {
                    self.select(object, &inline.selection_set, path, out, depth + 1);
                }
                _ => {}
            }
        }
    }

    fn field(
        &mut self,
        object: &Object,
        field: &'a Field<'a, String>,
        path: &mut Vec<Value>,
        out: &mut Map<String, Value>,
    ) {
        let key = field.alias.as_ref().unwrap_or(&field.name).clone();
        path.push(json!(key));
        let arguments: Map<String, Value> = field
            .arguments
            .iter()
            .map(|(name, value)| (name.clone(), self.value(value)))
            .collect();
        let value = match self.resolve(object, &field.name, &Value::Object(arguments.clone())) {
            Ok(found) => self.project(found, &arguments, &field.selection_set, path),
            Err(refusal) => {
                self.errors.push(refusal.graphql_error(path));
                Value::Null
            }
        };
        path.pop();
        match (out.get_mut(&key), value) {
            // The same field selected twice: what it contains is merged.
            (Some(Value::Object(there)), Value::Object(more)) => there.extend(more),
            (_, value) => {
                out.insert(key, value);
            }
        }
    }

    fn resolve(&mut self, object: &Object, name: &str, arguments: &Value) -> Outcome<Object> {
        if name == "__typename" {
            return Ok(Object::Plain(json!(object.kind())));
        }
        let unknown = || {
            Refusal::unprocessable(format!(
                "Field '{name}' doesn't exist on type '{}'",
                object.kind()
            ))
        };
        match object {
            Object::Mutation => {
                mutations::run(self.organisation, name, &arguments["input"], self.at)
                    .map(|payload| payload_of(name, payload))
            }
            Object::Query => self.query(name, arguments),
            Object::Repository(owner, repo) => objects::repository_field(
                self.organisation,
                (owner, repo),
                name,
                arguments,
                self.at,
            )?
            .ok_or_else(unknown),
            Object::Plain(value) => match value.get(name) {
                Some(found) => Ok(Object::Plain(found.clone())),
                None if name == "edges" && value["nodes"].is_array() => {
                    let nodes = value["nodes"].as_array().into_iter().flatten().enumerate();
                    Ok(Object::Plain(nodes.map(|(at, node)| json!({ "__typename": "Edge", "cursor": at.to_string(), "node": node })).collect()))
                }
                None => Err(unknown()),
            },
        }
    }

    fn query(&mut self, name: &str, arguments: &Value) -> Outcome<Object> {
        let text = |member: &str| arguments[member].as_str().unwrap_or_default();
        match name {
            "viewer" => Ok(Object::Plain(objects::viewer(self.organisation, self.at))),
            "repository" => {
                let found = self
                    .organisation
                    .repository(text("owner"), text("name"))
                    .map_err(|_| {
                        let full = format!("{}/{}", text("owner"), text("name"));
                        let mut refusal = Refusal::not_found();
                        refusal.message =
                            format!("Could not resolve to a Repository with the name '{full}'.");
                        refusal
                    })?;
                Ok(Object::Repository(found.owner.clone(), found.name.clone()))
            }
            "organization" | "user" | "repositoryOwner" => {
                let login = text("login").to_lowercase();
                objects::owner(self.organisation, &login, self.at).map(Object::Plain)
            }
            "node" => objects::by_id(self.organisation, text("id"), self.at),
            "rateLimit" => Ok(Object::Plain(json!({
                "__typename": "RateLimit", "limit": 5000, "cost": 1, "remaining": 4999, "used": 1, "resetAt": "2099-01-01T00:00:00Z",
            }))),
            "search" => Ok(Object::Plain(objects::search(
                self.organisation,
                arguments,
                self.at,
            ))),
            "__type" => Ok(Object::Plain(introspection::describe(text("name")))),
            "meta" => Ok(Object::Plain(
                json!({ "__typename": "GitHubMetadata", "gitHubServicesSha": "simulated" }),
            )),
            _ => Err(Refusal::unprocessable(format!(
                "Field '{name}' doesn't exist on type 'Query'"
            ))),
        }
    }

    /// Keeps of a value what was selected.
    fn project(
        &mut self,
        found: Object,
        arguments: &Map<String, Value>,
        set: &'a Selected<'a>,
        path: &mut Vec<Value>,
    ) -> Value {
        match found {
            Object::Plain(Value::Array(items)) => items
                .into_iter()
                .enumerate()
                .map(|(index, item)| {
                    path.push(json!(index));
                    let item = self.project(Object::Plain(item), &Map::new(), set, path);
                    path.pop();
                    item
                })
                .collect(),
            Object::Plain(value @ Value::Object(_)) => {
                if set.items.is_empty() {
                    self.errors
                        .push(json!({ "path": path, "message": "Field must have selections" }));
                    return Value::Null;
                }
                let value = page(value, arguments);
                self.object(&Object::Plain(value), set, path)
            }
            Object::Plain(scalar) => scalar,
            object => self.object(&object, set, path),
        }
    }

    fn value(&self, literal: &Literal<'_, String>) -> Value {
        match literal {
            Literal::Variable(name) => self.variables.get(name).cloned().unwrap_or(Value::Null),
            Literal::Int(number) => json!(number.as_i64()),
            Literal::Float(number) => json!(number),
            Literal::String(text) | Literal::Enum(text) => json!(text),
            Literal::Boolean(value) => json!(value),
            Literal::Null => Value::Null,
            Literal::List(items) => items.iter().map(|item| self.value(item)).collect(),
            Literal::Object(members) => Value::Object(
                members
                    .iter()
                    .map(|(name, value)| (name.clone(), self.value(value)))
                    .collect(),
            ),
        }
    }

    /// `@include(if:)` and `@skip(if:)`.
    fn included(&self, directives: &[Directive<'_, String>]) -> bool {
        directives.iter().all(|directive| {
            let condition = directive
                .arguments
                .iter()
                .find(|(name, _)| name == "if")
                .map(|(_, value)| self.value(value));
            match directive.name.as_str() {
                "include" => condition != Some(Value::Bool(false)),
                "skip" => condition != Some(Value::Bool(true)),
                _ => true,
            }
        })
    }
}

type Operation<'a> = (
    Option<&'a str>,
    bool,
    &'a [VariableDefinition<'a, String>],
    &'a Selected<'a>,
);

/// Name, whether it is a mutation, variables, selections.
fn parts<'a>(operation: &'a OperationDefinition<'a, String>) -> Operation<'a> {
    match operation {
        OperationDefinition::SelectionSet(set) => (None, false, &[], set),
        OperationDefinition::Query(query) => (
            query.name.as_deref(),
            false,
            &query.variable_definitions,
            &query.selection_set,
        ),
        OperationDefinition::Mutation(mutation) => (
            mutation.name.as_deref(),
            true,
            &mutation.variable_definitions,
            &mutation.selection_set,
        ),
        OperationDefinition::Subscription(subscription) => (
            subscription.name.as_deref(),
            false,
            &subscription.variable_definitions,
            &subscription.selection_set,
        ),
    }
}

fn applies(condition: Option<&TypeCondition<'_, String>>, kind: &str) -> bool {
    let Some(TypeCondition::On(name)) = condition else {
        return true;
    };
    name == kind || ABSTRACT.contains(&name.as_str())
}

/// `first` and `last` of a connection.
fn page(mut value: Value, arguments: &Map<String, Value>) -> Value {
    let number = |name: &str| {
        arguments
            .get(name)
            .and_then(Value::as_u64)
            .and_then(|number| usize::try_from(number).ok())
    };
    let (first, last) = (number("first"), number("last"));
    if let Some(nodes) = value["nodes"].as_array_mut() {
        let all = nodes.len();
        if let Some(first) = first {
            nodes.truncate(first);
        }
        if let Some(last) = last {
            nodes.drain(..nodes.len().saturating_sub(last));
        }
        let more = first.is_some() && nodes.len() < all;
        value["pageInfo"]["hasNextPage"] = json!(more);
    }
    value
}

/// Names the payload's type after its mutation, so that fragments on it apply.
fn payload_of(mutation: &str, payload: Object) -> Object {
    let Object::Plain(mut value) = payload else {
        return payload;
    };
    let mut letters = mutation.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    let name: String = first
        .into_iter()
        .chain(letters)
        .chain("Payload".chars())
        .collect();
    value["__typename"] = json!(name);
    Object::Plain(value)
}

/// The login behind the credential, for objects that have an author.
fn author() -> &'static str {
    VIEWER
}

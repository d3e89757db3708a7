//! Values of a request: literals of the document, and what its variables hold, without copying
//! either.

use std::rc::Rc;

use bluejay_core::executable::ExplicitOperationDefinition;
use bluejay_core::{AsIter, Value as _, ValueReference};
use bluejay_parser::ast::executable::OperationDefinition;
use bluejay_parser::ast::{Value as Literal, VariableArguments};
use serde_json::{Map, Value};

use crate::protocol::{Fault, fields};

/// A literal with its variables filled in.
#[derive(Debug)]
enum Built<'d> {
    /// A variable's value.
    Json(&'d Value),
    /// A variable's default.
    Default(Rc<Built<'d>>),
    /// A string or an enum.
    Text(&'d str),
    Integer(&'d str),
    Float(f64),
    Boolean(bool),
    Null,
    /// A variable without a value: as if it were not written.
    Absent,
    List(Vec<Built<'d>>),
    Object(Members<'d>),
}

type Members<'d> = Vec<(&'d str, Built<'d>)>;

/// The arguments of a field.
#[derive(Debug, Default)]
pub(in super::super) struct Arguments<'d>(Members<'d>);

/// A value as it is read: what is not there has no members, no items and no text.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Given<'v>(Option<Form<'v>>);

#[derive(Clone, Copy, Debug)]
enum Form<'v> {
    Json(&'v Value),
    Built(&'v Built<'v>),
}

impl<'d> Arguments<'d> {
    /// The argument of that name.
    pub(in super::super) fn get(&self, name: &str) -> Given<'_> {
        member(&self.0, name)
    }
}

impl<'v> Given<'v> {
    fn of(built: &'v Built<'v>) -> Given<'v> {
        match built {
            Built::Json(value) => Given(Some(Form::Json(value))),
            Built::Default(value) => Given::of(value),
            Built::Absent => Given(None),
            Built::Text(_)
            | Built::Integer(_)
            | Built::Float(_)
            | Built::Boolean(_)
            | Built::Null
            | Built::List(_)
            | Built::Object(_) => Given(Some(Form::Built(built))),
        }
    }

    /// A member of an object.
    pub(in super::super) fn get(self, name: &str) -> Given<'v> {
        match self.0 {
            Some(Form::Json(Value::Object(members))) => Given(members.get(name).map(Form::Json)),
            Some(Form::Built(Built::Object(members))) => member(members, name),
            Some(Form::Json(_) | Form::Built(_)) | None => Given(None),
        }
    }

    /// The text of a string or an enum.
    pub(in super::super) fn text(self) -> Option<&'v str> {
        match self.0 {
            Some(Form::Json(value)) => value.as_str(),
            Some(Form::Built(Built::Text(text))) => Some(text),
            Some(Form::Built(_)) | None => None,
        }
    }

    /// Whether there is a value, null aside.
    pub(in super::super) fn is_set(self) -> bool {
        !matches!(
            self.0,
            None | Some(Form::Json(Value::Null) | Form::Built(Built::Null))
        )
    }

    /// The items of a list. What is no list stands for a list of itself, as GraphQL coerces it.
    pub(in super::super) fn items(self) -> Vec<Given<'v>> {
        match self.0 {
            Some(Form::Json(Value::Array(items))) => {
                items.iter().map(|v| Given(Some(Form::Json(v)))).collect()
            }
            Some(Form::Built(Built::List(items))) => items.iter().map(Given::of).collect(),
            _ if self.is_set() => vec![self],
            _ => Vec::new(),
        }
    }

    /// A scalar as it is shown.
    pub(in super::super) fn shown(self) -> Option<String> {
        match self.0? {
            Form::Json(value) => fields::shown(value),
            Form::Built(Built::Text(text) | Built::Integer(text)) => Some((*text).to_owned()),
            Form::Built(Built::Float(number)) => Some(number.to_string()),
            Form::Built(Built::Boolean(boolean)) => Some(boolean.to_string()),
            Form::Built(_) => None,
        }
    }
}

fn member<'v>(members: &'v Members<'v>, name: &str) -> Given<'v> {
    let found = members.iter().find(|(known, _)| *known == name);
    found.map_or(Given(None), |(_, value)| Given::of(value))
}

/// The variables of one operation: the request's values, else the operation's defaults.
#[derive(Debug)]
pub(super) struct Scope<'d> {
    variables: &'d Map<String, Value>,
    defaults: Vec<(&'d str, Rc<Built<'d>>)>,
}

impl<'d> Scope<'d> {
    /// The variables of `operation`.
    pub(super) fn of(
        operation: &'d OperationDefinition<'d>,
        variables: &'d Map<String, Value>,
    ) -> Result<Scope<'d>, Fault> {
        let mut scope = Scope {
            variables,
            defaults: Vec::new(),
        };
        let OperationDefinition::Explicit(operation) = operation else {
            return Ok(scope);
        };
        for definition in operation
            .variable_definitions()
            .iter()
            .flat_map(|d| d.iter())
        {
            if let Some(default) = definition.default_value() {
                let built = Rc::new(scope.build(default)?);
                scope.defaults.push((definition.variable().as_str(), built));
            }
        }
        Ok(scope)
    }

    /// The arguments of a field, variables filled in.
    pub(super) fn arguments(
        &self,
        arguments: Option<&'d VariableArguments<'d>>,
    ) -> Result<Arguments<'d>, Fault> {
        let mut members = Vec::new();
        for argument in arguments.iter().flat_map(|a| a.iter()) {
            let name = argument.name().as_str();
            add(&mut members, name, self.build(argument.value())?)?;
        }
        Ok(Arguments(members))
    }

    /// Literals nest no deeper than the parser allows.
    fn build<const CONST: bool>(
        &self,
        literal: &'d Literal<'d, CONST>,
    ) -> Result<Built<'d>, Fault> {
        Ok(match literal {
            Literal::Variable(variable) => self.variable(variable.as_str()),
            Literal::Integer(number) => Built::Integer(number.as_ref()),
            Literal::Float(number) => Built::Float(*number.as_ref()),
            Literal::String(text) => Built::Text(text.as_str()),
            Literal::Enum(name) => Built::Text(name.as_str()),
            Literal::Boolean(_) => match literal.as_ref() {
                ValueReference::Boolean(boolean) => Built::Boolean(boolean),
                _ => Built::Null,
            },
            Literal::Null(_) => Built::Null,
            Literal::List(list) => Built::List(
                list.iter()
                    .map(|item| self.build(item))
                    .collect::<Result<_, Fault>>()?,
            ),
            Literal::Object(object) => {
                let mut members = Vec::new();
                for (name, value) in AsIter::iter(object) {
                    add(&mut members, name.as_str(), self.build(value)?)?;
                }
                Built::Object(members)
            }
        })
    }

    fn variable(&self, name: &str) -> Built<'d> {
        if let Some(value) = self.variables.get(name) {
            return Built::Json(value);
        }
        let default = self.defaults.iter().find(|(known, _)| *known == name);
        default.map_or(Built::Absent, |(_, value)| Built::Default(Rc::clone(value)))
    }
}

/// Adds a member. Which of two of one name would count is the server's secret.
fn add<'d>(members: &mut Members<'d>, name: &'d str, value: Built<'d>) -> Result<(), Fault> {
    if members.iter().any(|(known, _)| *known == name) {
        return Err(Fault::unreadable("a GraphQL argument comes twice"));
    }
    members.push((name, value));
    Ok(())
}

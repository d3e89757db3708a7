//! The named values of a request: captures of the path, members of the body, query parameters.

use serde_json::{Map, Value};

use super::Fault;
use crate::path::RequestPath;
use crate::reason::Reason;

/// Members of a JSON body, and the query parameters that servers mix with them.
pub(super) struct Fields<'a> {
    body: &'a Map<String, Value>,
    path: &'a RequestPath,
}

/// A value that came as a JSON member or, as text, in the query.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Field<'a> {
    Json(&'a Value),
    Query(&'a str),
}

impl<'a> Fields<'a> {
    pub(super) fn new(body: &'a Map<String, Value>, path: &'a RequestPath) -> Self {
        Fields { body, path }
    }

    /// The value of `name`. From both places at once it is refused: which one wins is the
    /// server's secret.
    pub(super) fn get(&self, name: &str) -> Result<Option<Field<'a>>, Fault> {
        let two = || {
            Fault::new(
                Reason::PathAmbiguous,
                format!("parameter {name} comes twice"),
            )
        };
        let query = self.path.parameter(name).map_err(|_| two())?;
        // `name[]=x` and `name[a]=x` are values of `name` for servers that mix body and query.
        let part = |(parameter, _): &(String, String)| {
            let rest = parameter.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with('['))
        };
        if self.path.query().iter().any(part) {
            return Err(two());
        }
        match (self.body.get(name), query) {
            (Some(_), Some(_)) => Err(two()),
            (Some(value), None) => Ok(Some(Field::Json(value))),
            (None, Some(value)) => Ok(Some(Field::Query(value))),
            (None, None) => Ok(None),
        }
    }

    /// The text of `name`. Absent and null are `None`; what is no text is an error.
    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, Fault> {
        match self.get(name)? {
            None | Some(Field::Json(Value::Null)) => Ok(None),
            Some(Field::Json(Value::String(text))) => Ok(Some(text)),
            Some(Field::Query(text)) => Ok(Some(text)),
            Some(Field::Json(_)) => Err(Fault::unreadable(format!("{name} is not a string"))),
        }
    }

    /// The array `name`, or nothing where there is none.
    pub(super) fn list(&self, name: &str) -> Result<Option<&'a [Value]>, Fault> {
        match self.get(name)? {
            Some(Field::Json(Value::Array(items))) => Ok(Some(items)),
            Some(Field::Json(Value::Null)) | None => Ok(None),
            Some(_) => Err(Fault::unreadable(format!("{name} is not a list"))),
        }
    }
}

/// A scalar as text.
pub(super) fn shown(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

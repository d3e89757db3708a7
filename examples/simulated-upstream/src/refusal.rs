//! One kind of refusal for REST, GraphQL, MCP and git: each face words it in its own protocol.

use axum::http::StatusCode;
use serde_json::{Value, json};

/// Why an operation on the organisation was not done, as GitHub would say it.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The HTTP status of the REST answer.
    pub status: StatusCode,
    /// The sentence a reader sees.
    pub message: String,
    /// GitHub's `errors` array; empty when it sends none.
    pub errors: Vec<Value>,
}

impl Refusal {
    /// A refusal without an `errors` array.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            errors: Vec::new(),
        }
    }

    /// 404, also for what the caller may not see.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not Found")
    }

    /// 422 with one entry of `errors`, such as `missing_field` or `already_exists`.
    pub fn invalid(resource: &str, field: &str, code: &str) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            message: "Validation Failed".into(),
            errors: vec![json!({ "resource": resource, "field": field, "code": code })],
        }
    }

    /// 422 with a sentence of its own.
    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    /// 409.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    /// 500: the simulation itself failed, for example because `git` could not be started.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("simulated upstream: {cause}"),
        )
    }

    /// The body of a REST refusal.
    pub fn rest_body(&self) -> Value {
        let mut body = json!({
            "message": self.message,
            "documentation_url": "https://docs.github.com/rest",
            "status": self.status.as_u16().to_string(),
        });
        if !self.errors.is_empty() {
            body["errors"] = Value::Array(self.errors.clone());
        }
        body
    }

    /// An entry of a GraphQL `errors` array.
    pub fn graphql_error(&self, path: &[Value]) -> Value {
        let kind = match self.status {
            StatusCode::NOT_FOUND => "NOT_FOUND",
            StatusCode::FORBIDDEN => "FORBIDDEN",
            _ => "UNPROCESSABLE",
        };
        json!({ "type": kind, "path": path, "message": self.message })
    }
}

/// The result of an operation on the organisation.
pub type Outcome<T> = Result<T, Refusal>;

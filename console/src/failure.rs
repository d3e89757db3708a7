//! Why a command could not do its work, and what its user can do about it.

use std::fmt;

/// An error that ends a command: what went wrong, and the remedy.
#[derive(Debug)]
pub struct Failure {
    message: String,
    remedy: Option<String>,
}

impl Failure {
    /// An error with a remedy.
    pub fn new(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            remedy: Some(remedy.into()),
        }
    }

    /// An error whose message says all there is to say.
    pub fn plain(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            remedy: None,
        }
    }

    /// What went wrong, without the remedy.
    pub fn what(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.message)?;
        match &self.remedy {
            Some(remedy) => write!(out, "\n  {remedy}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

impl From<crate::store::StoreError> for Failure {
    fn from(error: crate::store::StoreError) -> Self {
        Self::plain(error.to_string())
    }
}

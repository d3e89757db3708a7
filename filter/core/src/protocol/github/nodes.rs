//! What earlier answers told of node ids: the repository, and for a ref its name.
//!
//! GraphQL names nearly everything by an opaque id. An id that is not known here could be of any
//! repository: rules that restrain match it, rules that allow do not.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Ids that one request may ask for; further ones stay unknown.
const MAX_ASKED: usize = 100;
/// Longest id that is looked up.
const MAX_ID: usize = 256;

/// What an id stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// `owner/name` in lower case.
    pub repo: String,
    /// The full name, for a ref.
    pub reference: Option<String>,
}

/// The ids of one request.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    known: BTreeMap<String, Node>,
    asked: RefCell<BTreeSet<String>>,
}

impl Nodes {
    /// What an id stands for, if that is known.
    pub(crate) fn find(&self, id: &str) -> Option<&Node> {
        let found = self.known.get(id);
        if found.is_none() && !id.is_empty() && id.len() <= MAX_ID {
            let mut asked = self.asked.borrow_mut();
            if asked.len() < MAX_ASKED {
                asked.insert(id.to_owned());
            }
        }
        found
    }
}

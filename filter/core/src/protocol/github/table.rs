//! GitHub's REST operations: a trie of path segments with the operations at its nodes.
//!
//! `build.rs` makes it of `github/operations.txt`, which is the place to read and to change.

use super::attributes::Source;

/// A place in a path.
#[derive(Debug)]
pub(super) struct Node {
    /// What the segment that leads here has to be.
    pub segment: Segment,
    /// Where its children begin in [`NODES`], and how many they are: in the order in which they are
    /// tried, literals sorted.
    children: (u16, u16),
    /// Where its operations begin, and how many they are.
    rows: (u16, u8),
}

/// What a segment has to be; words are in lower case.
#[derive(Debug)]
pub(super) enum Segment {
    /// Of the first node alone.
    Root,
    /// This word, which is not captured.
    Literal(&'static str),
    /// This word, captured.
    Word(&'static str),
    /// A number.
    Digits,
    /// Two names with `...` between them.
    Range,
    /// Anything.
    Any,
    /// One segment or more.
    Many,
}

/// The method of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// The method of that name, in any case; HEAD is a GET without its answer's body.
    pub(super) fn from_name(name: &str) -> Option<Method> {
        let is = |method: &str| name.eq_ignore_ascii_case(method);
        match () {
            () if is("GET") || is("HEAD") => Some(Method::Get),
            () if is("POST") => Some(Method::Post),
            () if is("PUT") => Some(Method::Put),
            () if is("PATCH") => Some(Method::Patch),
            () if is("DELETE") => Some(Method::Delete),
            () => None,
        }
    }
}

/// One operation of the API.
#[derive(Debug)]
pub(super) struct Row {
    pub method: Method,
    /// GitHub's `operationId`; empty where its description does not have the call.
    pub id: &'static str,
    pub effect: &'static Effect,
    /// Names of what the path captures, in its order.
    pub captures: &'static [&'static str],
}

/// What an operation does, and where its attributes are.
#[derive(Debug)]
pub(super) struct Effect {
    /// Countersign's name; one that ends in `.read` changes nothing.
    pub name: &'static str,
    /// Countersign's other names for it.
    pub aliases: &'static [&'static str],
    /// The attribute that is shown as `resource` too; empty for none.
    pub resource: &'static str,
    pub source: Source,
    /// Members of the body, or parameters of the query, that are shown.
    pub members: &'static [&'static str],
    pub reach: Reach,
}

/// What an operation reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// What its path and body name.
    Named,
    /// Repositories that it does not name.
    Repositories,
    /// Accounts that it does not name.
    Accounts,
}

/// Every operation.
pub(super) fn rows() -> &'static [Row] {
    &ROWS
}

impl Node {
    /// The first node.
    pub(super) fn root() -> Option<&'static Node> {
        NODES.first()
    }

    /// What may follow, in the order in which it is tried.
    pub(super) fn children(&self) -> &'static [Node] {
        let (first, count) = (usize::from(self.children.0), usize::from(self.children.1));
        NODES.get(first..first + count).unwrap_or_default()
    }

    /// The operation of `method` on the path that ends here.
    pub(super) fn row(&self, method: Method) -> Option<&'static Row> {
        let (first, count) = (usize::from(self.rows.0), usize::from(self.rows.1));
        let rows = ROWS.get(first..first + count)?;
        rows.iter().find(|row| row.method == method)
    }
}

include!(concat!(env!("OUT_DIR"), "/github_operations.rs"));

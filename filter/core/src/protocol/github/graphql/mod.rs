//! GraphQL: every root field that a request could run, and where its selection leads.
//!
//! | file        | part |
//! |-------------|------|
//! | `mod`       | from a request to its documents, from their root fields to operations |
//! | `document`  | parsing, operations, fragments |
//! | `value`     | arguments with variables and defaults filled in |
//! | `table`     | the table of mutations |
//! | `mutations` | what each mutation does |
//! | `query`     | what the root fields of a query read |
//! | `reach`     | whether a selection leaves the repository that a root field names |
//! | `lesson`    | which ids of the answer are of the repository that was named |
//! | `address`   | web addresses |

mod address;
mod document;
mod lesson;
mod mutations;
mod query;
mod reach;
mod table;
mod value;

use std::borrow::Cow;
use std::hash::{Hash as _, Hasher as _};

use rustc_hash::{FxHashMap, FxHasher};
use serde_json::{Map, Value};

use super::nodes::{Lesson, Nodes};
use crate::head::RequestHead;
use crate::operation::Operation;
use crate::path::RequestPath;
use crate::protocol::{Facets, Fault, body, is_read};
use crate::reason::Reason;
use document::Kind;

/// Tokens of one document.
const MAX_TOKENS: usize = 50_000;
/// Root fields and batch members of one request.
const MAX_FIELDS: usize = 500;
/// Operations of one request.
const MAX_OPERATIONS: usize = 1_000;

/// Every name that the table of mutations gives, with what its operations can tell.
pub(super) fn words(add: &mut dyn FnMut(&str, Facets)) {
    for row in table::rows() {
        let facets = row.reads.facets();
        add(row.name, facets);
        for alias in &row.aliases {
            add(alias, facets);
        }
        add(&format!("graphql:{}", row.field), facets);
    }
}

/// The operations of a request to `/graphql`.
pub(super) fn operations(
    head: &RequestHead,
    path: &RequestPath,
    bytes: &[u8],
    nodes: &Nodes,
) -> Result<(Vec<Operation>, Option<Lesson>), Fault> {
    let mut found = Found {
        nodes,
        operations: Vec::new(),
        places: FxHashMap::default(),
        lesson: None,
        fields: 0,
    };
    if is_read(&head.method) {
        if !bytes.is_empty() {
            return Err(Fault::unreadable("GraphQL by GET with a body"));
        }
        let parameter = |name| {
            path.parameter(name)
                .map_err(|_| Fault::new(Reason::PathAmbiguous, format!("{name} comes twice")))
        };
        for name in PERSISTED {
            if parameter(name)?.is_some() {
                return Err(persisted());
            }
        }
        if parameter("extensions")?.is_some_and(|text| text.contains("persistedQuery")) {
            return Err(persisted());
        }
        let Some(document) = parameter("query")? else {
            return Ok((vec![schema_read()], None));
        };
        let variables = parameter("variables")?.map_or(Value::Null, Value::from);
        let variables = variables_of(Some(&variables))?;
        found.read(document, parameter("operationName")?, &variables)?;
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
                    found.read_request(request)?;
                }
                // Which answer is whose is the server's order, and not worth the trust.
                found.lesson = None;
            }
            request => found.read_request(&request)?,
        }
    }
    Ok((found.operations, found.lesson))
}

/// Members that name a document which only the server has.
const PERSISTED: [&str; 5] = ["id", "documentId", "doc_id", "queryId", "sha256Hash"];

fn persisted() -> Fault {
    Fault::unreadable("a persisted GraphQL query")
}

/// What has been found so far.
struct Found<'n> {
    nodes: &'n Nodes,
    operations: Vec<Operation>,
    /// The places of operations by their hash: a document of many fields does the same often. Whoever aims at equal
    /// hashes makes a comparison of each with each, of [`MAX_OPERATIONS`] at most.
    places: FxHashMap<u64, Vec<usize>>,
    /// What the answer may tell.
    lesson: Option<Lesson>,
    /// Root fields of all documents of the request.
    fields: usize,
}

impl Found<'_> {
    fn read_request(&mut self, request: &Value) -> Result<(), Fault> {
        if let Value::Object(members) = request {
            body::without_twins(members)?;
        }
        let text = |name: &str| match request.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(Fault::unreadable(format!("{name} is not a string"))),
        };
        // Beside a document, a server may prefer the one it knows.
        let extensions = request.get("extensions");
        if extensions.is_some_and(|e| e.get("persistedQuery").is_some() || e.is_string())
            || PERSISTED.iter().any(|name| request.get(name).is_some())
        {
            return Err(persisted());
        }
        let document =
            text("query")?.ok_or_else(|| Fault::unreadable("GraphQL without a document"))?;
        let variables = variables_of(request.get("variables"))?;
        self.read(document, text("operationName")?, &variables)
    }

    /// Adds the operations of one document.
    fn read(
        &mut self,
        text: &str,
        operation_name: Option<&str>,
        variables: &Map<String, Value>,
    ) -> Result<(), Fault> {
        let document = document::parse(text)?;
        let fragments = document::fragments(&document)?;
        let roots = document::roots(&document, &fragments, operation_name, variables)?;
        if roots.is_empty() {
            return Err(Fault::unreadable("a GraphQL operation without fields"));
        }
        self.fields += roots.len();
        if self.fields > MAX_FIELDS {
            let detail = "too many GraphQL root fields";
            return Err(Fault::new(Reason::BodyTooLarge, detail));
        }
        for root in &roots {
            let field = root.field.name().as_str();
            let operations = match root.kind {
                Kind::Query => query::operations(root, self.nodes, &fragments)?,
                Kind::Mutation => query::mutation(root, self.nodes, &fragments)?,
                Kind::Subscription => vec![mutations::unknown(field)],
            };
            for operation in operations {
                self.add(operation)?;
            }
        }
        self.lesson = lesson::lesson(&document, &roots, &self.operations, &fragments);
        Ok(())
    }

    fn add(&mut self, operation: Operation) -> Result<(), Fault> {
        let mut hasher = FxHasher::default();
        operation.hash(&mut hasher);
        let places = self.places.entry(hasher.finish()).or_default();
        if places
            .iter()
            .any(|&at| self.operations.get(at) == Some(&operation))
        {
            return Ok(());
        }
        places.push(self.operations.len());
        if self.operations.len() == MAX_OPERATIONS {
            let detail = "too many operations in a GraphQL request";
            return Err(Fault::new(Reason::BodyTooLarge, detail));
        }
        self.operations.push(operation);
        Ok(())
    }
}

/// Variables are an object; some servers take one as a JSON string as well.
fn variables_of(value: Option<&Value>) -> Result<Cow<'_, Map<String, Value>>, Fault> {
    match value {
        None | Some(Value::Null) => Ok(Cow::default()),
        Some(Value::Object(members)) => Ok(Cow::Borrowed(members)),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(Cow::default()),
        Some(Value::String(text)) => match body::parse(text.as_bytes())? {
            Value::Object(members) => Ok(Cow::Owned(members)),
            _ => Err(Fault::unreadable("variables are no object")),
        },
        Some(_) => Err(Fault::unreadable("variables are no object")),
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

#[cfg(test)]
#[path = "spelling_tests.rs"]
mod spelling_tests;

//! What earlier answers told of node ids: the repository, and for a ref its name.
//!
//! GraphQL names nearly everything by an opaque id. An id that is not known here could be of any
//! repository: rules that restrain match it, rules that allow do not. So what an answer tells is
//! kept, and an agent that asked for a repository before it writes to it is judged by that one.
//!
//! # Who could lie
//! A wrong entry would let a write pass as one to another repository, and agents decide much of what
//! answers hold: titles, file contents, names of their own repositories, and in GraphQL even the
//! member names. Therefore an id is believed only where the place it stands in is GitHub's own:
//!
//! - The status is 200 or 201 and the media type `application/json` alone: never the raw types, under
//!   which GitHub hands out files as they are.
//! - REST: operations of a short list ([`rest`]), `node_id` of the object that the operation is
//!   about, or of each item of the list that it gives; never deeper. The repository is that of the
//!   *request's* path, or `full_name` beside the id where the object is a repository.
//! - GraphQL ([`Lesson`]): `id` at a path that the *request's* selection spells out, from
//!   `repository(owner:, name:)` through fields whose objects belong to that repository. `id` (and
//!   `name` and `prefix` of a ref) must be the field of that name and no alias. The objects on the
//!   way may be aliased, as `gh` does (`issue: issueOrPullRequest(number: 1)`): what counts is the
//!   field, and that no other field of the selection has the same key. Where one has, or anything
//!   goes by the name of an id, nothing at all is taken from that answer. The repository is the one
//!   that the request named, never one that the answer names.
//! - Nothing is taken from batches, from requests that were refused, or of ids beyond [`MAX_ID`].
//!
//! An entry is of one connection and host: what one upstream tells is not used for another. It dies
//! after [`AGE_MS`], because repositories are renamed and transferred while their ids stay. What is
//! kept is bounded: [`SLOTS`] slots, the newer entry of two in one slot stays. Nothing is decoded
//! from an id: the old ones (`MDEwOlJlcG9zaXRvcnkx`) hold numbers that prove nothing.
//!
//! Workers share what they learn through the host: the engine hands it `(key, value)` to remember,
//! and asks for values by key before it judges.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::Value;

use crate::effect::Now;
use crate::operation::Target;
use crate::protocol::repo_target;

/// Ids that one request may ask for; further ones stay unknown.
const MAX_ASKED: usize = 100;
/// Longest id that is looked up or learnt.
const MAX_ID: usize = 256;
/// Longest name of a repository or ref that is learnt.
const MAX_NAME: usize = 512;
/// Ids learnt of one answer.
const MAX_LEARNT: usize = 500;
/// How long an entry is believed.
const AGE_MS: u64 = 3_600_000;
/// Entries of all workers together.
const SLOTS: u64 = 32_768;
/// Longest answer that is read for ids.
const MAX_ANSWER: usize = 512 * 1024;

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
pub struct Nodes {
    known: BTreeMap<String, Node>,
    asked: RefCell<BTreeSet<String>>,
}

impl Nodes {
    /// The nodes that are known.
    pub(crate) fn new(known: BTreeMap<String, Node>) -> Self {
        Nodes {
            known,
            asked: RefCell::default(),
        }
    }

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

    /// The ids that were asked for and not known.
    pub(crate) fn missing(self) -> Vec<String> {
        self.asked.into_inner().into_iter().collect()
    }
}

/// Where ids come from and go to: a connection and the host that its requests name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upstream(String);

impl Upstream {
    pub(crate) fn new(connection: &str, host: &str) -> Self {
        Upstream(format!("{connection}\n{host}"))
    }

    /// The key under which the host keeps what is known of an id.
    pub(crate) fn key(&self, id: &str) -> String {
        // FNV-1a: spreads ids over the slots. Whether a value is of this id is asked of the value.
        let bytes = self.0.bytes().chain([b'\n']).chain(id.bytes());
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        format!("countersign.node.{:x}", (hash ^ (hash >> 32)) % SLOTS)
    }

    /// The value that the host keeps.
    pub(crate) fn value(&self, id: &str, node: &Node, now: Now) -> Vec<u8> {
        let reference = node.reference.as_deref().unwrap_or_default();
        let parts = [&self.0, id, &now.0.to_string(), &node.repo, reference];
        parts.join("\0").into_bytes()
    }

    /// What a value tells of an id: nothing if it is of another one, or too old.
    pub(crate) fn read(&self, id: &str, value: &[u8], now: Now) -> Option<Node> {
        let mut parts = std::str::from_utf8(value).ok()?.split('\0');
        if parts.next()? != self.0 || parts.next()? != id {
            return None;
        }
        let learnt = Now(parts.next()?.parse().ok()?);
        let (repo, reference) = (parts.next()?, parts.next()?);
        if parts.next().is_some() || now < learnt || now.millis_since(learnt) > AGE_MS {
            return None;
        }
        Some(Node {
            repo: repo.to_owned(),
            reference: (!reference.is_empty()).then(|| reference.to_owned()),
        })
    }
}

/// What an answer may tell, by what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lesson {
    /// An object of REST, or a list of them.
    Rest {
        /// The repository of the request's path; without it, each object names its own.
        repo: Option<String>,
        /// Whether the objects are refs.
        refs: bool,
    },
    /// `data` of GraphQL, by response key.
    GraphQl(Vec<(String, Plan)>),
}

/// What a GraphQL answer tells at one path and below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The repository it all is in.
    pub(super) repo: Rc<str>,
    /// `id` is the object's own.
    pub(super) id: bool,
    /// How a ref tells its name.
    pub(super) name: Option<RefName>,
    pub(super) below: Vec<(String, Plan)>,
}

/// How a ref tells its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RefName {
    /// The request asked for it in full.
    Asked(String),
    /// `name`, after this prefix.
    After(String),
    /// `prefix` and `name`.
    Written,
    /// Not at all.
    Unknown,
}

/// Operations of REST whose objects are what their path and name say. The second part: what they are.
const OBJECTS: &[(&str, Objects)] = &[
    ("git/create-ref", Objects::Refs),
    ("git/get-ref", Objects::Refs),
    ("git/list-matching-refs", Objects::Refs),
    ("git/update-ref", Objects::Refs),
    ("issues/create", Objects::InRepo),
    ("issues/get", Objects::InRepo),
    ("issues/list-for-repo", Objects::InRepo),
    ("issues/update", Objects::InRepo),
    ("pulls/create", Objects::InRepo),
    ("pulls/get", Objects::InRepo),
    ("pulls/list", Objects::InRepo),
    ("pulls/update", Objects::InRepo),
    ("repos/get", Objects::Repositories),
    ("repos/list-for-authenticated-user", Objects::Repositories),
    ("repos/list-for-org", Objects::Repositories),
    ("repos/list-for-user", Objects::Repositories),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Objects {
    Repositories,
    InRepo,
    Refs,
}

/// What the answer to a REST operation may tell.
pub(super) fn rest(id: &str, repo: &Target) -> Option<Lesson> {
    let (_, objects) = OBJECTS.iter().find(|(known, _)| *known == id)?;
    let repo = match objects {
        Objects::Repositories => None,
        Objects::InRepo | Objects::Refs => Some(repo.known()?.to_owned()),
    };
    Some(Lesson::Rest {
        repo,
        refs: *objects == Objects::Refs,
    })
}

/// Reads an answer for what it tells.
#[derive(Debug)]
pub(crate) struct Pupil {
    lesson: Lesson,
    answer: Vec<u8>,
    /// Too long to be read.
    gave_up: bool,
}

impl Pupil {
    /// A reader for an answer with this status and media type, if it may be believed.
    pub(crate) fn new(lesson: &Lesson, status: u16, media_type: &str) -> Option<Pupil> {
        let believed = matches!(status, 200 | 201) && media_type == "application/json";
        believed.then(|| Pupil {
            lesson: lesson.clone(),
            answer: Vec::new(),
            gave_up: false,
        })
    }

    /// Takes a piece of the answer.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.answer.len() + bytes.len() > MAX_ANSWER {
            self.gave_up = true;
            self.answer = Vec::new();
        }
        if !self.gave_up {
            self.answer.extend_from_slice(bytes);
        }
    }

    /// What the whole answer tells.
    pub(crate) fn finish(self) -> Vec<(String, Node)> {
        let mut found = Vec::new();
        let Ok(answer) = crate::json::parse_strict(&self.answer) else {
            return found;
        };
        match &self.lesson {
            Lesson::Rest { repo, refs } => {
                let objects = match &answer {
                    Value::Array(items) => items.as_slice(),
                    object => std::slice::from_ref(object),
                };
                for object in objects {
                    object_of_rest(object, repo.as_deref(), *refs, &mut found);
                }
            }
            Lesson::GraphQl(plans) => {
                for (key, plan) in plans {
                    if let Some(value) = answer.get("data").and_then(|data| data.get(key)) {
                        plan.read(value, &mut found);
                    }
                }
            }
        }
        found
    }
}

fn object_of_rest(object: &Value, repo: Option<&str>, refs: bool, found: &mut Vec<(String, Node)>) {
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    let Some(id) = text("node_id") else {
        return;
    };
    let repo = match repo {
        Some(repo) => Some(repo.to_owned()),
        None => {
            let full = text("full_name").and_then(|full| full.split_once('/'));
            full.and_then(|(owner, name)| repo_target(owner, name).known().map(str::to_owned))
        }
    };
    let reference = match refs {
        true => text("ref").map(str::to_owned),
        false => None,
    };
    if let Some(repo) = repo {
        add(id, Node { repo, reference }, found);
    }
}

impl Plan {
    /// Plans follow the request: what nests more deeply than it does is not looked at.
    fn read(&self, value: &Value, found: &mut Vec<(String, Node)>) {
        match value {
            Value::Array(items) => {
                for item in items {
                    if item.is_object() {
                        self.read(item, found);
                    }
                }
            }
            Value::Object(members) => {
                let text = |name: &str| members.get(name).and_then(Value::as_str);
                if let (true, Some(id)) = (self.id, text("id")) {
                    let reference = match &self.name {
                        None => None,
                        Some(RefName::Asked(name)) => Some(name.clone()),
                        Some(RefName::After(prefix)) => {
                            text("name").map(|name| format!("{prefix}{name}"))
                        }
                        Some(RefName::Unknown) => None,
                        Some(RefName::Written) => match (text("prefix"), text("name")) {
                            (Some(prefix), Some(name)) => Some(format!("{prefix}{name}")),
                            _ => None,
                        },
                    };
                    let repo = self.repo.to_string();
                    add(id, Node { repo, reference }, found);
                }
                for (key, plan) in &self.below {
                    if let Some(value) = members.get(key) {
                        plan.read(value, found);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// Control characters would be read as the end of a part.
fn add(id: &str, node: Node, found: &mut Vec<(String, Node)>) {
    let plain = |text: &str, most: usize| {
        !text.is_empty() && text.len() <= most && !text.chars().any(char::is_control)
    };
    let name = node.reference.as_deref();
    let good = plain(id, MAX_ID)
        && plain(&node.repo, MAX_NAME)
        && name.is_none_or(|name| plain(name, MAX_NAME) && name.starts_with("refs/"));
    if good && found.len() < MAX_LEARNT {
        found.push((id.to_owned(), node));
    }
}

#[cfg(test)]
#[path = "nodes_tests.rs"]
mod tests;

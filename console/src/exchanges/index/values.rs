//! What a record says, as the values that its exchange can be found by.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::clock::Millis;
use crate::exchanges::query::{Field, Trait};
use crate::intake::record::text;

/// What a value is about: a field of the query language, or something that only the index knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A field of the query language.
    Field(Field),
    /// E-mail address; `user:` looks here too.
    Email,
    /// Another name of an operation; `op:` looks here too.
    Alias,
    /// HTTP status.
    Status,
    /// What the exchange has.
    Has,
    /// The day it began, in days since 1970.
    Day,
    /// The hour it began.
    Hour,
    /// Every exchange.
    All,
    /// The folders above a path or an address, and the owner of a repository, with a slash at the end.
    Folder(Field),
    /// The codes of fields that have any value.
    Any,
}

impl Kind {
    const FOLDERS: i64 = 128;

    /// Its number in the database. Never changes.
    pub fn code(self) -> i64 {
        match self {
            Self::Field(field) => field.code(),
            Self::Email => 64,
            Self::Alias => 65,
            Self::Status => 66,
            Self::Has => 67,
            Self::Day => 68,
            Self::Hour => 69,
            Self::All => 70,
            Self::Any => 71,
            Self::Folder(field) => Self::FOLDERS + field.code(),
        }
    }

    /// Whether an exchange has at most one value of it, the newest that is known.
    pub fn is_single(code: i64) -> bool {
        use Field::{Approval, Approver, Decision, Reason, Rule};
        [Decision, Reason, Rule, Approval, Approver]
            .into_iter()
            .map(Field::code)
            .chain([Self::Status, Self::Day, Self::Hour].map(Self::code))
            .any(|single| single == code)
    }
}

/// Values longer than this are found by their beginning.
pub const LONGEST: usize = 300;
/// Folders of one path; deeper ones are found by the path itself.
const DEEPEST: usize = 12;
/// Paths of one record. A tree of a hundred thousand files is found by its first ones.
const MOST_PATHS: usize = 2000;
const HOUR: Millis = 3_600_000;

/// The values of a record.
pub fn values(attributes: &Map<String, Value>) -> BTreeSet<(i64, String)> {
    let mut found = Found(BTreeSet::new());
    for (field, key) in [
        (Field::User, "user.id"),
        (Field::Model, "gen_ai.request.model"),
        (Field::Connection, "countersign.connection"),
        (Field::Method, "http.request.method"),
        (Field::Host, "server.address"),
        (Field::Url, "url.full"),
        (Field::Decision, "countersign.decision"),
        (Field::Reason, "countersign.reason"),
        (Field::Rule, "countersign.rule"),
        (Field::Approval, "countersign.approval.id"),
        (Field::Approver, "countersign.approval.by"),
        (Field::Session, "countersign.session.id"),
        (Field::Worker, "countersign.worker.id"),
        (Field::Policy, "countersign.policy.digest"),
        (Field::Provider, "countersign.identity.provider"),
        (Field::Client, "client.address"),
    ] {
        found.add(field, text(attributes, key));
    }
    for group in strings(attributes.get("countersign.identity.groups")) {
        found.add(Field::Group, Some(group));
    }
    for mask in maps(attributes.get("countersign.masks")) {
        found.add(Field::Mask, text(mask, "rule"));
    }
    if let Some(email) = text(attributes, "user.email") {
        found.put(Kind::Email, email);
    }
    if let Some(status) = attributes
        .get("http.response.status_code")
        .and_then(Value::as_i64)
    {
        found.put(Kind::Status, &status.to_string());
    }
    let mut paths = 0;
    for operation in maps(attributes.get("countersign.operations")) {
        found.operation(operation, &mut paths);
    }
    found.traits(attributes);
    found.0
}

/// The values that follow from when an exchange began.
pub fn time_values(at: Millis) -> [(i64, String); 2] {
    let (day, hour) = (at.div_euclid(24 * HOUR), at.div_euclid(HOUR));
    [
        (Kind::Day.code(), day.to_string()),
        (Kind::Hour.code(), hour.to_string()),
    ]
}

struct Found(BTreeSet<(i64, String)>);

impl Found {
    fn put(&mut self, kind: Kind, value: &str) {
        self.0.insert((kind.code(), cut(value).to_owned()));
    }

    fn add(&mut self, field: Field, value: Option<&str>) {
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return;
        };
        self.put(Kind::Field(field), value);
        self.put(Kind::Any, field.name());
        if matches!(field, Field::Path | Field::Url | Field::Repo) {
            let ends = value.match_indices('/').map(|(at, _)| at + 1);
            for end in ends.take_while(|end| *end <= LONGEST).take(DEEPEST) {
                self.put(Kind::Folder(field), value.get(..end).unwrap_or_default());
            }
        }
    }

    fn operation(&mut self, operation: &Map<String, Value>, paths: &mut usize) {
        self.add(Field::Operation, text(operation, "name"));
        for alias in strings(operation.get("aliases")) {
            self.put(Kind::Alias, alias);
        }
        let repo = text(operation, "repo");
        self.add(Field::Repo, repo);
        let owner = repo
            .and_then(|repo| repo.split_once('/'))
            .map(|(owner, _)| owner);
        let account = text(operation, "account").or_else(|| text(operation, "owner"));
        self.add(Field::Owner, owner.or(account));
        self.add(Field::Ref, text(operation, "ref"));
        for path in strings(operation.get("paths")) {
            if *paths == MOST_PATHS {
                break;
            }
            *paths += 1;
            self.add(Field::Path, Some(path));
        }
        if let Some(attributes) = operation.get("attributes").and_then(Value::as_object) {
            self.add(Field::Tool, text(attributes, "tool"));
            self.add(Field::Resource, text(attributes, "resource"));
        }
    }

    fn traits(&mut self, attributes: &Map<String, Value>) {
        let has = |key: &str| attributes.contains_key(key);
        let request = has("countersign.request.body");
        let response = has("countersign.response.body");
        let model = has("gen_ai.request.model");
        for (one, there) in [
            (Trait::Prompt, request && model),
            (Trait::Answer, response),
            (Trait::Body, request || response),
            (Trait::Mask, has("countersign.masks")),
            (Trait::Approval, has("countersign.approval.id")),
            (Trait::Session, has("countersign.session.id")),
            (Trait::Gap, has("countersign.not_captured")),
        ] {
            if there {
                self.put(Kind::Has, one.word());
            }
        }
    }
}

/// The beginning of a value, as long as values get.
pub fn cut(value: &str) -> &str {
    if value.len() <= LONGEST {
        return value;
    }
    let end = (0..=LONGEST).rev().find(|end| value.is_char_boundary(*end));
    value.get(..end.unwrap_or(0)).unwrap_or_default()
}

fn maps(value: Option<&Value>) -> impl Iterator<Item = &Map<String, Value>> {
    let list = value.and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_object)
}

fn strings(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let list = value.and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str)
}

//! The little of the schema that `gh` asks about.

use serde_json::{Value, json};

use super::objects;
use crate::bare::Bare;
use crate::hosts::Addresses;
use crate::organisation::{Issue, ORGANISATION, Pull, Repository};

/// `__type(name:)`, which `gh` asks of GitHub Enterprise before it chooses its fields.
pub fn describe(name: &str) -> Value {
    let repository = Repository {
        id: 0,
        owner: ORGANISATION.into(),
        name: String::new(),
        description: String::new(),
        private: false,
        archived: false,
        parent: None,
        default_branch: String::new(),
        created_at: String::new(),
        pulls: Vec::new(),
        issues: Vec::new(),
        protection: Default::default(),
        shelves: Default::default(),
        bare: Bare::at(Default::default()),
    };
    let at = Addresses {
        api: String::new(),
        web: String::new(),
        copilot: String::new(),
    };
    let blank = Pull {
        number: 0,
        title: String::new(),
        body: String::new(),
        head: String::new(),
        base: String::new(),
        closed: false,
        draft: false,
        merged: None,
        created_at: String::new(),
    };
    let blank_issue = Issue {
        number: 0,
        title: String::new(),
        body: String::new(),
        closed: false,
        labels: Vec::new(),
        created_at: String::new(),
    };
    let sample = match name {
        "Repository" => objects::summary(&repository, &at),
        "PullRequest" => objects::pull(&repository, &blank, &at),
        "Issue" => objects::issue(&repository, &blank_issue, &at),
        _ => return Value::Null,
    };
    let fields: Vec<Value> = sample
        .as_object()
        .into_iter()
        .flatten()
        .map(|(field, _)| json!({ "__typename": "__Field", "name": field, "isDeprecated": false }))
        .collect();
    json!({ "__typename": "__Type", "kind": "OBJECT", "name": name, "fields": fields, "inputFields": null, "enumValues": null })
}

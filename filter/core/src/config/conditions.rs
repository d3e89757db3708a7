//! What a rule applies to, and what it leaves out.

use serde_json::Value;

use super::decode::{Node, Object};
use super::shape::{Shape, Takes, may};
use crate::policy::{
    ClaimMatch, Condition, Connection, DAYS, Except, Field, Globs, Pointer, Wanted, Window, minute,
    offset,
};

/// A list of patterns.
pub const PATTERNS: Takes = Takes::Some(&Takes::Text);

/// Patterns by the name of what they are compared with.
pub const PATTERNS_BY_NAME: Takes = Takes::SomeMap(&ONE_OR_MORE);

static ONE_OR_MORE: Takes = Takes::OneOf(&[Takes::Text, Takes::Some(&Takes::Text)]);

pub static EXCEPT: Shape = Shape {
    name: "except",
    about: "Any of the callers, if some are named, in all of the places, if some are named.",
    fields: &[
        may(
            "groups",
            PATTERNS,
            "Groups, any of which leaves the caller out.",
        ),
        may("subjects", PATTERNS, "Subjects."),
        may(
            "claims",
            PATTERNS_BY_NAME,
            "Claims, all of which together leave the caller out.",
        ),
        may("repos", PATTERNS, "owner/name."),
        may("owners", PATTERNS, "Organisations and users."),
        may("refs", PATTERNS, "Full ref names."),
        may(
            "paths",
            PATTERNS,
            "Files, all of which have to be left out.",
        ),
    ],
};

pub static TIME: Shape = Shape {
    name: "time",
    about: "A window of time. One over midnight belongs to the day it begins on.",
    fields: &[
        may(
            "days",
            Takes::Some(&Takes::Choice(&DAYS)),
            "Days of the week; all unless said otherwise.",
        ),
        may(
            "from",
            Takes::Form(CLOCK),
            "When it begins; 00:00 unless said otherwise.",
        ),
        may(
            "to",
            Takes::Form(CLOCK),
            "When it ends; 24:00 unless said otherwise.",
        ),
        may(
            "zone",
            Takes::Form("^(UTC|Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$"),
            "A fixed distance from UTC, such as +01:00; UTC unless said otherwise.",
        ),
    ],
};

const CLOCK: &str = "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$";

static MATCH: Shape = Shape {
    name: "match",
    about: "A text that is compared: exactly one of both.",
    fields: &[
        may("glob", ONE_OR_MORE_PATTERNS, "A pattern or a list of them."),
        may(
            "regex",
            Takes::Text,
            "An expression that is found in it; ^ and $ tie it to the ends.",
        ),
    ],
};

const ONE_OR_MORE_PATTERNS: Takes = Takes::OneOf(&[Takes::Text, Takes::Some(&Takes::Text)]);

static PLAIN: Takes = Takes::OneOf(&[Takes::Scalar, Takes::Object(&MATCH)]);

/// What a field of a body may be compared with.
pub static FIELD: Takes =
    Takes::OneOf(&[Takes::Scalar, Takes::Object(&MATCH), Takes::Some(&PLAIN)]);

/// How the text of a pattern is brought into the form that requests are compared in.
#[derive(Clone, Copy)]
enum Case {
    AsWritten,
    Lower,
    Upper,
}

/// Reads the conditions of a rule.
pub fn condition(object: &Object, connections: &[Connection]) -> Condition {
    let condition = Condition {
        operations: globs(object, "operations", Case::AsWritten),
        connections: connection_names(object, connections),
        methods: methods(object),
        hosts: globs(object, "hosts", Case::Lower),
        groups: globs(object, "groups", Case::AsWritten),
        subjects: globs(object, "subjects", Case::AsWritten),
        claims: claims(object),
        time: object.get("time").and_then(|n| window(&n)),
        repos: globs(object, "repos", Case::Lower),
        owners: globs(object, "owners", Case::Lower),
        refs: globs(object, "refs", Case::AsWritten),
        attributes: entries(object, "attributes"),
        paths: globs(object, "paths", Case::AsWritten),
        json: fields(object),
    };
    if condition.is_empty() {
        object.fault("the rule names nothing; use `default` for what matches everything");
    }
    condition
}

/// Reads `except`: one exception, or a list of them.
pub fn except(node: &Node) -> Vec<Except> {
    if !node.value().is_array() {
        return exception(node).into_iter().collect();
    }
    node.list().iter().filter_map(exception).collect()
}

fn exception(node: &Node) -> Option<Except> {
    let object = node.object(&EXCEPT)?;
    let except = Except {
        groups: globs(&object, "groups", Case::AsWritten),
        subjects: globs(&object, "subjects", Case::AsWritten),
        claims: claims(&object),
        repos: globs(&object, "repos", Case::Lower),
        owners: globs(&object, "owners", Case::Lower),
        refs: globs(&object, "refs", Case::AsWritten),
        paths: globs(&object, "paths", Case::AsWritten),
    };
    if !except.names_callers() && !except.names_places() {
        node.fault("the exception names nothing: it would leave everything out");
    }
    Some(except)
}

/// Reads `methods`.
pub fn methods(object: &Object) -> Globs {
    globs(object, "methods", Case::Upper)
}

/// Patterns under `key`. An empty list is a fault: it would read as "any".
fn globs(object: &Object, key: &str, case: Case) -> Globs {
    object
        .get(key)
        .map(|node| pattern_list(&node, case))
        .unwrap_or_default()
}

fn pattern_list(node: &Node, case: Case) -> Globs {
    let items = node.list();
    if items.is_empty() && node.value().is_array() {
        node.fault("an empty list would match everything; leave the key out to say so");
    }
    let mut globs = Globs::default();
    items
        .iter()
        .for_each(|item| pattern(item, case, &mut globs));
    globs
}

fn pattern(node: &Node, case: Case, globs: &mut Globs) {
    let Some(text) = node.string() else { return };
    let text = match case {
        Case::AsWritten => text,
        Case::Lower => text.to_ascii_lowercase(),
        Case::Upper => text.to_ascii_uppercase(),
    };
    if let Err(message) = globs.push(&text) {
        node.fault(message);
    }
}

/// One pattern or a list of them.
fn patterns(node: &Node) -> Globs {
    if node.value().is_array() {
        return pattern_list(node, Case::AsWritten);
    }
    let mut globs = Globs::default();
    pattern(node, Case::AsWritten, &mut globs);
    globs
}

/// Named patterns under `key`.
fn entries(object: &Object, key: &str) -> Vec<(String, Globs)> {
    let Some(section) = object.get(key).and_then(|n| n.map()) else {
        return Vec::new();
    };
    let entries: Vec<_> = section
        .entries()
        .map(|(name, node)| (name.to_owned(), patterns(&node)))
        .collect();
    if entries.is_empty() {
        section.fault("an empty list would match everything; leave the key out to say so");
    }
    entries
}

/// What claims have to be.
pub(super) fn claims(object: &Object) -> Vec<ClaimMatch> {
    entries(object, "claims")
        .into_iter()
        .map(|(path, globs)| ClaimMatch { path, globs })
        .collect()
}

fn connection_names(object: &Object, connections: &[Connection]) -> Vec<String> {
    let Some(node) = object.get("connections") else {
        return Vec::new();
    };
    let items = node.list();
    if items.is_empty() && node.value().is_array() {
        node.fault("an empty list would match everything; leave the key out to say so");
    }
    let mut names = Vec::new();
    for item in items {
        let Some(name) = item.string() else { continue };
        if !connections.iter().any(|c| c.name == name) {
            item.fault(format!("no connection is named `{name}`"));
        }
        names.push(name);
    }
    names
}

fn window(node: &Node) -> Option<Window> {
    let object = node.object(&TIME)?;
    let mut days = Vec::new();
    if let Some(list) = object.get("days") {
        let items = list.list();
        if items.is_empty() && list.value().is_array() {
            list.fault("no day: the rule would never apply; leave the key out for every day");
        }
        let names: Vec<(&str, u8)> = DAYS.into_iter().zip(0..).collect();
        days.extend(items.iter().filter_map(|item| item.choice(&names)));
    }
    let time = |key: &str, default: u16| match object.get(key) {
        None => Some(default),
        Some(node) => {
            let read = node.string().as_deref().and_then(minute);
            if read.is_none() {
                node.fault("a time of day such as \"08:00\"; \"24:00\" is its end");
            }
            read
        }
    };
    let (from, to) = (time("from", 0), time("to", 24 * 60));
    let zone = match object.get("zone") {
        None => Some(0),
        Some(node) => {
            let read = node.string().as_deref().and_then(offset);
            if read.is_none() {
                node.fault("`UTC` or a fixed distance from it such as \"+01:00\"");
            }
            read
        }
    };
    match Window::new(&days, from?, to?, zone?) {
        Ok(window) => Some(window),
        Err(message) => {
            node.fault(message);
            None
        }
    }
}

fn fields(object: &Object) -> Vec<Field> {
    let Some(section) = object.get("json").and_then(|n| n.map()) else {
        return Vec::new();
    };
    let mut fields = Vec::new();
    for (pointer, node) in section.entries() {
        let wanted = wanted(&node, true);
        match Pointer::read(pointer) {
            Ok(pointer) => fields.extend(wanted.map(|wanted| Field::new(pointer, wanted))),
            Err(message) => node.fault(message),
        }
    }
    if section.entries().next().is_none() {
        section.fault("an empty list would match everything; leave the key out to say so");
    }
    fields
}

/// A value, `{glob}`, `{regex}`, or a list of those.
fn wanted(node: &Node, list: bool) -> Option<Wanted> {
    match node.value() {
        Value::Array(items) if list && !items.is_empty() => {
            let all: Vec<_> = node.list().iter().map(|item| wanted(item, false)).collect();
            all.into_iter().collect::<Option<_>>().map(Wanted::OneOf)
        }
        Value::Array(_) => {
            node.fault("a list with at least one value, and no list inside it");
            None
        }
        Value::Object(_) => {
            let object = node.object(&MATCH)?;
            match (object.get("glob"), object.get("regex")) {
                (Some(glob), None) => Some(Wanted::Globs(patterns(&glob))),
                (None, Some(regex)) => match Wanted::regex(&regex.string()?) {
                    Ok(wanted) => Some(wanted),
                    Err(message) => {
                        regex.fault(message);
                        None
                    }
                },
                (Some(_), Some(_)) | (None, None) => {
                    node.fault("give exactly one of: glob, regex");
                    None
                }
            }
        }
        value => Some(Wanted::Value(value.clone())),
    }
}

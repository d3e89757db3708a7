//! Makes the static tables: of GitHub's REST operations of `github/operations.txt`, a trie of path segments, so that a
//! request is looked up in a few steps; and of the masking rules of `mask/rules.toml`. Nothing is built at start.
#![allow(
    clippy::disallowed_methods,
    reason = "they keep I/O out of the engine; this runs before it is built"
)]

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::path::PathBuf;
use std::{env, fs};

#[path = "mask/hash.rs"]
mod hash;
#[path = "mask/table.rs"]
mod mask;

use hash::hash;

const SOURCE: &str = "github/operations.txt";
const METHODS: [(&str, &str); 5] = [
    ("GET", "Get"),
    ("POST", "Post"),
    ("PUT", "Put"),
    ("PATCH", "Patch"),
    ("DELETE", "Delete"),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={SOURCE}");
    println!("cargo:rerun-if-changed=mask");
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let mut table = Table::default();
    let mut path = None;
    for (number, line) in fs::read_to_string(root.join(SOURCE))?.lines().enumerate() {
        let fault = |what: &str| format!("{SOURCE}:{}: {what}: {line}", number + 1);
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with('/') {
            path = Some(line.trim().to_owned());
            continue;
        }
        let template = path.as_deref().ok_or_else(|| fault("no path before it"))?;
        table.add(template, line).map_err(|what| fault(&what))?;
    }
    let out = PathBuf::from(env::var("OUT_DIR")?).join("github_operations.rs");
    fs::write(out, table.text()?)?;
    let rules = mask::text(&fs::read_to_string(root.join(mask::SOURCE))?)?;
    fs::write(
        PathBuf::from(env::var("OUT_DIR")?).join("mask_rules.rs"),
        rules,
    )?;
    Ok(())
}

/// What a segment of a path has to be, words in lower case; in the order in which they are tried.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    /// This word, which is not captured.
    Literal(String),
    /// This word, captured.
    Word(String),
    /// A number.
    Digits,
    /// Two names with `...` between them.
    Range,
    /// Anything.
    Any,
    /// One segment or more.
    Many,
}

#[derive(Debug, Default)]
struct Node {
    children: BTreeMap<Segment, usize>,
    rows: BTreeMap<usize, String>,
}

#[derive(Debug)]
struct Table {
    nodes: Vec<Node>,
    effects: BTreeMap<String, usize>,
}

impl Default for Table {
    fn default() -> Self {
        Table {
            nodes: vec![Node::default()],
            effects: BTreeMap::new(),
        }
    }
}

impl Table {
    fn add(&mut self, template: &str, line: &str) -> Result<(), String> {
        let mut columns = line.split_whitespace();
        let mut column = |name: &str| columns.next().ok_or(format!("no {name}"));
        let (method, id) = (column("method")?, column("operationId")?);
        let (names, resource) = (column("names")?, column("resource")?);
        let source = column("source")?;
        let method = METHODS.iter().position(|(name, _)| *name == method);
        let method = method.ok_or("unknown method")?;
        let mut reach = "Named";
        for flag in columns {
            reach = match flag {
                "reach" => "Repositories",
                "anyone" => "Accounts",
                _ => return Err(format!("{flag} is neither reach nor anyone")),
            };
        }
        let (captures, ends) = self.nodes_of(template)?;
        let known = |name: &str| captures.iter().any(|capture| capture == name);
        let effect = effect(names, resource, source, reach, &known)?;
        let count = self.effects.len();
        let effect = *self.effects.entry(effect).or_insert(count);
        let id = if id == "-" { "" } else { id };
        let row = format!(
            "Row {{ method: Method::{}, id: {id:?}, effect: &EFFECTS[{effect}], captures: &{captures:?} }}",
            METHODS[method].1
        );
        for end in ends {
            if self.nodes[end].rows.insert(method, row.clone()).is_some() {
                return Err(format!("{template} has this method twice"));
            }
        }
        Ok(())
    }

    /// The names that a template captures, and the nodes where it ends: one, or one for each of the
    /// words that a parameter may be.
    fn nodes_of(&mut self, template: &str) -> Result<(Vec<String>, Vec<usize>), String> {
        let mut captures = Vec::new();
        let mut ends = vec![0];
        for part in template.split('/').filter(|part| !part.is_empty()) {
            let (name, segments) = read_segment(part)?;
            captures.extend(name);
            let mut next = Vec::new();
            for end in ends {
                for segment in &segments {
                    next.push(self.child(end, segment.clone()));
                }
            }
            ends = next;
        }
        Ok((captures, ends))
    }

    fn child(&mut self, node: usize, segment: Segment) -> usize {
        let next = self.nodes.len();
        let child = *self.nodes[node].children.entry(segment).or_insert(next);
        if child == next {
            self.nodes.push(Node::default());
        }
        child
    }

    /// The table as Rust. Children stand side by side, in the order in which they are tried.
    fn text(&self) -> Result<String, Box<dyn Error>> {
        let mut order = vec![(0, "Segment::Root".to_owned())];
        let (mut nodes, mut rows) = (String::new(), String::new());
        let (mut at, mut row_count) = (0, 0);
        while let Some((index, segment)) = order.get(at).cloned() {
            at += 1;
            let node = &self.nodes[index];
            writeln!(
                nodes,
                "    Node {{ segment: {segment}, children: ({}, {}), rows: ({row_count}, {}) }},",
                order.len(),
                node.children.len(),
                node.rows.len()
            )?;
            for row in node.rows.values() {
                writeln!(rows, "    {row},")?;
                row_count += 1;
            }
            for (segment, child) in &node.children {
                order.push((*child, format!("Segment::{segment:?}")));
            }
        }
        let mut effects: Vec<_> = self.effects.iter().collect();
        effects.sort_by_key(|(_, index)| **index);
        let mut text = String::new();
        writeln!(text, "pub(super) static NODES: [Node; {at}] = [\n{nodes}];")?;
        writeln!(text, "static ROWS: [Row; {row_count}] = [\n{rows}];")?;
        writeln!(text, "static EFFECTS: [Effect; {}] = [", effects.len())?;
        for (effect, _) in effects {
            writeln!(text, "    {effect},")?;
        }
        writeln!(text, "];")?;
        Ok(text)
    }
}

/// The name that a part of a template captures, and what it may be.
fn read_segment(part: &str) -> Result<(Option<String>, Vec<Segment>), String> {
    if part == "{base}...{head}" {
        return Ok((Some("basehead".to_owned()), vec![Segment::Range]));
    }
    let Some(inside) = part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) else {
        if part.contains(['{', '}']) {
            return Err(format!("{part} is neither a word nor a parameter"));
        }
        return Ok((None, vec![Segment::Literal(part.to_ascii_lowercase())]));
    };
    let (name, segments) = if let Some(name) = inside.strip_suffix('*') {
        (name, vec![Segment::Many])
    } else if let Some(name) = inside.strip_suffix('#') {
        (name, vec![Segment::Digits])
    } else if let Some((name, words)) = inside.split_once('=') {
        let words = words.split('|').map(str::to_ascii_lowercase);
        (name, words.map(Segment::Word).collect())
    } else {
        (inside, vec![Segment::Any])
    };
    Ok((Some(name.to_owned()), segments))
}

/// Our columns as Rust.
fn effect(
    names: &str,
    resource: &str,
    source: &str,
    reach: &str,
    captured: &dyn Fn(&str) -> bool,
) -> Result<String, String> {
    let names: Vec<&str> = names.split(',').collect();
    for name in &names {
        let plain = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        };
        match name.split_once('.') {
            Some((area, verb)) if plain(area) && plain(verb) => {}
            _ => return Err(format!("{name} is no name of the form area.verb")),
        }
    }
    let (source, members) = source.split_once(':').unwrap_or((source, ""));
    let members: Vec<&str> = members.split(',').filter(|m| !m.is_empty()).collect();
    if let Some(twice) = members.iter().find(|member| captured(member)) {
        return Err(format!("{twice} is in the path already"));
    }
    let source: String = source
        .split('_')
        .flat_map(|word| {
            let mut letters = word.chars();
            let first = letters.next().map(|c| c.to_ascii_uppercase());
            first.into_iter().chain(letters)
        })
        .collect();
    let last = |member: &str| member.rsplit('.').next() == Some(resource);
    let from_body = matches!(source.as_str(), "CreateRef") && resource == "ref";
    if resource != "-" && !captured(resource) && !members.iter().any(|m| last(m)) && !from_body {
        return Err(format!("resource {resource} is no attribute of it"));
    }
    let resource = if resource == "-" { "" } else { resource };
    let (name, aliases) = names.split_first().ok_or("no name")?;
    Ok(format!(
        "Effect {{ name: {name:?}, aliases: &{aliases:?}, resource: {resource:?}, source: Source::{source}, members: &{members:?}, reach: Reach::{reach} }}"
    ))
}

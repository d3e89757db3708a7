//! The corpus: every file of `testdata/scenarios`.

use std::collections::BTreeSet;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::expand::expand;
use super::format::Scenario;
use super::token::{Mint, NOW_S};
use crate::Repository;

/// Reads all scenarios, in the order of the files' names.
///
/// # Errors
/// A file that is not in the format; two scenarios of one name.
pub fn read(repository: &Repository) -> Result<Vec<Scenario>> {
    read_at(repository, NOW_S)
}

/// The present, for a runner whose clock cannot be set.
///
/// # Errors
/// The machine's clock is before 1970.
pub fn this_second() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

/// As [`read`], with tokens that are good from `now_s`, in seconds since 1970.
///
/// # Errors
/// As [`read`].
pub fn read_at(repository: &Repository, now_s: u64) -> Result<Vec<Scenario>> {
    let mint = Mint::new(repository, now_s)?;
    let mut files: Vec<_> = fs::read_dir(repository.path("testdata/scenarios"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    files.sort();
    let mut scenarios = Vec::new();
    let mut names = BTreeSet::new();
    for path in files {
        let file = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let documents: Vec<Value> =
            serde_norway::from_str(&fs::read_to_string(&path)?).with_context(|| file.clone())?;
        for document in documents {
            let title = format!("{file}: {}", document["name"]);
            let cases = cases(document).with_context(|| title.clone())?;
            for (case, document) in cases.into_iter().enumerate() {
                let group = format!("{title} {}", document["policy"]);
                let scenario = one(document, &mint).with_context(|| file.clone())?;
                ensure!(
                    names.insert(scenario.name.clone()),
                    "{file}: a second `{}`",
                    scenario.name
                );
                scenarios.push(Scenario {
                    file: file.clone(),
                    group,
                    case,
                    ..scenario
                });
            }
        }
    }
    Ok(scenarios)
}

/// A document, or one for each entry of its `each`.
///
/// # Errors
/// An entry without a `case`, or a placeholder that it has no value for.
fn cases(mut document: Value) -> Result<Vec<Value>> {
    let Some(each) = document.as_object_mut().and_then(|d| d.remove("each")) else {
        return Ok(vec![document]);
    };
    let entries = each.as_array().context("`each` is a list")?;
    entries
        .iter()
        .map(|entry| {
            let case = entry["case"].as_str().context("an entry without `case`")?;
            let mut document = document.clone();
            fill(&mut document, entry).with_context(|| case.to_owned())?;
            let name = document["name"].as_str().unwrap_or_default();
            document["name"] = Value::String(format!("{name}: {case}"));
            Ok(document)
        })
        .collect()
}

/// Puts the entry's values where `{each:NAME}` stands: any value where it is the whole text, a text in
/// the middle of one.
fn fill(value: &mut Value, entry: &Value) -> Result<()> {
    match value {
        Value::String(text) => {
            while let Some((before, rest)) = text.split_once("{each:") {
                let (name, after) = rest.split_once('}').context("no closing brace")?;
                let found = entry.get(name).with_context(|| format!("no `{name}`"))?;
                if before.is_empty() && after.is_empty() {
                    *value = found.clone();
                    return Ok(());
                }
                let found = found
                    .as_str()
                    .with_context(|| format!("`{name}` is no text"))?;
                *text = format!("{before}{found}{after}");
            }
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| fill(item, entry)),
        Value::Object(members) => members.values_mut().try_for_each(|m| fill(m, entry)),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// One document of a file.
///
/// # Errors
/// It is not in the format.
pub fn one(mut document: Value, mint: &Mint) -> Result<Scenario> {
    let name = document["name"]
        .as_str()
        .unwrap_or("a scenario without a name")
        .to_owned();
    let tokens = mint
        .all(&document["tokens"])
        .with_context(|| name.clone())?;
    expand(&mut document, &tokens).with_context(|| name.clone())?;
    // `token: NAME` is the name of one.
    for step in document["steps"].as_array_mut().into_iter().flatten() {
        if let Some(name) = step["request"]["token"].as_str() {
            let token = tokens
                .get(name)
                .with_context(|| format!("no token is named {name}"))?;
            step["request"]["token"] = Value::String(token.clone());
        }
    }
    serde_json::from_value(document).with_context(|| name)
}

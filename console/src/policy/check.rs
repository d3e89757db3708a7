//! Checking a file, with the filter's own compiler.

use std::path::Path;

use serde_json::Value;

use super::Problem;
use super::document::Document;
use super::lint;
use super::locate::policies;
use crate::failure::Failure;

/// Stands for every secret: where the file is checked is not where Envoy runs.
pub(super) const SECRET: &str = "set-where-envoy-runs";

/// What is wrong with the policies in `text`, in the order of the file; nothing if all compile.
pub fn problems(text: &str) -> Vec<Problem> {
    let mut problems = findings(text);
    problems.retain(|problem| !problem.warning);
    problems
}

/// What is wrong or misleading in the policies in `text`, in the order of the file.
pub fn findings(text: &str) -> Vec<Problem> {
    let mut problems: Vec<Problem> = match policies(text) {
        Ok(documents) => documents.iter().flat_map(compile).collect(),
        Err(problems) => problems,
    };
    problems.sort_by_key(|problem| problem.place);
    problems
}

/// The one call into the filter's compiler.
fn compile(document: &Document) -> Vec<Problem> {
    let secrets = |_: &str| Some(SECRET.to_owned());
    let problem = |path: String, message: String, warning: bool| Problem {
        place: document.place(&path),
        path,
        message,
        warning,
    };
    match countersign_core::config::compile(&document.value, &secrets) {
        Ok(policy) => lint::warnings(&document.value, &policy)
            .into_iter()
            .map(|(path, message)| problem(path, message, true))
            .collect(),
        Err(errors) => errors
            .into_iter()
            .map(|error| problem(error.path, error.message, false))
            .collect(),
    }
}

/// The one policy in the file at `path`, if it compiles.
pub fn compiled_file(path: &Path) -> Result<Value, Failure> {
    let text = read_file(path)?;
    let problems = problems(&text);
    if !problems.is_empty() {
        return Err(Failure::plain(report(path, &problems)));
    }
    let mut documents = policies(&text).unwrap_or_default();
    match (documents.pop(), documents.is_empty()) {
        (Some(document), true) => Ok(document.value),
        _ => Err(Failure::new(
            format!("{} holds more than one policy", path.display()),
            "Give a file with the one that the gateway is to run.",
        )),
    }
}

/// The file at `path` as text.
pub fn read_file(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::plain(format!("{} cannot be read: {error}", path.display())))
}

/// One line for each problem, in the form `file:line:column: path: message`.
pub fn report(path: &Path, problems: &[Problem]) -> String {
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| format!("{}:{problem}", path.display()))
        .collect();
    lines.join("\n")
}

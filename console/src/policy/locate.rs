//! Finding the policy in a file: the file itself, or the filter's configuration inside an Envoy
//! bootstrap, an `EnvoyFilter` or a `WasmPlugin`.

use saphyr::{MarkedYaml, YamlData};

use super::document::{Document, parse, place};
use super::{Place, Problem};

/// Every policy in the file, or every problem on the way to them.
pub fn policies(text: &str) -> Result<Vec<Document>, Vec<Problem>> {
    let nodes = parse(text).map_err(|problem| vec![problem])?;
    let nodes: Vec<&MarkedYaml<'_>> = nodes.iter().filter(|node| !is_null(node)).collect();
    let mut found = Vec::new();
    let mut problems = Vec::new();
    for node in &nodes {
        if is_envelope(node) {
            search(node, text, &mut found, &mut problems);
        } else {
            match Document::of(node) {
                Ok(document) => found.push(document),
                Err(mut more) => problems.append(&mut more),
            }
        }
    }
    if found.is_empty() && problems.is_empty() {
        problems.push(Problem {
            place: nodes.first().map_or(START, |node| place(&node.span.start)),
            path: String::new(),
            message: "there is no policy in this file: neither is it one, nor does a Wasm filter \
                      in it have a configuration with a `version`"
                .to_owned(),
            warning: false,
        });
    }
    if problems.is_empty() {
        Ok(found)
    } else {
        Err(problems)
    }
}

const START: Place = Place { line: 1, column: 1 };

fn is_null(node: &MarkedYaml<'_>) -> bool {
    node.data.is_null()
}

/// Whether the document is something else, with a policy inside if at all. A policy that lacks its
/// version is still one: its errors say so.
fn is_envelope(node: &MarkedYaml<'_>) -> bool {
    let any_of = |keys: &[&str]| {
        let mut keys = keys.iter();
        keys.any(|key| node.data.contains_mapping_key(key))
    };
    any_of(&["static_resources", "dynamic_resources", "apiVersion"])
        || !any_of(&[
            "version",
            "mode",
            "identity",
            "connections",
            "default",
            "rules",
            "audit",
        ])
}

/// Looks for configurations at any depth.
fn search(
    node: &MarkedYaml<'_>,
    text: &str,
    found: &mut Vec<Document>,
    problems: &mut Vec<Problem>,
) {
    match &node.data {
        YamlData::Sequence(items) => {
            for item in items {
                search(item, text, found, problems);
            }
        }
        YamlData::Mapping(entries) => {
            for (key, value) in entries {
                let candidate = match key.data.as_str() {
                    // Envoy: a StringValue or a Struct inside an Any.
                    Some("configuration") => value.data.as_mapping_get("value"),
                    // Istio's WasmPlugin.
                    Some("pluginConfig") => Some(value),
                    _ => None,
                };
                match candidate.and_then(|candidate| embedded(candidate, text)) {
                    Some(Ok(document)) => found.push(document),
                    Some(Err(mut more)) => problems.append(&mut more),
                    None => search(value, text, found, problems),
                }
            }
        }
        YamlData::Tagged(_, inner) => search(inner, text, found, problems),
        YamlData::Value(_)
        | YamlData::Representation(..)
        | YamlData::Alias(_)
        | YamlData::BadValue => {}
    }
}

/// The policy in a configuration value, if it is one: it has a `version`.
fn embedded(node: &MarkedYaml<'_>, text: &str) -> Option<Result<Document, Vec<Problem>>> {
    if node.data.contains_mapping_key("version") {
        return Some(Document::of(node));
    }
    let inner_text = node.data.as_str()?;
    let seen_from_file = from_file(node, text);
    let inner = match parse(inner_text) {
        Ok(inner) => inner,
        // Text that is no YAML is not a policy, unless it looks like an attempt at one.
        Err(problem) if inner_text.contains("version") => {
            return Some(Err(vec![Problem {
                place: seen_from_file(problem.place),
                ..problem
            }]));
        }
        Err(_) => return None,
    };
    let node = inner
        .first()
        .filter(|node| node.data.contains_mapping_key("version"))?;
    // Envoy hands the text on as it is, and the filter reads JSON.
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(inner_text) {
        let at = Place {
            line: error.line(),
            column: error.column().max(1),
        };
        return Some(Err(vec![Problem {
            place: seen_from_file(at),
            path: String::new(),
            message: format!("a configuration in a StringValue has to be JSON: {error}"),
            warning: false,
        }]));
    }
    let document = Document::of(node).map(|document| document.moved(&seen_from_file));
    Some(document.map_err(|problems| {
        problems
            .into_iter()
            .map(|problem| Problem {
                place: seen_from_file(problem.place),
                ..problem
            })
            .collect()
    }))
}

/// From a place in a scalar's text to the place in the file. In a block scalar (`|`) lines stay
/// lines; in any other, the scalar's beginning is as near as one can say.
fn from_file(node: &MarkedYaml<'_>, text: &str) -> impl Fn(Place) -> Place + use<> {
    let start = place(&node.span.start);
    let lines: Vec<&str> = text.lines().collect();
    let line = |number: usize| number.checked_sub(1).and_then(|index| lines.get(index));
    let rest_of = |at: Place| -> String {
        line(at.line)
            .map(|line| line.chars().skip(at.column.saturating_sub(1)).collect())
            .unwrap_or_default()
    };
    // The scalar may be reported at its `|` or at its first line of content.
    let header_ends = |line: &&str| {
        let before_comment = line.split(" #").next().unwrap_or_default().trim_end();
        before_comment
            .trim_end_matches(|c: char| c.is_ascii_digit() || c == '-' || c == '+')
            .ends_with('|')
    };
    let first = if rest_of(start).starts_with('|') {
        Some(start.line + 1)
    } else if line(start.line.saturating_sub(1)).is_some_and(header_ends) {
        Some(start.line)
    } else {
        None
    };
    let indent = first
        .and_then(|first| {
            lines
                .iter()
                .skip(first.saturating_sub(1))
                .find(|line| !line.trim().is_empty())
        })
        .map_or(0, |line| line.chars().take_while(|c| *c == ' ').count());
    move |inner: Place| match first {
        Some(first) => Place {
            line: first + inner.line - 1,
            column: indent + inner.column,
        },
        None => start,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str, path: &str) -> Vec<(usize, usize)> {
        policies(text)
            .unwrap()
            .iter()
            .map(|document| document.place(path))
            .map(|place| (place.line, place.column))
            .collect()
    }

    #[test]
    fn a_policy_is_its_own_file() {
        assert_eq!(
            places("# c\nversion: v1\nmode: enforce\n", "mode"),
            [(3, 1)]
        );
    }

    #[test]
    fn a_struct_in_a_bootstrap_is_found() {
        let text = "\
static_resources:
  listeners:
  - filter_chains:
    - filters:
      - typed_config:
          config:
            vm_config: { configuration: { \"@type\": type.googleapis.com/google.protobuf.StringValue, value: plain } }
            configuration:
              '@type': type.googleapis.com/google.protobuf.Struct
              value:
                version: v1
                mode: enforce
";
        assert_eq!(places(text, "mode"), [(12, 17)]);
    }

    #[test]
    fn json_in_a_block_of_text_keeps_its_lines() {
        let text = "\
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
spec:
  configuration:
    '@type': type.googleapis.com/google.protobuf.StringValue
    value: |
      {
        \"version\": \"v1\",
        \"mode\": \"enforce\"
      }
---
apiVersion: v1
kind: Other
";
        assert_eq!(places(text, "mode"), [(9, 9)]);
    }

    #[test]
    fn text_that_is_not_json_is_refused() {
        let text = "\
static_resources: {}
x:
  configuration:
    value: |
      version: v1
      mode: enforce
";
        let problems = policies(text).unwrap_err();
        assert_eq!(problems[0].place.line, 5);
        assert!(problems[0].message.contains("JSON"));
    }

    #[test]
    fn a_file_without_a_policy_is_an_error() {
        for other in [
            "static_resources: {}\n",
            "services: {}\n",
            "[1]\n",
            "text\n",
        ] {
            let problems = policies(other).unwrap_err();
            assert!(problems[0].message.contains("no policy"), "{other}");
        }
        assert!(policies("default: allow\nrules: []\n").is_ok());
        assert!(policies("").is_err());
    }
}

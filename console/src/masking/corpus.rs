//! A labelled corpus, made up: every built-in rule's examples in every kind of context, and text that only looks like a
//! secret. The same seed gives the same corpus.

use countersign_core::mask::samples::{self, Dice};
use serde::Deserialize;

use super::measure::Labelled;
use crate::failure::Failure;

/// How often each template of what is no secret is written out.
const NEGATIVES_EACH: u64 = 12;
/// In how many contexts each example stands.
const CONTEXTS_EACH: usize = 4;

#[derive(Deserialize)]
struct Source {
    tokens: Vec<String>,
    lines: Vec<String>,
    negatives: Vec<String>,
}

/// The corpus.
///
/// # Errors
/// The contexts that were built in can not be read.
pub fn lines(seed: u64) -> Result<Vec<Labelled>, Failure> {
    let source: Source =
        basic_toml::from_str(include_str!("../../../testdata/secrets/corpus.toml"))
            .map_err(|error| Failure::plain(format!("corpus.toml: {error}")))?;
    let mut dice = Dice::new(seed);
    let mut lines = Vec::new();
    for examples in samples::examples() {
        for template in examples.yes {
            // An example with blanks or an operator in it brings its key along.
            let is_token =
                !template.contains(' ') && !template.contains('=') && !template.contains("://");
            let contexts = if is_token {
                &source.tokens
            } else {
                &source.lines
            };
            let first = dice.below(contexts.len());
            for step in 0..CONTEXTS_EACH {
                let Some(context) = contexts.get((first + step * 7) % contexts.len()) else {
                    continue;
                };
                let (sample, secret) = samples::expand_marked(template, dice.below(1 << 30) as u64);
                // Diff hunks have the same mark.
                let Some((before, after)) = split_at_mark(context) else {
                    continue;
                };
                let start = before.chars().count()
                    + sample
                        .get(..secret.start)
                        .unwrap_or_default()
                        .chars()
                        .count();
                let length = sample.get(secret).unwrap_or_default().chars().count();
                let quoted = before.ends_with("\\\"") || before.ends_with("\\n");
                let text = format!("{before}{sample}{after}");
                // A text with line ends in it is none inside quotes of one line.
                if sample.contains('\n') && (quoted || before.ends_with(['"', '\''])) {
                    continue;
                }
                lines.push(Labelled {
                    text,
                    spans: vec![[start, start + length]],
                    kind: examples.rule.to_owned(),
                });
            }
        }
    }
    for template in &source.negatives {
        for _ in 0..NEGATIVES_EACH {
            lines.push(Labelled {
                text: samples::expand(template, dice.below(1 << 30) as u64),
                spans: Vec::new(),
                kind: String::new(),
            });
        }
    }
    Ok(lines)
}

/// What stands before and behind the `@` that stands alone.
fn split_at_mark(context: &str) -> Option<(&str, &str)> {
    let mark = context.match_indices('@').find(|(at, _)| {
        let doubled = |other: Option<char>| other == Some('@');
        !doubled(context.get(at + 1..).and_then(|rest| rest.chars().next()))
            && !doubled(context.get(..*at).and_then(|rest| rest.chars().last()))
    })?;
    Some((context.get(..mark.0)?, context.get(mark.0 + 1..)?))
}

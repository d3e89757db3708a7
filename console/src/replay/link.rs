//! Which action followed from which answer: a model's tool call, and the MCP call, write or push of
//! the same session that carried it out.
//!
//! *Exact* is a call of the same tool with the same arguments, and a result that names its call.
//! *Likely* is what happened between a tool call and its result, or soon after it with words of it.
//! Every action has at most one cause; the cost is calls times steps of what is loaded.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::conversation::ToolCall;
use super::timeline::{Step, What};
use crate::clock::Millis;

/// An action is looked for this long after a call whose result was never seen.
const SOON: Millis = 10 * 60 * 1000;

/// From a tool call in an answer to what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The step with the answer.
    pub from: usize,
    /// The tool call in it.
    pub call: usize,
    /// The step that followed from it.
    pub to: usize,
    /// Whether there is no doubt.
    pub certainty: Certainty,
    /// What speaks for it.
    pub why: String,
}

/// How sure a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// Names and arguments, or ids, are the same.
    Exact,
    /// Time, session and words fit.
    Likely,
}

struct Cause<'a> {
    step: usize,
    index: usize,
    call: &'a ToolCall,
    arguments: Option<Value>,
    at: Millis,
    /// When its result was first told to the model.
    result: Option<(usize, Millis)>,
}

/// Finds the links among steps that are in the order of time.
pub fn links(steps: &[Step]) -> Vec<Link> {
    let causes = causes(steps);
    let mut links = Vec::new();
    for cause in &causes {
        if let Some((to, _)) = cause.result {
            links.push(cause.link(to, Certainty::Exact, "the result that names this call"));
        }
    }
    let mut used: Vec<usize> = Vec::new();
    for (to, step) in steps.iter().enumerate() {
        let earlier: Vec<&Cause> = causes.iter().filter(|c| c.at <= step.at).collect();
        let found = match &step.what {
            What::Tool { call, .. } => call.tool.as_deref().and_then(|tool| {
                let named = || earlier.iter().rev().filter(|c| is_tool(&c.call.name, tool));
                let same = |c: &&&Cause| c.arguments.as_ref() == Some(&call.arguments);
                // The oldest of equal calls that nothing has followed from yet.
                let exact = named().rfind(|c| same(c) && !used.contains(&c.place()));
                match exact {
                    Some(cause) => {
                        used.push(cause.place());
                        Some(cause.link(to, Certainty::Exact, "same tool, same arguments"))
                    }
                    None => named()
                        .find(|c| c.is_open_at(step.at))
                        .map(|c| c.link(to, Certainty::Likely, "same tool, other arguments")),
                }
            }),
            What::Push { .. } | What::Change(_) | What::Call { write: true, .. } => {
                likely(&earlier, step).map(|(cause, why)| cause.link(to, Certainty::Likely, &why))
            }
            _ => None,
        };
        links.extend(found);
    }
    links.sort_by_key(|link| (link.from, link.call, link.to));
    links
}

fn causes(steps: &[Step]) -> Vec<Cause<'_>> {
    let mut causes = Vec::new();
    for (step, told) in steps.iter().enumerate() {
        let What::Answer(answer) = &told.what else {
            continue;
        };
        for (index, call) in answer.calls.iter().enumerate() {
            let offset = call.at_ms.and_then(|ms| i64::try_from(ms).ok());
            let result = steps.iter().enumerate().skip(step).find(|(_, later)| {
                matches!(&later.what, What::Prompt { messages, .. }
                    if !call.id.is_empty() && messages.iter().any(|m| m.answers.as_ref() == Some(&call.id)))
            });
            causes.push(Cause {
                step,
                index,
                call,
                arguments: serde_json::from_str(&call.arguments).ok(),
                at: offset.map_or(told.until, |ms| told.began + ms),
                result: result.map(|(to, later)| (to, later.at)),
            });
        }
    }
    causes
}

impl Cause<'_> {
    fn place(&self) -> usize {
        self.step * 1000 + self.index
    }

    fn is_open_at(&self, at: Millis) -> bool {
        match self.result {
            Some((_, told)) => at <= told,
            None => at <= self.at + SOON,
        }
    }

    fn link(&self, to: usize, certainty: Certainty, why: &str) -> Link {
        Link {
            from: self.step,
            call: self.index,
            to,
            certainty,
            why: why.to_owned(),
        }
    }
}

/// `github-mcp-server-push_files` calls `push_files`.
fn is_tool(name: &str, tool: &str) -> bool {
    match name.strip_suffix(tool) {
        Some(before) => {
            !tool.is_empty() && (before.is_empty() || before.ends_with(['-', '_', '.', '/', ':']))
        }
        None => false,
    }
}

/// The newest open call whose arguments mention what the step is about; without one, the only open
/// call whose result is known to have come later.
fn likely<'a, 'b>(earlier: &'b [&'a Cause<'a>], step: &Step) -> Option<(&'b Cause<'a>, String)> {
    let open: Vec<&&Cause> = earlier.iter().filter(|c| c.is_open_at(step.at)).collect();
    let words = words(step);
    for cause in open.iter().rev() {
        let arguments = cause.call.arguments.to_lowercase();
        if let Some(word) = words.iter().find(|word| arguments.contains(word.as_str())) {
            let when = if cause.result.is_some() {
                "before its result"
            } else {
                "soon after it"
            };
            return Some((cause, format!("{when}, and it mentions {word}")));
        }
    }
    match open.as_slice() {
        [only] if only.result.is_some() => {
            Some((only, "between the call and its result".to_owned()))
        }
        _ => None,
    }
}

/// What a step is about, most telling first, in lower case.
fn words(step: &Step) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut repo = |repo: &str| {
        words.push(repo.to_lowercase());
        words.extend(repo.rsplit('/').next().map(str::to_lowercase));
    };
    match &step.what {
        What::Push {
            repo: name, refs, ..
        } => {
            repo(name);
            for change in refs {
                let short = change.name.splitn(3, '/').nth(2).unwrap_or(&change.name);
                words.push(short.to_lowercase());
            }
            words.push("git push".to_owned());
        }
        What::Change(changes) => {
            for file in &changes.files {
                file.repo.as_deref().into_iter().for_each(&mut repo);
            }
            words.extend(changes.files.iter().map(|file| file.path.to_lowercase()));
        }
        What::Call { url, .. } => {
            if let Some((_, path)) = url.split_once("/repos/") {
                let mut parts = path.split(['/', '?']);
                if let (Some(owner), Some(name)) = (parts.next(), parts.next()) {
                    repo(&format!("{owner}/{name}"));
                }
            }
        }
        _ => {}
    }
    words.retain(|word| word.len() > 2);
    words
}

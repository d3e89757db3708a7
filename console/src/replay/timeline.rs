//! The steps of a session: every exchange taken apart into what was asked, held, released, refused,
//! answered and done, in the order of time.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::answer;
use super::change::{self, Changes, Seen};
use super::conversation::{Answer, Message, prompt};
use super::exchange::{Body, Exchange, Side};
use super::link::{self, Link};
use super::tool::{self, Call};
use crate::clock::Millis;

/// A session, or as much of it as was asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Timeline {
    /// When the first step begins.
    #[serde(rename = "started_at_ms")]
    pub started: Millis,
    /// When the last one ends.
    #[serde(rename = "ended_at_ms")]
    pub ended: Millis,
    /// Who took part.
    pub users: Vec<String>,
    /// What happened.
    pub steps: Vec<Step>,
    /// Which answer led to which action.
    pub links: Vec<Link>,
}

/// One step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    /// When it begins.
    #[serde(rename = "at_ms")]
    pub at: Millis,
    /// When it ends.
    #[serde(rename = "until_ms")]
    pub until: Millis,
    /// The exchange it belongs to.
    pub exchange: String,
    /// When that exchange began: offsets in an answer count from here.
    #[serde(rename = "began_at_ms")]
    pub began: Millis,
    /// Who called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// In a few words.
    pub title: String,
    /// The decision on the exchange.
    pub decision: String,
    /// The status that the caller got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<i64>,
    /// Secrets that were masked.
    pub masked: i64,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
    /// What was not captured, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// What a step is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum What {
    /// Somebody asks a model.
    Prompt {
        /// The model that is asked.
        model: Option<String>,
        /// Messages that were not in the prompt before.
        messages: Vec<Message>,
        /// How many were.
        earlier: usize,
        /// Whether the end of the prompt was not captured.
        cut: bool,
    },
    /// The model answers.
    Answer(Answer),
    /// A tool of an MCP server is called.
    Tool {
        /// The call and its result.
        call: Call,
        /// What it changes in files.
        #[serde(skip_serializing_if = "Option::is_none")]
        changes: Option<Changes>,
    },
    /// References are pushed.
    Push {
        /// The repository.
        repo: String,
        /// References.
        refs: Vec<RefChange>,
        /// Files that the pack changes, where they are known.
        files: Vec<String>,
        /// Whether those are all.
        files_known: bool,
    },
    /// Files are written over an API.
    Change(Changes),
    /// Any other request.
    Call {
        /// Its method.
        method: String,
        /// Its address.
        url: String,
        /// Whether it changes something.
        write: bool,
    },
    /// The request waits for a person.
    Held {
        /// The question.
        approval: String,
        /// The rule that asks.
        rule: Option<String>,
    },
    /// A person answered, or nobody did.
    Released {
        /// The question.
        approval: String,
        /// `approved`, `refused` or `expired`.
        state: String,
        /// Who.
        by: Option<String>,
        /// Why.
        why: Option<String>,
    },
    /// The request is refused.
    Denied {
        /// The named reason.
        reason: Option<String>,
        /// The rule.
        rule: Option<String>,
        /// In the rule's words.
        detail: Option<String>,
    },
}

/// A reference that moves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RefChange {
    /// Its full name.
    pub name: String,
    /// `create`, `update` or `delete`.
    pub change: String,
    /// From.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// To.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
    /// Whether history may be rewritten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub force: Option<String>,
}

/// What the console knows of a question.
#[derive(Clone, Debug, Default)]
pub struct Ruling {
    /// When it was asked.
    pub asked_at: Millis,
    /// When it was answered.
    pub decided_at: Option<Millis>,
    /// Who answered.
    pub by: Option<String>,
    /// Why.
    pub why: Option<String>,
    /// Whether the answer was no.
    pub refused: bool,
}

/// Puts a session together from its exchanges, in the order in which they began.
pub fn timeline(exchanges: &[Exchange], rulings: &HashMap<String, Ruling>) -> Timeline {
    let mut building = Building {
        rulings,
        steps: Vec::new(),
        seen: Seen::default(),
        prompts: Vec::new(),
    };
    for exchange in exchanges {
        building.add(exchange);
    }
    let mut steps = building.steps;
    steps.sort_by_key(|step| step.at);
    let users: BTreeSet<String> = steps.iter().filter_map(|step| step.user.clone()).collect();
    Timeline {
        started: steps.first().map_or(0, |step| step.at),
        ended: steps.iter().map(|step| step.until).max().unwrap_or(0),
        users: users.into_iter().collect(),
        links: link::links(&steps),
        steps,
    }
}

struct Building<'a> {
    rulings: &'a HashMap<String, Ruling>,
    steps: Vec<Step>,
    seen: Seen,
    /// The prompts of the session so far, to tell what is new in the next one.
    prompts: Vec<Vec<Message>>,
}

/// Conversations of one session that are told apart.
const CONVERSATIONS: usize = 16;

impl Building<'_> {
    fn add(&mut self, exchange: &Exchange) {
        let end = exchange.ended.unwrap_or(exchange.at).max(exchange.at);
        let base = Step {
            at: exchange.at,
            until: exchange.at,
            exchange: exchange.id.clone(),
            began: exchange.at,
            user: exchange.user().map(str::to_owned),
            title: title(exchange),
            decision: exchange.decision().to_owned(),
            status: exchange.number("http.response.status_code"),
            masked: exchange
                .list("countersign.masks")
                .filter_map(|mask| mask.get("count")?.as_i64())
                .sum(),
            what: What::Call {
                method: owned(exchange, "http.request.method").unwrap_or_default(),
                url: owned(exchange, "url.full").unwrap_or_default(),
                write: exchange.operations().any(|operation| operation.is_write()),
            },
            missing: missing(exchange),
        };
        let request = exchange.body(Side::Request);
        let response = exchange.body(Side::Response);
        self.request(exchange, &request, &response, end, &base);
        self.ruling(exchange, end, &base);
        if let Body::Kept { bytes, cut } = &response
            && is_chat(exchange)
            && let Some(answer) = answer(bytes, *cut, &exchange.chunks())
        {
            let offsets = || answer.pieces.iter().filter_map(|piece| piece.at_ms);
            let calls = answer.calls.iter().filter_map(|call| call.at_ms);
            let moment = |offset: u64| exchange.at + i64::try_from(offset).unwrap_or(0);
            let first = offsets().chain(calls.clone()).min().map(moment);
            let last = offsets().chain(calls).max().map(moment);
            self.steps.push(Step {
                at: first.unwrap_or(end),
                until: last.unwrap_or(end),
                what: What::Answer(answer),
                missing: Vec::new(),
                ..base
            });
        }
    }

    /// What is asked for.
    fn request(
        &mut self,
        exchange: &Exchange,
        request: &Body,
        response: &Body,
        end: Millis,
        base: &Step,
    ) {
        let mut push = |what: What| {
            self.steps.push(Step {
                what,
                ..base.clone()
            });
        };
        if let Some(what) = pushed(exchange) {
            return push(what);
        }
        let Body::Kept { bytes, cut } = request else {
            if let Body::Kept { bytes, .. } = response
                && let Ok(answer) = serde_json::from_slice::<Value>(bytes)
            {
                self.seen.note_answer(&answer, None);
            }
            return push(base.what.clone());
        };
        if is_chat(exchange)
            && let Some(prompt) = prompt(bytes, *cut)
        {
            let earlier = self
                .prompts
                .iter()
                .map(|before| common(before, &prompt.messages))
                .max()
                .unwrap_or(0);
            let what = What::Prompt {
                model: owned(exchange, "gen_ai.request.model"),
                messages: prompt.messages.get(earlier..).unwrap_or_default().to_vec(),
                earlier,
                cut: prompt.cut,
            };
            self.steps.push(Step {
                what,
                ..base.clone()
            });
            self.prompts
                .retain(|before| common(before, &prompt.messages) < before.len());
            if self.prompts.len() >= CONVERSATIONS {
                self.prompts.remove(0);
            }
            self.prompts.push(prompt.messages);
            return;
        }
        let mut calls = tool::calls(bytes, *cut);
        if !calls.is_empty() {
            if let Body::Kept { bytes, cut } = response {
                tool::add_results(&mut calls, bytes, *cut, &exchange.chunks());
            }
            for call in calls {
                let changes = call.tool.as_deref().and_then(|tool| {
                    let mut changes = change::of_tool(tool, &call.arguments)?;
                    self.seen.compare(&mut changes);
                    Some(changes)
                });
                let answered = call.result.as_ref().map(|result| {
                    let offset = result.at_ms.and_then(|ms| i64::try_from(ms).ok());
                    offset.map_or(end, |ms| exchange.at + ms)
                });
                self.steps.push(Step {
                    until: answered.unwrap_or(base.at),
                    what: What::Tool { call, changes },
                    ..base.clone()
                });
            }
            return;
        }
        let document: Option<Value> = serde_json::from_slice(bytes).ok();
        let method = exchange.text("http.request.method").unwrap_or_default();
        let changes = document.and_then(|document| {
            change::of_rest(method, exchange.path(), &document)
                .or_else(|| change::of_graphql(&document))
        });
        match changes {
            Some(mut changes) => {
                self.seen.compare(&mut changes);
                if let Body::Kept { bytes, .. } = response
                    && let Ok(answer) = serde_json::from_slice::<Value>(bytes)
                {
                    self.seen.note_answer(&answer, Some(&changes));
                }
                self.steps.push(Step {
                    what: What::Change(changes),
                    ..base.clone()
                });
            }
            None => self.steps.push(base.clone()),
        }
    }

    /// Holds, their answers, and denials.
    fn ruling(&mut self, exchange: &Exchange, end: Millis, base: &Step) {
        let decision = exchange.decision();
        let mut push = |at: Millis, what: What| {
            self.steps.push(Step {
                at,
                until: at,
                what,
                missing: Vec::new(),
                ..base.clone()
            });
        };
        let rule = owned(exchange, "countersign.rule");
        let held = decision.starts_with("held");
        if let Some(approval) = owned(exchange, "countersign.approval.id").filter(|_| held) {
            let known = self.rulings.get(&approval);
            // A retry comes after its question was asked, and often after it was answered.
            let asked = known.map_or(exchange.at, |r| r.asked_at).max(exchange.at);
            push(
                asked,
                What::Held {
                    approval: approval.clone(),
                    rule: rule.clone(),
                },
            );
            let state = match decision {
                "held_approved" => Some("approved"),
                "held_refused" => Some("refused"),
                "held_expired" => Some("expired"),
                _ => None,
            };
            if let Some(state) = state {
                let answered = known.filter(|r| state != "expired" && r.decided_at.is_some());
                let by = owned(exchange, "countersign.approval.by");
                push(
                    answered
                        .and_then(|r| r.decided_at)
                        .unwrap_or(end)
                        .clamp(asked, end.max(asked)),
                    What::Released {
                        approval,
                        state: state.to_owned(),
                        by: by.or_else(|| answered.and_then(|r| r.by.clone())),
                        why: answered.and_then(|r| r.why.clone()),
                    },
                );
            }
        }
        if matches!(
            decision,
            "denied" | "undecided_denied" | "held_refused" | "held_expired"
        ) {
            push(
                end,
                What::Denied {
                    reason: owned(exchange, "countersign.reason"),
                    rule,
                    detail: owned(exchange, "countersign.reason.detail"),
                },
            );
        }
    }
}

/// A push, which its path and its operations tell.
fn pushed(exchange: &Exchange) -> Option<What> {
    let is_push = exchange.path().ends_with("/git-receive-pack")
        && exchange.text("http.request.method") == Some("POST");
    if !is_push {
        return None;
    }
    let mut refs = Vec::new();
    let mut files = BTreeSet::new();
    let mut files_known = true;
    let mut repo = String::new();
    for operation in exchange.operations() {
        let Some(name) = operation.text("ref") else {
            continue;
        };
        let attribute = |key: &str| operation.attribute(key).map(str::to_owned);
        refs.push(RefChange {
            name: name.to_owned(),
            change: attribute("change").unwrap_or_default(),
            old: attribute("old"),
            new: attribute("new"),
            force: attribute("force"),
        });
        let (paths, all) = operation.paths();
        files.extend(paths.into_iter().map(str::to_owned));
        files_known &= all;
        if let Some(name) = operation.text("repo") {
            repo = name.to_owned();
        }
    }
    let files = files.into_iter().collect();
    (!refs.is_empty()).then_some(What::Push {
        repo,
        refs,
        files,
        files_known,
    })
}

fn is_chat(exchange: &Exchange) -> bool {
    exchange
        .operations()
        .any(|operation| operation.name() == "chat.completion")
}

/// How many messages two prompts begin with in common.
fn common(before: &[Message], after: &[Message]) -> usize {
    before.iter().zip(after).take_while(|(b, a)| b == a).count()
}

fn title(exchange: &Exchange) -> String {
    let words: Vec<String> = exchange
        .operations()
        .take(3)
        .map(|operation| {
            ["name", "repo", "ref"]
                .into_iter()
                .filter_map(|key| operation.text(key))
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    if words.is_empty() {
        let method = exchange.text("http.request.method").unwrap_or_default();
        return format!("{method} {}", exchange.path()).trim().to_owned();
    }
    words.join("; ")
}

/// What was not captured, in words.
fn missing(exchange: &Exchange) -> Vec<String> {
    let mut missing: Vec<String> = Vec::new();
    if !exchange.has_request() && exchange.decision() != "denied" {
        missing.push("the request record".to_owned());
    }
    if !exchange.has_outcome() {
        missing.push("the outcome: still going on, or never reported".to_owned());
    }
    for why in exchange.not_captured() {
        missing.push(match why.split_once(':') {
            Some((what, why)) => format!("{}: {}", what.replace('_', " "), why.trim()),
            None => why.replace('_', " "),
        });
    }
    for (side, name) in [(Side::Request, "request"), (Side::Response, "response")] {
        match exchange.body(side) {
            Body::Kept { cut: true, .. } => {
                missing.push(format!(
                    "the end of the {name} body: over the capture limit"
                ));
            }
            Body::Missing(why) if why == "the policy keeps none" => {
                missing.push(format!("the {name} body: {why}"));
            }
            _ => {}
        }
    }
    match exchange.text("countersign.end") {
        Some("cut") => missing.push("the end of the answer: it was cut off".to_owned()),
        Some("client_gone") => missing.push("the rest: the client went away".to_owned()),
        _ => {}
    }
    missing
}

fn owned(exchange: &Exchange, key: &str) -> Option<String> {
    exchange.text(key).map(str::to_owned)
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;

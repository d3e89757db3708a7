//! A request that waits, as a reviewer needs it: who, what, what it changes, who has to agree, and how
//! long there is left.

use serde_json::Value;

use super::text::{capital, shown, shown_line, size};
use crate::approvals::question::{Operation, Question};
use crate::approvals::{Approval, Authority, State};
use crate::clock::{Millis, in_words};
use crate::replay::change::{self, Changes};
use crate::replay::shown::{Block, changed};
use crate::replay::tool;
use crate::secret::hash_token;

/// The most letters of a body that the list shows; the request's own page shows all.
const PREVIEW: usize = 2000;

/// A request that waits.
pub(super) struct Card {
    pub id: String,
    /// Changes whenever the card would look different.
    pub version: String,
    pub summary: String,
    pub who: String,
    pub email: Option<String>,
    pub groups: String,
    pub rule: String,
    pub reason: Option<String>,
    pub policy: Option<String>,
    pub request_line: String,
    pub operations: Vec<String>,
    pub changes: Vec<Block>,
    pub body: Option<Body>,
    /// The answer that waits to be delivered.
    pub answer: Option<Body>,
    pub waiting: bool,
    /// How often the same bytes came again.
    pub came_again: usize,
    pub hold_until: Millis,
    pub hold_left: String,
    pub expires_at: Millis,
    pub expires_left: String,
    pub progress: Vec<Line>,
    /// Whose place the viewer would take.
    pub instead_of: Option<String>,
    pub objection: Option<String>,
    /// How long a reason has to be for letting it through alone, where the viewer may.
    pub glass: Option<usize>,
}

/// One demand and how far it is met.
pub(super) struct Line {
    pub met: bool,
    pub text: String,
}

pub(super) struct Body {
    pub note: String,
    pub text: String,
}

/// Requests of one identity that do the same, under the same rule.
pub(super) struct Group {
    pub id: String,
    pub version: String,
    pub first: Card,
    pub more: Vec<Card>,
}

impl Group {
    /// Whether the viewer can refuse all of them.
    pub fn decidable(&self) -> bool {
        let mut all = std::iter::once(&self.first).chain(&self.more);
        all.all(|card| card.objection.is_none())
    }

    /// The ids of all.
    pub fn ids(&self) -> String {
        let all = std::iter::once(&self.first).chain(&self.more);
        all.map(|card| card.id.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// Puts together what is alike. The newest of each comes first.
pub(super) fn grouped(approvals: &[Approval], viewer: &Authority, now: Millis) -> Vec<Group> {
    let mut groups: Vec<(String, Vec<Card>)> = Vec::new();
    for approval in approvals {
        let question = &approval.question;
        let key = serde_json::json!([
            question.identity.provider,
            question.identity.subject,
            question.rule,
            question.in_words(),
        ]);
        let id = hash_token("group", &key.to_string());
        let card = Card::new(approval, viewer, now, true);
        match groups.iter_mut().find(|(known, _)| *known == id) {
            Some((_, cards)) => cards.push(card),
            None => groups.push((id, vec![card])),
        }
    }
    let group = |(id, cards): (String, Vec<Card>)| {
        let version: Vec<&str> = cards.iter().map(|card| card.version.as_str()).collect();
        let version = hash_token("version", &version.join(" "));
        let mut cards = cards.into_iter();
        let first = cards.next()?;
        Some(Group {
            id: id.chars().take(16).collect(),
            version: version.chars().take(16).collect(),
            first,
            more: cards.collect(),
        })
    };
    groups.into_iter().filter_map(group).collect()
}

impl Card {
    pub fn new(approval: &Approval, viewer: &Authority, now: Millis, preview: bool) -> Self {
        let question = &approval.question;
        let request = &question.request;
        let mine = |vote: &crate::approvals::Vote| vote.who == viewer.person.name;
        let objection = if approval.votes.iter().any(mine) {
            Some("You have approved this; others have to as well.".to_owned())
        } else {
            viewer
                .objection(question, State::Pending, false)
                .map(|refused| format!("{}.", capital(&refused.to_string())))
        };
        let counts = viewer.counts(question);
        let own = counts.iter().any(|count| count.instead_of.is_none());
        let instead_of = counts
            .iter()
            .find_map(|count| count.instead_of.as_deref())
            .filter(|_| !own)
            .map(shown_line);
        let glass = match viewer.objection(question, State::Pending, true) {
            None => viewer.glass(question).map(|glass| glass.min_reason),
            Some(_) => None,
        };
        let progress: Vec<Line> = approval.progress().iter().map(line).collect();
        Self {
            id: approval.id.clone(),
            version: format!(
                "{}-{}-{}-{}-{}",
                approval.id,
                approval.waiting,
                approval.hold_until,
                approval.votes.len(),
                approval.came_again
            ),
            summary: capital(&shown_line(&question.in_words())),
            who: shown_line(&question.identity.subject),
            email: question.identity.email.as_deref().map(shown_line),
            groups: shown_line(&question.identity.groups.join(", ")),
            rule: shown_line(question.rule.as_deref().unwrap_or("(no rule named)")),
            reason: question.reason.as_deref().map(shown_line),
            policy: question.policy.as_deref().map(|p| shown_line(&short(p))),
            request_line: shown_line(&format!(
                "{} {}{}",
                request.method, request.authority, request.path
            )),
            operations: question.operations.iter().map(operation).collect(),
            changes: match changes_of(question) {
                Some(changes) => change_blocks(&changes),
                None => Vec::new(),
            },
            body: body(question, preview.then_some(PREVIEW)),
            answer: answer(question, preview.then_some(PREVIEW)),
            waiting: approval.waiting,
            came_again: approval.came_again,
            hold_until: approval.hold_until,
            hold_left: in_words(approval.hold_until - now),
            expires_at: approval.expires_at,
            expires_left: in_words(approval.expires_at - now),
            progress,
            instead_of,
            objection,
            glass,
        }
    }
}

fn short(digest: &str) -> String {
    digest.chars().take(12).collect()
}

fn line(progress: &crate::approvals::demand::Progress) -> Line {
    let ways: Vec<String> = progress
        .ways
        .iter()
        .map(|way| {
            let given = match way.given.is_empty() {
                true => String::new(),
                false => format!(" ({})", way.given.join(", ")),
            };
            format!(
                "{} of {} from {}{given}",
                way.given.len(),
                way.min,
                way.reviewers
            )
        })
        .collect();
    let ways = match ways.is_empty() {
        true => "nobody can: no reviewers are named".to_owned(),
        false => ways.join(", or "),
    };
    let rule = progress.rule.as_deref().unwrap_or("default");
    Line {
        met: progress.met,
        text: shown_line(&format!("{rule}: {ways}")),
    }
}

/// What the request changes in files, as far as it tells.
pub(crate) fn changes_of(question: &Question) -> Option<Changes> {
    let request = &question.request;
    let text = request.body.as_deref()?;
    if request.body_encoding.as_deref() == Some("base64") {
        return None;
    }
    let found = match serde_json::from_str::<Value>(text) {
        Ok(body) if body.get("jsonrpc").is_some() => {
            let calls = tool::calls(text.as_bytes(), request.body_truncated);
            calls
                .iter()
                .find_map(|call| change::of_tool(call.tool.as_deref()?, &call.arguments))
        }
        Ok(body) => {
            let path = request.path.split(['?', '#']).next().unwrap_or_default();
            change::of_graphql(&body).or_else(|| change::of_rest(&request.method, path, &body))
        }
        Err(_) => None,
    };
    found.filter(|changes| !changes.files.is_empty())
}

/// The changes in words and lines.
pub(crate) fn change_blocks(changes: &Changes) -> Vec<Block> {
    let mut blocks = Vec::new();
    changed(changes, &mut blocks);
    blocks
}

fn operation(operation: &Operation) -> String {
    let mut words = vec![operation.name.clone()];
    words.extend(operation.repo.clone());
    words.extend(operation.reference.clone());
    if !operation.paths.is_empty() {
        words.push(operation.paths.join(", "));
    } else if !operation.paths_known && operation.reference.is_some() {
        words.push("(files not known)".to_owned());
    }
    for (name, value) in &operation.attributes {
        match value {
            Value::String(text) => words.push(format!("{name}={text}")),
            other => words.push(format!("{name}={other}")),
        }
    }
    shown_line(&words.join("  "))
}

fn body(question: &Question, preview: Option<usize>) -> Option<Body> {
    let request = &question.request;
    captured(
        request.body.as_deref()?,
        request.content_type.as_deref(),
        request.body_size,
        request.body_encoding.as_deref() == Some("base64"),
        request.body_truncated,
        preview,
    )
}

fn answer(question: &Question, preview: Option<usize>) -> Option<Body> {
    let answer = question.answer.as_ref()?;
    captured(
        answer.body.as_deref()?,
        answer.content_type.as_deref(),
        answer.body_size,
        answer.body_encoding.as_deref() == Some("base64"),
        answer.body_truncated,
        preview,
    )
}

fn captured(
    text: &str,
    content_type: Option<&str>,
    bytes: Option<u64>,
    base64: bool,
    cut: bool,
    preview: Option<usize>,
) -> Option<Body> {
    if text.is_empty() {
        return None;
    }
    let mut notes = Vec::new();
    notes.extend(content_type.map(shown_line));
    notes.extend(bytes.map(|bytes| size(i64::try_from(bytes).unwrap_or(i64::MAX))));
    if base64 {
        notes.push("not text, shown as base64".to_owned());
    }
    if cut {
        notes.push("cut off by the gateway".to_owned());
    }
    let mut text = shown(text);
    if let Some((end, _)) = preview.and_then(|letters| text.char_indices().nth(letters)) {
        text.truncate(end);
        text.push_str("\n…");
        notes.push("beginning only, all of it on the request's page".to_owned());
    }
    Some(Body {
        note: notes.join(", "),
        text,
    })
}

//! What is told: who wants what, under which rule, until when, and where to answer. Never a body, a
//! query string or a secret.

use countersign_core::mask::{Format, MaskConfig, MaskSet, mask_whole};
use serde_json::{Value, json};

use crate::approvals::{Approval, words};
use crate::clock::rfc3339;
use crate::web::text::shown_line;

/// Letters of one line that are told at most.
const LONGEST: usize = 300;

/// A notice in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The notice, the same in every attempt.
    pub id: String,
    /// The approval.
    pub approval: String,
    /// What happened: `asked`, `approved`, `refused`, `broke_glass`, `expired`.
    pub step: String,
    /// When, in RFC 3339.
    pub at: String,
    /// In one line.
    pub title: String,
    /// Names and values.
    pub facts: Vec<(&'static str, String)>,
    /// Where to read all of it, and to answer.
    pub link: String,
}

impl Message {
    /// The notice `id` of a step of `approval`.
    pub fn new(id: &str, approval: &Approval, step: &str, at: i64, link: String) -> Self {
        let question = &approval.question;
        let what = match question.operations.is_empty() {
            // Without its query: tokens travel in those.
            true => {
                let path = question.request.path.split(['?', '#']).next();
                format!(
                    "{} {}{}",
                    question.request.method,
                    question.request.authority,
                    path.unwrap_or_default()
                )
            }
            false => words::phrase(&question.operations),
        };
        let who = &question.identity.subject;
        let by = approval.decided_by.as_deref().unwrap_or("nobody");
        let title = match step {
            "asked" => format!("{who} wants to {what}"),
            "approved" => format!("Approved: {who} may {what}"),
            "refused" => format!("Refused by {by}: {who} wanted to {what}"),
            "broke_glass" => format!("Let through by {by} alone: {who}, {what}"),
            _ => format!("Nobody decided: {who} wanted to {what}"),
        };
        let mut facts = vec![("Who", who.clone())];
        facts.extend(question.rule.clone().map(|rule| ("Rule", rule)));
        facts.push(("Connection", question.connection.clone()));
        match step {
            "asked" => {
                facts.push(("Reviewers", question.reviewers_in_words()));
                facts.push(("Answer until", rfc3339(approval.expires_at)));
            }
            _ => {
                facts.extend(approval.decided_by.clone().map(|by| ("By", by)));
                facts.extend(approval.decided_why.clone().map(|why| ("Reason", why)));
            }
        }
        Self {
            id: id.to_owned(),
            approval: approval.id.clone(),
            step: step.to_owned(),
            at: rfc3339(at),
            title: clean(&title),
            facts: facts
                .into_iter()
                .map(|(name, text)| (name, clean(&text)))
                .collect(),
            link,
        }
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let facts: serde_json::Map<String, Value> = self
            .facts
            .iter()
            .map(|(name, text)| (name.to_lowercase().replace(' ', "_"), text.clone().into()))
            .collect();
        json!({
            "type": format!("approval.{}", self.step),
            "timestamp": self.at,
            "data": {"approval": self.approval, "title": self.title, "facts": facts, "url": self.link},
        })
    }

    /// As plain text.
    pub fn to_text(&self) -> String {
        let mut text = format!("{}\n\n", self.title);
        for (name, fact) in &self.facts {
            text.push_str(&format!("{name}: {fact}\n"));
        }
        text.push_str(&format!("\n{}\n", self.link));
        text
    }
}

/// One line without control characters, masked, and not too long.
fn clean(text: &str) -> String {
    let line = shown_line(text);
    let masked = masked(line);
    match masked.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", masked.get(..end).unwrap_or_default()),
        None => masked,
    }
}

/// What the filter masks in bodies is masked here as well: names of branches and files are the agent's.
fn masked(line: String) -> String {
    let config = MaskConfig {
        rules: vec!["default".to_owned()],
        ..MaskConfig::default()
    };
    let Ok(set) = MaskSet::compile(&config) else {
        return "(not shown: the masking rules do not compile)".to_owned();
    };
    let masked = mask_whole(&std::rc::Rc::new(set), None, Format::Text, line.as_bytes());
    String::from_utf8_lossy(&masked.body).into_owned()
}

//! Steps as people read them: one form for the page, the terminal and the report.
//!
//! Everything that came from agents and upstreams is neutralised here: control characters, and
//! characters that hide or turn text, are spelled out. Templates escape markup on top of that.

use super::change::{Changes, Content};
use super::conversation::{Answer, Message, PieceKind, ToolCall};
use super::link::{Certainty, Link};
use super::timeline::{RefChange, Step, Timeline, What};
use crate::clock::{Millis, as_clock, rfc3339};
use crate::web::text::{decision, shown, shown_line, tone};

/// Characters of one text that are shown; the exchange has all of it.
const LONGEST: usize = 20_000;
/// Characters from which on a text is folded.
const FOLDED: usize = 1_500;
/// Pieces of one answer that are told apart; a longer one is shown in coarser pieces.
const PIECES: usize = 400;

/// A step in words.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its place in the timeline.
    pub index: usize,
    /// Milliseconds after the beginning of the timeline.
    pub at: Millis,
    /// When it ends.
    pub until: Millis,
    /// When it happened, in RFC 3339.
    pub when: String,
    /// How long after the beginning, for people.
    pub moment: String,
    /// `prompt`, `answer`, `tool` …
    pub label: &'static str,
    /// Colour class.
    pub tone: &'static str,
    /// In one line.
    pub heading: String,
    /// The exchange.
    pub exchange: String,
    /// Who, where several take part.
    pub user: Option<String>,
    /// Small facts behind the heading.
    pub facts: Vec<String>,
    /// What there is to read.
    pub blocks: Vec<Block>,
    /// What was not captured.
    pub missing: Vec<String>,
    /// Where it came from and what came of it.
    pub links: Vec<ShownLink>,
    /// A read or a handshake: not what one looks for.
    pub quiet: bool,
}

/// A part of a step.
#[derive(Clone, Debug)]
pub enum Block {
    /// What somebody said.
    Said {
        /// Who: a role.
        who: String,
        /// What.
        text: String,
        /// Whether it is long.
        folded: bool,
    },
    /// Text as it arrived.
    Stream(Vec<ShownPiece>),
    /// Text to the letter: arguments, results, contents.
    Code {
        /// What it is.
        label: String,
        /// The text.
        text: String,
        /// Whether it is long.
        folded: bool,
    },
    /// Lines that go and come.
    Diff {
        /// The file.
        label: String,
        /// Lines with the class of each.
        lines: Vec<(&'static str, String)>,
    },
    /// A fact.
    Line(String),
}

/// A piece of a stream.
#[derive(Clone, Debug)]
pub struct ShownPiece {
    /// Milliseconds after the beginning of the timeline.
    pub at: Millis,
    /// `text`, `reasoning` or `refusal`.
    pub kind: &'static str,
    /// The text.
    pub text: String,
}

/// A link in words.
#[derive(Clone, Debug)]
pub struct ShownLink {
    /// The other step.
    pub to: usize,
    /// Where it is to be read.
    pub href: String,
    /// `led to` or `follows from`.
    pub relation: &'static str,
    /// The other end.
    pub what: String,
    /// Why, and how sure.
    pub why: String,
    /// Whether it is exact.
    pub exact: bool,
}

/// All steps of a timeline.
pub fn steps(timeline: &Timeline) -> Vec<Shown> {
    timeline
        .steps
        .iter()
        .enumerate()
        .map(|(index, step)| {
            let mut shown = step_in_words(index, step, timeline.started);
            shown.user = step
                .user
                .as_deref()
                .filter(|_| timeline.users.len() > 1)
                .map(shown_line);
            shown.links = links(index, timeline);
            shown
        })
        .collect()
}

/// The steps of one exchange, counted from its beginning, with links to the pages of others.
pub fn of_exchange(timeline: &Timeline, exchange: &str) -> Vec<Shown> {
    let mut own: Vec<Shown> = steps(timeline)
        .into_iter()
        .filter(|step| timeline.steps[step.index].exchange == exchange)
        .collect();
    let start = own.first().map_or(0, |step| step.at);
    for step in &mut own {
        step.at -= start;
        step.until -= start;
        step.moment = as_clock(step.at);
        for link in &mut step.links {
            if let Some(other) = timeline.steps.get(link.to) {
                let segment = crate::client::path_segment(&other.exchange);
                link.href = format!("/audit/{segment}");
            }
        }
    }
    own
}

fn step_in_words(index: usize, step: &Step, start: Millis) -> Shown {
    let mut blocks = Vec::new();
    let mut facts = Vec::new();
    let mut quiet = false;
    let (label, tone, heading) = match &step.what {
        What::Prompt {
            model,
            messages,
            earlier,
            cut,
        } => {
            if *earlier > 0 {
                facts.push(format!("{earlier} earlier messages as before"));
            }
            messages.iter().for_each(|m| said(m, &mut blocks));
            if *cut {
                blocks.push(Block::Line(
                    "The end of the prompt was not captured.".into(),
                ));
            }
            let model = model
                .as_deref()
                .map_or_else(|| "a model".into(), shown_line);
            ("prompt", "plain", format!("Asks {model}"))
        }
        What::Answer(answer) => {
            answered(answer, step.began - start, &mut blocks, &mut facts);
            let model = answer
                .model
                .as_deref()
                .map_or_else(|| "The model".into(), shown_line);
            ("answer", "plain", format!("{model} answers"))
        }
        What::Tool { call, changes } => {
            quiet = call.tool.is_none();
            let name = call.tool.as_deref().unwrap_or(&call.method);
            match changes {
                Some(changes) => changed(changes, &mut blocks),
                None if !call.arguments.is_null() => {
                    let text = serde_json::to_string_pretty(&call.arguments).unwrap_or_default();
                    blocks.push(code("arguments", &text));
                }
                None => {}
            }
            if let Some(result) = &call.result {
                let label = if result.is_error { "failed" } else { "result" };
                blocks.push(code(label, &result.text));
            }
            ("tool", "plain", format!("MCP {}", shown_line(name)))
        }
        What::Push {
            repo,
            refs,
            files,
            files_known,
        } => {
            refs.iter()
                .for_each(|r| blocks.push(Block::Line(reference(r))));
            for file in files {
                blocks.push(Block::Line(format!("file {}", shown_line(file))));
            }
            if !files_known {
                blocks.push(Block::Line("The files of the push are not known.".into()));
            }
            ("push", "plain", format!("git push to {}", shown_line(repo)))
        }
        What::Change(changes) => {
            changed(changes, &mut blocks);
            ("write", "plain", shown_line(&step.title))
        }
        What::Call { method, url, write } => {
            quiet = !write;
            facts.push(shown_line(&format!("{method} {url}")));
            let label = if *write { "write" } else { "call" };
            (label, "plain", shown_line(&step.title))
        }
        What::Held { approval, rule } => {
            facts.push(format!("approval {}", shown_line(approval)));
            let rule = rule
                .as_deref()
                .map_or_else(String::new, |r| format!(" by rule {}", shown_line(r)));
            (
                "held",
                "warn",
                format!("Held{rule}, until a person answers"),
            )
        }
        What::Released { state, by, why, .. } => {
            let by = by
                .as_deref()
                .map_or_else(String::new, |by| format!(" by {}", shown_line(by)));
            blocks.extend(why.as_deref().map(|why| code("because", why)));
            match state.as_str() {
                "approved" => ("released", "good", format!("Approved{by}")),
                "refused" => ("released", "bad", format!("Refused{by}")),
                _ => ("released", "warn", "Nobody answered in time".to_owned()),
            }
        }
        What::Denied {
            reason,
            rule,
            detail,
        } => {
            let mut heading = "Denied".to_owned();
            if let Some(rule) = rule {
                heading.push_str(&format!(" by rule {}", shown_line(rule)));
            }
            facts.extend(reason.as_deref().map(shown_line));
            blocks.extend(
                detail
                    .as_deref()
                    .map(|detail| Block::Line(shown_line(detail))),
            );
            ("denied", "bad", heading)
        }
    };
    let is_request = !matches!(
        step.what,
        What::Answer(_) | What::Held { .. } | What::Released { .. } | What::Denied { .. }
    );
    if is_request {
        if !matches!(step.decision.as_str(), "allowed" | "") {
            facts.push(decision(&shown_line(&step.decision)).to_owned());
        }
        facts.extend(step.status.map(|status| format!("status {status}")));
        if step.masked > 0 {
            facts.push(format!("{} masked", step.masked));
        }
    }
    let tone = match tone {
        "plain" if is_request && step.decision != "allowed" => tone_of(&step.decision),
        tone => tone,
    };
    Shown {
        index,
        at: step.at - start,
        until: step.until.max(step.at) - start,
        when: rfc3339(step.at),
        moment: as_clock(step.at - start),
        label,
        tone,
        heading,
        exchange: shown_line(&step.exchange),
        user: None,
        facts,
        blocks,
        missing: step.missing.iter().map(|why| shown_line(why)).collect(),
        links: Vec::new(),
        quiet: quiet && step.decision == "allowed",
    }
}

fn tone_of(word: &str) -> &'static str {
    tone(word)
}

fn said(message: &Message, blocks: &mut Vec<Block>) {
    let who = match (message.role.as_str(), &message.answers) {
        ("tool", Some(call)) => format!("tool, to {}", shown_line(call)),
        (role, _) => shown_line(role),
    };
    if !message.text.is_empty() {
        let (text, folded) = fit(&message.text);
        // A system prompt is long, and the same in each exchange.
        let folded =
            folded || matches!(message.role.as_str(), "system" | "developer") && text.len() > 300;
        blocks.push(Block::Said {
            who: who.clone(),
            text,
            folded,
        });
    }
    for part in &message.other_parts {
        blocks.push(Block::Line(format!("{who}: [{}]", shown_line(part))));
    }
    message
        .calls
        .iter()
        .for_each(|call| blocks.push(called(call)));
}

fn called(call: &ToolCall) -> Block {
    let id = match call.id.as_str() {
        "" => String::new(),
        id => format!(" ({})", shown_line(id)),
    };
    let pretty = serde_json::from_str::<serde_json::Value>(&call.arguments)
        .and_then(|value| serde_json::to_string_pretty(&value));
    code(
        &format!("calls {}{id}", shown_line(&call.name)),
        &pretty.unwrap_or_else(|_| call.arguments.clone()),
    )
}

fn answered(answer: &Answer, began: Millis, blocks: &mut Vec<Block>, facts: &mut Vec<String>) {
    let every = answer.pieces.len().div_ceil(PIECES).max(1);
    let mut pieces: Vec<ShownPiece> = Vec::new();
    let mut room = LONGEST;
    for (index, piece) in answer.pieces.iter().enumerate() {
        let kind = match piece.kind {
            PieceKind::Text => "text",
            PieceKind::Reasoning => "reasoning",
            PieceKind::Refusal => "refusal",
        };
        let text: String = piece.text.chars().take(room).collect();
        room -= text.chars().count();
        match pieces.last_mut() {
            Some(last) if last.kind == kind && index % every != 0 => last.text.push_str(&text),
            _ => pieces.push(ShownPiece {
                at: began
                    + piece
                        .at_ms
                        .and_then(|ms| i64::try_from(ms).ok())
                        .unwrap_or(0),
                kind,
                text,
            }),
        }
        if room == 0 {
            break;
        }
    }
    for piece in &mut pieces {
        piece.text = shown(&piece.text);
    }
    if !pieces.is_empty() {
        blocks.push(Block::Stream(pieces));
    }
    if room == 0 {
        blocks.push(Block::Line(
            "The rest is on the page of the exchange.".into(),
        ));
    }
    answer
        .calls
        .iter()
        .for_each(|call| blocks.push(called(call)));
    for note in &answer.notes {
        blocks.push(Block::Line(shown_line(note)));
    }
    if let Some(usage) = answer.usage {
        let count = |count: Option<u64>, name: &str| count.map(|count| format!("{count} {name}"));
        let counts = [
            count(usage.input, "tokens in"),
            count(usage.output, "tokens out"),
            count(usage.cached.filter(|c| *c > 0), "from cache"),
            count(usage.reasoning.filter(|c| *c > 0), "for reasoning"),
        ];
        facts.extend(counts.into_iter().flatten());
    }
    facts.extend(
        answer
            .finish
            .as_deref()
            .map(|why| format!("ended: {}", shown_line(why))),
    );
}

pub(crate) fn changed(changes: &Changes, blocks: &mut Vec<Block>) {
    if let Some(message) = &changes.message {
        let (text, folded) = fit(message);
        blocks.push(Block::Said {
            who: "commit message".into(),
            text,
            folded,
        });
    }
    for file in &changes.files {
        let place = [file.repo.as_deref(), file.branch.as_deref()];
        let place: Vec<String> = place.into_iter().flatten().map(shown_line).collect();
        let path = match place.is_empty() {
            true => shown_line(&file.path),
            false => format!("{} in {}", shown_line(&file.path), place.join(" ")),
        };
        blocks.push(match (&file.diff, &file.content) {
            (Some(diff), _) => Block::Diff {
                label: path,
                lines: diff_lines(diff),
            },
            (None, Content::Text(text)) => Block::Diff {
                label: format!("{path}: new content, what was there before was not seen"),
                lines: fit(text)
                    .0
                    .lines()
                    .map(|l| ("come", format!("+{l}")))
                    .collect(),
            },
            (None, Content::Binary { size }) => {
                Block::Line(format!("{path}: {size} bytes that are no text"))
            }
            (None, Content::Deleted) => Block::Line(format!("{path}: deleted")),
            (None, Content::Unknown(why)) => {
                Block::Line(format!("{path}: content not known ({})", shown_line(why)))
            }
        });
    }
}

fn diff_lines(diff: &str) -> Vec<(&'static str, String)> {
    let (text, _) = fit(diff);
    text.lines()
        .map(|line| {
            let class = match line.as_bytes().first() {
                Some(b'+') => "come",
                Some(b'-') => "go",
                Some(b'@') => "place",
                _ => "same",
            };
            (class, line.to_owned())
        })
        .collect()
}

fn reference(change: &RefChange) -> String {
    let short = |id: &Option<String>| {
        let id: String = id.as_deref().unwrap_or("?").chars().take(10).collect();
        shown_line(&id)
    };
    let name = shown_line(&change.name);
    let force = match change.force.as_deref() {
        Some("true") => ", forced",
        _ => "",
    };
    match change.change.as_str() {
        "create" => format!("{name} created at {}{force}", short(&change.new)),
        "delete" => format!("{name} deleted, was {}{force}", short(&change.old)),
        _ => format!(
            "{name} {} → {}{force}",
            short(&change.old),
            short(&change.new)
        ),
    }
}

fn links(index: usize, timeline: &Timeline) -> Vec<ShownLink> {
    let name = |link: &Link| match timeline.steps.get(link.from).map(|step| &step.what) {
        Some(What::Answer(answer)) => answer
            .calls
            .get(link.call)
            .map_or_else(String::new, |call| shown_line(&call.name)),
        _ => String::new(),
    };
    let title = |index: usize| {
        let step = timeline.steps.get(index);
        step.map_or_else(String::new, |step| match &step.what {
            What::Prompt { .. } => "its result, told to the model".to_owned(),
            _ => shown_line(&step.title),
        })
    };
    timeline
        .links
        .iter()
        .filter_map(|link| {
            let (to, relation, what) = if link.from == index {
                (
                    link.to,
                    "led to",
                    format!("{}: {}", name(link), title(link.to)),
                )
            } else if link.to == index {
                (
                    link.from,
                    "follows from",
                    format!("the call of {}", name(link)),
                )
            } else {
                return None;
            };
            Some(ShownLink {
                to,
                href: format!("#step-{}", to + 1),
                relation,
                what,
                why: link.why.clone(),
                exact: link.certainty == Certainty::Exact,
            })
        })
        .collect()
}

fn code(label: &str, text: &str) -> Block {
    let (text, folded) = fit(text);
    Block::Code {
        label: label.to_owned(),
        text,
        folded,
    }
}

/// A text that fits, neutralised, and whether it is long.
fn fit(text: &str) -> (String, bool) {
    let mut short: String = text.chars().take(LONGEST).collect();
    let left = text.chars().count().saturating_sub(LONGEST);
    if left > 0 {
        short.push_str(&format!(
            "\n… {left} more characters on the page of the exchange"
        ));
    }
    let folded = short.len() > FOLDED;
    (shown(&short), folded)
}

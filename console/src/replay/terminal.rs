//! A session in a terminal, at its own pace or at once.

use std::io::{self, Write};
use std::time::Duration;

use super::session::Replay;
use super::shown::{Block, Shown, steps};
use crate::clock::{Millis, in_words, readable};
use crate::web::text::shown_line;

/// How to play.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How many times as fast; nothing to print all at once.
    pub speed: Option<f64>,
    /// The longest pause, before `speed`.
    pub longest: Millis,
    /// Whether to colour.
    pub colour: bool,
}

/// Writes the session. `wait` sleeps.
pub fn play(
    out: &mut dyn Write,
    replay: &Replay,
    pace: Pace,
    wait: &mut dyn FnMut(Duration),
) -> io::Result<()> {
    let mut player = Player {
        out,
        pace,
        wait,
        now: 0,
    };
    let timeline = &replay.timeline;
    let users: Vec<String> = timeline.users.iter().map(|user| shown_line(user)).collect();
    player.line(
        "1",
        &format!(
            "{} · {} · {} UTC · {} · {} exchanges",
            shown_line(&replay.session),
            users.join(", "),
            readable(timeline.started),
            in_words(timeline.ended - timeline.started),
            replay.exchanges
        ),
    )?;
    for step in steps(timeline) {
        player.step(&step)?;
    }
    if let Some(next) = &replay.next {
        let next = shown_line(next);
        player.line("2", &format!("\nIt goes on: --from {next}"))?;
    }
    Ok(())
}

struct Player<'a> {
    out: &'a mut dyn Write,
    pace: Pace,
    wait: &'a mut dyn FnMut(Duration),
    now: Millis,
}

impl Player<'_> {
    fn step(&mut self, step: &Shown) -> io::Result<()> {
        self.until(step.at)?;
        let style = match step.tone {
            "good" => "32",
            "bad" => "31",
            "warn" => "33",
            _ if step.quiet => "2",
            _ => "1",
        };
        let at = format!("{:>4}  +{}", step.index + 1, step.moment);
        writeln!(self.out)?;
        let user = step
            .user
            .as_deref()
            .map_or_else(String::new, |user| format!("{user}: "));
        self.line(
            style,
            &format!("{at}  {:<8}  {user}{}", step.label, step.heading),
        )?;
        if !step.facts.is_empty() {
            self.line("2", &format!("      {}", step.facts.join(" · ")))?;
        }
        for block in &step.blocks {
            self.block(block)?;
        }
        for why in &step.missing {
            self.line("33", &format!("      not captured: {why}"))?;
        }
        for link in &step.links {
            let sure = if link.exact { "exact" } else { "likely" };
            self.line(
                "36",
                &format!(
                    "      {} step {}, {} [{sure}: {}]",
                    link.relation,
                    link.to + 1,
                    link.what,
                    link.why
                ),
            )?;
        }
        Ok(())
    }

    fn block(&mut self, block: &Block) -> io::Result<()> {
        match block {
            Block::Said { who, text, .. } => {
                self.line("36", &format!("      {who}:"))?;
                self.indented("", text)
            }
            Block::Code { label, text, .. } => {
                self.line("36", &format!("      {label}:"))?;
                self.indented("2", text)
            }
            Block::Diff { label, lines } => {
                self.line("36", &format!("      {label}"))?;
                for (class, line) in lines {
                    let style = match *class {
                        "come" => "32",
                        "go" => "31",
                        _ => "2",
                    };
                    self.line(style, &format!("        {line}"))?;
                }
                Ok(())
            }
            Block::Line(text) => self.line("", &format!("      {text}")),
            Block::Stream(pieces) => {
                let mut kind = "";
                for piece in pieces {
                    self.until(piece.at)?;
                    if piece.kind != kind {
                        if !kind.is_empty() {
                            writeln!(self.out)?;
                        }
                        kind = piece.kind;
                        if kind != "text" {
                            self.line("2", &format!("      ({kind})"))?;
                        }
                        write!(self.out, "        ")?;
                    }
                    write!(self.out, "{}", piece.text.replace('\n', "\n        "))?;
                    self.out.flush()?;
                }
                writeln!(self.out)
            }
        }
    }

    fn indented(&mut self, style: &str, text: &str) -> io::Result<()> {
        for line in text.lines() {
            self.line(style, &format!("        {line}"))?;
        }
        Ok(())
    }

    fn line(&mut self, style: &str, text: &str) -> io::Result<()> {
        if self.pace.colour && !style.is_empty() {
            writeln!(self.out, "\u{1b}[{style}m{text}\u{1b}[0m")
        } else {
            writeln!(self.out, "{text}")
        }
    }

    /// Waits until `at`, a pause shortened.
    fn until(&mut self, at: Millis) -> io::Result<()> {
        let pause = (at - self.now).clamp(0, self.pace.longest);
        self.now = self.now.max(at);
        if let Some(speed) = self.pace.speed.filter(|_| pause > 0) {
            self.out.flush()?;
            (self.wait)(Duration::from_millis(pause.unsigned_abs()).div_f64(speed));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::conversation::{Answer, Message, Piece};
    use super::super::timeline::{Step, Timeline, What};
    use super::*;

    fn step(at: Millis, what: What) -> Step {
        Step {
            at,
            until: at,
            exchange: "x".into(),
            began: 0,
            user: Some("agent\u{1b}[2J".into()),
            title: "t".into(),
            decision: "allowed".into(),
            status: None,
            masked: 0,
            what,
            missing: vec!["the answer\u{7}".into()],
        }
    }

    fn replay() -> Replay {
        let hostile = "red \u{1b}[31m bell \u{7} back \u{8}\u{9b}2J \r over";
        let prompt = What::Prompt {
            model: Some(hostile.into()),
            messages: vec![Message {
                role: "user".into(),
                text: hostile.into(),
                ..Message::default()
            }],
            earlier: 0,
            cut: false,
        };
        let piece = |at_ms, text: &str| Piece {
            at_ms: Some(at_ms),
            text: text.into(),
            ..Piece::default()
        };
        let answer = What::Answer(Answer {
            pieces: vec![piece(100, "one "), piece(5_000, hostile)],
            ..Answer::default()
        });
        Replay {
            session: "s\u{1b}]0;title\u{7}".into(),
            exchanges: 1,
            next: None,
            timeline: Timeline {
                started: 0,
                ended: 5_000,
                users: vec!["agent".into()],
                steps: vec![step(0, prompt), step(100, answer)],
                links: Vec::new(),
            },
        }
    }

    #[test]
    fn nothing_of_a_record_reaches_the_terminal_as_a_control() {
        let mut out = Vec::new();
        let pace = Pace {
            speed: None,
            longest: 0,
            colour: false,
        };
        play(&mut out, &replay(), pace, &mut |_| panic!("it waits")).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.chars().all(|c| c == '\n' || !c.is_control()),
            "{text:?}"
        );
        assert!(text.contains("not captured: the answer"), "{text}");
    }

    #[test]
    fn it_waits_as_long_as_it_took_but_no_longer_than_is_bearable() {
        let mut waited = Vec::new();
        let pace = Pace {
            speed: Some(2.0),
            longest: 2_000,
            colour: true,
        };
        play(&mut Vec::new(), &replay(), pace, &mut |d| waited.push(d)).unwrap();
        assert_eq!(
            waited,
            [Duration::from_millis(50), Duration::from_millis(1_000)]
        );
    }
}

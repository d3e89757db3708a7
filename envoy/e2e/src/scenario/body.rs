//! Bodies, and the ways of cutting them.

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::format::{Body, Push};

impl Body {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        let Body {
            text,
            json,
            base64,
            chunks,
            push,
            repeat,
        } = self;
        text.is_none()
            && json.is_none()
            && base64.is_none()
            && chunks.is_none()
            && push.is_none()
            && repeat.is_none()
    }

    /// The media type that goes with it.
    pub fn content_type(&self) -> Option<&'static str> {
        if self.json.is_some() {
            Some("application/json")
        } else if self.push.is_some() {
            Some("application/x-git-receive-pack-request")
        } else if self.is_none() {
            None
        } else {
            Some("text/plain")
        }
    }

    /// Its chunks as written; most have one.
    ///
    /// # Errors
    /// Base64 that is none, a command that is none.
    pub fn pieces(&self) -> Result<Vec<Vec<u8>>> {
        Ok(match self {
            Body {
                text: Some(text), ..
            } => vec![text.clone().into_bytes()],
            Body {
                json: Some(json), ..
            } => vec![json.to_string().into_bytes()],
            Body {
                base64: Some(text), ..
            } => vec![STANDARD.decode(text)?],
            Body {
                chunks: Some(chunks),
                ..
            } => chunks
                .iter()
                .map(|chunk| chunk.clone().into_bytes())
                .collect(),
            Body {
                push: Some(push), ..
            } => vec![push.bytes()?],
            Body {
                repeat: Some(repeat),
                ..
            } => {
                vec![repeat.text.repeat(repeat.times).into_bytes()]
            }
            _ => Vec::new(),
        })
    }
}

impl Push {
    /// pkt-lines (gitprotocol-pack, "Reference Update Request"), flush, pack.
    fn bytes(&self) -> Result<Vec<u8>> {
        let zero = "0".repeat(40);
        let (old, new) = ("1".repeat(40), "2".repeat(40));
        let mut out = Vec::new();
        for (index, command) in self.commands.iter().enumerate() {
            let (change, name) = command
                .split_once(' ')
                .context("a command is `create REF`")?;
            let (from, to) = match change {
                "create" => (&zero, &new),
                "update" => (&old, &new),
                "delete" => (&old, &zero),
                other => bail!("no change is called {other}"),
            };
            let mut line = format!("{from} {to} {name}");
            if index == 0 {
                line.push('\0');
                line.push(' ');
                line.push_str(&self.capabilities);
            }
            out.extend(format!("{:04x}{line}", line.len() + 4).into_bytes());
        }
        out.extend_from_slice(b"0000");
        if self.pack > 0 {
            out.extend_from_slice(b"PACK");
            out.extend((0..self.pack).map(|at| (at % 251) as u8));
        }
        Ok(out)
    }
}

/// How bytes are cut into callbacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// As the scenario has them.
    AsWritten,
    /// One by one; long bodies in a thousand pieces.
    Bytes,
    /// At places that follow from a seed.
    Random(u64),
}

impl Cut {
    /// The pieces of `written`.
    pub fn apply(self, written: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let whole = written.concat();
        match self {
            Cut::AsWritten => written.to_vec(),
            Cut::Bytes => {
                let size = whole.len().div_ceil(1_000).max(1);
                whole.chunks(size).map(<[u8]>::to_vec).collect()
            }
            Cut::Random(seed) => {
                let mut state = seed | 1;
                let mut pieces = Vec::new();
                let mut rest = whole.as_slice();
                while !rest.is_empty() {
                    // xorshift64: the same cuts on every machine.
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    let most = (rest.len() / 3).max(16);
                    let at = (1 + (state >> 33) as usize % most).min(rest.len());
                    let (piece, tail) = rest.split_at(at);
                    pieces.push(piece.to_vec());
                    rest = tail;
                }
                pieces
            }
        }
    }
}

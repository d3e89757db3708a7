//! HTTP/1.1 as plain as it gets, both sides of it: nothing here normalises what a scenario says.

use std::io::{BufRead, Write};

use anyhow::{Context, Result, ensure};

use super::super::host::Pairs;

/// A message as it came over the wire.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// Request or status line.
    pub start: String,
    /// Headers, names in lower case.
    pub headers: Pairs,
    /// Body, decoded from chunks.
    pub body: Vec<u8>,
    /// The connection ended before the message did.
    pub cut: bool,
}

impl Message {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<String> {
        super::super::seen::header(&self.headers, name).map(std::borrow::Cow::into_owned)
    }
}

/// Reads one message; `None` if the connection ended before it began. `no_body`: the answer to HEAD.
///
/// # Errors
/// Not HTTP/1.1.
pub fn read(from: &mut impl BufRead, no_body: bool) -> Result<Option<Message>> {
    let mut message = Message {
        start: line(from)?,
        ..Message::default()
    };
    if message.start.is_empty() {
        return Ok(None);
    }
    headers(from, &mut message.headers)?;
    let status = message
        .start
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3));
    if no_body || matches!(status, Some("204" | "304")) {
        return Ok(Some(message));
    }
    if message.header("transfer-encoding").is_some() {
        message.cut = chunks(from, &mut message.body).is_err();
    } else if let Some(length) = message.header("content-length") {
        message.body = vec![0; length.parse()?];
        message.cut = from.read_exact(&mut message.body).is_err();
    } else if status.is_some() {
        from.read_to_end(&mut message.body)?;
    }
    Ok(Some(message))
}

fn line(from: &mut impl BufRead) -> Result<String> {
    let mut bytes = Vec::new();
    from.read_until(b'\n', &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

fn headers(from: &mut impl BufRead, into: &mut Pairs) -> Result<()> {
    loop {
        let line = line(from)?;
        if line.is_empty() {
            return Ok(());
        }
        let (name, value) = line.split_once(':').context("a header without a colon")?;
        into.push((name.to_ascii_lowercase(), value.trim().as_bytes().to_vec()));
    }
}

fn chunks(from: &mut impl BufRead, body: &mut Vec<u8>) -> Result<()> {
    loop {
        let size = usize::from_str_radix(&line(from)?, 16)?;
        let mut chunk = vec![0; size];
        from.read_exact(&mut chunk)?;
        body.extend(chunk);
        ensure!(line(from)?.is_empty(), "a chunk without its end");
        if size == 0 {
            return Ok(());
        }
    }
}

/// Writes a head, then the pieces of a body, each on its own: chunked, or with a length if there is
/// at most one piece and `length` asks for it.
///
/// # Errors
/// The other side has gone; what it said first can still be read.
pub fn write(
    to: &mut impl Write,
    start: &str,
    headers: &Pairs,
    pieces: &[Vec<u8>],
    length: Option<usize>,
) -> Result<()> {
    let mut head = format!("{start}\r\n").into_bytes();
    for (name, value) in headers
        .iter()
        .filter(|(name, _)| !name.starts_with(':') && name != "content-length")
    {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    }
    match length {
        Some(length) => head.extend(format!("content-length: {length}\r\n\r\n").into_bytes()),
        None => head.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n"),
    }
    to.write_all(&head)?;
    to.flush()?;
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        match length {
            Some(_) => to.write_all(piece)?,
            None => {
                let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
                chunk.extend_from_slice(piece);
                chunk.extend_from_slice(b"\r\n");
                to.write_all(&chunk)?;
            }
        }
        to.flush()?;
    }
    if length.is_none() {
        to.write_all(b"0\r\n\r\n")?;
    }
    Ok(to.flush()?)
}

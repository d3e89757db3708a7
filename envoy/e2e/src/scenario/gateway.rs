//! A simulated Envoy: hands requests to a filter as Envoy's filter manager does, and answers as
//! client, upstream and clock.
//!
//! What was seen on Envoy 1.40.0 and is kept here: a paused filter gets the size of the whole body so
//! far, a flowing one of each piece; trailers end a body whose end was never marked; local replies
//! come back through the response callbacks; resumes and replies wait until the callback is over; a
//! stream's calls end with it.

use anyhow::{Context, Result, bail, ensure};
use countersign_core::effect::{CallAnswer, Flow};

use super::body::Cut;
use super::format::{Request, Upstream};
use super::host::{Host, LocalReply, Pairs, StreamState};
use super::seen::{Exchange, Received, Sent};

/// Milliseconds between ticks, as the filter asks for them.
const TICK_MS: u64 = 50;
/// Longer than any wait of a policy.
const PATIENCE_MS: u64 = 700_000;

/// A filter in its host, told what Envoy would tell it.
pub trait Filter {
    /// What is around it.
    fn host(&mut self) -> &mut Host;
    /// A new stream.
    fn open(&mut self, id: u32) -> Result<()>;
    /// Request headers are there.
    fn request_headers(&mut self, id: u32, end: bool) -> Result<Flow>;
    /// The request body has `size` bytes in its buffer.
    fn request_body(&mut self, id: u32, size: usize, end: bool) -> Result<Flow>;
    /// Request trailers are there.
    fn request_trailers(&mut self, id: u32) -> Result<Flow>;
    /// Response headers are there.
    fn response_headers(&mut self, id: u32, end: bool) -> Result<Flow>;
    /// The response body has `size` bytes in its buffer.
    fn response_body(&mut self, id: u32, size: usize, end: bool) -> Result<Flow>;
    /// Response trailers are there.
    fn response_trailers(&mut self, id: u32) -> Result<Flow>;
    /// The answer to a call of the context `owner`.
    fn answered(&mut self, owner: u32, token: u32, answer: CallAnswer) -> Result<()>;
    /// Time has passed.
    fn tick(&mut self) -> Result<()>;
    /// The worker's own wish to be called.
    fn woken(&mut self) -> Result<()>;
    /// The stream is over.
    fn log(&mut self, id: u32) -> Result<()>;
}

/// How an exchange is cut, and when the world answers.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// Name for messages.
    pub name: &'static str,
    /// Request body.
    pub request: Cut,
    /// Response body.
    pub response: Cut,
    /// How the end of the request body is told.
    pub ending: Ending,
    /// Whether services answer between the pieces of a request, or after the last.
    pub eager: bool,
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With the last piece.
    WithLast,
    /// With an empty piece.
    Empty,
    /// By trailers.
    Trailers,
}

/// The simulated Envoy around a filter.
pub struct Gateway<F> {
    /// The filter.
    pub filter: F,
    next: u32,
    held_back: bool,
}

/// A request on its way through.
struct Passage {
    id: u32,
    exchange: Exchange,
    paused: bool,
    ended: bool,
}

impl<F: Filter> Gateway<F> {
    /// Around a configured filter. `held_back`: a paused filter gets no body.
    pub fn new(filter: F, held_back: bool) -> Self {
        Gateway {
            filter,
            next: 1,
            held_back,
        }
    }

    /// Plays one exchange.
    ///
    /// # Errors
    /// The filter broke a promise that holds for every exchange, or the scenario cannot be played.
    pub fn play(
        &mut self,
        request: &Request,
        upstream: &Upstream,
        variant: Variant,
    ) -> Result<Exchange> {
        self.next += 1;
        let id = self.next;
        let pieces = variant.request.apply(&request.body.pieces()?);
        let trailers = !request.trailers.is_empty() || variant.ending == Ending::Trailers;
        let bare = pieces.is_empty() && request.trailers.is_empty() && !request.open;
        let state = StreamState {
            request: request.pairs()?,
            ..StreamState::default()
        };
        self.filter.host().streams.insert(id, state);
        let mut passage = Passage {
            id,
            exchange: Exchange::default(),
            paused: true,
            ended: bare,
        };
        self.filter.open(id)?;
        let flow = self.filter.request_headers(id, bare)?;
        self.settle(&mut passage, flow, variant.eager)?;
        let count = pieces.len();
        for (index, piece) in pieces.into_iter().enumerate() {
            let last = index + 1 == count
                && variant.ending == Ending::WithLast
                && !trailers
                && !request.open;
            self.body(&mut passage, &piece, last, variant.eager)?;
        }
        if !bare && !request.open && !passage.ended {
            match trailers {
                true => self.trailers(&mut passage, variant.eager)?,
                false => self.body(&mut passage, b"", true, variant.eager)?,
            }
        }
        self.pump(&mut passage)?;
        if !request.leaves {
            self.wait_for_verdict(&mut passage)?;
        }
        if passage.exchange.forwarded.is_some() && !request.leaves {
            self.respond(&mut passage, upstream, variant.response)?;
        }
        self.finish(passage)
    }

    /// Lets time pass without traffic.
    ///
    /// # Errors
    /// As [`Gateway::play`].
    pub fn idle(&mut self, ms: u64) -> Result<()> {
        let until = self.filter.host().now + ms * 1_000_000;
        while self.filter.host().now < until {
            self.filter.host().now += TICK_MS * 1_000_000;
            self.filter.tick()?;
            self.pump_worker()?;
        }
        Ok(())
    }

    fn body(&mut self, passage: &mut Passage, piece: &[u8], end: bool, eager: bool) -> Result<()> {
        if passage.exchange.reply.is_some() {
            return Ok(());
        }
        passage.ended |= end;
        if self.held_back && passage.paused {
            let buffer = &mut self.stream(passage.id)?.request_body;
            buffer.get_or_insert_default().extend_from_slice(piece);
            return Ok(());
        }
        let buffer = self
            .stream(passage.id)?
            .request_body
            .get_or_insert_default();
        buffer.extend_from_slice(piece);
        let size = buffer.len();
        let flow = self.filter.request_body(passage.id, size, end)?;
        self.settle(passage, flow, eager)
    }

    fn trailers(&mut self, passage: &mut Passage, eager: bool) -> Result<()> {
        if passage.exchange.reply.is_some() {
            return Ok(());
        }
        passage.ended = true;
        if self.held_back && passage.paused {
            return Ok(());
        }
        let flow = self.filter.request_trailers(passage.id)?;
        self.settle(passage, flow, eager)
    }

    /// What Envoy does once a request callback is over.
    fn settle(&mut self, passage: &mut Passage, flow: Flow, eager: bool) -> Result<()> {
        passage.paused = flow == Flow::Pause;
        if flow == Flow::Continue {
            self.hand_on(passage)?;
        }
        self.deferred(passage)?;
        if eager {
            self.pump(passage)?;
        }
        Ok(())
    }

    /// Replies and resumes that waited for the end of a callback.
    fn deferred(&mut self, passage: &mut Passage) -> Result<()> {
        let stream = self.stream(passage.id)?;
        if let Some(reply) = stream.reply.clone() {
            if passage.exchange.reply.is_none() && passage.exchange.response.is_none() {
                self.reply(passage, reply)?;
            }
        } else if std::mem::take(&mut stream.resumed) {
            passage.paused = false;
            self.hand_on(passage)?;
        }
        Ok(())
    }

    /// Hands on what waits: the head once, then the body.
    fn hand_on(&mut self, passage: &mut Passage) -> Result<()> {
        let id = passage.id;
        let stream = self.stream(id)?;
        let body = stream.request_body.take().unwrap_or_default();
        if passage.exchange.reply.is_some() || stream.reply.is_some() {
            bail!("a request that was answered was handed on");
        }
        if passage.exchange.forwarded.is_none() {
            let headers = stream.request.clone();
            passage.exchange.forwarded = Some(Sent {
                headers,
                body: Vec::new(),
            });
            let services = &self.filter.host().services;
            passage.exchange.records_before = services.records.len();
            passage.exchange.approvals_before = services.approved.len();
        }
        if let Some(sent) = passage.exchange.forwarded.as_mut() {
            sent.body.extend(body);
        }
        Ok(())
    }

    /// A local reply goes out through the response callbacks.
    fn reply(&mut self, passage: &mut Passage, reply: LocalReply) -> Result<()> {
        let id = passage.id;
        let mut headers = vec![(":status".to_owned(), reply.status.to_string().into_bytes())];
        headers.extend(reply.headers.iter().cloned());
        let stream = self.stream(id)?;
        stream.response = headers;
        stream.status = Some(reply.status);
        self.filter.response_headers(id, reply.body.is_empty())?;
        if !reply.body.is_empty() {
            self.stream(id)?.response_body = Some(reply.body.clone());
            self.filter.response_body(id, reply.body.len(), true)?;
        }
        let stream = self.stream(id)?;
        let body = stream.response_body.take().unwrap_or_default();
        ensure!(body == reply.body, "the filter rewrote its own reply");
        passage.exchange.reply = Some(reply);
        Ok(())
    }

    /// Lets services answer until nothing happens any more.
    fn pump(&mut self, passage: &mut Passage) -> Result<()> {
        loop {
            if std::mem::take(&mut self.filter.host().wake) {
                self.filter.woken()?;
            } else if let Some(call) = self.filter.host().next_answer() {
                self.filter.answered(call.owner, call.token, call.answer)?;
            } else {
                return Ok(());
            }
            if let Some(fault) = self.filter.host().broken.take() {
                return Err(fault);
            }
            self.deferred(passage)?;
        }
    }

    /// The same when no stream is open.
    fn pump_worker(&mut self) -> Result<()> {
        loop {
            if std::mem::take(&mut self.filter.host().wake) {
                self.filter.woken()?;
            } else if let Some(call) = self.filter.host().next_answer() {
                self.filter.answered(call.owner, call.token, call.answer)?;
            } else {
                return Ok(());
            }
        }
    }

    /// Lets time pass until the request has been handed on or answered.
    fn wait_for_verdict(&mut self, passage: &mut Passage) -> Result<()> {
        let mut waited = 0;
        while passage.exchange.forwarded.is_none() && passage.exchange.reply.is_none() {
            ensure!(
                waited < PATIENCE_MS,
                "no verdict after {waited} ms: {:?}",
                self.filter.host().log
            );
            waited += TICK_MS;
            self.filter.host().now += TICK_MS * 1_000_000;
            self.filter.tick()?;
            self.deferred(passage)?;
            self.pump(passage)?;
        }
        Ok(())
    }

    fn respond(&mut self, passage: &mut Passage, upstream: &Upstream, cut: Cut) -> Result<()> {
        let id = passage.id;
        let stream = self.stream(id)?;
        ensure!(
            stream.request_body.as_ref().is_none_or(Vec::is_empty),
            "a part of the body was never handed on"
        );
        let pieces = cut.apply(&upstream.body.pieces()?);
        let mut received = Received {
            status: upstream.status,
            ..Received::default()
        };
        stream.response = upstream.pairs();
        stream.status = Some(upstream.status);
        let trailers = !upstream.trailers.is_empty();
        let end = pieces.is_empty() && !trailers;
        let mut flow = self.filter.response_headers(id, end)?;
        received.headers = self.stream(id)?.response.clone();
        if self.answered_instead(passage)? {
            return Ok(());
        }
        let count = pieces.len();
        for (index, piece) in pieces.into_iter().enumerate() {
            let last = index + 1 == count && !trailers;
            // While the answer is paused, its buffer holds what the filter left there.
            let buffer = self.stream(id)?.response_body.get_or_insert_default();
            buffer.extend_from_slice(&piece);
            let size = buffer.len();
            flow = self.filter.response_body(id, size, last)?;
            if self.answered_instead(passage)? {
                return Ok(());
            }
            let stream = self.stream(id)?;
            if flow == Flow::Continue {
                received
                    .body
                    .extend(stream.response_body.take().unwrap_or_default());
            }
            if stream.reset {
                break;
            }
        }
        if trailers && !self.stream(id)?.reset {
            flow = self.filter.response_trailers(id)?;
        }
        let reset = self.stream(id)?.reset;
        if flow == Flow::Pause && !reset && !self.let_go(passage)? {
            return Ok(());
        }
        let stream = self.stream(id)?;
        received
            .body
            .extend(stream.response_body.take().unwrap_or_default());
        received.reset = stream.reset;
        passage.exchange.response = Some(received);
        self.pump(passage)
    }

    /// Lets time pass until a paused answer goes on; `false` if another was given in its place.
    fn let_go(&mut self, passage: &mut Passage) -> Result<bool> {
        let id = passage.id;
        let mut waited = 0;
        loop {
            self.pump(passage)?;
            if self.answered_instead(passage)? {
                return Ok(false);
            }
            if self.stream(id)?.response_resumed {
                return Ok(true);
            }
            ensure!(waited < PATIENCE_MS, "the answer was never let go");
            waited += TICK_MS;
            self.filter.host().now += TICK_MS * 1_000_000;
            self.filter.tick()?;
        }
    }

    /// Whether the filter put its own answer in place of the upstream's.
    fn answered_instead(&mut self, passage: &mut Passage) -> Result<bool> {
        if passage.exchange.reply.is_some() {
            return Ok(true);
        }
        let Some(reply) = self.stream(passage.id)?.reply.clone() else {
            return Ok(false);
        };
        self.reply(passage, reply)?;
        Ok(true)
    }

    fn finish(&mut self, mut passage: Passage) -> Result<Exchange> {
        let id = passage.id;
        self.filter.log(id)?;
        let stream = self
            .filter
            .host()
            .forget(id)
            .context("the stream is gone")?;
        let line = stream.filter_state.unwrap_or_default();
        passage.exchange.summary = serde_json::from_slice(&line).unwrap_or_default();
        let name = passage.exchange.summary["exchange"].as_str();
        passage.exchange.id = name.unwrap_or_default().to_owned();
        self.pump_worker()?;
        match self.filter.host().broken.take() {
            Some(fault) => Err(fault),
            None => Ok(passage.exchange),
        }
    }

    fn stream(&mut self, id: u32) -> Result<&mut StreamState> {
        self.filter
            .host()
            .streams
            .get_mut(&id)
            .context("the stream is gone")
    }
}

impl Request {
    /// The headers as Envoy hands them over.
    ///
    /// # Errors
    /// A URL without a scheme.
    pub fn pairs(&self) -> Result<Pairs> {
        let (scheme, rest) = self
            .url
            .split_once("://")
            .context("a URL begins with its scheme")?;
        let slash = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(slash);
        let mut pairs: Pairs = Vec::new();
        let mut add =
            |name: &str, value: &str| pairs.push((name.to_owned(), value.as_bytes().to_vec()));
        add(":authority", authority);
        add(":path", path);
        add(":method", &self.method);
        add(":scheme", scheme);
        if let Some(token) = &self.token {
            add("authorization", &format!("Bearer {token}"));
        }
        if let Some(media) = self.body.content_type()
            && !self.headers.contains_key("content-type")
        {
            add("content-type", media);
        }
        for (name, values) in &self.headers {
            for value in values.values() {
                add(name, value);
            }
        }
        Ok(pairs)
    }
}

impl Upstream {
    /// The headers as Envoy hands them over.
    pub fn pairs(&self) -> Pairs {
        let mut pairs = vec![(":status".to_owned(), self.status.to_string().into_bytes())];
        if let Some(media) = self.body.content_type()
            && !self.headers.contains_key("content-type")
        {
            pairs.push(("content-type".to_owned(), media.as_bytes().to_vec()));
        }
        for (name, values) in &self.headers {
            for value in values.values() {
                pairs.push((name.clone(), value.as_bytes().to_vec()));
            }
        }
        pairs
    }
}

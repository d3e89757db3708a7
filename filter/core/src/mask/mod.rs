//! Masking of secrets in bodies and streams.
//!
//! # Contract
//! For every input and every way of cutting it into chunks, the output is what masking the whole
//! at once gives. No byte leaves that a later byte could make part of a secret. Where nothing is a
//! secret, every byte passes as it came (invalid UTF-8 and odd JSON included). Nothing is held
//! past [`StreamMasker::finish`].
//!
//! # How
//! Layers undo the format ([`json`], [`sse`], [`form`], [`multipart`]); below them [`text`] searches decoded text.
//! The search goes value first: [`scan`] picks, 64 bytes at a time, the places where a long word or a value begins; there a
//! few bytes tell whether any rule can begin ([`glance`]), and the rules decide ([`probe`], [`rules`], [`shape`]); keys and operators before a value are read
//! from the look-behind ([`context`], [`keys`], [`authority`]). A question that later bytes could still change stops the search, and
//! only the text from there on is held. So the answer at each place depends on the text alone and
//! never on how it was cut.
//!
//! # Limits
//! - A token is held up to 4 KiB; a longer one is judged by its first 4 KiB and swallowed to its
//!   end. A key body is swallowed up to 16 KiB. A secret with a key before it has at most 512
//!   bytes, a password 128, the user part of a URL 256.
//! - Custom rules match within one line of decoded text, at most 4 KiB of it, and the unfinished
//!   line is held for them.
//! - JSON is searched string by string, unescaped once; JSON inside a string is searched as text. A string under a key
//!   that holds files (`content`, `data` …) is searched decoded when it is base64 ([`encoded`]).
//!   The log probabilities of a chat completion repeat its text token by token; they are not searched but kept back
//!   ([`StreamMasker::without_log_probabilities`]).
//! - An event of an event stream larger than 1 MiB is searched string by string ([`Fault`]).

mod authority;
mod channel;
mod checks;
mod classes;
mod context;
mod custom;
mod delta;
mod encoded;
mod escaped;
mod find;
mod form;
mod format;
mod glance;
mod json;
mod keys;
mod layer;
mod multipart;
mod pem;
mod pointer;
mod prints;
mod probe;
mod replace;
mod rules;
pub mod samples;
mod scan;
mod scrub;
mod set;
mod shape;
mod sse;
mod tally;
mod text;
mod written;

#[cfg(test)]
mod encoded_tests;
#[cfg(test)]
mod multipart_tests;
#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod rules_tests;
#[cfg(test)]
mod scan_tests;
#[cfg(test)]
mod sse_tests;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tokens_tests;
#[cfg(test)]
mod withheld_tests;
#[cfg(test)]
mod written_tests;

pub use custom::LINE_MAX;
pub use find::{Found, find};
pub use format::{Format, MediaTypes};
pub use replace::Replacement;
pub use scrub::{SECRET_MIN, Scrub};
pub use set::{CustomRule, MaskConfig, MaskPath, MaskSet};
pub use sse::EVENT_MAX;
pub use tally::Finding;
pub use written::{Written, written};

use layer::Layer;
use std::rc::Rc;
use tally::Tally;

/// A limit that was passed. The body was still masked, with less context than usual.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// An event was larger than [`EVENT_MAX`]: its strings were searched each on its own.
    EventTooLarge,
    /// More texts ran side by side in one event stream than are followed.
    TooManyChannels,
}

impl Fault {
    /// What the record says of it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::EventTooLarge => "an event was too large to be searched as a whole",
            Self::TooManyChannels => "more texts side by side than are followed",
        }
    }
}

/// Masks one body, whole or as it streams.
pub struct StreamMasker {
    layer: Layer,
    tally: Tally,
}

impl std::fmt::Debug for StreamMasker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamMasker")
            .field("findings", &self.findings())
            .finish_non_exhaustive()
    }
}

impl StreamMasker {
    /// A masker for one body.
    #[must_use]
    pub fn new(set: Rc<MaskSet>, scrub: Option<Rc<Scrub>>, format: Format) -> Self {
        Self {
            layer: Layer::new(&set, scrub.as_ref(), format),
            tally: Tally::default(),
        }
    }

    /// Keeps back the log probabilities of a model's answer: they repeat it token by token, and a secret that was masked
    /// could be read from them. `null`, or an empty list, stands in their place.
    #[must_use]
    pub fn without_log_probabilities(mut self) -> Self {
        self.layer.withhold();
        self
    }

    /// Whether log probabilities were kept back.
    #[must_use]
    pub fn withheld(&self) -> bool {
        self.layer.withheld()
    }

    /// Takes the next chunk and appends what may leave to `out`.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        self.layer.push(chunk, out, &mut self.tally);
    }

    /// Appends what was held. The body is over.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.layer.finish(out, &mut self.tally);
    }

    /// How many bytes are held back at the moment.
    #[must_use]
    pub fn held(&self) -> usize {
        self.layer.held()
    }

    /// What was masked so far.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        self.tally.findings()
    }

    /// The last limit that was passed, if any.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.layer.fault()
    }
}

/// A whole body, masked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Masked {
    /// The body as it may leave.
    pub body: Vec<u8>,
    /// What was masked.
    pub findings: Vec<Finding>,
    /// A limit that was passed.
    pub fault: Option<Fault>,
}

/// Masks a body that is complete: the same as one push and a finish.
#[must_use]
pub fn mask_whole(
    set: &Rc<MaskSet>,
    scrub: Option<&Rc<Scrub>>,
    format: Format,
    body: &[u8],
) -> Masked {
    let mut masker = StreamMasker::new(Rc::clone(set), scrub.map(Rc::clone), format);
    let mut out = Vec::with_capacity(body.len() + 64);
    masker.push(body, &mut out);
    masker.finish(&mut out);
    Masked {
        body: out,
        findings: masker.findings().to_vec(),
        fault: masker.fault(),
    }
}

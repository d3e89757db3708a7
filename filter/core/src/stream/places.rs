//! Which repositories the request's node ids are of: asked of what earlier answers told, on any
//! worker, and told to later requests. What may be believed is `protocol::github::nodes`' matter.

use std::collections::BTreeMap;

use super::{Phase, Stream};
use crate::effect::{Effect, Now, Step};
use crate::head::ResponseHead;
use crate::protocol::Answer;
use crate::protocol::github::nodes::{Node, Nodes, Pupil, Upstream};
use crate::worker::Worker;

/// The ids of a request.
#[derive(Debug, Default)]
pub(super) enum Places {
    /// Nothing has been asked.
    #[default]
    New,
    /// These ids have been asked for.
    Asking {
        ids: Vec<String>,
        /// From a callback of the request, whose own return value lets it go or not.
        callback: bool,
    },
    /// What the answer was.
    Known(BTreeMap<String, Node>),
}

impl Places {
    /// What is known so far.
    pub(super) fn nodes(&self) -> Nodes {
        match self {
            Places::Known(known) => Nodes::new(known.clone()),
            Places::New | Places::Asking { .. } => Nodes::default(),
        }
    }

    /// Whether an answer is still to come.
    pub(super) fn is_asking(&self) -> bool {
        matches!(self, Places::Asking { .. })
    }

    /// Notes in what kind of event the ids were asked for.
    pub(super) fn in_callback(&mut self, it_is: bool) {
        if let Places::Asking { callback, .. } = self {
            *callback = it_is;
        }
    }
}

impl Stream {
    /// Asks for the ids that a first reading met, if a rule wants to know where things happen.
    pub(super) fn asks_places(&mut self, nodes: Nodes) -> bool {
        let Places::New = self.places else {
            return false;
        };
        let ids = nodes.missing();
        if ids.is_empty() || !self.policy.names_places() {
            return false;
        }
        let Some(upstream) = self.upstream() else {
            return false;
        };
        let keys = ids.iter().map(|id| upstream.key(id)).collect();
        self.effects.push(Effect::Recall(keys));
        self.places = Places::Asking {
            ids,
            callback: true,
        };
        true
    }

    /// The answer to [`Effect::Recall`]: a value, or none, for each key in turn.
    pub fn on_recalled(
        &mut self,
        worker: &mut Worker,
        values: &[Option<Vec<u8>>],
        now: Now,
    ) -> Step {
        let Places::Asking { ids, callback } = std::mem::take(&mut self.places) else {
            return self.step();
        };
        let upstream = self.upstream();
        let known = ids.into_iter().zip(values).filter_map(|(id, value)| {
            let node = upstream.as_ref()?.read(&id, value.as_ref()?, now)?;
            Some((id, node))
        });
        self.places = Places::Known(known.collect());
        if matches!(self.phase, Phase::Collect) {
            self.judge(worker, now);
        }
        if callback { self.step() } else { self.resume() }
    }

    /// The reader of an answer that may tell of ids.
    pub(super) fn pupil(&self, head: &ResponseHead) -> Option<Pupil> {
        let Answer::Nodes(lesson) = &self.answer else {
            return None;
        };
        if !self.policy.names_places() || head.headers.is_encoded() {
            return None;
        }
        Pupil::new(lesson, head.status, &head.content_type())
    }

    /// Takes a piece of the answer, and at its end keeps what it told.
    pub(super) fn learn(&mut self, bytes: &[u8], last: bool, now: Now) {
        let Some(mut pupil) = self.response.pupil.take() else {
            return;
        };
        pupil.push(bytes);
        if !last {
            self.response.pupil = Some(pupil);
            return;
        }
        let Some(upstream) = self.upstream() else {
            return;
        };
        let learnt: Vec<(String, Vec<u8>)> = pupil
            .finish()
            .iter()
            .map(|(id, node)| (upstream.key(id), upstream.value(id, node, now)))
            .collect();
        if !learnt.is_empty() {
            self.effects.push(Effect::Remember(learnt));
        }
    }

    fn upstream(&self) -> Option<Upstream> {
        let connection = self.connection()?;
        Some(Upstream::new(&connection.name, &self.head.host()))
    }
}

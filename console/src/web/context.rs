//! What led to a request that waits: the prompt in its session, and the files as they were seen before.
//! Prompts are of the trail: who may not read bodies there is told so, and a look is on record.

use super::App;
use super::card::change_blocks;
use super::look::looked;
use super::text::{capital, shown, shown_line};
use crate::approvals::Approval;
use crate::people::Person;
use crate::people::access::{Looked, Way};
use crate::replay::change::Changes;
use crate::replay::link::Certainty;
use crate::replay::session;
use crate::replay::shown::Block;
use crate::replay::timeline::{Timeline, What};
use crate::store::StoreError;

/// Letters of a prompt that are shown; the session has all of it.
const LONGEST: usize = 4_000;

/// What led to it.
#[derive(Default)]
pub(super) struct Context {
    /// The change against the files as they were seen in the session.
    pub changes: Vec<Block>,
    pub prompt: Option<Prompt>,
    /// Why there is no prompt here.
    pub withheld: Option<&'static str>,
    /// The session's page.
    pub session: String,
}

/// A prompt.
pub(super) struct Prompt {
    pub text: String,
    pub model: Option<String>,
    /// How it is known to have led to the request.
    pub link: String,
    pub exchange: String,
}

pub(super) async fn context(
    app: &App,
    person: &Person,
    approval: &Approval,
) -> Result<Context, StoreError> {
    let exchange = approval.question.exchange.clone();
    let session = approval.question.session.clone();
    let mut context = Context {
        session: session.unwrap_or_else(|| format!("~{exchange}")),
        ..Context::default()
    };
    if !app.rights.reads_prompts(person) {
        context.withheld = Some("The prompt is for those who may read bodies of the trail.");
        return Ok(context);
    }
    let wanted = exchange.clone();
    let timeline = app
        .store
        .read(move |c| session::neighbourhood(c, &wanted))
        .await?;
    if let Some(changes) = changes(&timeline, &exchange) {
        context.changes = change_blocks(changes);
    }
    context.prompt = prompt(&timeline, &exchange);
    if let Some(prompt) = &context.prompt {
        let look = Looked::Exchange {
            id: prompt.exchange.clone(),
            bodies: true,
        };
        looked(app, &person.name, Way::Page, look).await?;
    }
    Ok(context)
}

fn changes<'a>(timeline: &'a Timeline, exchange: &str) -> Option<&'a Changes> {
    let of = timeline
        .steps
        .iter()
        .filter(|step| step.exchange == exchange);
    of.filter_map(|step| match &step.what {
        What::Change(changes) => Some(changes),
        What::Tool { changes, .. } => changes.as_ref(),
        _ => None,
    })
    .find(|changes| changes.files.iter().any(|file| file.diff.is_some()))
}

/// The last thing that a person said before: in the conversation whose answer led to the request, or
/// else the newest of the session.
fn prompt(timeline: &Timeline, exchange: &str) -> Option<Prompt> {
    let here = timeline
        .steps
        .iter()
        .position(|step| step.exchange == exchange)?;
    let own = |place: usize| {
        let step = timeline.steps.get(place);
        step.is_some_and(|step| step.exchange == exchange)
    };
    let link = timeline
        .links
        .iter()
        .filter(|link| own(link.to))
        .min_by_key(|link| link.certainty);
    let (until, said) = match link {
        Some(link) => {
            let certainty = match link.certainty {
                Certainty::Exact => "This call is in the model's answer to it",
                Certainty::Likely => "The model's answer to it likely led here",
            };
            (link.from, format!("{certainty}: {}", link.why))
        }
        None => (
            here,
            "The newest prompt of the session; that it led here is not certain".to_owned(),
        ),
    };
    let before = timeline.steps.get(..=until)?.iter().rev();
    let mut prompts = before
        .filter(|step| step.exchange != exchange)
        .filter_map(|step| {
            let What::Prompt {
                messages, model, ..
            } = &step.what
            else {
                return None;
            };
            let human = messages
                .iter()
                .rev()
                .find(|m| m.role == "user" && !m.text.trim().is_empty())?;
            Some((step, model, human))
        });
    let (step, model, human) = prompts.next()?;
    let mut text = shown(&human.text);
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push_str("\n…");
    }
    Some(Prompt {
        text,
        model: model.as_deref().map(shown_line),
        link: shown_line(&capital(&said)),
        exchange: step.exchange.clone(),
    })
}

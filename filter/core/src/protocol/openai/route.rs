//! Routes by method and path, and what each is called.

use crate::operation::Target;
use crate::protocol::{is_read, repo_target};

/// What a path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// A request to a model: the name of the route, and the model if the path has it.
    Completion {
        /// As OpenAI and Anthropic call it.
        route: &'static str,
        /// The deployment or engine.
        model: Option<&'a str>,
    },
    /// Text to a vector; the model if the path has it.
    Embedding(Option<&'a str>),
    /// Anthropic's message batches.
    Batch,
    /// Known by its path alone.
    Other {
        /// The operation.
        name: &'static str,
        /// The repository that the path names.
        repo: Option<Target>,
    },
}

/// The route of a method in upper case and the segments below the prefix.
pub(super) fn find<'a>(method: &str, segments: &[&'a str]) -> Route<'a> {
    if is_read(method) {
        return read(segments);
    }
    let posted = match (method, segments) {
        ("POST", ["deployments", model, rest @ ..]) => to_model(rest, Some(model)),
        ("POST", ["engines", model, rest @ ..]) => to_model(rest, Some(model)),
        ("POST", rest) => to_model(rest, None),
        _ => None,
    };
    posted.unwrap_or_else(|| other(method, segments))
}

fn to_model<'a>(segments: &[&'a str], model: Option<&'a str>) -> Option<Route<'a>> {
    let route = match segments {
        ["chat", "completions"] => "chat/completions",
        ["responses"] => "responses",
        ["completions"] => "completions",
        ["messages"] => "messages",
        ["embeddings"] => return Some(Route::Embedding(model)),
        ["messages", "batches"] => return Some(Route::Batch),
        _ => return None,
    };
    Some(Route::Completion { route, model })
}

/// Copilot's agents read what they know of a repository.
fn read<'a>(segments: &[&'a str]) -> Route<'a> {
    let repo = match segments {
        ["agents", "swe", "custom-agents", owner, name, ..] => Some(repo_target(owner, name)),
        _ => None,
    };
    Route::Other {
        name: "chat.read",
        repo,
    }
}

/// What is neither a read nor a request to a model.
fn other<'a>(method: &str, segments: &[&'a str]) -> Route<'a> {
    let (name, repo) = match (method, segments) {
        // Copilot's agent for pull requests is started with a repository and a task.
        ("POST", ["agents", "swe", _, "jobs", owner, name]) => {
            ("agent.start", Some(repo_target(owner, name)))
        }
        ("POST", ["agents", "swe", ..]) | (_, ["agents", ..]) => {
            ("agent.unknown_write", Some(Target::Any))
        }
        ("POST", ["models", "session"] | ["auto"] | ["search", ..] | ["skills", ..])
        | ("POST", ["messages", "count_tokens"] | ["responses", "input_tokens"]) => {
            ("chat.session", None)
        }
        ("POST", ["telemetry"]) => ("chat.telemetry", None),
        ("POST", ["moderations"]) => ("model.moderation", None),
        ("POST", ["files", ..] | ["uploads", ..]) => ("model.file_upload", None),
        ("DELETE", ["files", ..]) => ("model.file_delete", None),
        (_, ["fine_tuning", ..]) | ("POST", ["fine-tunes", ..]) => ("model.fine_tune", None),
        (_, ["batches", ..] | ["messages", "batches", ..]) => ("model.batch", None),
        (_, ["assistants" | "threads", ..]) => ("model.assistant", None),
        (_, ["vector_stores", ..]) => ("model.store", None),
        (_, ["containers", ..]) => ("model.container", None),
        ("POST", ["deployments", _, "images", ..] | ["images", ..]) => ("model.image", None),
        ("POST", ["deployments", _, "audio", ..] | ["audio", ..]) => ("model.audio", None),
        (_, ["realtime", ..]) => ("model.realtime", None),
        ("DELETE", ["models", _]) => ("model.delete", None),
        (_, ["responses" | "conversations", ..])
        | ("POST" | "DELETE", ["chat", "completions", _]) => ("chat.manage", None),
        _ => ("model.unknown_write", None),
    };
    Route::Other { name, repo }
}

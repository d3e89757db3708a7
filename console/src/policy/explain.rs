//! `countersign explain`: what a policy makes of a request, and why.
//!
//! The request goes through the very code that the filter runs, a stream of the engine, and what
//! Envoy would be told is read off. Only three things are put in place of what is not here: the
//! caller, who is taken for verified; the secrets; and the approval service, which says that nobody
//! has answered yet.

use std::rc::Rc;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_core::config;
use countersign_core::effect::{Effect, Now, Step};
use countersign_core::ext_authz;
use countersign_core::head::{Headers, RequestHead};
use countersign_core::identity::{Identity, TokenLocation, TokenScheme};
use countersign_core::operation::{Operation, Target};
use countersign_core::policy::{Action, Matched, Mode, Policy, Rule};
use countersign_core::reason::Class;
use countersign_core::record::{Decision, operation_json};
use countersign_core::stream::{Source, Stream};
use countersign_core::worker::Worker;
use serde_json::{Map, Value, json};

use super::check::SECRET;
use super::request_file::RequestFile;
use crate::failure::Failure;

/// Who asks, and when.
#[derive(Clone, Debug)]
pub struct Asking {
    /// The subject.
    pub subject: String,
    /// Groups.
    pub groups: Vec<String>,
    /// Other claims.
    pub claims: Vec<(String, Value)>,
    /// Nanoseconds since 1970.
    pub at: Now,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Method, host and path.
    pub request: String,
    /// Name and protocol; `None` where no connection has the host and path.
    pub connection: Option<(String, &'static str)>,
    /// Who asks.
    pub caller: Value,
    /// What the request does; empty where it could not be read.
    pub operations: Vec<Value>,
    /// Each rule, and how it compares with each operation.
    pub rules: Vec<Compared>,
    /// allow, deny, require_approval or undecided.
    pub verdict: &'static str,
    /// The rule that gave it.
    pub rule: Option<String>,
    /// The named reason, and what exactly.
    pub reason: Option<(String, String)>,
    /// Whether the policy only watches: everything is let through.
    pub observed: bool,
    /// Who is asked, where a person is.
    pub approval: Option<Value>,
    /// What the caller reads where it is not let through; of a held request, while nobody answers.
    pub reply: Option<Reply>,
}

/// A rule against every operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// Its name.
    pub name: String,
    /// Its action.
    pub action: &'static str,
    /// One for each operation.
    pub outcomes: Vec<Outcome>,
}

/// A rule against an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It applies.
    Applies,
    /// It does not; the first key that does not hold.
    Not(&'static str),
    /// It might; what is not known, and what it does then.
    Might(&'static str, &'static str),
}

/// An answer from the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Body; control characters of git's side-band are left out.
    pub body: String,
}

/// A public key of RFC 8037: no token is signed with it, none is verified.
const KEY: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"explain","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

/// Stands for the caller's token.
const TOKEN: &str = "e30.e30.ZXhwbGFpbg";

/// Explains what the policy in `document`, which compiles, makes of a request.
///
/// # Errors
/// A policy that does not compile.
pub fn explain(
    document: &Value,
    file: &RequestFile,
    asking: &Asking,
) -> Result<Explanation, Failure> {
    let observed = document.get("mode") == Some(&json!("observe"));
    let policy = Rc::new(compiled(document)?);
    let mut worker = Worker::new(Rc::clone(&policy), "explain".to_owned());
    let identity = identity(&policy, asking);
    worker.remember_verified(0, TOKEN.as_bytes(), Arc::new(identity), asking.at);
    let mut stream = Stream::new(1, &mut worker);
    let head = with_token(&file.head, &policy.token_locations);
    let ends = file.body.is_empty();
    let mut effects = Vec::new();
    let mut take = |step: Step| effects.extend(step.effects);
    take(stream.on_request_headers(&mut worker, head, Source::default(), ends, asking.at));
    if !ends {
        let size = file.body.len();
        take(stream.on_request_body(&mut worker, &file.body, size, true, asking.at));
    }
    let held = effects.iter().any(|e| matches!(e, Effect::Call(_)));
    let (decision, reason) = (stream.decision(), stream.reason());
    let reason = reason.map(|(reason, detail)| (reason, detail.to_owned()));
    let rule = stream.rule();
    let hold_ms = stream.held_for_ms();
    let approval = rule
        .filter(|_| held)
        .map(|rule| approval_json(rule, hold_ms));
    let comparisons = stream.comparisons(&file.body, asking.at);
    let mut explanation = Explanation {
        request: format!(
            "{} {}{}",
            file.head.method, file.head.authority, file.head.path
        ),
        connection: stream.over().map(|c| (c.name.clone(), c.protocol.name())),
        caller: json!({
            "subject": asking.subject,
            "groups": asking.groups,
            "claims": asking.claims.iter().cloned().collect::<Map<_, _>>(),
        }),
        operations: stream.operations().iter().map(shown).collect(),
        rules: comparisons
            .iter()
            .map(|c| compared(c.rule, &c.matched))
            .collect(),
        verdict: match (held, reason.as_ref()) {
            (true, _) => "require_approval",
            (false, Some((reason, _))) => match reason.class() {
                Class::Undecided => "undecided",
                Class::Denied | Class::Waiting => "deny",
            },
            (false, None) => "allow",
        },
        rule: rule.map(|rule| rule.name.clone()),
        reason: reason.map(|(reason, detail)| (reason.code().to_owned(), detail)),
        observed,
        approval,
        reply: None,
    };
    if decision == Decision::UndecidedAllowed {
        explanation.verdict = "allow";
    }
    if let (true, Some(service)) = (held, &policy.approval_service) {
        let nobody = ext_authz::undecided(service.protocol);
        effects = stream.on_call(&mut worker, nobody, asking.at).effects;
    }
    explanation.reply = effects.iter().find_map(|effect| match effect {
        Effect::Reply(reply) => Some(Reply {
            status: reply.status,
            headers: reply
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), value.clone()))
                .collect(),
            body: readable(&reply.body),
        }),
        _ => None,
    });
    Ok(explanation)
}

/// The policy with keys that need no fetching, in enforce mode, so that a denial is seen.
fn compiled(document: &Value) -> Result<Policy, Failure> {
    let mut document = document.clone();
    let keys: Value = serde_json::from_str(KEY).unwrap_or_default();
    let providers = document.pointer_mut("/identity/providers");
    for provider in providers
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        if let Some(jwks) = provider.get_mut("jwks") {
            *jwks = json!({ "inline": keys });
        }
    }
    let delivery = document.pointer_mut("/audit/delivery");
    if let Some(delivery) = delivery {
        *delivery = json!("best_effort");
    }
    let secrets = |_: &str| Some(SECRET.to_owned());
    let mut policy = config::compile(&document, &secrets).map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::plain(errors.join("\n"))
    })?;
    policy.mode = Mode::Enforce;
    Ok(policy)
}

fn identity(policy: &Policy, asking: &Asking) -> Identity {
    let provider = policy.providers.first();
    Identity {
        provider: provider.map(|p| p.config.name.clone()).unwrap_or_default(),
        subject: asking.subject.clone(),
        email: None,
        groups: asking.groups.clone(),
        session: None,
        token_id: None,
        expires: asking.at.seconds() + 3_600,
        claims: asking.claims.iter().cloned().collect(),
    }
}

/// The request with the stand-in's token in the policy's first place for tokens, and in no other.
fn with_token(head: &RequestHead, locations: &[TokenLocation]) -> RequestHead {
    let named = |name: &str| locations.iter().any(|l| l.header == name);
    let mut pairs: Vec<(String, Vec<u8>)> = head
        .headers
        .iter()
        .filter(|(name, _)| !named(name))
        .map(|(name, value)| (name.to_owned(), value.to_vec()))
        .collect();
    if let Some(location) = locations.first() {
        let value = match location.scheme {
            TokenScheme::Bearer => format!("Bearer {TOKEN}"),
            TokenScheme::Token => format!("token {TOKEN}"),
            TokenScheme::Basic => {
                format!(
                    "Basic {}",
                    STANDARD.encode(format!("x-access-token:{TOKEN}"))
                )
            }
            TokenScheme::Raw => TOKEN.to_owned(),
        };
        pairs.push((location.header.clone(), value.into_bytes()));
    }
    RequestHead {
        headers: Headers::new(pairs),
        ..head.clone()
    }
}

fn shown(operation: &Operation) -> Value {
    let mut value = operation_json(operation);
    value["write"] = json!(operation.write);
    match (&operation.repo, operation.owner()) {
        (Target::None, Target::Known(owner)) => value["owner"] = json!(owner),
        (Target::None, Target::Any) => value["owner"] = json!("*"),
        _ => {}
    }
    value
}

fn compared(rule: &Rule, matched: &[Matched]) -> Compared {
    let outcome = |matched: &Matched| match matched {
        Matched::No(key) => Outcome::Not(key),
        Matched::Yes => Outcome::Applies,
        Matched::Unknown(unknown) if rule.action == Action::Allow => Outcome::Not(unknown.code()),
        Matched::Unknown(unknown) => {
            Outcome::Might(unknown.code(), action(rule.answer_to(*unknown)))
        }
    };
    Compared {
        name: rule.name.clone(),
        action: action(rule.action),
        outcomes: matched.iter().map(outcome).collect(),
    }
}

fn action(action: Action) -> &'static str {
    match action {
        Action::Allow => "allow",
        Action::RequireApproval => "require_approval",
        Action::Deny => "deny",
    }
}

fn approval_json(rule: &Rule, hold_ms: Option<u64>) -> Value {
    let approval = &rule.approval;
    json!({
        "groups": approval.reviewers.groups,
        "subjects": approval.reviewers.subjects,
        "min": approval.min,
        "hold_ms": hold_ms,
        "ticket_s": approval.ticket_s,
    })
}

fn readable(body: &[u8]) -> String {
    String::from_utf8_lossy(body)
        .chars()
        .filter(|c| *c == '\n' || !c.is_control())
        .collect()
}

impl Explanation {
    /// The whole of it as JSON.
    pub fn to_json(&self) -> Value {
        let rules = self.rules.iter().map(|rule| {
            let outcomes: Vec<Value> = rule.outcomes.iter().map(Outcome::to_json).collect();
            json!({ "name": rule.name, "action": rule.action, "operations": outcomes })
        });
        let reply = self.reply.as_ref().map(|reply| {
            let headers: Map<String, Value> = reply
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), json!(value)))
                .collect();
            json!({ "status": reply.status, "headers": headers, "body": reply.body })
        });
        json!({
            "request": self.request,
            "connection": self.connection.as_ref().map(|(name, protocol)| json!({"name": name, "protocol": protocol})),
            "caller": self.caller,
            "operations": self.operations,
            "rules": rules.collect::<Vec<_>>(),
            "verdict": {
                "action": self.verdict,
                "rule": self.rule,
                "reason": self.reason.as_ref().map(|(code, _)| code),
                "detail": self.reason.as_ref().map(|(_, detail)| detail).filter(|d| !d.is_empty()),
                "observed": self.observed,
            },
            "approval": self.approval,
            "reply": reply,
        })
    }
}

impl Outcome {
    fn to_json(&self) -> Value {
        match self {
            Outcome::Applies => json!({ "applies": "yes" }),
            Outcome::Not(key) => json!({ "applies": "no", "because": key }),
            Outcome::Might(what, action) => {
                json!({ "applies": "unknown", "because": what, "action": action })
            }
        }
    }
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;

//! The services around the gateway: identity provider, audit sink, approval service.

use std::collections::VecDeque;

use anyhow::{Context, Result, bail, ensure};
use countersign_core::effect::{Call, CallAnswer, CallKind};
use countersign_core::ext_authz::messages::{
    CheckRequest, CheckResponse, DeniedHttpResponse, HeaderValueOption, HttpResponse, HttpStatus,
    OkHttpResponse, Status,
};
use countersign_core::ext_authz::{METHOD_PATH, QUESTION};
use countersign_core::head::Headers;
use prost::Message;
use serde_json::{Value, json};

use super::format::{Answer, World};
use super::seen::records_of;
use crate::Repository;

/// Where the scenario's provider publishes its keys.
const KEYS_PATH: &str = "/jwks";

/// What a service says to one call, and how long it takes.
#[derive(Debug)]
pub struct Said {
    /// The answer; empty for a call that failed.
    pub answer: CallAnswer,
    /// Milliseconds until it comes.
    pub after_ms: u64,
}

/// The services, and what they have been told.
#[derive(Debug)]
pub struct Services {
    keys: Script,
    audit: Script,
    approvals: Script,
    key_set: Value,
    /// Records that the sink has acknowledged, in order.
    pub records: Vec<Value>,
    /// Exchanges that the approval service has let through.
    pub approved: Vec<String>,
    /// Questions to the approval service.
    pub asked: Vec<Value>,
}

#[derive(Debug)]
struct Script(VecDeque<Answer>);

impl Script {
    fn new(answers: &[Answer], default: &str) -> Self {
        match answers {
            [] => Script(VecDeque::from([Answer::Named(default.to_owned())])),
            answers => Script(answers.iter().cloned().collect()),
        }
    }

    fn next(&mut self) -> Result<Answer> {
        let next = match self.0.len() {
            0 | 1 => self.0.front().cloned(),
            _ => self.0.pop_front(),
        };
        next.context("a script without answers")
    }
}

impl Services {
    /// Services that follow the scenario's script.
    ///
    /// # Errors
    /// When the test keys are not there.
    pub fn new(repository: &Repository, world: &World) -> Result<Self> {
        Ok(Services {
            keys: Script::new(&world.keys, "ok"),
            audit: Script::new(&world.audit, "ok"),
            approvals: Script::new(&world.approvals, "none"),
            key_set: serde_json::from_str(&repository.read("testdata/jwt/jwks.json")?)?,
            records: Vec::new(),
            approved: Vec::new(),
            asked: Vec::new(),
        })
    }

    /// Whether there is a cluster of this name.
    pub fn known(&self, cluster: &str) -> bool {
        ["idp", "console"].contains(&cluster)
    }

    /// Takes a call.
    ///
    /// # Errors
    /// A call that no service expects, or a script that no service can follow.
    pub fn call(&mut self, call: &Call) -> Result<Said> {
        let header = |name: &str| {
            let found = call.headers.iter().find(|(n, _)| n == name);
            found.map_or("", |(_, value)| value.as_str())
        };
        let path = header(":path");
        match call.cluster.as_str() {
            "idp" => self.publish(path),
            "console" if path == "/v1/logs" => self.take_records(call),
            "console" if path.starts_with("/ext_authz/") => self.ask(call),
            "console" if call.kind == CallKind::Grpc => {
                if path != METHOD_PATH {
                    bail!("the approval service has no method {path}");
                }
                Ok(over_grpc(self.ask(call)?))
            }
            cluster => bail!("a call to {cluster} {path} that no service expects"),
        }
    }

    fn publish(&mut self, path: &str) -> Result<Said> {
        let discovery = json!({"issuer": "https://idp.example.com/", "jwks_uri": format!("https://idp.example.com{KEYS_PATH}")});
        if path.starts_with("/.well-known/") {
            return Ok(at_once(200, &discovery));
        }
        if path != KEYS_PATH {
            bail!("the provider has nothing at {path}");
        }
        match self.keys.next()? {
            Answer::Named(name) if name == "ok" => Ok(at_once(200, &self.key_set)),
            other => plain(&other),
        }
    }

    fn take_records(&mut self, call: &Call) -> Result<Said> {
        let said = match self.audit.next()? {
            Answer::Named(name) if name == "ok" => at_once(200, &json!({})),
            other => plain(&other)?,
        };
        if said.answer.status == Some(200) && !said.answer.body.windows(8).any(|w| w == b"rejected")
        {
            self.records.extend(records_of(&call.body)?);
        }
        Ok(said)
    }

    fn ask(&mut self, call: &Call) -> Result<Said> {
        let body = question(call)?;
        let exchange = body["exchange"].as_str().unwrap_or_default().to_owned();
        let headers: serde_json::Map<String, Value> = call
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        self.asked.push(json!({"headers": headers, "body": body}));
        let decided = |status: u16, decision: &str, reason: &str| {
            let mut said = at_once(status, &json!({"reason": reason}));
            let pairs = [
                ("x-countersign-decision", decision),
                ("x-countersign-approval", "ap-1"),
                (
                    "x-countersign-approver",
                    if decision == "pending" { "" } else { "grace" },
                ),
                ("x-countersign-approved-at", "2027-01-15T08:00:01Z"),
                (
                    "x-countersign-approval-url",
                    "https://console.example.com/approvals/ap-1",
                ),
                ("x-countersign-ticket-expires", "1800000900"),
            ];
            let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
            said.answer.headers = Headers::new(
                pairs
                    .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
                    .collect(),
            );
            said
        };
        let said = match self.approvals.next()? {
            Answer::Named(name) => match name.as_str() {
                "approved" => decided(200, "approved", ""),
                "refused" => decided(403, "refused", "Not on a Friday."),
                "pending" => decided(403, "pending", ""),
                "superseded" => decided(403, "superseded", ""),
                "policy_changed" => decided(403, "policy_changed", ""),
                _ => plain(&Answer::Named(name))?,
            },
            other => plain(&other)?,
        };
        if said.answer.status == Some(200) {
            self.approved.push(exchange);
        }
        Ok(said)
    }
}

/// What is asked, over either protocol.
fn question(call: &Call) -> Result<Value> {
    let text = match call.kind {
        CallKind::Http => call.body.clone(),
        CallKind::Grpc => {
            let request = CheckRequest::decode(call.body.as_slice())?;
            let attributes = request
                .attributes
                .context("a question without attributes")?;
            let http = attributes.request.and_then(|r| r.http);
            let http = http.context("a question without its request")?;
            let text = attributes.context_extensions.get(QUESTION);
            let text = text.context("a question without its text")?;
            let question: Value = serde_json::from_str(text)?;
            let principal = attributes.source.map(|s| s.principal);
            let said = (
                http.method,
                http.host,
                http.path,
                principal.unwrap_or_default(),
            );
            let of = |pointer: &str| {
                let value = question.pointer(pointer).and_then(Value::as_str);
                value.unwrap_or_default().to_owned()
            };
            let told = (
                of("/request/method"),
                of("/request/authority"),
                of("/request/path"),
                of("/identity/subject"),
            );
            ensure!(
                said == told,
                "the call says {said:?}, its question {told:?}"
            );
            text.clone().into_bytes()
        }
    };
    serde_json::from_slice(&text).context("the question is no JSON")
}

/// An answer as a service over gRPC gives it. A status from 500 on is a call that fails (UNAVAILABLE).
fn over_grpc(said: Said) -> Said {
    let http = &said.answer;
    let headers: Vec<HeaderValueOption> = http
        .headers
        .iter()
        .map(|(name, value)| HeaderValueOption::set(name, &String::from_utf8_lossy(value)))
        .collect();
    let metadata = || prost_types::Struct {
        fields: http
            .headers
            .iter()
            .map(|(name, value)| {
                let text = String::from_utf8_lossy(value).into_owned();
                let kind = Some(prost_types::value::Kind::StringValue(text));
                (name.to_owned(), prost_types::Value { kind })
            })
            .collect(),
    };
    let response = match http.status {
        None | Some(500..) => None,
        Some(200) => Some(CheckResponse {
            status: Some(Status::default()),
            http_response: Some(HttpResponse::Ok(OkHttpResponse::default())),
            dynamic_metadata: Some(metadata()),
        }),
        Some(status) => Some(CheckResponse {
            status: Some(Status {
                code: 7,
                message: String::new(),
            }),
            http_response: Some(HttpResponse::Denied(DeniedHttpResponse {
                status: Some(HttpStatus {
                    code: i32::from(status),
                }),
                headers,
                body: String::from_utf8_lossy(&http.body).into_owned(),
            })),
            dynamic_metadata: None,
        }),
    };
    Said {
        answer: CallAnswer {
            grpc_status: http.status.map(|_| response.as_ref().map_or(14, |_| 0)),
            body: response.map(|r| r.encode_to_vec()).unwrap_or_default(),
            ..CallAnswer::default()
        },
        after_ms: said.after_ms,
    }
}

fn at_once(status: u16, json: &Value) -> Said {
    let answer = CallAnswer {
        grpc_status: None,
        status: Some(status),
        headers: Headers::default(),
        body: json.to_string().into_bytes(),
    };
    Said {
        answer,
        after_ms: 0,
    }
}

/// What every service can say.
fn plain(answer: &Answer) -> Result<Said> {
    Ok(match answer {
        Answer::Named(name) => match name.as_str() {
            "none" => Said {
                answer: CallAnswer::default(),
                after_ms: 0,
            },
            // Envoy gives up on it.
            "silent" => Said {
                answer: CallAnswer::default(),
                after_ms: u64::MAX,
            },
            other => bail!("no service knows the answer {other}"),
        },
        Answer::Http(http) => {
            let mut said = at_once(http.status, http.json.as_ref().unwrap_or(&Value::Null));
            let pairs = http.headers.iter();
            said.answer.headers = Headers::new(
                pairs
                    .map(|(name, value)| (name.clone(), value.clone().into_bytes()))
                    .collect(),
            );
            said.after_ms = http.after_ms;
            said
        }
    })
}

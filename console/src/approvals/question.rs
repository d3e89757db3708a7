//! What the gateway asks: who wants to do what, under which rule, and who may agree.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::demand::{Consent, Demand, Reviewers, one};
use super::words;
use crate::people::{Person, claim};

/// The longest ticket that is given out, in seconds: seven days.
const LONGEST_TICKET_S: u64 = 7 * 24 * 3600;
/// More ways to agree than anybody writes.
const MOST_CONSENTS: usize = 1000;

/// The body of an approval request. Fields that this console does not know are kept in the
/// database with the rest, and otherwise ignored.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Question {
    /// The exchange that waits.
    pub exchange: String,
    /// SHA-256 over identity, connection, method, authority, path, body and policy, in hex: the
    /// same for a byte-identical retry and for nothing else.
    pub fingerprint: String,
    /// Who asks.
    pub identity: Identity,
    /// The connection of the policy.
    #[serde(default)]
    pub connection: String,
    /// The client's session, if it has one.
    #[serde(default)]
    pub session: Option<String>,
    /// The request itself.
    pub request: Request,
    /// The answer that is held, where the request has passed and its answer waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<HeldAnswer>,
    /// What it would do.
    #[serde(default)]
    pub operations: Vec<Operation>,
    /// What it would do, in words.
    #[serde(default)]
    pub summary: String,
    /// The rule that asks for a person.
    #[serde(default)]
    pub rule: Option<String>,
    /// The rule's own explanation.
    #[serde(default)]
    pub reason: Option<String>,
    /// SHA-256 of the policy, in hex.
    #[serde(default)]
    pub policy: Option<String>,
    /// Who may agree, and for how long it holds.
    pub approval: Terms,
}

/// A verified identity.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Identity {
    /// The policy's name of the identity provider.
    #[serde(default)]
    pub provider: Option<String>,
    /// The subject.
    pub subject: String,
    /// The e-mail address, if the token has one.
    #[serde(default)]
    pub email: Option<String>,
    /// The groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Other claims that the gateway tells.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub claims: Map<String, Value>,
}

/// The held request, its body masked.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[allow(missing_docs)] // The names say it.
pub struct Request {
    pub method: String,
    pub authority: String,
    pub path: String,
    #[serde(default)]
    pub content_type: Option<String>,
    #[serde(default)]
    pub body_sha256: Option<String>,
    #[serde(default)]
    pub body_size: Option<u64>,
    #[serde(default)]
    pub body: Option<String>,
    #[serde(default)]
    pub body_encoding: Option<String>,
    #[serde(default)]
    pub body_truncated: bool,
}

/// The held answer, its body masked.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[allow(missing_docs)] // The names say it.
pub struct HeldAnswer {
    pub status: u16,
    pub content_type: Option<String>,
    pub body_sha256: Option<String>,
    pub body_size: Option<u64>,
    pub paths: Vec<String>,
    pub body: Option<String>,
    pub body_encoding: Option<String>,
    pub body_truncated: bool,
}

/// One thing that the request would do.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Operation {
    /// `area.verb`.
    pub name: String,
    /// The protocol's own names for it.
    pub aliases: Vec<String>,
    /// Repository, as `owner/name`.
    pub repo: Option<String>,
    /// Full name of the ref.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// Files touched.
    pub paths: Vec<String>,
    /// Whether `paths` is all of them.
    pub paths_known: bool,
    /// Whatever else is known.
    pub attributes: Map<String, Value>,
}

/// Who has to agree, and for how long.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Terms {
    /// All of these have to be met.
    #[serde(default)]
    pub demands: Vec<Demand>,
    /// The one consent of a plain rule, where there are no demands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewers: Option<Reviewers>,
    /// How many of them have to agree.
    #[serde(default = "one")]
    pub min: u32,
    /// How long a caller is held, in milliseconds.
    #[serde(default)]
    pub hold_ms: u64,
    /// How long the approval can be given and used, in seconds from asking.
    pub ticket_s: u64,
    /// How many questions of the identity may be open, as the gateway says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<u32>,
}

impl Question {
    /// Reads a question, and says what is wrong with it.
    pub fn read(body: &[u8]) -> Result<Self, String> {
        let question: Self = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let fingerprint = &question.fingerprint;
        if fingerprint.len() != 64 || !fingerprint.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err("fingerprint is not a SHA-256 in hex".into());
        }
        if question.exchange.is_empty() {
            return Err("exchange is empty".into());
        }
        if question.identity.subject.is_empty() {
            return Err("identity.subject is empty".into());
        }
        let consents = question.approval.demands.iter().flat_map(|d| &d.any_of);
        if question.approval.min == 0 || consents.clone().any(|consent| consent.min == 0) {
            return Err("approval.min is 0: an approval needs at least one person".into());
        }
        if consents.clone().count() > MOST_CONSENTS {
            return Err(format!("more than {MOST_CONSENTS} consents are demanded"));
        }
        Ok(question)
    }

    /// The end of the ticket for a question put at `now`, in milliseconds since the epoch.
    pub fn ticket_end(&self, now: i64) -> i64 {
        let ticket = self.approval.ticket_s.min(LONGEST_TICKET_S) * 1000;
        now.saturating_add_unsigned(ticket)
    }

    /// What has to be met.
    pub fn demands(&self) -> Cow<'_, [Demand]> {
        match (&self.approval.reviewers, self.approval.demands.as_slice()) {
            (Some(reviewers), []) => Cow::Owned(vec![Demand {
                rule: self.rule.clone(),
                any_of: vec![Consent {
                    reviewers: reviewers.clone(),
                    min: self.approval.min,
                }],
            }]),
            (_, demands) => Cow::Borrowed(demands),
        }
    }

    /// Whether `person` is the one who asks: name or address equal the identity's subject or
    /// address, or one of the claims `same_person` has the same value, in any case of letters. A match
    /// too many costs a reviewer; one too few lets somebody approve his own request.
    pub fn is_asked_by(&self, person: &Person, same_person: &[String]) -> bool {
        let theirs = [Some(person.name.as_str()), person.email.as_deref()];
        let asker = [
            Some(self.identity.subject.as_str()),
            self.identity.email.as_deref(),
        ];
        let same = |one: &str, other: &str| one.to_lowercase() == other.to_lowercase();
        let named = theirs
            .into_iter()
            .flatten()
            .any(|mine| asker.into_iter().flatten().any(|other| same(mine, other)));
        named
            || same_person.iter().any(|path| {
                let mut asked: Vec<String> = claim(&self.identity.claims, path);
                if path == "email" {
                    asked.extend(self.identity.email.clone());
                }
                person
                    .claim(path)
                    .iter()
                    .any(|mine| asked.iter().any(|other| same(mine, other)))
            })
    }

    /// Where a vote of `person` would count, in his own right.
    pub fn places_of<'a>(&'a self, person: &'a Person) -> Vec<(usize, usize)> {
        let mut places = Vec::new();
        for (index, demand) in self.demands().iter().enumerate() {
            for (place, consent) in demand.any_of.iter().enumerate() {
                if consent.reviewers.name(person) {
                    places.push((index, place));
                }
            }
        }
        places
    }

    /// The reviewers in words.
    pub fn reviewers_in_words(&self) -> String {
        let demands = self.demands();
        let way = |consent: &Consent| match consent.min {
            1 => consent.reviewers.in_words(),
            min => format!("{min} of {}", consent.reviewers.in_words()),
        };
        let words: Vec<String> = demands
            .iter()
            .map(|demand| {
                demand
                    .any_of
                    .iter()
                    .map(way)
                    .collect::<Vec<_>>()
                    .join(" or ")
            })
            .map(|words| match words.as_str() {
                "" => "nobody: no rule names reviewers".to_owned(),
                _ => words,
            })
            .collect();
        match words.is_empty() {
            true => "nobody: no rule names reviewers".into(),
            false => words.join(", and "),
        }
    }

    /// The repository that it is about, if it names one.
    pub fn repo(&self) -> Option<&str> {
        self.operations.iter().find_map(|o| o.repo.as_deref())
    }

    /// What the request would do, in words: the gateway's summary unless that is the operations'
    /// names, then the operations, then the request line.
    pub fn in_words(&self) -> String {
        match self.operations.first() {
            Some(first) if self.summary.is_empty() || self.summary.starts_with(&first.name) => {
                words::phrase(&self.operations)
            }
            _ if !self.summary.is_empty() => self.summary.clone(),
            _ => format!(
                "{} {}{}",
                self.request.method, self.request.authority, self.request.path
            ),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A question as the gateway puts it, for tests of this crate.
    pub(crate) fn sample(fingerprint_byte: u8, exchange: &str) -> Value {
        serde_json::json!({
            "exchange": exchange,
            "fingerprint": format!("{fingerprint_byte:02x}").repeat(32),
            "identity": {"provider": "corporate", "subject": "ci-runner", "email": null, "groups": ["agents"]},
            "connection": "github-git",
            "session": "s-1",
            "request": {
                "method": "POST", "authority": "github.com",
                "path": "/acme/web.git/git-receive-pack",
                "content_type": "application/x-git-receive-pack-request",
                "body_sha256": "00", "body_size": 123, "body": "hello",
                "body_encoding": "utf8", "body_truncated": false
            },
            "operations": [{
                "name": "ref.push", "aliases": ["git:receive-pack"], "repo": "acme/web",
                "ref": "refs/heads/main", "paths": [], "paths_known": false,
                "attributes": {"change": "update"}
            }],
            "summary": "push to refs/heads/main of acme/web",
            "rule": "production-branch", "reason": null, "policy": "ab".repeat(32),
            "approval": {
                "reviewers": {"groups": ["platform-leads"], "subjects": ["carol"]},
                "min": 1, "hold_ms": 45000, "ticket_s": 900
            }
        })
    }

    fn read(value: &Value) -> Result<Question, String> {
        Question::read(value.to_string().as_bytes())
    }

    #[test]
    fn a_question_that_binds_nothing_is_refused() {
        assert!(read(&sample(1, "e")).is_ok());
        for (pointer, bad) in [
            ("/fingerprint", serde_json::json!("abc")),
            ("/exchange", serde_json::json!("")),
            ("/identity/subject", serde_json::json!("")),
            ("/approval/min", serde_json::json!(0)),
        ] {
            let mut value = sample(1, "e");
            *value.pointer_mut(pointer).unwrap() = bad;
            assert!(read(&value).is_err(), "{pointer}");
        }
    }

    #[test]
    fn reviewers_are_named_and_never_the_asker() {
        let question = read(&sample(1, "e")).unwrap();
        let person = |name: &str, email: Option<&str>, groups: &[&str]| Person {
            name: name.into(),
            email: email.map(str::to_owned),
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
            ..Person::default()
        };
        let may = |person: &Person| !question.places_of(person).is_empty();
        assert!(may(&person("bob", None, &["platform-leads"])));
        assert!(may(&person("carol", None, &[])));
        assert!(!may(&person("dave", None, &["agents"])));
        let asked = |person: &Person| question.is_asked_by(person, &["login".to_owned()]);
        assert!(asked(&person("CI-Runner", None, &["platform-leads"])));
        assert!(asked(&person("x", Some("ci-runner"), &[])));
        assert!(!asked(&person("bob", None, &[])));
        let with_claim = |value: &str| Person {
            claims: serde_json::json!({"login": value})
                .as_object()
                .unwrap()
                .clone(),
            ..person("bob", None, &[])
        };
        let mut named = sample(1, "e");
        named["identity"]["claims"] = serde_json::json!({"login": ["Octo-Bob"]});
        let question = read(&named).unwrap();
        let asked = |person: &Person| question.is_asked_by(person, &["login".to_owned()]);
        assert!(asked(&with_claim("octo-bob")));
        assert!(!asked(&with_claim("ann")));
        assert!(!question.is_asked_by(&with_claim("octo-bob"), &[]));
    }
}

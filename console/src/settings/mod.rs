//! The console's settings file (`countersign serve --settings FILE`): who may stand in for whom, who
//! may break the glass, how people sign in, where notices go and which exports are written. Every error is told with its line
//! and its path; a file with one is not used at all.

mod in_force;
mod read;

pub use in_force::{InForce, Untaken};
pub use read::{read, read_text};

use std::time::Duration;

use countersign_core::policy::Globs;
use serde::Deserialize;
use serde::de::Error as _;

use crate::approvals::demand::Reviewers;
use crate::clock::{Millis, parse_duration, parse_moment};
use crate::export::Format;
use crate::secret::Secret;

/// All of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `v1`.
    #[serde(rename = "version")]
    _version: Version,
    /// Who answers for whom, and how much may wait.
    #[serde(default)]
    pub approvals: Approvals,
    /// How people sign in.
    #[serde(default)]
    pub sign_in: SignIn,
    /// Where notices go.
    #[serde(default)]
    pub notify: Vec<Channel>,
    /// Exports that are written every so often.
    #[serde(default)]
    pub exports: Vec<Export>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
enum Version {
    #[default]
    #[serde(rename = "v1")]
    V1,
}

/// Beyond what the policy says of a rule.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Approvals {
    /// Claims that name a person wherever he signs in: who has the same value as the requester may
    /// not decide. Name and e-mail address are always compared.
    pub same_person: Vec<String>,
    /// Who may let a request through alone, with a reason.
    pub break_glass: Option<BreakGlass>,
    /// Who may also decide for whom, for a time.
    pub delegations: Vec<Delegation>,
    /// Who is away, and who decides instead.
    pub out_of_office: Vec<Absence>,
    /// How much may wait.
    pub limits: Limits,
}

/// Letting a request through alone.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakGlass {
    /// Who may.
    pub reviewers: Reviewers,
    /// Of which rules; of all if there are none.
    #[serde(default)]
    pub rules: Vec<String>,
    /// Letters that the reason has at least.
    #[serde(default = "least_reason")]
    pub min_reason: usize,
}

fn least_reason() -> usize {
    15
}

/// Somebody may decide what another may.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delegation {
    /// Whose right.
    pub from: String,
    /// Who may use it.
    pub to: Vec<String>,
    /// From when on; from always if not given.
    #[serde(default, deserialize_with = "moment")]
    pub starts: Option<Millis>,
    /// Until when; forever is not a time.
    #[serde(deserialize_with = "some_moment")]
    pub ends: Millis,
}

/// Somebody is away.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Absence {
    /// Who. He decides nothing meanwhile and gets no mail.
    pub person: String,
    /// Who may decide what he may.
    #[serde(default)]
    pub instead: Vec<String>,
    /// From when on; from always if not given.
    #[serde(default, deserialize_with = "moment")]
    pub starts: Option<Millis>,
    /// Until when.
    #[serde(deserialize_with = "some_moment")]
    pub ends: Millis,
}

/// How much may wait.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests of one identity that wait for a person at a time.
    pub pending_per_identity: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pending_per_identity: 50,
        }
    }
}

/// How people sign in.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SignIn {
    /// The organisation's identity provider.
    pub oidc: Option<Oidc>,
    /// How long a session lasts, whatever happens in it; an hour if not given, twelve at most.
    #[serde(deserialize_with = "some_length")]
    pub session: Option<Duration>,
    /// Whether secrets from `countersign user add` sign in; they do unless `false`.
    pub secrets: Option<bool>,
}

/// An OpenID provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// Its address; discovery is below it.
    pub issuer: String,
    /// The console's id there.
    pub client_id: String,
    /// Its secret, unless it is a public client.
    pub client_secret: Option<SecretFrom>,
    /// What is asked for beside `openid`.
    #[serde(default = "usual_scopes")]
    pub scopes: Vec<String>,
    /// Claims with the name, the address and the groups.
    #[serde(default)]
    pub claims: ClaimNames,
    /// Claims that are kept for reviewers by claim and for `same_person`.
    #[serde(default)]
    pub keep: Vec<String>,
    /// A file with the certificates to trust, instead of the system's.
    pub ca: Option<std::path::PathBuf>,
    /// What the button says.
    #[serde(default = "button")]
    pub label: String,
    /// Only who is in one of these groups signs in; anybody if there is none.
    #[serde(default)]
    pub groups: Vec<String>,
}

fn usual_scopes() -> Vec<String> {
    vec!["profile".into(), "email".into()]
}

fn button() -> String {
    "Sign in with your organisation".into()
}

/// Which claims say what.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClaimNames {
    /// The name under which the person is known here, the same as in identity tokens.
    pub name: String,
    /// The address.
    pub email: String,
    /// The groups.
    pub groups: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            name: "sub".into(),
            email: "email".into(),
            groups: "groups".into(),
        }
    }
}

/// Where a secret is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretFrom {
    /// The environment variable that holds it.
    pub env: String,
    /// Its value, put in when the file is read.
    #[serde(skip)]
    pub value: Option<Secret>,
}

/// Where notices go.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// Its name, on pages and in the record.
    pub name: String,
    /// What is told.
    #[serde(default = "usual_events")]
    pub events: Vec<Told>,
    /// For which rules; for all if there are none.
    #[serde(default)]
    pub rules: Vec<String>,
    /// A Slack incoming webhook.
    pub slack: Option<SecretFrom>,
    /// A Microsoft Teams workflow's webhook.
    pub teams: Option<SecretFrom>,
    /// Any other receiver.
    pub webhook: Option<Webhook>,
    /// Mail.
    pub email: Option<Email>,
}

fn usual_events() -> Vec<Told> {
    vec![Told::Asked, Told::BrokeGlass]
}

/// What a channel can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// Somebody has to decide.
    Asked,
    /// It was approved.
    Approved,
    /// It was refused.
    Refused,
    /// It was let through alone.
    BrokeGlass,
    /// Nobody decided.
    Expired,
}

impl Told {
    /// The step that it is.
    pub fn step(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Approved => "approved",
            Self::Refused => "refused",
            Self::BrokeGlass => "broke_glass",
            Self::Expired => "expired",
        }
    }
}

/// An export that is written every so often.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// Its name, with which its files begin and under which its cursor is kept.
    pub name: String,
    /// How often, in milliseconds.
    #[serde(deserialize_with = "some_interval")]
    pub every: Millis,
    /// What is written.
    #[serde(deserialize_with = "some_format")]
    pub format: Format,
    /// Where its files go; it has to be there.
    pub directory: std::path::PathBuf,
    /// Only exchanges that this search finds.
    pub query: Option<String>,
}

/// A receiver that checks signatures.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Its address.
    pub url: String,
    /// The key that both sides know.
    pub key: SecretFrom,
    /// A file with the certificates to trust, instead of the system's.
    pub ca: Option<std::path::PathBuf>,
}

/// A mail server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Email {
    /// `smtps://mail.example.com`, `smtp+starttls://…:587`, or `smtp://` on this machine.
    pub server: String,
    /// Who signs in there.
    pub user: Option<String>,
    /// With what.
    pub password: Option<SecretFrom>,
    /// The sender.
    pub from: String,
    /// Who always gets one.
    #[serde(default)]
    pub to: Vec<String>,
    /// Whether everybody gets one who may decide and whose address is known.
    #[serde(default)]
    pub reviewers: bool,
}

impl Settings {
    /// How long a session lasts.
    pub fn session(&self) -> Duration {
        self.sign_in.session.unwrap_or(Duration::from_secs(3600))
    }
}

impl BreakGlass {
    /// Whether it is for requests that all of these rules ask about.
    pub fn covers(&self, rules: &[&str]) -> bool {
        covers(&self.rules, rules)
    }
}

impl Channel {
    /// Whether it is told of requests about which one of these rules asks.
    pub fn is_told_of(&self, step: &str, rules: &[&str]) -> bool {
        self.events.iter().any(|told| told.step() == step)
            && (self.rules.is_empty() || rules.iter().any(|rule| covers(&self.rules, &[rule])))
    }
}

/// Whether the patterns name every rule.
fn covers(patterns: &[String], rules: &[&str]) -> bool {
    let mut globs = Globs::default();
    patterns.iter().all(|pattern| globs.push(pattern).is_ok())
        && rules.iter().all(|rule| globs.matches(rule))
}

fn some_moment<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Millis, D::Error> {
    let text = String::deserialize(from)?;
    parse_moment(&text, 0).map_err(D::Error::custom)
}

fn moment<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Millis>, D::Error> {
    some_moment(from).map(Some)
}

fn some_interval<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Millis, D::Error> {
    let text = String::deserialize(from)?;
    let length = parse_duration(&text).map_err(D::Error::custom)?;
    if !(1_000..=31 * 86_400_000).contains(&length) {
        return Err(D::Error::custom(
            "an export is written every 1s to every 31d",
        ));
    }
    Ok(length)
}

fn some_format<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Format, D::Error> {
    let text = String::deserialize(from)?;
    Format::from_name(&text).ok_or_else(|| {
        let names = Format::ALL.map(Format::name).join(", ");
        D::Error::custom(format!("`{text}` is none of {names}"))
    })
}

fn some_length<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(from)?;
    let length = parse_duration(&text).map_err(D::Error::custom)?;
    if !(60_000..=12 * 3_600_000).contains(&length) {
        return Err(D::Error::custom("a session lasts from 1m to 12h"));
    }
    Ok(Some(Duration::from_millis(length.unsigned_abs())))
}

//! From a file to settings, or to everything that is wrong with it.

use std::path::Path;

use super::{Channel, Export, Reviewers, SecretFrom, Settings};
use crate::exchanges::query;
use crate::failure::Failure;
use crate::policy::check::{read_file, report};
use crate::policy::document::{Document, parse};
use crate::policy::{Place, Problem};
use crate::secret::Secret;

/// The settings in the file at `path`; `environment` finds secrets.
///
/// # Errors
/// Every problem of the file, with its place.
pub fn read(
    path: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Settings, Failure> {
    read_text(&read_file(path)?, environment).map_err(|problems| {
        Failure::new(
            report(path, &problems),
            "The console starts only with settings that it understands whole.",
        )
    })
}

/// As [`read`], from text.
///
/// # Errors
/// Every problem of the text, in its order.
pub fn read_text(
    text: &str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Settings, Vec<Problem>> {
    let nodes = parse(text).map_err(|problem| vec![problem])?;
    let document = match nodes.as_slice() {
        [node] => Document::of(node)?,
        _ => {
            return Err(vec![Problem {
                place: Place { line: 1, column: 1 },
                path: String::new(),
                message: "one YAML document is wanted".into(),
                warning: false,
            }]);
        }
    };
    let problem = |path: &str, message: String| Problem {
        place: document.place(path),
        path: path.to_owned(),
        message,
        warning: false,
    };
    let read: Result<Settings, _> = serde_path_to_error::deserialize(document.value.clone());
    let mut settings = read.map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { "" } else { path.as_str() };
        vec![problem(path, error.inner().to_string())]
    })?;
    let mut found = Vec::new();
    let mut fault = |path: String, message: String| found.push(problem(&path, message));
    secrets(&mut settings, environment, &mut fault);
    approvals(&settings, &mut fault);
    sign_in(&settings, &mut fault);
    for (index, channel) in settings.notify.iter().enumerate() {
        let path = format!("notify[{index}]");
        if settings
            .notify
            .iter()
            .take(index)
            .any(|c| c.name == channel.name)
        {
            fault(
                format!("{path}.name"),
                format!("a second channel named `{}`", channel.name),
            );
        }
        self::channel(channel, &path, &mut fault);
    }
    exports(&settings.exports, &mut fault);
    found.sort_by_key(|problem| problem.place);
    match found.is_empty() {
        true => Ok(settings),
        false => Err(found),
    }
}

type Fault<'a> = &'a mut dyn FnMut(String, String);

fn secrets(
    settings: &mut Settings,
    environment: &dyn Fn(&str) -> Option<String>,
    fault: Fault<'_>,
) {
    let mut fill = |path: String, secret: Option<&mut SecretFrom>| {
        let Some(secret) = secret else { return };
        match environment(&secret.env).filter(|value| !value.trim().is_empty()) {
            Some(value) => secret.value = Some(Secret::new(value.trim())),
            None => fault(
                path,
                format!("the environment variable {} is not set", secret.env),
            ),
        }
    };
    if let Some(oidc) = &mut settings.sign_in.oidc {
        fill(
            "sign_in.oidc.client_secret".into(),
            oidc.client_secret.as_mut(),
        );
    }
    for (index, channel) in settings.notify.iter_mut().enumerate() {
        let path = |rest: &str| format!("notify[{index}].{rest}");
        fill(path("slack"), channel.slack.as_mut());
        fill(path("teams"), channel.teams.as_mut());
        fill(
            path("webhook.key"),
            channel.webhook.as_mut().map(|hook| &mut hook.key),
        );
        let password = channel
            .email
            .as_mut()
            .and_then(|mail| mail.password.as_mut());
        fill(path("email.password"), password);
    }
}

fn approvals(settings: &Settings, fault: Fault<'_>) {
    let approvals = &settings.approvals;
    if let Some(glass) = &approvals.break_glass {
        if glass.reviewers.is_empty() {
            fault(
                "approvals.break_glass.reviewers".into(),
                "names nobody".into(),
            );
        }
        claims(&glass.reviewers, "approvals.break_glass.reviewers", fault);
        patterns(&glass.rules, "approvals.break_glass.rules", fault);
        if glass.min_reason == 0 {
            let why = "letting a request through alone needs a reason: at least 1".to_owned();
            fault("approvals.break_glass.min_reason".into(), why);
        }
    }
    for (index, one) in approvals.delegations.iter().enumerate() {
        let path = format!("approvals.delegations[{index}]");
        stand_ins(&one.from, &one.to, &format!("{path}.to"), fault);
        if one.to.is_empty() {
            fault(format!("{path}.to"), "names nobody".into());
        }
        window(one.starts, one.ends, &path, fault);
    }
    for (index, one) in approvals.out_of_office.iter().enumerate() {
        let path = format!("approvals.out_of_office[{index}]");
        stand_ins(&one.person, &one.instead, &format!("{path}.instead"), fault);
        window(one.starts, one.ends, &path, fault);
    }
    if approvals.limits.pending_per_identity == 0 {
        let why = "0 would refuse every request that has to be approved".to_owned();
        fault("approvals.limits.pending_per_identity".into(), why);
    }
}

fn stand_ins(of: &str, names: &[String], path: &str, fault: Fault<'_>) {
    if names
        .iter()
        .any(|name| name.to_lowercase() == of.to_lowercase())
    {
        fault(path.into(), format!("{of} cannot stand in for himself"));
    }
}

fn window(starts: Option<i64>, ends: i64, path: &str, fault: Fault<'_>) {
    if starts.is_some_and(|starts| starts >= ends) {
        fault(format!("{path}.ends"), "is not after `starts`".into());
    }
}

fn claims(reviewers: &Reviewers, path: &str, fault: Fault<'_>) {
    for (claim, value) in &reviewers.claims {
        let texts = crate::approvals::demand::texts(value);
        if texts.is_empty() {
            fault(
                format!("{path}.claims.{claim}"),
                "write a pattern or a list of them".into(),
            );
        }
        patterns(&texts, &format!("{path}.claims.{claim}"), fault);
    }
}

fn patterns(patterns: &[String], path: &str, fault: Fault<'_>) {
    for pattern in patterns {
        if let Err(why) = countersign_core::policy::Globs::default().push(pattern) {
            fault(path.into(), why);
        }
    }
}

fn sign_in(settings: &Settings, fault: Fault<'_>) {
    match &settings.sign_in.oidc {
        None if settings.sign_in.secrets == Some(false) => {
            let why = "without `oidc` nobody could sign in".to_owned();
            fault("sign_in.secrets".into(), why);
        }
        None => {}
        Some(oidc) => address(&oidc.issuer, "sign_in.oidc.issuer", fault),
    }
}

fn channel(channel: &Channel, path: &str, fault: Fault<'_>) {
    let Channel {
        slack,
        teams,
        webhook,
        email,
        ..
    } = channel;
    let kinds = [
        slack.is_some(),
        teams.is_some(),
        webhook.is_some(),
        email.is_some(),
    ];
    if kinds.iter().filter(|there| **there).count() != 1 {
        let why = "is exactly one of slack, teams, webhook and email".to_owned();
        fault(path.into(), why);
    }
    if channel.events.is_empty() {
        fault(
            format!("{path}.events"),
            "would tell nothing; leave it out for the usual ones".into(),
        );
    }
    patterns(&channel.rules, &format!("{path}.rules"), fault);
    for (kind, secret) in [("slack", slack), ("teams", teams)] {
        if let Some(value) = secret.as_ref().and_then(|secret| secret.value.as_ref()) {
            // The address is the secret: it is not repeated in the message.
            if !is_address(value.expose()) {
                let why =
                    "the variable does not hold an address such as https://hooks.example.com/…";
                fault(format!("{path}.{kind}.env"), why.into());
            }
        }
    }
    if let Some(webhook) = webhook {
        address(&webhook.url, &format!("{path}.webhook.url"), fault);
        let short = |key: &Secret| key.expose().len() < 16;
        if webhook.key.value.as_ref().is_some_and(short) {
            fault(
                format!("{path}.webhook.key"),
                "is shorter than 16 characters".into(),
            );
        }
    }
    if let Some(email) = email {
        if let Err(why) = crate::notify::mail::check(email) {
            fault(format!("{path}.email"), why);
        }
        if email.to.is_empty() && !email.reviewers {
            fault(
                format!("{path}.email.to"),
                "names nobody, and `reviewers` is not true".into(),
            );
        }
        if email.user.is_some() != email.password.is_some() {
            fault(
                format!("{path}.email.user"),
                "`user` and `password` belong together".into(),
            );
        }
    }
}

fn exports(exports: &[Export], fault: Fault<'_>) {
    for (index, export) in exports.iter().enumerate() {
        let path = |key: &str| format!("exports[{index}].{key}");
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if export.name.is_empty() || !export.name.chars().all(plain) {
            let why = "files are named after it: letters, digits, - and _";
            fault(path("name"), why.into());
        }
        let before = exports.iter().take(index);
        if before.into_iter().any(|other| other.name == export.name) {
            let why = format!("a second export named `{}`", export.name);
            fault(path("name"), why);
        }
        if !export.directory.is_absolute() {
            let why = "is not an absolute path: it would depend on where the console is started";
            fault(path("directory"), why.into());
        }
        if let Some(Err(why)) = export.query.as_deref().map(|text| query::parse(text, 0)) {
            fault(path("query"), why.to_string());
        }
    }
}

fn address(url: &str, path: &str, fault: Fault<'_>) {
    if !is_address(url) {
        let why = "is not an https:// address (http:// only on this machine)".to_owned();
        fault(path.into(), why);
    }
}

/// `https://…`, or `http://` on this machine.
fn is_address(url: &str) -> bool {
    let Ok(uri) = url.parse::<axum::http::Uri>() else {
        return false;
    };
    let host = uri.host().unwrap_or_default();
    match uri.scheme_str() {
        Some("https") => !host.is_empty(),
        Some("http") => matches!(host, "127.0.0.1" | "[::1]" | "localhost"),
        _ => false,
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;

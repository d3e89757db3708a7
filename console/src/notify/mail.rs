//! Messages as mail.

use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{SmtpTransport, Transport};

use super::Message;
use crate::settings::Email;

/// One attempt takes at most this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// What cannot be sent with these settings, if so.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(email: &Email) -> Result<(), String> {
    transport(email)?;
    mailbox(&email.from)?;
    email.to.iter().try_for_each(|to| mailbox(to).map(drop))
}

/// Sends `message` to those of the settings and to `reviewers`, who do not see each other.
///
/// # Errors
/// What the server said.
pub fn send(email: &Email, message: &Message, reviewers: &[String]) -> Result<(), String> {
    let mut builder: MessageBuilder = lettre::Message::builder()
        .from(mailbox(&email.from)?)
        .subject(format!("[Countersign] {}", message.title))
        .message_id(None)
        .header(ContentType::TEXT_PLAIN);
    for to in &email.to {
        builder = builder.to(mailbox(to)?);
    }
    // An address that an identity provider told and that is none is left out, not an error for all.
    let reviewers: Vec<Mailbox> = reviewers.iter().filter_map(|to| mailbox(to).ok()).collect();
    if email.to.is_empty() && reviewers.is_empty() {
        return Err("nobody who may decide has an address that is known".to_owned());
    }
    for reviewer in reviewers {
        builder = builder.bcc(reviewer);
    }
    let mail = builder
        .body(message.to_text())
        .map_err(|error| error.to_string())?;
    let sent = transport(email)?.send(&mail);
    sent.map(drop).map_err(|error| error.to_string())
}

fn mailbox(text: &str) -> Result<Mailbox, String> {
    text.parse()
        .map_err(|error| format!("`{text}` is not a mail address: {error}"))
}

fn transport(email: &Email) -> Result<SmtpTransport, String> {
    let wrong = || {
        format!(
            "`{}` is not a server such as smtps://mail.example.com or smtp+starttls://mail.example.com:587",
            email.server
        )
    };
    let uri: axum::http::Uri = email.server.parse().map_err(|_| wrong())?;
    let host = uri
        .host()
        .filter(|host| !host.is_empty())
        .ok_or_else(wrong)?;
    let tls = || TlsParameters::new(host.to_owned()).map_err(|error| error.to_string());
    let (usual, tls) = match uri.scheme_str() {
        Some("smtps") => (465, Tls::Wrapper(tls()?)),
        Some("smtp+starttls") => (587, Tls::Required(tls()?)),
        // In the clear to this machine only: a relay that sends on.
        Some("smtp") if matches!(host, "127.0.0.1" | "localhost" | "[::1]") => (25, Tls::None),
        _ => return Err(wrong()),
    };
    let mut builder = SmtpTransport::builder_dangerous(host)
        .port(uri.port_u16().unwrap_or(usual))
        .tls(tls)
        .timeout(Some(PATIENCE));
    if let (Some(user), Some(password)) = (&email.user, &email.password) {
        let value = password
            .value
            .as_ref()
            .map(|value| value.expose().to_owned());
        builder = builder.credentials(Credentials::new(user.clone(), value.unwrap_or_default()));
    }
    Ok(builder.build())
}

//! Messages as chats and programs take them. What agents chose is plain text in all of them: it can
//! neither mention anybody nor be a link.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::Message;

/// A Slack message in blocks.
pub fn slack(message: &Message) -> Value {
    let plain = |text: &str| json!({"type": "plain_text", "text": text, "emoji": false});
    let facts: Vec<Value> = message
        .facts
        .iter()
        .map(|(name, fact)| plain(&format!("{name}: {fact}")))
        .collect();
    // Slack allows ten fields in a section.
    let fields: Vec<Value> = facts.into_iter().take(10).collect();
    json!({
        "text": escaped(&message.title),
        "blocks": [
            {"type": "section", "text": plain(&message.title), "fields": fields},
            {"type": "actions", "elements": [
                {"type": "button", "text": plain("Open in Countersign"), "url": message.link},
            ]},
        ],
    })
}

/// Slack's three control characters.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// An adaptive card, as a Teams workflow takes it. Runs of text are not read as Markdown.
pub fn teams(message: &Message) -> Value {
    let run = |text: String, bold: bool| {
        let weight = if bold { "Bolder" } else { "Default" };
        json!({"type": "TextRun", "text": text, "weight": weight})
    };
    let mut body = vec![json!({
        "type": "RichTextBlock", "inlines": [run(message.title.clone(), true)],
    })];
    for (name, fact) in &message.facts {
        body.push(json!({
            "type": "RichTextBlock", "spacing": "None",
            "inlines": [run(format!("{name}: "), true), run(fact.clone(), false)],
        }));
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": body,
                "actions": [{"type": "Action.OpenUrl", "title": "Open in Countersign", "url": message.link}],
            },
        }],
    })
}

/// The headers of a signed notice, in the form of standardwebhooks.com: the receiver checks them with
/// the key that both know, and throws away what is old or came before.
pub fn signed(
    key: &str,
    id: &str,
    seconds: i64,
    body: &str,
) -> Result<Vec<(&'static str, String)>, String> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key.as_bytes()).map_err(|error| error.to_string())?;
    mac.update(format!("{id}.{seconds}.{body}").as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    Ok(vec![
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", format!("v1,{signature}")),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_of_the_specification() {
        // The example of the specification's reference libraries, whose key is in base64.
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = r#"{"test": 2432232314}"#;
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{body}").as_bytes());
        let expected = "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(STANDARD.encode(mac.finalize().into_bytes()), expected);
        let headers = signed("a key of both sides", "id", 7, body).unwrap();
        let other = signed("a key of both sides", "id", 8, body).unwrap();
        assert_eq!(headers[1].1, "7");
        assert_ne!(headers[2], other[2], "the time is signed as well");
    }
}

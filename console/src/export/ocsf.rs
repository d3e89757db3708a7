//! OCSF 1.4: API Activity (class 6003), with the profile `security_control` for the decision.

use serde_json::{Map, Value, json};

use super::Item;
use crate::replay::Exchange;

const VERSION: &str = "1.4.0";
const CLASS: i64 = 6003;

pub(super) fn event(item: &Item, exchange: &Exchange) -> Value {
    let text = |key: &str| exchange.text(key);
    let decision = exchange.decision();
    let activity = activity(exchange);
    let status = exchange.number("http.response.status_code");
    let blocked = matches!(
        decision,
        "denied" | "undecided_denied" | "held_refused" | "held_expired"
    );
    let failed = blocked || status.is_some_and(|status| status >= 400);
    let open = !exchange.has_outcome();
    let (action_id, action, disposition_id, disposition) = match decision {
        _ if blocked => (2, "Denied", 2, "Blocked"),
        "observed" => (3, "Observed", 17, "Logged"),
        "held" => (0, "Unknown", 0, "Unknown"),
        _ => (1, "Allowed", 1, "Allowed"),
    };
    let (status_id, status_name) = match (open, failed) {
        (true, _) => (0, "Unknown"),
        (false, true) => (2, "Failure"),
        (false, false) => (1, "Success"),
    };
    let (severity_id, severity) = match blocked {
        true => (3, "Medium"),
        false => (1, "Informational"),
    };
    let names: Vec<&str> = exchange.operations().map(|o| o.name()).collect();
    let operation = match names.is_empty() {
        true => text("http.request.method").unwrap_or("unknown").to_owned(),
        false => names.join(", "),
    };
    let mut event = json!({
        "activity_id": activity.0,
        "activity_name": activity.1,
        "category_uid": 6,
        "category_name": "Application Activity",
        "class_uid": CLASS,
        "class_name": "API Activity",
        "type_uid": CLASS * 100 + activity.0,
        "type_name": format!("API Activity: {}", activity.1),
        "severity_id": severity_id,
        "severity": severity,
        "time": exchange.at,
        "start_time": exchange.at,
        "status_id": status_id,
        "status": status_name,
        "action_id": action_id,
        "action": action,
        "disposition_id": disposition_id,
        "disposition": disposition,
        "metadata": {
            "version": VERSION,
            "profiles": ["security_control"],
            "product": {
                "name": "Countersign",
                "vendor_name": "Countersign",
                "version": env!("CARGO_PKG_VERSION"),
            },
            // The same exchange told again, open and then ended, has another uid.
            "uid": format!("{}:{}", exchange.id, item.index),
            "correlation_uid": exchange.id,
            "sequence": item.index,
            "logged_time": item.received_at,
            "log_name": "countersign",
        },
        "actor": actor(exchange),
        "api": { "operation": operation, "request": { "uid": exchange.id } },
        "src_endpoint": { "ip": address(text("client.address").unwrap_or("0.0.0.0")) },
        "http_request": {
            "uid": exchange.id,
            "http_method": text("http.request.method").unwrap_or_default(),
            "user_agent": text("user_agent.original").unwrap_or_default(),
            "url": {
                "url_string": text("url.full").unwrap_or_default(),
                "hostname": text("server.address").unwrap_or_default(),
                "path": exchange.path(),
            },
        },
        "message": message(exchange, &operation),
        "unmapped": unmapped(exchange),
    });
    if let Some(service) = text("countersign.connection") {
        event["api"]["service"] = json!({ "name": service });
    }
    if let Some(host) = text("server.address") {
        event["dst_endpoint"] = json!({ "hostname": host });
    }
    if let Some(status) = status {
        event["http_response"] = json!({ "code": status });
        event["api"]["response"] = json!({ "code": status });
        event["status_code"] = status.to_string().into();
    }
    if let Some(reason) = text("countersign.reason") {
        event["status_detail"] = reason.into();
    }
    if let Some(rule) = text("countersign.rule") {
        let policy = text("countersign.policy.digest").unwrap_or_default();
        event["policy"] = json!({ "name": rule, "uid": policy, "is_applied": true });
    }
    if let Some(ended) = exchange.ended {
        event["end_time"] = ended.into();
        event["duration"] = (ended - exchange.at).max(0).into();
    }
    let resources = resources(exchange);
    if !resources.is_empty() {
        event["resources"] = resources.into();
    }
    event
}

/// Create, read, update or delete, as the operations' names say.
fn activity(exchange: &Exchange) -> (i64, &'static str) {
    let mut found = (0, "Unknown");
    for operation in exchange.operations() {
        let verb = operation.name().rsplit('.').next().unwrap_or_default();
        let this = if !operation.is_write() {
            (2, "Read")
        } else if ["delete", "remove"].iter().any(|word| verb.contains(word))
            || operation.attribute("change") == Some("delete")
        {
            (4, "Delete")
        } else if verb.contains("create") || operation.attribute("change") == Some("create") {
            (1, "Create")
        } else {
            (3, "Update")
        };
        // Of several the gravest counts.
        let weight = |id: i64| [0, 1, 3, 2, 4].iter().position(|x| *x == id && id != 0);
        let order = |id: i64| match id {
            4 => 4,
            3 => 3,
            1 => 2,
            2 => 1,
            _ => weight(id).unwrap_or(0),
        };
        if order(this.0) > order(found.0) {
            found = this;
        }
    }
    match (found.0, exchange.text("http.request.method")) {
        (0, Some("GET" | "HEAD" | "OPTIONS")) => (2, "Read"),
        (0, Some("POST")) => (1, "Create"),
        (0, Some("PUT" | "PATCH")) => (3, "Update"),
        (0, Some("DELETE")) => (4, "Delete"),
        _ => found,
    }
}

fn actor(exchange: &Exchange) -> Value {
    let text = |key: &str| exchange.text(key);
    let groups: Vec<Value> = exchange
        .list("countersign.identity.groups")
        .map(|group| json!({ "name": group }))
        .collect();
    let mut user = json!({ "uid": text("user.id").unwrap_or("unknown") });
    if let Some(email) = text("user.email") {
        user["email_addr"] = email.into();
    }
    if !groups.is_empty() {
        user["groups"] = groups.into();
    }
    let mut actor = json!({ "user": user });
    if let Some(session) = text("countersign.session.id") {
        actor["session"] = json!({ "uid": session });
    }
    if let Some(provider) = text("countersign.identity.provider") {
        actor["idp"] = json!({ "name": provider });
    }
    if let Some(agent) = text("user_agent.original") {
        actor["app_name"] = agent.into();
    }
    actor
}

fn resources(exchange: &Exchange) -> Vec<Value> {
    let mut resources = Vec::new();
    for operation in exchange.operations() {
        if let Some(repo) = operation.text("repo") {
            let mut resource = json!({ "type": "repository", "name": repo });
            if let Some(reference) = operation.text("ref") {
                resource["labels"] = json!([reference]);
            }
            if !resources.contains(&resource) {
                resources.push(resource);
            }
        }
    }
    resources
}

/// An address without its port.
fn address(address: &str) -> &str {
    match address.parse::<std::net::SocketAddr>() {
        Ok(_) => address
            .rsplit_once(':')
            .map_or(address, |(ip, _)| ip.trim_matches(['[', ']'])),
        Err(_) => address,
    }
}

pub(super) fn message(exchange: &Exchange, operation: &str) -> String {
    let text = |key: &str| exchange.text(key);
    let user = text("user.id").unwrap_or("unknown");
    let decision = match exchange.decision() {
        "" => "recorded",
        decision => decision,
    };
    let mut message = format!("{user}: {operation} {decision}");
    if let Some(rule) = text("countersign.rule") {
        message.push_str(&format!(" by rule {rule}"));
    }
    if let Some(status) = exchange.number("http.response.status_code") {
        message.push_str(&format!(", status {status}"));
    }
    message
}

/// What OCSF has no place for. Bodies stay out: they are for an archive, not for an alert.
fn unmapped(exchange: &Exchange) -> Map<String, Value> {
    const KEYS: [&str; 12] = [
        "countersign.operations",
        "countersign.decision",
        "countersign.reason.detail",
        "countersign.approval.id",
        "countersign.approval.by",
        "countersign.approval.at",
        "countersign.masks",
        "countersign.not_captured",
        "countersign.mode",
        "countersign.end",
        "countersign.identity.token_id",
        "gen_ai.request.model",
    ];
    KEYS.into_iter()
        .filter_map(|key| Some((key.to_owned(), exchange.find(key)?.clone())))
        .collect()
}

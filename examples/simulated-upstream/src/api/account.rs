//! Everything that belongs to no repository: the user, the organisation, gists, searches, limits, Copilot's entry points.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Call, rate, repositories, shelves};
use crate::answer::{Answer, Content, request_id};
use crate::organisation::{ORGANISATION, Organisation, VIEWER, now};
use crate::refusal::{Outcome, Refusal};
use crate::upstream::Upstream;
use crate::view;

pub(super) fn answer(
    organisation: &mut Organisation,
    upstream: &Upstream,
    call: &Call,
    method: &str,
    path: &[&str],
) -> Outcome<Answer> {
    let at = &call.at;
    match (method, path) {
        ("GET", []) => Ok(Answer::ok(json!({
            "current_user_url": format!("{}/user", at.api),
            "repository_url": format!("{}/repos/{{owner}}/{{repo}}", at.api),
            "rate_limit_url": format!("{}/rate_limit", at.api),
        }))),
        ("GET", ["zen"]) => Ok(Answer::bytes(
            "text/plain;charset=utf-8",
            b"Approachable is better than simple.".to_vec(),
        )),
        ("GET", ["meta"]) => Ok(Answer::ok(json!({
            "verifiable_password_authentication": false,
            "installed_version": "3.19.0",
            "domains": { "copilot": ["*.githubcopilot.com"] },
        }))),
        ("GET", ["rate_limit"]) => {
            let core = rate(upstream);
            let graphql =
                json!({ "limit": 5000, "remaining": 5000, "used": 0, "reset": core["reset"] });
            Ok(Answer::ok(
                json!({ "resources": { "core": core, "search": core, "graphql": graphql }, "rate": core }),
            ))
        }
        ("GET", ["user"]) => Ok(Answer::ok(user(VIEWER, call))),
        ("GET", ["user", "orgs"]) => Ok(Answer::ok(json!([view::account(ORGANISATION, at)]))),
        ("GET", ["user", "emails"]) => {
            let email = format!("{VIEWER}@users.noreply.github.com");
            Ok(Answer::ok(
                json!([{ "email": email, "primary": true, "verified": true, "visibility": "private" }]),
            ))
        }
        ("GET", ["users", login]) => match *login {
            ORGANISATION | VIEWER | "ada" => Ok(Answer::ok(user(login, call))),
            _ => Err(Refusal::not_found()),
        },
        ("GET", ["orgs", ORGANISATION]) => Ok(Answer::ok(user(ORGANISATION, call))),
        ("GET", ["orgs", ORGANISATION, "members"]) => Ok(Answer::ok(json!([
            view::account("ada", at),
            view::account(VIEWER, at)
        ]))),
        ("DELETE", ["orgs", ORGANISATION]) => {
            let names: Vec<_> = organisation
                .repositories
                .iter()
                .map(|found| (found.owner.clone(), found.name.clone()))
                .collect();
            for (owner, name) in names.iter().filter(|(owner, _)| owner == ORGANISATION) {
                organisation.delete(owner, name)?;
            }
            Ok(Answer::new(StatusCode::ACCEPTED, json!({})))
        }
        ("GET", ["user", "repos"]) => Ok(list(organisation, call, None)),
        ("GET", ["users" | "orgs", owner, "repos"]) => Ok(list(organisation, call, Some(owner))),
        ("POST", ["user", "repos"]) => repositories::create(organisation, call, VIEWER),
        ("POST", ["orgs", owner, "repos"]) => repositories::create(organisation, call, owner),
        ("GET", ["search", "repositories"]) => {
            let wanted = call.parameter("q").to_lowercase();
            let words: Vec<&str> = wanted
                .split_whitespace()
                .filter(|word| !word.contains(':'))
                .collect();
            let found: Vec<Value> = organisation
                .repositories
                .iter()
                .filter(|found| {
                    let text =
                        format!("{} {}", found.full_name(), found.description).to_lowercase();
                    words.iter().all(|word| text.contains(word))
                })
                .map(|found| view::repository(found, at))
                .collect();
            search(call, found)
        }
        ("GET", ["search", "issues"]) => {
            let found = organisation.repositories.iter().flat_map(|repository| {
                repository
                    .issues
                    .iter()
                    .map(|issue| view::issue(repository, issue, at))
            });
            search(call, found.collect())
        }
        ("GET", ["notifications"]) => Ok(Answer::ok(json!([]))),
        ("GET", ["search", "code"]) => search(call, Vec::new()),
        (_, ["gists", ..]) => gists(organisation, call, method, path),
        (_, ["orgs", ORGANISATION, rest @ ..]) => {
            shelves::keep(&mut organisation.shelves, call, method, rest, 1)
        }
        (_, ["user", rest @ ..]) if !rest.is_empty() => {
            shelves::keep(&mut organisation.shelves, call, method, rest, 2)
        }
        ("POST", ["app", "installations", _, "access_tokens"]) => {
            let token = crate::samples::github_token("ghs_", "installation");
            Ok(Answer::created(
                json!({ "token": token, "expires_at": now(), "permissions": { "contents": "write" } }),
            ))
        }
        _ => Err(Refusal::not_found()),
    }
}

/// What the Copilot clients ask api.github.com before they talk to the Copilot API.
pub(super) fn copilot(
    upstream: &Upstream,
    call: &Call,
    method: &str,
    path: &[&str],
) -> Outcome<Answer> {
    let base = &call.at.copilot;
    let endpoints =
        json!({ "api": base, "proxy": base, "origin-tracker": base, "telemetry": base });
    match (method, path) {
        ("GET", ["user"]) => Ok(Answer::ok(json!({
            "login": VIEWER,
            "access_type_sku": "copilot_enterprise_seat_quota",
            "analytics_tracking_id": "0123456789abcdef0123456789abcdef",
            "assigned_date": "2025-01-01T00:00:00Z",
            "can_signup_for_limited": false,
            "chat_enabled": true,
            "copilot_plan": "enterprise",
            "organization_login_list": [ORGANISATION],
            "organization_list": [{ "login": ORGANISATION, "name": "Acme" }],
            "endpoints": endpoints,
            "quota_reset_date": "2099-01-01",
            "quota_snapshots": {
                "chat": quota("chat"), "completions": quota("completions"), "premium_interactions": quota("premium_interactions"),
            },
        }))),
        ("GET", ["v2", "token"]) => {
            let expires = jiff::Timestamp::now().as_second() + 1800;
            let id = request_id().replace(':', "").to_lowercase();
            let token = format!(
                "tid={id};exp={expires};sku=copilot_enterprise_seat_quota;st=dotcom;chat=1;8kp=1:{id}"
            );
            upstream.credential.issue(token.clone());
            Ok(Answer::ok(json!({
                "token": token,
                "expires_at": expires,
                "refresh_in": 1500,
                "sku": "copilot_enterprise_seat_quota",
                "individual": false,
                "chat_enabled": true,
                "chat_jetbrains_enabled": true,
                "copilotignore_enabled": true,
                "code_quote_enabled": true,
                "public_suggestions": "enabled",
                "telemetry": "disabled",
                "organization_list": [ORGANISATION],
                "tracking_id": "0123456789abcdef0123456789abcdef",
                "endpoints": endpoints,
            })))
        }
        ("GET", ["managed_settings"]) => Ok(Answer::ok(json!({}))),
        ("GET", ["team_customizations"]) => Ok(Answer::ok(json!([]))),
        _ => Err(Refusal::not_found()),
    }
}

fn quota(id: &str) -> Value {
    json!({
        "quota_id": id, "entitlement": 0, "remaining": 0, "quota_remaining": 0, "percent_remaining": 100.0,
        "unlimited": true, "overage_count": 0, "overage_permitted": false,
    })
}

fn user(login: &str, call: &Call) -> Value {
    let mut shown = view::account(login, &call.at);
    let name = match login {
        ORGANISATION => "Acme",
        VIEWER => "Acme Bot",
        _ => "Ada Example",
    };
    for (member, value) in [
        ("name", json!(name)),
        ("email", Value::Null),
        ("company", json!("Acme")),
        ("public_repos", json!(2)),
        ("followers", json!(0)),
        ("created_at", json!("2020-01-01T00:00:00Z")),
        ("updated_at", json!("2020-01-01T00:00:00Z")),
        ("two_factor_authentication", json!(true)),
        (
            "plan",
            json!({ "name": "enterprise", "space": 976_562_499, "private_repos": 999_999, "collaborators": 0 }),
        ),
    ] {
        shown[member] = value;
    }
    shown
}

fn list(organisation: &Organisation, call: &Call, owner: Option<&str>) -> Answer {
    let wanted = |login: &str| owner.is_none_or(|owner| owner.eq_ignore_ascii_case(login));
    let found = organisation
        .repositories
        .iter()
        .filter(|found| wanted(&found.owner));
    call.page(
        found
            .map(|found| view::repository(found, &call.at))
            .collect(),
    )
}

fn search(call: &Call, found: Vec<Value>) -> Outcome<Answer> {
    if call.parameter("q").is_empty() {
        return Err(Refusal::invalid("Search", "q", "missing"));
    }
    let total = found.len();
    let mut answer = call.page(found);
    if let Content::Json(items) = answer.body {
        answer.body = Content::Json(
            json!({ "total_count": total, "incomplete_results": false, "items": items }),
        );
    }
    Ok(answer)
}

fn gists(
    organisation: &mut Organisation,
    call: &Call,
    method: &str,
    path: &[&str],
) -> Outcome<Answer> {
    if method == "POST" && path.len() == 1 {
        let Some(given) = call.body["files"]
            .as_object()
            .filter(|files| !files.is_empty())
        else {
            return Err(Refusal::invalid("Gist", "files", "missing_field"));
        };
        let id = format!("{:032x}", organisation.next_id());
        let files = given.iter().map(|(name, file)| {
            let content = file["content"].as_str().unwrap_or_default();
            let shown = json!({ "filename": name, "type": "text/plain", "size": content.len(), "content": content });
            (name.clone(), shown)
        });
        let gist = json!({
            "id": id,
            "url": format!("{}/gists/{id}", call.at.api),
            "html_url": format!("{}/gist/{id}", call.at.web),
            "public": call.body["public"].as_bool().unwrap_or(false),
            "description": call.body["description"],
            "files": files.collect::<serde_json::Map<_, _>>(),
            "owner": view::account(VIEWER, &call.at),
            "created_at": now(),
            "updated_at": now(),
        });
        organisation
            .shelves
            .entry("gists".into())
            .or_default()
            .push(gist.clone());
        return Ok(Answer::created(gist));
    }
    shelves::keep(&mut organisation.shelves, call, method, path, 3)
}

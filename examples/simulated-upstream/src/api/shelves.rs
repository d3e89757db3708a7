//! Things that are only kept and shown again: hooks, keys, collaborators, secrets, variables, releases, rulesets, runs …
//!
//! They share one shape: `POST` makes one, `PUT` makes or replaces a named one, `PATCH` changes it, `DELETE` removes it,
//! and `GET` lists them or shows one.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Call, Name};
use crate::answer::Answer;
use crate::organisation::{Organisation, Repository, Shelves, VIEWER, now};
use crate::refusal::{Outcome, Refusal};
use crate::view;

/// Below a repository: what has a shape of its own first, then the common one.
pub(super) fn answer(
    organisation: &mut Organisation,
    call: &Call,
    method: &str,
    (owner, name): Name<'_>,
    path: &[&str],
) -> Outcome<Answer> {
    let at = &call.at;
    let id = organisation.next_id();
    let repository = if method == "GET" {
        organisation.repository_mut(owner, name)?
    } else {
        organisation.writable(owner, name)?
    };
    match (method, path) {
        (
            "GET",
            [
                "actions" | "dependabot" | "codespaces",
                "secrets",
                "public-key",
            ],
        ) => {
            // Any 32 bytes are a valid X25519 key for a client that seals a secret with it.
            Ok(Answer::ok(
                json!({ "key_id": "568250167242549743", "key": crate::samples::base64_bytes("public-key", 32) }),
            ))
        }
        ("GET", ["actions", "workflows"]) => Ok(Answer::ok(
            json!({ "total_count": 1, "workflows": [workflow(repository, call)] }),
        )),
        ("GET", ["actions", "workflows", "1" | "ci.yml"]) => {
            Ok(Answer::ok(workflow(repository, call)))
        }
        ("POST", ["actions", "workflows", "1" | "ci.yml", "dispatches"]) => {
            let branch = call.required("WorkflowDispatch", "ref")?;
            repository
                .bare
                .resolve(branch)
                .ok_or_else(|| Refusal::unprocessable(format!("No ref found for: {branch}")))?;
            let run = json!({
                "id": id, "name": "ci", "event": "workflow_dispatch", "status": "queued", "conclusion": null,
                "head_branch": branch, "workflow_id": 1, "created_at": now(),
            });
            repository
                .shelves
                .entry("actions/runs".into())
                .or_default()
                .push(run);
            Ok(Answer::no_content())
        }
        (
            "POST",
            [
                "actions",
                "runs",
                _,
                "rerun" | "approve" | "cancel" | "rerun-failed-jobs",
            ],
        ) => Ok(Answer::created(json!({}))),
        ("POST", ["actions", "runners", "registration-token"]) => {
            let token = crate::samples::letters("runner", 29).to_uppercase();
            Ok(Answer::created(
                json!({ "token": token, "expires_at": now() }),
            ))
        }
        ("GET", ["collaborators", login, "permission"]) => Ok(Answer::ok(
            json!({ "permission": "admin", "role_name": "admin", "user": view::account(login, at) }),
        )),
        ("PUT", ["collaborators", login]) => {
            let entry = json!({
                "name": login, "id": id, "login": login, "permissions": call.body["permission"].as_str().unwrap_or("push"),
                "invitee": view::account(login, at), "inviter": view::account(VIEWER, at),
            });
            let shelf = repository
                .shelves
                .entry("collaborators".into())
                .or_default();
            shelf.retain(|found| found["login"] != *login);
            shelf.push(entry.clone());
            Ok(Answer::created(entry))
        }
        ("GET", ["collaborators", login]) => {
            let shelf = repository
                .shelves
                .get("collaborators")
                .into_iter()
                .flatten();
            let known = *login == VIEWER || shelf.into_iter().any(|found| found["login"] == *login);
            if known {
                Ok(Answer::no_content())
            } else {
                Err(Refusal::not_found())
            }
        }
        ("POST", ["releases"]) => release(repository, call, id),
        ("GET", ["releases", "latest"]) => {
            let newest = repository
                .shelves
                .get("releases")
                .and_then(|shelf| shelf.last())
                .cloned();
            Ok(Answer::ok(newest.ok_or_else(Refusal::not_found)?))
        }
        ("GET", ["releases", "tags", rest @ ..]) => {
            let tag = rest.join("/");
            let mut shelf = repository.shelves.get("releases").into_iter().flatten();
            Ok(Answer::ok(
                shelf
                    .find(|found| found["tag_name"] == tag)
                    .cloned()
                    .ok_or_else(Refusal::not_found)?,
            ))
        }
        ("POST", ["releases", _, "assets"]) => {
            let asset = json!({ "id": id, "name": call.parameter("name"), "size": call.raw.len(), "state": "uploaded" });
            Ok(Answer::created(asset))
        }
        ("POST", ["hooks"]) if call.body["config"]["url"].as_str().is_none() => {
            Err(Refusal::invalid("Hook", "config", "missing_field"))
        }
        ("POST", ["keys"]) if call.body["key"].as_str().is_none() => {
            Err(Refusal::invalid("PublicKey", "key", "missing_field"))
        }
        ("POST", ["hooks", _, "pings" | "tests"]) => Ok(Answer::no_content()),
        ("GET", ["secret-scanning" | "code-scanning" | "dependabot", "alerts"]) => {
            Ok(Answer::ok(json!([])))
        }
        ("GET", ["vulnerability-alerts"]) => Ok(Answer::no_content()),
        ("PUT" | "DELETE", ["vulnerability-alerts" | "automated-security-fixes" | "import"]) => {
            Ok(Answer::no_content())
        }
        _ => keep(&mut repository.shelves, call, method, path, id),
    }
}

fn workflow(repository: &Repository, call: &Call) -> Value {
    let url = format!(
        "{}/repos/{}/actions/workflows/1",
        call.at.api,
        repository.full_name()
    );
    json!({
        "id": 1, "node_id": "W_1", "name": "ci", "path": ".github/workflows/ci.yml", "state": "active", "url": url,
        "created_at": repository.created_at, "updated_at": repository.created_at,
    })
}

fn release(repository: &mut Repository, call: &Call, id: u64) -> Outcome<Answer> {
    let tag = call.required("Release", "tag_name")?.to_owned();
    if repository
        .shelves
        .get("releases")
        .into_iter()
        .flatten()
        .any(|found| found["tag_name"] == tag)
    {
        return Err(Refusal::invalid("Release", "tag_name", "already_exists"));
    }
    let target = call.body["target_commitish"]
        .as_str()
        .unwrap_or(&repository.default_branch)
        .to_owned();
    let name = format!("refs/tags/{tag}");
    if repository.bare.reference(&name).is_none() {
        let missing = || Refusal::invalid("Release", "target_commitish", "invalid");
        let sha = repository.bare.resolve(&target).ok_or_else(missing)?;
        repository.bare.update_ref(&name, &sha, None)?;
    }
    let full = repository.full_name();
    let url = format!("{}/repos/{full}/releases/{id}", call.at.api);
    let made = json!({
        "id": id,
        "node_id": format!("RE_{id}"),
        "tag_name": tag,
        "target_commitish": target,
        "name": call.body["name"].as_str().unwrap_or(&tag),
        "body": call.text("body"),
        "draft": call.body["draft"].as_bool().unwrap_or(false),
        "prerelease": call.body["prerelease"].as_bool().unwrap_or(false),
        "url": url,
        "upload_url": format!("{url}/assets{{?name,label}}"),
        "html_url": format!("{}/{full}/releases/tag/{tag}", call.at.web),
        "assets": [],
        "author": view::account(VIEWER, &call.at),
        "created_at": now(),
        "published_at": now(),
    });
    repository
        .shelves
        .entry("releases".into())
        .or_default()
        .push(made.clone());
    Ok(Answer::created(made))
}

/// Collections that GitHub wraps in an object with a count.
const WRAPPED: [&str; 8] = [
    "secrets",
    "variables",
    "runs",
    "environments",
    "artifacts",
    "runners",
    "caches",
    "installations",
];
/// Collections there are, on a repository, the organisation or the user.
const KNOWN: [&str; 38] = [
    "hooks",
    "keys",
    "collaborators",
    "secrets",
    "variables",
    "runs",
    "environments",
    "releases",
    "rulesets",
    "deployments",
    "invitations",
    "teams",
    "autolinks",
    "pages",
    "labels",
    "milestones",
    "gists",
    "gpg_keys",
    "ssh_signing_keys",
    "artifacts",
    "runners",
    "members",
    "memberships",
    "projects",
    "comments",
    "subscription",
    "stargazers",
    "events",
    "actions",
    "permissions",
    "workflow",
    "oidc",
    "customization",
    "packages",
    "migrations",
    "alerts",
    "properties",
    "starred",
];

/// The common shape: `path` is a collection, perhaps in folders (`actions/secrets`), perhaps followed by a name or id.
pub(super) fn keep(
    shelves: &mut Shelves,
    call: &Call,
    method: &str,
    path: &[&str],
    id: u64,
) -> Outcome<Answer> {
    let known = |segment: &&str| KNOWN.contains(segment);
    let Some(last) = path.iter().rposition(known) else {
        return Err(Refusal::not_found());
    };
    let (folders, key) = path.split_at(last + 1);
    let (name, collection) = (
        folders.join("/"),
        folders.last().copied().unwrap_or_default(),
    );
    let key = key.join("/");
    let shelf = shelves.entry(name).or_default();
    let same = |found: &Value| {
        let names = ["id", "name", "login", "key"].map(|member| &found[member]);
        names.iter().any(|value| {
            value.as_str() == Some(key.as_str())
                || value.as_u64().is_some_and(|id| id.to_string() == key)
        })
    };
    let place = shelf.iter().position(same);
    match (method, key.is_empty(), place) {
        ("GET", true, _) if WRAPPED.contains(&collection) => {
            let member = if collection == "runs" {
                "workflow_runs"
            } else {
                collection
            };
            Ok(Answer::ok(
                json!({ "total_count": shelf.len(), member: shelf.iter().map(shown).collect::<Vec<_>>() }),
            ))
        }
        ("GET", true, _) => Ok(call.page(shelf.iter().map(shown).collect())),
        ("GET", false, Some(at)) => Ok(Answer::ok(shown(&shelf[at]))),
        ("POST", true, _) => {
            let mut made = if call.body.is_object() {
                call.body.clone()
            } else {
                json!({})
            };
            stamp(&mut made);
            made["id"] = json!(id.max(1) * 10 + shelf.len() as u64);
            shelf.push(made.clone());
            Ok(Answer::created(shown(&made)))
        }
        ("PUT", _, place) => {
            let mut made = if call.body.is_object() {
                call.body.clone()
            } else {
                json!({})
            };
            stamp(&mut made);
            made["name"] = json!(key);
            match place {
                Some(at) => shelf[at] = made,
                None => shelf.push(made),
            }
            Ok(if place.is_none() {
                Answer::new(StatusCode::CREATED, json!({}))
            } else {
                Answer::no_content()
            })
        }
        ("PATCH", false, Some(at)) => {
            for (member, value) in call.body.as_object().into_iter().flatten() {
                shelf[at][member.as_str()] = value.clone();
            }
            Ok(if WRAPPED.contains(&collection) {
                Answer::no_content()
            } else {
                Answer::ok(shown(&shelf[at]))
            })
        }
        ("DELETE", false, Some(at)) => {
            shelf.remove(at);
            Ok(Answer::no_content())
        }
        _ => Err(Refusal::not_found()),
    }
}

fn stamp(made: &mut Value) {
    made["created_at"] = json!(now());
    made["updated_at"] = json!(now());
}

/// A secret's value is never shown again.
fn shown(kept: &Value) -> Value {
    let mut kept = kept.clone();
    if let Some(members) = kept.as_object_mut() {
        members.remove("encrypted_value");
        members.remove("key_id");
    }
    kept
}

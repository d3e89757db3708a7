//! The life of a repository: made, changed, copied, moved, deleted.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Call, Name};
use crate::answer::Answer;
use crate::organisation::{NewRepository, Organisation, VIEWER};
use crate::refusal::{Outcome, Refusal};
use crate::view;

pub(super) fn answer(
    organisation: &mut Organisation,
    call: &Call,
    method: &str,
    (owner, name): Name<'_>,
    path: &[&str],
) -> Outcome<Answer> {
    let at = &call.at;
    match (method, path) {
        ("GET", []) => Ok(Answer::ok(view::repository(
            organisation.repository(owner, name)?,
            at,
        ))),
        ("PATCH", []) => update(organisation, call, (owner, name)),
        ("DELETE", []) => {
            organisation.delete(owner, name)?;
            Ok(Answer::no_content())
        }
        ("POST", ["transfer"]) => {
            let to = call.required("Repository", "new_owner")?;
            let new_name = call.body["new_name"].as_str().unwrap_or(name).to_owned();
            organisation.rename(owner, name, &to.to_ascii_lowercase(), &new_name)?;
            let moved = view::repository(organisation.repository(to, &new_name)?, at);
            Ok(Answer::new(StatusCode::ACCEPTED, moved))
        }
        ("POST", ["generate"]) => {
            let to = call.body["owner"].as_str().unwrap_or(VIEWER);
            let new = new_repository(call)?;
            let made = organisation.copy((owner, name), to, new, false)?;
            Ok(Answer::created(view::repository(made, at)))
        }
        ("GET", ["forks"]) => {
            let full = organisation.repository(owner, name)?.full_name();
            let forks = organisation
                .repositories
                .iter()
                .filter(|found| found.parent.as_deref() == Some(full.as_str()));
            Ok(call.page(forks.map(|fork| view::repository(fork, at)).collect()))
        }
        ("POST", ["forks"]) => {
            let to = call.body["organization"].as_str().unwrap_or(VIEWER);
            let source = organisation.repository(owner, name)?;
            let new = NewRepository {
                name: call.body["name"]
                    .as_str()
                    .unwrap_or(&source.name)
                    .to_owned(),
                description: source.description.clone(),
                private: source.private,
                auto_init: false,
            };
            let fork = organisation.copy((owner, name), to, new, true)?;
            Ok(Answer::new(
                StatusCode::ACCEPTED,
                view::repository(fork, at),
            ))
        }
        ("POST", ["dispatches"]) => {
            call.required("RepositoryDispatch", "event_type")?;
            let repository = organisation.writable(owner, name)?;
            repository
                .shelves
                .entry("dispatches".into())
                .or_default()
                .push(call.body.clone());
            Ok(Answer::no_content())
        }
        ("GET", ["topics"]) => Ok(Answer::ok(json!({ "names": [] }))),
        ("GET", ["languages"]) => Ok(Answer::ok(json!({ "Rust": 4096 }))),
        ("GET", ["contributors"]) => Ok(Answer::ok(json!([view::account("ada", at)]))),
        _ => Err(Refusal::not_found()),
    }
}

/// `POST /user/repos` and `POST /orgs/{org}/repos`.
pub(super) fn create(organisation: &mut Organisation, call: &Call, owner: &str) -> Outcome<Answer> {
    let new = new_repository(call)?;
    let made = organisation.create(owner, new)?;
    let shown = view::repository(made, &call.at);
    let url = shown["url"].as_str().unwrap_or_default().to_owned();
    Ok(Answer::created(shown).with(http::header::LOCATION, url))
}

fn new_repository(call: &Call) -> Outcome<NewRepository> {
    Ok(NewRepository {
        name: call.required("Repository", "name")?.to_owned(),
        description: call.text("description").to_owned(),
        private: call.body["private"].as_bool().unwrap_or(false)
            || call.text("visibility") == "private",
        auto_init: call.body["auto_init"].as_bool().unwrap_or(false),
    })
}

fn update(
    organisation: &mut Organisation,
    call: &Call,
    (owner, name): Name<'_>,
) -> Outcome<Answer> {
    let body = &call.body;
    let archived = organisation.repository(owner, name)?.archived;
    if archived && body["archived"] != Value::Bool(false) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "Repository was archived so is read-only.",
        ));
    }
    let mut name = name.to_owned();
    if let Some(new_name) = body["name"].as_str() {
        let owner_login = organisation.repository(owner, &name)?.owner.clone();
        organisation.rename(owner, &name, &owner_login, new_name)?;
        name = new_name.to_owned();
    }
    let repository = organisation.repository_mut(owner, &name)?;
    if let Some(branch) = body["default_branch"].as_str() {
        if repository
            .bare
            .reference(&format!("refs/heads/{branch}"))
            .is_none()
        {
            return Err(Refusal::invalid("Repository", "default_branch", "invalid"));
        }
        repository.bare.set_head(branch)?;
        repository.default_branch = branch.to_owned();
    }
    if let Some(description) = body["description"].as_str() {
        repository.description = description.to_owned();
    }
    if let Some(private) = body["private"].as_bool() {
        repository.private = private;
    }
    if let Some(visibility) = body["visibility"].as_str() {
        repository.private = visibility != "public";
    }
    if let Some(archived) = body["archived"].as_bool() {
        repository.archived = archived;
    }
    Ok(Answer::ok(view::repository(repository, &call.at)))
}

//! Repositories that come, go and change hands: new ones, forks, templates, transfers, settings.
//!
//! A repository that appears in an account is `repo.create` there, by whatever door it comes: what
//! may not leave an organisation may then be said once.

use std::collections::BTreeMap;

use super::attributes::{account_in, derived, set, show};
use super::route::Found;
use crate::operation::{Operation, Target};
use crate::protocol::fields::Fields;
use crate::protocol::{Fault, repo_target};

/// A new repository in the organisation of the path, or else in the caller's own account.
pub(super) fn create(
    operation: &mut Operation,
    found: &Found<'_>,
    fields: &Fields<'_>,
) -> Result<(), Fault> {
    operation.repo = match (found.capture("org"), fields.text("name")?) {
        (Some(org), Some(name)) => repo_target(&org, name),
        _ => Target::Any,
    };
    show_visibility(operation);
    Ok(())
}

/// REST says it in one of two members, and says nothing for public.
fn show_visibility(operation: &mut Operation) {
    if operation.attributes.contains_key("visibility") {
        return;
    }
    let private = operation.attributes.get("private").map(String::as_str);
    let visibility = if private == Some("true") {
        "private"
    } else {
        "public"
    };
    set(operation, "visibility", visibility);
}

/// `operation` becomes the new repository; what is returned is the reading of the template.
pub(super) fn from_template(
    operation: &mut Operation,
    fields: &Fields<'_>,
) -> Result<Operation, Fault> {
    let mut read = derived(operation, "repo.read", &[]);
    read.write = false;
    if let Some(template) = operation.repo.known().map(str::to_owned) {
        set(operation, "template", &template);
    }
    set(operation, "change", "template");
    show_visibility(operation);
    land(operation, fields, "owner", fields.text("name")?)?;
    Ok(read)
}

/// The copy that a fork is. GitHub gives it the name of its source, or another where that is taken.
pub(super) fn fork(source: &Operation, fields: &Fields<'_>) -> Result<Operation, Fault> {
    let mut copy = derived(source, "repo.create", &[]);
    set(&mut copy, "change", "fork");
    land(&mut copy, fields, "organization", fields.text("name")?)?;
    Ok(copy)
}

/// The repository at its new place.
pub(super) fn transfer(source: &Operation, fields: &Fields<'_>) -> Result<Operation, Fault> {
    let mut there = derived(source, "repo.create", &[]);
    set(&mut there, "change", "transfer");
    let kept = source.repo.known().and_then(|repo| repo.split_once('/'));
    let name = fields.text("new_name")?.or(kept.map(|(_, name)| name));
    land(&mut there, fields, "new_owner", name)?;
    Ok(there)
}

/// Puts `operation` into the account that `member` names.
fn land(
    operation: &mut Operation,
    fields: &Fields<'_>,
    member: &str,
    name: Option<&str>,
) -> Result<(), Fault> {
    operation.account = account_in(fields, member)?;
    operation.repo = match (operation.account.known(), name) {
        (Some(owner), Some(name)) => repo_target(owner, name),
        _ => Target::Any,
    };
    Ok(())
}

/// `PATCH /repos/{o}/{r}`: an operation for each setting of consequence.
pub(super) fn settings(first: &Operation, fields: &Fields<'_>) -> Result<Vec<Operation>, Fault> {
    const SETTINGS: [(&str, &str); 8] = [
        ("visibility", "repo.visibility"),
        ("private", "repo.visibility"),
        ("archived", "repo.archive"),
        ("default_branch", "repo.default_branch"),
        ("name", "repo.rename"),
        ("security_and_analysis", "security.update"),
        ("allow_forking", "repo.forking"),
        ("is_template", "repo.template"),
    ];
    let mut found: BTreeMap<&str, Operation> = BTreeMap::new();
    for (member, name) in SETTINGS {
        if fields.get(member)?.is_some() {
            let operation = found
                .entry(name)
                .or_insert_with(|| derived(first, name, &[]));
            show(operation, fields, &[member])?;
            if member == "private" {
                show_visibility(operation);
            }
            if member == "name"
                && let Some(name) = fields.text(member)?
            {
                set(operation, "new_name", name);
            }
        }
    }
    Ok(found.into_values().collect())
}

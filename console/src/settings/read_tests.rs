//! Settings that are read, and what is said of those that are not.

use super::read_text;
use crate::settings::Settings;

const FULL: &str = include_str!("full.yaml");

fn environment(name: &str) -> Option<String> {
    match name {
        "SLACK" | "TEAMS" => Some("https://hooks.example.com/services/T/B/x".into()),
        "UNSET" => None,
        _ => Some("0123456789abcdef-secret".into()),
    }
}

fn faults(text: &str) -> Vec<String> {
    match read_text(text, &environment) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn every_key_is_read() {
    let settings: Settings = read_text(FULL, &environment).unwrap();
    let approvals = &settings.approvals;
    assert_eq!(approvals.same_person, ["email", "github_login"]);
    assert_eq!(approvals.out_of_office[0].instead, ["carol"]);
    assert_eq!(settings.session().as_secs(), 1800);
    assert_eq!(settings.notify.len(), 4);
    let names = settings.exports.iter().map(|export| export.name.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["siem", "archive"]);
    assert_eq!(settings.exports[0].every, 3_600_000);
    let shown = format!("{settings:?}");
    assert!(
        !shown.contains("abcdef") && !shown.contains("/services/"),
        "{shown}"
    );
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    for (from, to, expected) in [
        (
            "every: 1h",
            "every: 5000d",
            "exports[0].every: an export is written every",
        ),
        (
            "format: ocsf",
            "format: pdf",
            "exports[0].format: `pdf` is none of ndjson, csv",
        ),
        ("decision:refused", "colour:red", "exports[0].query: "),
        (
            "name: archive",
            "name: siem",
            "exports[1].name: a second export named `siem`",
        ),
        (
            "name: archive",
            "name: ../archive",
            "exports[1].name: files are named after it",
        ),
        (
            "format: ndjson, directory: /var",
            "format: ndjson, directory: var",
            "exports[1].directory: is not an absolute path",
        ),
        (
            "same_person:",
            "same_persons:",
            "3:3: approvals.same_persons: unknown field",
        ),
        (
            "ends: 2027-01-06",
            "ends: someday",
            "approvals.out_of_office[0].ends: `someday` is not a time",
        ),
        (
            "instead: [carol]",
            "instead: [Bob]",
            "approvals.out_of_office[0].instead: bob cannot stand in for himself",
        ),
        (
            "starts: 2026-12-20",
            "starts: 2027-12-20",
            "approvals.out_of_office[0].ends: is not after",
        ),
        (
            "session: 30m",
            "session: 30d",
            "sign_in.session: a session lasts",
        ),
        (
            "issuer: https://idp.example.com",
            "issuer: http://idp.example.com",
            "sign_in.oidc.issuer: is not an https",
        ),
        (
            "env: OIDC_SECRET",
            "env: UNSET",
            "sign_in.oidc.client_secret: the environment variable UNSET is not set",
        ),
        (
            "pending_per_identity: 20",
            "pending_per_identity: 0",
            "approvals.limits.pending_per_identity: 0 would refuse",
        ),
        (
            "name: leads-mail",
            "name: leads",
            "notify[3].name: a second channel",
        ),
        (
            "events: [asked, expired]",
            "events: [asked, gone]",
            "notify[0].events[1]: unknown variant `gone`",
        ),
        (
            "{ groups: [incident-commanders], subjects: [grace], claims: { on_call: [\"primary\"] } }",
            "{}",
            "approvals.break_glass.reviewers: names nobody",
        ),
        (
            "server: smtps://mail.example.com",
            "server: ftp://mail.example.com",
            "notify[3].email: ",
        ),
        ("version: v1", "version: v2", "version: unknown variant"),
    ] {
        let text = FULL.replace(from, to);
        assert_ne!(text, FULL, "{from}");
        let found = faults(&text).join("\n");
        assert!(found.contains(expected), "{from} -> {to}: {found}");
    }
}

#[test]
fn a_channel_is_of_one_kind() {
    let text = "version: v1\nnotify:\n- { name: a }\n- { name: b, slack: { env: SLACK }, teams: { env: TEAMS } }\n";
    let found = faults(text);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].starts_with("3:3: notify[0]: is exactly one of"),
        "{found:?}"
    );
}

#[test]
fn the_readme_shows_settings_that_are_read() {
    let readme = include_str!("../../../README.md");
    let blocks = readme.split("```yaml\n").skip(1);
    let mut shown = blocks.filter_map(|block| block.split("```").next());
    let shown = shown.find(|block| block.contains("sign_in:")).unwrap();
    assert_eq!(
        faults(&shown.replace("SLACK_WEBHOOK", "SLACK")),
        Vec::<String>::new()
    );
}

//! What REST calls tell of themselves, family by family.

use crate::operation::{Operation, Target};
use crate::path::RequestPath;
use crate::protocol::ProtocolKind;
use crate::protocol::tests::{describe, described, head, judge};
use crate::reason::Reason;

fn operations(method: &str, target: &str, body: &str) -> Vec<Operation> {
    judge(ProtocolKind::GitHub, &head(method, target), body)
        .unwrap_or_else(|e| panic!("{method} {target} {body}: {e:?}"))
        .operations
}

fn owner(operation: &Operation) -> String {
    match operation.owner() {
        Target::Known(owner) => owner,
        Target::Any => "*".to_owned(),
        Target::None => "-".to_owned(),
    }
}

/// A request, and of one of its operations: name, owner, and attributes among others.
#[rustfmt::skip]
const CASES: &[(&str, &str, &str, &str, &str, &str)] = &[
    // Files and refs.
    ("PUT", "/repos/a/b/contents/x/y?branch=dev", r#"{"message":"m"}"#, "content.write", "a", "change=write path=x/y resource=x/y"),
    ("DELETE", "/repos/a/b/contents/x", r#"{"branch":"dev"}"#, "content.write", "a", "change=delete"),
    ("POST", "/repos/a/b/git/trees", r#"{"base_tree":"t","tree":[{"path":"x","sha":null}]}"#, "content.write", "a", "base_tree=t change=delete"),
    ("POST", "/repos/a/b/git/trees", r#"{"tree":[{"path":"x","sha":"s"}]}"#, "content.write", "a", "change=write,replace"),
    ("POST", "/repos/a/b/git/refs", r#"{"ref":"refs/heads/x","sha":"s"}"#, "ref.create", "a", "ref=refs/heads/x sha=s resource=refs/heads/x"),
    ("PATCH", "/repos/a/b/git/refs/heads/x", r#"{"sha":"s","force":true}"#, "ref.update", "a", "force=true sha=s resource=heads/x"),
    ("POST", "/repos/a/b/merges", r#"{"base":"main","head":"x"}"#, "ref.update", "a", "base=main head=x"),
    ("POST", "/repos/a/b/code-scanning/alerts/7/autofix/commits", r#"{"target_ref":"main"}"#, "content.write", "a", "target_ref=main resource=7"),
    // Repositories that come, go and change hands.
    ("POST", "/repos/a/b/forks", r#"{"organization":"Evil","name":"c"}"#, "repo.create", "evil", "change=fork organization=Evil"),
    ("POST", "/repos/a/b/forks", r#"{"organization":"evil"}"#, "repo.create", "evil", "change=fork"),
    ("POST", "/repos/a/b/forks", "", "repo.create", "*", "change=fork"),
    ("POST", "/repos/a/b/forks?organization=evil", "{}", "repo.create", "evil", "change=fork"),
    ("POST", "/repos/a/b/generate", r#"{"owner":"evil","name":"c"}"#, "repo.create", "evil", "template=a/b change=template"),
    ("POST", "/repos/a/b/generate", r#"{"name":"c"}"#, "repo.create", "*", "template=a/b"),
    ("POST", "/repos/a/b/generate", r#"{"owner":"evil","name":"c"}"#, "repo.read", "a", ""),
    ("POST", "/repos/a/b/transfer", r#"{"new_owner":"Evil","new_name":"c"}"#, "repo.create", "evil", "change=transfer"),
    ("POST", "/repos/a/b/transfer", r#"{"new_owner":"evil"}"#, "repo.transfer", "a", "new_owner=evil"),
    ("POST", "/orgs/Acme/repos", r#"{"name":"x","private":true}"#, "repo.create", "acme", "name=x private=true visibility=private resource=x"),
    ("POST", "/user/repos", r#"{"name":"x"}"#, "repo.create", "*", "name=x"),
    ("POST", "/user/codespaces/c/publish", r#"{"name":"x","private":false}"#, "codespace.publish", "*", "name=x private=false"),
    ("PATCH", "/repos/a/b", r#"{"visibility":"public"}"#, "repo.visibility", "a", "visibility=public"),
    ("PATCH", "/repos/a/b", r#"{"archived":true}"#, "repo.archive", "a", "archived=true"),
    ("PATCH", "/repos/a/b", r#"{"default_branch":"x"}"#, "repo.default_branch", "a", "default_branch=x"),
    ("PATCH", "/repos/a/b?name=c", "{}", "repo.rename", "a", "new_name=c"),
    ("POST", "/repositories/5", r#"{"private":false}"#, "repo.visibility", "*", "private=false visibility=public"),
    ("PUT", "/repos/a/b/import", r#"{"vcs_url":"https://x/y"}"#, "repo.import", "a", "vcs_url=https://x/y"),
    // Secrets, variables, keys, hooks, people.
    ("PUT", "/repos/a/b/actions/secrets/TOKEN", r#"{"encrypted_value":"v"}"#, "secret.write", "a", "secret_name=TOKEN resource=TOKEN"),
    ("PUT", "/repos/a/b/environments/prod/secrets/T", "", "secret.write", "a", "environment_name=prod resource=T"),
    ("PUT", "/orgs/Acme/actions/secrets/T", r#"{"visibility":"selected","selected_repository_ids":[1,2]}"#, "secret.write", "acme", "visibility=selected selected_repository_ids=1,2"),
    ("POST", "/repos/a/b/actions/variables", r#"{"name":"V","value":"x"}"#, "variable.write", "a", "resource=V"),
    ("POST", "/repos/a/b/keys", r#"{"title":"t","key":"k","read_only":false}"#, "key.create", "a", "read_only=false resource=t"),
    ("POST", "/repos/a/b/hooks", r#"{"config":{"url":"https://x"},"events":["push","issues"]}"#, "hook.create", "a", "url=https://x events=push,issues resource=https://x"),
    ("PATCH", "/orgs/acme/hooks/7/config", r#"{"url":"https://x"}"#, "hook.update", "acme", "url=https://x resource=7"),
    ("PUT", "/repos/a/b/collaborators/eve", r#"{"permission":"admin"}"#, "collaborator.write", "a", "permission=admin resource=eve"),
    ("PUT", "/orgs/acme/teams/t/repos/a/b", r#"{"permission":"push"}"#, "team.repo", "a", "team_slug=t permission=push org=acme"),
    ("PUT", "/teams/9/memberships/eve", "", "team.member", "*", "team_id=9 resource=eve"),
    ("PATCH", "/orgs/acme/actions/runner-groups/3", r#"{"visibility":"all"}"#, "runner_group.update", "acme", "resource=3 visibility=all"),
    ("PUT", "/enterprises/Acme/copilot/policies/coding_agent", r#"{"policy_state":"on"}"#, "copilot.policy", "enterprises/acme", "policy_state=on"),
    // Workflows and deployments.
    ("POST", "/repos/a/b/actions/workflows/ci.yml/dispatches", r#"{"ref":"main","inputs":{"to":"prod","n":1}}"#, "workflow.dispatch", "a", "workflow_id=ci.yml ref=main inputs.to=prod inputs.n=1 resource=ci.yml"),
    ("POST", "/repos/a/b/dispatches", r#"{"event_type":"go","client_payload":{"x":true}}"#, "repo.dispatch", "a", "client_payload.x=true resource=go"),
    ("POST", "/repos/a/b/deployments", r#"{"ref":"main","environment":"prod"}"#, "deployment.create", "a", "environment=prod resource=prod"),
    ("POST", "/agents/repos/a/b/tasks", r#"{"base_ref":"main","prompt":"p"}"#, "agent.start", "a", "base_ref=main"),
    // Protection, releases, security, issues.
    ("PUT", "/repos/a/b/branches/main/protection/restrictions/teams", r#"["x","y"]"#, "protection.update", "a", "teams=x,y branch=main"),
    ("POST", "/repos/a/b/rulesets", r#"{"name":"r","enforcement":"disabled","bypass_actors":[{"actor_id":1}]}"#, "ruleset.create", "a", r#"enforcement=disabled bypass_actors={"actor_id":1} resource=r"#),
    ("POST", "/repos/a/b/releases", r#"{"tag_name":"v1","target_commitish":"x","draft":false}"#, "release.create", "a", "tag_name=v1 target_commitish=x draft=false resource=v1"),
    ("POST", "/repos/a/b/releases/7/assets?name=a.zip", "binary", "release.upload", "a", "name=a.zip resource=7"),
    ("PATCH", "/repos/a/b/secret-scanning/alerts/7", r#"{"state":"resolved","resolution":"wont_fix"}"#, "security.update_alert", "a", "resolution=wont_fix resource=7"),
    ("POST", "/orgs/acme/secret_scanning/disable_all", "", "security.disable", "acme", "security_product=secret_scanning"),
    ("POST", "/repos/a/b/issues/7/labels", r#"[{"name":"bug"},"docs"]"#, "issue.update", "a", "labels=bug,docs resource=7"),
    ("POST", "/repos/a/b/issues/7/labels", r#"{"labels":["bug"]}"#, "issue.update", "a", "labels=bug"),
    ("PATCH", "/repos/a/b/pulls/7", r#"{"state":"closed"}"#, "pr.update", "a", "state=closed resource=7"),
    ("POST", "/gists", r#"{"public":true,"files":{"a.txt":{"content":"x"},"b":{}}}"#, "gist.create", "*", "public=true files=a.txt,b"),
    ("DELETE", "/orgs/acme/packages/npm/x", "", "package.delete", "acme", "package_type=npm resource=x"),
    // Reads.
    ("GET", "/orgs/Acme/repos", "", "github.read", "acme", "org=Acme"),
    ("GET", "/users/Octo/repos", "", "github.read", "octo", "username=Octo"),
    ("GET", "/user", "", "github.read", "-", ""),
    ("GET", "/user/repos", "", "github.read", "*", ""),
    ("GET", "/user/42/repos", "", "github.read", "*", ""),
    ("GET", "/organizations/42/repos?page=2", "", "github.read", "*", ""),
    ("GET", "/orgs/42", "", "github.read", "*", ""),
    ("GET", "/repositories/42/issues?page=2", "", "repo.read", "*", ""),
    ("GET", "/networks/a/b/events", "", "repo.read", "*", ""),
    ("GET", "/teams/5/repos", "", "github.read", "*", ""),
    ("GET", "/gists/abc", "", "gist.read", "*", "resource=abc"),
    ("GET", "/repos/a/b/secret-scanning/alerts/7", "", "security_alert.read", "a", "resource=7"),
    ("GET", "/repos/a/b/actions/runs/7/logs", "", "run_logs.read", "a", ""),
    ("GET", "/repos/a/b/actions/artifacts/7/zip", "", "artifact.read", "a", ""),
    ("GET", "/orgs/acme/audit-log", "", "audit_log.read", "acme", ""),
    ("GET", "/unheard/of", "", "github.read", "*", "path=/unheard/of"),
    ("GET", "/repos/a/b/unheard", "", "repo.read", "a", "path=/repos/a/b/unheard"),
    ("GET", "/search/code?q=x+repo:a/b", "", "search.read", "a", ""),
    ("GET", "/search/issues?q=org:Acme+is:open", "", "search.read", "acme", ""),
    ("GET", "/search/code?q=x", "", "search.read", "*", ""),
    ("GET", "/search/code?q=repo:a/b+OR+x", "", "search.read", "*", ""),
    ("GET", "/search/code", r#"{"q":"repo:a/b"}"#, "search.read", "*", ""),
    ("GET", "/search/users?q=user:a", "", "search.read", "*", ""),
];

#[test]
fn requests_tell_whose_they_are_and_what_they_name() {
    for (method, target, body, name, expected_owner, attributes) in CASES {
        let operations = operations(method, target, body);
        let operation = operations
            .iter()
            .find(|operation| operation.name == *name)
            .unwrap_or_else(|| panic!("{method} {target} is {operations:?}"));
        assert_eq!(owner(operation), *expected_owner, "{method} {target}");
        for attribute in attributes.split(' ').filter(|a| !a.is_empty()) {
            let (key, value) = attribute.split_once('=').unwrap();
            let shown = operation.attributes.get(key).map(String::as_str);
            assert_eq!(shown, Some(value), "{method} {target}: {key}");
        }
        let secret = operation.attributes.values().any(|value| value == "v");
        assert!(!secret, "{target} shows a value");
    }
}

#[test]
fn contents_are_read_as_files_where_they_are_named() {
    for (target, expected) in [
        ("/repos/a/b/contents/x%2Fy?ref=dev", "repo.read a/b - x/y"),
        ("/repos/a/b/readme", "repo.read a/b - *"),
        ("/repos/a/b/git/blobs/s", "repo.read a/b - *"),
    ] {
        let operations = operations("GET", target, "");
        assert_eq!(describe(&operations[0]), expected);
        assert!(operations[0].aliases.contains(&"content.read".to_owned()));
    }
}

#[test]
fn every_root_of_the_api_is_the_same() {
    let upload = "release.upload a/b - -";
    for target in [
        "/repos/a/b/releases/7/assets?name=x",
        "/api/v3/repos/A/b/releases/7/assets?name=x",
        "/api/uploads/repos/a/B.git/releases/7/assets/?name=x",
        "/API/Uploads/REPOS/a/b/releases/7/ASSETS?name=x",
    ] {
        let judged = judge(ProtocolKind::GitHub, &head("POST", target), "x").unwrap();
        assert_eq!(described(&judged), upload, "{target}");
    }
}

#[test]
fn paths_with_two_readings_are_not_read_at_all() {
    for target in [
        "/repos/a//b",
        "/repos/a/b/../c",
        "/repos/a/b/./contents/x",
        "/repos/a/b/contents/%2e%2e/x",
        "/repos/a/b/contents/x%2F..%2Fy",
        "/repos/a/b/contents/x%252Fy",
        "/repos/a/b;c/contents/x",
    ] {
        assert!(RequestPath::read(target).is_err(), "{target}");
    }
}

#[test]
fn an_encoded_slash_is_judged_both_ways_where_they_differ() {
    let names = |method, target| -> Vec<String> {
        let operations = operations(method, target, "");
        operations.into_iter().map(|o| describe(&o)).collect()
    };
    // A parameter that holds a slash: there is only one reading.
    assert_eq!(
        names("DELETE", "/repos/a/b/labels/x%2Fy"),
        ["label.write a/b - -"]
    );
    assert_eq!(
        names("DELETE", "/repos/a/b/git/refs/heads%2Fx"),
        ["ref.delete a/b refs/heads/x -"]
    );
    assert_eq!(
        names("DELETE", "/repos/a%2Fb"),
        ["github.unknown_write * * -", "repo.delete a/b - -"]
    );
    assert_eq!(
        names("PUT", "/repos/a/b/environments/prod%2Fsecrets%2FT"),
        ["environment.write a/b - -", "secret.write a/b - -"]
    );
}

#[test]
fn a_parameter_in_body_and_query_is_ambiguous() {
    for (method, target, body) in [
        (
            "PUT",
            "/repos/a/b/contents/x?branch=main",
            r#"{"branch":"dev"}"#,
        ),
        (
            "PUT",
            "/repos/a/b/contents/x?branch[]=main",
            r#"{"branch":"dev"}"#,
        ),
        ("PUT", "/repos/a/b/contents/x?branch%5Bx%5D=main", "{}"),
        ("PUT", "/repos/a/b/contents/x?branch=main&branch=dev", "{}"),
        (
            "POST",
            "/repos/a/b/git/refs?ref=refs/heads/main",
            r#"{"ref":"refs/heads/x"}"#,
        ),
        (
            "POST",
            "/repos/a/b/git/trees?tree[][path]=x",
            r#"{"tree":[]}"#,
        ),
        ("POST", "/repos/a/b/merges?base=main", r#"{"base":"dev"}"#),
        (
            "POST",
            "/repos/a/b/forks?organization=evil",
            r#"{"organization":"a"}"#,
        ),
        (
            "POST",
            "/repos/a/b/transfer?new_owner=evil",
            r#"{"new_owner":"a"}"#,
        ),
        ("PATCH", "/repos/a/b?private=false", r#"{"private":true}"#),
        (
            "POST",
            "/repos/a/b/hooks?config[url]=x",
            r#"{"config":{"url":"y"}}"#,
        ),
        (
            "POST",
            "/repos/a/b/pulls/7/reviews?event=APPROVE",
            r#"{"event":"COMMENT"}"#,
        ),
        ("GET", "/search/code?q=repo:a/b&q=x", ""),
    ] {
        let undecided = judge(ProtocolKind::GitHub, &head(method, target), body).unwrap_err();
        assert_eq!(undecided.reason, Reason::PathAmbiguous, "{method} {target}");
    }
}

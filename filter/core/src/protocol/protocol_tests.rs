//! One request after another, and what each of them is.

use super::*;
use crate::denial::McpCall;
use crate::head::Headers;
use crate::operation::Paths;

pub(super) fn head(method: &str, target: &str) -> RequestHead {
    RequestHead {
        method: method.to_owned(),
        scheme: "https".to_owned(),
        authority: "gateway.test".to_owned(),
        path: target.to_owned(),
        headers: Headers::default(),
    }
}

fn with(method: &str, target: &str, headers: &[(&str, &str)]) -> RequestHead {
    let pairs = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
        .collect();
    RequestHead {
        headers: Headers::new(pairs),
        ..head(method, target)
    }
}

pub(super) fn judge(
    kind: ProtocolKind,
    head: &RequestHead,
    body: &str,
) -> Result<Judged, Undecided> {
    let path = RequestPath::read(&head.path).unwrap();
    operations(kind, head, &path, Some(body.as_bytes()))
}

/// `name repo ref paths`, with `-` for none and `*` for any.
pub(super) fn describe(operation: &Operation) -> String {
    let target = |target: &Target| match target {
        Target::None => "-".to_owned(),
        Target::Any => "*".to_owned(),
        Target::Known(value) => value.clone(),
    };
    let paths = match &operation.paths {
        Paths::None => "-".to_owned(),
        Paths::Unknown => "*".to_owned(),
        Paths::Known(paths) => paths.join(","),
    };
    format!(
        "{} {} {} {paths}",
        operation.name,
        target(&operation.repo),
        target(&operation.reference)
    )
}

pub(super) fn described(judged: &Judged) -> String {
    let all: Vec<String> = judged.operations.iter().map(describe).collect();
    all.join(" + ")
}

fn rest(method: &str, target: &str, body: &str) -> Judged {
    judge(ProtocolKind::GitHub, &head(method, target), body)
        .unwrap_or_else(|e| panic!("{method} {target}: {e:?}"))
}

/// Every line of the table of risky REST calls: request, operations, GitHub's own name.
#[test]
fn risky_rest_calls_have_their_operations() {
    let cases: &[(&str, &str, &str, &str, &str)] = &[
        (
            "DELETE",
            "/repos/Acme/Web",
            "",
            "repo.delete acme/web - -",
            "repos/delete",
        ),
        (
            "POST",
            "/user/repos",
            r#"{"name":"x"}"#,
            "repo.create * - -",
            "repos/create-for-authenticated-user",
        ),
        (
            "POST",
            "/orgs/acme/repos",
            r#"{"name":"New"}"#,
            "repo.create acme/new - -",
            "repos/create-in-org",
        ),
        (
            "POST",
            "/repos/acme/tpl/generate",
            r#"{"owner":"acme","name":"n"}"#,
            "repo.create acme/n - -",
            "repos/create-using-template",
        ),
        (
            "POST",
            "/repos/acme/web/forks",
            "",
            "repo.fork acme/web - -",
            "repos/create-fork",
        ),
        (
            "POST",
            "/repos/acme/web/transfer",
            r#"{"new_owner":"evil"}"#,
            "repo.transfer acme/web - -",
            "repos/transfer",
        ),
        (
            "PATCH",
            "/repos/acme/web",
            r#"{"description":"d"}"#,
            "repo.update acme/web - -",
            "repos/update",
        ),
        (
            "PATCH",
            "/repos/acme/web",
            r#"{"private":false,"archived":true,"default_branch":"x"}"#,
            "repo.update acme/web - - + repo.archive acme/web - - + repo.default_branch acme/web - - + repo.visibility acme/web - -",
            "repos/update",
        ),
        (
            "POST",
            "/repos/acme/web",
            r#"{"name":"y"}"#,
            "repo.update acme/web - - + repo.rename acme/web - -",
            "repos/update",
        ),
        (
            "DELETE",
            "/orgs/acme",
            "",
            "org.delete * - -",
            "orgs/delete",
        ),
        (
            "PUT",
            "/repos/acme/web/import",
            "{}",
            "repo.import acme/web - -",
            "migrations/start-import",
        ),
        (
            "PUT",
            "/repos/acme/web/contents/.github%2Fworkflows%2Fci.yml",
            r#"{"branch":"main","content":""}"#,
            "content.write acme/web refs/heads/main .github/workflows/ci.yml + ref.update acme/web refs/heads/main .github/workflows/ci.yml",
            "repos/create-or-update-file-contents",
        ),
        (
            "PUT",
            "/repos/acme/web/contents/.github/workflows/ci.yml",
            "{}",
            "content.write acme/web * .github/workflows/ci.yml + ref.update acme/web * .github/workflows/ci.yml",
            "repos/create-or-update-file-contents",
        ),
        (
            "DELETE",
            "/repos/acme/web/contents/a?branch=dev",
            "",
            "content.write acme/web refs/heads/dev a + ref.update acme/web refs/heads/dev a",
            "repos/delete-file",
        ),
        (
            "POST",
            "/repos/acme/web/git/blobs",
            "{}",
            "blob.create acme/web - -",
            "git/create-blob",
        ),
        (
            "POST",
            "/repos/acme/web/git/trees",
            r#"{"tree":[{"path":"a/b","mode":"100644"},{"path":".github/workflows/x.yml"}]}"#,
            "content.write acme/web * a/b,.github/workflows/x.yml",
            "git/create-tree",
        ),
        (
            "POST",
            "/repos/acme/web/git/trees",
            r#"{"tree":[{"path":".github","mode":"040000","type":"tree"}]}"#,
            "content.write acme/web * *",
            "git/create-tree",
        ),
        (
            "POST",
            "/repos/acme/web/git/commits",
            "{}",
            "commit.create acme/web - -",
            "git/create-commit",
        ),
        (
            "POST",
            "/repos/acme/web/git/refs",
            r#"{"ref":"refs/heads/new","sha":"s"}"#,
            "ref.create acme/web refs/heads/new -",
            "git/create-ref",
        ),
        (
            "PATCH",
            "/repos/acme/web/git/refs/heads/main",
            r#"{"sha":"s","force":true}"#,
            "ref.update acme/web refs/heads/main -",
            "git/update-ref",
        ),
        (
            "POST",
            "/repos/acme/web/git/refs/heads%2Fmain",
            r#"{"sha":"s"}"#,
            "ref.update acme/web refs/heads/main -",
            "git/update-ref",
        ),
        (
            "DELETE",
            "/repos/acme/web/git/refs/tags/v1",
            "",
            "ref.delete acme/web refs/tags/v1 -",
            "git/delete-ref",
        ),
        (
            "PATCH",
            "/repos/acme/web/git/refs/refs/heads/main",
            "{}",
            "ref.update acme/web * -",
            "git/update-ref",
        ),
        (
            "POST",
            "/repos/acme/web/git/tags",
            r#"{"tag":"v1"}"#,
            "tag.create acme/web - -",
            "git/create-tag",
        ),
        (
            "PUT",
            "/repos/acme/web/pulls/7/merge",
            "",
            "pr.merge acme/web * -",
            "pulls/merge",
        ),
        (
            "PUT",
            "/repos/acme/web/pulls/7/merge-async",
            "",
            "pr.merge acme/web * -",
            "pulls/merge-async",
        ),
        (
            "POST",
            "/repos/acme/web/merges",
            r#"{"base":"main","head":"x"}"#,
            "ref.update acme/web refs/heads/main -",
            "repos/merge",
        ),
        (
            "POST",
            "/repos/acme/web/merge-upstream",
            r#"{"branch":"main"}"#,
            "ref.update acme/web refs/heads/main -",
            "repos/merge-upstream",
        ),
        (
            "POST",
            "/repos/acme/web/pulls",
            r#"{"base":"main","head":"x"}"#,
            "pr.create acme/web - -",
            "pulls/create",
        ),
        (
            "PUT",
            "/repos/acme/web/pulls/7/update-branch",
            "",
            "pr.update_branch acme/web - -",
            "pulls/update-branch",
        ),
        (
            "POST",
            "/repos/acme/web/pulls/7/reviews",
            r#"{"event":"COMMENT"}"#,
            "pr.review acme/web * -",
            "pulls/create-review",
        ),
        (
            "POST",
            "/repos/acme/web/pulls/7/reviews",
            r#"{"event":"APPROVE"}"#,
            "pr.review acme/web * - + pr.approve acme/web * -",
            "pulls/create-review",
        ),
        (
            "PUT",
            "/repos/acme/web/branches/main/protection",
            "{}",
            "protection.update acme/web refs/heads/main -",
            "repos/update-branch-protection",
        ),
        (
            "DELETE",
            "/repos/acme/web/branches/release%2F1/protection",
            "",
            "protection.delete acme/web refs/heads/release/1 -",
            "repos/delete-branch-protection",
        ),
        (
            "DELETE",
            "/repos/acme/web/branches/release/1/protection/enforce_admins",
            "",
            "protection.delete acme/web refs/heads/release/1 -",
            "repos/delete-admin-branch-protection",
        ),
        (
            "POST",
            "/repos/acme/web/rulesets",
            r#"{"name":"r"}"#,
            "ruleset.create acme/web - -",
            "repos/create-repo-ruleset",
        ),
        (
            "PUT",
            "/repos/acme/web/rulesets/1",
            "{}",
            "ruleset.update acme/web - -",
            "repos/update-repo-ruleset",
        ),
        (
            "DELETE",
            "/repos/acme/web/rulesets/1",
            "",
            "ruleset.delete acme/web - -",
            "repos/delete-repo-ruleset",
        ),
        (
            "POST",
            "/orgs/acme/rulesets",
            "{}",
            "ruleset.create * - -",
            "repos/create-org-ruleset",
        ),
        (
            "POST",
            "/repos/acme/web/branches/main/rename",
            r#"{"new_name":"trunk"}"#,
            "branch.rename acme/web refs/heads/main - + ref.create acme/web refs/heads/trunk -",
            "repos/rename-branch",
        ),
        (
            "PUT",
            "/repos/acme/web/actions/secrets/TOKEN",
            "{}",
            "secret.write acme/web - -",
            "actions/create-or-update-repo-secret",
        ),
        (
            "DELETE",
            "/repos/acme/web/actions/secrets/TOKEN",
            "",
            "secret.delete acme/web - -",
            "actions/delete-repo-secret",
        ),
        (
            "PUT",
            "/orgs/acme/actions/secrets/TOKEN",
            "{}",
            "secret.write * - -",
            "actions/create-or-update-org-secret",
        ),
        (
            "PUT",
            "/repos/acme/web/environments/prod/secrets/T",
            "{}",
            "secret.write acme/web - -",
            "actions/create-or-update-environment-secret",
        ),
        (
            "PUT",
            "/repos/acme/web/dependabot/secrets/T",
            "{}",
            "secret.write acme/web - -",
            "dependabot/create-or-update-repo-secret",
        ),
        (
            "PUT",
            "/repos/acme/web/codespaces/secrets/T",
            "{}",
            "secret.write acme/web - -",
            "codespaces/create-or-update-repo-secret",
        ),
        (
            "PUT",
            "/repos/acme/web/agents/secrets/T",
            "{}",
            "secret.write acme/web - -",
            "agents/create-or-update-repo-secret",
        ),
        (
            "POST",
            "/repos/acme/web/actions/variables",
            "{}",
            "variable.write acme/web - -",
            "actions/create-repo-variable",
        ),
        (
            "PATCH",
            "/repos/acme/web/actions/variables/V",
            "{}",
            "variable.write acme/web - -",
            "actions/update-repo-variable",
        ),
        (
            "POST",
            "/repos/acme/web/keys",
            "{}",
            "key.create acme/web - -",
            "repos/create-deploy-key",
        ),
        (
            "POST",
            "/user/keys",
            "{}",
            "key.create - - -",
            "users/create-public-ssh-key-for-authenticated-user",
        ),
        (
            "POST",
            "/user/gpg_keys",
            "{}",
            "key.create - - -",
            "users/create-gpg-key-for-authenticated-user",
        ),
        (
            "POST",
            "/user/ssh_signing_keys",
            "{}",
            "key.create - - -",
            "users/create-ssh-signing-key-for-authenticated-user",
        ),
        (
            "POST",
            "/app/installations/1/access_tokens",
            "",
            "token.create * - -",
            "apps/create-installation-access-token",
        ),
        (
            "POST",
            "/repos/acme/web/hooks",
            r#"{"config":{"url":"https://x"}}"#,
            "hook.create acme/web - -",
            "repos/create-webhook",
        ),
        (
            "PATCH",
            "/repos/acme/web/hooks/1",
            "{}",
            "hook.update acme/web - -",
            "repos/update-webhook",
        ),
        (
            "PATCH",
            "/repos/acme/web/hooks/1/config",
            "{}",
            "hook.update acme/web - -",
            "repos/update-webhook-config-for-repo",
        ),
        (
            "POST",
            "/orgs/acme/hooks",
            "{}",
            "hook.create * - -",
            "orgs/create-webhook",
        ),
        (
            "PUT",
            "/repos/acme/web/collaborators/eve",
            "{}",
            "collaborator.write acme/web - -",
            "repos/add-collaborator",
        ),
        (
            "DELETE",
            "/repos/acme/web/collaborators/eve",
            "",
            "collaborator.delete acme/web - -",
            "repos/remove-collaborator",
        ),
        (
            "POST",
            "/orgs/acme/invitations",
            "{}",
            "member.invite * - -",
            "orgs/create-invitation",
        ),
        (
            "PUT",
            "/orgs/acme/memberships/eve",
            "{}",
            "member.write * - -",
            "orgs/set-membership-for-user",
        ),
        (
            "PUT",
            "/orgs/acme/teams/t/memberships/eve",
            "{}",
            "team.member * - -",
            "teams/add-or-update-membership-for-user-in-org",
        ),
        (
            "PUT",
            "/orgs/acme/teams/t/repos/acme/web",
            "{}",
            "team.repo acme/web - -",
            "teams/add-or-update-repo-permissions-in-org",
        ),
        (
            "POST",
            "/repos/acme/web/actions/workflows/ci.yml/dispatches",
            r#"{"ref":"main"}"#,
            "workflow.dispatch acme/web refs/heads/main -",
            "actions/create-workflow-dispatch",
        ),
        (
            "POST",
            "/repos/acme/web/dispatches",
            r#"{"event_type":"e"}"#,
            "repo.dispatch acme/web - -",
            "repos/create-dispatch-event",
        ),
        (
            "POST",
            "/repos/acme/web/actions/runs/1/rerun",
            "",
            "run.rerun acme/web - -",
            "actions/re-run-workflow",
        ),
        (
            "POST",
            "/repos/acme/web/actions/runs/1/approve",
            "",
            "run.approve acme/web - -",
            "actions/approve-workflow-run",
        ),
        (
            "POST",
            "/repos/acme/web/actions/runs/1/pending_deployments",
            r#"{"state":"approved"}"#,
            "deployment.approve acme/web - -",
            "actions/review-pending-deployments-for-run",
        ),
        (
            "PUT",
            "/repos/acme/web/actions/permissions",
            "{}",
            "actions.permissions acme/web - -",
            "actions/set-github-actions-permissions-repository",
        ),
        (
            "PUT",
            "/repos/acme/web/actions/permissions/workflow",
            "{}",
            "actions.permissions acme/web - -",
            "actions/set-github-actions-default-workflow-permissions-repository",
        ),
        (
            "PUT",
            "/repos/acme/web/actions/permissions/access",
            "{}",
            "actions.permissions acme/web - -",
            "actions/set-workflow-access-to-repository",
        ),
        (
            "POST",
            "/repos/acme/web/actions/runners/registration-token",
            "",
            "runner.token acme/web - -",
            "actions/create-registration-token-for-repo",
        ),
        (
            "PUT",
            "/repos/acme/web/actions/oidc/customization/sub",
            "{}",
            "oidc.update acme/web - -",
            "actions/set-custom-oidc-sub-claim-for-repo",
        ),
        (
            "PUT",
            "/repos/acme/web/environments/prod",
            "{}",
            "environment.write acme/web - -",
            "repos/create-or-update-environment",
        ),
        (
            "DELETE",
            "/repos/acme/web/actions/runs/1/logs",
            "",
            "run.delete_logs acme/web - -",
            "actions/delete-workflow-run-logs",
        ),
        (
            "POST",
            "/repos/acme/web/releases",
            r#"{"tag_name":"v1"}"#,
            "release.create acme/web refs/tags/v1 -",
            "repos/create-release",
        ),
        (
            "PATCH",
            "/repos/acme/web/releases/1",
            "{}",
            "release.update acme/web * -",
            "repos/update-release",
        ),
        (
            "DELETE",
            "/repos/acme/web/releases/1",
            "",
            "release.delete acme/web - -",
            "repos/delete-release",
        ),
        (
            "POST",
            "/api/uploads/repos/acme/web/releases/1/assets?name=x",
            "\u{1}binary",
            "release.upload acme/web - -",
            "repos/upload-release-asset",
        ),
        (
            "DELETE",
            "/orgs/acme/packages/npm/x",
            "",
            "package.delete * - -",
            "packages/delete-package-for-org",
        ),
        (
            "POST",
            "/repos/acme/web/pages",
            "{}",
            "pages.write acme/web - -",
            "repos/create-pages-site",
        ),
        (
            "POST",
            "/repos/acme/web/deployments",
            r#"{"ref":"main"}"#,
            "deployment.create acme/web refs/heads/main -",
            "repos/create-deployment",
        ),
        (
            "PATCH",
            "/repos/acme/web/secret-scanning/alerts/1",
            "{}",
            "security.update_alert acme/web - -",
            "secret-scanning/update-alert",
        ),
        (
            "PATCH",
            "/repos/acme/web/code-scanning/alerts/1",
            "{}",
            "security.update_alert acme/web - -",
            "code-scanning/update-alert",
        ),
        (
            "DELETE",
            "/repos/acme/web/vulnerability-alerts",
            "",
            "security.disable acme/web - -",
            "repos/disable-vulnerability-alerts",
        ),
        (
            "DELETE",
            "/repos/acme/web/automated-security-fixes",
            "",
            "security.disable acme/web - -",
            "repos/disable-automated-security-fixes",
        ),
        (
            "GET",
            "/repos/acme/web/secret-scanning/alerts",
            "",
            "security_alert.read acme/web - -",
            "secret-scanning/list-alerts-for-repo",
        ),
        (
            "POST",
            "/gists",
            r#"{"public":true}"#,
            "gist.create - - -",
            "gists/create",
        ),
        (
            "GET",
            "/repos/acme/web/tarball/feature/x",
            "",
            "archive.read acme/web - -",
            "repos/download-tarball-archive",
        ),
        (
            "GET",
            "/repos/acme/web/zipball/main",
            "",
            "archive.read acme/web - -",
            "repos/download-zipball-archive",
        ),
        (
            "POST",
            "/orgs/acme/migrations",
            "{}",
            "migration.create * - -",
            "migrations/start-for-org",
        ),
        (
            "GET",
            "/repos/acme/web/actions/runs/1/logs",
            "",
            "run_logs.read acme/web - -",
            "actions/download-workflow-run-logs",
        ),
    ];
    for (method, target, body, expected, id) in cases {
        let judged = rest(method, target, body);
        assert_eq!(described(&judged), *expected, "{method} {target}");
        let alias = format!("github:{id}");
        for operation in &judged.operations {
            assert!(
                operation.aliases.contains(&alias),
                "{target}: {operation:?}"
            );
            assert_eq!(operation.write, !operation.name.ends_with(".read"));
            assert!(!operation.is_unknown_write());
        }
    }
}

#[test]
fn every_spelling_of_a_path_is_the_same_operation() {
    for target in [
        "/repos/acme/web",
        "/repos/acme/web/",
        "/repos/ACME/Web.git",
        "/api/v3/repos/acme/web",
        "/repos/%61cme/web",
        "/Repos/acme/web",
        "/repos/acme/web?x=1",
    ] {
        assert_eq!(
            described(&rest("DELETE", target, "")),
            "repo.delete acme/web - -",
            "{target}"
        );
    }
    assert_eq!(
        described(&rest("delete", "/repos/acme/web", "")),
        "repo.delete acme/web - -"
    );
    assert_eq!(
        described(&rest("DELETE", "/repositories/42", "")),
        "repo.delete * - -"
    );
    assert_eq!(
        described(&rest(
            "PUT",
            "/repositories/42/contents/a",
            r#"{"branch":"x"}"#
        )),
        "content.write * refs/heads/x a + ref.update * refs/heads/x a"
    );
    // A name GitHub does not have proves nothing.
    assert_eq!(
        described(&rest("DELETE", "/repos/acme/we%20b", "")),
        "repo.delete * - -"
    );
    assert_eq!(
        described(&rest("DELETE", "/repos/acme/we%E2%84%AA", "")),
        "repo.delete * - -"
    );
}

#[test]
fn reads_and_unlisted_writes_have_names() {
    for (method, target, expected) in [
        ("GET", "/repos/acme/web", "repo.read acme/web - -"),
        ("HEAD", "/repos/acme/web/pulls/1", "repo.read acme/web - -"),
        (
            "GET",
            "/repos/acme/web/contents/a/b?ref=x",
            "repo.read acme/web - a/b",
        ),
        ("GET", "/repositories/1/issues", "repo.read * - -"),
        ("GET", "/user", "github.read - - -"),
        ("GET", "/search/code?q=x", "search.read * - -"),
        (
            "GET",
            "/copilot_internal/v2/token",
            "copilot_token.read - - -",
        ),
        ("POST", "/markdown", "github.read - - -"),
        (
            "POST",
            "/repos/acme/web/issues",
            "issue.create acme/web - -",
        ),
        (
            "DELETE",
            "/repos/acme/web/new-thing",
            "github.unknown_write acme/web * -",
        ),
        ("POST", "/unheard/of", "github.unknown_write * * -"),
        ("PROPFIND", "/user", "github.unknown_write * * -"),
    ] {
        let judged = rest(method, target, "");
        assert_eq!(described(&judged), expected, "{method} {target}");
        let unknown = expected.starts_with("github.unknown_write");
        assert_eq!(judged.operations[0].is_unknown_write(), unknown);
    }
}

#[test]
fn moves_of_a_ref_answer_to_push() {
    for (method, target, body) in [
        ("PUT", "/repos/acme/web/contents/a", "{}"),
        ("PATCH", "/repos/acme/web/git/refs/heads/main", "{}"),
        ("POST", "/repos/acme/web/git/refs", "{}"),
        ("DELETE", "/repos/acme/web/git/refs/heads/main", ""),
        ("POST", "/repos/acme/web/merges", "{}"),
        ("POST", "/repos/acme/web/branches/main/rename", "{}"),
    ] {
        let judged = rest(method, target, body);
        let push = "ref.push".to_owned();
        assert!(
            judged.operations.iter().any(|o| o.aliases.contains(&push)),
            "{target}"
        );
    }
}

#[test]
fn bodies_with_two_readings_are_undecided() {
    let put = "/repos/acme/web/contents/a";
    let cases: &[(&str, &str, &[(&str, &str)], Reason)] = &[
        (
            put,
            r#"{"branch":"dev","branch":"main"}"#,
            &[],
            Reason::BodyUnreadable,
        ),
        (
            put,
            r#"{"branch":"dev"} {"branch":"main"}"#,
            &[],
            Reason::BodyUnreadable,
        ),
        (put, "\u{feff}{}", &[], Reason::BodyUnreadable),
        (put, r#"{"branch":1}"#, &[], Reason::BodyUnreadable),
        (put, r#"["x"]"#, &[], Reason::BodyUnreadable),
        (put, "branch=main", &[], Reason::BodyUnreadable),
        (
            "/repos/acme/web/contents/a?branch=main",
            r#"{"branch":"dev"}"#,
            &[],
            Reason::PathAmbiguous,
        ),
        (
            "/repos/acme/web/contents/a?branch=main&branch=x",
            "{}",
            &[],
            Reason::PathAmbiguous,
        ),
        (
            "/repos/acme/web?_method=DELETE",
            "{}",
            &[],
            Reason::PathAmbiguous,
        ),
        (
            put,
            "{}",
            &[("x-http-method-override", "DELETE")],
            Reason::HeaderAmbiguous,
        ),
        (
            put,
            "{}",
            &[
                ("content-type", "application/json"),
                ("content-type", "text/plain"),
            ],
            Reason::HeaderAmbiguous,
        ),
        (
            put,
            "{}",
            &[("content-type", "multipart/form-data; boundary=x")],
            Reason::BodyUnreadable,
        ),
        (
            put,
            r#"{"message":"&branch=main"}"#,
            &[("content-type", "application/x-www-form-urlencoded")],
            Reason::BodyUnreadable,
        ),
        (
            put,
            "{}",
            &[("content-type", "application/json; charset=utf-16")],
            Reason::BodyEncoding,
        ),
        (
            put,
            "{}",
            &[("content-encoding", "gzip")],
            Reason::BodyEncoding,
        ),
        (put, "", &[("upgrade", "websocket")], Reason::UpgradeRefused),
    ];
    for (target, body, headers, reason) in cases {
        let undecided =
            judge(ProtocolKind::GitHub, &with("PUT", target, headers), body).unwrap_err();
        assert_eq!(undecided.reason, *reason, "{target} {body} {headers:?}");
        assert_eq!(undecided.style, DenialStyle::GitHubRest);
    }
    // curl's default type is fine as long as a form reader finds nothing.
    let curl = with(
        "PUT",
        put,
        &[("content-type", "application/x-www-form-urlencoded")],
    );
    assert!(judge(ProtocolKind::GitHub, &curl, r#"{"branch":"main"}"#).is_ok());
    let connect = judge(ProtocolKind::Http, &head("CONNECT", "/"), "").unwrap_err();
    assert_eq!(connect.reason, Reason::UpgradeRefused);
}

#[test]
fn only_what_decides_is_collected() {
    use BodyNeed::*;
    let cases = [
        (ProtocolKind::Http, "POST", "/x", None),
        (ProtocolKind::GitHub, "GET", "/repos/a/b", None),
        (ProtocolKind::GitHub, "DELETE", "/repos/a/b", None),
        (ProtocolKind::GitHub, "PATCH", "/repos/a/b", Whole),
        (ProtocolKind::GitHub, "POST", "/repos/a/b", Whole),
        (
            ProtocolKind::GitHub,
            "PUT",
            "/api/v3/repos/a/b/contents/c",
            Whole,
        ),
        (
            ProtocolKind::GitHub,
            "POST",
            "/api/uploads/repos/a/b/releases/1/assets",
            None,
        ),
        (ProtocolKind::GitHub, "POST", "/graphql", Whole),
        (ProtocolKind::GitHub, "POST", "/api/graphql", Whole),
        (ProtocolKind::GitHub, "POST", "/api/v3/graphql", Whole),
        (ProtocolKind::Git, "GET", "/a/b.git/info/refs", None),
        (ProtocolKind::Git, "POST", "/a/b.git/git-upload-pack", None),
        (
            ProtocolKind::Git,
            "POST",
            "/a/b.git/git-receive-pack",
            GitCommands,
        ),
        (
            ProtocolKind::Git,
            "POST",
            "/a/b/info/lfs/objects/batch",
            Whole,
        ),
        (ProtocolKind::OpenAi, "POST", "/chat/completions", Whole),
        (ProtocolKind::OpenAi, "POST", "/telemetry", None),
        (ProtocolKind::OpenAi, "GET", "/models", None),
        (ProtocolKind::OpenAi, "POST", "/mcp/readonly", Whole),
        (ProtocolKind::Mcp, "POST", "/mcp", Whole),
        (ProtocolKind::Mcp, "GET", "/mcp", None),
    ];
    for (kind, method, target, need) in cases {
        let path = RequestPath::read(target).unwrap();
        assert_eq!(
            body_need(kind, &head(method, target), &path),
            need,
            "{method} {target}"
        );
    }
}

const ZERO: &str = "0000000000000000000000000000000000000000";

fn pkt(line: &str) -> String {
    format!("{:04x}{line}", line.len() + 4)
}

#[test]
fn git_requests_have_their_operations() {
    let oid = "1".repeat(40);
    let push = format!(
        "{}{}{}0000PACK",
        pkt(&format!(
            "{ZERO} {oid} refs/heads/new\0 report-status side-band-64k atomic"
        )),
        pkt(&format!("{oid} {} refs/heads/main", "2".repeat(40))),
        pkt(&format!("{oid} {ZERO} refs/tags/v1"))
    );
    let cases = [
        (
            "GET",
            "/acme/web.git/info/refs?service=git-upload-pack",
            "",
            "repo.read acme/web - -",
        ),
        (
            "GET",
            "/Acme/Web/info/refs?service=git-receive-pack",
            "",
            "repo.read acme/web - -",
        ),
        (
            "POST",
            "/acme/web.git/git-upload-pack",
            "\u{1f}zipped",
            "repo.read acme/web - -",
        ),
        (
            "POST",
            "/acme/web.git/git-receive-pack",
            "0000",
            "repo.read acme/web - -",
        ),
        (
            "POST",
            "/acme/web.git/git-receive-pack",
            push.as_str(),
            "ref.push acme/web refs/heads/new * + ref.push acme/web refs/heads/main * + ref.push acme/web refs/tags/v1 -",
        ),
        (
            "GET",
            "/acme/web/archive/refs/heads/main.zip",
            "",
            "repo.read acme/web - -",
        ),
        ("GET", "/login/device", "", "http.get - - -"),
        ("GET", "/", "", "http.get - - -"),
        (
            "POST",
            "/login/oauth/access_token",
            "",
            "git.unknown_write * - -",
        ),
        (
            "PUT",
            "/acme/web.git/git-receive-pack",
            "",
            "git.unknown_write * - -",
        ),
        (
            "POST",
            "/acme/web.git/info/lfs/objects/batch",
            r#"{"operation":"upload","ref":{"name":"refs/heads/x"},"objects":[{"oid":"1","size":2}]}"#,
            "lfs.upload acme/web refs/heads/x -",
        ),
        (
            "POST",
            "/acme/web.git/info/lfs/objects/batch",
            r#"{"operation":"download","objects":[]}"#,
            "lfs.download acme/web - -",
        ),
        (
            "POST",
            "/acme/web.git/info/lfs/locks",
            r#"{"path":"a.bin"}"#,
            "lfs.lock acme/web * -",
        ),
        (
            "POST",
            "/acme/web.git/info/lfs/locks/verify",
            "{}",
            "lfs.read acme/web - -",
        ),
        (
            "POST",
            "/acme/web.git/info/lfs/locks/1/unlock",
            "{}",
            "lfs.unlock acme/web - -",
        ),
        (
            "POST",
            "/acme/web.git/info/lfs/other",
            "{}",
            "git.unknown_write * - -",
        ),
        (
            "POST",
            "/group/sub/web.git/git-upload-pack",
            "",
            "repo.read group/sub/web - -",
        ),
        (
            "GET",
            "/1234abcd.git/info/refs?service=git-upload-pack",
            "",
            "repo.read * - -",
        ),
    ];
    for (method, target, body, expected) in cases {
        let judged = judge(ProtocolKind::Git, &head(method, target), body).unwrap();
        assert_eq!(described(&judged), expected, "{method} {target}");
    }
    let judged = judge(
        ProtocolKind::Git,
        &head("POST", "/acme/web.git/git-receive-pack"),
        &push,
    )
    .unwrap();
    let of = |index: usize, name: &str| judged.operations[index].attributes.get(name).cloned();
    assert_eq!(of(0, "change").as_deref(), Some("create"));
    assert_eq!(of(1, "change").as_deref(), Some("update"));
    assert_eq!(of(2, "change").as_deref(), Some("delete"));
    assert_eq!(of(1, "old"), Some(oid));
    assert_eq!(of(1, "atomic").as_deref(), Some("true"));
    assert_eq!(
        judged.operations[2].aliases,
        ["git:receive-pack", "ref.delete"]
    );
    assert_eq!(
        judged.style,
        DenialStyle::GitReceivePack {
            side_band: true,
            refs: ["refs/heads/new", "refs/heads/main", "refs/tags/v1"]
                .map(str::to_owned)
                .to_vec(),
        }
    );
}

#[test]
fn pushes_that_can_not_be_read_are_undecided() {
    let target = "/acme/web.git/git-receive-pack";
    let cases: &[(&str, &[(&str, &str)], Reason)] = &[
        ("", &[], Reason::BodyUnreadable),
        ("00", &[], Reason::BodyUnreadable),
        ("zzzz", &[], Reason::BodyUnreadable),
        (
            "0000",
            &[("content-encoding", "gzip")],
            Reason::BodyEncoding,
        ),
    ];
    for (body, headers, reason) in cases {
        let undecided = judge(ProtocolKind::Git, &with("POST", target, headers), body).unwrap_err();
        assert_eq!(undecided.reason, *reason, "{body}");
        assert!(matches!(
            undecided.style,
            DenialStyle::GitReceivePack {
                side_band: true,
                ..
            }
        ));
    }
    let twice = "/acme/web.git/info/refs?service=git-upload-pack&service=git-receive-pack";
    let undecided = judge(ProtocolKind::Git, &head("GET", twice), "").unwrap_err();
    assert_eq!(undecided.reason, Reason::PathAmbiguous);
}

#[test]
fn model_routes_have_their_operations() {
    let chat = r#"{"model":"gpt-4.1","stream":true,"messages":[{"role":"system"},{"role":"user"}],
        "tools":[{"type":"function","function":{"name":"bash"}},{"name":"view"}]}"#;
    for target in [
        "/chat/completions",
        "/v1/chat/completions",
        "/copilot/chat/completions",
        "/openai/v1/chat/completions",
    ] {
        let judged = judge(ProtocolKind::OpenAi, &head("POST", target), chat).unwrap();
        assert_eq!(judged.model.as_deref(), Some("gpt-4.1"), "{target}");
        let operation = &judged.operations[0];
        assert_eq!(operation.name, "chat.completion");
        for (name, value) in [
            ("model", "gpt-4.1"),
            ("stream", "true"),
            ("message_count", "2"),
            ("tools", "bash,view"),
        ] {
            assert_eq!(
                operation.attributes.get(name).map(String::as_str),
                Some(value)
            );
        }
    }
    for (method, target, body, name) in [
        (
            "POST",
            "/responses",
            r#"{"model":"m","input":"hi"}"#,
            "chat.completion",
        ),
        (
            "POST",
            "/v1/messages",
            r#"{"model":"m","messages":[]}"#,
            "chat.completion",
        ),
        (
            "POST",
            "/v1/engines/gpt-41-copilot/completions",
            r#"{"prompt":"x"}"#,
            "chat.completion",
        ),
        ("POST", "/embeddings", r#"{"model":"m"}"#, "chat.embedding"),
        ("POST", "/models/session", "", "chat.session"),
        ("POST", "/telemetry", "\u{1f}gzip", "chat.telemetry"),
        ("GET", "/telemetry", "", "chat.read"),
        ("GET", "/models", "", "chat.read"),
        (
            "GET",
            "/agents/swe/custom-agents/acme/web?x=1",
            "",
            "chat.read",
        ),
        ("POST", "/agents/swe/jobs", "{}", "chat.unknown_write"),
        ("DELETE", "/models/x", "", "chat.unknown_write"),
        ("DELETE", "/mcp/readonly", "", "mcp.protocol"),
        (
            "POST",
            "/copilot/mcp/",
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_me"}}"#,
            "github.read",
        ),
    ] {
        let judged = judge(ProtocolKind::OpenAi, &head(method, target), body).unwrap();
        assert_eq!(judged.operations[0].name, name, "{method} {target}");
    }
    let engine = judge(
        ProtocolKind::OpenAi,
        &head("POST", "/v1/engines/e/completions"),
        r#"{"model":"other"}"#,
    );
    assert_eq!(engine.unwrap().model.as_deref(), Some("e"));
    let websocket = with(
        "GET",
        "/responses",
        &[("upgrade", "websocket"), ("connection", "upgrade")],
    );
    let undecided = judge(ProtocolKind::OpenAi, &websocket, "").unwrap_err();
    assert_eq!(
        (undecided.reason, undecided.style),
        (Reason::UpgradeRefused, DenialStyle::OpenAi)
    );
    let garbled = judge(ProtocolKind::OpenAi, &head("POST", "/responses"), "{").unwrap_err();
    assert_eq!(garbled.reason, Reason::BodyUnreadable);
}

#[test]
fn plain_http_shows_method_host_path_and_query() {
    let judged = judge(ProtocolKind::Http, &head("POST", "/a%2Fb/c?d=e"), "").unwrap();
    let operation = &judged.operations[0];
    assert_eq!(
        (operation.name.as_str(), operation.write),
        ("http.post", true)
    );
    for (name, value) in [
        ("host", "gateway.test"),
        ("path", "/a/b/c"),
        ("query", "d=e"),
    ] {
        assert_eq!(
            operation.attributes.get(name).map(String::as_str),
            Some(value)
        );
    }
    for method in ["GET", "HEAD", "OPTIONS", "get"] {
        assert!(
            !judge(ProtocolKind::Http, &head(method, "/"), "")
                .unwrap()
                .operations[0]
                .write
        );
    }
}

#[test]
fn names_of_protocols_are_those_of_the_policy() {
    for kind in ProtocolKind::ALL {
        assert_eq!(ProtocolKind::from_name(kind.name()), Some(*kind));
    }
    assert_eq!(ProtocolKind::from_name("ftp"), None);
    let none = head_style(ProtocolKind::Mcp, &head("POST", "/mcp"), None);
    assert_eq!(
        none,
        DenialStyle::Mcp {
            calls: Vec::<McpCall>::new(),
            batch: false
        }
    );
}

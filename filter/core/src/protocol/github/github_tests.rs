//! REST calls, one after another, and what each of them is.

use super::*;
use crate::protocol::ProtocolKind;
use crate::protocol::tests::{described, head, judge, with};
use crate::reason::Reason;

type Pairs = &'static [(&'static str, &'static str)];

fn rest(method: &str, target: &str, body: &str) -> Judged {
    judge(ProtocolKind::GitHub, &head(method, target), body)
        .unwrap_or_else(|e| panic!("{method} {target}: {e:?}"))
}

/// Every line of the table of risky calls: request and body, operations (name, repository, ref,
/// files; `-` is none, `*` any), GitHub's own name.
const RISKY: &str = r#"
DELETE /repos/Acme/Web
    = repo.delete acme/web - - @ repos/delete
POST /user/repos {"name":"x"}
    = repo.create * - - @ repos/create-for-authenticated-user
POST /orgs/acme/repos {"name":"New"}
    = repo.create acme/new - - @ repos/create-in-org
POST /repos/acme/tpl/generate {"owner":"acme","name":"n"}
    = repo.create acme/n - - + repo.read acme/tpl - - @ repos/create-using-template
POST /repos/acme/web/forks
    = repo.fork acme/web - - + repo.create * - - @ repos/create-fork
POST /repos/acme/web/transfer {"new_owner":"evil"}
    = repo.transfer acme/web - - + repo.create evil/web - - @ repos/transfer
PATCH /repos/acme/web {"description":"d"}
    = repo.update acme/web - - @ repos/update
PATCH /repos/acme/web {"private":false,"archived":true,"default_branch":"x"}
    = repo.update acme/web - - + repo.archive acme/web - - + repo.default_branch acme/web - - + repo.visibility acme/web - - @ repos/update
POST /repos/acme/web {"name":"y"}
    = repo.update acme/web - - + repo.rename acme/web - - @ repos/update
DELETE /orgs/acme
    = org.delete * - - @ orgs/delete
PUT /repos/acme/web/import {}
    = repo.import acme/web - - @ migrations/start-import
PUT /repos/acme/web/contents/.github%2Fworkflows%2Fci.yml {"branch":"main","content":""}
    = content.write acme/web refs/heads/main .github/workflows/ci.yml + ref.update acme/web refs/heads/main .github/workflows/ci.yml @ repos/create-or-update-file-contents
PUT /repos/acme/web/contents/.github/workflows/ci.yml {}
    = content.write acme/web * .github/workflows/ci.yml + ref.update acme/web * .github/workflows/ci.yml @ repos/create-or-update-file-contents
DELETE /repos/acme/web/contents/a?branch=dev
    = content.write acme/web refs/heads/dev a + ref.update acme/web refs/heads/dev a @ repos/delete-file
POST /repos/acme/web/git/blobs {}
    = blob.create acme/web - - @ git/create-blob
POST /repos/acme/web/git/trees {"tree":[{"path":"a/b","mode":"100644"},{"path":".github/workflows/x.yml"}]}
    = content.write acme/web * a/b,.github/workflows/x.yml + content.write acme/web * * @ git/create-tree
POST /repos/acme/web/git/trees {"tree":[{"path":".github","mode":"040000","type":"tree"}]}
    = content.write acme/web * * @ git/create-tree
POST /repos/acme/web/git/commits {}
    = commit.create acme/web - - @ git/create-commit
POST /repos/acme/web/git/refs {"ref":"refs/heads/new","sha":"s"}
    = ref.create acme/web refs/heads/new - @ git/create-ref
PATCH /repos/acme/web/git/refs/heads/main {"sha":"s","force":true}
    = ref.update acme/web refs/heads/main - @ git/update-ref
POST /repos/acme/web/git/refs/heads%2Fmain {"sha":"s"}
    = ref.update acme/web refs/heads/main - @ git/update-ref
DELETE /repos/acme/web/git/refs/tags/v1
    = ref.delete acme/web refs/tags/v1 - @ git/delete-ref
PATCH /repos/acme/web/git/refs/main {}
    = ref.update acme/web * - @ git/update-ref
PUT /repos/acme/web/contents/a {"branch":"heads/main"}
    = content.write acme/web * a + ref.update acme/web * a @ repos/create-or-update-file-contents
PATCH /repos/acme/web/git/refs/refs/heads/main {}
    = ref.update acme/web * - @ git/update-ref
POST /repos/acme/web/git/tags {"tag":"v1"}
    = tag.create acme/web - - @ git/create-tag
PUT /repos/acme/web/pulls/7/merge
    = pr.merge acme/web * - @ pulls/merge
PUT /repos/acme/web/pulls/7/merge-async
    = pr.merge acme/web * - @ pulls/merge-async
POST /repos/acme/web/merges {"base":"main","head":"x"}
    = ref.update acme/web refs/heads/main - @ repos/merge
POST /repos/acme/web/merge-upstream {"branch":"main"}
    = ref.update acme/web refs/heads/main - @ repos/merge-upstream
POST /repos/acme/web/pulls {"base":"main","head":"x"}
    = pr.create acme/web - - @ pulls/create
PUT /repos/acme/web/pulls/7/update-branch
    = pr.update_branch acme/web * - @ pulls/update-branch
POST /repos/acme/web/pulls/7/reviews {"event":"COMMENT"}
    = pr.review acme/web * - @ pulls/create-review
POST /repos/acme/web/pulls/7/reviews {"event":"APPROVE"}
    = pr.review acme/web * - + pr.approve acme/web * - @ pulls/create-review
PUT /repos/acme/web/branches/main/protection {}
    = protection.update acme/web refs/heads/main - @ repos/update-branch-protection
DELETE /repos/acme/web/branches/release%2F1/protection
    = protection.delete acme/web refs/heads/release/1 - @ repos/delete-branch-protection
DELETE /repos/acme/web/branches/release/1/protection/enforce_admins
    = protection.delete acme/web refs/heads/release/1 - @ repos/delete-admin-branch-protection
POST /repos/acme/web/rulesets {"name":"r"}
    = ruleset.create acme/web - - @ repos/create-repo-ruleset
PUT /repos/acme/web/rulesets/1 {}
    = ruleset.update acme/web - - @ repos/update-repo-ruleset
DELETE /repos/acme/web/rulesets/1
    = ruleset.delete acme/web - - @ repos/delete-repo-ruleset
POST /orgs/acme/rulesets {}
    = ruleset.create * - - @ repos/create-org-ruleset
POST /repos/acme/web/branches/main/rename {"new_name":"trunk"}
    = branch.rename acme/web refs/heads/main - + ref.create acme/web refs/heads/trunk - @ repos/rename-branch
PUT /repos/acme/web/actions/secrets/TOKEN {}
    = secret.write acme/web - - @ actions/create-or-update-repo-secret
DELETE /repos/acme/web/actions/secrets/TOKEN
    = secret.delete acme/web - - @ actions/delete-repo-secret
PUT /orgs/acme/actions/secrets/TOKEN {}
    = secret.write * - - @ actions/create-or-update-org-secret
PUT /repos/acme/web/environments/prod/secrets/T {}
    = secret.write acme/web - - @ actions/create-or-update-environment-secret
PUT /repos/acme/web/dependabot/secrets/T {}
    = secret.write acme/web - - @ dependabot/create-or-update-repo-secret
PUT /repos/acme/web/codespaces/secrets/T {}
    = secret.write acme/web - - @ codespaces/create-or-update-repo-secret
PUT /repos/acme/web/agents/secrets/T {}
    = secret.write acme/web - - @ agents/create-or-update-repo-secret
POST /repos/acme/web/actions/variables {}
    = variable.write acme/web - - @ actions/create-repo-variable
PATCH /repos/acme/web/actions/variables/V {}
    = variable.write acme/web - - @ actions/update-repo-variable
POST /repos/acme/web/keys {}
    = key.create acme/web - - @ repos/create-deploy-key
POST /user/keys {}
    = key.create - - - @ users/create-public-ssh-key-for-authenticated-user
POST /user/gpg_keys {}
    = key.create - - - @ users/create-gpg-key-for-authenticated-user
POST /user/ssh_signing_keys {}
    = key.create - - - @ users/create-ssh-signing-key-for-authenticated-user
POST /app/installations/1/access_tokens
    = token.create * - - @ apps/create-installation-access-token
POST /repos/acme/web/hooks {"config":{"url":"https://x"}}
    = hook.create acme/web - - @ repos/create-webhook
PATCH /repos/acme/web/hooks/1 {}
    = hook.update acme/web - - @ repos/update-webhook
PATCH /repos/acme/web/hooks/1/config {}
    = hook.update acme/web - - @ repos/update-webhook-config-for-repo
POST /orgs/acme/hooks {}
    = hook.create * - - @ orgs/create-webhook
PUT /repos/acme/web/collaborators/eve {}
    = collaborator.write acme/web - - @ repos/add-collaborator
DELETE /repos/acme/web/collaborators/eve
    = collaborator.delete acme/web - - @ repos/remove-collaborator
POST /orgs/acme/invitations {}
    = member.invite * - - @ orgs/create-invitation
PUT /orgs/acme/memberships/eve {}
    = member.write * - - @ orgs/set-membership-for-user
PUT /orgs/acme/teams/t/memberships/eve {}
    = team.member * - - @ teams/add-or-update-membership-for-user-in-org
PUT /orgs/acme/teams/t/repos/acme/web {}
    = team.repo acme/web - - @ teams/add-or-update-repo-permissions-in-org
POST /repos/acme/web/actions/workflows/ci.yml/dispatches {"ref":"main"}
    = workflow.dispatch acme/web refs/heads/main - @ actions/create-workflow-dispatch
POST /repos/acme/web/dispatches {"event_type":"e"}
    = repo.dispatch acme/web - - @ repos/create-dispatch-event
POST /repos/acme/web/actions/runs/1/rerun
    = run.rerun acme/web - - @ actions/re-run-workflow
POST /repos/acme/web/actions/runs/1/approve
    = run.approve acme/web - - @ actions/approve-workflow-run
POST /repos/acme/web/actions/runs/1/pending_deployments {"state":"approved"}
    = deployment.approve acme/web - - @ actions/review-pending-deployments-for-run
PUT /repos/acme/web/actions/permissions {}
    = actions.permissions acme/web - - @ actions/set-github-actions-permissions-repository
PUT /repos/acme/web/actions/permissions/workflow {}
    = actions.permissions acme/web - - @ actions/set-github-actions-default-workflow-permissions-repository
PUT /repos/acme/web/actions/permissions/access {}
    = actions.permissions acme/web - - @ actions/set-workflow-access-to-repository
POST /repos/acme/web/actions/runners/registration-token
    = runner.token acme/web - - @ actions/create-registration-token-for-repo
PUT /repos/acme/web/actions/oidc/customization/sub {}
    = oidc.update acme/web - - @ actions/set-custom-oidc-sub-claim-for-repo
PUT /repos/acme/web/environments/prod {}
    = environment.write acme/web - - @ repos/create-or-update-environment
DELETE /repos/acme/web/actions/runs/1/logs
    = run.delete_logs acme/web - - @ actions/delete-workflow-run-logs
POST /repos/acme/web/releases {"tag_name":"v1"}
    = release.create acme/web refs/tags/v1 - @ repos/create-release
PATCH /repos/acme/web/releases/1 {}
    = release.update acme/web * - @ repos/update-release
DELETE /repos/acme/web/releases/1
    = release.delete acme/web - - @ repos/delete-release
POST /api/uploads/repos/acme/web/releases/1/assets?name=x binary
    = release.upload acme/web - - @ repos/upload-release-asset
DELETE /orgs/acme/packages/npm/x
    = package.delete * - - @ packages/delete-package-for-org
POST /repos/acme/web/pages {}
    = pages.write acme/web - - @ repos/create-pages-site
POST /repos/acme/web/deployments {"ref":"main"}
    = deployment.create acme/web refs/heads/main - @ repos/create-deployment
PATCH /repos/acme/web/secret-scanning/alerts/1 {}
    = security.update_alert acme/web - - @ secret-scanning/update-alert
PATCH /repos/acme/web/code-scanning/alerts/1 {}
    = security.update_alert acme/web - - @ code-scanning/update-alert
DELETE /repos/acme/web/vulnerability-alerts
    = security.disable acme/web - - @ repos/disable-vulnerability-alerts
DELETE /repos/acme/web/automated-security-fixes
    = security.disable acme/web - - @ repos/disable-automated-security-fixes
GET /repos/acme/web/secret-scanning/alerts
    = security_alert.read acme/web - - @ secret-scanning/list-alerts-for-repo
POST /gists {"public":true}
    = gist.create - - - @ gists/create
GET /repos/acme/web/tarball/feature/x
    = archive.read acme/web - - @ repos/download-tarball-archive
GET /repos/acme/web/zipball/main
    = archive.read acme/web - - @ repos/download-zipball-archive
POST /orgs/acme/migrations {}
    = migration.create * - - @ migrations/start-for-org
GET /repos/acme/web/actions/runs/1/logs
    = run_logs.read acme/web - - @ actions/download-workflow-run-logs
"#;

#[test]
fn risky_rest_calls_have_their_operations() {
    let mut lines = RISKY.trim().lines();
    let mut count = 0;
    while let (Some(request), Some(expected)) = (lines.next(), lines.next()) {
        let mut parts = request.splitn(3, ' ');
        let (method, target) = (parts.next().unwrap(), parts.next().unwrap());
        let judged = rest(method, target, parts.next().unwrap_or_default());
        let expected = expected.trim().strip_prefix("= ").unwrap();
        let (expected, id) = expected.split_once(" @ ").unwrap();
        assert_eq!(described(&judged), expected, "{request}");
        let alias = format!("github:{id}");
        for operation in &judged.operations {
            assert!(
                operation.aliases.contains(&alias),
                "{request}: {operation:?}"
            );
            assert_eq!(operation.write, !operation.name.ends_with(".read"));
            assert!(!operation.is_unknown_write());
        }
        count += 1;
    }
    assert_eq!(count, 95);
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
    let cases: &[(&str, &str, Pairs, Reason)] = &[
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

use super::*;
use crate::protocol::tests::{describe, described, head, judge as judge_as, with};
use crate::protocol::{ProtocolKind, Undecided};

fn on(host: &str, method: &str, target: &str, body: &str) -> Result<Judged, Undecided> {
    let head = RequestHead {
        authority: host.to_owned(),
        ..head(method, target)
    };
    judge_as(ProtocolKind::Git, &head, body)
}

fn push(line: &str) -> String {
    let ids = format!("{} {}", "1".repeat(40), "2".repeat(40));
    let line = format!("{ids} {line}\0report-status");
    format!("{:04x}{line}0000PACK", line.len() + 4)
}

const RECEIVE: &str = "/acme/web.git/git-receive-pack";

#[test]
fn a_wiki_is_its_repositorys() {
    let body = push("refs/heads/master");
    for target in [
        "/Acme/web.wiki.git/git-receive-pack",
        "/acme/Web.Wiki/git-receive-pack",
    ] {
        let judged = on("github.com", "POST", target, &body).unwrap();
        assert_eq!(described(&judged), "ref.push acme/web refs/heads/master *");
        assert_eq!(judged.operations[0].attributes["wiki"], "true");
    }
    let read = on(
        "github.com",
        "GET",
        "/acme/web.wiki.git/info/refs?service=git-upload-pack",
        "",
    );
    assert_eq!(described(&read.unwrap()), "repo.read acme/web - -");
    let page = on("github.com", "GET", "/acme/web/wiki/Home", "").unwrap();
    assert_eq!(described(&page), "repo.read acme/web - -");
    assert_eq!(page.operations[0].attributes["wiki"], "true");
}

#[test]
fn a_gist_counts_as_any_repository_of_its_owner() {
    let body = push("refs/heads/main");
    for (host, target, owner) in [
        (
            "gist.github.com",
            "/0123abcd.git/git-receive-pack",
            Target::Any,
        ),
        (
            "gist.github.com",
            "/Ada/0123abcd.git/git-receive-pack",
            Target::Known("ada".into()),
        ),
        (
            "github.example.com",
            "/gist/0123abcd.git/git-receive-pack",
            Target::Any,
        ),
    ] {
        let judged = on(host, "POST", target, &body).unwrap();
        let operation = &judged.operations[0];
        assert_eq!(
            describe(operation),
            "ref.push * refs/heads/main *",
            "{target}"
        );
        assert_eq!(operation.owner(), owner);
        assert_eq!(operation.attributes["gist"], "0123abcd");
        assert!(operation.aliases.contains(&"gist.update".to_owned()));
    }
    let read = on("gist.github.com", "GET", "/ada/0123abcd/raw/x.txt", "").unwrap();
    assert_eq!(described(&read), "repo.read * - *");
    assert_eq!(read.operations[0].owner(), Target::Known("ada".into()));
}

#[test]
fn what_the_web_site_serves_is_told_apart() {
    for (host, method, target, expected) in [
        ("github.com", "GET", "/acme/web", "repo.read acme/web - -"),
        (
            "github.com",
            "GET",
            "/acme/web/archive/refs/heads/main.zip",
            "archive.read acme/web - -",
        ),
        (
            "github.com",
            "GET",
            "/acme/web/zipball/main",
            "archive.read acme/web - -",
        ),
        (
            "codeload.github.com",
            "GET",
            "/acme/web/tar.gz/refs/heads/main",
            "archive.read acme/web - -",
        ),
        (
            "github.com",
            "GET",
            "/acme/web/raw/main/.github/workflows/ci.yml",
            "repo.read acme/web - *",
        ),
        (
            "raw.githubusercontent.com",
            "GET",
            "/acme/web/main/a.txt",
            "repo.read acme/web - *",
        ),
        (
            "github.com",
            "GET",
            "/acme/web/releases/download/v1/a.tgz",
            "repo.read acme/web - -",
        ),
        // git's dumb protocol.
        (
            "github.com",
            "GET",
            "/acme/web.git/info/refs",
            "repo.read acme/web - -",
        ),
        (
            "github.com",
            "GET",
            "/acme/web.git/HEAD",
            "repo.read acme/web - -",
        ),
        (
            "github.com",
            "GET",
            "/acme/web.git/objects/info/packs",
            "repo.read acme/web - -",
        ),
        (
            "gitlab.example.com",
            "GET",
            "/group/sub/web.git/objects/ab/cd",
            "repo.read * - -",
        ),
        (
            "github.com",
            "POST",
            "/acme/web.git/git-upload-archive",
            "archive.read acme/web - -",
        ),
        ("github.com", "GET", "/orgs/acme/people", "http.get - - -"),
        ("github.com", "GET", "/settings/tokens", "http.get - - -"),
        ("github.com", "GET", "/acme", "http.get - - -"),
        (
            "github.com",
            "POST",
            "/login/device/code",
            "auth.device_flow - - -",
        ),
        (
            "github.com",
            "POST",
            "/login/oauth/access_token",
            "auth.device_flow - - -",
        ),
        (
            "github.com",
            "PUT",
            "/login/device/code",
            "git.unknown_write * - -",
        ),
        (
            "github.com",
            "POST",
            "/login/device",
            "git.unknown_write * - -",
        ),
        (
            "github.com",
            "POST",
            "/acme/web/settings/danger",
            "git.unknown_write * - -",
        ),
        (
            "github.com",
            "POST",
            "/acme/web/releases",
            "git.unknown_write * - -",
        ),
        (
            "github.com",
            "PUT",
            "/acme/web.git/objects/ab/cd",
            "git.unknown_write * - -",
        ),
        (
            "github.com",
            "PROPFIND",
            "/acme/web.git/",
            "git.unknown_write * - -",
        ),
        (
            "github.com",
            "POST",
            "/acme/web.git/info/refs?service=git-receive-pack",
            "git.unknown_write * - -",
        ),
        (
            "github.com",
            "POST",
            "/acme/web.git/Git-Receive-Pack",
            "git.unknown_write * - -",
        ),
    ] {
        let judged = on(host, method, target, "").unwrap();
        assert_eq!(described(&judged), expected, "{method} {host}{target}");
        assert_eq!(
            judged.operations[0].write,
            !matches!(method, "GET") && !expected.contains(".read")
        );
    }
    let archive = on("github.com", "GET", "/acme/web/zipball/main", "").unwrap();
    assert_eq!(archive.operations[0].aliases, ["http.get", "repo.read"]);
    let people = on("github.com", "GET", "/orgs/Acme/people", "").unwrap();
    assert_eq!(people.operations[0].owner(), Target::Known("acme".into()));
}

#[test]
fn the_service_is_shown_as_it_is_asked_for() {
    for (query, service, alias) in [
        (
            "?service=git-receive-pack",
            "git-receive-pack",
            Some("git:receive-pack"),
        ),
        ("?service=GIT-RECEIVE-PACK", "GIT-RECEIVE-PACK", None),
        ("?service=", "", None),
        ("", "", None),
    ] {
        let target = format!("/acme/web.git/info/refs{query}");
        let judged = on("github.com", "GET", &target, "").unwrap();
        let operation = &judged.operations[0];
        let shown = operation
            .attributes
            .get("service")
            .map_or("", String::as_str);
        assert_eq!(
            (describe(operation).as_str(), shown),
            ("repo.read acme/web - -", service)
        );
        assert_eq!(operation.aliases.first().map(String::as_str), alias);
    }
    let twice = "/acme/web.git/info/refs?service=git-upload-pack&service=git-upload-pack";
    let undecided = on("github.com", "GET", twice, "").unwrap_err();
    assert_eq!(undecided.reason, Reason::PathAmbiguous);
}

#[test]
fn a_push_is_the_same_in_every_version_of_the_protocol() {
    let body = push("refs/heads/main");
    for version in ["version=1", "version=2", "version=2:key=value"] {
        let head = with("POST", RECEIVE, &[("git-protocol", version)]);
        let judged = judge_as(ProtocolKind::Git, &head, &body).unwrap();
        assert_eq!(described(&judged), "ref.push acme/web refs/heads/main *");
    }
}

#[test]
fn an_empty_list_of_commands_is_the_whole_request() {
    let probe = on("github.com", "POST", RECEIVE, "0000").unwrap();
    assert_eq!(described(&probe), "repo.read acme/web - -");
    for body in [
        "00000000",
        "0000PACK",
        &format!("0000{}", push("refs/heads/main")),
    ] {
        let undecided = on("github.com", "POST", RECEIVE, body).unwrap_err();
        assert_eq!(undecided.reason, Reason::BodyUnreadable, "{body}");
    }
}

#[test]
fn a_push_names_each_ref_as_often_as_it_comes() {
    let (one, two) = ("1".repeat(40), "A".repeat(40));
    let first = format!("{one} {two} refs/heads/x\0atomic push-options");
    let second = format!("{two} {one} refs/heads/x\n");
    let option = "ci.skip";
    let body = format!(
        "{:04x}{first}{:04x}{second}0000{:04x}{option}0000PACK",
        first.len() + 4,
        second.len() + 4,
        option.len() + 4
    );
    let judged = on("github.com", "POST", RECEIVE, &body).unwrap();
    assert_eq!(judged.operations.len(), 2);
    let attributes = &judged.operations[0].attributes;
    assert_eq!(attributes["new"], "a".repeat(40));
    assert_eq!(
        (
            attributes["atomic"].as_str(),
            attributes["push_options"].as_str()
        ),
        ("true", "ci.skip")
    );
}

#[test]
fn lfs_objects_and_locks_have_their_operations() {
    let lfs = |method: &str, rest: &str, body: &str| {
        on(
            "github.com",
            method,
            &format!("/acme/web.git/info/lfs/{rest}"),
            body,
        )
    };
    for (method, rest, body, expected) in [
        ("GET", "locks?path=a", "", "lfs.read acme/web - -"),
        ("PUT", "objects/0123", "", "lfs.upload acme/web * -"),
        ("POST", "objects/verify", "", "lfs.upload acme/web * -"),
        (
            "POST",
            "locks",
            r#"{"path":"a","ref":{"name":"refs/heads/x"}}"#,
            "lfs.lock acme/web refs/heads/x -",
        ),
        (
            "POST",
            "locks/7/unlock",
            r#"{"force":true,"ref":{"name":"refs/heads/x"}}"#,
            "lfs.unlock acme/web refs/heads/x -",
        ),
        ("POST", "locks/7/unlock", "", "lfs.unlock acme/web * -"),
        ("DELETE", "objects/0123", "", "git.unknown_write * - -"),
    ] {
        let judged = lfs(method, rest, body).unwrap();
        assert_eq!(described(&judged), expected, "{method} {rest}");
    }
    let batch = r#"{"operation":"upload","objects":[{"oid":"a","size":5},{"oid":"b","size":6}],"ref":{"name":"main"}}"#;
    let judged = lfs("POST", "objects/batch", batch).unwrap();
    assert_eq!(described(&judged), "lfs.upload acme/web * -");
    let attributes = &judged.operations[0].attributes;
    assert_eq!(
        (attributes["objects"].as_str(), attributes["bytes"].as_str()),
        ("2", "11")
    );
    for body in [
        "{}",
        r#"{"operation":"copy"}"#,
        r#"{"operation":"download","Operation":"upload"}"#,
        r#"{"operation":"download","operation":"upload"}"#,
        r#"{"operation":"upload","ref":{"Name":"refs/heads/main"}}"#,
        r#"{"operation":"upload","objects":{}}"#,
    ] {
        assert!(lfs("POST", "objects/batch", body).is_err(), "{body}");
    }
    let forced = lfs("POST", "locks/7/unlock", r#"{"force":true}"#).unwrap();
    assert_eq!(forced.operations[0].attributes["force"], "true");
}

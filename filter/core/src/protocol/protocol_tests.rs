//! One request after another, and what each of them is.

use super::*;
use crate::denial::McpCall;
use crate::head::Headers;
use crate::operation::Paths;

type Pairs = &'static [(&'static str, &'static str)];

pub(super) fn head(method: &str, target: &str) -> RequestHead {
    RequestHead {
        method: method.to_owned(),
        scheme: "https".to_owned(),
        authority: "gateway.test".to_owned(),
        path: target.to_owned(),
        headers: Headers::default(),
    }
}

pub(super) fn with(method: &str, target: &str, headers: &[(&str, &str)]) -> RequestHead {
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

#[test]
fn only_what_decides_is_collected() {
    use BodyNeed::*;
    let cases = [
        // Without a type it may be a form, and a form may name a second method.
        (ProtocolKind::Http, "POST", "/x", Whole),
        (ProtocolKind::Http, "PUT", "/x", None),
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
            Whole,
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

#[test]
fn an_upload_with_a_type_is_not_collected() {
    let path = RequestPath::read("/api/uploads/repos/a/b/releases/1/assets?name=x").unwrap();
    for (kind, media, need) in [
        (ProtocolKind::GitHub, "application/zip", BodyNeed::None),
        (
            ProtocolKind::GitHub,
            "multipart/form-data; boundary=x",
            BodyNeed::Whole,
        ),
        (ProtocolKind::Http, "application/zip", BodyNeed::None),
        (
            ProtocolKind::Http,
            "multipart/form-data; boundary=x",
            BodyNeed::None,
        ),
        (
            ProtocolKind::Http,
            "application/x-www-form-urlencoded",
            BodyNeed::Whole,
        ),
    ] {
        let mut head = head("POST", "/x");
        head.headers = Headers::new(vec![("content-type".to_owned(), media.as_bytes().to_vec())]);
        assert_eq!(body_need(kind, &head, &path), need, "{media}");
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
            "archive.read acme/web - -",
        ),
        ("GET", "/login/device", "", "http.get - - -"),
        ("GET", "/", "", "http.get - - -"),
        (
            "POST",
            "/login/oauth/access_token",
            "",
            "auth.device_flow - - -",
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
            "lfs.unlock acme/web * -",
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
            "repo.read * - -",
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
    let cases: &[(&str, Pairs, Reason)] = &[
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
fn plain_http_shows_method_host_path_and_query() {
    let judged = judge(ProtocolKind::Http, &head("POST", "/a%2Fb/c?d=e"), "").unwrap();
    let operation = &judged.operations[0];
    assert_eq!(
        (operation.name.as_str(), operation.write),
        ("http.post", true)
    );
    for (name, value) in [
        ("method", "POST"),
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

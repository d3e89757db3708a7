use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::fixture::{CREDENTIAL, Fixture, bytes, with_credential};

fn text(content: &Value) -> String {
    let compact: String = content.as_str().unwrap().split_whitespace().collect();
    String::from_utf8(STANDARD.decode(compact).unwrap()).unwrap()
}

#[tokio::test]
async fn nothing_is_answered_without_the_credential() {
    let fixture = Fixture::new();
    for (host, path) in [
        ("api.github.com", "/user"),
        ("api.github.com", "/repos/acme/web"),
        (
            "github.com",
            "/acme/web.git/info/refs?service=git-upload-pack",
        ),
        ("api.githubcopilot.com", "/models"),
        ("api.githubcopilot.com", "/mcp"),
        ("127.0.0.1", "/copilot_internal/v2/token"),
    ] {
        for authorization in [None, Some("Bearer the-agents-own")] {
            let mut request = Request::builder()
                .uri(path)
                .header("host", host)
                .header("x-simulate", "status=200");
            if let Some(value) = authorization {
                request = request.header("authorization", value);
            }
            let response = fixture.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{host}{path}");
            if host == "github.com" {
                assert_eq!(
                    response.headers()["www-authenticate"],
                    "Basic realm=\"GitHub\""
                );
            }
        }
    }
    let wrong = Request::builder()
        .uri("/user")
        .header("host", "api.github.com")
        .header("authorization", "token no");
    let body = bytes(fixture.send(wrong.body(Body::empty()).unwrap()).await).await;
    assert_eq!(
        serde_json::from_slice::<Value>(&body).unwrap()["message"],
        "Bad credentials"
    );
}

#[tokio::test]
async fn a_deleted_repository_is_gone_on_every_face() {
    let fixture = Fixture::new();
    let refs = "/acme/docs.git/info/refs?service=git-upload-pack";
    assert_eq!(
        fixture.api("GET", "/repos/acme/docs", Value::Null).await.0,
        StatusCode::OK
    );
    assert_eq!(
        fixture.call("github.com", "GET", refs, Value::Null).await.0,
        StatusCode::OK
    );
    assert_eq!(
        fixture
            .api("DELETE", "//repos/ACME/docs.git/", Value::Null)
            .await
            .0,
        StatusCode::NO_CONTENT
    );
    let (status, body) = fixture.api("GET", "/repos/acme/docs", Value::Null).await;
    assert_eq!(
        (status, &body["message"]),
        (StatusCode::NOT_FOUND, &json!("Not Found"))
    );
    assert_eq!(
        fixture.call("github.com", "GET", refs, Value::Null).await.0,
        StatusCode::NOT_FOUND
    );
    let found = fixture
        .graphql(
            "{ repository(owner: \"acme\", name: \"docs\") { id } }",
            Value::Null,
        )
        .await;
    assert_eq!(found["errors"][0]["type"], "NOT_FOUND");
}

#[tokio::test]
async fn files_are_written_with_the_rules_of_the_contents_api() {
    let fixture = Fixture::new();
    let path = "/repos/acme/web/contents/.github%2Fworkflows%2Fci.yml";
    let (_, before) = fixture.api("GET", path, Value::Null).await;
    assert!(text(&before["content"]).starts_with("name: ci"));
    let write = |sha: Value| json!({ "message": "m", "content": STANDARD.encode("name: other\n"), "sha": sha });
    assert_eq!(
        fixture.api("PUT", path, write(Value::Null)).await.0,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(
        fixture
            .api("PUT", path, write(json!("0".repeat(40))))
            .await
            .0,
        StatusCode::CONFLICT
    );
    assert_eq!(
        fixture
            .api("PUT", path, write(before["sha"].clone()))
            .await
            .0,
        StatusCode::OK
    );
    let (_, after) = fixture.api("GET", path, Value::Null).await;
    assert_eq!(text(&after["content"]), "name: other\n");
    let delete = format!("{path}?message=gone&sha={}", after["sha"].as_str().unwrap());
    assert_eq!(
        fixture.api("DELETE", &delete, Value::Null).await.0,
        StatusCode::OK
    );
    assert_eq!(
        fixture.api("GET", path, Value::Null).await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_pull_request_is_merged_into_its_base() {
    let fixture = Fixture::new();
    let (_, pulls) = fixture
        .api("GET", "/repos/acme/web/pulls?state=open", Value::Null)
        .await;
    let number = &pulls[0]["number"];
    assert_eq!(
        fixture
            .api("GET", "/repos/acme/web/contents/CHANGELOG.md", Value::Null)
            .await
            .0,
        StatusCode::NOT_FOUND
    );
    let (status, merged) = fixture
        .api(
            "PUT",
            &format!("/repos/acme/web/pulls/{number}/merge"),
            json!({}),
        )
        .await;
    assert_eq!((status, &merged["merged"]), (StatusCode::OK, &json!(true)));
    assert_eq!(
        fixture
            .api("GET", "/repos/acme/web/contents/CHANGELOG.md", Value::Null)
            .await
            .0,
        StatusCode::OK
    );
    let again = fixture
        .api(
            "PUT",
            &format!("/repos/acme/web/pulls/{number}/merge"),
            json!({}),
        )
        .await;
    assert_eq!(again.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn refs_move_forward_unless_forced() {
    let fixture = Fixture::new();
    let (_, commits) = fixture
        .api("GET", "/repos/acme/web/commits", Value::Null)
        .await;
    let (new, old) = (&commits[0]["sha"], &commits[1]["sha"]);
    let at = "/repos/acme/web/git/refs/heads/main";
    let (status, body) = fixture.api("PATCH", at, json!({ "sha": old })).await;
    assert_eq!(
        (status, &body["message"]),
        (
            StatusCode::UNPROCESSABLE_ENTITY,
            &json!("Update is not a fast forward")
        )
    );
    assert_eq!(
        fixture
            .api("PATCH", at, json!({ "sha": old, "force": true }))
            .await
            .0,
        StatusCode::OK
    );
    assert_eq!(
        fixture.api("PATCH", at, json!({ "sha": new })).await.0,
        StatusCode::OK
    );
    assert_eq!(
        fixture.api("DELETE", at, Value::Null).await.0,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        fixture
            .api("GET", "/repos/acme/web/branches/main", Value::Null)
            .await
            .0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn lists_have_pages_and_links() {
    let fixture = Fixture::new();
    let request = with_credential(
        "api.github.com",
        "GET",
        "/repos/acme/web/commits?per_page=1",
    )
    .body(Body::empty())
    .unwrap();
    let response = fixture.send(request).await;
    let link = response.headers()["link"].to_str().unwrap().to_owned();
    assert!(
        link.contains(
            "<https://api.github.com/repos/acme/web/commits?per_page=1&page=2>; rel=\"next\""
        ),
        "{link}"
    );
    assert!(response.headers().contains_key("x-github-request-id"));
}

#[tokio::test]
async fn graphql_mutations_run_under_aliases_fragments_and_variables() {
    let fixture = Fixture::new();
    let made = "mutation M($i: CreateRepositoryInput!) { r: createRepository(input: $i) { ...P } } \
                fragment P on CreateRepositoryPayload { repository { nameWithOwner } }";
    let input = json!({ "i": { "name": "made", "ownerId": "O_acme", "visibility": "PRIVATE" } });
    let body = fixture.graphql(made, input).await;
    assert_eq!(
        body["data"]["r"]["repository"]["nameWithOwner"],
        "acme/made"
    );
    let head =
        "{ repository(owner: \"acme\", name: \"web\") { defaultBranchRef { target { oid } } } }";
    let oid = fixture.graphql(head, Value::Null).await["data"]["repository"]["defaultBranchRef"]["target"]["oid"].clone();
    let commit = "mutation($i: CreateCommitOnBranchInput!) { createCommitOnBranch(input: $i) { commit { oid } } }";
    let input = json!({ "i": {
        "branch": { "repositoryNameWithOwner": "acme/web", "branchName": "main" }, "expectedHeadOid": oid,
        "message": { "headline": "h" }, "fileChanges": { "additions": [{ "path": "a.txt", "contents": STANDARD.encode("a") }] },
    } });
    let body = fixture.graphql(commit, input.clone()).await;
    assert_ne!(
        body["data"]["createCommitOnBranch"]["commit"]["oid"],
        Value::Null
    );
    assert_eq!(
        fixture
            .api("GET", "/repos/acme/web/contents/a.txt", Value::Null)
            .await
            .0,
        StatusCode::OK
    );
    let stale = fixture.graphql(commit, input).await;
    assert!(
        stale["errors"][0]["message"]
            .as_str()
            .unwrap()
            .starts_with("Expected branch to point to")
    );
    let unknown = fixture
        .graphql(
            "mutation { deleteRepository(input: {}) { id } }",
            Value::Null,
        )
        .await;
    assert_eq!(
        unknown["errors"][0]["message"],
        "Field 'deleteRepository' doesn't exist on type 'Mutation'"
    );
}

#[tokio::test]
async fn faults_change_the_answer_as_they_say() {
    let fixture = Fixture::new();
    let with = |faults: &str| {
        let request = with_credential("api.github.com", "GET", "/zen").header("x-simulate", faults);
        request.body(Body::empty()).unwrap()
    };
    let plain = bytes(fixture.send(with("")).await).await;
    let response = fixture.send(with("gzip,chunk=5,trailers")).await;
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let mut body = response.into_body();
    let (mut packed, mut trailers) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        match frame.unwrap().into_data() {
            Ok(data) => {
                assert!(data.len() <= 5);
                packed.extend_from_slice(&data);
            }
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    assert_eq!(trailers.unwrap()["x-simulated-trailer"], "end");
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(
        &mut flate2::read::GzDecoder::new(packed.as_slice()),
        &mut unpacked,
    )
    .unwrap();
    assert_eq!(unpacked, plain);
    assert!(
        fixture
            .send(with("reset"))
            .await
            .into_body()
            .collect()
            .await
            .is_err()
    );
    assert_eq!(
        fixture.send(with("status=503")).await.status(),
        StatusCode::SERVICE_UNAVAILABLE
    );
    let echo = fixture.send(with("echo-credential")).await;
    assert_eq!(
        echo.headers()["x-echo-base64"],
        STANDARD.encode(CREDENTIAL).as_str()
    );
    let body = String::from_utf8(bytes(echo).await).unwrap();
    assert!(body.contains(CREDENTIAL) && body.contains("%67%68%73%5F"));
    assert_eq!(
        fixture.send(with("oops")).await.status(),
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn the_recorder_lists_and_forgets() {
    let fixture = Fixture::new();
    fixture
        .api("POST", "/user/repos", json!({ "name": "seen" }))
        .await;
    let look = || {
        Request::builder()
            .uri("/__seen")
            .body(Body::empty())
            .unwrap()
    };
    let seen: Value = serde_json::from_slice(&bytes(fixture.send(look()).await).await).unwrap();
    let last = &seen["requests"][0];
    assert_eq!(
        (&last["method"], &last["host"], &last["path"]),
        (
            &json!("POST"),
            &json!("api.github.com"),
            &json!("/user/repos")
        )
    );
    assert_eq!(last["body"], json!({ "name": "seen" }).to_string());
    assert_eq!(
        (&last["body_size"], &last["complete"], &last["status"]),
        (&json!(15), &json!(true), &json!(201))
    );
    assert_eq!(last["body_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(
        last["headers"]["authorization"],
        format!("Bearer {CREDENTIAL}")
    );
    let forget = Request::builder()
        .method("DELETE")
        .uri("/__seen")
        .body(Body::empty())
        .unwrap();
    assert_eq!(fixture.send(forget).await.status(), StatusCode::NO_CONTENT);
    let seen: Value = serde_json::from_slice(&bytes(fixture.send(look()).await).await).unwrap();
    assert_eq!(seen["requests"], json!([]));
}

use serde_json::json;

use super::*;
use crate::path::RequestPath;
use crate::protocol::tests::head;
use crate::protocol::{self, Answer, Context, ProtocolKind, Request};

/// What a request's answer may tell.
fn lesson(method: &str, path: &str, body: &Value) -> Option<Lesson> {
    let head = head(method, path);
    let path = RequestPath::read(&head.path).unwrap();
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let request = Request {
        head: &head,
        path: &path,
        body: body.as_bytes(),
        context: Context::default(),
    };
    match protocol::judge(ProtocolKind::GitHub, &request)
        .unwrap()
        .answer
    {
        Answer::Nodes(lesson) => Some(lesson),
        Answer::AsIs | Answer::Tools { .. } => None,
    }
}

/// What is learnt, as `id=repository ref`.
fn learnt(lesson: Option<Lesson>, answer: &Value) -> String {
    let Some(lesson) = lesson else {
        return "nothing to learn".to_owned();
    };
    let mut pupil = Pupil::new(&lesson, 200, "application/json").unwrap();
    for piece in answer.to_string().as_bytes().chunks(7) {
        pupil.push(piece);
    }
    let show = |(id, node): (String, Node)| {
        format!(
            "{id}={}{}",
            node.repo,
            node.reference.map_or(String::new(), |r| format!(" {r}"))
        )
    };
    pupil
        .finish()
        .into_iter()
        .map(show)
        .collect::<Vec<_>>()
        .join(", ")
}

fn by_graphql(document: &str, answer: &Value) -> String {
    let body = json!({ "query": document });
    learnt(
        lesson("POST", "/graphql", &body),
        &json!({ "data": answer }),
    )
}

#[test]
fn rest_tells_of_the_object_of_its_operation() {
    let get = |path: &str, answer: Value| learnt(lesson("GET", path, &Value::Null), &answer);
    let repo = json!({ "node_id": "R_1", "full_name": "Acme/Web", "owner": { "node_id": "O_1" }, "parent": { "node_id": "R_2", "full_name": "acme/x" } });
    assert_eq!(get("/repos/acme/web", repo.clone()), "R_1=acme/web");
    // Renamed since: the answer says how it is called now.
    assert_eq!(get("/repos/acme/old", repo.clone()), "R_1=acme/web");
    assert_eq!(
        get(
            "/orgs/acme/repos",
            json!([repo, { "node_id": "R_3", "full_name": "acme/y" }])
        ),
        "R_1=acme/web, R_3=acme/y"
    );
    assert_eq!(
        get(
            "/repos/Acme/Web/pulls",
            json!([{ "node_id": "PR_1", "head": { "repo": { "node_id": "R_9", "full_name": "evil/x" } } }])
        ),
        "PR_1=acme/web"
    );
    assert_eq!(
        get(
            "/repos/acme/web/issues/1",
            json!({ "node_id": "I_1", "repository": { "node_id": "R_9" } })
        ),
        "I_1=acme/web"
    );
    assert_eq!(
        get(
            "/repos/acme/web/git/ref/heads/main",
            json!({ "node_id": "REF_1", "ref": "refs/heads/main" })
        ),
        "REF_1=acme/web refs/heads/main"
    );
    let made = lesson(
        "POST",
        "/repos/acme/web/git/refs",
        &json!({ "ref": "refs/heads/n", "sha": "1" }),
    );
    assert_eq!(
        learnt(made, &json!({ "node_id": "REF_2", "ref": "refs/heads/n" })),
        "REF_2=acme/web refs/heads/n"
    );
}

#[test]
fn rest_tells_nothing_where_others_write_what_it_holds() {
    for path in [
        "/repos/acme/web/contents/repo.json",
        "/repos/acme/web/readme",
        "/repos/acme/web/git/blobs/1",
        "/repos/acme/web/releases/assets/1",
        "/repos/acme/web/actions/artifacts/1/zip",
        "/gists/1",
        "/repositories/1/pulls/1",
        "/search/repositories?q=x",
    ] {
        assert_eq!(lesson("GET", path, &Value::Null), None, "{path}");
    }
    let lesson = lesson("GET", "/repos/acme/web", &Value::Null).unwrap();
    let believed = |status, media: &str| Pupil::new(&lesson, status, media).is_some();
    assert!(believed(200, "application/json") && believed(201, "application/json"));
    for (status, media) in [
        (404, "application/json"),
        (301, "application/json"),
        (206, "application/json"),
        (200, "application/vnd.github.raw+json"),
        (200, "application/vnd.github.raw"),
        (200, "text/plain"),
        (200, ""),
    ] {
        assert!(!believed(status, media), "{status} {media}");
    }
}

#[test]
fn graphql_tells_of_what_the_request_named() {
    for (document, answer, expected) in [
        (
            "{ repository(owner: \"Acme\", name: \"web\") { id nameWithOwner } }",
            json!({ "repository": { "id": "R_1", "nameWithOwner": "evil/x" } }),
            "R_1=acme/web",
        ),
        (
            // gh asks for its repositories like this.
            "fragment repo on Repository { id name } query { repo_000: repository(owner: \"acme\", name: \"web\") { ...repo parent { ...repo } } }",
            json!({ "repo_000": { "id": "R_1", "parent": { "id": "R_2" } } }),
            "R_1=acme/web",
        ),
        (
            "{ repository(owner: \"acme\", name: \"web\") { issue: issueOrPullRequest(number: 1) { ... on Issue { id title } ... on PullRequest { id } } l000: label(name: \"bug\") { id } } }",
            json!({ "repository": { "issue": { "id": "I_1" }, "l000": { "id": "LA_1" } } }),
            "I_1=acme/web, LA_1=acme/web",
        ),
        (
            "{ repository(owner: \"acme\", name: \"web\") { pullRequests(first: 2) { nodes { id headRepository { id } } edges { node { id } } } } }",
            json!({ "repository": { "pullRequests": { "nodes": [{ "id": "PR_1", "headRepository": { "id": "R_9" } }, null], "edges": [{ "node": { "id": "PR_2" } }] } } }),
            "PR_1=acme/web, PR_2=acme/web",
        ),
        (
            "{ repository(owner: \"acme\", name: \"web\") { ref(qualifiedName: \"refs/heads/main\") { id } defaultBranchRef { id name } } }",
            json!({ "repository": { "ref": { "id": "REF_1" }, "defaultBranchRef": { "id": "REF_2", "name": "dev" } } }),
            "REF_1=acme/web refs/heads/main, REF_2=acme/web refs/heads/dev",
        ),
        (
            "{ repository(owner: \"acme\", name: \"web\") { ref(qualifiedName: \"main\") { id name prefix } refs(refPrefix: \"refs/tags/\", first: 1) { nodes { id name } } } }",
            json!({ "repository": { "ref": { "id": "REF_1", "name": "main", "prefix": "refs/heads/" }, "refs": { "nodes": [{ "id": "REF_2", "name": "v1" }] } } }),
            "REF_1=acme/web refs/heads/main, REF_2=acme/web refs/tags/v1",
        ),
        (
            "{ repository(owner: \"acme\", name: \"web\") { ref(qualifiedName: \"main\") { id name } refs(refPrefix: \"refs/\", first: 1) { nodes { id name } } } }",
            json!({ "repository": { "ref": { "id": "REF_1", "name": "refs/heads/main" }, "refs": { "nodes": [{ "id": "REF_2", "name": "x" }] } } }),
            "REF_1=acme/web, REF_2=acme/web",
        ),
    ] {
        assert_eq!(by_graphql(document, &answer), expected, "{document}");
    }
}

#[test]
fn graphql_tells_nothing_that_the_request_could_have_made_up() {
    let answer = json!({ "repository": { "id": "R_VICTIM", "x": { "id": "R_VICTIM" }, "issue": { "id": "R_VICTIM" } }, "r": { "id": "R_VICTIM" } });
    for document in [
        "{ repository(owner: \"acme\", name: \"web\") { id: description } }",
        "{ repository(owner: \"acme\", name: \"web\") { id ... { id: description } } }",
        "{ repository(owner: \"acme\", name: \"web\") { issue: owner { id } } }",
        "{ repository(owner: \"acme\", name: \"web\") { issue: parent { id } } }",
        "{ repository(owner: \"acme\", name: \"web\") { issue(number: 1) { id: title } } }",
        "{ repository(owner: \"acme\", name: \"web\") { issue(number: 1) { ...F } } } fragment F on Issue { id: body }",
        "{ repository: viewer { id } }",
        "{ repository: node(id: \"R_VICTIM\") { id } }",
        "{ repository(owner: \"acme\", name: \"web\") { id } repository: node(id: \"R_VICTIM\") { id } }",
        "{ repository(owner: \"acme\", name: \"web\") { issue(number: 1) { id } issue: parent { id } } }",
        "{ repository(owner: \"acme\", name: \"web\") { x: parent { id } x: issue(number: 1) { id } } }",
        "{ repository(owner: \"acme\", name: \"web\") { ... { x: parent { id } } ...F } } fragment F on Repository { x: issue(number: 1) { id } }",
        "{ repository(owner: \"acme\", name: \"web\") { parent { id } owner { id } } }",
        "query A { repository(owner: \"acme\", name: \"web\") { id } } query B { viewer { login } }",
        "{ r: node(id: \"R_VICTIM\") { id } }",
        "{ repository(owner: \"ac/me\", name: \"web\") { id } }",
    ] {
        let told = by_graphql(document, &answer);
        assert!(!told.contains("R_VICTIM"), "{document}: {told}");
    }
    // Nothing of a batch: whose answer is whose is the server's order.
    let document = json!({ "query": "{ repository(owner: \"acme\", name: \"web\") { id } }" });
    assert_eq!(lesson("POST", "/graphql", &json!([document])), None);
}

#[test]
fn what_a_mutation_made_is_where_it_was_made() {
    let body = json!({ "query": "mutation { createPullRequest(input: {repositoryId: \"R_1\"}) { pullRequest { id } } }" });
    assert_eq!(lesson("POST", "/graphql", &body), None);
    let head = head("POST", "/graphql");
    let path = RequestPath::read(&head.path).unwrap();
    let node = Node {
        repo: "acme/web".to_owned(),
        reference: None,
    };
    let nodes = Nodes::new(BTreeMap::from([("R_1".to_owned(), node)]));
    let body = body.to_string();
    let request = Request {
        head: &head,
        path: &path,
        body: body.as_bytes(),
        context: Context {
            nodes: Some(&nodes),
            ..Context::default()
        },
    };
    let judged = protocol::judge(ProtocolKind::GitHub, &request).unwrap();
    assert_eq!(
        judged.operations[0].repo,
        Target::Known("acme/web".to_owned())
    );
    let Answer::Nodes(lesson) = judged.answer else {
        panic!("{:?}", judged.answer);
    };
    let answer = json!({ "data": { "createPullRequest": { "pullRequest": { "id": "PR_1" } } } });
    assert_eq!(learnt(Some(lesson), &answer), "PR_1=acme/web");
}

#[test]
fn an_entry_is_of_one_id_one_upstream_and_one_hour() {
    let here = Upstream::new("github-api", "api.github.com");
    let node = Node {
        repo: "acme/web".to_owned(),
        reference: Some("refs/heads/main".to_owned()),
    };
    let now = Now(1_800_000_000_000_000_000);
    let value = here.value("REF_1", &node, now);
    assert_eq!(here.read("REF_1", &value, now), Some(node.clone()));
    assert_eq!(here.read("REF_1", &value, now.after_ms(AGE_MS)), Some(node));
    assert_eq!(here.read("REF_1", &value, now.after_ms(AGE_MS + 1)), None);
    assert_eq!(here.read("REF_1", &value, Now(1)), None);
    assert_eq!(here.read("REF_2", &value, now), None);
    for other in [
        Upstream::new("other", "api.github.com"),
        Upstream::new("github-api", "ghe.corp"),
    ] {
        assert_eq!(other.read("REF_1", &value, now), None);
    }
    assert_eq!(here.read("REF_1", b"nonsense", now), None);
    let slots: BTreeSet<String> = (0..10_000).map(|n| here.key(&format!("R_{n}"))).collect();
    assert!(slots.len() > 7_000 && slots.len() as u64 <= SLOTS);
}

#[test]
fn what_is_learnt_is_bounded() {
    let list = lesson("GET", "/orgs/acme/repos", &Value::Null);
    let many: Vec<Value> = (0..2_000)
        .map(|n| json!({ "node_id": format!("R_{n}"), "full_name": "acme/web" }))
        .collect();
    assert_eq!(
        learnt(list.clone(), &Value::Array(many))
            .split(", ")
            .count(),
        MAX_LEARNT
    );
    let long = json!([{ "node_id": "R_1", "full_name": "acme/web", "x": "x".repeat(MAX_ANSWER) }]);
    assert_eq!(learnt(list.clone(), &long), "");
    let odd = json!([
        { "node_id": "x".repeat(MAX_ID + 1), "full_name": "acme/web" },
        { "node_id": "R\0acme", "full_name": "acme/web" },
        { "node_id": "", "full_name": "acme/web" },
        { "node_id": 1, "full_name": "acme/web" },
        { "node_id": "R_1", "full_name": "acme/../web" },
        { "node_id": "R_1" },
        7,
    ]);
    assert_eq!(learnt(list, &odd), "");
    let nodes = Nodes::default();
    for n in 0..1_000 {
        assert_eq!(nodes.find(&format!("R_{n}")), None);
    }
    assert_eq!(nodes.missing().len(), MAX_ASKED);
}

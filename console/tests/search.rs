//! Search over what came in: the query language, pages, facets, rights, and what is on record of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // These are tests.

mod common;

use axum::http::{Method, StatusCode};
use common::{Console, NOON, batch, form, record};
use countersign::people::Rights;
use serde_json::{Value, json};

const MINUTE: u64 = 60_000;

/// Records of one exchange that began `ago` minutes before noon.
fn exchange(id: &str, seq: i64, ago: u64, more: Value) -> [Value; 2] {
    let mut request = json!({
        "countersign.exchange.id": id, "countersign.worker.id": "w-1", "countersign.worker.seq": seq,
        "user.id": "ci-runner", "user.email": "ci@example.com",
        "countersign.identity.groups": ["agents", "ci"], "countersign.identity.provider": "corporate",
        "countersign.connection": "github-api", "countersign.policy.digest": "ab".repeat(32),
        "http.request.method": "GET", "url.full": "https://api.github.com/repos/acme/web/pulls/7?state=open",
        "server.address": "api.github.com", "client.address": "10.0.0.7",
        "countersign.operations": [{"name": "repo.read", "aliases": ["github:pulls/get"], "repo": "acme/web", "write": false}],
        "countersign.decision": "allowed",
    });
    for (key, value) in more.as_object().unwrap() {
        request[key] = value.clone();
    }
    let mut outcome = request.clone();
    for key in [
        "countersign.request.body",
        "countersign.request.body.encoding",
    ] {
        outcome.as_object_mut().unwrap().remove(key);
    }
    outcome["countersign.worker.seq"] = json!(seq + 1);
    if outcome.get("http.response.status_code").is_none() {
        outcome["http.response.status_code"] = json!(200);
    }
    request
        .as_object_mut()
        .unwrap()
        .remove("http.response.status_code");
    [
        ("countersign.request", request),
        ("countersign.outcome", outcome),
    ]
    .map(|(event, attributes)| {
        let mut record = record(event, &attributes);
        record["timeUnixNano"] = ((NOON as u64 - ago * MINUTE) * 1_000_000)
            .to_string()
            .into();
        record
    })
}

async fn filled() -> (Console, String) {
    let console = Console::start();
    let secret = console.person("alice", &[]).await;
    let mut records = Vec::new();
    let chat = |text: &str| {
        json!({
            "user.id": "agent-7", "user.email": null, "countersign.connection": "copilot",
            "http.request.method": "POST", "url.full": "https://api.githubcopilot.com/chat/completions",
            "server.address": "api.githubcopilot.com", "gen_ai.request.model": "gpt-4.1",
            "countersign.session.id": "s-1", "countersign.identity.groups": ["agents"],
            "countersign.operations": [{"name": "chat.completion", "aliases": ["openai:chat"]}],
            "countersign.request.body": json!({"messages": [{"role": "user", "content": text}]}).to_string(),
            "countersign.request.body.encoding": "utf8",
            "countersign.masks": [{"rule": "github-token", "count": 2, "direction": "request"}],
        })
    };
    let push = |decision: &str, reference: &str| {
        json!({
            "countersign.decision": decision, "countersign.rule": "production-branch",
            "countersign.approval.id": "a-1", "countersign.approval.by": "alice",
            "http.request.method": "POST", "url.full": "https://github.com/acme/web.git/git-receive-pack",
            "server.address": "github.com", "countersign.connection": "github-git",
            "countersign.operations": [{
                "name": "ref.push", "aliases": ["git:receive-pack"], "repo": "acme/web", "ref": reference,
                "paths": [".github/workflows/ci.yml", "src/main.rs"], "write": true,
            }],
        })
    };
    for (index, (id, ago, more)) in [
        ("e-read", 4 * 1440, json!({})),
        ("e-prompt", 300, chat("please drop\nthe table of users")),
        ("e-mcp", 200, json!({
            "countersign.operations": [{"name": "issue.create", "aliases": ["mcp:create_issue"], "repo": "Acme/API",
                                        "attributes": {"tool": "create_issue", "resource": "issue"}, "write": true}],
        })),
        ("e-held", 100, push("held_approved", "refs/heads/main")),
        ("e-refused", 90, push("held_refused", "refs/heads/release/2")),
        ("e-denied", 10, json!({
            "countersign.decision": "denied", "countersign.reason": "rule_denied", "countersign.rule": "no-repo-delete",
            "http.response.status_code": 403, "http.request.method": "DELETE",
            "url.full": "https://api.github.com/repos/acme/web",
            "countersign.operations": [{"name": "repo.delete", "aliases": ["github:repos/delete"], "repo": "acme/web", "write": true}],
        })),
    ].into_iter().enumerate() {
        records.extend(exchange(id, index as i64 * 2 + 1, ago, more));
    }
    // Of the last one only the request has come.
    let [open, _] = exchange("e-open", 13, 1, json!({"user.id": "bob"}));
    records.push(open);
    let answer = console
        .logs("application/json", batch(&records).to_string().into_bytes())
        .await;
    assert_eq!(answer.json(), json!({}));
    (console, secret)
}

fn encoded(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

async fn ids(console: &Console, secret: &str, query: &str) -> Vec<String> {
    let path = format!("/api/v1/exchanges?q={}", encoded(query));
    let answer = console.api(Method::GET, &path, secret, Value::Null).await;
    assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.text());
    let value = answer.json();
    let found = value["exchanges"].as_array().unwrap();
    assert_eq!(value["count"], found.len(), "{query}: {value}");
    found
        .iter()
        .map(|e| e["exchange"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn every_field_finds_what_it_says() {
    let (console, secret) = filled().await;
    for (query, found) in [
        ("", "e-open e-denied e-refused e-held e-mcp e-prompt e-read"),
        ("user:agent-7", "e-prompt"),
        ("user:CI@EXAMPLE.com op:repo.read", "e-open e-read"),
        ("user:ci-* -op:ref.push,repo.read", "e-denied e-mcp"),
        ("group:ci -decision:allowed", "e-denied e-refused e-held"),
        ("op:mcp:create_issue", "e-mcp"),
        ("op:repo.*", "e-open e-denied e-read"),
        ("repo:acme/* -repo:acme/web", "e-mcp"),
        ("owner:ACME op:issue.create", "e-mcp"),
        ("ref:main", "e-held"),
        ("ref:release/*", "e-refused"),
        (
            "ref:refs/heads/main,refs/heads/release/2",
            "e-refused e-held",
        ),
        ("path:.github/workflows/*", "e-refused e-held"),
        ("path:*.rs", "e-refused e-held"),
        ("path:src/*.py", ""),
        ("tool:create_issue", "e-mcp"),
        ("resource:issue", "e-mcp"),
        ("model:gpt-*", "e-prompt"),
        ("connection:github-git decision:held", "e-refused e-held"),
        ("decision:held_approved", "e-held"),
        ("decision:refused", "e-denied e-refused"),
        ("method:delete", "e-denied"),
        ("host:github.com", "e-refused e-held"),
        ("url:*/pulls/7* user:bob", "e-open"),
        ("url:https://github.com/*", "e-refused e-held"),
        ("reason:rule_denied", "e-denied"),
        ("rule:production-branch approver:alice", "e-refused e-held"),
        ("approval:*", "e-refused e-held"),
        ("session:s-1", "e-prompt"),
        ("session:*", "e-prompt"),
        ("exchange:e-held,e-mcp", "e-held e-mcp"),
        ("exchange:e-m*", "e-mcp"),
        ("worker:w-1 user:bob", "e-open"),
        ("mask:github-token", "e-prompt"),
        ("policy:abab* user:bob", "e-open"),
        ("provider:corporate user:bob", "e-open"),
        ("client:10.0.* user:bob", "e-open"),
        ("status:403", "e-denied"),
        ("status:4xx,5xx", "e-denied"),
        ("status:<300 user:agent-7", "e-prompt"),
        ("status:none", "e-open"),
        ("-status:>=200", "e-open"),
        ("has:prompt", "e-prompt"),
        ("has:mask,approval", "e-refused e-held e-prompt"),
        ("-has:outcome", "e-open"),
        ("after:2h", "e-open e-denied e-refused e-held"),
        ("after:2h before:95m", "e-held"),
        ("before:2d", "e-read"),
        ("after:7d before:3d", "e-read"),
        ("drop", "e-prompt"),
        ("\"drop the table\"", "e-prompt"),
        ("\"the drop\"", ""),
        ("tab*", "e-prompt"),
        ("drop -users", ""),
        ("-drop after:6h -has:approval", "e-open e-denied e-mcp"),
        ("user:nobody", ""),
        ("path:\"*\"", ""),
        ("\"'; DROP TABLE exchanges; --\"", ""),
    ] {
        assert_eq!(
            ids(&console, &secret, query).await.join(" "),
            found,
            "{query}"
        );
    }
}

#[tokio::test]
async fn an_unreadable_query_is_refused_with_its_place() {
    let (console, secret) = filled().await;
    let cookie = console.sign_in(&secret).await;
    for query in [
        "usr:x",
        "\"open",
        "status:teapot",
        "after:soon",
        "a OR b",
        "d*",
        "*",
        "\u{0}",
        "has:x",
    ] {
        let path = format!("/api/v1/exchanges?q={}", encoded(query));
        let answer = console.api(Method::GET, &path, &secret, Value::Null).await;
        assert_eq!(
            answer.status,
            StatusCode::BAD_REQUEST,
            "{query}: {}",
            answer.text()
        );
        let value = answer.json();
        assert!(
            value["character"].as_u64().unwrap() >= 1 && value["remedy"].is_string(),
            "{value}"
        );
        let page = console
            .page(&format!("/audit?q={}", encoded(query)), &cookie)
            .await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(page.text().contains("<mark>"), "{query}: {}", page.text());
    }
    // Whatever stands in a query, it is never the database that complains.
    for query in [
        "\"NEAR(a b, 2)\"",
        "\"col:x\"",
        "\"^a\"",
        "user:\"' OR 1=1 --\"",
        "'",
        "a\"\"b",
        "repo:[a]?",
        "\"a\u{0}b\"",
    ] {
        let path = format!("/api/v1/exchanges?q={}", encoded(query));
        let answer = console.api(Method::GET, &path, &secret, Value::Null).await;
        let fine = [StatusCode::OK, StatusCode::BAD_REQUEST].contains(&answer.status);
        assert!(fine, "{query}: {}", answer.text());
    }
}

#[tokio::test]
async fn pages_go_on_where_the_last_one_ended_while_records_come_in() {
    let (console, secret) = filled().await;
    let mut seen = Vec::new();
    let mut cursor = String::new();
    for round in 0..4 {
        let path = format!("/api/v1/exchanges?limit=2&cursor={cursor}");
        let page = console
            .api(Method::GET, &path, &secret, Value::Null)
            .await
            .json();
        for exchange in page["exchanges"].as_array().unwrap() {
            seen.push(exchange["exchange"].as_str().unwrap().to_owned());
        }
        cursor = page["next"].as_str().unwrap_or_default().to_owned();
        let new = exchange(&format!("e-new-{round}"), 101 + round * 2, 0, json!({}));
        console
            .logs("application/json", batch(&new).to_string().into_bytes())
            .await;
    }
    assert!(cursor.is_empty());
    assert_eq!(
        seen.join(" "),
        "e-open e-denied e-refused e-held e-mcp e-prompt e-read"
    );
}

/// More than are asked one by one whether they have a word.
const MANY: usize = 1_300;

#[tokio::test]
async fn words_and_owners_are_found_among_many_and_among_few() {
    let console = Console::start();
    let secret = console.person("alice", &[]).await;
    let records: Vec<Value> = (0..MANY)
        .map(|n| {
            let user = if n % 4 == 0 { "few" } else { "many" };
            let owner = if n % 5 == 0 { "acme-labs" } else { "Acme" };
            let word = if n % 3 == 0 { "needle" } else { "hay" };
            let more = json!({
                "user.id": user, "url.full": format!("https://api.github.com/{word}/{n}"),
                "countersign.operations": [{"name": "repo.read", "repo": format!("{owner}/r-{n}")}],
            });
            let [_, outcome] = exchange(&n.to_string(), n as i64 + 1, 5, more);
            outcome
        })
        .collect();
    for part in records.chunks(200) {
        let body = batch(part).to_string().into_bytes();
        console.logs("application/json", body).await;
    }
    let ask = async |query: &str, cursor: &str| {
        let path = format!("/api/v1/exchanges?limit=100&facets=true&cursor={cursor}&q={query}");
        let answer = console.api(Method::GET, &path, &secret, Value::Null).await;
        answer.json()
    };
    let all_found = async || ask("", "").await["count"] == MANY;
    console.until(all_found).await;
    type Wanted = fn(&usize) -> bool;
    let asked: [(&str, Wanted); 6] = [
        ("needle", |n| n % 3 == 0),
        ("-needle", |n| n % 3 != 0),
        ("user:few%20needle", |n| n % 12 == 0),
        ("user:few%20-needle", |n| n % 4 == 0 && n % 3 != 0),
        ("repo:acme/*%20needl*", |n| n % 5 != 0 && n % 3 == 0),
        ("repo:acme*%20-repo:acme/*", |n| n % 5 == 0),
    ];
    for (query, wanted) in asked {
        let wanted: Vec<String> = (0..MANY)
            .rev()
            .filter(wanted)
            .map(|n| n.to_string())
            .collect();
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = ask(query, &cursor).await;
            assert_eq!(page["count"], wanted.len(), "{query}");
            let exchanges = page["exchanges"].as_array().unwrap();
            let ids = exchanges
                .iter()
                .map(|one| one["exchange"].as_str().unwrap());
            found.extend(ids.map(str::to_owned));
            match page["next"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(found, wanted, "{query}");
    }
}

#[tokio::test]
async fn what_was_found_is_counted_by_value_and_by_time() {
    let (console, secret) = filled().await;
    let path = "/api/v1/exchanges?facets=true&limit=1&q=after:1d";
    let value = console
        .api(Method::GET, path, &secret, Value::Null)
        .await
        .json();
    assert_eq!(value["count"], 6);
    assert_eq!(value["count_is_complete"], true);
    let facet = |name: &str| {
        let facets = value["facets"].as_array().unwrap();
        facets.iter().find(|facet| facet["field"] == name).unwrap()["values"].clone()
    };
    assert_eq!(
        facet("user"),
        json!([{"value": "ci-runner", "count": 4}, {"value": "agent-7", "count": 1}, {"value": "bob", "count": 1}])
    );
    assert_eq!(facet("op")[0], json!({"value": "ref.push", "count": 2}));
    assert_eq!(facet("model"), json!([{"value": "gpt-4.1", "count": 1}]));
    assert_eq!(facet("rule").as_array().unwrap().len(), 2);
    let buckets = value["histogram"]["buckets"].as_array().unwrap();
    let sum = |key: &str| {
        buckets
            .iter()
            .map(|b| b[key].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!((sum("all"), sum("refused"), sum("held")), (6, 2, 2));
    assert!((2..=60).contains(&buckets.len()), "{}", buckets.len());
}

#[tokio::test]
async fn an_outcome_replaces_what_its_request_said() {
    let console = Console::start();
    let secret = console.person("alice", &[]).await;
    let more = json!({"countersign.decision": "held", "countersign.rule": "production-branch"});
    let [request, _] = exchange("e-1", 1, 5, more);
    let [_, mut outcome] = exchange("e-1", 1, 0, json!({"countersign.decision": "held_expired"}));
    outcome["timeUnixNano"] = (NOON as u64 * 1_000_000).to_string().into();
    for (first, second) in [(&request, &outcome), (&outcome, &request)] {
        let console = Console::start();
        let secret = console.person("alice", &[]).await;
        for one in [first, second] {
            console
                .logs(
                    "application/json",
                    batch(std::slice::from_ref(one)).to_string().into_bytes(),
                )
                .await;
        }
        assert_eq!(
            ids(
                &console,
                &secret,
                "decision:\"held_expired\" rule:production-branch"
            )
            .await,
            ["e-1"]
        );
        assert_eq!(
            ids(&console, &secret, "-decision:held_expired").await.len(),
            0
        );
        assert_eq!(
            ids(
                &console,
                &secret,
                "after:6m before:4m has:outcome has:request"
            )
            .await,
            ["e-1"]
        );
        assert_eq!(
            ids(&console, &secret, "after:2m").await.len(),
            0,
            "it began before"
        );
    }
    drop((console, secret));
}

#[tokio::test]
async fn the_trail_is_read_by_auditors_and_bodies_by_those_with_a_second_right() {
    let (console, alice) = filled().await;
    let reviewer = console.reviewer("rob", &["platform-leads"]).await;
    let cookie = console.sign_in_to(&reviewer, "/approvals").await;
    for path in [
        "/audit",
        "/audit/e-prompt",
        "/sessions",
        "/policy",
        "/health",
        "/health/access",
    ] {
        let answer = console.page(path, &cookie).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        assert!(!answer.text().contains("agent-7"), "{path}");
    }
    for path in ["/api/v1/exchanges", "/api/v1/exchanges/e-prompt"] {
        let answer = console.api(Method::GET, path, &reviewer, Value::Null).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
    }
    assert_eq!(
        console.page("/", &cookie).await.header("location"),
        "/approvals"
    );
    assert!(
        !console
            .page("/approvals", &cookie)
            .await
            .text()
            .contains("href=\"/audit\"")
    );

    let rights = Rights {
        body_readers: vec!["privacy".into()],
        ..Rights::default()
    };
    let console = console.with_rights(rights);
    let page = console
        .page("/audit/e-prompt", &console.sign_in(&alice).await)
        .await
        .text();
    assert!(
        page.contains("you lack the right") && page.contains("agent-7"),
        "{page}"
    );
    assert!(!page.contains("of users"), "{page}");
    let answer = console
        .api(
            Method::GET,
            "/api/v1/exchanges/e-prompt",
            &alice,
            Value::Null,
        )
        .await;
    assert!(!answer.text().contains("of users"), "{}", answer.text());
    assert_eq!(
        answer.json()["request"]["countersign.request.body.withheld"],
        true
    );
    // Whoever may not read bodies may not guess at them either.
    for query in ["users", "-users", "user:agent-7 \"the table\""] {
        let path = format!("/api/v1/exchanges?q={}", encoded(query));
        let answer = console.api(Method::GET, &path, &alice, Value::Null).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{query}");
    }
    assert_eq!(ids(&console, &alice, "user:agent-7").await, ["e-prompt"]);
    let carol = console.person("carol", &["privacy"]).await;
    let page = console
        .page("/audit/e-prompt", &console.sign_in(&carol).await)
        .await
        .text();
    assert!(page.contains("of users"), "{page}");
}

#[tokio::test]
async fn a_look_at_the_trail_is_on_record_before_it_is_answered() {
    let (console, secret) = filled().await;
    let cookie = console.sign_in(&secret).await;
    console.page("/audit?q=user:agent-7+drop", &cookie).await;
    console.page("/audit/e-prompt", &cookie).await;
    ids(&console, &secret, "op:ref.push").await;
    let looks = console
        .app
        .store
        .read(|c| countersign::people::access::list(c, i64::MAX, 10))
        .await
        .unwrap();
    let said: Vec<Value> = looks.into_iter().rev().map(|look| look.value).collect();
    assert_eq!(
        said,
        [
            json!({"action": "search", "query": "user:agent-7 drop", "cursor": null, "who": "alice", "way": "page"}),
            json!({"action": "exchange", "exchange": "e-prompt", "bodies": true, "who": "alice", "way": "page"}),
            json!({"action": "search", "query": "op:ref.push", "cursor": null, "who": "alice", "way": "api"}),
        ]
    );
    let page = console.page("/health/access", &cookie).await.text();
    assert!(
        page.contains("opened an exchange with its bodies") && page.contains("op:ref.push"),
        "{page}"
    );
}

#[tokio::test]
async fn a_search_is_saved_shared_and_deleted() {
    let (console, alice) = filled().await;
    let carol = console.person("carol", &[]).await;
    let (alice, carol) = (console.sign_in(&alice).await, console.sign_in(&carol).await);
    let token = |cookie: &str| countersign::people::form_token(cookie.split_once('=').unwrap().1);
    let save = async |cookie: &str, name: &str, q: &str, shared: bool| {
        let token = token(cookie);
        let mut fields = vec![("form_token", token.as_str()), ("name", name), ("q", q)];
        fields.extend(shared.then_some(("shared", "yes")));
        console
            .send(form("/audit/searches", &fields, Some(cookie)))
            .await
    };
    assert_eq!(
        save(&alice, "<b>pushes</b>", "op:ref.push after:2d", true)
            .await
            .status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(
        save(&alice, "mine", "user:bob", false).await.status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(
        save(&alice, "", "user:bob", false).await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        save(&alice, "bad", "usr:bob", false).await.status,
        StatusCode::BAD_REQUEST
    );
    let page = console.page("/audit", &alice).await.text();
    assert!(
        page.contains("pushes") && page.contains("mine") && !page.contains("<b>"),
        "{page}"
    );
    assert!(page.contains("/audit?q=op:ref.push+after:2d"), "{page}");
    let page = console.page("/audit", &carol).await.text();
    assert!(
        page.contains("pushes") && page.contains("by alice") && !page.contains("mine<"),
        "{page}"
    );
    // Another's search is not hers to delete.
    for (cookie, status) in [
        (&carol, StatusCode::NOT_FOUND),
        (&alice, StatusCode::SEE_OTHER),
    ] {
        let token = token(cookie);
        let request = form(
            "/audit/searches/1/delete",
            &[("form_token", &token)],
            Some(cookie),
        );
        assert_eq!(console.send(request).await.status, status);
    }
    let forged = form(
        "/audit/searches/2/delete",
        &[("form_token", "x")],
        Some(&alice),
    );
    assert_eq!(console.send(forged).await.status, StatusCode::FORBIDDEN);
    assert!(
        !console
            .page("/audit", &alice)
            .await
            .text()
            .contains("pushes")
    );
}

#[tokio::test]
async fn sessions_policies_and_rules_are_listed_with_what_became_of_them() {
    let (console, secret) = filled().await;
    let cookie = console.sign_in(&secret).await;
    let page = console.page("/sessions", &cookie).await.text();
    assert!(
        page.contains("href=\"/sessions/s-1\"") && page.contains("agent-7"),
        "{page}"
    );
    let page = console.page("/sessions?q=user:bob", &cookie).await.text();
    assert!(!page.contains("/sessions/s-1"), "{page}");
    let page = console.page("/policy", &cookie).await.text();
    for part in ["no-repo-delete", "production-branch", &"ab".repeat(32)] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let page = console.page("/health", &cookie).await.text();
    assert!(
        page.contains("w-1") && page.contains("Entries in the ledger"),
        "{page}"
    );
    let page = console.page("/?period=7d", &cookie).await.text();
    for part in ["Identities", "ref.push", "<svg", "7 days"] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

//! Pages: who may see them, and that what an agent sent stays text.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // These are tests.

mod common;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use common::{Console, asking, batch, exchange, form, question, record};
use countersign::web::CONTENT_SECURITY_POLICY;
use serde_json::{Value, json};

const HOSTILE: &str = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'</pre>\u{202e}gnp";

#[tokio::test]
async fn every_page_needs_a_sign_in() {
    let console = Console::start();
    for path in [
        "/",
        "/approvals",
        "/approvals/x",
        "/approvals/pending",
        "/approvals/stream",
        "/audit",
        "/audit/x",
        "/sessions",
        "/policy",
        "/policy/x",
        "/health",
        "/health/access",
    ] {
        let answer = console.page(path, "countersign=nonsense").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}");
        assert!(
            answer.header("location").starts_with("/sign-in?next="),
            "{path}"
        );
        assert!(answer.body.is_empty(), "{path}");
    }
    for path in [
        "/api/v1/approvals",
        "/api/v1/approvals/x",
        "/api/v1/exchanges",
        "/api/v1/exchanges/x",
        "/api/v1/policies",
    ] {
        let answer = console
            .api(Method::GET, path, "nonsense", Value::Null)
            .await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    // The gateway's key is not a person's.
    let answer = console
        .api(Method::GET, "/api/v1/exchanges", common::KEY, Value::Null)
        .await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let wrong = console
        .send(form("/sign-in", &[("secret", "nonsense")], None))
        .await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert!(wrong.header("set-cookie").is_empty());
}

#[tokio::test]
async fn a_session_ends_with_time_with_sign_out_and_with_its_person() {
    let console = Console::start();
    let secret = console.person("bob", &[]).await;
    let cookie = console.sign_in(&secret).await;
    assert_eq!(console.page("/", &cookie).await.status, StatusCode::OK);
    console.app.clock.advance(3_600_000);
    assert_eq!(
        console.page("/", &cookie).await.status,
        StatusCode::SEE_OTHER
    );

    let cookie = console.sign_in(&secret).await;
    let page = console.page("/", &cookie).await.text();
    let token = page
        .split("name=\"form_token\" value=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let out = console
        .send(form("/sign-out", &[("form_token", token)], Some(&cookie)))
        .await;
    assert_eq!(out.status, StatusCode::SEE_OTHER);
    assert_eq!(
        console.page("/", &cookie).await.status,
        StatusCode::SEE_OTHER
    );

    let cookie = console.sign_in(&secret).await;
    console
        .app
        .store
        .write(|c| countersign::people::remove(c, "bob"))
        .await
        .unwrap();
    assert_eq!(
        console.page("/", &cookie).await.status,
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn what_agents_send_is_shown_as_text() {
    let console = Console::start();
    let secret = console.person("bob", &["platform-leads"]).await;
    let cookie = console.sign_in(&secret).await;

    let mut asked = question(1, "e-1");
    for pointer in [
        "/summary",
        "/identity/subject",
        "/identity/email",
        "/identity/groups/0",
        "/request/path",
        "/request/body",
        "/request/content_type",
        "/rule",
        "/operations/0/ref",
        "/connection",
        "/operations/0/attributes/change",
        "/session",
    ] {
        *asked.pointer_mut(pointer).unwrap() = json!(HOSTILE);
    }
    let id = console
        .send(asking(&asked, 0))
        .await
        .header("x-countersign-approval")
        .to_owned();
    console.decide(&id, "refuse", &secret, HOSTILE).await;
    asked["fingerprint"] = json!("02".repeat(32));
    console.send(asking(&asked, 0)).await;

    let attributes = json!({
        "countersign.exchange.id": "e-1", "countersign.worker.id": HOSTILE, "countersign.worker.seq": 1,
        "user.id": HOSTILE, "url.full": HOSTILE, "user_agent.original": HOSTILE, HOSTILE: HOSTILE,
        "countersign.decision": HOSTILE, "countersign.session.id": HOSTILE, "countersign.rule": HOSTILE,
        "countersign.approval.id": HOSTILE, "countersign.request.body": HOSTILE,
        "countersign.response.body": HOSTILE, "countersign.not_captured": [HOSTILE],
        "countersign.operations": [{"name": HOSTILE, "ref": HOSTILE}],
        "countersign.masks": [{"rule": HOSTILE, "count": 1, "direction": HOSTILE}],
    });
    let records = [record("countersign.outcome", &attributes)];
    let answer = console
        .logs("application/json", batch(&records).to_string().into_bytes())
        .await;
    assert_eq!(answer.json(), json!({}));

    let hostile_filter = "/audit?since=%3Cscript%3Ealert(1)%3C/script%3E";
    for path in [
        "/",
        "/approvals",
        "/approvals/pending",
        &format!("/approvals/{id}"),
        "/audit",
        "/audit/e-1",
        hostile_filter,
    ] {
        let answer = console.page(path, &cookie).await;
        let page = answer.text();
        assert!(
            page.contains("&#60;script&#62;")
                || path == hostile_filter
                || page.contains("&lt;script"),
            "{path}: {page}"
        );
        assert!(
            !page.contains("<script>alert") && !page.contains("<img src=x"),
            "{path}: {page}"
        );
        assert!(!page.contains('\u{202e}'), "{path}");
        // Of the page's own: no inline script, style or handler, which the policy would stop.
        assert!(
            !page.contains("<style") && !page.contains(" style="),
            "{path}"
        );
        assert_eq!(
            answer.header("content-security-policy"),
            CONTENT_SECURITY_POLICY,
            "{path}"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    assert!(!CONTENT_SECURITY_POLICY.contains("unsafe"));
}

#[tokio::test]
async fn an_exchange_shows_what_is_missing() {
    let console = Console::start();
    let secret = console.person("bob", &[]).await;
    let cookie = console.sign_in(&secret).await;
    let (request, outcome) = exchange("e-1", "w-1", 1);
    console
        .logs(
            "application/json",
            batch(&[request]).to_string().into_bytes(),
        )
        .await;
    let page = console.page("/audit/e-1", &cookie).await.text();
    assert!(page.contains("No outcome yet"), "{page}");
    assert!(page.contains("please drop the tables"));
    assert!(
        console
            .page("/audit", &cookie)
            .await
            .text()
            .contains("no outcome yet")
    );
    console
        .logs(
            "application/json",
            batch(&[outcome]).to_string().into_bytes(),
        )
        .await;
    let page = console.page("/audit/e-1", &cookie).await.text();
    assert!(!page.contains("No outcome yet"), "{page}");
    assert!(
        page.contains("12 ms") && page.contains("github-token"),
        "{page}"
    );
    assert_eq!(
        console.page("/audit/e-2", &cookie).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_gap_in_a_workers_numbers_is_shown() {
    let console = Console::start();
    let secret = console.person("bob", &[]).await;
    let cookie = console.sign_in(&secret).await;
    let (first, _) = exchange("e-1", "w-1", 1);
    let (fifth, _) = exchange("e-2", "w-1", 5);
    console
        .logs(
            "application/json",
            batch(&[first, fifth]).to_string().into_bytes(),
        )
        .await;
    let page = console.page("/", &cookie).await.text();
    assert!(
        page.contains("<span class=\"figure\">3</span><span>records missing"),
        "{page}"
    );
}

#[tokio::test]
async fn a_write_of_the_api_with_a_cookie_needs_the_form_token() {
    let console = Console::start();
    let secret = console.person("bob", &["platform-leads"]).await;
    let cookie = console.sign_in(&secret).await;
    let id = console
        .send(asking(&question(1, "e"), 0))
        .await
        .header("x-countersign-approval")
        .to_owned();
    let request = Request::post(format!("/api/v1/approvals/{id}/approve"))
        .header(header::COOKIE, &cookie)
        .body(Body::empty())
        .unwrap();
    assert_eq!(console.send(request).await.status, StatusCode::FORBIDDEN);
    let session = cookie.split_once('=').unwrap().1;
    let request = Request::post(format!("/api/v1/approvals/{id}/approve"))
        .header(header::COOKIE, &cookie)
        .header("x-form-token", countersign::people::form_token(session))
        .body(Body::empty())
        .unwrap();
    assert_eq!(console.send(request).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_development_provider_is_there_only_when_it_is_on() {
    let console = Console::over(tempfile::tempdir().unwrap(), common::NOON, false);
    for path in ["/dev/jwks", "/dev/.well-known/openid-configuration"] {
        let answer = console.page(path, "").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert!(
        !console
            .page("/sign-in", "")
            .await
            .text()
            .contains("Development console")
    );
    let console = Console::start();
    assert_eq!(
        console.page("/dev/jwks", "").await.json(),
        json!({"keys": []})
    );
    assert!(
        console
            .page("/sign-in", "")
            .await
            .text()
            .contains("Development console")
    );
}

#[tokio::test]
async fn health_and_assets_need_nobody() {
    let console = Console::start();
    for path in [
        "/healthz",
        "/readyz",
        "/assets/style.css",
        "/assets/approvals.js",
        "/assets/sign-in.js",
        "/assets/mark.svg",
    ] {
        assert_eq!(
            console.page(path, "").await.status,
            StatusCode::OK,
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_text_of_every_policy_is_kept_with_what_it_changed() {
    let console = Console::start();
    let secret = console.person("carol", &[]).await;
    let began = |seq: i64, digest: &str, default: &str| {
        let document = json!({"default": default, "note": HOSTILE}).to_string();
        record(
            "countersign.policy",
            &json!({
                "countersign.worker.id": format!("w-{seq}"), "countersign.worker.seq": 1,
                "countersign.policy.digest": digest, "countersign.policy.document": document,
            }),
        )
    };
    let (old, new) = ("0a".repeat(32), "0b".repeat(32));
    let records = [
        began(1, &old, "allow"),
        began(2, &old, "allow"),
        began(3, &new, "deny"),
    ];
    let body = batch(&records).to_string().into_bytes();
    let taken = console.logs("application/json", body).await;
    assert_eq!(taken.status, StatusCode::OK);
    let known = console
        .api(Method::GET, "/api/v1/policies", &secret, Value::Null)
        .await
        .json();
    assert_eq!(known[0]["digest"], old.as_str());
    assert_eq!(known[0]["starts"], 2);
    assert_eq!(known[1]["document"]["default"], "deny");
    // Made anew from the entries they are the same.
    let reset = countersign::ledger::derive::reset;
    console.app.store.write(reset).await.unwrap();
    let ask = async || {
        let path = "/api/v1/policies";
        let answer = console.api(Method::GET, path, &secret, Value::Null).await;
        answer.json()
    };
    console.until(async || ask().await == known).await;
    let cookie = console.sign_in(&secret).await;
    let page = console
        .page(&format!("/policy/{new}"), &cookie)
        .await
        .text();
    assert!(
        page.contains("class=\"go\">-  &#34;default&#34;: &#34;allow&#34;"),
        "{page}"
    );
    assert!(
        page.contains("class=\"come\">+  &#34;default&#34;: &#34;deny&#34;"),
        "{page}"
    );
    assert!(!page.contains("<script>alert"), "{page}");
    let none = console.page("/policy/0c", &cookie).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
}

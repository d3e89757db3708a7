//! Sign-in with OpenID, against a provider on a socket that checks what a provider checks.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // These are tests.

mod common;

use std::collections::HashMap;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use common::provider::Provider;
use common::{Answer, Console};
use serde_json::{Value, json};

/// What the browser holds and where it is sent.
struct Begun {
    cookie: String,
    state: String,
    code: String,
}

async fn begin(console: &Console, provider: &Provider, next: &str) -> Begun {
    let request = Request::get(format!("/sign-in/oidc?next={next}"))
        .body(Body::empty())
        .unwrap();
    let answer = console.send(request).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
    let cookie = answer.header("set-cookie").to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    let address = answer.header("location").to_owned();
    assert!(
        address.starts_with(&format!("{}/authorize?", provider.url)),
        "{address}"
    );
    let query: HashMap<String, String> = address
        .split_once('?')
        .unwrap()
        .1
        .split('&')
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    assert_eq!(query["response_type"], "code");
    assert_eq!(query["code_challenge_method"], "S256");
    assert_eq!(
        query["redirect_uri"],
        "http%3A%2F%2Fconsole.test%2Fsign-in%2Foidc%2Fcallback"
    );
    assert!(query["scope"].contains("openid"));
    let code = provider.code(&query["code_challenge"], &query["nonce"]);
    Begun {
        cookie: cookie.split(';').next().unwrap().to_owned(),
        state: query["state"].clone(),
        code,
    }
}

async fn come_back(console: &Console, begun: &Begun, cookie: &str) -> Answer {
    let path = format!(
        "/sign-in/oidc/callback?code={}&state={}",
        begun.code, begun.state
    );
    let request = Request::get(path)
        .header(header::COOKIE, cookie)
        .header("sec-fetch-site", "cross-site");
    console.send(request.body(Body::empty()).unwrap()).await
}

fn session(answer: &Answer) -> Option<String> {
    let cookies = answer.headers.get_all(header::SET_COOKIE).iter();
    let cookie = cookies
        .map(|c| c.to_str().unwrap())
        .find(|c| c.starts_with("countersign="))?;
    assert!(
        cookie.contains("SameSite=Strict")
            && cookie.contains("HttpOnly")
            && cookie.contains("Max-Age=600"),
        "{cookie}"
    );
    Some(cookie.split(';').next().unwrap().to_owned())
}

async fn stage() -> (Console, Provider) {
    let console = Console::start();
    let provider = Provider::start(console.folder.path()).await;
    let settings = provider.settings();
    (console.with_settings(&settings), provider)
}

#[tokio::test]
async fn a_person_signs_in_and_is_who_the_provider_says() {
    let (console, provider) = stage().await;
    let page = console.page("/sign-in", "").await.text();
    assert!(
        page.contains("/sign-in/oidc?next=") && page.contains("Sign in with a secret"),
        "{page}"
    );
    let begun = begin(&console, &provider, "%2Fapprovals").await;
    let answer = come_back(&console, &begun, &begun.cookie).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    // A page of its own: the strict cookie does not come along on a way back from another site.
    assert!(
        answer.text().contains("content=\"0; url=/approvals\""),
        "{}",
        answer.text()
    );
    let cookie = session(&answer).unwrap();
    assert!(
        console
            .page("/approvals", &cookie)
            .await
            .text()
            .contains(">grace<")
    );
    let people = console
        .app
        .store
        .read(countersign::people::list)
        .await
        .unwrap();
    let grace = people.iter().find(|person| person.name == "grace").unwrap();
    assert_eq!(grace.groups, ["staff", "platform-leads"]);
    assert_eq!(
        Value::Object(grace.claims.clone()),
        json!({"department": ["security"]})
    );
    // Once.
    let again = come_back(&console, &begun, &begun.cookie).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST);
    // The session is short.
    console.app.clock.advance(600_000);
    assert_eq!(
        console.page("/approvals", &cookie).await.status,
        StatusCode::SEE_OTHER
    );
    // The next sign-in brings the groups up to date; what is missing is asked for.
    *provider.claims.lock().unwrap() = json!({"groups": null, "email": null});
    *provider.more.lock().unwrap() = json!({"sub": "u-17", "groups": "staff auditors", "email": "g@example.com", "email_verified": false});
    let begun = begin(&console, &provider, "%2F").await;
    assert!(session(&come_back(&console, &begun, &begun.cookie).await).is_some());
    let people = console
        .app
        .store
        .read(countersign::people::list)
        .await
        .unwrap();
    let grace = people.iter().find(|person| person.name == "grace").unwrap();
    assert_eq!(grace.groups, ["staff", "auditors"]);
    assert_eq!(grace.email, None, "nobody verified that address");
}

#[tokio::test]
async fn what_does_not_hold_signs_nobody_in() {
    let (console, provider) = stage().await;
    let past = jiff::Timestamp::now().as_second() - 3600;
    for (claims, status, word) in [
        (
            json!({"nonce": "another"}),
            StatusCode::BAD_GATEWAY,
            "not valid",
        ),
        (
            json!({"aud": "somebody-else"}),
            StatusCode::BAD_GATEWAY,
            "not valid",
        ),
        (
            json!({"iss": "https://evil.example.com"}),
            StatusCode::BAD_GATEWAY,
            "not valid",
        ),
        (json!({"exp": past}), StatusCode::BAD_GATEWAY, "not valid"),
        (
            json!({"signature": "broken"}),
            StatusCode::BAD_GATEWAY,
            "not valid",
        ),
        (
            json!({"groups": ["guests"]}),
            StatusCode::FORBIDDEN,
            "none of the groups",
        ),
        (
            json!({"groups": null, "hasgroups": true}),
            StatusCode::FORBIDDEN,
            "too many",
        ),
        (
            json!({"preferred_username": "<script>"}),
            StatusCode::FORBIDDEN,
            "is not a name",
        ),
    ] {
        *provider.claims.lock().unwrap() = claims.clone();
        *provider.more.lock().unwrap() = json!({"sub": "u-17"});
        let begun = begin(&console, &provider, "%2F").await;
        let answer = come_back(&console, &begun, &begun.cookie).await;
        assert_eq!(answer.status, status, "{claims}: {}", answer.text());
        assert!(answer.text().contains(word), "{claims}: {}", answer.text());
        assert_eq!(session(&answer), None, "{claims}");
    }
    *provider.claims.lock().unwrap() = json!({"groups": null});
    *provider.more.lock().unwrap() = json!({"sub": "somebody-else", "groups": ["staff"]});
    let begun = begin(&console, &provider, "%2F").await;
    assert_eq!(
        session(&come_back(&console, &begun, &begun.cookie).await),
        None
    );
    *provider.claims.lock().unwrap() = json!({});
    // Another browser's sign-in, a guessed state, and a code that was cut off from its proof.
    let (mine, theirs) = (
        begin(&console, &provider, "%2F").await,
        begin(&console, &provider, "%2F").await,
    );
    assert_eq!(
        come_back(&console, &mine, &theirs.cookie).await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        come_back(&console, &mine, "").await.status,
        StatusCode::BAD_REQUEST
    );
    let crossed = Begun {
        code: theirs.code.clone(),
        ..mine
    };
    let answer = come_back(&console, &crossed, &crossed.cookie).await;
    assert_eq!(
        answer.status,
        StatusCode::BAD_GATEWAY,
        "the code belongs to another proof: {}",
        answer.text()
    );
    // It took too long.
    let begun = begin(&console, &provider, "%2F").await;
    console.app.clock.advance(600_000);
    assert_eq!(
        come_back(&console, &begun, &begun.cookie).await.status,
        StatusCode::BAD_REQUEST
    );
    // The provider says no.
    let begun = begin(&console, &provider, "%2F").await;
    let path = format!(
        "/sign-in/oidc/callback?error=access_denied&error_description=%3Cb%3Eno%3C%2Fb%3E&state={}",
        begun.state
    );
    let answer = console.page(&path, &begun.cookie).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.text().contains("&#60;b&#62;no"), "{}", answer.text());
}

#[tokio::test]
async fn a_name_is_of_one_person() {
    let (console, provider) = stage().await;
    // A secret was made for this name: the provider does not take it over.
    let secret = console.person("Grace", &[]).await;
    let begun = begin(&console, &provider, "%2F").await;
    let answer = come_back(&console, &begun, &begun.cookie).await;
    assert!(
        answer.text().contains("there is a user `Grace` already"),
        "{}",
        answer.text()
    );
    assert_eq!(session(&answer), None);
    console
        .app
        .store
        .write(|c| countersign::people::remove(c, "Grace"))
        .await
        .unwrap();
    let begun = begin(&console, &provider, "%2F").await;
    assert!(session(&come_back(&console, &begun, &begun.cookie).await).is_some());
    // Nor does another subject of the same name.
    *provider.claims.lock().unwrap() = json!({"sub": "u-18"});
    let begun = begin(&console, &provider, "%2F").await;
    assert_eq!(
        session(&come_back(&console, &begun, &begun.cookie).await),
        None
    );
    let wrong = common::form("/sign-in", &[("secret", &secret), ("next", "/")], None);
    assert_eq!(console.send(wrong).await.status, StatusCode::UNAUTHORIZED);
}

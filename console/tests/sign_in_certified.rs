//! Sign-in at a certified provider that was written by others: what `sign_in.rs` checks against a provider
//! of our own might be the same mistake twice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // These are tests.

mod common;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use common::certified::{Certified, SECRET, Visitor};
use common::{Answer, Console, asking, form, question};
use countersign::people::Person;
use serde_json::{Value, json};

fn stage() -> Option<(Console, Certified)> {
    let console = Console::start();
    let provider = Certified::start("http://console.test")?;
    let settings = provider.settings();
    Some((console.with_settings_and(&settings, SECRET), provider))
}

/// The whole way: to the provider, through its pages, and back.
async fn sign_in(
    console: &Console,
    provider: &Certified,
    visitor: &mut Visitor,
    login: Option<&str>,
) -> Answer {
    let (back, cookie) = to_the_provider_and_back(console, provider, visitor, login).await;
    come_back(console, &back, &cookie).await
}

async fn to_the_provider_and_back(
    console: &Console,
    provider: &Certified,
    visitor: &mut Visitor,
    login: Option<&str>,
) -> (String, String) {
    let answer = console
        .page("/sign-in/oidc?next=%2Fapprovals%3Fx%3D1", "")
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
    let cookie = answer.header("set-cookie").split(';').next().unwrap();
    let back = visitor.visit(provider, answer.header("location"), login);
    let path = back.strip_prefix("http://console.test").unwrap();
    (path.to_owned(), cookie.to_owned())
}

async fn come_back(console: &Console, path: &str, cookie: &str) -> Answer {
    let request = Request::get(path)
        .header(header::COOKIE, cookie)
        .header("sec-fetch-site", "cross-site");
    console.send(request.body(Body::empty()).unwrap()).await
}

/// The session that was started.
fn session(answer: &Answer) -> String {
    let cookies = answer.headers.get_all(header::SET_COOKIE).iter();
    let found = cookies
        .map(|cookie| cookie.to_str().unwrap())
        .find_map(|cookie| cookie.strip_prefix("countersign="))
        .unwrap_or_else(|| panic!("{}: {}", answer.status, answer.text()));
    format!("countersign={}", found.split(';').next().unwrap())
}

fn refused(answer: &Answer, status: StatusCode, words: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert!(answer.text().contains(words), "{}", answer.text());
    let cookies = answer.headers.get_all(header::SET_COOKIE).iter();
    assert_eq!(cookies.count(), 0);
}

async fn known(console: &Console, name: &str) -> Person {
    let people = console.app.store.read(countersign::people::list).await;
    let people = people.unwrap();
    people.into_iter().find(|p| p.name == name).unwrap()
}

#[tokio::test]
async fn a_person_signs_in_whatever_key_signs_and_wherever_the_groups_are() {
    let Some((console, mut provider)) = stage() else {
        return;
    };
    // Each has new keys, which the console has not seen; the last ones put the groups into the ID token.
    for (alg, conform) in [
        ("ES256", true),
        ("RS256", true),
        ("EdDSA", true),
        ("PS256", false),
        ("ES256", false),
    ] {
        provider.with(&json!({"alg": alg, "conform": conform}));
        let mut visitor = Visitor::new();
        let answer = sign_in(&console, &provider, &mut visitor, Some("u-grace")).await;
        assert_eq!(answer.status, StatusCode::OK, "{alg}: {}", answer.text());
        assert!(answer.text().contains("0; url=/approvals?x=1"));
        assert_eq!(visitor.forms, ["login", "consent"]);
        let page = console.page("/approvals", &session(&answer)).await.text();
        assert!(page.contains(">grace<"), "{page}");
        let grace = known(&console, "grace").await;
        assert_eq!(grace.groups, ["staff", "platform-leads"]);
        assert_eq!(grace.email.as_deref(), Some("grace@example.com"));
        assert_eq!(
            Value::Object(grace.claims),
            json!({"department": ["security"]})
        );
    }
}

#[tokio::test]
async fn the_client_shows_its_secret_as_the_provider_takes_it() {
    let Some((console, mut provider)) = stage() else {
        return;
    };
    let method = |method: &str| json!({"token_endpoint_auth_method": method});
    let post = provider.client(&method("client_secret_post"));
    provider.with(&json!({"client": post, "methods": ["client_secret_post"]}));
    let console = console.with_settings_and(&provider.settings(), SECRET);
    let answer = sign_in(&console, &provider, &mut Visitor::new(), Some("u-grace")).await;
    session(&answer);
    // Another secret than the provider knows.
    let console = console.with_settings_and(&provider.settings(), "another");
    let answer = sign_in(&console, &provider, &mut Visitor::new(), Some("u-grace")).await;
    refused(&answer, StatusCode::BAD_GATEWAY, "is not valid");
    // None at all: PKCE is the proof.
    let mut public = provider.client(&method("none"));
    public.as_object_mut().unwrap().remove("client_secret");
    provider.with(&json!({"client": public, "methods": ["none"]}));
    let settings = provider.settings();
    let settings = settings.replace("client_secret: { env: SECRET }, ", "");
    let console = console.with_settings_and(&settings, SECRET);
    let answer = sign_in(&console, &provider, &mut Visitor::new(), Some("u-grace")).await;
    session(&answer);
}

#[tokio::test]
async fn a_session_ends_and_the_provider_knows_the_person_still() {
    let Some((console, provider)) = stage() else {
        return;
    };
    let mut visitor = Visitor::new();
    let answer = sign_in(&console, &provider, &mut visitor, Some("u-grace")).await;
    let cookie = session(&answer);
    let page = console.page("/approvals", &cookie).await.text();
    let (_, rest) = page.split_once("name=\"form_token\" value=\"").unwrap();
    let token = rest.split_once('"').unwrap().0;
    let out = form("/sign-out", &[("form_token", token)], Some(&cookie));
    let answer = console.send(out).await;
    assert_eq!(answer.header("location"), "/sign-in");
    assert!(answer.header("set-cookie").contains("Max-Age=0"));
    let after = console.page("/approvals", &cookie).await;
    assert_eq!(after.header("location"), "/sign-in?next=/approvals");
    // The provider has a session of its own and asks nothing; the console's ends by itself.
    visitor.forms.clear();
    let answer = sign_in(&console, &provider, &mut visitor, Some("u-grace")).await;
    let cookie = session(&answer);
    assert_eq!(visitor.forms, Vec::<String>::new());
    assert_eq!(
        console.page("/approvals", &cookie).await.status,
        StatusCode::OK
    );
    console.app.clock.advance(600_000);
    let after = console.page("/approvals", &cookie).await;
    assert_eq!(after.header("location"), "/sign-in?next=/approvals");
}

#[tokio::test]
async fn who_may_not_does_not() {
    let Some((console, provider)) = stage() else {
        return;
    };
    let held = console.send(asking(&question(1, "e-1"), 0)).await;
    let page = format!("/approvals/{}", held.header("x-countersign-approval"));
    // In none of the groups that sign in; no name; nobody at all.
    let answer = sign_in(&console, &provider, &mut Visitor::new(), Some("u-guest")).await;
    refused(&answer, StatusCode::FORBIDDEN, "none of the groups");
    let answer = sign_in(&console, &provider, &mut Visitor::new(), None).await;
    refused(&answer, StatusCode::FORBIDDEN, "End-User aborted");
    // Signed in, and no reviewer of this.
    let mut visitor = Visitor::new();
    let answer = sign_in(&console, &provider, &mut visitor, Some("u-newcomer")).await;
    let cookie = session(&answer);
    assert_eq!(
        known(&console, "newcomer").await.email,
        None,
        "nobody verified it"
    );
    let shown = console.page("/approvals", &cookie).await.text();
    assert!(!shown.contains(&page), "{shown}");
    for hidden in [page.as_str(), "/audit"] {
        let answer = console.page(hidden, &cookie).await;
        let status = answer.status;
        assert!(
            matches!(status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND),
            "{hidden}: {status}"
        );
    }
    let (_, rest) = shown.split_once("name=\"form_token\" value=\"").unwrap();
    let token = rest.split_once('"').unwrap().0;
    let path = format!("{page}/approve");
    let approve = form(&path, &[("form_token", token)], Some(&cookie));
    let answer = console.send(approve).await;
    assert!(
        answer.text().contains("not one of the reviewers"),
        "{}: {}",
        answer.status,
        answer.text()
    );
}

#[tokio::test]
async fn an_answer_is_taken_once_from_its_own_provider() {
    let Some((console, mut provider)) = stage() else {
        return;
    };
    let grace = Some("u-grace");
    let mut visitor = Visitor::new();
    let (back, cookie) = to_the_provider_and_back(&console, &provider, &mut visitor, grace).await;
    // RFC 9207: the answer says whose it is.
    assert!(back.contains("&iss="), "{back}");
    let (rest, _) = back.split_once("&iss=").unwrap();
    let other = format!("{rest}&iss=https%3A%2F%2Fevil.example.com");
    let answer = come_back(&console, &other, &cookie).await;
    refused(&answer, StatusCode::BAD_GATEWAY, "is not valid");
    // Whoever has the code without the proof gets nothing for it, here or there.
    let (other, mine) = to_the_provider_and_back(&console, &provider, &mut visitor, grace).await;
    let code = back.split_once("code=").unwrap().1.split_once('&').unwrap();
    let own = other
        .split_once("code=")
        .unwrap()
        .1
        .split_once('&')
        .unwrap();
    let answer = come_back(&console, &other.replace(own.0, code.0), &mine).await;
    refused(&answer, StatusCode::BAD_GATEWAY, "is not valid");
    let (back, cookie) = to_the_provider_and_back(&console, &provider, &mut visitor, grace).await;
    session(&come_back(&console, &back, &cookie).await);
    let again = come_back(&console, &back, &cookie).await;
    refused(&again, StatusCode::BAD_REQUEST, "did not begin this");
    // Between the way there and the way back the provider has got new keys, and has forgotten the code.
    let (back, cookie) = to_the_provider_and_back(&console, &provider, &mut visitor, grace).await;
    provider.with(&json!({}));
    let answer = come_back(&console, &back, &cookie).await;
    refused(&answer, StatusCode::BAD_GATEWAY, "is not valid");
    // It is not there.
    let (back, cookie) =
        to_the_provider_and_back(&console, &provider, &mut Visitor::new(), grace).await;
    drop(provider);
    let answer = come_back(&console, &back, &cookie).await;
    refused(&answer, StatusCode::BAD_GATEWAY, "identity provider");
}

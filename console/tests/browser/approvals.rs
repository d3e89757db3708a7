//! The approver's page: live, by keys, with what led to a request, and with hostile content as text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::common::certified::{Certified, SECRET};
use super::common::provider::Provider;
use super::common::{Answer, asking, question, read, record};
use super::{HOSTILE, Stage};
use tower::ServiceExt;

const CARDS: &str = "return document.querySelectorAll('#pending article.card').length";

/// A write of a workflow file, as the gateway asks about it.
pub fn write() -> Value {
    let new = "name: ci\non: push\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps: [{ run: make deploy }]\n";
    let body =
        json!({"message": "Deploy from CI", "branch": "main", "content": STANDARD.encode(new)});
    let mut asked = question(1, "e-asked");
    asked["request"] = json!({"method": "PUT", "authority": "api.github.com", "path": "/repos/acme/web/contents/.github/workflows/ci.yml",
        "content_type": "application/json", "body_size": 200, "body": body.to_string(), "body_encoding": "utf8"});
    asked["operations"] = json!([{"name": "content.write", "aliases": ["github:repos/create-or-update-file-contents"], "repo": "acme/web",
        "ref": "refs/heads/main", "paths": [".github/workflows/ci.yml"], "paths_known": true, "attributes": {}}]);
    asked["summary"] = json!("");
    asked["reason"] = json!("Workflows are reviewed.");
    asked["session"] = json!("s-approvals");
    asked["approval"] = json!({"hold_ms": 45000, "ticket_s": 900, "demands": [
        {"rule": "ci-config", "any_of": [{"reviewers": {"groups": ["platform-leads"]}, "min": 2}]},
        {"rule": "production-branch", "any_of": [{"reviewers": {"groups": ["web"]}}, {"reviewers": {"groups": ["platform-leads"]}}]}]});
    asked
}

/// The record of that request.
pub fn asking_record() -> Value {
    let asked = write();
    let mut one = record(
        "countersign.request",
        &json!({
            "countersign.exchange.id": "e-asked", "countersign.worker.id": "gw-9/0", "countersign.worker.seq": 2,
            "user.id": "ci-runner", "countersign.connection": "github-api", "http.request.method": "PUT",
            "url.full": "https://api.github.com/repos/acme/web/contents/.github/workflows/ci.yml",
            "countersign.operations": asked["operations"], "countersign.decision": "held", "countersign.session.id": "s-approvals",
            "countersign.request.body": asked["request"]["body"], "countersign.request.body.encoding": "utf8",
        }),
    );
    one["timeUnixNano"] = ((super::NOON - 1_000) * 1_000_000).to_string().into();
    one
}

/// What somebody asked a model for before.
pub fn prompt() -> Value {
    let body = json!({"model": "gpt-4.1", "messages": [
        {"role": "system", "content": "You are an agent."},
        {"role": "user", "content": format!("Please make CI deploy as well. {HOSTILE}")}]});
    let mut one = record(
        "countersign.request",
        &json!({
            "countersign.exchange.id": "e-prompt", "countersign.worker.id": "gw-9/0", "countersign.worker.seq": 1,
            "user.id": "ci-runner", "countersign.connection": "copilot", "http.request.method": "POST",
            "url.full": "https://api.githubcopilot.com/chat/completions", "gen_ai.request.model": "gpt-4.1",
            "countersign.operations": [{"name": "chat.completion", "aliases": ["openai:chat"]}],
            "countersign.decision": "allowed", "countersign.session.id": "s-approvals",
            "countersign.request.body": body.to_string(), "countersign.request.body.encoding": "utf8",
        }),
    );
    one["timeUnixNano"] = ((super::NOON - 60_000) * 1_000_000).to_string().into();
    one
}

fn hold(stage: &Stage, question: &Value) -> tokio::task::JoinHandle<Answer> {
    // The newest is the first.
    stage.clock.advance(1_000);
    let (router, request) = (stage.router.clone(), asking(question, 3_600_000));
    stage
        .runtime
        .spawn(async move { read(router.oneshot(request).await.unwrap()).await })
}

fn numbered(n: u8) -> Value {
    let mut asked = question(n, &format!("e-{n}"));
    asked["identity"]["subject"] = json!(format!("agent-{n}"));
    asked["identity"]["email"] = Value::Null;
    asked
}

fn until_cards(stage: &Stage, count: usize) {
    stage.browser.until(&format!(
        "return document.querySelectorAll('#pending article.card').length === {count}"
    ));
}

#[test]
fn requests_come_and_go_live_and_one_key_decides() {
    let Some(stage) = Stage::set() else { return };
    stage.go("/approvals");
    assert_eq!(stage.number(CARDS), 1);
    stage
        .browser
        .until("return !document.getElementById('live').hidden");
    stage.browser.run("window.here = 'not loaded anew'");
    let held = hold(&stage, &numbered(21));
    until_cards(&stage, 2);
    assert_eq!(stage.text("return window.here"), "not loaded anew");
    let first = stage.text("return document.querySelector('#pending article.card').innerText");
    assert!(
        first.contains("Push to refs/heads/main of acme/web")
            && first.contains("agent-21")
            && first.contains("left"),
        "{first}"
    );
    // Nothing is chosen: a key decides nothing.
    stage.browser.press("a");
    assert_eq!(stage.number(CARDS), 2);
    stage.browser.press("ja");
    stage
        .browser
        .until("return location.pathname === '/approvals' && !window.here");
    until_cards(&stage, 1);
    let answer = stage.runtime.block_on(held).unwrap();
    assert_eq!(answer.header("x-countersign-decision"), "approved");
    // Refused, with a reason that was typed while the page changed below it.
    let held = hold(&stage, &numbered(22));
    until_cards(&stage, 2);
    stage.browser.press("jc");
    stage.browser.press("Not this");
    let other = hold(&stage, &numbered(23));
    until_cards(&stage, 3);
    stage.browser.press(" way.");
    let typed = "return document.activeElement.name + ':' + document.activeElement.value";
    assert_eq!(stage.text(typed), "reason:Not this way.");
    stage.browser.press("\u{e00c}");
    stage.browser.run("document.querySelector('[id^=approval-] input[name=reason]'); const i = [...document.querySelectorAll('input[name=reason]')].find(i => i.value); i.closest('article').focus()");
    stage.browser.press("r");
    until_cards(&stage, 2);
    let answer = stage.runtime.block_on(held).unwrap();
    assert_eq!(answer.json()["reason"], "Not this way.");
    // Its client goes away: it is shown as gone, and can still be approved for the retry.
    let waiting = "return document.querySelectorAll('#pending .badge.warn').length";
    assert_eq!(stage.number(waiting), 1);
    other.abort();
    stage
        .browser
        .until("return document.querySelectorAll('#pending .badge.warn').length === 0");
    assert!(
        stage
            .text("return document.querySelector('#pending article.card').innerText")
            .contains("caller gone")
    );
    assert_eq!(stage.browser.complaints(), Vec::<String>::new());
}

#[test]
fn the_page_of_a_request_shows_what_led_to_it_and_what_it_changes() {
    let Some(stage) = Stage::set() else { return };
    stage.go(&stage.approval);
    let text = stage.text("return document.querySelector('main').innerText");
    for part in [
        "Write .github/workflows/ci.yml of acme/web on branch main",
        "ci-config: 0 of 2 from group platform-leads",
        "production-branch: 0 of 1 from group web, or 0 of 1 from group platform-leads",
        "Deploy from CI",
        "+    steps: [{ run: make deploy }]",
        "Please make CI deploy as well. </pre><script>alert(1)</script>",
        "Earlier decisions on acme/web",
        "Not on a Friday.",
        "left to decide",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    // One of two that are needed: it stays.
    stage.browser.press("a");
    stage
        .browser
        .until("return location.pathname === '/approvals'");
    let card = stage.text("return document.querySelector('#pending article.card').innerText");
    assert!(
        card.contains("1 of 2 from group platform-leads (alice)")
            && card.contains("You have approved this"),
        "{card}"
    );
    assert_eq!(stage.browser.complaints(), Vec::<String>::new());
}

#[test]
fn hostile_requests_are_text() {
    let Some(stage) = Stage::set() else { return };
    let mut hostile = question(31, "e-hostile-question");
    hostile["identity"]["subject"] = json!(HOSTILE);
    hostile["identity"]["groups"] = json!([HOSTILE]);
    hostile["rule"] = json!(HOSTILE);
    hostile["reason"] = json!(HOSTILE);
    hostile["summary"] = json!(HOSTILE);
    hostile["session"] = json!(HOSTILE);
    hostile["request"]["path"] = json!(format!("/{HOSTILE}"));
    hostile["request"]["body"] = json!(HOSTILE);
    hostile["operations"][0]["ref"] = json!(HOSTILE);
    hostile["operations"][0]["paths"] = json!([HOSTILE, "a".repeat(3000)]);
    let _held = hold(&stage, &hostile);
    stage.go("/approvals");
    until_cards(&stage, 2);
    stage
        .browser
        .run("document.querySelectorAll('details').forEach(d => d.open = true)");
    let added = "return document.querySelectorAll('script:not([src]), img:not([src^=\"/assets/\"]), style, [onload], [onerror]').length";
    assert_eq!(stage.number(added), 0);
    assert!(
        stage
            .text("return document.querySelector('main').innerText")
            .contains("<script>alert(1)</script>")
    );
    let wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert_eq!(stage.number(wide), 0);
    stage.browser.size(375, 812, true);
    stage.browser.picture("approvals-hostile-phone-light");
    assert_eq!(stage.number(wide), 0);
    stage
        .browser
        .run("document.querySelector('#pending article.card h3 a').click()");
    stage
        .browser
        .until("return location.pathname.startsWith('/approvals/')");
    assert_eq!(stage.number(added), 0);
    assert_eq!(stage.browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_reviewer_signs_in_with_the_organisation_and_lands_on_the_request() {
    let folder = tempfile::tempdir().unwrap();
    let mut provider = None;
    let path = folder.path().to_owned();
    let stage = Stage::set_with(|console| {
        let started = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    let runtime = tokio::runtime::Runtime::new().unwrap();
                    let started = runtime.block_on(Provider::start(&path));
                    (runtime, started)
                })
                .join()
                .unwrap()
        });
        let settings = started.1.settings();
        provider = Some(started);
        console.with_settings(&settings)
    });
    let Some(stage) = stage else { return };
    stage
        .browser
        .run("document.querySelector('form.who').requestSubmit()");
    stage
        .browser
        .until("return location.pathname === '/sign-in'");
    stage.browser.picture("sign-in-desktop-light");
    stage.go(&stage.approval);
    stage
        .browser
        .until("return location.pathname === '/sign-in'");
    stage
        .browser
        .run("document.querySelector('a.button.primary').click()");
    stage.browser.until(&format!(
        "return location.pathname === '{}'",
        stage.approval
    ));
    assert!(
        stage
            .text("return document.querySelector('.who').innerText")
            .contains("grace")
    );
    // Grace is a lead by her groups, and no auditor.
    assert!(
        stage
            .browser
            .run("return !!document.querySelector('button.approve')")
            .as_bool()
            .unwrap()
    );
    assert!(
        !stage
            .text("return document.querySelector('nav').innerText")
            .contains("Exchanges")
    );
    let cookies = stage.browser.devtools("Network.getCookies", json!({}));
    let session = cookies["cookies"]
        .as_array()
        .unwrap()
        .iter()
        .find(|c| c["name"] == "countersign")
        .unwrap();
    assert_eq!(
        (session["sameSite"].as_str(), session["httpOnly"].as_bool()),
        (Some("Strict"), Some(true))
    );
    let mut complaints = stage.browser.complaints();
    // The sign-in page asks whether somebody is signed in.
    complaints.retain(|line| !line.contains("/session"));
    assert_eq!(complaints, Vec::<String>::new());
    drop(provider);
}

#[test]
fn a_reviewer_signs_in_at_a_certified_provider_decides_and_signs_out() {
    let mut provider = None;
    let stage = Stage::set_with(|console| {
        provider = Certified::start(&console.app.public_url);
        match &provider {
            Some(provider) => console.with_settings_and(&provider.settings(), SECRET),
            None => console,
        }
    });
    let (Some(stage), Some(provider)) = (stage, provider) else {
        return;
    };
    let sign_out = "document.querySelector('form.who').requestSubmit()";
    stage.browser.run(sign_out);
    let signed_out = "return location.pathname === '/sign-in'";
    stage.browser.until(signed_out);
    stage.go(&stage.approval);
    stage.browser.until(signed_out);
    let to_the_provider = "document.querySelector('a.button.primary').click()";
    stage.browser.run(to_the_provider);
    let there = format!("return location.origin === '{}'", provider.url);
    stage.browser.until(&there);
    stage
        .browser
        .until("return !!document.querySelector('input[name=login]')");
    stage.browser.run("const f = document.forms[0]; f.elements.login.value = 'u-grace'; f.elements.password.value = 'x'; f.submit()");
    stage
        .browser
        .until("return document.querySelector('input[name=prompt]')?.value === 'consent'");
    stage.browser.run("document.forms[0].submit()");
    let on_the_page = format!("return location.pathname === '{}'", stage.approval);
    stage.browser.until(&on_the_page);
    let who = "return document.querySelector('.who').innerText";
    assert!(stage.text(who).contains("grace"));
    stage.browser.press("a");
    stage
        .browser
        .until("return location.pathname === '/approvals'");
    let card = stage.text("return document.querySelector('#pending article.card').innerText");
    assert!(
        card.contains("1 of 2 from group platform-leads (grace)"),
        "{card}"
    );
    stage.browser.run(sign_out);
    stage.browser.until(signed_out);
    stage.go("/approvals");
    stage.browser.until(signed_out);
    // The provider knows her still: one click, and nothing to fill in.
    stage.browser.run(to_the_provider);
    stage
        .browser
        .until("return location.pathname === '/approvals' && !!document.querySelector('.who')");
    assert!(stage.text(who).contains("grace"));
}

#[test]
fn every_state_of_a_request_fits_a_desk_and_a_phone_by_day_and_by_night() {
    let settings = "version: v1\napprovals:\n  break_glass: { reviewers: { groups: [platform-leads] } }\n  limits: { pending_per_identity: 3 }\n";
    let Some(stage) = Stage::set_with(|console| console.with_settings(settings)) else {
        return;
    };
    // One that is used, one that waits, three of one kind, and one more than may wait.
    let held = hold(&stage, &numbered(41));
    stage.go("/approvals");
    until_cards(&stage, 2);
    stage.browser.press("jc");
    stage.browser.press("Reviewed with the team.");
    stage
        .browser
        .run("document.activeElement.closest('article').focus()");
    stage.browser.press("a");
    let used = stage.runtime.block_on(held).unwrap();
    let used = format!("/approvals/{}", used.header("x-countersign-approval"));
    let _waits = hold(&stage, &numbered(42));
    let crowd: Vec<_> = (51..=54)
        .map(|n| {
            let mut asked = numbered(n);
            asked["identity"]["subject"] = json!("agent-9");
            hold(&stage, &asked)
        })
        .collect();
    stage.go("/approvals");
    until_cards(&stage, 5);
    stage
        .browser
        .until("return !document.getElementById('live').hidden");
    let pages = [
        ("pending", "/approvals", ""),
        ("held", stage.approval.as_str(), ""),
        (
            "glass",
            stage.approval.as_str(),
            "document.querySelectorAll('details').forEach(d => d.open = true)",
        ),
        ("used", used.as_str(), ""),
    ];
    for dark in [false, true] {
        stage.browser.dark(dark);
        let scheme = if dark { "dark" } else { "light" };
        for (width, height, mobile, kind) in
            [(1280, 900, false, "desktop"), (375, 812, true, "phone")]
        {
            stage.browser.size(width, height, mobile);
            for (name, path, first) in pages {
                stage.go(path);
                stage.browser.run(first);
                let wide = stage.number("return document.documentElement.scrollWidth");
                assert!(
                    wide <= i64::from(width),
                    "{name} on a {kind} is {wide} wide"
                );
                let poor = stage.browser.run(super::tree::CONTRAST);
                assert_eq!(poor, json!([]), "{name} on a {kind}, {scheme}");
                let picture = format!("approvals-{name}-{kind}-{scheme}");
                stage.browser.picture(&picture);
            }
        }
    }
    stage.go("/approvals");
    let told = stage.text("return document.querySelector('main').innerText");
    assert!(
        told.contains("3 requests of agent-9 wait for a reviewer, and no more may: 1 more"),
        "{told}"
    );
    drop(crowd);
}

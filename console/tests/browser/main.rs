//! The pages in a real browser: search, keys, hostile content, colours, a phone, and the
//! accessibility tree. `COUNTERSIGN_SCREENSHOTS=folder` keeps pictures of all of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // These are tests.

mod approvals;
#[path = "../common/mod.rs"]
mod common;
mod driver;
mod tree;

use axum::http::StatusCode;
use common::{Console, NOON, asking, batch, question, record};
use driver::Browser;
use serde_json::{Value, json};

/// A console on a port, with a day of exchanges, and a browser that is signed in as alice.
struct Stage {
    browser: Browser,
    url: String,
    /// The page of a request that waits.
    approval: String,
    router: axum::Router,
    clock: countersign::clock::Clock,
    runtime: tokio::runtime::Runtime,
}

const HOSTILE: &str = "</pre><script>alert(1)</script><svg onload=alert(2)><img src=x onerror=alert(3)>\
    \u{202e}gnp.exe \u{1b}[31mred\u{1b}[0m \u{0} \u{200b}<style>body{display:none}</style>";

impl Stage {
    fn set() -> Option<Self> {
        // The router is made anew with the address that it is served at.
        Self::set_with(|console| console.with_rights(countersign::people::Rights::default()))
    }

    fn set_with(change: impl FnOnce(Console) -> Console) -> Option<Self> {
        let browser = Browser::start()?;
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (url, secret, approval, router, clock) = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let mut console = Console::start();
            // Links and the way back from an identity provider lead here.
            console.app.public_url = url.clone().into();
            let console = change(console);
            let secret = console.person("alice", &["platform-leads"]).await;
            let answer = console
                .logs("application/json", day().to_string().into_bytes())
                .await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
            for record in [approvals::prompt(), approvals::asking_record()] {
                let answer = console
                    .logs(
                        "application/json",
                        batch(&[record]).to_string().into_bytes(),
                    )
                    .await;
                assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
            }
            let earlier = console.send(asking(&question(9, "e-earlier"), 0)).await;
            let id = earlier.header("x-countersign-approval").to_owned();
            console
                .decide(&id, "refuse", &secret, "Not on a Friday.")
                .await;
            let answer = console.send(asking(&approvals::write(), 0)).await;
            let approval = format!("/approvals/{}", answer.header("x-countersign-approval"));
            let (served, clock) = (console.router.clone(), console.app.clock.clone());
            tokio::spawn(async move {
                let router = console.router.clone();
                axum::serve(listener, router).await.unwrap();
                drop(console);
            });
            (url, secret, approval, served, clock)
        });
        let stage = Self {
            browser,
            url,
            approval,
            router,
            clock,
            runtime,
        };
        // As a person does it: with the link that the operator sent.
        stage
            .browser
            .go(&format!("{}/sign-in?next=/audit#{secret}", stage.url));
        stage.browser.until("return location.pathname === '/audit'");
        assert!(
            !stage.browser.address().contains(&secret),
            "the secret is out of the address"
        );
        Some(stage)
    }

    fn go(&self, path: &str) {
        self.browser.go(&format!("{}{path}", self.url));
    }

    /// All pages with their names.
    fn pages(&self) -> Vec<(&'static str, String)> {
        let mut pages: Vec<_> = PAGES
            .iter()
            .map(|(name, path)| (*name, (*path).to_owned()))
            .collect();
        pages.push(("approval", self.approval.clone()));
        pages
    }

    fn text(&self, script: &str) -> String {
        self.browser
            .run(script)
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    fn number(&self, script: &str) -> i64 {
        self.browser
            .run(script)
            .as_i64()
            .unwrap_or_else(|| panic!("no number: {script}"))
    }
}

/// A day at a company with agents.
fn day() -> Value {
    let minute = 60_000;
    let mut records = Vec::new();
    let mut seq = 0;
    let mut add = |id: String, ago: i64, more: Value, body: Option<String>| {
        let mut attributes = json!({
            "countersign.exchange.id": id, "countersign.worker.id": "gw-1/0", "countersign.policy.digest": "3f".repeat(32),
            "countersign.connection": "github-api", "http.request.method": "GET", "server.address": "api.github.com",
            "user.id": "ci-runner", "countersign.identity.groups": ["agents"], "countersign.decision": "allowed",
        });
        for (key, value) in more.as_object().unwrap() {
            attributes[key] = value.clone();
        }
        for event in ["countersign.request", "countersign.outcome"] {
            seq += 1;
            attributes["countersign.worker.seq"] = json!(seq);
            match (event, &body) {
                ("countersign.request", Some(body)) => {
                    attributes["countersign.request.body"] = json!(body);
                    attributes["countersign.request.body.encoding"] = json!("utf8");
                    attributes["http.request.body.size"] = json!(body.len());
                }
                (_, Some(_)) => {
                    attributes
                        .as_object_mut()
                        .unwrap()
                        .remove("countersign.request.body");
                    attributes["countersign.response.body"] = json!(
                        "{\"choices\":[{\"message\":{\"content\":\"Sure, here is what I did.\"}}]}"
                    );
                    attributes["http.response.status_code"] = json!(200);
                }
                ("countersign.outcome", None)
                    if attributes.get("http.response.status_code").is_none() =>
                {
                    attributes["http.response.status_code"] = json!(200);
                }
                _ => {}
            }
            let mut one = record(event, &attributes);
            one["timeUnixNano"] = ((NOON - ago * minute) * 1_000_000).to_string().into();
            records.push(one);
        }
    };
    for n in 0..160 {
        let ago = (n * n * 37 + n * 11) % 1400 + 1;
        let user =
            ["ci-runner", "agent-7", "copilot-cli", "maria@example.com"][(n % 7 % 4) as usize];
        let more = match n % 8 {
            0 => json!({
                "user.id": user, "countersign.decision": (["held_approved", "held_refused", "held_expired"][(n % 3) as usize]),
                "countersign.rule": "production-branch", "countersign.approval.id": format!("a-{n}"), "countersign.approval.by": "alice",
                "countersign.connection": "github-git", "http.request.method": "POST",
                "url.full": "https://github.com/acme/web.git/git-receive-pack",
                "countersign.operations": [{"name": "ref.push", "repo": "acme/web", "ref": "refs/heads/main", "paths": ["src/main.rs"]}],
            }),
            1 => json!({
                "user.id": user, "countersign.decision": "denied", "countersign.reason": "rule_denied", "countersign.rule": "no-repo-delete",
                "http.request.method": "DELETE", "http.response.status_code": 403, "url.full": "https://api.github.com/repos/acme/api",
                "countersign.operations": [{"name": "repo.delete", "repo": "acme/api"}],
            }),
            2 | 3 => json!({
                "user.id": user, "countersign.connection": "copilot", "gen_ai.request.model": "gpt-4.1", "server.address": "api.githubcopilot.com",
                "http.request.method": "POST", "url.full": "https://api.githubcopilot.com/chat/completions",
                "countersign.session.id": format!("s-{}", n % 5), "countersign.operations": [{"name": "chat.completion"}],
                "countersign.masks": [{"rule": "github-token", "count": 1, "direction": "response"}],
            }),
            _ => json!({
                "user.id": user, "url.full": format!("https://api.github.com/repos/acme/web/issues/{n}"),
                "countersign.operations": [{"name": "repo.read", "repo": if n % 3 == 0 { "acme/api" } else { "acme/web" }}],
            }),
        };
        let prompt = (n % 8 == 2).then(|| json!({"messages": [{"role": "user", "content": format!("Please drop the table number {n}")}]}).to_string());
        add(format!("e-{n}"), ago, more, prompt);
    }
    let long = "a".repeat(20_000);
    let more = json!({
        "user.id": HOSTILE, "url.full": format!("https://api.github.com/{HOSTILE}"), "countersign.session.id": HOSTILE,
        "countersign.operations": [{"name": HOSTILE, "repo": HOSTILE, "ref": HOSTILE, "paths": [HOSTILE]}],
        "countersign.decision": HOSTILE, "countersign.rule": HOSTILE, "gen_ai.request.model": HOSTILE, "user_agent.original": HOSTILE,
        "countersign.not_captured": [HOSTILE], "countersign.policy.digest": HOSTILE,
    });
    add(
        "e-hostile".into(),
        0,
        more,
        Some(format!("{HOSTILE} wickedly {long}")),
    );
    batch(&records)
}

/// The pages with their names.
const PAGES: &[(&str, &str)] = &[
    ("overview", "/"),
    ("exchanges", "/audit"),
    ("search", "/audit?q=decision:refused+-op:repo.read"),
    ("wrong", "/audit?q=user:agent-7+usr:x"),
    ("exchange", "/audit/e-2"),
    ("hostile", "/audit/e-hostile"),
    ("sessions", "/sessions"),
    ("session", "/sessions/s-2"),
    ("approvals", "/approvals"),
    ("policy", "/policy"),
    ("health", "/health"),
    ("access", "/health/access"),
];

#[test]
fn what_agents_sent_is_text_and_runs_nowhere() {
    let Some(stage) = Stage::set() else { return };
    for (_, path) in stage.pages() {
        let path = path.as_str();
        stage.go(path);
        // An open alert would fail this; a script that ran would have left it.
        assert_eq!(
            stage.text("return document.readyState"),
            "complete",
            "{path}"
        );
        let added = "return document.querySelectorAll('script:not([src]), img:not([src^=\"/assets/\"]), style, [onload], [onerror]').length";
        assert_eq!(stage.number(added), 0, "{path}");
        assert!(
            stage.number("return document.body.offsetHeight") > 100,
            "{path}: nothing hides the page"
        );
        let complaints = stage.browser.complaints();
        let refused = |line: &String| path.contains("usr:x") && line.contains("400");
        let complaints: Vec<&String> = complaints.iter().filter(|line| !refused(line)).collect();
        assert!(complaints.is_empty(), "{path}: {complaints:?}");
    }
    stage.go("/audit/e-hostile");
    let shown = stage.text("return document.querySelector('main').innerText");
    assert!(
        shown.contains("<script>alert(1)</script>") && shown.contains("wickedly"),
        "{shown}"
    );
    assert!(
        shown.contains("\\u{202e}gnp.exe")
            && shown.contains("\\u{1b}[31mred")
            && shown.contains("\\u{0}"),
        "{shown}"
    );
    let wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert_eq!(
        stage.number(wide),
        0,
        "a long line does not push the page apart: {}",
        stage.text(SPREADING)
    );
    // A link to a value that an agent chose finds that value.
    stage.go("/audit");
    stage.browser.run("[...document.querySelectorAll('.ranking a')].find(a => a.textContent.includes('<svg')).click()");
    stage
        .browser
        .until("return location.search.includes('script')");
    assert_eq!(
        stage.number("return document.querySelectorAll('tr[data-row]').length"),
        1
    );
}

#[test]
fn a_search_is_typed_narrowed_shared_and_saved() {
    let Some(stage) = Stage::set() else { return };
    let rows = "return document.querySelectorAll('tr[data-row]').length";
    stage.go("/audit");
    assert_eq!(stage.number(rows), 50);
    stage.browser.press("/");
    stage.browser.press("op:ref.push decision:held\u{e007}");
    stage
        .browser
        .until("return location.search.includes('ref.push')");
    let found = stage.text("return document.querySelector('#found').innerText");
    assert!(found.starts_with("20 exchanges"), "{found}");
    // A value beside the list narrows it; its chip takes it away again.
    stage.browser.run("[...document.querySelectorAll('.ranking a')].find(a => a.innerText.includes('agent-7')).click()");
    stage
        .browser
        .until("return location.search.includes('agent-7')");
    let narrowed = stage.number(rows);
    assert!((1..20).contains(&narrowed), "{narrowed}");
    let here = stage.browser.address();
    stage.go("/");
    stage.browser.go(&here);
    assert_eq!(
        stage.number(rows),
        narrowed,
        "the address is all of the search"
    );
    stage.browser.run("[...document.querySelectorAll('.chips a')].find(a => a.innerText.includes('agent-7')).click()");
    stage
        .browser
        .until("return !location.search.includes('agent-7')");
    assert_eq!(stage.number(rows), 20);
    // Saved under a name.
    stage.browser.run("document.querySelector('.saved').parentElement.open = true; const f = document.querySelector('form.save'); f.elements.name.value = 'Held pushes'; f.requestSubmit()");
    stage
        .browser
        .until("return !!document.querySelector('.saved li')");
    stage.go("/audit");
    assert_eq!(
        stage.text("return document.querySelector('.saved li a').textContent"),
        "Held pushes"
    );
    // A mistake is shown where it is.
    stage.go("/audit?q=user:agent-7+usr:x");
    assert_eq!(
        stage.text("return document.querySelector('[role=alert] mark').innerText"),
        "usr:"
    );
    assert_eq!(
        stage.text("return document.querySelector('#q').getAttribute('aria-describedby')"),
        "wrong"
    );
}

#[test]
fn the_keyboard_is_enough() {
    let Some(stage) = Stage::set() else { return };
    stage.go("/audit");
    let focused_row = "return [...document.querySelectorAll('tr[data-row]')].findIndex(r => r.contains(document.activeElement))";
    assert_eq!(stage.number(focused_row), -1);
    stage.browser.press("jjj");
    assert_eq!(stage.number(focused_row), 2);
    stage.browser.press("k");
    assert_eq!(stage.number(focused_row), 1);
    let href = stage.text("return document.activeElement.getAttribute('href')");
    stage.browser.press("\u{e007}");
    stage
        .browser
        .until("return location.pathname.startsWith('/audit/')");
    assert!(stage.browser.address().ends_with(&href));
    stage.go("/audit");
    stage.browser.press("n");
    stage
        .browser
        .until("return location.search.includes('cursor=')");
    stage.browser.press("p");
    stage
        .browser
        .until("return !location.search.includes('cursor=')");
    stage.browser.press("?");
    assert_eq!(
        stage
            .browser
            .run("return document.querySelector('#keys').open"),
        true
    );
    stage.browser.press("\u{e00c}");
    assert_eq!(
        stage
            .browser
            .run("return document.querySelector('#keys').open"),
        false
    );
    stage.browser.press("/");
    assert_eq!(stage.text("return document.activeElement.id"), "q");
    // In the bar a letter is a letter.
    stage.browser.press("j?");
    assert_eq!(stage.text("return document.activeElement.value"), "j?");
    stage.browser.press("\u{e00c}go");
    stage.browser.until("return location.pathname === '/'");
    // The first thing that Tab reaches is the way past the navigation.
    stage.browser.press("\u{e004}");
    assert_eq!(
        stage.text("return document.activeElement.className"),
        "skip"
    );
}

/// The elements that reach beyond the window's edge, outermost first.
const SPREADING: &str = "return [...document.querySelectorAll('body *')].filter(e => \
    e.getBoundingClientRect().right > document.documentElement.clientWidth + 1 && !e.closest('.scroll, pre')) \
    .slice(0, 6).map(e => e.tagName + '.' + e.className).join(' > ')";

#[test]
fn light_dark_and_a_phone_show_all_of_it() {
    let Some(stage) = Stage::set() else { return };
    let ground = "return getComputedStyle(document.body).backgroundColor";
    let mut grounds = Vec::new();
    for dark in [false, true] {
        stage.browser.dark(dark);
        for (width, height, mobile, kind) in
            [(1280, 900, false, "desktop"), (375, 812, true, "phone")]
        {
            stage.browser.size(width, height, mobile);
            for (name, path) in stage.pages() {
                stage.go(&path);
                let wide = stage.number("return document.documentElement.scrollWidth");
                assert!(
                    wide <= i64::from(width),
                    "{name} on a {kind} is {wide} wide: {}",
                    stage.text(SPREADING)
                );
                let small = "return [...document.querySelectorAll('main *')].filter(e => e.childNodes.length && \
                    [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) && e.checkVisibility() && \
                    parseFloat(getComputedStyle(e).fontSize) < 11).map(e => e.outerHTML.slice(0, 80))";
                assert_eq!(
                    stage.browser.run(small),
                    json!([]),
                    "{name} on a {kind}: too small to read"
                );
                let scheme = if dark { "dark" } else { "light" };
                stage.browser.picture(&format!("{name}-{kind}-{scheme}"));
            }
        }
        grounds.push(stage.text(ground));
    }
    assert_ne!(grounds[0], grounds[1], "dark is dark");
}

#[test]
fn the_accessibility_tree_names_everything() {
    let Some(stage) = Stage::set() else { return };
    for (name, path) in stage.pages() {
        let path = path.as_str();
        stage.go(path);
        stage
            .browser
            .run("document.querySelectorAll('details').forEach(d => d.open = true)");
        let nodes = tree::nodes(&stage.browser);
        tree::check(name, &nodes);
        if path.starts_with("/audit?") || path == "/audit" {
            assert_eq!(tree::with_role(&nodes, "search").count(), 1, "{name}");
        }
    }
    // Contrast of text against its ground, by WCAG 2's formula.
    for dark in [false, true] {
        stage.browser.dark(dark);
        for (name, path) in stage.pages() {
            stage.go(&path);
            let poor = stage.browser.run(tree::CONTRAST);
            assert_eq!(poor, json!([]), "{name}, dark: {dark}");
        }
    }
}

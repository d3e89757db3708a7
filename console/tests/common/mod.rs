//! A console without a socket, at a time that stands until it is moved.

#![allow(dead_code)] // Each test file uses its part.

pub mod certificates;
pub mod certified;
pub mod database;
pub mod program;
pub mod provider;
pub mod trail;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::response::Response;
use countersign::approvals::others;
use countersign::clock::{Clock, Millis};
use countersign::ledger::keeper::Deriving;
use countersign::people::{self, Person};
use countersign::secret::Secret;
use countersign::store::Store;
use countersign::web::{App, router};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt;

pub const KEY: &str = "the-gateway-key-of-the-tests";
pub const NOON: Millis = 1_790_000_000_000;

pub struct Console {
    pub folder: tempfile::TempDir,
    pub app: App,
    pub router: Router,
    pub stop: watch::Sender<bool>,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Console {
    pub fn start() -> Self {
        Self::over(tempfile::tempdir().unwrap(), NOON, true)
    }

    pub fn over(folder: tempfile::TempDir, now: Millis, dev: bool) -> Self {
        let place = database::place(folder.path());
        // What connects blocks, and tests of consoles are async.
        let open = move || Store::open_at(&place, Box::new(Deriving::default()));
        let store = std::thread::spawn(open).join().unwrap().unwrap();
        let (stop, stopping) = watch::channel(false);
        let app = App::new(
            store,
            Clock::set_to(now),
            Secret::new(KEY),
            "http://console.test",
            dev,
            stopping.clone(),
        );
        if let Some(told) = app.store.attend(stopping) {
            tokio::spawn(others::hear(app.clone(), told));
        }
        Self {
            folder,
            router: router(app.clone()),
            app,
            stop,
        }
    }

    /// Ends this console and starts another one over the same folder.
    pub async fn restart(self) -> Self {
        let Self {
            folder,
            app,
            router,
            stop,
        } = self;
        let now = app.clock.now();
        drop(router);
        drop(stop);
        app.store
            .write(move |c| countersign::approvals::book::forget_waiters(c, now, ""))
            .await
            .unwrap();
        drop(app);
        Self::over(folder, now, true)
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        read(self.router.clone().oneshot(request).await.unwrap()).await
    }

    /// Somebody who may read the trail, and is in these groups as well.
    pub async fn person(&self, name: &str, groups: &[&str]) -> String {
        let groups: Vec<&str> = groups.iter().copied().chain([people::AUDITORS]).collect();
        self.person_with_email(name, None, &groups).await
    }

    /// Somebody who is in these groups and no other.
    pub async fn reviewer(&self, name: &str, groups: &[&str]) -> String {
        self.person_with_email(name, None, groups).await
    }

    pub async fn person_with_email(
        &self,
        name: &str,
        email: Option<&str>,
        groups: &[&str],
    ) -> String {
        let person = Person {
            name: name.into(),
            email: email.map(str::to_owned),
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
            ..Person::default()
        };
        self.app
            .store
            .write(move |c| Ok(people::add(c, NOON, &person).unwrap()))
            .await
            .unwrap()
    }

    /// The same console with other rights.
    pub fn with_rights(self, rights: people::Rights) -> Self {
        let app = self.app.with_rights(rights);
        Self {
            router: router(app.clone()),
            app,
            ..self
        }
    }

    /// The same console with these settings, in YAML.
    pub fn with_settings(self, yaml: &str) -> Self {
        self.with_settings_and(yaml, "0123456789abcdef")
    }

    /// As [`Console::with_settings`], with this value of every secret.
    pub fn with_settings_and(self, yaml: &str, secret: &str) -> Self {
        let secret = |_: &str| Some(secret.to_owned());
        let settings = countersign::settings::read_text(yaml, &secret)
            .unwrap_or_else(|problems| panic!("{problems:?}"));
        let app = self.app.with_settings(settings);
        Self {
            router: router(app.clone()),
            app,
            ..self
        }
    }

    /// Signs in on the page and returns the cookie.
    pub async fn sign_in(&self, secret: &str) -> String {
        self.sign_in_to(secret, "/audit").await
    }

    /// As [`Console::sign_in`], on the way to a page.
    pub async fn sign_in_to(&self, secret: &str, next: &str) -> String {
        let request = form("/sign-in", &[("secret", secret), ("next", next)], None);
        let answer = self.send(request).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
        assert_eq!(answer.headers[header::LOCATION], next);
        let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap();
        assert!(
            cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
            "{cookie}"
        );
        cookie.split(';').next().unwrap().to_owned()
    }

    pub async fn page(&self, path: &str, cookie: &str) -> Answer {
        let request = Request::get(path).header(header::COOKIE, cookie);
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub async fn api(&self, method: Method, path: &str, secret: &str, body: Value) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {secret}"))
            .body(Body::from(body.to_string()))
            .unwrap();
        self.send(request).await
    }

    pub async fn decide(&self, id: &str, verb: &str, secret: &str, reason: &str) -> Answer {
        let path = format!("/api/v1/approvals/{id}/{verb}");
        self.api(Method::POST, &path, secret, json!({ "reason": reason }))
            .await
    }

    /// All approvals in `state`.
    pub async fn approvals(&self, state: &str, secret: &str) -> Vec<Value> {
        let path = format!("/api/v1/approvals?state={state}");
        let answer = self.api(Method::GET, &path, secret, Value::Null).await;
        answer.json()["approvals"].as_array().unwrap().clone()
    }

    /// The kinds of the events of an approval.
    pub async fn steps(&self, id: &str, secret: &str) -> Vec<String> {
        let path = format!("/api/v1/approvals/{id}");
        let answer = self.api(Method::GET, &path, secret, Value::Null).await;
        let value = answer.json();
        let events = value["events"].as_array().unwrap();
        events
            .iter()
            .map(|e| e["kind"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Waits until `true`: for what another task does, not for time to pass.
    pub async fn until<F: AsyncFnMut() -> bool>(&self, mut done: F) {
        while !done().await {
            tokio::task::yield_now().await;
        }
    }

    pub async fn logs(&self, media_type: &str, body: Vec<u8>) -> Answer {
        let request = Request::post("/v1/logs")
            .header(header::AUTHORIZATION, format!("Bearer {KEY}"))
            .header(header::CONTENT_TYPE, media_type)
            .body(Body::from(body))
            .unwrap();
        self.send(request).await
    }
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", self.text()))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

pub async fn read(response: Response) -> Answer {
    let (parts, body) = response.into_parts();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: body.collect().await.unwrap().to_bytes().to_vec(),
    }
}

pub fn form(path: &str, fields: &[(&str, &str)], cookie: Option<&str>) -> Request<Body> {
    let encode = |text: &str| -> String { text.bytes().map(|b| format!("%{b:02X}")).collect() };
    let body: Vec<String> = fields
        .iter()
        .map(|(key, value)| format!("{key}={}", encode(value)))
        .collect();
    let mut request =
        Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    if let Some(cookie) = cookie {
        request = request.header(header::COOKIE, cookie);
    }
    request.body(Body::from(body.join("&"))).unwrap()
}

/// A question about a push; the same `fingerprint` means the same bytes.
pub fn question(fingerprint: u8, exchange: &str) -> Value {
    json!({
        "exchange": exchange,
        "fingerprint": format!("{fingerprint:02x}").repeat(32),
        "identity": {"provider": "corporate", "subject": "ci-runner", "email": "ci@example.com", "groups": ["agents"]},
        "connection": "github-git",
        "session": "s-1",
        "request": {"method": "POST", "authority": "github.com", "path": "/acme/web.git/git-receive-pack",
                    "content_type": "application/x-git-receive-pack-request", "body_sha256": "ab",
                    "body_size": 123, "body": "hello", "body_encoding": "utf8", "body_truncated": false},
        "operations": [{"name": "ref.push", "aliases": ["git:receive-pack"], "repo": "acme/web",
                        "ref": "refs/heads/main", "paths": [], "paths_known": false,
                        "attributes": {"change": "update"}}],
        "summary": "push to refs/heads/main of acme/web",
        "rule": "production-branch", "reason": null, "policy": "cd".repeat(32),
        "approval": {"reviewers": {"groups": ["platform-leads"], "subjects": []},
                     "min": 1, "hold_ms": 45000, "ticket_s": 900}
    })
}

/// The request that asks `question`, to be held for at most `hold` milliseconds.
pub fn asking(question: &Value, hold: u64) -> Request<Body> {
    Request::post("/ext_authz/acme/web.git/git-receive-pack?x=1")
        .header(header::AUTHORIZATION, format!("Bearer {KEY}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header(
            "x-countersign-exchange",
            question["exchange"].as_str().unwrap(),
        )
        .header(
            "x-countersign-fingerprint",
            question["fingerprint"].as_str().unwrap(),
        )
        .header("x-countersign-hold", hold.to_string())
        .body(Body::from(question.to_string()))
        .unwrap()
}

/// One OTLP log record with these attributes.
pub fn record(event: &str, attributes: &Value) -> Value {
    fn any(value: &Value) -> Value {
        match value {
            Value::String(text) => json!({"stringValue": text}),
            Value::Bool(flag) => json!({"boolValue": flag}),
            Value::Number(number) => json!({"intValue": number.to_string()}),
            Value::Array(items) => {
                json!({"arrayValue": {"values": items.iter().map(any).collect::<Vec<_>>()}})
            }
            Value::Object(_) => json!({"kvlistValue": {"values": pairs(value)}}),
            Value::Null => json!({}),
        }
    }
    fn pairs(value: &Value) -> Vec<Value> {
        let map = value.as_object().unwrap();
        map.iter()
            .map(|(key, value)| json!({"key": key, "value": any(value)}))
            .collect()
    }
    json!({
        "timeUnixNano": (NOON as u64 * 1_000_000).to_string(),
        "eventName": event,
        "attributes": pairs(attributes),
    })
}

pub fn batch(records: &[Value]) -> Value {
    json!({"resourceLogs": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "countersign"}}]},
        "scopeLogs": [{"scope": {"name": "countersign"}, "logRecords": records}],
    }]})
}

/// The two records of one exchange.
pub fn exchange(id: &str, worker: &str, seq: i64) -> (Value, Value) {
    let request = json!({
        "countersign.exchange.id": id, "countersign.worker.id": worker, "countersign.worker.seq": seq,
        "user.id": "ci-runner", "countersign.connection": "copilot", "http.request.method": "POST",
        "url.full": "https://api.githubcopilot.com/chat/completions",
        "countersign.operations": [{"name": "chat.complete", "aliases": ["openai:chat"], "repo": "", "paths": []}],
        "countersign.decision": "allowed", "countersign.session.id": "s-1",
        "countersign.request.body": "please drop the tables", "http.request.body.size": 22,
        "countersign.request.body.encoding": "utf8",
        "countersign.masks": [{"rule": "github-token", "count": 2, "direction": "request"}],
    });
    let mut outcome = request.clone();
    outcome["countersign.worker.seq"] = json!(seq + 1);
    outcome["http.response.status_code"] = json!(200);
    outcome["countersign.response.body"] = json!("data: hello\n\n");
    outcome["countersign.response.chunks"] = json!([{"offset_ms": 12, "size": 13}]);
    outcome["countersign.duration_us"] = json!(15_300);
    outcome["countersign.end"] = json!("complete");
    (
        record("countersign.request", &request),
        record("countersign.outcome", &outcome),
    )
}
